"""The command ``central-server``: make one, apply a registry file, hand out anchors, rotate keys, audit, serve."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click
import msgspec

from central_server.admin.roles import central_roles
from central_server.config import load
from central_server.datafolder import BACKUP_CONTENT
from central_server.node import CentralNode, open_store, remake_anchors
from central_server.refusals import Refused
from central_server.registry import parse_registry
from central_server.store.loading import canonical, import_registry, load_registry
from central_server.store.records import OPERATOR, CentralStore
from central_server.store.sources import (
    SOURCES,
    activate_signing_key,
    delete_trusted_anchor,
    keep_trusted_anchor,
    list_trusted_anchors,
    node_address,
    signing_keys,
    source_anchor,
)
from certs.certificates import to_der
from schemas.globalconf.anchor import file_name, parse_anchor
from serving.audit import AuditLog
from serving.backupcommands import backup_commands
from serving.commands import said
from serving.datafolder import claim
from serving.logins import Logins

if TYPE_CHECKING:
    from central_server.config import Settings

DATA = click.option(
    "--data", type=click.Path(path_type=Path), default=Path("central-data"), show_default=True
)
SETTINGS = click.option(
    "--settings", type=click.Path(path_type=Path, exists=True), help="settings file (TOML)"
)
PIN = click.option("--pin-file", type=click.Path(path_type=Path), help="file with the token's PIN")


@click.group()
@click.version_option(package_name="sacbe")
def main() -> None:
    """A Sacbé central server: the registry of an X-Road instance."""


def utc_now() -> datetime:
    """This machine's clock."""
    return datetime.now(UTC)


def _pin(pin_file: Path | None) -> str:
    if pin_file is not None:
        return pin_file.read_text(encoding="utf-8").strip()
    return os.environ.get("SACBE_PIN") or str(click.prompt("PIN", hide_input=True))


def _settings(path: Path | None) -> Settings:
    return load(path, os.environ)


def _node(data: Path, settings: Path | None = None, pin_file: Path | None = None) -> CentralNode:
    chosen = _settings(settings)
    node = CentralNode(data, open_store(data, chosen), chosen.publishing)
    if pin_file is not None or os.environ.get("SACBE_PIN"):
        node.log_in(_pin(pin_file), OPERATOR, utc_now())
    return node


@main.command()
@DATA
@PIN
@SETTINGS
@click.option(
    "--kind",
    type=click.Choice(["rsa-2048", "rsa-3072", "rsa-4096", "ec-p256", "ec-p384"]),
    default="rsa-2048",
)
@said
def init(data: Path, pin_file: Path | None, settings: Path | None, kind: str) -> None:
    """Make a new central server in a folder, with a signing key for each source."""
    chosen = _settings(settings)
    publishing = msgspec.structs.replace(chosen.publishing, key_kind=kind)
    node = CentralNode(data, open_store(data, chosen), publishing)
    node.create_token(_pin(pin_file))
    for source in SOURCES:
        node.make_signing_key(source, f"{source} configuration", OPERATOR, utc_now())
    node.close()
    click.echo(
        f"central server made in {data}; apply a registry file next, or initialise it over the admin API"
    )


@main.command()
@DATA
@PIN
@SETTINGS
@click.option("--dry-run", is_flag=True, help="only check the file and say whether it differs")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@said
def apply(data: Path, pin_file: Path | None, settings: Path | None, dry_run: bool, file: Path) -> None:
    """Make the registry what FILE says; a running server publishes it at once."""
    del pin_file
    wanted = parse_registry(
        file.read_text(encoding="utf-8"), lambda name: to_der((file.parent / name).read_bytes())
    )
    store = open_store(data, _settings(settings))
    try:
        unchanged = canonical(load_registry(store.read())) == canonical(wanted)
    except Refused:
        unchanged = False
    if unchanged:
        click.echo("nothing to change")
        return
    if not dry_run:
        with store.change(OPERATOR, utc_now()) as records:
            moved = node_address(records) not in (None, wanted.address)
            import_registry(records, wanted)
            remake_anchors(records, missing=True)
            if moved:
                remake_anchors(records)
    store.close()
    click.echo(
        f"{len(wanted.members)} members, {len(wanted.servers)} security servers, {len(wanted.cas)} CAs, "
        f"{len(wanted.tsas)} TSAs: {'not applied (dry run)' if dry_run else 'applied'}"
    )


