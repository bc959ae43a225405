"""What a granted right brings about: a package, an opposition, blocked data, or a corrected period and its notices.

Spec: the domain reference F13 to F16; S05, S06, S08.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from social_security.domain import eventchain
from social_security.domain.faults import DomainError
from social_security.institute.history import build_history
from social_security.institute.refusedattempts import take_refusals
from social_security.wire.outbox import OutboxItem

if TYPE_CHECKING:
    from social_security.institute.arcostore import ArcoRequest
    from social_security.institute.services import InstituteServices
    from social_security.wire.service import DomainRequest

BLOCKED_DAYS = 15


def execute(services: InstituteServices, asked: DomainRequest, request: ArcoRequest) -> list[OutboxItem]:
    """What a granted right changes; the notices to those who hold what was wrong."""
    last = request.day("limiteEjecucion")
    if last is not None and asked.today > last:
        raise DomainError("SS-404", f"la ejecución venció el {last}", f"execution was due on {last}")
    right, data = request.request["derecho"], request.request.get("datos", [])
    if right == "OPOSICION":
        for what in (*data, *request.request.get("propositos", ())):
            services.rights.oppose(request.pid, what, request.folio, asked.today)
    elif right == "CANCELACION" and "correo" in data:
        services.rights.block_contact(
            request.pid, asked.today, services.calendar.add(asked.today, BLOCKED_DAYS)
        )
    elif right == "RECTIFICACION" and "periodo" in request.request:
        return _rectify(services, asked, request)
    return []


def _rectify(services: InstituteServices, asked: DomainRequest, request: ArcoRequest) -> list[OutboxItem]:
    wanted = request.request["periodo"]
    wrong = next(
        (p for p in services.periods.served(request.pid) if p.period_id == wanted["idPeriodo"]), None
    )
    if wrong is None:
        raise services.refusal(
            "SS-502",
            asked,
            "mx:LGPDPPSO-77",
            "El periodo señalado no existe aquí",
            "There is no such period here",
        )
    services.periods.correct(wrong, date.fromisoformat(wanted["hasta"]), wanted["evidenciaSha256"], asked.now)
    affiliation = services.persons.affiliation(request.pid)
    if affiliation is not None and affiliation.until == wrong.until:
        services.persons.save_affiliation(replace(affiliation, until=date.fromisoformat(wanted["hasta"])))
    return _replacements(services, request)


def _replacements(services: InstituteServices, request: ArcoRequest) -> list[OutboxItem]:
    """An ``ACLARAR`` for every participant of every open case that got the wrong version."""
    notices: list[OutboxItem] = []
    for case in services.cases.cases_of(request.pid):
        chain = services.cases.events(case.case)
        if not case.is_open or not any("historia" in e.event for e in chain if e.sender == services.member):
            continue
        shown = next(
            h["pid"]
            for e in reversed(chain)
            for h in e.event.get("historia", ())
            if h["instituto"] == services.member
        )
        history = build_history(services, request.pid, shown)
        event = {
            "caso": case.case,
            "secuencia": case.sequence + 1,
            "evento": "ACLARAR",
            "estadoPrevio": case.state,
            "estadoNuevo": "HISTORIA_RECIBIDA",
            "responsable": case.responsible,
            "contraparte": list(case.counterparties),
            "historia": [history],
            "historiaSha256": [eventchain.history_digest(history)],
            "hashAnterior": case.last_hash,
        }
        # The responsible gets the history, the others and this institute's own copy its digest.
        for member in dict.fromkeys((*case.participants, services.member)):
            body = (
                event
                if member in (case.responsible, services.member)
                else {k: v for k, v in event.items() if k != "historia"}
            )
            notices.append(
                OutboxItem(f"{request.folio}:{case.case}", member, "agregarEvento", body, case.case)
            )
    return notices


async def build_package(services: InstituteServices, request: ArcoRequest, today: date) -> dict[str, Any]:
    """What an access request brings: data, sources, recipients, purposes and the access log, refused attempts too."""
    await take_refusals(services)
    total_rows, rows = services.persons.accesses(request.pid, today=today)
    affiliation = services.persons.affiliation(request.pid)
    package: dict[str, Any] = {
        "fuente": services.member,
        "afiliacion": None
        if affiliation is None
        else {
            "estado": affiliation.state,
            "regimen": affiliation.regime,
            "desde": affiliation.since.isoformat(),
        },
        "receptores": sorted({a.receiver for a in rows}),
        "propositos": sorted({a.purpose for a in rows}),
        "accesos": total_rows,
        "bitacora": [
            {
                "momento": a.at.isoformat(),
                "receptor": a.receiver,
                "proposito": a.purpose,
                "resultado": a.outcome,
            }
            for a in rows
        ],
    }
    try:
        package["historia"] = build_history(services, request.pid, request.pid)
    except DomainError as error:
        package["historia"] = {"codigo": error.code}
    return package
