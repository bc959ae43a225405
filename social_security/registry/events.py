"""Vital events in the registry's books: who said what of whom, which of it stands, and which institute has been told what.

A death stands while its sender has not annulled it and no officer has set it aside. A person's vital state is never written
for itself: it follows from what stands, so that merging two records and making them two again needs no rule of its own.
`reconcile` compares what stands with what each institute was told and queues the difference; everything that changes
either runs it in the same transaction.

Spec: the domain reference 5.7 (notificarEvento); S12, S13.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from schemas.jsontext import dump_json, load_json
from social_security.domain.calendars import national_day
from social_security.domain.pseudonyms import Pid, Rid
from social_security.wire.outbox import Outbox, OutboxItem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from serving.storage.transactions import Transaction

EVENTS_STEP = """
    CREATE TABLE pseudonym (
        member TEXT NOT NULL,
        pid TEXT NOT NULL,
        rid BLOB NOT NULL REFERENCES person (rid),
        key_version TEXT NOT NULL,
        since TEXT NOT NULL,
        PRIMARY KEY (member, pid)
    );
    CREATE INDEX pseudonym_rid ON pseudonym (rid);
    INSERT INTO pseudonym (member, pid, rid, key_version, since)
        SELECT member, pid, rid, key_version, since FROM link;
    CREATE TABLE vital_report (
        sender TEXT NOT NULL,
        event_id TEXT NOT NULL,
        rid BLOB NOT NULL,
        pid TEXT NOT NULL,
        body TEXT NOT NULL,
        told_id TEXT NOT NULL,
        stands INTEGER NOT NULL,
        case_id TEXT,
        at TEXT NOT NULL,
        PRIMARY KEY (sender, event_id)
    );
    CREATE INDEX vital_report_rid ON vital_report (rid);
    INSERT INTO vital_report (sender, event_id, rid, pid, body, told_id, stands, at)
        SELECT '', event_id, rid, '', body, event_id, 1, '' FROM vital_event;
    CREATE TABLE vital_told (
        member TEXT NOT NULL,
        event_id TEXT NOT NULL,
        pid TEXT NOT NULL,
        origin TEXT NOT NULL,
        annulled INTEGER NOT NULL,
        PRIMARY KEY (member, event_id)
    );
    CREATE INDEX vital_told_pid ON vital_told (member, pid);
    CREATE TABLE vital_case (
        case_id TEXT PRIMARY KEY,
        rid BLOB NOT NULL,
        reason TEXT NOT NULL,
        opened_at TEXT NOT NULL,
        closed_by TEXT,
        closed_at TEXT
    );
    CREATE TABLE merged (
        id INTEGER PRIMARY KEY,
        rid BLOB NOT NULL,
        other BLOB NOT NULL,
        decided_by TEXT NOT NULL,
        signature TEXT NOT NULL,
        at TEXT NOT NULL,
        moved TEXT NOT NULL,
        undone_by TEXT,
        undone_signature TEXT,
        undone_at TEXT
    );
    CREATE TABLE officer (
        name TEXT PRIMARY KEY,
        public_key TEXT NOT NULL
    );
"""
DEATH, ALIVE, ANNULMENT = "FALLECIMIENTO", "SUPERVIVENCIA", "ANULACION"
MERGED, PARTED = "FUSION", "SEPARACION"
# For ids that the registry gives itself, one always the same for the same thing.
_NAMESPACE = uuid.UUID("5b0c1d1e-6f0e-5d2a-9d57-0f6d3f5c7a10")
_COLUMNS = "sender, event_id, rid, pid, body, told_id, stands, case_id"


@dataclass(frozen=True, slots=True)
class EventReport:
    """One sender's report of an event of a person. ``told_id`` is the id by which institutes know it; ``body`` has no pseudonym."""

    sender: str
    event_id: str
    rid: Rid
    pid: str
    body: dict[str, Any]
    told_id: str
    stands: bool = True
    case: str | None = None

    @property
    def type(self) -> str:
        """The kind of event (``tipo``), as the code list has it."""
        return str(self.body["tipo"])

    @property
    def day(self) -> date:
        """The day of the event."""
        return date.fromisoformat(self.body["fechaEvento"])


def report_of(connection: Transaction, sender: str, event_id: str) -> EventReport | None:
    """The report that a sender made under an event id, or None."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM vital_report WHERE sender = ? AND event_id = ?",
        (sender, event_id),
    ).fetchall()
    return _report(rows[0]) if rows else None


def reports_of(connection: Transaction, rid: Rid) -> list[EventReport]:
    """Everything said of a person, first said first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM vital_report WHERE rid = ? ORDER BY at, sender, event_id",
        (rid,),
    ).fetchall()
    return [_report(r) for r in rows]


def annulled(reports: Sequence[EventReport]) -> set[tuple[str, str]]:
    """Sender and id of the reports that their own senders have taken back."""
    return {(r.sender, str(r.body.get("anula"))) for r in reports if r.type == ANNULMENT and r.stands}


def in_force(reports: Sequence[EventReport], kind: str = DEATH) -> list[EventReport]:
    """The deaths (or proofs of life) among reports that stand."""
    gone = annulled(reports)
    return [r for r in reports if r.type == kind and r.stands and (r.sender, r.event_id) not in gone]


def add_report(connection: Transaction, report: EventReport, at: datetime) -> None:
    """Write what a sender said."""
    connection.execute(
        f"INSERT INTO vital_report ({_COLUMNS}, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            report.sender,
            report.event_id,
            report.rid,
            report.pid,
            dump_json(report.body, ensure_ascii=False),
            report.told_id,
            int(report.stands),
            report.case,
            at.isoformat(),
        ),
    )


