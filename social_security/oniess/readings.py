"""What anybody may read at ONIESS without login: policy, catalogue, benefits, indicators, refusals, retirees, violations.

Spec: the domain reference 5.7 (politica, catalogo, indicadores), 5.8, F18; S15.
"""

from __future__ import annotations

import statistics
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from aiohttp import web

from social_security.domain import pack
from social_security.domain.indicators import (
    INDICATORS,
    OBJECTIVES,
    Count,
    add_up,
    check_links,
    render_count,
    render_ratio,
)
from social_security.institute.publication import BASIS, open_data, period_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from social_security.oniess.services import OniessServices
    from social_security.oniess.store import Application, OniessStore


async def read_retirees(services: OniessServices, query: Mapping[str, str]) -> web.Response:
    """``/jubilados`` of every member."""
    found = await services.collector.gather("jubilados", members=services.institutes())
    body = {"fundamento": BASIS, "jubilados": found.rows("jubilados"), "silenciosos": list(found.silent)}
    return open_data(query, body, "jubilados")


async def read_refusals(services: OniessServices, query: Mapping[str, str]) -> web.Response:
    """``/negativas``: counts per cause and member; each member has suppressed its own small cells."""
    found = await services.collector.gather("negativas", members=services.institutes())
    return open_data(
        query, {"negativas": found.rows("negativas"), "silenciosos": list(found.silent)}, "negativas"
    )


async def read_violations(services: OniessServices, query: Mapping[str, str]) -> web.Response:
    """``/violaciones``: blocked requests by member and rule, and the measures taken."""
    found = await services.collector.gather("violaciones")
    body = {
        "violaciones": found.rows("violaciones"),
        "medidas": services.store.all_measures(),
        "silenciosos": list(found.silent),
    }
    return open_data(query, body, "violaciones")


async def read_indicators(services: OniessServices, query: Mapping[str, str]) -> web.Response:
    """``/indicadores?periodo=``: every indicator; those of members are the sums of what they counted."""
    period = period_of(query)
    found = await services.collector.gather("indicadores", f"?periodo={period}")
    rows = compute_month(
        services.store, period, [body["conteos"] for body in found.told.values()], found.silent
    )
    if query.get("formato") == "csv":
        return open_data(query, {"indicadores": rows}, "indicadores")
    return web.json_response(rows)


def compute_month(
    store: OniessStore, period: str, told: list[dict[str, Any]], silent: tuple[str, ...]
) -> list[dict[str, Any]]:
    """The indicators of a month, from what members told and from what ONIESS holds itself."""
    check_links(INDICATORS, OBJECTIVES)
    counts = add_up(told)
    missing = f"; sin respuesta: {', '.join(silent)}" if silent else ""
    sources = dict.fromkeys(counts, f"miembros{missing}")
    own = {"IND-01": _connected(store), "IND-10": _up(store, period), "IND-14": _onboarding(store)}
    own["IND-13"], own["IND-16"] = _coverage(period), _cost(store, period)
    for name, (count, source) in ((n, c) for n, c in own.items() if c is not None):
        counts[name], sources[name] = count, source
    return [
        render_count(i, period, counts[i.id], sources[i.id])
        if i.id in counts
        else render_ratio(i, period, None, None, "sin fuente")
        for i in INDICATORS
    ]


def _connected(store: OniessStore) -> tuple[Count, str] | None:
    """Active over eligible: the members ONIESS reads, and those that have applied beside them."""
    applications = store.applications()
    active = len(store.members())
    waiting = sum(a.state not in ("ACTIVA", "BAJA") for a in applications)
    return Count(active, active + waiting), "ONIESS, altas"


def _up(store: OniessStore, period: str) -> tuple[Count, str] | None:
    up, asked = store.probes(period)
    return (Count(up, asked), "ONIESS, sondeos por la pasarela") if asked else None


def _onboarding(store: OniessStore) -> tuple[Count, str] | None:
    days = [d for a in store.applications() if (d := _days_to_active(store, a)) is not None]
    return (Count(values=days), "ONIESS, altas") if days else None


def _days_to_active(store: OniessStore, application: Application) -> int | None:
    moments = {event: datetime.fromisoformat(at).date() for at, event in store.events(application.case)}
    ended = moments.get("activarAlta")
    return None if ended is None else (ended - application.applied_on).days


def _coverage(period: str) -> tuple[Count, str] | None:
    """The baseline table is month zero of the series; it stands until a later table is in the pack."""
    baseline = pack.document("indicators.json")["IND-13"]
    if period < baseline["period"]:
        return None
    return Count(baseline["with_pension"], baseline["persons_65"]), f"tabla base {baseline['period']}"


def _cost(store: OniessStore, period: str) -> tuple[Count, str] | None:
    cents = store.cost(period)
    members = len(store.members())
    if cents is None or not members:
        return None
    return Count(cents // 100, members), "ONIESS, ejercicio del gasto; MXN por miembro"


def gate_days(store: OniessStore) -> dict[str, float]:
    """Median days from application to each gate's approval."""
    found: dict[str, list[int]] = {}
    for application in store.applications():
        for at, event in store.events(application.case):
            gate, _, result = event.partition("=")
            if result == "APROBADA":
                day: date = datetime.fromisoformat(at).date()
                found.setdefault(gate, []).append((day - application.applied_on).days)
    return {gate: float(statistics.median(days)) for gate, days in sorted(found.items())}
