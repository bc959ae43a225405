"""MIME multipart as a push parser: bytes in, framing events out, nothing held back but a possible delimiter.

Works the same fed whole or a byte at a time, in bounded memory: part bodies are handed on as they come. Lines end in
CRLF; a bare LF is read too, as foreign recordings and configuration proxies have it. The line break before a delimiter
belongs to the delimiter. Content-Transfer-Encoding is not decoded: what is digested is what was carried.

Spec: RFC 2046 5.1; PR-MESSTRANSP 4.
"""

from __future__ import annotations

import enum
import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from schemas.faults import BadMessage, Kind
from schemas.headers import is_name, is_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Headers = tuple[tuple[str, str], ...]
# RFC 2046 lets 70 be; MIME libraries write longer ones.
_LONGEST_BOUNDARY = 200


class MultipartLimits(msgspec.Struct, frozen=True):
    """Bounds on the framing of a multipart body, in bytes and parts."""

    preamble_bytes: int = 10_000
    header_line_bytes: int = 1_000
    header_bytes: int = 10_000
    headers: int = 1_000
    parts: int = 10_000


class PartStart(msgspec.Struct, frozen=True):
    """A part begins; header names as the sender wrote them."""

    headers: Headers

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return next((v for n, v in self.headers if n.lower() == name), None)


class PartData(msgspec.Struct, frozen=True):
    """Some bytes of the part under way; never empty."""

    data: bytes


class PartEnd(msgspec.Struct, frozen=True):
    """The part under way is complete."""


# RFC 9110 5.6.4: a backslash in a quoted text stands for what follows it.
_QUOTED_PAIR = re.compile(r"\\(.)", re.DOTALL)
_BLANK_LINE = re.compile(rb"\n\r?\n")
FramingEvent = PartStart | PartData | PartEnd
_PART_END = PartEnd()


class _State(enum.IntEnum):
    PREAMBLE = enum.auto()
    DELIMITER = enum.auto()
    HEADERS = enum.auto()
    BODY = enum.auto()
    EPILOGUE = enum.auto()


