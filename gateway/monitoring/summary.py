"""Exchanges of a time by service, by peer, by outcome and over time, with how long they took. Pure.

Latencies are percentiles by nearest rank, in milliseconds, over the records given; a group is as large as its count says.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class Exchanged(msgspec.Struct, frozen=True):
    """One exchange: when its request came in (ms since the epoch), how long it took, and whose it was. ``fault`` is empty for none."""

    begin_ms: int
    took_ms: float
    service: str
    peer: str
    fault: str
    succeeded: bool


class ExchangeGroup(msgspec.Struct, frozen=True):
    """Exchanges that have something in common, with percentiles of how long they took."""

    name: str
    count: int
    failed: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


def group_exchanges(
    found: Iterable[Exchanged], name: Callable[[Exchanged], str], most: int
) -> list[ExchangeGroup]:
    """The groups by name, the largest first, at most so many."""
    groups: dict[str, list[Exchanged]] = {}
    for exchange in found:
        groups.setdefault(name(exchange), []).append(exchange)
    largest = sorted(groups.items(), key=lambda g: (-len(g[1]), g[0]))[:most]
    return [_group(key, members) for key, members in largest]


def _group(name: str, members: Sequence[Exchanged]) -> ExchangeGroup:
    times = sorted(m.took_ms for m in members)
    return ExchangeGroup(
        name,
        len(members),
        sum(not m.succeeded for m in members),
        percentile(times, 50),
        percentile(times, 95),
        percentile(times, 99),
    )


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of the values do not exceed (nearest rank); 0 without values."""
    if not ordered:
        return 0.0
    return ordered[max(math.ceil(percent / 100 * len(ordered)), 1) - 1]
