"""What ``gateway init`` does once it knows what only a person knows: server, token, configuration, keys, requests.

Every step looks first at what is there, so that it can be run again: after a crash, when the central server was out of
reach, or by mistake. Nothing that is there is made anew.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from certs.edges.profilefiles import load_profiles
from certs.edges.tokenfiles import TokenFolder, write_whole
from certs.tokens.port import SOFTWARE_TOKEN_ID
from certs.tokens.soft import SoftToken
from gateway.cli.keys import opened, stored_configuration
from gateway.clients.store import ServerConfStore
from gateway.edges.configuration import ConfigurationClient
from gateway.edges.internaltls import open_internal_tls
from gateway.keys.model import KeyUsage
from gateway.keys.pins import check_pin
from gateway.keys.requesting import render_request
from gateway.server.partsettings import configuration_settings
from gateway.settings.config import GatewaySettings, load
from gateway.settings.datafolder import DataFolder, find_folder
from gateway.settings.nodesettings import FILE
from schemas.globalconf.anchor import Anchor, parse_anchor
from serving.cli.safecommands import open_folder_safe
from serving.config.presets import has_values, render_settings
from serving.errors import OperatorError, Refused
from serving.language import N_, _
from serving.process.outward import outward_session

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from gateway.keys.operations import KeyOperations
    from gateway.keys.requesting import FieldDescription
    from schemas.identifiers import ServerId
    from serving.config.presets import Preset

REQUESTS = "requests"
PIN_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass(frozen=True, slots=True)
class CertificateSubject:
    """The subject's fields in certificates beside the identifiers."""

    name: str
    address: str
    country: str
    # Fields of the CA's profile that the operator gives, by their ids.
    given: Mapping[str, str]
    # The approved CA; empty when there is only one.
    ca: str = ""


def make_pin() -> str:
    """A PIN nobody has to remember, which every policy takes."""
    while True:
        pin = "".join(secrets.choice(PIN_LETTERS) for _letter in range(20))
        with contextlib.suppress(Refused):
            check_pin(pin, strict=True)
            return pin


