"""The message log on SQLite: append-only, one writer thread, group commit.

Whoever appends waits for the disk: the writer takes everything that waits, writes it in one transaction
(``synchronous=FULL``) and only then answers all of them. So many messages share one write, and a message alone waits for
one. A commit that fails is answered with `LogFailed` to everyone in it, and nothing of it is in the log. What waits is
bounded; beyond that a message is refused at once.

On disk: ``messages.sqlite``, and ``bodies/`` for bodies too large for a row. A body's file is on the disk under its
lasting name before the row that names it is committed; a crash in between leaves a file nobody names, removed at start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from certs.edges.tokenfiles import sync_folder
from gateway.messagelog.record import (
    FIRST_CHAIN_VALUE,
    LogEntry,
    LoggedAttachment,
    LogRecord,
    Side,
    chain_value,
    record_digest,
)
from schemas.faults import Kind, LogFailed
from schemas.identifiers import ClientId
from serving.database import apply_steps, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["LogEntry", "LogSettings", "MessageLog", "Side"]

log = logging.getLogger("gateway.messagelog")

STEPS = (
    """
    CREATE TABLE record (
        id INTEGER PRIMARY KEY,
        message_id TEXT NOT NULL,
        request_id TEXT NOT NULL,
        is_response INTEGER NOT NULL,
        side TEXT NOT NULL,
        owner TEXT NOT NULL,
        client TEXT NOT NULL,
        service TEXT NOT NULL,
        protocol TEXT NOT NULL,
        message BLOB NOT NULL,
        signature BLOB NOT NULL,
        hash_chain_result BLOB,
        hash_chain BLOB,
        at_ms INTEGER NOT NULL,
        chain BLOB NOT NULL
    );
    CREATE INDEX record_of_message ON record (message_id);
    CREATE TABLE attachment (
        record_id INTEGER NOT NULL REFERENCES record (id),
        number INTEGER NOT NULL,
        size_bytes INTEGER NOT NULL,
        digest BLOB NOT NULL,
        content BLOB,
        file_name TEXT,
        PRIMARY KEY (record_id, number)
    ) WITHOUT ROWID;
    CREATE TABLE stamp (
        id INTEGER PRIMARY KEY,
        token BLOB NOT NULL,
        result BLOB,
        at_ms INTEGER NOT NULL,
        authority TEXT NOT NULL
    );
    CREATE TABLE stamped (
        record_id INTEGER PRIMARY KEY REFERENCES record (id),
        stamp_id INTEGER NOT NULL REFERENCES stamp (id),
        chain BLOB,
        signature BLOB
    );
    """,
    # What is archived, the archives, and where the log begins once its oldest records are gone (at most one row).
    """
    CREATE TABLE archive (
        id INTEGER PRIMARY KEY,
        group_name TEXT NOT NULL,
        digest TEXT NOT NULL,
        file_name TEXT NOT NULL,
        at_ms INTEGER NOT NULL
    );
    CREATE INDEX archive_of_group ON archive (group_name);
    CREATE TABLE archived (
        record_id INTEGER PRIMARY KEY REFERENCES record (id),
        archive_id INTEGER NOT NULL REFERENCES archive (id)
    );
    CREATE TABLE removed (
        id INTEGER PRIMARY KEY,
        chain BLOB NOT NULL
    );
    """,
)
DATABASE = "messages.sqlite"
_STOP = object()
# Rows of one statement: fifteen columns each, and every SQLite takes 999 parameters. One statement for many rows lets go of
# the interpreter once, not once a row.
_ROWS_TOGETHER = 64


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Bounds of the log."""

    queue_length: int = 10_000
    batch_length: int = 512


@dataclass(slots=True)
class _Waiting:
    entry: LogEntry
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[int]


