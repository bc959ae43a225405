"""ARCO requests: states with their terms, refusals with cause and remedy, silence that becomes a state by itself.

Every date follows from the local day of reception, the events, and the calendar version that the answer names. Who may
cause what: the transparency unit answers, the person corrects and appeals, a guarantor resolves, the clock records silence.

Spec: the domain reference 3.4, 5.2 (SolicitudArco, Negativa), 5.5 (ARCO); S05 to S08.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from social_security import eventchain, machines
from social_security.faults import DomainError
from social_security.institute.history import build_history
from social_security.outbox import Notice, Outbox
from social_security.pseudonyms import Pid
from social_security.service import Answer, Asked

if TYPE_CHECKING:
    from serving.database import AnyDatabase
    from social_security.institute.desk import InstituteDesk

ARCO_STEP = """
    CREATE TABLE arco (
        folio TEXT PRIMARY KEY,
        pid TEXT NOT NULL,
        member TEXT NOT NULL,
        state TEXT NOT NULL,
        request TEXT NOT NULL,
        dates TEXT NOT NULL,
        refusal TEXT,
        committee TEXT,
        outcome TEXT
    );
    CREATE TABLE arco_event (
        folio TEXT NOT NULL,
        number INTEGER NOT NULL,
        state TEXT NOT NULL,
        at TEXT NOT NULL,
        sender TEXT NOT NULL,
        PRIMARY KEY (folio, number)
    );
"""
# Terms in working days: LGPDPPSO 45, 46, 86, 98 to 100.
PREVENTION, CORRECTION, ANSWER, EXTENSION, EXECUTION, APPEAL = 5, 10, 20, 10, 15, 15
RESOLUTION, RESOLUTION_EXTENSION = 40, 20
_WAITING = ("RECIBIDA", "EN_TRAMITE", "AMPLIADA")
_PERSON = frozenset(("TITULAR", "REPRESENTANTE"))
_BY_PERSON = frozenset(("RECURRIDA",))
_BY_GUARANTOR = frozenset(("CONCILIACION", "RESUELTA_RR"))


@dataclass(frozen=True, slots=True)
class ArcoRequest:
    """One request at one member. ``dates`` are its terms by name of the service description."""

    folio: str
    pid: Pid
    member: str
    state: str
    request: dict[str, Any]
    dates: dict[str, str] = field(default_factory=dict)
    refusal: dict[str, Any] | None = None
    committee: str | None = None
    outcome: str | None = None

    def day(self, name: str) -> date | None:
        """A term's last day."""
        return date.fromisoformat(self.dates[name]) if name in self.dates else None


class ArcoStore:
    """The requests in the institute's database."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def request(self, folio: str) -> ArcoRequest | None:
        """A request, or None."""
        rows = self._database.query(
            "SELECT folio, pid, member, state, request, dates, refusal, committee, outcome FROM arco WHERE folio = ?",
            (folio,),
        )
        return _request(rows[0]) if rows else None

    def all(self) -> list[ArcoRequest]:
        """Every request."""
        rows = self._database.query(
            "SELECT folio, pid, member, state, request, dates, refusal, committee, outcome FROM arco ORDER BY folio"
        )
        return [_request(r) for r in rows]

    def save(self, r: ArcoRequest, at: datetime, sender: str, notices: list[Notice] | None = None) -> None:
        """Write the request's new state and the event that led to it, with what must be told to others."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO arco (folio, pid, member, state, request, dates, refusal, committee, outcome) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (folio) DO UPDATE SET state = excluded.state, "
                "dates = excluded.dates, refusal = excluded.refusal, committee = excluded.committee, "
                "outcome = excluded.outcome",
                (
                    r.folio,
                    r.pid,
                    r.member,
                    r.state,
                    json.dumps(r.request, ensure_ascii=False),
                    json.dumps(r.dates),
                    None if r.refusal is None else json.dumps(r.refusal, ensure_ascii=False),
                    r.committee,
                    r.outcome,
                ),
            )
            ((number,),) = connection.execute(
                "SELECT count(*) FROM arco_event WHERE folio = ?", (r.folio,)
            ).fetchall()
            connection.execute(
                "INSERT INTO arco_event (folio, number, state, at, sender) VALUES (?, ?, ?, ?, ?)",
                (r.folio, number + 1, r.state, at.isoformat(), sender),
            )
            Outbox.put(connection, notices or [])

    def refusals_by_cause(self) -> dict[str, int]:
        """How many refusals there are by cause; never of whom."""
        counts: dict[str, int] = {}
        for request in self.all():
            if request.refusal is not None:
                cause = str(request.refusal.get("causa", request.refusal["codigo"]))
                counts[cause] = counts.get(cause, 0) + 1
        return counts


