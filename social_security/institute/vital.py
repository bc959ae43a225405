"""Vital events as an institute applies them: once each, and taken back by an annulment of that very event and person.

Only the registry tells them; it has checked evidence and sender. An event, the state it leads to and the payments it
stops are written in one transaction, so that a second delivery after a crash finds either all of it or nothing.

Spec: the domain reference 5.7 (notificarEvento); S12, S13.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

from social_security.domain.faults import DomainError
from social_security.domain.pseudonyms import Pid
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.storage.database import AnyDatabase, Transaction
    from social_security.institute.services import InstituteServices

REGISTRY = "MX/GOB/00-RNSS"
VITAL_STEP = """
    CREATE TABLE vital_event (
        event_id TEXT PRIMARY KEY,
        pid TEXT NOT NULL,
        type TEXT NOT NULL,
        day TEXT NOT NULL,
        annuls TEXT,
        state_before TEXT NOT NULL,
        applied_at TEXT NOT NULL
    );
    CREATE TABLE payment_stop (
        pid TEXT PRIMARY KEY,
        since TEXT NOT NULL,
        until TEXT,
        survivors_case TEXT
    );
"""


@dataclass(frozen=True, slots=True)
class Applied:
    """An event as it was applied here."""

    event_id: str
    pid: Pid
    type: str
    day: str
    annuls: str | None
    state_before: str

    def says(self, pid: Pid, body: Mapping[str, Any]) -> bool:
        """Whether a message tells this very event."""
        told = (pid, body["tipo"], body["fechaEvento"], body.get("anula"))
        return told == (self.pid, self.type, self.day, self.annuls)


_STANDS = (
    "type = 'FALLECIMIENTO' AND NOT EXISTS "
    "(SELECT 1 FROM vital_event a WHERE a.annuls = vital_event.event_id AND a.pid = vital_event.pid)"
)


class VitalStore:
    """Applied events and stopped payments."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def event(self, event_id: str) -> Applied | None:
        """An event that has been applied, or None."""
        rows = self._database.query(
            "SELECT event_id, pid, type, day, annuls, state_before FROM vital_event WHERE event_id = ?",
            (event_id,),
        )
        return _applied(rows[0]) if rows else None

    def standing(self, pid: Pid) -> list[Applied]:
        """The deaths of a person that no annulment has taken back, first applied first; rightly at most one."""
        rows = self._database.query(
            "SELECT event_id, pid, type, day, annuls, state_before FROM vital_event "  # noqa: S608  ours
            f"WHERE pid = ? AND {_STANDS} ORDER BY applied_at, event_id",
            (pid,),
        )
        return [_applied(r) for r in rows]

    def died(self, pid: Pid) -> date | None:
        """The day on which a person died, as far as this institute has been told."""
        return min((date.fromisoformat(e.day) for e in self.standing(pid)), default=None)

    def note(self, event: Applied, at: str) -> None:
        """Note an event that changes nothing here."""
        with self._database.transaction() as connection:
            _add(connection, event, at)

    def bury(self, event: Applied, at: str, survivors_case: str | None) -> None:
        """Note a death with the state it leads to; with a survivors' case, a pension is stopped from that day on."""
        with self._database.transaction() as connection:
            _add(connection, event, at)
            connection.execute("UPDATE affiliation SET state = 'FALLECIDA' WHERE pid = ?", (event.pid,))
            if survivors_case is not None:
                connection.execute(
                    "INSERT INTO payment_stop (pid, since, survivors_case) VALUES (?, ?, ?) "
                    "ON CONFLICT (pid) DO UPDATE SET since = excluded.since, until = NULL, "
                    "survivors_case = excluded.survivors_case",
                    (event.pid, event.day, survivors_case),
                )

    def restore(self, event: Applied, at: str, state: str) -> dict[str, str] | None:
        """Note an annulment, give the person back the state she had, and pay again; the days that are owed."""
        with self._database.transaction() as connection:
            _add(connection, event, at)
            rows = connection.execute(
                "SELECT since FROM payment_stop WHERE pid = ? AND until IS NULL", (event.pid,)
            ).fetchall()
            connection.execute(
                "UPDATE payment_stop SET until = ? WHERE pid = ? AND until IS NULL", (event.day, event.pid)
            )
            connection.execute("UPDATE affiliation SET state = ? WHERE pid = ?", (state, event.pid))
        return {"desde": str(rows[0][0]), "hasta": event.day} if rows else None

    def survivors_case(self, pid: Pid) -> str | None:
        """The survivors' case of a person whose payments are stopped."""
        rows = self._database.query(
            "SELECT survivors_case FROM payment_stop WHERE pid = ? AND until IS NULL", (pid,)
        )
        return str(rows[0][0]) if rows else None


