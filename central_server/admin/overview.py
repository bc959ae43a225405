"""``/federation-overview``: how the security servers of the instance stand, counted by member class, and the few that need somebody.

Made once for each generation of the registry and each hour, so that it costs the same with ten servers as with ten thousand. When a
certificate ends is read of it once, and kept by its digest.
"""

from __future__ import annotations

import asyncio
import collections
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import msgspec
from cryptography import x509

from central_server.admin.context import row
from central_server.store import members, servers

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from central_server.admin.context import CentralAdminContext
    from central_server.store.records import Records
    from central_server.store.servers import ServerRow
    from serving.api.operations import Call, Operation

State = Literal["IN_ORDER", "ENDING_SOON", "IN_MAINTENANCE", "WITHOUT_CERTIFICATE"]
# The worst first.
STATES: tuple[State, ...] = ("WITHOUT_CERTIFICATE", "ENDING_SOON", "IN_MAINTENANCE", "IN_ORDER")
SOON_DAYS = 30
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
    state: State
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
        self._ends: dict[str, datetime | None] = {}
        self._made: tuple[tuple[int, datetime], FederationOverview] | None = None

    async def one(self, call: Call) -> FederationOverview:
        # The generation is read before the rows: what changes meanwhile has another one, and is made anew at the next look.
        key = self._context.node.store.generation(), call.now.replace(minute=0, second=0, microsecond=0)
        if self._made is None or self._made[0] != key:
            self._made = key, await asyncio.to_thread(self._make, call.now)
        return self._made[1]

    def _make(self, now: datetime) -> FederationOverview:
        records = self._context.read()
        rows, ends = servers.server_rows(records), self._last_ends(records)
        states = {r[0]: _state(r, ends.get(r[0]), now) for r in rows}
        counts = collections.Counter((r[1], states[r[0]]) for r in rows)
        worst = sorted(rows, key=lambda r: (STATES.index(states[r[0]]), ends.get(r[0]) or now, r[1:4]))
        shown = worst[:MOST_SERVERS]
        clients = {r[0]: servers.client_members(records, r[0]) for r in shown}
        return FederationOverview(
            len(rows),
            [
                ClassOverview(
                    name,
                    count,
                    subsystems,
                    sum(counts[name, s] for s in STATES),
                    *(counts[name, s] for s in reversed(STATES)),
                )
                for name, count, subsystems in members.count_by_class(records)
            ],
            [_server_view(records, r, states[r[0]], ends.get(r[0]), clients[r[0]]) for r in shown],
        )

    def _last_ends(self, records: Records) -> dict[int, datetime]:
        """When the last certificate of each server ends, by the server's number."""
        held = servers.certificate_digests(records)
        missing = [digest for _, digest in held if digest not in self._ends]
        known = {d: self._ends[d] for _, d in held if d in self._ends}
        known |= {d: _end_of(der) for d, der in servers.certificates_with(records, missing)}
        self._ends = known
        found: dict[int, datetime] = {}
        for number, digest in held:
            end = known.get(digest)
            if end is not None:
                found[number] = max(end, found.get(number, end))
        return found


def _end_of(der: bytes) -> datetime | None:
    """When a certificate ends; None for what is no certificate. Nothing else of it is read."""
    try:
        return x509.load_der_x509_certificate(der).not_valid_after_utc
    except ValueError:
        return None


def _state(server: ServerRow, end: datetime | None, now: datetime) -> State:
    if end is None or end <= now:
        return "WITHOUT_CERTIFICATE"
    if (end - now).days < SOON_DAYS:
        return "ENDING_SOON"
    return "IN_ORDER" if server[6] is None else "IN_MAINTENANCE"


def _server_view(
    records: Records,
    server: ServerRow,
    state: State,
    end: datetime | None,
    clients: Iterable[tuple[str, str]],
) -> ServerCondition:
    found = servers.server_of_row(records, server)
    of_members = [":".join((found.id.instance, *c)) for c in clients]
    return ServerCondition(
        found.id.encoded(),
        found.id.server_code,
        found.owner_name,
        state,
        len(of_members),
        sorted(set(of_members)),
        None if end is None else end.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )
