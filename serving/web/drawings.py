"""Pictures made on the server: a timeline of ends, amounts over time, lines over time, and who talks to whom. Pure.

Each is one SVG with a title for who cannot see it, without script and without style of its own: classes are those of the style sheet,
so it follows the theme. Colour is never alone: what a colour says is also detail by shape, place or a text. Every text is escaped.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

WIDTH: Final = 720
ROW: Final = 30
LONGEST_LABEL: Final = 40


def _svg(name: str, height: float, title: str, parts: Iterable[Markup], width: float = WIDTH) -> Markup:
    inside = Markup("").join(parts)
    return Markup(
        '<svg class="{}" viewBox="0 0 {:.0f} {:.0f}" role="img" aria-label="{}"><title>{}</title>{}</svg>'
    ).format(name, width, height, title, title, inside)


def _text(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" class="{}" text-anchor="{}">{}</text>').format(
        x, y, kind, anchor, content
    )


def _short(content: str, longest: int = LONGEST_LABEL) -> str:
    return content if len(content) <= longest else content[: longest - 1] + "…"


@dataclass(frozen=True, slots=True)
class EndingMark:
    """Something that ends: its name, when, and how urgent that is (``bad``, ``caution``, ``good``)."""

    name: str
    at: datetime
    tone: str
    detail: str


def draw_endings(endings: Sequence[EndingMark], now: datetime, title: str, today: str) -> Markup:
    """When each of several things ends, the first on top; the axis begins today and is as long as the last needs, a year at least."""
    last = max([e.at for e in endings], default=now)
    span = max((last - now).total_seconds(), 365 * 86400.0)
    left, right = 10.0, WIDTH - 20.0

    def place(at: datetime) -> float:
        share = max((at - now).total_seconds(), 0.0) / span
        return left + share * (right - left)

    height = 34 + ROW * len(endings)
    parts = [Markup('<line class="axis" x1="{0}" y1="18" x2="{0}" y2="{1}"/>').format(left, height)]
    parts.append(_text(left, 12, today))
    for year in range(now.year + 1, last.year + 2):
        x = place(now.replace(year=year, month=1, day=1))
        if x < right:
            parts.append(
                Markup('<line class="mark" x1="{0:.1f}" y1="18" x2="{0:.1f}" y2="{1}"/>').format(x, height)
            )
            # Beside the axis there is room for today alone.
            if x > left + 60:
                parts.append(_text(x, 12, str(year), anchor="middle"))
    for number, ending in enumerate(endings):
        y = 24 + ROW * number
        width = max(place(ending.at) - left, 3.0)
        parts.append(
            Markup(
                '<g class="{}"><rect x="{}" y="{}" width="{:.1f}" height="8"/><title>{}</title></g>'
            ).format(ending.tone, left, y + 16, width, f"{ending.name}: {ending.detail}")
        )
        parts.append(_text(left + 4, y + 12, f"{_short(ending.name)} · {ending.detail}"))
    return _svg("chart", height, title, parts)


@dataclass(frozen=True, slots=True)
class Amount:
    """One span of time: its label, how many succeeded and how many failed."""

    label: str
    good: int
    bad: int


def draw_amounts(amounts: Sequence[Amount], title: str) -> Markup:
    """Amounts over time as columns; failures stand on top and are hatched."""
    most = _round_up(max((a.good + a.bad for a in amounts), default=0))
    left, top, height = _room(most), 14.0, 160.0
    wide = (WIDTH - left - 8) / max(len(amounts), 1)
    parts = [
        Markup(
            '<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
            '<rect class="ground" width="5" height="5"/><rect class="stripe" width="2" height="5"/></pattern></defs>'
        ),
        *_levels(most, left, top, height),
    ]
    for number, amount in enumerate(amounts):
        x = left + number * wide
        good = height * amount.good / most
        bad = height * amount.bad / most
        detail = f"{amount.label}: {amount.good:,} + {amount.bad:,}"
        parts.append(
            Markup(
                '<g><title>{}</title><rect class="good" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"/>'
                '<rect class="failed" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}"/></g>'
            ).format(
                detail, x, top + height - good, max(wide - 1, 0.5), good,
                x, top + height - good - bad, max(wide - 1, 0.5), bad,
            )
        )  # fmt: skip
    parts += _labels([a.label for a in amounts], left, wide, top + height + 16)
    return _svg("chart", top + height + 26, title, parts)


def draw_lines(
    labels: Sequence[str], series: Sequence[tuple[str, Sequence[float | None]]], title: str, unit: str
) -> Markup:
    """Several values over time as lines, each with marks of its own shape and its name at its end; None leaves a gap."""
    values = [v for _, line in series for v in line if v is not None]
    most = _round_up(max(values, default=0))
    left, top, height = _room(most, unit), 14.0, 160.0
    wide = (WIDTH - left - 80) / max(len(labels), 1)
    parts = [*_levels(most, left, top, height, unit)]
    for number, (name, line) in enumerate(series):
        points = [
            (left + (i + 0.5) * wide, top + height - height * v / most)
            for i, v in enumerate(line)
            if v is not None
        ]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        parts.append(Markup('<polyline class="line line-{}" points="{}"/>').format(number, path))
        parts += [_mark(number, x, y) for x, y in points]
        if points:
            parts.append(_text(points[-1][0] + 8, points[-1][1] + 4, name))
    parts += _labels(labels, left, wide, top + height + 16)
    return _svg("chart", top + height + 26, title, parts)


def _mark(number: int, x: float, y: float) -> Markup:
    if number % 3 == 0:
        return Markup('<circle class="point line-0" cx="{:.1f}" cy="{:.1f}" r="3"/>').format(x, y)
    if number % 3 == 1:
        return Markup('<rect class="point line-1" x="{:.1f}" y="{:.1f}" width="6" height="6"/>').format(
            x - 3, y - 3
        )
    return Markup('<path class="point line-2" d="M{:.1f} {:.1f}l4 7h-8z"/>').format(x, y - 4)


def _level(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}".strip()


def _room(most: float, unit: str = "") -> float:
    """The width that the names of the levels take beside the axis: the highest one's letters, at most so wide."""
    return max(56.0, 10 + 8.0 * len(_level(most, unit)))


