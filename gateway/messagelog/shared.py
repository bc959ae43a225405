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

from gateway.messagelog import rows
from gateway.messagelog.body_store import plan_bodies, sealed_pieces
from gateway.messagelog.building import build_batch
from gateway.messagelog.partitions import LOG_LOCK, SHARED_STEPS, insert_statements
from gateway.messagelog.sealing import open_stream
from gateway.messagelog.writing import chain_end
from serving.storage.postgres import PostgresDatabase
from serving.storage.replica import ReplicaDatabase

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from typing_extensions import Buffer

    from gateway.messagelog.body_store import KeptBody
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
)
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
# A body that no record names by then is a crash's.
UNNAMED_S = 3600
# How long a batch waits for another node's, and how long that one may stand still, before it is given up.
_SESSION = {
    "lock_timeout": "10s",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "10s",
    "synchronous_commit": "on",
}


class SharedPlace:
    """A log in a database that nodes share."""

    is_shared = True

    def __init__(self, address: str, replica: Replica | None = None) -> None:
        self._address = address
        self._replica = replica
        self._followed: ReplicaDatabase | None = None
        self.bodies = DatabaseBodies(address)

    def warning(self) -> str:
        """Why a standby that is to be read is not; empty while it is."""
        return "" if self._followed is None else self._followed.reason

    def open(self) -> AnyDatabase:
        """The tables, over a connection of its own."""
        return PostgresDatabase(self._address, SHARED_STEPS, SCHEMA, isolation=IsolationLevel.READ_COMMITTED)

    def open_replica(self) -> tuple[AnyDatabase, DatabaseBodies] | None:
        """Tables and bodies of a standby, for what may be some seconds old; None where there is none to be read."""
        if self._replica is None:
            return None
        self._followed = ReplicaDatabase(self.open(), SCHEMA, self._replica)
        return self._followed, DatabaseBodies(self._address, self._replica)

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
        return SharedWriter(database, self.bodies)

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

    def write(self, entries: Sequence[LogEntry], keys: LogKeys, rules: BodyRules) -> int:
        """Write a batch, all of it or nothing; the number of its first record. Raises whatever stopped it."""
        kept = [plan_bodies(entry, rules) for entry in entries]
        self._bodies.keep([b for bodies in kept for b in bodies if b.file_name is not None])
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
        at_ms, some = int(time.time() * 1000), list[tuple[object, ...]]()
        for number, piece in enumerate(pieces):
            some.append((name, number, piece, at_ms))
            if len(some) == _TOGETHER:
                self._insert(some)
                some = []
        self._insert(some)

    def _insert(self, pieces: Sequence[tuple[object, ...]]) -> None:
        if pieces:
            with self._database.transaction() as transaction:
                transaction.executemany(
                    "INSERT INTO body (name, number, content, at_ms) VALUES (?, ?, ?, ?)", pieces
                )

    def chunks(self, name: str, key: bytes) -> Iterable[bytes]:
        """A body, a clear chunk at a time."""
        return open_stream(io.BufferedReader(_PieceReader(self.pieces(name)), PIECE_BYTES), key)

    def pieces(self, name: str) -> Iterator[bytes]:
        """The content of a body's file, in pieces. Raises OSError for a body that is not there."""
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
        """Let go of the bodies that no record names and that are older than any batch on its way."""
        before = int((time.time() - UNNAMED_S) * 1000)
        old = [
            str(n)
            for (n,) in self._database.query("SELECT DISTINCT name FROM body WHERE at_ms < ?", (before,))
        ]
        found = database.query("SELECT file_name FROM attachment WHERE file_name IS NOT NULL") if old else []
        named = {str(name) for (name,) in found}
        self.remove([name for name in old if name not in named])

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


class _PieceReader(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        if not self._left:
            self._left = next(self._pieces, b"")
        taken = self._left[: len(view)]
        view[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        return len(taken)
