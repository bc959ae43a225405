"""What is done about a member's violations: a warning, a mandatory plan, and an order of suspension to be signed.

Violations are those that the gateways of all members recorded and publish. Each measure is told to the member through the
gateways, once, until it acknowledges; the third one also lays the order before the governing body, whose signatures alone
make it hold.

Spec: the domain reference F28; S10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from social_security.oniess.enforcement import Measure, measure_for
from social_security.wire.outbox import OutboxItem
from social_security.wire.policydocument import build_suspension

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from social_security.domain.calendars import Calendar
    from social_security.oniess.collecting import Gathered
    from social_security.oniess.store import OniessStore

PLAN_DAYS = 20
_STEPS = (Measure.WARNING, Measure.PLAN, Measure.SUSPENSION)
_WIRE = {Measure.WARNING: "APERCIBIMIENTO", Measure.PLAN: "PLAN", Measure.SUSPENSION: "SUSPENSION"}


@dataclass(frozen=True, slots=True)
class Violations:
    """One member's violations, as all gateways together recorded them: the cases, and the rules that were broken."""

    member: str
    cases: int
    rules: tuple[str, ...]


def add_up(gathered: Gathered) -> list[Violations]:
    """The violations of each member, over all who recorded any."""
    cases: dict[str, int] = {}
    rules: dict[str, set[str]] = {}
    for row in gathered.rows("violaciones"):
        cases[row["miembro"]] = cases.get(row["miembro"], 0) + int(row["casos"])
        rules.setdefault(row["miembro"], set()).add(row["regla"])
    return [Violations(m, n, tuple(sorted(rules[m]))) for m, n in sorted(cases.items())]


def escalate(
    store: OniessStore, violations: Sequence[Violations], now: datetime, calendar: Calendar
) -> list[str]:
    """Take every measure that is due and not taken yet; the members it was about. What is told is in the outbox then."""
    touched: list[str] = []
    for found in violations:
        if found.member not in store.members():
            continue
        reached = measure_for(found.cases)
        taken = store.measures(found.member)
        due = [m for m in _STEPS if m not in taken and _STEPS.index(m) <= _index(reached)]
        for measure in due:
            number = store.member_number(found.member)
            step = _STEPS.index(measure) + 1
            body: dict[str, Any] = {
                "idMedida": f"MED-{found.member.rpartition('/')[2][:2]}-{number:08d}-{step}",
                "miembro": found.member,
                "medida": _WIRE[measure],
                "violaciones": found.cases,
                "reglas": list(found.rules),
            }
            if measure is Measure.PLAN:
                body["plazo"] = calendar.add(calendar.local_day(now), PLAN_DAYS).isoformat()
            case = f"NEG-00-{now.year}-{number:08d}"
            order = None
            if measure is Measure.SUSPENSION:
                reason = f"{found.cases} violaciones: {', '.join(found.rules)}"
                order = build_suspension(body["idMedida"], found.member, now, reason)
            notice = OutboxItem(body["idMedida"], found.member, "notificarMedida", body, case)
            store.take_measure(found.member, measure, found.cases, now, notice, order)
            touched.append(found.member)
    return touched


def _index(measure: Measure) -> int:
    return _STEPS.index(measure) if measure in _STEPS else -1
