"""A message log in a PostgreSQL database that several nodes write, as one log: one sequence of numbers, one chain.

A batch is numbered and chained under a lock of the whole log (an advisory lock of its transaction): the writer reads the end of the
chain as it is then, builds the batch after it, inserts its rows, commits. The next writer, on whatever machine, sees it whole
or not at all. A node that dies meanwhile loses its connection, and with it the lock and the batch.

What is on the disk when: first the bodies, in pieces; then the rows that name them, in one transaction. A crash in between
leaves bodies that nobody names, removed by a later start once they are an hour old. Where the connection is lost while a
commit is on its way, the messages are refused, nothing of them leaves, and their records may be in the log all the same.
"""

from __future__ import annotations

import contextlib
import io
import secrets
import time
from typing import TYPE_CHECKING

from psycopg import IsolationLevel
from psycopg.errors import LockNotAvailable

from gateway.messagelog import rows
from gateway.messagelog.body_store import (
    UNNAMED_S,
    PieceReader,
    check_recent,
    looked_from,
    note_looked,
    sealed_pieces,
    unnamed_among,
)
from gateway.messagelog.building import build_batch
from gateway.messagelog.objectbodies import ObjectBodies, all_bodies, check_near
from gateway.messagelog.partitions import LOG_LOCK, SHARED_STEPS, insert_statements
from gateway.messagelog.sealing import open_stream
from gateway.messagelog.writing import chain_end
from serving.storage.postgres import PostgresDatabase
from serving.storage.replica import ReplicaDatabase

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gateway.messagelog.body_store import Bodies, KeptBody
    from gateway.messagelog.bodyrules import BodyRules
    from gateway.messagelog.keys import LogKeys
    from gateway.messagelog.record import LogEntry
    from serving.storage.database import AnyDatabase
    from serving.storage.replica import Replica

SCHEMA = "messagelog"
BODY_SCHEMA = "messagebodies"
BODY_STEPS = (
    """
    CREATE TABLE body (
        name TEXT NOT NULL,
        number INTEGER NOT NULL,
        content BLOB NOT NULL,
        at_ms INTEGER NOT NULL,
        PRIMARY KEY (name, number)
    );
    """,
    "CREATE INDEX body_of_time ON body (at_ms) WHERE number = 0",
)
# How old a body is goes by the database's clock: one of a node may be hours ahead.
_NOW_MS = "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS bigint)"
KEY_SCHEMA = "logkeys"
KEY_STEPS = (
    """
    CREATE TABLE keyfile (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        mark TEXT NOT NULL,
        content BLOB NOT NULL
    );
    """,
)
# Any number serves, as long as every node takes the same one.
_KEY_LOCK = 0x5ACBE107
# A body is kept in pieces of so many bytes; so many of them are one transaction.
PIECE_BYTES = 1024 * 1024
_TOGETHER = 16
# How long a batch waits for another node's, and how long that one may stand still, before it is given up: the latter is shorter, so
# that the batches of the others are written once it is over, and not refused with it.
_SESSION = {
    "lock_timeout": "5s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "4s",
    "synchronous_commit": "on",
}
# The server bounds the idleness of a session by nothing once it has sent a part of what one Sync will end, whatever state it says that
# the session is in: whoever waited for its lock in vain ends one that has waited for its client for as long.
_END_STOPPED = """
    SELECT pg_terminate_backend(held.pid) FROM pg_locks AS held JOIN pg_stat_activity AS session ON session.pid = held.pid
    WHERE held.locktype = 'advisory' AND held.granted AND held.classid = 0 AND held.objid = ? AND held.objsubid = 1
    AND session.datname = current_database() AND session.wait_event = 'ClientRead'
    AND session.state_change < clock_timestamp() - interval '4 seconds'
"""


