"""Tiles: how a transparency log's hashes and entries lie in files, and how a tree grows by them.

A tile has up to 256 hashes; those of level 0 are leaf hashes, those above the roots of full tiles below. An entry bundle
has up to 256 entries, each with its length in two bytes. A partial one is named by its width too, and replaced by the full one.

Spec: C2SP tlog-tiles.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from schemas.faults import BadMessage, Kind
from schemas.transparency.merkle import HASH_BYTES, complete_root, fold_peaks, leaf_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from schemas.transparency.merkle import Subtrees

WIDTH = 256
HEIGHT = 8
LONGEST_ENTRY = 65_535
# A tree of 2**63 leaves has no tile above this level.
HIGHEST_LEVEL = 7
_PATH = re.compile(r"tile/(entries|[0-7])/((?:x\d{3}/){0,6}\d{3})(?:\.p/([1-9]\d{0,2}))?", re.ASCII)
_TILES_AT_HAND = 64


class TileName(msgspec.Struct, frozen=True):
    """A tile's or bundle's place. ``level`` None is an entry bundle; ``width`` below 256 a partial one."""

    level: int | None
    index: int
    width: int = WIDTH

    @property
    def path(self) -> str:
        """Its file below the log's folder, and its path below the log's address."""
        level = "entries" if self.level is None else str(self.level)
        partial = "" if self.width == WIDTH else f".p/{self.width}"
        return f"tile/{level}/{index_path(self.index)}{partial}"

    def is_within(self, size: int) -> bool:
        """Whether a tree of ``size`` leaves has it whole."""
        height = HEIGHT * (self.level or 0)
        return self.index * WIDTH + self.width <= size >> height


def index_path(index: int) -> str:
    """A number as path elements of three digits: 1234067 is ``x001/x234/067``."""
    elements = [f"{index % 1000:03d}"]
    while index := index // 1000:
        elements.insert(0, f"x{index % 1000:03d}")
    return "/".join(elements)


def parse_tile_path(path: str) -> TileName:
    """Read ``tile/<L>/<N>[.p/<W>]``. Raises `BadMessage` (``bad_request``) for any other spelling of it."""
    found = _PATH.fullmatch(path)
    if found is not None:
        level = None if found[1] == "entries" else int(found[1])
        index = int(found[2].replace("x", "").replace("/", ""))
        name = TileName(level, index, WIDTH if found[3] is None else int(found[3]))
        if name.width <= WIDTH and name.path == path:
            return name
    raise BadMessage(
        Kind.BAD_REQUEST,
        "a tile is asked for as tile/<level 0 to 7, or entries>/<index, x001/234>[.p/<width>]",
    )


def partial_tiles(size: int) -> list[TileName]:
    """The partial tiles and bundle of a tree, level 0 first, the bundle last."""
    found = [
        TileName(level, (size >> HEIGHT * level) // WIDTH, (size >> HEIGHT * level) % WIDTH)
        for level in range(HIGHEST_LEVEL + 1)
        if (size >> HEIGHT * level) % WIDTH
    ]
    return [*found, TileName(None, size // WIDTH, size % WIDTH)] if size % WIDTH else found


# Entry bundles


def render_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries as a bundle. Raises ValueError for one that is too long."""
    if any(len(entry) > LONGEST_ENTRY for entry in entries):
        raise ValueError(f"an entry has at most {LONGEST_ENTRY} bytes")
    return b"".join(len(entry).to_bytes(2) + entry for entry in entries)


def parse_bundle(raw: bytes, width: int) -> list[bytes]:
    """The entries of a bundle of ``width``. Raises `BadMessage` (``malformed_hash_chain``)."""
    entries: list[bytes] = []
    place = 0
    for _ in range(width):
        end = place + 2 + int.from_bytes(raw[place : place + 2])
        if place + 2 > len(raw) or end > len(raw):
            raise _malformed(f"the bundle ends after {len(entries)} entries; {width} were expected")
        entries.append(raw[place + 2 : end])
        place = end
    if place != len(raw):
        raise _malformed(f"{len(raw) - place} bytes stand after the {width} entries of a bundle")
    return entries


