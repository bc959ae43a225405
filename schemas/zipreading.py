"""The only door by which a zip from outside comes in: one reading, the same for every reader.

A zip can be read by its directory at the end or by its local headers from the front. Here both must say the same, or nothing
is read: the file is exactly the local entries of the directory, in its order, from offset 0, then the directory, then its end.
Names are plain, compression is stored or deflated, sizes and checksums are true, and what an entry unpacks to is bounded
before any of it is believed. X-Road's own files keep these rules: Java's deflated entries, whose sizes follow the data, and
those of Info-ZIP.

What the entries mean is their readers' affair (`schemas.asic.container`, `gateway.messagelog.archive`).

Spec: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.
"""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from functools import lru_cache
from typing import IO, TYPE_CHECKING, cast

import msgspec

from schemas.faults import BadMessage, Kind
from schemas.readings import normalised
from schemas.showing import CONTROLS, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from typing_extensions import Buffer

STORED, DEFLATED = 0, 8
_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
# Of a directory's entry: flags, method, time, date, checksum, sizes and the name's length, as its local header has them after ten bytes.
_REPEATED = slice(8, 30)
_LOCAL_SIGN, _CENTRAL_SIGN, _END_SIGN = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END64_SIGN, _LOCATOR64_SIGN, _DESCRIPTOR_SIGN = b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08"
_FOLLOWS, _UTF8 = 0x0008, 0x0800
# Bits 1 and 2 say how hard the writer deflated.
_FLAGS = _FOLLOWS | _UTF8 | 0x0006
_SHORT, _LONG = 0xFFFF, 0xFFFFFFFF
_ZIP64 = 0x0001
# Zip64 sizes; times and owners as Info-ZIP, Java and NTFS write them. Others give an entry a second name or kind.
_EXTRAS = frozenset((_ZIP64, 0x5455, 0x5855, 0x7855, 0x7875, 0x000A))
_KIND_BITS, _FILE, _FOLDER = 0o170000, 0o100000, 0o040000
_LONGEST_NAME = 512
_LARGEST_DIRECTORY = 64 * 1024 * 1024
# 4.5, of 64-bit sizes: who reads no newer one passes over an entry that asks for it, and others read it.
_NEWEST = 45
# Deflate can make a thousand bytes of one. What real containers hold stays far below, but small ones may repeat much.
_RATIO, _ALWAYS_UNPACKED = 64, 256 * 1024 * 1024
_CHUNK = 64 * 1024
_LONGEST_COMMENT = 128
_MOST_ENTRIES = 200_000
_IN_MEMORY = 4 * 1024 * 1024


class ZipEntry(msgspec.Struct, frozen=True):
    """A file in a zip: where its data is, how it is packed, how large it is and must be; ``moment`` as MS-DOS date and time."""

    name: str
    method: int
    crc: int
    packed_bytes: int
    size_bytes: int
    data_at: int
    moment: tuple[int, int]

    @property
    def date_time(self) -> tuple[int, int, int, int, int, int]:
        """Year, month, day, hour, minute and second of its last change, as the zip says."""
        date, time = self.moment
        return (1980 + (date >> 9), date >> 5 & 15, date & 31, time >> 11, time >> 5 & 63, (time & 31) * 2)


