"""The command ``gateway``: make one, give it keys and certificates, say what it serves, run it, verify evidence."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from gateway.container_cli import container
from schemas.faults import Fault
from schemas.identifiers import ClientId, ServerId

if TYPE_CHECKING:
    from collections.abc import Callable

    from certs.softtoken import SoftToken
    from gateway.serverconf.store import ServerConfStore

P = ParamSpec("P")
R = TypeVar("R")

DATA = click.option(
    "--data", type=click.Path(path_type=Path), default=Path("gateway-data"), show_default=True
)
PIN = click.option("--pin-file", type=click.Path(path_type=Path), help="file with the token's PIN")


@click.group()
@click.version_option(package_name="sacbe")
def main() -> None:
    """A Sacbé gateway: an X-Road security server."""


main.add_command(container)


def _said(command: Callable[P, R]) -> Callable[P, R]:
    """Say what went wrong in a line, and exit 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except Fault as fault:
            raise click.ClickException(f"{fault.detail} [{fault.code}]") from fault
        except (ValueError, OSError, LookupError) as err:
            raise click.ClickException(str(err)) from err

    return run


def read_pin(pin_file: Path | None) -> str:
    """The PIN: from a file, the environment variable SACBE_PIN, or a prompt."""
    if pin_file is not None:
        return pin_file.read_text(encoding="utf-8").strip()
    if "SACBE_PIN" in os.environ:
        return os.environ["SACBE_PIN"]
    return str(click.prompt("PIN", hide_input=True))


def _store(data: Path) -> ServerConfStore:
    from gateway.serverconf.store import ServerConfStore

    return ServerConfStore(data / "serverconf.sqlite")


def _token(data: Path, pin_file: Path | None) -> SoftToken:
    from certs.edges.tokenfiles import TokenFolder
    from certs.softtoken import SoftToken

    token = SoftToken(TokenFolder(data / "token"))
    token.unlock(read_pin(pin_file))
    return token


@main.command()
@DATA
@PIN
@click.option(
    "--server", required=True, help="instance/class/code/server, the identifier of this security server"
)
@click.option(
    "--anchor", required=True, type=click.Path(path_type=Path, exists=True), help="configuration anchor"
)
@_said
def init(data: Path, pin_file: Path | None, server: str, anchor: Path) -> None:
    """Make a new gateway in a folder."""
    from certs.edges.tokenfiles import TokenFolder
    from certs.softtoken import SoftToken
    from schemas.globalconf.anchor import parse_anchor

    raw = anchor.read_bytes()
    parsed = parse_anchor(raw)
    server_id = ServerId(*server.split("/"))
    if parsed.instance != server_id.instance:
        raise ValueError(f"the anchor is of instance {parsed.instance}, the server of {server_id.instance}")
    store = _store(data)
    if store.is_initialised():
        raise ValueError(f"{data} holds a gateway already ({store.server_id().path()})")
    SoftToken.create(TokenFolder(data / "token"), read_pin(pin_file)).close()
    store.initialise(server_id, raw)
    click.echo(f"{server_id.path()} made in {data}. Compare the anchor's hash with the central operator:")
    click.echo(parsed.hash_text())


@main.group()
def key() -> None:
    """Keys of the software token."""


@key.command()
@DATA
@PIN
@click.option("--usage", type=click.Choice(["sign", "auth"]), required=True)
@click.option(
    "--kind",
    type=click.Choice(["rsa-2048", "rsa-3072", "rsa-4096", "ec-p256", "ec-p384"]),
    default="rsa-2048",
)
@click.option("--label", default="")
@_said
def generate(data: Path, pin_file: Path | None, usage: str, kind: str, label: str) -> None:
    """Make a key; prints its id."""
    token = _token(data, pin_file)
    click.echo(token.generate_key(kind, label or usage, usage))
    token.close()


@key.command("list")
@DATA
@_said
def list_keys(data: Path) -> None:
    """Every key: id, kind, usage, label."""
    from certs.edges.tokenfiles import TokenFolder
    from certs.softtoken import SoftToken

    for info in SoftToken(TokenFolder(data / "token")).key_infos():
        click.echo(f"{info.id}  {info.kind:<9} {info.usage:<5} {info.label}")


