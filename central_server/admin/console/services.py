"""The service catalogue: searched by word, institution, data set and purpose; one service with its operations and ready calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from central_server.admin.catalogue import PagedServices, ServiceView, UnreachableView
from central_server.edges.callpages import call_blocks, parse_service, state_of
from serving.api.operations import Download
from serving.language import N_, as_it_is
from serving.process.failing import FailureReason
from serving.web.blocks import (
    Column,
    FactSheet,
    Listing,
    PageLink,
    PageView,
    QueryField,
    QueryForm,
    code,
    link,
    moment,
    number,
    phrase,
    text,
)
from serving.web.formnames import ROOT
from serving.web.listing import server_page

if TYPE_CHECKING:
    from serving.web.console import ConsoleRequest

LIST: Final = f"{ROOT}/catalogo"
PER_PAGE: Final = 50
SORTS: Final = ("service_id", "title", "member_name", "last_seen")
FILTERS: Final = (
    ("q", N_("Word")),
    ("member", N_("Institution")),
    ("data_set", N_("Data set")),
    ("purpose", N_("Purpose")),
)


async def catalogue(request: ConsoleRequest) -> PageView:
    """Services found, paged by the server."""
    given = {n: request.query.get(n, "").strip()[:200] for n, _ in FILTERS}
    query = {**server_page(request.query, SORTS, PER_PAGE), **{n: v for n, v in given.items() if v}}
    found = await request.do("get_service_catalogue", PagedServices, query=query)
    form = QueryForm(tuple(QueryField(n, label, given[n]) for n, label in FILTERS), N_("Search"), LIST)
    columns = (
        Column(N_("Service"), "title"),
        Column(N_("Institution"), "member_name"),
        Column(N_("Data")),
        Column(N_("Purpose")),
        Column(N_("State"), "last_seen"),
    )
    rows = tuple(
        (
            link(s.title, f"{LIST}/servicio?id={s.id}", s.service_id),
            text(s.member_name),
            text(", ".join(s.data_sets)),
            text(", ".join(s.purposes)),
            state_of(s.unreachable_since, s.gone_since),
        )
        for s in found.items
    )
    listing = Listing(
        N_("Services"), columns, rows, N_("No services. The catalogue asks every member's gateway in turn; widen the search, or look again after its next round."), "servicios", found.paging_metadata.total_items, PER_PAGE,
        searchable=False,
    )  # fmt: skip
    links = (PageLink(N_("The whole catalogue in DCAT and CPSV (JSON-LD)"), f"{ROOT}/catalogo.jsonld"),)
    return PageView(N_("Service catalogue"), [form, listing, await _unreachable(request)], links)


async def _unreachable(request: ConsoleRequest) -> Listing | None:
    found = await request.fetch("get_service_catalogue_unreachable", list[UnreachableView])
    if not found.value:
        return None
    rows = tuple(
        (code(u.client_id), moment(u.since), phrase(FailureReason(u.problem, tuple(u.causes))))
        for u in found.value
    )
    columns = (Column(N_("Client"), "cliente"), Column(N_("Since"), "desde"), Column(N_("What went wrong")))
    return Listing(
        N_("Institutions that do not answer"), columns, rows, N_("Every institution answers."), "ausentes"
    )


async def service(request: ConsoleRequest) -> PageView:
    """One service: who offers it, for what, its operations, and how it is called."""
    named = {"id": request.query.get("id", "")[:18]}
    found = await request.do("get_service_catalogue_services_id", ServiceView, named)
    raw = b""
    if found.versions:
        newest = {**named, "number": str(found.versions)}
        file = await request.fetch("get_service_catalogue_services_id_versions_number", Download, newest)
        raw = file.value.content if file.value is not None else b""
    facts = FactSheet(
        (
            (N_("Institution"), text(found.member_name)),
            (N_("Data"), text(", ".join(found.data_sets))),
            (N_("Purpose"), text(", ".join(found.purposes))),
            (N_("State"), state_of(found.unreachable_since, found.gone_since)),
            (N_("Versions of its description"), number(found.versions)),
        )
    )
    blocks = [
        facts,
        *call_blocks(
            parse_service(found.service_id),
            found.type,
            raw,
            request.query,
            f"{LIST}/servicio",
            (("id", named["id"]),),
        ),
    ]
    trail = (PageLink(N_("Catalogue"), LIST),)
    return PageView(
        as_it_is(found.title), blocks, trail=trail, code=found.service_id, lead=as_it_is(found.summary[:500])
    )
