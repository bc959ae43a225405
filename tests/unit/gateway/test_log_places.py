"""One contract, both engines: what a message log is holds in a folder and in a database that several nodes write."""

from __future__ import annotations

import asyncio
import io
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from certs.verify.container import verify_container
from gateway.messagelog import retention
from gateway.messagelog.body_store import UNNAMED_S, check_recent, looked_from
from gateway.messagelog.committed import CommittedReader
from gateway.messagelog.erasure import Eraser, Selection
from gateway.messagelog.export import write_record
from gateway.messagelog.finding import RecordSearch, find_records
from gateway.messagelog.keys import KeySecret, LogKeys
from gateway.messagelog.marks import settled
from gateway.messagelog.partitions import begin_partition
from gateway.messagelog.places import FolderBodies
from gateway.messagelog.record import ErasureOrder
from gateway.messagelog.retention import Retention, RetentionSettings
from gateway.messagelog.rows import SELECT_RECORDS
from gateway.messagelog.sealedarchive import verify_sealed_archive
from gateway.messagelog.shared import DatabaseBodies
from gateway.messagelog.store import MessageLog
from gateway.server import archiveprocess
from gateway.server.archiveprocess import ArchiveProcess
from gateway.settings.datafolder import DataFolder
from schemas.faults import Fault
from serving.process.childprocess import ChildLimits
from serving.storage.postgres import PostgresDatabase
from tests import worlds
from tests.logs import NOW, SECRET, append_signed, entry, stamp_alone
from tests.objectstore import BUCKET, ObjectStore, objects_beside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.postgres import Cluster

LARGE = 9_000_000  # more than two pieces of a body, wherever it is
OBJECTS = f"s3://{BUCKET}/gateway a"


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


BOTH = ["sqlite", pytest.param("postgres", marks=pytest.mark.processes)]
WITH_OBJECTS = ["sqlite with objects", pytest.param("postgres with objects", marks=pytest.mark.processes)]


@pytest.fixture(params=[*BOTH, *WITH_OBJECTS])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    kind, _, has_objects = request.param.partition(" with ")
    if has_objects:
        request.getfixturevalue("objects")
    found = Place(DataFolder(tmp_path))
    if kind == "postgres":
        found = shared(request.getfixturevalue("postgres"), tmp_path)
    return Place(replace(found.folder, objects=OBJECTS if has_objects else ""))


@pytest.fixture
def objects() -> Iterator[ObjectStore]:
    pytest.importorskip("obstore")
    with objects_beside(ObjectStore()) as store:
        yield store


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


async def no_secret() -> None:
    """The software token is not logged in."""


async def secret() -> KeySecret:
    return SECRET


@pytest.mark.parametrize("apart", [False, True], ids=["here", "apart"])
async def test_old_records_are_archived_removed_and_their_keys_destroyed(
    place: Place, tmp_path: Path, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "FEW", 1)
    log = place.log()
    ids = [await append_signed(log, tmp_path, days_ago=days, size=100_000) for days in (40, 35, 10)]
    await stamp_alone(log, *ids)
    settings = RetentionSettings(destroy_keys_days=31)
    place.folder.log.mkdir(exist_ok=True)
    write_apart = ArchiveProcess(place.folder, secret).write if apart else None
    keeper = Retention(log, place.folder.log, lambda: worlds.NOW, settings, write_apart)
    (path,) = await keeper.archive()
    with path.open("rb") as archive:
        keys = log.keys.record_key
        assert len(verify_sealed_archive(archive, "", None, keys).containers) == 3
    assert path.stat().st_mode & 0o077 == 0
    # Kept with the log: where the next round, or the next start, begins to look for what is to be archived.
    assert settled(log.reader.query, "archived") == 3
    assert await keeper.archive() == []
    assert await keeper.remove_old() == 2
    assert await keeper.destroy_old_keys() == 2
    assert [r.id for r in await log.by_ids(ids)] == [3]
    assert await log.verify_chain() is None
    assert CommittedReader(log.reader).removed_up_to() == 2
    await log.close()


