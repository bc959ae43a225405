"""Gathers every member's service descriptions through a gateway, as any consumer would: signed, logged, allowed.

Each subsystem registered at a server is asked for its catalogue (``getCatalogue``), and only for descriptions that have
changed since. A gateway that has no such service (X-Road's own) is asked for its REST and SOAP services and their
descriptions, and what may name a person is taken out here before anything is kept. Who cannot be asked is kept as
unreachable with the reason; nothing known is forgotten for it. No service of a provider is ever called.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import aiohttp

from central_server.edges.gatewayclient import CatalogueGatewayClient
from central_server.registry.descriptions import without_persons
from central_server.store.loading import load_registry
from central_server.store.records import Actor
from central_server.store.services import FoundService, latest_digests, record_provider, record_unreachable
from schemas import metadata
from schemas.catalogue import GET_CATALOGUE, DescriptionType, parse_catalogue
from schemas.faults import Fault, Kind, PeerFault
from schemas.identifiers import ServiceId
from schemas.soapenvelope import XROAD_NS
from serving.process.failing import reason_of
from serving.process.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from central_server.config import Catalogue
    from central_server.store.records import CentralStore
    from schemas.catalogue import CatalogueService
    from schemas.identifiers import ClientId

log = logging.getLogger("central_server.registry.catalogue")

AT_ONCE = 8
ACTOR = Actor("service catalogue")
_FIRST_WAIT_S = 30.0
_TYPES = {DescriptionType.REST: "REST", DescriptionType.OPENAPI3: "OPENAPI", DescriptionType.WSDL: "WSDL"}
# What a gateway says that has no getCatalogue, or does not let us ask it.
_NO_CATALOGUE = (Kind.UNKNOWN_SERVICE, Kind.ACCESS_DENIED)


@dataclass(frozen=True, slots=True)
class Gatherer:
    """Asks every provider, again and again."""

    store: CentralStore
    settings: Catalogue
    clock: Callable[[], datetime]

    def loop(self) -> Loop:
        """The loop that gathers descriptions of services."""
        return Loop(
            "catalogue",
            self._gather,
            lambda: self.settings.interval_s,
            first_s=min(_FIRST_WAIT_S, self.settings.interval_s),
            event="catalogue",
            failure_text="gathering failed",
        )

    async def _gather(self) -> None:
        async with aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
            await self.gather(session)

    async def gather(self, session: aiohttp.ClientSession) -> tuple[int, int]:
        """Ask every provider once; how many were reached and how many were not."""
        client = CatalogueGatewayClient(session, self.settings.gateway, self.settings.client)
        registry = load_registry(self.store.read(), [])  # rows at fault are said where they are published
        providers = sorted({c for s in registry.servers for c in (*s.clients, s.id.owner)})
        gate = asyncio.Semaphore(AT_ONCE)

        async def ask(provider: ClientId) -> bool:
            async with gate:
                return await self._ask(client, provider)

        reached = await asyncio.gather(*(ask(p) for p in providers))
        return sum(reached), len(reached) - sum(reached)

    async def _ask(self, client: CatalogueGatewayClient, provider: ClientId) -> bool:
        try:
            found = await self._services_of(client, provider)
        except Exception as err:  # one provider's answer must not keep the others from being asked
            with self.store.change(ACTOR, self.clock(), publishes=False) as records:
                record_unreachable(records, provider, reason_of(err))
            return False
        with self.store.change(ACTOR, self.clock(), publishes=False) as records:
            record_provider(records, provider, found)
        return True

    async def _services_of(self, client: CatalogueGatewayClient, provider: ClientId) -> list[FoundService]:
        if provider.is_member:  # a member itself has SOAP services only
            return await _soap_services(client, provider)
        try:
            _, raw = await client.get(provider, GET_CATALOGUE)
        except PeerFault as fault:
            if fault.kind not in _NO_CATALOGUE:
                raise
            return [*await _rest_services(client, provider), *await _soap_services(client, provider)]
        known = latest_digests(self.store.read(), provider)
        return [await _described(client, provider, s, known) for s in parse_catalogue(raw, provider)]


async def _described(
    client: CatalogueGatewayClient, provider: ClientId, offered: CatalogueService, known: dict[str, str]
) -> FoundService:
    service = ServiceId(provider, offered.service_code, offered.service_version)
    words = " ".join(f"{e.method} {e.path}" for e in offered.endpoints)
    found = FoundService(service, _TYPES[offered.type], title=offered.title, words=words)
    if not offered.digest:
        return found
    if known.get(service.path()) == offered.digest:
        return found.unchanged(offered.digest)
    query = {"serviceCode": offered.service_code}
    if offered.service_version is not None:
        query["serviceVersion"] = offered.service_version
    try:
        media_type, raw = await client.get(provider, GET_CATALOGUE, f"?{urlencode(query)}")
    except PeerFault as fault:
        _without(service, fault)
        return found
    if hashlib.sha256(raw).hexdigest() != offered.digest:
        log.info("description changed while it was asked for", extra={"service": service.path()})
    return found.with_description(media_type, raw)


# Gateways without getCatalogue


async def _rest_services(client: CatalogueGatewayClient, provider: ClientId) -> list[FoundService]:
    _, raw = await client.get(provider, metadata.LIST_METHODS)
    found = []
    for listed in metadata.parse_services_json(raw):
        service = FoundService(listed.id, "OPENAPI" if listed.type == "OPENAPI" else "REST")
        if listed.type == "OPENAPI":
            query = f"?{urlencode({'serviceCode': listed.id.service_code})}"
            try:
                _, description = await client.get(provider, metadata.GET_OPENAPI, query)
                service = service.with_description(*without_persons("OPENAPI", description))
            except PeerFault as fault:
                _without(listed.id, fault)
        found.append(service)
    return found


async def _soap_services(client: CatalogueGatewayClient, provider: ClientId) -> list[FoundService]:
    body = f'<xroad:{metadata.LIST_METHODS} xmlns:xroad="{XROAD_NS}"/>'
    _, raw = await client.post(ServiceId(provider, metadata.LIST_METHODS), body)
    found = []
    for service in metadata.parse_services_body(raw):
        query = metadata.render_get_wsdl_body(service.service_code, service.service_version)
        attachments: list[bytes] = []
        try:
            attachments, _ = await client.post(ServiceId(provider, metadata.GET_WSDL), query)
        except PeerFault as fault:
            _without(service, fault)
        kept = FoundService(service, "WSDL")
        found.append(kept.with_description(*without_persons("WSDL", attachments[0])) if attachments else kept)
    return found


def _without(service: ServiceId, fault: Fault) -> None:
    log.info(
        "service without a description",
        extra={"event": "catalogue", "service": service.path(), "reason": fault.detail},
    )
