"""Heads of requests and answers as values, and how they are written. No IO.

Names and values are bytes, in the order and spelling in which they came: nothing is titled, merged, decoded or added.
Limits are this module's own; what exceeds one is told by name and number. Spec: RFC 9110 5, RFC 9112 2 to 6.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

Pairs = tuple[tuple[bytes, bytes], ...]

# Headers that frame a message on one connection (RFC 9112 6, 9): whoever writes a head says them himself.
FRAMING = frozenset((b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"upgrade"))
# A line of a header as it may leave: a token, and a value of visible bytes, spaces, tabs and obs-text (RFC 9110 5.5).
_LINES = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+: [^\x00-\x08\x0a-\x1f\x7f]*\r\n)*")
_TARGET = re.compile(rb"[!-\"$-~\x80-\xff]+")
_REASON = re.compile(rb"[^\x00-\x08\x0a-\x1f\x7f]*")
# With an authority and without a user name, which makes it no path, and refused.
_ABSOLUTE = re.compile(rb"(?i:https?)://[^/?#@]+(?=[/?]|\Z)")


class NotHttpError(Exception):
    """The bytes are not HTTP as it is taken here. ``status`` is what a server answers."""

    def __init__(self, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status

    def __eq__(self, other: object) -> bool:
        return isinstance(other, NotHttpError) and (self.reason, self.status) == (other.reason, other.status)

    __hash__ = Exception.__hash__


class HeadLimits(msgspec.Struct, frozen=True):
    """Largest head: bytes of one line (name and value, or target), number of headers, bytes of all."""

    line_bytes: int
    headers: int
    head_bytes: int


REQUEST_LIMITS = HeadLimits(8190, 200, 64 * 1024)
# Java's client has no limit of its own; this is far above what systems send.
ANSWER_LIMITS = HeadLimits(64 * 1024, 1000, 256 * 1024)


class RequestHead(msgspec.Struct, frozen=True):
    """A request's head. ``length`` is its Content-Length; None when the body is chunked. ``target`` is in origin form."""

    method: str
    target: bytes
    headers: Pairs
    keeps_alive: bool = True
    is_http_10: bool = False
    length: int | None = 0
    expects_continue: bool = False


class AnswerHead(msgspec.Struct, frozen=True):
    """The head of an answer: status, reason phrase, header fields in their order."""

    status: int
    reason: bytes
    headers: Pairs

    def value(self, name: bytes) -> bytes | None:
        """The first header of that name (in lower case)."""
        return next((v for n, v in self.headers if n.lower() == name), None)


class Ended:
    """The event after a message's last byte."""

    def __repr__(self) -> str:
        return "END"


END = Ended()
RequestEvent = RequestHead | bytes | Ended | NotHttpError
AnswerEvent = AnswerHead | bytes | Ended | NotHttpError


def origin_form(target: bytes) -> bytes:
    """Path and query of a target that came in absolute form (RFC 9112 3.2.2); any other target as it is."""
    if target[:1] == b"/":
        return target
    absolute = _ABSOLUTE.match(target)
    if absolute is None:
        return target
    rest = target[absolute.end() :]
    return rest if rest[:1] == b"/" else b"/" + rest


def render_request_head(method: str, target: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The bytes of a request's head, with the empty line. Raises `NotHttpError` for what no head can carry."""
    if _TARGET.fullmatch(target) is None:
        raise NotHttpError("the request target holds a space, a control character or a '#'")
    return method.encode("ascii") + b" " + target + b" HTTP/1.1\r\n" + _lines(headers) + b"\r\n"


def render_answer_head(status: int, reason: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The bytes of an answer's head, with the empty line. Raises `NotHttpError` for what no head can carry."""
    if not 200 <= status <= 999:
        raise NotHttpError(f"the status {status} ends no exchange; 200 to 999 was expected")
    if _REASON.fullmatch(reason) is None:
        raise NotHttpError("the answer's reason phrase holds a control character")
    return b"HTTP/1.1 %d %b\r\n" % (status, reason) + _lines(headers) + b"\r\n"


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    pairs = list(headers)
    written = b"".join([b"%b: %b\r\n" % pair for pair in pairs])
    # The count tells a value that holds a whole line of its own from one line more.
    if _LINES.fullmatch(written) is None or written.count(b"\n") != len(pairs):
        raise NotHttpError(_unwritable(pairs))
    return written


def _unwritable(headers: Iterable[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if _LINES.fullmatch(b"%b: \r\n" % name) is None:
            return f"{name[:40]!r} is no name of a header: letters, digits and !#$%&'*+-.^_`|~ were expected"
        if _LINES.fullmatch(b"x: %b\r\n" % value) is None:
            return f"the header {name.decode('ascii')} holds a control character"
    return "a header cannot be written"


def render_chunk(data: bytes) -> bytes:
    """A chunk of a chunked body (RFC 9112 7.1); not for empty data, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def render_chunk_bounds(size_bytes: int) -> tuple[bytes, bytes]:
    """The framing before and after the data of a chunk of that size, which is not 0 (RFC 9112 7.1)."""
    return b"%x\r\n" % size_bytes, b"\r\n"


LAST_CHUNK = b"0\r\n\r\n"
