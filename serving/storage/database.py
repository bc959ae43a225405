"""A small database port, SQLite by default, PostgreSQL where several nodes share one (see `serving.storage.postgres`).

A step is a piece of SQL that is applied once; the table ``step`` remembers which. Before steps are applied to a SQLite file
that held data, a copy of it is kept beside it. A database with steps this version does not know was written by a newer one
and is refused; a process that has it open already goes on, so two versions can share one during an upgrade.

Statements are written once, in the dialect both engines run: ``?`` for parameters; types TEXT, BIGINT, INTEGER, BLOB and
REAL; ``INTEGER PRIMARY KEY`` for a number the database gives (read back with ``RETURNING``); ``ON CONFLICT``; 0 and 1 for
truth, and ``CASE WHEN`` where a comparison becomes a number; ``json_extract(column, '$.name')`` in a ``CAST``; no ``rowid``, no ``INSERT OR``. SQLite here is WAL with every
commit on the disk.
"""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from certs.edges.tokenfiles import sync_folder
from schemas.names import check_kept
from serving.databaseversions import check_kind, check_version
from serving.language import _, in_own_language
from serving.storage.damage import VALUE_REMEDY, find_damage, find_unreadable_text
from serving.storage.transactions import Rows, Transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

log = logging.getLogger("serving.storage.database")

BUSY_TIMEOUT_S = 10.0
# Pages that each connection keeps for itself (SQLite: 2,000 KiB unless told). A server has a dozen, and the system has the pages too.
CACHE_KIB = 512
_COPY = ".before-step-"
LARGEST_CHECKED_PAGES = 16_384  # 64 MiB
# A table of a larger database is looked through up to these many rows: of a value its type alone is read, however long it is.
MOST_CHECKED_ROWS = 100_000
# Result codes of SQLite, the low byte of the extended ones (https://sqlite.org/rescode.html), by what mends them.
_IN_USE = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)
_NOT_OURS = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH)
POSTGRES_SCHEMES = ("postgresql://", "postgres://")


class AnyDatabase(Protocol):
    """The calls both engines offer, for code that is not in a hurry."""

    @property
    def place(self) -> str:
        """The place of the rows, for whoever must mend one: the file, or the engine and its schema."""
        ...

    def close(self) -> None:
        """Close the connection to the database."""
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
        from serving.storage.postgres import PostgresDatabase  # an extra, loaded where it is used

        return PostgresDatabase(where, steps, schema)
    return Database(Path(where), steps)


class CheckedDatabase:
    """A database whose transactions keep no text that `schemas.names` refuses, whichever entrance it came by."""

    def __init__(self, inner: AnyDatabase) -> None:
        self._inner = inner
        self.place = inner.place

    def close(self) -> None:
        """Close the connection to the database."""
        self._inner.close()

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a question."""
        return self._inner.query(sql, parameters)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction in which INSERT and UPDATE raise `BadMessage` for a text that may not be kept."""
        with self._inner.transaction() as transaction:
            yield _CheckedTransaction(transaction)


class _CheckedTransaction:
    def __init__(self, inner: Transaction) -> None:
        self._inner = inner

    def execute(self, sql: str, parameters: tuple[Any, ...] | list[Any] = (), /) -> Rows:
        if keeps_texts(sql):
            check_kept(parameters)
        return self._inner.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[tuple[Any, ...]], /) -> object:
        rows = list(parameters)
        if keeps_texts(sql):
            for row in rows:
                check_kept(row)
        return self._inner.executemany(sql, rows)


def keeps_texts(sql: str) -> bool:
    """Whether a statement puts its parameters into rows. Others name rows, which may be old ones that are to go."""
    return sql.lstrip()[:6].upper() in ("INSERT", "UPDATE")


