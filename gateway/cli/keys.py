"""Commands for tokens, keys, signing requests and certificates; a running gateway takes changes at once."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from certs.certificates import name_text
from gateway.cli.localaudit import audited
from gateway.refusals import GatewayCode
from schemas.faults import Fault
from schemas.identifiers import ClientId
from schemas.jsontext import dump_json
from serving.cli.commands import ask_secret, report_errors
from serving.cli.printing import print_values
from serving.cli.serverfolder import ServerFolders
from serving.cli.usercommands import JSON
from serving.config.secret import read_secret_file
from serving.errors import OperatorError, Refused
from serving.language import N_, _

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from certs.configuration import TrustedConfiguration
    from certs.edges.devices import Device
    from gateway.clients.store import ServerConfStore
    from gateway.keys.model import KeyCertificate
    from gateway.keys.operations import KeyOperations
    from gateway.keys.tokens import Tokens
    from gateway.settings.config import GatewaySettings
    from serving.storage.keysafe import KeySafe

FOLDERS = ServerFolders(
    "gateway-data",
    ("serverconf.sqlite", "settings.toml", "token", "log", "logkeys"),
    "SACBE_GATEWAY_NODE_DATABASE",
    "gateway init",
)
DATA = FOLDERS.option()
# For commands that make the folder, or look at a machine that has none yet.
NEW_DATA = FOLDERS.new_option()
SETTINGS = click.option("--settings", "settings_file", type=click.Path(path_type=Path, exists=True))
PIN = click.option("--pin-file", type=click.Path(path_type=Path), help="file with the token's PIN")


def read_pin(pin_file: Path | None, prompt: str = "PIN") -> str:
    """The PIN: from a file, the environment variable SACBE_PIN, or a prompt."""
    if pin_file is not None:
        return read_secret_file(pin_file)
    if "SACBE_PIN" in os.environ:
        return os.environ["SACBE_PIN"]
    return ask_secret(prompt, "--pin-file")


def open_store(data: Path) -> ServerConfStore:
    """The server configuration of a data folder."""
    from gateway.clients.store import ServerConfStore
    from gateway.settings.datafolder import find_folder

    return ServerConfStore(find_folder(data, os.environ).serverconf)


def open_safe(data: Path, settings_file: Path | None, pin_file: Path | None) -> KeySafe:
    """The safe of a data folder's own keys: opened by the secret in the settings, else by the software token, for which the PIN is asked."""
    from certs.tokens.port import SOFTWARE_TOKEN_ID
    from gateway.settings import config
    from serving.cli.safecommands import open_folder_safe

    settings = config.load(settings_file, os.environ)
    source = settings.keys.token(SOFTWARE_TOKEN_ID).pin

    def pin() -> str:
        return source.read(os.environ) if pin_file is None and source.is_set else read_pin(pin_file)

    return open_folder_safe(data, settings.seal, pin)


def stored_configuration(data: Path) -> TrustedConfiguration | None:
    """The stored global configuration; None before the first one came."""
    from certs.edges.configurationfiles import load_configuration_folder
    from certs.edges.profilefiles import load_profiles

    with contextlib.suppress(Fault, ValueError, OSError):
        return load_configuration_folder(data / "globalconf", strict=False, profiles=load_profiles(data))
    return None


@contextlib.asynccontextmanager
async def opened(
    data: Path, pin: Callable[[], str] | None = None, *, devices: Sequence[Device] | None = None
) -> AsyncIterator[tuple[KeyOperations, Tokens]]:
    """The operations over a data folder, with the software token logged in when a PIN is given.

    ``devices`` are the tokens, where the software token is not the only one.
    """
    from certs.edges.devices import SoftwareDevice
    from certs.edges.tokenfiles import TokenFolder
    from certs.tokens.port import SOFTWARE_TOKEN_ID
    from certs.tokens.soft import SoftToken
    from gateway.keys.context import KeyContext
    from gateway.keys.operations import KeyOperations
    from gateway.keys.store import KeyConfStore
    from gateway.keys.tokens import Tokens

    store = open_store(data)
    configuration = stored_configuration(data)
    try:
        keyconf = KeyConfStore(store.database)
        software = SoftwareDevice(SOFTWARE_TOKEN_ID, SoftToken(TokenFolder(data / "token")))
        tokens = Tokens(keyconf, [software] if devices is None else devices)
        context = KeyContext(
            now=lambda: datetime.now(UTC).replace(microsecond=0),
            new_id=lambda: secrets.token_hex(20),
            server_id=store.server_id,
            configuration=lambda: configuration,
            is_local_member=lambda _member: True,
            has_pin_policy=lambda: _settings(data, store).keys.enforce_pin_policy,
        )
        if pin is not None:
            await tokens.login(SOFTWARE_TOKEN_ID, pin())
        yield KeyOperations(keyconf, tokens, context), tokens
        await tokens.close()
    finally:
        store.close()