class Zip:
    """A zip that keeps every rule, open for reading; `open_zip` makes it."""

    def __init__(self, source: IO[bytes], entries: Mapping[str, ZipEntry], comment: bytes) -> None:
        self._source = source
        self.entries = entries
        self.comment = comment

    @property
    def names(self) -> Sequence[str]:
        """The names of its files, in their order."""
        return list(self.entries)

    def chunks(self, name: str) -> Iterator[bytes]:
        """A file's bytes, a chunk at a time, its size and checksum proved by the end. Raises `BadMessage`."""
        entry = self.entries[name]
        size = checksum = 0
        for chunk in self._unpacked(entry):
            size += len(chunk)
            if size > entry.size_bytes:
                break
            checksum = zlib.crc32(chunk, checksum)
            yield chunk
        if size != entry.size_bytes or checksum != entry.crc:
            raise _untrue(name)

    def read(self, name: str, largest_bytes: int) -> bytes:
        """A whole file. Raises `BadMessage` when it is larger than ``largest_bytes``."""
        if self.entries[name].size_bytes > largest_bytes:
            raise _broken(
                f"{shown(name)} in it has {self.entries[name].size_bytes} bytes; at most {largest_bytes} are read"
            )
        entry = self.entries[name]
        if entry.method == STORED and entry.size_bytes <= _CHUNK:
            self._source.seek(entry.data_at)
            content = self._source.read(entry.size_bytes)
            if len(content) != entry.size_bytes or zlib.crc32(content) != entry.crc:
                raise _untrue(name)
            return content
        return b"".join(self.chunks(name))

    def open(self, name: str) -> IO[bytes]:
        """A file as a stream one can go back in, for what is a zip itself; proved whole. Raises `BadMessage`.

        What is stored is read where it lies; what is deflated goes to a nameless file beyond a few megabytes.
        """
        entry = self.entries[name]
        if entry.method == STORED:
            for _ in self.chunks(name):
                pass
            return cast(
                "IO[bytes]", io.BufferedReader(_Window(self._source, entry.data_at, entry.size_bytes))
            )
        spooled: IO[bytes] = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # the caller closes it
        for chunk in self.chunks(name):
            spooled.write(chunk)
        spooled.seek(0)
        return spooled

    def _unpacked(self, entry: ZipEntry) -> Iterator[bytes]:
        self._source.seek(entry.data_at)
        place, left = entry.data_at, entry.packed_bytes
        inflate = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == DEFLATED else None
        while left and not (inflate and inflate.eof):
            self._source.seek(place)  # two files may be drawn in turns
            packed = self._source.read(min(left, _CHUNK))
            if not packed:
                raise _broken("it ends too early")
            place, left = place + len(packed), left - len(packed)
            if inflate is None:
                yield packed
                continue
            while packed and not inflate.eof:
                try:
                    yield inflate.decompress(packed, _CHUNK)
                except zlib.error:
                    raise _broken(f"{shown(entry.name)} in it cannot be unpacked") from None
                packed = inflate.unconsumed_tail
        if inflate is not None and (not inflate.eof or left or inflate.unused_data):
            raise _broken(f"{shown(entry.name)} in it is not one whole deflated stream")


class _Window(io.RawIOBase):
    """Some bytes of a file as a file."""

    def __init__(self, source: IO[bytes], start: int, size: int) -> None:
        self._source = source
        self._start, self._size, self._place = start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, base + offset)
        return self._place

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        self._source.seek(self._start + self._place)
        data = self._source.read(max(0, min(len(view), self._size - self._place)))
        view[: len(data)] = data
        self._place += len(data)
        return len(data)


# Opening


class _Listed(msgspec.Struct, frozen=True):
    """An entry as the directory has it; ``raw_name`` in bytes. ``fields`` is what its local header repeats byte for byte."""

    raw_name: bytes
    fields: bytes
    name: str
    flags: int
    method: int
    moment: tuple[int, int]
    crc: int
    packed_bytes: int
    size_bytes: int
    offset: int

    @property
    def is_folder(self) -> bool:
        return self.name.endswith("/")

    @property
    def is_narrow(self) -> bool:
        """Whether its sizes stand in its header, and not in 64 bits behind it."""
        return self.packed_bytes < _LONG and self.size_bytes < _LONG

    def entry(self, data_at: int) -> ZipEntry:
        """The entry, whose data is there."""
        return ZipEntry(
            self.name, self.method, self.crc, self.packed_bytes, self.size_bytes, data_at, self.moment
        )


