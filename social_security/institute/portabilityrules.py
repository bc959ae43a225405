"""What a portability event must hold besides its place in the table: refusals, totals that still stand, shares, terms, the lock.

The registry holds one open case a benefit and person. A case takes the lock when it is opened, keeps it while it is open,
and gives it back at every end; the registry lets a lock lapse that nobody has renewed.

Spec: the domain reference 3.3, 3.6, 5.5 (Portability, guards).
"""

from __future__ import annotations

import operator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from social_security.domain import pack
from social_security.domain import states as machines
from social_security.domain.faults import APPEAL_DAYS, FEDERAL_GUARANTOR, DomainError
from social_security.domain.history import check_history
from social_security.institute.history import own_periods
from social_security.wire.gatewayclient import Why
from social_security.wire.outbox import OutboxItem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from social_security.domain.calendars import Calendar
    from social_security.domain.edition import Edition
    from social_security.domain.pseudonyms import Pid
    from social_security.institute.services import InstituteServices
    from social_security.institute.stores.cases import Case, Logged
    from social_security.wire.service import DomainRequest

REGISTRY: Final = "MX/GOB/00-RNSS"
# Working days from the application to the decision (IND-04), by the calendar of the responsible institute.
TERM_DAYS: Final = 60
# When she applied (of a case opened anew because somebody had left: the first time), and the last day of the case.
DAYS: Final = ("presentadaEl", "fechaLimite")
# By how much the terms of two editions of a calendar may differ: a holiday or two more or fewer.
_AN_EDITION: Final = timedelta(days=7)
# What is owed to those whom a person leaves behind.
SURVIVORS: Final = frozenset(("VIUDEZ", "ORFANDAD", "ASCENDENCIA", "GASTOS_FUNERARIOS", "DEVOLUCION_CUOTAS"))
# The event that begins a round in which every counterparty acts once.
_ROUNDS: Final = {"ENTREGAR_HISTORIA": "SOLICITAR_HISTORIA", "CONFIRMAR_TRANSFERENCIA": "CONFORMAR"}


def due_on(services: InstituteServices, responsible: str, presented: date) -> date:
    """The last day of a case, by the calendar of its responsible institute; its own where this is that institute."""
    return calendar_of(services, responsible).add(presented, TERM_DAYS)


def due_from(services: InstituteServices, responsible: str, first: date, today: date) -> date:
    """The last day of a case that is opened ``today`` and was applied for on the ``first`` day: the term goes on from then.

    Where that term is over already a new one begins, so that she is not refused by the clock as soon as she is heard; the first
    day stays hers.
    """
    due = due_on(services, responsible, first)
    return due if due >= today else due_on(services, responsible, today)


def with_days(
    services: InstituteServices, event: dict[str, Any], before: date | None, today: date
) -> dict[str, Any]:
    """The opening with its `DAYS`: when she first applied, as the registry has it, and the term. Raises SS-404 where others came."""
    first = today if before is None else min(before, today)
    last = due_from(services, services.member, first, today)
    days = {"presentadaEl": first.isoformat(), "fechaLimite": last.isoformat()}
    for name, day in days.items():
        if event.get(name, day) != day:
            raise DomainError(
                "SS-404",
                f"{name} es {day}; llegó {event[name]}",
                f"{name} is {day}; {event[name]} came",
                field=name,
            )
    return event | days


def check_days(services: InstituteServices, event: dict[str, Any], today: date) -> None:
    """Refuse an opening by another institute without its days (SS-100), or with a term that is not the law's (SS-404).

    The responsible institute's count holds, whenever it is heard of: of the term from the day on which she applied, or, where that
    was over when the case was opened, of a new one from a day up to today. Its calendar may be another edition than this one's.
    """
    for name in DAYS:
        if name not in event:
            raise DomainError(
                "SS-100",
                f"PRESENTAR lleva {name}, como lo respondió abrirCaso",
                f"PRESENTAR carries {name}, as abrirCaso answered it",
                field=name,
            )
    sent, first = (date.fromisoformat(event[n]) for n in ("fechaLimite", "presentadaEl"))
    least = due_on(services, event["responsable"], first)
    most = due_from(services, event["responsable"], first, today)
    if not least - _AN_EDITION <= sent <= most + _AN_EDITION:
        raise DomainError(
            "SS-404",
            f"el plazo desde el {first} termina el {most}; llegó {sent}",
            f"the term from {first} ends on {most}; {sent} came",
            field="fechaLimite",
        )


