"""Names of retirees that the law has the institute publish, in its database."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from serving.storage.database import AnyDatabase
    from social_security.domain.pseudonyms import Pid


RETIREE_STEP = """
    CREATE TABLE retiree (
        pid TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        monthly_cents BIGINT NOT NULL
    );
"""


class RetireeStore:
    """Pensions in payment, for publication only."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def is_listed(self, pid: Pid) -> bool:
        """Whether the person's name is held here."""
        return bool(self._database.query("SELECT 1 FROM retiree WHERE pid = ?", (pid,)))

    def rename(self, pid: Pid, name: str) -> None:
        """Correct a person's name on her row of the list of retirees."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE retiree SET name = ? WHERE pid = ?", (name, pid))

    def set(self, pid: Pid, name: str, monthly_cents: int) -> None:
        """Enter a pension in payment."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO retiree (pid, name, monthly_cents) VALUES (?, ?, ?) ON CONFLICT (pid) DO UPDATE SET "
                "name = excluded.name, monthly_cents = excluded.monthly_cents",
                (pid, name, monthly_cents),
            )

    def paid(self) -> list[tuple[str, int]]:
        """Names and amounts of those who are pensioners now, by name."""
        return [
            (str(r[0]), int(r[1]))
            for r in self._database.query(
                "SELECT retiree.name, retiree.monthly_cents FROM retiree JOIN affiliation "
                "ON affiliation.pid = retiree.pid WHERE affiliation.state = 'PENSIONADA' ORDER BY retiree.name"
            )
        ]
