"""One connection to a server: a request is written once, its answer read; and a pool of such connections.

Nothing is followed, decompressed, added or repeated. Each failure has a kind and fixed words: no address of anybody's network is
in them. A connection that closes before an answer tells whether it had been used before, for then the request may or may not
have arrived. Silence is measured between bytes; one timer a request looks at it.
"""

from __future__ import annotations

import asyncio
import enum
import os
import select
import socket
import ssl
from collections import deque
from typing import TYPE_CHECKING

from gateway.http.heads import AnswerHead, Ended, NotHttpError, render_request_head
from gateway.http.incoming import Incoming
from gateway.http.reading import AnswerReader
from gateway.http.whole import Chunks, whole_of
from gateway.http.writing import Outlet
from serving.process.memory import MemoryReturn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable

    from gateway.http.heads import AnswerEvent

# Idle connections to one place beyond so many are what a burst has left. Each holds some 80 KiB of TLS at both ends.
KEPT_FOR_LONG = 16
SURPLUS_S = 5.0

CLOSED_REUSED = "closed a reused connection; the request may have arrived"
CLOSED = "closed the connection without an answer"


class Failure(enum.Enum):
    """The kinds of failure of a request, for whoever tells them apart."""

    UNKNOWN_HOST = enum.auto()
    UNREACHABLE = enum.auto()
    SILENT = enum.auto()
    CLOSED = enum.auto()
    NOT_HTTP = enum.auto()  # something answered, but not HTTP
    CUT = enum.auto()  # the answer began and did not end


class HttpFailedError(Exception):
    """A request that had no answer, or none that can be read. ``reason`` follows the other side's name in a sentence."""

    def __init__(self, failure: Failure, reason: str) -> None:
        super().__init__(reason)
        self.failure = failure
        self.reason = reason


class AnswerChunks(Chunks):
    """An answer's body whose failure is raised in the words of whoever asked."""

    __slots__ = ("_chunks", "_make_error")

    def __init__(self, chunks: Chunks, make_error: Callable[[HttpFailedError], Exception]) -> None:
        self._chunks = chunks
        self._make_error = make_error

    async def __anext__(self) -> bytes:
        try:
            return await self._chunks.__anext__()
        except HttpFailedError as failed:
            raise self._make_error(failed) from failed

    def whole(self) -> bytes | None:
        """All of it, when it is there."""
        return self._chunks.whole()


class Place:
    """A connection's destination, as a key: host, port, and the very TLS context it was made with (None: no TLS), not one like it."""

    __slots__ = ("host", "key", "port", "tls")

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.host, self.port, self.tls = host, port, tls
        self.key = (host, port, tls)


