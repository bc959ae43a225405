"""SQLite as this software uses it: WAL, every commit on the disk, numbered steps forward, one connection a thread.

A step is a piece of SQL that is applied once; the table ``step`` remembers which. The code before a step runs on the
schema after it, so two versions can share a database during an upgrade.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BUSY_TIMEOUT_S = 10.0


def connect(path: Path) -> sqlite3.Connection:
    """A connection with this software's settings; transactions are opened explicitly."""
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
    """One database for code that is not in a hurry: a connection behind a lock."""

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
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that is committed at the end and rolled back on any exception."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
