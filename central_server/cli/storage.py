"""``central-server storage``: where the state is kept, moving it, and the nodes that share a database."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from central_server.cli.folder import (
    DATA,
    NEW_DATA,
    PIN,
    SETTINGS,
    open_node,
    opened_store,
    read_settings,
    settings_file,
    token_pin,
    utc_now,
)
from central_server.publication.anchors import remake_anchors
from central_server.store.records import OPERATOR
from central_server.store.sources import SOURCES, forget_node, list_nodes, node_address, signing_keys
from schemas.jsontext import encode_json
from serving.cli.commands import report_errors
from serving.cli.usercommands import JSON
from serving.errors import OperatorError
from serving.language import N_, _
from serving.storage.datafolder import claim
from serving.storage.moving import is_aside, set_aside

if TYPE_CHECKING:
    from central_server.publication.node import CentralNode

SQLITE = "sqlite"


@click.group(
    "storage",
    help="Where the central server's state is kept: in the data folder, or in a database that nodes share.",
)
def storage() -> None: ...


@storage.command(
    help="Copy everything to another place and prove that it is the same; then use it there. The server is stopped. Begun "
    "again, it goes on where it was."
)
@DATA
@SETTINGS
@click.option(
    "--to", "to", required=True, help="postgresql://user@host/database, or sqlite: back to the data folder"
)
@report_errors
def move(data: Path, settings: Path | None, to: str) -> None:
    """Move the state of a stopped central server."""
    from central_server.store.moving import PARTS, move_central
    from serving.config.nodetable import forget_database, name_database
    from serving.storage.nodes import note_moved

    file = settings_file(data, settings) or data / "settings.toml"
    with claim(data.absolute()):
        source, target = _places(data, settings, to)
        # Stopped while the files were given their other names, both places hold the same; one that is gone would be found empty.
        if not (target and is_aside(data, PARTS)):
            for line in move_central(data, source, target):
                click.echo(line)
        if target:
            name_database(file, to)
            # From here on every command looks in the database; a crash leaves the old files under their names, unused.
            set_aside(data, PARTS)
        else:
            note_moved(source)
            # No node begins on the database any more. A crash leaves the settings as they were; the same command goes on.
            forget_database(file)
        with (
            opened_store(data, settings) as store,
            store.change(OPERATOR, utc_now(), publishes=False) as records,
        ):
            records.note("STORAGE_MOVE", records.node, after=[f"storage {to.partition('://')[0]}"])
    click.echo(_("moved; start the central server again"))


def _places(data: Path, settings: Path | None, to: str) -> tuple[str, str]:
    """The databases to move from and to, empty for the folder's SQLite. Raises `OperatorError`."""
    from serving.storage.database import POSTGRES_SCHEMES
    from serving.storage.nodes import check_not_moved, open_nodes
    from serving.storage.postgres import has_password

    chosen = read_settings(data, settings)
    source = chosen.node.database
    if to == SQLITE:
        if not source:
            raise OperatorError(N_("{data} keeps its state in SQLite already", data=data))
        _check_alone(data, settings)
        return source, ""
    if source and not (data / "central.sqlite").exists():
        raise OperatorError(
            N_("{data} keeps its state in a database already: move it to sqlite first", data=data)
        )
    if not to.startswith(POSTGRES_SCHEMES):
        raise OperatorError(N_("--to {to} is neither postgresql://user@host/database nor sqlite", to=to))
    if has_password(to):
        raise OperatorError(
            N_("the address holds a password, which is to stand in a file that libpq reads: ?passfile=FILE")
        )
    if source not in ("", to):
        raise OperatorError(N_("the settings name {source}, not {to}", source=source, to=to))
    with contextlib.closing(open_nodes(to)) as shared:
        check_not_moved(shared)
    return "", to


def _check_alone(data: Path, settings: Path | None) -> None:
    with opened_store(data, settings) as store:
        others = [name for name, *_rest in list_nodes(store.read()) if name != store.node]
    if others:
        raise OperatorError(
            N_(
                "the nodes {others} share the database: stop and forget them first (central-server storage forget-node)",
                others=", ".join(others),
            )
        )


@storage.command(help="The nodes that share the database, their addresses, and when each published last.")
@DATA
@SETTINGS
@JSON
@report_errors
def nodes(data: Path, settings: Path | None, as_json: bool) -> None:
    with opened_store(data, settings) as store:
        for name, address, published_at in list_nodes(store.read()):
            if as_json:
                value = {
                    "name": name,
                    "address": address,
                    "published_at": published_at,
                    "this": name == store.node,
                }
                click.echo(encode_json(value).decode())
            else:
                click.echo(f"{name}  {address}  {published_at or _('has published nothing yet')}")


@storage.command(
    "add-node",
    help="Make a folder a further node on the database that its settings name: its own token, signing keys and TLS key, its "
    "address in the anchors. It can be run again without harm.",
)
@NEW_DATA
@PIN
@SETTINGS
@click.option("--address", required=True, help="name or IP of this node")
@report_errors
def add_node(data: Path, pin_file: Path | None, settings: Path | None, address: str) -> None:
    chosen = read_settings(data, settings)
    if not chosen.node.database:
        raise OperatorError(
            N_("the settings name no database that nodes share: central-server storage move first")
        )
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    with claim(data.absolute()):
        asyncio.run(_add_node(data, settings, pin_file, address))
    click.echo(
        _(
            "{name} is a node at {address}; hand the anchor out again: central-server anchor internal",
            name=chosen.node.name,
            address=address,
        )
    )


async def _add_node(data: Path, settings: Path | None, pin_file: Path | None, address: str) -> None:
    async with open_node(data, settings) as node:
        instance = node.store.read().instance
        known = node_address(node.store.read())
        is_made = await node.keys.is_made()
        if known is not None and not is_made:
            raise OperatorError(
                N_(
                    "the node {name} has its address already ({known}), and this folder has no token: restore its backup here, "
                    "or forget it (central-server storage forget-node), or give this node another name in node.name",
                    name=node.store.node,
                    known=known,
                )
            )
        pin = await token_pin(node, pin_file)
        if known is None:
            await node.initialise(instance, address, pin, OPERATOR, utc_now())
        else:
            await node.keys.log_in(pin, OPERATOR, utc_now())
        # On disk now: token, address and TLS key. A crash here leaves a node without signing keys, which no anchor names yet.
        await _make_missing_keys(node)


async def _make_missing_keys(node: CentralNode) -> None:
    for source in SOURCES:
        if not signing_keys(node.store.read(), source):
            await node.keys.make_signing_key(source, f"{source} configuration", OPERATOR, utc_now())


@storage.command(
    "forget-node",
    help="Take a node that is gone for good out of the database and the anchors: its address, its signing keys, its TLS certificate.",
)
@DATA
@SETTINGS
@click.argument("name")
@report_errors
def forget(data: Path, settings: Path | None, name: str) -> None:
    with (
        opened_store(data, settings) as store,
        store.change(OPERATOR, utc_now()) as records,
    ):
        forget_node(records, name)
        remake_anchors(records)
    click.echo(_("{name} is forgotten; hand the anchor out again: central-server anchor internal", name=name))
