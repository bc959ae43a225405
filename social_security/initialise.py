"""``python -m social_security init``: a member's system from nothing, with random keys, and what it and the registry exchange.

The registry and an institute need each other's public key: the registry's signs tokens, an institute's seals them. Through
gateways that already exchange messages they tell each other by message, signed by both; without, by a small file each way, whose
digest both sides read to each other before they trust it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from schemas.jsontext import dump_json
from serving.config.secret import SecretSource
from serving.errors import OperatorError
from serving.language import N_
from social_security.config import SystemSettings
from social_security.config import load as load_system_settings
from social_security.domain import pack
from social_security.domain.edition import package_edition
from social_security.domain.notices import all_notices
from social_security.institute.stores.steps import STEPS
from social_security.keys import (
    InstituteKeys,
    load_institute_keys,
    new_registry_keys,
    save_institute_keys,
    save_registry_keys,
)
from social_security.newfiles import new_file
from social_security.oniess.tables import STEPS as ONIESS_STEPS
from social_security.registry.store import RegistryStore
from social_security.registry.tables import STEPS as REGISTRY_STEPS
from social_security.wire import tokens
from social_security.wire.books import open_books
from social_security.wire.gatewayclient import GatewayClient
from social_security.wire.gatewayfile import render_gateway
from social_security.wire.keyfiles import key_digest, read_key, render_key
from social_security.wire.keymessages import announce_own_key, ask_registry_key
from social_security.wire.privacynotices import add_notices
from social_security.wire.publication import keep_publication

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from social_security.domain.edition import Edition
    from social_security.domain.pack import PackMember
    from social_security.keys import RegistryKeys

REGISTRY: Final = "00-RNSS"
ONIESS: Final = "00-ONIESS"
KEY_FILE: Final = "public-key.json"
# What the member's gateway is to serve, for `gateway apply`.
GATEWAY_FILE: Final = "gateway.toml"


@dataclass(frozen=True, slots=True)
class Making:
    """The answers by which a member's system is made. ``registry_key`` is the registry's file, where there is no ``gateway`` to ask it by."""

    code: str
    secret_file: Path
    registry_key: Path | None = None
    # The member's own gateway, as http://127.0.0.1:8080; empty: set later.
    gateway: str = ""
    # Where the system listens, and its gateway finds it.
    host: str = "127.0.0.1"
    # The members, by code, that the gateway's file lets in beside the registry and ONIESS.
    callers: tuple[str, ...] = ()
    # Where its books are, postgresql://...; empty: SQLite in its folder.
    database: str = ""
    # The lists by which it is made: the package's, or those of the publication that comes with ONIESS's key in PEM.
    edition: Edition = field(default_factory=package_edition)
    published: tuple[bytes, bytes] | None = None


def init_system(folder: Path, making: Making, secret: str) -> list[str]:
    """Make a member's folder; what is left to do, a line each. Raises ValueError, with nothing written before the checks.

    With a gateway an institute and the registry tell each other their keys by message, signed by both gateways; a second run
    then completes what the first could not (`introduce`).
    """
    member = check_making(making)
    if folder.exists() and any(folder.iterdir()):
        if not making.gateway or not (folder / KEY_FILE).exists() or _member_of(folder) != making.code:
            raise OperatorError(
                N_("{folder} is not empty: a system is made once, in a folder of its own", folder=folder)
            )
        return introduce(folder, making, secret)
    if making.code not in (REGISTRY, ONIESS) and making.gateway and making.registry_key is None:
        trusted = asyncio.run(_ask_registry_key(making))
    elif making.code not in (REGISTRY, ONIESS):
        if making.registry_key is None:
            raise OperatorError(
                N_(
                    "an institute needs --gateway, to ask the registry, or --registry-key: the {key_file} that it has handed out",
                    key_file=KEY_FILE,
                )
            )
        trusted = read_key(making.registry_key, making.edition.members[REGISTRY].path)
    else:
        trusted = None
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if making.published is not None:
        keep_publication(folder, *making.published)
    _write_settings(folder, making)
    apply = f"gateway apply {folder / GATEWAY_FILE} (what it serves, and to whom)"
    start = f"start {unit_name(making.code)}"
    if making.code == ONIESS:
        books = open_books(folder, "oniess", ONIESS_STEPS)
        add_notices(books, all_notices(making.edition))
        books.close()
        return [_settings_left(folder, making), apply, start]
    if trusted is None:
        public = _init_registry(folder, making.edition, secret)
    else:
        public = _init_institute(folder, making.edition, trusted, secret)
    # Last of what is made: with it a second run knows whose folder it is. A crash before leaves one to be removed.
    (folder / KEY_FILE).write_text(render_key(member.path, public), encoding="ascii")
    if trusted is not None and making.gateway:
        return [*introduce(folder, making, secret), apply, start]
    to = "every institute" if making.code == REGISTRY else "the registry's officer (officer add-recipient)"
    return [
        f"hand {folder / KEY_FILE} to {to}; its digest, to be read aloud: {key_digest(public)}",
        _settings_left(folder, making),
        apply,
        start,
    ]


def introduce(folder: Path, making: Making, secret: str) -> list[str]:
    """Tell the registry an institute's public key by message; again, nothing changes. Raises ValueError when it is not taken."""
    public = tokens.public_key(load_institute_keys(folder / "keys.json", secret).own)
    asyncio.run(_announce_own_key(making, public))
    return [f"the registry has this system's key; its digest: {key_digest(public)}"]


