"""Between rows and values: the port to a database, identifiers, instants, and ids that are never used twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from schemas.identifiers import ClientId

# Runs one statement with its parameters; the rows it gives.
Run = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]


def client_of(path: str) -> ClientId:
    """A client from its stored path."""
    return ClientId(*path.split("/"))


def matching(*wanted: tuple[str, object]) -> tuple[str, tuple[object, ...]]:
    """The condition that columns hold values, with its parameters; a value of None asks nothing of its column."""
    asked = [(column, value) for column, value in wanted if value is not None]
    condition = " AND ".join(f"{column} = ?" for column, _ in asked)
    return f" WHERE {condition}" if condition else "", tuple(value for _, value in asked)


def seconds(at: datetime) -> int:
    """An instant as it is stored."""
    return int(at.timestamp())


def instant(stored: int) -> datetime:
    """The aware time in UTC of a stored one, in seconds since 1970."""
    return datetime.fromtimestamp(stored, UTC)


def next_id(rows: Run, sequence: str) -> int:
    """A number of a sequence that nobody had before and nobody will have again."""
    (row,) = rows("UPDATE sequence SET value = value + 1 WHERE name = ? RETURNING value", (sequence,))
    return int(row[0])
