"""This process among the equal nodes of one gateway, or alone.

A data folder remembers in ``node.json`` which installation and which server it is of, so that it cannot be pointed at another
server's database by mistake.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec

from certs.edges.tokenfiles import write_whole
from gateway.settings.datafolder import SERVERCONF, find_folder
from gateway.settings.nodesettings import ENVIRONMENT_PREFIX
from schemas.jsontext import decode_json, encode_json
from serving.errors import OperatorError
from serving.language import N_
from serving.login.sessions import Sessions
from serving.process.changes import Changes
from serving.process.leases import EveryLease, NoLease
from serving.process.loops import Loop
from serving.storage.database import opened_to_read

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gateway.clients.store import ServerConfStore
    from gateway.settings.datafolder import DataFolder
    from gateway.settings.nodesettings import NodeSettings
    from serving.login.sessions import SessionStore
    from serving.process.leases import Leases
    from serving.storage.listening import ChangeListener
    from serving.storage.nodes import SharedNodes

FILE = "node.json"
# The tables of which nodes keep in memory what is there: a row of the first changes with the configuration, rights, keys and policies.
# All else is read where it is asked for.
SERVER_TABLE = "server"
SETTING_TABLE = "setting"


class _Remembered(msgspec.Struct, frozen=True):
    code: str = ""
    server: str = ""


class Nodes:
    """Leases and sessions of a process: shared with the other nodes of its gateway, or its own while ``shared`` is None."""

    def __init__(self, folder: DataFolder, shared: SharedNodes | None, code: str = "") -> None:
        self._folder = folder
        self._code = code
        self.shared = shared
        self.changes = Changes()
        self._listener: ChangeListener | None = None

    @property
    def leases(self) -> Leases:
        """The leases that say whose turn a piece of background work is."""
        if not self._folder.is_first:
            return NoLease()
        return EveryLease() if self.shared is None else self.shared

    def sessions(self, idle_s: float) -> SessionStore:
        """The browser sessions of the admin API, at every node or in this process alone."""
        if self.shared is None:
            return Sessions(idle_s)
        from serving.login.sharedsessions import SharedSessions

        return SharedSessions(self.shared.database, idle_s)

    def check(self, store: ServerConfStore) -> None:
        """Refuse the database of another server, or an empty one beside a gateway that is in the folder. Raises `OperatorError`."""
        if self.shared is None:
            return
        from serving.storage.nodes import check_same

        file = self._folder.root / FILE
        kept = decode_json(file.read_bytes(), _Remembered) if file.exists() else _Remembered()
        here = kept.server or server_in(self._folder.root)
        there = store.server_id().path() if store.is_initialised() else ""
        if here and not there:
            raise OperatorError(
                N_(
                    "{root} holds the server {here}, and the database of node.database holds none yet: copy it there with gateway storage move, or name the right database. Nothing was changed",
                    root=self._folder.root,
                    here=here,
                )
            )
        check_same(kept.code, here, self._code, there)
        if there and (kept.code, kept.server) != (self._code, there):
            # On disk from here on: which server this folder is of. A crash before it leaves a folder that is asked again.
            write_whole(file, encode_json(_Remembered(self._code, there)))

    def notify_changes(self) -> None:
        """Have what any node or command changes in the database told to all; the tables are there. Raises OSError."""
        if self.shared is not None:
            from serving.storage.listening import notify_changes

            notify_changes(self.shared.database, (f"public.{SERVER_TABLE}", f"public.{SETTING_TABLE}"))

    def loops(self) -> list[Loop]:
        """The loops that put the end of held leases off and hear of changes; none for a process that runs alone."""
        if self.shared is None:
            return []
        from serving.storage.listening import ChangeListener
        from serving.storage.nodes import RENEWAL_S

        self._listener = ChangeListener(self._folder.database, self.changes)
        renewing = Loop("nodes", self.shared.renew, lambda: RENEWAL_S, retry_s=lambda _failures: 1.0)
        return [renewing, self._listener.loop()]

    async def stop_listening(self) -> None:
        """Close the connection that changes were told over."""
        if self._listener is not None:
            await self._listener.close()

    def close(self) -> None:
        """Give back every lease that is held; with a database that is lost they end by themselves."""
        if self.shared is not None:
            try:
                self.shared.close()
            except OSError:
                self.shared = None


def open_nodes(folder: DataFolder, settings: NodeSettings) -> Nodes:
    """Be a node of the database that the folder names, if it names one. Raises `OperatorError`, OSError."""
    if not folder.database:
        return Nodes(folder, None)
    from serving.storage.nodes import SharedNodes

    name = settings.node_name if folder.is_first else f"{settings.node_name}-{folder.worker}"
    shared = SharedNodes(folder.database, name, version("sacbe"))
    try:
        return Nodes(folder, shared, shared.begin())
    except BaseException:
        shared.close()
        raise


def check_found(data: Path, settings: NodeSettings, environ: Mapping[str, str]) -> None:
    """Refuse a database, or a store of bodies, that only the file given to this process names: commands of the folder would look elsewhere."""
    found = find_folder(data, environ)
    for name, here, there in (
        ("database", settings.address(environ), found.database),
        ("bodies", settings.bodies_address(), found.objects),
    ):
        if here != there:
            raise OperatorError(
                N_(
                    "node.{name} stands in a settings file that commands of {data} do not read; set it in {file} or as {variable}, where every command finds it",
                    name=name,
                    data=data,
                    file=data / "settings.toml",
                    variable=f"{ENVIRONMENT_PREFIX}_NODE_{name.upper()}",
                )
            )


def server_in(data: Path) -> str:
    """The server whose configuration is in the folder's own SQLite, or nothing."""
    path = data / SERVERCONF
    if not path.exists():
        return ""
    with opened_to_read(path, ["server"]) as database:
        tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found = database.execute("SELECT server_id FROM server").fetchone() if "server" in tables else None
    return str(found[0]) if found else ""
