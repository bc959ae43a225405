"""What a granted right brings about: a package, an opposition, blocked data, or a corrected period and its notices.

Spec: the domain reference F13 to F16; S05, S06, S08.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from social_security.domain import eventchain
from social_security.domain import states as machines
from social_security.domain.faults import DomainError
from social_security.institute.corrections import correct_period
from social_security.institute.history import build_history
from social_security.institute.refusedattempts import take_refusals
from social_security.institute.stores.rights import AUTOMATED
from social_security.wire.outbox import OutboxItem

if TYPE_CHECKING:
    from social_security.institute.services import InstituteServices
    from social_security.institute.stores.arco import ArcoRequest
    from social_security.wire.service import DomainRequest

ORDERED = frozenset(("REVOCAR", "ORDENAR_ENTREGA"))
BLOCKED_DAYS = 15  # working days until a cancelled address is erased
RETENTION_YEARS = (
    10  # what is certified or affiliated stays blocked as long as the services' retention (P10Y)
)


def carry_out(
    services: InstituteServices, domain_request: DomainRequest, before: ArcoRequest, after: ArcoRequest
) -> tuple[ArcoRequest, list[OutboxItem]]:
    """Carry out what an event of a request brings about: the right, when it takes effect, and notices to holders of wrong data.

    ``EFECTIVA`` carries out what the institute granted, what a guarantor ordered or what was agreed before it;
    ``CUMPLIDA`` does too, unless it has been done. Late is said, never refused. Raises SS-400 when nothing was granted.
    """
    if (
        after.state == "PROCEDENTE"
        and after.request["derecho"] == "RECTIFICACION"
        and after.request.get("periodo")
    ):
        # Nobody grants what could never be carried out: blocked data changes no more.
        services.check_blocked(after.pid, "historia", "periodo")
    if after.state not in ("EFECTIVA", "CUMPLIDA"):
        return after, []
    is_due = "concedida" in after.dates or before.outcome in ORDERED or before.state == "CONCILIACION"
    if after.state == "CUMPLIDA":
        if before.state == "EFECTIVA" and before.outcome is None:
            raise machines.not_allowed(before.state, after.state)
        if before.outcome not in ORDERED and before.state != "CONCILIACION":
            return after, []
    if not is_due:
        raise DomainError(
            "SS-400",
            "nada se ha concedido ni ordenado que pueda ejecutarse",
            "nothing has been granted or ordered that could be carried out",
            field="estado",
        )
    if "ejecutada" in after.dates:
        if after.state == "EFECTIVA":
            raise machines.not_allowed(before.state, after.state)
        return after, []
    done, notices = _execute(services, domain_request, after)
    last = after.day("limiteEjecucion")
    dates = {**after.dates, "ejecutada": domain_request.today.isoformat()}
    if last is not None and domain_request.today > last:
        dates["tardia"] = domain_request.today.isoformat()
    request = {**after.request, "ejecutado": done} if done else after.request
    return replace(after, dates=dates, request=request), notices


def withdraw(services: InstituteServices, domain_request: DomainRequest, request: ArcoRequest) -> ArcoRequest:
    """The request after the person's oppositions to the data and purposes that it names have ended."""
    uses = [*request.request.get("datos", ()), *request.request.get("propositos", ())]
    ended = services.rights.withdraw(request.pid, uses, domain_request.today)
    done = f"oposición retirada: {', '.join(ended)}" if ended else "no constaba oposición a lo que se nombra"
    return replace(
        request,
        state="EFECTIVA",
        dates={**request.dates, "ejecutada": domain_request.today.isoformat()},
        request={**request.request, "ejecutado": done},
    )


def _execute(
    services: InstituteServices, domain_request: DomainRequest, request: ArcoRequest
) -> tuple[str, list[OutboxItem]]:
    """Carry the right out; what was done, in words, and whom to tell."""
    right, data = request.request["derecho"], request.request.get("datos", [])
    if right == "OPOSICION":
        uses = [*data, *request.request.get("propositos", ())]
        for what in uses:
            services.rights.oppose(request.pid, what, request.folio, domain_request.today)
        return f"oposición anotada: {', '.join(uses)}", []
    if right == "CANCELACION":
        return _cancel(services, domain_request, request), []
    if right == "RECTIFICACION":
        return _rectify(services, domain_request, request)
    return "", []


