"""The composition root of a gateway: builds every part by plain calls, starts the listeners, stops them in order.

`Gateway.build` gives a complete value; `Gateway.start` listens and begins to work; `Gateway.stop` closes whatever was opened,
the last first. The parts: `gateway.server.state` (what is on the disk), `proofs` and `evidence` upon it, `watching`,
`exchanging` and `administration` upon those.

What changes while running comes in through three doors: a new global configuration, a changed server configuration
(watched in its database), and fresh OCSP responses. Each leads to `_rebuild`, which swaps identities and TLS contexts
between two handshakes; exchanges under way keep what they began with.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from certs.certificates import name_text, parse_certificate
from gateway.edges.revocation import responder_app
from gateway.keys.model import CertificateStatus
from gateway.server.administration import Administration
from gateway.server.evidence import WATCH_S, EvidenceParts
from gateway.server.exchanging import ExchangeParts
from gateway.server.listeners import health_app, serve
from gateway.server.nodes import SERVER_TABLE
from gateway.server.partsettings import (
    body_rules,
    configuration_settings,
    log_loop_settings,
    retention_settings,
    store_settings,
    timestamp_settings,
)
from gateway.server.proofs import Proofs
from gateway.server.state import GatewayState, Phase, utc_now
from gateway.server.watching import Watching
from schemas.faults import Fault
from serving.process.changes import Changes
from serving.process.devices import signer_loops
from serving.process.leases import EveryLease, done_once
from serving.process.loops import Loop, Loops, growing_retry_s
from serving.process.outward import outward_session

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from aiohttp import web
    from cryptography import x509

    from certs.configuration import TrustedConfiguration
    from certs.verify.ocsp import OcspStatus
    from gateway.clients.model import ServerConf
    from gateway.edges.acmeorders import AcmeOrders
    from gateway.edges.configuration import ConfigurationClient
    from gateway.edges.http import Listening
    from gateway.edges.internaltls import InternalTls
    from gateway.edges.revocation import OwnRevocation
    from gateway.health.diagnosis import Diagnosis
    from gateway.health.notifier import Notifier
    from gateway.keys.identities import OwnIdentities
    from gateway.keys.operations import KeyOperations
    from gateway.management.requests import ManagementSender, SentRequest
    from gateway.messagelog.reading import LogReader
    from gateway.messagelog.timestamper import Timestamper
    from gateway.monitoring.store import RecordStore
    from gateway.settings.config import GatewaySettings
    from gateway.settings.datafolder import DataFolder
    from schemas.management import ManagementRequest
    from serving.process.leases import Leases
    from serving.process.loops import LoopFailure
    from serving.storage.keysafe import KeySafe


log = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True, eq=False)
class Gateway:
    """One gateway with all its parts, complete once it is built."""

    state: GatewayState
    proofs: Proofs
    evidence: EvidenceParts
    watching: Watching
    exchange: ExchangeParts
    administration: Administration
    loops: Loops
    signer_loops: Loops
    # Which of several nodes does the work that is done once for all of them.
    leases: Leases
    # When it is looked for what other processes changed.
    changes: Changes
    # Closes what was opened, the last first.
    closing: contextlib.AsyncExitStack

    @classmethod
    async def build(
        cls,
        folder: DataFolder,
        settings: GatewaySettings,
        pin: str | None,
        safe: KeySafe,
        *,
        environ: Mapping[str, str] | None = None,
        signer_arguments: Sequence[str] = (),
        leases: Leases | None = None,
        changes: Changes | None = None,
    ) -> Gateway:
        """Open what is on the disk, start the processes that hold tokens, and build every part; nothing listens yet.

        Raises `Fault`, `OperatorError`, OSError; what had been opened is closed again then.
        """
        async with contextlib.AsyncExitStack() as closing:
            state = GatewayState(folder, settings, safe, environ or {}, signer_arguments)
            closing.callback(state.close)
            signers = Loops()  # end last of all loops: what stops may sign still
            closing.push_async_callback(signers.stop)
            signers.start(signer_loops(state.signers))
            closing.push_async_callback(state.tokens.close)
            session = outward_session()
            closing.push_async_callback(session.close)
            await state.open_tokens(pin)
            loops = Loops()
            proofs = Proofs.build(state, session)
            evidence = EvidenceParts.build(state, proofs, session)
            watching = Watching.build(
                state, proofs, evidence, lambda: [*loops.failures(), *signers.failures()]
            )
            closing.callback(watching.records.close)
            closing.push_async_callback(evidence.log.close)
            await evidence.open()
            exchange = ExchangeParts.build(state, proofs, evidence, watching, session)
            administration = Administration.build(state, proofs, exchange.tls, session)
            return cls(
                state,
                proofs,
                evidence,
                watching,
                exchange,
                administration,
                loops,
                signers,
                leases or EveryLease(),
                changes or Changes(),
                closing.pop_all(),
            )

    async def start(self) -> None:
        """Load the configuration that is on the disk, ask for proofs, listen, and start the loops."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        proofs, exchange, closing = self.proofs, self.exchange, self.closing
        proofs.revocation.subscribe(self._choose_certificates)
        closing.push_async_callback(exchange.services.close)
        await exchange.services.start()
        closing.push_async_callback(exchange.peers.close)
        await exchange.peers.start()
        proofs.configuration.subscribe(self._take_configuration)
        await proofs.configuration.load()
        with contextlib.suppress(Fault):
            await proofs.configuration.refresh()
        await proofs.revocation.fetch_all()
        closing.push_async_callback(self.loops.stop)
        await self._listen()
        self.loops.start(
            [
                proofs.configuration.loop,
                proofs.revocation.loop,
                self.evidence.opening_loop(),
                self.watching.records.loop,
                self.watching.traces.loop,
                Loop("certificates", self._look_at_certificates, lambda: WATCH_S, needed=True),
                self.changes.loop(
                    "serverconf", SERVER_TABLE, self._look_at_serverconf, retry_s=_soon, needed=True
                ),
                *self._loops_done_once(),
            ]
        )

    def _loops_done_once(self) -> list[Loop]:
        """The work that one of several nodes does for all of them."""
        once = functools.partial(done_once, leases=self.leases)
        evidence = self.evidence
        return [
            once(evidence.timestamper.loop, otherwise=evidence.timestamper.look),
            once(evidence.retention.loop, otherwise=evidence.retention.look_after_own),
            once(evidence.transparency.loop),
            once(self.notifier.loop(self.diagnosis), otherwise=self.notifier.send_waiting),
            *(once(loop) for loop in self.administration.loops()),
        ]

    def retire(self) -> None:
        """Say at the health address that this gateway stops, and keep no connection for another request; all are answered still."""
        self.state.phase = Phase.STOPPING
        self.exchange.retire()

    async def stop(self) -> None:
        """Let exchanges in progress end, then close everything, in the reverse order of its opening."""
        await self.closing.aclose()

    def reconfigure(self, settings: GatewaySettings) -> None:
        """Go on with other settings; exchanges under way keep what they began with.

        Every live setting of `gateway.settings.config` is handed on here, or read where it is used.
        """
        self.state.settings = settings
        proofs, evidence, trust = self.proofs, self.evidence, settings.trust
        proofs.configuration.reconfigure(configuration_settings(settings))
        proofs.revocation.reconfigure(
            trust.ocsp_fetch_s, trust.ocsp_retry_s, trust.ocsp_timeout_s, trust.ocsp_order
        )
        proofs.identities.take_settle(settings.keys.authentication_settle_s)
        evidence.timestamper.reconfigure(timestamp_settings(settings))
        evidence.retention.reconfigure(retention_settings(settings))
        evidence.transparency.reconfigure(log_loop_settings(settings))
        evidence.log.reconfigure(settings.log.queue_length, body_rules(settings))
        self.watching.records.reconfigure(store_settings(settings))
        self.exchange.reconfigure(settings)
        self.administration.reconfigure(settings)
        self._rebuild()

    def failed_loops(self) -> list[LoopFailure]:
        """The loops that fail, those of the token processes among them, each with why."""
        return [*self.loops.failures(), *self.signer_loops.failures()]

    # What the admin API looks at

    @property
    def keys(self) -> KeyOperations:
        """The operations on tokens, keys and certificates."""
        return self.administration.keys

    @property
    def management(self) -> ManagementSender:
        """The sender of management requests to the central server."""
        return self.administration.management

    @property
    def acme(self) -> AcmeOrders:
        """The orders of certificates from CAs."""
        return self.administration.acme

    @property
    def notifier(self) -> Notifier:
        """The notifier that tells operators by webhook and mail."""
        return self.administration.notifier

    @property
    def identities(self) -> OwnIdentities:
        """The signing and authentication identities in use."""
        return self.proofs.identities

    @property
    def internal_tls(self) -> InternalTls:
        """The internal TLS certificate as it is kept."""
        return self.exchange.tls.internal

    @property
    def provider_tls(self) -> ssl.SSLContext:
        """The TLS context of calls to providers' systems; the certificate they show is compared after the handshake."""
        return self.exchange.tls.provider

    @property
    def configuration_client(self) -> ConfigurationClient:
        """The client that keeps the global configuration up to date."""
        return self.proofs.configuration

    @property
    def log_reader(self) -> LogReader:
        """The reader of the message log, for whoever may search it."""
        return self.evidence.log.searches

    @property
    def timestamper(self) -> Timestamper:
        """The timestamper of the message log."""
        return self.evidence.timestamper

    @property
    def revocation(self) -> OwnRevocation:
        """OCSP responses for this server's certificates."""
        return self.proofs.revocation

    @property
    def records(self) -> RecordStore:
        """The store of operational monitoring records."""
        return self.watching.records

    def now(self) -> datetime:
        """The clock this gateway goes by."""
        return utc_now()

    def ocsp_status(self, certificate: x509.Certificate, now: datetime) -> OcspStatus:
        """The status in the OCSP response at hand for a certificate. Raises `NotProved` when there is none that holds."""
        return self.proofs.ocsp_status(certificate, now)

    def follow_registration(self, request: ManagementRequest, sent: SentRequest) -> None:
        """Follow the registration of an authentication certificate until it is settled."""
        self.administration.follow_registration(request, sent)

    def reload(self, conf: ServerConf | None = None) -> None:
        """Take the server configuration as it is on the disk now; ``conf`` where the caller has just read it."""
        self.state.reload(conf)
        self.exchange.tls.take_internal()
        self._rebuild()

    async def read_and_reload(self) -> None:
        """Do as `reload`; the server configuration is read in a thread, so others are served meanwhile."""
        await self.state.read_and_reload()
        self.exchange.tls.take_internal()
        self._rebuild()

    async def refresh_proofs(self) -> None:
        """Take what changed, and ask for the OCSP responses that are missing."""
        await self.read_and_reload()
        await self.proofs.revocation.fetch_all()
        self._choose_certificates()

    async def diagnosis(self) -> Diagnosis:
        """Diagnose keys, certificates, OCSP, timestamps and clocks: when traffic will stop, and the remedies."""
        return await self.watching.condition.diagnosis(utc_now())

    async def problems(self) -> list[str]:
        """The problems that stop exchanges right now, each with its remedy."""
        return await self.watching.condition.problems(utc_now())

    def warnings(self) -> list[str]:
        """The problems that do not stop exchanges."""
        place = self.evidence.log.place
        found = (place.warning(), "" if place.objects is None else place.objects.warning())
        return [*self.watching.condition.warnings(), *filter(None, found)]

    # What changes

    def _take_configuration(self, configuration: TrustedConfiguration) -> None:
        self.administration.request_tracker.observe(configuration)
        if self.state.store.server_id() != self.state.server_id:  # it has another owner
            self.reload()
            self.notifier.server = self.state.server_id.path()
        for certificate, status in self.keys.observe(configuration):
            log.info(
                "certificate status",
                extra={"event": "certificate_status", "hash": certificate.hash, "status": status},
            )
            if status == CertificateStatus.REGISTERED.value:
                subject = name_text(parse_certificate(certificate.der).subject)
                owner = self.state.server_id.owner.path()
                self.notifier.notify("certificate-registered", subject, certificate.hash, owner)
                self.administration.activation_pace.changed()
        self._rebuild()

    def _rebuild(self) -> None:
        configuration = self.proofs.current()
        if configuration is None:
            return
        self.identities.rebuild(self.state.keyconf.certificates(), configuration, utc_now())
        for problem in self.identities.problems:
            log.warning("certificate unusable", extra={"event": "certificate", "reason": problem})
        self.exchange.tls.take_credentials(self.identities, configuration)

    def _choose_certificates(self) -> None:
        """After OCSP responses were fetched: a certificate that waited for one may take over."""
        configuration = self.proofs.current()
        if configuration is not None:
            self.identities.choose_authentication(utc_now())
            self.exchange.tls.take_credentials(self.identities, configuration)

    async def _look_at_certificates(self) -> None:
        """Another may be to be shown: one may have expired, or be known to peers by now."""
        self._choose_certificates()

    async def _look_at_serverconf(self) -> None:
        """Take what a command or another node changed in the server configuration."""
        state = self.state
        generation = await asyncio.to_thread(state.store.generation)
        if generation == state.generation_in_use:
            return
        if generation == state.serverconf.generation:
            state.reload(state.serverconf)
        else:  # in a thread: another process may have described thousands of services
            await state.read_and_reload()
        await state.give_seal()  # somebody may have logged in
        self.exchange.tls.take_internal()
        self._rebuild()
        state.generation_in_use = generation
        log.info("server configuration changed", extra={"event": "serverconf", "generation": generation})

    # Listening

    async def _listen(self) -> None:
        """Open what consumer systems use last, so that it is closed first: what is still answered needs the rest till then."""
        settings, where = self.state.settings, self.state.settings.listen
        if settings.acme.challenge_port and self.state.folder.is_first:
            host, port = settings.acme.challenge_host, settings.acme.challenge_port
            self._keep(await serve(self.acme.board.app(), host, port, "acme.challenge_port"))
        health = health_app(
            self.problems, self.diagnosis, self.warnings, self.watching.add_metrics, lambda: self.state.phase
        )
        self._keep(await serve(health, where.health_host, where.health_port, "listen.health_port"))
        responder = responder_app(self.revocation, self.evidence.routes())
        self._keep(await serve(responder, where.peer_host, where.ocsp_port, "listen.ocsp_port"))
        async for listening in self.exchange.listen():
            self._keep(listening)
        self.state.phase = Phase.OPEN

    def _keep(self, listening: web.BaseRunner | Listening) -> None:
        self.closing.push_async_callback(listening.cleanup)


def _soon(failures: int) -> float:
    """Seconds until the next look for what a command changed, after ``failures`` in a row."""
    return min(growing_retry_s(failures), 5.0)