class ClientConnection(asyncio.Protocol):
    """A connection that carries one request at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.transport: asyncio.Transport | None = None
        self.place: Place | None = None
        self.idle_since = 0.0
        self._outlet: Outlet | None = None
        self._reader: AnswerReader | None = None
        self._head: asyncio.Future[AnswerHead] | None = None
        self._body: Incoming | None = None
        self._upload: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._silence_s = 0.0
        self._last_byte_at = 0.0
        self._has_bytes = False
        self._requests = 0
        self._failure: HttpFailedError | None = None

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport; requests may be written from now on."""
        self.transport = transport  # type: ignore[assignment]
        self._outlet = Outlet(self._loop, transport)  # type: ignore[arg-type]

    def data_received(self, data: bytes) -> None:
        """Read an answer's bytes; bytes without a request close the connection."""
        if self._reader is None:  # nobody asked
            self.abort()
            return
        self._last_byte_at, self._has_bytes = self._loop.time(), True
        self._take(self._reader.feed(data))

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer under way, or fail the request that had none yet."""
        if self._outlet is not None:
            self._outlet.lose()
        if self._reader is None or self._reader.ended:
            return
        if self._has_bytes:
            self._take(self._reader.feed_eof())
        else:
            self._fail(HttpFailedError(Failure.CLOSED, CLOSED_REUSED if self._requests > 1 else CLOSED))

    def pause_writing(self) -> None:
        """Let writers wait: the transport's buffer is full."""
        if self._outlet is not None:
            self._outlet.pause()

    def resume_writing(self) -> None:
        """Let writers go on: the transport's buffer has room."""
        self._last_byte_at = self._loop.time()
        if self._outlet is not None:
            self._outlet.resume()

    def _take(self, events: Iterable[AnswerEvent]) -> None:
        for event in events:
            if isinstance(event, AnswerHead):
                if self._head is not None and not self._head.done():
                    self._head.set_result(event)
            elif isinstance(event, Ended):
                self._stop_timer()
                if self._body is not None:
                    self._body.end()
            elif isinstance(event, NotHttpError):
                self._fail(self._unreadable(event))
            elif self._body is not None:
                self._body.feed(event)

    def _unreadable(self, event: NotHttpError) -> HttpFailedError:
        if self._head is not None and self._head.done():
            return HttpFailedError(Failure.CUT, f"broke off its answer: {event.reason}")
        return HttpFailedError(Failure.NOT_HTTP, f"answered, but not HTTP that can be read: {event.reason}")

    def _fail(self, failed: HttpFailedError) -> None:
        self._stop_timer()
        self._failure = failed
        if self._head is not None and not self._head.done():
            self._head.set_exception(failed)
        if self._body is not None:
            self._body.fail(failed)
        self.abort()

    # One request

    async def request(
        self,
        method: str,
        target: bytes,
        headers: list[tuple[bytes, bytes]],
        body: AsyncIterator[bytes] | bytes | None,
        *,
        silence_s: float,
    ) -> AnswerHead:
        """Write a request and give the answer's head; its body follows by `chunks`. 0 waits for ever.

        A body that is a single chunk leaves with the head in one write, and with its length; a longer one leaves chunked,
        while the answer may come already. Raises `HttpFailedError`, `NotHttpError` for a head that cannot be written, and whatever the
        body raises.
        """
        first, second = body if isinstance(body, bytes) else None, None
        if body is not None and not isinstance(body, bytes):
            first = whole_of(body)
            if first is None:
                first, second = await anext(body, b""), await anext(body, None)
        if second is None:
            if first is not None:
                headers.append((b"Content-Length", b"%d" % len(first)))
            head = render_request_head(method, target, headers)
            self._begin(method, silence_s)
            self._write(head + (first or b""))
        else:
            headers.append((b"Transfer-Encoding", b"chunked"))
            head = render_request_head(method, target, headers)
            self._begin(method, silence_s)
            pieces = self._send(head, first or b"", second, body)  # type: ignore[arg-type]
            self._upload = self._loop.create_task(pieces)
        if self._head is None:  # pragma: no cover  set by `_begin`
            raise RuntimeError("no request was begun")
        return await self._head

    def _begin(self, method: str, silence_s: float) -> None:
        if self.transport is None or self.transport.is_closing():
            raise HttpFailedError(Failure.CLOSED, "closed the connection before the request was sent")
        self._requests += 1
        self._reader = AnswerReader(method)
        self._head = self._loop.create_future()
        self._body = Incoming(self._loop)
        self._body.attach(self.transport)
        self._last_byte_at, self._has_bytes = self._loop.time(), False
        self._silence_s = silence_s
        if silence_s:
            self._timer = self._loop.call_later(silence_s, self._look_at_silence)

    def _write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    async def _send(self, head: bytes, first: bytes, second: bytes, rest: AsyncIterator[bytes]) -> None:
        """The body of a long request; what stops it stops the request."""
        outlet = self._outlet
        if outlet is None:  # pragma: no cover  there is one once there is a transport
            return
        try:
            outlet.open(head, chunked=True)
            for piece in (first, second):
                await self._piece(outlet, piece)
            async for piece in rest:
                await self._piece(outlet, piece)
            outlet.close()
        except ConnectionError:
            return  # `connection_lost` says it
        except Exception as err:
            if self._head is not None and not self._head.done():
                self._head.set_exception(err)
            self.abort()

    async def _piece(self, outlet: Outlet, piece: bytes) -> None:
        if piece:
            await outlet.write(piece)
            self._last_byte_at = self._loop.time()

    def _look_at_silence(self) -> None:
        now = self._loop.time()
        left = self._last_byte_at + self._silence_s - now
        if (
            self._body is not None
            and self._head is not None
            and self._head.done()
            and not self._body.silent_s(now)
        ):
            left = max(left, self._silence_s / 2)  # it is this side that does not read
        if left > 0:
            self._timer = self._loop.call_later(left, self._look_at_silence)
            return
        self._fail(HttpFailedError(Failure.SILENT, f"sent no byte for {self._silence_s:g} s"))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def chunks(self) -> Chunks:
        """The answer's body. Raises `HttpFailedError` when it breaks off."""
        if self._body is None:  # pragma: no cover  a programming error
            raise RuntimeError("no request was begun")
        return self._body.chunks()

    def finish(self) -> bool:
        """End with the request; whether the connection can carry another one. If not it is closed."""
        reader, upload = self._reader, self._upload
        self._stop_timer()
        is_sent = upload is None or upload.done()
        if upload is not None and not is_sent:
            upload.cancel()
        if self._head is not None and self._head.done() and not self._head.cancelled():
            self._head.exception()  # it was told, or nobody waits for it any more
        whole = reader is not None and reader.ended and reader.is_reusable and is_sent
        self._reader = self._head = self._body = self._upload = None
        if whole and self._failure is None and self.transport is not None and not self.transport.is_closing():
            return True
        self.abort()
        return False

    def is_usable(self) -> bool:
        """Whether a kept connection is still open and silent: what came meanwhile can only be its end."""
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        shown = transport.get_extra_info("socket")
        try:
            poll = select.poll()
            poll.register(shown.fileno(), select.POLLIN)
            return not poll.poll(0)
        except (OSError, ValueError, AttributeError):
            return False

    def certificates_from(self) -> ssl.SSLObject | None:
        """The TLS of the connection; None when it has none."""
        return None if self.transport is None else self.transport.get_extra_info("ssl_object")

    def abort(self) -> None:
        """Close the connection at once, whatever is under way."""
        if self.transport is not None:
            self.transport.abort()