@main.command()
@DATA
@PIN
@click.option("--key", "key_id", required=True)
@click.option("--member", required=True, help="instance/class/code of the member")
@click.option("--name", required=True, help="name of the member")
@click.option("--address", default="localhost", help="address of this server")
@click.option("--profile", default="Basic", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@_said
def csr(
    data: Path,
    pin_file: Path | None,
    key_id: str,
    member: str,
    name: str,
    address: str,
    profile: str,
    out: Path,
) -> None:
    """Write a signing request (PEM) for a key."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    from certs import csr as requests
    from certs.profiles import profile_named
    from certs.tokens import KeyId

    token = _token(data, pin_file)
    usage = next(k.usage for k in token.key_infos() if k.id == key_id)
    requester = requests.Requester(ClientId(*member.split("/")), _store(data).server_id(), name, address)
    der = token.sign_csr(KeyId(key_id), requests.build_request(profile_named(profile), requester, usage))
    out.write_bytes(x509.load_der_x509_csr(der).public_bytes(Encoding.PEM))
    token.close()
    click.echo(f"request written to {out}")


@main.group()
def certificate() -> None:
    """Certificates of this gateway's keys."""


@certificate.command("import")
@DATA
@PIN
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@_said
def import_certificate(data: Path, pin_file: Path | None, file: Path) -> None:
    """Take a certificate for one of the token's keys into use."""
    from certs import chains
    from certs.certificates import der_of, parse_certificate
    from gateway.serverconf.store import CertificateUsage, OwnCertificate

    parsed = parse_certificate(file.read_bytes())
    token = _token(data, pin_file)
    key_id = token.find_key(parsed.public_key())
    if key_id is None:
        raise ValueError("the certificate belongs to none of this token's keys")
    signing, auth = chains.is_signing_certificate(parsed), chains.is_authentication_certificate(parsed)
    if signing == auth:
        raise ValueError(
            "the certificate must be for signing or for authentication, not both and not neither"
        )
    usage = CertificateUsage.SIGNING if signing else CertificateUsage.AUTHENTICATION
    _store(data).import_certificate(OwnCertificate(der_of(parsed), key_id, usage, active=True))
    token.close()
    click.echo(f"{usage} certificate imported: {parsed.subject.rfc4514_string()}")


@main.command()
@DATA
@click.option("--dry-run", is_flag=True, help="only say what would change")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@_said
def apply(data: Path, dry_run: bool, file: Path) -> None:
    """Make clients, services and access rights what FILE says; a running gateway takes them at once."""
    from gateway.apply import apply_file

    changes = apply_file(_store(data), file, datetime.now(UTC), dry_run=dry_run)
    for line in changes:
        click.echo(line)
    click.echo("nothing to change" if not changes else "not applied (dry run)" if dry_run else "applied")


@main.command()
@DATA
@PIN
@click.option("--settings", "settings_file", type=click.Path(path_type=Path, exists=True))
@_said
def serve(data: Path, pin_file: Path | None, settings_file: Path | None) -> None:
    """Run the gateway until it is told to stop."""
    import uvloop

    from gateway import config
    from gateway.app import DataFolder, Gateway
    from serving import telemetry

    settings = config.load(settings_file, os.environ)
    telemetry.configure(settings.log_level)
    gateway = Gateway(DataFolder(data), settings, read_pin(pin_file))

    async def run() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
        await gateway.start()
        await stop.wait()
        await gateway.stop()

    uvloop.run(run())


@main.command()
@click.option("--url", default="http://127.0.0.1:5588/", show_default=True)
def health(url: str) -> None:
    """Ask a running gateway whether it can exchange messages; exit 1 when it cannot."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310  the operator's own URL
            body = answer.read()
    except urllib.error.HTTPError as err:
        body = err.read()
    except OSError as err:
        click.echo(f"no gateway answers at {url}: {err}", err=True)
        sys.exit(1)
    state = {"status": "down", "problems": ["the answer cannot be read"]}
    with contextlib.suppress(ValueError):
        state = json.loads(body)
    click.echo(state["status"])
    for problem in state["problems"]:
        click.echo(f"- {problem}")
    sys.exit(0 if state["status"] == "up" else 1)
