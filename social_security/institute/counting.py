"""An institute's counts of one month, indicator by indicator: what ONIESS adds up. Counts only; no case leaves.

Spec: the domain reference 5.8.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from social_security.domain.indicators import Count

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime

    from social_security.institute.services import InstituteServices

_ANSWERED = frozenset(("PROCEDENTE", "IMPROCEDENTE", "INEXISTENCIA"))


def count_month(services: InstituteServices, period: str) -> dict[str, dict[str, Any]]:
    """The counts of a month, as ``2026-04``, by indicator."""

    def is_in(at: datetime) -> bool:
        return at.astimezone(services.zone).strftime("%Y-%m") == period

    counts = {
        "IND-02": Count(int(services.periods.any()), 1),
        **_portability(services, is_in),
        **_admissions(services, is_in),
        **_rights(services, is_in),
        "IND-12": Count(services.gateway_refusals.counted(period)),
    }
    return {name: count.to_json() for name, count in sorted(counts.items())}


def _portability(services: InstituteServices, is_in: Callable[[datetime], bool]) -> dict[str, Count]:
    in_term, duration, once = Count(), Count(), Count()
    for case in services.cases.all():
        times = services.cases.times(case.case)
        if case.responsible != services.member:
            continue
        closed, resolved, presented = (times.get(s) for s in ("CERRADA", "RESUELTA", "PRESENTADA"))
        if closed is not None and is_in(closed):
            in_term.denominator += 1
            day = closed.astimezone(services.zone).date()
            in_term.numerator += case.deadline is None or day <= case.deadline
            # Papers that an institute holds are asked of the institute (PEDIR_ACLARACION), never of the person.
            once.numerator += 1
            once.denominator += 1
        if resolved is not None and presented is not None and is_in(resolved):
            duration.values.append(_working_days(services, presented, resolved))
    for states in _admission_states(services, is_in).values():
        once.denominator += 1
        once.numerator += "PREVENIDA" not in states
    return {"IND-03": in_term, "IND-04": duration, "IND-05": once}


def _working_days(services: InstituteServices, start: datetime, end: datetime) -> int:
    first: date = start.astimezone(services.zone).date()
    last = end.astimezone(services.zone).date()
    days = 0
    while services.calendar.add(first, days) < last:
        days += 1
    return days


def _admission_states(services: InstituteServices, is_in: Callable[[datetime], bool]) -> dict[str, set[str]]:
    """The states that each admission went through, of those that were decided in the month."""
    states: dict[str, set[str]] = {}
    decided: set[str] = set()
    for case, state, at in services.admissions.times():
        states.setdefault(case, set()).add(state)
        if state in ("ADMITIDA", "NEGADA") and is_in(at):
            decided.add(case)
    return {case: states[case] for case in decided}


def _admissions(services: InstituteServices, is_in: Callable[[datetime], bool]) -> dict[str, Count]:
    decided = _admission_states(services, is_in).values()
    return {"IND-06": Count(sum("ADMITIDA" in s for s in decided), len(decided))}


def _rights(services: InstituteServices, is_in: Callable[[datetime], bool]) -> dict[str, Count]:
    in_time, refusals, appeals = Count(), Count(), Count()
    outcomes = {r.folio: r.outcome for r in services.arco.all()}
    appealed: set[str] = set()
    silent = {folio for folio, state, _ in services.arco.events() if state == "FALTA_RESPUESTA"}
    for folio, state, at in services.arco.events():
        if not is_in(at):
            continue
        # A late answer comes after a silence, which has been counted as not in time.
        in_time.numerator += state in _ANSWERED and folio not in silent
        in_time.denominator += (state in _ANSWERED and folio not in silent) or state == "FALTA_RESPUESTA"
        refusals.numerator += state in ("IMPROCEDENTE", "INEXISTENCIA")
        if state == "RECURRIDA" and folio not in appealed:
            appealed.add(folio)
            appeals.denominator += 1
            appeals.numerator += outcomes[folio] in ("REVOCAR", "ORDENAR_ENTREGA")
    return {"IND-07": in_time, "IND-08": refusals, "IND-09": appeals}
