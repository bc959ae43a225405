"""Between rows and values: the port to a database, identifiers, instants, and ids that are never used twice."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar

from schemas.faults import BadMessage
from schemas.identifiers import ClientId

# Runs one statement with its parameters; the rows it gives.
Run = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]
ROWS_TOGETHER = 500
_SHOWN = 80
T = TypeVar("T")
log = logging.getLogger("serverconf")


@lru_cache(maxsize=4096)
def client_of(path: str) -> ClientId:
    """A client from its stored path."""
    return ClientId(*path.split("/"))


def matching(*columns: tuple[str, object]) -> tuple[str, tuple[object, ...]]:
    """The condition that columns hold values, with its parameters; a value of None asks nothing of its column."""
    conditions = [(column, value) for column, value in columns if value is not None]
    condition = " AND ".join(f"{column} = ?" for column, _ in conditions)
    return f" WHERE {condition}" if condition else "", tuple(value for _, value in conditions)


def readable(
    table: str, rows: Iterable[tuple[Any, ...]], read: Callable[[tuple[Any, ...]], T]
) -> Iterator[T]:
    """The values of rows; one that today's rules do not take (an earlier version did) is named in the log and left out.

    Everything else goes on being served; the row stays as it is, for a person to mend.
    """
    for row in rows:
        try:
            value = read(row)
        except (BadMessage, ValueError, TypeError, LookupError, OverflowError, OSError) as err:
            key = " ".join(f"{part!r:.{_SHOWN}}" for part in row[:3])
            log.error(
                "a row is left out",
                extra={"event": "row_left_out", "row": f"{table} {key}", "reason": str(err)},
            )
            continue
        yield value


def seconds(at: datetime) -> int:
    """An instant as it is stored."""
    return int(at.timestamp())


def instant(stored: int) -> datetime:
    """The aware time in UTC of a stored one, in seconds since 1970."""
    return datetime.fromtimestamp(stored, UTC)


def insert_all(rows: Run, into: str, columns: Sequence[str], values: Sequence[Sequence[Any]]) -> None:
    """Put rows into a table, hundreds with a statement: one each would take a second for a large description."""
    one = f"({', '.join('?' * len(columns))})"
    for begin in range(0, len(values), ROWS_TOGETHER):
        piece = values[begin : begin + ROWS_TOGETHER]
        sql = f"INSERT INTO {into} ({', '.join(columns)}) VALUES {', '.join([one] * len(piece))}"
        rows(sql, [value for row in piece for value in row])


def next_ids(rows: Run, sequence: str, count: int) -> range:
    """``count`` numbers of a sequence, one after the other, that nobody had before and nobody will have again."""
    (row,) = rows("UPDATE sequence SET value = value + ? WHERE name = ? RETURNING value", (count, sequence))
    return range(int(row[0]) - count + 1, int(row[0]) + 1)


def next_id(rows: Run, sequence: str) -> int:
    """A number of a sequence that nobody had before and nobody will have again."""
    return next_ids(rows, sequence, 1)[0]
