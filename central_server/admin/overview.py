"""``/federation-overview``: how the security servers of the instance stand, counted by member class, and the few that need somebody.

Counted by the database, and made once for each generation of the registry and each hour. When a certificate ends is noted as it is
registered.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from central_server.admin.context import row
from central_server.store import members, servers
from central_server.store.records import OPERATOR

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from central_server.admin.context import CentralAdminContext
    from central_server.store.servers import KeptServer
    from serving.api.operations import Call, Operation

SOON = timedelta(days=30)
# So many servers are said one by one.
MOST_SERVERS = 40


class ClassOverview(msgspec.Struct, frozen=True):
    """A member class: how many members, subsystems and servers it has, and how many servers stand in each state."""

    member_class: str
    members: int
    subsystems: int
    servers: int
    in_order: int
    ending_soon: int
    in_maintenance: int
    without_certificate: int


class ServerCondition(msgspec.Struct, frozen=True):
    """One server: its state, when its last certificate ends, how many clients it has, and of which members."""

    server_id: str
    server_code: str
    owner_name: str
    state: servers.ServerState
    client_count: int
    client_members: list[str]
    not_after: str | None = None


class FederationOverview(msgspec.Struct, frozen=True):
    """The instance by member class, and at most 40 servers, the worst first; ``server_count`` says how many there are."""

    server_count: int
    classes: list[ClassOverview]
    servers: list[ServerCondition]


def operations(context: CentralAdminContext) -> Sequence[Operation]:
    """The one row of the overview."""
    overview = _Overview(context)
    return (
        row("GET", "/federation-overview", overview.one, "How the servers of each member class stand",
            "VIEW_SECURITY_SERVERS", answer=FederationOverview),
    )  # fmt: skip


class _Overview:
    def __init__(self, context: CentralAdminContext) -> None:
        self._context = context
        self._made: tuple[tuple[int, datetime], FederationOverview] | None = None

    async def one(self, call: Call) -> FederationOverview:
        # The generation is read before the rows: what changes meanwhile has another one, and is made anew at the next look.
        key = self._context.node.store.generation(), call.now.replace(minute=0, second=0, microsecond=0)
        if self._made is None or self._made[0] != key:
            self._made = key, await asyncio.to_thread(self._make, call.now)
        return self._made[1]

    def _make(self, now: datetime) -> FederationOverview:
        records, soon = self._context.read(), now + SOON
        self._read_ends(now)
        counts = servers.count_server_states(records, now, soon)
        states = range(len(servers.SERVER_STATES))
        classes = [
            ClassOverview(
                name,
                count,
                subsystems,
                sum(counts.get((name, s), 0) for s in states),
                *(counts.get((name, s), 0) for s in reversed(states)),
            )
            for name, count, subsystems in members.count_by_class(records)
        ]
        worst = servers.worst_servers(records, now, soon, MOST_SERVERS)
        shown = [
            _server_view(found, state, end, servers.client_members(records, found.number))
            for found, state, end in worst
        ]
        return FederationOverview(sum(counts.values()), classes, shown)

    def _read_ends(self, now: datetime) -> None:
        """Note when the certificates end that an earlier version registered: once in a database's life."""
        store = self._context.node.store
        while servers.lacks_ends(store.read()):
            with store.change(OPERATOR, now, publishes=False) as records:
                servers.read_ends(records)


def _server_view(
    server: KeptServer, state: int, end: str | None, clients: Iterable[tuple[str, str]]
) -> ServerCondition:
    of_members = [":".join((server.id.instance, *c)) for c in clients]
    return ServerCondition(
        server.id.encoded(),
        server.id.server_code,
        server.owner_name,
        servers.SERVER_STATES[state],
        len(of_members),
        sorted(set(of_members)),
        end,
    )
