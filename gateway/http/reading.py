"""Push parsers of requests and answers: bytes in, events out, on llhttp. No IO.

llhttp decides what HTTP is, in its strict mode; here are limits, and what llhttp leaves to its caller:

- versions other than 1.0 and 1.1, a transfer coding other than ``chunked`` alone, CONNECT and switching protocols: refused;
- ``Upgrade: h2c`` of a request is passed over (RFC 9110 7.8), as Java's client sends it with each first request;
- of an answer, what the clients of other gateways take is taken: an equal Content-Length said twice, a version in lower
  case, two spaces in the status line, bytes after the end. Such a connection is not used again.

An error is the last event. Events are the same however the bytes were cut.
"""

from __future__ import annotations

import re
from typing import Any

import httptools

from gateway.http.heads import (
    ANSWER_LIMITS,
    END,
    REQUEST_LIMITS,
    AnswerEvent,
    AnswerHead,
    HeadLimits,
    NotHttpError,
    RequestEvent,
    RequestHead,
    origin_form,
)
from schemas.headers import problem_of_host

MOST_PIPELINED = 64
_MOST_INTERIM = 16
_VERSIONS = ("1.1", "1.0")
_WITHOUT_BODY = (204, 304)
_STATUS_LINE = re.compile(rb"(?i:HTTP)/(1\.[01])[ \t]+(\d{3})(?:[ \t]([^\r\n]*?))?\r?\n")
_LENGTHS = re.compile(rb"(?im)^content-length:[ \t]*([0-9, \t]*?)[ \t]*\r?\n")


class _Head:
    """Gathers one head from llhttp's callbacks and holds it against the limits."""

    def __init__(self, limits: HeadLimits) -> None:
        self._limits = limits
        self.error: NotHttpError | None = None
        self.begin()

    def begin(self) -> None:
        """Forget the head before."""
        self.first = b""
        self.pairs: list[tuple[bytes, bytes]] = []
        self.received_bytes = 0
        self.size = 0

    def more_of_first(self, piece: bytes) -> None:
        """A piece of the target, or of the reason."""
        self.first += piece
        if len(self.first) > self._limits.line_bytes:
            self.refuse(f"the first line is longer than {self._limits.line_bytes} bytes")

    def header(self, name: bytes, value: bytes) -> None:
        """A header, its value without the white space around it."""
        value = value.rstrip(b" \t")
        size = len(name) + len(value)
        self.size = total = self.size + size + 4
        limits, pairs = self._limits, self.pairs
        if size > limits.line_bytes or total > limits.head_bytes or len(pairs) >= limits.headers:
            self._refuse_header(size)
            if len(pairs) >= limits.headers:
                return
        pairs.append((name, value))

    def _refuse_header(self, size: int) -> None:
        limits = self._limits
        if size > limits.line_bytes:
            self.refuse(f"a header is longer than {limits.line_bytes} bytes")
        if len(self.pairs) >= limits.headers:
            self.refuse(f"there are more than {limits.headers} headers")
        self._check(self.size)

    def count(self, size: int) -> None:
        """Count ``size`` more bytes of a head that has not ended; one that becomes too long is refused."""
        self.received_bytes += size
        self._check(self.received_bytes)

    def _check(self, size: int) -> None:
        if size > self._limits.head_bytes:
            self.refuse(f"the head is longer than {self._limits.head_bytes} bytes")

    def refuse(self, reason: str) -> None:
        """Refuse the head; the first reason stays."""
        self.error = self.error or NotHttpError(reason)


