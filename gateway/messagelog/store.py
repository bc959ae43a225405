"""The message log on SQLite: append-only, sealed, one writer thread, group commit.

Whoever appends waits for the disk: the writer takes everything that waits, writes it in one transaction
(``synchronous=FULL``) and only then answers all of them. So many messages share one write, and a message alone waits for
one. A commit that fails is answered with `Fault` to everyone in it, and nothing of it is in the log. What waits is
bounded; beyond that a message is refused at once.

On disk: ``messages.sqlite``, and ``bodies/`` for bodies too large for a row. A body's file is on the disk under its
lasting name before the row that names it is committed; a crash in between leaves a file nobody names, removed at start.
Messages and bodies are sealed under a key of the record (`gateway.messagelog.keys`); while the keys are closed nothing is
taken, and nothing is ever written in clear instead. A log that an earlier version wrote in clear is sealed when its keys open.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import secrets
import sqlite3
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from certs.edges.tokenfiles import sync_folder
from gateway.messagelog import migration, rows
from gateway.messagelog.body_store import keep_bodies
from gateway.messagelog.bodyrules import BodyRules
from gateway.messagelog.erasure import finish_erasures
from gateway.messagelog.reading import LogReader
from gateway.messagelog.record import (
    FIRST_CHAIN_VALUE,
    Links,
    LogEntry,
    LogRecord,
    RecordForm,
    Side,
    Unstamped,
    chain_value,
    record_digest,
    sealed_label,
)
from gateway.messagelog.sealing import NONCE_BYTES, seal
from gateway.messagelog.steps import DATABASE, STEPS
from schemas.faults import Fault, Kind
from schemas.reduced import reduce_message
from serving.storage.database import apply_steps, check_whole, connect, naming

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from gateway.messagelog.body_store import KeptBody
    from gateway.messagelog.keys import KeySecret, LogKeys
    from schemas.identifiers import ClientId

__all__ = ["LogEntry", "LogSettings", "MessageLog", "Side"]

log = logging.getLogger("gateway.messagelog")

_STOP = object()


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Bounds of the log."""

    queue_length: int = 10_000
    batch_length: int = 512
    bodies: BodyRules = field(default_factory=BodyRules)


@dataclass(slots=True)
class _WaitingRecord:
    entry: LogEntry
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[int]


