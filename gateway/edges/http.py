"""The listeners that both data planes share: `gateway.http.server` connections on sockets, with one clock for all of them.

What a stranger can hold on to is bounded by `Bounds`: see `gateway.http.bounds` for who makes room for whom. TLS begins after a
connection was counted, so handshakes take part in it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
from typing import TYPE_CHECKING, Protocol

from gateway.http.bounds import Bounds, Room
from gateway.http.requests import DateLine, RawRequest, RawResponse
from gateway.http.server import ServerConnection
from serving.process.binding import bind_address, is_shared
from serving.process.memory import MemoryReturn

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

__all__ = ["STALL_S", "Bounds", "DataPlaneServer", "Listening", "RawRequest", "RawResponse", "listen"]

log = logging.getLogger("gateway.server.listeners")

STALL_S = 60.0
PAUSE_S = 0.1
_NO_FILES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
TICK_S = 0.25
SHUTDOWN_S = 10.0
BACKLOG = 1024
# At one turn of the loop: whoever is connected has his turn before the next ones are taken.
ACCEPTED_TOGETHER = 8


class ErrorRenderer(Protocol):
    """Renders what the HTTP protocol itself refuses."""

    def __call__(self, status: int, text: str) -> RawResponse:
        """The answer to a request that could not even be read."""
        ...


class DataPlaneServer:
    """The handler, bounds and clock that the connections of one listener, or of several, share."""

    def __init__(
        self,
        handler: Callable[[RawRequest], Awaitable[None]],
        render_error: ErrorRenderer,
        *,
        bounds: Bounds,
    ) -> None:
        self._handler = handler
        self._render_error = render_error
        self.room = Room(bounds)
        self.date = DateLine()
        self._clock: asyncio.TimerHandle | None = None
        self._is_stopping = False
        # Every answer is its connection's last from now on.
        self.is_retiring = False
        self.listenings: list[Listening] = []
        self._memory = MemoryReturn()
        self._empty = asyncio.Event()
        self._empty.set()

    def handle(self, request: RawRequest) -> Awaitable[None]:
        """Hand a request to the handler, which answers on its connection."""
        return self._handler(request)

    def render_error(self, status: int, text: str) -> RawResponse:
        """The answer to what could not be read, or not handled."""
        return self._render_error(status, text)

    def take_bounds(self, bounds: Bounds) -> None:
        """Bound the connections that come from now on otherwise."""
        self.room.take_bounds(bounds)

    def left(self, connection: ServerConnection) -> None:
        """Take a closed connection out of the count; when it was the last, whoever waits for the end goes on."""
        self.room.leave(connection)
        if not len(self.room):
            self._empty.set()
            self._memory.later()

    def let_in(self, sock: socket.socket, address: str, context: ssl.SSLContext | None) -> None:
        """Count a new connection and serve it, after a handshake where there is one; or close it for want of room."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        connection = ServerConnection(self, loop, address, now)
        if self._is_stopping or not self.room.enter(connection, now):
            sock.close()
            return
        self._empty.clear()
        if self._clock is None:
            self._clock = loop.call_later(TICK_S, self._tick)
        connection.shaking = loop.create_task(self._shake(sock, context, connection))

    async def _shake(
        self, sock: socket.socket, context: ssl.SSLContext | None, connection: ServerConnection
    ) -> None:
        limit = None if context is None else self.room.bounds.handshake_s
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: connection, sock, ssl=context, ssl_handshake_timeout=limit
            )
        except (OSError, TimeoutError):  # a stranger: what he did wrong is his business
            sock.close()
        finally:
            connection.shaking = None
            if connection.transport is None:
                sock.close()
                self.left(connection)

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in self.room:
            connection.tick(now)
        self._clock = loop.call_later(TICK_S, self._tick) if len(self.room) else None

    async def shutdown(self, timeout_s: float) -> None:
        """Take nothing more; let answers under way leave, then close everything."""
        for listening in self.listenings:
            listening.close()
        self._is_stopping = True
        for connection in self.room:
            connection.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        for connection in self.room:
            connection.abort()
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        await asyncio.sleep(0)


class Listening:
    """A listener that is open."""

    def __init__(
        self,
        server: DataPlaneServer,
        sockets: Sequence[socket.socket],
        context: ssl.SSLContext | None,
        *,
        together: int = ACCEPTED_TOGETHER,
    ) -> None:
        self._together = together
        self._server = server
        self._sockets = sockets
        self._context = context
        self.addresses = [s.getsockname() for s in sockets]
        self._loop = asyncio.get_running_loop()
        self._paused: dict[socket.socket, asyncio.TimerHandle] = {}
        for listener in sockets:
            self._loop.add_reader(listener, self._accept, listener)
        server.listenings.append(self)

    def _accept(self, listener: socket.socket, most: int = 0) -> None:
        """Take the connections that wait; those above ``most`` are taken at the loop's next turn."""
        for _ in range(most or self._together):
            try:
                accepted, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as err:  # no file left, or the other end has gone meanwhile
                if err.errno in _NO_FILES:
                    log.error("no more files", extra={"event": "listener", "reason": os.strerror(err.errno)})
                    self._pause(listener)
                    return
                continue
            accepted.setblocking(False)
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._server.let_in(accepted, str(address[0]), self._context)

    def _pause(self, listener: socket.socket) -> None:
        self._loop.remove_reader(listener)
        self._paused[listener] = self._loop.call_later(PAUSE_S, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        del self._paused[listener]
        self._loop.add_reader(listener, self._accept, listener)

    def close(self) -> None:
        """Take the connections that stand in the queue, which closing the socket would reset, and listen no more."""
        sockets, self._sockets = self._sockets, ()
        for listener in sockets:
            self._loop.remove_reader(listener)
            self._accept(listener, BACKLOG)
            listener.close()
        for timer in self._paused.values():
            timer.cancel()

    async def cleanup(self) -> None:
        """Stop listening, here and wherever else the same server does, and let the answers leave."""
        await self._server.shutdown(SHUTDOWN_S)


async def listen(
    server: DataPlaneServer,
    host: str,
    port: int,
    context: ssl.SSLContext | None = None,
    *,
    setting: str = "",
) -> Listening:
    """Start listening; ``cleanup`` of what is returned stops it. Raises OSError, which names the ``setting`` of the port."""
    # No more may wait to be taken than could be closed again for want of files.
    backlog = min(BACKLOG, max(16, server.room.bounds.connections // 4))
    # Where others accept too, one connection a turn: whoever is free takes the next.
    together = 1 if is_shared(setting) else ACCEPTED_TOGETHER
    sockets = await bind_address(host, port, setting, backlog=backlog)
    return Listening(server, sockets, context, together=together)
