"""Between rows and values: the port to a database, identifiers, instants, and ids that are never used twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.clients.model import Subject
from schemas.identifiers import ClientId, GlobalGroupId, LocalGroupId

# Runs one statement with its parameters; the rows it gives.
Run = Callable[[str, Sequence[Any]], list[tuple[Any, ...]]]


def client_of(path: str) -> ClientId:
    """A client from its stored path."""
    return ClientId(*path.split("/"))


def subject_of(kind: str, subject: str) -> Subject:
    """The holder of a right from its stored type and path."""
    if kind == GlobalGroupId.object_type:
        return GlobalGroupId(*subject.split("/"))
    if kind == LocalGroupId.object_type:
        return LocalGroupId(subject)
    return client_of(subject)


def seconds(at: datetime) -> int:
    """An instant as it is stored."""
    return int(at.timestamp())


def instant(stored: int) -> datetime:
    """A stored instant."""
    return datetime.fromtimestamp(stored, UTC)


def next_id(rows: Run, sequence: str) -> int:
    """A number of a sequence that nobody had before and nobody will have again."""
    (row,) = rows("UPDATE sequence SET value = value + 1 WHERE name = ? RETURNING value", (sequence,))
    return int(row[0])
