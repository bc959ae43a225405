"""The settings of one node among several: its name, and the database they share.

They say where everything else is kept, the settings of a running gateway among it. So they are never kept there themselves, and
every command of a data folder must find them without being told: in the folder's own ``settings.toml`` or in the environment.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Annotated

import msgspec

from schemas.showing import shown
from serving.config.secret import SecretSource
from serving.config.setting import Setting
from serving.config.settings import load_settings
from serving.errors import OperatorError
from serving.language import N_
from serving.storage.database import POSTGRES_SCHEMES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENVIRONMENT_PREFIX = "SACBE_GATEWAY"
FILE = "settings.toml"
# Object stores that have what they were given on their disks when they say so, and refuse a second object of a name.
OBJECT_SCHEMES = ("s3", "gs", "az")


class NodeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which node this is, and which database it shares with the others."""

    # fmt: off
    name: Annotated[str, Setting(help="This node's name, where several share a database; empty: the machine's.")] = ""
    # postgresql://user@host:5432/database, without the password; empty keeps everything in the data folder.
    database: Annotated[str, Setting(help="Database that several nodes share, postgresql://user@host/database; empty: SQLite in the data folder.")] = ""
    password: Annotated[SecretSource, Setting(help="The password of that database's user.")] = SecretSource()
    # postgresql://..., as `database`; its user and password are the database's unless the address names others.
    replica: Annotated[str, Setting(help="Standby of that database that searches, containers and the audit log are read from while it is close behind; empty: none.")] = ""
    replica_lag_s: Annotated[float, Setting(help="How far that standby may be behind; beyond, the database itself is read.", low=5, high=3600)] = 10.0
    # "s3://bucket/prefix"; keys and endpoint in the environment, as obstore takes them (docs/nodes.md).
    bodies: Annotated[str, Setting(help="Object store of the bodies of large messages, s3://bucket/prefix; empty: beside the message log, in its folder or database.")] = ""
    read_only: Annotated[bool, Setting(help="Whether administrators may only look at this node: changes are made at another one.")] = False
    # fmt: on

    @property
    def node_name(self) -> str:
        """The name of this node among the others."""
        return self.name or socket.gethostname()

    def address(self, environ: Mapping[str, str]) -> str:
        """The database's address with its password; empty for none. Raises `OperatorError`."""
        return self._address("node.database", self.database, environ)

    def replica_address(self, environ: Mapping[str, str]) -> str:
        """The standby's address with the database's password; empty for none. Raises `OperatorError`."""
        if self.replica and not self.database:
            raise OperatorError(
                N_("node.replica is a standby of node.database, which is not set; set both, or neither")
            )
        return self._address("node.replica", self.replica, environ)

    def bodies_address(self) -> str:
        """The object store of large bodies; empty for none. Raises `OperatorError`."""
        place, _sign, rest = self.bodies.partition("://")
        if self.bodies and (place not in OBJECT_SCHEMES or not rest.strip("/")):
            raise OperatorError(
                N_(
                    "node.bodies is {bodies}; expected {scheme}://bucket/prefix (or {others}), or nothing to keep bodies beside the message log",
                    bodies=shown(self.bodies),
                    scheme=OBJECT_SCHEMES[0],
                    others=", ".join(OBJECT_SCHEMES[1:]),
                )
            )
        return self.bodies.rstrip("/")

    def _address(self, setting: str, address: str, environ: Mapping[str, str]) -> str:
        if not address:
            return ""
        if not address.startswith(POSTGRES_SCHEMES):
            scheme = address.partition("://")[0] if "://" in address else "no scheme"
            raise OperatorError(
                N_(
                    "{setting} has {scheme}; expected postgresql://user@host:5432/database, or nothing for SQLite in the data folder",
                    setting=setting,
                    scheme=scheme,
                )
            )
        from serving.storage.postgres import has_password, shown_address, with_password

        shown_address(address)
        if not self.password.is_set or has_password(address):
            return address
        try:
            return with_password(address, self.password.read(environ))
        except ValueError as err:
            raise OperatorError(N_("{name}: {err}", name="node.password", err=err)) from err


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