class MultipartParser:
    """Splits one multipart body. Feed it, then ``close`` it; both raise `BadMessage` (``mime_parsing_failed``)."""

    def __init__(self, boundary: str, limits: MultipartLimits | None = None) -> None:
        self._limits = limits or MultipartLimits()
        if not 0 < len(boundary) <= _LONGEST_BOUNDARY or not boundary.isascii() or not boundary.isprintable():
            raise BadMessage(
                Kind.MIME_PARSING_FAILED,
                f"the boundary {boundary[:80]!r} is not 1 to {_LONGEST_BOUNDARY} printable ASCII characters",
            )
        self._delimiter = b"\n--" + boundary.encode("ascii")
        # A line break that never was, so that a delimiter on the first line is found like any other.
        self._buffer = bytearray(b"\n")
        self._state = _State.PREAMBLE
        # How many bytes at the start of the buffer are a line break that is no content.
        self._line_break = 1
        self._seen = 0
        self._parts = 0

    def feed(self, data: bytes) -> Iterator[FramingEvent]:
        """The events that ``data`` completes, to be drawn before more is fed.

        Each is given before the next is looked for, so what is wrong with a part is found before what is wrong behind it,
        however the input was cut.
        """
        whole = self.take_whole(data)
        return self._drawn(data) if whole is None else _events_of(whole)

    def take_whole(self, data: bytes) -> Iterator[tuple[Headers, bytes]] | None:
        """Headers and content of each part, where ``data`` is a whole body plainly written; None: it must be fed.

        As with `feed`, each part is given before the next is looked at.
        """
        if len(self._buffer) != 1 or self._state is not _State.PREAMBLE:
            return None
        parts = _split_plain(data, self._delimiter, self._limits)
        if parts is None:
            return None
        self._state = _State.EPILOGUE
        limits = self._limits
        return ((parse_headers(head, limits), content) for head, content in parts)

    def _drawn(self, data: bytes) -> Iterator[FramingEvent]:
        self._buffer += data
        events: list[FramingEvent] = []
        more = True
        while more:
            more = self._advance(events)
            yield from events
            events.clear()

    @property
    def is_empty(self) -> bool:
        """Whether no delimiter has come: so far there is no part at all."""
        return self._state is _State.PREAMBLE

    def close(self) -> None:
        """Say that no more comes. Raises when the closing delimiter is missing."""
        if self._state is not _State.EPILOGUE:
            raise BadMessage(
                Kind.MIME_PARSING_FAILED, "the multipart body ended before its closing delimiter"
            )

    def _advance(self, events: list[FramingEvent]) -> bool:
        match self._state:
            case _State.BODY | _State.PREAMBLE:
                return self._body(events)
            case _State.DELIMITER:
                return self._after_delimiter()
            case _State.HEADERS:
                return self._headers(events)
            case _State.EPILOGUE:
                self._buffer.clear()
                return False

    def _body(self, events: list[FramingEvent]) -> bool:
        buffer = self._buffer
        found = buffer.find(self._delimiter)
        if found < 0:
            # Whatever cannot be the beginning of "CR LF -- boundary" is content for certain.
            safe = len(buffer) - len(self._delimiter) - 1
            if safe > self._line_break:
                self._content(events, safe)
            return False
        carriage_return = found > self._line_break and buffer[found - 1] == 0x0D
        self._content(events, found - carriage_return)
        del buffer[: carriage_return + len(self._delimiter)]
        if self._state is _State.BODY:
            events.append(_PART_END)
        self._state = _State.DELIMITER
        return True

    def _content(self, events: list[FramingEvent], end: int) -> None:
        """Hand on the buffer up to ``end``, without the line break that it may begin with."""
        start = min(self._line_break, end)
        if self._state is _State.BODY:
            if end > start:
                with memoryview(self._buffer) as view, view[start:end] as content:
                    events.append(PartData(bytes(content)))  # one copy, where a slice's bytes would be two
        else:
            self._seen += end - start
            if self._seen > self._limits.preamble_bytes:
                raise BadMessage(
                    Kind.MIME_PARSING_FAILED,
                    f"no delimiter within the first {self._limits.preamble_bytes} bytes of the multipart body",
                )
        del self._buffer[:end]
        if end:
            self._line_break = 0

    def _after_delimiter(self) -> bool:
        buffer = self._buffer
        if len(buffer) < 2:
            return False
        if buffer.startswith(b"--"):
            self._state = _State.EPILOGUE
            return True
        line_end = buffer.find(b"\n")
        if line_end < 0:
            if len(buffer) > self._limits.header_line_bytes:
                raise BadMessage(
                    Kind.MIME_PARSING_FAILED, "a delimiter line of the multipart body never ends"
                )
            return False
        if buffer[:line_end].strip(b" \t\r"):
            raise BadMessage(
                Kind.MIME_PARSING_FAILED, "a delimiter line of the multipart body has trailing text"
            )
        del buffer[: line_end + 1]
        self._parts += 1
        if self._parts > self._limits.parts:
            raise BadMessage(
                Kind.MIME_PARSING_FAILED, f"the multipart body has more than {self._limits.parts} parts"
            )
        self._state = _State.HEADERS
        return True

    def _headers(self, events: list[FramingEvent]) -> bool:
        buffer = self._buffer
        if buffer.startswith((b"\r\n", b"\n")):
            head_end = 0
        else:
            # Looked for no further than this part may reach, or many small parts would each cost all that is behind them.
            farthest = self._limits.header_bytes + len(self._delimiter) + 2
            delimiter = buffer.find(self._delimiter, 0, farthest)
            blank_line = _BLANK_LINE.search(buffer, 0, farthest if delimiter < 0 else delimiter + 1)
            if blank_line is None and delimiter >= 0:
                return self._headers_alone(events, delimiter)
            if blank_line is None:
                if len(buffer) >= farthest:  # before that, what ends the headers may still be coming
                    raise BadMessage(
                        Kind.MIME_PARSING_FAILED, f"a part's headers exceed {self._limits.header_bytes} bytes"
                    )
                return False
            head_end = blank_line.start() + 1
        if head_end > self._limits.header_bytes:
            raise BadMessage(
                Kind.MIME_PARSING_FAILED, f"a part's headers exceed {self._limits.header_bytes} bytes"
            )
        events.append(PartStart(parse_headers(bytes(buffer[:head_end]), self._limits)))
        # The line break that ends the headers stays: before an empty body's delimiter it is the delimiter's own.
        blank = 2 if buffer[head_end : head_end + 1] == b"\r" else 1
        del buffer[: head_end + blank - 1]
        self._line_break = 1
        self._state = _State.BODY
        return True

    def _headers_alone(self, events: list[FramingEvent], delimiter: int) -> bool:
        """A part whose headers run into the next delimiter: it has no content."""
        if delimiter > self._limits.header_bytes:
            raise BadMessage(
                Kind.MIME_PARSING_FAILED, f"a part's headers exceed {self._limits.header_bytes} bytes"
            )
        events.append(PartStart(parse_headers(bytes(self._buffer[: delimiter + 1]), self._limits)))
        del self._buffer[:delimiter]
        self._line_break = 1
        self._state = _State.BODY
        return True


def _split_plain(data: bytes, delimiter: bytes, limits: MultipartLimits) -> list[tuple[bytes, bytes]] | None:
    """Header block and content of every part, when ``data`` is a whole body written without any liberty.

    That is: no preamble, no epilogue, CRLF everywhere in the framing, a header and a blank line in each part. None means
    nothing but that the parser has to look at it byte by byte.
    """
    closing = delimiter[1:] + b"--\r\n"
    if not data.startswith(delimiter[1:]) or not data.endswith(closing):
        return None
    first, *pieces, last = (b"\r\n" + data).split(b"\r" + delimiter)
    if first or last != b"--\r\n" or not 0 < len(pieces) <= limits.parts:
        return None
    if data.count(delimiter) != len(pieces):  # one stands behind a bare line feed
        return None
    parts: list[tuple[bytes, bytes]] = []
    for piece in pieces:
        head, blank, content = piece.partition(b"\r\n\r\n")
        block = _plain_block(head)
        if not blank or block is None or len(head) > limits.header_bytes:
            return None
        parts.append((block, content))
    return parts


