"""``/diagnostics/operational-monitoring``: how many exchanges succeeded and failed over time, for a chart."""

from __future__ import annotations

import asyncio
import functools
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from gateway.admin.context import AdminContext, client_id, instant, row
from gateway.admin.values import EncodedId
from gateway.monitoring.store import RecordFilter
from gateway.monitoring.summary import group_exchanges
from schemas.identifiers import ServiceId
from serving.api.problems import bad_request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.monitoring.summary import Exchanged
    from serving.api.operations import Call, Operation

MOST_SPANS = 5000
# So many records are read for a summary, so that it takes as long with ten million as with ten thousand.
MOST_EXCHANGES = 3_000
MOST_GROUPS = 100


class IntervalsQuery(msgspec.Struct, frozen=True):
    """From when to when, in spans of how many minutes, and of which exchanges."""

    records_from: datetime
    records_to: datetime
    interval: Annotated[int, msgspec.Meta(ge=1, le=527_040)]
    security_server_type: Literal["Client", "Producer"] | None = None
    member_id: EncodedId | None = None
    service_id: EncodedId | None = None


class OperationalDataInterval(msgspec.Struct, frozen=True):
    """The exchanges of one interval: its start, and how many succeeded and failed."""

    interval_start_time: str
    success_count: int
    failure_count: int


class ExchangeGroupView(msgspec.Struct, frozen=True):
    """Exchanges that have something in common (``name``), how many failed, and percentiles of how long they took."""

    name: str
    count: int
    failed: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


class TrafficSummary(msgspec.Struct, frozen=True):
    """Exchanges of a time in groups; ``is_cut`` says that there were more than ``count``, of which the newest are here."""

    count: int
    is_cut: bool
    by_service: list[ExchangeGroupView]
    by_peer: list[ExchangeGroupView]
    # By fault code; empty is without a fault.
    by_outcome: list[ExchangeGroupView]
    # By interval, whose beginning is the name.
    over_time: list[ExchangeGroupView]


@dataclass(frozen=True, slots=True)
class Traffic:
    """The handler of ``/diagnostics/operational-monitoring``, exchanges over time."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of this handler: path, right, input, answer."""
        return [
            row("GET", "/diagnostics/operational-monitoring", self.intervals, "Exchanges over time", "DIAGNOSTICS",
                query=IntervalsQuery, answer=list[OperationalDataInterval]),
            row("GET", "/diagnostics/traffic-summary", self.summary, "Exchanges by service, peer and outcome",
                "DIAGNOSTICS", query=IntervalsQuery, answer=TrafficSummary),
        ]  # fmt: skip

    async def intervals(self, call: Call) -> list[OperationalDataInterval]:
        query = call.query_as(IntervalsQuery)
        span_ms = query.interval * 60_000
        begin_ms = _milliseconds(query.records_from) // span_ms * span_ms
        # As X-Road counts: the span that ``records_to`` is in, and the one after it.
        spans = _milliseconds(query.records_to) // span_ms + 2 - begin_ms // span_ms
        if not 0 < spans <= MOST_SPANS:
            raise bad_request(
                "invalid_interval",
                f"records_to must follow records_from by at most {MOST_SPANS} intervals; {spans} were asked for",
            )
        record_filter = _filter(query)
        found = await asyncio.to_thread(
            self.context.gateway.records.count, begin_ms, spans, span_ms, record_filter
        )
        return [
            OperationalDataInterval(
                instant(datetime.fromtimestamp(c.begin_ms / 1000, UTC)), c.succeeded, c.failed
            )
            for c in found
        ]

    async def summary(self, call: Call) -> TrafficSummary:
        query = call.query_as(IntervalsQuery)
        begin, end = _milliseconds(query.records_from), _milliseconds(query.records_to)
        records, record_filter = self.context.gateway.records, _filter(query)
        found = await asyncio.to_thread(records.newest, begin, end, record_filter, MOST_EXCHANGES)
        span_ms = query.interval * 60_000

        def groups(name: Callable[[Exchanged], str], most: int = MOST_GROUPS) -> list[ExchangeGroupView]:
            return [
                ExchangeGroupView(g.name, g.count, g.failed, g.p50_ms, g.p95_ms, g.p99_ms)
                for g in group_exchanges(found, name, most)
            ]

        @functools.cache
        def named(at_ms: int) -> str:
            return instant(datetime.fromtimestamp(at_ms / 1000, UTC))

        def interval(exchange: Exchanged) -> str:
            return named(exchange.begin_ms // span_ms * span_ms)

        return TrafficSummary(
            len(found),
            len(found) == MOST_EXCHANGES,
            groups(lambda e: e.service),
            groups(lambda e: e.peer),
            groups(lambda e: e.fault),
            sorted(groups(interval, MOST_SPANS), key=lambda g: g.name),
        )


def _filter(query: IntervalsQuery) -> RecordFilter:
    return RecordFilter(
        query.security_server_type,
        client_id(query.member_id) if query.member_id else None,
        _service(query.service_id) if query.service_id else None,
    )


def _milliseconds(at: datetime) -> int:
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1000)


def _service(text: str) -> ServiceId:
    client, _, full_code = text.rpartition(":")
    code, _, version = full_code.partition(".")
    if not client or not code:
        raise bad_request("invalid_encoded_id", text)
    return ServiceId(client_id(client), code, version or None)
