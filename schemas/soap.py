"""The SOAP message protocol: envelope bytes to what an exchange must know of them, and back.

The raw bytes are the message: they are what is signed, logged and passed on, and nothing here writes a request anew. The
one pass over them (soapenvelope.py) remembers where a few elements lie, so that an answer gets its request hash by
insertion and not by being re-serialised.

Encoding is what the XML declaration says: UTF-8, or ISO-8859-1, which X-Road's parser takes too; a byte order mark is
tolerated. No DOCTYPE, hence no entities. Stricter than X-Road: one Header, before one Body; an id that is not blank.

Spec: PR-MESS 2 (headers, representation and security token extensions), 3 (content types).
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import msgspec

from schemas.faults import BadMessage, Kind, WireFault
from schemas.faultxml import SOAP_NS, parse_soap_fault
from schemas.identifiers import (
    ID_NS,
    ClientId,
    Identifier,
    ServerId,
    ServiceId,
    render_identifier_parts,
)
from schemas.message import Message, MessageProtocol, digest_of
from schemas.multipart import parse_content_type
from schemas.soapenvelope import (
    DEFAULT_LIMITS,
    ENCODINGS,
    XROAD_NS,
    Places,
    SoapLimits,
    run_through,
    scan_in_pieces,
)

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

HASH_ALGORITHM_URI = "http://www.w3.org/2001/04/xmlenc#sha512"
PROTOCOL_VERSION = "4.0"
SOAP_TYPES = ("text/xml", "application/xop+xml")
CONTENT_TYPE = "text/xml; charset=UTF-8"
MULTIPART_TYPE = "multipart/related"

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class SoapMessage:
    """A request or an answer. ``raw`` is exactly what came; header values are as written, nothing trimmed."""

    raw: bytes
    client: ClientId
    service: ServiceId
    message_id: str
    protocol_version: str
    body_name: str
    places: Places = field(repr=False, compare=False)
    security_server: ServerId | None = None
    user_id: str | None = None
    issue: str | None = None
    represented_party: str | None = None
    request_hash: str | None = None

    @property
    def is_response(self) -> bool:
        """Whether the body's element is named as an answer's."""
        return self.body_name.endswith("Response")

    def to_message(self, request_id: str, *, is_response: bool) -> Message:
        """The protocol-neutral message, still without attachments."""
        return Message(
            MessageProtocol.SOAP,
            is_response=is_response,
            raw=self.raw,
            digest=digest_of(self.raw),
            client=self.client,
            service=self.service,
            message_id=self.message_id,
            request_id=request_id,
            security_server=self.security_server,
            user_id=self.user_id,
            issue=self.issue,
            represented_party=self.represented_party,
        )


class SoapFault(msgspec.Struct, frozen=True):
    """An envelope that holds a fault, as it came."""

    raw: bytes
    wire: WireFault


def parse_envelope(raw: bytes, limits: SoapLimits = DEFAULT_LIMITS) -> SoapMessage | SoapFault:
    """Read an envelope. Raises `BadMessage` with X-Road's kind for what is wrong first."""
    return run_through(parse_in_pieces(raw, limits))


def parse_in_pieces(
    raw: bytes, limits: SoapLimits = DEFAULT_LIMITS
) -> Generator[None, None, SoapMessage | SoapFault]:
    """The same with stops in between, so that an event loop can serve others while a large envelope is read.

    Raises `BadMessage` (``invalid_soap``).
    """
    if len(raw) > limits.size_bytes:
        raise BadMessage(
            Kind.INVALID_SOAP,
            f"the SOAP envelope has {len(raw)} bytes; at most {limits.size_bytes} are accepted. "
            "Large content belongs in an attachment",
        )
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in raw[:4]:
        raise BadMessage(Kind.INVALID_SOAP, "the SOAP envelope is not UTF-8")
    found = yield from scan_in_pieces(raw, limits)
    if found is None:
        wire = parse_soap_fault(raw, limits.size_bytes)
        assert wire is not None, "the scan found a fault in the body"
        return SoapFault(raw, wire)
    return SoapMessage(
        raw,
        found.client,
        found.service,
        found.values["id"],
        found.values["protocolVersion"],
        found.body_name,
        found.places,
        found.security_server,
        found.values.get("userId"),
        found.values.get("issue"),
        found.represented_party,
        found.values.get("requestHash"),
    )


def parse_message(raw: bytes, limits: SoapLimits = DEFAULT_LIMITS) -> SoapMessage:
    """Read an envelope that must not hold a fault. Raises `BadMessage` (``invalid_message``)."""
    parsed = parse_envelope(raw, limits)
    if isinstance(parsed, SoapFault):
        raise BadMessage(Kind.INVALID_MESSAGE, "a SOAP message was expected; a fault came")
    return parsed


def check_soap_type(content_type: str) -> None:
    """Refuse a content type under which no envelope travels, or a charset nobody here reads."""
    media, parameters = parse_content_type(content_type)
    if media not in SOAP_TYPES:
        raise BadMessage(
            Kind.INVALID_CONTENT_TYPE,
            f"the content type is {content_type[:200]!r}; SOAP comes as text/xml or application/xop+xml",
        )
    charset = parameters.get("charset", "utf-8").strip().lower()
    if charset and charset not in ENCODINGS:
        raise BadMessage(
            Kind.INVALID_CONTENT_TYPE, f"the charset is {charset[:40]!r}; SOAP messages are sent in UTF-8"
        )


