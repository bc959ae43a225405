"""Copying databases of ours from SQLite to PostgreSQL and back, row by row, resumably, and proving that both hold the same.

The tables are described by the SQLite side. A table whose key is whole numbers is continued after the last row that is there; any
other is small, and copied anew. What was copied is compared by a digest over every row of both sides.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from typing import TYPE_CHECKING, Any

import msgspec

from certs.edges.tokenfiles import sync_folder
from serving.errors import OperatorError
from serving.language import N_
from serving.storage.database import Database, open_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from serving.storage.database import AnyDatabase
    from serving.storage.transactions import Transaction

TOGETHER = 500
_STEP = "step"
# What is added to the name of a file whose content is elsewhere now.
MOVED = ".moved"


class MovedPart(msgspec.Struct, frozen=True):
    """A database of a server: its path in a folder, its steps, its schema in a shared database, and the steps there if they differ."""

    name: str
    path: str
    steps: Sequence[str]
    schema: str
    shared_steps: Sequence[str] = ()
    # The table that is copied last: until it has a row nothing was ever kept there.
    last: str = ""

    def open(self, folder: Path, database: str) -> AnyDatabase:
        """The part in the shared database, or in the folder where ``database`` is empty. Raises `OperatorError`, OSError."""
        steps = self.shared_steps or self.steps if database else self.steps
        return open_database(database or folder / self.path, steps, self.schema)


class BothSides:
    """A part of a server at the place that it is moved from, and at the one that it is moved to."""

    def __init__(self, name: str, here: AnyDatabase, there: AnyDatabase, last: str = "") -> None:
        """``last`` names the table that is copied last. Raises `OperatorError` unless one side is SQLite and the other is not."""
        self.name, self.here, self.there = name, here, there
        sqlite = [side for side in (here, there) if isinstance(side, Database)]
        if len(sqlite) != 1:
            raise OperatorError(N_("{name}: moved between the SQLite of a folder and PostgreSQL", name=name))
        self.tables = sorted(tables_in(sqlite[0]), key=lambda table: table.name == last)

    def copy(self) -> Iterator[str]:
        """Copy what the other side does not have yet; a line for each table. May be stopped and begun again anywhere."""
        for line in copy_tables(self.here, self.there, self.tables):
            yield f"{self.name}, {line}"

    def compare(self) -> None:
        """Prove that both hold the same. Raises `OperatorError` naming what differs."""
        compare_tables(self.here, self.there, self.tables)


@contextlib.contextmanager
def both_sides(folders: Sequence[tuple[Path, str]], part: MovedPart) -> Iterator[BothSides]:
    """A part in the folder and database that it is moved from, and those that it is moved to. Raises `OperatorError`, OSError."""
    with contextlib.ExitStack() as stack:
        here, there = (
            stack.enter_context(contextlib.closing(part.open(folder, database)))
            for folder, database in folders
        )
        yield BothSides(part.name, here, there, part.last)


def set_aside(folder: Path, parts: Sequence[MovedPart]) -> None:
    """Take the SQLite that was moved out of the way of a start; it stays beside under names ending in `MOVED`."""
    for part in parts:
        path = folder / part.path
        if path.exists():
            # With its write-ahead log in it, so that the one file is all of it.
            with contextlib.closing(sqlite3.connect(path)) as database:
                database.execute("PRAGMA journal_mode = DELETE")
            # A crash between two of them leaves the rest under their names, unused: the settings name the database already.
            put_aside(path)


def is_aside(folder: Path, parts: Sequence[MovedPart]) -> bool:
    """Whether one of the files has its other name already: a move was stopped after it compared all of them."""
    paths = [folder / part.path for part in parts]
    return any(not path.exists() and path.with_name(path.name + MOVED).exists() for path in paths)


class MovedTable(msgspec.Struct, frozen=True):
    """A table: its columns, the columns of its key in their order, and whether those are whole numbers."""

    name: str
    columns: tuple[str, ...]
    key: tuple[str, ...]
    is_numbered: bool

    @property
    def select(self) -> str:
        """The beginning of a question for its rows."""
        return f"SELECT {', '.join(self.columns)} FROM {self.name}"

    @property
    def order(self) -> str:
        """The columns its rows are ordered by."""
        return ", ".join(self.key or self.columns)

    @property
    def insert(self) -> str:
        """The statement for one row."""
        marks = ", ".join("?" * len(self.columns))
        return f"INSERT INTO {self.name} ({', '.join(self.columns)}) VALUES ({marks})"

    @property
    def or_replace(self) -> str:
        """The end of that statement where a row with the key may be there already."""
        others = [f"{column} = excluded.{column}" for column in self.columns if column not in self.key]
        if not self.key:
            return ""
        return f" ON CONFLICT ({', '.join(self.key)}) DO {'UPDATE SET ' + ', '.join(others) if others else 'NOTHING'}"


def tables_in(database: Database) -> list[MovedTable]:
    """The tables of a SQLite database, those that others refer to first. Raises `OperatorError`."""
    names = [
        str(name)
        for (name,) in database.query("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid")
        if name != _STEP and not str(name).startswith("sqlite_")
    ]
    referred = {
        name: {str(row[2]) for row in database.query(f"PRAGMA foreign_key_list({name})")} - {name}
        for name in names
    }
    ordered: list[str] = []
    while left := [name for name in names if name not in ordered]:
        free = [name for name in left if not referred[name] & set(left)]
        if not free:
            raise OperatorError(
                N_("the tables {names} refer to each other in a circle", names=", ".join(left))
            )
        ordered += free
    return [_table(database, name) for name in ordered]


def _table(database: Database, name: str) -> MovedTable:
    found = database.query(f"PRAGMA table_info({name})")
    keyed = sorted((int(row[5]), str(row[1]), str(row[2]).upper()) for row in found if row[5])
    return MovedTable(
        name,
        tuple(str(row[1]) for row in found),
        tuple(column for _, column, _ in keyed),
        bool(keyed) and all(kind in ("INTEGER", "BIGINT") for _, _, kind in keyed),
    )


def copy_tables(source: AnyDatabase, target: AnyDatabase, tables: Sequence[MovedTable]) -> Iterator[str]:
    """Copy what the target does not have yet; a line for each table. May be stopped and begun again anywhere."""
    with target.transaction() as transaction:
        for table in reversed([table for table in tables if not table.is_numbered]):
            _remove_others(source, target, transaction, table)
    for table in tables:
        count = _continue(source, target, table) if table.is_numbered else _copy_anew(source, target, table)
        yield f"{table.name}: {count}"
    if not isinstance(target, Database):
        _set_sequences(target, tables)
        # Else the first searches are planned for empty tables, and read all of them.
        target.query(f"ANALYZE {', '.join(table.name for table in tables)}")


def _remove_others(
    source: AnyDatabase, target: AnyDatabase, transaction: Transaction, table: MovedTable
) -> None:
    """Take out of a small table of the target what the source does not have; rows that others refer to stay where they are."""
    if not table.key:
        transaction.execute(f"DELETE FROM {table.name}")
        return
    select = f"SELECT {', '.join(table.key)} FROM {table.name}"
    where = " AND ".join(f"{column} = ?" for column in table.key)
    for row in set(target.query(select)) - set(source.query(select)):
        transaction.execute(f"DELETE FROM {table.name} WHERE {where}", row)


def _copy_anew(source: AnyDatabase, target: AnyDatabase, table: MovedTable) -> int:
    rows = source.query(f"{table.select} ORDER BY {table.order}")
    with target.transaction() as transaction:
        transaction.executemany(table.insert + table.or_replace, rows)
    return len(rows)


def _continue(source: AnyDatabase, target: AnyDatabase, table: MovedTable) -> int:
    keys = ", ".join(table.key)
    last = target.query(
        f"SELECT {keys} FROM {table.name} ORDER BY {', '.join(f'{k} DESC' for k in table.key)} LIMIT 1"
    )
    after, count = (list(last[0]) if last else None), 0
    marks = ", ".join("?" * len(table.key))
    while True:
        where = f" WHERE ({keys}) > ({marks})" if after is not None else ""
        rows = source.query(f"{table.select}{where} ORDER BY {table.order} LIMIT {TOGETHER}", after or [])
        if not rows:
            return count
        with target.transaction() as transaction:
            _insert(transaction, table, rows)
        after, count = [rows[-1][table.columns.index(k)] for k in table.key], count + len(rows)


def _insert(transaction: Transaction, table: MovedTable, rows: Sequence[tuple[Any, ...]]) -> None:
    transaction.executemany(table.insert, rows)


def _set_sequences(target: AnyDatabase, tables: Sequence[MovedTable]) -> None:
    """Let the numbers that PostgreSQL gives go on after those that were copied."""
    for table in tables:
        for (column,) in target.query(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = current_schema() "
            "AND table_name = ? AND is_identity = 'YES'",
            (table.name,),
        ):
            target.query(
                f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column}'), greatest(max({column}), 1), "
                f"max({column}) IS NOT NULL) FROM {table.name}"
            )


def compare_tables(source: AnyDatabase, target: AnyDatabase, tables: Sequence[MovedTable]) -> None:
    """Prove that both sides hold the same rows. Raises `OperatorError` naming the first table that differs."""
    for table in tables:
        here, there = (_digest(side, table) for side in (source, target))
        if here != there:
            raise OperatorError(
                N_(
                    "the copy of the table {table} is not what was copied: {rows} rows here, {others} there, digests {digest:064x} and {other:064x}; nothing was switched over: empty the target and begin again",
                    table=table.name,
                    rows=here[0],
                    others=there[0],
                    digest=here[1],
                    other=there[1],
                )
            )


def put_in_place(coming: Path, path: Path) -> None:
    """Give a SQLite file that was filled and compared the name under which a server opens it."""
    # Whole under the one name or the other: a crash before the rename leaves what was there, and the same command goes on.
    coming.replace(path)
    sync_folder(path.parent)


def put_aside(path: Path) -> Path:
    """Give a SQLite file whose content is elsewhere now a name that no server opens; the new path."""
    target = path.with_name(path.name + MOVED)
    # Both places hold the same, and until here the file counts: a crash before the rename finds it where it was.
    path.replace(target)
    sync_folder(path.parent)
    return target


def _digest(side: AnyDatabase, table: MovedTable) -> tuple[int, int]:
    """The number of rows, and the sum of their digests: the same in whatever order a side gives them."""
    count = total = 0
    for row in _all_rows(side.query, table):
        count += 1
        total += int.from_bytes(hashlib.sha256(b"".join(map(_canonical, row))).digest(), "big")
    return count, total % (1 << 256)


def _all_rows(
    query: Callable[[str, Sequence[Any]], list[tuple[Any, ...]]], table: MovedTable
) -> Iterator[tuple[Any, ...]]:
    if not table.is_numbered:
        yield from query(table.select, ())
        return
    keys, marks = ", ".join(table.key), ", ".join("?" * len(table.key))
    where, after = "", list[Any]()
    while rows := query(f"{table.select}{where} ORDER BY {table.order} LIMIT {TOGETHER}", after):
        yield from rows
        where, after = f" WHERE ({keys}) > ({marks})", [rows[-1][table.columns.index(k)] for k in table.key]


def _canonical(value: object) -> bytes:
    """A value with its type and length; a whole number is one in whatever type a side keeps it."""
    if value is None:
        return b"n"
    if isinstance(value, (bytes, memoryview)):
        return b"b%d:%b" % (len(value), bytes(value))
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    text = str(value).encode()
    kind = b"s" if isinstance(value, str) else b"#"
    return b"%b%d:%b" % (kind, len(text), text)
