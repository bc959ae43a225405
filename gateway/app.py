"""The composition root of a gateway: builds every part by plain calls, starts the listeners, stops them in order.

What changes while running comes in through three doors: a new global configuration, a changed server configuration
(watched in its database), and fresh OCSP responses. Each leads to `_rebuild`, which swaps identities and TLS contexts
between two handshakes; exchanges under way keep what they began with.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import secrets
import sqlite3
import ssl
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from cryptography import x509

from certs import chains, ocsp
from certs.certificates import der_of, parse_certificate
from certs.edges.configurationfiles import render_verificationconf
from certs.edges.profilefiles import load_profiles
from certs.signing import MessageSigner
from certs.systemtls import SystemServerContext
from certs.tls import (
    SwappableServerContext,
    peer_client_context,
    peer_server_context,
    provider_client_context,
)
from gateway.edges.acmeorders import AcmeOrders, Renewing, run_renewals
from gateway.edges.configuration import ConfigurationClient, ConfigurationSettings
from gateway.edges.consumers import ConsumerListener
from gateway.edges.devices import open_tokens
from gateway.edges.diagnosing import Sources, Timestamping, as_json, diagnose_now
from gateway.edges.http import Bounds, listen
from gateway.edges.identities import OwnIdentities
from gateway.edges.managementroad import HttpManagementRoad
from gateway.edges.notifier import Notifier
from gateway.edges.peerlistener import PeerListener
from gateway.edges.peers import PeerClient, PeerExpected, PeerTimes
from gateway.edges.revocation import OwnRevocation, PeerRevocation, responder_app
from gateway.edges.services import ServiceCaller
from gateway.exchange.peertrust import PeerProver, path_of
from gateway.exchange.policygate import PolicyGate
from gateway.exchange.ports import Road, Several
from gateway.internaltls import InternalTls
from gateway.keyconf.model import CertificateStatus
from gateway.keyconf.operations import KeyOperations, Surroundings
from gateway.keyconf.store import KeyConfStore
from gateway.keyconf.tokens import Tokens
from gateway.management import ManagementSender
from gateway.messagelog.export import asic_download
from gateway.messagelog.retention import Retention, RetentionSettings
from gateway.messagelog.spool import SpoolFolder
from gateway.messagelog.store import LogSettings, MessageLog
from gateway.messagelog.timestamper import Timestamper, TimestampSettings
from gateway.metaservices.answering import Metaservices
from gateway.monitoring.answering import Monitoring
from gateway.monitoring.environment import machine_metrics, version_metric
from gateway.monitoring.health import Health
from gateway.monitoring.records import build_record
from gateway.monitoring.store import RecordStore, StoreSettings
from gateway.policies.store import PolicyStore
from gateway.serverconf.store import ServerConfStore
from gateway.validation.checkedservices import CheckedServices
from schemas.faults import Fault, Kind, NotProved
from schemas.management import ManagementRequest, ManagementService
from schemas.monitoring import Metric
from serving.devices import build_devices, build_signers

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from certs.configuration import TrustedConfiguration
    from gateway.config import Settings
    from gateway.datafolder import DataFolder
    from gateway.diagnosis import Diagnosis
    from gateway.exchange.record import ExchangeRecord
    from gateway.keyconf.model import KeyCertificate


log = logging.getLogger("gateway")

WATCH_S = 0.5


def utc_now() -> datetime:
    """This machine's clock."""
    return datetime.now(UTC)


