"""Who is there and what is offered, out of the configurations. Pure.

Spec: PR-META 2, 3; PR-MREST 4. Disabled services are listed as well, as X-Road does: they exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.clients.model import ServiceType
from gateway.exchange.access import endpoints_granted
from schemas.faults import BadMessage, Kind
from schemas.metadata import ListedClient, ListedService

if TYPE_CHECKING:
    from certs.configuration import TrustedConfiguration
    from gateway.clients.model import Endpoint, ServerConf, Service
    from gateway.exchange.access import GlobalGroups
    from schemas.identifiers import ClientId, ServiceId

_TYPE_NAMES = {ServiceType.REST: "REST", ServiceType.OPENAPI3: "OPENAPI"}


def list_clients(configuration: TrustedConfiguration, instance: str | None) -> tuple[ListedClient, ...]:
    """Members of an instance, each before its subsystems. Raises `BadMessage` (``bad_request``) on an unknown one."""
    name = instance or configuration.instance
    loaded = configuration.instances.get(name)
    if loaded is None:
        known = ", ".join(sorted(configuration.instances))
        raise BadMessage(Kind.BAD_REQUEST, f"the instance {name!r} is not known here; known: {known}")
    found: list[ListedClient] = []
    for member in loaded.shared.members:
        found.append(ListedClient(member.id, member.name))
        found += [ListedClient(member.id.subsystem(s.code), member.name, s.name) for s in member.subsystems]
    return tuple(found)


def list_soap_services(serverconf: ServerConf, provider: ClientId) -> tuple[ServiceId, ...]:
    """Every SOAP service of a provider."""
    return tuple(s.id for s in serverconf.services_of(provider) if not s.type.is_rest)


def allowed_soap_services(
    serverconf: ServerConf, groups: GlobalGroups, provider: ClientId, client: ClientId
) -> tuple[ServiceId, ...]:
    """The SOAP services that a client may call."""
    return tuple(
        service
        for service in list_soap_services(serverconf, provider)
        if any(
            e.is_base for e in endpoints_granted(serverconf, groups, client, provider, service.service_code)
        )
    )


def list_rest_services(serverconf: ServerConf, provider: ClientId) -> tuple[ListedService, ...]:
    """Every REST service of a provider, with its endpoints."""
    return tuple(
        _listed(s, serverconf.endpoints_of(provider, s.id.service_code))
        for s in serverconf.services_of(provider)
        if s.type.is_rest
    )


def allowed_rest_services(
    serverconf: ServerConf, groups: GlobalGroups, provider: ClientId, client: ClientId
) -> tuple[ListedService, ...]:
    """The REST services of which a client may call something, each with the endpoints its rights cover."""
    found: list[ListedService] = []
    for service in serverconf.services_of(provider):
        code = service.id.service_code
        granted = endpoints_granted(serverconf, groups, client, provider, code)
        if service.type.is_rest and granted:
            endpoints = serverconf.endpoints_of(provider, code)
            covered = (e for e in endpoints if any(g.matches(e.method, e.path) for g in granted))
            found.append(_listed(service, tuple(covered)))
    return tuple(found)


def _listed(service: Service, endpoints: tuple[Endpoint, ...]) -> ListedService:
    return ListedService(service.id, _TYPE_NAMES[service.type], tuple((e.method, e.path) for e in endpoints))
