"""Who may call what: the rights to a client's services as a matrix, and whether one call would be let through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from gateway.admin.accessview import AccessAnswer, GrantedRight
from gateway.admin.console.clients import TRAIL, client_page
from gateway.admin.serviceviews import ServiceDescription
from serving.language import N_, as_it_is
from serving.web.acting import act, act_cell
from serving.web.blocks import (
    Column,
    Heading,
    Listing,
    PageLink,
    PageNote,
    PageView,
    QueryField,
    QueryForm,
    code,
    link,
    phrase,
    several,
    text,
)
from serving.web.codewords import word
from serving.web.formnames import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serving.web.blocks import Block, Cell
    from serving.web.console import ConsoleRequest

# So many services stand side by side; more are found by their own page of the matrix.
SIDE_BY_SIDE: Final = 8
METHODS: Final = ("", "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE")


async def matrix(request: ConsoleRequest) -> PageView:
    """Rows are who may call, columns the services; a mark says whole or in part."""
    query = request.query
    client = query.get("cliente", "")[:1000]
    descriptions = await request.fetch(
        "get_clients_id_service_descriptions", list[ServiceDescription], {"id": client}
    )
    services = sorted({s.service_code for d in descriptions.value or () for s in d.services})
    chosen = query.get("servicio", "")
    first = services.index(chosen) // SIDE_BY_SIDE * SIDE_BY_SIDE if chosen in services else _first(query)
    shown = services[first : first + SIDE_BY_SIDE]
    granted = await request.do(
        "get_clients_id_access_rights",
        list[GrantedRight],
        {"id": client},
        {"service_codes": ",".join(shown)},
    )
    blocks: list[Block | None] = [
        _matrix(request, client, granted, shown),
        _other_services(client, services, first),
        *await _what_if(request, client, services, query),
        *_granting(request, client, shown),
    ]
    trail = (*TRAIL, PageLink(as_it_is(client), client_page(client)))
    lead = N_(
        "Who has a right to the whole service, to endpoints of it, or none. A group's members have its rights."
    )
    return PageView(N_("Who may call what"), blocks, trail=trail, lead=lead, code=client)


def _first(query: Mapping[str, str]) -> int:
    number = query.get("desde", "")
    return int(number) if number.isascii() and number.isdigit() and len(number) < 6 else 0


def _matrix(
    request: ConsoleRequest, client: str, granted: Sequence[GrantedRight], shown: Sequence[str]
) -> Listing:
    subjects: dict[str, list[GrantedRight]] = {}
    for right in granted:
        subjects.setdefault(right.subject_id, []).append(right)
    columns = (Column(N_("Who"), "quien"), *(Column(as_it_is(s)) for s in shown))

    def mark(rights: list[GrantedRight], service: str) -> Cell:
        here = [r for r in rights if r.service_code == service]
        if not here:
            return text("–")
        whole = next((r for r in here if r.path == "**" and r.method == "*"), None)
        if whole is not None:
            revoke = act_cell(
                request,
                "post_clients_id_service_clients_sc_id_access_rights_delete",
                N_("Revoke"),
                {"id": client, "sc_id": whole.subject_id, "items.0.service_code": service},
            )
            return several(phrase(N_("all of it"), "good"), revoke)
        parts = [
            several(
                code(f"{r.method} {r.path}"),
                act_cell(
                    request,
                    "post_endpoints_id_service_clients_delete",
                    N_("Revoke"),
                    {
                        "id": r.endpoint_id,
                        "items.0.id": r.subject_id,
                        "items.0.service_client_type": r.subject_type or "",
                    },
                ),
            )
            for r in here
        ]
        return several(phrase(N_("in part"), "caution"), *parts)

    rows = []
    for rights in subjects.values():
        one = rights[0]
        who = several(
            text(one.subject_name or ""), code(one.local_group_code or one.subject_id), word(one.subject_type)
        )
        rows.append((who, *(mark(rights, s) for s in shown)))
    empty = N_("Nobody may call these services.")
    return Listing(N_("Who may call what"), columns, tuple(rows), empty, "derechos")


def _other_services(client: str, services: Sequence[str], first: int) -> PageNote | None:
    if len(services) <= SIDE_BY_SIDE:
        return None
    pages = [
        PageLink(
            N_("Services {first} to {last}", first=n + 1, last=min(n + SIDE_BY_SIDE, len(services))),
            f"{ROOT}/derechos?{urlencode({'cliente': client, 'desde': n})}",
        )
        for n in (first - SIDE_BY_SIDE, first + SIDE_BY_SIDE)
        if 0 <= n < len(services)
    ]
    return PageNote(N_("This client has {count} services.", count=len(services)), "note", tuple(pages))


def _granting(request: ConsoleRequest, client: str, services: Sequence[str]) -> list[Block | None]:
    if not services:
        return []
    links = tuple(
        act(request, "post_clients_id_service_clients_sc_id_access_rights", N_("Grant {service}", service=s),
            {"id": client, "items.0.service_code": s})
        for s in services
    )  # fmt: skip
    candidates = link(
        N_("Who could be granted"),
        f"{ROOT}/operacion/get_clients_id_service_client_candidates?{urlencode({'id': client})}",
    )
    lead = N_("A right to the whole service; rights to endpoints are granted from the service's page.")
    return [Heading(N_("Grant a right"), lead, (*links, PageLink(candidates.text, candidates.href)))]


async def _what_if(
    request: ConsoleRequest, client: str, services: Sequence[str], query: Mapping[str, str]
) -> list[Block | None]:
    names = ("consumidor", "servicio", "metodo", "ruta")
    consumer, service, method, path = (query.get(n, "").strip()[:1000] for n in names)
    form = QueryForm(
        (
            QueryField("consumidor", N_("May this client"), consumer,
                       hint=N_("As INSTANCE:CLASS:MEMBER:SUBSYSTEM."), required=True),
            QueryField("servicio", N_("call this service"), service, tuple((s, as_it_is(s)) for s in services)),
            QueryField("metodo", N_("by this method"), method,
                       tuple((m, as_it_is(m) if m else N_("none: SOAP")) for m in METHODS)),
            QueryField("ruta", N_("at this path?"), path),
        ),
        N_("Judge the call"),
        f"{ROOT}/derechos",
        (("cliente", client),),
    )  # fmt: skip
    heading = Heading(
        N_("May X call this?"), N_("The same rules that judge a message judge the call; none is made.")
    )
    if not (consumer and service):
        return [heading, form] if services else []
    values = {"consumer_id": consumer, "service_code": service, "method": method, "path": path}
    found = await request.fetch("get_clients_id_access_check", AccessAnswer, {"id": client}, values)
    if found.value is None:
        return [heading, form, PageNote(found.why or N_("Nothing is known."), "bad")]
    if found.value.allowed:
        return [heading, form, PageNote(N_("Yes: the call would be let through."), "good")]
    why = N_("No: it would be refused. {why}", why=found.value.reason or found.value.code)
    return [heading, form, PageNote(why, "bad")]
