"""Zips of strangers, rule by rule: one small change to a good one, and the words it is refused with."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest

from schemas.faults import BadMessage
from schemas.zipreading import Zip, open_zip


def entry(name: str, *, extra: bytes = b"", comment: bytes = b"", mode: int = 0o100644) -> zipfile.ZipInfo:
    made = zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6))
    made.extra, made.comment, made.external_attr, made.create_system = extra, comment, mode << 16, 3
    return made


def made(
    *files: tuple[zipfile.ZipInfo | str, bytes], method: int = zipfile.ZIP_STORED, comment: bytes = b""
) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.comment = comment
        for info, content in files:
            archive.writestr(entry(info) if isinstance(info, str) else info, content, method)
    return buffer.getvalue()


def patched(raw: bytes, sign: bytes, offset: int, new: bytes) -> bytes:
    """The zip with other bytes at a place of the first header with that sign."""
    place = raw.index(sign) + offset
    return raw[:place] + new + raw[place + len(new) :]


class OneWay(io.BytesIO):
    """A stream that cannot be gone back in: sizes are written behind each file's data."""

    def seekable(self) -> bool:
        return False

    def seek(self, *_: object) -> int:
        raise OSError("this stream cannot be gone back in")


def streamed(content: bytes) -> bytes:
    stream = OneWay()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(entry("a.txt"), content)
    return stream.getvalue()


LOCAL, CENTRAL, END, DESCRIPTOR = b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\7\x08"
GOOD = made(("a.txt", b"hello"))
FOLDED = made(("a.txt", b"hello" * 100), method=zipfile.ZIP_DEFLATED)
TWO = made(("a.txt", b"1"), ("b.txt", b"2"))
START = struct.unpack_from("<L", GOOD, GOOD.index(END) + 16)[0]


def opened(raw: bytes) -> Zip:
    return open_zip(io.BytesIO(raw), most_entries=2)


@pytest.mark.parametrize(
    "raw", [GOOD, FOLDED, streamed(b"hello"), made((entry("a/", mode=0o040755), b""), ("a/b.txt", b"1"))]
)
def test_a_zip_that_keeps_the_rules_is_read(raw: bytes) -> None:
    found = opened(raw)
    assert found.names
    with zipfile.ZipFile(io.BytesIO(raw)) as expected:
        for name in found.names:
            assert found.read(name, 1_000) == b"".join(found.chunks(name)) == expected.read(name)
            with found.open(name) as stream:
                assert stream.read() == expected.read(name)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "a directory at its very end"),
        (GOOD + b"x", "a directory at its very end"),
        (GOOD[:-1], "a directory at its very end"),
        (b"x" + GOOD, "does not say where its directory is"),
        (made(("a", b""), comment=b"\x01"), "its comment is not plain text"),
        (made(("a", b""), ("b", b""), ("c", b"")), "it has 3 entries; at most 2"),
        (patched(GOOD, END, 8, b"\2\0\2\0"), "has 1 entries, and says 2"),
        (patched(TWO, END, 8, b"\1\0\1\0"), "its directory is not whole"),
        (patched(GOOD, END, 8, b"\2\0\1\0"), "does not say where its directory is"),
        (patched(GOOD, CENTRAL, 0, b"PK\1\3"), "cannot be read, or has a comment"),
        (made((entry("a", comment=b"x"), b"")), "cannot be read, or has a comment"),
        (made((entry("a", extra=struct.pack("<HH", 0x9999, 0)), b"")), "extra field 0x9999"),
        (made((entry("a", extra=b"\0"), b"")), "extra field that does not fit"),
        (made((entry("a", mode=0o120777), b"b")), "no plain file or folder"),
        (made((entry("a/", mode=0o040755), b"x")), "a folder with content"),
        (made(("a", b"x"), method=zipfile.ZIP_BZIP2), "packed by method 12"),
        (patched(GOOD, CENTRAL, 8, b"\1\0"), "flags 0x0001"),
        (patched(GOOD, CENTRAL, 24, b"\1"), "sizes that cannot be"),
        (patched(GOOD, CENTRAL, 46, b"\xff"), "not UTF-8"),
        (made(("../a", b"")), "not a plain relative one"),
        (made(("/a", b"")), "not a plain relative one"),
        (made(("a\\b", b"")), "not a plain relative one"),
        (made(("C:a", b"")), "not a plain relative one"),
        (made(("a.", b"")), "not a plain relative one"),
        (made(("a\u202eb", b"")), "not a plain relative one"),
        (made(("\u00e9", b""), ("e\u0301", b"")), "two names that many systems hold for one"),
        (made(("a", b""), ("a/b", b"")), "is a file and a folder"),
        (patched(GOOD, CENTRAL, 16, b"\0"), "says otherwise than its directory"),
        (patched(GOOD, LOCAL, 0, b"PK\3\5"), "says otherwise than its directory"),
        (patched(GOOD, CENTRAL, 42, b"\1"), "nothing may lie between"),
        (patched(GOOD[:START] + b"gap" + GOOD[START:], b"gap" + CENTRAL, 0, b"gap").replace(
            struct.pack("<L", START) + b"\0\0", struct.pack("<L", START + 3) + b"\0\0"),
         "does not end where the next one begins"),
        (patched(streamed(b"hello"), DESCRIPTOR, 4, b"\0"), "says otherwise than its directory"),
    ],
    ids=range(32),
)  # fmt: skip
def test_a_zip_that_breaks_a_rule_says_which(raw: bytes, words: str) -> None:
    with pytest.raises(BadMessage, match=words):
        opened(raw)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (GOOD.replace(b"hello", b"jello"), "does not have the size or the checksum"),
        (patched(FOLDED, b"a.txt", 5, b"\xff\xff"), "cannot be unpacked"),
        (FOLDED.replace(struct.pack("<L", 500), struct.pack("<L", 499)), "size or the checksum"),
    ],
)
def test_content_that_is_not_what_was_announced_is_refused_when_it_is_read(raw: bytes, words: str) -> None:
    found = opened(raw)
    with pytest.raises(BadMessage, match=words):
        found.read("a.txt", 1_000)


def test_a_file_larger_than_who_reads_it_allows_is_not_read() -> None:
    with pytest.raises(BadMessage, match="has 5 bytes; at most 4"):
        opened(GOOD).read("a.txt", 4)
