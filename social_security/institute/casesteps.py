"""A portability case moved on from the institute's own desk: the system builds the event, so that nobody types a total or a digest.

The event is kept as one to be sent and goes to the responsible institute first, at once, so that whoever asked hears a refusal;
with its answer it is queued for every other participant. Without an answer it is sent again until there is one. Histories and totals are those of this moment, shares are computed, terms are the calendar's.

Spec: the domain reference 5.2, 5.5 (Portability); F08, S03, S04.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from social_security.domain import eventchain
from social_security.domain import states as machines
from social_security.domain.faults import APPEAL_DAYS, DomainError, concerning
from social_security.domain.history import share, total
from social_security.domain.pseudonyms import Pid
from social_security.institute.caseevents import PERSONS, is_refused, notices_after, step_notice
from social_security.institute.casejoining import check_added
from social_security.institute.conventionrules import no_convention
from social_security.institute.history import build_history
from social_security.institute.portability import all_periods
from social_security.institute.portabilityrules import REGISTRY, in_force, senders_of_round
from social_security.wire.gatewayclient import GatewayAnswer, Why
from social_security.wire.outbox import Outbox, OutboxItem, Outcome
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from social_security.institute.services import InstituteServices
    from social_security.institute.stores.cases import Case, Logged

# The events that a desk, or the person, may cause here; the others are the clock's, an appeal's or a repair's.
STEPS: Final = (
    "ADMITIR",
    "SOLICITAR_HISTORIA",
    "ENTREGAR_HISTORIA",
    "PEDIR_ACLARACION",
    "ACLARAR",
    "TOTALIZAR",
    "PROYECTAR",
    "CONFORMAR",
    "INCONFORMAR",
    "CONFIRMAR_TRANSFERENCIA",
    "RESOLVER",
    "CERRAR",
    "RECHAZAR",
    "DESISTIR",
    "RECURRIR",
    "RECORDAR",
    "INVALIDAR",
    "AGREGAR_PARTICIPANTE",
)
# The roles in which the person acts, or who acts for her.
PERSON_ROLES: Final = frozenset(("TITULAR", "REPRESENTANTE"))
_WITH_HISTORY: Final = frozenset(("ENTREGAR_HISTORIA", "ACLARAR"))


def allowed_steps(case: Case, chain: Sequence[Logged], member: str, *, is_person: bool) -> list[str]:
    """The events of `STEPS` that a participant, or the person at the responsible institute, may cause in a case's state."""
    found = []
    for name in STEPS:
        move = machines.PORTABILITY.get((case.state, name))
        if move is None:
            continue
        may = {
            machines.Author.RESPONSIBLE: not is_person and member == case.responsible,
            machines.Author.COUNTERPARTY: not is_person and member in case.counterparties,
            machines.Author.PERSON: is_person and member == case.responsible,
            machines.Author.PARTICIPANT: not is_person,
            machines.Author.CLOCK: False,
            machines.Author.ANY: True,
        }[move.author]
        if may and (name != "INVALIDAR" or (not is_person and last_own(chain, member) is not None)):
            found.append(name)
    return found


def last_own(chain: Sequence[Logged], member: str) -> int | None:
    """The number of the event that a participant may take back: the last that moved the case, if it is its own and not the person's."""
    for logged in reversed(in_force(chain)):
        event = logged.event
        if event["evento"] == "INVALIDAR" or event["estadoNuevo"] == event["estadoPrevio"]:
            continue
        is_own = logged.sender == member and event["evento"] not in PERSONS and event["secuencia"] > 1
        return int(event["secuencia"]) if is_own else None
    return None


