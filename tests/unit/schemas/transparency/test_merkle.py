"""Merkle trees against RFC 6962's definitions, spelled out, and against the published vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.faults import NotProved
from schemas.transparency.merkle import (
    EMPTY_ROOT,
    complete_root,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    range_hash,
    verify_consistency,
    verify_inclusion,
)
from schemas.transparency.tiles import GrowingTree

# The leaves and roots that Certificate Transparency's implementations test with.
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
SIZES = st.integers(1, 300)


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH as RFC 6962, 2.1 defines it."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + by_definition(leaves[:k]) + by_definition(leaves[k:])).digest()


def entries(count: int) -> list[bytes]:
    return [b"entry %d" % i for i in range(count)]


def subtrees_of(leaves: list[bytes]) -> Callable[[int, int], bytes]:
    hashes = [leaf_hash(leaf) for leaf in leaves]
    return lambda level, i: complete_root(hashes[i << level : (i + 1) << level])


def test_the_published_roots_come_out() -> None:
    leaves = [bytes.fromhex(x) for x in LEAVES]
    assert [range_hash(0, n, subtrees_of(leaves)).hex() for n in range(1, 9)] == ROOTS
    assert by_definition([]) == EMPTY_ROOT == range_hash(0, 0, subtrees_of([]))


@given(SIZES)
def test_a_grown_tree_has_the_root_of_the_definition(count: int) -> None:
    tree = GrowingTree()
    tree.extend(entries(count))
    assert tree.root() == by_definition(entries(count))


@given(SIZES, st.integers(0, 300))
def test_a_tree_goes_on_from_the_tiles_that_are_not_full(count: int, more: int) -> None:
    tree = GrowingTree()
    tree.extend(entries(count))
    again = GrowingTree.load(count, dict(tree.partial()).__getitem__)
    again.extend(entries(count + more)[count:])
    assert again.root() == by_definition(entries(count + more))


@given(SIZES, st.data())
def test_an_inclusion_proof_proves_its_entry_and_no_other(count: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, count - 1))
    root = by_definition(entries(count))
    proof = inclusion_proof(index, count, subtrees_of(entries(count)))
    verify_inclusion(leaf_hash(b"entry %d" % index), index, count, root, proof)
    wrong = [
        (leaf_hash(b"other"), index, count, root, proof),
        (leaf_hash(b"entry %d" % index), index, count, bytes(32), proof),
        (leaf_hash(b"entry %d" % index), index, count, root, [*proof, bytes(32)]),
        (leaf_hash(b"entry %d" % index), count, count, root, proof),
    ]
    if proof:
        wrong += [
            (leaf_hash(b"entry %d" % index), index, count, root, proof[:-1]),
            (leaf_hash(b"entry %d" % index), index ^ 1, count, root, proof),
        ]
    for arguments in wrong:
        with pytest.raises(NotProved):
            verify_inclusion(*arguments)


@given(SIZES, st.data())
def test_a_consistency_proof_proves_only_what_was_extended(count: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(0, count))
    root, old_root = by_definition(entries(count)), by_definition(entries(old))
    proof = consistency_proof(old, count, subtrees_of(entries(count)))
    verify_consistency(old, old_root, count, root, proof)
    with pytest.raises(NotProved):
        verify_consistency(old, bytes(32), count, root, proof)
    with pytest.raises(NotProved):
        verify_consistency(old, old_root, count, root, [*proof, bytes(32)])
    if proof:
        with pytest.raises(NotProved):
            verify_consistency(old, old_root, count, root, proof[:-1])
    if old:
        other = [*entries(old - 1), b"edited", *entries(count)[old:]]
        with pytest.raises(NotProved):
            verify_consistency(old, old_root, count, by_definition(other), proof)