class MessageLog:
    """The log of one security server. Open it once a process; appends come from the event loop."""

    def __init__(self, folder: Path, settings: LogSettings | None = None) -> None:
        self._settings = settings or LogSettings()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / DATABASE
        self.bodies = folder / "bodies"
        self.bodies.mkdir(mode=0o700, exist_ok=True)
        self._queue: queue.SimpleQueue[_Waiting | object] = queue.SimpleQueue()
        self._length = 0
        self._gate: Callable[[datetime], None] | None = None
        self._reader = connect(self._path)
        apply_steps(self._reader, STEPS)
        self._reader_lock = threading.Lock()
        self._remove_unnamed_bodies()
        self._thread = threading.Thread(target=self._write_for_ever, name="message log", daemon=True)
        self._thread.start()

    def take_queue_length(self, length: int) -> None:
        """Let another number of messages wait for the disk."""
        self._settings = replace(self._settings, queue_length=length)

    @classmethod
    def open(cls, folder: Path, *, settings: LogSettings | None = None) -> MessageLog:
        """The log in a folder, made if it is not there."""
        return cls(folder, settings)

    def guard(self, gate: Callable[[datetime], None]) -> None:
        """Ask ``gate`` before every append; it raises `LogFailed` when evidence can no longer be timestamped."""
        self._gate = gate

    def check_accepting(self, now: datetime) -> None:
        """Refuse when a message could not be logged now. Raises `LogFailed`."""
        if self._gate is not None:
            self._gate(now)
        if self._length >= self._settings.queue_length:
            raise LogFailed(
                Kind.LOGGING_FAILED,
                f"{self._length} messages wait for the disk; no more are taken until it catches up",
            )

    async def append(self, entry: LogEntry) -> int:
        """Write a message to the disk; its id. Raises `LogFailed`, and then it is not in the log."""
        self.check_accepting(entry.at)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(entry, loop, loop.create_future())
        self._length += 1
        self._queue.put(waiting)
        try:
            return await asyncio.shield(waiting.done)
        except asyncio.CancelledError:
            # A caller that goes away does not take its message out of a batch, and keeps its bodies until that is written.
            await _settled(waiting.done)
            raise

    async def close(self) -> None:
        """Write what waits and stop."""
        self._queue.put(_STOP)
        await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        with self._reader_lock:
            self._reader.close()

    # The writer thread

    def _write_for_ever(self) -> None:
        connection = connect(self._path)
        connection.execute("PRAGMA wal_autocheckpoint = 1000")
        while True:
            batch, stopping = self._take()
            if batch:
                self._write_batch(connection, batch)
            if stopping:
                connection.close()
                return

    def _take(self) -> tuple[list[_Waiting], bool]:
        batch: list[_Waiting] = []
        first = self._queue.get()
        while True:
            if first is _STOP:
                return batch, True
            if isinstance(first, _Waiting):
                batch.append(first)
            if len(batch) >= self._settings.batch_length:
                return batch, False
            try:
                first = self._queue.get_nowait()
            except queue.Empty:
                return batch, False

    def _write_batch(self, connection: sqlite3.Connection, batch: list[_Waiting]) -> None:
        linked: list[Path] = []
        try:
            for waiting in batch:
                self._link_bodies(waiting.entry, linked)
            if linked:
                sync_folder(self.bodies)  # bodies are on the disk; a crash here leaves files nobody names
            connection.execute("BEGIN IMMEDIATE")
            ids = self._insert(connection, batch)
            connection.execute("COMMIT")  # from here on the messages are in the log, whatever happens
        except Exception as err:  # whatever it was, everyone is answered and the next batch is tried
            self._undo(connection, linked)
            log.error("messages could not be logged", extra={"event": "log_failed", "reason": repr(err)})
            text = f"the message log cannot be written ({err}); nothing was sent. Free space or mend the disk"
            self._answer(batch, None, text)
        else:
            self._answer(batch, ids, "")

    def _answer(self, batch: list[_Waiting], ids: list[int] | None, text: str) -> None:
        """Wake everyone of a batch with one call into the event loop."""

        def answer() -> None:
            self._length -= len(batch)
            for place, waiting in enumerate(batch):
                if ids is None:
                    waiting.done.set_exception(LogFailed(Kind.LOGGING_FAILED, text))
                else:
                    waiting.done.set_result(ids[place])

        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it everyone who waited
            batch[0].loop.call_soon_threadsafe(answer)

    def _link_bodies(self, entry: LogEntry, linked: list[Path]) -> None:
        for spool in entry.attachments:
            if spool.path is not None:
                target = self.bodies / f"{spool.path.stem}-{'r' if entry.message.is_response else 'q'}"
                spool.link(target)
                linked.append(target)

    def _insert(self, connection: sqlite3.Connection, batch: list[_Waiting]) -> list[int]:
        number, chain = _last(connection, "record") or _last(connection, "removed") or (0, FIRST_CHAIN_VALUE)
        records, attachments, ids = [], [], []
        for waiting in batch:
            number += 1
            row = _row(waiting.entry)
            parts = _attachment_rows(waiting.entry)
            chain = chain_value(chain, record_digest([*row, *(p[2] for p in parts)]))
            records.append((number, *row, chain))
            attachments += [(number, *part) for part in parts]
            ids.append(number)
        _insert_rows(connection, _INSERT_RECORD, records)
        _insert_rows(connection, _INSERT_ATTACHMENT, attachments)
        return ids

    def _undo(self, connection: sqlite3.Connection, linked: list[Path]) -> None:
        with contextlib.suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        with contextlib.suppress(OSError):  # what stays is removed at the next start
            for path in linked:
                path.unlink(missing_ok=True)

    def _remove_unnamed_bodies(self) -> None:
        named = {
            row[0]
            for row in self._reader.execute("SELECT file_name FROM attachment WHERE file_name IS NOT NULL")
        }
        for path in self.bodies.iterdir():
            if path.name not in named:
                path.unlink()

    # Reading

    def _query(self, sql: str, parameters: Sequence[object] = ()) -> list[tuple[object, ...]]:
        with self._reader_lock:
            return self._reader.execute(sql, parameters).fetchall()

    async def find(
        self, owner: ClientId, message_id: str, *, is_response: bool | None = None
    ) -> list[LogRecord]:
        """A client's records of a message id, oldest first."""
        where, parameters = "owner = ? AND message_id = ?", [owner.path(), message_id]
        if is_response is not None:
            where += f" AND is_response = {int(is_response)}"
        return await asyncio.to_thread(self._records, where, parameters)

    async def untimestamped(self, limit: int) -> list[LogRecord]:
        """The oldest records without a timestamp; without their bodies."""
        return await asyncio.to_thread(self._records, "stamped.record_id IS NULL", [], limit)

    def oldest_untimestamped(self) -> datetime | None:
        """When the oldest record without a timestamp was written."""
        rows = self._query(
            "SELECT at_ms FROM record WHERE id > (SELECT coalesce(max(record_id), 0) FROM stamped) ORDER BY id LIMIT 1"
        )
        return _moment(int(str(rows[0][0]))) if rows else None

    async def by_ids(self, ids: Sequence[int]) -> list[LogRecord]:
        """Records by their ids."""
        marks = ", ".join("?" * len(ids))
        return await asyncio.to_thread(self._records, f"record.id IN ({marks})", list(ids))

    def record(self, record_id: int) -> LogRecord:
        """One record, for threads. Raises `LogFailed` when it is not there."""
        found = self._records("record.id = ?", [record_id])
        if not found:
            raise LogFailed(Kind.LOGGING_FAILED, f"the message log has no record {record_id}")
        return found[0]

    def _records(self, where: str, parameters: Sequence[object], limit: int = 10_000) -> list[LogRecord]:
        rows = self._query(
            "SELECT record.id, message_id, request_id, is_response, side, owner, client, service, protocol, message, "  # noqa: S608  clauses of ours, values bound
            "coalesce(stamped.signature, record.signature), hash_chain_result, hash_chain, record.at_ms, stamp.token, "
            "stamp.result, stamped.chain, stamped.record_id "
            "FROM record LEFT JOIN stamped ON stamped.record_id = record.id LEFT JOIN stamp ON stamp.id = stamped.stamp_id "
            f"WHERE {where} ORDER BY record.id LIMIT {limit}",
            parameters,
        )
        return [_record(row, self._attachments(row[0])) for row in rows]

    def _attachments(self, record_id: object) -> tuple[LoggedAttachment, ...]:
        rows = self._query(
            "SELECT number, size_bytes, digest, content, file_name FROM attachment WHERE record_id = ? ORDER BY number",
            [record_id],
        )
        return tuple(LoggedAttachment(*row) for row in rows)  # type: ignore[arg-type]

    async def verify_chain(self) -> int | None:
        """Walk every record; the id of the first one that was changed or follows a gap, or None when all is whole."""
        return await asyncio.to_thread(self._verify_chain)

    def _verify_chain(self) -> int | None:
        with self._reader_lock:
            before, chain = _last(self._reader, "removed") or (0, FIRST_CHAIN_VALUE)
            expected = before + 1
            for number, *row, kept in self._reader.execute(
                "SELECT id, message_id, request_id, is_response, side, owner, client, service, protocol, message, "
                "signature, hash_chain_result, hash_chain, at_ms, chain FROM record ORDER BY id"
            ):
                digests = self._reader.execute(
                    "SELECT digest FROM attachment WHERE record_id = ? ORDER BY number", [number]
                ).fetchall()
                chain = chain_value(chain, record_digest([*row, *(d[0] for d in digests)]))
                if number != expected or chain != kept:
                    return int(number)
                expected += 1
        return None

    # Timestamps

    async def keep_stamp(self, stamp: Stamp) -> None:
        """Keep a timestamp with the records it is over, all or nothing. Raises `LogFailed`."""
        await asyncio.to_thread(self._keep_stamp, stamp)

    def _keep_stamp(self, stamp: Stamp) -> None:
        try:
            with self._reader_lock:
                self._reader.execute("BEGIN IMMEDIATE")
                try:
                    cursor = self._reader.execute(
                        "INSERT INTO stamp (token, result, at_ms, authority) VALUES (?, ?, ?, ?)",
                        (stamp.token, stamp.result, _milliseconds(stamp.at), stamp.authority),
                    )
                    self._reader.executemany(
                        "INSERT INTO stamped (record_id, stamp_id, chain, signature) VALUES (?, ?, ?, ?)",
                        [(r, cursor.lastrowid, chain, signature) for r, chain, signature in stamp.records],
                    )
                except BaseException:
                    self._reader.execute("ROLLBACK")
                    raise
                self._reader.execute("COMMIT")
        except sqlite3.Error as err:
            raise LogFailed(Kind.LOGGING_FAILED, f"a timestamp cannot be kept: {err}") from err


