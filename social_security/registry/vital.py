"""Vital events at the registry: noted once, then told to every institute that knows the person, exactly once each.

An institute or a civil-registry adapter reports by message; what needs a CURP (its correction, the merging of two records)
is an officer's act at the registry itself, never a message.

Spec: the domain reference 5.7 (notificarEvento); S12, S13.
"""

from __future__ import annotations

import json
import uuid
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from social_security.domain.faults import DomainError
from social_security.domain.pseudonyms import Rid, institute_pid, pair_pid
from social_security.wire import tokens
from social_security.wire.gatewayclient import GatewayClient, Why
from social_security.wire.outbox import OutboxItem
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from social_security.keys import RegistryKeys
    from social_security.registry.store import RegistryStore

PURPOSE = "PUR-VITAL"


def report_event(store: RegistryStore, asked: DomainRequest) -> DomainAnswer:
    """``notificarEvento`` at the registry: note the event and queue the notices. Twice is once."""
    body = asked.body
    if "pid" not in body:
        raise DomainError(
            "SS-100",
            "el registro toma el PID del informante",
            "the registry takes the reporter's PID",
            field="pid",
        )
    person = store.find_by_pid(asked.context.member, body["pid"])
    if person is None:
        raise DomainError("SS-300", field="pid")
    if store.event(body["idEvento"]) is not None:
        return DomainAnswer({"aplicado": True}, categories=("evento-vital",))
    day = date.fromisoformat(body["fechaEvento"])
    state = "FALLECIDA"
    if body["tipo"] == "FALLECIMIENTO":
        _check_day(store, person.rid, day, asked.today)
        if person.vital_state == "FALLECIDA":
            raise DomainError("SS-302")
    elif body["tipo"] == "ANULACION":
        if store.event(body.get("anula", "")) is None:
            raise DomainError("SS-400", "no hay tal evento", "there is no such event", field="anula")
        state = "VIVA"
    else:
        raise DomainError(
            "SS-400",
            "una CURP se corrige en el registro",
            "a CURP is corrected at the registry",
            field="tipo",
        )
    note_event(store, person.rid, dict(body), state, asked.now)
    return DomainAnswer({"aplicado": True}, categories=("evento-vital",))


def note_event(
    store: RegistryStore, rid: Rid, body: dict[str, Any], state: str | None, now: datetime
) -> None:
    """Write an event and its notices in one transaction."""
    told = {k: v for k, v in body.items() if k not in ("pid", "testigo")}
    case = f"CONS-00-{now.year}-{int(now.timestamp()) % 100_000_000:08d}"
    notices = [
        OutboxItem(told["idEvento"], member, "notificarEvento", told | {"rid": rid.hex()}, case)
        for member in store.linked(rid)
    ]
    store.add_event(rid, told, state, notices)


async def deliver(
    store: RegistryStore,
    keys: RegistryKeys,
    gateway: GatewayClient,
    member: str,
    notice: OutboxItem,
    now: datetime,
) -> bool:
    """Tell one institute, with a token made for this try; whether it acknowledged."""
    body = dict(notice.body)
    rid = Rid(bytes.fromhex(body.pop("rid")))
    jwk = store.recipient(notice.member)
    if jwk is None:
        return False
    issued = now.replace(microsecond=0)
    claims = tokens.Claims(
        member,
        notice.member,
        str(uuid.uuid4()),
        issued,
        issued + tokens.INTERACTIVE_LIFE,
        PURPOSE,
        notice.case,
        member,
        pair_pid(keys.pid, keys.version, rid, member, notice.member, PURPOSE),
        institute_pid(keys.pid, keys.version, rid, notice.member),
        3,
    )
    body["testigo"] = tokens.seal(claims, keys.signing, json.loads(jwk))
    why = Why(PURPOSE, notice.case, "SISTEMA", "Evento vital")
    heard = await gateway.ask("IDENT", notice.member, "notificarEvento", body, why)
    # Who has no file of hers has nothing to apply: told is told.
    return heard.is_done or heard.body.get("codigo") == "SS-300"


def _check_day(store: RegistryStore, rid: Rid, day: date, today: date) -> None:
    born = store.born(rid)
    if day > today:
        raise DomainError("SS-103", "el evento es futuro", "the event is in the future", field="fechaEvento")
    if born is not None and day < born:
        raise DomainError(
            "SS-103",
            "el fallecimiento es anterior al nacimiento",
            "the death is before the birth",
            field="fechaEvento",
        )