def check_plain(content_encodings: Sequence[str]) -> None:
    """Refuse a message that was compressed for the way: what is signed are the bytes that come. No bomb can go off."""
    for value in content_encodings:
        if value.strip().lower() not in ("", "identity"):
            raise BadMessage(
                Kind.INVALID_CONTENT_TYPE,
                f"the message comes with Content-Encoding {value[:40]!r}; send it uncompressed",
            )


def check_soap_action(value: str | None) -> None:
    """``SOAPAction`` may be missing, empty, or a URI in double quotes. Spec: SOAP 1.1 6.1.1. Raises `BadMessage` (``invalid_soap_action``)."""
    if value in (None, "", '""'):
        return
    if not value or len(value) < 3 or value[0] != '"' or value[-1] != '"' or not _URI.fullmatch(value[1:-1]):
        raise BadMessage(
            Kind.INVALID_SOAP_ACTION, f"SOAPAction must be a URI in double quotes; {value[:200]!r} came"
        )


_URI = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2}|[^\x00-\x7f])+")


def compute_request_hash(request_digest: bytes) -> str:
    """The value of ``requestHash``: base64 of SHA-512 over the request's raw envelope."""
    return base64.b64encode(request_digest).decode("ascii")


def with_request_hash(answer: SoapMessage, request_hash: str) -> SoapMessage:
    """The answer with ``requestHash`` after its id and any other one taken out; nothing else changes but a BOM's loss."""
    raw, places = answer.raw, answer.places
    begin, end = places.id_element
    name = raw[begin + 1 : end].split(b">")[0].split()[0].rstrip(b"/").decode("ascii", "replace")
    prefix = name.rpartition(":")[0]
    declared = ""
    if places.id_declares_namespace:
        declared = f' xmlns:{prefix}="{XROAD_NS}"' if prefix else f' xmlns="{XROAD_NS}"'
    tag = f"{prefix}:requestHash" if prefix else "requestHash"
    element = f'<{tag}{declared} algorithmId="{HASH_ALGORITHM_URI}">{request_hash}</{tag}>'.encode("ascii")
    edits = [(end, end, raw[_space_before(raw, begin) : begin] + element)]
    if places.request_hash is not None:
        old_begin, old_end = places.request_hash
        edits.append((_space_before(raw, old_begin), old_end, b""))
    for start, stop, text in sorted(edits, reverse=True):
        raw = raw[:start] + text + raw[stop:]
    return replace(answer, raw=raw.removeprefix(_BOM), request_hash=request_hash)


def check_consistent(request: SoapMessage, answer: SoapMessage) -> None:
    """Refuse an answer whose headers are not the request's (``inconsistent_response``)."""
    for what, requested, answered in (
        ("client", str(request.client), str(answer.client)),
        ("service", str(request.service), str(answer.service)),
        ("id", request.message_id, answer.message_id),
        ("userId", request.user_id, answer.user_id),
        ("issue", request.issue, answer.issue),
        ("representedParty", request.represented_party, answer.represented_party),
    ):
        if requested != answered:
            raise BadMessage(
                Kind.INCONSISTENT_RESPONSE,
                f"the answer's {what} is {_shown(answered)}; the request's is {_shown(requested)}",
            )


def check_request_hash(request_digest: bytes, answer: SoapMessage) -> None:
    """Refuse an answer that is not over this very request."""
    expected = compute_request_hash(request_digest)
    if answer.request_hash is None:
        raise BadMessage(Kind.INCONSISTENT_RESPONSE, "the answer has no requestHash")
    if "".join(answer.request_hash.split()) != expected:
        raise BadMessage(
            Kind.INCONSISTENT_RESPONSE, "the answer's requestHash is not the digest of the request sent"
        )


def render_answer(request: SoapMessage, body: str) -> bytes:
    """The envelope of an answer to ``request`` with its very headers; ``body`` is one element that declares its names."""
    return _with_body(request, body)


def render_request(
    client: ClientId,
    service: ServiceId,
    message_id: str,
    body: str,
    *,
    user_id: str | None = None,
    security_server: ServerId | None = None,
) -> bytes:
    """A new request; ``body`` is one element, named after the service code, that declares its namespaces."""
    user = "" if user_id is None else f"<xroad:userId>{escape(user_id)}</xroad:userId>"
    server = "" if security_server is None else _render_identifier("securityServer", security_server)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<soap:Envelope xmlns:soap="{SOAP_NS}" xmlns:xroad="{XROAD_NS}" xmlns:id="{ID_NS}">'
        f"<soap:Header>{_render_identifier('client', client)}{_render_identifier('service', service)}{server}"
        f"<xroad:id>{escape(message_id)}</xroad:id>{user}"
        f"<xroad:protocolVersion>{PROTOCOL_VERSION}</xroad:protocolVersion></soap:Header>"
        f"<soap:Body>{body}</soap:Body></soap:Envelope>"
    ).encode()


def _render_identifier(name: str, identifier: Identifier) -> str:
    parts = "".join(f"<id:{n}>{escape(v)}</id:{n}>" for n, v in render_identifier_parts(identifier))
    return f'<xroad:{name} id:objectType="{identifier.object_type}">{parts}</xroad:{name}>'


def _with_body(message: SoapMessage, body: str) -> bytes:
    begin, end = message.places.body_content
    # Characters as references: the message's own encoding need not be UTF-8.
    text = body.encode("ascii", "xmlcharrefreplace")
    return (message.raw[:begin] + text + message.raw[end:]).removeprefix(_BOM)


def _space_before(raw: bytes, at: int) -> int:
    """The offset at which the white space that stands before ``at`` begins."""
    while at > 0 and raw[at - 1] in b" \t\r\n":
        at -= 1
    return at


def _shown(value: str | None) -> str:
    return "missing" if value is None else repr(value[:200])
