"""The composition root of a central server: builds every part by plain calls, starts the listeners, stops them in order.

A change is published as soon as it is seen: twice a second it is looked for, or it is told at the commit where the store is a database
that several nodes share. Without one a new directory is signed each minute, because directories expire. What cannot be generated is said in the log and on ``/health``, and the old configuration stays.
"""

from __future__ import annotations

import contextlib
import logging
import os
import time
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web
from cryptography import x509

from central_server.admin.api import make_api
from central_server.admin.context import CentralAdminContext
from central_server.config import admin_host, management_host
from central_server.datafolder import BACKUP_CONTENT, WITNESS, witness_name
from central_server.edges.cataloguepages import catalogue_app
from central_server.edges.federation import check_external_source
from central_server.edges.gatherer import Gatherer
from central_server.edges.management import ManagementEdge, StoreKeeper
from central_server.edges.notifier import RequestNotifier
from central_server.edges.pinned import read_pinned
from central_server.edges.tokens import open_tokens
from central_server.edges.witnesses import announcement_routes, keep_own_witness
from central_server.edges.wsdl import add_wsdl_route
from central_server.publication.generate import host_of
from central_server.publication.metrics import CentralMetrics
from central_server.publication.node import NOT_YET, CentralNode, open_store
from central_server.publication.publish import add_routes
from central_server.store.sources import node_address
from central_server.store.witnesses import log_key
from certs.edges.profilefiles import load_profiles
from certs.tls import SwappableServerContext, TlsCredentials, system_server_context
from schemas.faults import Fault
from serving.api.authentication import Clock
from serving.api.backupoperations import BackupResource
from serving.api.limits import RateLimit
from serving.errors import Refused
from serving.language import SOURCE_LANGUAGE
from serving.login.sessionplaces import open_sessions
from serving.login.users import Logins
from serving.process.changes import NOTIFIED_POLL_S, Changes
from serving.process.devices import build_devices, build_signers, signer_loops
from serving.process.listener import BoundedRunner, ListenerBounds
from serving.process.listener import listen as listen_at
from serving.process.loops import Loop, Loops
from serving.storage.audit import AuditLog
from serving.storage.backupkey import settle_backup_key
from serving.storage.database import Database
from serving.storage.keysafe import TOKEN_PURPOSE, KeySafe, NotAtHand, Seal
from serving.storage.restoring import record_restore
from serving.storage.selfsigned import self_signed
from serving.storage.tlsfiles import KeptCredentials
from serving.web.witnessing import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from central_server.config import CentralSettings
    from serving.process.loops import LoopFailure
    from serving.storage.listening import ChangeListener

log = logging.getLogger("central_server")

WATCH_S = 0.5
# A row of it changes with every change that is to be published.
GENERATION_TABLE = "parameter"
# Answered when everything else of a listener is full.
HEALTH = frozenset({"/health"})


def utc_now() -> datetime:
    """The time of this machine's clock, in UTC."""
    return datetime.now(UTC)


def _first_contexts(*, is_pinned: bool) -> dict[str, SwappableServerContext]:
    """TLS of both services until their certificates are there: a pair that nobody trusts."""
    first = TlsCredentials(*self_signed("not-ready"))
    return {
        "registration": SwappableServerContext(system_server_context(first)),
        # Whether a certificate is asked for is decided here and stays; which are let in is swapped.
        "management": SwappableServerContext(system_server_context(first, first.chain if is_pinned else ())),
    }


