"""Zips as they are written: another reader and our own find the same in them, in every way a file can be added."""

from __future__ import annotations

import io
import tempfile
import zipfile
from datetime import UTC, datetime
from typing import IO

import pytest

from schemas.zipreading import open_zip
from schemas.zipwriting import ZipWriter, deflated, render_zip

AT = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
LARGE = bytes(range(256)) * 5_000


class OneWay(io.BytesIO):
    """A stream that cannot be gone back in."""

    def seekable(self) -> bool:
        return False


def read(raw: bytes) -> dict[str, bytes]:
    """The files of a zip as the standard library and `schemas.zipreading` find them, which must be the same."""
    ours = open_zip(io.BytesIO(raw), most_entries=100_000)
    with zipfile.ZipFile(io.BytesIO(raw)) as theirs:
        assert theirs.namelist() == ours.names
        found = {name: theirs.read(name) for name in theirs.namelist()}
    for name in ours.names[:10]:
        assert ours.read(name, len(found[name])) == found[name]
    return found


@pytest.mark.parametrize("content", [b"", b"small", LARGE], ids=len)
@pytest.mark.parametrize("out", [io.BytesIO, OneWay])
def test_a_file_is_the_same_however_it_is_added(content: bytes, out: type[io.BytesIO]) -> None:
    stream = out()
    writer = ZipWriter(stream)
    calls: list[IO[bytes]] = []

    def write(to: IO[bytes]) -> None:
        calls.append(to)
        for start in range(0, len(content), 100_000):
            to.write(content[start : start + 100_000])

    writer.add("added", content, AT, deflated)
    writer.add_chunks("chunks", [content[:7], content[7:]], AT)
    writer.add_stream("año", write, AT)
    writer.close(b"comment")
    assert read(stream.getvalue()) == dict.fromkeys(("added", "chunks", "año"), content)
    assert len(calls) == (2 if out is OneWay and content is LARGE else 1)
    with zipfile.ZipFile(stream) as archive:
        packed = archive.getinfo("added")
        assert (packed.compress_type == zipfile.ZIP_DEFLATED) == (content is LARGE)
        assert packed.compress_size <= len(content)


@pytest.mark.parametrize(
    ("at", "read_as"),
    [
        (datetime(1970, 5, 6, 7, 8, 9, tzinfo=UTC), (1980, 1, 1, 0, 0, 0)),
        (datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC), (2026, 5, 6, 7, 8, 8)),
    ],
)
def test_a_file_s_time_is_read_to_two_seconds_and_never_before_1980(
    at: datetime, read_as: tuple[int, ...]
) -> None:
    with zipfile.ZipFile(io.BytesIO(render_zip([("a", b"")], at))) as archive:
        assert archive.getinfo("a").date_time == read_as


def test_a_zip_of_more_files_than_sixteen_bits_count_is_read() -> None:
    found = read(render_zip(((f"{n}", b"") for n in range(65_536)), AT))
    assert len(found) == 65_536


def test_a_file_that_begins_beyond_four_gigabytes_is_read() -> None:
    """The file is sparse: what lies before is never written."""
    with tempfile.TemporaryFile() as out:
        writer = ZipWriter(out)
        writer.add("first", b"1", AT)
        gap = (1 << 32) - out.tell()
        out.seek(1 << 32)
        writer._place += gap
        writer.add("second", b"2", AT)
        writer.close()
        with zipfile.ZipFile(out) as archive:
            assert archive.read("second") == b"2"
            assert archive.getinfo("second").header_offset == 1 << 32
