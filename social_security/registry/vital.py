"""Vital events at the registry: believed of those who may say them, kept as they were said, told to who holds the person.

An institute that holds the person, or a civil registry, reports by message, a death with the civil registry's act. What
contradicts a report that stands opens a case for an officer and changes nothing. What needs a CURP (its correction, the
merging of two records) is an officer's act at the registry itself, never a message.

Spec: the domain reference 5.7 (notificarEvento); S12, S13.
"""

from __future__ import annotations

import dataclasses
import logging
import re
import uuid
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from schemas.jsontext import load_json
from social_security.domain.calendars import latest_day, national_day
from social_security.domain.faults import DomainError
from social_security.domain.history import EARLIEST
from social_security.domain.pseudonyms import Rid, pair_pid
from social_security.registry.events import (
    ALIVE,
    ANNULMENT,
    DEATH,
    MERGED,
    PARTED,
    EventReport,
    add_report,
    annulled,
    in_force,
    links_of,
    new_public_id,
    notify_all,
    open_case,
    reconcile,
    report_of,
    reports_of,
)
from social_security.registry.holding import SETTLED_AFTER, is_fresh
from social_security.wire import tokens
from social_security.wire.gatewayclient import GatewayClient, Why
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.storage.transactions import Transaction
    from social_security.keys import RegistryKeys
    from social_security.registry.store import Person, RegistryStore
    from social_security.wire.outbox import OutboxItem

PURPOSE = "PUR-VITAL"
# A state's civil registry is a member by its own: MX/GOB/15-REGCIVIL.
CIVIL_REGISTRY = re.compile(r"MX/GOB/[0-9]{2}-REGCIVIL")
log = logging.getLogger("social_security.registry")


def report_event(store: RegistryStore, request: DomainRequest) -> DomainAnswer:
    """``notificarEvento`` at the registry: note what is reported, and queue the notices. Twice is once.

    Raises SS-210 unless the sender holds the person or is a civil registry, SS-100 for a death without its act, SS-103 for
    impossible days, SS-402 for a used id with other content, SS-400 for an annulment of what the sender did not report.
    """
    body, sender = request.body, request.context.member
    if "pid" not in body:
        raise DomainError(
            "SS-100",
            "el registro toma el PID del informante",
            "the registry takes the reporter's PID",
            field="pid",
        )
    person = store.find_by_pid(sender, body["pid"])
    if person is None:
        raise DomainError("SS-300", field="pid")
    content = {k: v for k, v in body.items() if k not in ("pid", "testigo")}
    with store.database.transaction() as connection:
        known = report_of(connection, sender, body["idEvento"])
        if known is not None:
            if (known.rid, known.body) != (person.rid, content):
                raise DomainError(
                    "SS-402",
                    "idEvento ya es de otro aviso suyo",
                    "you used idEvento before",
                    field="idEvento",
                )
            return _answer(known)
        _check_sender(connection, sender, person, body)
        _check_content(store, person.rid, body, latest_day(request.now))
        report = EventReport(
            sender,
            body["idEvento"],
            person.rid,
            body["pid"],
            content,
            new_public_id(connection, sender, body["idEvento"]),
        )
        return _answer(_note(connection, report, request.now))


def _answer(report: EventReport) -> DomainAnswer:
    body: dict[str, Any] = {"aplicado": report.stands}
    if report.case is not None:
        body |= {
            "caso": report.case,
            "motivo": "contradice lo que consta; lo resuelve un oficial del registro",
        }
    return DomainAnswer(body, categories=("evento-vital",))


def _check_sender(connection: Transaction, sender: str, person: Person, body: Any) -> None:
    if body["tipo"] not in (DEATH, ALIVE, ANNULMENT):
        raise DomainError(
            "SS-400",
            f"{body['tipo']} sólo lo hace un oficial en el registro",
            f"{body['tipo']} is an officer's act at the registry",
            field="tipo",
        )
    # Taking back one's own word needs no more than that it is one's own (`_annul`).
    holders = {member for member, _ in links_of(connection, person.rid)}
    if body["tipo"] == ANNULMENT or CIVIL_REGISTRY.fullmatch(sender) or sender in holders:
        return
    raise DomainError(
        "SS-210",
        f"{sender} no tiene a esta persona ni es registro civil; no avisa de ella",
        f"{sender} does not hold this person and is no civil registry; it gives no notice of her",
        field="pid",
    )


