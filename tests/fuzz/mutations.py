"""Broken input out of good: cut, flip, repeat, mix, and drop in words that parsers look for."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

LARGEST = 64 * 1024
_WORDS = (
    b"\r\n", b"\n", b"\r\n\r\n", b"--b", b"--b--", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"%", b"%2F",
    b"%00", b"..", b"/", b":", b";", b'"', b"<", b">", b"&", b"&amp;", b"&#0;", b"<!DOCTYPE x>", b"<![CDATA[", b"<!--",
    b"<?x?>", b' xmlns="x"', b' Id="signature"', b"-", b"=", b"==", b"0", b"-1", b"9" * 20, b"A" * 300, b"\x30\x80",
    b"\x30\x84\xff\xff\xff\xff", b"\x02\x00", b"\x05\x00", b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"\xff\xff\xff\xff",
)  # fmt: skip


def flip(random: Random, data: bytearray, _other: bytes) -> None:
    at = random.randrange(len(data))
    data[at] ^= 1 << random.randrange(8)


def replace(random: Random, data: bytearray, _other: bytes) -> None:
    data[random.randrange(len(data))] = random.randrange(256)


def insert(random: Random, data: bytearray, _other: bytes) -> None:
    at = random.randrange(len(data) + 1)
    data[at:at] = random.choice(_WORDS)


def overwrite(random: Random, data: bytearray, _other: bytes) -> None:
    word = random.choice(_WORDS)
    at = random.randrange(len(data))
    data[at : at + len(word)] = word


def remove(random: Random, data: bytearray, _other: bytes) -> None:
    at = random.randrange(len(data))
    del data[at : at + random.choice((1, 1, 2, 8, 64, 1024))]


def repeat(random: Random, data: bytearray, _other: bytes) -> None:
    at = random.randrange(len(data))
    piece = data[at : at + random.choice((1, 4, 32, 256))]
    data[at:at] = piece * random.choice((1, 2, 20))


def truncate(random: Random, data: bytearray, _other: bytes) -> None:
    del data[random.randrange(len(data)) :]


def splice(random: Random, data: bytearray, other: bytes) -> None:
    if other:
        start = random.randrange(len(other))
        at = random.randrange(len(data) + 1)
        data[at:at] = other[start : start + random.randrange(1, 200)]


_CHANGES: tuple[Callable[[Random, bytearray, bytes], None], ...] = (
    flip, flip, replace, insert, insert, overwrite, remove, repeat, truncate, splice,
)  # fmt: skip


def mutate(random: Random, seeds: list[bytes]) -> bytes:
    """One broken input."""
    data = bytearray(random.choice(seeds))
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        if not data:
            data = bytearray(random.choice(_WORDS))
        random.choice(_CHANGES)(random, data, random.choice(seeds))
    return bytes(data[:LARGEST])
