"""The commands that found an instance: ``central-server bootstrap`` makes its registry, ``management-gateway`` admits its first server.

Both look first at what is there, so that they can be run again: after a crash, by mistake, or to add what was not known.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from central_server.admin.roles import central_roles
from central_server.cli.apply import apply_registry
from central_server.cli.folder import (
    DATA,
    NEW_DATA,
    PIN,
    SETTINGS,
    open_logins,
    open_node,
    read_settings,
    token_pin,
    utc_now,
)
from central_server.config import load
from central_server.management.requests import MANUAL, add_request, approve_request
from central_server.management.trusted import is_auth_certificate, trusted_configuration
from central_server.management.verification import is_address
from central_server.publication.generate import host_of
from central_server.publication.node import open_store
from central_server.registry.model import read_registry
from central_server.store import servers
from central_server.store.loading import load_registry
from central_server.store.records import OPERATOR
from central_server.store.requests import NewRequest, RequestOrigin, RequestType
from central_server.store.sources import SOURCES, signing_keys, source_anchor
from certs.certificatefiles import read_certificate_der
from certs.edges.profilefiles import load_profiles
from certs.edges.tokenfiles import write_whole
from schemas.globalconf.anchor import parse_anchor
from schemas.identifiers import ServerId
from serving.cli.commands import report_errors
from serving.config.presets import Preset, has_values, preset_names, read_preset, render_settings
from serving.config.secret import read_secret_file
from serving.config.textfiles import read_toml_file
from serving.errors import OperatorError
from serving.language import N_, _
from serving.pemtext import certificate_pem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from central_server.config import CentralSettings
    from central_server.registry.model import Registry
    from central_server.store.records import Records
    from certs.profiles import CertificateProfiles
    from schemas.identifiers import ClientId

# In the data folder: the internal TLS certificate of the management gateway, as the settings that `bootstrap` writes name it.
PINNED = "management-gateway.pem"
ANCHOR = "anchor.xml"


@dataclass(frozen=True, slots=True)
class Founder:
    """Who founds an instance: ``owner`` is class/code, ``subsystem`` the code of the management services' subsystem."""

    instance: str
    address: str
    owner: str
    name: str
    subsystem: str


@click.command(
    help="Found an instance: token and keys, settings, a registry with its first member, anchor, administrator. It can be run again without harm."
)
@NEW_DATA
@PIN
@click.option("--instance", required=True, help="code, such as MX")
@click.option("--address", required=True, help="name or IP of this server")
@click.option("--owner", required=True, help="class/code of the operator")
@click.option("--name", required=True, help="the operator's name")
@click.option(
    "--management",
    "subsystem",
    default="MANAGEMENT",
    show_default=True,
    help="subsystem of the management services",
)
@click.option(
    "--trust",
    type=click.Path(path_type=Path, exists=True),
    help="file with authorities ([[ca]], [[tsa]]), written as in a registry file",
)
@click.option("--preset", type=click.Choice(preset_names()), default="mx", show_default=True)
@click.option(
    "--kind",
    help="kind of signing keys; else the preset's",
)
@click.option("--admin", help="an administrator's user name")
@report_errors
def bootstrap(
    data: Path,
    pin_file: Path | None,
    trust: Path | None,
    preset: str,
    kind: str | None,
    admin: str | None,
    **founder: Any,
) -> None:
    chosen, who = read_preset(preset), Founder(**founder)
    _check(who)
    if pin_file is not None and pin_file.exists():
        read_secret_file(pin_file)
    desired = _read_desired(
        who, chosen, trust, load_profiles(data)
    )  # whatever is wrong with it is said before anything is made
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_settings(data, chosen)
    settings_file = data / "settings.toml"
    settings = load(settings_file, os.environ)
    asyncio.run(_make_keys(data, settings_file, pin_file, kind or ""))
    _register(data, settings, desired)
    anchor = data / ANCHOR
    raw = _anchor(data, settings)
    # On disk before this: settings, keys and registry. A crash leaves a central server without the file; `anchor` writes it.
    write_whole(anchor, raw)
    click.echo(_("anchor: {anchor}", anchor=anchor))
    click.echo(parse_anchor(raw).hash_text())
    if admin:
        _make_administrator(data, settings, admin)
    serve = ["central-server", "serve", "--data", str(data), "--settings", str(settings_file)]
    pin = [] if pin_file is None else ["--pin-file", str(pin_file)]
    click.echo(_("now: {command}", command=shlex.join([*serve, *pin])))