def calendar_of(services: InstituteServices, member: str) -> Calendar:
    """The calendar that a member counts by: this institute's own, or what is published of another's."""
    return services.publication.calendar(member.rpartition("/")[2])


def has_lapsed(services: InstituteServices, case: Case, today: date) -> bool:
    """Whether the clock ends a case: its last day has passed, or one who takes part has left and nobody acts for it in this case."""
    is_over = case.deadline is not None and today > case.deadline
    return is_over or bool(services.edition.left_among(case.participants))


def check_due(services: InstituteServices, event: dict[str, Any], case: Case) -> None:
    """Refuse a date that the sender computed otherwise: terms are the law's calendar's, nobody sends them (SS-404).

    The responsible institute's count is the one that holds. Another participant may have heard of the case days later, so
    that by its own count the term still runs; a day after that count can be nobody's.
    """
    sent, deadline = event.get("fechaLimite"), case.deadline
    if sent is None:
        return
    is_earlier = services.member != case.responsible and deadline is not None and sent <= deadline.isoformat()
    if deadline is None or (sent != deadline.isoformat() and not is_earlier):
        raise DomainError(
            "SS-404",
            f"el plazo lo da el calendario: {deadline or 'ninguno'}; llegó {sent}",
            f"the term is the calendar's: {deadline or 'none'}; {sent} came",
            field="fechaLimite",
        )


def check_parties(event: dict[str, Any], case: Case) -> None:
    """Refuse an event that speaks of other parties than the case has (SS-405), or names one twice (SS-400)."""
    others = event["contraparte"]
    if len(set(others)) != len(others) or case.responsible in others:
        raise DomainError(
            "SS-400", "una contraparte se nombra una vez", "a counterparty is named once", field="contraparte"
        )
    if event["responsable"] != case.responsible:
        raise DomainError(
            "SS-405",
            f"la responsable de {case.case} es {case.responsible}, no {event['responsable']}",
            f"{case.responsible} is responsible for {case.case}, not {event['responsable']}",
            field="responsable",
        )
    if event["evento"] != "AGREGAR_PARTICIPANTE" and sorted(others) != sorted(case.counterparties):
        raise DomainError(
            "SS-405",
            f"las contrapartes de {case.case} son {', '.join(case.counterparties)}",
            f"the counterparties of {case.case} are {', '.join(case.counterparties)}",
            field="contraparte",
        )


async def is_taken_already(
    services: InstituteServices, request: DomainRequest, event: dict[str, Any]
) -> bool:
    """Whether the responsible institute has taken this institute's own event, so that its copy here may only follow.

    Between that and the copy's turn days may pass, and a period may change; such an event stands all the same.
    """
    is_own = request.context.member == services.member and event["responsable"] != services.member
    if not is_own or event["evento"] not in ("CONFIRMAR_TRANSFERENCIA", "RECHAZAR"):
        return False
    why = Why("PUR-PORT", request.context.case, "ANALISTA_PORTABILIDAD", "Estado del caso en su responsable")
    response = await services.gateway.ask("PORT", event["responsable"], "verCaso", {}, why)
    return response.is_done and int(response.body["ultimaSecuencia"]) >= event["secuencia"]


