"""Adding, changing and refreshing service descriptions: read the document, show what changes, change it whole.

Every act first fetches and reads, then decides on what the tables hold, and then changes them in one transaction
that decides again, so an act that raced with another is refused rather than half done. Raises `Refused`, or
`Refused` when a person must look first. Spec: UG-SS 6; codes of the admin API.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

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
from gateway.clients.descriptions.described import (
    UPLOADED,
    DescribedService,
    ParsedDescription,
    check_base_url,
    check_code,
    check_url,
)
from gateway.clients.descriptions.reading import DescriptionReader
from gateway.clients.model import Endpoint, ServiceType, Validation
from gateway.clients.records import Document
from gateway.clients.snapshot import service_of
from gateway.clients.validation.checkedservices import CannotCheck, build_checks
from gateway.refusals import GatewayCode
from schemas.identifiers import ServiceId
from serving.errors import Caution, Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from datetime import datetime

    from gateway.clients.descriptions.reading import Read
    from gateway.clients.records import DescriptionRecord, EndpointRecord, ServiceRecord
    from gateway.clients.store import ServerConfStore
    from gateway.clients.tables import Tables
    from schemas.identifiers import ClientId

    Fetch = Callable[[str, Collection[bytes]], Awaitable[Document]]
    # The document, and what it says.
    Reading = tuple[Document | None, ParsedDescription]

DOWNLOAD_CODES = {
    ServiceType.WSDL: GatewayCode.WSDL_DOWNLOAD_FAILED,
    ServiceType.OPENAPI3: GatewayCode.OPENAPI_PARSING_ERROR,
}
METHODS = frozenset(("*", "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"))


@dataclass(frozen=True, slots=True)
class DescriptionSource:
    """Where a description comes from: an address, or a document that was handed in under a name."""

    type: ServiceType
    url: str
    document: Document | None = None

    @classmethod
    def uploaded(cls, kind: ServiceType, name: str, document: Document) -> DescriptionSource:
        """A document that an administrator hands in."""
        return cls(kind, UPLOADED + name, document)


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """The values an administrator sets of a service; each ``*_all`` copies its value to every service of the description."""

    url: str
    timeout_s: float
    ssl_auth: bool
    validation: Validation | None = None
    url_all: bool = False
    timeout_all: bool = False
    ssl_auth_all: bool = False


class DescriptionRegister:
    """Service descriptions, by the rules."""

    def __init__(self, store: ServerConfStore, fetch: Fetch, read: Read | None = None) -> None:
        self._store = store
        self._fetch = fetch
        self._parse = read or DescriptionReader().read

    # Reading, which takes as long as a provider's system and a document take; nothing is changed meanwhile.

    async def read_new(
        self, client: ClientId, source: DescriptionSource, service_code: str | None
    ) -> Reading:
        """Fetch and parse a new description for `add`. Refused for an unknown client, a bad code or an unreadable document."""
        self._store.view.clients.get(client)
        if source.type is not ServiceType.WSDL:
            check_code(_needed(service_code))
        return await self._read(client, source)

    async def read_changed(self, number: int, source: DescriptionSource, new_code: str | None) -> Reading:
        """Fetch and parse a description for `update`. Refused for another kind of description, a bad code or an unreadable document."""
        record = self._store.view.descriptions.get_alone(number)
        if record.type is not source.type:
            raise Refused(
                GatewayCode.WRONG_SERVICEDESCRIPTION_TYPE,
                f"service description {number} is {record.type}, not {source.type}",
            )
        if new_code is not None:
            check_code(new_code)
        return await self._read(record.client, source)

    async def read_again(self, number: int) -> Reading:
        """Fetch and parse the description again for `refresh`, from where it came the last time."""
        return await self.read_changed(number, self._source_of(number), None)

    def _source_of(self, number: int) -> DescriptionSource:
        record = self._store.view.descriptions.get_alone(number)
        if record.url.startswith(UPLOADED):
            raise Refused(
                GatewayCode.ACTION_NOT_POSSIBLE,
                "the description was uploaded; upload the new document instead of refreshing",
            )
        return DescriptionSource(record.type, record.url)

    # Changing, in one transaction each; in a thread, since a description may have thousands of services

    async def add(
        self,
        client: ClientId,
        source: DescriptionSource,
        service_code: str | None,
        now: datetime,
        *,
        ignore_warnings: bool = False,
        reading: Reading | None = None,
    ) -> DescriptionRecord:
        """Add a description, disabled. ``service_code`` names the service of a REST or OPENAPI3 description.

        ``reading`` is what `read_new` gave; without it the document is read first.
        """
        reading = reading or await self.read_new(client, source, service_code)
        self._judge(source.type, reading[1], [], ignore_warnings=ignore_warnings)
        return await asyncio.to_thread(self._add, client, source, service_code, now, reading)

    def _add(
        self,
        client: ClientId,
        source: DescriptionSource,
        service_code: str | None,
        now: datetime,
        reading: Reading,
    ) -> DescriptionRecord:
        document, described = reading
        with self._store.change() as tables:
            others = tables.descriptions.all(client)
            check_url_free(source.url, others, code=_taken(source.type))
            record = tables.descriptions.add(client, source.type, source.url, now, notice=DEFAULT_NOTICE)
            if source.type is ServiceType.WSDL:
                services = compare_services(client, record.id, (), described).after
            else:
                only = described.services[0]
                identifier = ServiceId(client, service_code or "")
                services = (new_service(identifier, record.id, only.url, only.title),)
            _check_services(tables, record, services)
            tables.descriptions.add_services(services)
            endpoints = [
                Endpoint(service.id.service_code, method, path)
                for service in services
                for method, path in (("*", "**"), *described.operations)
            ]
            tables.endpoints.ensure_all(client, endpoints, generated=True)
            if document is not None:
                tables.descriptions.set_document(record.id, document, now)
            return tables.descriptions.get(record.id)

    async def refresh(
        self, number: int, now: datetime, *, ignore_warnings: bool = False, reading: Reading | None = None
    ) -> DescriptionRecord:
        """Read the description again from where it came."""
        source = self._source_of(number)
        return await self.update(number, source, None, now, ignore_warnings=ignore_warnings, reading=reading)

    async def update(
        self,
        number: int,
        source: DescriptionSource,
        new_code: str | None,
        now: datetime,
        *,
        ignore_warnings: bool = False,
        reading: Reading | None = None,
    ) -> DescriptionRecord:
        """Read the description from ``source`` from now on; a service code may change with it, and keeps its rights."""
        reading = reading or await self.read_changed(number, source, new_code)

        def judge(found: list[Caution]) -> None:
            self._judge(source.type, reading[1], found, ignore_warnings=ignore_warnings)

        return await asyncio.to_thread(self._update, number, source, new_code, now, reading, judge)

    def _update(
        self,
        number: int,
        source: DescriptionSource,
        new_code: str | None,
        now: datetime,
        reading: Reading,
        judge: Callable[[list[Caution]], None],
    ) -> DescriptionRecord:
        document, described = reading
        with self._store.change() as tables:
            record = tables.descriptions.get(number)
            others = [d for d in tables.descriptions.all(record.client) if d.id != number]
            check_url_free(source.url, others, code=_taken(source.type))
            if source.type is ServiceType.WSDL:
                warnings = _update_wsdl(tables, record, described)
            else:
                warnings = _update_rest(tables, record, described, new_code)
            # Raised inside the transaction: the changes above are undone, and what was found is shown.
            judge(warnings)
            tables.descriptions.set_url(number, source.url)
            tables.descriptions.set_refreshed(number, now)
            if document is not None:
                tables.descriptions.set_document(number, document, now)
            return tables.descriptions.get(number)

    def set_disabled(self, number: int, notice: str | None) -> None:
        """Switch a description's services off with a notice for callers; None switches them on."""
        with self._store.change() as tables:
            tables.descriptions.set_disabled(number, disabled=notice is not None, notice=notice or "")

    def remove(self, number: int) -> None:
        """Delete a description with its services, endpoints and rights."""
        with self._store.change() as tables:
            tables.descriptions.remove(number)

    def set_service(self, service: ServiceId, settings: ServiceSettings) -> ServiceRecord:
        """Change a service's address, timeout, TLS verification and message validation."""
        check_url(settings.url)
        if not 0 <= settings.timeout_s <= 1000:
            raise Refused(
                GatewayCode.VALIDATION_FAILURE, f"a timeout is 0 to 1000 s, not {settings.timeout_s:g}"
            )
        with self._store.change() as tables:
            record = tables.descriptions.get_service(service)
            if tables.descriptions.get_alone(record.description_id).type is not ServiceType.WSDL:
                check_base_url(settings.url)
            if settings.validation not in (None, Validation.OFF):
                _check_possible(tables, record)
            siblings = tables.descriptions.get(record.description_id).services
            for sibling in siblings:
                mine = sibling.id == service
                changed = replace(
                    sibling,
                    url=settings.url if mine or settings.url_all else sibling.url,
                    timeout_s=settings.timeout_s if mine or settings.timeout_all else sibling.timeout_s,
                    ssl_auth=settings.ssl_auth if mine or settings.ssl_auth_all else sibling.ssl_auth,
                    validation=settings.validation
                    if mine and settings.validation is not None
                    else sibling.validation,
                )
                if changed != sibling:
                    tables.descriptions.update_service(changed)
            return tables.descriptions.get_service(service)

    def add_endpoint(self, service: ServiceId, method: str, path: str) -> EndpointRecord:
        """Add an endpoint by hand."""
        check_endpoint(method, path)
        with self._store.change() as tables:
            record = tables.descriptions.get_service(service)
            if tables.descriptions.get_alone(record.description_id).type is ServiceType.WSDL:
                raise Refused(GatewayCode.WRONG_SERVICEDESCRIPTION_TYPE, "a SOAP service has no endpoints")
            endpoint = Endpoint(service.service_code, method, path)
            return tables.endpoints.add(service.client, endpoint, generated=False)

    def update_endpoint(self, number: int, method: str, path: str) -> EndpointRecord:
        """Change an endpoint that was made by hand; its rights stay."""
        check_endpoint(method, path)
        with self._store.change() as tables:
            return tables.endpoints.update(number, method, path)

    def remove_endpoint(self, number: int) -> None:
        """Delete an endpoint that was made by hand, with its rights."""
        with self._store.change() as tables:
            if tables.endpoints.get(number).generated:
                raise Refused(
                    GatewayCode.ILLEGAL_GENERATED_ENDPOINT_REMOVE,
                    "the endpoint comes from the service's description",
                )
            tables.endpoints.remove(number)

    async def _read(self, client: ClientId, source: DescriptionSource) -> Reading:
        """The document and what it says; a REST description has none and says only its address."""
        if source.type is ServiceType.REST:
            check_base_url(source.url)
            return None, _rest(source.url)
        document = source.document
        if document is None:
            check_url(source.url)
            certificates = [c.der for c in self._store.view.clients.certificates(client)]
            try:
                document = await self._fetch(source.url, certificates)
            except Refused as refusal:
                if refusal.code is not GatewayCode.DESCRIPTION_DOWNLOAD_FAILED:
                    raise
                code = DOWNLOAD_CODES[source.type]
                raise Refused(code, str(refusal), *refusal.metadata) from refusal
        base = "" if source.document is not None else source.url
        return document, await self._parse(source.type, document.content, base)

    def _judge(
        self,
        kind: ServiceType,
        described: ParsedDescription,
        changes: list[Caution],
        *,
        ignore_warnings: bool,
    ) -> None:
        code = "wsdl_validation_warnings" if kind is ServiceType.WSDL else "openapi_validation_warnings"
        found = [*finding_warnings(code, described), *changes]
        if found and not ignore_warnings:
            text = "; ".join(f"{w.code}: {', '.join(w.metadata)}" for w in found)
            raise Refused(GatewayCode.WARNINGS_DETECTED, text, warnings=found)


