"""What a guarantor sees without a case: ARCO terms kept and missed, refusals by cause, accesses by purpose. Nobody's data.

A folio names a file, not a person: it stands in the list of missed terms so that the guarantor can ask for it. Single
accesses, hidden ones included, need a case (`accesslog.inspect`).

Spec: the domain reference 3.4, 5.5 (ARCO); F17, F19.
"""

from __future__ import annotations

from collections import Counter
from datetime import date, datetime, time, timedelta
from typing import TYPE_CHECKING, Any

from social_security.domain.faults import DomainError
from social_security.domain.ranges import parse_days
from social_security.institute.refusedattempts import take_refusals
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from social_security.institute.services import InstituteServices
    from social_security.institute.stores.arco import ArcoRequest

FEDERAL = "MX/GAR/00-SABG"
# State -> the term that is missed when its day has passed and the request is still in that state.
_RUNNING = {
    "RECIBIDA": "limiteRespuesta",
    "EN_TRAMITE": "limiteRespuesta",
    "AMPLIADA": "limiteRespuesta",
    # The clock has recorded the silence.
    "FALTA_RESPUESTA": "limiteRespuesta",
    "PROCEDENTE": "limiteEjecucion",
    "RESUELTA_RR": "limiteEjecucion",
}


async def statistics(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``estadisticaSupervision``: counts in a range of days, as of today. Raises `DomainError` (SS-210)."""
    if request.context.member not in (services.guarantor, FEDERAL):
        raise DomainError("SS-210", "sólo la autoridad garante competente", "the competent guarantor only")
    first, last = parse_days(request.body)
    await take_refusals(services)
    requests = [r for r in services.arco.all() if first <= (r.day("dia0") or first) <= last]
    return DomainAnswer(
        {
            "instituto": services.member,
            "politica": services.policy,
            "alDia": request.today.isoformat(),
            "desde": first.isoformat(),
            "hasta": last.isoformat(),
            "arco": {
                "total": len(requests),
                "porEstado": _counted(Counter(r.state for r in requests), "estado"),
                "vencidas": missed(requests, request.today),
            },
            "negativas": _counted(Counter(_cause(r) for r in requests if r.refusal is not None), "causa"),
            "accesos": _accesses(services, first, last),
        }
    )


def missed(requests: list[ArcoRequest], today: date) -> list[dict[str, str]]:
    """The requests whose institute let a term pass, oldest first."""
    found = []
    for request in requests:
        term = _RUNNING.get(request.state)
        day = None if term is None else request.day(term)
        if term is not None and day is not None and today > day:
            found.append(
                {
                    "folio": request.folio,
                    "derecho": str(request.request["derecho"]),
                    "plazo": term,
                    "vencio": day.isoformat(),
                    "estado": request.state,
                }
            )
    return sorted(found, key=lambda row: (row["vencio"], row["folio"]))


def _cause(request: ArcoRequest) -> str:
    refusal = request.refusal or {}
    return str(refusal.get("causa", refusal.get("codigo", "")))


def _accesses(services: InstituteServices, first: date, last: date) -> list[dict[str, Any]]:
    start = datetime.combine(first, time.min, services.zone)
    end = datetime.combine(last + timedelta(days=1), time.min, services.zone)
    counts = services.persons.count_accesses(start, end)
    return [
        {"proposito": purpose, "resultado": outcome, "receptor": receiver, "cuenta": count}
        for purpose, outcome, receiver, count in counts
    ]


def _counted(counts: Counter[str], name: str) -> list[dict[str, Any]]:
    return [{name: key, "cuenta": count} for key, count in sorted(counts.items())]