def _check(who: Founder) -> None:
    if len(who.owner.split("/")) != 2 or not all(who.owner.split("/")):
        raise OperatorError(N_("--owner {owner!r} is not class/code", owner=who.owner))
    if not is_address(host_of(who.address)):
        raise OperatorError(
            N_("--address {address!r} is no name and no IP, with a port if you like", address=who.address)
        )


def _write_settings(data: Path, preset: Preset) -> None:
    """The settings that a new instance begins with; a file that says anything stays."""
    file = data / "settings.toml"
    if has_values(file):
        return
    tables: dict[str, Any] = {**preset.central}
    tables["management"] = {**tables.get("management", {}), "pinned_certificates": [PINNED]}
    write_whole(file, render_settings(tables, "Made by: central-server bootstrap").encode())
    click.echo(_("settings: {file}", file=file))


async def _make_keys(data: Path, settings: Path, pin_file: Path | None, kind: str) -> None:
    """Token and a signing key for each source, as far as they are not there."""
    async with open_node(data, settings, kind=kind) as node:
        if await node.keys.is_made():
            missing = [s for s in SOURCES if not signing_keys(node.store.read(), s)]
            # A PIN that was given is proved even where nothing is missing: the command printed at the end names its file.
            if missing or pin_file is not None:
                await node.keys.log_in(await token_pin(node, pin_file), OPERATOR, utc_now())
        else:
            missing = list(SOURCES)
            await node.keys.make_token(await token_pin(node, pin_file))
            # On disk now: a token without signing keys. A crash here is completed by the same command.
        for source in missing:
            await node.keys.make_signing_key(source, f"{source} configuration", OPERATOR, utc_now())


def _read_desired(
    who: Founder, preset: Preset, trust: Path | None, profiles: CertificateProfiles
) -> Registry:
    """The registry of a new instance. Raises ValueError, OSError or Fault for what the trust file names and is not so."""
    trust_values = {} if trust is None else _read_trust(trust)
    folder = Path() if trust is None else trust.parent
    values = _registry_values(who, preset, trust_values)
    return read_registry(values, lambda name: read_certificate_der((folder / name).read_bytes()), profiles)


def _read_trust(file: Path) -> dict[str, Any]:
    return read_toml_file(file)


def _register(data: Path, settings: CentralSettings, desired: Registry) -> None:
    store = open_store(data, settings)
    try:
        done = apply_registry(store, desired, prune=False, dry_run=False)
    finally:
        store.close()
    for line in done.changes:
        click.echo(line)


def _registry_values(who: Founder, preset: Preset, trust_values: Mapping[str, Any]) -> dict[str, Any]:
    """A registry file's values: the founder's, then what the trust file says."""
    start, owner = preset.registry, f"{who.instance}/{who.owner}"
    member_class = who.owner.partition("/")[0]
    described = start.member_class_description if member_class == start.member_class else member_class
    values: dict[str, Any] = {
        "instance": who.instance,
        "address": who.address,
        "management_service": f"{owner}/{who.subsystem}",
        "ocsp_freshness_s": start.ocsp_freshness_s,
        "timestamping_interval_s": start.timestamping_interval_s,
        "expire_interval_s": start.expire_interval_s,
        "member_class": [{"code": member_class, "description": described}],
        "member": [{"id": owner, "name": who.name, "subsystems": [who.subsystem]}],
    }
    for name, value in trust_values.items():
        values[name] = [*values.get(name, []), *value] if isinstance(value, list) else value
    values["ca"] = [{"profile": start.profile, **ca} for ca in values.get("ca", [])]
    return values


