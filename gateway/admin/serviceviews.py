"""Service descriptions, services and endpoints as the admin API shows them, made from the tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Literal

import msgspec

from gateway.admin.context import instant
from gateway.admin.values import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.clients.records import DescriptionRecord, EndpointRecord, ServiceRecord
    from gateway.clients.tables import Tables
    from schemas.identifiers import ClientId

Method = Literal["*", "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"]


class EndpointView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A method and path of a service."""

    service_code: Text
    method: Method
    path: Text
    id: str | None = None
    generated: bool | None = None


class GatewayServiceView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A service with its endpoints, as the API shows it; ``timeout`` is in seconds."""

    id: str
    full_service_code: str
    service_code: str
    timeout: int
    url: str
    ssl_auth: bool
    subjects_count: int
    endpoints: list[EndpointView]
    title: str | None = None


class ServiceDescription(msgspec.Struct, frozen=True, omit_defaults=True):
    """A service description with its services."""

    id: str
    url: str
    type: str
    disabled: bool
    disabled_notice: str
    refreshed_at: str
    services: list[GatewayServiceView]
    client_id: str


def description_view(tables: Tables, record: DescriptionRecord) -> ServiceDescription:
    """A description as the API shows it; its services in the order of their full codes."""
    return description_views(tables, record.client, (record,))[0]


def description_views(
    tables: Tables, client: ClientId, records: Sequence[DescriptionRecord]
) -> list[ServiceDescription]:
    """A client's descriptions; each table is read once, for there may be thousands of them and of their services."""
    holders = Counter(
        r.endpoint.endpoint.service_code for r in tables.rights.all(client) if r.endpoint.endpoint.is_base
    )
    endpoints: dict[str, list[EndpointView]] = defaultdict(list)
    for found in tables.endpoints.all(client):
        endpoints[found.endpoint.service_code].append(endpoint_view(found))

    def services(record: DescriptionRecord) -> list[GatewayServiceView]:
        ordered = sorted(record.services, key=lambda s: s.full_code)
        return [_service_view(s, holders[s.id.service_code], endpoints[s.id.service_code]) for s in ordered]

    return [
        ServiceDescription(
            str(r.id),
            r.url,
            r.type.value,
            r.disabled,
            r.notice,
            instant(r.refreshed_at),
            services(r),
            r.client.encoded(),
        )
        for r in records
    ]


def service_view(tables: Tables, service: ServiceRecord) -> GatewayServiceView:
    """A service as the API shows it, with its endpoints and how many hold a right to the whole of it."""
    client, code = service.id.client, service.id.service_code
    base = tables.endpoints.base(client, code)
    endpoints = [endpoint_view(e) for e in tables.endpoints.all(client, code)]
    return _service_view(service, len(tables.rights.all(endpoint_id=base.id)), endpoints)


def _service_view(service: ServiceRecord, holders: int, endpoints: list[EndpointView]) -> GatewayServiceView:
    return GatewayServiceView(
        f"{service.id.client.encoded()}:{service.full_code}",
        service.full_code,
        service.id.service_code,
        round(service.timeout_s),
        service.url,
        service.ssl_auth,
        holders,
        endpoints,
        service.title or None,
    )


def endpoint_view(record: EndpointRecord) -> EndpointView:
    """An endpoint as the API shows it."""
    found = record.endpoint
    return EndpointView(found.service_code, found.method, found.path, str(record.id), record.generated)  # type: ignore[arg-type]
