"""The instance as a picture: security servers, how each stands, and which share members; the same as a list."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from central_server.admin.console.members import server_link
from central_server.admin.servers import AuthCertificate, PagedServers
from central_server.admin.values import ClientView
from serving.language import N_
from serving.web.blocks import Column, Listing, PageNote, PageView, Picture, day, link, number, phrase, text
from serving.web.drawings import CircleNode, draw_circle

if TYPE_CHECKING:
    from aiohttp import web

    from central_server.admin.values import ServerView
    from serving.language import Text
    from serving.web.blocks import Cell, Tone
    from serving.web.console import ConsoleRequest

# So many servers can be told apart in a picture; the list of servers has the others.
MOST_DRAWN: Final = 40
SOON_DAYS: Final = 30


def _listing(rows: tuple[tuple[Cell, ...], ...]) -> Listing:
    columns = (
        Column(N_("Server"), "servidor"),
        Column(N_("Owner"), "propietario"),
        Column(N_("State"), "estado"),
        Column(N_("Clients"), "clientes", right=True),
        Column(N_("Last certificate ends on"), "fin"),
    )
    empty = N_("No servers yet: one comes by the registration of its authentication certificate.")
    return Listing(N_("Security servers"), columns, rows, empty, "servidores")


async def federation(asking: ConsoleRequest, _request: web.Request) -> PageView:
    """Servers on a circle; a line joins two that serve subsystems of one member."""
    found = await asking.do(
        "get_security_servers", PagedServers, query={"limit": str(MOST_DRAWN), "offset": "0"}
    )
    now = datetime.now(UTC)
    nodes, rows, members = [], [], {}
    for server in found.items:
        identifier = server.server_id.encoded_id
        named = {"server_id": identifier}
        certificates = (
            await asking.tell(
                "get_security_servers_server_id_authentication_certificates", list[AuthCertificate], named
            )
        ).value or ()
        clients = (
            await asking.tell("get_security_servers_server_id_clients", list[ClientView], named)
        ).value or ()
        members[identifier] = {
            c.client_id.encoded_id.rsplit(":", 1)[0] for c in clients if c.client_id.subsystem_code
        }
        last = max((c.not_after for c in certificates), default=None)
        state, tone = _state(server, last, now)
        nodes.append(CircleNode(identifier, server.server_id.server_code, tone, asking.say(state)))
        rows.append(_row(server, identifier, len(clients), last, phrase(state, tone)))
    edges = [
        (one, other, min(len(members[one] & members[other]) / 5, 1.0))
        for one, other in itertools.combinations(members, 2)
        if members[one] & members[other]
    ]
    total = found.paging_metadata.total_items
    note = None
    if total > len(nodes):
        note = PageNote(N_("The first {drawn} of {total} servers are drawn.", drawn=len(nodes), total=total))
    title = asking.say(N_("Security servers of this instance and which of them share members"))
    picture = Picture(
        draw_circle(nodes, edges, title),
        N_(
            "Circle: in order. Triangle: maintenance, or a certificate that ends soon. Square: without a valid certificate."
        ),
    )
    return PageView(
        N_("Picture of the federation"),
        [
            note,
            picture if nodes else None,
            _listing(tuple(rows)),
        ],
        lead=N_(
            "A line joins two servers that serve subsystems of one member. What they exchange is known to them alone."
        ),
    )


def _state(server: ServerView, last: str | None, now: datetime) -> tuple[Text, Tone]:
    if last is None or datetime.fromisoformat(last) <= now:
        return N_("without a valid certificate"), "bad"
    if server.in_maintenance_mode:
        return N_("under maintenance"), "caution"
    days = (datetime.fromisoformat(last) - now).days
    if days < SOON_DAYS:
        return N_("its certificate ends in {days} days", days=days), "caution"
    return N_("in order"), "good"


def _row(
    server: ServerView, identifier: str, clients: int, last: str | None, state: Cell
) -> tuple[Cell, ...]:
    return (
        link(server.server_id.server_code, server_link(identifier), identifier),
        text(server.owner_name),
        state,
        number(clients),
        day(last),
    )