def new_public_id(connection: Transaction, sender: str, event_id: str) -> str:
    """The id by which institutes hear of an event: the sender's own, unless another sender uses it too."""
    taken = connection.execute("SELECT 1 FROM vital_report WHERE told_id = ?", (event_id,)).fetchall()
    return _id(sender, event_id) if taken else event_id


def open_case(connection: Transaction, rid: Rid, reason: str, at: datetime) -> str:
    """Open a case about contradictory reports, or return the one that is open."""
    known = connection.execute(
        "SELECT case_id FROM vital_case WHERE rid = ? AND closed_at IS NULL", (rid,)
    ).fetchall()
    if known:
        return str(known[0][0])
    ((count,),) = connection.execute("SELECT count(*) FROM vital_case").fetchall()
    case = f"CONS-00-{at.year}-{int(count) + 1:08d}"
    connection.execute(
        "INSERT INTO vital_case (case_id, rid, reason, opened_at) VALUES (?, ?, ?, ?)",
        (case, rid, reason, at.isoformat()),
    )
    return case


def reconcile(connection: Transaction, rid: Rid, at: datetime, because: str | None = None) -> None:
    """Write the vital state that follows from what stands, and queue what institutes must hear so that they know it.

    ``because`` is the id of the annulment that caused it, where there is one.
    """
    deaths = in_force(reports_of(connection, rid))
    state = "FALLECIDA" if deaths else "VIVA"
    connection.execute("UPDATE person SET vital_state = ? WHERE rid = ?", (state, rid))
    death = deaths[0] if deaths else None
    recipients = connection.execute(
        "SELECT t.member, t.event_id, t.pid, t.origin FROM vital_told t JOIN pseudonym p "
        "ON p.member = t.member AND p.pid = t.pid WHERE p.rid = ? AND t.annulled = 0",
        (rid,),
    ).fetchall()
    knowing: set[tuple[str, str]] = set()
    for member, event_id, pid, origin in recipients:
        if death is not None and origin == death.told_id:
            knowing.add((member, pid))
            continue
        body = {"tipo": ANNULMENT, "fechaEvento": national_day(at).isoformat(), "anula": event_id}
        notice = _notice(connection, because or _id("anula", event_id), member, pid, body, at)
        Outbox.put(connection, [notice])
        connection.execute(
            "UPDATE vital_told SET annulled = 1 WHERE member = ? AND event_id = ?", (member, event_id)
        )
    for member, pid in links_of(connection, rid) if death is not None else ():
        if death is None or (member, pid) in knowing:
            continue
        body = {"tipo": DEATH, "fechaEvento": death.body["fechaEvento"]}
        notice = _notice(connection, death.told_id, member, pid, body, at)
        Outbox.put(connection, [notice])
        connection.execute(
            "INSERT INTO vital_told (member, event_id, pid, origin, annulled) VALUES (?, ?, ?, ?, 0)",
            (member, notice.notice_id, pid, death.told_id),
        )


def notify_all(
    connection: Transaction,
    links: Sequence[tuple[str, Pid]],
    event_id: str,
    body: dict[str, Any],
    at: datetime,
) -> None:
    """Queue one event for every institute that holds the person, once for each pseudonym it has of her."""
    for member, pid in links:
        others = [p for m, p in links if m == member and p != pid]
        notified = {**body, "otroPid": others[0]} if others and body["tipo"] in (MERGED, PARTED) else body
        Outbox.put(connection, [_notice(connection, event_id, member, pid, notified, at)])


def notify_joined(connection: Transaction, rid: Rid, member: str, pid: Pid, at: datetime) -> None:
    """Tell an institute that begins to hold a person under a second pseudonym that both are hers: two records have become one."""
    hers = [link for link in links_of(connection, rid) if link[0] == member]
    others = [other for _, other in hers if other != pid]
    if others:
        event, day = str(uuid.uuid4()), national_day(at).isoformat()
        body = {"tipo": MERGED, "fechaEvento": day, "otroPid": others[0]}
        Outbox.put(connection, [_notice(connection, event, member, pid, body, at)])


def links_of(connection: Transaction, rid: Rid) -> list[tuple[str, Pid]]:
    """The institutes that hold a person now, each with its own stored PID."""
    rows = connection.execute(
        "SELECT member, pid FROM link WHERE rid = ? AND until IS NULL ORDER BY member, since, pid", (rid,)
    ).fetchall()
    return [(str(m), Pid(p)) for m, p in rows]


def _notice(
    connection: Transaction, event_id: str, member: str, pid: str, body: dict[str, Any], at: datetime
) -> OutboxItem:
    """A notice whose id no other one to this member has: an institute knows each event by its id alone."""
    number, tries = event_id, 0
    # The same things can happen twice in one instant: records merged, made two, and merged again.
    while connection.execute(
        "SELECT 1 FROM outbox WHERE notice_id = ? AND member = ?", (number, member)
    ).fetchall():
        tries += 1
        number = _id(event_id, pid, at.isoformat(), body["tipo"], str(tries))
    case = f"CONS-00-{at.year}-{int(at.timestamp()) % 100_000_000:08d}"
    return OutboxItem(number, member, "notificarEvento", {"idEvento": number, **body, "pid": pid}, case)


def _id(*parts: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(parts)))


def _report(row: tuple[Any, ...]) -> EventReport:
    sender, event_id, rid, pid, body, told_id, stands, case = row
    return EventReport(
        str(sender),
        str(event_id),
        Rid(bytes(rid)),
        str(pid),
        load_json(body),
        str(told_id),
        bool(stands),
        None if case is None else str(case),
    )