def _check_content(store: RegistryStore, rid: Rid, body: Any, today: date) -> None:
    day = date.fromisoformat(body["fechaEvento"])
    if day > today:
        raise DomainError("SS-103", "el evento es futuro", "the event is in the future", field="fechaEvento")
    # Of whom the registry knows no birth date, nothing is reported of a day before anybody now living was born.
    born = store.born(rid) or EARLIEST
    if day < born and body["tipo"] != ANNULMENT:
        raise DomainError(
            "SS-103",
            "el evento es anterior al nacimiento",
            "the event is before the birth",
            field="fechaEvento",
        )
    act = body.get("acta")
    if body["tipo"] == DEATH and act is None:
        raise DomainError(
            "SS-100",
            "acta (numero, oficialia, fecha) prueba el fallecimiento",
            "acta (numero, oficialia, fecha) proves the death",
            field="acta",
        )
    if act is not None and not day <= date.fromisoformat(act["fecha"]) <= today:
        raise DomainError(
            "SS-103",
            f"el acta es del día del evento o posterior, y no futura; dice {act['fecha']}",
            f"the act is of the day of the event or later, and not in the future; it says {act['fecha']}",
            field="acta.fecha",
        )


def _note(connection: Transaction, report: EventReport, now: datetime) -> EventReport:
    """Write a report that may be made, with what follows from it; the report as it was written."""
    before = reports_of(connection, report.rid)
    if report.type == ANNULMENT:
        return _annul(connection, report, before, now)
    deaths, alive = in_force(before), in_force(before, ALIVE)
    same = next((d for d in deaths if d.day == report.day), None)
    reason = None
    if report.type == DEATH:
        later = next((a for a in alive if a.day > report.day), None)
        if deaths and same is None:
            reason = f"consta fallecimiento del {deaths[0].day} y se avisa del {report.day}"
        elif later is not None:
            reason = f"se avisa fallecimiento del {report.day} y consta con vida el {later.day}"
        elif same is None and is_fresh(connection, report.sender, report.pid, now):
            reason = f"{report.sender} se anunció como su instituto hace menos de {SETTLED_AFTER.days} días"
        elif same is not None:
            # The same death from another institute: it is known under the first report's id.
            report = _replace(report, told_id=same.told_id)
    elif any(d.day < report.day for d in deaths):
        reason = f"consta fallecimiento del {deaths[0].day} y se avisa con vida el {report.day}"
    if reason is not None:
        report = _replace(report, stands=False, case=open_case(connection, report.rid, reason, now))
    add_report(connection, report, now)
    reconcile(connection, report.rid, now)
    return report


def _annul(
    connection: Transaction, report: EventReport, before: list[EventReport], now: datetime
) -> EventReport:
    """Take one's own report back: of this person, by its sender, once."""
    undone = report_of(connection, report.sender, report.body.get("anula", ""))
    gone = annulled(before)
    if (
        undone is None
        or undone.rid != report.rid
        or undone.type not in (DEATH, ALIVE)
        or (undone.sender, undone.event_id) in gone
    ):
        raise DomainError(
            "SS-400",
            "anula nombra un aviso propio de esta persona que nadie ha anulado",
            "anula names one's own report of this person that has not been annulled",
            field="anula",
        )
    left = [d for d in in_force(before) if (d.sender, d.event_id) != (undone.sender, undone.event_id)]
    if undone.type == DEATH and undone.stands and left:
        reason = f"{report.sender} anula el fallecimiento del {undone.day} y {left[0].sender} lo sostiene"
        report = _replace(report, case=open_case(connection, report.rid, reason, now))
    add_report(connection, report, now)
    reconcile(connection, report.rid, now, because=report.told_id)
    return report


