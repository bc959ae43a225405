"""The one way an aiohttp application listens: what a stranger can hold on to is bounded before anything is read.

Connections are accepted here, not by the event loop's server, so that they count from the moment they are taken: a TLS
handshake that never ends is a connection like any other. Above a listener's or an address's share the oldest that waits for a
request's head (or for its own handshake) makes room, then the oldest whose body still comes; only when every one of them is
being answered is the new one closed. Within a connection there is a time for the handshake and for each head, a least rate for a
body, and a longest silence of whoever takes an answer. Requests under way are bounded too, but those for ``always``
(health), which have a budget of their own. When the process has no file left, the oldest connection goes and accepting pauses.

No answer names the software: aiohttp's ``Server`` header is taken off every one, those of the protocol itself included.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import resource
import socket
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

from aiohttp import HttpVersion11, web
from aiohttp.web_protocol import RequestHandler

from schemas.headers import problem_of_host
from serving.process.addresses import ListenAddress
from serving.process.binding import BACKLOG, bind_address
from serving.process.ending import Ending
from serving.process.handling import BoundedHandler, QuietRequest
from serving.process.supervised import report_ready, report_stopped, report_stopping

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader
    from aiohttp.web_response import StreamResponse

log = logging.getLogger("listener")

# At one turn of the loop: whoever is connected has his turn before the next ones are taken.
ACCEPTED_TOGETHER = 8
LOOK_S = 1.0
TLS_GOODBYE_S = 5.0
NO_FILES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
NO_FILES_PAUSE_S = 0.2
# For the first request of a connection that was taken shortly before the listener stops.
FIRST_REQUEST_S = 1.0
DRAIN_LOOK_S = 0.05


@dataclass(frozen=True, slots=True)
class ListenerBounds:
    """The limits of one listener: numbers at a time, times in seconds."""

    connections: int = 256
    by_address: int = 128
    requests: int = 64
    handshake_s: float = 10.0
    # For a request's head, and for the wait between two requests of a connection.
    head_s: float = 20.0
    # A body that comes more slowly than this in ``window_s`` is cut off.
    body_bytes_per_s: int = 256
    window_s: float = 10.0
    # Whoever takes nothing of an answer for so long is cut off.
    stall_s: float = 60.0
    # Paths whose requests are not counted with the others, and have ``requests`` places of their own.
    always: frozenset[str] = frozenset()

    def within(self, open_files: int) -> ListenerBounds:
        """The same where a process may have no more files open than this: a listener takes an eighth of them at most."""
        share = max(8, open_files // 8)
        return replace(
            self, connections=min(self.connections, share), by_address=min(self.by_address, share // 2)
        )


def open_files() -> int:
    """The number of files that this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft


@dataclass(slots=True, eq=False)
class _BoundConnection:
    """One accepted connection, from the accept to its end."""

    listener: _Acceptor
    socket: socket.socket
    address: str
    handler: BoundedHandler | None = None
    transport: asyncio.Transport | None = None
    task: asyncio.Task[None] | None = None
    # Loop's time at which it was taken.
    taken_at: float = 0.0
    # What the last look found: when the present state began, how many requests and bytes there were then.
    since: float = 0.0
    seen_requests: int = -1
    seen_bytes: int = 0
    seen_waiting: int = 0
    stalled_since: float | None = None

    def over(self) -> None:
        """The connection has ended: its listener counts it no more."""
        self.listener.forget(self)

    def cut(self) -> None:
        """End it now, whatever it does."""
        if self.transport is not None:
            self.transport.abort()
        elif self.task is not None:
            self.task.cancel()
        self.listener.forget(self)

    def is_expected(self, now: float) -> bool:
        """Whether it was taken so shortly ago that its first request may still be on its way."""
        is_new = self.handler is None or (self.handler.awaits_head and not self.handler.requests)
        return is_new and now - self.taken_at < FIRST_REQUEST_S

    def look(self, bounds: ListenerBounds, now: float) -> None:
        """End it if it takes longer than it may. Called every second."""
        handler = self.handler
        if handler is None:
            return  # the handshake has its own limit
        if handler.awaits_head:
            if self.seen_requests != handler.requests:
                self.since, self.seen_requests = now, handler.requests
            elif now - self.since > bounds.head_s:
                self.cut()
            return
        if self.seen_requests != -1:  # a request has begun since the last look: its body's time begins now
            self.seen_requests, self.since = -1, 0.0
        if handler.awaits_body:
            self._look_at_body(handler, bounds, now)
        else:
            self.since = 0.0
        self._look_at_answer(bounds, now)

    def _look_at_body(self, handler: BoundedHandler, bounds: ListenerBounds, now: float) -> None:
        if not self.since:
            self.since, self.seen_bytes = now, handler.received
        elif now - self.since >= bounds.window_s:
            if handler.received - self.seen_bytes < bounds.body_bytes_per_s * bounds.window_s:
                self.cut()
            self.since, self.seen_bytes = now, handler.received

    def _look_at_answer(self, bounds: ListenerBounds, now: float) -> None:
        waiting = 0 if self.transport is None else self.transport.get_write_buffer_size()
        if not waiting or waiting < self.seen_waiting:
            self.stalled_since = None
        elif self.stalled_since is None:
            self.stalled_since = now
        elif now - self.stalled_since > bounds.stall_s:
            self.cut()
        self.seen_waiting = waiting