class SharedPlace:
    """A log in a database that nodes share."""

    is_shared = True

    def __init__(self, address: str, replica: Replica | None = None, objects: str = "") -> None:
        self._address = address
        self._replica = replica
        self._followed: ReplicaDatabase | None = None
        self.near = DatabaseBodies(address)
        self.objects = ObjectBodies(objects) if objects else None
        self.bodies = all_bodies(self.near, self.objects)

    def warning(self) -> str:
        """Why a standby that is to be read is not; empty while it is."""
        return "" if self._followed is None else self._followed.reason

    def open(self) -> AnyDatabase:
        """The tables, over a connection of its own."""
        return PostgresDatabase(self._address, SHARED_STEPS, SCHEMA, isolation=IsolationLevel.READ_COMMITTED)

    def open_replica(self) -> tuple[AnyDatabase, Bodies] | None:
        """Tables and bodies of a standby, for what may be some seconds old; None where there is none to be read."""
        if self._replica is None:
            return None
        self._followed = ReplicaDatabase(self.open(), SCHEMA, self._replica)
        return self._followed, all_bodies(DatabaseBodies(self._address, self._replica), self.objects)

    def check_writable(self) -> None:
        """Ask the database for an answer. Raises what stands in the way."""
        database = self.open()
        try:
            database.query("SELECT 1")
        finally:
            database.close()

    def open_writer(self) -> SharedWriter:
        """For the thread that writes."""
        database = PostgresDatabase(
            self._address, SHARED_STEPS, SCHEMA, isolation=IsolationLevel.READ_COMMITTED, session=_SESSION
        )
        return SharedWriter(database, self.near)

    def prepare(self, keys: LogKeys) -> None:
        """Note that nothing here is in clear: such a log never was."""
        keys.check_open()
        database = self.open()
        try:
            with database.transaction() as transaction:
                transaction.execute(
                    "INSERT INTO sealed (id, at_ms) VALUES (1, ?) ON CONFLICT (id) DO NOTHING",
                    (int(time.time() * 1000),),
                )
        finally:
            database.close()


class SharedWriter:
    """Writes batches to a log that other nodes write too; for one thread."""

    def __init__(self, database: PostgresDatabase, bodies: DatabaseBodies) -> None:
        self._database = database
        self._bodies = bodies

    def write(
        self,
        entries: Sequence[LogEntry],
        kept: Sequence[Sequence[KeptBody]],
        keys: LogKeys,
        rules: BodyRules,
    ) -> int:
        """Write a batch, all of it or nothing; the number of its first record. Raises whatever stopped it."""
        begun_s = [time.monotonic(), *(b.begun_s for bodies in kept for b in bodies if b.begun_s)]
        self._bodies.keep([b for bodies in kept for b in bodies if b.is_near])
        try:
            return self._write(entries, kept, keys, rules, begun_s)
        except ConnectionError as err:
            if not isinstance(err.__cause__, LockNotAvailable):
                raise
            # Nothing of this batch is in the log: its transaction ended where it waited.
            self._database.query(_END_STOPPED, (LOG_LOCK,))
            return self._write(entries, kept, keys, rules, begun_s)

    def _write(
        self,
        entries: Sequence[LogEntry],
        kept: Sequence[Sequence[KeptBody]],
        keys: LogKeys,
        rules: BodyRules,
        begun_s: Sequence[float],
    ) -> int:
        moments = [entry.at for entry in entries]
        with self._database.pipelined() as transaction:
            transaction.execute("SELECT pg_advisory_xact_lock(?)", (LOG_LOCK,))
            marked = transaction.execute("SELECT mark FROM logkeys.keyfile")
            newest = transaction.execute("SELECT coalesce(max(number), 0) FROM log_partition")
            end = chain_end(lambda sql: transaction.execute(sql).fetchall())
            first, mark = end.number + 1, marked.fetchone()
            into_records, into_attachments = insert_statements(int(newest.fetchall()[0][0]))
            # Read under the lock: another node may have begun a new tree with the record before.
            made = keys.known_keys(first, moments, mark and mark[0]) or keys.new_keys(first, moments)
            batch = build_batch(entries, kept, made, end, rules)
            rows.insert_rows(transaction, into_records, batch.records)
            rows.insert_rows(transaction, into_attachments, batch.attachments)
            check_recent(begun_s)
        return first  # committed: from here on the messages are in the log, whatever happens

    def close(self) -> None:
        """Close the connection to the shared database."""
        self._database.close()


