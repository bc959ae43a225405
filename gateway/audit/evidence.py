"""Units of evidence: where signed containers lie, cut into pieces of work that another process can open by itself.

A unit is a file that is a container or a small bundle of them, or a run of containers within an archive. Units are found one
after another, so a million containers stand nowhere in memory; small files are opened by whoever judges them and by nobody before.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from schemas.faults import Fault
from schemas.zipreading import open_zip
from serving.storage.objects import is_address, objects_at, open_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from schemas.zipreading import Zip

TOGETHER = 100
# Files up to here are one unit, whatever is in them.
SMALL = 1024 * 1024
_SUFFIXES = (".asice", ".zip", ".sealed")
_CONTAINER = ".asice"
_CHUNK = 1024 * 1024


class EvidenceUnit(msgspec.Struct, frozen=True):
    """A file, or of an archive the containers from ``start`` until before ``end``; ``stamp`` is size and time of the file."""

    path: str
    start: int = 0
    end: int = 0
    stamp: str = ""

    @property
    def key(self) -> str:
        """The unit's key: other units have another one, and so has this unit once its file was changed."""
        return f"{self.path}\n{self.start}-{self.end}\n{self.stamp}"

    @property
    def count(self) -> int:
        """The number of containers in it; 1 for a whole file, whose containers are not counted before it is read."""
        return max(1, self.end - self.start)


def find_units(paths: Iterable[Path | str]) -> Iterator[EvidenceUnit]:
    """Every unit in files and folders, these by their files' names in order. Raises OSError when a path is not there.

    A text with ``://`` is an address in an object store (`serving.storage.objects`).
    """
    for path in paths:
        if is_address(path):
            for found, stamp, size in objects_at(str(path), _SUFFIXES):
                yield from _units_of(found, stamp, size)
        elif Path(path).is_dir():
            for found in sorted(_files_in(str(path))):
                yield from _units_of(found)
        else:
            yield from _units_of(str(path))


def open_evidence(path: str) -> IO[bytes]:
    """The bytes of a file or of an object, to be read at any place. Raises OSError."""
    return open_object(path) if is_address(path) else io.FileIO(path)


def _files_in(folder: str) -> Iterator[str]:
    """The files of evidence in a folder and in those within it; links to folders are not followed."""
    within = [folder]
    while within:
        with os.scandir(within.pop()) as found:
            for entry in found:
                if entry.is_dir(follow_symlinks=False):
                    within.append(entry.path)
                elif entry.name.endswith(_SUFFIXES) and entry.is_file():
                    yield entry.path


def _units_of(path: str, stamp: str = "", size: int = 0) -> Iterator[EvidenceUnit]:
    if not stamp:
        about = Path(path).stat()
        stamp, size = f"{about.st_size}-{about.st_mtime_ns}", about.st_size
    if size <= SMALL:
        yield EvidenceUnit(path, stamp=stamp)
        return
    with open_evidence(path) as source:
        count = len(contained(source))
    if not count:
        yield EvidenceUnit(path, stamp=stamp)
    for start in range(0, count, TOGETHER):
        yield EvidenceUnit(path, start, min(count, start + TOGETHER), stamp)


def contained(source: IO[bytes]) -> list[str]:
    """The names of the containers in a bundle or archive; none where the file is a container, or is no zip."""
    try:
        archive = open_zip(source)
    except Fault:
        return []
    return containers_in(archive)


def containers_in(archive: Zip) -> list[str]:
    """The names of an archive's containers, in their order; none where it is itself a container."""
    if "META-INF/signatures.xml" in archive.names:
        return []
    return [name for name in archive.names if name.endswith(_CONTAINER)]


def digest_of_file(source: IO[bytes]) -> str:
    """SHA-256 of what a stream has, in hex; read from its start, which it is left at."""
    source.seek(0)
    digest = hashlib.sha256()
    while chunk := source.read(_CHUNK):
        digest.update(chunk)
    source.seek(0)
    return digest.hexdigest()
