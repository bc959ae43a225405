"""Commands for connections of information systems: the internal TLS certificate, clients, and their certificates."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from certs.certificates import name_text
from gateway.cli.keys import DATA, PIN, SETTINGS, open_safe, open_store
from gateway.cli.localaudit import audited
from gateway.clients.model import ConnectionType
from gateway.edges.internaltls import export_certificate, kept_chain, replace_kept_chain
from gateway.settings.datafolder import DataFolder
from schemas.identifiers import ClientId
from serving.cli.commands import report_errors
from serving.cli.printing import print_values
from serving.cli.usercommands import JSON
from serving.language import _
from serving.storage.keysafe import KeySafe

if TYPE_CHECKING:
    from cryptography import x509

    from gateway.edges.internaltls import InternalTls

OUT = click.option("--out", type=click.Path(path_type=Path), required=True)


@click.group()
def tls() -> None:
    """The internal TLS certificate, which this gateway shows to information systems."""


@tls.command()
@DATA
@PIN
@SETTINGS
@click.option(
    "--address", help="names and IPs systems connect to, comma-separated; else those of the settings"
)
@report_errors
def make(data: Path, pin_file: Path | None, settings_file: Path | None, address: str | None) -> None:
    """A new key with a self-signed certificate; systems must be given the new certificate."""
    from gateway.settings import config, livesettings

    settings = config.load(livesettings.settings_file(data, settings_file), os.environ)
    chosen = address or settings.systems.tls_address
    credentials = _internal(data, settings_file, pin_file).make(chosen, datetime.now(UTC))
    _move_revision_on(data)
    _print_result(credentials.chain[0])


@tls.command()
@DATA
@JSON
@report_errors
def show(data: Path, as_json: bool) -> None:
    """Print the internal TLS certificate in use."""
    print_values(_shown(kept_chain(DataFolder(data).tls)[0]), as_json=as_json)


@tls.command()
@DATA
@PIN
@SETTINGS
@OUT
@click.option("--name", required=True, help="distinguished name, such as CN=gw.institute.mx,O=Institute")
@report_errors
def request(data: Path, pin_file: Path | None, settings_file: Path | None, name: str, out: Path) -> None:
    """Write a signing request (DER) for the internal TLS key."""
    out.write_bytes(_internal(data, settings_file, pin_file).request(name))
    click.echo(_("request written to {out}", out=out))


@tls.command("import")
@DATA
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@report_errors
def import_certificate(data: Path, file: Path) -> None:
    """Show the certificate in FILE from now on."""
    certificate = replace_kept_chain(DataFolder(data).tls, file.read_bytes())
    _move_revision_on(data)
    _print_result(certificate)


@tls.command()
@DATA
@OUT
@report_errors
def export(data: Path, out: Path) -> None:
    """Write the certificate for the systems' trust stores: OUT ending in .pem alone, else as .tar.gz of PEM and DER."""
    certificate = kept_chain(DataFolder(data).tls)[0]
    if out.suffix == ".pem":
        from cryptography.hazmat.primitives.serialization import Encoding

        out.write_bytes(certificate.public_bytes(Encoding.PEM))
    else:
        out.write_bytes(export_certificate(certificate, datetime.now(UTC)))
    click.echo(_("certificate written to {out}", out=out))


@click.group()
def client() -> None:
    """Clients, and the connections of their information systems."""


@client.command("list")
@DATA
@JSON
@report_errors
def list_clients(data: Path, as_json: bool) -> None:
    """Every client with its connection type and the certificates its systems may show."""
    from certs.certificates import parse_certificate

    view = open_store(data).view
    print_values(
        [
            {
                "id": record.id.path(),
                "connection": record.connection.value,
                "certificates": [
                    _shown(parse_certificate(c.der)) for c in view.clients.certificates(record.id)
                ],
            }
            for record in view.clients.all()
        ],
        as_json=as_json,
    )


@client.command()
@DATA
@click.argument("client_id")
@click.argument("connection", type=click.Choice([c.value for c in ConnectionType]))
@report_errors
@audited("SET_CONNECTION_TYPE")
def connect(data: Path, client_id: str, connection: str) -> None:
    """Let CLIENT_ID's systems connect by HTTP, HTTPS_NO_AUTH or HTTPS (with a certificate)."""
    with open_store(data).change() as tables:
        tables.clients.set_connection(_client(client_id), ConnectionType(connection))
    click.echo(f"{client_id}: {connection}")


@client.command()
@DATA
@click.argument("client_id")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@report_errors
@audited("ADD_INTERNAL_CERT")
def trust(data: Path, client_id: str, file: Path) -> None:
    """Let CLIENT_ID's systems show the certificate in FILE, as consumers and as providers."""
    from certs.certificatefiles import read_certificate_der

    with open_store(data).change() as tables:
        tables.clients.add_certificate(
            _client(client_id), read_certificate_der(file.read_bytes()), datetime.now(UTC)
        )
    click.echo(_("{client_id}: {file} trusted", client_id=client_id, file=file))


@client.command()
@DATA
@click.argument("client_id")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
@report_errors
@audited("DELETE_INTERNAL_CERT")
def distrust(data: Path, client_id: str, file: Path) -> None:
    """Take the certificate in FILE back."""
    from certs.certificatefiles import read_certificate_der

    with open_store(data).change() as tables:
        tables.clients.remove_certificate(_client(client_id), read_certificate_der(file.read_bytes()))
    click.echo(_("{client_id}: {file} no longer trusted", client_id=client_id, file=file))


def _internal(data: Path, settings_file: Path | None, pin_file: Path | None) -> InternalTls:
    from gateway.edges.internaltls import open_internal_tls
    from gateway.settings import config

    settings = config.load(settings_file, os.environ)
    own = settings.systems.tls_passphrase.is_set
    safe = KeySafe() if own else open_safe(data, settings_file, pin_file)
    return open_internal_tls(settings.systems, DataFolder(data).tls, safe, os.environ)


def _move_revision_on(data: Path) -> None:
    """A running gateway looks at its TLS files when its configuration has moved on."""
    with open_store(data).change():
        pass


def _client(text: str) -> ClientId:
    parts = text.split("/")
    if len(parts) not in (3, 4):
        raise ValueError(_("{text!r} is not instance/class/code or instance/class/code/subsystem", text=text))
    return ClientId(*parts)


def _print_result(certificate: x509.Certificate) -> None:
    print_values(_shown(certificate), as_json=False)


def _shown(certificate: x509.Certificate) -> dict[str, str]:
    from cryptography.hazmat.primitives import hashes

    return {
        "subject": name_text(certificate.subject),
        "until": certificate.not_valid_after_utc.date().isoformat(),
        "sha256": certificate.fingerprint(hashes.SHA256()).hex().upper(),
    }
