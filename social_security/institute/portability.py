"""Portability cases: every participant holds the same chain of events, checks each by itself, and keeps only its own PID.

An event is posted by its author to every participant, its own institute included. A receiver refuses what the table does
not allow (SS-400), what does not follow its chain (SS-401), what comes twice with another content (SS-402), what nobody in
the case sent (SS-405), and totals that the periods do not give (SS-406).

Spec: the domain reference 5.2, 5.5 (Portability); S03, S04.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

from social_security.domain import eventchain
from social_security.domain import states as machines
from social_security.domain.calendars import latest_day
from social_security.domain.faults import DomainError, concerning
from social_security.domain.history import check_history, check_total, check_total_alone, total
from social_security.institute.caseevents import PERSONS
from social_security.institute.casejoining import check_added, read_antecedents
from social_security.institute.conventionrules import no_convention
from social_security.institute.history import own_periods
from social_security.institute.portabilityrules import (
    DAYS,
    benefit_taken,
    check_all_delivered,
    check_days,
    check_delivered,
    check_due,
    check_living,
    check_negativa,
    check_parties,
    due_from,
    due_on,
    has_lapsed,
    in_force,
    is_taken_already,
    last_total,
    lock_notice,
    senders_of_round,
    still_holds,
    take_lock,
    with_days,
)
from social_security.institute.stores.cases import Case, Logged
from social_security.wire.outbox import Outbox, OutboxItem
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from social_security.domain.history import Period
    from social_security.domain.pseudonyms import Pid
    from social_security.institute.services import InstituteServices

_PERSON_ROLES = frozenset(("TITULAR", "REPRESENTANTE"))
# Events that go on from the totals: they are looked at again each time.
_ON_TOTALS = ("PROYECTAR", "CONFORMAR", "RESOLVER", "CERRAR")


def first_event(case_number: str, member: str, body: dict[str, Any]) -> dict[str, Any]:
    """The event that opens a case, as every participant computes it.

    `DAYS` are in it as the responsible institute counts them: every participant shows the same.
    """
    return {
        "caso": case_number,
        "secuencia": 1,
        "evento": "PRESENTAR",
        "estadoPrevio": "BORRADOR",
        "estadoNuevo": "PRESENTADA",
        "responsable": member,
        "contraparte": body["contrapartes"],
        "convenio": body["convenio"],
        "beneficio": body["beneficio"],
        "hashAnterior": eventchain.START,
    } | {k: body[k] for k in DAYS if k in body}


async def open_case(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``abrirCaso``: the responsible institute opens the case at its own system. Raises `DomainError` (SS-402)."""
    if request.context.member != services.member:
        raise services.not_participant(request)
    event = first_event(request.context.case, services.member, dict(request.body)) | {
        "pid": request.body["pid"]
    }
    if services.cases.case(request.context.case) is not None:
        raise DomainError(
            "SS-402", "el caso ya está abierto", "the case is open already", field="X-Road-Issue"
        )
    await _present(services, request, event)
    case = services.cases.case(request.context.case)
    assert case is not None  # just made
    if request.body.get("avisar", False):
        _announce(services, case)
    return DomainAnswer(case.to_json(), 201, ("historia",), case.pid)


def _announce(services: InstituteServices, case: Case) -> None:
    """Queue the opening for the counterparties; the token that names the person to each is asked for when it is sent."""
    (first,) = services.cases.events(case.case)
    event = first.event
    with services.database.transaction() as connection:
        Outbox.put(
            connection,
            [OutboxItem(f"{case.case}:1", m, "agregarEvento", event, case.case) for m in case.counterparties],
        )