def file_request(desk: InstituteDesk, asked: Asked) -> Answer:
    """``presentarArco``: the request is received, and its terms begin on the local day."""
    body = asked.body
    folio = asked.context.case
    known = desk.arco.request(folio)
    if known is not None:
        return Answer(_show(desk, known), 201, ("arco",))
    if desk.member not in body["responsables"]:
        raise DomainError(
            "SS-501", "este instituto no está entre los responsables", "this institute is not asked"
        )
    subject = desk.subject(asked)
    _check_identity(desk, asked)
    if body["derecho"] != "ACCESO" and not body.get("descripcion"):
        raise DomainError(
            "SS-100",
            "descripcion es obligatoria salvo en ACCESO",
            "descripcion is required except for ACCESO",
            field="descripcion",
        )
    received = datetime.fromisoformat(body["recibidaEl"])
    start = desk.calendar.local_day(received)
    answer = desk.calendar.add(start, ANSWER)
    request = ArcoRequest(
        folio,
        subject.pid,
        asked.context.member,
        "RECIBIDA",
        {k: v for k, v in body.items() if k not in ("pid", "testigo")},
        {
            "dia0": start.isoformat(),
            "limitePrevencion": desk.calendar.add(start, PREVENTION).isoformat(),
            "limiteRespuesta": answer.isoformat(),
            "limiteRecurso": desk.calendar.add(answer, APPEAL).isoformat(),
        },
    )
    desk.arco.save(request, asked.now, asked.context.member)
    return Answer(_show(desk, request), 201, ("arco",))


def _check_identity(desk: InstituteDesk, asked: Asked) -> None:
    body = asked.body
    if body["nivelIdentidad"] not in ("LOA2", "LOA3"):
        raise desk.refusal(
            "SS-206",
            asked,
            "mx:LGPDPPSO-43",
            "Para ejercer derechos se requiere LOA2: acuda con documento, use Llave MX o e.firma",
            "LOA2 is needed to exercise rights: come with a document, use Llave MX or e.firma",
        )
    if body["representante"] and "acreditacionSha256" not in body:
        raise desk.refusal(
            "SS-500",
            asked,
            "mx:LGPDPPSO-49-I",
            "Quien pide no es la persona titular ni acreditó su representación",
            "Who asks is not the person, and no representation has been proved",
            cause="I",
        )
    if asked.context.role == "REPRESENTANTE" and not body["representante"]:
        raise desk.refusal(
            "SS-500",
            asked,
            "mx:LGPDPPSO-49-I",
            "El rol es de representante y la solicitud dice que no lo es",
            "The role is that of a representative, the request says there is none",
            cause="I",
        )


def see_request(desk: InstituteDesk, asked: Asked) -> Answer:
    """``verArco``: state and dates, and what has been granted once it takes effect."""
    request = _known(desk, asked)
    body = _show(desk, request)
    if request.state == "EFECTIVA" and request.request["derecho"] in ("ACCESO", "PORTABILIDAD_DATOS"):
        body["paquete"] = _package(desk, request, asked.today)
        return Answer(body, categories=("arco", "historia", "bitacora"))
    return Answer(body, categories=("arco",))


