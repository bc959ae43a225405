"""Partitions of a shared log: begun as days pass, dropped whole once archived and due, beside a version that knows of none."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import IsolationLevel

from gateway.messagelog.committed import CommittedReader
from gateway.messagelog.erasure import Eraser, Selection
from gateway.messagelog.keys import LogKeys
from gateway.messagelog.partitions import insert_statements, period_ms
from gateway.messagelog.record import ErasureOrder
from gateway.messagelog.retention import Retention, RetentionSettings
from gateway.messagelog.shared import SCHEMA
from gateway.messagelog.steps import STEPS
from gateway.messagelog.store import MessageLog
from gateway.settings.datafolder import DataFolder
from schemas.faults import Fault
from serving.storage.postgres import PostgresDatabase
from tests import worlds
from tests.logs import NOW, SECRET, append_signed, stamp_alone

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.postgres import Cluster

pytestmark = pytest.mark.processes
LARGE = 300_000


class SharedLog:
    """A log in a database, and what keeps it, on the day that a test says."""

    def __init__(self, address: str, folder: Path) -> None:
        self.address, self.folder, self.day = address, folder, 0
        self.place = DataFolder(folder, address)
        keys = LogKeys(self.place.message_log_keys)
        keys.open(SECRET, may_make=True)
        self.log = MessageLog.open(self.place.message_log, keys)
        self.place.log.mkdir(exist_ok=True)
        settings = RetentionSettings(keep_days=30, destroy_keys_days=35)
        self.keeper = Retention(self.log, self.place.log, self.now, settings)

    def now(self) -> datetime:
        return worlds.NOW + timedelta(days=self.day)

    async def append(self, count: int = 1, size: int = 10, message_id: str = "q") -> list[int]:
        return [
            await append_signed(self.log, self.folder, size=size, days_ago=-self.day, message_id=message_id)
            for _ in range(count)
        ]

    async def begin(self, day: int) -> bool:
        """Come to a day, and begin a partition if it is time."""
        self.day = day
        return await self.keeper.begin_partition()

    async def stamp_and_archive(self, *numbers: int) -> None:
        await stamp_alone(self.log, *numbers)
        await self.keeper.archive()

    def query(self, sql: str) -> list[tuple[object, ...]]:
        return self.log.reader.query(sql)

    def numbers(self) -> list[int]:
        return [int(str(n)) for (n,) in self.query("SELECT id FROM record ORDER BY id")]

    def tables(self) -> list[str]:
        """The table that each record is in."""
        found = self.query("SELECT CAST(CAST(tableoid AS regclass) AS TEXT) FROM record ORDER BY id")
        return [str(t) for (t,) in found]

    @contextlib.contextmanager
    def as_before(self) -> Iterator[None]:
        """Within it the writer goes by no partition, as that of the version before does."""
        kept = self.query("SELECT number, first, begun_ms FROM log_partition")
        with psycopg.connect(self.address, autocommit=True) as connection:
            connection.execute("DELETE FROM messagelog.log_partition")
            yield
            for row in kept:
                connection.execute("INSERT INTO messagelog.log_partition VALUES (%s, %s, %s)", row)


@pytest.fixture
async def shared(postgres: Cluster, tmp_path: Path) -> AsyncIterator[SharedLog]:
    opened = SharedLog(postgres.new_database(), tmp_path)
    yield opened
    await opened.log.close()


async def test_partitions_are_dropped_whole_once_all_in_them_is_archived_and_due(shared: SharedLog) -> None:
    before = await shared.append(2)
    assert await shared.begin(0)
    assert not await shared.begin(0)
    first = await shared.append(2, LARGE)
    assert await shared.begin(2)
    second = await shared.append(2, LARGE)
    assert await shared.begin(4)
    assert not await shared.begin(6)  # nothing was written to it: it goes on
    third = await shared.append(1)
    assert shared.tables() == [*["record"] * 2, *["record_1"] * 2, *["record_2"] * 2, "record_3"]
    await shared.stamp_and_archive(*before, *first, second[0], *third)
    assert await shared.keeper.remove_old() == 0
    shared.day = 45
    assert await shared.keeper.remove_old() == 4
    # The second partition has a record that is in no archive, so all of it stays, and all after it.
    assert shared.numbers() == [*second, *third]
    assert CommittedReader(shared.log.reader).removed_up_to() == first[-1]
    assert await shared.log.verify_chain() is None
    await shared.stamp_and_archive(second[1])
    assert await shared.keeper.remove_old() == 2
    assert await shared.keeper.destroy_old_keys() == second[-1]
    assert shared.numbers() == third
    assert shared.query("SELECT record_id FROM archived") == [(third[0],)]
    assert shared.query("SELECT record_id FROM stamped") == [(third[0],)]
    assert shared.query("SELECT count(*) FROM messagebodies.body") == [(0,)]
    assert shared.query("SELECT CAST(CAST(inhrelid AS regclass) AS TEXT) FROM pg_inherits ORDER BY 1") == [
        ("attachment_3",),
        ("record_3",),
    ]
    # The newest one goes once another is begun, and the numbers go on.
    assert await shared.begin(45)
    assert await shared.keeper.remove_old() == 1
    assert await shared.append() == [third[-1] + 1]
    assert await shared.log.verify_chain() is None
    keys = LogKeys(shared.place.message_log_keys)
    again = MessageLog.open(shared.place.message_log, keys)
    again.unlock(SECRET)
    assert [r.id for r in await again.find(worlds.CONSUMER, "q")] == [third[-1] + 1]
    await again.close()


async def test_what_the_version_before_writes_meanwhile_is_of_the_same_log(shared: SharedLog) -> None:
    assert await shared.begin(0)
    written = await shared.append()
    with shared.as_before():
        written += await shared.append(2)
    written += await shared.append()
    assert shared.tables() == ["record_1", "record", "record", "record_1"]
    assert await shared.begin(2)
    last = await shared.append()
    assert await shared.log.verify_chain() is None
    shared.day = 40
    await shared.stamp_and_archive(written[0], *written[2:], *last)
    assert await shared.keeper.remove_old() == 0
    await shared.stamp_and_archive(written[1])
    assert await shared.keeper.remove_old() == len(written)
    assert shared.numbers() == last
    assert await shared.log.verify_chain() is None


async def test_a_process_of_the_version_before_goes_on_beside_partitions(
    postgres: Cluster, tmp_path: Path
) -> None:
    address = postgres.new_database()
    old = PostgresDatabase(address, STEPS[:4], SCHEMA, isolation=IsolationLevel.READ_COMMITTED)
    row = (
        "1, 'old', 'r', 0, 'consumer', 'MX/GOB/A/S', 'c', 's', 'rest', '', '', NULL, NULL, 0, 0, 2, '', 0, ''"
    )
    columns = insert_statements(0)[0]
    old.query(f"{columns} ({row})")
    shared = SharedLog(address, tmp_path)
    (second,) = await shared.append()
    assert await shared.begin(0)
    (third,) = await shared.append()
    await stamp_alone(shared.log, third)
    # As its timestamper and its writer do.
    old.query("INSERT INTO stamp (id, token, at_ms, authority) VALUES (7, '', 0, 'a')")
    old.query(f"INSERT INTO stamped (record_id, stamp_id) VALUES ({second}, 7)")
    old.query(f"{columns} ({row.replace('1,', '4,', 1)})")
    assert old.query("SELECT count(*) FROM record") == [(4,)]
    assert shared.tables() == ["record", "record", "record_1", "record"]
    assert await shared.append() == [5]
    old.close()
    await shared.log.close()


async def test_erased_content_is_gone_from_a_partition_and_the_chain_is_whole(shared: SharedLog) -> None:
    await shared.begin(0)
    erased, kept = await shared.append(1, LARGE, "q1"), await shared.append(1, LARGE, "q2")
    await shared.begin(2)
    keys = LogKeys(shared.place.message_log_keys)
    keys.open(SECRET, may_make=False)
    eraser = Eraser(shared.place.message_log, keys)
    eraser.erase(eraser.find(Selection(message_id="q1")), ErasureOrder("ARCO-1", "Comité", "ana", NOW))
    eraser.close()
    keys.close()
    with pytest.raises(Fault, match="erased by order ARCO-1"):
        shared.log.reader.open_message(shared.log.reader.record(erased[0]))
    assert shared.log.reader.open_message(shared.log.reader.record(kept[0]))
    assert shared.query("SELECT count(DISTINCT name) FROM messagebodies.body") == [(1,)]
    assert await shared.log.verify_chain() is None


async def test_a_partition_that_is_read_is_dropped_later_and_messages_are_taken_meanwhile(
    shared: SharedLog,
) -> None:
    await shared.begin(0)
    written = await shared.append(2)
    await shared.begin(2)
    last = await shared.append()
    await shared.stamp_and_archive(*written, *last)
    shared.day = 40
    with psycopg.connect(shared.address) as reading:
        reading.execute("SELECT count(*) FROM messagelog.record")
        with pytest.raises(OSError, match="another node holds it"):
            await shared.keeper.remove_old()
        last += await shared.append()
    assert shared.numbers() == [*written, *last]
    assert await shared.keeper.remove_old() == len(written)
    assert await shared.log.verify_chain() is None


def test_partitions_are_days_and_longer_where_records_are_kept_for_years() -> None:
    day_ms = 86_400_000
    assert [period_ms(days) / day_ms for days in (0, 30, 60, 3650)] == [
        1,
        1,
        2,
        pytest.approx(121.67, abs=0.01),
    ]
