"""Reading a message log: records by what is clear in them, their content by their keys, and the chain that binds them."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from gateway.messagelog import rows
from gateway.messagelog.keytree import Destroyed
from gateway.messagelog.marks import UnmarkedRecords
from gateway.messagelog.record import (
    FIRST_CHAIN_VALUE,
    Links,
    RecordForm,
    Unstamped,
    chain_value,
    sealed_label,
)
from gateway.messagelog.sealing import open_sealed
from schemas.faults import Fault, Kind
from schemas.message import digest_of
from schemas.transparency.records import record_digest
from schemas.zipwriting import Redrawn
from serving.errors import OperatorError
from serving.storage.damage import reading_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.messagelog.body_store import Bodies
    from gateway.messagelog.keys import LogKeys
    from gateway.messagelog.record import LoggedAttachment, LogRecord
    from schemas.identifiers import ClientId
    from serving.storage.database import AnyDatabase

_TOGETHER = 100
# Tables whose rows are read with a record, and their column that names it.
_PARTS = {"attachment": "record_id", "stamped": "record_id", "erased": "record_id"}


class LogReader:
    """Reads over one connection, from any thread."""

    def __init__(self, database: AnyDatabase, bodies: Bodies, keys: LogKeys) -> None:
        self.database = database
        self._bodies = bodies
        self._keys = keys
        self.unstamped = UnmarkedRecords(self.query, lambda: datetime.now(UTC), "stamped")

    def close(self) -> None:
        """Close tables, bodies and keys."""
        self.database.close()
        self._bodies.close()
        self._keys.close()

    def query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """The rows of a question."""
        return self.database.query(sql, parameters)

    async def find(
        self, owner: ClientId, message_id: str, *, is_response: bool | None = None
    ) -> list[LogRecord]:
        """A client's records of a message id, oldest first."""
        where, parameters = "owner = ? AND message_id = ?", [owner.path(), message_id]
        if is_response is not None:
            where += f" AND is_response = {int(is_response)}"
        return await asyncio.to_thread(self._records, where, parameters)

    async def untimestamped(self, limit: int, among: Sequence[int] = ()) -> list[Unstamped]:
        """The oldest records without a timestamp, of all or of some."""
        return await asyncio.to_thread(self._untimestamped, limit, among)

    def _untimestamped(self, limit: int, among: Sequence[int]) -> list[Unstamped]:
        # A few signatures at a time: a full round of them would be tens of mebibytes.
        found: list[Unstamped] = []
        first = None if among else self.unstamped.first()
        if first is None and not among:
            return found
        where = f"AND record.id IN ({', '.join('?' * len(among))})" if among else ""
        while len(found) < limit:
            after = found[-1].id if found else (first or 1) - 1
            some = self.query(
                "SELECT record.id, record.at_ms, record.signature FROM record "
                "LEFT JOIN stamped ON stamped.record_id = record.id AND stamped.record_id > ? "
                f"WHERE stamped.record_id IS NULL AND record.id > ? {where} ORDER BY record.id LIMIT ?",
                [after, after, *among, min(_TOGETHER, limit - len(found))],
            )
            for number, at, signature in some:
                with reading_row(self.database.place, "record", "id", number):
                    digest = digest_of(rows.bytes_of(signature))
                    found.append(Unstamped(rows.number_of(number), rows.to_moment(at), digest))
            if len(some) < _TOGETHER:
                break
        return found

    def oldest_untimestamped(self) -> datetime | None:
        """When the oldest record without a timestamp was written."""
        found = self.query(
            "SELECT id, at_ms FROM record WHERE id > (SELECT coalesce(max(record_id), 0) FROM stamped) ORDER BY id LIMIT 1"
        )
        if not found:
            return None
        with reading_row(self.database.place, "record", "id", found[0][0]):
            return rows.to_moment(found[0][1])

    async def by_ids(self, ids: Sequence[int]) -> list[LogRecord]:
        """The records with these ids, as many as there are."""
        marks = ", ".join("?" * len(ids))
        return await asyncio.to_thread(self._records, f"record.id IN ({marks})", list(ids))

    def record(self, record_id: int) -> LogRecord:
        """One record, for threads. Raises `Fault` when it is not there."""
        return self.records([record_id])[0]

    def records(self, ids: Sequence[int]) -> list[LogRecord]:
        """Records by their numbers, in the order of these, for threads. Raises `Fault` when one is not there."""
        found = self._records(f"record.id IN ({', '.join('?' * len(ids))})", list(ids))
        if missing := set(ids) - {record.id for record in found}:
            raise Fault(Kind.LOGGING_FAILED, f"the message log has no record {min(missing)}")
        return found

    def select(self, condition: str, parameters: Sequence[object], limit: int) -> list[LogRecord]:
        """At most ``limit`` records that meet a condition in SQL, oldest first, for threads."""
        return self._records(condition, parameters, limit)

    def select_newest(self, condition: str, parameters: Sequence[object], limit: int) -> list[LogRecord]:
        """At most ``limit`` records that meet a condition, newest first, for threads."""
        return self._records(condition, parameters, limit, order="record.id DESC")

    def newest_sealed(self) -> LogRecord | None:
        """The newest record whose content is there, sealed."""
        found = self._records("form = 1 AND erased.record_id IS NULL", [], 1, order="record.id DESC")
        return found[0] if found else None

    def _records(
        self, where: str, parameters: Sequence[object], limit: int = 10_000, *, order: str = "record.id"
    ) -> list[LogRecord]:
        found = self.query(f"{rows.SELECT_RECORDS} WHERE {where} ORDER BY {order} LIMIT {limit}", parameters)
        attachments = self._attachments(found)
        return [self._record(row, attachments) for row in found]

    def _attachments(self, found: Sequence[Sequence[object]]) -> dict[object, list[Sequence[object]]]:
        """The rows of the attachments of some records, by their number; many in one question."""
        attachments: dict[object, list[Sequence[object]]] = {}
        for begin in range(0, len(found), _TOGETHER):
            numbers = [row[0] for row in found[begin : begin + _TOGETHER]]
            marks = ", ".join("?" * len(numbers))
            for number, *attachment in self.query(rows.SELECT_ATTACHMENTS.format(marks=marks), numbers):
                attachments.setdefault(number, []).append(attachment)
        return attachments

    def _record(self, row: Sequence[object], attachments: dict[object, list[Sequence[object]]]) -> LogRecord:
        with reading_row(self.database.place, "record", "id", row[0], _PARTS):
            return rows.record_of(row, attachments.get(row[0], ()))

    # Content

    def keys_of(self, records: Sequence[LogRecord]) -> dict[int, bytes]:
        """The keys of records by their numbers, of those that are not erased; in one look. Raises `Fault`."""
        numbers = [record.id for record in records if record.erasure is None]
        try:
            return dict(zip(numbers, self._keys.record_keys(numbers), strict=True))
        except Destroyed as destroyed:
            raise Fault(
                Kind.LOGGING_FAILED,
                f"the key of record {destroyed.args[0]} is destroyed or was never in these keys",
            ) from None

    def open_message(self, record: LogRecord, key: bytes | None = None) -> bytes:
        """The message as it is in the log, by the record's key where the caller has it. Raises `Fault` when it does not open, or was erased."""
        if record.form is RecordForm.CLEAR:
            return record.message
        return open_sealed(key or self._key(record), record.message, sealed_label(record.id, "message"))

    def open_body(
        self, record: LogRecord, attachment: LoggedAttachment, key: bytes | None = None
    ) -> Iterable[bytes]:
        """A body's chunks, as much of it as is in the log, to be drawn as often as wanted. Raises `Fault` as `open_message` does."""
        what = f"attachment {attachment.number}"
        if attachment.content is not None:
            return (open_sealed(key or self._key(record), attachment.content, sealed_label(record.id, what)),)
        if attachment.file_name is None or attachment.file_key is None:
            return ()
        label = sealed_label(record.id, f"key of {what}")
        of_body = open_sealed(key or self._key(record), attachment.file_key, label)
        return Redrawn(partial(self._bodies.chunks, attachment.file_name, of_body))

    def _key(self, record: LogRecord) -> bytes:
        if record.erasure is not None:
            raise Fault(
                Kind.LOGGING_FAILED,
                f"the content of record {record.id} was erased by order {record.erasure.reference}",
            )
        return self.keys_of([record])[record.id]

    # The chain

    async def verify_chain(self) -> int | None:
        """Walk every record; the id of the first one that was changed or follows a gap, or None when all is whole.

        Content that is there is opened and compared with its digest. Raises `Fault` while the keys are closed.
        """
        return await asyncio.to_thread(self._verify_chain)

    def _verify_chain(self) -> int | None:
        self._keys.check_open()
        before, chain = rows.last_chain(self.query, "removed") or (0, FIRST_CHAIN_VALUE)
        expected, number = before + 1, before
        while some := self.query(
            f"SELECT record.id, {rows.DIGESTED}, chain, erased.record_digest FROM record "
            "LEFT JOIN erased ON erased.record_id = record.id WHERE record.id > ? ORDER BY record.id LIMIT 500",
            [number],
        ):
            records = self._readable(some[0][0], some[-1][0])
            for row in some:
                number, kept = int(str(row[0])), row[-2]
                if number not in records:  # no value of it is what was written
                    return number
                digest = self._digest(records[number], list(row[1:-2]), row[-1])
                if digest is None or number != expected or chain_value(chain, digest) != kept:
                    return number
                chain, expected = chain_value(chain, digest), expected + 1
        return None

    def _readable(self, first: object, last: object) -> dict[int, LogRecord]:
        """The records between two, by number, without those that nothing can be made of."""
        found = self.query(f"{rows.SELECT_RECORDS} WHERE record.id BETWEEN ? AND ?", [first, last])
        attachments, records = self._attachments(found), {}
        for row in found:
            with contextlib.suppress(OperatorError):
                record = self._record(row, attachments)
                records[record.id] = record
        return records

    def _digest(self, record: LogRecord, fields: list[object], erased_digest: object) -> bytes | None:
        """What the chain says of a record, out of the record; None when its content is not what it was."""
        if isinstance(erased_digest, bytes):
            return erased_digest
        if record.erasure is None:
            try:
                message = self.open_message(record)
            except Fault:
                return None
            whole = record.form is RecordForm.SEALED and not record.is_reduced
            if whole and hashlib.sha512(message).digest() != record.message_digest:
                return None
            fields[rows.MESSAGE_PLACE] = message
        if record.links is Links.DIGEST:
            fields[rows.MESSAGE_PLACE] = record.message_digest
        return record_digest([*fields, *(a.digest for a in record.attachments)])  # type: ignore[list-item]