def _settings(data: Path, store: ServerConfStore) -> GatewaySettings:
    from gateway.settings.livesettings import LiveSettings, settings_file

    return LiveSettings(store.database, settings_file(data, None), os.environ).load()


@click.group()
def token() -> None:
    """Tokens that hold keys: list them, log in and out, change PINs."""


@token.command("list")
@DATA
@JSON
@report_errors
def list_tokens(data: Path, as_json: bool) -> None:
    """Every token: id, type, PIN status, whether the running gateway is logged in to it, keys, name."""
    print_values(
        asyncio.run(_folder_tokens(data)) if (found := _running_tokens(data)) is None else found,
        as_json=as_json,
    )


def _running_tokens(data: Path) -> list[dict[str, object]] | None:
    """The tokens as the gateway that runs on a folder sees them; None when none runs."""
    from gateway.server.running import local_client

    with contextlib.suppress(ProcessLookupError), local_client(data) as client:
        return [
            {
                "id": t["id"],
                "type": t["type"],
                "status": t["status"],
                "logged_in": t["logged_in"],
                "keys": len(t["keys"]),
                "name": t["name"],
            }
            for t in client.json("GET", "/tokens")
        ]
    return None


async def _folder_tokens(data: Path) -> list[dict[str, object]]:
    async with opened(data) as (operations, _tokens):
        return [
            {
                "id": t.id,
                "type": t.type.value,
                "status": t.status.value,
                "logged_in": False,
                "keys": len(t.keys),
                "name": t.name,
            }
            for t in await operations.tokens()
        ]


@token.command("change-pin")
@DATA
@PIN
@click.option("--new-pin-file", type=click.Path(path_type=Path), help="file with the new PIN")
@click.argument("token_id", default="0")
@report_errors
def change_pin(data: Path, pin_file: Path | None, new_pin_file: Path | None, token_id: str) -> None:
    """Change the PIN of a token, the software token if none is named. Keys stay; a running gateway need not be restarted.

    Another token is changed by the running gateway, which holds it.
    """
    from certs.tokens.port import SOFTWARE_TOKEN_ID

    old = read_pin(pin_file, _("present PIN"))
    new = (
        read_secret_file(new_pin_file)
        if new_pin_file
        else ask_secret(_("new PIN"), "--new-pin-file", confirm=True)
    )

    async def run() -> None:
        async with opened(data, lambda: old) as (operations, _tokens):
            await operations.change_pin(SOFTWARE_TOKEN_ID, old, new)

    if token_id == SOFTWARE_TOKEN_ID:
        asyncio.run(run())
    else:
        from gateway.server.running import local_client

        with local_client(data) as client:
            client.json("PUT", f"/tokens/{token_id}/pin", {"old_pin": old, "new_pin": new})
    click.echo(_("the PIN is changed; change it wherever the gateway reads it from too"))


@click.group()
def key() -> None:
    """Keys on tokens, and their signing requests."""


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
@JSON
@report_errors
@audited("GENERATE_KEY")
def generate(data: Path, pin_file: Path | None, usage: str, kind: str, label: str, as_json: bool) -> None:
    """Make a key; prints its id."""
    from certs.tokens.port import SOFTWARE_TOKEN_ID
    from gateway.keys.model import KeyUsage

    async def run() -> None:
        async with opened(data, lambda: read_pin(pin_file)) as (operations, _tokens):
            made = await operations.generate_key(SOFTWARE_TOKEN_ID, label or usage, KeyUsage(usage), kind)
            click.echo(dump_json({"id": made.id}) if as_json else made.id)

    asyncio.run(run())


@key.command("list")
@DATA
@JSON
@report_errors
def list_keys(data: Path, as_json: bool) -> None:
    """Every key: id, kind, usage, label."""
    from certs.edges.tokenfiles import TokenFolder
    from certs.tokens.soft import SoftToken

    infos = SoftToken(TokenFolder(data / "token")).key_infos()
    print_values(
        [{"id": i.id, "kind": i.kind, "usage": i.usage, "label": i.label} for i in infos], as_json=as_json
    )


