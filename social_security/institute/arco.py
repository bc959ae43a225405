"""ARCO requests: states with their terms, refusals with cause and remedy, silence that becomes a state by itself.

Every date follows from this server's own clock, on the local day, and from the calendar version that the answer names; what
a sender says of the time is only held against it. Who may cause what: the transparency unit answers, the person corrects and
appeals, a guarantor resolves, the clock records silence. What is granted, by the unit or by a guarantor, in time or late, is
carried out (`social_security.institute.arcogranted`).

Spec: the domain reference 3.4, 5.2 (SolicitudArco, Negativa), 5.5 (ARCO); S05 to S08.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from social_security.domain import eventchain
from social_security.domain import states as machines
from social_security.domain.faults import DomainError, concerning
from social_security.institute.appealreports import REPORTS, take_report
from social_security.institute.arcochecks import (
    authorities,
    check_alive,
    check_identity,
    check_law,
    check_moment,
    check_object,
    not_competent,
)
from social_security.institute.arcogranted import ORDERED, build_package, carry_out, withdraw
from social_security.institute.arcorefusals import refuse
from social_security.institute.stores.arco import ArcoRequest
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from social_security.domain.pseudonyms import Pid
    from social_security.institute.services import InstituteServices

# Terms in working days: LGPDPPSO 45, 46, 86, 98 to 100.
PREVENTION, CORRECTION, ANSWER, EXTENSION, EXECUTION, APPEAL = 5, 10, 20, 10, 15, 15
# From reception on: the person is told who is competent (47), or which procedure exists (48).
FROM_RECEPTION = {"INCOMPETENCIA": 3, "TRAMITE_ESPECIFICO": 5}
RESOLUTION, RESOLUTION_EXTENSION = 40, 20
BY_SILENCE = "CONFIRMAR_POR_SILENCIO"
_WAITING = ("RECIBIDA", "EN_TRAMITE", "AMPLIADA")
_PERSON = frozenset(("TITULAR", "REPRESENTANTE"))
_BY_PERSON = frozenset(("RECURRIDA",))
_BY_GUARANTOR = frozenset(("CONCILIACION", "RESUELTA_RR"))
# Of a request, what she herself said, for her and for who decides about it.
_FILED = (
    "descripcion",
    "datos",
    "propositos",
    "periodo",
    "nombre",
    "correo",
    "retirar",
    "aclaracion",
    "agravios",
    "informes",
)
_DECISIONS = frozenset(("DESECHAR", "CONFIRMAR", *ORDERED))


def file_request(services: InstituteServices, domain_request: DomainRequest) -> DomainAnswer:
    """``presentarArco``: the request is received, and its terms begin on the local day. Raises `DomainError` (SS-402)."""
    body = domain_request.body
    folio = domain_request.context.case
    sent = {k: v for k, v in body.items() if k not in ("pid", "testigo")}
    known = services.arco.request(folio)
    if known is not None:
        # The same request again is answered again; another one never shows what that one says.
        original = {k: v for k, v in known.request.items() if k not in machines.ARCO_ADDED}
        if not _is_asker(services, domain_request, known) or original != sent:
            raise DomainError("SS-402", "el folio ya es de otra solicitud", "the folio is another request's")
        return DomainAnswer(show(services, known), 201, ("arco",))
    if services.member not in body["responsables"]:
        raise not_competent(services, domain_request)
    check_law(domain_request, "mx:LGPDPPSO-45")
    check_moment(domain_request, "recibidaEl")
    pid = services.subject(domain_request).pid
    with concerning(pid):
        _check_filed(services, domain_request, pid)
    request = ArcoRequest(
        folio,
        pid,
        domain_request.context.member,
        "RECIBIDA",
        sent,
        first_terms(services, domain_request.now),
    )
    services.arco.save(request, domain_request.now, domain_request.context.member)
    if body.get("retirar", False):
        # Withdrawing her own opposition is hers alone: nobody has to grant it.
        with concerning(pid):
            request = withdraw(services, domain_request, request)
        services.arco.save(request, domain_request.now, services.member)
    return DomainAnswer(show(services, request), 201, ("arco",), pid)


def _check_filed(services: InstituteServices, domain_request: DomainRequest, pid: Pid) -> None:
    """Refuse a request that its person may not file, or whose object is not clear."""
    body = domain_request.body
    check_identity(services, domain_request)
    check_alive(services, domain_request, pid)
    check_object(body)
    if body["derecho"] != "ACCESO" and not body.get("descripcion"):
        raise DomainError(
            "SS-100",
            "descripcion es obligatoria salvo en ACCESO",
            "descripcion is required except for ACCESO",
            field="descripcion",
        )


def first_terms(services: InstituteServices, received: datetime) -> dict[str, str]:
    """The terms that begin with the local day of reception."""
    start = services.calendar.local_day(received)
    answer = services.calendar.add(start, ANSWER)
    return {
        "dia0": start.isoformat(),
        "limitePrevencion": services.calendar.add(start, PREVENTION).isoformat(),
        "limiteRespuesta": answer.isoformat(),
        "limiteRecurso": services.calendar.add(answer, APPEAL).isoformat(),
    }


async def see_request(services: InstituteServices, domain_request: DomainRequest) -> DomainAnswer:
    """``verArco``: state and dates, and what has been granted once it takes effect."""
    request = _known(services, domain_request)
    body = show(services, request)
    body["solicitud"] = {name: request.request[name] for name in _FILED if name in request.request}
    is_hers = (
        _is_asker(services, domain_request, request) and domain_request.context.role != "COMITE_TRANSPARENCIA"
    )
    is_access = request.request["derecho"] in ("ACCESO", "PORTABILIDAD_DATOS")
    # The package is the person's: a guarantor and a committee see how the request stands, not what was delivered.
    if is_access and is_hers and "ejecutada" in request.dates:
        with _about(request):
            body["paquete"] = await build_package(services, request, domain_request.today)
        return DomainAnswer(body, categories=("arco", "historia", "bitacora"), subject=_whose(request))
    return DomainAnswer(body, categories=("arco",), subject=_whose(request))


def advance_request(services: InstituteServices, domain_request: DomainRequest) -> DomainAnswer:
    """``avanzarArco``: one event, by whoever may cause it, within its term."""
    request = _known(services, domain_request)
    with _about(request):
        after = _advanced(services, domain_request, request)
    return DomainAnswer(show(services, after), categories=("arco",), subject=_whose(request))


def _whose(request: ArcoRequest) -> Pid | None:
    """Whom a request is about; None for one whose person has been suppressed."""
    return request.pid or None


def _about(request: ArcoRequest) -> AbstractContextManager[None]:
    """Whatever is refused within stands in the access log of the request's person, while there is one."""
    return concerning(request.pid) if request.pid else contextlib.nullcontext()