class RequestReader:
    """Reads the requests of one connection."""

    def __init__(self, limits: HeadLimits = REQUEST_LIMITS) -> None:
        self._head = _Head(limits)
        self._parser = httptools.HttpRequestParser(self)
        self._events: list[RequestEvent] = []
        self._in_head = True
        self._priming = False
        self._body_left: int | None = 0
        self._requests = 0
        self._broken = False
        # Whether part of a request's head has come, and not all of it.
        self.has_begun = False

    def feed(self, data: bytes) -> list[RequestEvent]:
        """The events in these bytes. After an error nothing more is read."""
        if self._broken:
            return []
        self._requests = 0
        self._feed(data)
        if self.has_begun and not self._events:
            self._head.count(len(data))
        if self._head.error is not None:
            self._broken = True
            self._events.append(self._head.error)
        events, self._events = self._events, []
        return events

    def _feed(self, data: bytes) -> None:
        while self._head.error is None:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # llhttp stops after such a head. Nothing is switched here, so what follows is its body and the next request.
                data = data[upgrade.args[0] :]
                self._parser = httptools.HttpRequestParser(self)
                self._prime()
                if data:
                    continue
            except httptools.HttpParserError as err:
                self._head.refuse(_reason(err))
            return

    def _prime(self) -> None:
        """Put a new parser where the body of the request under way begins, if it has one."""
        if self._body_left == 0:
            return
        framing = (
            "Transfer-Encoding: chunked" if self._body_left is None else f"Content-Length: {self._body_left}"
        )
        self._priming = True
        self._parser.feed_data(f"POST / HTTP/1.1\r\n{framing}\r\n\r\n".encode("ascii"))
        self._priming, self._body_left = False, 0

    def on_message_begin(self) -> None:
        """Begin a request; called by the parser."""
        if self._priming:
            return
        self._head.begin()
        self._in_head = self.has_begun = True
        self._requests += 1
        if self._requests > MOST_PIPELINED:
            self._head.refuse(f"more than {MOST_PIPELINED} requests came in one piece")

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        if not self._priming:
            self._head.more_of_first(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is counted and dropped."""
        if not self._priming:
            self._head.header(name, value)

    def on_headers_complete(self) -> None:
        """Check a whole head, and add it to the events; called by the parser."""
        if self._priming:
            return
        self._in_head = self.has_begun = False
        if self._head.error is None:
            try:
                self._events.append(self._checked())
            except NotHttpError as err:
                self._head.error = err

    def _checked(self) -> RequestHead:
        pairs, version = tuple(self._head.pairs), self._parser.get_http_version()
        if version not in _VERSIONS:
            raise NotHttpError(f"HTTP/{version} is not spoken here; HTTP/1.1 is")
        method = self._parser.get_method().decode("ascii")
        if method == "CONNECT":
            raise NotHttpError("CONNECT asks for a tunnel; there is none here")
        values = _deciding(pairs)
        hosts = [v.decode("latin-1") for v in values[b"host"]]
        if problem := problem_of_host(hosts, may_be_missing=version == "1.0"):
            raise NotHttpError(problem)
        length = _length(values)
        target = origin_form(self._head.first)
        if target[:1] != b"/":
            raise NotHttpError(
                f"the request target {target[:100].decode('ascii', 'backslashreplace')!r} is no path; a path that begins with"
                " '/', or an http address with a host and without a user's name, was expected"
            )
        if self._parser.should_upgrade():
            if any(v.lower() != b"h2c" for v in values[b"upgrade"]):
                raise NotHttpError("the protocol of this connection cannot be switched")
            self._body_left = length
        expected = values[b"expect"]
        if any(v.lower() != b"100-continue" for v in expected):
            raise NotHttpError("of Expect only 100-continue is known", status=417)
        return RequestHead(
            method,
            target,
            pairs,
            self._parser.should_keep_alive(),
            version == "1.0",
            length,
            bool(expected) and version == "1.1",
        )

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self._head.error is None:
            self._events.append(data)

    def on_message_complete(self) -> None:
        """Add the end of a request to the events; called by the parser."""
        if self._body_left != 0:  # a head that llhttp stopped after: its body is still to come
            return
        if self._head.error is None:
            self._events.append(END)
        self._in_head = True


class AnswerReader:
    """Reads the one answer to a request of ``method``; interim answers before it are passed over."""

    def __init__(self, method: str, limits: HeadLimits = ANSWER_LIMITS) -> None:
        self._method = method
        self._head = _Head(limits)
        self._events: list[AnswerEvent] = []
        self._raw: bytearray | None = bytearray()
        self._in_head = True
        self._until_close = False
        self._refused = ""  # why llhttp refused the head, while all of it is awaited
        self._mended = False
        self._interim = 0
        self._is_interim = False
        self.ended = False
        self.is_reusable = True
        # The parser holds this reader's methods: let go at the end, so that no collection is needed to free the two.
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> list[AnswerEvent]:
        """The events in these bytes. After an error or the end nothing more is read."""
        if self.ended:
            self.is_reusable = False
            return []
        if self._raw is not None:
            self._raw += data
        if self._refused and not self._mended:
            self._mend()
        else:
            self._feed(data)
        if self._in_head and not self.ended:
            self._head.count(len(data))
        if not self.ended and self._head.error is not None:
            self._end(self._head.error)
        events, self._events = self._events, []
        return events

    def feed_eof(self) -> list[AnswerEvent]:
        """The events that the connection's end brings: the body's end, or the error that the answer is cut."""
        if self.ended:
            return []
        if self._until_close:
            self._end(END)
        elif self._refused and self._in_head:
            self._end(NotHttpError(self._refused))
        else:
            self._end(NotHttpError("the connection closed before the answer's end"))
        events, self._events = self._events, []
        return events

    def _end(self, event: AnswerEvent) -> None:
        self.ended = True
        self._parser = None
        if event is not END or self._until_close:
            self.is_reusable = False
        self._events.append(event)

    def _feed(self, data: bytes) -> None:
        if self._parser is None:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._head.refuse("the answer switches protocols, which was not asked for")
        except httptools.HttpParserError as err:
            if self.ended:  # what follows an answer is nobody's
                self.is_reusable = False
            elif self._refused or not self._in_head:
                self._head.refuse((self._in_head and self._refused) or _reason(err))
            else:
                self._refused = _reason(err)
                self._mend()

    def _mend(self) -> None:
        """Read a head that was refused again, put right as other clients read it, once all of it is there."""
        raw = bytes(self._raw or b"")
        if raw[:5].lower() != b"http/"[: len(raw)]:
            self._head.refuse(self._refused)
        elif b"\r\n\r\n" in raw:
            self._mended = True
            mended = _mended(raw)
            self.is_reusable = False
            if mended is None:
                self._head.refuse(self._refused)
                return
            self._head.begin()
            self._interim = 0
            self._parser = httptools.HttpResponseParser(self)
            self._feed(mended)

    def on_message_begin(self) -> None:
        """An answer begins: the first, one after an interim answer, or one that nobody asked for."""
        if self.ended:
            self.is_reusable = False
            return
        self._head.begin()
        self._in_head = True

    def on_status(self, reason: bytes) -> None:
        """A piece of the reason."""
        if not self.ended:
            self._head.more_of_first(reason)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which is counted and dropped."""
        if not self.ended:
            self._head.header(name, value)

    def on_headers_complete(self) -> None:
        """Check a whole head, and add it to the events unless it is interim; called by the parser."""
        parser = self._parser
        if parser is None or self._head.error is not None:
            return
        status = parser.get_status_code()
        self._is_interim = 100 <= status < 200
        if self._is_interim:
            self._interim += 1
            if status == 101:
                self._head.refuse("the answer switches protocols, which was not asked for")
            elif self._interim > _MOST_INTERIM:
                self._head.refuse(f"more than {_MOST_INTERIM} interim answers came")
            return
        try:
            self._events.append(self._checked(parser, status))
        except NotHttpError as err:
            self._head.error = err
            return
        self._in_head = False
        self._raw = None
        if self._method == "HEAD" or status in _WITHOUT_BODY:
            self._end(END)

    def _checked(self, parser: httptools.HttpResponseParser, status: int) -> AnswerHead:
        version, pairs = parser.get_http_version(), tuple(self._head.pairs)
        if version not in _VERSIONS:
            raise NotHttpError(f"HTTP/{version} was answered; HTTP/1.1 was expected")
        if status < 100:
            raise NotHttpError(f"{status} is no status of an answer")
        values = _deciding(pairs)
        self._until_close = _length(values) == 0 and not values[b"content-length"]
        if not parser.should_keep_alive():
            self.is_reusable = False
        return AnswerHead(status, self._head.first.rstrip(b" \t"), pairs)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self.ended:
            self.is_reusable = False
        elif self._head.error is None:
            self._events.append(data)

    def on_message_complete(self) -> None:
        """The answer is whole, or an interim one is."""
        if self.ended or self._head.error is not None or self._is_interim:
            return
        self._end(END)


_DECIDING = frozenset((b"host", b"upgrade", b"expect", b"content-length", b"transfer-encoding"))


def _deciding(pairs: tuple[tuple[bytes, bytes], ...]) -> dict[bytes, list[bytes]]:
    """The values of the headers that decide how a message is read."""
    found: dict[bytes, list[bytes]] = {name: [] for name in _DECIDING}
    for name, value in pairs:
        lower = name.lower()
        if lower in _DECIDING:
            found[lower].append(value)
    return found


def _length(values: dict[bytes, list[bytes]]) -> int | None:
    """The length of a body by its framing; None when it is chunked, 0 when nothing is said."""
    codings = values[b"transfer-encoding"]
    if codings:
        if [c.lower() for c in codings] != [b"chunked"]:
            raise NotHttpError("the only Transfer-Encoding that is read is chunked")
        return None
    lengths = values[b"content-length"]
    return int(lengths[0]) if lengths else 0


def _mended(raw: bytes) -> bytes | None:
    """A head that llhttp refused, put right where its meaning is certain; None where there is nothing to mend."""
    line = _STATUS_LINE.match(raw)
    if line is None:
        return None
    mended = b"HTTP/%b %b %b\r\n" % (line[1], line[2], line[3] or b"") + raw[line.end() :]
    head, end, body = mended.partition(b"\r\n\r\n")
    head += b"\r\n"
    lengths = [m[1] for m in _LENGTHS.finditer(head)]
    declared = {n.strip() for length in lengths for n in length.split(b",")}
    if len(declared) == 1 and (length := declared.pop()).isdigit() and lengths != [length]:
        kept = iter((b"Content-Length: %b\r\n" % length,))
        head = _LENGTHS.sub(lambda _: next(kept, b""), head)
    mended = head + end[2:] + body
    return None if mended == raw else mended


def _reason(err: Exception) -> str:
    """The reason that llhttp gives for refusing a head, in its own words."""
    cause: Any = err.__context__ if isinstance(err, httptools.HttpParserCallbackError) else err
    if isinstance(cause, MemoryError):
        return "there is no memory to read it into"
    return str(cause) or "it cannot be parsed"
