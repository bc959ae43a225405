"""Reports in an appeal: the guarantor asks the institute for one, the institute gives it; both stay with the request.

A report changes no state and no term but its own. It is asked for while the guarantor has the appeal, and given as long as it has
it: the resolution does not wait for a report that does not come.

Spec: the domain reference 5.5 (ARCO); F17, F19.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from social_security.domain.faults import DomainError
from social_security.institute.arcochecks import authorities

if TYPE_CHECKING:
    from datetime import date

    from social_security.institute.services import InstituteServices
    from social_security.institute.stores.arco import ArcoRequest
    from social_security.wire.service import DomainRequest

WISHED, GIVEN = "INFORME", "RINDE_INFORME"
REPORTS: Final = frozenset((WISHED, GIVEN))
# Working days in which a report is given.
REPORT_DAYS: Final = 7
LEAST_TEXT: Final = 20
_BEFORE_THE_GUARANTOR: Final = frozenset(("RECURRIDA", "CONCILIACION"))
_UNIT: Final = frozenset(("UNIDAD_TRANSPARENCIA", "COMITE_TRANSPARENCIA"))


def take_report(
    services: InstituteServices, event: DomainRequest, request: ArcoRequest, day: date
) -> ArcoRequest:
    """The request with what was asked, or reported, written down.

    Raises SS-400 unless the guarantor has the appeal, or for a report that nobody asked for; SS-210 for anybody else; SS-100
    without a text.
    """
    kind, text = event.body["sentido"], event.body.get("descripcion", "").strip()
    reports: list[dict[str, Any]] = list(request.request.get("informes", ()))
    is_open = bool(reports) and "informe" not in reports[-1]
    if event.body["estado"] != request.state or request.state not in _BEFORE_THE_GUARANTOR:
        raise DomainError(
            "SS-400", "sólo mientras el recurso está ante la autoridad garante", "only while the guarantor has the appeal",
            field="sentido",
        )  # fmt: skip
    if kind == WISHED:
        allowed = event.context.role == "GARANTE" and event.context.member in authorities(services, request)
    else:
        allowed = event.context.role in _UNIT and event.context.member == services.member
    if not allowed:
        who = f"{event.context.role} de {event.context.member}"
        raise DomainError("SS-210", f"{who} no puede {kind}", f"{who} may not cause {kind}")
    if is_open is (kind == WISHED):
        raise DomainError(
            "SS-400", "un informe se pide cuando no hay otro pendiente, y se rinde el que se pidió",
            "a report is asked for when none is due, and given when it was asked for", field="sentido",
        )  # fmt: skip
    if len(text) < LEAST_TEXT:
        raise DomainError(
            "SS-100",
            "descripcion dice qué se informa",
            "descripcion says what is reported",
            field="descripcion",
        )
    if kind == WISHED:
        due = services.calendar.add(day, REPORT_DAYS).isoformat()
        reports.append({"pedido": text, "pedidoEl": day.isoformat(), "vence": due})
    else:
        reports[-1] = {**reports[-1], "informe": text, "rendidoEl": day.isoformat()}
    return replace(request, request={**request.request, "informes": reports})