class Pool:
    """Connections that may carry another request, the last used first.

    To each place `KEPT_FOR_LONG` of them stay for ``kept_s`` seconds, those beyond for ``surplus_s``.
    """

    def __init__(self, kept_s: float, surplus_s: float = SURPLUS_S) -> None:
        self._kept_s = kept_s
        self._surplus_s = min(kept_s, surplus_s)
        self._idle: dict[tuple[str, int, ssl.SSLContext | None], deque[ClientConnection]] = {}
        self._sweep: asyncio.TimerHandle | None = None
        self._memory = MemoryReturn()
        self._is_closed = False

    async def lease(self, place: Place, connect_s: float) -> ClientConnection:
        """A connection to ``place``, kept or new; give it back by `give_back`. Raises `HttpFailedError`."""
        loop = asyncio.get_running_loop()
        kept = self._idle.get(place.key)
        while kept:
            connection = kept.pop()
            if loop.time() - connection.idle_since < self._kept_s and connection.is_usable():
                return connection
            connection.abort()
        return await self._connect(loop, place, connect_s)

    async def _connect(
        self, loop: asyncio.AbstractEventLoop, place: Place, connect_s: float
    ) -> ClientConnection:
        try:
            async with asyncio.timeout(connect_s):
                _, connection = await loop.create_connection(
                    lambda: ClientConnection(loop),
                    place.host,
                    place.port,
                    ssl=place.tls,
                    server_hostname=place.host if place.tls is not None else None,
                )
        except TimeoutError as err:
            raise HttpFailedError(Failure.UNREACHABLE, f"took no connection within {connect_s:g} s") from err
        except (socket.gaierror, UnicodeError) as err:
            raise HttpFailedError(Failure.UNKNOWN_HOST, "has a name that is not known") from err
        except ssl.SSLError as err:
            raise HttpFailedError(
                Failure.UNREACHABLE, f"ended the TLS handshake ({err.reason or 'no reason given'})"
            ) from err
        except OSError as err:
            raise HttpFailedError(Failure.UNREACHABLE, f"took no connection ({words_of(err)})") from err
        connection.place = place
        return connection

    def give_back(self, connection: ClientConnection) -> None:
        """Keep a connection if it can carry another request; else close it."""
        if not connection.finish():
            return
        if self._is_closed or connection.place is None:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        connection.idle_since = loop.time()
        self._idle.setdefault(connection.place.key, deque()).append(connection)
        if self._sweep is None:
            self._sweep = loop.call_later(self._surplus_s, self._close_old)

    def _close_old(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for key, kept in list(self._idle.items()):
            while kept:
                may_wait_s = self._surplus_s if len(kept) > KEPT_FOR_LONG else self._kept_s
                if kept[0].is_usable() and now - kept[0].idle_since < may_wait_s:
                    break
                kept.popleft().abort()
                self._memory.later()
            if not kept:
                del self._idle[key]
        self._sweep = loop.call_later(self._surplus_s, self._close_old) if self._idle else None

    def close(self) -> None:
        """Close what is kept; what is leased is closed when it is given back."""
        self._is_closed = True
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for kept in self._idle.values():
            for connection in kept:
                connection.abort()
        self._idle.clear()


def words_of(err: OSError) -> str:
    """The system's words for an error, without the addresses that Python adds."""
    if err.errno is None or err.errno <= 0:
        return "no address of it answered"
    return os.strerror(err.errno)