class Gateway:
    """One running gateway."""

    def __init__(
        self,
        folder: DataFolder,
        settings: Settings,
        pin: str | None,
        *,
        environ: Mapping[str, str] | None = None,
        signer_arguments: Sequence[str] = (),
    ) -> None:
        self._settings = settings
        load_profiles(folder.root)
        self._store = ServerConfStore(folder.serverconf)
        self._serverconf = self._store.load()
        self._keyconf = KeyConfStore(self._store.database)
        self._policies = PolicyGate(utc_now, _alert)
        self._policies.swap(PolicyStore(self._store.database).snapshot())
        self._tokens = Tokens(self._keyconf, build_devices(settings.keys, folder.root))
        self._signers = build_signers("gateway", settings.keys, folder.root, signer_arguments)
        self._pin = pin
        self._environ = environ or {}
        self._folder = folder
        self._runners: list[web.BaseRunner] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._tls_key: object = None
        self._peer_client_tls: ssl.SSLContext | None = None
        self._trusted_generation = 0

    async def start(self) -> None:
        """Build, load what is on the disk, listen, and start the loops."""
        settings, folder = self._settings, self._folder
        self._signer_tasks = [asyncio.create_task(s.run(), name="signer") for s in self._signers]
        await open_tokens(self._tokens, settings.keys, self._pin, self._environ)
        self._session = aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar())
        self._configuration = ConfigurationClient(
            self._store.anchor(),
            folder.globalconf,
            self._session,
            clock=utc_now,
            settings=ConfigurationSettings(
                settings.trust.configuration_poll_s,
                settings.trust.configuration_conditional_poll_s,
                settings.trust.federations,
            ),
        )
        self._revocation = OwnRevocation(
            folder.root / "ocsp",
            self._session,
            self._current,
            utc_now,
            fetch_s=settings.trust.ocsp_fetch_s,
            retry_s=settings.trust.ocsp_retry_s,
            timeout_s=settings.trust.ocsp_timeout_s,
            order=settings.trust.ocsp_order,
        )
        self._identities = OwnIdentities(
            self._tokens,
            self._revocation,
            self._serverconf.server_id,
            settle_s=settings.keys.authentication_settle_s,
        )
        self._revocation.subscribe(self._choose_certificates)
        self.keys = KeyOperations(self._keyconf, self._tokens, self._surroundings())
        self._peer_revocation = PeerRevocation(self._session, port=settings.listen.ocsp_port)
        self._prover = PeerProver()
        spools = SpoolFolder(folder.log / "spool")
        self._log = MessageLog.open(folder.log, settings=LogSettings(settings.log.queue_length))
        self._timestamper = Timestamper(
            self._log,
            self._current,
            self._session,
            utc_now,
            TimestampSettings(
                settings.log.timestamp_interval_s,
                settings.log.timestamp_retry_s,
                settings.log.acceptable_timestamp_failure_s,
                timeout_s=settings.log.timestamp_timeout_s,
                order=settings.log.timestamp_order,
                race=settings.log.timestamp_race,
            ),
            wanted=self._wanted_authorities,
        )
        self._retention = Retention(
            self._log,
            folder.log,
            utc_now,
            RetentionSettings(
                settings.log.archive_interval_s,
                settings.log.archive_grouping,
                settings.log.archive_file_bytes,
                settings.log.keep_records_days,
            ),
        )
        monitoring = settings.monitoring
        self._records = RecordStore(
            folder.log / "opmonitoring.sqlite",
            utc_now,
            StoreSettings(monitoring.keep_days, monitoring.write_s, monitoring.buffer_length),
        )
        self._health = Health()
        self._internal_tls = InternalTls(folder.tls, settings.systems.passphrase(self._environ))
        self._own_tls = self._internal_tls.load_or_make(settings.systems.tls_address, utc_now())
        self._provider_tls = provider_client_context(self._own_tls)
        self._services = ServiceCaller(
            lambda: self._serverconf,
            lambda: self._provider_tls,
        )
        self._peers = PeerClient(
            self._check_peer,
            self._peer_tls,
            port=settings.listen.peer_port,
            times=PeerTimes(
                settings.limits.peer_connect_s,
                settings.limits.peer_remembered_connect_s,
                settings.limits.peer_read_s,
                settings.limits.fastest_remembered_s,
            ),
        )
        self._road = Road(
            now=utc_now,
            new_id=lambda: str(uuid.uuid4()),
            configuration=self._current,
            serverconf=lambda: self._serverconf,
            identities=self._identities,
            signing=MessageSigner(self._tokens),
            log=self._log,
            peers=self._peers,
            services=CheckedServices(self._services, self._store.view.descriptions.document_of),
            peer_trust=self._prover,
            new_spool=spools.new,
            own_certificates=lambda: (der_of(self._own_tls.chain[0]),),
            max_body_bytes=settings.limits.body_bytes,
            policies=self._policies,
            local_services=Several((self._metaservices(), self._monitoring())),
            observe=self._observe,
        )
        await self._services.start()
        await self._peers.start()
        own_host = (
            "127.0.0.1"
            if settings.listen.consumer_host in ("0.0.0.0", "::")  # noqa: S104  compared, not bound
            else settings.listen.consumer_host
        )
        self.management = ManagementSender(
            self._current,
            lambda: self._identities,
            self._tokens,
            HttpManagementRoad(
                self._session, f"https://{own_host}:{settings.listen.https_port}/", self._own_tls
            ),
            utc_now,
            lambda: str(uuid.uuid4()),
        )
        self.acme = AcmeOrders(settings.acme, folder.root / "acme", self._environ)
        self.notifier = Notifier(
            settings.notices, self._serverconf.server_id.path(), self._session, utc_now, self._environ
        )
        self._peer_context = SwappableServerContext(peer_server_context(self._own_tls, ()))
        self._system_context = SystemServerContext(self._own_tls)
        self._configuration.subscribe(self._take_configuration)
        await self._configuration.load()
        with contextlib.suppress(Fault):
            await self._configuration.refresh()
        await self._revocation.fetch_all()
        await self._listen()
        self._tasks = [
            asyncio.create_task(loop, name=name)
            for name, loop in (
                ("configuration", self._configuration.run()),
                ("revocation", self._revocation.run()),
                ("timestamper", self._timestamper.run()),
                ("archiver", self._retention.run()),
                ("monitoring", self._records.run()),
                ("serverconf", self._watch_serverconf()),
                *self._optional_loops(),
            )
        ]

    def _optional_loops(self) -> list[tuple[str, Coroutine[None, None, None]]]:
        found: list[tuple[str, Coroutine[None, None, None]]] = []
        if self.notifier.is_set:
            found.append(("notices", self.notifier.run(self.diagnosis)))
        if self._settings.acme.renew:
            renewing = Renewing(
                self.keys,
                self._keyconf,
                self.acme,
                self._current,
                self._register,
                utc_now,
                self.notifier.tell,
            )
            found.append(("renewals", run_renewals(self._settings.acme, renewing)))
        return found

    async def _register(self, certificate: KeyCertificate) -> None:
        """Ask the central server to register a renewed authentication certificate at this server's address."""
        configuration, server_id = self._current(), self._serverconf.server_id
        registered = configuration.server(server_id) if configuration else None
        request = ManagementRequest(
            ManagementService.AUTH_CERT_REG,
            server_id,
            address=registered.address if registered else None,
            auth_certificate=certificate.der,
        )
        await self.management.send_request(request, auth_key=certificate.key_id)

    async def stop(self) -> None:
        """Let exchanges in progress end, then close everything."""
        for runner in self._runners:
            await runner.cleanup()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._peers.close()
        await self._services.close()
        await self._log.close()
        self._records.close()
        await self._session.close()
        await self._tokens.close()
        for task in self._signer_tasks:
            task.cancel()
        await asyncio.gather(*self._signer_tasks, return_exceptions=True)
        self._store.close()

    def failed_task(self) -> str | None:
        """The name of a loop that ended, which none should."""
        return next((t.get_name() for t in self._tasks if t.done()), None)

    # What the admin API looks at

    @property
    def identities(self) -> OwnIdentities:
        """This server's identities."""
        return self._identities

    @property
    def internal_tls(self) -> InternalTls:
        """The internal TLS certificate as it is kept."""
        return self._internal_tls

    @property
    def configuration_client(self) -> ConfigurationClient:
        """What keeps the global configuration up to date."""
        return self._configuration

    @property
    def timestamper(self) -> Timestamper:
        """What timestamps the message log."""
        return self._timestamper

    @property
    def revocation(self) -> OwnRevocation:
        """OCSP responses for this server's certificates."""
        return self._revocation

    def now(self) -> datetime:
        """The clock this gateway goes by."""
        return utc_now()

    def ocsp_status(self, certificate: x509.Certificate, now: datetime) -> ocsp.OcspStatus:
        """What the OCSP response in hand says of a certificate. Raises `NotProved` when there is none that holds."""
        configuration = self._current()
        if configuration is None:
            raise NotProved(Kind.GLOBAL_CONF_OUTDATED, "there is no global configuration")
        own, issuer, *_ = chains.verify_chain(certificate, (), configuration, configuration.instance, now)
        response = self._revocation.response(own, issuer, now)
        return ocsp.check_response(response, own, issuer, configuration, now)

    def reload(self) -> None:
        """Take the server configuration as it is on the disk now."""
        self._serverconf = self._store.load()
        self._take_internal_tls()
        self._policies.swap(PolicyStore(self._store.database).snapshot())
        self._rebuild()

    async def refresh_proofs(self) -> None:
        """Take what changed, and ask for the OCSP responses that are missing."""
        self.reload()
        await self._revocation.fetch_all()
        self._choose_certificates()

    # What changes

    def _current(self) -> TrustedConfiguration | None:
        return self._configuration.current

    def _take_configuration(self, configuration: TrustedConfiguration) -> None:
        server = configuration.server(self._serverconf.server_id)
        if server is not None:
            self._store.note_registered(self._serverconf, server.clients | {server.id.owner})
        for certificate, status in self.keys.observe(configuration):
            log.info(
                "certificate status",
                extra={"event": "certificate_status", "hash": certificate.hash, "status": status},
            )
            if status == CertificateStatus.REGISTERED.value:
                subject = parse_certificate(certificate.der).subject.rfc4514_string()
                self.notifier.tell("certificate-registered", subject, certificate.hash)
        self._rebuild()

    def _rebuild(self) -> None:
        configuration = self._configuration.current
        if configuration is None:
            return
        self._identities.rebuild(self._keyconf.certificates(), configuration, utc_now())
        for problem in self._identities.problems:
            log.warning("certificate unusable", extra={"event": "certificate", "reason": problem})
        self._take_credentials(configuration)

    def _choose_certificates(self) -> None:
        """After OCSP responses were fetched: a certificate that waited for one may take over."""
        configuration = self._configuration.current
        if configuration is not None:
            self._identities.choose_authentication(utc_now())
            self._take_credentials(configuration)

    def _take_credentials(self, configuration: TrustedConfiguration) -> None:
        with contextlib.suppress(Fault):  # what is in the way is among the problems
            credentials = self._identities.tls_credentials()
            key = (self._identities.tls_key(), configuration.all_ca_certificates())
            if key != self._tls_key:
                self._peer_context.swap(peer_server_context(credentials, configuration.all_ca_certificates()))
                self._peer_client_tls = peer_client_context(credentials)
                self._tls_key = key

    def _metaservices(self) -> Metaservices:
        return Metaservices(
            lambda: self._serverconf,
            self._current,
            self._store.view.descriptions.document_of,
            lambda: str(uuid.uuid4()),
        )

    def _monitoring(self) -> Monitoring:
        return Monitoring(
            lambda: self._serverconf,
            self._current,
            self._records,
            self._health,
            self._metrics,
            utc_now,
            utc_now(),
        )

    def _metrics(self) -> tuple[Metric, ...]:
        """What getSecurityServerMetrics tells: the version, then the machine."""
        certificates = [(c.der, c.usage.value, c.active) for c in self._keyconf.certificates()]
        machine = Metric("systemMetrics", machine_metrics(certificates, self._folder.root))
        return (version_metric(), machine)

    def _observe(self, record: ExchangeRecord) -> None:
        """Keep the operational record of an exchange that is over."""
        built = build_record(record, self._serverconf, self._current(), self._settings.listen.consumer_host)
        self._records.add(built)
        self._health.add(built)

    def _take_internal_tls(self) -> None:
        """Show the internal TLS certificate that is kept now, from the next handshake on."""
        kept = self._internal_tls.load()
        if kept.chain != self._own_tls.chain:
            self._own_tls = kept
            self._provider_tls = provider_client_context(kept)
            self._system_context.swap(kept)

    def _surroundings(self) -> Surroundings:
        return Surroundings(
            now=utc_now,
            new_id=lambda: secrets.token_hex(20),
            server_id=lambda: self._serverconf.server_id,
            configuration=self._current,
            is_local_member=lambda member: (
                member == self._serverconf.server_id.owner
                or any(c.id.member == member for c in self._serverconf.clients)
            ),
            verify=self._verify,
            key_kinds=self._settings.keys.kinds(),
        )

    async def _verify(self, certificate: x509.Certificate) -> None:
        """Prove a certificate of this server good now, asking its OCSP responder. Raises `NotProved`."""
        configuration = self._current()
        if configuration is None:
            raise NotProved(Kind.GLOBAL_CONF_OUTDATED, "there is no global configuration")
        path = chains.verify_chain(certificate, (), configuration, configuration.instance, utc_now())
        for own, issuer in itertools.pairwise(path):
            await self._revocation.verify(own, issuer)

    async def _watch_serverconf(self) -> None:
        seen = self._serverconf.generation
        while True:
            await asyncio.sleep(WATCH_S)
            try:
                self._choose_certificates()  # one may have expired, or be known to peers by now
                generation = self._store.generation()
                if generation != seen:
                    self._serverconf = self._store.load()
                    self._policies.swap(PolicyStore(self._store.database).snapshot())
                    self._take_internal_tls()
                    self._rebuild()
                    seen = generation
                    log.info(
                        "server configuration changed", extra={"event": "serverconf", "generation": seen}
                    )
            except (sqlite3.Error, Fault, ValueError, OSError) as err:
                log.error(
                    "server configuration unreadable", extra={"event": "serverconf", "reason": str(err)}
                )

    # Peers

    def _peer_tls(self) -> ssl.SSLContext:
        if self._peer_client_tls is None:
            raise NotProved(
                Kind.SSL_AUTHENTICATION_FAILED,
                "this security server has no usable authentication certificate yet",
            )
        return self._peer_client_tls

    async def _check_peer(self, certificates: Sequence[bytes], expected: PeerExpected) -> None:
        """Prove the provider's gateway: for the cheap case its OCSP response is known and its verdict remembered."""
        configuration = self._current()
        if configuration is None:
            raise NotProved(Kind.GLOBAL_CONF_OUTDATED, "there is no global configuration")
        now = utc_now()
        try:
            path = path_of(configuration, certificates, expected.provider.instance, now)
        except Fault as fault:
            raise NotProved(
                Kind.SSL_AUTHENTICATION_FAILED, f"the provider's gateway is not proved: {fault.detail}"
            ) from fault
        pairs = list(itertools.pairwise(path))
        known = self._peer_revocation.known(pairs)
        if len(known) == len(pairs):
            with contextlib.suppress(NotProved):
                self._prover.check_consumer_side(configuration, certificates, known, expected.provider, now)
                return
        try:
            asked = await self._peer_revocation.ask(expected.server.address, pairs)
        except NotProved as fault:
            raise NotProved(Kind.SSL_AUTHENTICATION_FAILED, fault.detail) from fault
        self._prover.check_consumer_side(configuration, certificates, asked, expected.provider, now)

    # Listening

    async def _listen(self) -> None:
        where = self._settings.listen
        spelling = self._settings.fault_spelling
        bounds = Bounds(self._settings.limits.connections, self._settings.limits.keepalive_s)
        consumers = ConsumerListener(
            self._road,
            spelling,
            lambda query: asic_download(self._log, self._timestamper, query),
            self._verificationconf,
            idle_s=self._settings.limits.consumer_idle_s,
        ).server(bounds)
        peers = PeerListener(self._road, spelling).server(bounds)
        self._runners = [
            await listen(consumers, where.consumer_host, where.http_port),
            await listen(consumers, where.consumer_host, where.https_port, self._system_context),
            await listen(peers, where.peer_host, where.peer_port, self._peer_context.listening),
            await _serve(responder_app(self._revocation), where.peer_host, where.ocsp_port),
            await _serve(self._health_app(), where.health_host, where.health_port),
            *(
                [
                    await _serve(
                        self.acme.board.app(),
                        self._settings.acme.challenge_host,
                        self._settings.acme.challenge_port,
                    )
                ]
                if self._settings.acme.challenge_port
                else []
            ),
        ]

    def _verificationconf(self) -> bytes:
        configuration = self._current()
        if configuration is None:
            raise NotProved(Kind.GLOBAL_CONF_OUTDATED, "there is no global configuration")
        return render_verificationconf(configuration)

    def _health_app(self) -> web.Application:
        async def health(_request: web.Request) -> web.Response:
            problems = self.problems()
            return web.json_response(
                {"status": "up" if not problems else "down", "problems": problems},
                status=200 if not problems else 503,
            )

        async def diagnosis(_request: web.Request) -> web.Response:
            return web.json_response(as_json(await self.diagnosis()))

        app = web.Application()
        app.router.add_get("/", health)
        app.router.add_get("/diagnosis", diagnosis)
        return app

    async def diagnosis(self) -> Diagnosis:
        """What is wrong with keys, certificates, OCSP, timestamps and clocks, when traffic will stop, what to do."""
        return await diagnose_now(self._diagnosis_sources(), utc_now())

    def _diagnosis_sources(self) -> Sources:
        return Sources(
            self._keyconf,
            self._tokens,
            lambda: sorted({c.id.member for c in self._serverconf.clients}),
            self._current,
            lambda: self._configuration.last_failure,
            self._revocation.in_hand,
            self._timestamping,
        )

    def _wanted_authorities(self) -> list[tuple[str, str]]:
        return [(t.name, t.url) for t in self._store.view.timestamping.all()]

    def _timestamping(self) -> Timestamping:
        stamper = self._timestamper
        offset, source = stamper.clock or (None, "")
        return Timestamping(
            stamper.failing_since,
            stamper.last_failure,
            timedelta(seconds=stamper.acceptable_failure_s),
            offset,
            source,
        )

    def problems(self) -> list[str]:
        """What stands in the way of an exchange right now, each with what to do."""
        now = utc_now()
        found: list[str] = []
        configuration = self._current()
        if configuration is None:
            return [
                "no global configuration yet: " + (self._configuration.last_failure or "not fetched so far")
            ]
        members = {c.id.member for c in self._serverconf.clients}
        checks: list[Callable[[], object]] = [
            functools.partial(configuration.check_fresh, now),
            functools.partial(self._log.check_accepting, now),
            functools.partial(self._identities.authentication_ocsp, now),
            *(functools.partial(self._identities.signing, member, now) for member in sorted(members)),
        ]
        for check in checks:
            try:
                check()
            except Fault as fault:
                found.append(fault.detail)
        ended = self.failed_task()
        if ended is not None:
            found.append(f"the loop {ended!r} has ended; restart the gateway and report its log")
        return found


def _alert(fields: Mapping[str, str]) -> None:
    log.warning("policy", extra=dict(fields))


async def _serve(app: web.Application, host: str, port: int) -> web.BaseRunner:
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
