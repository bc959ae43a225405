"""``consultarAfiliacion``: whether a person belongs to the institute, since when, under which regime; never why.

Spec: the domain reference 5.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from social_security.domain.faults import DomainError, concerning
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from social_security.institute.services import InstituteServices


def consult_affiliation(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """The affiliation. Raises SS-300 without one, SS-302 after death."""
    subject = services.subject(request)
    with concerning(subject.pid):
        found = services.persons.affiliation(subject.pid)
        if found is None:
            raise DomainError("SS-300")
        services.check_blocked(subject.pid, "afiliacion")
        if found.state == "FALLECIDA":
            raise DomainError("SS-302")
    body: dict[str, object] = {
        "estado": found.state,
        "regimen": found.regime,
        "desde": found.since.isoformat(),
    }
    if found.until is not None:
        body["hasta"] = found.until.isoformat()
    return DomainAnswer(body, categories=("afiliacion",), subject=subject.pid)
