"""The message between security servers: one ``multipart/mixed`` with parts in a fixed order.

Order on the wire: OCSP responses of the sender's TLS certificate (requests only), the REST or SOAP part, the body or
a nested multipart of attachments, hash chain result and hash chain (batch signatures only), signature. A SOAP fault may
stand in place of the message or of the signature. `_ORDER` is that grammar; a part out of order, or anything after the
signature, is refused.

The parser is a push parser in bounded memory: bodies are handed on as they come, all other parts have a limit.

Spec: PR-MESSTRANSP 4; X-Road 7.8's ProxyMessageDecoder (content types, bare faults).
"""

from __future__ import annotations

import enum
import re
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec
from cryptography.x509 import ocsp

from schemas.faults import BadMessage, Kind, WireFault
from schemas.faultxml import parse_soap_fault
from schemas.multipart import (
    Headers,
    MultipartLimits,
    MultipartParser,
    PartData,
    PartEnd,
    PartStart,
    parse_content_type,
)
from schemas.rest import MAX_PART_BYTES, is_response_part
from schemas.soap import SOAP_TYPES, SoapFault, parse_envelope

if TYPE_CHECKING:
    from collections.abc import Callable

OCSP_TYPE = "application/ocsp-response"
REST_REQUEST_TYPE = "application/x-road-rest-request"
REST_RESPONSE_TYPE = "application/x-road-rest-response"
REST_BODY_TYPE = "application/x-road-rest-body"
HASH_CHAIN_RESULT_TYPE = "application/hash-chain-result"
HASH_CHAIN_TYPE = "application/hash-chain"
SIGNATURE_TYPE = "signature/bdoc-1.0/ts"
FAULT_TYPE = "text/xml"


class TransportLimits(msgspec.Struct, frozen=True):
    """Bounds on the parts of a message, in bytes unless said otherwise."""

    ocsp_response_bytes: int = 64 * 1024
    ocsp_responses: int = 16
    rest_bytes: int = MAX_PART_BYTES
    soap_bytes: int = 10 * 1024 * 1024
    signature_bytes: int = 1024 * 1024
    hash_chain_bytes: int = 1024 * 1024
    attachments: int = 1_000
    framing: MultipartLimits = msgspec.field(default_factory=MultipartLimits)


class OcspResponse(msgspec.Struct, frozen=True):
    """An OCSP response (DER) of the sender's TLS certificate chain."""

    der: bytes


class RestPart(msgspec.Struct, frozen=True):
    """The canonical bytes of a REST request or response."""

    raw: bytes
    is_response: bool


class SoapPart(msgspec.Struct, frozen=True):
    """A SOAP envelope as it was sent, with its part headers."""

    raw: bytes
    content_type: str
    headers: Headers


class AttachmentStart(msgspec.Struct, frozen=True):
    """A body or attachment begins; numbers count from 1."""

    number: int
    content_type: str
    headers: Headers


class AttachmentData(msgspec.Struct, frozen=True):
    """Some bytes of the attachment under way."""

    number: int
    data: bytes


class AttachmentEnd(msgspec.Struct, frozen=True):
    """The attachment under way is complete."""

    number: int


class HashChainResult(msgspec.Struct, frozen=True):
    """The hash chain result of a batch signature, its exact bytes."""

    raw: bytes


class HashChain(msgspec.Struct, frozen=True):
    """The hash chain that leads from this message to the result."""

    raw: bytes


class SignaturePart(msgspec.Struct, frozen=True):
    """The part with the signature document, the last of a message (PR-MESSTRANSP 4)."""

    raw: bytes


class FaultPart(msgspec.Struct, frozen=True):
    """A fault in place of the message or of the signature; whatever came before must be discarded."""

    wire: WireFault
    raw: bytes


Event = (
    OcspResponse
    | RestPart
    | SoapPart
    | AttachmentStart
    | AttachmentData
    | AttachmentEnd
    | HashChainResult
    | HashChain
    | SignaturePart
    | FaultPart
)


