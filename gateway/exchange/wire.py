"""One message between security servers: written to, and read from, the multipart of PR-MESSTRANSP.

Both directions and both message protocols come through here. Reading happens in two steps, because the head (who
speaks, to which service) must be checked before a large body is let in: `MessageReader.read_head`, then `read_rest`.
Bodies go to spools, everything else is small and bounded by the parser's limits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from certs.signing import MessageSignature
from schemas import transport
from schemas.faults import BadMessage, Fault, Kind, PeerFault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from gateway.messagelog.spool import Spool
    from schemas.message import Message

HASH_ALGORITHM = "SHA-512"
REQUEST_ID_HEADER = "x-road-request-id"
_WRITE_TOGETHER = 64 * 1024


class SignatureLike(Protocol):
    """A signature with its hash chain, ours or a peer's."""

    @property
    def signature(self) -> bytes:
        """The signature document."""
        ...

    @property
    def hash_chain_result(self) -> bytes | None:
        """The hash chain result of a batch signature."""
        ...

    @property
    def hash_chain(self) -> bytes | None:
        """The hash chain of a batch signature."""
        ...


@dataclass(slots=True)
class ReceivedAttachment:
    """A body part that came, spooled and digested."""

    spool: Spool
    content_type: str
    headers: Sequence[tuple[str, str]]


@dataclass(slots=True)
class ReceivedMessage:
    """Everything a message consists of, as it came; nothing in it is proved yet."""

    head: transport.RestPart | transport.SoapPart
    ocsp_responses: tuple[bytes, ...] = ()
    attachments: list[ReceivedAttachment] = field(default_factory=list)
    hash_chain_result: bytes | None = None
    hash_chain: bytes | None = None
    signature: bytes | None = None

    def proof(self) -> MessageSignature:
        """The signature that came, with its hash chain; still to be verified."""
        if self.signature is None:
            raise BadMessage(Kind.MISSING_SIGNATURE, "the message has no signature")
        return MessageSignature(self.signature, self.hash_chain_result, self.hash_chain)

    def rest_body(self) -> Spool | None:
        """The one body a REST message may have."""
        if len(self.attachments) > 1:
            raise BadMessage(
                Kind.INVALID_MESSAGE, f"a REST message has one body at the most; {len(self.attachments)} came"
            )
        return self.attachments[0].spool if self.attachments else None

    def discard(self) -> None:
        """Let go of the spooled bodies."""
        for attachment in self.attachments:
            attachment.spool.discard()