def _anchor(data: Path, settings: CentralSettings) -> bytes:
    store = open_store(data, settings)
    try:
        kept = source_anchor(store.read(), "internal")
    finally:
        store.close()
    if kept is None:
        raise LookupError(_("the anchor could not be made"))
    return kept[0]


def _make_administrator(data: Path, settings: CentralSettings, name: str) -> None:
    logins = open_logins(data, settings)
    try:
        if logins.user(name) is not None:
            return
        file = data / f"{name}.password"
        if not file.exists():
            write_whole(file, f"{secrets.token_urlsafe(15)}\n".encode(), mode=0o600)
        logins.save_user(name, read_secret_file(file), central_roles().of_people())
    finally:
        logins.close()
    click.echo(_("administrator {name}; its password is in {file}", name=name, file=file))


@click.command(
    "management-gateway",
    help="Admit the management gateway: register it with its authentication certificate, give it the management services, and let its internal TLS certificate in at port 4002.",
)
@DATA
@SETTINGS
@click.option("--server", "code", required=True, help="class/code/server")
@click.option(
    "--address",
    required=True,
    help="where other servers reach it",
)
@click.option(
    "--auth-certificate",
    "auth_file",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="as the CA issued it",
)
@click.option(
    "--tls-certificate",
    "tls_file",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="internal, from its folder: tls/internal.pem",
)
@report_errors
def management_gateway(
    data: Path, settings: Path | None, code: str, address: str, auth_file: Path, tls_file: Path
) -> None:
    chosen = read_settings(data, settings)
    if PINNED not in chosen.management.pinned_certificates:
        raise OperatorError(
            N_(
                "the settings do not name {PINNED} in management.pinned_certificates; add it and restart the server",
                PINNED=PINNED,
            )
        )
    auth = read_certificate_der(auth_file.read_bytes())
    pinned = read_certificate_der(tls_file.read_bytes())
    store = open_store(data, chosen)
    try:
        with store.change(OPERATOR, utc_now()) as records:
            server = _server(records.instance, code)
            provider = _admit(records, server, address, auth)
    finally:
        store.close()
    # On disk now: the registry. A crash here leaves port 4002 closed; the same command opens it.
    write_whole(data / PINNED, certificate_pem(pinned))
    click.echo(
        _(
            "{path} provides {path2}; its certificate alone is let in at the management port",
            path=server.path(),
            path2=provider.path(),
        )
    )


def _admit(records: Records, server: ServerId, address: str, auth: bytes) -> ClientId:
    """Register the server and let it provide the management services, as far as it is not so; who provides them."""
    registry = load_registry(records)
    provider, owner = registry.management_service, server.owner
    if provider.member != owner:
        raise OperatorError(
            N_(
                "the management services are of {path}, and the server is of {path2}",
                path=provider.member.path(),
                path2=owner.path(),
            )
        )
    if not is_auth_certificate(trusted_configuration(registry), auth, records.now):
        raise OperatorError(
            N_("the certificate is not a valid one for authentication, of an approved authority")
        )
    if servers.server_of_certificate(records, auth) is None:
        _approve(records, RequestType.AUTH_CERT_REGISTRATION, server, address=address, certificate=auth)
    elif servers.server_of_certificate(records, auth) != server:
        raise OperatorError(N_("another server is registered with this certificate"))
    if not provider.is_member and not servers.servers_used_by(records, provider):
        _approve(records, RequestType.CLIENT_REGISTRATION, server, client=provider)
    return provider


def _approve(records: Records, kind: RequestType, server: ServerId, **fields: Any) -> None:
    made = add_request(records, NewRequest(kind, RequestOrigin.CENTER, server, **fields))
    if made.state.value != "APPROVED":
        approve_request(records, made.number, MANUAL)


def _server(instance: str, text: str) -> ServerId:
    parts = text.split("/")
    parts = parts if len(parts) == 4 else [instance, *parts]
    if len(parts) != 4 or not all(parts):
        raise OperatorError(N_("{text!r} is not class/code/server", text=text))
    return ServerId(*parts)