def parse_tile(raw: bytes, width: int) -> list[bytes]:
    """The hashes of a tile of ``width``. Raises `BadMessage` (``malformed_hash_chain``)."""
    if len(raw) != width * HASH_BYTES:
        raise _malformed(f"a tile of {width} hashes has {width * HASH_BYTES} bytes; {len(raw)} came")
    return [raw[i : i + HASH_BYTES] for i in range(0, len(raw), HASH_BYTES)]


# Trees of tiles


class GrowingTree:
    """A tree at its growing end: of every level the hashes of the tile that is not full. Extending gives what became full."""

    def __init__(self, size: int = 0, levels: Sequence[Sequence[bytes]] = ()) -> None:
        self.size = size
        self._levels = [list(level) for level in levels]

    @classmethod
    def load(cls, size: int, read: Callable[[TileName], bytes]) -> GrowingTree:
        """The tree of ``size`` leaves whose tiles ``read`` gives. Raises `BadMessage` when they are not of that size."""
        levels: list[list[bytes]] = [[] for _ in range(HIGHEST_LEVEL + 1)]
        for name in partial_tiles(size):
            if name.level is not None:
                levels[name.level] = parse_tile(read(name), name.width)
        return cls(size, levels)

    def extend(self, entries: Sequence[bytes]) -> list[tuple[TileName, bytes]]:
        """Take entries; the tiles that they made full, as they are to be kept."""
        full: list[tuple[TileName, bytes]] = []
        start = 0
        while start < len(entries):
            some = entries[start : start + WIDTH - self.size % WIDTH]
            start += len(some)
            full += self._grow([leaf_hash(entry) for entry in some], 0)
            self.size += len(some)
        return full

    def _grow(self, added: Sequence[bytes], level: int) -> list[tuple[TileName, bytes]]:
        """Add hashes to a level whose tile they fill at most; the tiles that became full, there and above."""
        if level == len(self._levels):
            self._levels.append([])
        hashes = self._levels[level]
        hashes += added
        if len(hashes) < WIDTH:
            return []
        tile = (TileName(level, (self.size >> HEIGHT * level) // WIDTH), b"".join(hashes))
        root = complete_root(hashes)
        hashes.clear()
        return [tile, *self._grow([root], level + 1)]

    def partial(self) -> list[tuple[TileName, bytes]]:
        """The partial tiles, as they are to be kept."""
        return [
            (name, b"".join(self._levels[name.level]))
            for name in partial_tiles(self.size)
            if name.level is not None
        ]

    def root(self) -> bytes:
        """The root of the tree as it is."""
        peaks: list[bytes] = []
        for hashes in reversed(self._levels):
            start = 0
            for bit in reversed(range(HEIGHT)):
                if len(hashes) >> bit & 1:
                    peaks.append(complete_root(hashes[start : start + (1 << bit)]))
                    start += 1 << bit
        return fold_peaks(peaks)


def tile_subtrees(size: int, read: Callable[[TileName], bytes]) -> Subtrees:
    """The complete subtrees of the tree of ``size`` leaves, out of tiles that ``read`` gives."""

    @lru_cache(maxsize=_TILES_AT_HAND)
    def hashes_of(level: int, index: int) -> list[bytes]:
        width = min(WIDTH, (size >> HEIGHT * level) - index * WIDTH)
        return parse_tile(read(TileName(level, index, width)), width)

    def subtree(level: int, index: int) -> bytes:
        tile_level, above = divmod(level, HEIGHT)
        first = index << above
        start = first % WIDTH
        return complete_root(hashes_of(tile_level, first // WIDTH)[start : start + (1 << above)])

    return subtree


def _malformed(detail: str) -> BadMessage:
    return BadMessage(Kind.MALFORMED_HASH_CHAIN, detail)
