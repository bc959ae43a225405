"""What waits for the institute's own people: requests for the transparency unit and its guarantor, files, periods and cases for the desk.

Each is an operation through the institute's own gateway like any other, so every look at a person is in her access log with
the public servant's local id. A list names folios and terms, never a person; a file is opened by its number or PID.

Spec: the domain reference 3.4, 5.2, 5.5; F12 to F19.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

from social_security.domain.faults import DomainError, concerning
from social_security.domain.pseudonyms import Pid, parse_pid
from social_security.domain.states import ADMISSION, ARCO_ENDED, holds_lock
from social_security.institute.casesteps import PERSON_ROLES, allowed_steps
from social_security.institute.corrections import correct_period
from social_security.institute.history import counted_to
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from social_security.institute.services import InstituteServices
    from social_security.institute.stores.admissions import Admission
    from social_security.institute.stores.arco import ArcoRequest
    from social_security.institute.stores.cases import Case

# State of a request -> the term that runs then, and whose it is.
RUNNING: Final[Mapping[str, tuple[str, str]]] = {
    "RECIBIDA": ("limiteRespuesta", "UNIDAD"),
    "EN_TRAMITE": ("limiteRespuesta", "UNIDAD"),
    "AMPLIADA": ("limiteRespuesta", "UNIDAD"),
    "FALTA_RESPUESTA": ("limiteRespuesta", "UNIDAD"),
    "PROCEDENTE": ("limiteEjecucion", "UNIDAD"),
    "RESUELTA_RR": ("limiteEjecucion", "UNIDAD"),
    "PREVENIDA": ("limiteDesahogo", "PERSONA"),
    "RECURRIDA": ("limiteResolucion", "GARANTE"),
    "CONCILIACION": ("limiteResolucion", "GARANTE"),
}
APPEALED: Final = frozenset(("RECURRIDA", "CONCILIACION", "RESUELTA_RR"))
_DONE: Final = ARCO_ENDED | {"EFECTIVA", "IMPROCEDENTE", "INEXISTENCIA"}
MAX_ROWS: Final = 200


def list_requests(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``listarSolicitudes``: requests by the day on which their term ends, most urgent first; a guarantor sees appeals only.

    Raises SS-210 for another member than the institute itself or its guarantor.
    """
    body, context = request.body, request.context
    if context.member not in (services.member, services.guarantor):
        raise DomainError(
            "SS-210",
            "sólo el propio instituto y su autoridad garante",
            "the institute itself and its guarantor only",
        )
    found = services.arco.all()
    if context.member == services.guarantor:
        found = [r for r in found if r.state in APPEALED or r.outcome is not None]
    if body.get("pendientes", True):
        found = [r for r in found if r.state not in _DONE and not _is_settled(r)]
    if "estado" in body:
        found = [r for r in found if r.state == body["estado"]]
    rows = sorted((_row(r, request.today) for r in found), key=lambda r: (r.get("vence", "9999"), r["folio"]))
    first = int(body.get("desdeFila", 0))
    return DomainAnswer(
        {"total": len(rows), "solicitudes": rows[first : first + MAX_ROWS]}, categories=("arco",)
    )


def _is_settled(request: ArcoRequest) -> bool:
    """A decided appeal that orders nothing leaves nothing to do."""
    return request.state == "RESUELTA_RR" and "limiteEjecucion" not in request.dates


def _row(request: ArcoRequest, today: date) -> dict[str, Any]:
    row: dict[str, Any] = {
        "folio": request.folio,
        "derecho": str(request.request["derecho"]),
        "estado": request.state,
        "recibida": request.dates["dia0"],
    }
    term, whose = RUNNING.get(request.state, ("", ""))
    last = request.day(term) if term else None
    if last is not None:
        row |= {"plazo": term, "vence": last.isoformat(), "toca": whose, "vencida": today > last}
    if request.outcome is not None:
        row["sentido"] = request.outcome
    return row