def check_negativa(
    services: InstituteServices, request: DomainRequest, event: dict[str, Any], *, is_taken: bool
) -> None:
    """A refusal leaves a ``Negativa``: basis, reasons, and where and until when its author's refusal is appealed (SS-400).

    Raises `DomainError` (SS-400).
    """
    negativa = event.get("negativa")
    if event["evento"] != "RECHAZAR":
        return
    if (
        negativa is None
        or not negativa["medioImpugnacion"].strip()
        or len(negativa["motivacion"].split()) < 3
    ):
        raise DomainError(
            "SS-400",
            "rechazar exige negativa con causa, fundamento y medio de impugnación",
            "a rejection needs its negativa: cause, legal basis and remedy",
            field="negativa",
        )
    row = pack.errors().get(negativa["codigo"])
    if row is None or not row.is_refusal:
        raise DomainError(
            "SS-400",
            f"{negativa['codigo']} no es causa de negativa",
            f"{negativa['codigo']} is no cause of a refusal",
            field="negativa.codigo",
        )
    sender = request.context.member.rpartition("/")[2]
    authorities = (f"MX/GAR/{sender[:2]}-GARANTE", FEDERAL_GUARANTOR)
    if negativa["autoridad"] not in authorities:
        raise DomainError(
            "SS-400",
            f"la autoridad de {sender} es {authorities[0]}, no {negativa['autoridad']}",
            f"the authority for {sender} is {authorities[0]}, not {negativa['autoridad']}",
            field="negativa.autoridad",
        )
    last = calendar_of(services, request.context.member).add(request.today, APPEAL_DAYS).isoformat()
    # Elsewhere the event may arrive days after it was made; its author's own system holds it to the day, unless it stands already.
    is_own = request.context.member == services.member and not is_taken
    if is_own and negativa["limiteImpugnacion"] != last:
        raise DomainError(
            "SS-400",
            f"se impugna hasta {last}, no hasta {negativa['limiteImpugnacion']}",
            f"the last day to appeal is {last}, not {negativa['limiteImpugnacion']}",
            field="negativa.limiteImpugnacion",
        )


def senders_of_round(chain: Sequence[Logged], name: str) -> set[str]:
    """Who has caused an event in the round that runs: since its beginning, without what was taken back."""
    done: set[str] = set()
    for logged in in_force(chain):
        if logged.event["evento"] == _ROUNDS[name]:
            done.clear()
        elif logged.event["evento"] == name:
            done.add(logged.sender)
    return done


def in_force(chain: Sequence[Logged]) -> list[Logged]:
    """The events of a case without those that their authors have taken back: nothing of these counts any more."""
    undone = {e.event.get("anula") for e in chain if e.event["evento"] == "INVALIDAR"}
    return [e for e in chain if e.event["secuencia"] not in undone]


def last_total(chain: Sequence[Logged]) -> dict[str, Any] | None:
    """The totals that the case goes by; None when a history has changed or an institute has joined since, or there were none."""
    for logged in reversed(in_force(chain)):
        if logged.event["evento"] in ("ACLARAR", "ENTREGAR_HISTORIA", "AGREGAR_PARTICIPANTE"):
            return None
        if logged.event["evento"] == "TOTALIZAR":
            found: dict[str, Any] | None = logged.event.get("totalizacion")
            return found
    return None


def check_all_delivered(case: Case, chain: Sequence[Logged]) -> None:
    """Refuse totals without the history of an institute that joined later: nobody's years are left out (SS-406)."""
    given = {e.sender for e in in_force(chain) if e.event["evento"] in ("ENTREGAR_HISTORIA", "ACLARAR")}
    missing = ", ".join(m for m in case.counterparties if m not in given)
    if missing:
        raise DomainError(
            "SS-406",
            f"falta la historia de {missing}, que la entrega con ACLARAR",
            f"the history of {missing} is missing; it delivers it with ACLARAR",
            field="totalizacion",
        )


def check_delivered(services: InstituteServices, case: Case, chain: Sequence[Logged]) -> None:
    """A counterparty confirms only what it still certifies: otherwise it sends ACLARAR first (SS-503). Raises `DomainError` (SS-503)."""
    delivered = next(
        (
            h
            for e in reversed(in_force(chain))
            for h in e.event.get("historia", ())
            if h["instituto"] == services.member and e.sender == services.member
        ),
        None,
    )
    if delivered is None:
        return
    key = operator.attrgetter("since", "until")
    if sorted(check_history(delivered), key=key) != sorted(own_periods(services, case.pid), key=key):
        raise DomainError(
            "SS-503",
            f"{services.member} certifica otra cosa que lo entregado; envíe ACLARAR",
            f"{services.member} certifies something else than what it delivered; send ACLARAR",
        )