@dataclass(eq=False)
class _Acceptor:
    """Accepts connections on some sockets for one server. Stands where aiohttp keeps an `asyncio.Server`."""

    sockets: list[socket.socket]
    server: web.Server
    options: dict[str, Any]
    bounds: ListenerBounds
    context: ssl.SSLContext | None
    connections: dict[_BoundConnection, None] = field(default_factory=dict)
    addresses: dict[str, dict[_BoundConnection, None]] = field(default_factory=dict)
    is_open: bool = False

    def open(self) -> None:
        """Accept connections from now on, and look after those that stand still."""
        self.is_open = True
        self._loop = asyncio.get_running_loop()
        for listening in self.sockets:
            self._loop.add_reader(listening, self._accept, listening)
        self._looking = self._loop.call_later(LOOK_S, self._look)

    def close(self) -> None:
        """Take the connections that stand in the queue, which closing the socket would reset, and listen no more."""
        if not self.is_open:
            return
        self.is_open = False
        self._looking.cancel()
        for listening in self.sockets:
            self._loop.remove_reader(listening)
            self._accept(listening, BACKLOG)
            listening.close()

    async def drain(self) -> None:
        """Wait for the first request of each connection that was taken shortly ago; what is served goes on."""
        for _ in range(round(FIRST_REQUEST_S / DRAIN_LOOK_S)):
            now = self._loop.time()
            if not any(c.is_expected(now) for c in self.connections):
                break
            await asyncio.sleep(DRAIN_LOOK_S)
        for connection in [c for c in self.connections if c.handler is None]:
            connection.cut()

    def forget(self, connection: _BoundConnection) -> None:
        """Count a connection no more, neither in all nor by its address."""
        self.connections.pop(connection, None)
        mine = self.addresses.get(connection.address)
        if mine is not None:
            mine.pop(connection, None)
            if not mine:
                del self.addresses[connection.address]

    def _accept(self, listening: socket.socket, most: int = ACCEPTED_TOGETHER) -> None:
        for _ in range(most):
            try:
                accepted, peer = listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as err:
                self._pause(listening, err)
                return
            accepted.setblocking(False)
            self._take(accepted, str(peer[0]))

    def _pause(self, listening: socket.socket, err: OSError) -> None:
        """Without a file to spare: let one go, and leave the rest in the queue for a moment."""
        log.error("no connection can be taken", extra={"event": "accept_failed", "reason": str(err)})
        if err.errno in NO_FILES:
            self._make_room(self.connections)
        self._loop.remove_reader(listening)
        self._loop.call_later(NO_FILES_PAUSE_S, self._resume, listening)

    def _resume(self, listening: socket.socket) -> None:
        if self.is_open:
            self._loop.add_reader(listening, self._accept, listening)

    def _take(self, accepted: socket.socket, address: str) -> None:
        mine = self.addresses.get(address, {})
        full = len(mine) >= self.bounds.by_address and not self._make_room(mine)
        full = full or (
            len(self.connections) >= self.bounds.connections and not self._make_room(self.connections)
        )
        if full:
            accepted.close()
            return
        connection = _BoundConnection(self, accepted, address, taken_at=self._loop.time())
        self.connections[connection] = None
        self.addresses.setdefault(address, {})[connection] = None
        connection.task = self._loop.create_task(self._serve(connection))

    def _make_room(self, among: Iterable[_BoundConnection]) -> bool:
        """End the oldest that waits for a head, else the oldest whose body still comes; whether there was one."""
        receiving: _BoundConnection | None = None
        for connection in among:
            if connection.handler is None or connection.handler.awaits_head:
                connection.cut()
                return True
            if receiving is None and connection.handler.awaits_body:
                receiving = connection
        if receiving is not None:
            receiving.cut()
        return receiving is not None

    async def _serve(self, connection: _BoundConnection) -> None:
        """Finish a connection's handshake; aiohttp's handler does the rest."""

        made = BoundedHandler(self.server, connection, loop=self._loop, **self.options)

        limits = {} if self.context is None else {"ssl_handshake_timeout": self.bounds.handshake_s}
        if self.context is not None:
            limits["ssl_shutdown_timeout"] = TLS_GOODBYE_S
        try:
            # Of the pair that comes back uvloop gives the protocol of TLS, asyncio the handler: it is kept from here.
            transport, _ = await self._loop.connect_accepted_socket(
                lambda: made, connection.socket, ssl=self.context, **limits
            )
        except BaseException as err:  # a handshake that failed, took too long, or had to make room
            connection.socket.close()
            self.forget(connection)
            if not isinstance(err, (Exception, asyncio.CancelledError)):
                raise
            return
        connection.transport, connection.handler = transport, made
        if connection not in self.connections:  # it had to make room meanwhile
            transport.abort()

    def _look(self) -> None:
        self._looking = self._loop.call_later(LOOK_S, self._look)
        now = self._loop.time()
        for connection in list(self.connections):
            connection.look(self.bounds, now)


