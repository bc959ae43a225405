"""One message between security servers: written to, and read from, the multipart of PR-MESSTRANSP.

Both directions and both message protocols come through here. Reading happens in two steps, because the head (who
speaks, to which service) must be checked before a large body is let in: `MessageReader.read_head`, then `read_rest`.
Bodies go to spools, everything else is small and bounded by the parser's limits. What is missing at the end is told by
what is returned, not raised: X-Road gives a message without a signature another code than one that cannot be read.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

import msgspec

from certs.signing import MessageSignature
from gateway.http.whole import WholeBody, whole_of
from schemas import transport
from schemas.faults import BadMessage, Fault, Kind, PeerFault
from schemas.message import Attachment, MessageProtocol
from schemas.multipart import check_content_ids

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Sequence

    from gateway.messagelog.spool import NewSpool, Spool
    from schemas.message import Message
    from schemas.multipart import Headers

HASH_ALGORITHM = "SHA-512"
REQUEST_ID_HEADER = "x-road-request-id"
ORIGINAL_CONTENT_TYPE_HEADER = "x-original-content-type"
SOAP_ACTION_HEADER = "x-original-soapaction"
MESSAGE_TYPE_HEADER = "x-road-message-type"
# A chunk of a body that is at least so long is passed on as it is; shorter pieces are put together.
_PASSED_ON = 64 * 1024
# A message whose bodies are in memory leaves whole, with its length, in one write.
_WRITE_TOGETHER = 512 * 1024
# Ten thousand small attachments must not stand in memory together: after the first few each goes to disk early.
_IN_MEMORY = 16
_LITTLE_MEMORY = 4 * 1024


class SignatureLike(Protocol):
    """A signature with its hash chain, ours or a peer's."""

    @property
    def signature(self) -> bytes:
        """The signature document's bytes, as they are on the wire."""
        ...

    @property
    def hash_chain_result(self) -> bytes | None:
        """The hash chain result of a batch signature."""
        ...

    @property
    def hash_chain(self) -> bytes | None:
        """The hash chain of a batch signature."""
        ...


class Body(msgspec.Struct, frozen=True):
    """A body or attachment, spooled and digested, with its type and the other part headers it travels under (SOAP only)."""

    spool: Spool
    content_type: str = ""
    headers: Headers = ()


def without_type(headers: Headers) -> Headers:
    """A part's headers but its Content-Type, which is kept apart."""
    return tuple((n, v) for n, v in headers if n.lower() != "content-type")


def attachments_of(bodies: Sequence[Body]) -> tuple[Attachment, ...]:
    """The digest and size of each body, as a signature covers them. Raises `BadMessage` for labels that mean two of them."""
    check_content_ids(b.headers for b in bodies)
    return tuple(Attachment(b.spool.digest, b.spool.size) for b in bodies)


def discard_all(bodies: Sequence[Body]) -> None:
    """Discard the spools of bodies: their memory, or their files. Doing it twice is no error."""
    for body in bodies:
        body.spool.discard()


def new_attachment_spool(new_spool: NewSpool, number: int) -> Spool:
    """The spool of attachment ``number``, counted from 1."""
    return new_spool() if number <= _IN_MEMORY else new_spool(_LITTLE_MEMORY)


class Outgoing(msgspec.Struct, frozen=True):
    """A message ready to be signed and sent, with its bodies and the labels of its SOAP part.

    ``original_content_type`` is that of the whole, as the consumer or provider system sent it.
    """

    message: Message
    bodies: Sequence[Body] = ()
    content_type: str = ""
    headers: Headers = ()
    original_content_type: str = ""


class ReceivedMessage(msgspec.Struct):
    """Everything a message consists of, as it came; nothing in it is proved yet."""

    head: transport.RestPart | transport.SoapPart
    ocsp_responses: tuple[bytes, ...] = ()
    attachments: list[Body] = msgspec.field(default_factory=list)
    hash_chain_result: bytes | None = None
    hash_chain: bytes | None = None
    signature: bytes | None = None

    def proof(self) -> MessageSignature:
        """The signature that came, with its hash chain; still to be verified. Raises `BadMessage` (``missing_signature``)."""
        if self.signature is None:
            raise BadMessage(Kind.MISSING_SIGNATURE, "the message has no signature")
        return MessageSignature(self.signature, self.hash_chain_result, self.hash_chain)

    def discard(self) -> None:
        """Discard the spools of the bodies."""
        discard_all(self.attachments)


