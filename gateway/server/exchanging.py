"""What carries messages: TLS contexts, the services, other security servers, the context of an exchange, and both listeners."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from certs.signing import MessageSigner
from gateway.clients.validation.checkedservices import CheckedServices
from gateway.edges.consumers import ConsumerListener
from gateway.edges.internaltls import open_internal_tls
from gateway.edges.peerlistener import PeerListener
from gateway.edges.peerproof import PeerProof
from gateway.edges.revocation import PeerRevocation
from gateway.edges.services import ServiceCaller
from gateway.exchange.peertrust import check_consumer_side
from gateway.exchange.ports import ExchangeContext, Several
from gateway.messagelog.atonce import StampedAtOnce
from gateway.messagelog.export import asic_download
from gateway.messagelog.spool import SpoolFolder
from gateway.metaservices.accessrequests import AccessRequests
from gateway.metaservices.answering import Metaservices
from gateway.metaservices.evidence_statistics import EvidenceStatisticsService
from gateway.metaservices.policy_statistics import PolicyStatisticsService
from gateway.server import parts
from gateway.server.listeners import open_exchange_listeners
from gateway.server.partsettings import bounds, peer_times
from gateway.server.state import GatewayState, utc_now
from gateway.server.tlscontexts import TlsContexts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import aiohttp

    from gateway.edges.http import DataPlaneServer, Listening
    from gateway.edges.peers import PeerClient
    from gateway.server.evidence import EvidenceParts
    from gateway.server.proofs import Proofs
    from gateway.server.watching import Watching
    from gateway.settings.config import GatewaySettings


class ExchangeParts(msgspec.Struct, frozen=True):
    """Both listeners with their servers, and what they hand messages to."""

    state: GatewayState
    tls: TlsContexts
    services: ServiceCaller
    peers: PeerClient
    context: ExchangeContext
    consumer_listener: ConsumerListener
    peer_listener: PeerListener
    consumer_server: DataPlaneServer
    peer_server: DataPlaneServer

    @classmethod
    def build(
        cls,
        state: GatewayState,
        proofs: Proofs,
        evidence: EvidenceParts,
        watching: Watching,
        session: aiohttp.ClientSession,
    ) -> ExchangeParts:
        """All of them, as the settings say; nothing listens yet."""
        settings = state.settings
        tls = TlsContexts(
            open_internal_tls(settings.systems, state.folder.tls, state.safe, state.environ),
            settings.tls.peers(),
            settings.tls.systems(),
        )
        services = ServiceCaller(
            lambda: state.serverconf, lambda: tls.provider, total_s=settings.limits.service_total_s
        )
        proof = PeerProof(proofs.current, PeerRevocation(session, port=settings.listen.ocsp_port), utc_now)
        peers = parts.peer_client(settings, proof.check, tls.peer_client)
        context = _context(state, proofs, evidence, watching, tls, services, peers)
        consumers = ConsumerListener(
            context,
            settings.fault_spelling,
            lambda query: asic_download(evidence.log, evidence.timestamper, query, settings.log.pgp()),
            proofs.verificationconf,
            prove=evidence.prove,
            idle_s=settings.limits.consumer_idle_s,
            log_certificates=settings.systems.log_client_certificate,
        )
        providers = PeerListener(context, settings.fault_spelling)
        limits = bounds(settings)
        servers = consumers.server(limits), providers.server(limits)
        return cls(state, tls, services, peers, context, consumers, providers, *servers)

    def listen(self) -> AsyncIterator[Listening]:
        """Listen for security servers, then for consumer systems; each as soon as it listens."""
        return open_exchange_listeners(self.state.settings, self.consumer_server, self.peer_server, self.tls)

    def retire(self) -> None:
        """Make every answer its connection's last one, so that systems and servers that keep connections turn elsewhere."""
        self.consumer_server.is_retiring = self.peer_server.is_retiring = True

    def reconfigure(self, settings: GatewaySettings) -> None:
        """Carry the messages that come from now on by other settings; exchanges under way keep theirs."""
        self.peers.take_times(peer_times(settings))
        self.services.take_total(settings.limits.service_total_s)
        context = replace(self.context, max_body_bytes=settings.limits.body_bytes)
        spelling = settings.fault_spelling
        self.consumer_listener.reconfigure(
            context,
            spelling,
            settings.limits.consumer_idle_s,
            log_certificates=settings.systems.log_client_certificate,
        )
        self.peer_listener.reconfigure(context, spelling)
        for server in (self.consumer_server, self.peer_server):
            server.take_bounds(bounds(settings))


def _context(
    state: GatewayState,
    proofs: Proofs,
    evidence: EvidenceParts,
    watching: Watching,
    tls: TlsContexts,
    services: ServiceCaller,
    peers: PeerClient,
) -> ExchangeContext:
    """The ports of the exchange on this gateway's parts; whatever may change meanwhile is looked up at each call."""
    documents = state.store.view.descriptions.document_of
    answered_here = (
        Metaservices(lambda: state.serverconf, proofs.current, documents, parts.new_id),
        AccessRequests(state.store, utc_now),
        watching.services(),
        PolicyStatisticsService(state.ledger),
        EvidenceStatisticsService(evidence.log.searches, utc_now),
    )
    return ExchangeContext(
        now=utc_now,
        new_id=parts.new_id,
        configuration=proofs.current,
        serverconf=lambda: state.serverconf,
        identities=proofs.identities,
        signing=MessageSigner(state.tokens, turn=evidence.log.turn),
        log=StampedAtOnce(evidence.log, evidence.timestamper, lambda: state.settings.log.timestamp_at_once),
        peers=peers,
        services=CheckedServices(services, documents),
        peer_trust=check_consumer_side,
        new_spool=SpoolFolder(state.folder.spool).new,
        own_certificates=lambda: tls.own_ders,
        max_body_bytes=state.settings.limits.body_bytes,
        policies=state.policies,
        local_services=Several(answered_here),
        observe=watching.observe,
        minimum_client_version=lambda: state.settings.trust.minimum_client_version,
    )
