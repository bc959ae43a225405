"""What a granted right brings about: a package, an opposition, blocked data, or a corrected period and its notices.

Spec: the domain reference F13 to F16; S05, S06, S08.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from social_security import eventchain
from social_security.faults import DomainError
from social_security.institute.history import build_history
from social_security.institute.refusedattempts import take_refusals
from social_security.outbox import Notice

if TYPE_CHECKING:
    from social_security.institute.arcostore import ArcoRequest
    from social_security.institute.desk import InstituteDesk
    from social_security.service import Asked

BLOCKED_DAYS = 15


def execute(desk: InstituteDesk, asked: Asked, request: ArcoRequest) -> list[Notice]:
    """What a granted right changes; the notices to those who hold what was wrong."""
    last = request.day("limiteEjecucion")
    if last is not None and asked.today > last:
        raise DomainError("SS-404", f"la ejecución venció el {last}", f"execution was due on {last}")
    right, data = request.request["derecho"], request.request.get("datos", [])
    if right == "OPOSICION":
        for what in (*data, *request.request.get("propositos", ())):
            desk.rights.oppose(request.pid, what, request.folio, asked.today)
    elif right == "CANCELACION" and "correo" in data:
        desk.rights.block_contact(request.pid, asked.today, desk.calendar.add(asked.today, BLOCKED_DAYS))
    elif right == "RECTIFICACION" and "periodo" in request.request:
        return _rectify(desk, asked, request)
    return []


def _rectify(desk: InstituteDesk, asked: Asked, request: ArcoRequest) -> list[Notice]:
    wanted = request.request["periodo"]
    wrong = next((p for p in desk.periods.served(request.pid) if p.period_id == wanted["idPeriodo"]), None)
    if wrong is None:
        raise desk.refusal(
            "SS-502",
            asked,
            "mx:LGPDPPSO-77",
            "El periodo señalado no existe aquí",
            "There is no such period here",
        )
    desk.periods.correct(wrong, date.fromisoformat(wanted["hasta"]), wanted["evidenciaSha256"], asked.now)
    affiliation = desk.persons.affiliation(request.pid)
    if affiliation is not None and affiliation.until == wrong.until:
        desk.persons.save_affiliation(replace(affiliation, until=date.fromisoformat(wanted["hasta"])))
    return _replacements(desk, request)


def _replacements(desk: InstituteDesk, request: ArcoRequest) -> list[Notice]:
    """An ``ACLARAR`` for every participant of every open case that got the wrong version."""
    notices: list[Notice] = []
    for case in desk.cases.cases_of(request.pid):
        chain = desk.cases.events(case.case)
        if not case.is_open or not any("historia" in e.event for e in chain if e.sender == desk.member):
            continue
        shown = next(
            h["pid"]
            for e in reversed(chain)
            for h in e.event.get("historia", ())
            if h["instituto"] == desk.member
        )
        history = build_history(desk, request.pid, shown)
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
        for member in dict.fromkeys((*case.participants, desk.member)):
            body = (
                event
                if member in (case.responsible, desk.member)
                else {k: v for k, v in event.items() if k != "historia"}
            )
            notices.append(Notice(f"{request.folio}:{case.case}", member, "agregarEvento", body, case.case))
    return notices


async def build_package(desk: InstituteDesk, request: ArcoRequest, today: date) -> dict[str, Any]:
    """What an access request brings: data, sources, recipients, purposes and the access log, refused attempts too."""
    await take_refusals(desk)
    total_rows, rows = desk.persons.accesses(request.pid, today=today)
    affiliation = desk.persons.affiliation(request.pid)
    package: dict[str, Any] = {
        "fuente": desk.member,
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
        package["historia"] = build_history(desk, request.pid, request.pid)
    except DomainError as error:
        package["historia"] = {"codigo": error.code}
    return package
