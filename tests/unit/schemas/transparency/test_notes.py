"""Tiles, notes, checkpoints, cosignatures and proofs in C2SP's text forms, with the published examples."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from certs.transparency import NoteSigner, verify_cosignatures, verify_log
from schemas.faults import BadMessage, NotProved
from schemas.transparency.notes import (
    COSIGNATURE_ED25519,
    ED25519,
    Checkpoint,
    SignedNote,
    parse_checkpoint,
    parse_note,
    parse_verifier_key,
)
from schemas.transparency.proofs import (
    InclusionProof,
    WitnessRequest,
    parse_inclusion_proof,
    parse_witness_request,
)
from schemas.transparency.tiles import (
    TileName,
    parse_bundle,
    parse_tile_path,
    partial_tiles,
    render_bundle,
)

# The example of the Go authors' note package.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
).encode()
# The example of tlog-cosignature.
COSIGNED = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
).encode()
AT = datetime(2026, 11, 29, 12, 0, 5, tzinfo=UTC)
HASHES = st.binary(min_size=32, max_size=32)


def signer(name: str) -> NoteSigner:
    return NoteSigner(name, Ed25519PrivateKey.from_private_bytes(name.encode().ljust(32)[:32]))


def test_the_published_note_holds_and_a_changed_one_does_not() -> None:
    key = parse_verifier_key(PETER)
    assert key.render() == PETER
    with pytest.raises(BadMessage):  # it holds, and is no checkpoint
        verify_log(parse_note(NOTE), key)
    with pytest.raises(NotProved):
        verify_log(parse_note(NOTE.replace(b"answer", b"Answer")), key)


def test_the_published_checkpoint_is_read_and_written_the_same() -> None:
    note = parse_note(COSIGNED)
    found = parse_checkpoint(note.text)
    assert (found.origin, found.size, found.root.hex()[:8]) == (
        "example.com/behind-the-sofa",
        20852163,
        "0ac5186a",
    )
    assert note.render() == COSIGNED
    assert found.render() == note.text
    assert int.from_bytes(note.signatures[1].signature[:8]) == 1679315147


@given(st.integers(0, (1 << 63) - 1), HASHES)
def test_a_checkpoint_is_signed_and_cosigned(size: int, root: bytes) -> None:
    log, witness, other = signer("road/log"), signer("road/witness"), signer("road/other")
    note = log.sign(SignedNote(Checkpoint("road/log", size, root).render()))
    cosigned = note.signed_also(witness.cosign(note, AT), other.cosign(note, AT))
    read = parse_note(cosigned.render())
    assert read == cosigned
    assert verify_log(read, log.verifier(ED25519)) == Checkpoint("road/log", size, root)
    assert verify_cosignatures(read, [witness.verifier(COSIGNATURE_ED25519)]) == {"road/witness": AT}
    with pytest.raises(NotProved):  # nobody's signature is no signature
        verify_log(read, witness.verifier(ED25519))
    moved = SignedNote(Checkpoint("road/log", size, bytes(32)).render(), read.signatures)
    if root != bytes(32):
        with pytest.raises(NotProved):
            verify_cosignatures(moved, [witness.verifier(COSIGNATURE_ED25519)])


@given(st.integers(0, (1 << 62) - 1), st.lists(HASHES, max_size=63), st.binary(max_size=100))
def test_proofs_and_requests_are_read_as_they_were_written(
    index: int, path: list[bytes], extra: bytes
) -> None:
    note = signer("road/log").sign(SignedNote(Checkpoint("road/log", index + 1, bytes(32)).render()))
    proof = InclusionProof(index, tuple(path), note, extra)
    assert parse_inclusion_proof(proof.render()) == proof
    request = WitnessRequest(index, tuple(path), note)
    assert parse_witness_request(request.render()) == request


WRONG_NOTES = [
    b"",
    b"text\n",
    b"text\n\n",
    b"text\n\n- name AAAAAAA=\n",
    "text\n\n— name AAAA\n".encode(),
    "text\n\n— na+me AAAAAAAAAA==\n".encode(),
    "text\n\n— name AAAAAAAAAA==".encode(),
    "te\rxt\n\n— name AAAAAAAAAA==\n".encode(),
    "te\txt\n\n— name AAAAAAAAAA==\n".encode(),
    b"\xff\n\n" + "— name AAAAAAAAAA==\n".encode(),
    b"text\n\n" + "— name AAAAAAAAAA==\n".encode() * 65,
    b"x" * 70_000,
]


@pytest.mark.parametrize("raw", WRONG_NOTES)
def test_what_is_no_note_is_refused(raw: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_note(raw)


ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="


@pytest.mark.parametrize(
    "text",
    [
        "",
        "o\n1\n",
        f"o\n01\n{ROOT}\n",
        f"o\n-1\n{ROOT}\n",
        f"o\n+1\n{ROOT}\n",
        f"o\n١\n{ROOT}\n",
        f"o\n9223372036854775808\n{ROOT}\n",
        f"o\n{'9' * 5000}\n{ROOT}\n",
        f"\n1\n{ROOT}\n",
        f"o\n1\n{ROOT}",
        f"o\n1\n{ROOT[:-1]}\n",
        f"o\n1\n{ROOT[:-2]}J=\n",
        f"o\n1\n{ROOT}\n\nx\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(BadMessage):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "a+b",
        PETER.replace("c74f20a3", "c74f20a4"),
        PETER + "AAAA",
        PETER.replace("ARpc", "Ahpc"),
        "+" + PETER,
    ],
)
def test_what_is_no_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(BadMessage):
        parse_verifier_key(text)


def test_tiles_are_named_as_published() -> None:
    assert TileName(0, 1234067).path == "tile/0/x001/x234/067"
    # The example of tlog-tiles: 273 full tiles and a partial one at level 0, and so on.
    assert [t.path for t in partial_tiles(70_000)] == [
        "tile/0/273.p/112",
        "tile/1/001.p/17",
        "tile/2/000.p/1",
        "tile/entries/273.p/112",
    ]
    assert [t.path for t in partial_tiles(256)] == ["tile/1/000.p/1"]


@given(st.none() | st.integers(0, 7), st.integers(0, 10**12), st.integers(1, 256))
def test_a_tile_is_read_by_the_path_it_has(level: int | None, index: int, width: int) -> None:
    name = TileName(level, index, width)
    assert parse_tile_path(name.path) == name


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/0",
        "tile/8/000",
        "tile/0/x000/001",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/../000",
        "tile/00/000",
        "/tile/0/000",
        "tile/entries/000/",
        "tile/0/٠٠٠",
        "tile/0/000\n",
        "checkpoint",
    ],
)
def test_a_tile_has_one_spelling(path: str) -> None:
    with pytest.raises(BadMessage):
        parse_tile_path(path)


@given(st.lists(st.binary(max_size=50), max_size=256))
def test_a_bundle_is_read_as_it_was_written(entries: list[bytes]) -> None:
    raw = render_bundle(entries)
    assert parse_bundle(raw, len(entries)) == entries
    for wrong, width in ((raw + b"\0", len(entries)), (raw, len(entries) + 1), (raw[:-1], len(entries))):
        if wrong != raw or width != len(entries):
            with pytest.raises(BadMessage):
                parse_bundle(wrong, width)
