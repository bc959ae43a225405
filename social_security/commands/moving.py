"""``social_security move-books``: a system's books out of the SQLite file of its folder into the PostgreSQL its settings name."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving.errors import OperatorError
from serving.language import _
from serving.storage.database import Database
from serving.storage.moving import compare_tables, copy_tables, put_aside, tables_in
from social_security.institute.stores.steps import STEPS as INSTITUTE_STEPS
from social_security.oniess.tables import STEPS as ONIESS_STEPS
from social_security.registry.tables import STEPS as REGISTRY_STEPS
from social_security.wire.books import kind_of, open_shared, settings_in

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS = {"registry": REGISTRY_STEPS, "oniess": ONIESS_STEPS, "institute": INSTITUTE_STEPS}


@click.command("move-books")
@click.option(
    "--data", required=True, type=click.Path(path_type=Path, exists=True), help="folder of the system"
)
def move_command(data: Path) -> None:
    """Copy the books of a stopped system to the database its settings name. May be interrupted and run again."""
    try:
        for line in move_books(data):
            click.echo(line)
    except (ValueError, OSError, sqlite3.Error) as err:
        raise click.ClickException(str(err)) from err


def move_books(data: Path) -> Iterator[str]:
    """Copy every table, compare both sides, and put the file aside; a line for each. Raises `OperatorError`, OSError."""
    settings = settings_in(data)
    if settings is None or not settings.database:
        raise OperatorError(
            f'name the database first: database = "postgresql://..." in {data / "settings.toml"}'
        )
    kind = kind_of(settings.member)
    path = data / f"{kind}.sqlite"
    if not path.exists():
        raise OperatorError(f"there is no {path}: nothing is to be moved")
    _check_stopped(path)
    with (
        contextlib.closing(Database(path, STEPS[kind])) as source,
        contextlib.closing(open_shared(settings, STEPS[kind])) as target,
        source.transaction(),  # nobody writes there meanwhile
    ):
        tables = tables_in(source)
        yield from copy_tables(source, target, tables)
        compare_tables(source, target, tables)
    _check_stopped(path)
    # Both places hold the same now; a crash before the next line leaves the file where it was, and the same command goes on.
    aside = put_aside(path)
    yield _("both sides hold the same; the file stays as {name}", name=aside.name)


def _check_stopped(path: Path) -> None:
    """Refuse while another process has the file open; what its log holds is put into it. Raises `OperatorError`."""
    with contextlib.closing(sqlite3.connect(path, timeout=0.2)) as connection:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        except sqlite3.OperationalError as err:
            raise OperatorError(f"{path} is in use ({err}): stop the system first") from err
    if mode != "delete":
        raise OperatorError(f"{path} is in use: stop the system first")
