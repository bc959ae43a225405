"""External beneficiaries: admission with hashed evidence, a duplicate check at the registry, and a dated decision.

The evidence stays at the institute; a hash that is not the uploaded file's is refused. A provisional admission runs ninety
days and lapses visibly.

Spec: the domain reference 4.11, 5.2 (AdmisionExterna), 5.5 (Admission); S11, S13.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from social_security.domain import states as machines
from social_security.domain.faults import DomainError
from social_security.domain.pseudonyms import Pid
from social_security.domain.ranges import parse_days
from social_security.institute.stores.admissions import Admission
from social_security.wire.gatewayclient import Why
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from social_security.institute.services import InstituteServices

REGISTRY = "MX/GOB/00-RNSS"
DECISION_DAYS = 20
ORIGIN_DAYS = 10
PROVISIONAL = timedelta(days=90)


async def apply(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``solicitarAdmision``: received, unless the same benefit is being asked for elsewhere."""
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
    why = Why("PUR-EXT", request.context.case, "ANALISTA_AFILIACION", "Cotejo de duplicados")
    heard = await services.gateway.ask(
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
    if not heard.is_done:
        raise DomainError("SS-901", "el registro no respondió", "the registry did not answer")
    if heard.body["resultado"] == "DUPLICADO":
        other = heard.body["caso"]
        raise DomainError(
            "SS-205",
            f"ya hay un caso por el mismo beneficio: {other}",
            f"there is a case for the same benefit: {other}",
            field="beneficio",
        )
    request.access.pid = Pid(pid)
    made = Admission(
        request.context.case,
        Pid(pid),
        request.context.member,
        {k: v for k, v in request.body.items() if k not in ("pid", "testigo")},
        "RECIBIDA",
        services.calendar.add(request.today, DECISION_DAYS),
    )
    services.admissions.save(made, request.now)
    return DomainAnswer(_show(made), 202, ("beneficio",))


async def _level(services: InstituteServices, request: DomainRequest, pid: str) -> int:
    why = Why("PUR-IDENT", request.context.case, "ANALISTA_AFILIACION", "Nivel de identidad")
    heard = await services.gateway.ask(
        "EXTERNOS", REGISTRY, "buscarBeneficiario", {"pid": pid, "atributos": ["nivel", "estadoVital"]}, why
    )
    if not heard.is_done:
        raise DomainError("SS-901", "el registro no respondió", "the registry did not answer")
    if heard.body.get("resultado") != "COINCIDE":
        raise DomainError("SS-300", field="pid")
    if heard.body.get("estadoVital") == "FALLECIDA":
        raise DomainError("SS-302", field="pid")
    return int(str(heard.body["nivel"])[3:])


def see(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``verAdmision``: state, date, and what was decided."""
    return DomainAnswer(_show(_known(services, request)), categories=("beneficio",))


async def advance(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``avanzarAdmision``: the institute's own next step."""
    admission, body = _known(services, request), request.body
    if request.context.member != services.member:
        raise services.not_participant(request)
    to = body["estado"]
    machines.check_follows(machines.ADMISSION, admission.state, to)
    for evidence in body.get("evidencias", ()):
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
    after = replace(admission, state=to)
    if to == "VERIFICANDO_ORIGEN":
        after = replace(after, deadline=services.calendar.add(request.today, ORIGIN_DAYS))
    elif to == "ADMITIDA":
        after = replace(after, receipt=_receipt(services, admission, request.now))
    elif to == "ADMITIDA_PROVISIONAL":
        if admission.renewals > 1:
            raise DomainError("SS-400", "sólo se renueva una vez", "it is renewed once only")
        after = replace(
            after,
            deadline=request.today + PROVISIONAL,
            renewals=admission.renewals + 1,
            receipt=_receipt(services, admission, request.now),
        )
    elif to == "NEGADA":
        refusal = services.refusal(
            "SS-403",
            request,
            "mx:LGPDPPSO-16-I",
            body.get("motivacion", "No se acreditaron los requisitos"),
            "The requirements were not met",
        )
        after = replace(after, refusal=refusal.to_json())
    if to in ("ADMITIDA", "NEGADA"):
        await services.gateway.ask(
            "EXTERNOS",
            REGISTRY,
            "registrarCaso",
            {
                "pid": admission.pid,
                "caso": admission.case,
                "estado": "ADMITIDO" if to == "ADMITIDA" else "NEGADO",
            },
            Why("PUR-EXT", admission.case, "ANALISTA_AFILIACION", "Resultado de la admisión"),
        )
    services.admissions.save(after, request.now)
    return DomainAnswer(_show(after), categories=("beneficio",))


def confirm_period(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``confirmarPeriodo``: the body where the person worked says whether the period is right; nothing else."""
    parse_days(request.body)
    subject = services.subject(request)
    body = request.body
    for period in services.periods.served(subject.pid):
        if (period.since.isoformat(), period.until and period.until.isoformat()) == (
            body["desde"],
            body["hasta"],
        ):
            weeks, rest = divmod(period.days, 7)
            return DomainAnswer(
                {"confirmado": True, "dias": period.days, "semanas": weeks, "diasRestantes": rest},
                categories=("historia",),
            )
    return DomainAnswer({"confirmado": False}, categories=("historia",))


def tick(services: InstituteServices, now: datetime, today: date) -> None:
    """Let provisional admissions and unanswered preventions lapse whose last day lies before ``today``."""
    for admission in services.admissions.all():
        if admission.state in ("ADMITIDA_PROVISIONAL", "PREVENIDA") and today > admission.deadline:
            services.admissions.save(replace(admission, state="CADUCADA"), now)


def _known(services: InstituteServices, request: DomainRequest) -> Admission:
    admission = services.admissions.admission(request.path["caso"])
    if admission is None or request.context.member not in (admission.member, services.member):
        raise DomainError("SS-300", field="caso")
    request.access.pid = admission.pid
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