class _Site(web.BaseSite):
    """A site whose connections are accepted here."""

    __slots__ = ("_acceptor",)

    def __init__(self, runner: web.AppRunner, acceptor: _Acceptor) -> None:
        super().__init__(runner)
        self._acceptor = acceptor

    @property
    def name(self) -> str:
        """The URL of the listener: scheme, host and port."""
        host, port, *_ = self._acceptor.sockets[0].getsockname()
        return f"{'http' if self._acceptor.context is None else 'https'}://{host}:{port}"

    async def stop(self) -> None:
        await super().stop()
        await self._acceptor.drain()

    async def start(self) -> None:
        await super().start()
        # Of an `asyncio.Server`, aiohttp uses `close` and `sockets`.
        self._server = cast("asyncio.AbstractServer", self._acceptor)
        self._acceptor.open()


class BoundedRunner(web.AppRunner):
    """Runs an application within bounds. `listen` makes one."""

    __slots__ = ("_bounds", "_under_way")

    def __init__(self, app: web.Application, bounds: ListenerBounds, *, shutdown_timeout: float) -> None:
        super().__init__(app, access_log=None, shutdown_timeout=shutdown_timeout)
        self._bounds = bounds
        self._under_way = {True: 0, False: 0}

    def options(self) -> dict[str, Any]:
        """The options for aiohttp's protocol handler: bounds on heads, lines and idle time."""
        arguments = dict(self._app._handler_args or {})
        return {"access_log": None, "keepalive_timeout": self._bounds.head_s, **arguments}

    async def _make_server(self) -> web.Server:
        self._app._set_loop(asyncio.get_running_loop())
        self._app.on_startup.freeze()
        await self._app.startup()
        self._app.freeze()
        answer = cast("Callable[[web.BaseRequest], Awaitable[StreamResponse]]", self._answer)
        return web.Server(answer, request_factory=self._request)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.Request:
        return self._app._make_request(message, payload, protocol, writer, task, QuietRequest)

    async def _answer(self, request: web.Request) -> StreamResponse:
        hosts = request.headers.getall("Host", [])
        if problem := problem_of_host(hosts, may_be_missing=request.version < HttpVersion11):
            refused = web.Response(status=400, text=f"{problem}\n")
            refused.force_close()
            return refused
        always = request.path in self._bounds.always
        if self._under_way[always] >= self._bounds.requests:
            full = web.Response(status=503, text="too many requests are under way; try again\n")
            full.headers["Retry-After"] = "1"
            full.force_close()
            return full
        self._under_way[always] += 1
        try:
            return await self._app._handle(request)
        finally:
            self._under_way[always] -= 1


async def listen(
    app: web.Application,
    host: str,
    port: int,
    context: ssl.SSLContext | None = None,
    *,
    bounds: ListenerBounds | None = None,
    shutdown_timeout: float = 10.0,
    setting: str = "",
    sockets: Sequence[socket.socket] = (),
) -> BoundedRunner:
    """Listen with an application; the runner's ``cleanup`` stops it and lets answers under way finish.

    ``host`` empty is every address. ``setting`` names what sets the port, for the message. ``sockets`` are those of
    `bind_address`, where the address was taken before. Raises OSError when the address cannot be had.
    """
    allowed = (bounds or ListenerBounds()).within(open_files())
    runner = BoundedRunner(app, allowed, shutdown_timeout=shutdown_timeout)
    await runner.setup()
    await add_address(runner, host, port, context, setting=setting, sockets=sockets)
    return runner


async def add_address(
    runner: BoundedRunner,
    host: str,
    port: int,
    context: ssl.SSLContext | None = None,
    *,
    setting: str = "",
    sockets: Sequence[socket.socket] = (),
) -> None:
    """Listen at one more address. Raises OSError, having stopped what listened, when it cannot be had."""
    server = runner.server
    if server is None:
        raise RuntimeError("the runner is set up before it listens")
    try:
        bound = sockets or await bind_address(host, port, setting)
    except OSError:
        await runner.cleanup()
        raise
    acceptor = _Acceptor([*bound], server, runner.options(), runner._bounds, context)
    await _Site(runner, acceptor).start()


def serve_until_signal(
    app: web.Application, host: str, port: int, context: ssl.SSLContext | None = None, *, setting: str = ""
) -> None:
    """Serve one application until SIGINT or SIGTERM. Raises OSError when the address cannot be had."""

    async def run() -> None:
        runner = await listen(app, host, port, context, setting=setting)
        ending = Ending()
        ending.take_signals()
        scheme = "http" if context is None else "https"
        address = ListenAddress("requests", scheme, host, port, setting, setting)
        report_ready(log, [address], os.environ)
        await ending.wait()
        report_stopping(os.environ)
        await runner.cleanup()
        report_stopped(log)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(run())
