"""A request as it stood on the wire, and the answer to it, as a listener's handler sees them. See `gateway.http.server`."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Protocol

from gateway.http.whole import whole_of

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Iterable

    from gateway.http.heads import RequestHead
    from gateway.http.incoming import Incoming
    from gateway.http.whole import Chunks


class AnsweringConnection(Protocol):
    """The connection by which a request came, as the request uses it to answer."""

    transport: asyncio.Transport | None
    is_known: bool

    def write_continue(self) -> None:
        """Let the sender send the body he announced."""
        ...

    def may_have_body(self, answer: RawResponse) -> bool:
        """Whether the answer may have a body at all."""
        ...

    def write_whole(self, answer: RawResponse, body: bytes | None = None) -> None:
        """Write an answer and its body in one piece."""
        ...

    def begin_answer(self, answer: RawResponse) -> None:
        """Keep an answer's head for its first piece."""
        ...

    async def write_piece(self, piece: bytes, stall_s: float) -> None:
        """Write a piece of the body."""
        ...

    def end_answer(self) -> None:
        """Write the end of the answer's body."""
        ...


class RawResponse:
    """Status, reason and headers of an answer, with the body when it is at hand. Framing headers are the connection's."""

    __slots__ = ("body", "headers", "reason", "status")

    def __init__(
        self,
        status: int = 200,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes | None = None,
        reason: str | None = None,
    ) -> None:
        self.status = status
        self.headers = [
            (n.encode("utf-8", "surrogateescape"), v.encode("utf-8", "surrogateescape")) for n, v in headers
        ]
        self.body = body
        self.reason = _REASONS.get(status, b"") if reason is None else _bytes(reason)


_REASONS = {
    200: b"OK",
    400: b"Bad Request",
    401: b"Unauthorized",
    404: b"Not Found",
    417: b"Expectation Failed",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def text_of(data: bytes) -> str:
    """Bytes of a head as text; those outside UTF-8 are kept as surrogates."""
    return data.decode("utf-8", "surrogateescape")


class RawRequest:
    """A request as it stood on the wire, and the way to answer it."""

    def __init__(self, head: RequestHead, connection: AnsweringConnection, body: Incoming) -> None:
        self.head = head
        self.method = head.method
        self.target = text_of(head.target)
        self.connection = connection
        self._body = body

    @property
    def transport(self) -> asyncio.Transport | None:
        """The connection's transport; None once it is gone."""
        return self.connection.transport

    def header_pairs(self) -> list[tuple[str, str]]:
        """Header names and values in order, as they came; bytes outside UTF-8 are kept as surrogates."""
        return [
            (n.decode("utf-8", "surrogateescape"), v.decode("utf-8", "surrogateescape"))
            for n, v in self.head.headers
        ]

    def values(self, name: str) -> list[str]:
        """Every value of a header (named in lower case), in order."""
        encoded = name.encode("ascii")
        return [text_of(v) for n, v in self.head.headers if n.lower() == encoded]

    def body_chunks(self, idle_s: float) -> Chunks | None:
        """The body as it comes; None when the request has none. ``idle_s`` is the longest silence within it."""
        return None if self.head.length == 0 else self.arriving(idle_s)

    def arriving(self, idle_s: float) -> Chunks:
        """The body as it comes. Raises `BadMessage` when it stops half-way, is badly framed, or dries up."""
        if self.head.expects_continue and not self._body.is_complete:
            self.connection.write_continue()
        return self._body.chunks(idle_s)

    def trust(self) -> None:
        """This connection carried a good request: strangers make room for it."""
        self.connection.is_known = True

    async def send(
        self, answer: RawResponse, chunks: AsyncIterator[bytes] | None = None, *, stall_s: float
    ) -> None:
        """Answer. Whoever takes no byte for ``stall_s`` is cut off. Raises `ConnectionError` when the asker is gone.

        One that fits in a single chunk leaves with its length and in one write.
        """
        connection = self.connection
        if chunks is None:
            connection.write_whole(answer, answer.body)
            return
        whole = whole_of(chunks)
        if whole is not None:
            connection.write_whole(answer, whole)
            return
        first, second = await anext(chunks, b""), await anext(chunks, None)
        if second is None or not connection.may_have_body(answer):
            connection.write_whole(answer, first)
            return
        connection.begin_answer(answer)
        for piece in (first, second):
            await connection.write_piece(piece, stall_s)
        async for piece in chunks:
            await connection.write_piece(piece, stall_s)
        connection.end_answer()


class DateLine:
    """This second as a header says it (RFC 9110 6.6.1), written once a second."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._line = b""

    def now(self) -> bytes:
        """The value of the ``Date`` header (RFC 9110 6.6.1), made once a second."""
        second = int(time.time())
        if second != self._second:
            self._second, self._line = second, formatdate(second, usegmt=True).encode("ascii")
        return self._line
