"""A rectified period: which fields change, whether the result can be true, and what it does to the affiliation.

A correction names only what changes; without a period's id a missing period is certified. The result is refused when it
ends before it begins, lies in the future, counts fewer days than none or more than the calendar has, or newly overlaps
another period of the person here without a reason.

Spec: the domain reference F14, 5.2 (PeriodoCotizacion); S06.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from social_security.domain.faults import DomainError
from social_security.domain.history import MOST_DAYS, check_period
from social_security.institute.stores.periods import Certified

if TYPE_CHECKING:
    from collections.abc import Mapping

    from social_security.domain.pseudonyms import Pid
    from social_security.institute.services import InstituteServices
    from social_security.wire.service import DomainRequest

WORKED = "11"  # EESSI: a period of insurance by work


def correct_period(
    services: InstituteServices, request: DomainRequest, pid: Pid, correction: Mapping[str, Any]
) -> tuple[str, bool]:
    """Certify what a rectification says of a period; what was done, in words, and whether anything changed by it.

    Raises SS-502 for a period that is not here, SS-100, SS-103 or SS-406 for a result that cannot be.
    """
    wrong: Certified | None = None
    if "idPeriodo" in correction:
        wrong = next((p for p in services.certified(pid) if p.period_id == correction["idPeriodo"]), None)
        if wrong is None or services.persons.affiliation(pid) is None:
            raise services.refusal(
                "SS-502",
                request,
                "mx:LGPDPPSO-77",
                "El periodo señalado no existe aquí",
                "There is no such period here",
            )
        better = _changed(wrong, correction, request)
    else:
        better = _missing(services, request, pid, correction)
    _check_dates(services, better)
    _check_overlap(services, pid, wrong, better, correction)
    _check_whole(services, pid, better)
    if wrong is None:
        services.periods.add(better)
    elif _same(wrong, better):
        return f"{wrong.period_id} ya estaba así; no cambia", False
    else:
        better = services.periods.correct(wrong, better)
    _follow(services, wrong, better)
    return (
        f"{better.period_id}, versión {better.version}: {better.since} a {better.until or 'la fecha'}",
        True,
    )


def _changed(wrong: Certified, correction: Mapping[str, Any], request: DomainRequest) -> Certified:
    return replace(
        wrong,
        since=date.fromisoformat(correction.get("desde", wrong.since.isoformat())),
        until=date.fromisoformat(correction["hasta"]) if "hasta" in correction else wrong.until,
        type=correction.get("tipo", wrong.type),
        discounted=correction.get("diasDescontados", wrong.discounted),
        reinstated=correction.get("diasReintegrados", wrong.reinstated),
        employer=correction.get("empleador", {}).get("clave", wrong.employer),
        evidence=correction["evidenciaSha256"],
        certified_at=request.now,
    )


def _missing(
    services: InstituteServices, request: DomainRequest, pid: Pid, correction: Mapping[str, Any]
) -> Certified:
    if services.persons.affiliation(pid) is None:
        raise DomainError("SS-300")
    for name in ("desde", "hasta", "empleador"):
        if name not in correction:
            raise DomainError(
                "SS-100",
                f"un periodo que falta lleva {name}",
                f"a missing period carries {name}",
                field=f"periodo.{name}",
            )
    return Certified(
        services.periods.new_id(services.member.rpartition("/")[2]),
        1,
        pid,
        date.fromisoformat(correction["desde"]),
        date.fromisoformat(correction["hasta"]),
        correction.get("tipo", WORKED),
        correction.get("diasDescontados", 0),
        correction.get("diasReintegrados", 0),
        correction["empleador"]["clave"],
        0,
        "CERTIFICADO",
        request.now,
        correction["evidenciaSha256"],
    )


def _check_dates(services: InstituteServices, period: Certified) -> None:
    today = services.today()
    died = services.vital.died(period.pid)
    for name, day in (("desde", period.since), ("hasta", period.until)):
        if day is not None and died is not None and day > died:
            raise DomainError(
                "SS-103",
                f"{name} {day} es posterior al fallecimiento, del {died}",
                f"{name} {day} is after the death, of {died}",
                field=f"periodo.{name}",
            )
        if day is not None and day > today:
            raise DomainError(
                "SS-103",
                f"{name} {day} es futuro; hoy es {today}",
                f"{name} {day} is in the future; today is {today}",
                field=f"periodo.{name}",
            )
    if period.until is not None and period.until < period.since:
        raise DomainError(
            "SS-103",
            f"termina el {period.until}, antes de empezar el {period.since}",
            f"it ends on {period.until}, before it begins on {period.since}",
            field="periodo.hasta",
        )
    counted = period.counted(services.member, today)
    if counted is not None:
        check_period(counted)


def _check_overlap(
    services: InstituteServices,
    pid: Pid,
    wrong: Certified | None,
    better: Certified,
    correction: Mapping[str, Any],
) -> None:
    """A correction may not make more days overlap than did before, unless it says why."""
    if correction.get("motivoTraslape"):
        return
    today = services.today()
    for other in services.certified(pid):
        if other.period_id == better.period_id:
            continue
        before = 0 if wrong is None else _common(wrong, other, today)
        if _common(better, other, today) > before:
            raise DomainError(
                "SS-406",
                f"se traslapa con {other.period_id}; motivoTraslape dice por qué",
                f"it overlaps {other.period_id}; motivoTraslape says why",
                field="periodo.motivoTraslape",
            )


def _check_whole(services: InstituteServices, pid: Pid, better: Certified) -> None:
    """A history that no message could carry any more would be lost to the person (SS-406)."""
    today = services.today()
    every = [better, *(p for p in services.certified(pid) if p.period_id != better.period_id)]
    days = sum(c.days for c in (p.counted(services.member, today) for p in every) if c is not None)
    if days > MOST_DAYS:
        raise DomainError(
            "SS-406",
            f"la historia tendría {days} días; a lo más son {MOST_DAYS}",
            f"the history would have {days} days; at most it has {MOST_DAYS}",
            field="periodo",
        )


def _common(one: Certified, other: Certified, today: date) -> int:
    start, end = max(one.since, other.since), min(one.until or today, other.until or today)
    return max(0, (end - start).days + 1)


def _same(one: Certified, other: Certified) -> bool:
    return replace(other, evidence=one.evidence, certified_at=one.certified_at) == one


def _follow(services: InstituteServices, wrong: Certified | None, better: Certified) -> None:
    """The affiliation begins and ends with its periods where it did so before."""
    affiliation = services.persons.affiliation(better.pid)
    if affiliation is None:
        return
    served = services.periods.served(better.pid)
    since, until = affiliation.since, affiliation.until
    if better.since < since or (wrong is not None and wrong.since == since):
        since = min(p.since for p in served)
    ends = [p.until for p in served if p.until is not None]
    if until is not None and ends and (max(ends) > until or (wrong is not None and wrong.until == until)):
        until = max(ends)
    services.persons.save_affiliation(replace(affiliation, since=since, until=until))
