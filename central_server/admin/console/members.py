"""Members and subsystems: found among thousands, and one member with its subsystems, servers and groups."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from central_server.admin.members import MemberGlobalGroup, PagedClients, SubsystemView
from central_server.admin.values import ClientView, CodeAndDescription, ServerView
from serving.language import N_, as_it_is
from serving.web.acting import act, act_cell
from serving.web.blocks import (
    Column,
    Heading,
    Listing,
    PageLink,
    PageNote,
    PageView,
    code,
    link,
    moment,
    several,
    text,
)
from serving.web.codewords import word
from serving.web.formnames import ROOT
from serving.web.listing import server_page

if TYPE_CHECKING:
    from central_server.admin.values import ClientIdView, ServerIdView
    from serving.web.blocks import Block, Cell
    from serving.web.console import ConsoleRequest

LIST: Final = f"{ROOT}/miembros"
PER_PAGE: Final = 50
SORTS: Final = ("member_name", "client_id.member_class", "client_id.member_code", "client_id.subsystem_code")


def member_page(client: ClientIdView | ServerIdView) -> str:
    """The address of the page of the member that a client is or belongs to."""
    return f"{ROOT}/miembro?{urlencode({'id': f'{client.instance_id}:{client.member_class}:{client.member_code}'})}"


def server_link(identifier: str) -> str:
    """The address of a security server's page."""
    return f"{ROOT}/servidor?{urlencode({'id': identifier})}"


async def members(request: ConsoleRequest) -> PageView:
    """Members and subsystems, searched, sorted and paged by the server."""
    found = await request.do("get_clients", PagedClients, query=server_page(request.query, SORTS, PER_PAGE))
    columns = (
        Column(N_("Name"), "member_name"),
        Column(N_("Class"), "client_id.member_class"),
        Column(N_("Code"), "client_id.member_code"),
        Column(N_("Subsystem"), "client_id.subsystem_code"),
    )
    rows = tuple(
        (
            link(c.member_name or c.client_id.encoded_id, member_page(c.client_id), c.client_id.encoded_id),
            text(c.client_id.member_class),
            code(c.client_id.member_code),
            several(code(c.client_id.subsystem_code), text(c.subsystem_name))
            if c.client_id.subsystem_code
            else text(""),
        )
        for c in found.clients
    )
    total = found.paging_metadata.total_items
    empty = N_("No members yet: add the first.")
    links = (
        act(request, "post_members", N_("Add a member"), back=LIST, main=True),
        act(request, "post_subsystems", N_("Add a subsystem"), back=LIST),
    )
    blocks: list[Block | None] = [
        Listing(N_("Members and subsystems"), columns, rows, empty, "miembros", total, PER_PAGE),
        *await _classes(request),
    ]
    return PageView(N_("Members"), blocks, links)


async def _classes(request: ConsoleRequest) -> list[Block | None]:
    found = await request.fetch("get_member_classes", list[CodeAndDescription])
    if found.value is None:
        return []
    rows = tuple(
        (
            code(c.code),
            text(c.description),
            several(
                act_cell(
                    request,
                    "patch_member_classes_code",
                    N_("Change"),
                    {"code": c.code},
                    {"description": c.description},
                ),
                act_cell(request, "delete_member_classes_code", N_("Delete"), {"code": c.code}),
            ),
        )
        for c in found.value
    )
    columns = (
        Column(N_("Code"), "clase"),
        Column(N_("Description"), "descripcion"),
        Column(N_("What can be done")),
    )
    add = act(request, "post_member_classes", N_("Add a member class"), back=LIST)
    return [
        Heading(N_("Member classes"), None, (add,)),
        Listing(
            N_("Member classes"), columns, rows, N_("No member classes yet: add one, such as GOB."), "clases"
        ),
    ]


