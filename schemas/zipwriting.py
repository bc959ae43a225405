"""The one way zips are written here: every size and checksum in the local header, so that any reader reads them as they come.

Nothing follows an entry's data (no data descriptor): Java's streaming reader, which X-Road's verifier uses, takes none after a
stored entry. So an entry's size and checksum must be known before it is written: content in memory has them; chunks are drawn
twice; and where the file can be gone back in, a stream is written first and its header after.

Entries are stored, not deflated, unless asked: deflating ten kilobytes costs more than all else a container costs.

Spec: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.
"""

from __future__ import annotations

import io
import struct
import zlib
from functools import lru_cache
from typing import IO, TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    # Makes a file of its name, content and time.
    MakeEntry = Callable[[str, bytes, datetime], "PackedEntry"]

    from typing_extensions import Buffer

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
# The same without its last field, the place.
_LISTED = struct.Struct("<4s6H3L5HL")
_PLACE = struct.Struct("<L")
_END = struct.Struct("<4s4H2LH")
_STORED, _DEFLATED = 0, 8
_UTF8 = 0x0800
_SHORT, _LONG = 0xFFFF, 0xFFFFFFFF
_VERSION, _VERSION64 = 20, 45
# A plain file of Unix that its owner may read and write.
_MADE_BY, _ATTRIBUTES = 3 << 8, 0o100600 << 16
_IN_MEMORY = 1024 * 1024
_BUFFER = 64 * 1024


class PackedEntry(msgspec.Struct, frozen=True):
    """A file as it stands in any zip: name, header and data, and its line of the directory but for its place (APPNOTE 4.3.7, 4.3.12)."""

    name: bytes
    content: bytes
    listed: bytes


def stored(name: str, content: bytes, at: datetime) -> PackedEntry:
    """A file as it is; ``at`` is its time as it shall be read, to two seconds."""
    return _entry(name, at, _STORED, content, content)


def deflated(name: str, content: bytes, at: datetime) -> PackedEntry:
    """A file deflated, where that makes it smaller."""
    # The fastest level: the next ones cost half as much again, and gain a hundredth.
    pack = zlib.compressobj(1, wbits=-zlib.MAX_WBITS)
    smaller = pack.compress(content) + pack.flush()
    if len(smaller) >= len(content):
        return stored(name, content, at)
    return _entry(name, at, _DEFLATED, content, smaller)


def _entry(name: str, at: datetime, method: int, content: bytes, data: bytes) -> PackedEntry:
    """``content`` as ``data``; below 4 GiB."""
    raw, flags = _raw(name)
    facts = (_VERSION, flags, method, *_moment(at), zlib.crc32(content), len(data), len(content), len(raw))
    return PackedEntry(
        raw,
        _LOCAL.pack(b"PK\x03\x04", *facts, 0) + raw + data,
        _LISTED.pack(b"PK\x01\x02", _VERSION | _MADE_BY, *facts, 0, 0, 0, 0, _ATTRIBUTES),
    )


class ZipWriter:
    """Writes one zip to ``out``, from its beginning: `add`, `add_chunks` or `add_stream` each file, then `close`."""

    def __init__(self, out: IO[bytes]) -> None:
        self._out = out
        self._place = 0
        self._directory: list[bytes] = []

    def add(self, name: str, content: bytes, at: datetime, make: MakeEntry = stored) -> None:
        """Append a file that is in memory; ``at`` is its time as it shall be read, to two seconds."""
        self.add_entry(make(name, content, at))

    def add_entry(self, entry: PackedEntry) -> None:
        """Append a file as it stands."""
        if self._place < _LONG:
            self._directory.append(entry.listed + _PLACE.pack(self._place) + entry.name)
        else:
            self._directory.append(_far(entry, self._place))
        self._write(entry.content)

    def add_chunks(self, name: str, chunks: Iterable[bytes], at: datetime) -> None:
        """Append a file from chunks that can be drawn twice, and are when they are many.

        Raises ValueError when they are others the second time, or cannot be drawn again.
        """
        size = checksum = 0
        kept: list[bytes] | None = []
        for chunk in chunks:
            size, checksum = size + len(chunk), zlib.crc32(chunk, checksum)
            if kept is not None:
                kept.append(chunk)
                if size > _IN_MEMORY:
                    kept = None
        if kept is None and iter(chunks) is chunks:
            raise ValueError(f"the content of {name} can be drawn only once, and is too large to be held")
        self._head(name, at, _STORED, checksum, size, size)
        again = again_size = 0
        for chunk in chunks if kept is None else kept:
            again_size, again = again_size + len(chunk), zlib.crc32(chunk, again)
            self._write(chunk)
        if (again, again_size) != (checksum, size):
            raise ValueError(f"the content of {name} was another one the second time")

    def add_stream(self, name: str, write: Callable[[IO[bytes]], object], at: datetime) -> None:
        """Append a file that ``write`` writes to the stream it is given.

        Beyond a megabyte ``out`` is gone back in to say the size; where that cannot be, ``write`` is called a second time and
        must write the same. Raises ValueError when it does not.
        """
        entry = _Entry(self, name, at, rewinds=self._out.seekable())
        with io.BufferedWriter(entry, _BUFFER) as buffered:
            write(buffered)
        if entry.finish():
            return
        again = _Entry(self, name, at, rewinds=True, goes_through=True)
        self._head(name, at, _STORED, entry.checksum, entry.size, entry.size)
        with io.BufferedWriter(again, _BUFFER) as buffered:
            write(buffered)
        if (again.checksum, again.size) != (entry.checksum, entry.size):
            raise ValueError(f"the content of {name} was another one the second time")

    def close(self, comment: bytes = b"") -> None:
        """Write the directory; the zip is whole."""
        start, count = self._place, len(self._directory)
        self._write(b"".join(self._directory))
        length = self._place - start
        if count >= _SHORT or length >= _LONG or start >= _LONG:
            place = self._place
            fields = (44, _VERSION64 | _MADE_BY, _VERSION64, 0, 0, count, count, length, start)
            self._write(struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", *fields))
            self._write(struct.pack("<4sLQL", b"PK\x06\x07", 0, place, 1))
        ends = (min(count, _SHORT), min(count, _SHORT), min(length, _LONG), min(start, _LONG))
        self._write(_END.pack(b"PK\x05\x06", 0, 0, *ends, len(comment)) + comment)

    def _write(self, data: bytes) -> None:
        self._out.write(data)
        self._place += len(data)

    def _head(self, name: str, at: datetime, method: int, checksum: int, packed: int, size: int) -> None:
        """Write the local header of what comes next, and keep what the directory says of it."""
        self._directory.append(_listed(name, at, method, checksum, packed, size, self._place))
        self._write(_local(name, at, method, checksum, packed, size))


class _Entry(io.RawIOBase):
    """A file of a zip under way: held while it is small, then written with its header to come, or only counted."""

    def __init__(
        self, writer: ZipWriter, name: str, at: datetime, *, rewinds: bool, goes_through: bool = False
    ) -> None:
        self._writer, self._name, self._at = writer, name, at
        self._rewinds = rewinds
        self._buffered: list[bytes] | None = None if goes_through else []
        self._start = writer._place
        self.size = self.checksum = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Buffer, /) -> int:
        raw = bytes(data)
        self.size, self.checksum = self.size + len(raw), zlib.crc32(raw, self.checksum)
        if self._buffered is None:
            if self._rewinds:
                self._writer._write(raw)
            return len(raw)
        self._buffered.append(raw)
        if self.size > _IN_MEMORY:
            buffered, self._buffered = self._buffered, None
            if self._rewinds:
                self._writer._write(_local(self._name, self._at, _STORED, 0, 0, 0, wide=True))
                for part in buffered:
                    self._writer._write(part)
        return len(raw)

    def finish(self) -> bool:
        """Say how large it became; whether it is written, and not only counted."""
        writer, facts = self._writer, (self._name, self._at, _STORED, self.checksum, self.size, self.size)
        if self._buffered is not None:
            writer._head(*facts)
            for part in self._buffered:
                writer._write(part)
        elif self._rewinds:
            end = writer._out.tell()
            writer._out.seek(end - (writer._place - self._start))
            writer._out.write(_local(*facts, wide=True))
            writer._out.seek(end)
            writer._directory.append(_listed(*facts, self._start))
        return self._buffered is not None or self._rewinds


