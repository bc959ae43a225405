"""What every command of ``central-server`` takes: the data folder, the settings, the PIN, and the node they make."""

from __future__ import annotations

import contextlib
import os
import secrets
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from central_server.config import load
from central_server.publication.node import CentralNode, open_store
from certs.edges.profilefiles import load_profiles
from certs.edges.tokenfiles import write_whole
from serving.cli.commands import ask_secret
from serving.cli.serverfolder import ServerFolders
from serving.cli.usercommands import CALLS, Where
from serving.config.secret import read_secret_file
from serving.errors import OperatorError
from serving.language import N_, _
from serving.login.users import Logins
from serving.process.devices import build_devices
from serving.storage.audit import AuditLog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from central_server.config import CentralSettings
    from central_server.store.records import CentralStore

FOLDERS = ServerFolders(
    "central-data",
    ("central.sqlite", "settings.toml", "token"),
    "SACBE_CENTRAL_NODE_DATABASE",
    "central-server bootstrap",
)
# Folders whose tokens a process may hold: a central server's, and a configuration proxy's from its first step on.
HOLDERS = replace(FOLDERS, marks=(*FOLDERS.marks, "source-anchor.xml"))
REGISTRY_LOG = "registry"
DATA = FOLDERS.option()
# For commands that make the folder.
NEW_DATA = FOLDERS.new_option()
SETTINGS = click.option(
    "--settings",
    type=click.Path(path_type=Path, exists=True),
    help="settings file (TOML); else the folder's own settings.toml, if there is one",
)
PIN = click.option(
    "--pin-file",
    type=click.Path(path_type=Path),
    help="file with the token's PIN",
)


def settings_file(data: Path, given: Path | None) -> Path | None:
    """The settings file of a data folder: the one that is named, else its own, if it has one."""
    own = data / "settings.toml"
    return given or (own if own.exists() else None)


def read_settings(data: Path, given: Path | None) -> CentralSettings:
    """The settings of a data folder, from `settings_file` and the environment. Raises `OperatorError`."""
    return load(settings_file(data, given), os.environ)


def utc_now() -> datetime:
    """The time of this machine's clock, in UTC."""
    return datetime.now(UTC)


def read_pin(pin_file: Path | None) -> str:
    """The PIN: from a file, the environment variable SACBE_PIN, or a prompt."""
    if pin_file is not None:
        return read_secret_file(pin_file)
    return os.environ.get("SACBE_PIN") or ask_secret("PIN", "--pin-file")


def new_pin(pin_file: Path | None) -> str:
    """The PIN of a token to be made: a file that is named and not there is made with a new one."""
    if pin_file is not None and not pin_file.exists():
        write_whole(pin_file, f"{secrets.token_urlsafe(15)}\n".encode())
        click.echo(_("new PIN in {pin_file}; keep it elsewhere too", pin_file=pin_file))
    return read_pin(pin_file)


async def token_pin(node: CentralNode, pin_file: Path | None) -> str:
    """The PIN of a node's software token; as `new_pin` does while there is no token. Raises `OperatorError`."""
    return _known_pin(pin_file) if await node.keys.is_made() else new_pin(pin_file)


def _known_pin(pin_file: Path | None) -> str:
    if pin_file is not None and not pin_file.exists():
        raise OperatorError(
            N_("{file} is not there, and there is a PIN already", file=pin_file),
        )
    return read_pin(pin_file)


@contextlib.contextmanager
def opened_store(data: Path, settings: Path | None) -> Iterator[CentralStore]:
    """The registry of a data folder, wherever its settings keep it; closed at the end."""
    store = open_store(data, read_settings(data, settings))
    try:
        yield store
    finally:
        store.close()


@contextlib.asynccontextmanager
async def open_node(data: Path, settings: Path | None, *, kind: str = "") -> AsyncIterator[CentralNode]:
    """The node of a data folder; ``kind`` is what new keys are, instead of what the settings say."""
    chosen = read_settings(data, settings)
    publishing = msgspec.structs.replace(chosen.publishing, key_kind=kind or chosen.publishing.key_kind)
    node = CentralNode(
        data, open_store(data, chosen), publishing, build_devices(chosen.keys, data), load_profiles(data)
    )
    try:
        yield node
    finally:
        await node.close()


def open_logins(data: Path, settings: CentralSettings) -> Logins:
    """Users and API keys: in the database the nodes share, or in the data folder."""
    return Logins(settings.node.database or data / "admin.sqlite")


def _registry_log(data: Path, settings: Path | None) -> dict[str, AuditLog]:
    return {REGISTRY_LOG: AuditLog(open_store(data, read_settings(data, settings)).database)}


WHERE = Where(
    FOLDERS,
    lambda data, settings: open_logins(data, read_settings(data, settings)),
    _registry_log,
    (REGISTRY_LOG, CALLS),
)