@dataclass(frozen=True, slots=True)
class Stamp:
    """A proved timestamp and its records: (id, own hash chain, or the signature with the token inside)."""

    token: bytes
    result: bytes | None
    at: datetime
    authority: str
    records: Sequence[tuple[int, bytes | None, bytes | None]]


async def _settled(done: asyncio.Future[int]) -> None:
    """Wait until ``done`` has a result or an exception, however often the caller is told to go."""
    while not done.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait((done,))
    done.exception()  # nobody else will look at it


_INSERT_RECORD = (
    "INSERT INTO record (id, message_id, request_id, is_response, side, owner, client, service, protocol, "
    "message, signature, hash_chain_result, hash_chain, at_ms, chain) VALUES "
)
_INSERT_ATTACHMENT = (
    "INSERT INTO attachment (record_id, number, size_bytes, digest, content, file_name) VALUES "
)


def _insert_rows(connection: sqlite3.Connection, statement: str, rows: Sequence[Sequence[object]]) -> None:
    for start in range(0, len(rows), _ROWS_TOGETHER):
        some = rows[start : start + _ROWS_TOGETHER]
        marks = f"({', '.join('?' * len(some[0]))})"
        connection.execute(
            statement + ", ".join([marks] * len(some)), [value for row in some for value in row]
        )


