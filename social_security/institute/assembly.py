"""``reunirHistoria``: one request, the whole history, and a statement of who answered, refused or was silent.

The person asks at her institute. It asks the registry who holds something, each holder for its certified history, and
itself. Nothing is kept; each history stays where it is. A silent or refusing holder makes the whole incomplete, and the
statement says so (F07: never silently partial).

Spec: the domain reference F07, 5.7 (localizarHistoria, consultarHistoria); S05.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from social_security.domain.benefits import default_rules
from social_security.domain.eventchain import history_digest
from social_security.domain.faults import DomainError, concerning
from social_security.domain.history import check_history, total
from social_security.institute.history import build_history
from social_security.wire.gatewayclient import Why
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from social_security.domain.history import Rules
    from social_security.institute.services import InstituteServices
    from social_security.wire.gatewayclient import GatewayAnswer

REGISTRY = "MX/GOB/00-RNSS"
# Answered, and holds nothing of hers: no reason to call the whole incomplete.
_NOTHING = "SS-300"


@dataclass(frozen=True, slots=True)
class HolderAnswer:
    """One holder's answer: a history, or the code of its refusal, or neither when it was silent."""

    member: str
    history: dict[str, Any] | None = None
    code: str | None = None


async def assemble_history(services: InstituteServices, request: DomainRequest) -> DomainAnswer:
    """Histories of every holder, with the completeness statement. Raises SS-405 for another member, SS-901 without registry."""
    if request.context.member != services.member:
        raise services.not_participant(request)
    subject = services.subject(request)
    why = Why("PUR-HIST", request.context.case, request.context.role, request.context.reason)
    with concerning(subject.pid):
        located = await services.gateway.ask("HIST", REGISTRY, "localizarHistoria", {"pid": subject.pid}, why)
        if not located.is_done:
            raise DomainError("SS-901", "el registro no respondió", "the registry did not answer")
    holders: list[str] = located.body["institutos"]
    answers = await asyncio.gather(*(_ask(services, request, subject.pid, why, m) for m in holders))
    return DomainAnswer(
        _statement(request, answers, default_rules(services.edition)),
        categories=("historia",),
        subject=subject.pid,
    )


async def _ask(
    services: InstituteServices, request: DomainRequest, pid: Any, why: Why, member: str
) -> HolderAnswer:
    if member == services.member:
        try:
            return HolderAnswer(member, build_history(services, pid, pid))
        except DomainError as error:
            return HolderAnswer(member, code=error.code)
    sealed = await services.gateway.ask("HIST", REGISTRY, "traducirPid", {"pid": pid, "destino": member}, why)
    if not sealed.is_done:
        return HolderAnswer(member, code=_code(sealed))
    body = {"testigo": sealed.body["testigo"]}
    response = await services.gateway.ask("HIST", member, "consultarHistoria", body, why)
    if not response.is_done:
        return HolderAnswer(member, code=_code(response))
    try:
        check_history(response.body)
    except DomainError as error:  # a certified statement whose days do not add up is not counted
        return HolderAnswer(member, code=error.code)
    return HolderAnswer(member, response.body)


def _code(response: GatewayAnswer) -> str | None:
    """A refusal's code; None for a gateway's fault or for nothing at all: that is silence."""
    code = response.body.get("codigo")
    return str(code) if code not in (None, "SS-900", "SS-901") else None


def _statement(request: DomainRequest, answers: list[HolderAnswer], rules: Rules) -> dict[str, Any]:
    histories = [t.history for t in answers if t.history is not None]
    refused = [{"instituto": t.member, "codigo": t.code} for t in answers if t.code is not None]
    silent = [t.member for t in answers if t.history is None and t.code is None]
    made = total([p for h in histories for p in check_history(h)], rules)
    return {
        "constancia": {
            "folio": request.context.case,
            "emitidaEl": request.now.isoformat(),
            "preguntados": [t.member for t in answers],
            "respondieron": [
                {"instituto": t.member, "sha256": history_digest(t.history)}
                for t in answers
                if t.history is not None
            ],
            "negaron": refused,
            "silenciosos": silent,
            "completa": not silent and all(r["codigo"] == _NOTHING for r in refused),
        },
        "historias": histories,
        "totales": {
            "diasUnion": made.union_days,
            "diasTraslape": made.overlap_days,
            "semanas": made.weeks,
        },
        "computo": " + ".join(f"{i.rpartition('/')[2]} {d}" for i, d in made.parts)
        + f" = {made.union_days} días; {made.overlap_days} que se traslapan cuentan una sola vez",
    }