@lru_cache(maxsize=256)
def _plain_block(head: bytes) -> bytes | None:
    """The header lines that follow a delimiter, each with its CRLF; None where there is none, or a bare line feed."""
    if len(head) > 2 and head.startswith(b"\r\n") and head.count(b"\n") == head.count(b"\r\n"):
        return head[2:] + b"\r\n"
    return None


def _events_of(whole: Iterator[tuple[Headers, bytes]]) -> Iterator[FramingEvent]:
    """The events of a body that came whole, as the parser gives them."""
    for headers, content in whole:
        yield PartStart(headers)
        if content:
            yield PartData(content)
        yield _PART_END


def content_ids(headers: Headers) -> list[str]:
    """The Content-IDs that a part says, without their angle brackets."""
    return [v.strip().removeprefix("<").removesuffix(">") for n, v in headers if n.lower() == "content-id"]


def check_content_ids(parts: Iterable[Headers]) -> None:
    """Refuse a Content-ID of two parts, or two of one part: of those, systems take the first or the last for ``cid:``.

    Compared as a reader may that forgets case, or takes ``%40`` for ``@``. An empty one names nothing. Nobody signs these labels, so
    no evidence could say afterwards which was meant. Raises `BadMessage`. Spec: RFC 2045 7, RFC 2392 2.
    """
    seen: dict[str, int] = {}
    for number, headers in enumerate(parts, 1):
        for name in {unquote(i).strip().casefold() for i in content_ids(headers)} - {""}:
            if name in seen:
                raise BadMessage(
                    Kind.MIME_PARSING_FAILED,
                    f"attachments {seen[name]} and {number} have one Content-ID, {name[:100]!r}; each needs its own",
                )
            seen[name] = number
        if len(content_ids(headers)) > 1:
            raise BadMessage(
                Kind.MIME_PARSING_FAILED,
                f"attachment {number} has several Content-ID headers; one was expected",
            )


@lru_cache(maxsize=256)
def parse_headers(block: bytes, limits: MultipartLimits | None = None) -> Headers:
    """Header lines to names and values; a line that begins with white space continues the one before.

    Raises `BadMessage` (``mime_parsing_failed``).
    """
    limits = limits or MultipartLimits()
    headers: list[tuple[str, str]] = []
    for raw in block.decode("utf-8", "surrogateescape").replace("\r\n", "\n").split("\n"):
        if len(raw) > limits.header_line_bytes:
            raise BadMessage(
                Kind.MIME_PARSING_FAILED, f"a header line is longer than {limits.header_line_bytes} bytes"
            )
        if not raw:
            continue
        if raw[0] in " \t" and headers:
            name, value = headers.pop()
            value = f"{value} {raw.strip()}"
        else:
            name, colon, value = raw.partition(":")
            if not colon or not is_name(name):
                raise BadMessage(Kind.MIME_PARSING_FAILED, f"{raw[:80]!r} is not a header")
        headers.append((name, _checked(name, value.strip(" \t"), limits)))
        if len(headers) > limits.headers:
            raise BadMessage(Kind.MIME_PARSING_FAILED, f"a part has more than {limits.headers} headers")
    return tuple(headers)


def _checked(name: str, value: str, limits: MultipartLimits) -> str:
    """A value that can be written again as one line of its own, and is no more than one."""
    if not is_value(value):
        raise BadMessage(Kind.MIME_PARSING_FAILED, f"the part header {name[:80]} holds control characters")
    if len(name) + len(": ") + len(value) > limits.header_line_bytes:
        raise BadMessage(
            Kind.MIME_PARSING_FAILED,
            f"the part header {name[:80]} is longer than {limits.header_line_bytes} bytes",
        )
    return value


@lru_cache(maxsize=256)
def _parse_content_type(value: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    media, *rest = _split_parameters(value)
    parameters: dict[str, str] = {}
    for piece in rest:
        name, equals, text = piece.partition("=")
        if not equals:
            continue
        text = text.strip()
        if len(text) >= 2 and text[0] == text[-1] == '"':
            text = _QUOTED_PAIR.sub(r"\1", text[1:-1])
        if parameters.setdefault(name.strip().lower(), text) != text:
            raise BadMessage(
                Kind.INVALID_CONTENT_TYPE,
                f"the content type {value[:200]!r} names {name.strip()[:80]} twice with different values",
            )
    return media.strip().lower(), tuple(parameters.items())


def parse_content_type(value: str) -> tuple[str, dict[str, str]]:
    """Media type in lower case and its parameters by lower-case name; quoted values are unquoted."""
    media, parameters = _parse_content_type(value)
    return media, dict(parameters)


def _split_parameters(value: str) -> list[str]:
    if '"' not in value:
        return value.split(";")
    pieces: list[str] = [""]
    quoted = escaped = False
    for c in value:
        if c == ";" and not quoted:
            pieces.append("")
            continue
        pieces[-1] += c
        if escaped:
            escaped = False
        elif c == "\\" and quoted:
            escaped = True
        elif c == '"':
            quoted = not quoted
    return pieces
