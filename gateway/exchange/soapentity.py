"""A SOAP message as an information system sends and gets it: an envelope alone, or a ``multipart/related``.

Reading happens in two steps, as between gateways: the envelope first, so that it can be checked before attachments are
let in. Attachments go to spools and keep their order and part headers; a multipart inside is one attachment, untouched.
Writing gives the envelope alone, or the parts under the sender's content type with a boundary of our own.

Spec: PR-MESS 3 (text/xml, multipart/related, MTOM/XOP).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from gateway.exchange.wire import Body, discard_all, new_attachment_spool, without_type
from schemas import soap
from schemas.faults import BadMessage, Kind
from schemas.multipart import (
    MultipartLimits,
    MultipartParser,
    PartData,
    PartEnd,
    PartStart,
    content_ids,
    parse_content_type,
)
from schemas.soapenvelope import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from gateway.messagelog.spool import NewSpool
    from schemas.multipart import FramingEvent, Headers

_CHUNK_BYTES = 64 * 1024
LIMITS = MultipartLimits(parts=1_001)  # the envelope, and as many attachments as may travel between gateways
# RFC 2046 5.1.1, and what is in the field beyond it.
_TOKEN = re.compile(r"[a-z0-9!#$&'+.^_`|~-]{1,80}")
_BOUNDARY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?")


class Envelope(msgspec.Struct, frozen=True):
    """An envelope as it came, with the labels of its part."""

    raw: bytes
    content_type: str
    headers: Headers = ()


class EntityReader:
    """Reads one HTTP body. Whoever uses it calls `discard` unless it took the bodies over."""

    def __init__(
        self, content_type: str, chunks: AsyncIterator[bytes], new_spool: NewSpool, max_body_bytes: int
    ) -> None:
        self._content_type = content_type
        self._chunks = chunks
        self._new_spool = new_spool
        self._max_body_bytes = max_body_bytes
        self._limit = DEFAULT_LIMITS.size_bytes
        media, parameters = parse_content_type(content_type)
        self._framing: MultipartParser | None = None
        self._parameters: dict[str, str] = {}
        if media == soap.MULTIPART_TYPE:
            boundary = parameters.get("boundary", "")
            if not _BOUNDARY.fullmatch(boundary):
                raise BadMessage(
                    Kind.MIME_PARSING_FAILED if boundary else Kind.INVALID_CONTENT_TYPE,
                    f"the content type is {content_type[:200]!r}; multipart/related needs a boundary of up to 200 "
                    "printable characters",
                )
            _check_parameters(content_type, parameters)
            self._framing = MultipartParser(boundary, LIMITS)
            self._parameters = parameters
        else:
            soap.check_soap_type(content_type)
        self._pending: list[FramingEvent] = []
        self._bodies: list[Body] = []
        self._size = 0

    async def read_envelope(self) -> Envelope | None:
        """The envelope; None when a multipart came without any part."""
        if self._framing is None:
            return Envelope(await self._read_all(), self._content_type)
        collected = bytearray()
        content_type = ""
        headers: Headers = ()
        async for event in self._events(self._framing):
            match event:
                case PartStart():
                    content_type, headers = _needed_type(event), event.headers
                    soap.check_soap_type(content_type)
                    _check_root(self._parameters, headers)
                case PartData():
                    collected += event.data
                    self._check_envelope(len(collected))
                case PartEnd():
                    return Envelope(bytes(collected), content_type, without_type(headers))
        return None

    async def _read_all(self) -> bytes:
        collected = bytearray()
        async for chunk in self._chunks:
            collected += chunk
            self._check_envelope(len(collected))
        return bytes(collected)

    def _check_envelope(self, size: int) -> None:
        if size > self._limit:
            raise BadMessage(
                Kind.INVALID_SOAP,
                f"the SOAP envelope is larger than {self._limit} bytes; large content belongs in an attachment",
            )

    async def read_bodies(self) -> list[Body]:
        """The attachments, spooled and digested. Raises `BadMessage` (``invalid_message``)."""
        if self._framing is None:
            return []
        async for event in self._events(self._framing):
            match event:
                case PartStart():
                    spool = new_attachment_spool(self._new_spool, len(self._bodies) + 1)
                    self._bodies.append(Body(spool, _needed_type(event), without_type(event.headers)))
                case PartData():
                    self._size += len(event.data)
                    if self._size > self._max_body_bytes:
                        raise BadMessage(
                            Kind.INVALID_MESSAGE,
                            f"the attachments exceed the {self._max_body_bytes} bytes this gateway accepts",
                        )
                    await self._bodies[-1].spool.write(event.data)
                case PartEnd():
                    await self._bodies[-1].spool.finish()
        return self._bodies

    async def _events(self, framing: MultipartParser) -> AsyncIterator[FramingEvent]:
        while self._pending:
            yield self._pending.pop(0)
        async for chunk in self._chunks:
            self._pending.extend(framing.feed(chunk))
            while self._pending:
                yield self._pending.pop(0)
        if not framing.is_empty:
            framing.close()

    def discard(self) -> None:
        """Discard the attachments read so far: their memory, or their files."""
        discard_all(self._bodies)


def content_type_for(original: str, envelope: Envelope, bodies: Sequence[Body], boundary: str) -> str:
    """The content type under which a message goes to a system: the sender's when it was or must be a multipart.

    The parts stand between ``boundary``, which is new: the sender chose its own knowing what it would send, and nobody signs
    it. ``start`` stays only where it names the envelope and nothing else, for a reader that follows it must come to what was
    decided on.
    """
    media, parameters = parse_content_type(original)
    if media == soap.MULTIPART_TYPE and _BOUNDARY.fullmatch(parameters.get("boundary", "")):
        named = [content_ids(headers) for headers in (envelope.headers, *(b.headers for b in bodies))]
        start = content_ids((("content-id", parameters.get("start", "")),))
        if named[0] != start or any(start[0] in names for names in named[1:]):
            parameters.pop("start", None)
        parameters["boundary"] = boundary
        written = [f"; {n}={_quoted(v)}" for n, v in parameters.items() if _TOKEN.fullmatch(n)]
        return f"{soap.MULTIPART_TYPE}{''.join(written)}"
    if bodies:
        return f'{soap.MULTIPART_TYPE}; type="text/xml"; charset=UTF-8; boundary={boundary}'
    return soap.CONTENT_TYPE


def _check_parameters(content_type: str, parameters: dict[str, str]) -> None:
    """Refuse parameters in RFC 2231's spelling: some readers put ``boundary*0`` together, and others do not know it."""
    if any("*" in name for name in parameters):
        raise BadMessage(
            Kind.INVALID_CONTENT_TYPE,
            f"the content type is {content_type[:200]!r}; a multipart's parameters are written whole, without '*'",
        )


