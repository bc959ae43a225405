"""aiohttp's part of a connection as `serving.process.listener` bounds it: what has come, what is awaited, and which answer is the last."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

if TYPE_CHECKING:
    from aiohttp.web_response import StreamResponse

log = logging.getLogger("listener")


class EndedConnection(Protocol):
    """Who counts a connection among those that are open."""

    def over(self) -> None:
        """The connection has ended: it counts no more."""
        ...


class QuietRequest(web.Request):
    """A request whose answers do not name the software."""

    async def _prepare_hook(self, response: StreamResponse) -> None:
        await super()._prepare_hook(response)
        response.headers.pop("Server", None)
        if isinstance(self._protocol, BoundedHandler) and self._protocol.is_last:
            response.headers["Connection"] = "close"
            response.force_close()


class BoundedHandler(RequestHandler):
    """aiohttp's protocol handler, which counts what comes and says when it is over."""

    __slots__ = ("connection", "received", "sends_no_more")

    def __init__(self, server: web.Server, connection: EndedConnection, **options: Any) -> None:
        super().__init__(server, **options)
        self.connection = connection
        self.received = 0
        self.sends_no_more = False

    def data_received(self, data: bytes) -> None:
        """Count what came, and have aiohttp read it."""
        self.received += len(data)
        super().data_received(data)

    def eof_received(self) -> bool:  # type: ignore[override]
        """The other end sends no more: whether what came whole is answered first (RFC 9112 9.6). TLS ends both ways at once."""
        if self.transport is None or not self.transport.can_write_eof():
            return False
        self.sends_no_more = not self.awaits_head and not self.awaits_body
        return self.sends_no_more

    @property
    def is_last(self) -> bool:
        """Whether the request under way is the last that can have come."""
        return self.sends_no_more and not self._messages

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone, whoever ended it: whoever counts it is told."""
        super().connection_lost(exc)
        self.connection.over()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> StreamResponse:
        """The answer to what could not be read or was not answered: a line, and the connection ends. Raises ConnectionError where nothing can be answered any more."""
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionError(
                "the connection ended, or the answer had begun, when a request failed"
            ) from exc
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            log.error("a request failed", extra={"event": "request_failed", "reason": message}, exc_info=exc)
        answer = web.Response(status=status, text=f"{status} {HTTPStatus(status).phrase}\n")
        answer.force_close()
        return answer

    @property
    def awaits_head(self) -> bool:
        """Whether it waits for a request, or for the rest of its head."""
        # Between a request that was taken off the queue and its handler's first step, no other mark of aiohttp's stands.
        return not self._messages and (self._waiter is not None or not self._request_count)

    @property
    def awaits_body(self) -> bool:
        """Whether the rest of a request's body has yet to come, and this side would take it."""
        request = self._current_request
        return request is not None and not request._payload.is_eof() and not self._reading_paused

    @property
    def requests(self) -> int:
        """The number of requests that have begun on the connection."""
        return self._request_count
