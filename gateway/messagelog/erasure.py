"""Erasing content from a message log on an order: the key goes, the evidence stays.

What a record's signature, hash chain and timestamp prove rests on digests, and is untouched. The message and its bodies can
be read by nobody any more: not here, and not in any copy of the database, of the bodies or of sealed archives.

On disk, step by step: (1) the order and the records it is over, from where on nobody is shown their content; (2) the key file
without their keys, from where on the content is gone everywhere; (3) the rows emptied, the order marked done, the bodies'
files removed. A crash after (1) is completed at the next start, or by the next order.

It works beside a `MessageLog`, on a connection of its own, also while a gateway serves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.messagelog import rows
from gateway.messagelog.keytree import as_ranges
from gateway.messagelog.places import place_of
from gateway.messagelog.reading import LogReader
from gateway.messagelog.record import Links
from schemas.faults import Fault, Kind
from schemas.transparency.records import record_digest
from serving.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from gateway.messagelog.body_store import Bodies
    from gateway.messagelog.keys import LogKeys
    from gateway.messagelog.places import LogPlace
    from gateway.messagelog.record import ErasureOrder
    from serving.storage.database import AnyDatabase

_TOGETHER = 500


class Selection(msgspec.Struct, frozen=True):
    """Which records: every condition that is given must hold, and one must be."""

    records: tuple[int, ...] = ()
    message_id: str | None = None
    owner: str | None = None
    client: str | None = None
    service: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def clause(self) -> tuple[str, list[object]]:
        """The condition as SQL with its parameters. Raises ValueError when it would take everything."""
        terms: list[tuple[str, list[object]]] = []
        if self.records:
            terms.append((f"record.id IN ({', '.join('?' * len(self.records))})", list(self.records)))
        for column in ("message_id", "owner", "client", "service"):
            if (value := getattr(self, column)) is not None:
                terms.append((f"record.{column} = ?", [value]))
        if self.since is not None:
            terms.append(("record.at_ms >= ?", [rows.to_milliseconds(self.since)]))
        if self.until is not None:
            terms.append(("record.at_ms < ?", [rows.to_milliseconds(self.until)]))
        if not terms:
            raise ValueError("an order names records, a message, an owner, a client, a service or a time")
        return " AND ".join(t for t, _ in terms), [v for _, values in terms for v in values]


class Eraser:
    """Carries out orders on one log, whose keys are open."""

    def __init__(self, where: Path | LogPlace, keys: LogKeys) -> None:
        self._keys = keys
        place = place_of(where)
        self._bodies = place.bodies
        self._database = place.open()
        self._reader = LogReader(self._database, self._bodies, keys)
        if not self._database.query("SELECT 1 FROM sealed"):
            self._database.close()
            raise Fault(
                Kind.LOGGING_FAILED,
                "this log still holds records in clear, of which no key can be destroyed; start the gateway once, which seals them",
            )

    def close(self) -> None:
        """Close the database and the bodies."""
        self._database.close()
        self._bodies.close()

    def find(self, selection: Selection) -> list[int]:
        """The records that would be erased: those selected whose content is still there, or in archives only."""
        clause, values = selection.clause()
        found = self._database.query(
            f"SELECT record.id FROM record LEFT JOIN erased ON erased.record_id = record.id WHERE {clause} "
            "AND erased.record_id IS NULL ORDER BY record.id",
            values,
        )
        return sorted({*(int(r[0]) for r in found), *self._removed(selection)})

    def _removed(self, selection: Selection) -> list[int]:
        """Records named by number that are in archives only: their keys are still here."""
        last = rows.last_chain(self._database.query, "removed")
        if last is None:
            return []
        known = {int(r[0]) for r in self._database.query("SELECT record_id FROM erased")}
        return [n for n in selection.records if 0 < n <= last[0] and n not in known]

    def erase(self, record_ids: Sequence[int], order: ErasureOrder) -> int:
        """Erase the content of records; the number of the erasure. It is gone when this returns. Raises `Fault`."""
        if not record_ids:
            raise Fault(Kind.LOGGING_FAILED, "the order is over no record whose content is there")
        digests = {n: self._digest(n) for n in record_ids}
        # On disk after this: the order and the digests that the chain needs later. A crash from here on: the next start
        # carries it out.
        with self._database.transaction() as transaction:
            (number,) = transaction.execute(
                "INSERT INTO erasure (reference, authority, ordered_by, at_ms, is_done) VALUES (?, ?, ?, ?, 0) RETURNING id",
                (order.reference, order.authority, order.ordered_by, rows.to_milliseconds(order.at)),
            ).fetchone()
            transaction.executemany(
                "INSERT INTO erased (record_id, erasure_id, record_digest) VALUES (?, ?, ?)",
                [(n, number, digests[n]) for n in record_ids],
            )
        finish_erasures(self._database, self._bodies, self._keys)
        return int(number)

    def _digest(self, record_id: int) -> bytes | None:
        """The record's digest, where the hash chain links it by its content; None where it is linked by digests."""
        found = self._database.query(
            f"SELECT {rows.DIGESTED} FROM record WHERE id = ? AND links = ?",
            (record_id, Links.MESSAGE.value),
        )
        if not found:
            return None
        record = self._reader.record(record_id)
        fields = list(found[0])
        fields[rows.MESSAGE_PLACE] = self._reader.open_message(record)
        return record_digest([*fields, *(a.digest for a in record.attachments)])


def finish_erasures(database: AnyDatabase, bodies: Bodies, keys: LogKeys) -> int:
    """Carry out every order that is written down and not done; how many. Doing it twice does no harm."""
    orders = database.query("SELECT id FROM erasure WHERE is_done = 0")
    for (erasure_id,) in orders:
        found = database.query("SELECT record_id FROM erased WHERE erasure_id = ?", (erasure_id,))
        ids = [int(r[0]) for r in found]
        keys.destroy(as_ranges(ids))  # from here on the content is gone, in every copy
        names = [
            name
            for start in range(0, len(ids), _TOGETHER)
            for name in _empty(database, ids[start : start + _TOGETHER])
        ]
        with database.transaction() as transaction:
            transaction.execute("UPDATE erasure SET is_done = 1 WHERE id = ?", (erasure_id,))
        # The order is done. A crash here leaves bodies without a key and without a row, which the next start removes.
        bodies.remove(names)
    if orders and isinstance(database, Database):
        database.query("PRAGMA wal_checkpoint(PASSIVE)")
    return len(orders)


def _empty(database: AnyDatabase, ids: Sequence[int]) -> list[str]:
    marks = ", ".join("?" * len(ids))
    with database.transaction() as transaction:
        names = transaction.execute(
            f"SELECT file_name FROM attachment WHERE record_id IN ({marks}) AND file_name IS NOT NULL",
            list(ids),
        ).fetchall()
        transaction.execute(f"UPDATE record SET message = ? WHERE id IN ({marks})", [b"", *ids])
        transaction.execute(
            f"UPDATE attachment SET content = NULL, file_name = NULL, file_key = NULL WHERE record_id IN ({marks})",
            list(ids),
        )
    return [str(n) for (n,) in names]