def advance_request(desk: InstituteDesk, asked: Asked) -> Answer:
    """``avanzarArco``: one event, by whoever may cause it, within its term."""
    request = _known(desk, asked)
    body, to = asked.body, asked.body["estado"]
    day = desk.calendar.local_day(datetime.fromisoformat(body["ocurridoEl"]))
    if not (request.state == "RECURRIDA" and body.get("sentido") == "PRORROGA"):
        machines.check_follows(machines.ARCO, request.state, to)
    _check_may(desk, asked, request, to)
    _check_term(request, to, day)
    after = replace(request, state=to, dates=_dates(desk, request, to, day, asked))
    if to in ("IMPROCEDENTE", "INEXISTENCIA"):
        after = _refused(desk, asked, after, day)
    if to == "RECURRIDA" and request.state != "RECURRIDA":
        _check_appeal(request, body)
    if to in ("RESUELTA_RR", "CONCILIACION"):
        after = replace(after, outcome=body.get("sentido"))
    notices = _execute(desk, asked, after) if to == "EFECTIVA" else []
    desk.arco.save(after, asked.now, asked.context.member, notices)
    return Answer(_show(desk, after), categories=("arco",))


def tick(desk: InstituteDesk, now: datetime, today: date) -> None:
    """What time alone does: silence of the institute, of the person, of the guarantor."""
    for request in desk.arco.all():
        answer, correction = request.day("limiteRespuesta"), request.day("limiteDesahogo")
        resolution = request.day("limiteResolucion")
        after: ArcoRequest | None = None
        if request.state in _WAITING and answer is not None and today > answer:
            after = replace(request, state="FALTA_RESPUESTA")
        elif request.state == "PREVENIDA" and correction is not None and today > correction:
            after = replace(request, state="NO_PRESENTADA")
        elif request.state in ("RECURRIDA", "CONCILIACION") and resolution is not None and today > resolution:
            # The guarantor's silence confirms the answer (LGPDPPSO 103).
            after = replace(request, state="RESUELTA_RR", outcome="CONFIRMAR_POR_SILENCIO")
        if after is not None:
            desk.arco.save(after, now, "reloj")


def _known(desk: InstituteDesk, asked: Asked) -> ArcoRequest:
    request = desk.arco.request(asked.path["folio"])
    if request is None or asked.context.member not in (request.member, desk.member, desk.guarantor):
        raise DomainError("SS-300", field="folio")
    desk.note_subject(asked, request.pid)
    return request


def _check_may(desk: InstituteDesk, asked: Asked, request: ArcoRequest, to: str) -> None:
    role, member = asked.context.role, asked.context.member
    by_person = to in _BY_PERSON or (request.state == "PREVENIDA" and to == "EN_TRAMITE")
    if asked.body.get("sentido") == "PRORROGA":
        by_person = False
    if by_person:
        allowed = role in _PERSON and member == request.member
    elif to in _BY_GUARANTOR or asked.body.get("sentido") == "PRORROGA":
        allowed = role == "GARANTE" and member == desk.guarantor
    else:
        allowed = role in ("UNIDAD_TRANSPARENCIA", "COMITE_TRANSPARENCIA") and member == desk.member
    if not allowed:
        raise DomainError(
            "SS-210", f"{role} de {member} no puede pasar a {to}", f"{role} of {member} may not cause {to}"
        )


def _check_term(request: ArcoRequest, to: str, day: date) -> None:
    term = {
        "PREVENIDA": "limitePrevencion",
        "AMPLIADA": "limiteRespuesta",
        "PROCEDENTE": "limiteRespuesta",
        "IMPROCEDENTE": "limiteRespuesta",
        "INEXISTENCIA": "limiteRespuesta",
        "RECURRIDA": "limiteRecurso" if request.state != "RECURRIDA" else "limiteResolucion",
    }.get(to)
    if request.state == "PREVENIDA":
        term = "limiteDesahogo"
    last = None if term is None else request.day(term)
    if last is not None and day > last:
        raise DomainError("SS-404", f"venció el {last}", f"it ended on {last}", field="ocurridoEl")


def _dates(desk: InstituteDesk, request: ArcoRequest, to: str, day: date, asked: Asked) -> dict[str, str]:
    dates = dict(request.dates)
    calendar = desk.calendar
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
    elif to == "RECURRIDA":
        if asked.body.get("sentido") == "PRORROGA":
            start = request.day("limiteResolucion") or day
            dates["limiteResolucion"] = calendar.add(start, RESOLUTION_EXTENSION).isoformat()
        else:
            dates["limiteResolucion"] = calendar.add(day, RESOLUTION).isoformat()
    elif to == "RESUELTA_RR" and asked.body.get("sentido") in ("REVOCAR", "ORDENAR_ENTREGA"):
        dates["limiteEjecucion"] = calendar.add(day, EXECUTION).isoformat()
    if to in ("EN_TRAMITE", "AMPLIADA"):
        answer = date.fromisoformat(dates["limiteRespuesta"])
        dates["limiteRecurso"] = calendar.add(answer, APPEAL).isoformat()
    return dates


