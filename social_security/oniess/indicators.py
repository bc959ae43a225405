"""Indicators computed by code from what is there; small cells are suppressed, and what has no source says so.

Pure but for the store it is given. `INDICATORS` links each to its objective; a build with an orphan fails (F25).

Spec: the domain reference 5.8.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from social_security.faults import DomainError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from social_security.oniess.store import OniessStore

SMALL_CELL = 5
_METHOD = "https://oniess.example/indicadores/"


@dataclass(frozen=True, slots=True)
class Indicator:
    """What an indicator measures and which objective it serves."""

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
    Indicator("IND-04", "movilidad", "duración de portabilidad", "días hábiles", "≤ 60"),
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
    if 0 < denominator < SMALL_CELL or 0 < numerator < SMALL_CELL:
        return body | {"valor": None, "numerador": None, "denominador": None, "suprimido": True}
    value = numerator / denominator if denominator else None
    return body | {"valor": value, "numerador": numerator, "denominador": denominator, "suprimido": False}


def compute(period: str, counts: Mapping[str, tuple[int, int]], source: str) -> list[dict[str, Any]]:
    """Every indicator, in order; one that nothing was counted for says it has no source."""
    check_links(INDICATORS, OBJECTIVES)
    return [
        render_ratio(i, period, *counts[i.id], source)
        if i.id in counts
        else render_ratio(i, period, None, None, "sin fuente")
        for i in INDICATORS
    ]


def read_indicators(store: OniessStore, period: str) -> list[dict[str, Any]]:
    """The indicators of a month from what ONIESS itself holds."""
    if not re.fullmatch(r"20\d{2}-(0[1-9]|1[0-2])", period, re.ASCII):
        raise DomainError("SS-100", "periodo es AAAA-MM", "periodo is YYYY-MM", field="periodo")
    applications = store.applications()
    active = sum(a.state == "ACTIVA" for a in applications)
    return compute(period, {"IND-01": (active, len(applications))} if applications else {}, "ONIESS, altas")
