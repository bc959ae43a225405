"""The message log: what it says is written is on the disk, and what it refuses is not there."""

from __future__ import annotations

import asyncio
import io
import sqlite3
import threading
import weakref
from contextlib import closing
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

import pytest

from gateway.messagelog.committed import CommittedReader, FreshRecords
from gateway.messagelog.places import FolderPlace
from gateway.messagelog.rows import insert_rows
from gateway.messagelog.spool import SpoolFolder
from gateway.messagelog.store import LogSettings, Stamp
from gateway.messagelog.writing import LogWriter
from schemas.faults import Fault, Kind
from schemas.message import digest_of
from serving.storage import database
from tests import worlds
from tests.logs import OWNER, entry, open_log

if TYPE_CHECKING:
    from pathlib import Path


def rows(folder: Path) -> list[tuple[int, str]]:
    with sqlite3.connect(folder / "messages.sqlite") as reader:
        return reader.execute("SELECT id, message_id FROM record ORDER BY id").fetchall()


class Blocker:
    """Holds the write lock of a log, as a checkpoint or a backup would."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / "messages.sqlite", isolation_level=None)
        self._connection.execute("BEGIN IMMEDIATE")

    def let_go(self) -> None:
        self._connection.execute("ROLLBACK")
        self._connection.close()


def test_a_log_is_looked_through_once_a_process_however_often_it_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[object] = []
    monkeypatch.setattr(database, "check_whole", lambda connection, _steps: looked.append(connection))
    place = FolderPlace(tmp_path)
    for _ in range(3):
        place.open().close()
    assert len(looked) == 1
    FolderPlace(tmp_path).open().close()
    assert len(looked) == 2


async def test_what_waits_together_is_written_in_order_and_chained(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    ids = await asyncio.gather(*(log.append(entry(f"m{n}")) for n in range(200)))
    assert list(ids) == list(range(1, 201))
    assert rows(tmp_path) == [(n + 1, f"m{n}") for n in range(200)]
    assert await log.verify_chain() is None
    await log.close()


@pytest.mark.parametrize("count", [1, 2, 3, 31, 32, 33, 63, 64, 100])
def test_any_number_of_rows_is_inserted_in_order_by_few_different_statements(count: int) -> None:
    said: list[str] = []
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE kept (id INTEGER PRIMARY KEY, text TEXT)")
        connection.set_trace_callback(said.append)
        insert_rows(connection, "INSERT INTO kept (id, text) VALUES ", [(n, f"t{n}") for n in range(count)])
        connection.set_trace_callback(None)
        assert connection.execute("SELECT id, text FROM kept ORDER BY id").fetchall() == [
            (n, f"t{n}") for n in range(count)
        ]
    assert {sql.count("(") - 1 for sql in said} <= {1, 2, 4, 8, 16, 32}


async def test_after_a_large_batch_the_next_gathers_and_closing_leaves_none_behind(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for burst in range(3):
        ids = await asyncio.gather(*(log.append(entry(f"m{burst}-{n}")) for n in range(40)))
        assert list(ids) == list(range(40 * burst + 1, 40 * burst + 41))
    late = asyncio.gather(*(log.append(entry(f"late{n}")) for n in range(5)))
    await asyncio.sleep(0)
    await log.close()
    assert await late == list(range(121, 126))
    assert len(rows(tmp_path)) == 125


async def test_what_waits_for_the_disk_waits_unsigned_and_shares_the_signature_of_its_batch(
    tmp_path: Path,
) -> None:
    log = open_log(tmp_path)
    blocker = Blocker(tmp_path)
    first = asyncio.create_task(log.append(entry("m0")))
    await asyncio.sleep(0)
    batches: list[list[str]] = []
    waiting: list[str] = []

    async def sign_and_append(name: str) -> int:
        waiting.append(name)
        await log.turn()
        if waiting:
            batches.append(list(waiting))
            waiting.clear()
        return await log.append(entry(name))

    names = [f"m{n}" for n in range(1, 6)]
    others = [asyncio.create_task(sign_and_append(name)) for name in names]
    received = asyncio.create_task(log.append(entry("received")))
    for _ in range(20):
        await asyncio.sleep(0)
    assert batches == []
    others[2].cancel()
    blocker.let_go()
    assert [await first, await received] == [1, 2]
    assert sorted([await others[n] for n in (0, 1, 3, 4)]) == [3, 4, 5, 6]
    assert batches == [names]
    await asyncio.wait_for(log.turn(), 60)  # nothing is written: nobody waits
    await log.close()


async def test_a_turn_comes_also_when_the_batch_before_was_refused(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    with sqlite3.connect(tmp_path / "messages.sqlite") as writer:
        writer.execute("CREATE TRIGGER no BEFORE INSERT ON record BEGIN SELECT raise(ABORT, 'no'); END")
    refused = asyncio.create_task(log.append(entry("refused")))
    await asyncio.sleep(0)
    turns = [asyncio.create_task(log.turn()) for _ in range(3)]
    with pytest.raises(Fault):
        await refused
    await asyncio.wait_for(asyncio.gather(*turns), 60)
    await log.close()


async def test_followers_are_given_committed_records_without_a_gap_however_many_they_ask_for(
    tmp_path: Path,
) -> None:
    log = open_log(tmp_path)
    await asyncio.gather(*(log.append(entry(f"m{n}")) for n in range(450)))
    committed = CommittedReader(log.reader)
    for after, limit in ((0, 450), (0, 1000), (0, 200), (7, 401), (449, 5), (450, 5)):
        given = [r.number for r in committed.committed_after(after, limit)]
        assert given == list(range(after + 1, min(450, after + limit) + 1))
    await log.close()


async def test_a_follower_is_given_what_was_just_committed_as_it_is_read_from_the_log(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    await log.append(entry("before anybody followed"))
    log.fresh.take_after(0, 1)
    await asyncio.gather(*(log.append(entry(f"m{n}")) for n in range(30)))
    follower, read = (
        CommittedReader(log.reader, log.fresh),
        CommittedReader(log.reader).committed_after(0, 99),
    )
    assert follower.committed_after(0, 9) == read[:9]  # the first is not fresh any more: all are read
    assert follower.committed_after(9, 11) == read[9:20]
    # Changed before it is followed, but the follower is given it as it was written.
    with sqlite3.connect(tmp_path / "messages.sqlite") as writer:
        writer.execute("UPDATE record SET service = 'MX/GOB/X' WHERE id = 25")
    assert follower.committed_after(20, 99) == read[20:]
    assert CommittedReader(log.reader).committed_after(24, 1) != [read[24]]
    assert follower.committed_after(31, 99) == []
    await log.close()


async def test_what_was_refused_is_given_to_no_follower_and_what_nobody_takes_is_forgotten(
    tmp_path: Path,
) -> None:
    log = open_log(tmp_path)
    with sqlite3.connect(tmp_path / "messages.sqlite") as writer:
        writer.execute("CREATE TRIGGER no BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(Fault):
        await log.append(entry("refused"))
    assert log.fresh.take_after(0, 9) == []
    await log.close()
    fresh, some = FreshRecords(), [entry("m")] * 1000
    for first in range(1, 40_000, 1000):
        fresh.add(first, some, [b"digest"] * 1000)
    assert fresh.take_after(40_000 - 16_384 - 1, 9) == []
    assert [r.number for r in fresh.take_after(40_000 - 16_384, 99_999)] == list(
        range(40_001 - 16_384, 40_001)
    )
    assert fresh.take_after(40_000 - 16_384, 1) == []


async def test_a_record_that_was_changed_shows(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for number in range(3):
        await log.append(entry(f"m{number}"))
    with sqlite3.connect(tmp_path / "messages.sqlite") as writer:
        writer.execute("UPDATE record SET message = x'00' WHERE id = 2")
    assert await log.verify_chain() == 2
    await log.close()


async def test_what_waits_for_a_timestamp_is_told_oldest_first_and_once(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    await asyncio.gather(*(log.append(entry(f"m{n}")) for n in range(250)))
    await log.keep_stamp(
        Stamp(b"token", b"result", worlds.NOW, "tsa", [(n, b"chain", None) for n in (2, 140)])
    )
    waiting = [n for n in range(1, 251) if n not in (2, 140)]
    assert [u.id for u in await log.untimestamped(1000)] == waiting
    assert [u.id for u in await log.untimestamped(120)] == waiting[:120]
    assert [u.id for u in await log.untimestamped(1000, [1, 2, 140, 250])] == [1, 250]
    first = (await log.untimestamped(1))[0]
    assert first.signature_digest == digest_of(log.reader.record(1).signature)
    await log.close()


async def test_a_second_start_goes_on_with_the_chain(tmp_path: Path) -> None:
    for _ in range(2):
        log = open_log(tmp_path)
        await log.append(entry())
        assert await log.verify_chain() is None
        await log.close()
    assert [number for number, _ in rows(tmp_path)] == [1, 2]


async def test_a_caller_that_goes_away_leaves_a_whole_record(tmp_path: Path) -> None:
    log, spools = open_log(tmp_path), SpoolFolder(tmp_path / "spool", budget_bytes=0)
    body, small = spools.new(), spools.new()
    await body.write(b"x" * 200_000)
    await body.finish()
    await small.write(b"small")
    blocker = Blocker(tmp_path)

    async def exchange() -> None:
        try:
            await log.append(entry("gone", body, small))
        finally:
            body.discard()
            small.discard()

    task = asyncio.create_task(exchange())
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    for _ in range(3):
        await asyncio.sleep(0)
    blocker.let_go()
    with pytest.raises(asyncio.CancelledError):
        await task
    (found,) = await log.find(OWNER, "gone")
    assert [a.size_bytes for a in found.attachments] == [200_000, 5]
    assert [b"".join(log.reader.open_body(found, a)) for a in found.attachments] == [b"x" * 200_000, b"small"]
    await log.close()


async def test_a_full_queue_refuses_at_once_also_when_callers_went_away(tmp_path: Path) -> None:
    log = open_log(tmp_path, settings=LogSettings(queue_length=3))
    blocker = Blocker(tmp_path)
    tasks = [asyncio.create_task(log.append(entry())) for _ in range(3)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.sleep(0)
    with pytest.raises(Fault):
        await log.append(entry("one too many"))
    blocker.let_go()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert await log.append(entry("again")) == 4
    await log.close()


async def test_an_entry_that_cannot_be_written_is_refused_and_the_log_goes_on(tmp_path: Path) -> None:
    log, spools = open_log(tmp_path), SpoolFolder(tmp_path / "spool", budget_bytes=0)
    body = spools.new()
    await body.write(b"x" * 200_000)
    await body.finish()
    assert body.path is not None
    body.path.unlink()
    with pytest.raises(Fault) as caught:
        await log.append(entry("lost", body))
    assert caught.value.kind is Kind.LOGGING_FAILED
    assert await log.append(entry("next")) == 1
    assert await log.verify_chain() is None
    await log.close()


async def test_bodies_nobody_names_are_removed_at_the_next_start(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    await log.close()
    (tmp_path / "bodies" / "left-q").write_bytes(b"left by a crash")
    await open_log(tmp_path).close()
    assert list((tmp_path / "bodies").iterdir()) == []


async def test_a_guard_stops_the_log(tmp_path: Path) -> None:
    log = open_log(tmp_path)

    def refuse(_now: datetime) -> None:
        raise Fault(Kind.TIMESTAMPING_FAILED, "no timestamps")

    log.guard(refuse)
    with pytest.raises(Fault):
        await log.append(entry())
    assert rows(tmp_path) == []
    await log.close()


async def test_a_body_above_the_limit_stays_in_memory_while_all_of_them_fit_a_budget(tmp_path: Path) -> None:
    spools = SpoolFolder(tmp_path / "spool", budget_bytes=250_000)
    first, second, third = (spools.new() for _ in range(3))
    for spool in (first, second, third):
        await spool.write(b"x" * 100_000)
        await spool.finish()
    assert [s.path is None for s in (first, second, third)] == [True, True, False]
    first.discard()
    fourth = spools.new()
    await fourth.write(b"y" * 100_000)
    assert fourth.path is None
    await fourth.write(
        b"y" * 100_000
    )  # its size is more than what is left: all of it goes to a file, and the room is free
    await fourth.finish()
    assert fourth.path is not None
    fifth = spools.new()
    await fifth.write(b"z" * 150_000)
    assert fifth.path is None
    assert [b"".join([c async for c in s.chunks()])[:1] for s in (second, third, fourth, fifth)] == [
        b"x",
        b"x",
        b"y",
        b"z",
    ]


async def test_a_body_of_many_megabytes_goes_to_a_file_whatever_room_there_is(tmp_path: Path) -> None:
    spool = SpoolFolder(tmp_path / "spool").new()
    for _ in range(3):
        await spool.write(b"x" * 500_000)
    await spool.finish()
    assert spool.path is not None
    assert sum([len(c) async for c in spool.chunks()]) == 1_500_000


class Held:
    """What a batch holds."""


def _is_held(held: Held, _writer: object) -> bool:
    return held is not None


async def test_a_written_batch_does_not_stay_in_memory_until_the_next_one() -> None:
    loop = asyncio.get_running_loop()
    held, freed, told = Held(), threading.Event(), loop.create_future()
    weakref.finalize(held, freed.set)
    writer = LogWriter(io.BytesIO)
    try:
        writer.put(partial(_is_held, held), loop, told.set_result)
        del held
        assert await asyncio.wait_for(told, 30) is True
        assert await asyncio.to_thread(freed.wait, 30)
    finally:
        writer.stop()
