"""Where a gateway keeps what is its own, and what of it belongs into a backup.

`find_folder` is how every command and the server find out whether a data folder's gateway keeps its state in a database that
several nodes share: the setting ``node.database`` stands in the folder's own ``settings.toml`` or in the environment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from certs.edges.profilefiles import PROFILES_FILE
from gateway.messagelog.keyplaces import FolderKeys
from gateway.messagelog.places import FolderPlace
from gateway.settings.nodesettings import read_node
from serving.storage.backup import Content
from serving.storage.backupkey import CLEAR, PUBLIC, SEALED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gateway.messagelog.keyplaces import KeyPlace
    from gateway.messagelog.places import LogPlace
    from serving.storage.database import AnyDatabase
    from serving.storage.replica import Replica

SERVERCONF = "serverconf.sqlite"
LOGINS = "admin.sqlite"
WORKERS = "workers"
BACKUP_CONTENT = Content(
    kind="gateway",
    databases=(SERVERCONF, LOGINS),
    files=("settings.toml", "gateway.toml", PROFILES_FILE, SEALED, PUBLIC),
    folders=("token", "globalconf", "profiles", "tls", "acme"),
    keep=("log", "logkeys", "backups"),
    formerly=(CLEAR,),
)


def find_folder(data: Path, environ: Mapping[str, str]) -> DataFolder:
    """A data folder, with the database that its own settings or the environment name. Raises `OperatorError`."""
    node = read_node(data, environ)
    return DataFolder(
        data,
        node.address(environ),
        replica=node.replica_address(environ),
        replica_lag_s=node.replica_lag_s,
        objects=node.bodies_address(),
    )


def worker_folder(root: Path, number: int) -> Path:
    """The folder, within the data folder, of what one worker alone writes."""
    return root / WORKERS / str(number)


@dataclass(frozen=True, slots=True)
class DataFolder:
    """The names within a gateway's data folder, and of what is in the database that its nodes share, if they do."""

    root: Path
    # postgresql://..., with its password; empty: SQLite in the folder.
    database: str = field(default="", repr=False)
    # Which of several workers of this folder the process is, from 1; 0 where it is the only one.
    worker: int = 0
    # A standby of that database, with its password, and how far it may be behind; empty: none is read.
    replica: str = field(default="", repr=False)
    replica_lag_s: float = 10.0
    # The object store that large bodies go to; empty: none does.
    objects: str = ""

    @property
    def is_first(self) -> bool:
        """Whether the process does what one alone does: administrators, and the work that is done once."""
        return self.worker <= 1

    @property
    def own(self) -> Path:
        """The folder of what the process alone writes: global configuration, OCSP responses, spools."""
        return self.root if self.is_first else worker_folder(self.root, self.worker)

    @property
    def spool(self) -> Path:
        """Bodies on their way through this process; beside the message log, which takes them over, where that is in the folder."""
        return self.log / "spool" if self.is_first else self.own / "spool"

    @property
    def ocsp(self) -> Path:
        """The OCSP responses that this process has fetched."""
        return self.own / "ocsp"

    @property
    def serverconf(self) -> Path | str:
        """The path of the server configuration's database, or the address of the shared one."""
        return self.database or self.root / SERVERCONF

    @property
    def standby(self) -> Replica | None:
        """The standby that may be read from, or None."""
        if not self.replica:
            return None
        from serving.storage.replica import Replica

        return Replica(self.replica, self.replica_lag_s)

    def reading(self, database: AnyDatabase, schema: str) -> AnyDatabase:
        """A schema of the shared database for what may be some seconds old: read from the standby, if there is one."""
        standby = self.standby
        if standby is None:
            return database
        from serving.storage.replica import ReplicaDatabase

        return ReplicaDatabase(database, schema, standby)

    @property
    def logins(self) -> Path | str:
        """Users, API keys and the audit log."""
        return self.database or self.root / LOGINS

    @property
    def records(self) -> Path | str:
        """The path of the monitoring records' database, or the address of the shared one."""
        return self.database or self.log / "opmonitoring.sqlite"

    @property
    def message_log(self) -> LogPlace:
        """The place of the message log: the folder, or the shared database."""
        if self.database:
            from gateway.messagelog.shared import SharedPlace

            return SharedPlace(self.database, self.standby, self.objects)
        return FolderPlace(self.log, self.objects)

    @property
    def message_log_keys(self) -> KeyPlace:
        """The place of the message log's sealed keys: the folder, or the shared database."""
        if self.database:
            from gateway.messagelog.shared import DatabaseKeys

            return DatabaseKeys(self.database)
        return FolderKeys(self.log_keys)

    @property
    def token(self) -> Path:
        """The folder of the software token."""
        return self.root / "token"

    @property
    def globalconf(self) -> Path:
        """The folder of the stored global configuration."""
        return self.own / "globalconf"

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
