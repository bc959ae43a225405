"""Keys of log records: destroying some leaves every other as it was, and theirs is gone for whoever holds what is kept."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.messagelog.keytree import BITS, Destroyed, as_ranges, new_tree, parse_trees, render_trees
from gateway.messagelog.sealing import CHUNK, StreamSealer, open_stream
from schemas.faults import Fault
from tests.logs import NOW

ROOT = bytes(range(32))
FIRST = 1001


@given(st.lists(st.integers(FIRST, FIRST + 400), max_size=60), st.lists(st.integers(0, 1 << 23), max_size=3))
@settings(deadline=None, max_examples=30)
def test_only_what_was_destroyed_is_gone_and_stays_gone(near: list[int], far: list[int]) -> None:
    whole = new_tree(FIRST, NOW, ROOT)
    tree = whole
    gone = {*near, *(FIRST + n for n in far)}
    for some in (near, [FIRST + n for n in far], near[:3]):
        tree = tree.without(as_ranges(some))
    (tree,) = parse_trees(render_trees([tree]))
    for record_id in {*range(FIRST, FIRST + 402), *gone}:
        if record_id in gone:
            with pytest.raises(Destroyed):
                tree.key(record_id)
        else:
            assert tree.key(record_id) == whole.key(record_id)
    assert len(tree.nodes) <= max(1, len(gone) * BITS)


def test_a_destroyed_range_keeps_few_nodes_and_every_key_is_another() -> None:
    tree = new_tree(0, NOW, ROOT).without([(1000, 900_000)])
    assert len(tree.nodes) < 2 * BITS
    assert len({tree.key(n) for n in range(1000)}) == 1000
    with pytest.raises(Destroyed):
        tree.key(500_000)


@given(
    st.sampled_from([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK]),
    st.integers(1, 100_000),
)
@settings(deadline=None, max_examples=12)
def test_a_stream_opens_to_what_was_sealed_however_it_was_fed(size: int, step: int) -> None:
    clear = bytes(i & 0xFF for i in range(257)) * (size // 257 + 1)
    clear = clear[:size]
    sealer = StreamSealer(ROOT)
    sealed = (
        b"".join(c for i in range(0, size, step) for c in sealer.feed(clear[i : i + step])) + sealer.finish()
    )
    assert b"".join(open_stream(io.BytesIO(sealed), ROOT)) == clear


@given(st.lists(st.sampled_from([0, 1, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK]), max_size=6))
@settings(deadline=None, max_examples=40)
def test_a_stream_is_sealed_to_the_same_bytes_however_it_came(sizes: list[int]) -> None:
    clear = bytes(n % 251 for n in range(1000)) * (sum(sizes) // 1000 + 1)
    whole, pieces = StreamSealer(ROOT), StreamSealer(ROOT)
    one = b"".join(whole.feed(clear[: sum(sizes)])) + whole.finish()
    out, start = [], 0
    for size in sizes:
        out += pieces.feed(clear[start : start + size])
        start += size
    assert b"".join(out) + pieces.finish() == one
    assert b"".join(open_stream(io.BytesIO(one), ROOT)) == clear[: sum(sizes)]


@pytest.mark.parametrize("change", ["cut", "chunk", "swap", "flip", "empty", "longer"])
def test_a_stream_that_was_touched_does_not_open(change: str) -> None:
    sealer = StreamSealer(ROOT)
    sealed = b"".join(sealer.feed(bytes(3 * CHUNK))) + sealer.finish()
    one = CHUNK + 16
    changed = {
        "cut": sealed[:-1],
        "chunk": sealed[: 2 * one],
        "swap": sealed[one : 2 * one] + sealed[:one] + sealed[2 * one :],
        "flip": bytes([sealed[0] ^ 1]) + sealed[1:],
        "empty": b"",
        "longer": sealed + sealed[:one],
    }[change]
    with pytest.raises(Fault):
        b"".join(open_stream(io.BytesIO(changed), ROOT))
