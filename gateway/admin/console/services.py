"""A service description with its services, and one service with its endpoints and who may call it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from gateway.admin.console.clients import TRAIL, client_page
from gateway.admin.serviceviews import EndpointView, GatewayServiceView, ServiceDescription
from gateway.admin.values import ServiceClient
from serving.language import N_, as_it_is
from serving.web.acting import act, act_cell, form_of, may
from serving.web.blocks import (
    Column,
    FactSheet,
    Heading,
    Listing,
    PageLink,
    PageNote,
    PageView,
    code,
    link,
    moment,
    number,
    phrase,
    several,
    text,
)
from serving.web.codewords import word
from serving.web.formnames import ROOT
from serving.web.forms import FieldKind, FormField
from serving.web.operationpages import ShownField

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.language import Translatable
    from serving.web.blocks import Block, OperationForm
    from serving.web.console import ConsoleOutcome, ConsoleRequest

LONGEST_ID = 1000
SUBJECTS = ("SUBSYSTEM", "GLOBALGROUP", "LOCALGROUP")


def _trail(client: str) -> tuple[PageLink, ...]:
    return (*TRAIL, PageLink(as_it_is(client), client_page(client)))


def _description_facts(found: ServiceDescription) -> FactSheet:
    return FactSheet(
        (
            (N_("Kind"), word(found.type)),
            (N_("Address"), code(found.url)),
            (
                N_("State"),
                several(phrase(N_("off"), "caution"), text(found.disabled_notice))
                if found.disabled
                else phrase(N_("on"), "good"),
            ),
            (N_("Read on"), moment(found.refreshed_at)),
        )
    )


async def description(request: ConsoleRequest) -> PageView:
    """A description: where it comes from, its services, and what may be done with it."""
    named = {"id": request.query.get("id", "")[:20]}
    found = await request.do("get_service_descriptions_id", ServiceDescription, named)
    settled = {**named, "type": found.type}
    code_now = found.services[0].service_code if found.services and found.type != "WSDL" else ""
    links = (
        act(request, "put_service_descriptions_id_refresh", N_("Read it again"), named, main=True),
        act(request, "patch_service_descriptions_id", N_("Another address"),
            {**settled, **({"rest_service_code": code_now} if code_now else {})}, given={"url": found.url}),
        act(request, "put_service_descriptions_id_disable", N_("Switch off"), named) if not found.disabled else None,
        act(request, "put_service_descriptions_id_enable", N_("Switch on"), named) if found.disabled else None,
        act(request, "delete_service_descriptions_id", N_("Delete"), named, back=client_page(found.client_id)),
    )  # fmt: skip
    columns = (
        Column(N_("Service"), "servicio"),
        Column(N_("Address"), "direccion"),
        Column(N_("Timeout"), right=True),
        Column(N_("Endpoints"), right=True),
    )
    rows = tuple(
        (
            link(
                s.title or s.full_service_code,
                f"{ROOT}/servicio?{urlencode({'id': s.id})}",
                s.full_service_code,
            ),
            code(s.url),
            number(s.timeout, "s"),
            number(len(s.endpoints)),
        )
        for s in found.services
    )
    listing = Listing(N_("Its services"), columns, rows, N_("It describes no service."), "servicios")
    note = PageNote(N_("Reading it again first shows what would be added and what would be removed."))
    return PageView(
        N_("Service description"),
        [_description_facts(found), listing, note],
        links,
        _trail(found.client_id),
        code=found.url,
    )


async def service(request: ConsoleRequest) -> PageView:
    """A service: where it is, its endpoints, who may call all of it and who a part."""
    identifier = request.query.get("id", "")[:LONGEST_ID]
    found = await request.do("get_services_id", GatewayServiceView, {"id": identifier})
    client = ":".join(found.id.split(":")[:4])
    given = {
        "url": found.url,
        "timeout": str(found.timeout),
        "ssl_auth": "true" if found.ssl_auth else "false",
    }
    facts = FactSheet(
        (
            (N_("Address"), code(found.url)),
            (N_("Timeout"), number(found.timeout, "s")),
            (
                N_("The system's certificate"),
                phrase(N_("is checked")) if found.ssl_auth else phrase(N_("is not checked"), "caution"),
            ),
        )
    )
    may_call = await request.fetch("get_services_id_service_clients", list[ServiceClient], {"id": found.id})
    links = (
        act(request, "patch_services_id", N_("Address and timeout"), {"id": found.id}, given=given, main=True),
        act(request, "post_services_id_endpoints", N_("Add an endpoint"),
            {"id": found.id, "service_code": found.service_code}),
        PageLink(N_("Who may call what"), f"{ROOT}/derechos?{urlencode({'cliente': client, 'servicio': found.service_code})}"),
    )  # fmt: skip
    blocks: list[Block | None] = [
        facts,
        *_endpoints(request, found.endpoints),
        *_callers(request, found.id, may_call),
    ]
    title = as_it_is(found.title or found.full_service_code)
    return PageView(title, blocks, links, _trail(client), code=found.id)


def _endpoints(request: ConsoleRequest, endpoints: Sequence[EndpointView]) -> list[Block | None]:
    grants = request.api.operation("post_endpoints_id_service_clients")
    may_grant = grants is not None and may(request.principal, grants)
    rows = tuple(
        (
            code(f"{e.method} {e.path}"),
            phrase(N_("from the description")) if e.generated else phrase(N_("made by hand")),
            several(
                link(N_("Grant"), f"{ROOT}/servicio/punto?id={e.id}") if may_grant else None,
                act_cell(request, "patch_endpoints_id", N_("Change"), {"id": str(e.id)},
                         {"method": e.method, "path": e.path}) if not e.generated else None,
                act_cell(request, "delete_endpoints_id", N_("Delete"), {"id": str(e.id)}) if not e.generated else None,
            ),
        )
        for e in endpoints
    )  # fmt: skip
    columns = (
        Column(N_("Endpoint"), "punto"),
        Column(N_("Origin"), "origen"),
        Column(N_("What can be done")),
    )
    empty = N_("No endpoints: rights are to the whole service.")
    return [
        Heading(N_("Endpoints")),
        Listing(N_("Endpoints of this service"), columns, rows, empty, "puntos"),
    ]


def _callers(
    request: ConsoleRequest, identifier: str, may_call: ConsoleOutcome[list[ServiceClient]]
) -> list[Block | None]:
    heading = Heading(N_("Who may call the whole service"))
    if may_call.value is None:
        return [heading, PageNote(may_call.why or N_("Nothing is known."))]
    grant = grant_form(
        request, "post_services_id_service_clients", N_("Grant the whole service"), {"id": identifier}
    )
    rows = tuple(
        (
            code(r.local_group_code or r.id),
            text(r.name),
            word(r.service_client_type),
            moment(r.rights_given_at),
            act_cell(
                request,
                "post_services_id_service_clients_delete",
                N_("Revoke"),
                {
                    "id": identifier,
                    "items.0.id": r.id,
                    "items.0.service_client_type": r.service_client_type or "",
                },
            )
            or text(""),
        )
        for r in may_call.value
    )
    columns = (
        Column(N_("Who"), "quien"),
        Column(N_("Name"), "nombre"),
        Column(N_("Kind"), "tipo"),
        Column(N_("Since"), "desde"),
        Column(N_("What can be done")),
    )
    empty = N_("Nobody may call the whole service.")
    return [heading, Listing(N_("Rights to the whole service"), columns, rows, empty, "derechos"), grant]


def grant_form(
    request: ConsoleRequest, name: str, button: Translatable, settled: dict[str, str]
) -> OperationForm | None:
    """The form that grants a right to one client or group; None for who may not."""
    who = ShownField(
        FormField("items.0.id", FieldKind.TEXT, True, longest=LONGEST_ID),
        name_given=N_(
            "Who shall be allowed (INSTANCE:CLASS:MEMBER:SUBSYSTEM, INSTANCE:GROUP, or a local group's number)"
        ),
    )
    kinds = FormField("items.0.service_client_type", FieldKind.CHOICE, True, SUBJECTS)
    return form_of(request, name, button, (who, ShownField(kinds, SUBJECTS[0])), settled)


async def endpoint_right(request: ConsoleRequest) -> PageView:
    """Grants one endpoint of a service."""
    named = {"id": request.query.get("id", "")[:20]}
    found = await request.do("get_endpoints_id", EndpointView, named)
    form = grant_form(request, "post_endpoints_id_service_clients", N_("Grant the endpoint"), named)
    note = PageNote(
        N_("From the next message on its calls to this endpoint, and to no other, are let through.")
    )
    return PageView(N_("Grant the endpoint"), [note, form], trail=TRAIL, code=f"{found.method} {found.path}")
