"""Proofs that records are in the transparency log, to be handed out and verified offline (`certs.transparency.verify_record`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.messagelog import rows
from gateway.messagelog.record import Links
from gateway.transparency.files import TransparencyFiles
from schemas.faults import Fault, Kind
from schemas.message import Side
from schemas.transparency.entries import parse_first_entry
from schemas.transparency.merkle import inclusion_proof
from schemas.transparency.proofs import InclusionProof
from schemas.transparency.records import RecordProof, RecordStatement
from schemas.transparency.tiles import tile_subtrees

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.messagelog.reading import LogReader
    from schemas.transparency.notes import SignedNote

# The message itself is not read.
_COLUMNS = rows.DIGESTED.replace(" message,", " NULL,")
# Records of one message id: two to an exchange and side; a client that used an id again has more.
_MOST_RECORDS = 16


def prove_record(files: TransparencyFiles, number: int) -> InclusionProof:
    """The proof that a record is in the log, its opening as ``extra``. Raises `Fault` when it is not there yet."""
    head = _ProvingHead.read(files)
    if head is None or not head.covers(number):
        raise Fault(Kind.LOGGING_FAILED, f"record {number} is not in the transparency log, or not yet")
    return head.prove(files, number)


class MessageProofs(msgspec.Struct, frozen=True):
    """The proofs of each message id's records. ``waiting``: has records that no checkpoint covers yet; ``absent``: has none in this log.

    ``earliest_ms``: when the oldest record that the log still has was written (ms since 1970), None for an empty log; older ones
    are in its archives.
    """

    origin: str
    proofs: dict[str, list[RecordProof]]
    waiting: tuple[str, ...]
    absent: tuple[str, ...]
    earliest_ms: int | None

    def to_json(self) -> dict[str, object]:
        """The answer of ``GET /recordproofs``."""
        return {
            "log": self.origin,
            "earliestMs": self.earliest_ms,
            "proofs": {
                message_id: [proof.to_json() for proof in proofs]
                for message_id, proofs in self.proofs.items()
            },
            "waiting": list(self.waiting),
            "absent": list(self.absent),
        }


def prove_messages(
    reader: LogReader, files: TransparencyFiles, owner: str, message_ids: Sequence[str]
) -> MessageProofs:
    """The proofs of a client's records (``MX/GOB/A/SUB``) of each message id. Slow: call it in a thread."""
    heads = _heads(files)
    proofs: dict[str, list[RecordProof]] = {}
    waiting: list[str] = []
    absent: list[str] = []
    for message_id in message_ids:
        records = _statements(reader, owner, message_id)
        found = [_proof(heads, number, statement) for number, statement in records]
        proved = [proof for proof in found if proof is not None]
        if proved:
            proofs[message_id] = proved
        if not records:
            absent.append(message_id)
        elif len(proved) < len(records):
            waiting.append(message_id)
    earliest = reader.query("SELECT at_ms FROM record ORDER BY id LIMIT 1")
    return MessageProofs(
        heads[0][0].note.text.partition("\n")[0] if heads else "",
        proofs,
        tuple(waiting),
        tuple(absent),
        int(str(earliest[0][0])) if earliest else None,
    )


def _heads(files: TransparencyFiles) -> list[tuple[_ProvingHead, TransparencyFiles]]:
    """The heads of the log and of those that it was declared to follow, the newest first, each with its files."""
    numbers = sorted(
        (int(p.name.removeprefix("before-")) for p in files.folder.glob("before-*")), reverse=True
    )
    every = [files, *(TransparencyFiles(files.folder / f"before-{number}") for number in numbers)]
    return [(head, of) for of in every if (head := _ProvingHead.read(of)) is not None]


def _proof(
    heads: Sequence[tuple[_ProvingHead, TransparencyFiles]], number: int, statement: RecordStatement | None
) -> RecordProof | None:
    """The proof by the newest log that has this very record; None when none has it, or not yet."""
    for head, files in heads:
        if statement is not None and head.covers(number):
            proof = RecordProof(statement, head.prove(files, number))
            if proof.opening().record_digest == statement.digest():
                return proof
    return None


def _statements(reader: LogReader, owner: str, message_id: str) -> list[tuple[int, RecordStatement | None]]:
    """Numbers and statements of a client's records of a message id, as they were written; None for one of an early version."""
    found = reader.query(
        f"SELECT id, links, message_digest, {_COLUMNS} FROM record "
        "WHERE message_id = ? AND owner = ? ORDER BY id LIMIT ?",
        [message_id, owner, _MOST_RECORDS],
    )
    return [
        (int(str(number)), _statement(reader, number, digest, fields) if links == Links.DIGEST else None)
        for number, links, digest, *fields in found
    ]


def _statement(
    reader: LogReader, number: object, message_digest: object, fields: Sequence[object]
) -> RecordStatement:
    """One row; the signature document is as it was before any timestamp was put into it."""
    bodies = reader.query("SELECT digest FROM attachment WHERE record_id = ? ORDER BY number", [number])
    message_id, request_id, is_response, side, owner, client, service, protocol, _, *rest = fields
    signature, chain_result, chain, at_ms = rest
    return RecordStatement(
        message_id=str(message_id),
        request_id=str(request_id),
        is_response=is_response == 1,
        side=Side(str(side)),
        owner=str(owner),
        client=str(client),
        service=str(service),
        protocol=str(protocol),
        message_digest=_blob(message_digest) or b"",
        signature=_blob(signature) or b"",
        hash_chain_result=_blob(chain_result),
        hash_chain=_blob(chain),
        at_ms=int(str(at_ms)),
        bodies=tuple(_blob(body) or b"" for (body,) in bodies),
    )


def _blob(value: object) -> bytes | None:
    return bytes(value) if isinstance(value, bytes | memoryview) else None


class _ProvingHead(msgspec.Struct, frozen=True):
    """The newest checkpoint, and the number of the log's first record."""

    note: SignedNote
    size: int
    first: int

    @classmethod
    def read(cls, files: TransparencyFiles) -> _ProvingHead | None:
        note = files.read_checkpoint()
        size = 0 if note is None else int(note.text.split("\n")[1])
        if note is None or not size:
            return None
        return cls(note, size, parse_first_entry(next(iter(files.entries(1)))).first)

    def covers(self, number: int) -> bool:
        return self.first <= number < self.first + self.size - 1

    def prove(self, files: TransparencyFiles, number: int) -> InclusionProof:
        index = number - self.first + 1
        (opening,) = files.openings(index + 1, index)
        path = inclusion_proof(index, self.size, tile_subtrees(self.size, files.read))
        return InclusionProof(index, tuple(path), self.note, opening.render())