class MessageLog:
    """The log of one security server. Open it once a process; appends come from the event loop."""

    def __init__(self, folder: Path, keys: LogKeys, settings: LogSettings | None = None) -> None:
        self._settings = settings or LogSettings()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / DATABASE
        self.bodies = folder / "bodies"
        self.bodies.mkdir(mode=0o700, exist_ok=True)
        self.keys = keys
        self._is_begun = False
        self._why_closed = "its keys open once the software token is logged in (or with log.secret)"
        self._queue: queue.SimpleQueue[_WaitingRecord | object] = queue.SimpleQueue()
        self._length = 0
        self._gate: Callable[[datetime], None] | None = None
        connection = connect(self._path)
        with naming(self._path):
            apply_steps(connection, STEPS)
            check_whole(connection, STEPS)
        self.reader = LogReader(connection, self.bodies, keys)
        self._thread: threading.Thread | None = None
        if keys.is_open:
            self.begin()

    @classmethod
    def open(cls, folder: Path, keys: LogKeys, *, settings: LogSettings | None = None) -> MessageLog:
        """The log in a folder, made if it is not there. With closed keys it takes nothing until `unlock`."""
        return cls(folder, keys, settings)

    @property
    def is_begun(self) -> bool:
        """Whether messages are taken."""
        return self._is_begun

    def unlock(self, secret: KeySecret) -> None:
        """Open the keys and begin. Raises `Fault` when they are missing, or not those of this log: then nothing begins."""
        try:
            self.keys.open(secret, may_make=not migration.has_sealed(self.reader))
            self.begin()
        except Fault as err:
            self._why_closed = err.detail
            self.keys.close()
            raise

    def begin(self) -> None:
        """Prove that the keys are this log's, seal what is clear, and take messages from now on. Raises `Fault`."""
        newest = self.reader.newest_sealed()
        if newest is not None:
            self.reader.open_message(newest)
        migration.seal_clear_records(self._path, self.bodies, self.keys)
        self._finish_erasures()
        self._remove_unnamed_bodies()
        self._thread = threading.Thread(target=self._write_for_ever, name="message log", daemon=True)
        self._thread.start()
        self._is_begun = True

    def reconfigure(self, queue_length: int, bodies: BodyRules) -> None:
        """Let another number of messages wait for the disk, and keep bodies by other rules."""
        self._settings = replace(self._settings, queue_length=queue_length, bodies=bodies)

    def guard(self, gate: Callable[[datetime], None]) -> None:
        """Ask ``gate`` before every append; it raises `Fault` when evidence can no longer be timestamped."""
        self._gate = gate

    def check_accepting(self, now: datetime) -> None:
        """Refuse when a message could not be logged now. Raises `Fault`."""
        if not self._is_begun:
            raise Fault(
                Kind.LOGGING_FAILED,
                f"the message log is closed: {self._why_closed}; nothing is logged or sent until then",
            )
        if self._gate is not None:
            self._gate(now)
        if self._length >= self._settings.queue_length:
            raise Fault(
                Kind.LOGGING_FAILED,
                f"{self._length} messages wait for the disk; no more are taken until it catches up",
            )

    async def append(self, entry: LogEntry) -> int:
        """Write a message to the disk; its id. Raises `Fault`, and then it is not in the log."""
        self.check_accepting(entry.at)
        self._settings.bodies.check(entry)
        loop = asyncio.get_running_loop()
        waiting = _WaitingRecord(entry, loop, loop.create_future())
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
        if self._thread is not None:
            self._queue.put(_STOP)
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
        with self.reader.lock:
            self.reader.connection.close()
        self.keys.close()

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

    def _take(self) -> tuple[list[_WaitingRecord], bool]:
        batch: list[_WaitingRecord] = []
        first = self._queue.get()
        while True:
            if first is _STOP:
                return batch, True
            if isinstance(first, _WaitingRecord):
                batch.append(first)
            if len(batch) >= self._settings.batch_length:
                return batch, False
            try:
                first = self._queue.get_nowait()
            except queue.Empty:
                return batch, False

    def _write_batch(self, connection: sqlite3.Connection, batch: list[_WaitingRecord]) -> None:
        linked: list[Path] = []
        try:
            kept = [keep_bodies(w.entry, self.bodies, self._settings.bodies, linked) for w in batch]
            if linked:
                sync_folder(self.bodies)  # bodies are on the disk; a crash here leaves files nobody names
            connection.execute("BEGIN IMMEDIATE")
            ids = self._insert(connection, [w.entry for w in batch], kept)
            connection.execute("COMMIT")  # from here on the messages are in the log, whatever happens
        except Exception as err:  # whatever it was, everyone is answered and the next batch is tried
            self._undo(connection, linked)
            reason = err.detail if isinstance(err, Fault) else str(err)
            log.error("messages could not be logged", extra={"event": "log_failed", "reason": repr(err)})
            text = (
                f"the message log cannot be written ({reason}); nothing was sent. Free space or mend the disk"
            )
            self._answer(batch, None, text)
        else:
            self._answer(batch, ids, "")

    def _answer(self, batch: list[_WaitingRecord], ids: list[int] | None, text: str) -> None:
        """Wake everyone of a batch with one call into the event loop."""

        def answer() -> None:
            self._length -= len(batch)
            for place, waiting in enumerate(batch):
                if ids is None:
                    waiting.done.set_exception(Fault(Kind.LOGGING_FAILED, text))
                else:
                    waiting.done.set_result(ids[place])

        with contextlib.suppress(RuntimeError):  # the loop is gone, and with it everyone who waited
            batch[0].loop.call_soon_threadsafe(answer)

    def _insert(
        self,
        connection: sqlite3.Connection,
        entries: Sequence[LogEntry],
        kept: Sequence[Sequence[KeptBody]],
    ) -> list[int]:
        number, chain = (
            rows.last_chain(connection, "record")
            or rows.last_chain(connection, "removed")
            or (0, FIRST_CHAIN_VALUE)
        )
        records: list[list[rows.Field]] = []
        attachments: list[list[rows.Field]] = []
        keys = self.keys.new_keys(number + 1, [e.at for e in entries])
        for entry, bodies, key in zip(entries, kept, keys, strict=True):
            number += 1
            digests = [b.digest for b in bodies]
            row = rows.digested_row(entry, entry.message.digest)
            chain = chain_value(chain, record_digest([*row, *digests]))
            is_reduced = not self._settings.bodies.keeps(entry.side, entry.message.service.client)
            content = reduce_message(entry.message) if is_reduced else entry.message.raw
            row[rows.MESSAGE_PLACE] = _sealed(key, content, number, "message")
            state: list[rows.Field] = [
                RecordForm.SEALED,
                Links.DIGEST,
                entry.message.digest,
                int(is_reduced),
                chain,
            ]
            records.append([number, *row, *state])
            attachments += [[number, *_attachment_row(body, key, number)] for body in bodies]
        rows.insert_rows(connection, rows.INSERT_RECORDS, records)
        rows.insert_rows(connection, rows.INSERT_ATTACHMENTS, attachments)
        return [int(str(r[0])) for r in records]

    def _undo(self, connection: sqlite3.Connection, linked: list[Path]) -> None:
        with contextlib.suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        with contextlib.suppress(OSError):  # what stays is removed at the next start
            for path in linked:
                path.unlink(missing_ok=True)

    def _finish_erasures(self) -> None:
        connection = connect(self._path)
        connection.execute("PRAGMA secure_delete = ON")
        try:
            finish_erasures(connection, self.bodies, self.keys)
        finally:
            connection.close()

    def _remove_unnamed_bodies(self) -> None:
        found = self.reader.query("SELECT file_name FROM attachment WHERE file_name IS NOT NULL")
        named = {row[0] for row in found}
        for path in self.bodies.iterdir():
            if path.name not in named:
                path.unlink()

    # Reading, and timestamps: see `gateway.messagelog.reading`

    async def find(
        self, owner: ClientId, message_id: str, *, is_response: bool | None = None
    ) -> list[LogRecord]:
        """A client's records of a message id, oldest first."""
        return await self.reader.find(owner, message_id, is_response=is_response)

    async def untimestamped(self, limit: int, among: Sequence[int] = ()) -> list[Unstamped]:
        """The oldest records without a timestamp, of all or of some."""
        return await self.reader.untimestamped(limit, among)

    async def by_ids(self, ids: Sequence[int]) -> list[LogRecord]:
        """Records by their ids."""
        return await self.reader.by_ids(ids)

    async def verify_chain(self) -> int | None:
        """The id of the first record that was changed or follows a gap; None when all is whole."""
        return await self.reader.verify_chain()

    async def keep_stamp(self, stamp: Stamp) -> None:
        """Keep a timestamp with the records it is over, all or nothing. Raises `Fault`."""
        await asyncio.to_thread(self._keep_stamp, stamp)

    def _keep_stamp(self, stamp: Stamp) -> None:
        try:
            with self.reader.lock:
                self.reader.connection.execute("BEGIN IMMEDIATE")
                try:
                    cursor = self.reader.connection.execute(
                        "INSERT INTO stamp (token, result, at_ms, authority) VALUES (?, ?, ?, ?)",
                        (stamp.token, stamp.result, rows.to_milliseconds(stamp.at), stamp.authority),
                    )
                    self.reader.connection.executemany(
                        "INSERT INTO stamped (record_id, stamp_id, chain, signature) VALUES (?, ?, ?, ?)",
                        [(r, cursor.lastrowid, chain, signature) for r, chain, signature in stamp.records],
                    )
                except BaseException:
                    self.reader.connection.execute("ROLLBACK")
                    raise
                self.reader.connection.execute("COMMIT")
        except sqlite3.Error as err:
            raise Fault(Kind.LOGGING_FAILED, f"a timestamp cannot be kept: {err}") from err


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


def _sealed(key: bytes, clear: bytes, record_id: int, what: str) -> bytes:
    return seal(key, secrets.token_bytes(NONCE_BYTES), clear, sealed_label(record_id, what))


def _attachment_row(body: KeptBody, key: bytes, record_id: int) -> list[rows.Field]:
    what = f"attachment {body.number}"
    content = None if body.content is None else _sealed(key, body.content, record_id, what)
    file_key = None if body.file_name is None else _sealed(key, body.file_key, record_id, f"key of {what}")
    return [body.number, body.size_bytes, body.digest, content, body.file_name, file_key, body.kept_bytes]
