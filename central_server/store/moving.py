"""A central server's state moved from the SQLite of its data folder to a database that nodes share, or back.

Users and the log of calls go first, then the registry with its audit log, its parameters as the very last rows: a target without
them holds no central server. A move that was stopped anywhere, even after its last row, goes on with the same command.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import TYPE_CHECKING

from central_server.store.steps import STEPS
from serving.errors import OperatorError
from serving.language import N_, _
from serving.login import users
from serving.storage.audit import AuditLog
from serving.storage.moving import MovedPart, both_sides

if TYPE_CHECKING:
    from pathlib import Path

    from serving.storage.database import AnyDatabase

PARTS = (
    MovedPart("users and calls", "admin.sqlite", users.LOGIN_STEPS, users.SCHEMA),
    MovedPart("registry", "central.sqlite", STEPS, "", last="parameter"),
)


def move_central(folder: Path, source: str, target: str) -> Generator[str]:
    """Copy everything and prove that it is the same; a line for each piece.

    ``source`` and ``target`` are addresses of databases, empty for the folder's SQLite. Raises `OperatorError` and OSError, for
    a source without a central server and a target with another one: nothing was switched.
    """
    with contextlib.ExitStack() as stack:
        sides = [
            stack.enter_context(both_sides(((folder, source), (folder, target)), part)) for part in PARTS
        ]
        registry = sides[-1]
        if not _holds_server(registry.here):
            raise OperatorError(N_("there is no central server to be moved: nothing was ever written there"))
        if not _holds_server(registry.there):
            for side in sides:
                yield from side.copy()
                # A crash from here on leaves a target that the next move finds to be the same.
        chains = [_continued(AuditLog(side.here), AuditLog(side.there)) for side in sides]
        for side, (count, is_longer) in zip(sides, chains, strict=True):
            # Where the chain is longer, nodes ran on the target already: what it holds goes on from what is here.
            if not is_longer:
                side.compare()
            yield f"{side.name}, {_('audit log of {count} entries: whole', count=count)}"


def _continued(here: AuditLog, there: AuditLog) -> tuple[int, bool]:
    """The number of entries of the target's log, and whether it goes on after the source's. Raises `OperatorError` for another log."""
    head = here.head()
    try:
        count, last = there.verify(head)
    except OperatorError as err:
        raise OperatorError(
            N_(
                "the target holds another central server, whose audit log does not go on from this one's ({err}); name an empty "
                "database (createdb). Nothing was changed",
                err=err,
            )
        ) from err
    return count, last != head


def _holds_server(database: AnyDatabase) -> bool:
    table = PARTS[-1].last
    return bool(database.query(f"SELECT 1 FROM {table} LIMIT 1"))
