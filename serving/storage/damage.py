"""Which value of a SQLite database is none that this software wrote: its table, row and column, for whoever must mend it.

SQLite keeps whatever bytes stand in a file, of any type in any column; PostgreSQL keeps none but the column's own. Where a
value of another type is read by chance it ends as an error far from its file, so every value's type is looked at before a
database is used (of tables of more than 100,000 rows in one above 64 MiB: those of a row that nothing can be made of, when it is
read), and texts when one of them could not be read.
"""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from schemas.faults import Fault
from schemas.showing import shown
from serving.errors import OperatorError
from serving.language import N_
from serving.process.failing import wording_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from serving.language import Text, Translatable

# By the type a column is declared with: what SQLite calls the values it may hold.
_TYPES = {
    "TEXT": ("text",),
    "BIGINT": ("integer",),
    "INTEGER": ("integer",),
    "BLOB": ("blob",),
    "REAL": ("real", "integer"),
}
_NULL = "null"
VALUE_REMEDY: Final = N_("correct that value or remove that row, or restore a backup (backup restore)")
_LONGEST_KEY = 80


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    types: tuple[str, ...]
    is_key: bool


def find_damage(connection: sqlite3.Connection, among: Sequence[str] | None = None) -> Text | None:
    """The first value of another type than its column's, in words that name table, row and column; None when there is none."""
    for name in _tables(connection):
        if (among is None or name in among) and (damage := _find_in(connection, name)) is not None:
            return damage
    return None


def _find_in(
    connection: sqlite3.Connection, name: str, key: str | None = None, value: object = None
) -> Text | None:
    """The first such value of one table, in the rows whose ``key`` is a value where one is given."""
    found = _columns(connection, name)
    if not found:
        return None
    table, keys = _quoted(name), _key(found)
    values: tuple[object, ...] = ()
    where = " OR ".join(map(_mismatch, found))
    if key is not None:
        column = _quoted(key)
        where, values = f"{column} = ? AND ({where})", (value,)
    clause = " ".join(f"WHEN {_mismatch(c)} THEN {i}" for i, c in enumerate(found))
    kinds = " ".join(f"WHEN {_mismatch(c)} THEN typeof({_quoted(c.name)})" for c in found)
    columns = f"{keys}, CASE {clause} END, CASE {kinds} END"
    row = connection.execute(f"SELECT {columns} FROM {table} WHERE {where} LIMIT 1", values).fetchone()
    if row is None:
        return None
    wrong = found[row[-2]]
    what = N_("{found} where {expected} is expected", found=row[-1], expected=wrong.types[0])
    return _place(name, found, row[:-2], wrong, what)


def find_unreadable_text(path: Path) -> Text | None:
    """The first text that is no UTF-8, as `find_damage` says it. Reads the whole file: for when one is known to be there."""
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        for name in _tables(connection):
            found = _columns(connection, name)
            texts = [c for c in found if c.types[0] == "text"]
            if not texts:
                continue
            table, keys = _quoted(name), _key(found)
            columns = ", ".join(_quoted(c.name) for c in texts)
            for row in connection.execute(f"SELECT {keys}, {columns} FROM {table}"):
                for text, value in zip(texts, row[-len(texts) :], strict=True):
                    if isinstance(value, bytes) and not _is_utf8(value):
                        return _place(name, found, row[: -len(texts)], text, N_("bytes that are no UTF-8"))
    return None


@contextlib.contextmanager
def reading_row(
    place: str, table: str, key: str, value: object, parts: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Say of a row that nothing can be made of where it stands, and what to do. Raises `OperatorError`.

    ``parts`` are other tables whose rows were read with it, and the column of theirs that names it. Of a value of another type
    than its column's the column is named: a large database is not looked through when it is opened.
    """
    try:
        yield
    except (Fault, ValueError, TypeError, LookupError, OverflowError, OSError) as err:
        damage = _find_in_rows(place, {table: key, **(parts or {})}, value) or N_(
            "table {table}, row with {key}: {reason}",
            table=table,
            key=f"{key} = {shown(str(value), _LONGEST_KEY)}",
            reason=wording_of(err),
        )
        raise OperatorError(
            N_("{place}: {damage}; {remedy}", place=place, damage=damage, remedy=VALUE_REMEDY)
        ) from err


def _find_in_rows(place: str, tables: Mapping[str, str], value: object) -> Text | None:
    """The first value of another type in a row and its parts; None where there is none, or where the engine keeps none."""
    path = Path(place)
    if not path.is_file():
        return None
    with (
        contextlib.suppress(sqlite3.Error),
        contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection,
    ):
        for table, key in tables.items():
            if (damage := _find_in(connection, table, key, value)) is not None:
                return damage
    return None


def _tables(connection: sqlite3.Connection) -> Iterator[str]:
    sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
    for (name,) in connection.execute(sql).fetchall():
        yield name if isinstance(name, str) else name.decode("utf-8", "replace")


def _columns(connection: sqlite3.Connection, table: str) -> list[_Column]:
    """The columns of a table whose declared type says what they hold."""
    found = []
    for __, name, declared, not_null, __, key in connection.execute(
        f"PRAGMA table_info({_quoted(table)})"
    ).fetchall():
        texts = [t.decode("utf-8", "replace") if isinstance(t, bytes) else t for t in (name, declared)]
        types = _TYPES.get(texts[1].upper())
        if types is not None:
            found.append(_Column(texts[0], types if not_null else (*types, _NULL), bool(key)))
    return found


def _mismatch(column: _Column) -> str:
    kinds = ", ".join(f"'{kind}'" for kind in column.types)
    return f"typeof({_quoted(column.name)}) NOT IN ({kinds})"


def _key(columns: list[_Column]) -> str:
    """The columns that a person finds a row by; the first one where a table has no key."""
    keys = [c for c in columns if c.is_key] or columns[:1]
    return ", ".join(f"CAST({_quoted(c.name)} AS BLOB)" for c in keys)


def _place(
    table: str, columns: list[_Column], key: tuple[object, ...], column: _Column, what: Translatable
) -> Text:
    names = [c.name for c in columns if c.is_key] or [columns[0].name]
    values = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in key]
    row = ", ".join(f"{n} = {shown(v[:_LONGEST_KEY])}" for n, v in zip(names, values, strict=True))
    return N_(
        "table {table}, row with {row}, column {column} holds {what}",
        table=table,
        row=row,
        column=column.name,
        what=what,
    )


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
