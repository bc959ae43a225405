"""How much of a message log has no timestamp yet, without reading all of it each time.

A record gets a timestamp once and never loses it, and numbers grow as records are written. So below some number every record has one, and
the next count begins there; the number is remembered in this process alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    Query = Callable[[str, Sequence[object]], Sequence[Sequence[object]]]

# A node that shares the log may commit a lower number after a higher one, but not so much later.
SETTLED_MS: Final = 600_000


class UnstampedRecords:
    """Counts the records of a log without a timestamp."""

    def __init__(self, query: Query, now: Callable[[], datetime]) -> None:
        """``query`` gives the rows of a question to the log's tables."""
        self._query = query
        self._now = now
        # Every record up to this number has a timestamp, or is gone.
        self.settled = 0

    def count(self) -> tuple[int, float | None]:
        """How many records have no timestamp, and when the oldest of them was written (Unix seconds); for threads."""
        ((newest,),) = self._query("SELECT coalesce(max(id), 0) FROM record", ())
        if int(str(newest)) < self.settled:
            self.settled = 0  # the log was begun anew
        old = self._last_before(int(self._now().timestamp() * 1000) - SETTLED_MS, int(str(newest)))
        ((count, oldest, first),) = self._query(
            "SELECT count(*), min(record.at_ms), min(record.id) FROM record "
            "LEFT JOIN stamped ON stamped.record_id = record.id WHERE record.id > ? AND stamped.record_id IS NULL",
            [self.settled],
        )
        self.settled = max(self.settled, old if first is None else min(old, int(str(first)) - 1))
        return int(str(count)), None if oldest is None else int(str(oldest)) / 1000

    def _last_before(self, at_ms: int, newest: int) -> int:
        """The last number of a record that was written by then, as times grow with numbers: found by halves, some twenty rows."""
        low, high = self.settled, newest
        while low < high:
            middle = (low + high + 1) // 2
            found = self._query("SELECT at_ms FROM record WHERE id <= ? ORDER BY id DESC LIMIT 1", [middle])
            if not found or int(str(found[0][0])) <= at_ms:
                low = middle
            else:
                high = middle - 1
        return low
