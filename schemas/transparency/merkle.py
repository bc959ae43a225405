"""Merkle trees by RFC 6962, section 2.1, over SHA-256: roots, inclusion and consistency proofs.

A tree is known by its size, its root and a `Subtrees` function, which gives the hash of any complete subtree; where the
hashes are kept (a list, tiles) is its own affair. Hashes are 32 bytes, proofs lists of them from the leaf upwards.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from schemas.faults import Kind, NotProved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    # (level, index) -> MTH of the 2**level leaves from leaf index * 2**level on; asked for complete subtrees only.
    Subtrees = Callable[[int, int], bytes]

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
# A tree of 2**63 leaves has no longer proof.
LONGEST_PROOF = 63


def leaf_hash(entry: bytes) -> bytes:
    """The hash of an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two neighbours."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """The hash over hashes whose number is a power of two."""
    level = list(hashes)
    while len(level) > 1:
        level = [node_hash(level[i], level[i + 1]) for i in range(0, len(level), 2)]
    return level[0]


def fold_peaks(peaks: Sequence[bytes]) -> bytes:
    """The root over complete subtrees, the largest first."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def range_hash(start: int, end: int, subtrees: Subtrees) -> bytes:
    """MTH of the leaves from ``start`` until before ``end``, a range that RFC 6962's recursion comes by (0 to size is one)."""
    peaks = []
    while start < end:
        largest = (end - start).bit_length() - 1
        aligned = (start & -start).bit_length() - 1 if start else largest
        level = min(largest, aligned)
        peaks.append(subtrees(level, start >> level))
        start += 1 << level
    return fold_peaks(peaks)


# Proofs


def inclusion_proof(index: int, size: int, subtrees: Subtrees) -> list[bytes]:
    """The path from leaf ``index`` to the root of ``size`` leaves (RFC 6962, 2.1.1). Raises ValueError when there is no such leaf."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    return _inclusion(index, 0, size, subtrees)


def _inclusion(index: int, start: int, end: int, subtrees: Subtrees) -> list[bytes]:
    if end - start == 1:
        return []
    middle = start + _split(end - start)
    if index < middle:
        return [*_inclusion(index, start, middle, subtrees), range_hash(middle, end, subtrees)]
    return [*_inclusion(index, middle, end, subtrees), range_hash(start, middle, subtrees)]


def consistency_proof(old: int, size: int, subtrees: Subtrees) -> list[bytes]:
    """The proof that the first ``old`` of ``size`` leaves are the older tree (RFC 6962, 2.1.2); empty for 0 and for ``size``. Raises ValueError."""
    if not 0 <= old <= size:
        raise ValueError(f"a tree of {size} leaves does not extend one of {old}")
    return [] if old in (0, size) else _consistency(old, 0, size, subtrees, is_known=True)


def _consistency(old: int, start: int, end: int, subtrees: Subtrees, *, is_known: bool) -> list[bytes]:
    if old == end:
        return [] if is_known else [range_hash(start, end, subtrees)]
    middle = start + _split(end - start)
    if old <= middle:
        proof = _consistency(old, start, middle, subtrees, is_known=is_known)
        return [*proof, range_hash(middle, end, subtrees)]
    proof = _consistency(old, middle, end, subtrees, is_known=False)
    return [*proof, range_hash(start, middle, subtrees)]


def _split(count: int) -> int:
    """The largest power of two smaller than ``count``."""
    return 1 << (count - 1).bit_length() - 1


def verify_inclusion(leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Prove that the leaf hash stands at ``index`` of the tree (RFC 9162, 2.1.3.2). Raises `NotProved` (``invalid_hash_chain``)."""
    if not 0 <= index < size:
        raise _unproved(f"a tree of {size} leaves has no leaf {index}")
    place, last, found = index, size - 1, leaf
    for neighbour in proof:
        if last == 0:
            raise _unproved(f"the inclusion proof is longer than a tree of {size} leaves needs")
        if place & 1 or place == last:
            found = node_hash(neighbour, found)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            found = node_hash(found, neighbour)
        place, last = place >> 1, last >> 1
    if last or found != root:
        raise _unproved(f"the proof does not lead from entry {index} to the root of {size} entries")


def verify_consistency(old: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> None:
    """Prove that the tree of ``size`` leaves extends the older one (RFC 9162, 2.1.4.2). Raises `NotProved` (``invalid_hash_chain``)."""
    if not 0 <= old <= size:
        raise _unproved(f"a tree of {size} entries does not extend one of {old}")
    if old in (0, size):
        is_same = old_root == (root if old else EMPTY_ROOT)
        if proof or not is_same:
            raise _unproved(
                f"the trees of {old} and of {size} entries are not the same, or a proof came that needs none"
            )
        return
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        raise _unproved("the consistency proof is empty")
    place, last = old - 1, size - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    older = newer = path[0]
    for neighbour in path[1:]:
        if last == 0:
            raise _unproved(f"the consistency proof is longer than a tree of {size} leaves needs")
        if place & 1 or place == last:
            older, newer = node_hash(neighbour, older), node_hash(neighbour, newer)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            newer = node_hash(newer, neighbour)
        place, last = place >> 1, last >> 1
    if last or older != old_root or newer != root:
        raise _unproved(f"the tree of {size} entries does not extend the one of {old} entries")


def _unproved(detail: str) -> NotProved:
    return NotProved(Kind.INVALID_HASH_CHAIN, detail)
