"""Settings of a system: one frozen value from TOML and the environment (``SACBE_SS_*``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from serving.config.secret import SecretSource
from serving.config.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENVIRONMENT_PREFIX = "SACBE_SS"


class SystemSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The settings of one system, from TOML and the environment; an unknown key stops the start."""

    # Which member's system this is: its code in the fixture, as 15-ISSEMYM.
    member: str
    # Only the member's gateway may reach it.
    host: str = "127.0.0.1"
    port: int = 9000
    # Policy version in force.
    policy: str = "1.0.0"
    # For exercises: a file whose content is the time. Empty takes the machine's clock.
    clock_file: str = ""
    # For exercises: the registry may use the published keys of the fixture, by which anybody computes the pseudonyms.
    fixture_keys: bool = False
    # The member's own gateway, as http://127.0.0.1:8080: how this system asks others. Empty: it cannot.
    gateway: str = ""
    # The national transparency platform that requests are handed over to: an http(s) address, or a folder. Empty: none.
    platform: str = ""
    # A mapping file (TOML) of another system of the institute where its periods are: read there each time. Empty: in its database.
    periods_from: str = ""
    # How often ONIESS reads what members publish, and takes measures, in seconds.
    collect_s: float = 3600.0
    # How often what ONIESS publishes (members, calendars, benefits, conventions, notices) is fetched, in seconds.
    publication_s: float = 3600.0
    # postgresql://user@host:5432/database, without the password: where this system's books are. Empty: SQLite in its folder.
    database: str = ""
    # The password of that database's user.
    database_password: SecretSource = SecretSource()
    log_level: str = "info"
    # Networks that may read /metrics, comma-separated; this machine always may.
    metrics_from: str = ""
    # The passphrase that opens keys.json; ONIESS has none to open.
    keys_secret: SecretSource = SecretSource()


def load(path: Path | None, environ: Mapping[str, str]) -> SystemSettings:
    """The settings of a TOML file, overridden by the environment."""
    return load_settings(SystemSettings, path, environ, ENVIRONMENT_PREFIX)