def _advanced(
    services: InstituteServices, domain_request: DomainRequest, request: ArcoRequest
) -> ArcoRequest:
    """The request after the event, which is on disk then."""
    body, to = domain_request.body, domain_request.body["estado"]
    check_moment(domain_request, "ocurridoEl")
    day = services.calendar.local_day(domain_request.now)
    if body.get("sentido") in REPORTS:
        after = take_report(services, domain_request, request, day)
        services.arco.save(after, domain_request.now, domain_request.context.member)
        return after
    _check_corrected(services, domain_request, request, to)
    is_longer = body.get("sentido") == "PRORROGA"
    if is_longer and not to == request.state == "RECURRIDA":
        raise machines.not_allowed(request.state, "PRORROGA")
    _check_may(services, domain_request, request, to)
    _check_term(services, request, to, day)
    # The guarantor's silence confirmed the answer; its decision, when it comes after all, is what holds.
    is_late = to == request.state == "RESUELTA_RR" and request.outcome == BY_SILENCE
    if is_late:
        request = replace(request, dates={**request.dates, "resueltaTarde": day.isoformat()})
    elif not is_longer:
        machines.check_follows(machines.ARCO, request.state, to)
    elif "prorroga" in request.dates:
        raise DomainError("SS-400", "ya se amplió una vez", "it has been extended once", field="sentido")
    after = replace(request, state=to, dates=_dates(services, request, to, day, domain_request))
    if request.state == "PREVENIDA" and body.get("descripcion"):
        after = replace(after, request={**after.request, "aclaracion": body["descripcion"]})
    if to in ("IMPROCEDENTE", "INEXISTENCIA"):
        after = refuse(services, domain_request, after, day)
    if to == "RECURRIDA" and request.state != "RECURRIDA":
        _check_appeal(request, body)
        if body.get("descripcion"):
            after = replace(after, request={**after.request, "agravios": body["descripcion"]})
    if to == "RESUELTA_RR" and body.get("sentido") not in _DECISIONS:
        raise DomainError(
            "SS-100",
            f"sentido es uno de {', '.join(sorted(_DECISIONS))}",
            f"sentido is one of {', '.join(sorted(_DECISIONS))}",
            field="sentido",
        )
    if to in ("RESUELTA_RR", "CONCILIACION"):
        after = replace(after, outcome=body.get("sentido"))
    if "entrega" in body:
        after = replace(after, request={**after.request, "entrega": body["entrega"]})
    after, notices = carry_out(services, domain_request, request, after)
    services.arco.save(after, domain_request.now, domain_request.context.member, notices)
    return after


