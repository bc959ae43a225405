"""Proofs that a record is in the transparency log, to be handed out and verified offline."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certs.transparency import verify_log
from gateway.transparency.entries import parse_beginning, parse_opening
from schemas.faults import Fault, Kind, NotProved
from schemas.transparency.merkle import inclusion_proof, leaf_hash, verify_inclusion
from schemas.transparency.proofs import InclusionProof
from schemas.transparency.tiles import tile_subtrees

if TYPE_CHECKING:
    from gateway.transparency.entries import Opening
    from gateway.transparency.files import TransparencyFiles
    from schemas.transparency.notes import Checkpoint, VerifierKey


def prove_record(files: TransparencyFiles, number: int) -> InclusionProof:
    """The proof that a record is in the log, its opening as ``extra``. Raises `Fault` when it is not there yet."""
    note = files.read_checkpoint()
    size = 0 if note is None else int(note.text.split("\n")[1])
    index = 0
    if size:
        index = number - parse_beginning(next(iter(files.entries(1)))).first + 1
    if note is None or not 1 <= index < size:
        raise Fault(Kind.LOGGING_FAILED, f"record {number} is not in the transparency log, or not yet")
    (opening,) = files.openings(index + 1, index)
    path = inclusion_proof(index, size, tile_subtrees(size, files.read))
    return InclusionProof(index, tuple(path), note, opening.render())


def verify_record_proof(proof: InclusionProof, key: VerifierKey) -> tuple[Opening, Checkpoint]:
    """The record that a proof is of, and the head that covers it. Raises `NotProved`, or `BadMessage` when it cannot be read."""
    opening = parse_opening(proof.extra)
    checkpoint = verify_log(proof.checkpoint, key)
    verify_inclusion(leaf_hash(opening.entry()), proof.index, checkpoint.size, checkpoint.root, proof.path)
    if not opening.number:
        raise NotProved(Kind.INVALID_HASH_CHAIN, "the proof is of no record")
    return opening, checkpoint
