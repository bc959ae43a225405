"""The immutable snapshot that exchanges work with, made from the tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.clients.model import AccessRight, Client, LocalGroup, ServerConf, Service

if TYPE_CHECKING:
    from gateway.clients.records import DescriptionRecord, ServiceRecord
    from gateway.clients.tables import Tables
    from schemas.identifiers import ClientId, ServerId


def build_snapshot(tables: Tables, server_id: ServerId, generation: int) -> ServerConf:
    """Everything an exchange needs, read from the tables."""
    certificates: dict[ClientId, set[bytes]] = {}
    for certificate in tables.clients.certificates():
        certificates.setdefault(certificate.client, set()).add(certificate.der)
    services = tables.descriptions.served()
    rights = tables.rights.all()
    return ServerConf(
        server_id=server_id,
        generation=generation,
        clients=tuple(
            Client(c.id, c.connection, frozenset(certificates.get(c.id, ()))) for c in tables.clients.all()
        ),
        services=tuple(sorted(services, key=lambda s: s.id.components)),
        rights=tuple(AccessRight(r.endpoint.client, r.subject, r.endpoint.endpoint) for r in rights),
        groups=tuple(
            LocalGroup(g.owner, g.code, frozenset(m.id for m in g.members)) for g in tables.groups.all()
        ),
        endpoints=tables.endpoints.known(),
    )


def service_of(description: DescriptionRecord, service: ServiceRecord) -> Service:
    """A service as an exchange sees it."""
    return Service(
        service.id,
        description.type,
        service.url,
        service.timeout_s,
        service.ssl_auth,
        description.notice if description.disabled else None,
        service.title,
        service.validation,
        description.url,
        description.digest,
    )
