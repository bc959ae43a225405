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
# Times of Unix, and its owner: what many writers add.
TIMES = struct.pack("<HHBL", 0x5455, 5, 1, 0) + struct.pack("<HHL", 0x7855, 4, 0)
FOLDED = made(("a.txt", b"hello" * 100), method=zipfile.ZIP_DEFLATED)
TWO = made(("a.txt", b"1"), ("b.txt", b"2"))
START = struct.unpack_from("<L", GOOD, GOOD.index(END) + 16)[0]


def opened(raw: bytes) -> Zip:
    return open_zip(io.BytesIO(raw), most_entries=2)


@pytest.mark.parametrize(
    "raw",
    [
        GOOD,
        FOLDED,
        streamed(b"hello"),
        made((entry("a/", mode=0o040755), b""), ("a/b.txt", b"1")),
        made((entry("a", extra=TIMES), b"x")),
    ],
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
        (made((entry("a", extra=TIMES * 2), b"")), "extra field 0x5455"),
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
    ids=range(33),
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


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        # A gap before the directory, which says that it begins behind it.
        (
            GOOD[:START] + b"\0" + GOOD[START:-6] + struct.pack("<L", START + 1) + b"\0\0",
            "does not end where",
        ),
        (
            b"\0" + GOOD[:START] + GOOD[START:-6] + struct.pack("<L", START + 1) + b"\0\0",
            "asks for version 5124 of the format",  # a byte before it, and everything is read beside its place
        ),
        (made()[:-6] + struct.pack("<L", 0) + b"\0\0", ""),
        (b"\0" + made()[:-6] + struct.pack("<L", 1) + b"\0\0", "something lies before its directory"),
    ],
)
def test_nothing_lies_before_between_or_behind_the_files_of_a_zip(raw: bytes, words: str) -> None:
    if not words:
        assert open_zip(io.BytesIO(raw)).names == []
        return
    with pytest.raises(BadMessage, match=words):
        open_zip(io.BytesIO(raw))


def test_a_zip_unpacks_to_no_more_than_a_multiple_of_its_size() -> None:
    def saying(size: int) -> io.BytesIO:
        says = struct.pack("<L", size)
        return io.BytesIO(patched(patched(FOLDED, LOCAL, 22, says), CENTRAL, 24, says))

    least = 256 << 20
    assert open_zip(saying(least)).entries["a.txt"].size_bytes == least
    with pytest.raises(BadMessage, match=f"its {len(FOLDED)} bytes unpack to {least + 1}; at most 64 times"):
        open_zip(saying(least + 1))


def test_a_file_that_was_cut_after_its_zip_was_opened_ends_too_early() -> None:
    source = io.BytesIO(GOOD)
    archive = open_zip(source)
    source.truncate(GOOD.index(b"hello"))
    with pytest.raises(BadMessage, match="ends too early"):
        list(archive.chunks("a.txt"))


def test_a_deflated_file_is_one_whole_stream() -> None:
    for packed in (b"\x4b\x04\x00\x00", b"\x4a\x04"):  # something behind its end; no end
        head = GOOD[:START].replace(b"hello", packed)
        raw = bytearray(head + GOOD[START:])
        for sign, offset in ((LOCAL, 8), (CENTRAL, 10)):
            place = raw.index(sign)
            struct.pack_into("<H", raw, place + offset, zipfile.ZIP_DEFLATED)
            struct.pack_into("<LL", raw, place + offset + 10, len(packed), 1)
        struct.pack_into("<L", raw, raw.index(END) + 16, len(head))
        with pytest.raises(BadMessage, match=r"is not one whole deflated stream|cannot be unpacked"):
            open_zip(io.BytesIO(bytes(raw))).read("a.txt", 100)


def test_what_follows_a_streamed_file_has_one_of_its_two_lengths() -> None:
    raw = streamed(b"hello")
    place = raw.index(DESCRIPTOR)
    shorter = raw[:place] + raw[place + 4 :]
    shorter = shorter[:-6] + struct.pack("<L", shorter.index(CENTRAL)) + b"\0\0"
    with pytest.raises(BadMessage, match="does not end where the next one begins"):
        open_zip(io.BytesIO(shorter))


def test_the_two_ends_of_a_large_zip_say_the_same() -> None:
    start, size = START, GOOD.index(END) - START
    wide = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, GOOD.index(END), 1)
    assert open_zip(io.BytesIO(GOOD[: GOOD.index(END)] + wide + locator + GOOD[GOOD.index(END) :])).names == [
        "a.txt"
    ]
    for end, words in (
        (wide.replace(b"PK\6\6\x2c", b"PK\6\6\x2d"), "64-bit end is not where and what it says"),
        (struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2, 1, size, start), "64-bit end is not"),
        (
            struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, size + 1, start),
            "contradict each other",
        ),
    ):
        with pytest.raises(BadMessage, match=words):
            open_zip(io.BytesIO(GOOD[: GOOD.index(END)] + end + locator + GOOD[GOOD.index(END) :]))


class Cut(io.BytesIO):
    """A file that somebody cuts once its list of entries was read."""

    def seek(self, place: int, whence: int = 0) -> int:
        if place == 0 and whence == 0 and self.listed:
            self.truncate(29)
        self.listed = self.listed or place > 0
        return super().seek(place, whence)

    listed = False


def test_a_file_that_is_cut_while_it_is_read_is_refused() -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", b"content")
    with pytest.raises(BadMessage, match="ends too early"):
        open_zip(Cut(out.getvalue()), most_entries=3).read("a", 100)
