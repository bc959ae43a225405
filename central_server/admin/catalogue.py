"""The service catalogue: searched, looked at, exported. Everything here is ours; X-Road has none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from central_server.admin.context import row
from central_server.admin.values import Limit, Offset, PagingMetadata, number_of, page_of
from central_server.registry.catalogue import export_jsonld
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store.services import (
    CatalogueQuery,
    find_entry,
    search_services,
    unreachable_providers,
    versions_of,
)
from central_server.store.sources import node_address
from schemas.jsontext import encode_json
from serving.api.operations import Download

if TYPE_CHECKING:
    from collections.abc import Sequence

    from central_server.admin.context import CentralAdminContext
    from central_server.registry.catalogue import CatalogueEntry
    from serving.api.operations import Call, Operation


class CatalogueSearch(msgspec.Struct, frozen=True):
    """The query of a catalogue search: words, member, kind, page."""

    q: str | None = None
    member: str | None = None
    data_set: str | None = None
    purpose: str | None = None
    unreachable: bool | None = None
    limit: Limit = 25
    offset: Offset = 0
    sort: str | None = None
    desc: bool = False


class ServiceView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A service of the catalogue."""

    id: int
    service_id: str
    member_name: str
    type: str
    title: str
    summary: str
    data_sets: list[str]
    purposes: list[str]
    versions: int
    first_seen: str
    last_seen: str
    gone_since: str | None = None
    unreachable_since: str | None = None


class PagedServices(msgspec.Struct, frozen=True):
    """One page of services, with the total."""

    items: list[ServiceView]
    paging_metadata: PagingMetadata


class VersionView(msgspec.Struct, frozen=True):
    """A version of a description."""

    number: int
    sha256: str
    media_type: str
    seen_at: str


class UnreachableView(msgspec.Struct, frozen=True):
    """A provider that could not be asked, with the text of what failed (English) and its causes in this API's words."""

    client_id: str
    since: str
    problem: str
    causes: list[str] = []


def operations(context: CentralAdminContext) -> Sequence[Operation]:
    """The rows that search and show the catalogue of services."""
    api = _Catalogue(context)
    may, base = "VIEW_SERVICE_CATALOGUE", "/service-catalogue"
    return (
        row("GET", base, api.search, "Search the service catalogue", may, query=CatalogueSearch, answer=PagedServices,
            errors=(409,)),
        row("GET", f"{base}/export", api.export, "The catalogue as DCAT and CPSV (JSON-LD)", may,
            answer="application/ld+json", errors=(409,)),
        row("GET", f"{base}/unreachable", api.unreachable, "Providers that could not be asked", may,
            answer=list[UnreachableView]),
        row("GET", f"{base}/services/{{id}}", api.one, "One service of the catalogue", may, answer=ServiceView),
        row("GET", f"{base}/services/{{id}}/versions", api.versions, "Versions of a description", may,
            answer=list[VersionView]),
        row("GET", f"{base}/services/{{id}}/versions/{{number}}", api.description, "One version of a description", may,
            answer="application/octet-stream"),
    )  # fmt: skip


class _Catalogue:
    def __init__(self, context: CentralAdminContext) -> None:
        self._context = context

    async def search(self, call: Call) -> PagedServices:
        filters = call.query_as(CatalogueSearch)
        query = CatalogueQuery(
            filters.q, filters.member, filters.data_set, filters.purpose, filters.unreachable
        )
        found, paging = page_of(
            search_services(self._context.read(), query),
            filters,
            {
                "service_id": lambda e: e.service.components,
                "title": lambda e: (e.described.title.lower(), e.number),
                "member_name": lambda e: (e.member_name.lower(), e.service.components),
                "last_seen": lambda e: (e.last_seen, e.number),
            },
            "service_id",
        )
        return PagedServices([_view(e) for e in found], paging)

    async def export(self, _call: Call) -> Download:
        records = self._context.read()
        base = f"http://{node_address(records) or 'localhost'}"
        graph = export_jsonld(base, records.instance, search_services(records, CatalogueQuery()))
        return Download(encode_json(graph), "application/ld+json", "catalogo.jsonld")

    async def unreachable(self, _call: Call) -> list[UnreachableView]:
        found = unreachable_providers(self._context.read())
        return [
            UnreachableView(c.replace("/", ":"), since, r.detail, list(r.causes)) for c, since, r in found
        ]

    async def one(self, call: Call) -> ServiceView:
        number = number_of(call, "id", RegistryCode.SERVICE_NOT_FOUND)
        entry = find_entry(self._context.read(), number)
        if entry is None:
            raise refuse(RegistryCode.SERVICE_NOT_FOUND, number)
        return _view(entry)

    async def versions(self, call: Call) -> list[VersionView]:
        found = versions_of(self._context.read(), number_of(call, "id", RegistryCode.SERVICE_NOT_FOUND))
        return [VersionView(v.number, v.digest, v.media_type, v.seen_at) for v in found]

    async def description(self, call: Call) -> Download:
        service = number_of(call, "id", RegistryCode.SERVICE_NOT_FOUND)
        number = number_of(call, "number", RegistryCode.SERVICE_NOT_FOUND)
        for version in versions_of(self._context.read(), service):
            if version.number == number:
                # Never as HTML or XML: it is a stranger's file.
                return Download(version.raw, "application/octet-stream", f"service-{service}-{number}")
        raise refuse(RegistryCode.SERVICE_NOT_FOUND, service, number)


def _view(entry: CatalogueEntry) -> ServiceView:
    description = entry.described
    return ServiceView(
        id=entry.number,
        service_id=entry.service.encoded(),
        member_name=entry.member_name,
        type=entry.type,
        title=description.title,
        summary=description.summary,
        data_sets=list(description.data_sets),
        purposes=list(description.purposes),
        versions=entry.versions,
        first_seen=entry.first_seen,
        last_seen=entry.last_seen,
        gone_since=entry.gone_since,
        unreachable_since=entry.unreachable_since,
    )