def _cancel(services: InstituteServices, domain_request: DomainRequest, request: ArcoRequest) -> str:
    data = [d for d in request.request.get("datos", ()) if d != AUTOMATED]
    erase_on = _years_after(domain_request.today, RETENTION_YEARS)
    for what in data:
        if what == "correo":
            services.rights.block_contact(
                request.pid, domain_request.today, services.calendar.add(domain_request.today, BLOCKED_DAYS)
            )
        else:
            services.rights.block(request.pid, what, request.folio, domain_request.today, erase_on)
    return f"bloqueado desde el {domain_request.today}: {', '.join(data)}"


def _rectify(
    services: InstituteServices, domain_request: DomainRequest, request: ArcoRequest
) -> tuple[str, list[OutboxItem]]:
    """What the request says, or what the unit says it comes to where the person only described it."""
    correction = {
        n: domain_request.body.get(n, request.request.get(n)) for n in ("periodo", "nombre", "correo")
    }
    if not any(correction.values()):
        raise DomainError(
            "SS-400",
            "ni la solicitud ni el evento dicen qué dato se corrige (periodo, nombre o correo)",
            "neither the request nor the event says which datum is corrected (periodo, nombre or correo)",
            field="periodo",
        )
    if correction["periodo"] is not None:
        # Before anything is written: its copies in open cases could not be replaced.
        services.check_blocked(request.pid, "historia", "periodo")
    if correction["nombre"] is not None and not services.retirees.is_listed(request.pid):
        raise _missing(services, domain_request, "El nombre no consta aquí", "The name is not held here")
    done: list[str] = []
    notices: list[OutboxItem] = []
    if correction["periodo"] is not None:
        words, is_changed = correct_period(services, domain_request, request.pid, correction["periodo"])
        done.append(words)
        # What was so already sends no decided case back to be totalled again.
        notices = _replacements(services, request) if is_changed else []
    if correction["nombre"] is not None:
        services.retirees.rename(request.pid, correction["nombre"])
        done.append("nombre corregido")
    if correction["correo"] is not None:
        services.rights.set_contact(request.pid, correction["correo"])
        done.append("correo corregido")
    return "; ".join(done), notices


def _missing(services: InstituteServices, request: DomainRequest, es: str, en: str) -> DomainError:
    return services.refusal("SS-502", request, "mx:LGPDPPSO-77", es, en)


def _years_after(day: date, years: int) -> date:
    """The same date some years on; 29 February runs to the 28th."""
    return day.replace(year=day.year + years, day=min(day.day, 28) if day.month == 2 else day.day)


def _replacements(services: InstituteServices, request: ArcoRequest) -> list[OutboxItem]:
    """An ``ACLARAR`` for every open case that goes by the wrong version, this institute's own cases too.

    The responsible institute is told first; the others when it has taken the event (`social_security.institute.caseevents`).
    """
    notices: list[OutboxItem] = []
    for case in services.cases_of(request.pid):
        chain = services.cases.events(case.case)
        mine = [
            h["pid"] for e in chain for h in e.event.get("historia", ()) if h["instituto"] == services.member
        ]
        move = machines.PORTABILITY.get((case.state, "ACLARAR"))
        if move is None or not (mine or case.responsible == services.member):
            continue
        history = build_history(services, request.pid, mine[-1] if mine else request.pid)
        event = {
            "caso": case.case,
            "secuencia": case.sequence + 1,
            "evento": "ACLARAR",
            "estadoPrevio": case.state,
            "estadoNuevo": case.state if move.to == machines.SAME else move.to,
            "responsable": case.responsible,
            "contraparte": list(case.counterparties),
            "historia": [history],
            "historiaSha256": [eventchain.history_digest(history)],
            "hashAnterior": case.last_hash,
        }
        notices.append(
            OutboxItem(f"{request.folio}:{case.case}", case.responsible, "agregarEvento", event, case.case)
        )
    return notices


async def build_package(services: InstituteServices, request: ArcoRequest, today: date) -> dict[str, Any]:
    """The package that answers an access request: data, sources, recipients, purposes and the access log, refused attempts too."""
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
        "bloqueados": {
            what: since.isoformat() for what, since in services.rights.blocked(request.pid).items()
        },
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