class _Place(enum.IntEnum):
    """The parser's place in the message: what has come last."""

    START = enum.auto()
    REST = enum.auto()
    SOAP = enum.auto()
    BODIES = enum.auto()
    CHAIN_RESULT = enum.auto()
    CHAIN = enum.auto()
    DONE = enum.auto()


class _Part(enum.IntEnum):
    """The kinds of part, told by content type and place."""

    OCSP = enum.auto()
    REST_REQUEST = enum.auto()
    REST_RESPONSE = enum.auto()
    SOAP = enum.auto()
    REST_BODY = enum.auto()
    ATTACHMENTS = enum.auto()
    CHAIN_RESULT = enum.auto()
    CHAIN = enum.auto()
    SIGNATURE = enum.auto()
    FAULT = enum.auto()


_SIGNED = (_Place.REST, _Place.SOAP, _Place.BODIES, _Place.CHAIN)
# The grammar: which part may come where, and where that leads.
_ORDER: dict[tuple[_Place, _Part], _Place] = {
    (_Place.START, _Part.OCSP): _Place.START,
    (_Place.START, _Part.REST_REQUEST): _Place.REST,
    (_Place.START, _Part.REST_RESPONSE): _Place.REST,
    (_Place.START, _Part.SOAP): _Place.SOAP,
    (_Place.REST, _Part.REST_BODY): _Place.BODIES,
    (_Place.SOAP, _Part.ATTACHMENTS): _Place.BODIES,
    (_Place.REST, _Part.CHAIN_RESULT): _Place.CHAIN_RESULT,
    (_Place.SOAP, _Part.CHAIN_RESULT): _Place.CHAIN_RESULT,
    (_Place.BODIES, _Part.CHAIN_RESULT): _Place.CHAIN_RESULT,
    (_Place.CHAIN_RESULT, _Part.CHAIN): _Place.CHAIN,
    **{(place, _Part.SIGNATURE): _Place.DONE for place in _SIGNED},
    **{(place, _Part.FAULT): _Place.DONE for place in (*_SIGNED, _Place.CHAIN_RESULT)},
}
# Which of `TransportLimits` bounds a part that is kept whole.
_LIMIT_OF: dict[_Part | None, Callable[[TransportLimits], int]] = {
    _Part.OCSP: attrgetter("ocsp_response_bytes"),
    **dict.fromkeys((_Part.REST_REQUEST, _Part.REST_RESPONSE), attrgetter("rest_bytes")),
    **dict.fromkeys((_Part.SOAP, _Part.FAULT), attrgetter("soap_bytes")),
    **dict.fromkeys((_Part.CHAIN, _Part.CHAIN_RESULT), attrgetter("hash_chain_bytes")),
}
_LIMIT_OF_OTHERS: Callable[[TransportLimits], int] = attrgetter("signature_bytes")
# The parts that are events as they stand.
_EVENT_OF: dict[_Part | None, Callable[[bytes], Event]] = {
    _Part.CHAIN_RESULT: HashChainResult,
    _Part.CHAIN: HashChain,
    _Part.SIGNATURE: SignaturePart,
}
_FAULT_ELEMENT = re.compile(rb"<(?:[^\s<>/]+:)?Fault[\s/>]")
_BY_TYPE = {
    OCSP_TYPE: _Part.OCSP,
    REST_REQUEST_TYPE: _Part.REST_REQUEST,
    REST_RESPONSE_TYPE: _Part.REST_RESPONSE,
    REST_BODY_TYPE: _Part.REST_BODY,
    HASH_CHAIN_RESULT_TYPE: _Part.CHAIN_RESULT,
    HASH_CHAIN_TYPE: _Part.CHAIN,
    SIGNATURE_TYPE: _Part.SIGNATURE,
    "multipart/mixed": _Part.ATTACHMENTS,
}