async def advance_case(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``avanzarCaso``: build the next event of a case, let the responsible institute take it, and queue it for the others.

    Raises SS-405 for another member or another person, SS-300 without such a case here, SS-400 for what may not follow, SS-901
    when the responsible institute does not answer, and whatever it refuses with.
    """
    if request.context.member != services.member:
        raise services.not_participant(request)
    case = services.cases.case(request.path["caso"])
    if case is None:
        raise DomainError("SS-300", field="caso")
    is_person = request.context.role in PERSON_ROLES
    if is_person and request.body.get("pid") != case.pid:
        raise services.not_participant(request)
    with concerning(case.pid):
        return await _advance(services, request, case, is_person=is_person)


async def _advance(
    services: InstituteServices, request: DomainRequest, case: Case, *, is_person: bool
) -> DomainAnswer:
    name = request.body["evento"]
    chain = services.cases.events(case.case)
    if name not in allowed_steps(case, chain, services.member, is_person=is_person):
        raise machines.not_allowed(case.state, name)
    event = await _build(services, request, case, name)
    notice, response = await _hand_over(services, request, case, event)
    if not response.is_done and name in machines.BY_ALL and response.body.get("codigo") == "SS-400":
        # Whether the round is complete is known at the responsible institute: another one's event may not have come here yet.
        other = event | {"estadoNuevo": _end_of_round(event)}
        notice_again, again = await _hand_over(services, request, case, other)
        if again.is_done:
            event, notice, response = other, notice_again, again
    if not response.is_done and not is_refused(response):
        raise DomainError(
            "SS-901",
            f"{case.responsible} no respondió; el paso se guardó y se enviará hasta que conteste",
            f"{case.responsible} did not answer; the step is kept and sent until it does",
        )
    if not response.is_done:
        raise _passed_on(response, case.responsible)
    services.outbox.note(notice, Outcome(done=True, then=notices_after(services.member, notice)))
    # On disk now, in one transaction: that the responsible institute took the event, and whom to tell of it.
    return DomainAnswer(
        {"caso": case.case, "evento": name, "estado": event["estadoNuevo"], "hash": response.body["hash"]},
        categories=("historia",) if name in _WITH_HISTORY else ("beneficio",),
        subject=case.pid,
    )


async def _hand_over(
    services: InstituteServices, request: DomainRequest, case: Case, event: dict[str, Any]
) -> tuple[OutboxItem, GatewayAnswer]:
    """The event to the responsible institute, while somebody waits for the answer; what was refused is kept nowhere."""
    notice = step_notice(event, request.context.role)
    with services.database.transaction() as connection:
        Outbox.put(connection, [notice])
    # On disk now: the event, as one to be sent. After a crash here the outbox sends it; the responsible institute takes it once,
    # whether it had taken it before or not, and then the others are told.
    response = await _send_event(services, case.responsible, event, request)
    if is_refused(response):
        with services.database.transaction() as connection:
            Outbox.take_back(connection, notice)
    return notice, response


async def _build(
    services: InstituteServices, request: DomainRequest, case: Case, name: str
) -> dict[str, Any]:
    """The event on the responsible institute's chain as it is now; this institute's own copy may be behind."""
    place = await _place(services, case)
    state = str(place["estado"])
    move = machines.portability_move(state, name)
    to = state if move.to == machines.SAME else move.to
    if name in machines.BY_ALL:
        done = senders_of_round(services.cases.events(case.case), name) | {services.member}
        to = to if done >= set(place["contrapartes"]) else state
    event: dict[str, Any] = {
        "caso": case.case,
        "secuencia": int(place["ultimaSecuencia"]) + 1,
        "evento": name,
        "estadoPrevio": state,
        "estadoNuevo": to,
        "responsable": case.responsible,
        "contraparte": list(place["contrapartes"]),
        "hashAnterior": place["ultimoHash"],
    }
    if name in _WITH_HISTORY:
        history = build_history(services, case.pid, await _pair(services, case))
        event |= {"historia": [history], "historiaSha256": [eventchain.history_digest(history)]}
    elif name == "TOTALIZAR":
        event["totalizacion"] = await _total(services, case, request.body.get("montoCentavos"))
    elif name == "RECHAZAR":
        event["negativa"] = _negativa(services, request)
    elif name == "AGREGAR_PARTICIPANTE":
        event["contraparte"] = await _with_added(services, request, case)
        event |= {} if case.deadline is None else {"fechaLimite": case.deadline.isoformat()}
    elif name == "INVALIDAR":
        chain = services.cases.events(case.case)
        undone = last_own(chain, services.member)
        if undone is None:
            raise machines.not_allowed(state, name)
        event |= {"anula": undone, "estadoNuevo": chain[undone - 1].event["estadoPrevio"]}
    return event


def _end_of_round(event: Mapping[str, Any]) -> str:
    """The state that an event of all leads to if this institute's own copy is mistaken about who else has caused it."""
    state = str(event["estadoPrevio"])
    to = machines.portability_move(state, event["evento"]).to
    return to if event["estadoNuevo"] == state else state


async def _place(services: InstituteServices, case: Case) -> Mapping[str, Any]:
    """State, number and hash of the last event at the responsible institute. Raises SS-901 when it does not answer."""
    if case.responsible == services.member:
        return case.to_json()
    why = Why("PUR-PORT", case.case, "ANALISTA_PORTABILIDAD", "Siguiente paso del caso")
    response = await services.gateway.ask("PORT", case.responsible, "verCaso", {}, why)
    if not response.is_done:
        raise _passed_on(response, case.responsible)
    return response.body


async def _pair(services: InstituteServices, case: Case) -> Pid:
    """The pseudonym under which this institute speaks of the person to the responsible one; its own PID to itself."""
    if case.responsible == services.member:
        return case.pid
    why = Why("PUR-PORT", case.case, "ANALISTA_PORTABILIDAD", "Entrega de la historia")
    response = await services.gateway.ask(
        "PORT", REGISTRY, "traducirPid", {"pid": case.pid, "destino": case.responsible}, why
    )
    if not response.is_done:
        raise _passed_on(response, REGISTRY)
    return Pid(response.body["pidPar"])


async def _with_added(services: InstituteServices, request: DomainRequest, case: Case) -> list[str]:
    """The counterparties with those that join: the convention covers each, and the registry can name the person to it.

    Raises SS-400, what `no_convention` gives, and the registry's refusals.
    """
    added = request.body.get("contrapartes", ())
    parties = [*case.counterparties, *added]
    check_added(case, parties)
    members = (case.responsible, *parties)
    if await services.conventions.find(members, request.today, case.convention) is None:
        raise no_convention(services, request, members)
    for member in added:
        why = Why("PUR-PORT", case.case, "ANALISTA_PORTABILIDAD", "Un instituto entra al caso")
        body = {"pid": case.pid, "destino": member}
        response = await services.gateway.ask("PORT", REGISTRY, "traducirPid", body, why)
        if not response.is_done:
            raise _passed_on(response, REGISTRY)
    return parties


async def _total(services: InstituteServices, case: Case, amount: int | None) -> dict[str, Any]:
    """The totals of all periods by the convention's rules, with each institute's share of a monthly amount in centavos."""
    await services.conventions.read()
    convention = next((c for c in services.conventions.known() if c.id == case.convention), None)
    if convention is None:
        raise DomainError(
            "SS-503",
            f"ONIESS no publica el convenio {case.convention}",
            f"ONIESS does not publish convention {case.convention}",
            field="convenio",
        )
    made = total(all_periods(services, case, services.cases.events(case.case)), convention.rules)
    if amount is None or made.union_days == 0:
        return made.to_json()
    return made.to_json(share(amount, made.parts))


def _negativa(services: InstituteServices, request: DomainRequest) -> dict[str, Any]:
    """The refusal that a rejection leaves: who decides on an appeal, and until when, are this institute's own."""
    body = request.body
    for name in ("codigo", "fundamento", "motivacion"):
        if not body.get(name, "").strip():
            raise DomainError(
                "SS-400",
                f"un rechazo dice su {name}",
                f"a rejection states its {name}",
                field=name,
            )
    return {
        "codigo": body["codigo"],
        "fundamento": body["fundamento"].strip(),
        "motivacion": body["motivacion"].strip(),
        "medioImpugnacion": "Recurso de inconformidad",
        "autoridad": services.guarantor,
        "limiteImpugnacion": services.calendar.add(request.today, APPEAL_DAYS).isoformat(),
    }


async def _send_event(
    services: InstituteServices, member: str, event: dict[str, Any], request: DomainRequest
) -> GatewayAnswer:
    why = Why(
        "PUR-PORT",
        event["caso"],
        request.context.role,
        request.context.reason,
        request.context.user.rpartition(":")[2],
    )
    return await services.gateway.ask("PORT", member, "agregarEvento", event, why)


def _passed_on(response: GatewayAnswer, member: str) -> DomainError:
    """What another institute refused with, word for word; SS-901 when it did not answer."""
    code = response.body.get("codigo")
    if isinstance(code, str) and isinstance(response.body.get("mensaje"), str):
        return DomainError(
            code, response.body["mensaje"], str(response.body.get("message", response.body["mensaje"]))
        )
    if isinstance(code, str) and isinstance(response.body.get("motivacion"), str):
        both = response.body["motivacion"].split(" / ")
        return DomainError(code, both[0], both[-1])
    return DomainError("SS-901", f"{member} no respondió", f"{member} did not answer")