def tick(services: InstituteServices, now: datetime, today: date) -> None:
    """Move on requests whose terms ran out by ``today``: silence of the institute, of the person, of the guarantor."""
    for request in services.arco.all():
        after = _lapsed(request, today)
        if after is not None:
            services.arco.save(after, now, "reloj")


def _lapsed(request: ArcoRequest, today: date) -> ArcoRequest | None:
    """The request after a term has run out in silence; None while none has."""
    answer, correction = request.day("limiteRespuesta"), request.day("limiteDesahogo")
    resolution = request.day("limiteResolucion")
    if request.state in _WAITING and answer is not None and today > answer:
        return replace(request, state="FALTA_RESPUESTA")
    if request.state == "PREVENIDA" and correction is not None and today > correction:
        return replace(request, state="NO_PRESENTADA")
    if request.state in ("RECURRIDA", "CONCILIACION") and resolution is not None and today > resolution:
        # The guarantor's silence confirms the answer (LGPDPPSO 103).
        return replace(request, state="RESUELTA_RR", outcome=BY_SILENCE)
    return None


def _is_asker(services: InstituteServices, domain_request: DomainRequest, request: ArcoRequest) -> bool:
    """Whether a message comes from the institute through which the person asked, or from who holds its persons since it left."""
    return domain_request.context.member in (request.member, services.edition.heir(request.member))


def _known(services: InstituteServices, domain_request: DomainRequest) -> ArcoRequest:
    request = services.arco.request(domain_request.path["folio"])
    if request is None or not (
        _is_asker(services, domain_request, request)
        or domain_request.context.member in (services.member, *authorities(services, request))
    ):
        raise DomainError("SS-300", field="folio")
    # The clock first: whoever comes before the day's routine finds the same state as whoever comes after it.
    lapsed = _lapsed(request, domain_request.today)
    if lapsed is not None:
        services.arco.save(lapsed, domain_request.now, "reloj")
        return lapsed
    return request


def _check_corrected(
    services: InstituteServices, domain_request: DomainRequest, request: ArcoRequest, to: str
) -> None:
    """While the person is asked for a correction, the request cannot be answered (SS-503)."""
    if request.state == "PREVENIDA" and to in ("AMPLIADA", "PROCEDENTE", "IMPROCEDENTE", "INEXISTENCIA"):
        last = request.dates.get("limiteDesahogo", "")
        raise services.refusal(
            "SS-503",
            domain_request,
            "mx:LGPDPPSO-46",
            f"La persona puede desahogar la prevención hasta el {last}",
            f"The person may correct her request until {last}",
        )


def _check_may(
    services: InstituteServices, domain_request: DomainRequest, request: ArcoRequest, to: str
) -> None:
    role, member = domain_request.context.role, domain_request.context.member
    by_person = to in _BY_PERSON or (request.state == "PREVENIDA" and to == "EN_TRAMITE")
    if domain_request.body.get("sentido") == "PRORROGA":
        by_person = False
    if by_person:
        allowed = role in _PERSON and _is_asker(services, domain_request, request)
    elif to in _BY_GUARANTOR or domain_request.body.get("sentido") == "PRORROGA":
        allowed = role == "GARANTE" and member in authorities(services, request)
    else:
        allowed = role in ("UNIDAD_TRANSPARENCIA", "COMITE_TRANSPARENCIA") and member == services.member
    if not allowed:
        raise DomainError(
            "SS-210", f"{role} de {member} no puede pasar a {to}", f"{role} of {member} may not cause {to}"
        )


