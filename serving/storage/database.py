"""A small database port, SQLite by default, PostgreSQL where several nodes share one (see `serving.storage.postgres`).

A step is a piece of SQL that is applied once; the table ``step`` remembers which. The code before a step runs on the
schema after it, so two versions can share a database during an upgrade.

Statements are written once, in the dialect both engines run: ``?`` for parameters; types TEXT, BIGINT, INTEGER, BLOB and
REAL; ``INTEGER PRIMARY KEY`` for a number the database gives (read back with ``RETURNING``); ``ON CONFLICT``; 0 and 1 for
truth, and ``CASE WHEN`` where a comparison becomes a number; no ``rowid``, no ``INSERT OR``. SQLite here is WAL with every
commit on the disk.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

BUSY_TIMEOUT_S = 10.0
POSTGRES_SCHEMES = ("postgresql://", "postgres://")


class Rows(Protocol):
    """What a statement gave."""

    @property
    def rowcount(self) -> int:
        """How many rows a change touched."""
        ...

    def fetchone(self) -> Any:
        """The next row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """Every row that is left."""
        ...


class Transaction(Protocol):
    """Statements that take effect together or not at all."""

    def execute(self, sql: str, parameters: tuple[Any, ...] | list[Any] = (), /) -> Rows:
        """Run one statement."""
        ...

    def executemany(self, sql: str, parameters: Iterable[tuple[Any, ...]], /) -> object:
        """Run one statement once for each row of parameters."""
        ...


class AnyDatabase(Protocol):
    """What both engines offer, for code that is not in a hurry."""

    def close(self) -> None:
        """Close the connection."""
        ...

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a question."""
        ...

    def transaction(self) -> AbstractContextManager[Transaction]:
        """A transaction that is committed at the end and rolled back on any exception."""
        ...


def open_database(where: str | Path, steps: Sequence[str], schema: str = "") -> AnyDatabase:
    """The database at a path (SQLite) or at a ``postgresql://`` address, with every step applied.

    ``schema`` keeps the tables apart from others of the same PostgreSQL database; a SQLite file is apart anyway.
    """
    if isinstance(where, str) and where.startswith(POSTGRES_SCHEMES):
        from serving.storage.postgres import PostgresDatabase  # noqa: PLC0415  an extra, loaded where it is used

        return PostgresDatabase(where, steps, schema)
    return Database(Path(where), steps)


def connect(path: Path) -> sqlite3.Connection:
    """A SQLite connection with this software's settings; transactions are opened explicitly."""
    connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def apply_steps(connection: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Apply the steps that have not been applied yet, each in a transaction of its own."""
    connection.execute("CREATE TABLE IF NOT EXISTS step (number INTEGER PRIMARY KEY)")
    (done,) = connection.execute("SELECT coalesce(max(number), 0) FROM step").fetchone()
    for number, sql in enumerate(steps[done:], done + 1):
        connection.executescript(
            f"BEGIN IMMEDIATE; {sql}; INSERT INTO step (number) VALUES ({number}); COMMIT;"  # noqa: S608  a number of ours
        )


class Database:
    """One SQLite database: a connection behind a lock."""

    def __init__(self, path: Path, steps: Sequence[str]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._connection = connect(path)
        apply_steps(self._connection, steps)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a question."""
        with self._lock:
            return self._connection.execute(sql, parameters).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction that is committed at the end and rolled back on any exception."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