def see_case(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``verCaso``: the state, for a participant. Raises `DomainError` (SS-300)."""
    case = services.cases.case(request.path["caso"])
    if case is None:
        raise DomainError("SS-300", field="caso")
    if request.context.member not in case.participants:
        raise services.not_participant(request)
    return DomainAnswer(case.to_json())


async def take_event(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """``agregarEvento``: check an event against everything this participant knows, and append it.

    Raises `DomainError` (SS-200, SS-205, SS-402, SS-401).
    """
    event = dict(request.body)
    if event["caso"] != request.context.case:
        raise DomainError("SS-200", field="caso")
    eventchain.check_histories(event)
    if event["evento"] in ("TOTALIZAR", "AGREGAR_PARTICIPANTE", *_ON_TOTALS):
        # Before the case is read: from there to its event's append nothing waits, so no other event comes between.
        await services.conventions.read()
    is_taken = await is_taken_already(services, request, event)
    case = services.cases.case(event["caso"])
    if case is None:
        come_in = {"PRESENTAR": _present, "AGREGAR_PARTICIPANTE": _join}.get(event["evento"])
        if come_in is None:
            raise DomainError("SS-205", "el caso no existe aquí", "there is no such case here", field="caso")
        return _acknowledged(*await come_in(services, request, event))
    chain = services.cases.events(case.case)
    if event["secuencia"] == 1 and services.member == case.responsible:
        event = {k: chain[0].event[k] for k in DAYS if k in chain[0].event} | event
    digest = eventchain.event_hash(event)
    # The chain says where the case stands. Its row may say already that it has ended elsewhere (`end_copy`), of which the events
    # are still on their way.
    case = replace(case, state=str(chain[-1].event["estadoNuevo"]))
    if request.context.member not in case.participants:
        raise services.not_participant(request)
    if event["secuencia"] <= len(chain):
        if chain[event["secuencia"] - 1].hash != digest:
            raise DomainError("SS-402", field="secuencia")
        return _acknowledged(digest)
    if event["hashAnterior"] != case.last_hash or event["secuencia"] != len(chain) + 1:
        raise DomainError("SS-401", field="hashAnterior")
    check_parties(event, case)
    check_due(services, event, case)
    after = _after(services, request, case, chain, event)
    _check_content(services, request, case, chain, event, is_taken=is_taken)
    if services.member == case.responsible and machines.holds_lock(after.state) > machines.holds_lock(
        case.state
    ):
        # An appeal that was won opens the case again: the benefit must still be free.
        await take_lock(services, request, case.pid, case.benefit)
        if services.cases.case(case.case) != case:
            raise DomainError("SS-401", field="hashAnterior")
    notices = lock_notice(services, case, after, event["secuencia"])
    services.cases.append(after, event, digest, request.context.member, request.now, notices)
    return _acknowledged(digest, case.pid)


async def _present(
    services: InstituteServices, request: DomainRequest, event: dict[str, Any]
) -> tuple[str, Pid]:
    """Open a case by its first event; the digest of that, and whose it is."""
    _check_presented(services, request, event)
    pid = services.subject(request).pid
    with concerning(pid):
        before = await _check_free(services, request, event, pid)
        if services.member == event["responsable"]:
            event = with_days(services, event, before, request.today)
        else:
            check_days(services, event, request.today)
        case = Case(
            event["caso"],
            pid,
            event["responsable"],
            tuple(event["contraparte"]),
            event["convenio"],
            event["beneficio"],
            "PRESENTADA",
            date.fromisoformat(event["fechaLimite"]),
            0,
            eventchain.START,
            date.fromisoformat(event["presentadaEl"]),
        )
        digest = eventchain.event_hash(event)
        # The case and its event are on disk from here on, in one transaction. A crash before it leaves the benefit locked at
        # the registry under this case alone: the same event, sent again, takes the lock again and goes on.
        services.cases.append(case, event, digest, request.context.member, request.now)
    return digest, pid


async def _join(
    services: InstituteServices, request: DomainRequest, event: dict[str, Any]
) -> tuple[str, Pid]:
    """Come into a case that others have open, with the events before; the digest of the event, and whose it is.

    Raises SS-405 for another sender than the responsible institute, SS-205 without the events before, and what
    `read_antecedents`, `_check_free` and the person's reference give.
    """
    if event["responsable"] != request.context.member or services.member not in event["contraparte"]:
        raise services.not_participant(request)
    if "antecedentes" not in event:
        raise DomainError("SS-205", "el caso no existe aquí", "there is no such case here", field="caso")
    chain = read_antecedents(request.operation, event)
    first = chain[0].event
    _check_presented(services, request, first, joined=True)
    pid = services.subject(request).pid
    with concerning(pid):
        await _check_free(services, request, first | {"contraparte": event["contraparte"]}, pid)
        # The responsible institute's term counts; by this one's count of the days it may only be shorter.
        presented = date.fromisoformat(first.get("presentadaEl", request.today.isoformat()))
        last = due_from(services, event["responsable"], presented, request.today)
        counted = event.get("fechaLimite", first.get("fechaLimite"))
        deadline = last if counted is None else min(last, date.fromisoformat(counted))
        case = Case(
            event["caso"], pid, event["responsable"], tuple(event["contraparte"]), first["convenio"],
            first["beneficio"], event["estadoNuevo"], deadline, len(chain), event["hashAnterior"], presented,
        )  # fmt: skip
        digest = eventchain.event_hash(event)
        # The case with its whole chain is on disk from here on, in one transaction; a crash before it leaves nothing, and the
        # responsible institute sends the event again.
        services.cases.append(case, event, digest, request.context.member, request.now, before=chain)
    return digest, pid


def _check_presented(
    services: InstituteServices, request: DomainRequest, event: dict[str, Any], *, joined: bool = False
) -> None:
    """Refuse a first event that is not its sender's to present, is another than the case's form, or has another entity's number.

    Who has ``joined`` later is not among those whom the first event names.
    """
    parties = (event["responsable"], *event["contraparte"])
    if event["responsable"] != request.context.member or (services.member in parties) == joined:
        raise services.not_participant(request)
    expected = first_event(
        event["caso"],
        event["responsable"],
        {
            "contrapartes": event["contraparte"],
            "convenio": event.get("convenio", ""),
            "beneficio": event.get("beneficio", ""),
            **{k: event[k] for k in DAYS if k in event},
        },
    )
    if {k: v for k, v in event.items() if k not in ("pid", "testigo")} != expected:
        raise machines.not_allowed("BORRADOR", str(event["evento"]))
    # Where the sender is it may be a day later than here.
    today = latest_day(request.now)
    if event.get("presentadaEl", "") > today.isoformat():
        raise DomainError(
            "SS-103",
            f"se presentó a más tardar hoy, {today}, no el {event['presentadaEl']}",
            f"she applied today, {today}, at the latest, not on {event['presentadaEl']}",
            field="presentadaEl",
        )
    entity = event["responsable"].rpartition("/")[2][:2]
    if event["caso"].split("-")[1] != entity:
        raise DomainError(
            "SS-200", f"el caso debe llevar la entidad {entity}", f"the case must carry entity {entity}"
        )


async def _check_free(
    services: InstituteServices, request: DomainRequest, event: dict[str, Any], pid: Pid
) -> date | None:
    """Refuse a case that no convention covers, or whose benefit another one holds; here the benefit is locked for it.

    When she first applied, as the registry tells the responsible institute where that case ended by a leaving; else None.

    Raises SS-400, SS-302, SS-205, SS-402 and what `no_convention` gives.
    """
    members = (event["responsable"], *event["contraparte"])
    if len(set(members)) != len(members):
        raise DomainError(
            "SS-400",
            "una contraparte se nombra una vez",
            "a counterparty is named once",
            field="contrapartes",
        )
    services.edition.check_present(members, "contrapartes")
    convention = await services.conventions.find(members, request.today, event["convenio"])
    if convention is None or event["beneficio"] not in convention.benefits:
        benefit = event["beneficio"] if convention is not None else ""
        raise no_convention(services, request, members, benefit)
    if services.member == event["responsable"]:
        check_living(services, pid, event["beneficio"])
    for other in services.cases_of(pid):
        if other.benefit == event["beneficio"] and await still_holds(services, other):
            raise benefit_taken(services.edition, other.case)
    first = None
    if services.member == event["responsable"]:
        first = await take_lock(services, request, pid, event["beneficio"])
    if services.cases.case(event["caso"]) is not None:  # the same request, sent twice at a time
        raise DomainError("SS-402", "el caso ya está abierto", "the case is open already", field="caso")
    return first


def _after(
    services: InstituteServices,
    request: DomainRequest,
    case: Case,
    chain: list[Logged],
    event: dict[str, Any],
) -> Case:
    """The case after the event, whose states must be those that the table gives."""
    name = event["evento"]
    move = machines.portability_move(case.state, name)
    _check_author(services, request, case, move.author)
    to = move.to
    counterparties = case.counterparties
    if name == "INVALIDAR":
        to = _state_before(request, chain, event)
    elif name == "AGREGAR_PARTICIPANTE":
        counterparties = tuple(event["contraparte"])
        check_added(case, counterparties)
        services.edition.check_present(counterparties, "contraparte")
        convention = next((c for c in services.conventions.known() if c.id == case.convention), None)
        if convention is None or not convention.covers((case.responsible, *counterparties), request.today):
            raise no_convention(services, request, (case.responsible, *counterparties))
        to = case.state
    elif to == machines.SAME:
        to = case.state
    elif name in machines.BY_ALL:
        done = senders_of_round(chain, name) | {request.context.member}
        to = to if done >= set(case.counterparties) else case.state
    if (event["estadoPrevio"], event["estadoNuevo"]) != (case.state, to):
        raise DomainError(
            "SS-400",
            f"se esperaba {case.state} → {to}, llegó {event['estadoPrevio']} → {event['estadoNuevo']}",
            f"{case.state} → {to} was expected, {event['estadoPrevio']} → {event['estadoNuevo']} came",
        )
    return Case(
        case.case,
        case.pid,
        case.responsible,
        counterparties,
        case.convention,
        case.benefit,
        to,
        _deadline_after(services, case, to, request),
        case.sequence,
        case.last_hash,
        case.presented,
    )


def _deadline_after(services: InstituteServices, case: Case, to: str, request: DomainRequest) -> date | None:
    """The last day of a case; a decided one that a rectification opens again begins a new term, so that it does not lapse at once."""
    if case.state == "RESUELTA" and to == "HISTORIA_RECIBIDA":
        return due_on(services, case.responsible, request.today)
    return case.deadline


def _state_before(request: DomainRequest, chain: list[Logged], event: dict[str, Any]) -> str:
    """The state that an event's taking back leads to: the one before it. Raises SS-400 for anybody but its author."""
    undone = chain[event["anula"] - 1] if 1 < event.get("anula", 0) <= len(chain) else None
    is_hers = undone is not None and undone.event["evento"] in PERSONS
    if undone is not None and undone.event["evento"] == "AGREGAR_PARTICIPANTE":
        raise DomainError("SS-400", "nadie sale de un caso", "nobody leaves a case", field="anula")
    if (
        undone is None
        or undone.sender != request.context.member
        or (is_hers and request.context.role not in _PERSON_ROLES)
    ):
        raise DomainError("SS-400", "sólo el autor invalida su evento", "only the author takes an event back")
    _check_undone(chain, undone)
    return str(undone.event["estadoPrevio"])


def _check_undone(chain: list[Logged], undone: Logged) -> None:
    """Refuse to take back an event twice, or one on which others' events stand since: those stay true (SS-400)."""
    if undone not in in_force(chain) or undone.event["evento"] == "INVALIDAR":
        raise DomainError(
            "SS-400", "ese evento ya no está vigente", "that event is no longer in force", field="anula"
        )
    later = [e for e in in_force(chain) if e.event["secuencia"] > undone.event["secuencia"]]
    moved = [
        e
        for e in later
        if e.event["estadoNuevo"] != e.event["estadoPrevio"] and e.event["evento"] != "INVALIDAR"
    ]
    if moved:
        raise DomainError(
            "SS-400",
            f"después de él el caso avanzó con {moved[-1].event['evento']}; se invalida primero",
            f"the case has gone on since by {moved[-1].event['evento']}; that one is taken back first",
            field="anula",
        )


def _check_author(
    services: InstituteServices, request: DomainRequest, case: Case, author: machines.Author
) -> None:
    sender, role = request.context.member, request.context.role
    allowed = {
        machines.Author.ANY: True,
        machines.Author.RESPONSIBLE: sender == case.responsible and role not in _PERSON_ROLES,
        machines.Author.COUNTERPARTY: sender in case.counterparties,
        machines.Author.PERSON: sender == case.responsible and role in _PERSON_ROLES,
        machines.Author.PARTICIPANT: role not in _PERSON_ROLES,
        machines.Author.CLOCK: sender == case.responsible and role == "SISTEMA",
    }[author]
    if not allowed:
        raise services.not_participant(request)
    if (
        author is machines.Author.PERSON
        and role == "TITULAR"
        and services.vital.died(case.pid) is not None
        and services.member == case.responsible
    ):
        raise DomainError(
            "SS-302", "por ella actúa su representante", "her representative acts for her", field="X-OSS-Rol"
        )
    if author is machines.Author.CLOCK and not has_lapsed(services, case, request.today):
        raise DomainError("SS-404", "el plazo no ha vencido", "the deadline has not passed")


def _check_content(
    services: InstituteServices,
    request: DomainRequest,
    case: Case,
    chain: list[Logged],
    event: dict[str, Any],
    *,
    is_taken: bool,
) -> None:
    for history in event.get("historia", ()):
        if history["instituto"] != request.context.member:
            raise DomainError(
                "SS-405", "certifica otro instituto", "another institute certifies", field="historia"
            )
        check_history(history)
    check_negativa(services, request, event, is_taken=is_taken)
    is_own = request.context.member == services.member and not is_taken
    if event["evento"] == "CONFIRMAR_TRANSFERENCIA" and is_own:
        check_delivered(services, case, chain)
    if event["evento"] != "TOTALIZAR":
        if event["evento"] in _ON_TOTALS and services.member == case.responsible:
            _check_total_stands(services, case, chain)
        return
    convention = next((c for c in services.conventions.known() if c.id == case.convention), None)
    if convention is None or "totalizacion" not in event:
        raise DomainError("SS-406", "falta la totalización", "the total is missing", field="totalizacion")
    if services.member == case.responsible:
        check_all_delivered(case, chain)
        check_total(event["totalizacion"], total(all_periods(services, case, chain), convention.rules))
    else:
        check_total_alone(event["totalizacion"], convention.rules)


def _check_total_stands(services: InstituteServices, case: Case, chain: list[Logged]) -> None:
    """Refuse to go on from totals that the periods of today no longer give: ACLARAR, then TOTALIZAR again (SS-406)."""
    convention = next((c for c in services.conventions.known() if c.id == case.convention), None)
    totals = last_total(chain)
    if convention is None or totals is None:
        raise DomainError(
            "SS-406",
            "no hay totalización vigente de todos los participantes: ACLARAR y TOTALIZAR",
            "there are no totals that stand of all participants: ACLARAR and TOTALIZAR",
            field="totalizacion",
        )
    try:
        check_total(totals, total(all_periods(services, case, chain), convention.rules))
    except DomainError as err:
        raise DomainError(
            "SS-406",
            f"cambió un periodo desde la totalización ({err.es}): ACLARAR y TOTALIZAR",
            f"a period has changed since the totals ({err.en}): ACLARAR and TOTALIZAR",
            field="totalizacion",
        ) from err


def all_periods(services: InstituteServices, case: Case, chain: list[Logged]) -> list[Period]:
    """Own periods as they are certified now, and those delivered last by each counterparty."""
    delivered: dict[str, list[Period]] = {}
    for logged in in_force(chain):
        for history in logged.event.get("historia", ()):
            delivered[history["instituto"]] = check_history(history)
    delivered.pop(services.member, None)
    return [*own_periods(services, case.pid), *(p for periods in delivered.values() for p in periods)]


def _acknowledged(digest: str, subject: Pid | None = None) -> DomainAnswer:
    return DomainAnswer({"acuse": "ACK", "hash": digest}, subject=subject)
