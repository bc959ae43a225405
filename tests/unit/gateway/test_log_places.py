"""One contract, both engines: what a message log is holds in a folder and in a database that several nodes write."""

from __future__ import annotations

import asyncio
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from certs.verify.container import verify_container
from gateway.messagelog.committed import CommittedReader
from gateway.messagelog.erasure import Eraser, Selection
from gateway.messagelog.export import write_record
from gateway.messagelog.finding import RecordSearch, find_records
from gateway.messagelog.keys import LogKeys
from gateway.messagelog.record import ErasureOrder
from gateway.messagelog.retention import Retention, RetentionSettings
from gateway.messagelog.store import MessageLog
from gateway.settings.datafolder import DataFolder
from schemas.faults import Fault
from tests import worlds
from tests.logs import NOW, SECRET, append_signed, entry, stamp_alone

if TYPE_CHECKING:
    from pathlib import Path

    from tests.postgres import Cluster

LARGE = 3_000_000  # more than one piece of a body


@dataclass
class Place:
    """Opens one log over and over: as another process does, or another node."""

    folder: DataFolder

    def keys(self) -> LogKeys:
        keys = LogKeys(self.folder.message_log_keys)
        keys.open(SECRET, may_make=True)
        return keys

    def log(self) -> MessageLog:
        return MessageLog.open(self.folder.message_log, self.keys())


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.processes)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return Place(DataFolder(tmp_path))
    return shared(request.getfixturevalue("postgres"), tmp_path)


def shared(cluster: Cluster, folder: Path) -> Place:
    return Place(DataFolder(folder, cluster.new_database()))


async def test_a_message_and_its_bodies_are_found_proved_and_whole(place: Place, tmp_path: Path) -> None:
    log = place.log()
    ids = [await append_signed(log, tmp_path, size=size, message_id=f"q{size}") for size in (10, LARGE)]
    await stamp_alone(log, *ids)
    await log.close()
    log = place.log()
    (record,) = await log.find(worlds.CONSUMER, f"q{LARGE}")
    assert sum(map(len, log.reader.open_body(record, record.attachments[0]))) == LARGE
    assert [r.id for r in find_records(log.reader, RecordSearch(message_id="q10"))] == ids[:1]
    for number in ids:
        out = io.BytesIO()
        write_record(out, log.reader.record(number), log.reader)
        out.seek(0)
        assert verify_container(out, worlds.world().configuration).is_valid
    assert await log.verify_chain() is None
    assert [r.number for r in CommittedReader(log.reader).committed_after(0, 10)] == ids
    assert await append_signed(log, tmp_path) == 3
    await log.close()


async def test_a_record_keeps_its_first_timestamp(place: Place, tmp_path: Path) -> None:
    log = place.log()
    number = await append_signed(log, tmp_path)
    assert [u.id for u in await log.untimestamped(10)] == [number]
    await stamp_alone(log, number)
    first = log.reader.record(number).timestamp
    await stamp_alone(log, number)
    assert log.reader.record(number).timestamp == first
    assert await log.untimestamped(10) == []
    await log.close()


async def test_old_records_are_archived_removed_and_their_keys_destroyed(
    place: Place, tmp_path: Path
) -> None:
    log = place.log()
    ids = [await append_signed(log, tmp_path, days_ago=days, size=100_000) for days in (40, 35, 10)]
    await stamp_alone(log, *ids)
    settings = RetentionSettings(destroy_keys_days=31)
    place.folder.log.mkdir(exist_ok=True)
    keeper = Retention(log, place.folder.log, lambda: worlds.NOW, settings)
    assert len(await keeper.archive()) == 1
    assert await keeper.remove_old() == 2
    assert await keeper.destroy_old_keys() == 2
    assert [r.id for r in await log.by_ids(ids)] == [3]
    assert await log.verify_chain() is None
    assert CommittedReader(log.reader).removed_up_to() == 2
    await log.close()


async def test_erased_content_is_gone_for_every_process(place: Place, tmp_path: Path) -> None:
    log = place.log()
    for message_id in ("q1", "q2"):
        await append_signed(log, tmp_path, size=LARGE, message_id=message_id)
    keys = place.keys()
    eraser = Eraser(place.folder.message_log, keys)
    found = eraser.find(Selection(message_id="q1"))
    eraser.erase(found, ErasureOrder("ARCO-17", "Comité de Transparencia", "ana", NOW))
    eraser.close()
    keys.close()
    erased, kept = (log.reader.record(n) for n in (1, 2))
    with pytest.raises(Fault, match="erased by order ARCO-17"):
        log.reader.open_message(erased)
    assert erased.attachments[0].file_name is None
    assert sum(map(len, log.reader.open_body(kept, kept.attachments[0]))) == LARGE
    assert await log.verify_chain() is None
    await log.close()


@pytest.mark.processes
async def test_what_two_nodes_write_at_once_is_one_chain_without_a_gap(
    postgres: Cluster, tmp_path: Path
) -> None:
    nodes = [shared(postgres, tmp_path)]
    nodes += [Place(DataFolder(tmp_path / "other", nodes[0].folder.database))]
    logs = [node.log() for node in nodes]
    numbers = await asyncio.gather(*(logs[n % 2].append(entry(f"m{n}")) for n in range(200)))
    assert sorted(numbers) == list(range(1, 201))
    assert await logs[0].verify_chain() is None
    for n, number in enumerate(numbers):
        # Found and opened at the node that did not write it.
        reader = logs[(n + 1) % 2].reader
        assert reader.open_message(reader.record(number)) == f"m{n}".encode()
    for log in logs:
        await log.close()


@pytest.mark.processes
async def test_a_lost_database_refuses_and_is_found_again(postgres: Cluster, tmp_path: Path) -> None:
    log = shared(postgres, tmp_path).log()
    await log.append(entry("before"))
    postgres.stop()
    try:
        with pytest.raises(Fault, match="goes on by itself") as refused:
            await log.append(entry("lost"))
        assert "its database cannot be used" in refused.value.detail
    finally:
        postgres.start()
    for _ in range(900):
        try:
            await log.append(entry("after"))
            break
        except Fault:
            await asyncio.sleep(0.1)
    assert [r.message_id for r in log.reader.select("1 = 1", [], 10)] == ["before", "after"]
    assert await log.verify_chain() is None
    await log.close()
