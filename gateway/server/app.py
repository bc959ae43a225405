"""The composition root of a gateway: builds every part by plain calls, starts the listeners, stops them in order.

What changes while running comes in through three doors: a new global configuration, a changed server configuration
(watched in its database), and fresh OCSP responses. Each leads to `_rebuild`, which swaps identities and TLS contexts
between two handshakes; exchanges under way keep what they began with.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import itertools
import logging
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import aiohttp

from certs.certificates import name_text, parse_certificate
from certs.edges.configurationfiles import render_verificationconf
from certs.edges.profilefiles import load_profiles
from certs.signing import MessageSigner
from certs.verify import chain as chains
from certs.verify import ocsp
from gateway.clients.store import ServerConfStore
from gateway.clients.validation.checkedservices import CheckedServices
from gateway.edges.acmeorders import AcmeOrders, Renewing, renewal_loop
from gateway.edges.consumers import ConsumerListener
from gateway.edges.internaltls import open_internal_tls
from gateway.edges.peerlistener import PeerListener
from gateway.edges.peerproof import PeerProof
from gateway.edges.revocation import PeerRevocation, responder_app
from gateway.edges.services import ServiceCaller
from gateway.edges.traceexport import TraceExporter
from gateway.exchange.peertrust import PeerProver
from gateway.exchange.ports import ExchangeContext, Several
from gateway.health.condition import Condition
from gateway.health.notifier import Notifier
from gateway.keys.activation import activation_loop
from gateway.keys.context import KeyContext
from gateway.keys.devices import give_seal, open_tokens
from gateway.keys.identities import OwnIdentities
from gateway.keys.model import CertificateStatus
from gateway.keys.operations import KeyOperations
from gateway.keys.store import KeyConfStore
from gateway.keys.tokens import Tokens
from gateway.management.request_tracker import Following
from gateway.management.requests import ManagementSender
from gateway.management.sender import HttpManagementChannel
from gateway.messagelog.atonce import StampedAtOnce
from gateway.messagelog.export import asic_download
from gateway.messagelog.spool import SpoolFolder
from gateway.metaservices.answering import Metaservices
from gateway.metaservices.evidence_statistics import EvidenceTelling
from gateway.metaservices.monitoring import MonitoringServices
from gateway.metaservices.policy_statistics import PolicyTelling
from gateway.monitoring.environment import machine_metrics, version_metric
from gateway.monitoring.health import Health
from gateway.monitoring.records import build_record
from gateway.monitoring.traces import build_spans
from gateway.policies.gate import PolicyGate
from gateway.policies.ledger import PolicyLedger
from gateway.policies.store import PolicyStore
from gateway.server import parts
from gateway.server.listeners import health_app, open_exchange_listeners, serve
from gateway.server.metrics import GatewayMetrics
from gateway.server.tlscontexts import TlsContexts
from gateway.settings.portions import (
    body_rules,
    bounds,
    configuration_settings,
    following_settings,
    peer_times,
    retention_settings,
    store_settings,
    timestamp_settings,
)
from schemas.faults import Fault, Kind, NotProved
from schemas.management import ManagementRequest, ManagementServiceCode
from schemas.monitoring import Metric
from serving.process.devices import build_devices, build_signers, signer_loops
from serving.process.leases import EveryLease, done_once
from serving.process.loops import Loop, Loops, growing_retry_s
from serving.process.pace import Pace

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

    from aiohttp import web
    from cryptography import x509

    from certs.configuration import TrustedConfiguration
    from gateway.clients.model import ServerConf
    from gateway.edges.configuration import ConfigurationClient
    from gateway.edges.http import Listening
    from gateway.edges.internaltls import InternalTls
    from gateway.edges.revocation import OwnRevocation
    from gateway.exchange.record import ExchangeRecord
    from gateway.health.diagnosis import Diagnosis
    from gateway.keys.model import KeyCertificate
    from gateway.management.requests import SentRequest
    from gateway.messagelog.timestamper import Timestamper
    from gateway.monitoring.store import RecordStore
    from gateway.settings.config import GatewaySettings
    from gateway.settings.datafolder import DataFolder
    from schemas.identifiers import ServerId
    from serving.process.leases import Leases
    from serving.process.loops import LoopFailure
    from serving.storage.keysafe import KeySafe


log = logging.getLogger("gateway")

WATCH_S = 0.5
# Where the transparency log and the witness are, on the listener of OCSP responses.
TLOG = "/tlog"


def utc_now() -> datetime:
    """The time of this machine's clock, aware, in UTC."""
    return datetime.now(UTC)