async def test_archives_wait_for_the_token_and_for_the_process_that_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place(DataFolder(tmp_path))
    log = place.log()
    await stamp_alone(log, await append_signed(log, tmp_path))
    monkeypatch.setattr(retention, "FEW", 1)
    for read_secret, limits, expected in (
        (no_secret, archiveprocess.LIMITS, "once the token is logged in"),
        (secret, ChildLimits(seconds=0), "the process that writes archives took longer than 0 s"),
    ):
        monkeypatch.setattr(archiveprocess, "LIMITS", limits)
        write_apart = ArchiveProcess(place.folder, read_secret).write
        keeper = Retention(log, place.folder.log, lambda: worlds.NOW, None, write_apart)
        with pytest.raises(Fault, match=expected):
            await keeper.archive()
        assert list(keeper.folder.iterdir()) == []
    monkeypatch.undo()
    assert len(await keeper.archive()) == 1
    await log.close()


@pytest.mark.parametrize("kind", BOTH)
async def test_bodies_that_a_crash_left_are_found_and_a_copy_of_an_older_log_loses_none(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    place = Place(DataFolder(tmp_path))
    if kind == "postgres":
        place = shared(request.getfixturevalue("postgres"), tmp_path)
    log = place.log()
    await append_signed(log, tmp_path, size=LARGE, days_ago=40)
    await log.close()
    near, database = place.folder.message_log.near, place.folder.message_log.open()
    (named,) = {str(name) for (name,) in database.query("SELECT file_name FROM attachment")}
    if isinstance(near, DatabaseBodies):
        near.keep_pieces("left", [b"1", b"2"])
        near.remove_unnamed(database)
        assert list(near.pieces("left")) == [b"1", b"2"]  # it may be on its way to its record still
        near._database.query("UPDATE body SET at_ms = at_ms - ?", (2 * UNNAMED_S * 1000,))
    elif isinstance(near, FolderBodies):
        (near.folder / "left").write_bytes(b"12")
    # Its record is forty days older than the body, which so came by a move or from a backup.
    near.remove_unnamed(database)
    assert looked_from(database) > (time.time() - 100_000) * 1000
    with pytest.raises(FileNotFoundError):
        list(near.chunks("left", bytes(32)))
    log = place.log()
    record = log.reader.record(1)
    assert record.attachments[0].file_name == named
    assert sum(map(len, log.reader.open_body(record, record.attachments[0]))) == LARGE
    await log.close()
    near.close()
    database.close()


@pytest.mark.processes
async def test_a_search_by_message_id_is_by_its_index_where_the_database_has_counted_nothing(
    postgres: Cluster, tmp_path: Path
) -> None:
    log = shared(postgres, tmp_path).log()
    database = log.reader.database
    for day in range(1, 4):
        assert begin_partition(database, day * 86_400_000, 86_400_000)
        database.query(
            f"INSERT INTO record_{day} (id, message_id, request_id, is_response, side, owner, client, service, protocol, message, "
            "signature, at_ms, chain) SELECT n, 'm' || n, '', 0, '', '', '', '', '', '', '', 1, '' "
            "FROM generate_series(CAST(? AS bigint), CAST(? AS bigint)) AS numbers(n)",
            (day * 4000 - 3999, day * 4000),
        )
    plan = database.query(
        f"EXPLAIN {SELECT_RECORDS} WHERE message_id = ? AND record.id < ? ORDER BY record.id DESC LIMIT 10",
        ("m5000", 9000),
    )
    lines = [str(line) for (line,) in plan]
    print("\n".join(lines))
    conditions = [
        line for line in lines if "(message_id = " in line and "(id < " in line and "Index Cond" in line
    ]
    assert len(conditions) == 3
    await log.close()


def rows_of_scans(plan: dict[str, Any]) -> list[tuple[str, int]]:
    """Each table that a plan read, and how many rows it took from there."""
    own = (
        [(str(plan["Relation Name"]), int(plan["Actual Rows"]) * int(plan["Actual Loops"]))]
        if "Relation Name" in plan
        else []
    )
    return [*own, *(found for inner in plan.get("Plans", ()) for found in rows_of_scans(inner))]


@pytest.mark.processes
async def test_what_has_no_mark_is_found_without_reading_those_of_others_where_the_database_has_counted_nothing(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = shared(postgres, tmp_path)
    log, count = place.log(), 20_000
    database = log.reader.database
    # As a partition is on its first day.
    for table in ("record", "stamped", "archived"):
        database.query(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    made = "FROM generate_series(1, CAST(? AS bigint)) AS numbers(n)"
    database.query(
        "INSERT INTO record (id, message_id, request_id, is_response, side, owner, client, service, protocol, message, "
        f"signature, at_ms, chain) SELECT n, 'm' || n, '', 0, '', '', '', '', '', '', '', 1, '' {made}",
        (count,),
    )
    with database.transaction() as transaction:
        transaction.execute("INSERT INTO stamp (id, token, at_ms, authority) VALUES (1, '', 1, '')")
        transaction.execute(
            "INSERT INTO archive (id, group_name, digest, file_name, at_ms) VALUES (1, '', '', '', 1)"
        )
    for table, column in (("stamped", "stamp_id"), ("archived", "archive_id")):
        database.query(f"INSERT INTO {table} (record_id, {column}) SELECT n, 1 {made}", (count - 1,))
    place.folder.log.mkdir(exist_ok=True)
    keeper = Retention(log, place.folder.log, lambda: datetime.now(UTC))
    assert log.reader.unstamped.count()[0] == 1  # walks through all of it, once
    assert await keeper.archive() == []
    questions: list[tuple[str, Sequence[object]]] = []
    query = PostgresDatabase.query

    def recorded(
        self: PostgresDatabase, sql: str, parameters: Sequence[object] = ()
    ) -> list[tuple[object, ...]]:
        questions.append((sql, parameters))
        return query(self, sql, parameters)

    monkeypatch.setattr(PostgresDatabase, "query", recorded)
    assert log.reader.unstamped.count()[0] == 1
    assert [u.id for u in await log.untimestamped(10)] == [count]
    assert await keeper.archive() == []
    monkeypatch.undo()
    searches = [(sql, values) for sql, values in questions if "stamped" in sql or "archived" in sql]
    assert len(searches) >= 4
    for sql, values in searches:
        ((found,),) = database.query(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", values)
        assert [scan for scan in rows_of_scans(found[0]["Plan"]) if scan[1] > 10] == [], sql
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


def keys_of(store: ObjectStore) -> list[str]:
    return sorted(store.objects)


@pytest.mark.parametrize("kind", BOTH)
async def test_a_large_body_is_in_the_store_before_its_record_sealed_and_gone_with_it(
    kind: str, request: pytest.FixtureRequest, objects: ObjectStore, tmp_path: Path
) -> None:
    place = Place(DataFolder(tmp_path))
    if kind == "postgres":
        place = shared(request.getfixturevalue("postgres"), tmp_path)
    near = place.log()
    await append_signed(near, tmp_path, size=LARGE, message_id="near", days_ago=40)
    await near.close()
    place = Place(replace(place.folder, objects=OBJECTS))
    log = place.log()
    assert objects.objects == {}
    ids = [
        await append_signed(log, tmp_path, size=size, message_id=f"far{size}", days_ago=40)
        for size in (10, LARGE)
    ]
    (record,) = log.reader.select("record.id = ?", [ids[1]], 1)
    name = str(record.attachments[0].file_name)
    assert name.endswith(".3")
    stem = name.removeprefix("objects/").rpartition(".")[0]
    assert keys_of(objects) == [f"gateway a/{stem}/{n:06}" for n in range(3)]
    clear = b"".join(log.reader.open_body(record, record.attachments[0]))
    assert len(clear) == LARGE
    assert clear[:1000] not in b"".join(objects.objects.values())
    # What was kept near by before the setting is found and removed where it is.
    assert (
        sum(map(len, log.reader.open_body(log.reader.record(1), log.reader.record(1).attachments[0])))
        == LARGE
    )
    await stamp_alone(log, 1, *ids)
    place.folder.log.mkdir(exist_ok=True)
    keeper = Retention(log, place.folder.log, lambda: worlds.NOW, RetentionSettings())
    await keeper.archive()
    assert await keeper.remove_old() == 3
    assert objects.objects == {}
    await log.close()


async def test_a_store_that_is_away_refuses_large_messages_alone_and_comes_back(
    objects: ObjectStore, tmp_path: Path
) -> None:
    log = Place(DataFolder(tmp_path, objects=OBJECTS)).log()
    objects.is_away = True
    begun = time.monotonic()
    for _ in range(3):
        with pytest.raises(Fault, match=r"nothing was sent\. It goes on by itself") as refused:
            await append_signed(log, tmp_path, size=LARGE)
        assert "s3" not in refused.value.detail
    # One of them tried, the others were told.
    assert time.monotonic() - begun < 20
    assert await log.append(entry("small")) == 1
    assert await log.failure() == ""
    place_objects = log.place.objects
    assert place_objects is not None
    assert "SlowDown" in place_objects.warning()
    objects.is_away = False
    for _ in range(100):
        if not place_objects.warning():
            break
        await log.failure()
        await asyncio.sleep(0.1)
    assert await append_signed(log, tmp_path, size=LARGE) == 2
    await log.close()


async def test_what_a_crash_left_in_the_store_is_removed_and_nothing_that_is_named_or_new(
    objects: ObjectStore, tmp_path: Path
) -> None:
    log = Place(DataFolder(tmp_path, objects=OBJECTS)).log()
    await append_signed(log, tmp_path, size=LARGE)
    named = keys_of(objects)
    left = ["gateway a/20200101T0000-x-q/000000", "gateway a/29990101T0000-y-q/000000"]
    # What others keep there is theirs.
    others = ["gateway a/20200101T0000", "gateway a/readme/000000"]
    objects.objects |= dict.fromkeys([*left, *others], b"left")
    named = sorted([*named, *others])
    keeper = Retention(log, tmp_path / "log", lambda: worlds.NOW, RetentionSettings())
    for modified, expected in (
        ("2999-01-01T00:00:00.000Z", [*named, *left]),
        ("2024-01-01T00:00:00.000Z", named),
    ):
        objects.modified = modified
        await keeper.remove_unnamed()
        assert keys_of(objects) == sorted(expected)
    # From here on only what came since is looked at.
    objects.objects[left[0]] = b"earlier"
    assert await keeper.remove_unnamed() == 0
    objects.is_away = True
    with pytest.raises(Fault, match="cannot be listed"):
        await keeper.remove_unnamed()
    await log.close()


async def test_a_record_is_not_written_when_its_body_may_be_gone_by_now(tmp_path: Path) -> None:
    check_recent([])
    check_recent([time.monotonic()])
    with pytest.raises(OSError, match="went by between the body of a message and its record"):
        check_recent([time.monotonic(), time.monotonic() - UNNAMED_S])


async def test_a_body_in_a_store_that_is_not_set_is_missing_by_name(
    objects: ObjectStore, tmp_path: Path
) -> None:
    place = Place(DataFolder(tmp_path, objects=OBJECTS))
    log = place.log()
    await append_signed(log, tmp_path, size=LARGE)
    objects.objects.clear()
    record = log.reader.record(1)
    with pytest.raises(Fault, match="cannot be read from the object store"):
        list(log.reader.open_body(record, record.attachments[0]))
    await log.close()
    log = Place(DataFolder(tmp_path)).log()
    with pytest.raises(Fault, match=r"set node\.bodies to the one it was written to"):
        list(log.reader.open_body(record, record.attachments[0]))
    await log.close()
