"""The settings of one node among several: its name, and the database they share.

They say where everything else is kept, the settings of a running gateway among it. So they are never kept there themselves, and
every command of a data folder must find them without being told: in the folder's own ``settings.toml`` or in the environment.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Annotated

import msgspec

from serving.config.secret import SecretSource
from serving.config.setting import Setting
from serving.config.settings import load_settings
from serving.errors import OperatorError
from serving.storage.database import POSTGRES_SCHEMES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENVIRONMENT_PREFIX = "SACBE_GATEWAY"
FILE = "settings.toml"


class NodeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which node this is, and which database it shares with the others."""

    # fmt: off
    name: Annotated[str, Setting(help="This node's name, where several share a database; empty: the machine's.")] = ""
    # postgresql://user@host:5432/database, without the password; empty keeps everything in the data folder.
    database: Annotated[str, Setting(help="Database that several nodes share, postgresql://user@host/database; empty: SQLite in the data folder.")] = ""
    password: Annotated[SecretSource, Setting(help="The password of that database's user.")] = SecretSource()
    read_only: Annotated[bool, Setting(help="Whether administrators may only look at this node: changes are made at another one.")] = False
    # fmt: on

    @property
    def node_name(self) -> str:
        """The name of this node among the others."""
        return self.name or socket.gethostname()

    def address(self, environ: Mapping[str, str]) -> str:
        """The database's address with its password; empty for none. Raises `OperatorError`."""
        if not self.database:
            return ""
        if not self.database.startswith(POSTGRES_SCHEMES):
            scheme = self.database.partition("://")[0] if "://" in self.database else "no scheme"
            raise OperatorError(
                f"node.database has {scheme}; expected postgresql://user@host:5432/database, or nothing for SQLite in the data folder"
            )
        from serving.storage.postgres import shown_address, with_password

        shown_address(self.database)
        if not self.password.is_set:
            return self.database
        try:
            return with_password(self.database, self.password.read(environ))
        except ValueError as err:
            raise OperatorError(f"node.password: {err}") from err


class _Stored(msgspec.Struct, frozen=True):
    node: NodeSettings = NodeSettings()


def read_node(data: Path, environ: Mapping[str, str]) -> NodeSettings:
    """The node's settings as every command of the data folder finds them. Raises `OperatorError`."""
    file, named = data / FILE, f"{ENVIRONMENT_PREFIX}_NODE_"
    return load_settings(
        _Stored,
        file if file.exists() else None,
        {name: value for name, value in environ.items() if name.startswith(named)},
        ENVIRONMENT_PREFIX,
    ).node
