"""Cases whose term has passed end by themselves: the responsible institute's own clock causes VENCER, once each.

So do those in which an institute takes part that has left: they are opened anew with its successor, and the benefit is free for it.

A case that has been resolved, or that an authority is looking at, does not lapse by the clock alone. The event, the state, the
notices to the counterparties and the lock given back at the registry are written in one transaction: after a crash a case has
either lapsed everywhere or lapses in the next round.

Spec: the domain reference 5.5 (Portability, VENCER).
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from schemas.jsontext import load_json
from social_security.domain import eventchain
from social_security.domain.states import holds_lock
from social_security.institute.portabilityrules import lock_notice
from social_security.wire.outbox import OutboxItem

if TYPE_CHECKING:
    from datetime import date, datetime

    from social_security.institute.services import InstituteServices
    from social_security.institute.stores.cases import Case

EXPIRED: Final = "VENCIDA"
# Decided in the person's favour: what is left is to pay her, and no term takes that away.
_DECIDED: Final = frozenset(("RESUELTA",))
log = logging.getLogger("social_security.institute")


def expire_cases(services: InstituteServices, now: datetime, today: date) -> list[str]:
    """End this institute's cases whose last day was before ``today``, or which somebody has left; their ids."""
    ended = []
    for case in _overdue(services, today):
        event = expiry_event(case)
        digest = eventchain.event_hash(event)
        after = replace(case, state=EXPIRED)
        notified = [
            OutboxItem(f"{case.case}:VENCER:{event['secuencia']}", member, "agregarEvento", event, case.case)
            for member in case.counterparties
        ]
        notices = [*notified, *lock_notice(services, case, after, event["secuencia"])]
        services.cases.append(after, event, digest, services.member, now, notices)
        log.info("a case lapsed", extra={"event": "case_expired", "case": case.case})
        ended.append(case.case)
    return ended


def _overdue(services: InstituteServices, today: date) -> list[Case]:
    """This institute's open cases that the clock ends, neither decided nor before an authority."""
    rows = services.database.query(
        "SELECT case_id, state, deadline, counterparties FROM port_case WHERE responsible = ? ORDER BY case_id",
        (services.member,),
    )
    ids = [
        case_id
        for case_id, state, deadline, counterparties in rows
        if holds_lock(state)
        and state not in _DECIDED
        and (
            (deadline is not None and deadline < today.isoformat())
            or services.edition.left_among((services.member, *load_json(counterparties)))
        )
    ]
    return [case for case in map(services.cases.case, ids) if case is not None]


def expiry_event(case: Case) -> dict[str, Any]:
    """The event by which a case lapses, on the chain as it is now."""
    return {
        "caso": case.case,
        "secuencia": case.sequence + 1,
        "evento": "VENCER",
        "estadoPrevio": case.state,
        "estadoNuevo": EXPIRED,
        "responsable": case.responsible,
        "contraparte": list(case.counterparties),
        "hashAnterior": case.last_hash,
    }