def write_secret(path: Path, secret: str) -> None:
    """Keep a secret in a file that its owner alone reads."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(path, f"{secret}\n".encode(), mode=0o600)


def found_server(
    data: Path, server: ServerId, anchor: bytes, pin: str, *, strict_pin: bool = False
) -> Iterator[str]:
    """Make server and token, or find them; what was done, a line each.

    Raises ValueError when another server is there, `Refused` for a PIN that may not be one.
    """
    parsed = parse_anchor(anchor)
    if parsed.instance != server.instance:
        raise ValueError(
            _(
                "the anchor is of instance {instance}, the server of {instance2}",
                instance=parsed.instance,
                instance2=server.instance,
            )
        )
    store = ServerConfStore(find_folder(data, os.environ).serverconf)
    try:
        there = store.server_id() if store.is_initialised() else None
        if there not in (None, server):
            raise ValueError(_("{data} holds a gateway already ({there})", data=data, there=there))
        if there is not None:
            yield from _take_anchor(data, store, parsed)
        token = SoftToken(TokenFolder(data / "token"))
        if not (data / "token" / "token.json").exists():
            check_pin(pin, strict=strict_pin)
            SoftToken.create(TokenFolder(data / "token"), pin).close()
            # On disk now: a token without a server. A crash here is completed by the same command.
            yield _("token made")
        else:
            token.unlock(pin)
            token.close()
        if there is None:
            store.initialise(server, anchor, owner_added_at=datetime.now(UTC))
            yield _("{path} made in {data}", path=server.path(), data=data)
    finally:
        store.close()


def _take_anchor(data: Path, store: ServerConfStore, given: Anchor) -> Iterator[str]:
    """Another anchor than the first one given replaces it while nothing was proved by that. Raises `OperatorError` afterwards."""
    if store.anchor() == given.raw:
        return
    if stored_configuration(data) is not None:
        raise OperatorError(
            N_(
                "{data} works by another anchor, with the hash {kept}; if the central operator has made a new one, let the running gateway "
                "take it: gateway globalconf replace-anchor",
                data=data,
                kept=parse_anchor(store.anchor()).hash_text(),
            )
        )
    store.replace_anchor(given.raw)
    yield _("another anchor, in the place of one by which nothing was proved yet")


def write_settings(data: Path, preset: Preset, hosts: Sequence[str]) -> list[str]:
    """The settings that a new gateway begins with; a file that says anything stays."""
    file = data / FILE
    if has_values(file):
        return []
    tables: dict[str, Any] = dict(preset.gateway)
    if hosts:
        names = ",".join(dict.fromkeys([*hosts, "localhost", "127.0.0.1"]))
        tables["systems"] = {**tables.get("systems", {}), "tls_address": names}
    write_whole(file, render_settings(tables, "Made by: gateway init").encode())
    return [_("settings: {file}", file=file)]


def is_pin_policy_on(data: Path, preset: Preset) -> bool:
    """Whether ``keys.enforce_pin_policy`` holds in a folder, or will once it begins with the preset."""
    if (data / FILE).exists():
        return load(data / FILE, os.environ).keys.enforce_pin_policy
    return bool(preset.gateway.get("keys", {}).get("enforce_pin_policy", False))


def make_internal_tls(data: Path, pin: str) -> list[str]:
    """The certificate that information systems are shown, for the names of the settings; one that is there stays."""
    folder = DataFolder(data).tls
    there = folder / "internal.pem"
    if there.exists():
        return []
    settings = load(data / FILE, os.environ)
    safe = open_folder_safe(data, settings.seal, lambda: pin)
    open_internal_tls(settings.systems, folder, safe, os.environ)
    return [_("internal TLS certificate: {there}", there=there)]


async def fetch_configuration(data: Path, anchor: bytes) -> None:
    """Fetch and prove the global configuration into the data folder. Raises `Fault`."""
    async with outward_session() as session:
        client = ConfigurationClient(
            anchor,
            data / "globalconf",
            session,
            clock=lambda: datetime.now(UTC),
            settings=configuration_settings(GatewaySettings()),
            profiles=load_profiles(data),
        )
        await client.load()
        await client.refresh()


async def are_keys_there(data: Path) -> bool:
    """Whether both keys have a certificate or a request, so that no configuration is needed to ask for one.

    A gateway that runs keeps its configuration in the folder itself: who founds again fetches none beside it.
    """
    async with opened(data) as (operations, _tokens):
        keys = [k for t in await operations.tokens() for k in t.keys]
    known = {c.usage for k in keys for c in k.certificates} | {r.usage for k in keys for r in k.requests}
    return {KeyUsage.AUTHENTICATION, KeyUsage.SIGNING} <= known


async def make_requests(
    data: Path, server: ServerId, pin: str, subject: CertificateSubject, kinds: Mapping[KeyUsage | None, str]
) -> list[str]:
    """A key and a signing request for authentication and for signing, where neither they nor certificates are there.

    Raises `Refused` naming what the CA's profile wants.
    """
    done: list[str] = []
    async with opened(data, lambda: pin) as (operations, _tokens):
        operations.take_key_kinds(kinds)
        for usage in (KeyUsage.AUTHENTICATION, KeyUsage.SIGNING):
            file = data / REQUESTS / f"{usage.value}.pem"
            if await _is_known(operations, usage, file):
                continue
            ca = subject.ca or _only_ca(data)
            member = server.owner if usage is KeyUsage.SIGNING else None
            fields = operations.subject_fields(ca, usage, member)
            values = {f.id: _value(f, subject) for f in fields if not f.read_only}
            key, request = await operations.generate_key_with_request(
                SOFTWARE_TOKEN_ID, usage.value, usage, ca, member, values
            )
            der = await operations.request_der(key.id, request.id)
            _write_request(file, der)
            done.append(_("signing request for {ca}: {file}", ca=ca, file=file))
    return done


async def _is_known(operations: KeyOperations, usage: KeyUsage, file: Path) -> bool:
    """Whether there is a certificate or a request of a usage already; a request's file is written again."""
    keys = [k for t in await operations.tokens() for k in t.keys]
    if any(c.usage is usage for k in keys for c in k.certificates):
        return True
    found = next(((k, r) for k in keys for r in k.requests if r.usage is usage), None)
    if found is not None:
        _write_request(file, await operations.request_der(found[0].id, found[1].id))
    return found is not None


def _write_request(file: Path, der: bytes) -> None:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    write_whole(file, render_request(der, "PEM"))


def _only_ca(data: Path) -> str:
    configuration = stored_configuration(data)
    names = [] if configuration is None else [ca.name for ca in configuration.own.shared.approved_cas]
    if len(names) != 1:
        known = ", ".join(names) or "-"
        raise ValueError(_("say which CA with --ca; there are: {known}", known=known))
    return names[0]


def _value(field: FieldDescription, subject: CertificateSubject) -> str:
    if field.id in subject.given:
        return subject.given[field.id]
    proposed = {
        "subjectAltName": subject.address,
        "C": subject.country,
        "O": subject.name,
        "CN": subject.address or subject.name,
    }
    return field.default_value or proposed.get(field.id, "")