def _last(connection: sqlite3.Connection, table: str) -> tuple[int, bytes] | None:
    """Number and chain value of the last row of a table that has both."""
    row = connection.execute(f"SELECT id, chain FROM {table} ORDER BY id DESC LIMIT 1").fetchone()  # noqa: S608  a name of ours
    return None if row is None else (int(row[0]), bytes(row[1]))


def _row(entry: LogEntry) -> tuple[bytes | str | int | None, ...]:
    message = entry.message
    return (
        message.message_id,
        message.request_id,
        int(message.is_response),
        entry.side.value,
        entry.owner.path(),
        message.client.path(),
        message.service.path(),
        message.protocol.value,
        message.raw,
        entry.signature,
        entry.hash_chain_result,
        entry.hash_chain,
        _milliseconds(entry.at),
    )


def _attachment_rows(entry: LogEntry) -> list[tuple[int, int, bytes, bytes | None, str | None]]:
    suffix = "r" if entry.message.is_response else "q"
    return [
        (
            number,
            spool.size,
            spool.digest,
            spool.content,
            None if spool.path is None else f"{spool.path.stem}-{suffix}",
        )
        for number, spool in enumerate(entry.attachments, 1)
    ]


def _record(row: Sequence[object], attachments: tuple[LoggedAttachment, ...]) -> LogRecord:
    return LogRecord(
        id=int(str(row[0])),
        message_id=str(row[1]),
        request_id=str(row[2]),
        is_response=bool(row[3]),
        side=Side(str(row[4])),
        owner=ClientId(*str(row[5]).split("/")),
        client=str(row[6]),
        service=str(row[7]),
        protocol=str(row[8]),
        message=_bytes(row[9]) or b"",
        signature=_bytes(row[10]) or b"",
        hash_chain_result=_bytes(row[11]),
        hash_chain=_bytes(row[12]),
        at=_moment(int(str(row[13]))),
        timestamp=_bytes(row[14]),
        timestamp_result=_bytes(row[15]),
        timestamp_chain=_bytes(row[16]),
        is_timestamped=row[17] is not None,
        attachments=attachments,
    )


def _bytes(value: object) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