def check_endpoint(method: str, path: str) -> None:
    """Refuse a method or path pattern that no request could meet."""
    if method not in METHODS:
        raise Refused(
            GatewayCode.VALIDATION_FAILURE, f"{method!r} is no method; one of {', '.join(sorted(METHODS))}"
        )
    if not path.startswith(("/", "*")):
        raise Refused(GatewayCode.VALIDATION_FAILURE, f"the path pattern {path!r} must begin with '/' or '*'")


def _check_possible(tables: Tables, record: ServiceRecord) -> None:
    """Refuse (``validation_not_possible``) to check messages of a service whose description does not allow it."""
    described = service_of(tables.descriptions.get_alone(record.description_id), record)
    checks = build_checks(described, tables.descriptions.document_of(record.id))
    if isinstance(checks, CannotCheck):
        raise Refused(GatewayCode.VALIDATION_NOT_POSSIBLE, checks.reason, checks.reason)


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
        renamed = replace(service, id=ServiceId(record.client, new_code))
        _check_services(tables, record, (renamed,))
        tables.descriptions.set_code(service.id, new_code)
        tables.endpoints.set_code(record.client, old_code, new_code)
        service = renamed
    if record.type is ServiceType.REST:
        tables.descriptions.update_service(replace(service, url=described.services[0].url))
        return []
    tables.descriptions.update_service(replace(service, title=described.services[0].title))
    code = service.id.service_code
    changes = compare_endpoints(code, tables.endpoints.all(record.client, code), described)
    for gone in changes.removed:
        tables.endpoints.remove(gone.id)
    for adopted in changes.adopted:
        tables.endpoints.set_generated(adopted.id, generated=True)
    for added in changes.added:
        tables.endpoints.add(record.client, added, generated=True)
    return endpoint_warnings(changes)


def _check_services(tables: Tables, record: DescriptionRecord, services: Collection[ServiceRecord]) -> None:
    others = [s for s in tables.descriptions.services(record.client) if s.description_id != record.id]
    check_conflicts(services, others, whole_code=record.type is not ServiceType.WSDL)


def _rest(url: str) -> ParsedDescription:
    return ParsedDescription((DescribedService("", url=url),))


def _needed(code: str | None) -> str:
    if not code:
        raise Refused(GatewayCode.MISSING_PARAMETER, "a REST or OPENAPI3 description needs a service code")
    return code


def _taken(kind: ServiceType) -> GatewayCode:
    return GatewayCode.WSDL_EXISTS if kind is ServiceType.WSDL else GatewayCode.URL_ALREADY_EXISTS
