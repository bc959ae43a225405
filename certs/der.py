"""What DER or BER from a stranger may be before a library reads it.

The library (asn1crypto) parses by need, and by recursion where a value holds others; Python's integers and object identifiers
cost the square of their length to write out. So the shape is looked at first, on a list and once over the bytes, as
`schemas.safexml` does for XML: size, depth, number of values, and the length of whatever becomes a number.

What a value means is not judged here.
"""

from __future__ import annotations

from typing import TypeVar

from asn1crypto import core

LARGEST_BYTES = 512 * 1024
_DEEPEST = 24
_MOST_VALUES = 50_000
# An RFC 5280 serial number has 20 octets at the most, an OID of any standard fewer than 30.
_LONGEST_NUMBER = 64
_NUMBERS = {0x02: "number", 0x06: "object identifier", 0x0A: "number", 0x17: "time", 0x18: "time"}
_CONSTRUCTED = 0x20
_INDEFINITE = -1
_LONGEST_HEADER = 16
# What asn1crypto raises over bytes that are not what they should be, at whatever touch.
UNREADABLE = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError)

T = TypeVar("T", bound=core.Asn1Value)


def load_value(data: bytes, spec: type[T], what: str) -> T:
    """The value that is all of ``data``, whose shape keeps every bound. Raises ValueError; its fields are read by need,
    and may then raise any of `UNREADABLE`."""
    check_shape(data, what)
    value: T = spec.load(data, strict=True)
    return value


def reason_of(err: Exception) -> str:
    """The library's reason in one short line."""
    return (str(err) or type(err).__name__).splitlines()[0][:200]


def check_shape(data: bytes, what: str) -> None:
    """Refuse bytes that are no values, or values too many, too deep or too long. Raises ValueError."""
    if len(data) > LARGEST_BYTES:
        raise ValueError(f"the {what} has {len(data)} bytes; at most {LARGEST_BYTES} are read")
    # For each open value: where it, or the one around it, ends at the latest, and whether two zero octets end it.
    opened: list[tuple[int, bool]] = [(len(data), False)]
    place = count = 0
    while True:
        while len(opened) > 1 and opened[-1] == (place, False):
            opened.pop()
        limit, until_zeros = opened[-1]
        if place == limit and len(opened) == 1:
            return
        if until_zeros and data[place : place + 2] == b"\x00\x00" and place + 2 <= limit:
            opened.pop()
            place += 2
            continue
        tag, content, length = _header(data, place, limit)
        count += 1
        if count > _MOST_VALUES or len(opened) > _DEEPEST:
            raise ValueError(
                f"the {what} has more than {_MOST_VALUES} values, or nests more than {_DEEPEST} deep"
            )
        if tag in _NUMBERS and length > _LONGEST_NUMBER:
            raise ValueError(
                f"the {what} has a {_NUMBERS[tag]} of {length} octets; at most {_LONGEST_NUMBER} are read"
            )
        place = content
        if length == _INDEFINITE:
            opened.append((limit, True))
        elif tag & _CONSTRUCTED:
            opened.append((content + length, False))
        else:
            place += length


def _header(data: bytes, place: int, limit: int) -> tuple[int, int, int]:
    """A value's first octet, where its content begins, and how long that is. Raises ValueError."""
    head = data[place : min(place + _LONGEST_HEADER, limit)]
    tag, length_at = head[:1], 1
    if tag and tag[0] & 0x1F == 0x1F:
        while length_at < len(head) and head[length_at] & 0x80:
            length_at += 1
        length_at += 1
    if length_at >= len(head):
        raise ValueError("a value ends too early")
    length, content = head[length_at], length_at + 1
    if length == 0x80:
        if not tag[0] & _CONSTRUCTED:
            raise ValueError("a plain value does not say its length")
        return tag[0], place + content, _INDEFINITE
    if length > 0x80:
        octets = length & 0x7F
        length, content = int.from_bytes(head[content : content + octets], "big"), content + octets
    if content > len(head) or place + content + length > limit:
        raise ValueError("a value is longer than what it lies in")
    return tag[0], place + content, length
