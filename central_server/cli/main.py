"""The command ``central-server``: make one, apply a registry file, hand out anchors, keep keys and users, audit, serve."""

from __future__ import annotations

import asyncio
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from central_server.admin.roles import central_roles
from central_server.cli.apply import apply, export
from central_server.cli.bootstrap import bootstrap, management_gateway
from central_server.cli.folder import (
    DATA,
    FOLDERS,
    HOLDERS,
    NEW_DATA,
    PIN,
    SETTINGS,
    WHERE,
    open_node,
    opened_store,
    read_pin,
    read_settings,
    settings_file,
    token_pin,
    utc_now,
)
from central_server.cli.keys import key
from central_server.cli.members import member, request
from central_server.cli.proxy import proxy
from central_server.cli.status import health, look, status
from central_server.cli.storage import storage
from central_server.cli.trusted import trusted
from central_server.config import load
from central_server.datafolder import BACKUP_CONTENT, WITNESS, witness_name
from central_server.store.records import OPERATOR
from central_server.store.sources import SOURCES, source_anchor
from schemas.globalconf.anchor import file_name, parse_anchor
from schemas.transparency.notes import COSIGNATURE_ED25519
from serving.cli.backupcommands import backup_commands
from serving.cli.commands import Program, report_errors
from serving.cli.completion import completion_command
from serving.cli.safecommands import open_folder_safe
from serving.cli.signercommand import signer_command
from serving.cli.supportbundle import support_commands
from serving.cli.usercommands import audit_commands, user_commands
from serving.language import _
from serving.process.ending import Ending, start_anew
from serving.storage.datafolder import claim
from serving.web.witnessing import Witness

if TYPE_CHECKING:
    from serving.config.tokensettings import TokensSection
    from serving.storage.keysafe import KeySafe


@click.group(
    cls=Program,
    help="A Sacbé central server: the registry of an X-Road instance.",
)
@click.version_option(package_name="sacbe")
def main() -> None: ...


@main.command(help="Make a new central server in a folder, with a signing key for each source.")
@NEW_DATA
@PIN
@SETTINGS
@click.option(
    "--kind",
    type=click.Choice(["rsa-2048", "rsa-3072", "rsa-4096", "ec-p256", "ec-p384"]),
    default="rsa-2048",
    show_default=True,
)
@report_errors
def init(data: Path, pin_file: Path | None, settings: Path | None, kind: str) -> None:
    async def make() -> None:
        async with open_node(data, settings, kind=kind) as node:
            await node.keys.make_token(await token_pin(node, pin_file))
            for source in SOURCES:
                await node.keys.make_signing_key(source, f"{source} configuration", OPERATOR, utc_now())

    asyncio.run(make())
    click.echo(
        _(
            "central server made in {data}; apply a registry file next, or initialise it over the admin API",
            data=data,
        )
    )


@main.command(help="Write a configuration anchor and print the hash to compare.")
@DATA
@SETTINGS
@click.argument("source", type=click.Choice(SOURCES))
@click.option("--out", type=click.Path(path_type=Path))
@report_errors
def anchor(data: Path, settings: Path | None, source: str, out: Path | None) -> None:
    with opened_store(data, settings) as store:
        instance = store.read().parameter("instance") or ""
        found = source_anchor(store.read(), source)
    if found is None:
        raise ValueError(
            _("there is no anchor yet; initialise the central server and make its signing keys first")
        )
    target = out or Path(file_name(instance, source, datetime.fromisoformat(found[1])))
    target.write_bytes(found[0])
    click.echo(f"{target}\n{parse_anchor(found[0]).hash_text()}")


def _instance_of(data: Path) -> str:
    """The instance, for a backup's manifest; from the shared database where the folder's settings name one."""
    chosen = read_settings(data, None)
    if not chosen.node.database and not (data / "central.sqlite").exists():
        raise ValueError(
            _(
                "there is no central server in {data}; where nodes share a database, name it in {named} or in SACBE_CENTRAL_NODE_DATABASE",
                data=data,
                named=data / "settings.toml",
            )
        )
    with opened_store(data, None) as store:
        return store.read().instance


def _tokens(settings: Path | None) -> tuple[TokensSection, str]:
    found = load(settings, os.environ)
    return found.keys, found.log_level


def _safe(data: Path, settings: Path | None, pin_file: Path | None) -> KeySafe:
    chosen = read_settings(data, settings)
    return open_folder_safe(data, chosen.seal, lambda: read_pin(pin_file))


main.add_command(backup_commands(BACKUP_CONTENT, FOLDERS, _instance_of, _safe))
main.add_command(key)
main.add_command(apply)
main.add_command(export)
main.add_command(bootstrap)
main.add_command(status)
main.add_command(health)
main.add_command(support_commands(FOLDERS, read_settings, look))
main.add_command(management_gateway)
main.add_command(storage)
main.add_command(trusted)
main.add_command(proxy)
main.add_command(member)
main.add_command(request)
main.add_command(completion_command(main, "central-server"))
main.add_command(user_commands(central_roles(), WHERE))
main.add_command(audit_commands(WHERE))
main.add_command(signer_command(HOLDERS, _tokens))


@main.command(
    help="Run this node until told to stop. Without a PIN the token waits for a login over the admin API."
)
@NEW_DATA
@PIN
@SETTINGS
@click.option(
    "--host",
    help="overrides listen.host; a loopback address is also the admin API's",
)
@click.option("--admin-host", help="overrides admin.host")
@click.option("--port", type=int, help="overrides listen.http_port")
@click.option(
    "--https-port",
    type=int,
    help="overrides listen.https_port; 0 for none",
)
@click.option(
    "--check",
    is_flag=True,
    help="only try settings, databases and addresses",
)
@report_errors
def serve(
    data: Path,
    pin_file: Path | None,
    settings: Path | None,
    host: str | None,
    admin_host: str | None,
    port: int | None,
    https_port: int | None,
    check: bool,
) -> None:
    from central_server.cli.serving import check_start, chosen_settings, run_server

    settings = settings_file(data, settings)
    given: dict[str, object] = {"host": host, "http_port": port, "https_port": https_port}
    chosen = chosen_settings(data, settings, given, admin_host)
    ending = Ending()
    # Held before anything in the folder is opened: what a restore left to be done is done now.
    with claim(data.absolute()):
        for line in check_start(data, chosen, pin_file):
            if check:
                click.echo(line)
        if not check:
            run_server(data, pin_file, settings, chosen, ending)
    if ending.starts_anew:
        start_anew()


@main.command(help="The public key of this server as a witness of transparency logs.")
@DATA
@PIN
@SETTINGS
@report_errors
def witness(data: Path, pin_file: Path | None, settings: Path | None) -> None:
    loaded = read_settings(data, settings)
    safe = open_folder_safe(data, loaded.seal, lambda: read_pin(pin_file))
    with opened_store(data, settings) as store:
        name = witness_name(store.read().instance)
    found = Witness(data / WITNESS, lambda: name, (), safe, utc_now)
    click.echo(found.signer().verifier(COSIGNATURE_ED25519).render())
