"""Signatures on checkpoints: a log's own and its witnesses', made and proved with Ed25519.

A `NoteSigner` is a private key under the name notes call it by. `verify_log` and `verify_cosignatures` say what holds of a
checkpoint for whoever has the public keys: unknown keys are passed over, a signature of a known key that fails refuses the whole.
`verify_record` says what a proof of a record proves to whoever has a signed configuration, which names the keys of every log.

Spec: C2SP signed-note, tlog-cosignature.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from schemas.faults import Fault, Kind, NotProved
from schemas.globalconf.parts import WITNESSES_ID
from schemas.globalconf.witnesses import Appointments, parse_appointments
from schemas.showing import shown
from schemas.transparency.announcement import log_name, log_origin
from schemas.transparency.entries import parse_opening
from schemas.transparency.merkle import leaf_hash, verify_inclusion
from schemas.transparency.notes import (
    COSIGNATURE_ED25519,
    ED25519,
    NoteSignature,
    VerifierKey,
    cosigned_text,
    parse_checkpoint,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from certs.configuration import TrustedConfiguration
    from schemas.transparency.entries import Opening
    from schemas.transparency.notes import Checkpoint, SignedNote
    from schemas.transparency.proofs import InclusionProof
    from schemas.transparency.records import RecordProof, RecordStatement

_SIGNATURE_BYTES = 64


class NoteSigner(msgspec.Struct, frozen=True):
    """A private key and its name: of a log (`sign`) or of a witness (`cosign`), never of both."""

    name: str
    key: Ed25519PrivateKey

    def verifier(self, kind: int) -> VerifierKey:
        """The public key, as one of `ED25519` (a log) or `COSIGNATURE_ED25519` (a witness)."""
        return VerifierKey(self.name, kind, self.key.public_key().public_bytes_raw())

    def sign(self, note: SignedNote) -> SignedNote:
        """The note with this log's signature."""
        signature = self.key.sign(note.text.encode())
        return note.signed_also(NoteSignature(self.name, self.verifier(ED25519).key_id, signature))

    def cosign(self, note: SignedNote, at: datetime) -> NoteSignature:
        """This witness's signature on a checkpoint, at a time."""
        at_s = int(at.timestamp())
        signature = at_s.to_bytes(8) + self.key.sign(cosigned_text(note.text, at_s))
        return NoteSignature(self.name, self.verifier(COSIGNATURE_ED25519).key_id, signature)


def verify_log(note: SignedNote, key: VerifierKey) -> Checkpoint:
    """The checkpoint, signed by its log. Raises `NotProved` (``invalid_signature_value``), or `BadMessage` when it is none."""
    found = [s for s in note.signatures if _is_of(s, key)]
    if not found:
        raise _unproved(
            f"the checkpoint has no signature of the log {shown(key.name)} (key {key.key_id.hex()})"
        )
    for signature in found:
        _verify(key, signature.signature, note.text.encode())
    return parse_checkpoint(note.text)


def verify_cosignatures(note: SignedNote, witnesses: Iterable[VerifierKey]) -> dict[str, datetime]:
    """Which of the witnesses cosigned a checkpoint, and when. Raises `NotProved` when a known one's signature fails."""
    seen: dict[str, datetime] = {}
    for witness in witnesses:
        for line in note.signatures:
            if not _is_of(line, witness):
                continue
            at_s = int.from_bytes(line.signature[:8])
            if at_s >= 1 << 63:
                raise _unproved(f"the cosignature of {shown(witness.name)} has a time beyond 2**63")
            _verify(witness, line.signature[8:], cosigned_text(note.text, at_s))
            seen[witness.name] = _moment(witness, at_s)
    return seen


def appointments_in(configuration: TrustedConfiguration | None) -> Appointments:
    """Who is appointed in a configuration; nobody where it says nothing, or nothing that can be read."""
    raw = None if configuration is None else configuration.parts.get(WITNESSES_ID)
    if raw is None:
        return Appointments()
    try:
        return parse_appointments(raw)
    except Fault:  # it was refused when it was fetched; a stored one may be of another version
        return Appointments()


def verify_entry(proof: InclusionProof, key: VerifierKey) -> tuple[Opening, Checkpoint]:
    """The opened entry that a proof is of, and the head that covers it. Raises `NotProved`, or `BadMessage` when it cannot be read."""
    opening = parse_opening(proof.extra)
    checkpoint = verify_log(proof.checkpoint, key)
    verify_inclusion(leaf_hash(opening.entry()), proof.index, checkpoint.size, checkpoint.root, proof.path)
    if not opening.number:
        raise NotProved(Kind.INVALID_HASH_CHAIN, "the proof is of no record")
    return opening, checkpoint


class ProvedRecord(msgspec.Struct, frozen=True):
    """A record that a log has: its fields in clear, its number, the head that covers it, and who cosigned that head, and when."""

    statement: RecordStatement
    number: int
    checkpoint: Checkpoint
    cosigned: dict[str, datetime]


def verify_record(proof: RecordProof, appointments: Appointments) -> ProvedRecord:
    """The proved record, by the keys that a configuration names. Raises `NotProved`, or `BadMessage` when it cannot be read."""
    origin = proof.inclusion.checkpoint.text.partition("\n")[0]
    opening, checkpoint = verify_entry(proof.inclusion, _log_key(appointments, origin))
    statement = proof.statement
    fields = (statement.side, statement.at_ms, statement.digest())
    if fields != (opening.side, opening.at_ms, opening.record_digest):
        raise NotProved(
            Kind.INVALID_HASH_CHAIN,
            f"what is said of record {opening.number} is not what entry {proof.inclusion.index} of {shown(origin)} commits to",
        )
    cosigned = verify_cosignatures(proof.inclusion.checkpoint, appointments.keys())
    return ProvedRecord(statement, opening.number, checkpoint, cosigned)


def _log_key(appointments: Appointments, origin: str) -> VerifierKey:
    """The key of the log of that name; a log that was declared to go on (``…/log/2``) has that of its server."""
    for log in appointments.logs:
        if log_origin(log.server) == log_name(origin):
            return VerifierKey(origin, log.log_key.kind, log.log_key.public)
    raise _unproved(
        f"the configuration has no key of a log {shown(origin)}; one whose log that is was expected"
    )


def _moment(witness: VerifierKey, at_s: int) -> datetime:
    try:
        return datetime.fromtimestamp(at_s, UTC)
    except (OverflowError, ValueError, OSError) as err:
        raise _unproved(f"the cosignature of {shown(witness.name)} is of no time of this calendar") from err


def _is_of(signature: NoteSignature, key: VerifierKey) -> bool:
    return (signature.name, signature.key_id) == (key.name, key.key_id)


def _verify(key: VerifierKey, signature: bytes, signed: bytes) -> None:
    try:
        if len(signature) != _SIGNATURE_BYTES:
            raise InvalidSignature
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, signed)
    except (InvalidSignature, ValueError) as err:
        raise _unproved(f"the signature of {shown(key.name)} (key {key.key_id.hex()}) does not hold") from err


def _unproved(detail: str) -> NotProved:
    return NotProved(Kind.INVALID_SIGNATURE_VALUE, detail)
