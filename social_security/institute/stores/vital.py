"""Vital events that were applied, and payments they stopped, in the institute's database."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from social_security.domain.pseudonyms import Pid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.storage.database import AnyDatabase
    from serving.storage.transactions import Transaction


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


# Two pseudonyms of one person here, since two records of hers have become one; gone when they are made two again.
SAME_PERSON_STEP = """
    CREATE TABLE same_person (
        pid TEXT PRIMARY KEY,
        other TEXT NOT NULL
    );
    CREATE INDEX same_person_other ON same_person (other);
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

    def is_report_of(self, pid: Pid, body: Mapping[str, Any]) -> bool:
        """Whether a message tells this very event."""
        values = (pid, body["tipo"], body["fechaEvento"], body.get("anula"))
        return values == (self.pid, self.type, self.day, self.annuls)


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

    def in_force(self, pid: Pid) -> list[Applied]:
        """The deaths of a person that no annulment has taken back, first applied first; rightly at most one."""
        rows = self._database.query(
            "SELECT event_id, pid, type, day, annuls, state_before FROM vital_event "
            f"WHERE pid = ? AND {_STANDS} ORDER BY applied_at, event_id",
            (pid,),
        )
        return [_applied(r) for r in rows]

    def died(self, pid: Pid) -> date | None:
        """The day on which a person died, as far as this institute has been told."""
        return min((date.fromisoformat(e.day) for e in self.in_force(pid)), default=None)

    def note(self, event: Applied, at: str) -> None:
        """Note an event that changes nothing here."""
        with self._database.transaction() as connection:
            _add(connection, event, at)

    def note_joined(self, event: Applied, other: str | None, at: str) -> None:
        """Note that a person's record has become one with another's, or two again; ``other``: the pseudonym here that is hers too."""
        # Both on disk together: after a crash the notice comes again and finds neither.
        with self._database.transaction() as connection:
            _add(connection, event, at)
            if event.type == "SEPARACION":
                connection.execute(
                    "DELETE FROM same_person WHERE pid = ? OR other = ?", (event.pid, event.pid)
                )
            if other is not None:
                connection.execute(
                    "INSERT INTO same_person (pid, other) VALUES (?, ?) "
                    "ON CONFLICT (pid) DO UPDATE SET other = excluded.other",
                    (event.pid, other),
                )

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


def _add(connection: Transaction, e: Applied, at: str) -> None:
    connection.execute(
        "INSERT INTO vital_event (event_id, pid, type, day, annuls, state_before, applied_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (e.event_id, e.pid, e.type, e.day, e.annuls, e.state_before, at),
    )


def _applied(row: tuple[Any, ...]) -> Applied:
    event_id, pid, kind, day, annuls, state = row
    return Applied(event_id, Pid(pid), kind, day, annuls, state)