@main.command()
@DATA
@SETTINGS
@click.argument("source", type=click.Choice(SOURCES))
@click.option("--out", type=click.Path(path_type=Path))
@said
def anchor(data: Path, settings: Path | None, source: str, out: Path | None) -> None:
    """Write a configuration anchor and print the hash to compare."""
    records = open_store(data, _settings(settings)).read()
    found = source_anchor(records, source)
    if found is None:
        raise ValueError(
            "there is no anchor yet; initialise the central server and make its signing keys first"
        )
    target = out or Path(file_name(records.instance, source, datetime.fromisoformat(found[1])))
    target.write_bytes(found[0])
    click.echo(f"{target}\n{parse_anchor(found[0]).hash_text()}")


@main.group()
def key() -> None:
    """The keys that sign the configuration."""


@key.command("list")
@DATA
@SETTINGS
@said
def list_keys(data: Path, settings: Path | None) -> None:
    """Every signing key with its source."""
    records = open_store(data, _settings(settings)).read()
    for source in SOURCES:
        for found in signing_keys(records, source):
            click.echo(f"{found.key_id}  {source}  {'active' if found.active else 'standby'}")


@key.command()
@DATA
@PIN
@SETTINGS
@click.argument("source", type=click.Choice(SOURCES))
@click.option("--kind", default="rsa-2048", show_default=True)
@said
def add(data: Path, pin_file: Path | None, settings: Path | None, source: str, kind: str) -> None:
    """Make another key; gateways learn its certificate from the configuration before it signs."""
    chosen = _settings(settings)
    publishing = msgspec.structs.replace(chosen.publishing, key_kind=kind)
    node = CentralNode(data, open_store(data, chosen), publishing)
    node.log_in(_pin(pin_file), OPERATOR, utc_now())
    made = node.make_signing_key(source, f"{source} configuration", OPERATOR, utc_now())
    node.close()
    click.echo(made.key_id)


@key.command()
@DATA
@SETTINGS
@click.argument("key_id")
@said
def activate(data: Path, settings: Path | None, key_id: str) -> None:
    """Sign with this key from now on."""
    with open_store(data, _settings(settings)).change(OPERATOR, utc_now()) as records:
        activate_signing_key(records, key_id)


@key.command()
@DATA
@PIN
@SETTINGS
@click.argument("key_id")
@said
def delete(data: Path, pin_file: Path | None, settings: Path | None, key_id: str) -> None:
    """Forget a key that no longer signs."""
    node = _node(data, settings)
    node.log_in(_pin(pin_file), OPERATOR, utc_now())
    node.delete_signing_key(key_id, OPERATOR, utc_now())
    node.close()


@main.group()
def audit() -> None:
    """The log of every change to the registry, each record chained to the one before."""


@audit.command()
@DATA
@SETTINGS
@click.option("--head", help="a digest noted earlier, which must still be on the chain")
@said
def verify(data: Path, settings: Path | None, head: str | None) -> None:
    """Prove that nothing in the log was changed, moved or cut out."""
    count, last = AuditLog(open_store(data, _settings(settings)).database).verify(head)
    click.echo(f"{count} records, whole; last digest {last}")


@audit.command()
@DATA
@SETTINGS
@click.argument("out", type=click.File("wb"))
@said
def export(data: Path, settings: Path | None, out: BinaryIO) -> None:
    """Write every record as a line of JSON with its digest."""
    for line in AuditLog(open_store(data, _settings(settings)).database).export():
        out.write(line)


def _instance_of(data: Path) -> str:
    return CentralStore(data / "central.sqlite").read().instance


main.add_command(backup_commands(BACKUP_CONTENT, "central-data", _instance_of))


