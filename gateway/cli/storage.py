"""``gateway storage``: where a gateway's state is kept, and moving it between the data folder and a database that nodes share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.keys import DATA
from schemas.jsontext import encode_json
from serving.cli.commands import report_errors
from serving.language import _

if TYPE_CHECKING:
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
    from gateway.server.moving import move_gateway, set_aside
    from gateway.settings.datafolder import DataFolder, find_folder
    from serving.storage.datafolder import claim

    with claim(data):
        source = find_folder(data, os.environ)
        if to == SQLITE:
            target = DataFolder(data)
            if not source.database:
                raise ValueError(_("{data} keeps its state in SQLite already", data=data))
        else:
            target = _target(data, to, password_file)
            if source.database:
                raise ValueError(
                    _("{data} keeps its state in a database already: move it to sqlite first", data=data)
                )
        for line in move_gateway(source, target):
            click.echo(line)
        if to == SQLITE:
            _begin_folder(data, source)
        else:
            _name_database(data, to, password_file)
            # From here on every command looks in the database; a crash leaves the old files under their names, unused.
            set_aside(data)
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


def _target(data: Path, to: str, password_file: Path | None) -> DataFolder:
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
    return DataFolder(data, address)


def _name_database(data: Path, to: str, password_file: Path | None) -> None:
    """Put the database into the folder's settings, unless they have a table of the node already."""
    from certs.edges.tokenfiles import write_whole
    from gateway.settings.nodesettings import FILE, read_node

    if read_node(data, os.environ).database == to:
        return
    file = data / FILE
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    if "[node]" in text:
        raise ValueError(
            _(
                "everything is copied; now set node.database in {file} to {to} and begin again",
                file=file,
                to=to,
            )
        )
    lines = ["[node]", f"database = {encode_json(to).decode()}"]
    if password_file is not None:
        lines.append(f"password = {{ file = {encode_json(str(password_file.absolute())).decode()} }}")
    write_whole(file, f"{text.rstrip()}\n\n{chr(10).join(lines)}\n".lstrip().encode(), mode=0o600)


def _begin_folder(data: Path, source: DataFolder) -> None:
    """Let the folder's own SQLite be the gateway's again; the database remembers that it is not any more."""
    from certs.edges.tokenfiles import write_whole
    from gateway.settings.nodesettings import FILE
    from serving.storage.nodes import note_moved

    file = data / FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    kept, inside = list[str](), False
    for line in lines:
        inside = line.strip() == "[node]" or (inside and not line.startswith("["))
        if not (inside and line.partition("=")[0].strip() in ("database", "password")):
            kept.append(line)
    note_moved(source.database)
    write_whole(file, ("\n".join(kept) + "\n").encode(), mode=0o600)
