"""Sending an event of a case to everybody in it, when others send theirs at the same time.

The responsible institute's chain is the order of a case. An event goes to it first; when another event took its place there,
it is built again on the chain as it is now, and tried again. What the responsible took goes to the others word for word.

Spec: the domain reference 5.5 (Portability).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from social_security.domain import eventchain, pack
from social_security.domain import states as machines
from social_security.institute.casejoining import antecedents, is_newcomer
from social_security.institute.portabilityrules import REGISTRY
from social_security.wire.gatewayclient import Why
from social_security.wire.outbox import OutboxItem, Outcome

if TYPE_CHECKING:
    from social_security.institute.services import InstituteServices
    from social_security.wire.gatewayclient import GatewayAnswer

# Refusals that another try can end otherwise: the chain, a token or a policy may have moved on in the meantime.
_PASSING: Final = frozenset(
    ("SS-203", "SS-204", "SS-205", "SS-300", "SS-304", "SS-401", "SS-503", "SS-603", "SS-900", "SS-901")
)
# Operation -> as which subsystem, for which purpose and why it is sent.
_WAYS: Final = {
    "agregarEvento": ("PORT", "PUR-PORT", "Versión rectificada"),
    "registrarCaso": ("PORT", "PUR-PORT", "Fin del caso, o su reapertura"),
    "registrarVinculos": ("AFIL", "PUR-AFIL", "A quién tiene afiliado el instituto"),
}
# In the id of a notice: the step of a desk or of the person, and then the role in which it was decided.
_STEP: Final = ":PASO:"
_OVERTAKEN: Final = frozenset(("SS-400", "SS-401", "SS-402"))
# The steps that only the person takes, by the table.
PERSONS: Final = frozenset(
    e for (_, e), m in machines.PORTABILITY.items() if m.author is machines.Author.PERSON
)


async def deliver_notice(services: InstituteServices, notice: OutboxItem) -> Outcome:
    """One try of one notice of this institute."""
    subsystem, purpose, reason = _WAYS[notice.operation]
    why = Why(purpose, notice.case, _role(notice), reason)
    body = notice.body
    chain = services.cases.events(notice.case) if notice.operation == "agregarEvento" else []
    joins = body.get("evento") == "AGREGAR_PARTICIPANTE" and not _is_first(notice)
    joins = joins and is_newcomer(chain, body, notice.member)
    if joins or body.get("evento") == "PRESENTAR":
        token = await _token(services, notice)
        if token is None:
            return Outcome()
        body = {**body, "testigo": token}
    if joins:
        body |= {"antecedentes": antecedents(chain, body["secuencia"])}
    response = await services.gateway.ask(subsystem, notice.member, notice.operation, body, why)
    if response.is_done:
        return Outcome(done=True, then=notices_after(services.member, notice))
    code = str(response.body.get("codigo", ""))
    if _is_step(notice) and is_refused(response):
        # Somebody's own decision, on a state that is no more: it is not decided again for her.
        return Outcome(dead=f"{notice.member} refuses the step: {code}")
    if notice.operation == "agregarEvento" and code in _OVERTAKEN and _is_first(notice):
        return await _built_again(services, notice, response)
    if code == "SS-404" and notice.body.get("evento") == "VENCER":
        # The other heard of the case later, so by its own count the term still runs: it lapses there too.
        return Outcome()
    if code in pack.errors() and code not in _PASSING:
        return Outcome(dead=f"{notice.member} refuses it for good: {code}")
    return Outcome()


def _is_first(notice: OutboxItem) -> bool:
    return bool(notice.member == notice.body["responsable"])


def step_notice(event: dict[str, Any], role: str) -> OutboxItem:
    """A step that somebody decided at a desk or for herself, as a notice to the responsible institute; its id says in which role."""
    digest = eventchain.event_hash(event)
    identity = f"{event['caso']}:{event['secuencia']}{_STEP}{role}:{digest[:16]}"
    return OutboxItem(identity, event["responsable"], "agregarEvento", event, event["caso"])


def is_refused(response: GatewayAnswer) -> bool:
    """Whether the other side surely did nothing: it said so. Silence, a gateway's fault and SS-900 leave it open."""
    return not response.is_done and response.body.get("codigo", "SS-900") not in ("SS-900", "SS-901")


def _is_step(notice: OutboxItem) -> bool:
    return notice.operation == "agregarEvento" and _STEP in notice.notice_id and _is_first(notice)


def _role(notice: OutboxItem) -> str:
    """In whose role an event is told: the person's own step is hers, or her representative's, wherever it arrives."""
    if _is_step(notice):
        return notice.notice_id.partition(_STEP)[2].partition(":")[0]
    return "TITULAR" if notice.body.get("evento") in PERSONS else "SISTEMA"


async def _token(services: InstituteServices, notice: OutboxItem) -> str | None:
    """A fresh token that names the person of a case to one counterparty; None while the registry gives none."""
    case = services.cases.case(notice.case)
    if case is None:
        return None
    why = Why("PUR-PORT", notice.case, "ANALISTA_PORTABILIDAD", "Apertura del caso")
    body = {"pid": case.pid, "destino": notice.member}
    response = await services.gateway.ask("PORT", REGISTRY, "traducirPid", body, why)
    return str(response.body["testigo"]) if response.is_done else None


def notices_after(member: str, notice: OutboxItem) -> tuple[OutboxItem, ...]:
    """The notices of an event that the responsible took, one for every other participant; histories go to it and their author, ``member``."""
    if notice.operation != "agregarEvento" or not _is_first(notice):
        return ()
    body = notice.body
    others = dict.fromkeys((*body["contraparte"], member))
    bare = {k: v for k, v in body.items() if k != "historia"}
    return tuple(
        OutboxItem(notice.notice_id, m, "agregarEvento", body if m == member else bare, notice.case)
        for m in others
        if m != body["responsable"]
    )


async def _built_again(services: InstituteServices, notice: OutboxItem, response: GatewayAnswer) -> Outcome:
    """The event on the responsible's chain as it is now. A case that takes it in no state any more is told so."""
    why = Why("PUR-PORT", notice.case, "ANALISTA_PORTABILIDAD", "Versión rectificada")
    seen = await services.gateway.ask("PORT", notice.body["responsable"], "verCaso", {}, why)
    if not seen.is_done:
        return Outcome()
    state, name = seen.body["estado"], notice.body["evento"]
    move = machines.PORTABILITY.get((state, name))
    if move is None:
        return Outcome(dead=f"the case is {state}, which takes no {name}: {response.body.get('codigo')}")
    changed: dict[str, Any] = {
        "secuencia": seen.body["ultimaSecuencia"] + 1,
        "hashAnterior": seen.body["ultimoHash"],
        "estadoPrevio": state,
        "estadoNuevo": state if move.to == machines.SAME else move.to,
        "contraparte": seen.body["contrapartes"],
    }
    return Outcome(body=notice.body | changed)