def _local(
    name: str, at: datetime, method: int, checksum: int, packed: int, size: int, *, wide: bool = False
) -> bytes:
    """A local header; ``wide`` has the sizes in 64 bits whatever they are, so that it has one length."""
    raw, flags = _raw(name)
    wide = wide or packed >= _LONG or size >= _LONG
    extra = struct.pack("<2H2Q", 1, 16, size, packed) if wide else b""
    sizes = (_LONG, _LONG) if wide else (packed, size)
    version = _VERSION64 if wide else _VERSION
    head = (version, flags, method, *_moment(at), checksum, *sizes, len(raw), len(extra))
    return _LOCAL.pack(b"PK\x03\x04", *head) + raw + extra


def _listed(name: str, at: datetime, method: int, checksum: int, packed: int, size: int, place: int) -> bytes:
    """A file's header in the central directory (APPNOTE 4.3.12)."""
    raw, flags = _raw(name)
    wide = [v for v in (size, packed, place) if v >= _LONG]
    extra = struct.pack(f"<2H{len(wide)}Q", 1, 8 * len(wide), *wide) if wide else b""
    version = _VERSION64 if wide else _VERSION
    head = (
        version | _MADE_BY,
        version,
        flags,
        method,
        *_moment(at),
        checksum,
        min(packed, _LONG),
        min(size, _LONG),
    )
    tail = (len(raw), len(extra), 0, 0, 0, _ATTRIBUTES, min(place, _LONG))
    return _CENTRAL.pack(b"PK\x01\x02", *head, *tail) + raw + extra


def _far(entry: PackedEntry, place: int) -> bytes:
    """A file's line of the directory where it stands beyond 4 GiB."""
    fields = list(_LISTED.unpack(entry.listed))
    extra = struct.pack("<2HQ", 1, 8, place)
    fields[1], fields[2], fields[11] = _VERSION64 | _MADE_BY, _VERSION64, len(extra)
    return _LISTED.pack(*fields) + _PLACE.pack(_LONG) + entry.name + extra


@lru_cache(maxsize=64)
def _raw(name: str) -> tuple[bytes, int]:
    return (name.encode(), 0 if name.isascii() else _UTF8)


@lru_cache(maxsize=16)
def _moment(at: datetime) -> tuple[int, int]:
    """Time and date as MS-DOS wrote them; what is before 1980 is its first day."""
    if at.year < 1980:
        return 0, 1 << 5 | 1
    return at.hour << 11 | at.minute << 5 | at.second // 2, (at.year - 1980) << 9 | at.month << 5 | at.day


def render_zip(entries: Iterable[tuple[str, bytes]], at: datetime, make: MakeEntry = stored) -> bytes:
    """A zip in memory of files that are."""
    out = io.BytesIO()
    writer = ZipWriter(out)
    for name, content in entries:
        writer.add(name, content, at, make)
    writer.close()
    return out.getvalue()


class Redrawn:
    """Chunks that can be drawn as often as asked: ``draw`` begins anew each time."""

    def __init__(self, draw: Callable[[], Iterable[bytes]]) -> None:
        self._draw = draw

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._draw())
