"""Vital events as an institute applies them: once each, and taken back by an annulment.

Spec: the domain reference 5.7 (notificarEvento); S12, S13.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from social_security.domain.faults import DomainError
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from serving.storage.database import AnyDatabase
    from social_security.domain.pseudonyms import Pid
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


class VitalStore:
    """Applied events and stopped payments."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def is_applied(self, event_id: str) -> bool:
        """Whether an event has been applied."""
        return bool(self._database.query("SELECT 1 FROM vital_event WHERE event_id = ?", (event_id,)))

    def before(self, event_id: str) -> tuple[str, str] | None:
        """The affiliation's state before an event, and the event's day."""
        rows = self._database.query(
            "SELECT state_before, day FROM vital_event WHERE event_id = ?", (event_id,)
        )
        return (str(rows[0][0]), str(rows[0][1])) if rows else None

    def add(self, pid: Pid, body: dict[str, str], state_before: str, at: str) -> None:
        """Note an applied event."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO vital_event (event_id, pid, type, day, annuls, state_before, applied_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    body["idEvento"],
                    pid,
                    body["tipo"],
                    body["fechaEvento"],
                    body.get("anula"),
                    state_before,
                    at,
                ),
            )

    def stop_payments(self, pid: Pid, since: str, survivors_case: str) -> None:
        """Stop a pension from a day on, and open the survivors' case."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO payment_stop (pid, since, survivors_case) VALUES (?, ?, ?) "
                "ON CONFLICT (pid) DO UPDATE SET since = excluded.since, until = NULL",
                (pid, since, survivors_case),
            )

    def resume_payments(self, pid: Pid, until: str) -> dict[str, str] | None:
        """Pay again; the days that are owed."""
        with self._database.transaction() as connection:
            rows = connection.execute(
                "SELECT since FROM payment_stop WHERE pid = ? AND until IS NULL", (pid,)
            ).fetchall()
            connection.execute("UPDATE payment_stop SET until = ? WHERE pid = ?", (until, pid))
        return {"desde": str(rows[0][0]), "hasta": until} if rows else None

    def survivors_case(self, pid: Pid) -> str | None:
        """The survivors' case of a person whose payments are stopped."""
        rows = self._database.query(
            "SELECT survivors_case FROM payment_stop WHERE pid = ? AND until IS NULL", (pid,)
        )
        return str(rows[0][0]) if rows else None


def apply_event(services: InstituteServices, asked: DomainRequest) -> DomainAnswer:
    """``notificarEvento``: apply it once; a second delivery changes nothing and says so."""
    if asked.context.member != REGISTRY:
        raise DomainError(
            "SS-210", "sólo el registro nacional avisa", "the national registry only gives notice"
        )
    body = dict(asked.body)
    if services.vital.is_applied(body["idEvento"]):
        return DomainAnswer({"aplicado": True}, categories=("evento-vital",))
    subject = services.subject(asked)
    affiliation = services.persons.affiliation(subject.pid)
    if affiliation is None:
        raise DomainError("SS-300")
    if body["tipo"] == "FALLECIMIENTO" and body["fechaEvento"] > asked.today.isoformat():
        raise DomainError("SS-103", "el evento es futuro", "the event is in the future", field="fechaEvento")
    answer: dict[str, object] = {"aplicado": True}
    if body["tipo"] == "FALLECIMIENTO":
        if affiliation.state == "PENSIONADA":
            number = f"PORT-{services.code[:2]}-{asked.today.year}-{90_000_000 + int(asked.now.timestamp()) % 10_000_000:08d}"
            services.vital.stop_payments(subject.pid, body["fechaEvento"], number)
        services.persons.save_affiliation(replace(affiliation, state="FALLECIDA"))
    elif body["tipo"] == "ANULACION":
        undone = services.vital.before(body.get("anula", ""))
        if undone is None:
            raise DomainError("SS-400", "no hay tal evento", "there is no such event", field="anula")
        # Payments first: whoever sees the state restored sees what is owed too.
        owed = services.vital.resume_payments(subject.pid, body["fechaEvento"])
        services.persons.save_affiliation(replace(affiliation, state=undone[0]))
        if owed is not None:
            answer["adeudos"] = owed
    services.vital.add(subject.pid, body, affiliation.state, asked.now.isoformat())
    return DomainAnswer(answer, categories=("evento-vital",))
