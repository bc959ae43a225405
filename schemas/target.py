"""A REST request target, read once: what access rights, data policies and validation decide on is what the service is sent.

`ServiceTarget` is what follows the service code; ``raw`` goes to the provider's system byte for byte. What two servers
may read differently is refused with a reason, on the consumer side and on the provider side alike: fragments, raw spaces,
backslashes, control characters, bytes above ASCII, broken escapes, and dot segments, raw or percent-encoded any number of
times, with path parameters or white space around them, or written in characters that compatibility normalisation turns
into dots.

What is left may still have several *readings*: ``%2F`` is a slash to one server and a character to another, ``;v=1`` is a
path parameter to one and part of a name to another, and some decode twice. Whoever decides on a path decides on all of
them (`ServiceTarget.readings`); a path of plain characters has one.

Spec: RFC 3986 3.3, 5.2.4, 6.2.2; RFC 9110 4.2; RFC 9112 3.2.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from urllib.parse import unquote_to_bytes

import msgspec

from schemas.faults import BadMessage, Kind
from schemas.readings import normalised

# As long as a line of an HTTP head may be here, with room for the longer ones of foreign gateways.
MAX_BYTES = 16 * 1024
_SHOWN = 80
# How many times more than once a lenient server is taken to decode, before it is taken to decode to the end.
_MORE_DECODINGS = 3
_PLAIN = re.compile(r"(?:/[A-Za-z0-9_~!$&'()*+,=:@-][A-Za-z0-9._~!$&'()*+,=:@-]*)*/?")
_ILLEGAL = re.compile(r"[^\x21-\x7e]|[#\\]")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_ENCODED_SLASH = re.compile(r"%2[Ff]")
_SEPARATORS = re.compile(r"[/\\?#]")
_PARAMETERS = re.compile(r";[^/]*")
_HEX = frozenset(b"0123456789abcdefABCDEF")
# A name (also with underscores, as inner networks have them), an IPv4 or bracketed IPv6 address, and a port.
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")


class Reading(msgspec.Struct, frozen=True):
    """A path as some server reads it; ``loose``: without path parameters and what follows an encoded ``?`` or ``#``."""

    path: str
    loose: bool = False


class ServiceTarget(msgspec.Struct, frozen=True):
    """``raw`` is ``path`` and, after the first ``?``, ``query`` (None without one), both as sent, still encoded.

    ``segments`` are the path's, split at the raw slashes and then decoded once.
    """

    raw: str
    path: str
    query: str | None
    segments: tuple[str, ...]
    readings: tuple[Reading, ...]

    @property
    def has_empty_segment(self) -> bool:
        """Whether a segment but the last is empty in some reading: servers that merge slashes read another path."""
        return any("//" in reading.path for reading in self.readings)


@lru_cache(maxsize=128)
def parse_service_target(text: str) -> ServiceTarget:
    """Read what follows the service code: empty, or a path that begins with ``/``, with or without a query.

    Raises `BadMessage` (``bad_request``) that names what may not stand there.
    """
    check_characters(text)
    path, mark, query = text.partition("?")
    if path and not path.startswith("/"):
        raise _refused(f"the path after the service code must begin with '/'; {path[:_SHOWN]!r} came")
    segments = tuple(_decoded(segment) for segment in path.split("/")[1:])
    readings = (Reading(path or "/"),) if _PLAIN.fullmatch(path) else _readings(path)
    return ServiceTarget(text, path, query if mark else None, segments, readings)


def check_characters(target: str) -> None:
    """Refuse a target that is too long or holds what no request line may. Raises `BadMessage` (``bad_request``)."""
    if len(target) > MAX_BYTES:
        raise _refused(f"the request target has {len(target)} bytes; at most {MAX_BYTES} are accepted")
    found = _ILLEGAL.search(target)
    if found is not None:
        raise _refused(
            f"the request target holds {found[0]!r} at position {found.start()}; send it percent-encoded in UTF-8, "
            "and a fragment not at all"
        )
    found = _BROKEN_ESCAPE.search(target)
    if found is not None:
        shown = target[found.start() : found.start() + 3]
        raise _refused(
            f"the request target holds {shown!r}, which is no '%' with two hexadecimal digits after it"
        )