def apply_event(services: InstituteServices, asked: DomainRequest) -> DomainAnswer:
    """``notificarEvento``: apply it once; a second delivery changes nothing and says so.

    Raises SS-210 unless the registry tells, SS-402 for a known id with other content, SS-300 for a death of whom there is
    no file, SS-400 for an annulment that is not of an event of this person.
    """
    if asked.context.member != REGISTRY:
        raise DomainError(
            "SS-210", "sólo el registro nacional avisa", "the national registry only gives notice"
        )
    body = dict(asked.body)
    subject = services.subject(asked)
    known = services.vital.event(body["idEvento"])
    if known is not None:
        if not known.says(subject.pid, body):
            raise DomainError(
                "SS-402", "idEvento ya es de otro evento", "idEvento is another event's", field="idEvento"
            )
        return DomainAnswer({"aplicado": True}, categories=("evento-vital",))
    affiliation = services.persons.affiliation(subject.pid)
    state = "" if affiliation is None else affiliation.state
    event = Applied(
        body["idEvento"], subject.pid, body["tipo"], body["fechaEvento"], body.get("anula"), state
    )
    if event.type == "FALLECIMIENTO":
        answer = _bury(services, asked, event)
    elif event.type == "ANULACION":
        answer = _annul(services, asked, event)
    else:
        # A corrected CURP, records made one or two again: PIDs stay, so there is nothing to change here.
        services.vital.note(event, asked.now.isoformat())
        answer = {"aplicado": True}
    return DomainAnswer(answer, categories=("evento-vital",))


def _bury(services: InstituteServices, asked: DomainRequest, event: Applied) -> dict[str, object]:
    if event.state_before == "":
        raise DomainError("SS-300")
    if event.day > asked.today.isoformat():
        raise DomainError("SS-103", "el evento es futuro", "the event is in the future", field="fechaEvento")
    for other in services.vital.standing(event.pid):
        if other.day != event.day:
            why = f"consta otro fallecimiento, del {other.day}; lo resuelve el registro nacional"
            return {"aplicado": False, "motivo": why}
        event = replace(event, state_before=other.state_before)
    case = None
    if event.state_before == "PENSIONADA":
        number = 90_000_000 + int(asked.now.timestamp()) % 10_000_000
        case = (
            services.vital.survivors_case(event.pid)
            or f"PORT-{services.code[:2]}-{asked.today.year}-{number:08d}"
        )
    services.vital.bury(event, asked.now.isoformat(), case)
    return {"aplicado": True}


def _annul(services: InstituteServices, asked: DomainRequest, event: Applied) -> dict[str, object]:
    standing = services.vital.standing(event.pid)
    undone = next((e for e in standing if e.event_id == event.annuls), None)
    if undone is None:
        raise DomainError(
            "SS-400",
            "no hay tal evento de esta persona por anular",
            "this person has no such event to be annulled",
            field="anula",
        )
    at = asked.now.isoformat()
    if len(standing) > 1:
        services.vital.note(event, at)
        return {"aplicado": True, "motivo": "consta otro aviso del mismo fallecimiento"}
    owed = services.vital.restore(event, at, undone.state_before)
    return {"aplicado": True} if owed is None else {"aplicado": True, "adeudos": owed}


def _add(connection: Transaction, e: Applied, at: str) -> None:
    connection.execute(
        "INSERT INTO vital_event (event_id, pid, type, day, annuls, state_before, applied_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (e.event_id, e.pid, e.type, e.day, e.annuls, e.state_before, at),
    )


def _applied(row: tuple[Any, ...]) -> Applied:
    event_id, pid, kind, day, annuls, state = row
    return Applied(event_id, Pid(pid), kind, day, annuls, state)
