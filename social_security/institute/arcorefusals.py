"""The formal refusal of a request: by committee, with cause or article, reasons, remedy and its last day; else it cannot be sent.

Spec: the domain reference 5.2 (Negativa); LGPDPPSO 49, 77; LGTAIP 115, 144; F17, S07.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from social_security.domain.faults import DomainError
from social_security.institute.stores.arco import INFORMATION, ArcoRequest
from social_security.wire.service import DomainRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from social_security.institute.services import InstituteServices


def refuse(services: InstituteServices, request: DomainRequest, after: ArcoRequest, day: date) -> ArcoRequest:
    """The formal refusal; without committee, or without cause where one is due, it cannot be sent. Raises `DomainError` (SS-400)."""
    body = request.body
    if not body.get("resolucionComite"):
        raise DomainError(
            "SS-400",
            "falta la resolución del Comité",
            "the committee's resolution is missing",
            field="resolucionComite",
        )
    causes = body.get("causas", [])
    missing = after.state == "INEXISTENCIA"
    if after.request["derecho"] == INFORMATION:
        return _information_refused(services, body, after, day)
    if not missing and not causes:
        raise DomainError(
            "SS-400", "falta al menos una causa", "at least one cause is missing", field="causas"
        )
    appeal = services.appeal(day)
    refusal: dict[str, Any] = {
        "codigo": "SS-502" if missing else "SS-500",
        "fundamento": "mx:LGPDPPSO-77" if missing else f"mx:LGPDPPSO-49-{causes[0]}",
        "motivacion": body.get("negativa", {}).get("motivacion")
        or body.get("descripcion")
        or "Causas: " + ", ".join(services.causes[c] for c in causes) + ".",
        "resolucionComite": body["resolucionComite"],
        "medioImpugnacion": "Recurso de revisión ante la autoridad garante, artículos 86 y 95 de la LGPDPPSO",
        "autoridad": appeal.authority,
        "limiteImpugnacion": appeal.last_day.isoformat(),
    }
    if causes:
        refusal["causa"] = causes[0]
    return replace(after, refusal=refusal, committee=body["resolucionComite"])


def _information_refused(
    services: InstituteServices, body: Mapping[str, Any], after: ArcoRequest, day: date
) -> ArcoRequest:
    """A refusal under the transparency law: its article and its reasons are the unit's to say."""
    denial = body.get("negativa", {})
    if not str(denial.get("fundamento", "")).startswith("mx:LGTAIP-") or not denial.get("motivacion"):
        raise DomainError(
            "SS-400",
            "la negativa de información lleva artículo de la LGTAIP y motivación",
            "a refusal of information carries an article of LGTAIP and reasons",
            field="negativa",
        )
    appeal = services.appeal(day)
    refusal = {
        "codigo": "SS-502" if after.state == "INEXISTENCIA" else "SS-500",
        "fundamento": denial["fundamento"],
        "motivacion": denial["motivacion"],
        "resolucionComite": body["resolucionComite"],
        "medioImpugnacion": "Recurso de revisión ante la autoridad garante, artículo 144 de la LGTAIP",
        "autoridad": appeal.authority,
        "limiteImpugnacion": appeal.last_day.isoformat(),
    }
    return replace(after, refusal=refusal, committee=body["resolucionComite"])