def check_living(services: InstituteServices, pid: Pid, benefit: str) -> None:
    """Refuse a benefit that only a living person has, once her death is on file here (SS-302)."""
    died = services.vital.died(pid)
    if died is not None and benefit not in SURVIVORS:
        allowed = ", ".join(sorted(SURVIVORS))
        raise DomainError(
            "SS-302",
            f"consta su fallecimiento el {died}; quedan {allowed}",
            f"her death on {died} is on file; what is left: {allowed}",
            field="beneficio",
        )


async def still_holds(services: InstituteServices, case: Case) -> bool:
    """Whether a case holds its benefit. Of another's case the copy here may be behind: its responsible institute is asked.

    One that has ended there, or whose institute has left, ends here too; when nobody answers, the copy counts.
    """
    if not machines.holds_lock(case.state):
        return False
    if services.edition.left_among((case.responsible,)):
        services.cases.end_copy(case.case, "VENCIDA")
        return False
    if case.responsible == services.member:
        return True
    why = Why("PUR-PORT", case.case, "ANALISTA_PORTABILIDAD", "Estado del caso que retiene el beneficio")
    response = await services.gateway.ask("PORT", case.responsible, "verCaso", {}, why)
    state = response.body.get("estado") if response.is_done else None
    if state in machines.CLOSED:
        services.cases.end_copy(case.case, str(state))
        return False
    return state is None or machines.holds_lock(str(state))


async def take_lock(
    services: InstituteServices, request: DomainRequest, pid: str, benefit: str
) -> date | None:
    """Take the registry's lock for a benefit and person; when she first applied for it, where that case ended by a leaving.

    Raises SS-205 naming the case that holds it, or SS-901.
    """
    case = request.context.case
    why = Why("PUR-PORT", case, request.context.role, "Un solo caso abierto por beneficio")
    body = {"pid": pid, "caso": case, "estado": "ABIERTO", "beneficio": benefit}
    response = await services.gateway.ask("PORT", REGISTRY, "registrarCaso", body, why)
    if response.body.get("codigo") == "SS-300":
        raise DomainError(
            "SS-300", "el registro no conoce ese pid", "the registry knows no such pid", field="pid"
        )
    if not response.is_done:
        raise DomainError("SS-901", "el registro no respondió", "the registry did not answer")
    if response.body["resultado"] == "DUPLICADO":
        raise benefit_taken(services.edition, response.body["caso"])
    return date.fromisoformat(response.body["presentadaEl"]) if "presentadaEl" in response.body else None


def benefit_taken(edition: Edition, case: str) -> DomainError:
    """The refusal that names the case, and its institutes' state, which holds a benefit."""
    entity = case.split("-")[1]
    holders = ", ".join(
        m.path for c, m in edition.members.items() if c[:2] == entity and m.member_class == "GOB"
    )
    return DomainError(
        "SS-205",
        f"{case} está abierto por el mismo beneficio ({holders})",
        f"{case} is open for the same benefit ({holders})",
        field="beneficio",
    )


def lock_notice(services: InstituteServices, before: Case, after: Case, sequence: int) -> list[OutboxItem]:
    """The notices to the registry when a case of this institute ends, or an appeal opens it again; empty otherwise."""
    if after.responsible != services.member or machines.holds_lock(before.state) == machines.holds_lock(
        after.state
    ):
        return []
    state = "ABIERTO" if machines.holds_lock(after.state) else _ended(after.state)
    body: dict[str, Any] = {"pid": after.pid, "caso": after.case, "estado": state, "beneficio": after.benefit}
    is_over = after.deadline is not None and services.today() > after.deadline
    if after.state == "VENCIDA" and not is_over and services.edition.left_among(after.participants):
        body["porSalida"] = True
    return [OutboxItem(f"{after.case}:{sequence}", REGISTRY, "registrarCaso", body, after.case)]


def _ended(state: str) -> str:
    return "NEGADO" if state == "RECHAZADA" else "CERRADO"
