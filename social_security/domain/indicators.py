"""Indicators computed by code from what is there; small cells are suppressed, and what has no source says so.

Pure. `INDICATORS` links each to its objective; a build with an orphan fails (F25). Members count their own months
(`/indicadores` of each), ONIESS adds the counts up: no case, and no person, leaves a member for it.

Spec: the domain reference 5.8.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from social_security.domain import pack

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

SMALL_CELL = 5
INSTITUTES = 22  # state pension institutes that ONIESS was founded for: the goal of IND-01
STATES = 32
_METHOD = "https://oniess.example/indicadores/"


@dataclass(frozen=True, slots=True)
class Indicator:
    """One indicator: the objective it serves, its words, its unit and the decreed target."""

    id: str
    objective: str
    es: str
    unit: str
    target: str


OBJECTIVES = ("conectar", "movilidad", "derechos", "evidencia", "cobertura", "transparencia")
INDICATORS = (
    Indicator("IND-01", "conectar", "institutos conectados", "razón", "22 al inicio"),
    Indicator("IND-02", "conectar", "oferta de servicios", "razón", "90 % en el año 2"),
    Indicator("IND-03", "movilidad", "portabilidad en plazo", "razón", "90 %"),
    Indicator("IND-04", "movilidad", "duración de portabilidad", "días hábiles", "≤ 60 días hábiles"),
    Indicator("IND-05", "movilidad", "una sola vez", "razón", "95 %"),
    Indicator("IND-06", "movilidad", "admisiones externas", "casos", "–"),
    Indicator("IND-07", "derechos", "ARCO en plazo", "razón", "98 %"),
    Indicator("IND-08", "derechos", "negativas", "casos", "–"),
    Indicator("IND-09", "derechos", "recursos", "casos", "–"),
    Indicator("IND-10", "evidencia", "disponibilidad", "razón", "99.5 %"),
    Indicator("IND-11", "evidencia", "evidencia", "razón", "100 %"),
    Indicator("IND-12", "evidencia", "violaciones a la política", "casos", "a la baja"),
    Indicator("IND-13", "cobertura", "cobertura", "razón", "línea base 31 %"),
    Indicator("IND-14", "conectar", "tiempo de incorporación", "días", "a la baja"),
    Indicator("IND-15", "evidencia", "consultas sin caso", "razón", "≤ 2 %"),
    Indicator("IND-16", "transparencia", "costo", "MXN", "a la baja"),
)


@dataclass(slots=True)
class Count:
    """One indicator's count of a month: numerator and denominator, or the single values whose median is taken."""

    numerator: int = 0
    denominator: int = 0
    values: list[int] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """The count as a member's monthly figures carry it: ``valores``, or ``numerador`` and ``denominador``."""
        if self.values:
            return {"valores": sorted(self.values)}
        return {"numerador": self.numerator, "denominador": self.denominator}


# Counts without a denominator: how many there were.
PLAIN_COUNTS = frozenset(("IND-08", "IND-12"))
MEDIANS = frozenset(("IND-04", "IND-14"))
# Counts of persons' cases: a small cell could tell of a person. Institutes, messages and money are no persons.
OF_PERSONS = frozenset(
    ("IND-03", "IND-04", "IND-05", "IND-06", "IND-07", "IND-08", "IND-09", "IND-13", "IND-15")
)


def add_up(figures: Iterable[Mapping[str, Mapping[str, Any]]]) -> dict[str, Count]:
    """The counts of several members as one."""
    whole: dict[str, Count] = {}
    for counts in figures:
        for name, count in counts.items():
            mine = whole.setdefault(name, Count())
            mine.numerator += int(count.get("numerador", 0))
            mine.denominator += int(count.get("denominador", 0))
            mine.values += [int(v) for v in count.get("valores", ())]
    return whole


def render_count(indicator: Indicator, period: str, count: Count, source: str) -> dict[str, Any]:
    """``Indicador``: a ratio, a median, or a plain count; cells below the threshold are suppressed."""
    if indicator.id in MEDIANS:
        body = render_ratio(indicator, period, None, None, source)
        few = is_small(indicator, len(count.values))
        value = None if few or not count.values else statistics.median(count.values)
        return body | {"valor": value, "suprimido": few}
    if indicator.id in PLAIN_COUNTS:
        body = render_ratio(indicator, period, None, None, source)
        few = is_small(indicator, count.numerator)
        return body | {"valor": None if few else count.numerator, "suprimido": few}
    return render_ratio(indicator, period, count.numerator, count.denominator, source)


def is_small(indicator: Indicator, count: int) -> bool:
    """Whether a count is suppressed: a small one, and of persons."""
    return indicator.id in OF_PERSONS and 0 < count < SMALL_CELL


def render_uncounted(indicator: Indicator, period: str) -> dict[str, Any]:
    """``Indicador`` for which nothing was counted: a published ratio without counts, or no source at all."""
    published = pack.document("indicators.json").get(indicator.id)
    if published is None or period < published["period"]:
        return render_ratio(indicator, period, None, None, "sin fuente")
    row = render_ratio(indicator, period, None, None, published["source"]["es"])
    return row | {"valor": published["ratio"]}


def check_links(indicators: Sequence[Indicator], objectives: Sequence[str]) -> None:
    """Refuse an objective without indicator, and the reverse. Raises ValueError."""
    served = {i.objective for i in indicators}
    orphans = sorted(set(objectives) ^ served)
    if orphans:
        raise ValueError(f"objectives and indicators do not match: {', '.join(orphans)}")


def render_ratio(
    indicator: Indicator, period: str, numerator: int | None, denominator: int | None, source: str
) -> dict[str, Any]:
    """``Indicador`` of the service description; below the cell threshold the value is suppressed."""
    body: dict[str, Any] = {
        "id": indicator.id,
        "periodo": period,
        "unidad": indicator.unit,
        "metodo": f"{_METHOD}{indicator.id}",
        "fuente": source,
    }
    if numerator is None or denominator is None:
        return body | {"valor": None, "numerador": None, "denominador": None, "suprimido": False}
    if is_small(indicator, denominator) or is_small(indicator, numerator):
        return body | {"valor": None, "numerador": None, "denominador": None, "suprimido": True}
    value = numerator / denominator if denominator else None
    return body | {"valor": value, "numerador": numerator, "denominador": denominator, "suprimido": False}


def compute(period: str, counts: Mapping[str, tuple[int, int]], source: str) -> list[dict[str, Any]]:
    """Every indicator, in order; one that nothing was counted for says it has no source."""
    check_links(INDICATORS, OBJECTIVES)
    return [
        render_ratio(i, period, *counts[i.id], source) if i.id in counts else render_uncounted(i, period)
        for i in INDICATORS
    ]
