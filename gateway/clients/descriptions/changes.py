"""What another reading of a description would change, shown before it is done.

Pure. The words are X-Road's warnings protocol: the first call answers with the warnings, a second one that says it
ignores them is carried out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.clients.model import Endpoint, Validation
from gateway.clients.records import ServiceRecord
from gateway.refusals import GatewayCode
from schemas.identifiers import ServiceId
from serving.errors import Caution, Refused
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.clients.descriptions.described import ParsedDescription
    from gateway.clients.records import DescriptionRecord, EndpointRecord
    from schemas.identifiers import ClientId

DEFAULT_TIMEOUT_S = 60.0
DEFAULT_NOTICE = "Out of order"


class ServiceChanges(msgspec.Struct, frozen=True):
    """The services a description has after a reading, and which of them are new or gone."""

    after: tuple[ServiceRecord, ...]
    added: tuple[ServiceRecord, ...]
    removed: tuple[ServiceRecord, ...]


class EndpointChanges(msgspec.Struct, frozen=True):
    """Endpoints to add, generated ones to remove, and hand-made ones that the description has now."""

    added: tuple[Endpoint, ...]
    removed: tuple[EndpointRecord, ...]
    adopted: tuple[EndpointRecord, ...]


def compare_services(
    client: ClientId, description_id: int, there: Sequence[ServiceRecord], described: ParsedDescription
) -> ServiceChanges:
    """The changes that a WSDL's reading brings. A service that stays keeps its URL, timeout and checks; its title is the new one.

    Spec: UG-SS 6.2.
    """
    known = {s.id: s for s in there}
    after: list[ServiceRecord] = []
    for service in described.services:
        identifier = ServiceId(client, service.code, service.version)
        kept = known.get(identifier)
        after.append(
            new_service(identifier, description_id, service.url, service.title)
            if kept is None
            else msgspec.structs.replace(kept, title=service.title)
        )
    names = {s.id for s in after}
    return ServiceChanges(
        tuple(after),
        tuple(s for s in after if s.id not in known),
        tuple(s for s in there if s.id not in names),
    )


def compare_endpoints(
    code: str, there: Iterable[EndpointRecord], described: ParsedDescription
) -> EndpointChanges:
    """The changes that an OpenAPI's reading brings; hand-made endpoints stay, and are adopted when the description has them."""
    records = [e for e in there if not e.endpoint.is_base]
    operations = {Endpoint(code, method, path) for method, path in described.operations}
    known = {e.endpoint for e in records}
    return EndpointChanges(
        tuple(e for e in (Endpoint(code, m, p) for m, p in described.operations) if e not in known),
        tuple(e for e in records if e.generated and e.endpoint not in operations),
        tuple(e for e in records if not e.generated and e.endpoint in operations),
    )


def new_service(identifier: ServiceId, description_id: int, url: str, title: str) -> ServiceRecord:
    """A service as it is first: a minute's timeout, and TLS verified where there is TLS."""
    return ServiceRecord(
        identifier,
        description_id,
        title,
        url,
        DEFAULT_TIMEOUT_S,
        ssl_auth=url.startswith("https://"),
        validation=Validation.OFF,
    )


def service_warnings(changes: ServiceChanges) -> list[Caution]:
    """The added and removed services, as warnings."""
    return _warnings(
        ("adding_services", [s.full_code for s in changes.added]),
        ("deleting_services", [s.full_code for s in changes.removed]),
    )


def endpoint_warnings(changes: EndpointChanges) -> list[Caution]:
    """The added and removed endpoints, as warnings."""
    return _warnings(
        ("adding_endpoints", [f"{e.method} {e.path}" for e in changes.added]),
        ("deleting_endpoints", [f"{r.endpoint.method} {r.endpoint.path}" for r in changes.removed]),
    )


def finding_warnings(code: str, described: ParsedDescription) -> list[Caution]:
    """The doubts of the reader about a description as one warning with ``code``; none when it has no doubt."""
    return _warnings((code, list(described.warnings)))


def _warnings(*found: tuple[str, list[str]]) -> list[Caution]:
    return [Caution(code, tuple(metadata)) for code, metadata in found if metadata]


def check_conflicts(
    services: Iterable[ServiceRecord], others: Sequence[ServiceRecord], *, whole_code: bool
) -> None:
    """Refuse services that another description of the client has.

    By code and version for a WSDL (``service_already_exists``), by code alone otherwise (``whole_code``,
    ``service_code_already_exists``); case does not tell two codes apart.
    """
    there: dict[str, ServiceRecord] = {}
    for other in others:
        there.setdefault((other.id.service_code if whole_code else other.full_code).lower(), other)
    found: list[str] = []
    numbers: list[int] = []
    for service in services:
        same = there.get((service.id.service_code if whole_code else service.full_code).lower())
        if same is not None:
            found += [service.full_code, same.url]
            numbers.append(same.description_id)
    if found:
        code = GatewayCode.SERVICE_CODE_ALREADY_EXISTS if whole_code else GatewayCode.SERVICE_ALREADY_EXISTS
        detail = (
            f"another description of this client, number {numbers[0]}, has the service {found[0]} already"
        )
        raise Refused(code, detail, *found)


def check_url_free(url: str, others: Iterable[DescriptionRecord], *, code: GatewayCode) -> None:
    """Refuse a URL that another description of the client has."""
    if any(d.url.lower() == url.lower() for d in others):
        raise Refused(code, N_("another description of this client comes from {url} already", url=url), url)
