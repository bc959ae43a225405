"""Certified periods, and ``consultarHistoria``: what an institute certifies of a person's work, to whom it may.

A correction adds a version; the one before is ``SUSTITUIDO``, stays provable, and is no longer served.

Spec: the domain reference 5.2 (PeriodoCotizacion), 5.7; S03, S06, S08.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

from social_security.domain.faults import DomainError, concerning
from social_security.domain.history import Period, union_days
from social_security.domain.pseudonyms import Pid
from social_security.institute.conventionrules import check_convention
from social_security.institute.stores.periods import Certified
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from social_security.institute.services import InstituteServices, PersonSubject


def build_history(
    services: InstituteServices,
    pid: Pid,
    shown: Pid,
    *,
    with_pay: bool = False,
    request: DomainRequest | None = None,
) -> dict[str, Any]:
    """``Historia`` of a person under the pseudonym that the receiver knows, open periods counted to the day asked for.

    Raises SS-300 without one, SS-208 when it has been cancelled, SS-303 while a period is being clarified, SS-103 for a range that ends before it begins.
    """
    services.check_blocked(pid, "historia", "periodo", *(("sueldos",) if with_pay else ()))
    files = services.persons.files_of(pid)
    affiliations = [a for a in map(services.persons.affiliation, files) if a is not None]
    periods = services.certified(pid)
    day = max(counted_to(services, one) for one in files)
    if request is not None:
        since, until = request.body.get("desde", ""), request.body.get("hasta", "9999")
        if until < since:
            raise DomainError(
                "SS-103",
                f"se pide hasta {until}, antes de desde {since}",
                f"until {until} is asked for, before since {since}",
                field="hasta",
            )
        periods = [p for p in periods if p.since.isoformat() <= until and _ends(p, day).isoformat() >= since]
        day = min(day, date.fromisoformat(until)) if until != "9999" else day
    if not affiliations or not periods:
        raise DomainError("SS-300")
    if any(p.state == "EN_ACLARACION" for p in periods):
        raise DomainError("SS-303")
    counted = _counted(services, periods, day)
    days = sum(c.days for c in counted)
    union = union_days(counted)
    twice = f"; {days - union} días se traslapan y cuentan una vez en años y semanas" if days > union else ""
    body: dict[str, Any] = {
        "instituto": services.member,
        "pid": shown,
        "regimen": affiliations[0].regime,
        "periodos": [p.to_json(min(day, counted_to(services, p.pid)), with_pay=with_pay) for p in periods],
        "totalDias": days,
        "computo": " + ".join(str(c.days) for c in counted)
        + f" = {days} días{twice}; abiertos contados al {day}",
    }
    if all(a.state == "BAJA" for a in affiliations):
        weeks = union // 7
        body["constanciaBaja"] = {"anios": weeks // 52, "semanasEquivalentes": weeks}
    return body


def counted_to(services: InstituteServices, pid: Pid) -> date:
    """The day up to which a person's open periods count: today, or when she died or left, where that was before."""
    today = services.today()
    affiliation = services.persons.affiliation(pid)
    ends = [today, services.vital.died(pid)]
    if affiliation is not None and affiliation.state != "ACTIVA":
        ends.append(affiliation.until)
    return min(day for day in ends if day is not None)


def own_periods(services: InstituteServices, pid: Pid) -> list[Period]:
    """The periods of a person here, to be totalled; open ones up to the day of today."""
    return _counted(services, services.certified(pid), services.today())


def _counted(services: InstituteServices, periods: list[Certified], day: date) -> list[Period]:
    """Periods as they count on a day; each open one no further than its own file does."""
    ends = {p.pid: min(day, counted_to(services, p.pid)) for p in periods}
    return [c for c in (p.counted(services.member, ends[p.pid]) for p in periods) if c is not None]


def _ends(period: Certified, day: date) -> date:
    return period.until if period.until is not None else max(day, period.since)


async def consult_history(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """The certified history, for a case that stands where it may be asked for, or for the person herself."""
    subject = services.subject(request)
    with concerning(subject.pid):
        return await _history_for(services, request, subject)


async def _history_for(
    services: InstituteServices, request: DomainRequest, subject: PersonSubject
) -> DomainAnswer:
    context = request.context
    if context.purpose == "PUR-PORT":
        await check_convention(services, request)
        case = services.cases.case(context.case)
        if case is None or case.state not in request.operation.case_states:
            state = "no está abierto aquí" if case is None else f"está {case.state}"
            raise DomainError("SS-205", f"el caso {state}", "the case is not in a state that allows it")
        if context.member not in case.participants:
            raise services.not_participant(request)
    with_pay = request.body.get("conSueldos", False) is True
    if with_pay and context.purpose != "PUR-PORT":
        raise DomainError(
            "SS-201", "los sueldos sólo salen en PUR-PORT", "pay leaves for PUR-PORT only", field="conSueldos"
        )
    if with_pay:
        services.check_opposition(request, subject, "sueldos")
    affiliation = services.persons.affiliation(subject.pid)
    if affiliation is not None and affiliation.state == "FALLECIDA" and context.purpose != "PUR-PORT":
        raise DomainError("SS-302")
    body = build_history(services, subject.pid, subject.shown, with_pay=with_pay, request=request)
    categories = ("historia", "sueldos") if with_pay else ("historia",)
    return DomainAnswer(body, categories=categories, subject=subject.pid)