class Gateway:
    """One running gateway: everything that serves messages, built and started in order."""

    def __init__(
        self,
        folder: DataFolder,
        settings: GatewaySettings,
        pin: str | None,
        safe: KeySafe,
        *,
        environ: Mapping[str, str] | None = None,
        signer_arguments: Sequence[str] = (),
        leases: Leases | None = None,
    ) -> None:
        self._leases = leases or EveryLease()
        self._settings = settings
        self._safe = safe
        load_profiles(folder.root)
        self._store = ServerConfStore(folder.serverconf)
        self._serverconf = self._store.load()
        self._keyconf = KeyConfStore(self._store.database)
        self._ledger = PolicyLedger(self._store.database)
        self._policies = PolicyGate(utc_now, _alert, self._ledger)
        self._policies.swap(PolicyStore(self._store.database).snapshot())
        self._tokens = Tokens(self._keyconf, build_devices(settings.keys, folder.root))
        self._signers = build_signers("gateway", settings.keys, folder.root, signer_arguments)
        self._pin = pin
        self._environ = environ or {}
        self._folder = folder
        self._runners: list[web.BaseRunner | Listening] = []
        self.loops = Loops()
        self._signer_loops = Loops()  # they end last: what stops may sign still
        self._seen = self._serverconf.generation
        self._log_closed = ""
        self._renewal_pace = Pace()
        self._activation_pace = Pace()

    async def start(self) -> None:
        """Build, load what is on the disk, listen, and start the loops."""
        self._session = aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar())
        try:
            await self._start()
        except BaseException:
            await self._abandon()
            raise

    async def _abandon(self) -> None:
        """Close what a start that failed had opened."""
        for runner in self._runners:
            await runner.cleanup()
        await self.loops.stop()
        await self._signer_loops.stop()
        await self._session.close()
        self._store.close()

    async def _start(self) -> None:
        self._signer_loops.start(signer_loops(self._signers))
        await open_tokens(self._tokens, self._settings.keys, self._pin, self._environ)
        await give_seal(self._tokens, self._safe)
        self._build_proofs()
        await self._open_log()
        self._build_exchange()
        self._build_administration()
        await self._services.start()
        await self._peers.start()
        self._configuration.subscribe(self._take_configuration)
        await self._configuration.load()
        with contextlib.suppress(Fault):
            await self._configuration.refresh()
        await self._revocation.fetch_all()
        await self._listen()
        self.loops.start(
            [
                self._configuration.loop,
                self._revocation.loop,
                Loop("message log", self._try_log, self._log_interval, needed=True),
                self._records.loop,
                self._traces.loop,
                Loop("serverconf", self._look_at_serverconf, lambda: WATCH_S, retry_s=_soon, needed=True),
                *self._loops_done_once(),
            ]
        )

    def _loops_done_once(self) -> list[Loop]:
        """The work that one of several nodes does for all of them."""
        once = functools.partial(done_once, leases=self._leases)
        return [
            once(self._timestamper.loop, otherwise=self._timestamper.look),
            once(self._retention.loop),
            once(self._transparency.loop),
            once(self._following.loop()),
            once(self.notifier.loop(self.diagnosis), otherwise=self.notifier.send_waiting),
            once(self._renewal_loop()),
            once(activation_loop(self.keys, self.notifier.tell, self._activation_pace)),
        ]

    def _build_proofs(self) -> None:
        """What proves this server and others: configuration, OCSP responses, identities; and where evidence is kept."""
        settings, folder = self._settings, self._folder
        self._configuration = parts.configuration_client(
            settings, folder, self._store.anchor(), self._session, utc_now
        )
        self._revocation = parts.own_revocation(settings, folder, self._session, self._current, utc_now)
        self._identities = OwnIdentities(
            self._tokens,
            self._revocation,
            lambda: self._serverconf.server_id,
            settle_s=settings.keys.authentication_settle_s,
        )
        self._revocation.subscribe(self._choose_certificates)
        self.keys = KeyOperations(self._keyconf, self._tokens, self._surroundings())
        self._log = parts.message_log(settings, folder)
        self._timestamper = parts.timestamper(
            settings, self._log, self._session, self._current, utc_now, self._wanted_authorities
        )
        self._retention = parts.retention(settings, folder, self._log, utc_now)
        self._transparency = parts.transparency(
            settings,
            folder,
            self._log,
            self._server_id,
            self._safe,
            self._session,
            self._timestamper,
            utc_now,
        )
        self._witness = parts.witness(settings, folder, self._server_id, self._safe, utc_now)
        self._records = parts.record_store(settings, folder, utc_now)
        self._traces = TraceExporter(
            lambda: self._settings.monitoring.trace_url, self._serverconf.server_id.path()
        )
        self._health = Health()

    def _build_exchange(self) -> None:
        """What carries messages: TLS, the services, other security servers, and the road that joins them."""
        settings = self._settings
        prover = PeerProver()
        spools = SpoolFolder(self._folder.log / "spool")
        self._tls = TlsContexts(
            open_internal_tls(settings.systems, self._folder.tls, self._safe, self._environ)
        )
        self._services = ServiceCaller(
            lambda: self._serverconf, lambda: self._tls.provider, total_s=settings.limits.service_total_s
        )
        peer_revocation = PeerRevocation(self._session, port=settings.listen.ocsp_port)
        proof = PeerProof(self._current, peer_revocation, prover, utc_now)
        self._peers = parts.peer_client(settings, proof.check, self._tls.peer_client)
        self._context = ExchangeContext(
            now=utc_now,
            new_id=parts.new_id,
            configuration=self._current,
            serverconf=lambda: self._serverconf,
            identities=self._identities,
            signing=MessageSigner(self._tokens),
            log=StampedAtOnce(self._log, self._timestamper, lambda: self._settings.log.timestamp_at_once),
            peers=self._peers,
            services=CheckedServices(self._services, self._store.view.descriptions.document_of),
            peer_trust=prover,
            new_spool=spools.new,
            own_certificates=lambda: self._tls.own_ders,
            max_body_bytes=settings.limits.body_bytes,
            policies=self._policies,
            local_services=Several(
                (
                    self._metaservices(),
                    self._monitoring(),
                    PolicyTelling(self._ledger),
                    EvidenceTelling(self._log.reader, utc_now),
                )
            ),
            observe=self._observe,
            minimum_client_version=lambda: self._settings.trust.minimum_client_version,
        )

    def _build_administration(self) -> None:
        """What an administrator and the loops use."""
        settings, folder = self._settings, self._folder
        self.management = ManagementSender(
            self._current,
            lambda: self._identities,
            self._tokens,
            HttpManagementChannel(self._session, parts.consumer_url(settings), lambda: self._tls.own),
            utc_now,
            parts.new_id,
        )
        self.acme = AcmeOrders(settings.acme, folder.root / "acme", self._environ)
        self.notifier = Notifier(
            settings.notices,
            self._serverconf.server_id.path(),
            self._session,
            utc_now,
            self._environ,
            folder.root / "notices.json",
        )
        self._following = Following(
            self._store,
            self._keyconf,
            self.keys,
            self.management,
            self._current,
            self.notifier.tell,
            settings.trust.request_status_s,
        )
        self._condition = Condition(
            self._configuration,
            lambda: self._serverconf,
            self._keyconf,
            self._tokens,
            self._identities,
            self._revocation,
            self._log,
            self._timestamper,
            self.failed_loops,
        )
        self._told_metrics = GatewayMetrics(
            self._condition, lambda: self._serverconf, self._log, self._folder.root
        )

    def _renewal_loop(self) -> Loop:
        """Renews certificates while the settings say so."""
        renewing = Renewing(
            self.keys,
            self._keyconf,
            self.acme,
            self._current,
            self._register,
            utc_now,
            self.notifier.tell,
        )
        return renewal_loop(lambda: self._settings.acme, renewing, self._renewal_pace)

    def reconfigure(self, settings: GatewaySettings) -> None:
        """Go on with other settings; exchanges under way keep what they began with.

        Every live setting of `gateway.settings.config` is handed on here, or read where it is used.
        """
        self._settings = settings
        spelling = settings.fault_spelling
        self._configuration.reconfigure(configuration_settings(settings))
        trust = settings.trust
        self._revocation.reconfigure(
            trust.ocsp_fetch_s, trust.ocsp_retry_s, trust.ocsp_timeout_s, trust.ocsp_order
        )
        self._identities.take_settle(settings.keys.authentication_settle_s)
        self.keys.take_key_kinds(settings.keys.kinds())
        self._timestamper.reconfigure(timestamp_settings(settings))
        self._retention.reconfigure(retention_settings(settings))
        self._transparency.reconfigure(following_settings(settings))
        self._records.reconfigure(store_settings(settings))
        self._log.reconfigure(settings.log.queue_length, body_rules(settings))
        self._peers.take_times(peer_times(settings))
        self._services.take_total(settings.limits.service_total_s)
        self._context = dataclasses.replace(self._context, max_body_bytes=settings.limits.body_bytes)
        self._consumer_listener.reconfigure(self._context, spelling, settings.limits.consumer_idle_s)
        self._peer_listener.reconfigure(self._context, spelling)
        for server in self._servers:
            server.take_bounds(bounds(settings))
        self.acme.reconfigure(settings.acme)
        self._renewal_pace.changed()
        self.notifier.reconfigure(settings.notices)
        self._rebuild()

    async def _register(self, certificate: KeyCertificate) -> None:
        """Ask the central server to register a renewed authentication certificate at this server's address."""
        configuration, server_id = self._current(), self._serverconf.server_id
        registered = configuration.server(server_id) if configuration else None
        request = ManagementRequest(
            ManagementServiceCode.AUTH_CERT_REG,
            server_id,
            address=registered.address if registered else None,
            auth_certificate=certificate.der,
        )
        self.follow_registration(
            request, await self.management.send_request(request, auth_key=certificate.key_id)
        )

    def follow_registration(self, request: ManagementRequest, sent: SentRequest) -> None:
        """Follow the registration of an authentication certificate until it is settled."""
        self._following.follow_registration(request, sent, utc_now())

    async def stop(self) -> None:
        """Let exchanges in progress end, then close everything."""
        for runner in self._runners:
            await runner.cleanup()
        await self.loops.stop()
        await self._peers.close()
        await self._services.close()
        await self._log.close()
        self._records.close()
        await self._session.close()
        await self._tokens.close()
        await self._signer_loops.stop()
        self._store.close()

    def failed_task(self) -> str | None:
        """The name of a loop that fails, which none should."""
        return next((failure.name for failure in self.failed_loops()), None)

    def failed_loops(self) -> list[LoopFailure]:
        """The loops that fail, those of the token processes among them, each with why."""
        return [*self.loops.failures(), *self._signer_loops.failures()]

    # What the admin API looks at

    @property
    def identities(self) -> OwnIdentities:
        """The signing and authentication identities in use."""
        return self._identities

    @property
    def internal_tls(self) -> InternalTls:
        """The internal TLS certificate as it is kept."""
        return self._tls.internal

    @property
    def provider_tls(self) -> ssl.SSLContext:
        """How this server calls providers' systems over TLS; what they show is compared after the handshake."""
        return self._tls.provider

    @property
    def configuration_client(self) -> ConfigurationClient:
        """The client that keeps the global configuration up to date."""
        return self._configuration

    @property
    def timestamper(self) -> Timestamper:
        """The timestamper of the message log."""
        return self._timestamper

    @property
    def revocation(self) -> OwnRevocation:
        """OCSP responses for this server's certificates."""
        return self._revocation

    @property
    def records(self) -> RecordStore:
        """The store of operational monitoring records."""
        return self._records

    def now(self) -> datetime:
        """The clock this gateway goes by."""
        return utc_now()

    def ocsp_status(self, certificate: x509.Certificate, now: datetime) -> ocsp.OcspStatus:
        """The status in the OCSP response at hand for a certificate. Raises `NotProved` when there is none that holds."""
        configuration = self._current()
        if configuration is None:
            raise NotProved(Kind.GLOBAL_CONF_OUTDATED, "there is no global configuration")
        own, issuer, *_ = chains.verify_chain(certificate, (), configuration, configuration.instance, now)
        response = self._revocation.response(own, issuer, now)
        return ocsp.check_response(response, own, issuer, configuration, now)

    def reload(self, conf: ServerConf | None = None) -> None:
        """Take the server configuration as it is on the disk now; ``conf`` where the caller has just read it."""
        self._serverconf = conf or self._store.load()
        self._tls.take_internal()
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
        self._following.observe(configuration)
        if self._store.server_id() != self._serverconf.server_id:  # it has another owner
            self.reload()
            self.notifier.server = self._serverconf.server_id.path()
        for certificate, status in self.keys.observe(configuration):
            log.info(
                "certificate status",
                extra={"event": "certificate_status", "hash": certificate.hash, "status": status},
            )
            if status == CertificateStatus.REGISTERED.value:
                subject = name_text(parse_certificate(certificate.der).subject)
                owner = self._serverconf.server_id.owner.path()
                self.notifier.tell("certificate-registered", subject, certificate.hash, owner)
                self._activation_pace.changed()
        self._rebuild()

    def _rebuild(self) -> None:
        configuration = self._configuration.current
        if configuration is None:
            return
        self._identities.rebuild(self._keyconf.certificates(), configuration, utc_now())
        for problem in self._identities.problems:
            log.warning("certificate unusable", extra={"event": "certificate", "reason": problem})
        self._tls.take_credentials(self._identities, configuration)

    def _choose_certificates(self) -> None:
        """After OCSP responses were fetched: a certificate that waited for one may take over."""
        configuration = self._configuration.current
        if configuration is not None:
            self._identities.choose_authentication(utc_now())
            self._tls.take_credentials(self._identities, configuration)

    def _metaservices(self) -> Metaservices:
        return Metaservices(
            lambda: self._serverconf,
            self._current,
            self._store.view.descriptions.document_of,
            parts.new_id,
        )

    def _monitoring(self) -> MonitoringServices:
        return MonitoringServices(
            lambda: self._serverconf,
            self._current,
            self._records,
            self._health,
            self._metrics,
            utc_now,
            utc_now(),
            lambda: self._settings.monitoring.limit_remote_metrics,
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
        self._told_metrics.add(built)
        if self._traces.is_on:
            self._traces.add(build_spans(record, built))

    def _surroundings(self) -> KeyContext:
        return KeyContext(
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
            has_pin_policy=lambda: self._settings.keys.enforce_pin_policy,
            activates=lambda: self._settings.keys.activate_authentication,
        )

    async def _verify(self, certificate: x509.Certificate) -> None:
        """Prove a certificate of this server good now, asking its OCSP responder. Raises `NotProved`."""
        configuration = self._current()
        if configuration is None:
            raise NotProved(Kind.GLOBAL_CONF_OUTDATED, "there is no global configuration")
        path = chains.verify_chain(certificate, (), configuration, configuration.instance, utc_now())
        for own, issuer in itertools.pairwise(path):
            await self._revocation.verify(own, issuer)

    async def _open_log(self) -> None:
        """Open the message log's keys, if what opens them is there by now. Raises `Fault` when they do not open."""
        secret = await parts.log_secret(self._settings, self._tokens, self._environ)
        if secret is not None:
            await asyncio.to_thread(self._log.unlock, secret)

    async def _try_log(self) -> None:
        """Until somebody logs in: a log that could not be opened at the start is as soon as it can."""
        if self._log.is_begun:
            return
        try:
            await self._open_log()
        except (Fault, ValueError, OSError) as err:
            reason = err.detail if isinstance(err, Fault) else str(err)
            if reason != self._log_closed:
                log.error("the message log stays closed", extra={"event": "log_closed", "reason": reason})
            self._log_closed = reason

    def _log_interval(self) -> float | None:
        return None if self._log.is_begun else WATCH_S

    async def _look_at_serverconf(self) -> None:
        """Take what a command changed in the server configuration."""
        self._choose_certificates()  # one may have expired, or be known to peers by now
        generation = await asyncio.to_thread(self._store.generation)
        if generation == self._seen:
            return
        if generation != self._serverconf.generation:
            # In a thread: another process may have described thousands of services.
            self._serverconf = await asyncio.to_thread(self._store.load)
        self._policies.swap(PolicyStore(self._store.database).snapshot())
        await give_seal(self._tokens, self._safe)  # somebody may have logged in
        self._tls.take_internal()
        self._rebuild()
        self._seen = generation
        log.info("server configuration changed", extra={"event": "serverconf", "generation": generation})

    # Listening

    async def _listen(self) -> None:
        settings, where = self._settings, self._settings.listen
        self._consumer_listener = ConsumerListener(
            self._context,
            settings.fault_spelling,
            lambda query: asic_download(self._log, self._timestamper, query),
            self._verificationconf,
            idle_s=settings.limits.consumer_idle_s,
        )
        self._peer_listener = PeerListener(self._context, settings.fault_spelling)
        consumers = self._consumer_listener.server(bounds(settings))
        peers = self._peer_listener.server(bounds(settings))
        self._servers = (consumers, peers)
        self._runners = [
            *await open_exchange_listeners(settings, consumers, peers, self._tls),
            await serve(
                responder_app(self._revocation, self._transparency_routes()),
                where.peer_host,
                where.ocsp_port,
                "listen.ocsp_port",
            ),
            await serve(
                health_app(self.problems, self.diagnosis, self.warnings, self._add_metrics),
                where.health_host,
                where.health_port,
                "listen.health_port",
            ),
        ]
        if settings.acme.challenge_port:
            board = self.acme.board.app()
            self._runners.append(
                await serve(
                    board, settings.acme.challenge_host, settings.acme.challenge_port, "acme.challenge_port"
                )
            )

    def _transparency_routes(self) -> list[web.RouteDef]:
        return [*self._transparency.routes(TLOG), *self._witness.routes(TLOG)]

    def _server_id(self) -> ServerId:
        return self._serverconf.server_id

    def _add_metrics(self, app: web.Application) -> None:
        self._told_metrics.metrics.add_route(app, lambda: self._settings.monitoring.metrics_from)

    def _verificationconf(self) -> bytes:
        configuration = self._current()
        if configuration is None:
            raise NotProved(Kind.GLOBAL_CONF_OUTDATED, "there is no global configuration")
        return render_verificationconf(configuration)

    async def diagnosis(self) -> Diagnosis:
        """Diagnose keys, certificates, OCSP, timestamps and clocks: when traffic will stop, and the remedies."""
        return await self._condition.diagnosis(utc_now())

    def _wanted_authorities(self) -> list[tuple[str, str]] | None:
        if self._store.view.timestamping.are_removed():
            return None
        return [(t.name, t.url) for t in self._store.view.timestamping.all()]

    async def problems(self) -> list[str]:
        """The problems that stop exchanges right now, each with its remedy."""
        return await self._condition.problems(utc_now())

    def warnings(self) -> list[str]:
        """The problems that do not stop exchanges."""
        return self._condition.warnings()


def _soon(failures: int) -> float:
    """What a command changed is looked for again within seconds."""
    return min(growing_retry_s(failures), 5.0)


def _alert(fields: Mapping[str, str]) -> None:
    log.warning("policy", extra=dict(fields))
