"""A body on its way out: its head leaves with its first piece, and writing waits while the other end takes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.http.heads import LAST_CHUNK, render_chunk, render_chunk_bounds

if TYPE_CHECKING:
    import asyncio

# A longer piece is not put together with its framing: copying it costs more than a second write.
COPIED_BYTES = 64 * 1024


class Outlet:
    """The writing side of one connection, with its backpressure."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop = loop
        self._transport = transport
        self._head = b""
        self._chunked = True
        self._paused = False
        self._lost = False
        self._waiter: asyncio.Future[None] | None = None
        self._waits_since = 0.0
        self._stall_s = 0.0
        # Whether a body has begun and not ended: then nothing else can be said on this connection.
        self.is_open = False

    def pause(self) -> None:
        """Let writers wait: the transport's buffer is full."""
        self._paused = True

    def resume(self) -> None:
        """Let writers go on: the transport's buffer has room."""
        self._paused = False
        self._wake()

    def lose(self) -> None:
        """Note that the connection is gone, and wake whoever waits to write."""
        self._lost = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def open(self, head: bytes, *, chunked: bool) -> None:
        """Begin a body after ``head``."""
        self._head, self._chunked, self.is_open = head, chunked, True

    async def write(self, piece: bytes, stall_s: float = 0.0) -> None:
        """Write a piece that is not empty; wait while the transport holds enough. Raises `ConnectionError`."""
        if self._lost or self._transport.is_closing():
            raise ConnectionError("the connection is gone")
        if len(piece) >= COPIED_BYTES:
            before, after = render_chunk_bounds(len(piece)) if self._chunked else (b"", b"")
            self._transport.writelines([p for p in (self._head + before, piece, after) if p])
        else:
            data = render_chunk(piece) if self._chunked else piece
            self._transport.write(self._head + data if self._head else data)
        self._head = b""
        if self._paused:
            await self._taken(stall_s)

    async def _taken(self, stall_s: float) -> None:
        self._waits_since, self._stall_s = self._loop.time(), stall_s
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        if self._lost:
            raise ConnectionError("the connection was lost while something was written")

    def close(self) -> None:
        """Write the end of the body. Raises ConnectionError when the connection is gone."""
        if self._lost:
            raise ConnectionError("the connection is gone")
        end = LAST_CHUNK if self._chunked else b""
        if self._head or end:
            self._transport.write(self._head + end)
        self._head, self.is_open = b"", False

    def is_stalled(self, now: float) -> bool:
        """Whether nothing was taken for too long."""
        waits = self._waiter is not None and self._stall_s > 0
        return waits and now - self._waits_since >= self._stall_s
