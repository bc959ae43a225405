"""A body on its way in: given piece by piece by a connection, taken by one reader, with backpressure and a watch over it.

The connection calls `feed`, `end` or `fail`; whoever reads draws `chunks`. More than `HIGH_BYTES` that nobody takes pauses the
transport. `complaint` says whether the sender is too slow; only time in which somebody waited for bytes counts.
"""

from __future__ import annotations

import asyncio

from gateway.http.whole import Chunks

HIGH_BYTES = 256 * 1024
RATE_WINDOW_S = 30.0


class Incoming:
    """One request body while it comes in: bounded in memory by pausing its transport."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self.is_complete = False
        self.idle_s = 0.0
        self._waits_since = 0.0
        # Of the window that its rate is taken over: seconds that somebody waited, and bytes that came.
        self._waited_s = 0.0
        self._window_bytes = 0

    def attach(self, transport: asyncio.Transport) -> None:
        """Name the transport that is paused when more is held than `HIGH_BYTES`."""
        self._transport = transport

    @property
    def has_failed(self) -> bool:
        """Whether the rest will never come."""
        return self._error is not None

    def feed(self, data: bytes) -> None:
        """Add bytes that came; pauses the transport when too many wait."""
        self._pieces.append(data)
        self._size += len(data)
        self._window_bytes += len(data)
        if self._size > HIGH_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def drop(self) -> None:
        """Nobody reads it any more."""
        self._take()

    def end(self) -> None:
        """Note that the whole body came, and wake its reader."""
        self.is_complete = True
        self._wake()

    def fail(self, error: BaseException) -> None:
        """The rest will not come; whoever reads is told after what did."""
        if not self.is_complete and self._error is None:
            self._error = error
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def chunks(self, idle_s: float = 0.0) -> Chunks:
        """The body as it comes, what lies ready in one piece. Raises what it failed with."""
        self.idle_s = idle_s
        return _Arriving(self)

    async def next_piece(self) -> bytes:
        """The bytes that wait, as soon as there are any; empty after the end. Raises what the body failed with."""
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self.is_complete:
                return b""
            await self._more()
        return self._take()

    def take_whole(self) -> bytes | None:
        """The bytes not taken yet, when no more will come; None, and nothing is taken, while more may."""
        return self._take() if self.is_complete else None

    def _take(self) -> bytes:
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._paused and self._transport is not None:
            self._paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()
        return data

    async def _more(self) -> None:
        self._waits_since = self._loop.time()
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._waited_s += self._loop.time() - self._waits_since

    def silent_s(self, now: float) -> float:
        """For how long somebody has waited in vain."""
        return 0.0 if self._waiter is None or self._waiter.done() else now - self._waits_since

    def waited_s(self, now: float) -> float:
        """For how long bytes were waited for in this window."""
        return self._waited_s + self.silent_s(now)

    def rate(self, now: float) -> float:
        """Bytes a second of the time they were waited for."""
        return self._window_bytes / max(self.waited_s(now), 0.001)

    def complaint(self, now: float, least_bytes_s: float, window_s: float = RATE_WINDOW_S) -> str | None:
        """The sender's fault if the body comes too slowly; None when it does not, or when nobody waits for it."""
        if self._waiter is None:
            return None
        if self.idle_s and self.silent_s(now) >= self.idle_s:
            return f"no byte of the request body came for {self.idle_s:g} s; the rest is missing"
        if self.waited_s(now) < window_s:
            return None
        if self.rate(now) < least_bytes_s:
            return (
                f"the request body came at {self.rate(now):.0f} bytes a second for {window_s:g} s; "
                f"{least_bytes_s:g} are the least"
            )
        self._waited_s, self._window_bytes = 0.0, 0
        self._waits_since = now
        return None


class _Arriving(Chunks):
    """An incoming body as its reader draws it."""

    __slots__ = ("_body",)

    def __init__(self, body: Incoming) -> None:
        self._body = body

    async def __anext__(self) -> bytes:
        piece = await self._body.next_piece()
        if not piece:
            raise StopAsyncIteration
        return piece

    def whole(self) -> bytes | None:
        """All that is left, when it is there."""
        return self._body.take_whole()
