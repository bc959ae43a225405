"""The SOAP message protocol: envelope bytes to what an exchange must know of them, and back.

The raw bytes are the message: they are what is signed, logged and passed on, and nothing here writes a request anew. One
pass of expat reads the headers, counts what may grow (depth, attributes, namespaces) and remembers where in the bytes a
few elements lie, so that an answer gets its request hash by insertion and not by being re-serialised.

Where several things are wrong, the first in document order wins, as in X-Road, whose parser streams.

Encoding is what the XML declaration says: UTF-8, or ISO-8859-1, which X-Road's parser takes too; a byte order mark is
tolerated. No DOCTYPE, hence no entities. Stricter than X-Road: one Header, before one Body; an id that is not blank.

Spec: PR-MESS 2 (headers, representation and security token extensions), 3 (content types).
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from xml.parsers import expat
from xml.sax.saxutils import escape

from schemas.faults import BadMessage, Kind, WireFault
from schemas.faultxml import SOAP_NS, parse_soap_fault
from schemas.identifiers import (
    ID_NS,
    IDENTIFIER_PARTS,
    ClientId,
    Identifier,
    ServerId,
    ServiceId,
    identifier_from_parts,
    render_identifier_parts,
    required_parts,
)
from schemas.message import Message, Protocol, digest_of
from schemas.multipart import parse_content_type

if TYPE_CHECKING:
    from collections.abc import Sequence

if TYPE_CHECKING:
    pass

XROAD_NS = "http://x-road.eu/xsd/xroad.xsd"
REPRESENTATION_NS = "http://x-road.eu/xsd/representation.xsd"
HASH_ALGORITHM_URI = "http://www.w3.org/2001/04/xmlenc#sha512"
PROTOCOL_VERSION = "4.0"
SOAP_TYPES = ("text/xml", "application/xop+xml")
CONTENT_TYPE = "text/xml; charset=UTF-8"
MULTIPART_TYPE = "multipart/related"

_BOM = b"\xef\xbb\xbf"
# Cannot occur in XML, so a name cannot be mistaken for another.
_SEPARATOR = "\x0c"
_ENCODINGS = frozenset(("utf-8", "us-ascii", "ascii", "iso-8859-1", "latin1", "iso_8859-1"))


@dataclass(frozen=True, slots=True)
class SoapLimits:
    """Bounds on an envelope."""

    size_bytes: int = 10 * 1024 * 1024
    depth: int = 256
    elements: int = 500_000
    attributes: int = 256
    namespaces: int = 256
    header_value_bytes: int = 64 * 1024


DEFAULT_LIMITS = SoapLimits()


@dataclass(frozen=True, slots=True)
class Places:
    """Where in the raw bytes some elements lie: (begin, end) offsets."""

    id_element: tuple[int, int]
    id_declares_namespace: bool
    request_hash: tuple[int, int] | None
    body_content: tuple[int, int]


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
            Protocol.SOAP,
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


@dataclass(frozen=True, slots=True)
class SoapFault:
    """An envelope that holds a fault, as it came."""

    raw: bytes
    wire: WireFault


def parse_envelope(raw: bytes, limits: SoapLimits = DEFAULT_LIMITS) -> SoapMessage | SoapFault:
    """Read an envelope. Raises `BadMessage` with X-Road's kind for what is wrong first."""
    if len(raw) > limits.size_bytes:
        raise BadMessage(
            Kind.INVALID_SOAP,
            f"the SOAP envelope has {len(raw)} bytes; at most {limits.size_bytes} are accepted. "
            "Large content belongs in an attachment",
        )
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in raw[:4]:
        raise BadMessage(Kind.INVALID_SOAP, "the SOAP envelope is not UTF-8")
    scan = _Scan(raw, limits)
    scan.run()
    if scan.has_fault:
        wire = parse_soap_fault(raw, limits.size_bytes)
        if wire is None:
            raise BadMessage(Kind.INVALID_SOAP, "the SOAP fault is not in the envelope's body")
        return SoapFault(raw, wire)
    return scan.message()


