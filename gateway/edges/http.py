"""The low-level HTTP server both data-plane listeners share.

aiohttp's application layer normalises request targets and titles header names; messages are signed over the raw
ones. So the listeners use aiohttp's protocol server directly: a request keeps its raw target, and an answer that the
protocol itself must give (a header too large, say) is rendered by the listener like every other fault.

What a stranger can hold on to is bounded: how many connections there are (the oldest without a request under way makes room
for a new one), how long a request's head, a handshake or a silence within a body may take, how long an answer may wait to be
taken, and how large and how many headers are.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler, RequestPayloadError

from schemas.faults import BadMessage, Kind
from schemas.target import origin_form

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader

HEADER_LINE_BYTES = 8190
HEADER_COUNT = 200
HANDSHAKE_S = 15.0
STALL_S = 60.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one listener: connections at a time, and seconds that one may wait for a request or take to send its head."""

    connections: int = 4096
    keepalive_s: float = 90.0


class RawRequest(web.BaseRequest):
    """A request that remembers its target as it stood on the wire."""

    def __init__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> None:
        super().__init__(message, payload, protocol, writer, task, asyncio.get_running_loop())
        self.target = origin_form(message.path)

    def header_pairs(self) -> list[tuple[str, str]]:
        """Header names and values in order, as they came; bytes outside UTF-8 are kept as surrogates."""
        return [
            (name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
            for name, value in self.raw_headers
        ]

    def body_chunks(self, idle_s: float) -> AsyncIterator[bytes] | None:
        """The body as it comes; None when the request has none. ``idle_s`` is the longest silence within it."""
        return self.arriving(idle_s) if self.can_read_body else None

    async def arriving(self, idle_s: float) -> AsyncIterator[bytes]:
        """The body as it comes. Raises `BadMessage` when it stops half-way, is badly framed, or dries up."""
        while True:
            try:
                async with asyncio.timeout(idle_s):
                    chunk = await self.content.readany()
            except TimeoutError:
                raise BadMessage(
                    Kind.IO_ERROR, f"no byte of the request body came for {idle_s:g} s; the rest is missing"
                ) from None
            except RequestPayloadError as err:
                raise BadMessage(
                    Kind.IO_ERROR, f"the request body broke off or is badly framed: {err}"
                ) from None
            if not chunk:
                return
            yield chunk


class ListenerAnswer(web.StreamResponse):
    """An answer whose head leaves with the first bytes of its body: one system call, and over TLS one record, less."""

    _send_headers_immediately = False


async def send_answer(
    request: RawRequest,
    answer: ListenerAnswer,
    chunks: AsyncIterator[bytes],
    *,
    stall_s: float = STALL_S,
) -> web.StreamResponse:
    """Send an answer chunk by chunk; one that fits in a single chunk leaves with its length and in one write.

    Whoever takes no chunk for ``stall_s`` is cut off.
    """
    first = await anext(chunks, b"")
    second = await anext(chunks, None)
    if second is None:
        answer.content_length = len(first)
    await answer.prepare(request)
    if first:
        await answer.write(first)
    if second is not None:
        await _write(request, answer, second, stall_s)
        async for chunk in chunks:
            await _write(request, answer, chunk, stall_s)
    await answer.write_eof()
    return answer


async def _write(request: RawRequest, answer: web.StreamResponse, chunk: bytes, stall_s: float) -> None:
    try:
        async with asyncio.timeout(stall_s):
            await answer.write(chunk)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionError(f"the answer was not taken for {stall_s:g} s") from None


class ErrorRenderer(Protocol):
    """Renders what the HTTP protocol itself refuses."""

    def __call__(self, status: int, text: str) -> web.Response:
        """The answer to a request that could not even be read."""
        ...


class _Handler(RequestHandler):
    """aiohttp's protocol handler, with the listener's own error answers."""

    render: ErrorRenderer

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had already begun when the request failed") from exc
        answer = self.render(status, message or "the request could not be handled")
        answer.force_close()
        return answer


def is_idle(handler: RequestHandler) -> bool:
    """Whether an open connection waits for a request, or for the rest of its head."""
    return handler.connected and not handler._request_in_progress and not handler._messages


class DataPlaneServer(web.Server):
    """A protocol server whose requests are `RawRequest` and whose errors the listener renders."""

    def __init__(
        self,
        handler: Callable[[RawRequest], Awaitable[web.StreamResponse]],
        render_error: ErrorRenderer,
        *,
        bounds: Bounds,
    ) -> None:
        super().__init__(
            cast("Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]", handler),
            request_factory=RawRequest,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=bounds.keepalive_s,
            max_line_size=HEADER_LINE_BYTES,
            max_field_size=HEADER_LINE_BYTES,
            max_headers=HEADER_COUNT,
            auto_decompress=False,
        )
        self._most_connections = bounds.connections
        self._handler_class = type(
            "_ListenerHandler", (_Handler,), {"__slots__": (), "render": staticmethod(render_error)}
        )

    def take_bounds(self, bounds: Bounds) -> None:
        """Bound the connections that come from now on otherwise."""
        self._most_connections = bounds.connections
        self._kwargs["keepalive_timeout"] = bounds.keepalive_s

    def connection_made(self, handler: RequestHandler, transport: asyncio.Transport) -> None:
        """Take a connection; above the limit the oldest without a request under way is closed for it."""
        super().connection_made(handler, transport)
        if len(self._connections) > self._most_connections:
            idle = (h for h in self._connections if h is not handler and is_idle(h))
            next(idle, handler).force_close()

    def __call__(self) -> RequestHandler:
        """A handler for one new connection."""
        handler: RequestHandler = self._handler_class(self, loop=self._loop, **self._kwargs)
        return handler


class _Site(web.TCPSite):
    """A site whose TLS handshakes have their own limit."""

    async def start(self) -> None:
        await web.BaseSite.start(self)
        server = self._runner.server
        if server is None:
            raise RuntimeError("the runner is set up before its site starts")
        self._server = await asyncio.get_running_loop().create_server(
            server,
            self._host,
            self._port,
            ssl=self._ssl_context,
            backlog=self._backlog,
            ssl_handshake_timeout=None if self._ssl_context is None else HANDSHAKE_S,
        )


async def listen(
    server: DataPlaneServer, host: str, port: int, context: ssl.SSLContext | None = None
) -> web.ServerRunner:
    """Start listening; the runner's ``cleanup`` stops it and lets answers in progress finish."""
    runner = web.ServerRunner(server, shutdown_timeout=10.0)
    await runner.setup()
    await _Site(runner, host, port, ssl_context=context, backlog=1024).start()
    return runner