@key.command("make-csr")
@DATA
@PIN
@click.option("--key", "key_id", required=True)
@click.option("--member", required=True, help="instance/class/code of the member")
@click.option("--name", required=True, help="name of the member")
@click.option("--address", default="localhost", help="address of this server")
@click.option("--profile", default="Basic", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True)
@report_errors
def make_csr(
    data: Path,
    pin_file: Path | None,
    key_id: str,
    member: str,
    name: str,
    address: str,
    profile: str,
    out: Path,
) -> None:
    """Write a signing request for a key, its subject as the CA's profile wants it; DER when OUT ends in ".der", else PEM."""
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    from certs import csr as requests
    from certs.edges.profilefiles import load_profiles
    from certs.tokens import remote as delegated
    from gateway.keys.requesting import render_request

    async def run() -> bytes:
        async with opened(data, lambda: read_pin(pin_file)) as (operations, tokens):
            found = next((k for t in await operations.tokens() for k in t.keys if k.id == key_id), None)
            if found is None:
                raise ValueError(_("there is no key {key_id}; 'gateway key list' shows them", key_id=key_id))
            server = open_store(data).server_id()
            requester = requests.Requester(ClientId(*member.split("/")), server, name, address)
            builder = requests.build_request(
                load_profiles(data).named(profile), requester, found.usage or "sign"
            )
            public_key = load_der_public_key(found.public_key)
            pss = tokens.signs_pss(found.id)
            der = await delegated.sign_request(builder, found.id, public_key, tokens, pss=pss)  # type: ignore[arg-type]
            return render_request(der, "DER" if out.suffix == ".der" else "PEM")

    out.write_bytes(asyncio.run(run()))
    click.echo(_("request written to {out}", out=out))


@click.group()
def certificate() -> None:
    """Certificates of this gateway's keys."""


@certificate.command("import")
@DATA
@PIN
@click.argument("files", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True)
@JSON
@report_errors
@audited("IMPORT_CERTIFICATE")
def import_certificate(data: Path, pin_file: Path | None, files: tuple[Path, ...], as_json: bool) -> None:
    """Take certificates for the token's keys into use; one that was taken before stays as it is."""
    from certs.certificates import parse_certificate

    given = [(file, file.read_bytes()) for file in files]

    async def run() -> None:
        async with opened(data, lambda: read_pin(pin_file)) as (operations, _tokens):
            for file, content in given:
                there, is_new = await _imported(operations, file, content)
                subject = name_text(parse_certificate(there.der).subject)
                values = {"hash": there.hash, "usage": there.usage.value, "subject": subject}
                line = _("{usage} certificate imported: {subject}", usage=there.usage, subject=subject)
                if not is_new:
                    line = _(
                        "{usage} certificate was here already: {subject}", usage=there.usage, subject=subject
                    )
                click.echo(dump_json(values, ensure_ascii=False) if as_json else line)

    asyncio.run(run())


async def _imported(operations: KeyOperations, file: Path, content: bytes) -> tuple[KeyCertificate, bool]:
    """The kept certificate of a file, and whether it is a new one. Raises `OperatorError`, naming the file."""
    from certs.certificatefiles import read_certificate
    from certs.certificates import der_of

    try:
        return await operations.import_certificate(content, activate_auth=True, any_member=True), True
    except Refused as err:
        if err.code is GatewayCode.CERTIFICATE_ALREADY_EXISTS:
            digest = hashlib.sha256(der_of(read_certificate(content))).hexdigest()
            return operations.certificate(digest), False
        raise OperatorError(N_("{file}: {reason}", file=file, reason=err.text)) from err


@certificate.command("list")
@DATA
@JSON
@report_errors
def list_certificates(data: Path, as_json: bool) -> None:
    """Every certificate: hash, usage, status, whether active, end of validity, subject."""
    from certs.certificates import parse_certificate
    from gateway.keys.store import KeyConfStore

    store = open_store(data)
    found = [(c, parse_certificate(c.der)) for c in KeyConfStore(store.database).certificates()]
    store.close()
    print_values(
        [
            {
                "hash": own.hash,
                "usage": own.usage.value,
                "status": own.status.value,
                "active": own.active,
                "until": f"{parsed.not_valid_after_utc:%Y-%m-%d %H:%M} UTC",
                "subject": name_text(parsed.subject),
            }
            for own, parsed in found
        ],
        as_json=as_json,
    )


def _change(data: Path, digest: str, operation: str) -> None:
    async def run() -> None:
        async with opened(data) as (operations, _tokens):
            await getattr(operations, operation)(digest)

    asyncio.run(run())


@certificate.command()
@DATA
@click.argument("digest")
@report_errors
@audited("ACTIVATE_CERTIFICATE")
def activate(data: Path, digest: str) -> None:
    """Let a certificate be used, by its hash; a running gateway first has OCSP say that it is good."""
    from gateway.server.running import local_client

    try:
        with local_client(data) as client:
            client.json("PUT", f"/token-certificates/{digest}/activate")
    except ProcessLookupError:
        _change(data, digest, "activate")


@certificate.command()
@DATA
@click.argument("digest")
@report_errors
@audited("DISABLE_CERTIFICATE")
def disable(data: Path, digest: str) -> None:
    """Let a certificate be used no more, by its hash."""
    _change(data, digest, "disable")


@certificate.command()
@DATA
@click.argument("digest")
@report_errors
@audited("DELETE_CERTIFICATE")
def delete(data: Path, digest: str) -> None:
    """Forget a certificate, by its hash."""
    _change(data, digest, "delete_certificate")
