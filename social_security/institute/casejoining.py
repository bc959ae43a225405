"""An institute that joins a case later: what it is given of the events before, and how it checks them by itself.

With ``AGREGAR_PARTICIPANTE`` the responsible institute gives the one that joins every event of the chain, without the histories,
whose digests are in the events; each with who sent it. The newcomer walks the chain and the table of states, so that it holds the
same case as everybody else from then on. Its own history it delivers like the others, and totals made without it stand no more.

Pure. Spec: the domain reference 5.2, 5.5 (Portability: AGREGAR_PARTICIPANTE, unchanged state).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from social_security.domain import eventchain
from social_security.domain import states as machines
from social_security.domain.faults import DomainError
from social_security.institute.stores.cases import Case, Logged
from social_security.wire.wireschema import check_request

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from social_security.domain.pack import PackOperation

_OUTSIDE: Final = frozenset(("historia", "testigo", "pid", "antecedentes"))


def is_newcomer(chain: Sequence[Logged], event: Mapping[str, Any], member: str) -> bool:
    """Whether a member comes into the case by this event of the chain."""
    before = chain[event["secuencia"] - 2].event["contraparte"]
    return event["evento"] == "AGREGAR_PARTICIPANTE" and member not in before


def antecedents(chain: Sequence[Logged], sequence: int) -> list[dict[str, Any]]:
    """``antecedentes``: the events before a number, each with its sender; histories and persons' references stay here."""
    return [
        {"evento": {k: v for k, v in e.event.items() if k not in _OUTSIDE}, "remitente": e.sender}
        for e in chain[: sequence - 1]
    ]


def check_added(case: Case, parties: Sequence[str]) -> None:
    """Refuse a list of counterparties from which one is gone, or that nobody has joined (SS-400)."""
    if not set(case.counterparties) <= set(parties):
        raise DomainError("SS-400", "nadie sale de un caso", "nobody leaves a case", field="contraparte")
    if set(case.counterparties) == set(parties):
        raise DomainError(
            "SS-400",
            f"ya participan {', '.join(case.participants)}; falta el instituto que se agrega",
            f"{', '.join(case.participants)} take part already; the institute to be added is missing",
            field="contraparte",
        )


def read_antecedents(operation: PackOperation, event: Mapping[str, Any]) -> list[Logged]:
    """The chain that a newcomer is given, once every event of it stands in its place, follows the table and is its author's.

    Raises SS-100 for an event of another shape, SS-401 for a broken chain, SS-400 for a step that the table has not.
    """
    given: list[Logged] = []
    for entry in event["antecedentes"]:
        before = entry["evento"]
        check_request(operation, before)
        given.append(Logged(before, eventchain.event_hash(before), entry["remitente"]))
    last = eventchain.check_chain([e.event for e in given])
    if not given or last != event["hashAnterior"] or len(given) + 1 != event["secuencia"]:
        raise DomainError(
            "SS-401",
            f"los antecedentes llegan a la secuencia {len(given)}, no a la anterior a {event['secuencia']}",
            f"the events before end with sequence {len(given)}, not with the one before {event['secuencia']}",
            field="antecedentes",
        )
    state = "BORRADOR"
    for place, logged in enumerate(given):
        _check_step(given[:place], logged, event, state)
        state = logged.event["estadoNuevo"]
    if (event["estadoPrevio"], event["estadoNuevo"]) != (state, state):
        raise machines.not_allowed(state, event["evento"])
    return given


def _check_step(before: Sequence[Logged], logged: Logged, event: Mapping[str, Any], state: str) -> None:
    """One event of another's account: of this case, from the state before it, to one that the table gives, by whom it allows."""
    own = logged.event
    if (own["caso"], own["responsable"]) != (event["caso"], event["responsable"]):
        raise DomainError("SS-405", "los antecedentes son de otro caso", "the events before are of another case",
                          field="antecedentes")  # fmt: skip
    move = machines.portability_move(state, own["evento"])
    to = {move.to}
    if move.to == machines.SAME:
        to = {state}
    elif own["evento"] in machines.BY_ALL:
        to |= {state}
    elif move.to == machines.BEFORE:
        undone = own.get("anula", 0)
        to = {before[undone - 1].event["estadoPrevio"]} if 1 < undone <= len(before) else set()
    parties = {
        machines.Author.COUNTERPARTY: own["contraparte"],
        machines.Author.PARTICIPANT: [own["responsable"], *own["contraparte"]],
        machines.Author.ANY: [own["responsable"], *own["contraparte"]],
    }.get(move.author, [own["responsable"]])
    if own["estadoPrevio"] != state or own["estadoNuevo"] not in to or logged.sender not in parties:
        raise machines.not_allowed(state, own["evento"])