def _levels(most: float, left: float, top: float, height: float, unit: str = "") -> Iterable[Markup]:
    for step in range(5):
        y = top + height - height * step / 4
        yield Markup('<line class="mark" x1="{}" y1="{:.1f}" x2="{}" y2="{:.1f}"/>').format(
            left, y, WIDTH - 8, y
        )
        yield _text(left - 6, y + 4, _level(most * step / 4, unit), anchor="end")


def _labels(labels: Sequence[str], left: float, wide: float, y: float) -> list[Markup]:
    step = max(math.ceil(len(labels) / 8), 1)
    # What would begin near the right edge would be cut.
    return [
        _text(left + i * wide, y, label)
        for i, label in enumerate(labels)
        if i % step == 0 and label and left + i * wide + 7 * len(label) < WIDTH
    ]


def _round_up(value: float) -> float:
    """The next number that is 4, 8, 20 or 40 times a power of ten: four levels of it are whole or short."""
    if value <= 4:
        return 4.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(m * power for m in (1, 2, 4, 8, 10, 20) if m * power >= value)


@dataclass(frozen=True, slots=True)
class CircleNode:
    """A server in the picture: its name, how it is (``good``, ``caution``, ``bad``), a sentence on it."""

    id: str
    name: str
    tone: str
    detail: str


@dataclass(frozen=True, slots=True)
class Shares:
    """A row of parts of a whole: its name, and amounts in order, each with its tone and what it is."""

    name: str
    parts: tuple[tuple[int, str, str], ...]


def draw_shares(rows: Sequence[Shares], title: str) -> Markup:
    """Parts of several wholes as bars, each as long as its whole is beside the largest; a part's amount stands in it where there is room."""
    most = max((sum(p[0] for p in r.parts) for r in rows), default=0) or 1
    left, right, height = 10.0, WIDTH - 10.0, 34 * len(rows) + 8
    drawn = []
    for number, row in enumerate(rows):
        y, x = 34.0 * number, left
        total = sum(p[0] for p in row.parts)
        drawn.append(_text(left, y + 14, f"{_short(row.name)} · {total:,}"))
        for amount, tone, detail in row.parts:
            width = (right - left) * amount / most
            if amount:
                drawn.append(
                    Markup(
                        '<g class="{}"><rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="12"/><title>{}</title></g>'
                    ).format(tone, x, y + 19, max(width - 1, 1.0), f"{row.name}: {detail}: {amount:,}")
                )
            x += width
    return _svg("chart", height, title, drawn)


def draw_circle(nodes: Sequence[CircleNode], edges: Sequence[tuple[str, str, float]], title: str) -> Markup:
    """Who talks to whom: nodes on a circle, a line for each pair, wider the more it carries (0 to 1). Shapes say how a node is."""
    centre, radius = 260.0, 170.0
    places = {}
    for number, node in enumerate(nodes):
        angle = 2 * math.pi * number / max(len(nodes), 1) - math.pi / 2
        places[node.id] = (centre + 100 + radius * math.cos(angle), centre - 40 + radius * math.sin(angle))
    parts = []
    for one, other, weight in edges:
        if one in places and other in places and one != other:
            (x1, y1), (x2, y2) = places[one], places[other]
            parts.append(
                Markup(
                    '<path class="edge" d="M{:.1f} {:.1f}Q{:.1f} {:.1f} {:.1f} {:.1f}" stroke-width="{:.1f}"/>'
                ).format(x1, y1, centre + 100, centre - 40, x2, y2, 1 + 5 * weight)
            )
    for node in nodes:
        x, y = places[node.id]
        anchor = "start" if x > centre + 110 else "end" if x < centre + 90 else "middle"
        shift = 14 if anchor == "start" else -14 if anchor == "end" else 0
        lift = (24 if y > centre - 40 else -14) if anchor == "middle" else 4
        parts.append(
            Markup('<g class="{}"><title>{}</title>{}</g>').format(
                node.tone, f"{node.name}: {node.detail}", _shape(node.tone, x, y)
            )
        )
        parts.append(_text(x + shift, y + lift, _short(node.name, 22), anchor=anchor))
    return _svg("chart graph", 2 * centre - 60, title, parts)


def _shape(tone: str, x: float, y: float) -> Markup:
    if tone == "bad":
        return Markup('<rect x="{:.1f}" y="{:.1f}" width="16" height="16"/>').format(x - 8, y - 8)
    if tone == "caution":
        return Markup('<path d="M{:.1f} {:.1f}l10 17h-20z"/>').format(x, y - 11)
    return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="8"/>').format(x, y)
