"""A transparency log's files: tiles, entry bundles, openings and the checkpoint, written in an order that a crash cannot hurt.

In the folder: ``checkpoint``, ``tile/...`` as C2SP tlog-tiles names them, both served to whoever asks; ``openings``, rows of
`OPENING_BYTES` by index, which stay here; ``stamped/<size>.checkpoint`` and ``.tst``, checkpoints with an RFC 3161 timestamp.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import shutil
from typing import TYPE_CHECKING

from certs.edges.tokenfiles import sync_folder, write_whole
from schemas.faults import Fault, Kind
from schemas.transparency.entries import OPENING_BYTES, parse_opening
from schemas.transparency.merkle import HASH_BYTES
from schemas.transparency.notes import parse_note
from schemas.transparency.tiles import WIDTH, TileName, parse_bundle, parse_tile_path

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from schemas.transparency.entries import Opening
    from schemas.transparency.notes import SignedNote

_ROWS_TOGETHER = 1_000
_DIGEST_PLACE = OPENING_BYTES - 64


class OpeningTable:
    """Openings by index and by record digest, without reading them all into memory."""

    def __init__(self, mapped: mmap.mmap, size: int) -> None:
        self._mapped = mapped
        self._size = size

    def at(self, index: int) -> Opening | None:
        """The opening of an entry; None when there is none. Raises `BadMessage`."""
        if not 1 <= index < self._size:
            return None
        raw = self._mapped[index * OPENING_BYTES : (index + 1) * OPENING_BYTES]
        return parse_opening(raw) if len(raw) == OPENING_BYTES else None

    def find(self, record_digest: bytes) -> Opening | None:
        """The first opening of a record of that digest."""
        place = self._mapped.find(record_digest, OPENING_BYTES)
        while place >= 0:
            index, within = divmod(place, OPENING_BYTES)
            if within == _DIGEST_PLACE:
                return self.at(index)
            place = self._mapped.find(record_digest, place + 1)
        return None


class TransparencyFiles:
    """The files of one transparency log below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    # Reading

    def read_checkpoint(self) -> SignedNote | None:
        """The log's head as it was signed last; None before there is one. Raises `BadMessage` when it cannot be read."""
        path = self.folder / "checkpoint"
        return parse_note(path.read_bytes()) if path.exists() else None

    def read(self, name: TileName) -> bytes:
        """A tile or bundle; a narrower one than is there is the beginning of it. Raises `Fault` when it is not there."""
        for width in self._widths(name):
            path = self.folder / TileName(name.level, name.index, width).path
            with contextlib.suppress(OSError):  # removed since, when a wider one took its place
                found = path.read_bytes()
                return found if width == name.width else _cut_tile(name, found, width)
        raise Fault(
            Kind.LOGGING_FAILED,
            f"the transparency log in {self.folder} has no {name.path}, nor one that holds it",
        )

    def _widths(self, name: TileName) -> Iterator[int]:
        """The widths that may hold a tile: its own, the full one, and wider partial ones."""
        yield name.width
        if name.width < WIDTH:
            yield WIDTH
            folder = self.folder / f"{TileName(name.level, name.index).path}.p"
            there = (
                [int(p.name) for p in folder.glob("[1-9]*") if p.name.isdigit()] if folder.is_dir() else []
            )
            yield from sorted(w for w in there if w > name.width)

    def entries(self, size: int, start: int = 0) -> Iterator[bytes]:
        """The entries from ``start`` until before ``size``. Raises `Fault` or `BadMessage` as they are drawn."""
        for index in range(start // WIDTH, -(-size // WIDTH)):
            width = min(WIDTH, size - index * WIDTH)
            found = parse_bundle(self.read(TileName(None, index, width)), width)
            yield from found[max(0, start - index * WIDTH) :]

    def openings(self, size: int, start: int = 1) -> Iterator[Opening]:
        """The openings of the entries from ``start`` until before ``size``. Raises `Fault` when one is missing."""
        with (self.folder / "openings").open("rb") as file:
            file.seek(start * OPENING_BYTES)
            while start < size:
                raw = file.read(OPENING_BYTES * min(_ROWS_TOGETHER, size - start))
                if not raw or len(raw) % OPENING_BYTES:
                    raise Fault(
                        Kind.LOGGING_FAILED, f"the opening of entry {start} is missing in {file.name}"
                    )
                for place in range(0, len(raw), OPENING_BYTES):
                    yield parse_opening(raw[place : place + OPENING_BYTES])
                start += len(raw) // OPENING_BYTES

    @contextlib.contextmanager
    def opening_table(self, size: int) -> Iterator[OpeningTable]:
        """The openings of a log of ``size`` entries, to be looked up. Raises `Fault` when the file is not there."""
        path = self.folder / "openings"
        try:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                yield OpeningTable(mapped, size)
        except (OSError, ValueError) as err:
            raise Fault(Kind.LOGGING_FAILED, f"the openings {path} cannot be read: {err}") from err

    # Writing

    def write_openings(self, index: int, openings: Sequence[bytes]) -> None:
        """Put rendered openings at their place; what stood there or after was under no checkpoint."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "openings", os.O_RDWR | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            # On disk after this: openings beyond what the checkpoint covers. A crash leaves them to be cut off by the next writing.
            file.truncate(index * OPENING_BYTES)
            file.seek(index * OPENING_BYTES)
            file.write(b"".join(openings))
            file.flush()
            os.fsync(file.fileno())

    def write_tiles(self, tiles: Sequence[tuple[TileName, bytes]]) -> None:
        """Put tiles and bundles on the disk, each whole, and their names after them."""
        # On disk after this: tiles that no checkpoint covers yet. A crash leaves them to be written again, with the same content.
        folders: set[Path] = set()
        for name, content in tiles:
            path = self.folder / name.path
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.name}.tmp")
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            within = path.parent
            while within != self.folder.parent:
                folders.add(within)
                within = within.parent
        for folder in sorted(folders, reverse=True):
            sync_folder(folder)

    def write_checkpoint(self, note: SignedNote) -> None:
        """Make this the log's head: everything it covers is on the disk already."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The log's head is the new one from here on; before, the old one is, and what is beyond it counts for nothing.
        write_whole(self.folder / "checkpoint", note.render())

    def write_stamped(self, size: int, note: SignedNote, token: bytes) -> None:
        """Keep a checkpoint and the timestamp (DER) over its text."""
        folder = self.folder / "stamped"
        folder.mkdir(mode=0o700, exist_ok=True)
        # The checkpoint first: a crash in between leaves one without its timestamp, which proves less and nothing wrong.
        write_whole(folder / f"{size}.checkpoint", note.render())
        write_whole(folder / f"{size}.tst", token)

    def remove_filled(self, tiles: Sequence[tuple[TileName, bytes]]) -> None:
        """Remove the partial tiles that full ones took the place of."""
        # The checkpoint is over the full ones. A crash leaves partial tiles that say the same and are read by nobody.
        for name, _ in tiles:
            if name.width == WIDTH:
                shutil.rmtree(self.folder / f"{name.path}.p", ignore_errors=True)

    def served(self, path: str) -> bytes | None:
        """The file for a path as others may read it: the checkpoint, or a tile that a checkpoint covers; None when there is none.

        Raises `BadMessage` for another path.
        """
        if path == "checkpoint":
            file = self.folder / path
            return file.read_bytes() if file.exists() else None
        name, note = parse_tile_path(path), self.read_checkpoint()
        size = 0 if note is None else int(note.text.split("\n")[1])
        if not name.is_within(size):
            return None
        try:
            return self.read(name)
        except Fault:
            return None


def _cut_tile(name: TileName, wider: bytes, width: int) -> bytes:
    if name.level is not None:
        return wider[: name.width * HASH_BYTES]
    kept = parse_bundle(wider, width)[: name.width]
    return wider[: sum(2 + len(entry) for entry in kept)]
