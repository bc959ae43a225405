"""Partitions of a shared message log: tables of consecutive records, begun as time passes and dropped whole once they are due.

Partitions by inheritance (PostgreSQL 5.11.3): a question for ``record`` or ``attachment`` is over all of them. What was written
before the first partition stays in these two tables themselves, and a version that knows of no partitions goes on writing there; it
is removed row by row. Declarative partitioning wants bounds that are known beforehand; here a partition begins with whatever number
the log has come to when its time comes, so that it holds one stretch of the chain, and what is left without the oldest is a chain.

Numbers stay unique by the lock under which they are taken. Timestamps and archives are marked in tables of their own, removed by row.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from gateway.messagelog import rows
from gateway.messagelog.steps import STEPS

if TYPE_CHECKING:
    from serving.storage.database import AnyDatabase
    from serving.storage.transactions import Transaction

# The steps of a shared log: those of every log, and in between what only PostgreSQL needs. Foreign keys cannot lead to several tables.
SHARED_STEPS = (
    *STEPS[:4],
    """
    ALTER TABLE attachment DROP CONSTRAINT attachment_record_id_fkey;
    ALTER TABLE stamped DROP CONSTRAINT stamped_record_id_fkey;
    ALTER TABLE archived DROP CONSTRAINT archived_record_id_fkey;
    CREATE TABLE log_partition (
        number INTEGER PRIMARY KEY,
        first INTEGER NOT NULL,
        begun_ms INTEGER NOT NULL
    );
    """,
    STEPS[4],
    # With the number in it: a search by message id in the order of numbers, so many at most, would else be planned as a walk through
    # all of them wherever the database has not counted a table yet. Partitions have it from the next one on.
    """
    DROP INDEX record_of_message;
    CREATE INDEX record_of_message ON record (message_id, id);
    """,
    *STEPS[5:],
)
# Any number serves, as long as every node takes the same one: held by whoever numbers records.
LOG_LOCK = 0x5ACBE106
# So many partitions for as long as records are kept, but none shorter than a day.
PARTITIONS = 30
SHORTEST_MS = 86_400_000
# Records are numbered by nodes whose clocks may differ by so much: a partition is due so long after its last record is.
SKEW_MS = 3_600_000
# Exchanges wait while a table is waited for, and while whoever holds one stands still: rather try again at the next round.
_BOUNDS = "SET LOCAL lock_timeout = '2s'; SET LOCAL idle_in_transaction_session_timeout = '5s'"
_MARKS_TOGETHER = 10_000


class DroppedPartition(msgspec.Struct, frozen=True):
    """A partition that is gone: how many records it had, and the bodies that they named."""

    records: int
    body_names: tuple[str, ...]


def period_ms(keep_days: int) -> int:
    """The span of one partition in milliseconds, where records are kept ``keep_days``."""
    return max(SHORTEST_MS, keep_days * 86_400_000 // PARTITIONS)


@lru_cache(maxsize=64)
def insert_statements(number: int) -> tuple[str, str]:
    """The statements for records and attachments of a partition; of the tables themselves where ``number`` is 0: there is none."""
    if not number:
        return rows.INSERT_RECORDS, rows.INSERT_ATTACHMENTS
    return (
        rows.INSERT_RECORDS.replace("INTO record ", f"INTO record_{number} ", 1),
        rows.INSERT_ATTACHMENTS.replace("INTO attachment ", f"INTO attachment_{number} ", 1),
    )


def begin_partition(database: AnyDatabase, now_ms: int, period: int) -> bool:
    """Begin another partition if the newest is ``period`` milliseconds old; whether one was. Raises OSError.

    One to which nothing was written goes on instead, so that an idle log collects no tables.
    """
    with database.transaction() as transaction:
        transaction.execute(_BOUNDS)
        transaction.execute("SELECT pg_advisory_xact_lock(?)", (LOG_LOCK,))
        newest = transaction.execute(
            "SELECT number, first, begun_ms FROM log_partition ORDER BY number DESC LIMIT 1"
        ).fetchone()
        number, first, begun_ms = newest or (0, 0, 0)
        if newest and now_ms - begun_ms < period:
            return False
        last = _last_number(transaction)
        if newest and last < first:
            transaction.execute("UPDATE log_partition SET begun_ms = ? WHERE number = ?", (now_ms, number))
            return False
        _make(transaction, number + 1, last + 1)
        transaction.execute(
            "INSERT INTO log_partition (number, first, begun_ms) VALUES (?, ?, ?)",
            (number + 1, last + 1, now_ms),
        )
    # Committed: whoever numbers the next batch finds the partition under the same lock.
    return True


def _last_number(transaction: Transaction) -> int:
    ((last,),) = transaction.execute(
        "SELECT greatest((SELECT max(id) FROM record), (SELECT max(id) FROM removed), 0)"
    ).fetchall()
    return int(last)


def _make(transaction: Transaction, number: int, first: int) -> None:
    for table, column in (("record", "id"), ("attachment", "record_id")):
        transaction.execute(
            f"CREATE TABLE {table}_{number} (LIKE {table} INCLUDING DEFAULTS INCLUDING INDEXES) INHERITS ({table})"
        )
        _begin_at(transaction, f"{table}_{number}", column, first)


def _begin_at(transaction: Transaction, table: str, column: str, number: int) -> None:
    # Questions for older records pass the table over.
    transaction.execute(f"ALTER TABLE {table} ADD CHECK ({column} >= {number})")


def first_partitioned(database: AnyDatabase) -> int | None:
    """The first number that is in a partition; records before it are removed row by row. None while there is no partition."""
    ((first,),) = database.query("SELECT min(first) FROM log_partition")
    return None if first is None else int(first)


def drop_partition(database: AnyDatabase, before_ms: int) -> DroppedPartition | None:
    """Drop the oldest partition if all in it is archived and older than ``before_ms``; None when it is not. Raises OSError.

    The newest one, which is written to, is never dropped.
    """
    found = database.query("SELECT number, first FROM log_partition ORDER BY number LIMIT 2")
    if len(found) < 2:
        return None
    number, end = int(found[0][0]), int(found[1][1])
    newest = database.query("SELECT at_ms FROM record WHERE id < ? ORDER BY id DESC LIMIT 1", (end,))
    # Nothing is written to it any more, and nothing that is archived ceases to be.
    if (newest and newest[0][0] >= before_ms - SKEW_MS) or database.query(
        "SELECT 1 FROM record WHERE id < ? AND NOT EXISTS (SELECT 1 FROM archived WHERE record_id = record.id AND record_id < ?) LIMIT 1",
        (end, end),
    ):
        return None
    before = _removed(database)
    with database.transaction() as transaction:
        transaction.execute(_BOUNDS)
        last = transaction.execute(
            "SELECT id, chain, at_ms FROM record WHERE id < ? ORDER BY id DESC LIMIT 1", (end,)
        ).fetchone()
        names = transaction.execute(
            "SELECT file_name FROM attachment WHERE record_id < ? AND file_name IS NOT NULL", (end,)
        ).fetchall()
        transaction.execute(f"DROP TABLE record_{number}, attachment_{number}")
        # What a version without partitions wrote meanwhile.
        transaction.execute("DELETE FROM attachment WHERE record_id < ?", (end,))
        transaction.execute("DELETE FROM record WHERE id < ?", (end,))
        transaction.execute("DELETE FROM log_partition WHERE number = ?", (number,))
        if last is not None:
            note_removed(transaction, *last)
    # Committed. A crash from here on leaves marks of records that are gone, removed by the next round, and bodies that nobody names.
    return DroppedPartition(_removed(database) - before, tuple(str(name) for (name,) in names))


def note_removed(transaction: Transaction, number: int, chain: bytes, at_ms: int) -> None:
    """Let the log begin after a record, in the transaction that removes it and all before it."""
    transaction.execute("DELETE FROM removed")
    transaction.execute("INSERT INTO removed (id, chain) VALUES (?, ?)", (number, chain))
    transaction.execute("INSERT INTO emptied (id, at_ms, is_destroyed) VALUES (?, ?, 0)", (number, at_ms))


def remove_marks(database: AnyDatabase) -> None:
    """Remove what says of records that are gone that they were timestamped and archived, some at a time."""
    last = _removed(database)
    for table in ("archived", "stamped"):
        ((low,),) = database.query(f"SELECT min(record_id) FROM {table}")
        for start in range(last + 1 if low is None else int(low), last + 1, _MARKS_TOGETHER):
            with database.transaction() as transaction:
                transaction.execute(
                    f"DELETE FROM {table} WHERE record_id BETWEEN ? AND ?",
                    (start, min(last, start + _MARKS_TOGETHER - 1)),
                )


def _removed(database: AnyDatabase) -> int:
    ((last,),) = database.query("SELECT coalesce(max(id), 0) FROM removed")
    return int(last)
