"""Telling the registry whom this institute holds and of whom it certifies a history: what changed since it was told last.

The difference is queued in batches, in one transaction with the note that it has been queued; the outbox sends them, as often as
it takes. Whoever is announced once is not announced again until something about her changes.

Spec: the domain reference 5.7; F07.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from schemas.jsontext import dump_json
from social_security.wire.outbox import Outbox, OutboxItem

if TYPE_CHECKING:
    from datetime import date

    from serving.storage.database import AnyDatabase

ANNOUNCED_STEP = """
    CREATE TABLE announced (
        pid TEXT PRIMARY KEY,
        since TEXT NOT NULL,
        history INTEGER NOT NULL
    );
"""
REGISTRY: Final = "MX/GOB/00-RNSS"
# As many as one message takes.
BATCH: Final = 500
_AFFILIATIONS = (
    "SELECT a.pid AS pid, a.since AS since, CASE WHEN EXISTS (SELECT 1 FROM period p WHERE p.pid = a.pid "
    "AND p.state = 'CERTIFICADO') THEN 1 ELSE 0 END AS history FROM affiliation a"
)

_AFFILIATIONS_ELSEWHERE = "SELECT a.pid AS pid, a.since AS since, 1 AS history FROM affiliation a"
_NEWS = (
    "h LEFT JOIN announced n ON n.pid = h.pid "
    "WHERE n.pid IS NULL OR n.since <> h.since OR n.history <> h.history ORDER BY h.pid"
)
_UNTOLD = f"SELECT h.pid, h.since, h.history FROM ({_AFFILIATIONS}) {_NEWS}"
_UNTOLD_ELSEWHERE = f"SELECT h.pid, h.since, h.history FROM ({_AFFILIATIONS_ELSEWHERE}) {_NEWS}"


def queue_announcements(
    database: AnyDatabase, code: str, today: date, *, are_periods_elsewhere: bool = False
) -> int:
    """Queue what the registry has not been told; of how many persons. On disk after it: the notices and that they were made.

    With periods in another system everybody affiliated is told as one of whom there is a history: nobody is asked about all of them.
    """
    with database.transaction() as connection:
        rows = connection.execute(_UNTOLD_ELSEWHERE if are_periods_elsewhere else _UNTOLD).fetchall()
        Outbox.put(connection, _notices(code, today, [_entry(*row) for row in rows]))
        connection.executemany(
            "INSERT INTO announced (pid, since, history) VALUES (?, ?, ?) ON CONFLICT (pid) DO UPDATE SET "
            "since = excluded.since, history = excluded.history",
            rows,
        )
    return len(rows)


def queue_withdrawal(database: AnyDatabase, code: str, pids: list[str], today: date) -> int:
    """Queue that the institute no longer holds these persons, from today on; how many of them it had announced."""
    with database.transaction() as connection:
        ended = []
        for pid in pids:
            rows = connection.execute("SELECT since FROM announced WHERE pid = ?", (pid,)).fetchall()
            if rows:
                last = {"hasta": today.isoformat(), "historia": False}
                ended.append(_entry(pid, min(str(rows[0][0]), today.isoformat()), 0) | last)
                connection.execute("DELETE FROM announced WHERE pid = ?", (pid,))
        Outbox.put(connection, _notices(code, today, ended))
    return len(ended)


def mark_announced(database: AnyDatabase) -> None:
    """Note that the registry knows of everybody who is here: for a fixture that made both."""
    with database.transaction() as connection:
        connection.execute(f"INSERT INTO announced (pid, since, history) {_AFFILIATIONS}")


def _entry(pid: str, since: str, history: int) -> dict[str, Any]:
    return {"pid": pid, "desde": since, "historia": bool(history)}


def _notices(code: str, today: date, entries: list[dict[str, Any]]) -> list[OutboxItem]:
    return [_notice(code, today, entries[at : at + BATCH]) for at in range(0, len(entries), BATCH)]


def _notice(code: str, today: date, entries: list[dict[str, Any]]) -> OutboxItem:
    digest = hashlib.sha256(dump_json([today.isoformat(), entries]).encode()).hexdigest()
    case = f"CONS-{code[:2]}-{today.year}-{int(digest[:8], 16) % 100_000_000:08d}"
    return OutboxItem(f"vinculos:{digest[:32]}", REGISTRY, "registrarVinculos", {"vinculos": entries}, case)
