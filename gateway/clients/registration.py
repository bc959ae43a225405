"""Adding, changing and refreshing service descriptions: read the document, show what changes, change it whole.

Every act first fetches and reads, then decides on what the tables hold, and then changes them in one transaction
that decides again, so an act that raced with another is refused rather than half done. Raises `Refused`, or
`Refused` when a person must look first. Spec: UG-SS 6; codes of the admin API.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from gateway.clients.descriptions.described import (
    UPLOADED,
    DescribedService,
    ParsedDescription,
    check_base_url,
    check_code,
    check_url,
)
from gateway.clients.descriptions.reading import DescriptionReader
from gateway.clients.descriptionwriting import (
    DescriptionContent,
    DescriptionSource,
    add_description,
    update_description,
)
from gateway.clients.model import Endpoint, ServiceType, Validation
from gateway.clients.records import Document
from gateway.clients.snapshot import service_of
from gateway.clients.validation.checkedservices import CannotCheck, build_checks
from gateway.refusals import GatewayCode
from schemas.identifiers import ServiceId
from serving.errors import Refused
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection
    from datetime import datetime

    from gateway.clients.descriptions.reading import Read
    from gateway.clients.descriptionwriting import Reading
    from gateway.clients.records import DescriptionRecord, EndpointRecord, ServiceRecord
    from gateway.clients.store import ServerConfStore
    from gateway.clients.tables import Tables
    from schemas.identifiers import ClientId

    Fetch = Callable[[str, Collection[bytes]], Awaitable[Document]]

DOWNLOAD_CODES = {
    ServiceType.WSDL: GatewayCode.WSDL_DOWNLOAD_FAILED,
    ServiceType.OPENAPI3: GatewayCode.OPENAPI_PARSING_ERROR,
}
METHODS = frozenset(("*", "GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"))


class ServiceSettings(msgspec.Struct, frozen=True):
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
                N_(
                    "service description {number} is {type}, not {expected}",
                    number=number,
                    type=record.type,
                    expected=source.type,
                ),
            )
        if new_code is not None:
            check_code(new_code)
        return await self._read(record.client, source)

    async def read_again(self, number: int) -> Reading:
        """Fetch and parse the description again for `refresh`, from where it came the last time."""
        return await self.read_changed(number, self.source_of(number), None)

    def source_of(self, number: int) -> DescriptionSource:
        """The source that description ``number`` is fetched from again. Raises `Refused` (``action_not_possible``) for one that was uploaded."""
        record = self._store.view.descriptions.get_alone(number)
        if record.url.startswith(UPLOADED):
            raise Refused(
                GatewayCode.ACTION_NOT_POSSIBLE,
                N_("the description was uploaded; upload the new document instead of refreshing"),
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
        content = DescriptionContent.of(source, service_code, now, reading, ignore_warnings=ignore_warnings)
        return await asyncio.to_thread(add_description, self._store, client, content)

    async def refresh(
        self, number: int, now: datetime, *, ignore_warnings: bool = False, reading: Reading | None = None
    ) -> DescriptionRecord:
        """Read the description again from where it came."""
        source = self.source_of(number)
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
        content = DescriptionContent.of(source, new_code, now, reading, ignore_warnings=ignore_warnings)
        return await asyncio.to_thread(update_description, self._store, number, content)

    def set_disabled(self, number: int, notice: str | None) -> None:
        """Switch a description's services off with a notice for callers; None switches them on."""
        with self._store.change() as tables:
            tables.descriptions.set_disabled(number, disabled=notice is not None, notice=notice or "")

    def remove(self, number: int) -> None:
        """Delete a description with its services, endpoints and rights."""
        with self._store.change() as tables:
            tables.descriptions.remove(number)

    def set_service(self, service: ServiceId, settings: ServiceSettings) -> ServiceRecord:
        """Change a service's address, timeout, TLS verification and message validation. Raises `Refused` (``validation_failure``)."""
        check_url(settings.url)
        if not 0 <= settings.timeout_s <= 1000:
            raise Refused(
                GatewayCode.VALIDATION_FAILURE,
                N_("a timeout is 0 to 1000 s, not {timeout_s:g}", timeout_s=settings.timeout_s),
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
                changed = msgspec.structs.replace(
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
        """Add an endpoint by hand. Raises `Refused` (``wrong_servicedescription_type``)."""
        check_endpoint(method, path)
        with self._store.change() as tables:
            record = tables.descriptions.get_service(service)
            if tables.descriptions.get_alone(record.description_id).type is ServiceType.WSDL:
                raise Refused(
                    GatewayCode.WRONG_SERVICEDESCRIPTION_TYPE, N_("a SOAP service has no endpoints")
                )
            endpoint = Endpoint(service.service_code, method, path)
            return tables.endpoints.add(service.client, endpoint, generated=False)

    def update_endpoint(self, number: int, method: str, path: str) -> EndpointRecord:
        """Change an endpoint that was made by hand; its rights stay."""
        check_endpoint(method, path)
        with self._store.change() as tables:
            return tables.endpoints.update(number, method, path)

    def remove_endpoint(self, number: int) -> None:
        """Delete an endpoint that was made by hand, with its rights. Raises `Refused` (``illegal_generated_endpoint_remove``)."""
        with self._store.change() as tables:
            if tables.endpoints.get(number).generated:
                raise Refused(
                    GatewayCode.ILLEGAL_GENERATED_ENDPOINT_REMOVE,
                    N_("the endpoint comes from the service's description"),
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


def check_endpoint(method: str, path: str) -> None:
    """Refuse a method or path pattern that no request could meet."""
    if method not in METHODS:
        raise Refused(
            GatewayCode.VALIDATION_FAILURE,
            N_("{method!r} is no method; one of {names}", method=method, names=", ".join(sorted(METHODS))),
        )
    if not path.startswith(("/", "*")):
        raise Refused(
            GatewayCode.VALIDATION_FAILURE,
            N_("the path pattern {path!r} must begin with '/' or '*'", path=path),
        )


def _check_possible(tables: Tables, record: ServiceRecord) -> None:
    """Refuse (``validation_not_possible``) to check messages of a service whose description does not allow it."""
    described = service_of(tables.descriptions.get_alone(record.description_id), record)
    checks = build_checks(described, tables.descriptions.document_of(record.id))
    if isinstance(checks, CannotCheck):
        raise Refused(GatewayCode.VALIDATION_NOT_POSSIBLE, checks.reason, checks.reason)


def _rest(url: str) -> ParsedDescription:
    return ParsedDescription((DescribedService("", url=url),))


def _needed(code: str | None) -> str:
    if not code:
        raise Refused(
            GatewayCode.MISSING_PARAMETER,
            N_("a REST or OPENAPI3 description needs a service code (in commands: --code)"),
        )
    return code
