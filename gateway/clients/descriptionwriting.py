"""Putting a description that was read into the database, one transaction each: what it changes is shown, decided on, done whole.

Synchronous, for a thread or a process of its own (`gateway.admin.describing`): a description may have thousands of services.
Raises `Refused`, also with warnings that a person must look at first; nothing is changed then.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from gateway.clients.descriptions.changes import (
    DEFAULT_NOTICE,
    check_conflicts,
    check_url_free,
    compare_endpoints,
    compare_services,
    endpoint_warnings,
    finding_warnings,
    new_service,
    service_warnings,
)
from gateway.clients.descriptions.described import UPLOADED, ParsedDescription
from gateway.clients.model import Endpoint, ServiceType
from gateway.clients.records import Document
from gateway.refusals import GatewayCode
from schemas.identifiers import ServiceId
from serving.errors import Caution, Refused

if TYPE_CHECKING:
    from collections.abc import Collection

    from gateway.clients.records import DescriptionRecord, ServiceRecord
    from gateway.clients.store import ServerConfStore
    from gateway.clients.tables import Tables
    from schemas.identifiers import ClientId

    # The document, and what it says.
    Reading = tuple[Document | None, ParsedDescription]


class DescriptionSource(msgspec.Struct, frozen=True):
    """The source of a description: an address, or a document that was handed in under a name."""

    type: ServiceType
    url: str
    document: Document | None = None

    @classmethod
    def uploaded(cls, kind: ServiceType, name: str, document: Document) -> DescriptionSource:
        """A document that an administrator hands in."""
        return cls(kind, UPLOADED + name, document)


class DescriptionContent(msgspec.Struct, frozen=True):
    """A description from ``now`` on: where it comes from, its document where it has one, and what that says.

    ``code`` is the service's code for REST and OpenAPI; None on a change keeps it.
    """

    kind: ServiceType
    url: str
    code: str | None
    now: datetime
    described: ParsedDescription
    document: Document | None
    ignore_warnings: bool = False

    @classmethod
    def of(
        cls,
        source: DescriptionSource,
        code: str | None,
        now: datetime,
        reading: Reading,
        *,
        ignore_warnings: bool,
    ) -> DescriptionContent:
        """The content of a source that was read."""
        document, described = reading
        return cls(source.type, source.url, code, now, described, document, ignore_warnings)

    def judge(self, changes: list[Caution]) -> None:
        """Refuse (``warnings_detected``) while there are doubts or ``changes`` that nobody has accepted."""
        code = "wsdl_validation_warnings" if self.kind is ServiceType.WSDL else "openapi_validation_warnings"
        found = [*finding_warnings(code, self.described), *changes]
        if found and not self.ignore_warnings:
            text = "; ".join(f"{w.code}: {', '.join(w.metadata)}" for w in found)
            raise Refused(GatewayCode.WARNINGS_DETECTED, text, warnings=found)


def add_description(
    store: ServerConfStore, client: ClientId, content: DescriptionContent
) -> DescriptionRecord:
    """Add a description, disabled, with its services and endpoints."""
    content.judge([])
    described = content.described
    with store.change() as tables:
        others = tables.descriptions.all(client)
        check_url_free(content.url, others, code=_taken(content.kind))
        record = tables.descriptions.add(
            client, content.kind, content.url, content.now, notice=DEFAULT_NOTICE
        )
        if content.kind is ServiceType.WSDL:
            services = compare_services(client, record.id, (), described).after
        else:
            only = described.services[0]
            identifier = ServiceId(client, content.code or "")
            services = (new_service(identifier, record.id, only.url, only.title),)
        _check_services(tables, record, services)
        tables.descriptions.add_services(services)
        endpoints = [
            Endpoint(service.id.service_code, method, path)
            for service in services
            for method, path in (("*", "**"), *described.operations)
        ]
        tables.endpoints.ensure_all(client, endpoints, generated=True)
        if content.document is not None:
            tables.descriptions.set_document(record.id, content.document, content.now)
        return tables.descriptions.get(record.id)


def update_description(store: ServerConfStore, number: int, content: DescriptionContent) -> DescriptionRecord:
    """Make a description's services and endpoints those of a new reading."""
    with store.change() as tables:
        record = tables.descriptions.get(number)
        others = [d for d in tables.descriptions.all(record.client) if d.id != number]
        check_url_free(content.url, others, code=_taken(content.kind))
        if content.kind is ServiceType.WSDL:
            warnings = _update_wsdl(tables, record, content.described)
        else:
            warnings = _update_rest(tables, record, content.described, content.code)
        # Raised inside the transaction: the changes above are undone, and what was found is shown.
        content.judge(warnings)
        tables.descriptions.set_url(number, content.url)
        tables.descriptions.set_refreshed(number, content.now)
        if content.document is not None:
            tables.descriptions.set_document(number, content.document, content.now)
        return tables.descriptions.get(number)


def _update_wsdl(tables: Tables, record: DescriptionRecord, described: ParsedDescription) -> list[Caution]:
    changes = compare_services(record.client, record.id, record.services, described)
    _check_services(tables, record, changes.added)
    tables.descriptions.remove_services([s.id for s in changes.removed])
    tables.descriptions.add_services(changes.added)
    there = set(record.services)
    added = {s.id for s in changes.added}
    for service in changes.after:
        if service.id not in added and service not in there:
            tables.descriptions.update_service(service)
    endpoints = [Endpoint(s.id.service_code) for s in changes.after]
    tables.endpoints.ensure_all(record.client, endpoints, generated=True)
    return service_warnings(changes)


def _update_rest(
    tables: Tables, record: DescriptionRecord, described: ParsedDescription, new_code: str | None
) -> list[Caution]:
    (service,) = record.services
    old_code = service.id.service_code
    if new_code is not None and new_code != old_code:
        renamed = msgspec.structs.replace(service, id=ServiceId(record.client, new_code))
        _check_services(tables, record, (renamed,))
        tables.descriptions.set_code(service.id, new_code)
        tables.endpoints.set_code(record.client, old_code, new_code)
        service = renamed
    if record.type is ServiceType.REST:
        tables.descriptions.update_service(msgspec.structs.replace(service, url=described.services[0].url))
        return []
    tables.descriptions.update_service(msgspec.structs.replace(service, title=described.services[0].title))
    code = service.id.service_code
    changes = compare_endpoints(code, tables.endpoints.all(record.client, code), described)
    tables.endpoints.remove_all([gone.id for gone in changes.removed])
    for adopted in changes.adopted:
        tables.endpoints.set_generated(adopted.id, generated=True)
    tables.endpoints.ensure_all(record.client, changes.added, generated=True)
    return endpoint_warnings(changes)


def _check_services(tables: Tables, record: DescriptionRecord, services: Collection[ServiceRecord]) -> None:
    others = [s for s in tables.descriptions.services(record.client) if s.description_id != record.id]
    check_conflicts(services, others, whole_code=record.type is not ServiceType.WSDL)


def _taken(kind: ServiceType) -> GatewayCode:
    return GatewayCode.WSDL_EXISTS if kind is ServiceType.WSDL else GatewayCode.URL_ALREADY_EXISTS