def _check_term(services: InstituteServices, request: ArcoRequest, to: str, day: date) -> None:
    """Refuse what may be done within a term only, after it (SS-404). A late answer, and what is granted, is owed still."""
    term = {
        "PREVENIDA": "limitePrevencion",
        "AMPLIADA": "limiteRespuesta",
        "RECURRIDA": "limiteRecurso" if request.state != "RECURRIDA" else "limiteResolucion",
    }.get(to)
    if request.state == "PREVENIDA":
        term = "limiteDesahogo"
    last = None if term is None else request.day(term)
    start = request.day("dia0")
    if to in FROM_RECEPTION and start is not None:
        last = services.calendar.add(start, FROM_RECEPTION[to])
    if last is not None and day > last:
        raise DomainError("SS-404", f"venció el {last}", f"it ended on {last}", field="estado")


def _dates(
    services: InstituteServices, request: ArcoRequest, to: str, day: date, domain_request: DomainRequest
) -> dict[str, str]:
    dates = dict(request.dates)
    calendar = services.calendar
    if to == "PREVENIDA":
        dates["limiteDesahogo"] = calendar.add(day, CORRECTION).isoformat()
    elif to == "EN_TRAMITE" and request.state == "PREVENIDA":
        # The prevention interrupts: the twenty days begin anew.
        dates["limiteRespuesta"] = calendar.add(day, ANSWER).isoformat()
    elif to == "AMPLIADA":
        start = request.day("limiteRespuesta") or day
        dates["limiteRespuesta"] = calendar.add(start, EXTENSION).isoformat()
    elif to in ("PROCEDENTE", "IMPROCEDENTE", "INEXISTENCIA"):
        dates["limiteRecurso"] = calendar.add(day, APPEAL).isoformat()
        if to == "PROCEDENTE":
            dates["limiteEjecucion"] = calendar.add(day, EXECUTION).isoformat()
            dates["concedida"] = day.isoformat()
        if request.state == "FALTA_RESPUESTA":
            dates["tardia"] = day.isoformat()
    elif to == "RECURRIDA":
        if domain_request.body.get("sentido") == "PRORROGA":
            start = request.day("limiteResolucion") or day
            dates["limiteResolucion"] = calendar.add(start, RESOLUTION_EXTENSION).isoformat()
            dates["prorroga"] = day.isoformat()
        else:
            dates["limiteResolucion"] = calendar.add(day, RESOLUTION).isoformat()
    elif to == "RESUELTA_RR" and domain_request.body.get("sentido") in ORDERED:
        dates["limiteEjecucion"] = calendar.add(day, EXECUTION).isoformat()
        # Whatever was carried out before is not what the guarantor orders.
        dates.pop("ejecutada", None)
    elif to == "EFECTIVA":
        # What was done can be appealed from the day it was done.
        dates["limiteRecurso"] = calendar.add(day, APPEAL).isoformat()
    if to in ("EN_TRAMITE", "AMPLIADA"):
        answer = date.fromisoformat(dates["limiteRespuesta"])
        dates["limiteRecurso"] = calendar.add(answer, APPEAL).isoformat()
    return dates


def _check_appeal(request: ArcoRequest, body: Any) -> None:
    """An appeal against a refusal carries its digest, so that nobody argues about another text."""
    if request.refusal is None:
        return
    if body.get("huellaNegativa") != refusal_digest(request.refusal):
        raise DomainError(
            "SS-401",
            "la huella no es la de la negativa",
            "the digest is not the refusal's",
            field="huellaNegativa",
        )


def refusal_digest(refusal: dict[str, Any]) -> str:
    """The digest by which an appeal names a refusal."""
    return eventchain.history_digest(refusal)


def show(services: InstituteServices, request: ArcoRequest) -> dict[str, Any]:
    """``EstadoArco`` of the service description."""
    body: dict[str, Any] = {
        "folio": request.folio,
        "estado": request.state,
        "derecho": request.request["derecho"],
        "recibidaEl": request.request["recibidaEl"],
        "calendario": services.calendar.name,
        **{n: d for n, d in request.dates.items() if n.startswith("limite")},
    }
    if request.refusal is not None:
        body["negativa"] = request.refusal
    if request.committee is not None:
        body["resolucionComite"] = request.committee
    if "entrega" in request.request and request.state in ("EFECTIVA", "CUMPLIDA"):
        body["entrega"] = request.request["entrega"]
    if request.outcome is not None:
        body["sentido"] = request.outcome
    if "tardia" in request.dates:
        body["tardia"] = True
    if "ejecutado" in request.request:
        body["ejecutado"] = request.request["ejecutado"]
    return body