async def member(request: ConsoleRequest) -> PageView:
    """One member: its subsystems, the servers it owns and uses, the groups it is in."""
    named = {"member_id": request.query.get("id", "")[:1000]}
    found = await request.do("get_members_member_id", ClientView, named)
    client = found.client_id
    whose = {"subsystem_id.member_class": client.member_class, "subsystem_id.member_code": client.member_code}
    links = (
        act(request, "post_subsystems", N_("Add a subsystem"), whose, main=True),
        act(
            request,
            "patch_members_member_id",
            N_("Rename"),
            named,
            given={"member_name": found.member_name or ""},
        ),
        act(request, "get_members_member_id_contact", N_("Contact"), named),
        act(request, "put_members_member_id_contact", N_("Change the contact"), named),
        act(request, "delete_members_member_id", N_("Delete"), named, back=LIST),
    )
    blocks: list[Block | None] = [
        *await _subsystems(request, named),
        *await _servers(request, named),
        *await _groups(request, named),
    ]
    trail = (PageLink(N_("Members"), LIST),)
    return PageView(
        as_it_is(found.member_name or client.member_code), blocks, links, trail, code=client.encoded_id
    )


async def _subsystems(request: ConsoleRequest, named: dict[str, str]) -> list[Block | None]:
    found = await request.do("get_members_member_id_subsystems", list[SubsystemView], named)

    def uses(subsystem: SubsystemView) -> Cell:
        identifier = subsystem.subsystem_id.encoded_id
        return several(
            *(
                several(
                    link(s.server_code, server_link(s.encoded_id)),
                    word(s.status) if s.status else None,
                    act_cell(
                        request,
                        "delete_subsystems_subsystem_id_servers_server_id",
                        N_("take off"),
                        {"subsystem_id": identifier, "server_id": s.encoded_id},
                    ),
                )
                for s in subsystem.used_security_servers
            )
        )

    rows = tuple(
        (
            code(s.subsystem_id.subsystem_code),
            text(s.subsystem_name),
            uses(s),
            several(
                act_cell(request, "patch_subsystems_subsystem_id", N_("Rename"),
                         {"subsystem_id": s.subsystem_id.encoded_id}, {"subsystem_name": s.subsystem_name or ""}),
                act_cell(request, "delete_subsystems_subsystem_id", N_("Delete"),
                         {"subsystem_id": s.subsystem_id.encoded_id}),
            ),
        )
        for s in found
    )  # fmt: skip
    columns = (
        Column(N_("Code"), "codigo"),
        Column(N_("Name"), "nombre"),
        Column(N_("Servers it is a client of")),
        Column(N_("What can be done")),
    )
    empty = N_("No subsystems yet; messages are exchanged between subsystems.")
    return [Listing(N_("Subsystems"), columns, rows, empty, "subsistemas")]


async def _servers(request: ConsoleRequest, named: dict[str, str]) -> list[Block | None]:
    found = await request.do("get_members_member_id_owned_servers", list[ServerView], named)
    rows = tuple(
        (link(s.server_id.server_code, server_link(s.server_id.encoded_id)), code(s.server_address))
        for s in found
    )
    columns = (Column(N_("Server")), Column(N_("Address")))
    empty = N_("It owns no server. A server comes by the registration of its certificate.")
    return [Listing(N_("Servers it owns"), columns, rows, empty)]


async def _groups(request: ConsoleRequest, named: dict[str, str]) -> list[Block | None]:
    found = await request.fetch("get_members_member_id_global_groups", list[MemberGlobalGroup], named)
    if found.value is None:
        return [PageNote(found.why or N_("Nothing is known."))]
    rows = tuple(
        (
            link(g.group_code, f"{ROOT}/grupo?{urlencode({'codigo': g.group_code})}"),
            code(g.subsystem),
            moment(g.added_to_group),
        )
        for g in found.value
    )
    columns = (Column(N_("Group")), Column(N_("Subsystem")), Column(N_("Since")))
    return [Listing(N_("Global groups it is in"), columns, rows, N_("It is in no group."))]
