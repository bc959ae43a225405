"""One connection of a listener: requests in, answers out, in order, one at a time.

`_NEXT` is its life. Bytes that come while an answer is made wait unread (the transport is paused above a limit), so nothing
that follows a request costs work before that request is answered. Time limits are looked at by `tick`, which the listener calls
for each connection; no request has a timer of its own.
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from typing import TYPE_CHECKING, Protocol

from gateway.http.bounds import RoomRow
from gateway.http.heads import (
    FRAMING,
    Ended,
    NotHttpError,
    RequestEvent,
    RequestHead,
    render_answer_head,
)
from gateway.http.incoming import Incoming
from gateway.http.reading import RequestReader
from gateway.http.requests import RawRequest, RawResponse
from gateway.http.writing import Outlet
from schemas.faults import BadMessage, Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from gateway.http.bounds import Room
    from gateway.http.requests import DateLine

UNREAD_BYTES = 64 * 1024
# What of a refused request's body may still come before the next request; more of it, and the connection ends.
DRAINED_BYTES = 64 * 1024
LINGER_S = 5.0
STALL_S = 60.0
# For a request's head once the listener stops: a connection that was taken just before may still bring one.
STOPPING_S = 2.0
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class State(enum.IntEnum):
    """The states of a connection; the table below says which event leads where."""

    SHAKING = enum.auto()  # TLS is being agreed on
    WAITING = enum.auto()  # no request, or part of a head
    TAKING = enum.auto()  # a request is handled whose body still comes
    ANSWERING = enum.auto()  # a request is handled, and all of it is there
    DRAINING = enum.auto()  # the answer left; the rest of the body is dropped, then the next request is read
    LINGERING = enum.auto()  # the last answer left; what comes is dropped until the other end closes
    CLOSED = enum.auto()


class ConnectionEvent(enum.IntEnum):
    """The events that move a connection from one state to another."""

    SHAKEN = enum.auto()
    HEAD = enum.auto()
    WHOLE = enum.auto()  # the request's last byte came
    ANSWERED = enum.auto()
    ANSWERED_LAST = enum.auto()  # nothing may follow on this connection
    LOST = enum.auto()


_NEXT: dict[tuple[State, ConnectionEvent], State] = {
    (State.SHAKING, ConnectionEvent.SHAKEN): State.WAITING,
    (State.WAITING, ConnectionEvent.HEAD): State.TAKING,
    (State.WAITING, ConnectionEvent.ANSWERED_LAST): State.LINGERING,  # what could not be read was answered
    (State.TAKING, ConnectionEvent.WHOLE): State.ANSWERING,
    (State.TAKING, ConnectionEvent.ANSWERED): State.DRAINING,
    (State.TAKING, ConnectionEvent.ANSWERED_LAST): State.LINGERING,
    (State.ANSWERING, ConnectionEvent.ANSWERED): State.WAITING,
    (State.ANSWERING, ConnectionEvent.ANSWERED_LAST): State.LINGERING,
    (State.DRAINING, ConnectionEvent.WHOLE): State.WAITING,
    (State.DRAINING, ConnectionEvent.ANSWERED_LAST): State.LINGERING,
    **{(state, ConnectionEvent.LOST): State.CLOSED for state in State},
}
_ROWS = {
    State.TAKING: RoomRow.TAKING,
    State.ANSWERING: RoomRow.ANSWERING,
    State.DRAINING: RoomRow.TAKING,
}


class Handler(Protocol):
    """The listener, as its connections use it."""

    room: Room
    date: DateLine
    is_retiring: bool

    def handle(self, request: RawRequest) -> Awaitable[None]:
        """Answer a request by `RawRequest.send`."""
        ...

    def render_error(self, status: int, text: str) -> RawResponse:
        """The answer to what could not be read, or not handled."""
        ...

    def left(self, connection: ServerConnection) -> None:
        """Be told that a connection is gone."""
        ...


class ServerConnection(asyncio.Protocol):
    """One connection of a listener, from TLS to its end; the module says how it moves."""

    def __init__(self, server: Handler, loop: asyncio.AbstractEventLoop, address: str, now: float) -> None:
        self._server = server
        self._loop = loop
        self.address = address
        self.transport: asyncio.Transport | None = None
        self.shaking: asyncio.Task[None] | None = None  # agrees on TLS
        self.is_known = False
        self.state = State.SHAKING
        self._since = now  # when this state began, or the head did
        self._reader = RequestReader()
        self._later: deque[RequestEvent] = deque()
        self._unread = bytearray()
        self._is_paused = False
        self._head_began = False
        self._request: RawRequest | None = None
        self._body: Incoming | None = None
        self._task: asyncio.Task[None] | None = None
        self._outlet: Outlet | None = None
        self._answered = False
        self._last_answer = False
        self._is_stopping = False
        self._sends_no_more = False
        self._has_served = False  # a request began on it, some time
        self._left = 0  # bytes that the transport had not sent when last looked at

    # What the transport tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and read what came while TLS was agreed on."""
        self.transport = transport  # type: ignore[assignment]
        self._outlet = Outlet(self._loop, transport)  # type: ignore[arg-type]
        self._go(ConnectionEvent.SHAKEN)
        if self._unread:
            self._read_unread()

    def data_received(self, data: bytes) -> None:
        """Read a request's bytes, or hold them while the request before is answered."""
        if self.state in (State.WAITING, State.TAKING, State.DRAINING) and not self._later:
            self._take(self._reader.feed(data))
        elif self.state in (State.ANSWERING, State.SHAKING) or self._later:
            self._unread += data
            if len(self._unread) > UNREAD_BYTES and not self._is_paused and self.transport is not None:
                self._is_paused = True
                self.transport.pause_reading()

    def eof_received(self) -> bool:
        """The other end sends no more: requests that came whole are answered first (RFC 9112 9.6). TLS ends both ways at once.

        A client that has gone altogether looks the same until something is written to it.
        """
        can_answer = self.transport is not None and self.transport.can_write_eof()
        self._sends_no_more = can_answer and self.state is State.ANSWERING
        return self._sends_no_more

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the work for a connection that is gone: its handler, the body being read, the answer being written."""
        self._go(ConnectionEvent.LOST)
        if self._body is not None:
            self._body.fail(_broken_off("the connection was lost"))
        if self._outlet is not None:
            self._outlet.lose()
        if self._task is not None:
            self._task.cancel()
        self._server.left(self)

    def pause_writing(self) -> None:
        """Let writers wait: the transport's buffer is full."""
        if self._outlet is not None:
            self._outlet.pause()

    def resume_writing(self) -> None:
        """Let writers go on: the transport's buffer has room."""
        if self._outlet is not None:
            self._outlet.resume()

    # Requests

    def _go(self, event: ConnectionEvent) -> None:
        self.state = _NEXT[self.state, event]
        self._since = self._loop.time()
        self._head_began = False
        row = _ROWS.get(self.state) or (RoomRow.KNOWN if self.is_known else RoomRow.STRANGER)
        self._server.room.move(self, row)

    def _take(self, events: Iterable[RequestEvent]) -> None:
        for event in events:
            if self.state in (State.WAITING, State.TAKING, State.DRAINING) and not self._later:
                self._apply(event)
            elif self.state is State.ANSWERING or self._later:
                self._later.append(event)
        if self.state is State.WAITING and not self._head_began and self._reader.has_begun:
            self._head_began, self._since = True, self._loop.time()

    def _apply(self, event: RequestEvent) -> None:
        if isinstance(event, RequestHead):
            self._begin(event)
        elif isinstance(event, Ended):
            self._whole()
        elif isinstance(event, NotHttpError):
            self._refuse(event)
        elif self.state is State.TAKING and self._body is not None:
            self._body.feed(event)

    def _begin(self, head: RequestHead) -> None:
        refusal = self._server.room.refusal_of_request(self, self._loop.time())
        self._go(ConnectionEvent.HEAD)
        self._body = Incoming(self._loop)
        if self.transport is not None:
            self._body.attach(self.transport)
        self._request = RawRequest(head, self, self._body)
        self._answered = False
        self._has_served = True
        self._last_answer = self._is_stopping or self._server.is_retiring or not head.keeps_alive
        if refusal:
            self._refuse(NotHttpError(refusal, status=503))
            return
        self._task = self._loop.create_task(self._serve(self._request))

    def _whole(self) -> None:
        if self._body is not None:
            self._body.end()
        was_draining = self.state is State.DRAINING
        self._go(ConnectionEvent.WHOLE)
        if was_draining:
            self._body = self._request = None

    def _refuse(self, error: NotHttpError) -> None:
        """Answer what cannot be read; nothing after it on this connection is looked at."""
        if self.state is State.TAKING and self._task is not None and self._body is not None:
            self._last_answer = True
            self._body.fail(_broken_off(f"is badly framed: {error.reason}"))
            return
        self._last_answer = True
        if self.state is State.DRAINING:
            self._finish()
            return
        self.write_whole(self._server.render_error(error.status, error.reason))
        self._finish()

    async def _serve(self, request: RawRequest) -> None:
        try:
            await self._server.handle(request)
        except (ConnectionError, TimeoutError, asyncio.CancelledError):
            self.abort()
            return
        except Exception:  # the listener has logged it
            self._fail()
        self._task = None
        if self.transport is None or self.state is State.CLOSED:
            return
        if not self._answered:
            self._fail()
        self._finish()

    def _fail(self) -> None:
        if self._outlet is not None and self._outlet.is_open:
            self.abort()
        elif not self._answered and self.state is not State.CLOSED:
            self._last_answer = True
            self.write_whole(self._server.render_error(500, "the request could not be handled"))

    def _finish(self) -> None:
        """The answer left: read on, drop what is left of the body, or end."""
        if self.state is State.CLOSED or self.transport is None:
            return
        if self._last_answer:
            self._linger()
            return
        self._go(ConnectionEvent.ANSWERED)
        if self.state is State.WAITING:
            self._body = self._request = None
            self._read_later()
            if self._sends_no_more and self.state in (State.WAITING, State.TAKING):  # no more will come
                self._close()
        elif self._body is not None:
            self._body.drop()

    def _linger(self) -> None:
        """End after the last answer; what still comes is read and dropped, for a reset would destroy the answer."""
        complete = self._body is not None and self._body.is_complete and not self._unread and not self._later
        self._go(ConnectionEvent.ANSWERED_LAST)
        self._later.clear()
        self._unread.clear()
        if self._body is not None:
            self._body.drop()
        if self.transport is None:
            return
        if complete or self._sends_no_more:
            self._close()
            return
        self._resume()
        if self.transport.can_write_eof():  # TLS cannot end one direction: there the other end closes
            self.transport.write_eof()

    def _read_later(self) -> None:
        """Take what came in one piece with the request before, then what came after that."""
        later, self._later = self._later, deque()
        self._take(later)
        if self.state in (State.WAITING, State.TAKING) and not self._later:
            self._read_unread()

    def _read_unread(self) -> None:
        unread = bytes(self._unread)
        self._unread.clear()
        self._resume()
        if unread:
            self._take(self._reader.feed(unread))

    def _resume(self) -> None:
        if self._is_paused and self.transport is not None and not self.transport.is_closing():
            self._is_paused = False
            self.transport.resume_reading()

    # Answers

    def write_continue(self) -> None:
        """Let the sender send the body he announced (RFC 9110 10.1.1)."""
        if self.transport is not None and not self._answered:
            self.transport.write(CONTINUE)

    def may_have_body(self, answer: RawResponse) -> bool:
        """Whether the answer may have a body at all (RFC 9112 6.3)."""
        return answer.status not in (204, 304) and (self._request is None or self._request.method != "HEAD")

    def write_whole(self, answer: RawResponse, body: bytes | None = None) -> None:
        """Write an answer and its body in one piece."""
        body = answer.body if body is None else body
        framing = []
        if self.may_have_body(answer):
            framing = [(b"Content-Length", b"%d" % len(body or b""))]
        elif body:  # HEAD: what the length would have been
            framing = [(b"Content-Length", b"%d" % len(body))] if answer.status not in (204, 304) else []
            body = b""
        self._write(self._head(answer, framing) + (body or b""))

    def begin_answer(self, answer: RawResponse) -> None:
        """Keep an answer's head for its first piece; the body's length is not known."""
        if self._request is not None and self._request.head.is_http_10:
            self._last_answer = True
            head = self._head(answer, [])
            chunked = False
        else:
            head = self._head(answer, [(b"Transfer-Encoding", b"chunked")])
            chunked = True
        self._outlet_now().open(head, chunked=chunked)

    async def write_piece(self, piece: bytes, stall_s: float) -> None:
        """Write a piece of the body, and wait while the other end is slow."""
        if piece:
            self._answered = True
            await self._outlet_now().write(piece, stall_s)

    def end_answer(self) -> None:
        """Write the end of the answer's body."""
        self._outlet_now().close()

    def _outlet_now(self) -> Outlet:
        if self._outlet is None or self.state is State.CLOSED:
            raise ConnectionError("the connection is gone")
        return self._outlet

    def _head(self, answer: RawResponse, framing: list[tuple[bytes, bytes]]) -> bytes:
        headers = [(n, v) for n, v in answer.headers if n.lower() not in FRAMING]
        if not any(n.lower() == b"date" for n, _ in headers):
            headers.insert(0, (b"Date", self._server.date.now()))
        nothing_follows = self._sends_no_more and not self._later and not self._unread
        if nothing_follows or self._leaves_too_much():
            self._last_answer = True
        if self._last_answer:
            framing.append((b"Connection", b"close"))
        elif self._request is not None and self._request.head.is_http_10:
            framing.append((b"Connection", b"keep-alive"))
        return render_answer_head(answer.status, answer.reason, [*headers, *framing])

    def _leaves_too_much(self) -> bool:
        """Whether more of the body is still to come than is worth reading."""
        if self._body is None or self._body.is_complete or self._request is None:
            return False
        length = self._request.head.length
        return (
            self._body.has_failed
            or length is None
            or length > DRAINED_BYTES
            or self._request.head.expects_continue
        )

    def _write(self, data: bytes) -> None:
        if self.transport is None or self.state is State.CLOSED:
            raise ConnectionError("the connection is gone")
        self._answered = True
        self.transport.write(data)

    # Limits

    def tick(self, now: float) -> None:
        """Close or refuse if a time has run out; ``now`` is the loop's time in seconds."""
        bounds = self._server.room.bounds
        since = now - self._since
        if self._outlet is not None and self._outlet.is_stalled(now):
            self.abort()
        elif self._is_flushing():
            if since >= STALL_S:
                self.abort()
        elif self.state is State.WAITING:
            limit = min(bounds.keepalive_s, bounds.head_s) if self._head_began else bounds.keepalive_s
            if since >= (min(limit, STOPPING_S) if self._is_stopping else limit):
                self.abort()
        elif self.state is State.SHAKING:
            if since >= bounds.handshake_s:
                self.abort()
        elif self.state in (State.DRAINING, State.LINGERING):
            if since >= LINGER_S:
                self.abort()
        elif self.state is State.TAKING and self._body is not None:
            complaint = self._body.complaint(now, bounds.least_bytes_s)
            if complaint is not None:
                self._last_answer = True
                self._body.fail(BadMessage(Kind.IO_ERROR, complaint))

    def _is_flushing(self) -> bool:
        """Whether an answer that was given to the transport is still being taken."""
        if self.transport is None or self.state not in (State.WAITING, State.DRAINING, State.LINGERING):
            return False
        left = self.transport.get_write_buffer_size()
        if left != self._left:
            self._left, self._since = left, self._loop.time()
        return left > 0

    def drips(self, now: float, after_s: float, below_bytes_s: float) -> bool:
        """Whether the request's body has come below ``below_bytes_s`` bytes a second after ``after_s`` seconds; ``now`` is the loop's time."""
        body = self._body
        return body is not None and body.waited_s(now) >= after_s and body.rate(now) < below_bytes_s

    def stop(self) -> None:
        """Let one more answer leave: to the request under way, or to the first of a connection that has brought none yet."""
        self._is_stopping = self._last_answer = True
        if self.state is State.DRAINING:
            self._linger()
        elif self.state is State.WAITING and self._has_served and not self._head_began:
            self._close()

    def _close(self) -> None:
        """Close once what was written has left."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Close the connection at once, whatever is under way."""
        if self.shaking is not None:
            self.shaking.cancel()
        if self.transport is not None:
            self.transport.abort()


def _broken_off(how: str) -> BadMessage:
    return BadMessage(Kind.IO_ERROR, f"the request body broke off or is badly framed: {how}")
