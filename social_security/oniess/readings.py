"""What anybody may read at ONIESS without login: policy, catalogue, benefits, indicators, refusals, retirees, violations.

Spec: the domain reference 5.7 (politica, catalogo, indicadores), 5.8, F18; S15.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from social_security.domain.indicators import (
    INDICATORS,
    INSTITUTES,
    OBJECTIVES,
    STATES,
    Count,
    add_up,
    check_links,
    render_count,
    render_uncounted,
)
from social_security.institute.publication import BASIS, open_data, period_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from social_security.oniess.collecting import Collector
    from social_security.oniess.store import Application, OniessStore


class PublishingOniess(Protocol):
    """ONIESS as its public readings need it."""

    @property
    def store(self) -> OniessStore:
        """The database of this ONIESS."""
        ...

    @property
    def collector(self) -> Collector:
        """Asks the members for what they publish."""
        ...

    def institutes(self) -> list[str]:
        """The members that are institutes, by path."""
        ...


async def read_retirees(oniess: PublishingOniess, query: Mapping[str, str]) -> web.Response:
    """``/jubilados``: the lists of every institute as open data, with who was silent."""
    found = await oniess.collector.gather("jubilados", members=oniess.institutes())
    body = {"fundamento": BASIS, "jubilados": found.rows("jubilados"), "silenciosos": list(found.silent)}
    return open_data(query, body, "jubilados")


async def read_refusals(oniess: PublishingOniess, query: Mapping[str, str]) -> web.Response:
    """``/negativas``: counts per cause and member; each member has suppressed its own small cells."""
    found = await oniess.collector.gather("negativas", members=oniess.institutes())
    return open_data(
        query, {"negativas": found.rows("negativas"), "silenciosos": list(found.silent)}, "negativas"
    )


async def read_violations(oniess: PublishingOniess, query: Mapping[str, str]) -> web.Response:
    """``/violaciones``: blocked requests by member and rule, and the measures taken."""
    found = await oniess.collector.gather("violaciones")
    body = {
        "violaciones": found.rows("violaciones"),
        "medidas": oniess.store.all_measures(),
        "silenciosos": list(found.silent),
    }
    return open_data(query, body, "violaciones")


async def read_indicators(oniess: PublishingOniess, query: Mapping[str, str]) -> web.Response:
    """``/indicadores?periodo=``: every indicator; those of members are the sums of what they counted."""
    period = period_of(query)
    found = await oniess.collector.gather("indicadores", f"?periodo={period}")
    counts = {member: body["conteos"] for member, body in found.answers.items()}
    rows = compute_month(oniess.store, period, counts, found.silent)
    if query.get("formato") == "csv":
        return open_data(query, {"indicadores": rows}, "indicadores")
    return web.json_response(rows)


def compute_month(
    store: OniessStore, period: str, figures: Mapping[str, dict[str, Any]], silent: tuple[str, ...]
) -> list[dict[str, Any]]:
    """The indicators of a month, from what members told (by member) and from what ONIESS holds itself."""
    check_links(INDICATORS, OBJECTIVES)
    counts = add_up(list(figures.values()))
    missing = f"; sin respuesta: {', '.join(silent)}" if silent else ""
    sources = dict.fromkeys(counts, f"miembros{missing}")
    own = {
        "IND-01": _connected(store),
        "IND-02": _offering(store, figures, missing),
        "IND-10": _up(store, period),
        "IND-14": _onboarding(store),
        "IND-16": _cost(store, period, counts.get("IND-11")),
    }
    counts.pop("IND-02", None)
    for name, (count, source) in ((n, c) for n, c in own.items() if c is not None):
        counts[name], sources[name] = count, source
    return [
        render_count(i, period, counts[i.id], sources[i.id])
        if i.id in counts
        else render_uncounted(i, period)
        for i in INDICATORS
    ]


def institutes_of(paths: Iterable[str]) -> set[str]:
    """The state institutes among members: governmental, and of one of the 32 states (``MX/GOB/15-ISSEMYM``)."""
    found = (p.split("/") for p in paths)
    return {
        "/".join(p)
        for p in found
        if len(p) == 3 and p[1] == "GOB" and p[2][:2].isdigit() and 1 <= int(p[2][:2]) <= STATES
    }


def _connected(store: OniessStore) -> tuple[Count, str]:
    """Active institutes over the 22 of the goal, and in how many of the 32 states they are."""
    active = institutes_of(store.active_members())
    states = len({path.split("/")[2][:2] for path in active})
    return Count(len(active), INSTITUTES), f"ONIESS, miembros activos; {states} de {STATES} entidades"


def _offering(
    store: OniessStore, figures: Mapping[str, dict[str, Any]], missing: str
) -> tuple[Count, str] | None:
    """Institutes that serve a history over the active ones; one that is silent offers nothing."""
    active = institutes_of(store.active_members())
    if not active:
        return None
    offer = sum(int(figures.get(m, {}).get("IND-02", {}).get("numerador", 0)) > 0 for m in active)
    return Count(offer, len(active)), f"miembros{missing}"


def _up(store: OniessStore, period: str) -> tuple[Count, str] | None:
    up, probed = store.probes(period)
    return (Count(up, probed), "ONIESS, sondeos por la pasarela") if probed else None


def _onboarding(store: OniessStore) -> tuple[Count, str] | None:
    days = [d for a in store.applications() if (d := _days_to_active(store, a)) is not None]
    return (Count(values=days), "ONIESS, altas") if days else None


def _days_to_active(store: OniessStore, application: Application) -> int | None:
    moments = {event: datetime.fromisoformat(at).date() for at, event in store.events(application.case)}
    ended = moments.get("activarAlta")
    return None if ended is None else (ended - application.applied_on).days


def _cost(store: OniessStore, period: str, recorded: Count | None) -> tuple[Count, str] | None:
    """The cost a member; its source says the cost a thousand messages too, by the records that gateways counted."""
    cents = store.cost(period)
    members = len(store.members())
    if cents is None or not members:
        return None
    source = "ONIESS, ejercicio del gasto; MXN por miembro"
    if recorded is not None and recorded.denominator:
        source += f"; {cents * 10 / recorded.denominator:,.2f} MXN por millar de mensajes"
    return Count(cents // 100, members), source