def _readings(path: str) -> tuple[Reading, ...]:
    """Every way a path may be read, the usual one first."""
    levels = [_decoded(path)]
    # A path decoded again may hold a '%' that begins nothing; it stays as it is, as lenient servers have it.
    while len(levels) <= _MORE_DECODINGS and (further := _decoded(levels[-1])) != levels[-1]:
        levels.append(further)
    slash_kept = _decoded(_ENCODED_SLASH.sub("%252F", path))
    decoded = [*levels, slash_kept, _fully_decoded(path)]
    for text in decoded:
        check_decoded(text)
    loose = [loosened(text) for text in (_decoded(_PARAMETERS.sub("", path)), *decoded)]
    exact = dict.fromkeys(Reading(text or "/") for text in decoded)
    return (*exact, *dict.fromkeys(Reading(text or "/", loose=True) for text in loose if text not in decoded))


def _decoded(text: str) -> str:
    if "%" not in text:
        return text
    return _utf8(unquote_to_bytes(text))


def _fully_decoded(text: str) -> str:
    """Percent-decode until nothing is left to decode, in one pass however often it was encoded."""
    out = bytearray()
    for byte in text.encode("utf-8"):
        out.append(byte)
        while len(out) > 2 and out[-3] == 0x25 and out[-2] in _HEX and out[-1] in _HEX:
            out[-3:] = bytes((int(out[-2:], 16),))
    return _utf8(bytes(out))


def _utf8(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise _refused("the request path is not UTF-8 once percent-decoded") from None


def check_decoded(text: str) -> None:
    """Refuse a decoded path or segment that a server may resolve, or that holds control characters.

    Raises `BadMessage` (``bad_request``).
    """
    if not text.isascii():
        # Fullwidth dots and slashes, and invisible characters between dots: some servers fold them.
        folded = "".join(c for c in normalised("NFKC", text) if unicodedata.category(c) != "Cf")
        _check_dots(folded)
    control = next((c for c in text if unicodedata.category(c) == "Cc"), None)
    if control is not None:
        raise _refused(f"the request path holds the control character U+{ord(control):04X}, percent-encoded")
    _check_dots(text)


def _check_dots(text: str) -> None:
    if "\\" in text:
        raise _refused("the request path holds a backslash, percent-encoded; some servers read it as '/'")
    if "." not in text:
        return
    for piece in _SEPARATORS.split(text):
        name = piece.partition(";")[0]
        if "." in name and not name.strip(". \u00a0"):
            raise _refused(
                f"the request path holds the dot segment {piece[:_SHOWN]!r} once decoded; "
                "send the path that is meant, without '.' and '..'"
            )


def check_address(url: str) -> None:
    """Refuse what is no plain ``http`` or ``https`` address to put a target behind. Raises `ValueError` with the reason.

    A query may stand in it; a user name, a fragment, spaces, dot segments and whatever a target may not hold may not.
    """
    scheme, separator, rest = url.partition("://")
    if scheme not in ("http", "https") or not separator:
        raise ValueError("it must begin with http:// or https://")
    authority = re.split(r"[/?]", rest, maxsplit=1)[0]
    if "@" in authority:
        raise ValueError("it may hold no user name or password")
    if not _AUTHORITY.fullmatch(authority):
        raise ValueError(f"{authority[:_SHOWN]!r} is no host, with or without a port")
    try:
        check_characters(rest)
        path = rest[len(authority) :].partition("?")[0]
        if not _PLAIN.fullmatch(path):
            _readings(path)
    except BadMessage as fault:
        raise ValueError(
            fault.detail.replace("the request target", "it").replace("the request path", "it")
        ) from None


def loosened(text: str) -> str:
    """A decoded path, or a pattern, as a server reads it that takes ``;`` ``?`` ``#`` for more than characters."""
    for mark in "?#":
        text = text.partition(mark)[0]
    return _PARAMETERS.sub("", text)


def _refused(detail: str) -> BadMessage:
    return BadMessage(Kind.BAD_REQUEST, detail)
