"""A member's standing after it has become active: suspended, let in again, or gone, with who holds its persons from then on.

A state changes on the day itself, by ONIESS's own operators, with reason and evidence. Leaving needs a successor that is active:
no person is left without an institute that answers for her history. The state, and the notice by which the registry learns it,
are written in one transaction.

Spec: the domain reference 5.5 (Onboarding, states of a member); F02.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

from social_security.domain import states as machines
from social_security.domain.faults import DomainError
from social_security.wire.outbox import Outbox, OutboxItem
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from serving.storage.database import AnyDatabase
    from social_security.oniess.store import OniessStore

REGISTRY: Final = "MX/GOB/00-RNSS"
ACTIVE, LEFT = "ACTIVA", "BAJA"


def change_membership(store: OniessStore, request: DomainRequest) -> DomainAnswer:
    """``cambiarMembresia``: the state that a member has from today on.

    Raises SS-300 for no member, SS-400 for a state that does not follow, SS-404 for another day than today, SS-600 for leaving
    without an active successor, or for a successor of one that stays.
    """
    body = dict(request.body)
    member, to, heir = body["miembro"], body["estado"], body.get("sucesor")
    database = store.database
    before = state_of(database, member)
    if before is None or member == REGISTRY:
        raise DomainError(
            "SS-300", f"{member} no es instituto miembro", f"{member} is no member institute", field="miembro"
        )
    machines.check_follows(machines.MEMBER, before, to)
    if date.fromisoformat(body["fecha"]) != request.today:
        raise DomainError(
            "SS-404",
            f"un cambio es del día mismo: hoy es {request.today}, llegó {body['fecha']}",
            f"a change is of the day itself: today is {request.today}, {body['fecha']} came",
            field="fecha",
        )
    _check_successor(database, member, to, heir)
    write_state(database, request, body)
    answer = {"miembro": member, "estado": to, "desde": body["fecha"]}
    return DomainAnswer(answer if heir is None else answer | {"sucesor": heir}, categories=("documento",))


def _check_successor(database: AnyDatabase, member: str, to: str, heir: str | None) -> None:
    if to != LEFT and heir is not None:
        raise DomainError(
            "SS-600", "sólo una baja nombra sucesor", "only leaving names a successor", field="sucesor"
        )
    if to == LEFT and (heir in (None, member, REGISTRY) or state_of(database, str(heir)) != ACTIVE):
        raise DomainError(
            "SS-600",
            f"la baja nombra un miembro activo que tendrá sus personas e historias; llegó {heir or 'ninguno'}",
            f"leaving names an active member that will hold its persons and histories; {heir or 'none'} came",
            field="sucesor",
        )


def write_state(database: AnyDatabase, request: DomainRequest, body: dict[str, Any]) -> None:
    """On disk after it: the state, why it changed, and the notice for the registry; all of it or nothing."""
    member, to, day, heir = body["miembro"], body["estado"], body["fecha"], body.get("sucesor")
    with database.transaction() as connection:
        connection.execute(
            "UPDATE member SET state = ?, since = ?, successor = ? WHERE path = ?", (to, day, heir, member)
        )
        ((number,),) = connection.execute(
            "INSERT INTO membership_event (member, state, since, successor, case_id, reason, evidence) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING number",
            (member, to, day, heir, request.context.case, body["motivo"], body["evidenciaSha256"]),
        ).fetchall()
        notification = {"idAviso": f"MEMBRESIA:{number}", "miembro": member, "estado": to, "fecha": day}
        notice = notification if heir is None else notification | {"sucesor": heir}
        case = f"NEG-00-{day[:4]}-{int(number):08d}"
        Outbox.put(
            connection, [OutboxItem(notification["idAviso"], REGISTRY, "notificarMembresia", notice, case)]
        )
        connection.execute(
            "UPDATE application SET state = ? WHERE case_id = ? AND state IN ('ACTIVA', 'SUSPENDIDA')",
            (to, request.context.case),
        )


def state_of(database: AnyDatabase, member: str) -> str | None:
    """The state of a member; None for one that ONIESS does not know."""
    rows = database.query("SELECT state FROM member WHERE path = ?", (member,))
    return str(rows[0][0]) if rows else None


def standings(database: AnyDatabase) -> list[dict[str, Any]]:
    """Every member with its state, since when, and who holds its persons if it has left: for the public page."""
    return [
        {"miembro": r[0], "estado": r[1], "desde": r[2], "sucesor": r[3]}
        for r in database.query("SELECT path, state, since, successor FROM member ORDER BY path")
    ]
