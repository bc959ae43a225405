"""Where a system keeps its books: SQLite in its folder, or a schema of its own in a PostgreSQL database.

The setting ``database`` is found by every command of a folder as the system itself finds it: in the folder's own
``settings.toml`` or in the environment. Several members may share a database; each has the schema of its code there. One change
is made at a time, as in SQLite: a command that runs beside the system waits for it, and neither is overtaken.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from serving.errors import OperatorError
from serving.language import N_
from serving.storage.database import POSTGRES_SCHEMES, Database
from social_security import config

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from serving.storage.database import AnyDatabase
    from serving.storage.postgres import PostgresDatabase

SETTINGS = "settings.toml"
# The members whose books are of their own kind; all others are institutes.
_KINDS = {"00-RNSS": "registry", "00-ONIESS": "oniess"}


def settings_in(folder: Path) -> config.SystemSettings | None:
    """The settings that a folder's commands find, if it has its own or the environment names them. Raises `OperatorError`."""
    file = folder / SETTINGS
    if not file.exists() and f"{config.ENVIRONMENT_PREFIX}_DATABASE" not in os.environ:
        return None
    return config.load(file if file.exists() else None, os.environ)


def kind_of(member: str) -> str:
    """The books of a member: of the registry, of ONIESS, or of an institute."""
    return _KINDS.get(member, "institute")


def holds(folder: Path, kind: str) -> bool:
    """Whether a folder is that of a system with such books. Raises `OperatorError`."""
    found = settings_in(folder)
    if found is not None and found.database:
        return kind_of(found.member) == kind
    return (folder / f"{kind}.sqlite").exists()


def open_books(folder: Path, kind: str, steps: Sequence[str]) -> AnyDatabase:
    """The books of a folder's system, every step applied. Raises `OperatorError`; OSError while a server is not there."""
    return open_books_of(folder, settings_in(folder), kind, steps)


def open_books_of(
    folder: Path, settings: config.SystemSettings | None, kind: str, steps: Sequence[str]
) -> AnyDatabase:
    """The books where settings say they are, in ``folder`` unless these name a database. Raises as `open_books`."""
    if settings is None or not settings.database:
        return Database(folder / f"{kind}.sqlite", steps)
    if kind_of(settings.member) != kind:
        raise OperatorError(
            N_(
                "{folder} is the system of {member}, which keeps no books of the kind {kind}; name the right folder",
                folder=folder,
                member=settings.member,
                kind=kind,
            )
        )
    if (folder / f"{kind}.sqlite").exists():
        raise OperatorError(
            N_(
                "{folder} holds this system's books, and the setting database names another place: what stands in the file would be seen no more. Copy it there (move-books --data {data}), or take the setting out",
                folder=folder / f"{kind}.sqlite",
                data=folder,
            )
        )
    return open_shared(settings, steps)


def open_shared(settings: config.SystemSettings, steps: Sequence[str]) -> PostgresDatabase:
    """The books of a member in the database that its settings name. Raises `OperatorError`, OSError."""
    from psycopg import IsolationLevel

    from serving.storage.postgres import PostgresDatabase, check_durable

    database = PostgresDatabase(
        address_of(settings),
        steps,
        settings.member.lower(),
        isolation=IsolationLevel.READ_COMMITTED,
        session={"application_name": f"sacbe {settings.member}"},
        is_one_at_a_time=True,
    )
    try:
        check_durable(database)
    except BaseException:
        database.close()
        raise
    return database


def address_of(settings: config.SystemSettings) -> str:
    """The address of the database that settings name, with its password. Raises `OperatorError`."""
    from serving.storage.postgres import shown_address, with_password

    if not settings.database.startswith(POSTGRES_SCHEMES):
        raise OperatorError(
            N_(
                "database names no PostgreSQL; expected postgresql://user@host:5432/database, or nothing for SQLite in the folder"
            )
        )
    shown_address(settings.database)
    if not settings.database_password.is_set:
        return settings.database
    try:
        return with_password(settings.database, settings.database_password.read(os.environ))
    except ValueError as err:
        raise OperatorError(N_("{name}: {err}", name="database_password", err=err)) from err


def check_found(folder: Path, settings: config.SystemSettings) -> None:
    """Refuse a database that commands of the folder would not find. Raises `OperatorError`."""
    found = settings_in(folder)
    if settings.database != ("" if found is None else found.database):
        raise OperatorError(
            N_(
                "database stands in a settings file that commands of {folder} do not read; set it in {file} or as {variable}, where every command finds it",
                folder=folder,
                file=folder / SETTINGS,
                variable=f"{config.ENVIRONMENT_PREFIX}_DATABASE",
            )
        )
