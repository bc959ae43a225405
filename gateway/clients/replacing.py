"""Making the tables exactly what a wanted configuration says; what stays keeps its ids, dates and documents.

Services of type WSDL that name one description share it; any other service has a description of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.clients.model import Endpoint, ServiceType
from gateway.clients.records import ServiceRecord

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from gateway.clients.model import ServerConf, Service
    from gateway.clients.records import DescriptionRecord, Document
    from gateway.clients.tables import Tables
    from schemas.identifiers import ClientId


def replace_all(
    tables: Tables, desired: ServerConf, documents: Mapping[str, Document], now: datetime
) -> None:
    """Change the tables to what ``wanted`` says, and nothing else. Runs inside one transaction."""
    _replace_clients(tables, desired, now)
    _replace_services(tables, desired, documents, now)
    _replace_rights(tables, desired, documents, now)
    _replace_groups(tables, desired, now)


def _replace_clients(tables: Tables, desired: ServerConf, now: datetime) -> None:
    there = {c.id: c for c in tables.clients.all()}
    for gone in there.keys() - {c.id for c in desired.clients}:
        tables.clients.remove(gone)
    for client in desired.clients:
        if client.id not in there:
            tables.clients.add(client.id, client.connection, now)
        elif there[client.id].connection is not client.connection:
            tables.clients.set_connection(client.id, client.connection)
        shown = {c.der for c in tables.clients.certificates(client.id)}
        for der in sorted(shown - client.certificates):
            tables.clients.remove_certificate(client.id, der)
        for der in sorted(client.certificates - shown):
            tables.clients.add_certificate(client.id, der, now)


class _Key(msgspec.Struct, frozen=True):
    """Services with the same key share one description."""

    client: ClientId
    type: ServiceType
    url: str
    disabled: str | None
    alone: str


def _key_of(service: Service) -> _Key:
    alone = "" if service.type is ServiceType.WSDL and service.description else service.id.path()
    return _Key(service.id.client, service.type, service.description or service.url, service.disabled, alone)


def _replace_services(
    tables: Tables, desired: ServerConf, documents: Mapping[str, Document], now: datetime
) -> None:
    wished = {s.id: s for s in desired.services}
    for record in tables.descriptions.all():
        for service in record.services:
            kept = wished.get(service.id)
            if kept is None or kept.type is not record.type:
                tables.descriptions.remove_services([service.id])
    groups: dict[_Key, list[Service]] = {}
    for wish in desired.services:
        groups.setdefault(_key_of(wish), []).append(wish)
    free = {d.id: d for d in tables.descriptions.all() if d.services}
    for key, services in groups.items():
        _replace_description(tables, key, services, free, documents, now)
    for record in tables.descriptions.all():
        if not record.services:
            tables.descriptions.remove(record.id)


def _replace_description(
    tables: Tables,
    key: _Key,
    services: list[Service],
    free: dict[int, DescriptionRecord],
    documents: Mapping[str, Document],
    now: datetime,
) -> None:
    """Find the description that holds most of these services, or make one; then make it and them as wanted."""
    codes = {s.id for s in services}
    candidates = [d for d in free.values() if any(s.id in codes for s in d.services)]
    record = max(candidates, key=lambda d: (d.url == key.url, -d.id), default=None)
    if record is None:
        record = tables.descriptions.add(key.client, key.type, key.url, now)
    free.pop(record.id, None)
    if record.url != key.url:
        tables.descriptions.set_url(record.id, key.url)
    if (record.notice if record.disabled else None) != key.disabled:
        tables.descriptions.set_disabled(
            record.id, disabled=key.disabled is not None, notice=key.disabled or ""
        )
    digest = services[0].digest
    if digest and digest != record.digest:
        tables.descriptions.set_document(record.id, documents[digest], now)
    for service in services:
        _replace_service(tables, service, record.id)


def _replace_service(tables: Tables, service: Service, description_id: int) -> None:
    wish = ServiceRecord(
        service.id,
        description_id,
        service.title,
        service.url,
        service.timeout_s,
        service.verify_tls,
        service.validation,
    )
    there = tables.descriptions.find_service(service.id)
    if there is None:
        tables.descriptions.add_service(wish)
    elif there.description_id != description_id:
        tables.descriptions.move_service(service.id, description_id)
        tables.descriptions.update_service(wish)
    elif there != wish:
        tables.descriptions.update_service(wish)


def _replace_rights(
    tables: Tables, desired: ServerConf, documents: Mapping[str, Document], now: datetime
) -> None:
    wished = {(r.provider, r.endpoint, r.subject) for r in desired.rights}
    for right in tables.rights.all():
        if (right.endpoint.client, right.endpoint.endpoint, right.subject) not in wished:
            tables.rights.revoke(right.endpoint, right.subject)
    _replace_endpoints(tables, desired, documents)
    present = {(r.endpoint.client, r.endpoint.endpoint, r.subject) for r in tables.rights.all()}
    for provider, endpoint, subject in wished - present:
        record = tables.endpoints.ensure(provider, endpoint, generated=False)
        tables.rights.grant(record, subject, now)


def _replace_endpoints(tables: Tables, desired: ServerConf, documents: Mapping[str, Document]) -> None:
    """Every service has its base; a document that came with the file says its endpoints, else those known stay."""
    described = set(desired.endpoints)
    bases = {(s.id.client, Endpoint(s.id.service_code)) for s in desired.services}
    with_document = {(s.id.client, s.id.service_code) for s in desired.services if s.digest in documents}
    needed = bases | described | {(r.provider, r.endpoint) for r in desired.rights}
    for record in tables.endpoints.all():
        code = (record.client, record.endpoint.service_code)
        known = record.generated and code not in with_document and (code[0], Endpoint(code[1])) in bases
        if not known and (record.client, record.endpoint) not in needed:
            tables.endpoints.remove(record.id)
    for client, endpoint in sorted(needed, key=_order):
        tables.endpoints.ensure(client, endpoint, generated=(client, endpoint) in bases | described)


def _order(entry: tuple[ClientId, Endpoint]) -> tuple[ClientId, str, str, str]:
    client, endpoint = entry
    return client, endpoint.service_code, endpoint.path, endpoint.method


def _replace_groups(tables: Tables, desired: ServerConf, now: datetime) -> None:
    wished = {(g.owner, g.code): g.members for g in desired.groups}
    for record in tables.groups.all():
        if (record.owner, record.code) not in wished:
            tables.groups.remove(record.id)
    there = {(g.owner, g.code): g for g in tables.groups.all()}
    for (owner, code), members in wished.items():
        record = there.get((owner, code)) or tables.groups.add(owner, code, "", now)
        inside = {m.id for m in record.members}
        for member in sorted(inside - members):
            tables.groups.remove_member(record.id, member, now)
        for member in sorted(members - inside):
            tables.groups.add_member(record.id, member, now)