class MessageReader:
    """Reads one message from chunks of bytes. Whoever uses it calls `discard` at the end."""

    def __init__(
        self,
        content_type: str,
        chunks: AsyncIterator[bytes],
        new_spool: NewSpool,
        *,
        is_response: bool,
        max_body_bytes: int,
    ) -> None:
        self._parser = transport.ProxyMessageParser(content_type, allow_bare_fault=is_response)
        self._chunks = chunks
        self._new_spool = new_spool
        self._is_response = is_response
        self._max_body_bytes = max_body_bytes
        self._body_bytes = 0
        self._pending: deque[transport.Event] = deque()
        self._ended = False
        self._ocsp: list[bytes] = []
        self.received: ReceivedMessage | None = None

    async def read_head(self) -> transport.RestPart | transport.SoapPart | None:
        """Read up to and including the REST or SOAP part; None when there is none.

        A fault in an answer's place is raised as `PeerFault`.
        """
        while self._pending or await self._read_on():
            if not self._pending:
                continue
            event = self._pending.popleft()
            if isinstance(event, transport.OcspResponse):
                self._ocsp.append(event.der)
            elif isinstance(event, transport.FaultPart):
                self._fault(event)
                return None
            elif isinstance(event, transport.RestPart | transport.SoapPart):
                self.received = ReceivedMessage(event, tuple(self._ocsp))
                return event
            else:
                raise AssertionError(
                    f"no message begins with a {type(event).__name__}: see schemas/transport.py"
                )
        return None

    @property
    def ocsp_responses(self) -> tuple[bytes, ...]:
        """The OCSP responses that came before the head."""
        return tuple(self._ocsp)

    async def read_rest(self) -> ReceivedMessage:
        """Read bodies, hash chain and signature; a missing one shows in `ReceivedMessage.proof`."""
        received = self.received
        if received is None:  # pragma: no cover  a programming error, not an input
            raise RuntimeError("read_head comes first")
        while self._pending or await self._read_on():
            while self._pending:
                event = self._pending.popleft()
                if isinstance(event, transport.AttachmentData):
                    await self._take_data(received.attachments[-1].spool, event.data)
                elif isinstance(event, transport.AttachmentEnd):
                    await received.attachments[-1].spool.finish()
                else:
                    self._take(received, event)
        return received

    async def _take_data(self, spool: Spool, data: bytes) -> None:
        self._body_bytes += len(data)
        if self._body_bytes > self._max_body_bytes:
            raise BadMessage(
                Kind.INVALID_MESSAGE,
                f"the message's bodies exceed the {self._max_body_bytes} bytes this gateway accepts",
            )
        is_all = bool(self._pending) and isinstance(self._pending[0], transport.AttachmentEnd)
        if not (is_all and spool.size == 0 and spool.take(data)):
            await spool.write(data)

    def _take(self, received: ReceivedMessage, event: transport.Event) -> None:
        match event:
            case transport.AttachmentStart():
                spool = new_attachment_spool(self._new_spool, event.number)
                received.attachments.append(Body(spool, event.content_type, without_type(event.headers)))
            case transport.HashChainResult():
                received.hash_chain_result = event.raw
            case transport.HashChain():
                received.hash_chain = event.raw
            case transport.SignaturePart():
                received.signature = event.raw
            case transport.FaultPart():
                self._fault(event)
            case _:
                raise AssertionError(
                    f"no {type(event).__name__} follows the message part: see schemas/transport.py"
                )

    def _fault(self, event: transport.FaultPart) -> None:
        """A fault is an answer's end; in a request it stands for what the peer could not give, and says nothing."""
        if self._is_response:
            raise PeerFault(event.wire, event.raw)

    async def _read_on(self) -> bool:
        """Read the next chunk, or see that there is none; whether any event can still come."""
        if self._ended:
            return False
        whole = whole_of(self._chunks)
        chunk = await anext(self._chunks, None) if whole is None else whole or None
        if chunk is None:
            self._ended = True
            self._pending.extend(self._parser.close())
        else:
            self._pending.extend(self._parser.feed(chunk))
        return True

    def discard(self) -> None:
        """Discard the bodies read so far; nothing is left to do when no message part was read."""
        if self.received is not None:
            self.received.discard()


