"""The low-level HTTP server both data-plane listeners share.

aiohttp's application layer normalises request targets and titles header names; messages are signed over the raw
ones. So the listeners use aiohttp's protocol server directly: a request keeps its raw target, and an answer that the
protocol itself must give (a header too large, say) is rendered by the listener like every other fault.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol, cast

from aiohttp import web
from aiohttp.web_protocol import RequestHandler, RequestPayloadError

from schemas.faults import BadMessage, Kind

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.http import RawRequestMessage
    from aiohttp.streams import StreamReader

HEADER_LINE_BYTES = 8190
HEADER_COUNT = 200


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
        self.target = message.path

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


async def send_answer(
    request: RawRequest, answer: web.StreamResponse, chunks: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Send an answer chunk by chunk; one that fits in a single chunk leaves with its length and in one write."""
    first = await anext(chunks, b"")
    second = await anext(chunks, None)
    if second is None:
        answer.content_length = len(first)
    await answer.prepare(request)
    if first:
        await answer.write(first)
    if second is not None:
        await answer.write(second)
        async for chunk in chunks:
            await answer.write(chunk)
    await answer.write_eof()
    return answer


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


class DataPlaneServer(web.Server):
    """A protocol server whose requests are `RawRequest` and whose errors the listener renders."""

    def __init__(
        self,
        handler: Callable[[RawRequest], Awaitable[web.StreamResponse]],
        render_error: ErrorRenderer,
        *,
        keepalive_s: float = 90.0,
    ) -> None:
        super().__init__(
            cast("Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]", handler),
            request_factory=RawRequest,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=keepalive_s,
            max_line_size=HEADER_LINE_BYTES,
            max_field_size=HEADER_LINE_BYTES,
            max_headers=HEADER_COUNT,
            auto_decompress=False,
        )
        self._handler_class = type(
            "_ListenerHandler", (_Handler,), {"__slots__": (), "render": staticmethod(render_error)}
        )

    def __call__(self) -> RequestHandler:
        """A handler for one new connection."""
        handler: RequestHandler = self._handler_class(self, loop=self._loop, **self._kwargs)
        return handler


async def listen(
    server: DataPlaneServer, host: str, port: int, context: ssl.SSLContext | None = None
) -> web.ServerRunner:
    """Start listening; the runner's ``cleanup`` stops it and lets answers in progress finish."""
    runner = web.ServerRunner(server, shutdown_timeout=10.0)
    await runner.setup()
    await web.TCPSite(runner, host, port, ssl_context=context, backlog=1024).start()
    return runner
