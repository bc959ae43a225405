"""Clients of this server: a list, one client with everything that is its own, a new subsystem, a local group."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from gateway.admin.clients import GatewayClientView
from gateway.admin.localgroups import LocalGroupView
from gateway.admin.serviceviews import GatewayServiceView, ServiceDescription
from serving.api.certificateview import CertificateDetails
from serving.language import N_, as_it_is
from serving.web.acting import act, act_cell, form_of
from serving.web.blocks import (
    Column,
    FactSheet,
    Heading,
    Listing,
    PageLink,
    PageNote,
    PageView,
    code,
    day,
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
from serving.web.listing import rows_of_page
from serving.web.operationpages import ShownField

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.admin.localgroups import LocalGroupMemberView
    from serving.web.blocks import Block, Cell
    from serving.web.console import ConsoleRequest

LIST = f"{ROOT}/clientes"
TRAIL = (PageLink(N_("Clients"), LIST),)
CONNECTIONS = ("HTTP", "HTTPS", "HTTPS_NO_AUTH")
LONGEST_ID = 1000


def client_page(client: str) -> str:
    """The address of a client's page."""
    return f"{ROOT}/cliente?{urlencode({'id': client})}"


def name_of(client: GatewayClientView) -> str:
    """A client's names: the member's, and the subsystem's."""
    return " · ".join(dict.fromkeys(n for n in (client.member_name, client.subsystem_name) if n))


async def clients(request: ConsoleRequest) -> PageView:
    """Every client of this server with its state."""
    query = {"internal_search": "true", "show_members": "true"}
    found = await request.do("get_clients", list[GatewayClientView], query=query)
    columns = (
        Column(N_("Client"), "cliente"),
        Column(N_("Name"), "nombre"),
        Column(N_("State"), "estado"),
        Column(N_("How its systems connect"), "conexion"),
    )
    rows = tuple(
        (
            link(c.id, client_page(c.id)),
            several(text(name_of(c)), phrase(N_("owner of this server"), "note") if c.owner else None),
            word(c.status),
            word(c.connection_type),
        )
        for c in found
    )
    empty = N_("No clients yet: add the subsystem whose systems shall exchange messages.")
    links = (
        PageLink(N_("Add a subsystem"), f"{ROOT}/cliente/nuevo", main=True)
        if "ADD_CLIENT" in request.principal.permissions
        else None,
    )
    return PageView(
        N_("Clients"), [Listing(N_("Clients of this server"), columns, rows, empty, "clientes")], links
    )


async def new_client(request: ConsoleRequest) -> PageView:
    """Add a subsystem of the owner, or of another member."""
    known = await request.fetch(
        "get_clients", list[GatewayClientView], query={"internal_search": "true", "show_members": "true"}
    )
    owner = next((c for c in known.value or () if c.owner), None)
    classes = await request.fetch("get_member_classes", list[str], query={"current_instance": "true"})
    choices = tuple(classes.value or ())

    def field(
        name: str, given: str = "", *, required: bool = True, options: tuple[str, ...] = ()
    ) -> ShownField:
        kind = FieldKind.CHOICE if options else FieldKind.TEXT
        return ShownField(FormField(f"client.{name}", kind, required, options, 255), given)

    fields = (
        field("member_class", owner.member_class if owner else "", options=choices),
        field("member_code", owner.member_code if owner else ""),
        field("subsystem_code"),
        field("subsystem_name", required=False),
        field("connection_type", "HTTPS", options=CONNECTIONS),
    )
    return PageView(
        N_("Add a subsystem"),
        [
            PageNote(
                N_(
                    "It is kept here first. Then it is registered from its page, and the central server's operators approve "
                    "it; a member other than the owner needs a signing certificate on this server before."
                )
            ),
            form_of(request, "post_clients", N_("Add it"), fields, back=LIST),
        ],
        trail=TRAIL,
    )