def open_zip(source: IO[bytes], *, most_entries: int = _MOST_ENTRIES) -> Zip:
    """A zip whose every header was looked at, and none of whose files was unpacked. Raises `BadMessage`.

    1. Its end is the file's end. 2. The directory lies just before it and is whole. 3. Names are plain, no two alike, and kinds
    are files and folders. 4. Each local header says what the directory says and lies where the one before it ends, the first
    at 0, the last before the directory. 5. What it unpacks to is bounded by its size. ``source`` can be gone back in.
    """
    size = source.seek(0, io.SEEK_END)
    start, end, count, comment = _read_end(source, size)  # 1
    if count > most_entries:
        raise _broken(f"it has {count} entries; at most {most_entries} are read")
    source.seek(start)
    listed = _read_directory(source.read(end - start), count)  # 2
    _check_names(listed)  # 3
    place = 0
    entries: dict[str, ZipEntry] = {}
    for number, found in enumerate(listed):  # 4
        after = listed[number + 1].offset if number + 1 < len(listed) else start
        data_at = _check_local(source, found, place, after)
        place = after
        if not found.is_folder:
            entries[found.name] = found.entry(data_at)
    if place != start:
        raise _broken("something lies before its directory")
    unpacked = sum(e.size_bytes for e in entries.values())
    if unpacked > max(_ALWAYS_UNPACKED, _RATIO * size):  # 5
        raise _broken(f"its {size} bytes unpack to {unpacked}; at most {_RATIO} times as many are read")
    return Zip(source, entries, comment)


def _read_end(source: IO[bytes], size: int) -> tuple[int, int, int, bytes]:
    """The offsets of the directory's start and end, the number of its entries, and the comment."""
    source.seek(max(0, size - _END.size - _LONGEST_COMMENT))
    tail = source.read()
    places: list[int] = []
    place = tail.find(_END_SIGN)
    while 0 <= place <= len(tail) - _END.size:
        if _END.unpack_from(tail, place)[-1] == len(tail) - place - _END.size:
            places.append(place)
        place = tail.find(_END_SIGN, place + 1)
    if len(places) != 1:
        raise _broken("a directory at its very end was expected, and one only")
    _, disk, first_disk, here, count, length, start, _ = _END.unpack_from(tail, places[0])
    comment = tail[places[0] + _END.size :]
    if not comment.decode("latin-1").isprintable() or b"PK" in comment:
        raise _broken("its comment is not plain text")
    end = size - len(tail) + places[0]
    if (found := _read_end64(source, end)) is not None:
        declared, (count, length, start, end) = (here, count, length, start), found
        if any(
            a not in (b, most)
            for a, b, most in zip(
                declared, (count, count, length, start), (_SHORT, _SHORT, _LONG, _LONG), strict=True
            )
        ):
            raise _broken("its two ends contradict each other")
        here = count
    if (disk, first_disk) != (0, 0) or here != count or start + length != end or length > _LARGEST_DIRECTORY:
        raise _broken("its end does not say where its directory is, or that is too large")
    return start, end, count, comment


def _read_end64(source: IO[bytes], end: int) -> tuple[int, int, int, int] | None:
    """Entries, length, start and end of the directory, of a zip whose numbers need 64 bits; None of any other."""
    place = end - _LOCATOR64.size - _END64.size
    if place < 0:
        return None
    source.seek(place)
    raw = source.read(_END64.size + _LOCATOR64.size)
    sign, disk, offset, disks = _LOCATOR64.unpack_from(raw, _END64.size)
    if sign != _LOCATOR64_SIGN:
        return None
    sign64, rest, _, _, number, first, here, count, length, start = _END64.unpack_from(raw)
    if (sign64, rest, offset, disk, disks, number, first) != (
        _END64_SIGN,
        _END64.size - 12,
        place,
        0,
        1,
        0,
        0,
    ) or here != count:
        raise _broken("its 64-bit end is not where and what it says")
    return count, length, start, place


def _read_directory(raw: bytes, count: int) -> list[_Listed]:
    listed: list[_Listed] = []
    place = 0
    while place < len(raw):
        if len(listed) >= count or place + _CENTRAL.size > len(raw):
            raise _broken("its directory is not whole")
        found, place = _read_listed(raw, place)
        listed.append(found)
    if len(listed) != count:
        raise _broken(f"its directory has {len(listed)} entries, and says {count}")
    return listed


