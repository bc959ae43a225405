"""How many records have no timestamp: counted truly, and from where none is missing, not from the log's beginning."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.messagelog.marks import UnmarkedRecords, settled
from gateway.messagelog.steps import STEPS
from tests.worlds import NOW

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

MINUTE = timedelta(minutes=1)


class Log:
    """The tables of a log in memory, with records that hold nothing, and a clock that the test moves."""

    def __init__(self) -> None:
        self.tables = sqlite3.connect(":memory:", isolation_level=None)
        for step in STEPS:
            self.tables.executescript(step)
        self.now: datetime = NOW
        self.waiting: dict[int, float] = {}
        self.last = 0
        self.unstamped = self.begin()

    def begin(self) -> UnmarkedRecords:
        """What a process that starts knows."""
        return UnmarkedRecords(self.query, lambda: self.now, "stamped")

    def query(self, sql: str, values: Sequence[object] = ()) -> list[tuple[object, ...]]:
        return self.tables.execute(sql, tuple(values)).fetchall()

    def write(self, count: int = 1) -> None:
        for _ in range(count):
            self.last += 1
            self.waiting[self.last] = self.now.timestamp()
            self.tables.execute(
                "INSERT INTO record (id, message_id, request_id, is_response, side, owner, client, service, protocol, "
                "message, signature, at_ms, chain) VALUES (?, '', '', 0, '', '', '', '', '', '', '', ?, '')",
                (self.last, int(self.now.timestamp() * 1000)),
            )

    def stamp(self, *ids: int) -> None:
        for number in ids:
            self.tables.execute("INSERT INTO stamped (record_id, stamp_id) VALUES (?, 1)", (number,))
            del self.waiting[number]


def test_what_has_a_timestamp_is_not_looked_at_again() -> None:
    log = Log()
    log.write(100)
    first = NOW.timestamp()
    assert log.unstamped.count() == (100, first)
    log.stamp(*(n for n in range(1, 101) if n != 40))
    # Lately written, a record of another node may still come below.
    assert (log.unstamped.count(), log.unstamped.settled) == ((1, first), 0)
    log.now += 11 * MINUTE
    assert (log.unstamped.count(), log.unstamped.settled) == ((1, first), 39)
    log.stamp(40)
    assert (log.unstamped.count(), log.unstamped.settled) == ((0, None), 100)
    log.write(5)
    assert (log.unstamped.count(), log.unstamped.settled) == ((5, log.now.timestamp()), 100)
    # A log that was begun anew has lower numbers.
    log.tables.executescript("DELETE FROM stamped; DELETE FROM record")
    log.last, log.waiting = 0, {}
    log.write(2)
    assert log.unstamped.count() == (2, log.now.timestamp())
    log.tables.close()


def test_a_start_goes_on_from_what_was_kept_with_the_log() -> None:
    log = Log()
    log.write(100)
    log.stamp(*range(1, 91))
    log.now += 11 * MINUTE
    assert log.unstamped.first() == 91
    assert settled(log.query, "stamped") == 0
    log.unstamped.keep(log.tables)
    started = log.begin()
    searches: list[str] = []
    log.tables.set_trace_callback(searches.append)
    assert (started.first(), started.settled) == (91, 90)
    log.tables.set_trace_callback(None)
    assert [sql for sql in searches if "LEFT JOIN stamped" in sql and "record.id > 90" in sql]
    # One that knows less takes nothing back.
    log.begin().keep(log.tables)
    assert settled(log.query, "stamped") == 90
    log.tables.close()


def test_searches_begin_at_a_number_and_not_at_the_first_record() -> None:
    log = Log()
    log.write(3)
    searches: list[str] = []
    log.tables.set_trace_callback(searches.append)
    log.unstamped.count()
    log.unstamped.first()
    log.tables.set_trace_callback(None)
    joined = [sql for sql in searches if "LEFT JOIN stamped" in sql]
    assert len(joined) == 2
    for sql in joined:
        plan = log.tables.execute(f"EXPLAIN QUERY PLAN {sql}").fetchall()
        assert "SEARCH record USING INTEGER PRIMARY KEY (rowid>?)" in [row[3] for row in plan]
    log.tables.close()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(1, 5).map(lambda n: ("write", n)),
            st.integers(0, 40).map(lambda n: ("stamp", n)),
            st.integers(1, 15).map(lambda n: ("wait", n)),
        ),
        max_size=40,
    )
)
def test_whatever_is_written_and_stamped_in_any_order_count_and_oldest_are_true(
    acts: list[tuple[str, int]],
) -> None:
    log = Log()
    for act, number in acts:
        if act == "write":
            log.write(number)
        elif act == "stamp" and number in log.waiting:
            log.stamp(number)
        elif act == "wait":
            log.now += number * MINUTE
        if number % 2:
            assert log.unstamped.first() == min(log.waiting, default=None)
        else:
            assert log.unstamped.count() == (len(log.waiting), min(log.waiting.values(), default=None))
    log.tables.close()
