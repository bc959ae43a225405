"""The process of a gateway: the admin API always, the gateway itself once the server is initialised.

A server without an anchor, an identifier and a token starts too: an administrator gives it these over the admin API, and
the gateway begins in the same process. Read `GatewayProcess.start` for the order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from importlib import import_module
from typing import TYPE_CHECKING

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from certs.edges.profilefiles import load_profiles
from certs.edges.tokenfiles import write_whole
from certs.tls import SwappableServerContext, TlsCredentials, system_server_context
from certs.tokens.port import SOFTWARE_TOKEN_ID
from gateway.admin.ports import Reloaded
from gateway.clients.store import ServerConfStore
from gateway.edges.configuration import ConfigurationClient
from gateway.server.addresses import listen_addresses
from gateway.server.app import Gateway
from gateway.server.nodes import SETTING_TABLE, open_nodes
from gateway.server.partsettings import configuration_settings
from gateway.server.running import note_running, note_stopped
from gateway.server.state import utc_now
from gateway.settings.config import TABLE
from gateway.settings.livesettings import LiveSettings
from schemas.faults import Fault
from serving.config.adminsettings import local_host
from serving.errors import OperatorError
from serving.login.users import SCHEMA as LOGINS_SCHEMA
from serving.login.users import Logins
from serving.process.binding import bind_address, wait_for_connection
from serving.process.loops import Loop, Loops
from serving.process.outward import outward_session
from serving.process.telemetry import set_levels
from serving.storage.audit import AuditEntry, AuditLog
from serving.storage.backupkey import settle_backup_key
from serving.storage.keysafe import KeySafe
from serving.storage.restoring import record_restore
from serving.storage.selfsigned import self_signed
from serving.storage.tlsfiles import KeptCredentials

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from certs.configuration import TrustedConfiguration
    from gateway.settings.config import GatewaySettings
    from gateway.settings.datafolder import DataFolder
    from schemas.identifiers import ServerId
    from serving.api.server import AdminApi
    from serving.config.adminsettings import AdminSettings
    from serving.process.addresses import ListenAddress
    from serving.process.ending import Ending

log = logging.getLogger("gateway.server.process")

FIRST_ANCHOR = "first-anchor.xml"


class GatewayProcess:
    """Runs the admin API and, when there is something to run, the gateway."""

    def __init__(
        self,
        folder: DataFolder,
        settings: GatewaySettings,
        pin: str | None,
        *,
        environ: Mapping[str, str] | None = None,
        signer_arguments: Sequence[str] = (),
        settings_file: Path | None = None,
        restart: Callable[[], None] | None = None,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self._pin = pin
        self._environ = environ or {}
        self.safe = KeySafe(settings.seal.seals(self._environ))
        self._signer_arguments = signer_arguments
        folder.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.nodes = open_nodes(folder, settings.node)
        self.store = ServerConfStore(folder.serverconf)
        self.nodes.check(self.store)
        self.nodes.notify_changes()
        self.live = LiveSettings(self.store.database, settings_file, self._environ)
        self.gateway: Gateway | None = None
        self.loops = Loops()
        self._seen_settings = self.live.revision()
        self._foundation: ConfigurationClient | None = None
        self.logins = Logins(folder.logins)
        self.logins.reading = folder.reading(self.logins.database, LOGINS_SCHEMA)
        # Ends this process in order and starts it anew; None: it cannot.
        self.start_anew = restart
        self._audit = AuditLog(self.logins.database)
        record_restore(folder.root, self._audit)
        self._admin = admin_settings(settings)
        self._api: AdminApi | None = None
        self._admin_at: tuple[str, int] = ("", 0)  # where it listens
        self._admin_sockets: Sequence[socket.socket] = ()  # until the API serves them

    @property
    def api(self) -> AdminApi:
        """The admin API. It is a good part of this program, so it is read and made when somebody first asks for it."""
        if self._api is None:
            from gateway.admin.api import make_api
            from serving.api.authentication import Clock

            clock = Clock(utc_now, time.monotonic)
            sessions = self.nodes.sessions(self._admin.session_idle_s)
            self._api = make_api(self, self._admin, self.logins, clock, self._environ, sessions)
        return self._api

    async def start(self) -> None:
        """Start the gateway if the server is initialised, then take the address for administrators."""
        self._session = outward_session()
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        self.loops.start(
            [self.nodes.changes.loop("settings", SETTING_TABLE, self._look_at_settings), *self.nodes.loops()]
        )
        if self.store.is_initialised():
            await self._begin()
        elif self._anchor_file.exists():
            self._foundation = self._client(self._anchor_file.read_bytes())
            await self._foundation.load()
            with contextlib.suppress(Fault):
                await self._foundation.refresh()
        if self.folder.is_first:
            settle_backup_key(self.folder.root, self.safe)
        if self._admin.port and self.folder.is_first:
            await self._listen_for_administrators()
        if self.gateway is None:
            log.warning(
                "not initialised: waiting for an administrator",
                extra={"event": "uninitialised", "admin": f"https://{self._admin.host}:{self._admin.port}"},
            )

    @property
    def listens_on(self) -> list[ListenAddress]:
        """Every address of this server, with the admin API's as it is."""
        found = listen_addresses(self.settings, self._admin)
        return found if self.gateway is not None else found[-1:]

    async def drain(self, ending: Ending) -> None:
        """For ``listen.drain_s`` say that this process stops and answer all the same; a second signal ends it at once."""
        if self.gateway is None or not self.settings.listen.drain_s:
            return
        self.gateway.retire()
        log.info("stopping: messages are still taken", extra={"event": "draining"})
        await ending.wait_again(self.settings.listen.drain_s)

    async def stop(self) -> None:
        """Stop taking changes, then let exchanges end."""
        if self.folder.is_first:
            note_stopped(self.folder.root)
        await self.loops.stop()
        await self.nodes.stop_listening()
        if self._api is not None:
            await self._api.stop()
        for listening in self._admin_sockets:
            listening.close()
        if self.gateway is not None:
            await self.gateway.stop()
        await self._session.close()
        await asyncio.to_thread(self.nodes.close)
        self.logins.close()
        self.store.close()

    # Settings

    def reconfigure(self) -> Reloaded:
        """Read the settings again and go on with what may change while running. Raises `OperatorError`: nothing changed."""
        written = self.live.load()
        changes = TABLE.differences(self.settings, written)
        taken = tuple(c for c in changes if TABLE.settings[c.name].live)
        waiting = tuple(c for c in changes if not TABLE.settings[c.name].live)
        if taken:
            before = self.settings.logging
            self.settings = TABLE.with_live(self.settings, written)
            set_levels(self.settings.log_level, self.settings.logging, before)
            if self.gateway is not None:
                self.gateway.reconfigure(self.settings)
        for change in changes:
            state = "taken" if change in taken else "waits for a restart"
            log.info("%s: %s", change.line(), state, extra={"event": "setting", "setting": change.name})
        return Reloaded(taken, waiting)

    def reload_on_signal(self) -> None:
        """Read the settings again because somebody at this machine said so (SIGHUP); audited."""
        try:
            found = self.reconfigure()
        except OperatorError as err:
            log.error("settings not taken", extra={"event": "settings_refused", "reason": str(err)})
            self._audit_reload("failed", (), str(err))
            return
        self._audit_reload("done", tuple(c.line() for c in found.taken), "")

    def _audit_reload(self, outcome: str, changes: tuple[str, ...], reason: str) -> None:
        detail = {"reason": reason} if reason else {}
        self._audit.append(
            AuditEntry(utc_now(), "system", "SIGHUP", "SETTINGS_RELOAD", outcome, "", detail, changes)
        )

    def _audit_refused(self, url: str, reason: str) -> None:
        detail = {"reason": reason}
        self._audit.append(
            AuditEntry(utc_now(), "system", "", "CONFIGURATION_REFUSED", "refused", url, detail)
        )

    async def _look_at_settings(self) -> None:
        """Take what a command set, within the time that watching the server configuration takes too."""
        revision = await asyncio.to_thread(self.live.revision)
        if revision == self._seen_settings:
            return
        try:
            self.reconfigure()
        except OperatorError as err:  # said once: they are read again when they change again
            log.error("settings not taken", extra={"event": "settings_refused", "reason": str(err)})
        self._seen_settings = revision

    # What the admin API asks of the process

    def configuration(self) -> TrustedConfiguration | None:
        """The global configuration in force."""
        client = self._foundation if self.gateway is None else self.gateway.configuration_client
        return None if client is None else client.current

    def anchor(self) -> bytes | None:
        """The configuration anchor in use (XML), from the store or, before initialisation, from its file; None without either."""
        if self.store.is_initialised():
            return self.store.anchor()
        return self._anchor_file.read_bytes() if self._anchor_file.exists() else None

    async def take_anchor(self, anchor: bytes) -> None:
        """Fetch and prove a configuration by a first anchor; only then is the anchor kept."""
        client = self._client(anchor)
        await client.refresh()
        # On disk before this: the proved configuration; after it the anchor too. A crash in between leaves a configuration that
        # nothing trusts, and the anchor is given again.
        write_whole(self._anchor_file, anchor)
        self._foundation = client

    async def replace_anchor(self, anchor: bytes) -> None:
        """Fetch and prove a configuration by another anchor; only then does it take the old one's place."""
        client = self._client(anchor)
        await client.refresh()
        if self.store.is_initialised():
            # The new anchor is in the store when this returns, in one transaction; a crash before the restart starts with it.
            self.store.replace_anchor(anchor)
            await self.restart()
        else:
            write_whole(self._anchor_file, anchor)
            self._foundation = client

    async def initialise(self, server: ServerId, pin: str | None) -> None:
        """Become a security server: identifier and owner in one transaction, then the token, then begin. Raises LookupError."""
        anchor = self.anchor()
        if anchor is None:
            raise LookupError("there is no anchor")
        self.store.initialise(server, anchor, owner_added_at=utc_now())
        self.nodes.check(self.store)
        # On disk now: a server without a token. A crash here leaves one that takes its PIN with the next initialisation.
        await self._begin(make_token_with=pin)
        # The anchor is in the store since the transaction; a crash before this line leaves a file that is read no more.
        self._anchor_file.unlink(missing_ok=True)

    async def restart(self) -> None:
        """Begin anew with what is on the disk now; one of several workers lets all of them begin anew."""
        if self.folder.worker and self.start_anew is not None:
            self.start_anew()
            return
        if self.gateway is not None:
            await self.gateway.stop()
            self.gateway = None
        await self._begin()

    # Parts of the above

    @property
    def _anchor_file(self) -> Path:
        return self.folder.root / FIRST_ANCHOR

    def _client(self, anchor: bytes) -> ConfigurationClient:
        return ConfigurationClient(
            anchor,
            self.folder.globalconf,
            self._session,
            clock=utc_now,
            settings=configuration_settings(self.settings),
            profiles=load_profiles(self.folder.root),
        )

    async def _listen_for_administrators(self) -> None:
        """With the kept key pair; while the token that seals it waits for a login, with one from memory.

        Only the address is taken here. Many a gateway is asked nothing for weeks: the API is made once somebody connects, who waits for it.
        """
        address = self._admin.host or "localhost"
        kept = KeptCredentials(
            self.folder.tls, "admin", self.safe, lambda: TlsCredentials(*self_signed(address))
        )
        rules = self.settings.tls.systems()
        context = SwappableServerContext(system_server_context(kept.current, rules=rules))

        def settle() -> None:
            settle_backup_key(self.folder.root, self.safe)
            if kept.settle():
                context.swap(system_server_context(kept.current, rules=rules))
                self._note_running(kept.current)

        host, port = self._admin.host or "127.0.0.1", self._admin.port
        self._admin_sockets = await bind_address(host, port, "admin.port")
        self._admin_at = self._admin_sockets[0].getsockname()[:2]
        self._note_running(kept.current)
        self.safe.subscribe(settle)
        settle()  # the seal may have been given while the address was taken

        async def serve() -> None:
            await wait_for_connection(self._admin_sockets)
            await asyncio.to_thread(import_module, "gateway.admin.api")  # exchanges go on meanwhile
            await self.api.start_with(context.listening, sockets=self._admin_sockets)
            self._admin_sockets = ()

        self.loops.start([Loop("administrators", serve, lambda: None, stalls=False)])

    def _note_running(self, shown: TlsCredentials) -> None:
        host, port = self._admin_at
        name = self._admin.allowed_hostnames.split(",")[0].strip()
        pem = "".join(c.public_bytes(Encoding.PEM).decode() for c in shown.chain)
        taken = msgspec.structs.replace(self._admin, host=host, port=port)
        note_running(self.folder.root, host, port, name, pem, listen_addresses(self.settings, taken))

    async def _begin(self, *, make_token_with: str | None = None) -> None:
        gateway = await Gateway.build(
            self.folder,
            self.settings,
            None if make_token_with is not None else self._pin,
            self.safe,
            environ=self._environ,
            signer_arguments=self._signer_arguments,
            leases=self.nodes.leases,
            changes=self.nodes.changes,
        )
        await gateway.start()
        gateway.configuration_client.when_refused(self._audit_refused)
        self.gateway = gateway
        self._foundation = None
        if make_token_with is not None:
            await gateway.keys.initialise_token(SOFTWARE_TOKEN_ID, make_token_with)
            # The operator's PIN, had one been given for this start, was for no token; from now on this one is right.
            self._pin = make_token_with


def admin_settings(settings: GatewaySettings) -> AdminSettings:
    """The admin API's settings with a host: the one they name, else the consumer listener's where only this machine reaches it, or 127.0.0.1."""
    admin, consumers = settings.admin, settings.listen.consumer_host
    if admin.host:
        return admin
    return msgspec.structs.replace(admin, host=local_host(consumers))
