"""LDAP messages, bytes to values and back: bind, search, StartTLS, and what a directory answers. Pure.

A search asks for attributes that *are* values, never by a text of a filter: what somebody types at the door goes out as an octet
string and cannot become a part of the question.

Spec: RFC 4511 4 (messages), 5.1 (definite lengths only); RFC 4513 5.1 (simple bind).
"""

from __future__ import annotations

from dataclasses import dataclass

LARGEST_MESSAGE = 1024 * 1024
SUCCESS, SIZE_LIMIT_EXCEEDED, INVALID_CREDENTIALS = 0, 4, 49
START_TLS = "1.3.6.1.4.1.1466.20037"

# Tags of RFC 4511: APPLICATION for operations, context-specific within them.
BIND, BIND_ANSWER, UNBIND = 0x60, 0x61, 0x42
SEARCH, ENTRY, SEARCH_DONE, REFERENCE = 0x63, 0x64, 0x65, 0x73
EXTENDED, EXTENDED_ANSWER = 0x77, 0x78
_SEQUENCE, _SET, _INTEGER, _OCTETS, _ENUMERATED, _BOOLEAN = 0x30, 0x31, 0x02, 0x04, 0x0A, 0x01
_AND, _EQUAL, _SIMPLE, _NAME = 0xA0, 0xA3, 0x80, 0x80
_VERSION, _WHOLE_SUBTREE, _NEVER_DEREFERENCE = 3, 2, 0
_LONGEST_LENGTH = 4


@dataclass(frozen=True, slots=True)
class DirectoryResult:
    """The end of an operation: the result code (RFC 4511 4.1.9), and what the directory says of it."""

    code: int
    diagnostic: str


@dataclass(frozen=True, slots=True)
class DirectoryEntry:
    """An entry that a search found: its name, and its attributes by their names in lower case."""

    dn: str
    attributes: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class DirectoryMessage:
    """A message of the directory: the number of what it answers, its operation's tag, and the operation's content."""

    number: int
    tag: int
    content: bytes

    def result(self) -> DirectoryResult:
        """The result that ends an operation. Raises ValueError."""
        code, rest = _take(self.content, _ENUMERATED)
        _matched, rest = _take(rest, _OCTETS)
        diagnostic, _rest = _take(rest, _OCTETS)
        return DirectoryResult(int.from_bytes(code, "big"), diagnostic.decode("utf-8", "replace"))

    def entry(self) -> DirectoryEntry:
        """The entry of a search. Values that are no text are left out. Raises ValueError."""
        dn, rest = _take(self.content, _OCTETS)
        listed, _rest = _take(rest, _SEQUENCE)
        attributes: dict[str, tuple[str, ...]] = {}
        while listed:
            one, listed = _take(listed, _SEQUENCE)
            name, rest = _take(one, _OCTETS)
            values, _rest = _take(rest, _SET)
            found = []
            while values:
                value, values = _take(values, _OCTETS)
                found.append(value.decode("utf-8", "replace"))
            attributes[name.decode("utf-8", "replace").lower()] = tuple(found)
        return DirectoryEntry(dn.decode("utf-8"), attributes)


def render_bind(number: int, name: str, password: str) -> bytes:
    """A simple bind. Raises ValueError without a password: a directory takes that as nobody's bind, and says that it went well."""
    if name and not password:
        raise ValueError("a bind with a name and no password proves nothing (RFC 4513 5.1.2)")
    parts = (_integer(_INTEGER, _VERSION), _text(_OCTETS, name), _text(_SIMPLE, password))
    return _message(number, _tlv(BIND, *parts))


def render_start_tls(number: int) -> bytes:
    """The request to go on in TLS."""
    return _message(number, _tlv(EXTENDED, _text(_NAME, START_TLS)))


def render_search(
    number: int, base: str, searched: dict[str, str], attributes: tuple[str, ...], most: int
) -> bytes:
    """A search of a whole subtree for the entries that have all the wanted values; ``most`` bounds how many are answered."""
    equal = [_tlv(_EQUAL, _text(_OCTETS, name), _text(_OCTETS, value)) for name, value in searched.items()]
    return _message(
        number,
        _tlv(
            SEARCH,
            _text(_OCTETS, base),
            _integer(_ENUMERATED, _WHOLE_SUBTREE),
            _integer(_ENUMERATED, _NEVER_DEREFERENCE),
            _integer(_INTEGER, most),
            _integer(_INTEGER, 0),
            _tlv(_BOOLEAN, b"\x00"),
            _tlv(_AND, *equal),
            _tlv(_SEQUENCE, *(_text(_OCTETS, name) for name in attributes)),
        ),
    )


def render_unbind(number: int) -> bytes:
    """The end of a connection."""
    return _message(number, bytes((UNBIND, 0)))


class DirectoryMessages:
    """Takes bytes as they come and gives whole messages. Raises ValueError for what is none, or is too long."""

    def __init__(self) -> None:
        self._buffer = b""

    @property
    def is_begun(self) -> bool:
        """Whether a part of a message waits for its rest."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> list[DirectoryMessage]:
        """The messages that are complete now. Raises ValueError."""
        self._buffer += data
        found = []
        while (size := _size_of_first(self._buffer)) is not None and size <= len(self._buffer):
            whole, self._buffer = self._buffer[:size], self._buffer[size:]
            body, _rest = _take(whole, _SEQUENCE)
            number, rest = _take(body, _INTEGER)
            if not rest:
                raise ValueError("the directory's message has no operation")
            content, _controls = _take(rest, rest[0])
            found.append(DirectoryMessage(int.from_bytes(number, "big"), rest[0], content))
        return found


def _size_of_first(data: bytes) -> int | None:
    """The bytes of the first element with its head; None while that cannot be told. Raises ValueError."""
    if len(data) < 2:
        return None
    if data[0] != _SEQUENCE:
        raise ValueError(f"the directory's message begins with {data[0]:#x}, not with a sequence")
    head, length = 2, data[1]
    if length >= 0x80:
        head += length & 0x7F
        if length == 0x80 or head - 2 > _LONGEST_LENGTH:
            raise ValueError("the directory's message has a length of another form than LDAP's")
        if len(data) < head:
            return None
        length = int.from_bytes(data[2:head], "big")
    if length > LARGEST_MESSAGE:
        raise ValueError(f"the directory's message has {length} bytes; {LARGEST_MESSAGE} is the most")
    return head + length


def _take(data: bytes, tag: int) -> tuple[bytes, bytes]:
    """The content of the first element, which must have the tag, and what follows it. Raises ValueError."""
    if len(data) < 2 or data[0] != tag:
        found = f"{data[0]:#x}" if data else "nothing"
        raise ValueError(f"the directory's message holds {found} where {tag:#x} belongs")
    head, length = 2, data[1]
    if length >= 0x80:
        head += length & 0x7F
        length = int.from_bytes(data[2:head], "big")
    if data[1] == 0x80 or head - 2 > _LONGEST_LENGTH or len(data) < head + length:
        raise ValueError("the directory's message ends before its length says")
    return data[head : head + length], data[head + length :]


def _tlv(tag: int, *parts: bytes) -> bytes:
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def _integer(tag: int, number: int) -> bytes:
    return _tlv(tag, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def _text(tag: int, text: str) -> bytes:
    return _tlv(tag, text.encode())


def _message(number: int, operation: bytes) -> bytes:
    return _tlv(_SEQUENCE, _integer(_INTEGER, number), operation)