def _refused(desk: InstituteDesk, asked: Asked, after: ArcoRequest, day: date) -> ArcoRequest:
    """The formal refusal; without committee, or without cause where one is due, it cannot be sent."""
    body = asked.body
    if not body.get("resolucionComite"):
        raise DomainError(
            "SS-400",
            "falta la resolución del Comité",
            "the committee's resolution is missing",
            field="resolucionComite",
        )
    causes = body.get("causas", [])
    missing = after.state == "INEXISTENCIA"
    if not missing and not causes:
        raise DomainError(
            "SS-400", "falta al menos una causa", "at least one cause is missing", field="causas"
        )
    appeal = desk.appeal(day)
    refusal: dict[str, Any] = {
        "codigo": "SS-502" if missing else "SS-500",
        "fundamento": "mx:LGPDPPSO-77" if missing else f"mx:LGPDPPSO-49-{causes[0]}",
        "motivacion": body.get("negativa", {}).get("motivacion")
        or "Causas: " + ", ".join(desk.causes[c] for c in causes) + ".",
        "resolucionComite": body["resolucionComite"],
        "medioImpugnacion": "Recurso de revisión ante la autoridad garante, artículos 86 y 95 de la LGPDPPSO",
        "autoridad": appeal.authority,
        "limiteImpugnacion": appeal.last_day.isoformat(),
    }
    if causes:
        refusal["causa"] = causes[0]
    return replace(after, refusal=refusal, committee=body["resolucionComite"])


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


def _execute(desk: InstituteDesk, asked: Asked, request: ArcoRequest) -> list[Notice]:
    """What a granted right changes; the notices to those who hold what was wrong."""
    last = request.day("limiteEjecucion")
    if last is not None and asked.today > last:
        raise DomainError("SS-404", f"la ejecución venció el {last}", f"execution was due on {last}")
    right, data = request.request["derecho"], request.request.get("datos", [])
    if right == "OPOSICION":
        for what in data:
            desk.rights.oppose(request.pid, what, request.folio)
    elif right == "CANCELACION" and "correo" in data:
        desk.rights.block_contact(request.pid, asked.today, desk.calendar.add(asked.today, APPEAL))
    elif right == "RECTIFICACION" and "periodo" in request.request:
        return _rectify(desk, asked, request)
    return []


def _rectify(desk: InstituteDesk, asked: Asked, request: ArcoRequest) -> list[Notice]:
    wanted = request.request["periodo"]
    wrong = next((p for p in desk.periods.served(request.pid) if p.period_id == wanted["idPeriodo"]), None)
    if wrong is None:
        raise DomainError("SS-502", "no hay tal periodo", "there is no such period")
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


def _package(desk: InstituteDesk, request: ArcoRequest, today: date) -> dict[str, Any]:
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


def _show(desk: InstituteDesk, request: ArcoRequest) -> dict[str, Any]:
    body: dict[str, Any] = {
        "folio": request.folio,
        "estado": request.state,
        "derecho": request.request["derecho"],
        "recibidaEl": request.request["recibidaEl"],
        "calendario": desk.calendar.name,
        **{n: d for n, d in request.dates.items() if n.startswith("limite")},
    }
    if request.refusal is not None:
        body["negativa"] = request.refusal
    if request.committee is not None:
        body["resolucionComite"] = request.committee
    if request.outcome is not None:
        body["sentido"] = request.outcome
    return body


def _request(r: tuple[Any, ...]) -> ArcoRequest:
    return ArcoRequest(
        r[0],
        Pid(r[1]),
        r[2],
        r[3],
        json.loads(r[4]),
        json.loads(r[5]),
        None if r[6] is None else json.loads(r[6]),
        r[7],
        r[8],
    )
