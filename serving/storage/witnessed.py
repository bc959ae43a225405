"""What a witness has seen of each log it follows, kept so that it never cosigns two heads that do not extend one another.

The head is on the disk before the cosignature leaves; looking at the last one and keeping the next is one transaction.

Spec: C2SP tlog-witness, tlog-cosignature.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from certs.transparency import verify_log
from schemas.faults import Fault
from schemas.transparency.merkle import EMPTY_ROOT, verify_consistency
from schemas.transparency.notes import VerifierKey, parse_note, parse_verifier_key
from schemas.transparency.proofs import parse_witness_request
from serving.storage.database import open_file

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from certs.transparency import NoteSigner
    from schemas.transparency.notes import Checkpoint, SignedNote
    from schemas.transparency.proofs import WitnessRequest

STEPS = (
    """
    CREATE TABLE witnessed (
        origin TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        root BLOB NOT NULL,
        note BLOB NOT NULL,
        at_s INTEGER NOT NULL
    );
    """,
)
# A log that was restored from a copy, and said so, goes on under its name with a number.
_LATER_LOG = re.compile(r"(.+)/log/[1-9]\d{0,5}", re.ASCII)


@dataclass(frozen=True, slots=True)
class WitnessReply:
    """A witness's answer to an ``add-checkpoint`` request."""

    status: HTTPStatus
    body: str
    is_size: bool = False


class WitnessBook:
    """Cosigns heads of the logs whose verifier keys are given, out of a SQLite file. Calls block."""

    def __init__(
        self,
        path: Path,
        follows: Sequence[str],
        also: Callable[[str], VerifierKey | None] = lambda _name: None,
    ) -> None:
        """``also`` finds the key of a log by its name. Raises `BadMessage` when one of ``follows`` is no verifier key."""
        self._also = also
        self._keys = {key.name: key for key in map(parse_verifier_key, follows)}
        self._connection = open_file(path, STEPS)

    def close(self) -> None:
        """Close the file of the book."""
        self._connection.close()

    def heads(self) -> list[tuple[str, int, int]]:
        """The last checkpoint seen of each log: origin, size and when, in seconds since 1970."""
        rows = self._connection.execute("SELECT origin, size, at_s FROM witnessed ORDER BY origin")
        return [(str(origin), int(size), int(at_s)) for origin, size, at_s in rows]

    def newest(self, origin: str) -> SignedNote | None:
        """The last checkpoint that was cosigned of a log, with the log's signature; None when there is none."""
        row = self._connection.execute("SELECT note FROM witnessed WHERE origin = ?", (origin,)).fetchone()
        return None if row is None else parse_note(bytes(row[0]))

    def add_checkpoint(self, body: bytes, signer: NoteSigner, now: datetime) -> WitnessReply:
        """Answer a request: a cosignature, or why not. Raises sqlite3.Error, and then nothing was cosigned."""
        try:
            request = parse_witness_request(body)
        except Fault as fault:
            return WitnessReply(HTTPStatus.BAD_REQUEST, f"{fault.detail}\n")
        origin = request.checkpoint.text.partition("\n")[0]
        key = self._key_of(origin)
        if key is None:
            return WitnessReply(HTTPStatus.NOT_FOUND, "this witness does not follow that log\n")
        try:
            checkpoint = verify_log(request.checkpoint, key)
        except Fault as fault:
            return WitnessReply(HTTPStatus.FORBIDDEN, f"{fault.detail}\n")
        if request.old_size > checkpoint.size:
            return WitnessReply(HTTPStatus.BAD_REQUEST, "the old size is larger than the checkpoint's\n")
        return self._decide(request, checkpoint, signer, now)

    def _key_of(self, origin: str) -> VerifierKey | None:
        named = self._named(origin)
        if named is not None:
            return named
        later = _LATER_LOG.fullmatch(origin)
        first = self._named(later[1]) if later else None
        return None if first is None else VerifierKey(origin, first.kind, first.public)

    def _named(self, name: str) -> VerifierKey | None:
        return self._keys.get(name) or self._also(name)

    def _decide(
        self, request: WitnessRequest, checkpoint: Checkpoint, signer: NoteSigner, now: datetime
    ) -> WitnessReply:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            size, root = self._last(checkpoint.origin)
            refusal = _refuse(request, checkpoint, size, root)
            if refusal is None:
                _keep(self._connection, request, checkpoint, now)
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        # From here on this is the head; a crash before the answer leaves a log that asks again from this size on.
        self._connection.execute("COMMIT")
        return refusal or WitnessReply(HTTPStatus.OK, signer.cosign(request.checkpoint, now).render())

    def _last(self, origin: str) -> tuple[int, bytes]:
        row = self._connection.execute(
            "SELECT size, root FROM witnessed WHERE origin = ?", (origin,)
        ).fetchone()
        return (0, EMPTY_ROOT) if row is None else (int(row[0]), bytes(row[1]))


def _refuse(request: WitnessRequest, checkpoint: Checkpoint, size: int, root: bytes) -> WitnessReply | None:
    is_other = request.old_size == checkpoint.size == size and checkpoint.root != root
    if request.old_size != size or (is_other and size):
        return WitnessReply(HTTPStatus.CONFLICT, f"{size}\n", is_size=True)
    try:
        verify_consistency(size, root, checkpoint.size, checkpoint.root, request.path)
    except Fault as fault:
        return WitnessReply(HTTPStatus.UNPROCESSABLE_ENTITY, f"{fault.detail}\n")
    return None


def _keep(
    connection: sqlite3.Connection, request: WitnessRequest, checkpoint: Checkpoint, now: datetime
) -> None:
    connection.execute(
        "INSERT INTO witnessed (origin, size, root, note, at_s) VALUES (?, ?, ?, ?, ?) ON CONFLICT (origin) "
        "DO UPDATE SET size = excluded.size, root = excluded.root, note = excluded.note, at_s = excluded.at_s",
        (
            checkpoint.origin,
            checkpoint.size,
            checkpoint.root,
            request.checkpoint.render(),
            int(now.timestamp()),
        ),
    )