class DatabaseBodies:
    """Bodies in pieces, sealed as their files would be. The connection is opened when there is something to do."""

    def __init__(self, address: str, replica: Replica | None = None) -> None:
        self._address = address
        self._replica = replica
        self._opened: AnyDatabase | None = None

    @property
    def _database(self) -> AnyDatabase:
        if self._opened is None:
            self._opened = PostgresDatabase(
                self._address, BODY_STEPS, BODY_SCHEMA, isolation=IsolationLevel.READ_COMMITTED
            )
            if self._replica is not None:
                self._opened = ReplicaDatabase(self._opened, BODY_SCHEMA, self._replica)
        return self._opened

    def keep(self, bodies: Sequence[KeptBody]) -> None:
        """Have bodies on the disk, whole; until a record names them nobody sees them. Raises OSError, `Fault`."""
        for body in bodies:
            self.keep_pieces(str(body.file_name), sealed_pieces(body, PIECE_BYTES))

    def keep_pieces(self, name: str, pieces: Iterable[bytes]) -> None:
        """Keep what a body's file would hold."""
        some = list[tuple[object, ...]]()
        for number, piece in enumerate(pieces):
            some.append((name, number, piece))
            if len(some) == _TOGETHER:
                self._insert(some)
                some = []
        self._insert(some)

    def _insert(self, pieces: Sequence[tuple[object, ...]]) -> None:
        if pieces:
            with self._database.transaction() as transaction:
                transaction.executemany(
                    f"INSERT INTO body (name, number, content, at_ms) VALUES (?, ?, ?, {_NOW_MS})", pieces
                )

    def chunks(self, name: str, key: bytes) -> Iterable[bytes]:
        """A body, a clear chunk at a time."""
        return open_stream(io.BufferedReader(PieceReader(self.pieces(name)), PIECE_BYTES), key)

    def pieces(self, name: str) -> Iterator[bytes]:
        """The content of a body's file, in pieces. Raises OSError for a body that is not there."""
        check_near(name)
        number = 0
        while (content := self._piece(name, number)) is not None:
            yield content
            number += 1
        if not number:
            raise FileNotFoundError(f"the body {name} is not in {self._database.place}")

    def _piece(self, name: str, number: int) -> bytes | None:
        question = "SELECT content FROM body WHERE name = ? AND number = ?", (name, number)
        found = self._database.query(*question)
        if not found and isinstance(self._database, ReplicaDatabase):  # a standby may not have it yet
            found = self._database.primary.query(*question)
        return bytes(found[0][0]) if found else None

    def remove(self, names: Iterable[str]) -> None:
        """Remove bodies in one transaction; those that are gone already are passed over."""
        gone = list(names)
        if gone:
            with self._database.transaction() as transaction:
                transaction.executemany("DELETE FROM body WHERE name = ?", [(name,) for name in gone])

    def remove_unnamed(self, database: AnyDatabase) -> None:
        """Delete the bodies that no record of ``database`` names and that are older than `UNNAMED_S`, so than any batch on its way."""
        ((now_ms,),) = self._database.query(f"SELECT {_NOW_MS}")
        since_ms, before_ms = looked_from(database), int(now_ms) - UNNAMED_S * 1000
        found = self._database.query(
            "SELECT name FROM body WHERE number = 0 AND at_ms >= ? AND at_ms < ?", (since_ms, before_ms)
        )
        self.remove(unnamed_among(database, [str(name) for (name,) in found], since_ms))
        note_looked(database, before_ms)

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._opened is not None:
            self._opened.close()


class DatabaseKeys:
    """The log's sealed key file, in a schema of its own: a copy of the database is to leave that one out."""

    is_near = False

    def __init__(self, address: str) -> None:
        self._database = PostgresDatabase(
            address, KEY_STEPS, KEY_SCHEMA, isolation=IsolationLevel.READ_COMMITTED
        )

    def __str__(self) -> str:
        """Database, schema and table."""
        return f"{self._database.name}, table {KEY_SCHEMA}.keyfile"

    def mark(self) -> object:
        """Another random text for each file; None when there is none."""
        found = self._database.query("SELECT mark FROM keyfile")
        return found[0][0] if found else None

    def read(self) -> bytes:
        """The bytes of the key file. Raises OSError when there is none."""
        found = self._database.query("SELECT content FROM keyfile")
        if not found:
            raise FileNotFoundError(f"{self} is empty")
        return bytes(found[0][0])

    def write(self, content: bytes) -> None:
        """Put another file in its place; it is there once `locked` ends."""
        with self._database.transaction() as transaction:
            transaction.execute(
                "INSERT INTO keyfile (id, mark, content) VALUES (1, ?, ?) "
                "ON CONFLICT (id) DO UPDATE SET mark = excluded.mark, content = excluded.content",
                (secrets.token_hex(16), content),
            )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Under a lock that a node which dies lets go of."""
        with self._database.transaction() as transaction:
            transaction.execute("SELECT pg_advisory_xact_lock(?)", (_KEY_LOCK,))
            yield

    def close(self) -> None:
        """Close the connection to the shared database."""
        self._database.close()