def open_file(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``consultarExpediente``: a person's file at her institute's own desk, by PID or by file number.

    Raises SS-405 for another member, SS-300 when there is none.
    """
    _check_own(services, request)
    body = request.body
    pid = parse_pid(body["pid"]) if "pid" in body else services.persons.pid_of_file(body["expediente"])
    affiliation = None if pid is None else services.persons.affiliation(pid)
    if pid is None or affiliation is None:
        raise DomainError("SS-300", field="pid" if "pid" in body else "expediente")
    day = counted_to(services, pid)
    file: dict[str, Any] = {
        "pid": pid,
        "expediente": affiliation.file_number,
        "estado": affiliation.state,
        "regimen": affiliation.regime,
        "desde": affiliation.since.isoformat(),
        "nivel": f"LOA{affiliation.level}",
        "periodos": [p.to_json(day, with_pay=False) for p in services.periods.every(pid)],
        "casos": [_case_row(c, request.today) for c in services.cases.cases_of(pid)],
        "bloqueados": [{"dato": d, "desde": s.isoformat()} for d, s in services.rights.blocked(pid).items()],
    }
    if affiliation.until is not None:
        file["hasta"] = affiliation.until.isoformat()
    return DomainAnswer(file, categories=("afiliacion", "historia"), subject=pid)


def certify(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``certificarPeriodo``: the institute certifies a period that is missing in a person's history; what was done, in words.

    Raises SS-405 for another member, SS-300 without a file, SS-208 when her history is cancelled, SS-103 or SS-406 for a period
    that cannot be.
    """
    _check_own(services, request)
    pid = Pid(parse_pid(request.body["pid"]))
    if services.persons.affiliation(pid) is None:
        raise DomainError("SS-300", field="pid")
    with concerning(pid):
        services.check_blocked(pid, "historia", "periodo")
        if "idPeriodo" in request.body["periodo"]:
            raise DomainError(
                "SS-400",
                "lo certificado se corrige con una solicitud de rectificación",
                "what is certified is corrected by a request for rectification",
                field="periodo.idPeriodo",
            )
        done, _ = correct_period(services, request, pid, request.body["periodo"])
    return DomainAnswer({"certificado": done}, 201, ("historia",), pid)


def list_cases(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``listarCasos``: the institute's portability cases by the day on which their term ends; closed ones only when asked for.

    With ``caso`` that one alone, with the path that it went and the steps that this institute may take: an access of the person's.
    The person herself gets hers, by her PID, with the steps that she may take.

    Raises `DomainError` (SS-300).
    """
    _check_own(services, request)
    if request.context.role in PERSON_ROLES:
        pid = Pid(parse_pid(request.body.get("pid", "")))
        own = [_whole_case(services, c, request.today, is_person=True) for c in services.cases_of(pid)]
        return DomainAnswer(
            {"total": len(own), "casos": own[:MAX_ROWS]}, categories=("beneficio",), subject=pid
        )
    if "caso" in request.body:
        case = services.cases.case(request.body["caso"])
        if case is None:
            raise DomainError("SS-300", field="caso")
        return DomainAnswer(
            {"total": 1, "casos": [_whole_case(services, case, request.today)]},
            categories=("historia",),
            subject=case.pid,
        )
    every = request.body.get("terminados", False)
    rows = [_case_row(c, request.today) for c in services.cases.all() if every or c.is_open]
    rows.sort(key=lambda r: (r.get("fechaLimite", "9999"), r["caso"]))
    return DomainAnswer({"total": len(rows), "casos": rows[:MAX_ROWS]}, categories=("beneficio",))


def _case_row(case: Case, today: date) -> dict[str, Any]:
    row = case.to_json()
    if case.deadline is not None and holds_lock(case.state):
        row |= {"dias": (case.deadline - today).days}
    return row


def _whole_case(
    services: InstituteServices, case: Case, today: date, *, is_person: bool = False
) -> dict[str, Any]:
    """A case with every event that it went by, without histories, and what may follow."""
    path, chain = [], services.cases.events(case.case)
    for logged in chain:
        event = logged.event
        row = {"secuencia": event["secuencia"], "evento": event["evento"], "por": logged.sender}
        row |= {"estado": event["estadoNuevo"], "hash": logged.hash}
        row |= {n: event[n] for n in ("totalizacion", "negativa") if n in event}
        row |= {"dias": sum(h["totalDias"] for h in event["historia"])} if event.get("historia") else {}
        path.append(row)
    return {
        **_case_row(case, today),
        "camino": path,
        "pasos": allowed_steps(case, chain, services.member, is_person=is_person),
    }


def list_admissions(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``listarAdmisiones``: applications of external beneficiaries by the end of their term; decided ones only when asked for.

    With ``caso`` that one alone, with its evidence by digest: an access of the person's.

    Raises `DomainError` (SS-300).
    """
    _check_own(services, request)
    body = request.body
    found, whose = services.admissions.all(), None
    if "caso" in body:
        found = [a for a in found if a.case == body["caso"]]
        if not found:
            raise DomainError("SS-300", field="caso")
        whose = found[0].pid
    elif not body.get("terminadas", False):
        found = [a for a in found if ADMISSION.get(a.state)]
    rows = sorted(
        (_admission_row(a, request.today, whole="caso" in body) for a in found),
        key=lambda r: (r["fechaLimite"], r["caso"]),
    )
    return DomainAnswer(
        {"total": len(rows), "admisiones": rows[:MAX_ROWS]}, categories=("beneficio",), subject=whose
    )


def _admission_row(admission: Admission, today: date, *, whole: bool) -> dict[str, Any]:
    row: dict[str, Any] = {
        "caso": admission.case,
        "estado": admission.state,
        "beneficio": admission.request["beneficio"],
        "origen": admission.request["origen"],
        "fechaLimite": admission.deadline.isoformat(),
        "pasos": sorted(ADMISSION.get(admission.state, frozenset()) - {"CADUCADA"}),
    }
    if row["pasos"]:
        row["dias"] = (admission.deadline - today).days
    if whole:
        row |= {"evidencias": admission.request["evidencias"], "renovaciones": admission.renewals}
        row |= {"negativa": admission.refusal} if admission.refusal is not None else {}
    return row


def _check_own(services: InstituteServices, request: DomainRequest) -> None:
    if request.context.member != services.member:
        raise services.not_participant(request)
