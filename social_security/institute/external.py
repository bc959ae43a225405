"""External beneficiaries: admission with hashed evidence, a duplicate check at the registry, and a dated decision.

The evidence stays at the institute; a hash that is not the uploaded file's is refused. A provisional admission runs ninety
days and lapses visibly.

Spec: the domain reference 4.11, 5.2 (AdmisionExterna), 5.5 (Admission); S11, S13.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from social_security.domain import states as machines
from social_security.domain.faults import DomainError, concerning
from social_security.domain.pseudonyms import Pid
from social_security.domain.ranges import parse_days
from social_security.institute.stores.admissions import Admission
from social_security.wire.gatewayclient import Why
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from social_security.institute.services import InstituteServices

    Step = Callable[[InstituteServices, DomainRequest, Admission], Admission]

REGISTRY = "MX/GOB/00-RNSS"
DECISION_DAYS = 20
ORIGIN_DAYS = 10
PROVISIONAL = timedelta(days=90)


async def apply(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``solicitarAdmision``: received, unless the same benefit is being asked for elsewhere. Raises `DomainError` (SS-100)."""
    known = services.admissions.admission(request.context.case)
    if known is not None:
        return DomainAnswer(_show(known), 202, ("beneficio",))
    if "pid" not in request.body or request.context.member != services.member:
        raise DomainError(
            "SS-100",
            "se solicita ante el propio instituto, con su PID",
            "one applies at the institute itself, with its PID",
            field="pid",
        )
    pid = request.body["pid"]
    level = await _level(services, request, pid)
    if level < 2:
        raise services.refusal(
            "SS-206",
            request,
            "mx:LGPDPPSO-43",
            "Se requiere LOA2: acuda con documento, use Llave MX o e.firma",
            "LOA2 is needed: come with a document, use Llave MX or e.firma",
        )
    await _reserve(services, request, pid)
    made = Admission(
        request.context.case,
        Pid(pid),
        request.context.member,
        {k: v for k, v in request.body.items() if k not in ("pid", "testigo")},
        "RECIBIDA",
        services.calendar.add(request.today, DECISION_DAYS),
    )
    # On disk from here on. A crash before it leaves the case at the registry alone; the same request again finds it as its own.
    services.admissions.save(made, request.now)
    return DomainAnswer(_show(made), 202, ("beneficio",), made.pid)


async def _reserve(services: InstituteServices, request: DomainRequest, pid: str) -> None:
    """Note the case at the registry. Raises SS-205 while another one is open for the same benefit, SS-901 without an answer."""
    why = Why("PUR-EXT", request.context.case, "ANALISTA_AFILIACION", "Cotejo de duplicados")
    response = await services.gateway.ask(
        "EXTERNOS",
        REGISTRY,
        "registrarCaso",
        {
            "pid": pid,
            "caso": request.context.case,
            "estado": "ABIERTO",
            "beneficio": request.body["beneficio"],
        },
        why,
    )
    if not response.is_done:
        raise DomainError("SS-901", "el registro no respondió", "the registry did not answer")
    if response.body["resultado"] == "DUPLICADO":
        other = response.body["caso"]
        raise DomainError(
            "SS-205",
            f"ya hay un caso por el mismo beneficio: {other}",
            f"there is a case for the same benefit: {other}",
            field="beneficio",
        )


async def _level(services: InstituteServices, request: DomainRequest, pid: str) -> int:
    why = Why("PUR-IDENT", request.context.case, "ANALISTA_AFILIACION", "Nivel de identidad")
    response = await services.gateway.ask(
        "EXTERNOS", REGISTRY, "buscarBeneficiario", {"pid": pid, "atributos": ["nivel", "estadoVital"]}, why
    )
    if not response.is_done:
        raise DomainError("SS-901", "el registro no respondió", "the registry did not answer")
    if response.body.get("resultado") != "COINCIDE":
        raise DomainError("SS-300", field="pid")
    if response.body.get("estadoVital") == "FALLECIDA":
        raise DomainError("SS-302", field="pid")
    return int(str(response.body["nivel"])[3:])