def parse_message(raw: bytes, limits: SoapLimits = DEFAULT_LIMITS) -> SoapMessage:
    """Read an envelope that must not hold a fault."""
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
    if charset and charset not in _ENCODINGS:
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
    """``SOAPAction`` may be missing, empty, or a URI in double quotes. Spec: SOAP 1.1 6.1.1."""
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
    for what, asked, answered in (
        ("client", str(request.client), str(answer.client)),
        ("service", str(request.service), str(answer.service)),
        ("id", request.message_id, answer.message_id),
        ("userId", request.user_id, answer.user_id),
        ("issue", request.issue, answer.issue),
        ("representedParty", request.represented_party, answer.represented_party),
    ):
        if asked != answered:
            raise BadMessage(
                Kind.INCONSISTENT_RESPONSE,
                f"the answer's {what} is {_shown(answered)}; the request's is {_shown(asked)}",
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


def without_body(message: SoapMessage) -> bytes:
    """The envelope with an empty body, for a log that may keep headers only."""
    return _with_body(message, "")


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
    """Where the white space that stands before ``at`` begins."""
    while at > 0 and raw[at - 1] in b" \t\r\n":
        at -= 1
    return at


def _shown(value: str | None) -> str:
    return "missing" if value is None else repr(value[:200])


# One pass over the bytes.

_ENVELOPE = f"{SOAP_NS}{_SEPARATOR}Envelope"
_HEADER = f"{SOAP_NS}{_SEPARATOR}Header"
_BODY = f"{SOAP_NS}{_SEPARATOR}Body"
_FAULT = f"{SOAP_NS}{_SEPARATOR}Fault"
_OBJECT_TYPE = f"{ID_NS}{_SEPARATOR}objectType"
_REPRESENTED = f"{REPRESENTATION_NS}{_SEPARATOR}representedParty"
_VALUES = frozenset(
    f"{XROAD_NS}{_SEPARATOR}{n}" for n in ("id", "userId", "issue", "protocolVersion", "requestHash")
)
_IDENTIFIERS = {
    f"{XROAD_NS}{_SEPARATOR}client": ("MEMBER", "SUBSYSTEM"),
    f"{XROAD_NS}{_SEPARATOR}service": ("SERVICE",),
    f"{XROAD_NS}{_SEPARATOR}securityServer": ("SERVER",),
}
_PARTS_OF = {
    **{name: frozenset(f"{ID_NS}{_SEPARATOR}{p}" for p in IDENTIFIER_PARTS) for name in _IDENTIFIERS},
    _REPRESENTED: frozenset(f"{REPRESENTATION_NS}{_SEPARATOR}{p}" for p in ("partyClass", "partyCode")),
}
_FIELD_DEPTH = 3
_PART_DEPTH = 4


class _Scan:
    """Reads one envelope. Its handlers know where they stand by depth alone: the grammar is four levels deep."""

    def __init__(self, raw: bytes, limits: SoapLimits) -> None:
        self._raw = raw
        self._limits = limits
        self._depth = 0
        self._elements = 0
        self._namespaces = 0
        self._declared = 0
        self._part: str | None = None  # Header or Body, when inside
        self._seen: set[str] = set()
        self._field: str | None = None
        self._object_type = ""
        self._parts: dict[str, str] = {}
        self._text: list[str] = []
        self._text_size = 0
        self._begun: dict[int, int] = {}
        self._values: dict[str, str] = {}
        self._identifiers: dict[str, Identifier] = {}
        self._represented: str | None = None
        self._id_element = (0, 0)
        self._id_declares = False
        self._hash_element: tuple[int, int] | None = None
        self._body_begin = 0
        self._body_content = (0, 0)
        self._body_names: list[str] = []
        self.has_fault = False

    def run(self) -> None:
        """Read it all; raises at the first thing that is wrong."""
        parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.StartNamespaceDeclHandler = self._namespace
        parser.EndNamespaceDeclHandler = self._namespace_end
        parser.StartDoctypeDeclHandler = _refuse_doctype
        parser.XmlDeclHandler = _check_declaration
        self._parser = parser
        try:
            parser.Parse(self._raw, True)
        except (expat.ExpatError, ValueError) as err:
            raise BadMessage(Kind.INVALID_SOAP, f"the SOAP envelope is not well-formed XML: {err}") from err

    def message(self) -> SoapMessage:
        """What was read. Everything that must be there has been checked."""
        client, service = self._identifiers["client"], self._identifiers["service"]
        server = self._identifiers.get("securityServer")
        if not isinstance(client, ClientId) or not isinstance(service, ServiceId):  # pragma: no cover
            raise BadMessage(Kind.INVALID_SOAP, "client or service is of the wrong kind")
        return SoapMessage(
            self._raw,
            client,
            service,
            self._values["id"],
            self._values["protocolVersion"],
            self._body_names[0],
            Places(self._id_element, self._id_declares, self._hash_element, self._body_content),
            server if isinstance(server, ServerId) else None,
            self._values.get("userId"),
            self._values.get("issue"),
            self._represented,
            self._values.get("requestHash"),
        )

    # Handlers

    def _namespace(self, _prefix: str | None, _uri: str | None) -> None:
        self._namespaces += 1
        self._declared += 1
        if self._namespaces > self._limits.namespaces:
            raise _too_much(f"more than {self._limits.namespaces} namespace declarations in scope")

    def _namespace_end(self, _prefix: str | None) -> None:
        self._namespaces -= 1

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._elements += 1
        declared, self._declared = self._declared, 0
        if self._elements > self._limits.elements:
            raise _too_much(
                f"more than {self._limits.elements} elements; large content belongs in an attachment"
            )
        if self._depth > self._limits.depth:
            raise _too_much(f"elements nested more than {self._limits.depth} deep")
        if len(attributes) > self._limits.attributes:
            raise _too_much(f"an element with more than {self._limits.attributes} attributes")
        if self._depth == 1:
            if name != _ENVELOPE:
                raise BadMessage(Kind.INVALID_SOAP, f"a SOAP envelope was expected; {_local(name)!r} came")
        elif self._depth == 2:
            self._start_part(name)
        elif self._part == _HEADER:
            self._start_in_header(name, attributes, declared)
        elif self._part == _BODY and self._depth == _FIELD_DEPTH:
            self._start_in_body(name)

    def _start_part(self, name: str) -> None:
        self._part = name if name in (_HEADER, _BODY) else None
        if self._part is None:
            return
        if self._part in self._seen or (name == _HEADER and _BODY in self._seen):
            raise BadMessage(Kind.INVALID_SOAP, f"the SOAP envelope has a second or misplaced {_local(name)}")
        self._seen.add(name)
        if name == _BODY:
            self._body_begin = self._end_of_tag(self._parser.CurrentByteIndex)

    def _start_in_header(self, name: str, attributes: dict[str, str], declared: int) -> None:
        if self._depth == _FIELD_DEPTH:
            self._field = None
            if name in _VALUES:
                self._once(_local(name), self._values)
                self._field = name
                self._begun[_FIELD_DEPTH] = self._parser.CurrentByteIndex
                self._id_declares = bool(declared) if _local(name) == "id" else self._id_declares
                self._collect()
            elif name in _IDENTIFIERS:
                self._once(_local(name), self._identifiers)
                self._object_type = _object_type(attributes, _IDENTIFIERS[name])
                self._field, self._parts = name, {}
            elif name == _REPRESENTED:
                if self._represented is not None:
                    raise _duplicate("representedParty")
                self._field, self._parts = name, {}
        elif self._field is not None and self._depth == _PART_DEPTH:
            if self._field in _PARTS_OF and name in _PARTS_OF[self._field]:
                self._once(_local(name), self._parts)
                self._collect()
            else:
                self._parser.CharacterDataHandler = None
        else:
            self._parser.CharacterDataHandler = None

    def _start_in_body(self, name: str) -> None:
        if name == _FAULT:
            self.has_fault = True
            return
        self._body_names.append(_local(name))
        if len(self._body_names) > 1:
            raise BadMessage(Kind.INVALID_BODY, "the SOAP body has more than one element")

    def _end(self, name: str) -> None:
        if self._part == _HEADER and self._field is not None:
            self._end_in_header(name)
        if self._depth == 2:
            if name == _BODY:
                self._end_body()
            self._part = None
        elif self._depth == 1 and not self.has_fault:
            self._check_complete()
        self._depth -= 1

    def _end_in_header(self, name: str) -> None:
        if self._depth == _PART_DEPTH and self._field in _PARTS_OF:
            if name in _PARTS_OF[self._field]:
                self._parts[_local(name)] = self._collected()
        elif self._depth == _PART_DEPTH:
            self._parser.CharacterDataHandler = self._take  # text after a foreign child still counts
        elif self._depth == _FIELD_DEPTH:
            self._end_field(name)
            self._field = None

    def _end_field(self, name: str) -> None:
        local = _local(name)
        if name in _VALUES:
            value = self._collected()
            place = (self._begun[_FIELD_DEPTH], self._end_of_element())
            if local == "protocolVersion":
                _check_version(value)
            elif local == "id":
                self._id_element = place
            elif local == "requestHash":
                self._hash_element = place
            self._values[local] = value
        elif name in _IDENTIFIERS:
            self._identifiers[local] = _identifier(self._object_type, self._parts)
        else:
            self._represented = _represented_party(self._parts)

    def _end_body(self) -> None:
        index = self._parser.CurrentByteIndex
        end = index if self._raw[index : index + 2] == b"</" else self._body_begin
        self._body_content = (self._body_begin, end)

    def _check_complete(self) -> None:
        if _HEADER not in self._seen:
            raise BadMessage(Kind.MISSING_HEADER, "the SOAP envelope has no header")
        for name, found in (
            ("protocolVersion", self._values.get("protocolVersion")),
            ("client", self._identifiers.get("client")),
            ("id", self._values.get("id", "").strip()),
            ("service", self._identifiers.get("service")),
        ):
            if not found:
                raise BadMessage(
                    Kind.MISSING_HEADER_FIELD, f"the SOAP header lacks {name} (namespace {XROAD_NS})"
                )
        if _BODY not in self._seen:
            raise BadMessage(Kind.MISSING_BODY, "the SOAP envelope has no body")
        if not self._body_names:
            raise BadMessage(Kind.INVALID_BODY, "the SOAP body has no element; exactly one was expected")
        service = self._identifiers["service"]
        if isinstance(service, ServiceId) and not self._body_names[0].startswith(service.service_code):
            raise BadMessage(
                Kind.INCONSISTENT_HEADERS,
                f"the body's element is {self._body_names[0][:100]!r}; the header's service code is "
                f"{service.service_code!r}, with which it must begin",
            )

    # Text and places

    def _collect(self) -> None:
        self._text, self._text_size = [], 0
        self._parser.CharacterDataHandler = self._take

    def _take(self, text: str) -> None:
        if self._depth not in (_FIELD_DEPTH, _PART_DEPTH):
            return
        self._text.append(text)
        self._text_size += len(text)
        if self._text_size > self._limits.header_value_bytes:
            raise _too_much(f"a header value longer than {self._limits.header_value_bytes} characters")

    def _collected(self) -> str:
        self._parser.CharacterDataHandler = None
        return "".join(self._text)

    def _once(self, name: str, among: dict[str, str] | dict[str, Identifier]) -> None:
        if name in among:
            raise _duplicate(name)

    def _end_of_tag(self, begin: int) -> int:
        """The offset after the start tag at ``begin``; a ``>`` in an attribute's value does not end it."""
        found = _TAG.match(self._raw, begin)
        return begin if found is None else found.end()

    def _end_of_element(self) -> int:
        index = self._parser.CurrentByteIndex
        if self._raw[index : index + 2] == b"</":
            return self._raw.find(b">", index) + 1
        return index if self._raw[index - 1 : index] == b">" else self._end_of_tag(index)


_TAG = re.compile(rb"<(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")


def _local(name: str) -> str:
    return name.rpartition(_SEPARATOR)[2]


def _too_much(what: str) -> BadMessage:
    return BadMessage(Kind.INVALID_SOAP, f"the SOAP envelope has {what}")


def _duplicate(name: str) -> BadMessage:
    return BadMessage(Kind.DUPLICATE_HEADER_FIELD, f"the SOAP header has {name} twice")


def _refuse_doctype(*_: object) -> None:
    raise BadMessage(Kind.INVALID_SOAP, "the SOAP envelope has a DOCTYPE, which is not allowed")


def _check_declaration(_version: str, encoding: str | None, _standalone: int) -> None:
    if encoding is not None and encoding.lower() not in _ENCODINGS:
        raise BadMessage(
            Kind.INVALID_SOAP,
            f"the SOAP envelope declares the encoding {encoding[:40]!r}; messages are sent in UTF-8",
        )


def _check_version(value: str) -> None:
    if not value.startswith("4."):
        raise BadMessage(
            Kind.INVALID_PROTOCOL_VERSION, f"protocolVersion is {value[:40]!r}; 4.x is spoken here"
        )


def _object_type(attributes: dict[str, str], expected: tuple[str, ...]) -> str:
    found = attributes.get(_OBJECT_TYPE)
    if found is None:
        raise BadMessage(
            Kind.INVALID_XML, f"an identifier lacks the attribute objectType of namespace {ID_NS}"
        )
    if found not in expected:
        raise BadMessage(Kind.INVALID_XML, f"objectType is {found[:40]!r}; expected {' or '.join(expected)}")
    return found


def _identifier(object_type: str, parts: dict[str, str]) -> Identifier:
    """A missing or blank part is ``internal_error`` in X-Road, whose code peers and test suites compare."""
    needed = [n for n in required_parts(object_type) if not parts.get(n, "").strip()]
    if needed:
        raise BadMessage(
            Kind.INTERNAL_ERROR, f"an identifier of type {object_type} lacks {', '.join(needed)}"
        )
    return identifier_from_parts(object_type, parts)


def _represented_party(parts: dict[str, str]) -> str:
    code = parts.get("partyCode", "")
    if not code.strip():
        raise BadMessage(Kind.MISSING_HEADER_FIELD, "representedParty lacks partyCode")
    return f"{parts['partyClass']}/{code}" if "partyClass" in parts else code
