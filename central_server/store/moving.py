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
from serving.language import _
from serving.login import users
from serving.storage.audit import AuditLog
from serving.storage.database import Database
from serving.storage.moving import MovedPart, compare_tables, copy_tables, tables_in

if TYPE_CHECKING:
    from pathlib import Path

    from serving.storage.database import AnyDatabase
    from serving.storage.moving import MovedTable

PARTS = (
    MovedPart("users and calls", "admin.sqlite", users.LOGIN_STEPS, users.SCHEMA),
    MovedPart("registry", "central.sqlite", STEPS, ""),
)
_LAST = "parameter"


def move_central(folder: Path, source: str, target: str) -> Generator[str]:
    """Copy everything and prove that it is the same; a line for each piece.

    ``source`` and ``target`` are addresses of databases, empty for the folder's SQLite. Raises `OperatorError` and OSError, for
    a source without a central server and a target with another one: nothing was switched.
    """
    with contextlib.ExitStack() as stack:

        def opened(part: MovedPart, database: str) -> AnyDatabase:
            return stack.enter_context(contextlib.closing(part.open(folder, database)))

        pairs = [(part, opened(part, source), opened(part, target)) for part in PARTS]
        _check_source(pairs[-1][1])
        if not _holds_server(pairs[-1][2]):
            for part, here, there in pairs:
                for line in copy_tables(here, there, _tables(here, there)):
                    yield f"{part.name}, {line}"
            # A crash from here on leaves a target that the next move finds to be the same.
        chains = [_continued(AuditLog(here), AuditLog(there)) for _part, here, there in pairs]
        for (part, here, there), (count, is_longer) in zip(pairs, chains, strict=True):
            # Where the chain is longer, nodes ran on the target already: what it holds goes on from what is here.
            if not is_longer:
                compare_tables(here, there, _tables(here, there))
            yield f"{part.name}, {_('audit log of {count} entries: whole', count=count)}"


def _continued(here: AuditLog, there: AuditLog) -> tuple[int, bool]:
    """How many entries the target's log has, and whether it goes on after the source's. Raises `OperatorError` for another log."""
    head = here.head()
    try:
        count, last = there.verify(head)
    except OperatorError as err:
        raise OperatorError(
            _(
                "the target holds another central server, whose audit log does not go on from this one's ({err}); name an empty "
                "database (createdb). Nothing was changed",
                err=err,
            )
        ) from err
    return count, last != head


def _tables(here: AnyDatabase, there: AnyDatabase) -> list[MovedTable]:
    sqlite = here if isinstance(here, Database) else there
    if not isinstance(sqlite, Database):
        raise OperatorError(_("a central server is moved between the SQLite of its folder and PostgreSQL"))
    return sorted(tables_in(sqlite), key=lambda table: table.name == _LAST)


def _check_source(database: AnyDatabase) -> None:
    if not _holds_server(database):
        raise OperatorError(_("there is no central server to be moved: nothing was ever written there"))


def _holds_server(database: AnyDatabase) -> bool:
    return bool(database.query(f"SELECT 1 FROM {_LAST} LIMIT 1"))