class ProxyMessageParser:
    """Reads one message body: ``feed`` what comes, ``close`` at its end; both give events or raise `BadMessage`.

    ``allow_bare_fault`` lets a ``text/xml`` body be a fault, as responses may be; requests may not.
    """

    def __init__(
        self, content_type: str, *, allow_bare_fault: bool, limits: TransportLimits | None = None
    ) -> None:
        self._limits = limits or TransportLimits()
        media, parameters = parse_content_type(content_type)
        self._framing: MultipartParser | None = None
        self._bare = bytearray()
        if media == "multipart/mixed" and parameters.get("boundary"):
            self._framing = MultipartParser(parameters["boundary"], self._limits.framing)
        elif media != FAULT_TYPE or not allow_bare_fault:
            expected = "multipart/mixed with a boundary" + (", or text/xml" if allow_bare_fault else "")
            raise BadMessage(
                Kind.INVALID_CONTENT_TYPE, f"the content type is {content_type[:200]!r}; expected {expected}"
            )
        self._place = _Place.START
        self._part: _Part | None = None
        self._headers: Headers = ()
        self._content_type = ""
        self._collected = bytearray()
        self._inner: MultipartParser | None = None
        self._ocsp_count = 0
        self._attachments = 0
        self._fault_at: int | None = None  # where it stands among the events of this feed
        self._void = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that ``data`` completes."""
        if self._framing is None:
            self._bare += data
            self._check_size(len(self._bare), self._limits.soap_bytes, "fault")
            return []
        events: list[Event] = []
        whole = self._framing.take_whole(data)
        if whole is not None:
            for headers, content in whole:
                self._begin(headers, events)
                self._take_content(content, events)
            return self._up_to_fault(events)
        for framing in self._framing.feed(data):
            match framing:
                case PartStart():
                    self._begin(framing.headers, events)
                case PartData():
                    self._take(framing.data, events)
                case PartEnd():
                    self._end(bytes(self._collected), events)
        return self._up_to_fault(events)

    def _take_content(self, content: bytes, events: list[Event]) -> None:
        """All of the part that has begun."""
        if self._part is _Part.REST_BODY or self._inner is not None:
            if content:
                self._take(content, events)
        else:
            self._check_size(len(content), self._part_limit(), "part")
        self._end(content, events)

    def _up_to_fault(self, events: list[Event]) -> list[Event]:
        """A fault is the last word: what its sender goes on to write is read and dropped."""
        if self._void:
            return []
        if self._fault_at is None:
            return events
        self._void = True
        return events[: self._fault_at + 1]

    def close(self) -> list[Event]:
        """The last events. Raises when the message is incomplete; one without any part just has no events."""
        if self._framing is None:
            raw = bytes(self._bare)
            wire = parse_soap_fault(raw)
            if wire is None:
                raise BadMessage(Kind.INVALID_MESSAGE, "a bare text/xml body must be a fault; a message came")
            return [FaultPart(wire, raw)]
        if not self._framing.is_empty:
            self._framing.close()
        return []

    def _begin(self, headers: Headers, events: list[Event]) -> None:
        self._headers = headers
        self._content_type, part, is_soap, boundary = _kind_of_part(headers)
        if is_soap:
            part = _Part.SOAP if self._place is _Place.START else _Part.FAULT
        if self._place is _Place.DONE:
            raise BadMessage(Kind.INVALID_MESSAGE, "a part came after the end of the message")
        next_place = None if part is None else _ORDER.get((self._place, part))
        if part is None or next_place is None:
            raise BadMessage(
                Kind.INVALID_CONTENT_TYPE,
                f"a part of type {self._content_type[:200]!r} cannot come here ({self._place.name.lower()})",
            )
        self._part, self._place = part, next_place
        self._collected.clear()
        if part is _Part.REST_BODY:
            self._attachments = 1
            events.append(AttachmentStart(1, self._content_type, self._headers))
        elif part is _Part.ATTACHMENTS:
            if not boundary:
                raise BadMessage(Kind.INVALID_CONTENT_TYPE, "the multipart of attachments names no boundary")
            self._inner = MultipartParser(boundary, self._limits.framing)

    def _take(self, data: bytes, events: list[Event]) -> None:
        if self._part is _Part.REST_BODY:
            events.append(AttachmentData(1, data))
        elif self._inner is not None:
            self._take_attachments(self._inner, data, events)
        else:
            self._collected += data
            self._check_size(len(self._collected), self._part_limit(), "part")

    def _take_attachments(self, inner: MultipartParser, data: bytes, events: list[Event]) -> None:
        for framing in inner.feed(data):
            match framing:
                case PartStart():
                    self._attachments += 1
                    self._check_size(self._attachments, self._limits.attachments, "list of attachments")
                    content_type = framing.header("content-type") or ""
                    events.append(AttachmentStart(self._attachments, content_type, framing.headers))
                case PartData():
                    events.append(AttachmentData(self._attachments, framing.data))
                case PartEnd():
                    events.append(AttachmentEnd(self._attachments))

    def _end(self, raw: bytes, events: list[Event]) -> None:
        as_it_stands = _EVENT_OF.get(self._part)
        if as_it_stands is not None:
            events.append(as_it_stands(raw))
            self._part = None
            return
        match self._part:
            case _Part.OCSP:
                events.append(self._ocsp(raw))
            case _Part.REST_REQUEST | _Part.REST_RESPONSE:
                is_response = self._part is _Part.REST_RESPONSE
                if is_response_part(raw) != is_response:
                    raise BadMessage(
                        Kind.INVALID_MESSAGE, f"a part of type {self._content_type} holds the opposite of it"
                    )
                events.append(RestPart(raw, is_response))
            case _Part.SOAP:
                events.append(self._soap(raw))
            case _Part.REST_BODY:
                events.append(AttachmentEnd(1))
            case _Part.ATTACHMENTS:
                assert self._inner is not None, "it began with the part"
                self._inner.close()
                self._inner = None
            case _Part.FAULT:
                events.append(_fault(raw))
        if self._fault_at is None and events and isinstance(events[-1], FaultPart):
            self._fault_at = len(events) - 1
        self._part = None

    def _ocsp(self, raw: bytes) -> OcspResponse:
        self._ocsp_count += 1
        self._check_size(self._ocsp_count, self._limits.ocsp_responses, "list of OCSP responses")
        return _ocsp_response(raw)

    def _soap(self, raw: bytes) -> SoapPart | FaultPart:
        # Told by a cheap look first: parsing the envelope is the SOAP protocol's business.
        if _FAULT_ELEMENT.search(raw) is not None:
            parsed = parse_envelope(raw)
            if isinstance(parsed, SoapFault):
                return FaultPart(parsed.wire, raw)
        return SoapPart(raw, self._content_type, self._headers)

    def _part_limit(self) -> int:
        return _LIMIT_OF.get(self._part, _LIMIT_OF_OTHERS)(self._limits)

    def _check_size(self, size: int, limit: int, what: str) -> None:
        if size > limit:
            raise BadMessage(
                Kind.INVALID_MESSAGE,
                f"a {what} of the message has reached {size}; at most {limit} is accepted",
            )


@lru_cache(maxsize=64)
def _ocsp_response(raw: bytes) -> OcspResponse:
    """The same for hours from each peer, so what could be read once is not read again. Raises `BadMessage`."""
    try:
        ocsp.load_der_ocsp_response(raw)
    except ValueError as err:
        raise BadMessage(Kind.IO_ERROR, f"an OCSP response part is not an OCSP response: {err}") from err
    return OcspResponse(raw)


@lru_cache(maxsize=256)
def _kind_of_part(headers: Headers) -> tuple[str, _Part | None, bool, str | None]:
    """Content type, kind (None: by its place, or none at all), whether it is SOAP, and the boundary of what is nested."""
    content_type = PartStart(headers).header("content-type") or ""
    media, parameters = parse_content_type(content_type)
    return content_type, _BY_TYPE.get(media), media in SOAP_TYPES, parameters.get("boundary")


def _fault(raw: bytes) -> FaultPart:
    wire = parse_soap_fault(raw)
    if wire is None:
        raise BadMessage(Kind.INVALID_MESSAGE, "a message came where only a signature or a fault may stand")
    return FaultPart(wire, raw)


class ProxyMessageWriter:
    """Writes the parts of one message; each method gives the bytes of its part, framing included."""

    def __init__(self, boundary: str) -> None:
        self._boundary = boundary
        self._dash = f"--{boundary}\r\ncontent-type: "
        self._inner = f"xatt{boundary.removeprefix('xtop')}"

    @property
    def content_type(self) -> str:
        """The HTTP content type of the whole body, with its boundary."""
        return f"multipart/mixed; charset=UTF-8; boundary={self._boundary}"

    def _part(self, content_type: str, content: bytes) -> bytes:
        return b"".join((f"{self._dash}{content_type}\r\n\r\n".encode("ascii"), content, b"\r\n"))

    def ocsp(self, der: bytes) -> bytes:
        """An OCSP response of the sender's TLS certificate chain."""
        return self._part(OCSP_TYPE, der)

    def rest(self, raw: bytes, *, is_response: bool) -> bytes:
        """The part with the REST request or answer, its headers included."""
        return self._part(REST_RESPONSE_TYPE if is_response else REST_REQUEST_TYPE, raw)

    def soap(self, raw: bytes, content_type: str, headers: Headers = ()) -> bytes:
        """The SOAP part, with the part headers it came with."""
        head = f"{self._dash}{_head(content_type, headers)}\r\n\r\n"
        return head.encode("utf-8", "surrogateescape") + raw + b"\r\n"

    def body_start(self) -> bytes:
        """The bytes in front of a REST body."""
        return f"{self._dash}{REST_BODY_TYPE}\r\n\r\n".encode("ascii")

    def body_end(self) -> bytes:
        """The bytes behind a REST body or a SOAP attachment."""
        return b"\r\n"

    def attachments_start(self) -> bytes:
        """The bytes in front of the first SOAP attachment."""
        head = f"{self._dash}multipart/mixed; charset=UTF-8; boundary={self._inner}\r\n\r\n"
        return head.encode("ascii")

    def attachment_start(self, content_type: str, headers: Headers = ()) -> bytes:
        """The bytes in front of one SOAP attachment: delimiter, content type, its own headers."""
        kind = "" if content_type else "text/plain"
        head = f"--{self._inner}\r\ncontent-type: {kind}{_head(content_type, headers)}\r\n\r\n"
        return head.encode("utf-8", "surrogateescape")

    def attachments_end(self) -> bytes:
        """The bytes behind the last SOAP attachment."""
        return f"--{self._inner}--\r\n\r\n".encode("ascii")

    def hash_chain_result(self, raw: bytes) -> bytes:
        """The hash chain result of a batch signature."""
        return self._part(HASH_CHAIN_RESULT_TYPE, raw)

    def hash_chain(self, raw: bytes) -> bytes:
        """The hash chain of this message."""
        return self._part(HASH_CHAIN_TYPE, raw)

    def signature(self, raw: bytes) -> bytes:
        """The part with the signature document; always the last one."""
        return self._part(SIGNATURE_TYPE, raw)

    def fault(self, raw: bytes) -> bytes:
        """A fault in place of what would have come."""
        return self._part(FAULT_TYPE, raw)

    def close(self) -> bytes:
        """The closing delimiter of the whole body."""
        return f"--{self._boundary}--\r\n".encode("ascii")


def _head(content_type: str, headers: Headers) -> str:
    kept = "".join(f"\r\n{n}: {v}" for n, v in headers if n.lower() != "content-type")
    return content_type + kept
