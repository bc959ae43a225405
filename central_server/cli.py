"""The command ``central-server``: make one, apply the registry file, hand out anchors, rotate keys, serve."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
from cryptography import x509

from central_server.generate import build_anchor
from central_server.registry import parse_registry
from central_server.store import SOURCES, CentralStore, SigningKey
from certs.certificates import to_der
from certs.edges.tokenfiles import TokenFolder
from certs.softtoken import SoftToken
from certs.tls import TlsCredentials
from certs.tokens import KeyId
from schemas.globalconf.anchor import Anchor, file_name, parse_anchor, render_anchor
from serving.commands import said

if TYPE_CHECKING:
    pass

DATA = click.option(
    "--data", type=click.Path(path_type=Path), default=Path("central-data"), show_default=True
)
PIN = click.option("--pin-file", type=click.Path(path_type=Path), help="file with the token's PIN")


@click.group()
@click.version_option(package_name="sacbe")
def main() -> None:
    """A Sacbé central server: the registry of an X-Road instance."""


def _pin(pin_file: Path | None) -> str:
    if pin_file is not None:
        return pin_file.read_text(encoding="utf-8").strip()
    return os.environ.get("SACBE_PIN") or str(click.prompt("PIN", hide_input=True))


def _store(data: Path) -> CentralStore:
    return CentralStore(data / "central.sqlite")


def _token(data: Path, pin_file: Path | None) -> SoftToken:
    token = SoftToken(TokenFolder(data / "token"))
    token.unlock(_pin(pin_file))
    return token


def _new_key(token: SoftToken, source: str, kind: str, *, active: bool) -> SigningKey:
    key_id = token.generate_key(kind, f"{source} configuration", "sign")
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{source} configuration signing key")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime(1970, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2038, 1, 1, tzinfo=UTC))
    )
    return SigningKey(key_id, source, token.self_sign(key_id, builder), active)


@main.command()
@DATA
@PIN
@click.option(
    "--kind",
    type=click.Choice(["rsa-2048", "rsa-3072", "rsa-4096", "ec-p256", "ec-p384"]),
    default="rsa-2048",
)
@said
def init(data: Path, pin_file: Path | None, kind: str) -> None:
    """Make a new central server in a folder, with a signing key for each source."""
    token = SoftToken.create(TokenFolder(data / "token"), _pin(pin_file))
    store = _store(data)
    for source in SOURCES:
        store.add_signing_key(_new_key(token, source, kind, active=True))
    token.close()
    click.echo(f"central server made in {data}; apply a registry file next")


@main.command()
@DATA
@click.option("--dry-run", is_flag=True, help="only check the file and say whether it differs")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@said
def apply(data: Path, dry_run: bool, file: Path) -> None:
    """Make the registry what FILE says; a running server publishes it at once."""
    certificates: dict[str, bytes] = {}

    def read(name: str) -> bytes:
        certificates[name] = to_der((file.parent / name).read_bytes())
        return certificates[name]

    text = file.read_text(encoding="utf-8")
    wanted = parse_registry(text, read)
    store = _store(data)
    if store.registry() == wanted:
        click.echo("nothing to change")
        return
    if not dry_run:
        store.keep_registry(text, certificates)
    click.echo(
        f"{len(wanted.members)} members, {len(wanted.servers)} security servers, {len(wanted.cas)} CAs, "
        f"{len(wanted.tsas)} TSAs: {'not applied (dry run)' if dry_run else 'applied'}"
    )


@main.command()
@DATA
@click.argument("source", type=click.Choice(SOURCES))
@click.option("--port", type=int, default=80, show_default=True, help="the HTTP port of this server")
@click.option("--out", type=click.Path(path_type=Path))
@said
def anchor(data: Path, source: str, port: int, out: Path | None) -> None:
    """Write a configuration anchor and print the hash to compare."""
    store = _store(data)
    registry = store.registry()
    if registry is None:
        raise ValueError("there is no registry yet; apply a file first")
    now = datetime.now(UTC)
    built: Anchor = build_anchor(
        registry, source, [k.certificate for k in store.signing_keys(source)], now, port
    )
    raw = render_anchor(built)
    target = out or Path(file_name(registry.instance, source, now))
    target.write_bytes(raw)
    click.echo(f"{target}\n{parse_anchor(raw).hash_text()}")


@main.group()
def key() -> None:
    """The keys that sign the configuration."""


@key.command("list")
@DATA
@said
def list_keys(data: Path) -> None:
    """Every signing key with its source."""
    for source in SOURCES:
        for found in _store(data).signing_keys(source):
            click.echo(f"{found.key_id}  {source}  {'active' if found.active else 'standby'}")


@key.command()
@DATA
@PIN
@click.argument("source", type=click.Choice(SOURCES))
@click.option("--kind", default="rsa-2048", show_default=True)
@said
def add(data: Path, pin_file: Path | None, source: str, kind: str) -> None:
    """Make another key; gateways learn its certificate from the configuration before it signs."""
    token = _token(data, pin_file)
    made = _new_key(token, source, kind, active=False)
    _store(data).add_signing_key(made)
    token.close()
    click.echo(made.key_id)


@key.command()
@DATA
@click.argument("key_id")
@said
def activate(data: Path, key_id: str) -> None:
    """Sign with this key from now on; restart a running server first if the key is new."""
    _store(data).activate_signing_key(KeyId(key_id))


@key.command()
@DATA
@click.argument("key_id")
@said
def delete(data: Path, key_id: str) -> None:
    """Forget a key that no longer signs."""
    _store(data).delete_signing_key(KeyId(key_id))


@main.command()
@DATA
@PIN
@click.option("--host", default="0.0.0.0", show_default=True)  # noqa: S104  gateways must reach it
@click.option("--port", default=80, show_default=True)
@click.option("--https-port", default=443, show_default=True, help="0 for none")
@said
def serve(data: Path, pin_file: Path | None, host: str, port: int, https_port: int) -> None:
    """Publish the configuration until told to stop."""
    import uvloop

    from central_server.app import CentralServer
    from serving import telemetry
    from serving.selfsigned import self_signed

    telemetry.configure("info")
    store, token = _store(data), _token(data, pin_file)
    registry = store.registry()
    address = host if registry is None else registry.address
    server = CentralServer(store, token, TlsCredentials(*self_signed(address)))

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
        runner = await server.start(host, port, https_port)
        task = asyncio.create_task(server.run())
        await stop.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await runner.cleanup()

    uvloop.run(run())
