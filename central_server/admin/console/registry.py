"""Security servers and global groups, each as a list and one by one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from central_server.admin.console.members import member_page, server_link
from central_server.admin.groups import GroupView, PagedGroupMembers
from central_server.admin.servers import AuthCertificate, PagedServers
from central_server.admin.values import ClientView, ServerView
from serving.language import N_, as_it_is
from serving.web.acting import act, act_cell
from serving.web.blocks import (
    Column,
    FactSheet,
    Listing,
    PageLink,
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
from serving.web.formnames import ROOT
from serving.web.listing import server_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.web.blocks import Block, Cell
    from serving.web.console import ConsoleRequest

SERVERS: Final = f"{ROOT}/servidores"
GROUPS: Final = f"{ROOT}/grupos"
PER_PAGE: Final = 50
SORTS: Final = ("server_id.server_code", "owner_name")


async def servers(request: ConsoleRequest) -> PageView:
    """Security servers, searched, sorted and paged by the server."""
    found = await request.do(
        "get_security_servers", PagedServers, query=server_page(request.query, SORTS, PER_PAGE)
    )
    columns = (
        Column(N_("Server"), "server_id.server_code"),
        Column(N_("Owner"), "owner_name"),
        Column(N_("Address")),
        Column(N_("State")),
    )
    rows = tuple(
        (
            link(s.server_id.server_code, server_link(s.server_id.encoded_id), s.server_id.encoded_id),
            text(s.owner_name),
            code(s.server_address),
            _maintenance(s),
        )
        for s in found.items
    )
    empty = N_("No servers yet: one comes by the registration of its authentication certificate.")
    total = found.paging_metadata.total_items
    return PageView(
        N_("Security servers"),
        [Listing(N_("Security servers"), columns, rows, empty, "servidores", total, PER_PAGE)],
    )


def _maintenance(server: ServerView) -> Cell:
    if not server.in_maintenance_mode:
        return phrase(N_("in service"), "good")
    return several(phrase(N_("under maintenance"), "caution"), text(server.maintenance_mode_message))


def _certificate_rows(
    request: ConsoleRequest, named: dict[str, str], certificates: Sequence[AuthCertificate]
) -> tuple[tuple[Cell, ...], ...]:
    now = datetime.now(UTC)
    delete = "delete_security_servers_server_id_authentication_certificates_certificate_id"
    return tuple(
        (
            text(c.subject_distinguished_name),
            text(c.issuer_common_name),
            day(c.not_after),
            _left(c.not_after, now),
            act_cell(request, delete, N_("Delete"), {**named, "certificate_id": str(c.id)}) or text(""),
        )
        for c in certificates
    )


async def server(request: ConsoleRequest) -> PageView:
    """One security server: its certificates and their life, its clients."""
    named = {"server_id": request.query.get("id", "")[:1000]}
    found = await request.do("get_security_servers_server_id", ServerView, named)
    certificates = await request.do(
        "get_security_servers_server_id_authentication_certificates", list[AuthCertificate], named
    )
    clients = await request.do("get_security_servers_server_id_clients", list[ClientView], named)
    facts = FactSheet(
        (
            (N_("Owner"), link(found.owner_name, member_page(found.server_id))),
            (N_("Address"), code(found.server_address)),
            (N_("State"), _maintenance(found)),
            (N_("Since"), moment(found.created_at)),
        )
    )
    certificate_rows = _certificate_rows(request, named, certificates)
    served = tuple(
        (
            link(c.member_name or c.client_id.encoded_id, member_page(c.client_id), c.client_id.encoded_id),
            text(c.subsystem_name),
        )
        for c in clients
    )
    columns = (
        Column(N_("Of")), Column(N_("By")), Column(N_("Ends on")), Column(N_("Left")), Column(N_("What can be done")),
    )  # fmt: skip
    links = (
        act(request, "patch_security_servers_server_id", N_("Change the address"), named,
            given={"server_address": found.server_address}),
        act(request, "delete_security_servers_server_id", N_("Delete"), named, back=SERVERS),
    )  # fmt: skip
    blocks: list[Block | None] = [
        facts,
        Listing(N_("Authentication certificates"), columns, certificate_rows, N_("None: nobody can connect to it.")),
        Listing(N_("Its clients"), (Column(N_("Client"), "cliente"), Column(N_("Subsystem"), "subsistema")), served,
                N_("It has no clients yet."), "clientes"),
    ]  # fmt: skip
    trail = (PageLink(N_("Security servers"), SERVERS),)
    return PageView(
        as_it_is(found.server_id.server_code), blocks, links, trail, code=found.server_id.encoded_id
    )


def _left(not_after: str, now: datetime) -> Cell:
    days = (datetime.fromisoformat(not_after) - now).days
    if days < 0:
        return phrase(N_("expired"), "bad")
    return phrase(
        N_("{days} days left", days=days), "bad" if days < 30 else "caution" if days < 60 else "good"
    )


async def groups(request: ConsoleRequest) -> PageView:
    """Global groups of the instance."""
    found = await request.do("get_global_groups", list[GroupView])
    columns = (
        Column(N_("Group"), "grupo"),
        Column(N_("Members"), "miembros", right=True),
        Column(N_("Changed on"), "fecha"),
    )
    rows = tuple(
        (
            link(g.description or g.code, f"{ROOT}/grupo?{urlencode({'codigo': g.code})}", g.code),
            number(g.member_count),
            moment(g.updated_at),
        )
        for g in found
    )
    links = (act(request, "post_global_groups", N_("Add a group"), main=True),)
    empty = N_("No groups. A group gives clients of many members the same access rights.")
    return PageView(N_("Groups"), [Listing(N_("Global groups"), columns, rows, empty, "grupos")], links)


async def group(request: ConsoleRequest) -> PageView:
    """One group and its members, paged by the server."""
    named = {"group_code": request.query.get("codigo", "")[:255]}
    found = await request.do("get_global_groups_group_code", GroupView, named)
    state = server_page(request.query, ("client_id", "member_name"), PER_PAGE)
    body = {
        "query": state.get("q", ""),
        "paging_sorting": {"limit": PER_PAGE, "offset": int(state["offset"])},
    }
    listed = await request.do("post_global_groups_group_code_members", PagedGroupMembers, named, body=body)
    remove = "delete_global_groups_group_code_members_client_id"
    rows = tuple(
        (
            code(m.client_id.encoded_id),
            text(m.name),
            moment(m.created_at),
            act_cell(request, remove, N_("Take out"), {**named, "client_id": m.client_id.encoded_id})
            or text(""),
        )
        for m in listed.items
    )
    columns = (Column(N_("Client")), Column(N_("Name")), Column(N_("Since")), Column(N_("What can be done")))
    links = (
        act(request, "post_global_groups_group_code_members_add", N_("Add members"), named, main=True),
        act(request, "patch_global_groups_group_code", N_("Change the description"), named,
            given={"description": found.description}),
        act(request, "delete_global_groups_group_code", N_("Delete the group"), named, back=GROUPS),
    )  # fmt: skip
    total = listed.paging_metadata.total_items
    listing = Listing(
        N_("Members of the group"),
        columns,
        rows,
        N_("Nobody is in the group yet."),
        "miembros",
        total,
        PER_PAGE,
    )
    trail = (PageLink(N_("Groups"), GROUPS),)
    return PageView(as_it_is(found.description or found.code), [listing], links, trail, code=found.code)