def _read_listed(raw: bytes, place: int) -> tuple[_Listed, int]:
    sign, made_by, _, flags, method, time, date, crc, packed, size, n, x, c, disk, _, attributes, offset = (
        _CENTRAL.unpack_from(raw, place)
    )
    name_at = place + _CENTRAL.size
    extra_at = name_at + n
    end = extra_at + x
    if sign != _CENTRAL_SIGN or end > len(raw) or c or disk not in (0, _SHORT):
        raise _broken("an entry of its directory cannot be read, or has a comment")
    raw_name = raw[name_at:extra_at]
    name = _name(raw_name, flags)
    if x or disk or _LONG in (size, packed, offset):
        wide = "Q" * ((size == _LONG) + (packed == _LONG) + (offset == _LONG)) + "L" * (disk == _SHORT)
        more = _extra(raw[extra_at:end], name, f"<{wide}" if wide else "")
        size = more.pop(0) if size == _LONG else size
        packed = more.pop(0) if packed == _LONG else packed
        offset = more.pop(0) if offset == _LONG else offset
    _check_kind(name, attributes, made_by, flags, method)
    _check_version(name, raw[place + 6 : place + 8])
    if method == STORED and size != packed:
        raise _broken(f"{shown(name)} in it has sizes that cannot be")
    if size and name.endswith("/"):
        raise _broken(f"{shown(name)} in it is a folder with content, which nothing signs")
    fields = raw[place + _REPEATED.start : place + _REPEATED.stop]
    return _Listed(raw_name, fields, name, flags, method, (date, time), crc, packed, size, offset), end


# A container's entries are all of one kind.
@lru_cache(maxsize=256)
def _check_kind(name: str, attributes: int, made_by: int, flags: int, method: int) -> None:
    is_folder = name.endswith("/")
    kind = (attributes >> 16) & _KIND_BITS
    if (
        kind not in (0, _FOLDER if is_folder else _FILE)
        or (attributes & 0x10 and not is_folder)
        or made_by >> 8 > 19
    ):
        raise _broken(f"{shown(name)} in it is no plain file or folder")
    if flags & ~_FLAGS or method not in (STORED, DEFLATED):
        raise _broken(
            f"{shown(name)} in it is packed by method {method} with flags {flags:#06x}; stored or deflated was expected"
        )


def _check_version(name: str, raw: bytes) -> None:
    if (needed := int.from_bytes(raw, "little")) > _NEWEST:
        raise _broken(
            f"{shown(name)} in it asks for version {needed} of the format; at most {_NEWEST} was expected"
        )


def _extra(raw: bytes, name: str, wide: str) -> list[int]:
    """The 64-bit numbers, exactly those in the format ``wide``, of an entry's extra field; nothing strange is in it."""
    if not raw and not wide:
        return []
    found: dict[int, bytes] = {}
    place = 0
    while place + 4 <= len(raw):
        kind, size = struct.unpack_from("<HH", raw, place)
        content = raw[place + 4 : place + 4 + size]
        if len(content) != size or kind not in _EXTRAS or kind in found:
            raise _broken(f"{shown(name)} in it has an extra field {kind:#06x} that is not read")
        found[kind], place = content, place + 4 + size
    content = found.get(_ZIP64, b"")
    if place != len(raw) or len(content) != struct.calcsize(wide):
        raise _broken(f"{shown(name)} in it has an extra field that does not fit")
    return list(struct.unpack(wide, content)) if wide else []


# The same dozen names stand in every container.
@lru_cache(maxsize=256)
def _name(raw: bytes, flags: int) -> str:
    """An entry's name, which must be plain on every system."""
    try:
        name = raw.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError:
        raise _broken(f"a name in it is not UTF-8 and said to be: {raw[:80]!r}") from None
    parts = name.removesuffix("/").split("/")
    is_plain = all(p and p not in (".", "..") and p == p.strip(" ").rstrip(".") for p in parts)
    if not is_plain or len(raw) > _LONGEST_NAME or CONTROLS.search(name) or "\\" in name or ":" in name:
        raise _broken(f"the name {shown(name)!r} in it is not a plain relative one")
    return name