async def _ask_registry_key(making: Making) -> dict[str, str]:
    async with reaching(making.gateway, making.edition, making.code) as asking:
        return await ask_registry_key(asking, making.edition.members[REGISTRY].path)


async def _announce_own_key(making: Making, public: dict[str, str]) -> None:
    async with reaching(making.gateway, making.edition, making.code) as asking:
        await announce_own_key(asking, making.edition.members[REGISTRY].path, making.code, public)


@contextlib.asynccontextmanager
async def reaching(gateway: str, edition: Edition, code: str) -> AsyncIterator[GatewayClient]:
    """The way of a member to others through its gateway, for as long as a command runs."""
    asking = GatewayClient(gateway, edition.members[code].path, SystemSettings(member="").policy)
    asking.edition = lambda: edition
    try:
        yield asking
    finally:
        await asking.close()


def check_making(making: Making) -> PackMember:
    """The member whose system it is. Raises ValueError for nobody's, an authority's, or unknown callers."""
    member = making.edition.members.get(making.code)
    if member is None:
        raise OperatorError(
            N_(
                "{making} is no member's code; expected one as 15-ISSEMYM. A member that joined later is in ONIESS's publication: --publication",
                making=making.code[:40],
            )
        )
    if member.member_class == "GAR":
        raise OperatorError(
            N_(
                "{making} is an authority: its system is a portal, made by `social_security portal init`",
                making=making.code,
            )
        )
    unknown = sorted(set(making.callers) - set(making.edition.members))
    if unknown:
        raise OperatorError(
            N_("{unknown} is no member's code; expected one as 15-ISSEMYM", unknown=unknown[0][:40])
        )
    return member


def first_secret(file: Path) -> str:
    """The passphrase in a file that its owner alone reads; made, random, when the file is not there. Raises ValueError."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        # On disk before any key is sealed by it, whole: a key without its passphrase would be lost.
        with new_file(file) as new:
            new.write(secrets.token_urlsafe(24) + "\n")
    return SecretSource(file=str(file)).read({})


def _settings_left(folder: Path, making: Making) -> str:
    if making.gateway:
        return f"settings are in {folder / 'settings.toml'}"
    return f"set `gateway` in {folder / 'settings.toml'}"


def _member_of(folder: Path) -> str:
    """Whose folder it is, by its settings."""
    return load_system_settings(folder / "settings.toml", {}).member


def _init_registry(folder: Path, edition: Edition, secret: str) -> dict[str, str]:
    keys = new_registry_keys()
    store = RegistryStore(open_books(folder, "registry", REGISTRY_STEPS), keys)
    add_notices(store.database, all_notices(edition))
    store.close()
    # Last: without the keys' file the folder counts as not made, and nothing was kept under the keys.
    save_registry_keys(folder / "keys.json", keys, secret)
    return tokens.public_key(keys.signing)


def _init_institute(folder: Path, edition: Edition, registry: dict[str, str], secret: str) -> dict[str, str]:
    own = tokens.new_key()
    database = open_books(folder, "institute", STEPS)
    add_notices(database, all_notices(edition))
    database.close()
    save_institute_keys(folder / "keys.json", InstituteKeys(own, registry), secret)
    return tokens.public_key(own)


def check_not_published(keys: RegistryKeys) -> None:
    """Refuse the registry keys of the fixture, which anybody can read. Raises ValueError naming them."""
    fixture = pack.persons()
    for name, used in (("registry_key", keys.pid), ("index_key", keys.index)):
        if hmac.compare_digest(bytes.fromhex(fixture[name]), used):
            raise OperatorError(
                N_(
                    "these are the published fixture keys ({name} of persons.json): everybody can compute the pseudonyms. Make the registry with `social_security init`; exercises set fixture_keys = true",
                    name=name,
                )
            )


def unit_name(code: str) -> str:
    """The systemd unit of a member's system."""
    return f"sacbe-{code.lower()}.service"


def _write_settings(folder: Path, making: Making) -> None:
    """Settings, unit, and the file for the member's gateway."""
    settings, secret = folder.resolve() / "settings.toml", making.secret_file.resolve()
    settings.write_text(
        f"member = {dump_json(making.code)}\n"
        f"host = {dump_json(making.host)}\n"
        "# The member's own gateway: how this system asks others.\n"
        f"gateway = {dump_json(making.gateway)}\n"
        "# Where this system's books are, postgresql://...; empty: SQLite in this folder.\n"
        f"database = {dump_json(making.database)}\n"
        f"[keys_secret]\nfile = {dump_json(str(secret))}\n",
        encoding="utf-8",
    )
    url = f"http://{making.host}:{SystemSettings(member='').port}"
    (folder / GATEWAY_FILE).write_text(
        render_gateway(making.edition, making.code, url, (making.code, *making.callers)), encoding="utf-8"
    )
    (folder / unit_name(making.code)).write_text(
        f"[Unit]\nDescription=Sacbe, system of {making.code}\nAfter=network-online.target\n\n"
        "[Service]\n"
        f"ExecStart=python -m social_security serve --data {folder.resolve()} --settings {settings}\n"
        f"ReadWritePaths={folder.resolve()}\nProtectSystem=strict\nNoNewPrivileges=yes\nPrivateTmp=yes\n"
        "UMask=0077\nRestart=on-failure\n\n[Install]\nWantedBy=multi-user.target\n",
        encoding="utf-8",
    )
