"""Vital events as an institute applies them: once each, and taken back by an annulment of that very event and person.

Only the registry tells them; it has checked evidence and sender. An event, the state it leads to and the payments it
stops are written in one transaction, so that a second delivery after a crash finds either all of it or nothing.

Spec: the domain reference 5.7 (notificarEvento); S12, S13.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from social_security.domain.calendars import latest_day
from social_security.domain.faults import DomainError, concerning
from social_security.institute.stores.vital import Applied
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from social_security.domain.pseudonyms import Pid
    from social_security.institute.services import InstituteServices

REGISTRY = "MX/GOB/00-RNSS"


def apply_event(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``notificarEvento``: apply it once; a second delivery changes nothing and says so.

    Raises SS-210 unless the registry tells, SS-402 for a known id with other content, SS-300 for a death of whom there is
    no file, SS-400 for an annulment that is not of an event of this person.
    """
    if request.context.member != REGISTRY:
        raise DomainError(
            "SS-210", "sólo el registro nacional avisa", "the national registry only gives notice"
        )
    body = dict(request.body)
    pid = services.subject(request).pid
    with concerning(pid):
        answer = _apply(services, request, body, pid)
    return DomainAnswer(answer, categories=("evento-vital",), subject=pid)


def _apply(
    services: InstituteServices, request: DomainRequest, body: dict[str, Any], pid: Pid
) -> dict[str, object]:
    known = services.vital.event(body["idEvento"])
    if known is not None:
        if not known.is_report_of(pid, body):
            raise DomainError(
                "SS-402", "idEvento ya es de otro evento", "idEvento is another event's", field="idEvento"
            )
        return {"aplicado": True}
    affiliation = services.persons.affiliation(pid)
    state = "" if affiliation is None else affiliation.state
    event = Applied(body["idEvento"], pid, body["tipo"], body["fechaEvento"], body.get("anula"), state)
    if event.type == "FALLECIMIENTO":
        return _bury(services, request, event)
    if event.type == "ANULACION":
        return _annul(services, request, event)
    if event.type in ("FUSION", "SEPARACION"):
        # Each file stays under its own PID; what is read of a person is read of all of hers.
        services.vital.note_joined(event, body.get("otroPid"), request.now.isoformat())
    else:
        services.vital.note(event, request.now.isoformat())
    return {"aplicado": True}


def _bury(services: InstituteServices, request: DomainRequest, event: Applied) -> dict[str, object]:
    if event.state_before == "":
        raise DomainError("SS-300")
    if event.day > latest_day(request.now).isoformat():
        raise DomainError("SS-103", "el evento es futuro", "the event is in the future", field="fechaEvento")
    for other in services.vital.in_force(event.pid):
        if other.day != event.day:
            why = f"consta otro fallecimiento, del {other.day}; lo resuelve el registro nacional"
            return {"aplicado": False, "motivo": why}
        event = replace(event, state_before=other.state_before)
    case = None
    if event.state_before == "PENSIONADA":
        number = 90_000_000 + int(request.now.timestamp()) % 10_000_000
        case = (
            services.vital.survivors_case(event.pid)
            or f"PORT-{services.code[:2]}-{request.today.year}-{number:08d}"
        )
    services.vital.bury(event, request.now.isoformat(), case)
    return {"aplicado": True}


def _annul(services: InstituteServices, request: DomainRequest, event: Applied) -> dict[str, object]:
    annullable = services.vital.in_force(event.pid)
    undone = next((e for e in annullable if e.event_id == event.annuls), None)
    if undone is None:
        raise DomainError(
            "SS-400",
            "no hay tal evento de esta persona por anular",
            "this person has no such event to be annulled",
            field="anula",
        )
    at = request.now.isoformat()
    if len(annullable) > 1:
        services.vital.note(event, at)
        return {"aplicado": True, "motivo": "consta otro aviso del mismo fallecimiento"}
    owed = services.vital.restore(event, at, undone.state_before)
    return {"aplicado": True} if owed is None else {"aplicado": True, "adeudos": owed}
