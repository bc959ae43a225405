"""DER, just enough of it: values as (tag, content) read strictly, and written back.

For the structures no library offers publicly (CMS SignedData of timestamps). Definite lengths in their shortest form
only, but for the indefinite wrappers that CMS writers use. Raises ValueError on anything else.
"""

from __future__ import annotations

from dataclasses import dataclass

INTEGER = 0x02
OCTET_STRING = 0x04
NULL = 0x05
OID = 0x06
GENERALIZED_TIME = 0x18
SEQUENCE = 0x30
SET = 0x31


@dataclass(frozen=True, slots=True)
class Value:
    """One value: its tag, its content, and its whole encoding."""

    tag: int
    content: bytes
    raw: bytes

    def children(self) -> list[Value]:
        """The values inside a constructed one."""
        return read_all(self.content)

    def expect(self, tag: int, what: str) -> Value:
        """This value, which must have a tag."""
        if self.tag != tag:
            raise ValueError(f"{what}: tag {self.tag:#04x} where {tag:#04x} was expected")
        return self


def read_all(data: bytes) -> list[Value]:
    """Every value in ``data``, one after the other."""
    values = []
    offset = 0
    while offset < len(data):
        value, offset = _read(data, offset)
        values.append(value)
    return values


def read_one(data: bytes, tag: int, what: str) -> Value:
    """The only value in ``data``."""
    value, end = _read(data, 0)
    if end != len(data):
        raise ValueError(f"{what}: {len(data) - end} bytes follow it")
    return value.expect(tag, what)


def _read(data: bytes, offset: int) -> tuple[Value, int]:
    if offset + 2 > len(data):
        raise ValueError("DER ends too early")
    tag, length = data[offset], data[offset + 1]
    start = offset + 2
    if length == 0x80 and tag & 0x20:
        return _read_indefinite(data, offset)
    if tag & 0x1F == 0x1F:
        raise ValueError("DER tags above 30 are not read")
    if length & 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4 or start + count > len(data) or data[start] == 0:
            raise ValueError("a DER length is not in its shortest form")
        length = int.from_bytes(data[start : start + count], "big")
        start += count
        if length < 0x80:
            raise ValueError("a DER length is not in its shortest form")
    end = start + length
    if end > len(data):
        raise ValueError("DER ends too early")
    return Value(tag, data[start:end], data[offset:end]), end


def _read_indefinite(data: bytes, offset: int) -> tuple[Value, int]:
    """A constructed value that ends with two zero bytes: BER, as some CMS writers wrap their DER."""
    place = offset + 2
    while data[place : place + 2] != b"\x00\x00":
        _, place = _read(data, place)
    return Value(data[offset], data[offset + 2 : place], data[offset : place + 2]), place + 2


def write(tag: int, *contents: bytes) -> bytes:
    """One value."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def write_integer(value: int) -> bytes:
    """A non-negative INTEGER."""
    return write(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def write_oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    out = bytearray()
    for arc in (first * 40 + second, *rest):
        groups = [arc & 0x7F]
        while arc := arc >> 7:
            groups.append(arc & 0x7F | 0x80)
        out += bytes(reversed(groups))
    return write(OID, bytes(out))


def read_oid(value: Value) -> str:
    """An OBJECT IDENTIFIER, dotted."""
    content = value.expect(OID, "object identifier").content
    arcs: list[int] = []
    arc = 0
    for octet in content:
        arc = arc << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    if not arcs:
        raise ValueError("an object identifier is empty")
    first = min(arcs[0] // 40, 2)
    return ".".join(str(a) for a in (first, arcs[0] - first * 40, *arcs[1:]))
