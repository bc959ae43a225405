"""Commands that change a data folder leave their trace in the audit log, as calls of the admin API do."""

from __future__ import annotations

import functools
import getpass
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.desired.changelines import ConfigurationState

P = ParamSpec("P")
R = TypeVar("R")


def audited(event: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A command with a parameter ``data`` whose changes are written to the audit log, however it ends."""

    def wrap(command: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(command)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            data: Path = kwargs["data"]  # type: ignore[assignment]
            before, outcome = _state(data), "failed"
            try:
                result = command(*args, **kwargs)
                outcome = "done"
                return result
            except click.exceptions.Exit:  # it was done, and says by its exit status what is left to do
                outcome = "done"
                raise
            finally:
                from gateway.desired.changelines import difference

                changes = difference(before, _state(data))
                if changes:
                    record(data, event, outcome, changes)

        return run

    return wrap


def record(data: Path, event: str, outcome: str, changes: Sequence[str] = ()) -> None:
    """Append what somebody did at this machine."""
    from gateway.settings.datafolder import find_folder
    from serving.login.users import LOGIN_STEPS, SCHEMA
    from serving.storage.audit import AuditEntry, AuditLog
    from serving.storage.database import open_database

    words = " ".join(["gateway", *sys.argv[1:3]])
    where = find_folder(data, os.environ).logins
    database = open_database(where, LOGIN_STEPS, SCHEMA)
    if isinstance(where, Path):
        where.chmod(0o600)
    try:
        who = f"local:{getpass.getuser()}"
        entry = AuditEntry(datetime.now(UTC), who, "command", event, outcome, words, changes=tuple(changes))
        AuditLog(database).append(entry)
    finally:
        database.close()


def _state(data: Path) -> ConfigurationState:
    """The configuration of a folder; of one that holds none yet, nothing, and nothing is made by looking."""
    from gateway.clients.store import ServerConfStore
    from gateway.desired.changelines import ConfigurationState, state_of
    from gateway.settings.datafolder import find_folder

    where = find_folder(data, os.environ).serverconf
    if isinstance(where, Path) and not where.exists():
        return ConfigurationState(None, frozenset())
    store = ServerConfStore(where)
    try:
        return state_of(store)
    finally:
        store.close()