class CentralServer:
    """One running central server node."""

    def __init__(
        self,
        data: Path,
        settings: CentralSettings,
        pin: str | None = None,
        signer_arguments: Sequence[str] = (),
        restart: Callable[[], None] | None = None,
    ) -> None:
        self._safe = KeySafe(settings.seal.seals(os.environ))
        self._data = data
        self._pin = pin
        self._settings = settings
        devices = build_devices(settings.keys, data)
        self.node = CentralNode(
            data, open_store(data, settings), settings.publishing, devices, load_profiles(data)
        )
        self.signers = build_signers("central_server", settings.keys, data, signer_arguments)
        self.audit = AuditLog(self.node.store.database)
        self._pinned = read_pinned(data, settings.management)
        keeper = StoreKeeper(self.node.store, settings.approval.policy, self.node.profiles)
        self.management = self._management_edge(keeper)
        self.logins = Logins(settings.node.database or data / "admin.sqlite")
        context = CentralAdminContext(
            self.node,
            settings.approval.policy,
            keeper.trusted,
            check_external_source,
            version("sacbe"),
        )
        calls = AuditLog(self.logins.database)
        record_restore(data, calls)
        backups = self._backups(restart, calls)
        clock = Clock(utc_now, time.monotonic)
        admin = msgspec.structs.replace(settings.admin, host=admin_host(settings))
        self._sessions = open_sessions(settings.node.database, admin.session_idle_s)
        self.admin = make_api(context, admin, self.logins, clock, backups, os.environ, self._sessions)
        self.witness = self._make_witness()
        self._notifier = RequestNotifier(self.node.store, settings.notices, utc_now, os.environ)
        self._gatherer = Gatherer(self.node.store, settings.catalogue, utc_now)
        self._runners: list[BoundedRunner] = []
        self.loops = Loops()
        self.changes = Changes(min(NOTIFIED_POLL_S, settings.publishing.regenerate_s))
        self._listener: ChangeListener | None = None
        self._signer_loops = Loops()  # they end last: what stops may sign still
        self._gathered_metrics = CentralMetrics(self.node, self._failing, data)
        self._tls = _first_contexts(is_pinned=self._pinned is not None)
        self.node.keys.when_opened(self._take_tls)
        self.node.keys.when_opened(self._give_seal)
        self.node.keys.when_opened(self._publish_soon)

    def _management_edge(self, keeper: StoreKeeper) -> ManagementEdge:
        limit = RateLimit(0, self._settings.management.requests_per_minute)
        return ManagementEdge(keeper, self.audit, utc_now, time.monotonic, limit, self._pinned)

    def _make_witness(self) -> Witness:
        """The witness of this instance's gateways and of the logs the settings name, under the instance's name."""
        return Witness(
            self._data / WITNESS,
            lambda: witness_name(self.node.store.read().instance),
            self._settings.witness.follows,
            self._safe,
            utc_now,
            lambda name: log_key(self.node.store.read(), name),
        )

    def _publish_witness(self) -> None:
        """Publish where this node is asked as a witness and its key, once the key's seal is at hand."""
        with contextlib.suppress(NotAtHand, Refused):
            keep_own_witness(self.node.store, self.witness, self._settings.listen.http_port, utc_now())

    def _backups(self, restart: Callable[[], None] | None, calls: AuditLog) -> BackupResource:
        """Backups of this server's folder, as its settings say."""
        settings = self._settings
        return BackupResource(
            self._data,
            BACKUP_CONTENT,
            lambda: settings.backup.recipients,
            lambda: self.node.store.read().instance,
            version("sacbe"),
            self._safe,
            restart,
            lambda: any(t.module and not t.pin.is_set for t in settings.keys.tokens),
            calls.head,
        )

    def _admitted(self) -> list[x509.Certificate]:
        return [x509.load_der_x509_certificate(der) for der in self._pinned or ()]

    async def _look_at_pinned(self) -> None:
        """Take the certificates of the management security server that are in their files now."""
        found = read_pinned(self._data, self._settings.management)
        if found != self._pinned:
            self._pinned = self.management.pinned = found
            await self._take_tls()
            log.info("pinned certificates taken", extra={"event": "pinned", "count": len(found or ())})

    async def _take_tls(self) -> None:
        credentials = await self.node.keys.tls_credentials()
        if credentials is not None:
            self._tls["registration"].swap(system_server_context(credentials))
            self._tls["management"].swap(system_server_context(credentials, self._admitted()))

    async def _give_seal(self) -> None:
        with contextlib.suppress(Fault):  # another token was opened, and the software token is locked
            self._safe.give(Seal.of_token(await self.node.keys.derive_secret(TOKEN_PURPOSE)))

    def _admin_context(self, address: str) -> SwappableServerContext:
        """The admin listener's TLS; when the token has been unlocked, with the key pair that it seals."""
        kept = KeptCredentials(
            self._data / "tls", "admin", self._safe, lambda: TlsCredentials(*self_signed(address))
        )
        context = SwappableServerContext(system_server_context(kept.current))

        def settle() -> None:
            settle_backup_key(self._data, self._safe)
            if kept.settle():
                context.swap(system_server_context(kept.current))

        self._safe.subscribe(settle)
        return context

    def public_app(self) -> web.Application:
        """The application that gateways download the signed configuration from."""
        app = web.Application()
        add_routes(app, self.node.published)
        add_wsdl_route(app, self._management_address)
        app.router.add_routes(self.witness.routes("/tlog"))
        app.router.add_routes(announcement_routes(self.node.store, utc_now))
        app.router.add_get("/health", self._health)
        self._gathered_metrics.metrics.add_route(app, lambda: self._settings.listen.metrics_from)
        return app

    def _management_address(self) -> str:
        listen = self._settings.listen
        host = host_of(node_address(self.node.store.read()) or listen.host)
        return f"https://{host}:{listen.management_port}/managementservice/manage/"

    def _failing(self) -> list[LoopFailure]:
        return [*self.loops.failures(), *self._signer_loops.failures()]

    async def _health(self, _request: web.Request) -> web.Response:
        problem = None if self.node.problem is None else self.node.problem.into(SOURCE_LANGUAGE)
        if self.node.problem not in (None, NOT_YET):
            problem = f"the configuration could not be generated, the old one stays: {problem}"
        failing = self._failing()
        if problem is None:
            problem = next((f"{loop}; report the log" for loop in failing if loop.needed), None)
        warnings = [f"{loop}; report the log" for loop in failing if not loop.needed]
        status: dict[str, object] = {
            "status": "up" if problem is None else "down",
            "problem": problem,
            "warnings": warnings,
        }
        if self.node.faults:  # for others to see how many; which they are is for administrators
            status["rows_at_fault"] = len(self.node.faults)
        return web.json_response(status, status=200 if problem is None else 503)

    async def start(self) -> None:
        """Open what tokens can be opened, publish once, then listen and start the loops. Raises `TokenFailed`."""
        self._signer_loops.start(signer_loops(self.signers))
        await open_tokens(self.node.keys, self._settings.keys, self._pin, os.environ, utc_now())
        await self.node.publish_if_due(utc_now())
        listen = self._settings.listen
        address = node_address(self.node.store.read())
        public = TlsCredentials(*self_signed(host_of(address or listen.host)))
        management = management_host(self._settings)
        catalogue = self._settings.catalogue.port
        for setting, app, host, port, context in (
            ("listen.http_port", self.public_app(), listen.host, listen.http_port, None),
            (
                "listen.https_port",
                self.public_app(),
                listen.host,
                listen.https_port,
                system_server_context(public),
            ),
            (
                "listen.registration_port",
                self.management.registration_app(),
                listen.host,
                listen.registration_port,
                self._tls["registration"].listening,
            ),
            ("catalogue.port", catalogue_app(self.node.store), listen.host, catalogue, None),
            (
                "listen.management_port",
                self.management.service_app(),
                management,
                listen.management_port,
                self._tls["management"].listening,
            ),
        ):
            if port:
                bounds = ListenerBounds(always=HEALTH)
                self._runners.append(
                    await listen_at(app, host, port, context, bounds=bounds, setting=setting)
                )
        settle_backup_key(self._data, self._safe)
        self._safe.subscribe(self._publish_witness)
        self._publish_witness()
        if self._settings.admin.port:
            name = host_of(address or admin_host(self._settings))
            await self.admin.start_with(self._admin_context(name).listening)
        self.loops.start(self._all_loops())

    def _all_loops(self) -> list[Loop]:
        """The loops that the settings ask for."""
        loops = [
            self.changes.loop(
                "publishing", GENERATION_TABLE, self._publish, retry_s=lambda _failures: WATCH_S, needed=True
            ),
            *self._listening(),
            self._notifier.loop(),
        ]
        if self._settings.management.pinned_certificates:
            loops.append(Loop("pinned certificates", self._look_at_pinned, lambda: WATCH_S))
        if self._settings.catalogue.gateway:
            loops.append(self._gatherer.loop())
        return loops

    def _listening(self) -> list[Loop]:
        """The loop that is told of what other nodes and commands change; none where the store is this folder's alone."""
        database = self.node.store.database
        if isinstance(database, Database):
            return []
        from serving.storage.listening import ChangeListener, notify_changes

        notify_changes(database, (f"public.{GENERATION_TABLE}",))
        self._listener = ChangeListener(self._settings.node.database, self.changes)
        return [self._listener.loop()]

    async def _publish(self) -> None:
        await self.node.publish_if_due(utc_now())

    async def _publish_soon(self) -> None:
        """Look for what is to be published without waiting: keys that sign are open now."""
        self.changes.notify(GENERATION_TABLE)

    async def stop(self) -> None:
        """Let requests in progress end, then close everything."""
        await self.admin.stop()
        for runner in self._runners:
            await runner.cleanup()
        await self.loops.stop()
        if self._listener is not None:
            await self._listener.close()
        await self.node.close()
        await self._signer_loops.stop()
        self._sessions.close()
        self.logins.close()
