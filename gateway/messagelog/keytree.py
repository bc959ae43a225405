"""Keys for every record out of one, any of which can be destroyed for good. Pure.

A `KeyTree` stands for 2^24 record keys by a binary tree: a node's two children are derived from it, a leaf is a record's key.
At first only the root is kept. Destroying a record's key replaces the kept node above it by that node's other descendants, so
every other key can still be derived and this one cannot, by anybody, whatever else he has. What is kept grows by at most 24
nodes for one record, and less where neighbours go together.

(The construction is the tree of Goldreich, Goldwasser and Micali, used as a puncturable pseudorandom function.)
"""

from __future__ import annotations

import hmac
from bisect import bisect_right
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BITS = 24
# A node's place: how deep, and which of its level.
Place = tuple[int, int]


class Destroyed(LookupError):
    """The key of a record was destroyed on an order."""


class _Way(msgspec.Struct):
    leaf: int = 0
    top: int = 0
    keys: list[bytes] = msgspec.field(default_factory=list)


@dataclass(frozen=True, slots=True)
class KeyTree:
    """The keys of the records from ``first`` on, up to the next tree's first or 2^24 of them."""

    first: int
    made_at: datetime
    nodes: Mapping[Place, bytes]
    # The way to the key derived last, from a kept node down: the next record's is mostly the same.
    _way: _Way = field(default_factory=_Way, compare=False)

    @property
    def end(self) -> int:
        """One more than the last record the tree has room for."""
        return self.first + (1 << BITS)

    def key(self, record_id: int) -> bytes:
        """A record's 32 bytes. Raises `Destroyed`."""
        leaf = record_id - self.first
        way = self._way
        # Both ways are the same down to where the leaves' numbers first differ.
        shared = BITS - (leaf ^ way.leaf).bit_length() - way.top + 1 if way.keys else 0
        if shared > 0:
            keys = way.keys[:shared]
        else:
            way.top, key = self._kept_above(leaf)
            keys = [key]
        for depth in range(way.top + len(keys), BITS + 1):
            keys.append(_child(keys[-1], (leaf >> (BITS - depth)) & 1))
        way.leaf, way.keys = leaf, keys
        return keys[-1]

    def _kept_above(self, leaf: int) -> tuple[int, bytes]:
        for depth in range(BITS + 1):
            key = self.nodes.get((depth, leaf >> (BITS - depth)))
            if key is not None:
                return depth, key
        raise Destroyed(leaf + self.first)

    def without(self, ranges: Sequence[tuple[int, int]]) -> KeyTree:
        """The tree once the keys of these records are gone; ranges are (first, last), ascending and apart."""
        marks = [(max(low - self.first, 0), high - self.first) for low, high in ranges if high >= self.first]
        kept: dict[Place, bytes] = {}
        for place, key in self.nodes.items():
            _keep(place, key, marks, kept)
        return KeyTree(self.first, self.made_at, kept)


def _keep(place: Place, key: bytes, marks: Sequence[tuple[int, int]], kept: dict[Place, bytes]) -> None:
    depth, index = place
    low = index << (BITS - depth)
    high = low + (1 << (BITS - depth)) - 1
    before = bisect_right(marks, (low, 1 << 62)) - 1
    if before >= 0 and marks[before][1] >= high:
        return
    touched = (before >= 0 and marks[before][1] >= low) or (
        before + 1 < len(marks) and marks[before + 1][0] <= high
    )
    if not touched:
        kept[place] = key
        return
    for side in (0, 1):
        _keep((depth + 1, index * 2 + side), _child(key, side), marks, kept)


def _child(key: bytes, side: int) -> bytes:
    return hmac.digest(key, b"sacbe log key %d" % side, "sha256")


def new_tree(first: int, made_at: datetime, root: bytes) -> KeyTree:
    """A tree with every key."""
    return KeyTree(first, made_at, {(0, 0): root})


def as_ranges(record_ids: Sequence[int]) -> list[tuple[int, int]]:
    """Record numbers as ascending ranges that lie apart."""
    found: list[tuple[int, int]] = []
    for number in sorted(set(record_ids)):
        if found and found[-1][1] == number - 1:
            found[-1] = (found[-1][0], number)
        else:
            found.append((number, number))
    return found


class _StoredTree(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    first: int
    made_at: int
    nodes: list[tuple[int, int, bytes]]


def render_trees(trees: Sequence[KeyTree]) -> bytes:
    """Trees as bytes, to be sealed."""
    stored = [
        _StoredTree(t.first, int(t.made_at.timestamp()), [(d, i, k) for (d, i), k in t.nodes.items()])
        for t in trees
    ]
    return msgspec.msgpack.encode(stored)


def parse_trees(raw: bytes) -> tuple[KeyTree, ...]:
    """Trees out of bytes. Raises ValueError."""
    stored = msgspec.msgpack.decode(raw, type=list[_StoredTree])
    return tuple(
        KeyTree(t.first, datetime.fromtimestamp(t.made_at, UTC), {(d, i): k for d, i, k in t.nodes})
        for t in stored
    )
