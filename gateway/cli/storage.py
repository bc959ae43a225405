"""``gateway storage``: where a gateway's state is kept, and moving it between the data folder and a database that nodes share."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.keys import DATA
from schemas.jsontext import encode_json
from serving.cli.commands import report_errors
from serving.language import _

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.settings.datafolder import DataFolder

SQLITE = "sqlite"


@click.group(
    "storage",
    help="Where the gateway's state is kept: in the data folder, or in a database that nodes share.",
)
def storage() -> None: ...


@storage.command(
    help="Copy everything to another place, with its evidence, and prove that it is the same; then use it there. The gateway "
    "is stopped. Begun again, it goes on where it was."
)
@DATA
@click.option(
    "--to", "to", required=True, help="postgresql://user@host/database, or sqlite: back to the data folder"
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="file with the password of the database's user",
)
@report_errors
def move(data: Path, to: str, password_file: Path | None) -> None:
    """Move the state of a stopped gateway."""
    from gateway.cli.localaudit import record
    from gateway.server.moving import PARTS
    from gateway.settings.datafolder import DataFolder, find_folder
    from serving.storage.datafolder import claim
    from serving.storage.moving import set_aside
    from serving.storage.nodes import check_alone, check_not_moved, open_nodes

    with claim(data):
        source = find_folder(data, os.environ)
        if to == SQLITE:
            target = DataFolder(data, objects=source.objects)
            if not source.database:
                raise ValueError(_("{data} keeps its state in SQLite already", data=data))
            check_alone(source.database)
        else:
            target = _target(data, to, password_file, source.objects)
            if source.database and (
                source.database != target.database or not (data / PARTS[-1].path).exists()
            ):
                raise ValueError(
                    _("{data} keeps its state in a database already: move it to sqlite first", data=data)
                )
            with contextlib.closing(open_nodes(target.database)) as shared:
                check_not_moved(shared)
        for line in _moved(data, source, target):
            click.echo(line)
        if to == SQLITE:
            check_alone(source.database)  # none began meanwhile
            _begin_folder(data, source)
        else:
            _name_database(data, to, password_file)
            # From here on every command looks in the database; a crash leaves the old files under their names, unused.
            set_aside(data, PARTS)
        record(data, "STORAGE_MOVE", "done", [f"+ storage {to.partition('://')[0]}"])
    click.echo(_("moved; start the gateway again"))


@storage.command(
    help="The nodes that share the database, their versions, and the background work that each does for all."
)
@DATA
@click.option("--json", "as_json", is_flag=True, help="for programs")
@report_errors
def nodes(data: Path, as_json: bool) -> None:
    """List the nodes that share the database, a line each."""
    from gateway.settings.datafolder import find_folder
    from serving.storage.nodes import list_nodes

    folder = find_folder(data, os.environ)
    if not folder.database:
        raise ValueError(_("{data} keeps its state in SQLite: there is one node", data=data))
    for node in list_nodes(folder.database):
        if as_json:
            click.echo(encode_json(node))
        else:
            state = (
                _("runs") if node.is_alive else _("not seen for {seconds} s", seconds=round(node.unseen_s))
            )
            click.echo(f"{node.name}  {node.version}  {state}  {', '.join(node.leases)}".rstrip())


def _moved(data: Path, source: DataFolder, target: DataFolder) -> Iterator[str]:
    """Move, or go on where an earlier command was stopped; a line for each piece. Raises `OperatorError`, OSError."""
    from gateway.server.moving import compare_gateway, move_gateway, was_moved
    from gateway.settings.datafolder import DataFolder

    # Where the settings name the target already, they do not name what is to be moved any more.
    is_named, here = source.database == target.database, DataFolder(data, objects=source.objects)
    if not target.database or not was_moved(here, target):
        yield from move_gateway(here if is_named else source, target)
    elif not is_named:
        yield from compare_gateway(here, target)


def _target(data: Path, to: str, password_file: Path | None, objects: str) -> DataFolder:
    from gateway.settings.datafolder import DataFolder
    from gateway.settings.nodesettings import NodeSettings
    from serving.config.secret import SecretSource
    from serving.storage.postgres import has_password

    settings = NodeSettings(
        database=to, password=SecretSource(file=str(password_file) if password_file else "")
    )
    address = settings.address(os.environ)
    if has_password(to):
        raise ValueError(_("the address holds a password, which is to stand in a file: --password-file"))
    return DataFolder(data, address, objects=objects)


def _name_database(data: Path, to: str, password_file: Path | None) -> None:
    """Put the database into the folder's settings, unless they or the environment name it already."""
    from gateway.settings.nodesettings import FILE, read_node
    from serving.config.nodetable import name_database

    if read_node(data, os.environ).database != to:
        name_database(data / FILE, to, password_file)


def _begin_folder(data: Path, source: DataFolder) -> None:
    """Let the folder's own SQLite be the gateway's again; the database remembers that it is not any more."""
    from gateway.settings.nodesettings import FILE
    from serving.config.nodetable import forget_database
    from serving.storage.nodes import note_moved

    note_moved(source.database)
    forget_database(data / FILE)