@main.group()
def trusted() -> None:
    """Other instances whose members may exchange messages with ours (federation)."""


@trusted.command("add")
@DATA
@SETTINGS
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@said
def add_trusted(data: Path, settings: Path | None, file: Path) -> None:
    """Trust the instance of an external anchor, once its configuration is proved."""
    from central_server.edges.federation import check_external_source

    anchor = parse_anchor(file.read_bytes())
    asyncio.run(check_external_source(anchor, utc_now()))
    store = open_store(data, _settings(settings))
    with store.change(OPERATOR, utc_now()) as records:
        keep_trusted_anchor(records, anchor)
    store.close()
    click.echo(f"{anchor.instance} is trusted by {anchor.hash_text()}")


@trusted.command("list")
@DATA
@SETTINGS
@said
def list_trusted(data: Path, settings: Path | None) -> None:
    """Every trusted instance with its anchor's hash."""
    for found in list_trusted_anchors(open_store(data, _settings(settings)).read()):
        click.echo(f"{found.instance}  {found.hash_text()}")


@trusted.command("remove")
@DATA
@SETTINGS
@click.argument("digest")
@said
def remove_trusted(data: Path, settings: Path | None, digest: str) -> None:
    """Stop trusting the instance whose anchor has this hash."""
    with open_store(data, _settings(settings)).change(OPERATOR, utc_now()) as records:
        delete_trusted_anchor(records, digest)


@main.group()
def user() -> None:
    """People who may use the admin API, with their roles."""


@user.command("add")
@DATA
@click.option("--role", "roles", multiple=True, required=True, help="a role's name; repeat for several")
@click.option("--password-file", type=click.Path(path_type=Path, exists=True))
@click.argument("name")
@said
def add_user(data: Path, roles: tuple[str, ...], password_file: Path | None, name: str) -> None:
    """Make a user, or give one other roles and another password."""
    known = central_roles().of_people()
    wrong = sorted(set(roles) - known)
    if wrong:
        raise ValueError(f"unknown roles: {', '.join(wrong)}; there are {', '.join(sorted(known))}")
    password = (
        click.prompt("Password", hide_input=True, confirmation_prompt=True)
        if password_file is None
        else password_file.read_text(encoding="utf-8").strip()
    )
    logins = Logins(data / "admin.sqlite")
    logins.save_user(name, password, roles)
    logins.close()


@user.command("list")
@DATA
@said
def list_users(data: Path) -> None:
    """Every user with the roles."""
    for found in Logins(data / "admin.sqlite").users():
        click.echo(f"{found.name}  {', '.join(sorted(found.roles))}")


@user.command("remove")
@DATA
@click.argument("name")
@said
def remove_user(data: Path, name: str) -> None:
    """Forget a user; his sessions end."""
    Logins(data / "admin.sqlite").remove_user(name)


@main.command()
@DATA
@PIN
@SETTINGS
@click.option("--host", help="overrides listen.host")
@click.option("--port", type=int, help="overrides listen.http_port")
@click.option("--https-port", type=int, help="overrides listen.https_port; 0 for none")
@said
def serve(
    data: Path,
    pin_file: Path | None,
    settings: Path | None,
    host: str | None,
    port: int | None,
    https_port: int | None,
) -> None:
    """Run this node until told to stop. Without a PIN the token waits for a login over the admin API."""
    import uvloop

    from central_server.app import CentralServer
    from serving import telemetry

    chosen = _settings(settings)
    given = {"host": host, "http_port": port, "https_port": https_port}
    listen = msgspec.structs.replace(chosen.listen, **{k: v for k, v in given.items() if v is not None})
    chosen = msgspec.structs.replace(chosen, listen=listen)
    telemetry.configure(chosen.log_level)

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
        await server.start()
        await stop.wait()
        await server.stop()

    with claim(data):
        server = CentralServer(data, chosen)
        if pin_file is not None or os.environ.get("SACBE_PIN"):
            server.node.log_in(_pin(pin_file), OPERATOR, utc_now())
        uvloop.run(run())
