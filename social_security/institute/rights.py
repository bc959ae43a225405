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
AUTOMATED = "automatizado"
BLOCKED_DAYS = 90


class RightsStore:
    """Oppositions, contacts and suppressions in the institute's database."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def oppose(self, pid: Pid, what: str, folio: str, since: date) -> None:
        """Note that a person opposes a use of her data: by category, by purpose, or `AUTOMATED`."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO opposition (pid, data, folio, since) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (pid, data) DO NOTHING",
                (pid, what, folio, since.isoformat()),
            )

    def opposition(self, pid: Pid, uses: Sequence[str]) -> str | None:
        """The first of these uses that she opposes, or None."""
        opposed = {r[0] for r in self._database.query("SELECT data FROM opposition WHERE pid = ?", (pid,))}
        return next((use for use in uses if use in opposed), None)

    def is_opposed(self, pid: Pid, data: str) -> bool:
        """Whether she opposes it."""
        return bool(self._database.query("SELECT 1 FROM opposition WHERE pid = ? AND data = ?", (pid, data)))

    def set_contact(self, pid: Pid, value: str) -> None:
        """Keep a person's e-mail address."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO contact (pid, value) VALUES (?, ?) ON CONFLICT (pid) DO UPDATE SET value = excluded.value",
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
        return len(due)

    def suppressed(self) -> list[tuple[str, str, str]]:
        """Day, kind and pseudonym of everything suppressed."""
        return [
            (r[0], r[1], r[2])
            for r in self._database.query("SELECT day, what, pid FROM suppression ORDER BY id")
        ]