async def client(request: ConsoleRequest) -> PageView:
    """One client: its state, descriptions with their services, groups, certificates of its systems."""
    identifier = request.query.get("id", "")[:LONGEST_ID]
    found = await request.do("get_clients_id", GatewayClientView, {"id": identifier})
    here = client_page(found.id)
    blocks: list[Block | None] = [
        FactSheet(
            (
                (N_("Name"), text(name_of(found))),
                (N_("State"), word(found.status)),
                (N_("How its systems connect"), word(found.connection_type)),
                *(((N_("New name"), word(found.rename_status)),) if found.rename_status else ()),
            )
        )
    ]
    blocks += await _descriptions(request, found.id, here)
    blocks += await _groups(request, found.id, here)
    blocks += await _certificates(request, found.id, here)
    title = as_it_is(name_of(found) or found.id)
    return PageView(title, blocks, _client_links(request, found, here), TRAIL, code=found.id)


def _client_links(request: ConsoleRequest, found: GatewayClientView, here: str) -> list[PageLink | None]:
    named = {"id": found.id}
    state = found.status
    rights = PageLink(N_("Who may call what"), f"{ROOT}/derechos?{urlencode({'cliente': found.id})}")
    return [
        rights if "VIEW_CLIENT_ACL_SUBJECTS" in request.principal.permissions else None,
        act(request, "put_clients_id_register", N_("Register"), named, back=here, main=True)
        if state in ("SAVED", "GLOBAL_ERROR")
        else None,
        act(request, "patch_clients_id", N_("How its systems connect"), named,
            given={"connection_type": found.connection_type or ""}, back=here),
        act(request, "put_clients_id_rename", N_("Rename"), named,
            given={"client_name": found.subsystem_name or ""}, back=here) if found.subsystem_code else None,
        act(request, "put_clients_id_disable", N_("Switch off"), named, back=here) if state == "REGISTERED" else None,
        act(request, "put_clients_id_enable", N_("Switch on"), named, back=here) if state == "DISABLED" else None,
        act(request, "put_clients_id_make_owner", N_("Make it the owner"), named, back=here)
        if not found.subsystem_code and not found.owner
        else None,
        act(request, "put_clients_id_unregister", N_("Have its registration deleted"), named, back=here)
        if state in ("REGISTERED", "REGISTRATION_IN_PROGRESS", "DISABLED")
        else None,
        act(request, "delete_clients_id", N_("Delete"), named, back=LIST)
        if state in ("SAVED", "GLOBAL_ERROR", "DELETION_IN_PROGRESS")
        else None,
    ]  # fmt: skip


async def _descriptions(request: ConsoleRequest, identifier: str, here: str) -> list[Block | None]:
    descriptions = await request.fetch(
        "get_clients_id_service_descriptions", list[ServiceDescription], {"id": identifier}
    )
    links = tuple(
        act(
            request,
            "post_clients_id_service_descriptions",
            label,
            {"id": identifier, "type": kind},
            back=here,
        )
        for kind, label in (
            ("OPENAPI3", N_("Add REST by OpenAPI")),
            ("WSDL", N_("Add SOAP by WSDL")),
            ("REST", N_("Add REST by its address")),
        )
    )
    heading = Heading(N_("Services"), None, links)
    if descriptions.value is None:
        return [heading, PageNote(descriptions.why or N_("Nothing is known."))]
    columns = (
        Column(N_("Service"), "servicio"),
        Column(N_("Address"), "direccion"),
        Column(N_("Description")),
        Column(N_("State")),
        Column(N_("May call all of it"), right=True),
    )
    offered = [(d, s) for d in descriptions.value for s in d.services]
    rows, total = rows_of_page(
        request.http.query,
        offered,
        lambda o: f"{o[1].title} {o[1].full_service_code} {o[1].url}",
        {
            "servicio": lambda o: (o[1].title or o[1].full_service_code).lower(),
            "direccion": lambda o: o[1].url,
        },
        _service_row,
    )
    empty = N_("This client offers no services. Add a description, then say who may call.")
    return [
        heading,
        Listing(N_("Services of this client"), columns, rows, empty, "servicios", total),
        _without_services(descriptions.value),
    ]


