"""``social_security move-books``: a system's books out of the SQLite file of its folder into the PostgreSQL its settings name, or back."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving.errors import OperatorError
from serving.language import N_, _
from serving.storage.database import Database
from serving.storage.moving import BothSides, put_aside, put_in_place
from social_security.institute.stores.steps import STEPS as INSTITUTE_STEPS
from social_security.oniess.tables import STEPS as ONIESS_STEPS
from social_security.registry.tables import STEPS as REGISTRY_STEPS
from social_security.wire.books import kind_of, open_shared, settings_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serving.storage.postgres import PostgresDatabase
    from social_security.config import SystemSettings

STEPS = {"registry": REGISTRY_STEPS, "oniess": ONIESS_STEPS, "institute": INSTITUTE_STEPS}


@click.command("move-books")
@click.option(
    "--data", required=True, type=click.Path(path_type=Path, exists=True), help="folder of the system"
)
@click.option(
    "--back",
    is_flag=True,
    help="the other way: out of the database that the settings name, into the SQLite of the folder",
)
def move_command(data: Path, back: bool) -> None:
    """Copy the books of a stopped system to the database its settings name, or back. May be interrupted and run again."""
    try:
        for line in (bring_books_back if back else move_books)(data):
            click.echo(line)
    except (ValueError, OSError, sqlite3.Error) as err:
        raise click.ClickException(str(err)) from err


def move_books(data: Path) -> Iterator[str]:
    """Copy every table, compare both sides, and put the file aside; a line for each. Raises `OperatorError`, OSError."""
    settings, kind, path = _named(data)
    if not path.exists():
        raise OperatorError(N_("there is no {path}: nothing is to be moved", path=path))
    _check_stopped(path)
    with (
        contextlib.closing(Database(path, STEPS[kind])) as source,
        contextlib.closing(open_shared(settings, STEPS[kind])) as target,
        source.transaction(),  # nobody writes there meanwhile
    ):
        sides = BothSides(kind, source, target)
        yield from sides.copy()
        sides.compare()
    _check_stopped(path)
    # Both places hold the same now; a crash before the next line leaves the file where it was, and the same command goes on.
    aside = put_aside(path)
    yield _("both sides hold the same; the file stays as {name}", name=aside.name)


def bring_books_back(data: Path) -> Generator[str]:
    """Copy every table into the folder, compare both sides, and give the schema another name; a line for each. Raises as `move_books`."""
    settings, kind, path = _named(data)
    # Under its own name the file counts: it has that once it is whole.
    coming = path if path.exists() else path.with_name(f"{path.name}.coming")
    with (
        contextlib.closing(open_shared(settings, STEPS[kind])) as source,
        source.transaction() as transaction,  # nobody writes there meanwhile
    ):
        _check_alone(source)
        with contextlib.closing(Database(coming, STEPS[kind])) as target:
            sides = BothSides(kind, source, target)
            if coming != path:
                yield from sides.copy()
            sides.compare()
        _check_stopped(coming)
        put_in_place(coming, path)
        # Both places hold the same. A crash before the commit leaves both; no system starts on either, and the same command goes on.
        ((schema, aside),) = transaction.execute(
            "SELECT current_schema(), current_schema() || '.moved-' || to_char(clock_timestamp(), 'YYYYMMDDHH24MISS')"
        ).fetchall()
        transaction.execute(
            "SELECT set_config('sacbe.renaming', format('ALTER SCHEMA %I RENAME TO %I', CAST(? AS text), CAST(? AS text)), true)",
            (schema, aside),
        )
        transaction.execute("DO $$ BEGIN EXECUTE current_setting('sacbe.renaming'); END $$")
    yield _(
        "both sides hold the same; the schema stays as {name}; now take database out of {file}",
        name=aside,
        file=data / "settings.toml",
    )


def _named(data: Path) -> tuple[SystemSettings, str, Path]:
    """The settings of a folder that names a database, the kind of its books, and the file of those."""
    settings = settings_in(data)
    if settings is None or not settings.database:
        raise OperatorError(
            N_(
                'name the database first: database = "postgresql://..." in {file}',
                file=data / "settings.toml",
            )
        )
    kind = kind_of(settings.member)
    return settings, kind, data / f"{kind}.sqlite"


def _check_alone(database: PostgresDatabase) -> None:
    """Refuse while another process has these books open. Raises `OperatorError`."""
    ((others,),) = database.query(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = current_setting('application_name') AND pid <> pg_backend_pid()"
    )
    if others:
        raise OperatorError(
            N_(
                "{others} other connections have these books open in {database}: stop the system first",
                others=others,
                database=database.name,
            )
        )


def _check_stopped(path: Path) -> None:
    """Refuse while another process has the file open; what its log holds is put into it. Raises `OperatorError`."""
    with contextlib.closing(sqlite3.connect(path, timeout=0.2)) as connection:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        except sqlite3.OperationalError as err:
            raise OperatorError(
                N_("{path} is in use ({err}): stop the system first", path=path, err=err)
            ) from err
    if mode != "delete":
        raise OperatorError(N_("{path} is in use: stop the system first", path=path))