def _check_names(listed: Sequence[_Listed]) -> None:
    seen: set[str] = set()
    folders: set[str] = set()
    files: set[str] = set()
    for found in listed:
        whole = normalised("NFC", found.name)
        name = whole.removesuffix("/")
        if name in seen:
            raise _broken(f"it has {shown(found.name)} twice, or two names that many systems hold for one")
        seen.add(name)
        if name == whole:
            files.add(name)
        place = name.find("/")
        while place >= 0:
            folders.add(name[:place])
            place = name.find("/", place + 1)
    if both := files & folders:
        raise _broken(f"{shown(min(both))} in it is a file and a folder")


def _check_local(source: IO[bytes], found: _Listed, place: int, after: int) -> int:
    """The offset at which the data of an entry begins whose local header is at ``place``, and which ends at ``after``."""
    if found.offset != place:
        raise _broken(
            f"{shown(found.name)} in it lies at {found.offset}; {place} was expected, for nothing may lie between"
        )
    source.seek(place)
    raw = source.read(_LOCAL.size + len(found.raw_name))
    data_at = place + len(raw)
    _check_version(found.name, raw[4:6])
    if raw == b"%b%b%b\0\0%b" % (_LOCAL_SIGN, raw[4:6], found.fields, found.raw_name) and (
        data_at + found.packed_bytes == after and not found.flags & _FOLLOWS and found.is_narrow
    ):
        return data_at  # as most are: what its directory says, byte for byte, and no more
    return _check_other_local(source, found, place, after)


def _check_other_local(source: IO[bytes], found: _Listed, place: int, after: int) -> int:
    """`_check_local` of a header that has an extra field, 64-bit sizes, or sizes that follow the data; or is not as it must be."""
    source.seek(place)
    raw = source.read(_LOCAL.size)
    if len(raw) < _LOCAL.size:
        raise _broken("it ends too early")
    sign, _, flags, method, time, date, crc, packed, size, n, x = _LOCAL.unpack(raw)
    named = source.read(n + x)
    wide = (size == _LONG) + (packed == _LONG)
    more = _extra(named[n:], found.name, "<" + "Q" * wide if wide else "") if len(named) == n + x else []
    size = more.pop(0) if size == _LONG and more else size
    packed = more.pop(0) if packed == _LONG and more else packed
    declared, true = (crc, packed, size), (found.crc, found.packed_bytes, found.size_bytes)
    later = bool(flags & _FOLLOWS) and declared == (0, 0, 0)
    heads = (sign, flags, method, (date, time), named[:n])
    if heads != (_LOCAL_SIGN, found.flags, found.method, found.moment, found.raw_name) or not (
        later or declared == true
    ):
        raise _broken(f"the header of {shown(found.name)} in it says otherwise than its directory")
    data_at: int = place + _LOCAL.size + n + x
    left = after - data_at - found.packed_bytes
    if flags & _FOLLOWS:
        left -= _check_descriptor(source, found, data_at + found.packed_bytes, left)
    if left:
        raise _broken(f"{shown(found.name)} in it does not end where the next one begins")
    return data_at


def _check_descriptor(source: IO[bytes], entry: _Listed, place: int, size: int) -> int:
    """The size of the sizes that follow an entry's data."""
    form = {16: "<4s3L", 24: "<4sL2Q"}.get(size)
    if form is None:
        raise _broken(f"{shown(entry.name)} in it does not end where the next one begins")
    source.seek(place)
    raw = source.read(size)
    if len(raw) < size or struct.unpack(form, raw) != (
        _DESCRIPTOR_SIGN,
        entry.crc,
        entry.packed_bytes,
        entry.size_bytes,
    ):
        raise _broken(f"what follows {shown(entry.name)} in it says otherwise than its directory")
    return size


def _untrue(name: str) -> BadMessage:
    return _broken(f"{shown(name)} in it does not have the size or the checksum that it says")


def _broken(detail: str) -> BadMessage:
    return BadMessage(Kind.INVALID_MESSAGE, f"the zip is not one that every reader reads alike: {detail}")
