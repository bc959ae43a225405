"""``verificarElegibilidad``: whether totals meet a benefit's requirements here; computed, answered, and not kept.

Totals are those the asker brings of an assembled history, or the days certified here. An age is never looked up: it is what
the asker says, or unknown.

Spec: the domain reference F09, 5.2 (Beneficio), 5.7 (PUR-BENEF).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from social_security.domain.benefits import check_requirements, default_rules, find_benefit, measures
from social_security.domain.faults import DomainError, concerning
from social_security.domain.history import total
from social_security.institute.history import own_periods
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from social_security.domain.benefits import Benefit
    from social_security.domain.pseudonyms import Pid
    from social_security.institute.services import InstituteServices


async def check_eligibility(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """Each requirement met, unmet or unknown. Raises SS-100 for a benefit that is not offered here, SS-302 after death."""
    body = request.body
    benefit = find_benefit(services.edition, services.member, body["beneficio"])
    if benefit is None:
        raise DomainError(
            "SS-100",
            f"{services.member} no ofrece {body['beneficio']}; vea /beneficios",
            f"{services.member} does not offer {body['beneficio']}; see /beneficios",
            field="beneficio",
        )
    subject = services.subject(request)
    with concerning(subject.pid):
        return await _judge(services, body, benefit, subject.pid)


async def _judge(
    services: InstituteServices, body: Mapping[str, Any], benefit: Benefit, pid: Pid
) -> DomainAnswer:
    affiliation = services.persons.affiliation(pid)
    if affiliation is not None and affiliation.state == "FALLECIDA":
        raise DomainError("SS-302")
    rules = default_rules(services.edition)
    if benefit.convention is not None:
        known = {c.id: c for c in await services.conventions.read()}
        rules = known[benefit.convention].rules if benefit.convention in known else rules
    days: int | None = body.get("totales", {}).get("diasUnion")
    if days is None and affiliation is not None:
        services.check_blocked(pid, "historia", "periodo")
        days = total(own_periods(services, pid), rules).union_days
    return DomainAnswer(
        check_requirements(benefit, measures(days, body.get("edad"), rules)),
        categories=("beneficio",),
        subject=pid,
    )