def _service_row(offered: tuple[ServiceDescription, GatewayServiceView]) -> tuple[Cell, ...]:
    description, service = offered
    state = phrase(N_("off"), "caution") if description.disabled else phrase(N_("on"), "good")
    return (
        link(
            service.title or service.full_service_code,
            f"{ROOT}/servicio?{urlencode({'id': service.id})}",
            service.full_service_code,
        ),
        code(service.url),
        several(word(description.type), link(N_("description"), f"{ROOT}/descripcion?id={description.id}")),
        several(state, text(description.disabled_notice) if description.disabled else None),
        number(service.subjects_count),
    )


def _without_services(found: Sequence[ServiceDescription]) -> PageNote | None:
    """The way to descriptions that describe nothing, which no row of services leads to."""
    links = tuple(PageLink(as_it_is(d.url), f"{ROOT}/descripcion?id={d.id}") for d in found if not d.services)
    return PageNote(N_("These descriptions describe no service."), "caution", links) if links else None


async def _groups(request: ConsoleRequest, identifier: str, here: str) -> list[Block | None]:
    found = await request.fetch("get_clients_id_local_groups", list[LocalGroupView], {"id": identifier})
    if found.value is None:
        return []
    rows = tuple(
        (
            link(g.description, f"{ROOT}/grupo?id={g.id}", g.code),
            number(g.member_count),
            moment(g.updated_at),
        )
        for g in found.value
    )
    add = act(request, "post_clients_id_local_groups", N_("Add a local group"), {"id": identifier}, back=here)
    columns = (Column(N_("Group")), Column(N_("Members"), right=True), Column(N_("Changed on")))
    empty = N_("No local groups. A group gives several clients the same access rights.")
    return [
        Heading(N_("Local groups"), None, (add,)),
        Listing(N_("Groups of this client"), columns, rows, empty),
    ]


async def _certificates(request: ConsoleRequest, identifier: str, here: str) -> list[Block | None]:
    found = await request.fetch(
        "get_clients_id_tls_certificates", list[CertificateDetails], {"id": identifier}
    )
    if found.value is None:
        return []
    name = "delete_clients_id_tls_certificates_hash"
    rows = tuple(
        (
            text(c.subject_distinguished_name),
            day(c.not_after),
            code(c.hash),
            act_cell(request, name, N_("Delete"), {"id": identifier, "hash": c.hash}) or text(""),
        )
        for c in found.value
    )
    add = act(
        request, "post_clients_id_tls_certificates", N_("Add a certificate"), {"id": identifier}, back=here
    )
    columns = (Column(N_("Of")), Column(N_("Ends on")), Column(N_("Digest")), Column(N_("What can be done")))
    empty = N_(
        "No certificates: systems that connect by TLS with a certificate are known by those that stand here."
    )
    return [
        Heading(N_("TLS of this client's systems"), None, (add,)),
        Listing(N_("Certificates its systems may show"), columns, rows, empty),
    ]


async def local_group(request: ConsoleRequest) -> PageView:
    """One local group and its members."""
    number_of_group = request.query.get("id", "")[:20]
    named = {"group_id": number_of_group}
    group = await request.do("get_local_groups_group_id", LocalGroupView, named)
    members = list(group.members or ())

    def row(member: LocalGroupMemberView) -> tuple[Cell, ...]:
        remove = act_cell(
            request,
            "post_local_groups_group_id_members_delete",
            N_("Take out"),
            {**named, "items": member.id},
        )
        return code(member.id), text(member.member_name), moment(member.created_at), remove or text("")

    columns = (
        Column(N_("Client"), "cliente"),
        Column(N_("Name"), "nombre"),
        Column(N_("Since"), "desde"),
        Column(N_("What can be done")),
    )
    listing = Listing(
        N_("Members of the group"),
        columns,
        tuple(row(m) for m in members),
        N_("Nobody is in the group yet."),
        "miembros",
    )
    links = (
        act(request, "post_local_groups_group_id_members", N_("Add members"), named, main=True),
        act(request, "patch_local_groups_group_id", N_("Change the description"), named,
            given={"description": group.description}),
        act(request, "delete_local_groups_group_id", N_("Delete the group"), named, back=LIST),
    )  # fmt: skip
    return PageView(as_it_is(group.description), [listing], links, TRAIL, code=group.code)