def see(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``verAdmision``: state, date, and what was decided."""
    admission = _known(services, request)
    return DomainAnswer(_show(admission), categories=("beneficio",), subject=admission.pid)


async def advance(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``avanzarAdmision``: the institute's own next step.

    `machines.ADMISSION` says which states follow which, `_STEPS` what is different in a state, `_REGISTERED` which states the
    registry is told of. Raises SS-405 for another member, SS-400 for a state that does not follow, SS-100 for other evidence.
    """
    admission = _known(services, request)
    with concerning(admission.pid):
        if request.context.member != services.member:
            raise services.not_participant(request)
        to = request.body["estado"]
        machines.check_follows(machines.ADMISSION, admission.state, to)
        _check_evidence(admission, request.body.get("evidencias", ()))
        step = _STEPS.get(to)
        after = replace(admission, state=to)
        after = after if step is None else step(services, request, after)
        if to in _REGISTERED:
            await _notify_registry(services, after, _REGISTERED[to])
        # On disk from here on. A crash before it leaves the former state, and the registry told of the case: the same step
        # again tells it the same and goes on.
        services.admissions.save(after, request.now)
    return DomainAnswer(_show(after), categories=("beneficio",), subject=admission.pid)


def _check_evidence(admission: Admission, sent: Sequence[Mapping[str, str]]) -> None:
    """Refuse evidence whose digest is not its file's, or that the application does not name (SS-100)."""
    for evidence in sent:
        if evidence["sha256"] != evidence["archivo"]:
            raise DomainError(
                "SS-100", "la huella no es la del archivo", "the digest is not the file's", field="evidencias"
            )
        if evidence["sha256"] not in [e["sha256"] for e in admission.request["evidencias"]]:
            raise DomainError(
                "SS-100",
                "la evidencia no está en la solicitud",
                "the evidence is not in the application",
                field="evidencias",
            )


def _verify_origin(services: InstituteServices, request: DomainRequest, after: Admission) -> Admission:
    return replace(after, deadline=services.calendar.add(request.today, ORIGIN_DAYS))


def _admit(services: InstituteServices, request: DomainRequest, after: Admission) -> Admission:
    return replace(after, receipt=_receipt(services, after, request.now))


def _admit_provisionally(services: InstituteServices, request: DomainRequest, after: Admission) -> Admission:
    if after.renewals > 1:
        raise DomainError("SS-400", "sólo se renueva una vez", "it is renewed once only")
    deadline = request.today + PROVISIONAL
    return replace(_admit(services, request, after), deadline=deadline, renewals=after.renewals + 1)


def _deny(services: InstituteServices, request: DomainRequest, after: Admission) -> Admission:
    refusal = services.refusal(
        "SS-403",
        request,
        "mx:LGPDPPSO-16-I",
        request.body.get("motivacion", "No se acreditaron los requisitos"),
        "The requirements were not met",
    )
    return replace(after, refusal=refusal.to_json())


# State -> what is different in it, beside the state itself.
_STEPS: Final[Mapping[str, Step]] = {
    "VERIFICANDO_ORIGEN": _verify_origin,
    "ADMITIDA": _admit,
    "ADMITIDA_PROVISIONAL": _admit_provisionally,
    "NEGADA": _deny,
}
# State -> the state of the case that the registry is told.
_REGISTERED: Final[Mapping[str, str]] = {"ADMITIDA": "ADMITIDO", "NEGADA": "NEGADO"}


async def _notify_registry(services: InstituteServices, admission: Admission, state: str) -> None:
    why = Why("PUR-EXT", admission.case, "ANALISTA_AFILIACION", "Resultado de la admisión")
    case = {"pid": admission.pid, "caso": admission.case, "estado": state}
    await services.gateway.ask("EXTERNOS", REGISTRY, "registrarCaso", case, why)


def confirm_period(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``confirmarPeriodo``: the body where the person worked says whether the period is right; nothing else."""
    parse_days(request.body)
    pid = services.subject(request).pid
    body = request.body
    for period in services.certified(pid):
        if (period.since.isoformat(), period.until and period.until.isoformat()) == (
            body["desde"],
            body["hasta"],
        ):
            weeks, rest = divmod(period.days, 7)
            return DomainAnswer(
                {"confirmado": True, "dias": period.days, "semanas": weeks, "diasRestantes": rest},
                categories=("historia",),
                subject=pid,
            )
    return DomainAnswer({"confirmado": False}, categories=("historia",), subject=pid)


def tick(services: InstituteServices, now: datetime, today: date) -> None:
    """Let provisional admissions and unanswered preventions lapse whose last day lies before ``today``."""
    for admission in services.admissions.all():
        if admission.state in ("ADMITIDA_PROVISIONAL", "PREVENIDA") and today > admission.deadline:
            services.admissions.save(replace(admission, state="CADUCADA"), now)


def _known(services: InstituteServices, request: DomainRequest) -> Admission:
    admission = services.admissions.admission(request.path["caso"])
    if admission is None or request.context.member not in (admission.member, services.member):
        raise DomainError("SS-300", field="caso")
    return admission


def _receipt(services: InstituteServices, admission: Admission, now: datetime) -> dict[str, Any]:
    """The person's receipt: fields of ISO/IEC TS 27560 that apply; the principal is the case, not her."""
    return {
        "schema_version": "27560:2023",
        "record_id": f"{admission.case}:recibo",
        "pii_principal_id": admission.case,
        "pii_controllers": [services.member],
        "purpose": "PUR-EXT",
        "lawful_basis": "mx:LGPDPPSO-16-I",
        "pii_type": ["identidad", "historia"],
        "retention_period": "P10Y",
        "privacy_rights": "ARCO",
        "authority_party": services.guarantor,
        "event_time": now.isoformat(),
    }


def _show(a: Admission) -> dict[str, Any]:
    body: dict[str, Any] = {"caso": a.case, "estado": a.state, "fechaLimite": a.deadline.isoformat()}
    if a.refusal is not None:
        body["negativa"] = a.refusal
    if a.receipt is not None:
        body["recibo"] = a.receipt
    return body
