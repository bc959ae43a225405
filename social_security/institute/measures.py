"""Measures that ONIESS has taken about this member's violations of the policy: received once each, and kept.

Spec: the domain reference F28 (warning, mandatory plan, suspension by signed order).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from social_security.domain.faults import DomainError
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from social_security.institute.services import InstituteServices

ONIESS = "MX/GOB/00-ONIESS"


def take_measure(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``notificarMedida``: received. Raises SS-210 for anybody but ONIESS, SS-100 for another member's measure."""
    if request.context.member != ONIESS:
        raise DomainError("SS-210", "sólo ONIESS notifica medidas", "only ONIESS gives notice of measures")
    if request.body["miembro"] != services.member:
        raise DomainError(
            "SS-100",
            "la medida es de otro miembro",
            "the measure is about another member",
            field="miembro",
        )
    services.measures.add(request.body, request.now)
    return DomainAnswer({"recibida": True}, categories=("documento",))
