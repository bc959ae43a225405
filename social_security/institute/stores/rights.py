"""What the exercise of rights leaves behind: oppositions, blocked data, and what the daily routine has suppressed.

Blocked data is kept for liability only and erased at the end of its term; the log of suppressions names ids, not content.

Spec: the domain reference 5.4; S08.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.storage.database import AnyDatabase
    from social_security.domain.pseudonyms import Pid

RIGHTS_STEP = """
    CREATE TABLE opposition (
        pid TEXT NOT NULL,
        data TEXT NOT NULL,
        folio TEXT NOT NULL,
        PRIMARY KEY (pid, data)
    );
    CREATE TABLE contact (
        pid TEXT PRIMARY KEY,
        value TEXT NOT NULL,
        blocked_since TEXT,
        erase_on TEXT
    );
    CREATE TABLE suppression (
        id INTEGER PRIMARY KEY,
        day TEXT NOT NULL,
        what TEXT NOT NULL,
        pid TEXT NOT NULL
    );
"""
# What an opposition is about became more than data: purposes, and decisions made only by automated means.
OPPOSITION_STEP = "ALTER TABLE opposition ADD COLUMN since TEXT"
# An opposition can be withdrawn; cancelled data is blocked first, category by category, until its retention ends.
BLOCKED_STEP = """
    ALTER TABLE opposition ADD COLUMN until TEXT;
    CREATE TABLE blocked (
        pid TEXT NOT NULL,
        data TEXT NOT NULL,
        folio TEXT NOT NULL,
        since TEXT NOT NULL,
        erase_on TEXT NOT NULL,
        PRIMARY KEY (pid, data)
    );
"""
AUTOMATED = "automatizado"


# Cancelled category -> the table whose rows are erased when its retention ends.
_ERASED = {"historia": "period", "periodo": "period", "afiliacion": "affiliation"}


class RightsStore:
    """Oppositions, contacts and suppressions in the institute's database."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def oppose(self, pid: Pid, what: str, folio: str, since: date) -> None:
        """Note that a person opposes a use of her data: by category, by purpose, or `AUTOMATED`."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO opposition (pid, data, folio, since) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (pid, data) DO UPDATE SET folio = excluded.folio, since = excluded.since, until = NULL "
                "WHERE opposition.until IS NOT NULL",
                (pid, what, folio, since.isoformat()),
            )

    def withdraw(self, pid: Pid, uses: Sequence[str], until: date) -> list[str]:
        """End a person's opposition to these uses; those that she did oppose."""
        opposed = self._opposed(pid)
        ended = [use for use in dict.fromkeys(uses) if use in opposed]
        with self._database.transaction() as connection:
            connection.executemany(
                "UPDATE opposition SET until = ? WHERE pid = ? AND data = ?",
                [(until.isoformat(), pid, use) for use in ended],
            )
        return ended

    def opposition(self, pid: Pid, uses: Sequence[str]) -> str | None:
        """The first of these uses that she opposes, or None."""
        opposed = self._opposed(pid)
        return next((use for use in uses if use in opposed), None)

    def _opposed(self, pid: Pid) -> set[str]:
        rows = self._database.query("SELECT data FROM opposition WHERE pid = ? AND until IS NULL", (pid,))
        return {str(r[0]) for r in rows}

    def block(self, pid: Pid, data: str, folio: str, since: date, erase_on: date) -> None:
        """Block cancelled data: no ordinary use from now on, and erased on a day."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO blocked (pid, data, folio, since, erase_on) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (pid, data) DO NOTHING",
                (pid, data, folio, since.isoformat(), erase_on.isoformat()),
            )

    def blocked(self, pid: Pid) -> dict[str, date]:
        """The kinds of a person's data that are blocked, with the day since when."""
        rows = self._database.query("SELECT data, since FROM blocked WHERE pid = ? ORDER BY data", (pid,))
        return {str(r[0]): date.fromisoformat(r[1]) for r in rows}

    def set_contact(self, pid: Pid, value: str) -> None:
        """Keep a person's e-mail address."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO contact (pid, value) VALUES (?, ?) ON CONFLICT (pid) DO UPDATE SET "
                "value = excluded.value, blocked_since = NULL, erase_on = NULL",
                (pid, value),
            )

    def contact(self, pid: Pid) -> str | None:
        """The address, for ordinary use: not when it is blocked."""
        rows = self._database.query(
            "SELECT value FROM contact WHERE pid = ? AND blocked_since IS NULL", (pid,)
        )
        return str(rows[0][0]) if rows else None

    def block_contact(self, pid: Pid, day: date, erase_on: date) -> None:
        """Block the address at once, to be erased on a day."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE contact SET blocked_since = ?, erase_on = ? WHERE pid = ?",
                (day.isoformat(), erase_on.isoformat(), pid),
            )

    def suppress(self, today: date) -> int:
        """Erase what is due; how much that was. What was erased is written down by id."""
        with self._database.transaction() as connection:
            due = connection.execute(
                "SELECT pid FROM contact WHERE erase_on IS NOT NULL AND erase_on <= ?", (today.isoformat(),)
            ).fetchall()
            for (pid,) in due:
                connection.execute("DELETE FROM contact WHERE pid = ?", (pid,))
                connection.execute(
                    "INSERT INTO suppression (day, what, pid) VALUES (?, 'contact', ?)",
                    (today.isoformat(), pid),
                )
            for data, table in _ERASED.items():
                ended = connection.execute(
                    "SELECT pid FROM blocked WHERE data = ? AND erase_on <= ?", (data, today.isoformat())
                ).fetchall()
                for (pid,) in ended:
                    connection.execute(f"DELETE FROM {table} WHERE pid = ?", (pid,))
                    connection.execute("DELETE FROM blocked WHERE pid = ? AND data = ?", (pid, data))
                    connection.execute(
                        "INSERT INTO suppression (day, what, pid) VALUES (?, ?, ?)",
                        (today.isoformat(), data, pid),
                    )
                due = [*due, *ended]
        return len(due)

    def suppressed(self) -> list[tuple[str, str, str]]:
        """Day, kind and pseudonym of everything suppressed."""
        return [
            (r[0], r[1], r[2])
            for r in self._database.query("SELECT day, what, pid FROM suppression ORDER BY id")
        ]