def connect(path: Path) -> sqlite3.Connection:
    """A SQLite connection with this software's settings; transactions are opened explicitly. Raises `sqlite3.Error`."""
    with naming(path):
        if path.exists() and path.is_file() and path.stat().st_size == 0 and not _has_log(path):
            raise _damaged("the file is empty", sqlite3.SQLITE_NOTADB)
        if not path.exists():
            # Made with its owner's mode alone, which SQLite gives its other files too.
            path.touch(mode=0o600)
        connection = sqlite3.connect(
            path, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        except BaseException:
            connection.close()
            raise
    return connection


def _has_log(path: Path) -> bool:
    """Whether SQLite has noted changes beside the file: the first ones of a new file may stand there alone."""
    return any(path.with_name(path.name + end).exists() for end in ("-wal", "-journal"))


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file and the remedy in what SQLite raises; the class of the error stays."""
    try:
        yield
    except sqlite3.IntegrityError:
        raise
    except (sqlite3.DatabaseError, UnicodeDecodeError) as err:
        if err.__cause__ is not None:  # named already, nearer to where it came up
            raise
        kind = sqlite3.DatabaseError if isinstance(err, UnicodeDecodeError) else type(err)
        reason, code = " ".join(str(err).split()), getattr(err, "sqlite_errorcode", None)
        # A text that is no UTF-8 is found by Python, not by SQLite: as either class, without a code.
        if code is None and not isinstance(err, sqlite3.ProgrammingError):
            unreadable = find_unreadable_text(path)
            reason, code = (
                (in_own_language(unreadable), sqlite3.SQLITE_MISMATCH) if unreadable else (reason, code)
            )
        named = kind(f"{path}: {reason}; {_remedy(code)}")
        if code is not None:
            named.sqlite_errorcode = code
        raise named from err


def _damaged(reason: str, code: int = sqlite3.SQLITE_CORRUPT) -> sqlite3.DatabaseError:
    """The error for what this module found itself, with the code SQLite would give it."""
    err = sqlite3.DatabaseError(reason)
    err.sqlite_errorcode = code
    return err


@contextlib.contextmanager
def opened_to_read(path: Path, tables: Sequence[str]) -> Iterator[sqlite3.Connection]:
    """The database of a file that is there, before it is brought to this version: to read from these tables, no more."""
    with (
        naming(path),
        contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection,
    ):
        _check_values(connection, tables)
        yield connection


def _remedy(code: int | None) -> str:
    """The remedy for an error of SQLite by its (extended) result code; None where it had none."""
    primary = None if code is None else code & 0xFF
    if primary == sqlite3.SQLITE_MISMATCH:
        return in_own_language(VALUE_REMEDY)
    if primary in _IN_USE:
        return _("another process uses it: wait, or stop that one")
    if primary in _NOT_OURS:
        return _("it must be a file that the server's user can read and write, in a folder of that user's")
    if primary == sqlite3.SQLITE_FULL:
        return _("free space on the disk")
    if primary == sqlite3.SQLITE_NOMEM or code == sqlite3.SQLITE_IOERR_NOMEM:
        return _("free memory, or allow the process more of it")
    if primary == sqlite3.SQLITE_IOERR:
        return _("check the disk, and that it has space left")
    return _("the file is damaged, or another program's or version's: restore a backup (backup restore)")


def apply_steps(connection: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Apply the steps that have not been applied yet, each in a transaction of its own; first a copy is kept.

    Raises `OperatorError`; OSError when there is no room for the copy: then nothing has changed.
    """
    where = connection.execute("PRAGMA database_list").fetchone()[2]
    tables = {
        str(name).lower()
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    if "step" in tables:
        (done,) = connection.execute("SELECT coalesce(max(number), 0) FROM step").fetchone()
    else:
        done = 0
    check_version(done, steps, where)
    check_kind(done, steps, tables, where)
    connection.execute("CREATE TABLE IF NOT EXISTS step (number INTEGER PRIMARY KEY)")
    if 0 < done < len(steps) and where:
        kept = _keep_copy(connection, Path(where), done)
        log.info(
            "%s is brought from step %d to %d; a copy as it was is kept in %s",
            where,
            done,
            len(steps),
            kept,
            extra={"event": "migration", "database": where, "copy": str(kept)},
        )
    for number, sql in enumerate(steps[done:], done + 1):
        # A step and its number are on disk together or not at all; a crash between two steps is gone on with at the next start.
        connection.executescript(
            f"BEGIN IMMEDIATE; {sql}; INSERT INTO step (number) VALUES ({number}); COMMIT;"
        )


def kept_copies(path: Path) -> list[Path]:
    """The copies of a database that were kept before steps were applied to it."""
    return sorted(path.parent.glob(f"{path.name}{_COPY}*"))


def _keep_copy(connection: sqlite3.Connection, path: Path, done: int) -> Path:
    """A whole copy, on the disk when this returns; copies of earlier migrations give way to it."""
    target = path.with_name(f"{path.name}{_COPY}{done}")
    size, room = path.stat().st_size, shutil.disk_usage(path.parent).free
    if room < size:
        raise OSError(
            _(
                "{path} must be changed for this version and a copy of it kept first, for which {size} bytes are needed and {room} are free: make room and start again; nothing was changed",
                path=path,
                size=size,
                room=room,
            )
        )
    # The database itself is unchanged here: a crash leaves no copy, and the next start makes one before it changes anything.
    for earlier in kept_copies(path):
        earlier.unlink()
    fresh = target.with_name(f".{target.name}")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    with contextlib.closing(sqlite3.connect(fresh)) as copy:
        connection.backup(copy)
    # A crash before the rename leaves a file nobody names; after it the copy is whole.
    fresh.replace(target)
    sync_folder(path.parent)
    return target


_TABLES = re.compile(r"\b(CREATE|DROP)\s+TABLE\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?(\w+)", re.IGNORECASE)
_RENAMED = re.compile(r"\bALTER\s+TABLE\s+(\w+)\s+RENAME\s+TO\s+(\w+)", re.IGNORECASE)


def tables_of(steps: Sequence[str]) -> set[str]:
    """The names of the tables that are there once every step is applied."""
    names: set[str] = set()
    found = [m for sql in steps for p in (_TABLES, _RENAMED) for m in p.finditer(sql)]
    for match in found:
        first, second = match.groups()
        if first.upper() == "CREATE":
            names.add(second)
        elif first.upper() == "DROP":
            names.discard(second)
        else:
            names.discard(first)
            names.add(second)
    return names


def check_whole(connection: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Look whether every table is there, and at structure and values of a small database. Raises `sqlite3.DatabaseError`."""
    (done,) = connection.execute("SELECT coalesce(max(number), 0) FROM step").fetchone()
    present = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    missing = sorted(tables_of(steps) - present)
    if missing and done <= len(steps):  # a newer version may keep other tables
        raise _damaged(f"the table {missing[0]!r} is missing")
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    if (
        pages > LARGEST_CHECKED_PAGES
    ):  # a message log would keep a start waiting; tables of few rows, however long, do not
        _check_values(connection, [t for t in sorted(present) if _has_few_rows(connection, t)])
        return
    _check_values(connection)  # first, for it says more than that a condition failed
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise _damaged(f"the database is not whole: {found}")


def _has_few_rows(connection: sqlite3.Connection, name: str) -> bool:
    table = name.replace('"', '""')
    sql = f'SELECT 1 FROM "{table}" LIMIT 1 OFFSET ?'
    return connection.execute(sql, (MOST_CHECKED_ROWS,)).fetchone() is None


def _check_values(connection: sqlite3.Connection, tables: Sequence[str] | None = None) -> None:
    """Refuse a value of another type than its column's; of all tables where none are named."""
    if (damage := find_damage(connection, tables)) is not None:
        raise _damaged(in_own_language(damage), sqlite3.SQLITE_MISMATCH)


def open_file(path: Path, steps: Sequence[str], *, is_looked_at: bool = False) -> sqlite3.Connection:
    """A SQLite connection to a file with every step applied, and looked at. Raises `sqlite3.DatabaseError` naming the file.

    ``is_looked_at``: this process has opened it before, and found it whole.
    """
    connection = connect(path)
    try:
        with naming(path):
            apply_steps(connection, steps)
            if not is_looked_at:
                check_whole(connection, steps)
    except BaseException:
        connection.close()
        raise
    return connection


class Database:
    """One SQLite database: a connection behind a lock, and another to read by while a thread is in a transaction."""

    def __init__(self, path: Path, steps: Sequence[str], *, is_looked_at: bool = False) -> None:
        """Open the file as `open_file` does; its folder is made where it is missing."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.RLock()
        self._path = path
        self._reading = threading.Lock()
        self._reader: sqlite3.Connection | None = None
        self._is_closed = False
        self._connection = open_file(path, steps, is_looked_at=is_looked_at)
        self.place = str(path)

    def close(self) -> None:
        """Close the connection to the database file."""
        with self._lock, self._reading:
            self._is_closed = True
            self._connection.close()
            if self._reader is not None:
                self._reader.close()

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a question; as committed last, without waiting, while another thread is in a transaction. Raises `sqlite3.Error`."""
        with naming(self._path):
            if self._lock.acquire(blocking=False):
                try:
                    return self._connection.execute(sql, parameters).fetchall()
                finally:
                    self._lock.release()
            with self._reading:
                if self._is_closed:  # a thread that outlived the server must not leave the file open
                    raise sqlite3.ProgrammingError("the database is closed")
                self._reader = self._reader or connect(self._path)
                return self._reader.execute(sql, parameters).fetchall()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Transaction]:
        """A transaction that is committed at the end and rolled back on any exception."""
        with self._lock, naming(self._path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                if self._connection.in_transaction:  # a disk error may have ended it already
                    self._connection.execute("ROLLBACK")
                raise
            # On disk when this returns (`synchronous = FULL`); a crash before it leaves the state before the transaction.
            self._connection.execute("COMMIT")
