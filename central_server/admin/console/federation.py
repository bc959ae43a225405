"""The instance as a picture: how the servers of each member class stand, and, while they are few, which of them share members."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from central_server.admin.console.members import server_link
from central_server.admin.overview import FederationOverview
from serving.language import N_
from serving.web.blocks import (
    Column,
    Listing,
    PageNote,
    PageView,
    Picture,
    code,
    day,
    link,
    number,
    phrase,
    text,
)
from serving.web.drawings import CircleNode, Shares, draw_circle, draw_shares

if TYPE_CHECKING:
    from central_server.admin.overview import ClassOverview, ServerCondition
    from serving.language import Text
    from serving.web.blocks import Block, Cell, Tone
    from serving.web.console import ConsoleRequest

STATES: Final[dict[str, tuple[Text, Tone]]] = {
    "IN_ORDER": (N_("in order"), "good"),
    "ENDING_SOON": (N_("certificate ends within 30 days"), "caution"),
    "IN_MAINTENANCE": (N_("under maintenance"), "caution"),
    "WITHOUT_CERTIFICATE": (N_("without a valid certificate"), "bad"),
}


async def federation(request: ConsoleRequest) -> PageView:
    """Bars by member class; below them servers on a circle, where a line joins two that serve subsystems of one member."""
    found = await request.do("get_federation_overview", FederationOverview)
    now = datetime.now(UTC)
    blocks: list[Block | None] = [_answer(found), _shares(request, found), _classes(found)]
    if found.server_count > len(found.servers):
        drawn = N_(
            "The {shown} servers of {total} that need somebody first are listed; the list of servers has all.",
            shown=len(found.servers),
            total=found.server_count,
        )
        blocks.append(PageNote(drawn))
    elif len(found.servers) > 1:
        blocks.append(_circle(request, found.servers, now))
    blocks.append(_servers(found.servers))
    return PageView(
        N_("Picture of the federation"),
        blocks,
        lead=N_("How the servers stand as the registry has them. What they exchange is known to them alone."),
    )


def _answer(found: FederationOverview) -> PageNote | None:
    if not found.server_count:
        return None
    without = sum(c.without_certificate for c in found.classes)
    soon = sum(c.ending_soon for c in found.classes)
    if not without + soon:
        return PageNote(N_("Every server has a certificate that ends in 30 days or later."), "good")
    warning = N_(
        "{without} servers are without a valid certificate; that of {soon} ends within 30 days.",
        without=without,
        soon=soon,
    )
    return PageNote(warning, "bad" if without else "caution")


def _amounts(found: ClassOverview) -> dict[str, int]:
    return {
        "IN_ORDER": found.in_order,
        "IN_MAINTENANCE": found.in_maintenance,
        "ENDING_SOON": found.ending_soon,
        "WITHOUT_CERTIFICATE": found.without_certificate,
    }


def _shares(request: ConsoleRequest, found: FederationOverview) -> Picture | None:
    rows = [
        Shares(
            c.member_class,
            tuple((n, STATES[s][1], request.translate(STATES[s][0])) for s, n in _amounts(c).items()),
        )
        for c in found.classes
        if c.servers
    ]
    if not rows:
        return None
    title = request.translate(N_("Security servers of each member class, by how they stand"))
    caption = N_(
        "Left to right: in order, under maintenance, certificate ends soon, without a valid certificate."
    )
    return Picture(draw_shares(rows, title), caption)


def _classes(found: FederationOverview) -> Listing:
    columns = (
        Column(N_("Member class"), "clase"), Column(N_("Members"), "miembros", right=True),
        Column(N_("Subsystems"), "subsistemas", right=True), Column(N_("Security servers"), "servidores", right=True),
        *(Column(STATES[s][0], s.lower(), right=True) for s in ("IN_ORDER", "IN_MAINTENANCE", "ENDING_SOON", "WITHOUT_CERTIFICATE")),
    )  # fmt: skip
    rows = tuple(
        (
            code(c.member_class),
            number(c.members),
            number(c.subsystems),
            number(c.servers),
            *(number(n) for n in _amounts(c).values()),
        )
        for c in found.classes
    )
    return Listing(
        N_("By member class"), columns, rows, N_("No members yet: add the first."), "clases", searchable=False
    )


def _circle(request: ConsoleRequest, servers: list[ServerCondition], now: datetime) -> Picture:
    members = {s.server_id: set(s.client_members) for s in servers}
    nodes = [
        CircleNode(s.server_id, _short_name(s), STATES[s.state][1], request.translate(_state_text(s, now)))
        for s in servers
    ]
    edges = [
        (one, other, min(len(members[one] & members[other]) / 5, 1.0))
        for one, other in itertools.combinations(members, 2)
        if members[one] & members[other]
    ]
    title = request.translate(N_("Security servers of this instance and which of them share members"))
    return Picture(
        draw_circle(nodes, edges, title),
        N_(
            "Circle: in order. Triangle: maintenance, or a certificate that ends soon. Square: without a valid certificate. "
            "A line joins two servers that serve subsystems of one member."
        ),
    )


def _short_name(server: ServerCondition) -> str:
    """Owner and server by their codes: a server's own code alone is often the same at every member."""
    return f"{server.server_id.split(':')[2]} {server.server_code}"


def _state_text(server: ServerCondition, now: datetime) -> Text:
    if server.state == "ENDING_SOON" and server.not_after:
        return N_(
            "its certificate ends in {days} days", days=(datetime.fromisoformat(server.not_after) - now).days
        )
    return STATES[server.state][0]


def _servers(servers: list[ServerCondition]) -> Listing:
    columns = (
        Column(N_("Server"), "servidor"),
        Column(N_("Owner"), "propietario"),
        Column(N_("State"), "estado"),
        Column(N_("Clients"), "clientes", right=True),
        Column(N_("Last certificate ends on"), "fin"),
    )
    empty = N_("No servers yet: one comes by the registration of its authentication certificate.")
    return Listing(
        N_("Security servers, the worst first"), columns, tuple(_row(s) for s in servers), empty, "servidores"
    )


def _row(server: ServerCondition) -> tuple[Cell, ...]:
    state, tone = STATES[server.state]
    return (
        link(_short_name(server), server_link(server.server_id), server.server_id),
        text(server.owner_name),
        phrase(state, tone),
        number(server.client_count),
        day(server.not_after),
    )
