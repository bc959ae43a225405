"""A career over all institutes as a picture: what each certifies, day by day, where days lie between, and where two certify the same.

Pure. Places are in the picture's own units; every number that the picture shows stands in `Career` too, for the table beside it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH: Final = 720
LEFT: Final = 8
ROW: Final = 46
TOP: Final = 22
BAR: Final = 16
# Years are told as calendar years of 365 days; a convention may count otherwise.
YEAR_DAYS: Final = 365
_MOST_MARKS: Final = 9


@dataclass(frozen=True, slots=True)
class Span:
    """Consecutive days, both ends included; ``days`` are those between them in the calendar."""

    since: date
    until: date

    @property
    def days(self) -> int:
        """The number of days of the span, first and last counted."""
        return (self.until - self.since).days + 1


@dataclass(frozen=True, slots=True)
class Bar:
    """One certified period in the picture. ``days`` is what it certifies; ``is_open`` says that it goes on."""

    span: Span
    days: int
    is_open: bool
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Lane:
    """One institute's periods, from top ``y`` on."""

    institute: str
    bars: tuple[Bar, ...]
    y: int


@dataclass(frozen=True, slots=True)
class Career:
    """The picture and its numbers. ``marks`` are years with their places; gaps and overlaps are between institutes too."""

    lanes: tuple[Lane, ...]
    gaps: tuple[tuple[Span, float, float], ...]
    overlaps: tuple[tuple[Span, float, float], ...]
    marks: tuple[tuple[int, float], ...]
    height: int
    width: int = WIDTH


def years_and_days(days: int) -> tuple[int, int]:
    """Days as years of 365 days and the rest."""
    return divmod(days, YEAR_DAYS)


def draw_career(histories: Sequence[Mapping[str, Any]]) -> Career | None:
    """The picture of what institutes certify (``Historia`` of the service description); None without any period."""
    found = [(str(h["instituto"]), _periods(h)) for h in histories]
    found = sorted(((i, p) for i, p in found if p), key=lambda e: (e[1][0][0].since, e[0]))
    if not found:
        return None
    spans = [span for _, periods in found for span, *_ in periods]
    first, last = min(s.since for s in spans), max(s.until for s in spans)
    scale = (WIDTH - 2 * LEFT) / max((last - first).days + 1, 1)

    def place(day: date) -> float:
        return round(LEFT + (day - first).days * scale, 1)

    def wide(span: Span) -> float:
        return round(max(span.days * scale, 2.0), 1)

    lanes = tuple(
        Lane(
            institute,
            tuple(Bar(s, days, is_open, place(s.since), wide(s)) for s, days, is_open in periods),
            TOP + number * ROW,
        )
        for number, (institute, periods) in enumerate(found)
    )
    covered, overlaps = _layers([(s.since, s.until) for s in spans])
    gaps = [
        Span(a.until + timedelta(days=1), b.since - timedelta(days=1)) for a, b in itertools.pairwise(covered)
    ]
    step = -(-(last.year - first.year + 1) // _MOST_MARKS)
    marks = tuple(
        (year, place(date(year, 1, 1)))
        for year in range(first.year + 1, last.year + 1)
        if (year - first.year - 1) % step == 0
    )
    return Career(
        lanes,
        tuple((g, place(g.since), wide(g)) for g in gaps),
        tuple((o, place(o.since), wide(o)) for o in overlaps),
        marks,
        TOP + len(lanes) * ROW + 24,
    )


def _periods(history: Mapping[str, Any]) -> list[tuple[Span, int, bool]]:
    """The periods that count, with the days they certify; an open one ends where it was counted to."""
    found = []
    for entry in history.get("periodos", ()):
        until = entry.get("hasta", entry.get("contadoHasta"))
        if until is not None and until >= entry["desde"]:
            span = Span(date.fromisoformat(entry["desde"]), date.fromisoformat(until))
            found.append((span, int(entry["dias"]), "hasta" not in entry))
    return sorted(found, key=lambda e: (e[0].since, e[0].until))


def _layers(spans: Sequence[tuple[date, date]]) -> tuple[list[Span], list[Span]]:
    """The days that any period covers, and those that two or more do, each as spans in order."""
    edges: dict[date, int] = {}
    for since, until in spans:
        edges[since] = edges.get(since, 0) + 1
        after = until + timedelta(days=1)
        edges[after] = edges.get(after, 0) - 1
    covered: list[Span] = []
    twice: list[Span] = []
    depth, begun = 0, {1: date.min, 2: date.min}
    for day in sorted(edges):
        before, depth = depth, depth + edges[day]
        for level, into in ((1, covered), (2, twice)):
            if before < level <= depth:
                begun[level] = day
            elif depth < level <= before:
                into.append(Span(begun[level], day - timedelta(days=1)))
    return covered, twice