def note_event(
    store: RegistryStore, rid: Rid, body: dict[str, Any], state: str | None, now: datetime
) -> None:
    """Note an officer's act on a person's record and tell every institute that holds her, in one transaction."""
    reported = {k: v for k, v in body.items() if k not in ("pid", "testigo")}
    with store.database.transaction() as connection:
        add_report(
            connection, EventReport("", reported["idEvento"], rid, "", reported, reported["idEvento"]), now
        )
        notify_all(connection, links_of(connection, rid), reported["idEvento"], reported, now)


def decide_case(
    store: RegistryStore, case: str, stands: tuple[str, str] | None, officer: str, now: datetime
) -> None:
    """Close a case: of its person's deaths the one named (sender, id) stands, or none does. Raises ValueError."""
    with store.database.transaction() as connection:
        rows = connection.execute(
            "SELECT rid FROM vital_case WHERE case_id = ? AND closed_at IS NULL", (case,)
        ).fetchall()
        if not rows:
            raise ValueError(f"there is no open case {case}")
        rid = Rid(bytes(rows[0][0]))
        deaths = {(r.sender, r.event_id) for r in reports_of(connection, rid) if r.type == DEATH}
        if stands is not None and stands not in deaths:
            raise ValueError(f"{stands[1]} of {stands[0]} is no death reported of this person")
        for sender, event_id in deaths:
            connection.execute(
                "UPDATE vital_report SET stands = ? WHERE sender = ? AND event_id = ?",
                (int((sender, event_id) == stands), sender, event_id),
            )
        connection.execute(
            "UPDATE vital_case SET closed_by = ?, closed_at = ? WHERE case_id = ?",
            (officer, now.isoformat(), case),
        )
        reconcile(connection, rid, now)


async def deliver(
    store: RegistryStore,
    keys: RegistryKeys,
    gateway: GatewayClient,
    member: str,
    notice: OutboxItem,
    now: datetime,
) -> bool:
    """Tell one institute, with a token made for this try; whether it took it. One that refused it has not been told."""
    body = dict(notice.body)
    jwk = store.recipient(notice.member)
    pid, rid = body.pop("pid", None), body.pop("rid", None)
    if pid is None:
        # A notice queued before notices carried the institute's own PID.
        pid = store.pid_of(Rid(bytes.fromhex(rid)), notice.member, national_day(now))
    person = store.find_by_pid(notice.member, pid)
    if jwk is None or person is None or not is_in_turn(store, notice):
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
        pair_pid(keys.pid, keys.version, person.rid, member, notice.member, PURPOSE),
        pid,
        3,
    )
    body["testigo"] = tokens.seal(claims, keys.signing, load_json(jwk))
    why = Why(PURPOSE, notice.case, "SISTEMA", "Evento vital")
    response = await gateway.ask("IDENT", notice.member, "notificarEvento", body, why)
    if not response.is_done and "codigo" in response.body:
        log.warning(
            "notice refused",
            extra={"event": "notice_refused", "member": notice.member, "code": response.body["codigo"]},
        )
    return response.is_done


def is_in_turn(store: RegistryStore, notice: OutboxItem) -> bool:
    """Whether an institute has been told all that was queued before of the same records' becoming one and two again."""
    if notice.body["tipo"] not in (MERGED, PARTED):
        return True
    rows = store.database.query(
        "SELECT o.body FROM outbox o JOIN outbox n ON n.member = o.member AND o.id < n.id "
        "WHERE n.notice_id = ? AND n.member = ? AND o.acknowledged_at IS NULL AND o.dead_at IS NULL",
        (notice.notice_id, notice.member),
    )
    earlier = [load_json(r[0]) for r in rows]
    return not any(
        e["tipo"] in (MERGED, PARTED) and not _pids(e).isdisjoint(_pids(notice.body)) for e in earlier
    )


def _pids(body: Mapping[str, Any]) -> set[str]:
    return {str(body[n]) for n in ("pid", "otroPid") if n in body}


def _replace(report: EventReport, **changes: Any) -> EventReport:
    return dataclasses.replace(report, **changes)