def write_message(
    writer: transport.ProxyMessageWriter,
    outgoing: Outgoing,
    signature: SignatureLike,
    ocsp_responses: Sequence[bytes] = (),
) -> AsyncIterator[bytes]:
    """The multipart of a message: whole where its bodies are in memory, else in chunks.

    ``ocsp_responses`` are those of the sender's auth certificate chain, leaf first (requests only).
    """
    pieces = _pieces(writer, outgoing, signature, ocsp_responses)
    in_memory = sum(b.spool.size for b in outgoing.bodies if b.spool.path is None)
    if in_memory <= _WRITE_TOGETHER and all(b.spool.path is None for b in outgoing.bodies):
        return WholeBody(b"".join([p if isinstance(p, bytes) else p.content or b"" for p in pieces]))
    return _drawn(pieces)


async def _drawn(pieces: Iterator[bytes | Spool]) -> AsyncIterator[bytes]:
    """The pieces of a long message, little ones together."""
    buffer = bytearray()
    for piece in pieces:
        if isinstance(piece, bytes):
            buffer += piece
            continue
        async for chunk in piece.chunks():
            is_long = len(chunk) >= _PASSED_ON
            if not is_long:
                buffer += chunk
            if buffer and (is_long or len(buffer) >= _WRITE_TOGETHER):
                yield bytes(buffer)
                buffer.clear()
            if is_long:
                yield chunk
    yield bytes(buffer)


def _pieces(
    writer: transport.ProxyMessageWriter,
    outgoing: Outgoing,
    signature: SignatureLike,
    ocsp_responses: Sequence[bytes],
) -> Iterator[bytes | Spool]:
    """The message in order: framing and small parts as bytes, each body as its spool."""
    message = outgoing.message
    is_rest = message.protocol is MessageProtocol.REST
    for der in ocsp_responses:
        yield writer.ocsp(der)
    if is_rest:
        yield writer.rest(message.raw, is_response=message.is_response)
    else:
        yield writer.soap(message.raw, outgoing.content_type, outgoing.headers)
        if outgoing.bodies:
            yield writer.attachments_start()
    for body in outgoing.bodies:
        yield writer.body_start() if is_rest else writer.attachment_start(body.content_type, body.headers)
        yield body.spool
        yield writer.body_end()
    if outgoing.bodies and not is_rest:
        yield writer.attachments_end()
    if signature.hash_chain_result is not None and signature.hash_chain is not None:
        yield writer.hash_chain_result(signature.hash_chain_result)
        yield writer.hash_chain(signature.hash_chain)
    yield writer.signature(signature.signature)
    yield writer.close()


def new_boundary(new_id: str) -> str:
    """A boundary, between security servers, that content can hold only by guessing."""
    return f"xtop{new_id.replace('-', '')[:30]}"


def system_boundary(new_id: str) -> str:
    """Another, between the parts that a system gets; X-Road's begin so."""
    return f"xroad{new_id.replace('-', '')[:30]}"


def check_hash_algorithm(value: str | None) -> None:
    """The header ``x-hash-algorithm`` is mandatory; only SHA-512 is spoken (PR-MESSTRANSP 4).

    Raises `BadMessage` (``missing_header``, ``invalid_message``).
    """
    if value is None:
        raise BadMessage(Kind.MISSING_HEADER, "the header x-hash-algorithm is missing; SHA-512 was expected")
    if value.upper() not in (HASH_ALGORITHM, "SHA512"):
        raise BadMessage(
            Kind.INVALID_MESSAGE, f"x-hash-algorithm is {value!r}; only SHA-512 is accepted between gateways"
        )


def internal_fault(err: Exception) -> Fault:
    """The fault for a failure nobody foresaw: its id leads to the log line, the reason stays inside; want of memory is said."""
    if isinstance(err, MemoryError):
        return Fault(
            Kind.INTERNAL_ERROR, "the gateway has no memory for this message now; ask again in a moment"
        )
    return Fault(
        Kind.INTERNAL_ERROR, "the gateway failed unexpectedly; its log has the details under this id"
    )