def _check_root(parameters: dict[str, str], first: Headers) -> None:
    """Refuse a ``start`` that names another part than the first, which is the one that is decided on (RFC 2387 3.2)."""
    start = parameters.get("start")
    if start is not None and content_ids(first) != content_ids((("content-id", start),)):
        raise BadMessage(
            Kind.MIME_PARSING_FAILED,
            f"start={start[:200]!r} does not name the first part by its Content-ID; the SOAP envelope comes first",
        )


def _quoted(value: str) -> str:
    if _TOKEN.fullmatch(value.lower()):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


async def write_entity(envelope: Envelope, bodies: Sequence[Body], content_type: str) -> AsyncIterator[bytes]:
    """The HTTP body under ``content_type`` (see `content_type_for`)."""
    media, parameters = parse_content_type(content_type)
    if media != soap.MULTIPART_TYPE:
        yield envelope.raw
        return
    boundary = parameters["boundary"]
    buffer = bytearray(_part_head(boundary, envelope.content_type, envelope.headers))
    buffer += envelope.raw + b"\r\n"
    for body in bodies:
        buffer += _part_head(boundary, body.content_type, body.headers)
        async for chunk in body.spool.chunks():
            buffer += chunk
            if len(buffer) >= _CHUNK_BYTES:
                yield bytes(buffer)
                buffer.clear()
        buffer += b"\r\n"
    buffer += f"--{boundary}--\r\n".encode("latin-1")
    yield bytes(buffer)


def _part_head(boundary: str, content_type: str, headers: Headers) -> bytes:
    # Without a blank, as X-Road writes it: clients of its getWsdl look for these bytes.
    typed = f"content-type:{content_type}\r\n" if content_type else ""
    lines = typed + "".join(f"{n}: {v}\r\n" for n, v in headers)
    return f"--{boundary}\r\n".encode("latin-1") + lines.encode("utf-8", "surrogateescape") + b"\r\n"


def _needed_type(part: PartStart) -> str:
    found = [v for n, v in part.headers if n.lower() == "content-type"]
    if not found or not found[0]:
        raise BadMessage(
            Kind.INVALID_CONTENT_TYPE, "a part of the multipart message has no Content-Type header"
        )
    if len(set(found)) > 1:
        raise BadMessage(
            Kind.INVALID_CONTENT_TYPE,
            f"a part of the multipart message has {len(found)} contradicting Content-Type headers",
        )
    return found[0]
