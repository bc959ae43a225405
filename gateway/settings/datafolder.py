"""Where a gateway keeps what is its own, and what of it belongs into a backup."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.storage.backup import Content
from serving.storage.backupkey import CLEAR, PUBLIC, SEALED

if TYPE_CHECKING:
    from pathlib import Path

BACKUP_CONTENT = Content(
    kind="gateway",
    databases=("serverconf.sqlite", "admin.sqlite"),
    files=("settings.toml", "gateway.toml", SEALED, PUBLIC),
    folders=("token", "globalconf", "profiles", "tls"),
    keep=("log", "logkeys", "backups"),
    formerly=(CLEAR,),
)


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The names within a gateway's data folder."""

    root: Path

    @property
    def serverconf(self) -> Path:
        """The path of the server configuration's database."""
        return self.root / "serverconf.sqlite"

    @property
    def token(self) -> Path:
        """The folder of the software token."""
        return self.root / "token"

    @property
    def globalconf(self) -> Path:
        """The folder of the stored global configuration."""
        return self.root / "globalconf"

    @property
    def tls(self) -> Path:
        """The key pairs this server shows to systems and administrators."""
        return self.root / "tls"

    @property
    def log(self) -> Path:
        """The folder of the message log."""
        return self.root / "log"

    @property
    def log_keys(self) -> Path:
        """The keys of the message log: beside it, so that a copy of it holds none, and in no backup, so that they can go."""
        return self.root / "logkeys"