class MessageReader:
    """Reads one message from chunks of bytes. Whoever uses it calls `discard` at the end."""

    def __init__(
        self,
        content_type: str,
        chunks: AsyncIterator[bytes],
        new_spool: Callable[[], Spool],
        *,
        is_response: bool,
    ) -> None:
        self._parser = transport.ProxyMessageParser(content_type, allow_bare_fault=is_response)
        self._chunks = chunks
        self._new_spool = new_spool
        self._is_response = is_response
        self._pending: list[transport.Event] = []
        self._ocsp: list[bytes] = []
        self.received: ReceivedMessage | None = None

    async def read_head(self) -> transport.RestPart | transport.SoapPart:
        """Read up to and including the REST or SOAP part. A fault in its place is raised as `PeerFault`."""
        async for event in self._events():
            if isinstance(event, transport.OcspResponse):
                self._ocsp.append(event.der)
            elif isinstance(event, transport.FaultPart):
                raise PeerFault(event.wire)
            elif isinstance(event, transport.RestPart | transport.SoapPart):
                self.received = ReceivedMessage(event, tuple(self._ocsp))
                return event
            else:
                raise BadMessage(
                    Kind.INVALID_MESSAGE, f"the first part of a message cannot be a {type(event).__name__}"
                )
        raise BadMessage(
            Kind.MISSING_REST if self._is_response else Kind.INVALID_MESSAGE,
            "the message ended before its REST or SOAP part",
        )

    @property
    def ocsp_responses(self) -> tuple[bytes, ...]:
        """The OCSP responses that came before the head."""
        return tuple(self._ocsp)

    async def read_rest(self) -> ReceivedMessage:
        """Read bodies, hash chain and signature. Raises when the signature is missing."""
        received = self.received
        if received is None:  # pragma: no cover  a programming error, not an input
            raise RuntimeError("read_head comes first")
        async for event in self._events():
            await self._take(received, event)
        if received.signature is None:
            raise BadMessage(Kind.MISSING_SIGNATURE, "the message has no signature")
        return received

    async def _take(self, received: ReceivedMessage, event: transport.Event) -> None:
        match event:
            case transport.AttachmentStart():
                received.attachments.append(
                    ReceivedAttachment(self._new_spool(), event.content_type, event.headers)
                )
            case transport.AttachmentData():
                await received.attachments[-1].spool.write(event.data)
            case transport.AttachmentEnd():
                await received.attachments[-1].spool.finish()
            case transport.HashChainResult():
                received.hash_chain_result = event.raw
            case transport.HashChain():
                received.hash_chain = event.raw
            case transport.SignaturePart():
                received.signature = event.raw
            case transport.FaultPart():
                raise PeerFault(event.wire)
            case _:
                raise BadMessage(
                    Kind.INVALID_MESSAGE, f"a {type(event).__name__} came after the message part"
                )

    async def _events(self) -> AsyncIterator[transport.Event]:
        while self._pending:
            yield self._pending.pop(0)
        async for chunk in self._chunks:
            self._pending.extend(self._parser.feed(chunk))
            while self._pending:
                yield self._pending.pop(0)
        self._pending.extend(self._parser.close())
        while self._pending:
            yield self._pending.pop(0)

    def discard(self) -> None:
        """Let go of every spool."""
        if self.received is not None:
            self.received.discard()


async def write_message(
    writer: transport.ProxyMessageWriter,
    message: Message,
    bodies: Sequence[Spool],
    signature: SignatureLike,
    ocsp_responses: Sequence[bytes] = (),
) -> AsyncIterator[bytes]:
    """The multipart of a REST message, in as few chunks as its size allows.

    ``ocsp_responses`` are those of the sender's auth certificate chain, leaf first (requests only).
    """
    buffer = bytearray()
    for der in ocsp_responses:
        buffer += writer.ocsp(der)
    buffer += writer.rest(message.raw, is_response=message.is_response)
    for body in bodies:
        buffer += writer.body_start()
        async for chunk in body.chunks():
            buffer += chunk
            if len(buffer) >= _WRITE_TOGETHER:
                yield bytes(buffer)
                buffer.clear()
        buffer += writer.body_end()
    if signature.hash_chain_result is not None and signature.hash_chain is not None:
        buffer += writer.hash_chain_result(signature.hash_chain_result)
        buffer += writer.hash_chain(signature.hash_chain)
    buffer += writer.signature(signature.signature)
    buffer += writer.close()
    yield bytes(buffer)


def check_hash_algorithm(value: str | None) -> None:
    """The header ``x-hash-algorithm`` is mandatory; only SHA-512 is spoken (PR-MESSTRANSP 4)."""
    if value is None:
        raise BadMessage(Kind.MISSING_HEADER, "the header x-hash-algorithm is missing; SHA-512 was expected")
    if value.upper() not in (HASH_ALGORITHM, "SHA512"):
        raise BadMessage(
            Kind.INVALID_MESSAGE, f"x-hash-algorithm is {value!r}; only SHA-512 is accepted between gateways"
        )


def internal_fault() -> Fault:
    """What is said of a failure nobody foresaw: its id leads to the log line, its text stays inside."""
    return Fault(
        Kind.INTERNAL_ERROR, "the gateway failed unexpectedly; its log has the details under this id"
    )
