"""Both sides of an exchange in memory: two gateways over doubles, joined by a peer double."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from certs.certificates import der_of
from certs.configuration import TrustedConfiguration
from certs.signing import MessageSigner
from gateway.clients.model import (
    AccessRight,
    Client,
    ConnectionType,
    Endpoint,
    ServerConf,
    Service,
    ServiceType,
)
from gateway.exchange.authentication import ConsumerConnection
from gateway.exchange.consumer import exchange
from gateway.exchange.peertrust import check_consumer_side
from gateway.exchange.ports import ExchangeContext, LocalServices, NoLocalServices
from gateway.exchange.protocols import ConsumerProtocol, ConsumerRequest, PeerRequest
from gateway.exchange.provider import serve
from gateway.exchange.record import ExchangeRecord
from gateway.exchange.restprotocol import RestConsumer
from gateway.exchange.soapprotocol import SoapConsumer
from gateway.exchange.wire import discard_all
from gateway.messagelog.spool import SpoolFolder
from schemas.faults import Fault, Spelling
from schemas.faultxml import render_soap_fault
from schemas.identifiers import ServerId, ServiceId
from tests import worlds
from tests.doubles import (
    MemoryIdentities,
    MemoryLog,
    MemoryPeers,
    MemoryServices,
    Sent,
    TroubledSigning,
    one_by_one,
)
from tests.worlds import CONSUMER, CONSUMER_SERVER, NOW, PROVIDER, PROVIDER_SERVER

SERVICE = ServiceId(PROVIDER, "afiliados")


def provider_conf(**changes: object) -> ServerConf:
    """The provider's gateway: one service, which the consumer may call."""
    service = msgspec.structs.replace(Service(SERVICE, ServiceType.REST, "http://system.invalid"), **changes)
    right = AccessRight(PROVIDER, CONSUMER, Endpoint(SERVICE.service_code))
    return ServerConf(PROVIDER_SERVER, (Client(PROVIDER, ConnectionType.HTTP),), (service,), (right,))


class GatewayPair:
    """Two gateways. Each port can be troubled; ``trace`` says what took effect, in order."""

    def __init__(self, folder: Path) -> None:
        self.trace: list[str] = []
        self.world = worlds.world()
        self.configuration: TrustedConfiguration | None = self.world.configuration
        self.spools = SpoolFolder(folder, budget_bytes=0)
        self.consumer_log = MemoryLog("consumer", self.trace)
        self.provider_log = MemoryLog("provider", self.trace)
        self.services = MemoryServices(self.trace)
        self.peers = MemoryPeers(self.deliver, self.trace)
        self.certificates: tuple[bytes, ...] = (der_of(self.world.auth[CONSUMER_SERVER]),)
        self.consumer_identities = self._identities(CONSUMER_SERVER)
        self.provider_identities = self._identities(PROVIDER_SERVER)
        self.consumer_signing = TroubledSigning(MessageSigner(self.world.token))
        self.provider_signing = TroubledSigning(MessageSigner(self.world.token))
        self.consumer_conf = ServerConf(CONSUMER_SERVER, (Client(CONSUMER, ConnectionType.HTTP),))
        self.provider_conf = provider_conf()
        self.rewrite_request: Callable[[Sent], Sent] = lambda sent: sent
        self.rewrite_answer: Callable[[Sent], Sent] = lambda answer: answer
        self._ids = itertools.count(1)
        self.new_id = lambda: f"00000000-0000-4000-8000-{next(self._ids):012d}"
        self.max_body_bytes = 10**6
        self.minimum_client_version = ""
        self.local_services: LocalServices = NoLocalServices()

    def _identities(self, server: ServerId) -> MemoryIdentities:
        return MemoryIdentities(self.world.identities, self.world.auth[server], self.world.ocsp)

    def consumer_context(self) -> ExchangeContext:
        """What the consumer side is given."""
        return self._context(
            self.consumer_conf, self.consumer_identities, self.consumer_signing, self.consumer_log
        )

    def provider_context(self) -> ExchangeContext:
        """What the provider side is given."""
        return self._context(
            self.provider_conf, self.provider_identities, self.provider_signing, self.provider_log
        )

    def _context(
        self, conf: ServerConf, identities: MemoryIdentities, signing: TroubledSigning, log: MemoryLog
    ) -> ExchangeContext:
        return ExchangeContext(
            now=lambda: NOW,
            new_id=self.new_id,
            configuration=lambda: self.configuration,
            serverconf=lambda: conf,
            identities=identities,
            signing=signing,
            log=log,
            peers=self.peers,
            services=self.services,
            peer_trust=check_consumer_side,
            new_spool=self.spools.new,
            own_certificates=lambda: (),
            max_body_bytes=self.max_body_bytes,
            minimum_client_version=lambda: self.minimum_client_version,
            local_services=self.local_services,
        )

    async def ask(
        self,
        path: str = "/v1/x",
        *,
        body: bytes | None = b'{"a":1}',
        headers: tuple[tuple[str, str], ...] = (),
    ) -> bytes:
        """One request of a consumer system through both gateways; the body it gets. Raises `Fault`."""
        asked = ConsumerRequest(
            "GET" if body is None else "POST",
            f"/r1/{PROVIDER.path()}/{SERVICE.service_code}{path}",
            (("X-Road-Client", CONSUMER.path()), ("X-Road-Id", "q1"), *headers),
            None if body is None else one_by_one(body),
            ConsumerConnection(over_tls=False),
        )
        return (await self._exchange(asked, RestConsumer()))[1]

    async def ask_over_soap(
        self, raw: bytes, content_type: str, *headers: tuple[str, str]
    ) -> tuple[str, bytes]:
        """The same over SOAP: content type and body of the answer. The provider's service must be one of SOAP. Raises `Fault`."""
        given = (("Content-Type", content_type), *headers)
        asked = ConsumerRequest("POST", "/", given, one_by_one(raw), ConsumerConnection(over_tls=False))
        return await self._exchange(asked, SoapConsumer())

    async def _exchange(
        self, asked: ConsumerRequest, protocol: ConsumerProtocol[Any, Any]
    ) -> tuple[str, bytes]:
        answer = await exchange(self.consumer_context(), asked, protocol, ExchangeRecord("Client", NOW))
        self.trace.append("answered")
        content = b"" if answer.chunks is None else b"".join([chunk async for chunk in answer.chunks])
        discard_all(answer.bodies)
        return next((v for n, v in answer.headers if n.lower() == "content-type"), ""), content

    async def deliver(self, sent: Sent) -> Sent:
        """The provider's gateway gets a message and answers, with a fault if need be."""
        try:
            return self.rewrite_answer(await self.provide(self.rewrite_request(sent)))
        except Fault as fault:
            raw = render_soap_fault(
                fault.code_in(Spelling.SNAKE), fault.detail, "", fault.identify(lambda: str(uuid.uuid4()))
            )
            return Sent({"content-type": "text/xml"}, raw)

    async def provide(self, sent: Sent) -> Sent:
        """The same, faults raised."""
        came = PeerRequest(sent.headers, one_by_one(sent.raw), self.certificates)
        answer = await serve(self.provider_context(), came, ExchangeRecord("Producer", NOW))
        raw = b"".join([chunk async for chunk in answer.chunks])
        answer.discard()
        return Sent({"content-type": answer.content_type, "x-hash-algorithm": "SHA-512"}, raw)
