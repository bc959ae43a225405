"""How far a message log is done with, so that nobody reads all of it each time: to find what is not timestamped, or not archived.

A record gets a timestamp once and never loses it, and numbers grow as records are written; an archive is alike. So below some number
every record has its mark, and the next search begins there. The number is kept with the log (``settled``), for the next start and for
other nodes, by whoever sets marks; one that is too low costs a longer search and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from serving.storage.transactions import Transaction

    Query = Callable[[str, Sequence[object]], Sequence[Sequence[object]]]

# A node that shares the log may commit a lower number after a higher one, but not so much later.
SETTLED_MS: Final = 600_000


class UnmarkedRecords:
    """Counts and finds the records of a log that have no row in a table of marks: ``stamped``, ``archived``."""

    def __init__(self, query: Query, now: Callable[[], datetime], marks: str) -> None:
        """``query`` gives the rows of a question to the log's tables."""
        self._query = query
        self._now = now
        self._marks_table = marks
        # Both tables begin there: PostgreSQL concludes no bound of one from that of the other, and reads all of it.
        self._join = f"LEFT JOIN {marks} AS mark ON mark.record_id = record.id AND mark.record_id > ?"
        self._is_read = False
        # Every record up to this number has its mark, or is gone.
        self.settled = 0

    def count(self) -> tuple[int, float | None]:
        """The number of records without a mark, and when the oldest of them was written (Unix seconds; None: there is none); for threads."""
        old = self._last_settled()
        ((count, oldest, first),) = self._query(
            f"SELECT count(*), min(record.at_ms), min(record.id) FROM record {self._join} "
            "WHERE record.id > ? AND mark.record_id IS NULL",
            [self.settled, self.settled],
        )
        self._settle(old, None if first is None else int(str(first)))
        return int(str(count)), None if oldest is None else int(str(oldest)) / 1000

    def first(self) -> int | None:
        """The number of the oldest record without a mark; None when every one has one. For threads."""
        old = self._last_settled()
        found = self._query(
            f"SELECT record.id FROM record {self._join} "
            "WHERE record.id > ? AND mark.record_id IS NULL ORDER BY record.id LIMIT 1",
            [self.settled, self.settled],
        )
        first = int(str(found[0][0])) if found else None
        self._settle(old, first)
        return first

    def keep(self, transaction: Transaction) -> None:
        """Keep with the log how far it is known to be done."""
        settle(transaction, self._marks_table, self.settled)

    def _settle(self, old: int, first: int | None) -> None:
        """Begin the next search before ``first``, the oldest without a mark, and never beyond ``old``."""
        self.settled = max(self.settled, old if first is None else min(old, first - 1))

    def _last_settled(self) -> int:
        """The last number before which no record can come any more."""
        if not self._is_read:
            self.settled = max(self.settled, settled(self._query, self._marks_table))
            self._is_read = True
        ((newest,),) = self._query("SELECT coalesce(max(id), 0) FROM record", ())
        if int(str(newest)) < self.settled:
            self.settled = 0  # the log was begun anew
        at_ms = int(self._now().timestamp() * 1000) - SETTLED_MS
        return last_before(self._query, at_ms, self.settled, int(str(newest)))


def last_before(query: Query, at_ms: int, low: int, high: int) -> int:
    """The last number from ``low`` to ``high`` whose record was written by then, ``low`` where none was.

    Times grow with numbers, so it is found by halves: some twenty rows.
    """
    while low < high:
        middle = (low + high + 1) // 2
        found = query("SELECT at_ms FROM record WHERE id <= ? ORDER BY id DESC LIMIT 1", [middle])
        if not found or int(str(found[0][0])) <= at_ms:
            low = middle
        else:
            high = middle - 1
    return low


def settled(query: Query, name: str) -> int:
    """The number of the record up to which the log is known to be done with something; 0: none."""
    found = query("SELECT number FROM settled WHERE name = ?", [name])
    return int(str(found[0][0])) if found else 0


def settle(transaction: Transaction, name: str, number: int) -> None:
    """Keep that the log is done with something up to a number; a higher one stays."""
    transaction.execute(
        "INSERT INTO settled (name, number) VALUES (?, ?) "
        "ON CONFLICT (name) DO UPDATE SET number = excluded.number WHERE settled.number < excluded.number",
        (name, number),
    )
