"""Old records: archived before they are removed, once each, and the log stays whole."""

from __future__ import annotations

import contextlib
import errno
import io
import re
import sqlite3
import zipfile
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path

import pytest

from certs.verify.container import verify_container
from gateway.messagelog import archiving
from gateway.messagelog.archive import Grouping, verify_archive
from gateway.messagelog.archiving import LONGEST_WRITING, READ_TOGETHER
from gateway.messagelog.retention import Retention, RetentionSettings
from gateway.messagelog.steps import DATABASE
from gateway.messagelog.store import MessageLog
from gateway.messagelog.transfer import TransferSettings
from schemas.faults import Fault
from schemas.identifiers import ClientId
from serving.storage import database
from serving.storage.database import connect
from tests import worlds
from tests.logs import append_signed, body_files, open_log, stamp_alone
from tests.worlds import CONSUMER, NOW


@pytest.fixture
async def message_log(tmp_path: Path) -> AsyncIterator[MessageLog]:
    opened = open_log(tmp_path)
    yield opened
    await opened.close()


def retention(
    log: MessageLog, folder: Path, now: Callable[[], datetime] = lambda: NOW, **settings: object
) -> Retention:
    return Retention(log, folder, now, RetentionSettings(**{"seal": False, **settings}))  # type: ignore[arg-type]


@pytest.mark.xroad("F105")
async def test_archives_hold_every_stamped_record_once_and_verify(
    message_log: MessageLog, tmp_path: Path
) -> None:
    ids = [await append_signed(message_log, tmp_path) for _ in range(3)]
    await stamp_alone(message_log, *ids[:2])
    keeper = retention(message_log, tmp_path)
    (path,) = await keeper.archive()
    trust = worlds.world().configuration

    def look(name: str, container: object) -> None:
        verdict = verify_container(container, trust)  # type: ignore[arg-type]
        assert verdict.is_valid, (name, verdict.steps)

    with path.open("rb") as file:
        assert len(verify_archive(file, "", look).containers) == 2
    assert await keeper.archive() == []
    await stamp_alone(message_log, ids[2])
    (second,) = await keeper.archive()
    with path.open("rb") as one, second.open("rb") as two:
        last = verify_archive(one, "").last_digest
        assert verify_archive(two, last).previous.file_name == path.name
    assert path.stat().st_mode & 0o077 == 0


async def test_an_archive_ends_once_it_has_grown_too_large(message_log: MessageLog, tmp_path: Path) -> None:
    ids = [await append_signed(message_log, tmp_path) for _ in range(5)]
    await stamp_alone(message_log, *ids)
    made = await retention(message_log, tmp_path, file_bytes=7000).archive()
    digest, counts = "", []
    for path in made:
        with path.open("rb") as file:
            verdict = verify_archive(file, digest)
        digest = verdict.last_digest
        counts.append(len(verdict.containers))
    assert counts == [2, 2, 1]


@pytest.mark.xroad("F106")
async def test_each_group_has_a_chain_of_its_own(message_log: MessageLog, tmp_path: Path) -> None:
    owners = [CONSUMER, CONSUMER.member.subsystem("OTRO"), ClientId("MX", "GOB", "15-ISSEMYM-2"), CONSUMER]
    ids = [await append_signed(message_log, tmp_path, owner=owner) for owner in owners]
    await stamp_alone(message_log, *ids)
    made = await retention(message_log, tmp_path, grouping=Grouping.MEMBER).archive()
    sizes = {}
    for path in made:
        with path.open("rb") as file:
            sizes[path.name.split("-2026")[0]] = len(verify_archive(file, "").containers)
    assert sizes == {"mlog-MX_GOB_15-ISSEMYM": 3, "mlog-MX_GOB_15-ISSEMYM-2": 1}


@pytest.mark.xroad("F109")
async def test_only_old_archived_records_are_removed_and_the_log_stays_whole(
    message_log: MessageLog, tmp_path: Path
) -> None:
    ids = [await append_signed(message_log, tmp_path, days_ago=days, size=100_000) for days in (40, 35, 10)]
    await stamp_alone(message_log, *ids)
    keeper = retention(message_log, tmp_path)
    assert await keeper.remove_old() == 0
    await keeper.archive()
    assert await keeper.remove_old() == 2
    assert [r.id for r in await message_log.by_ids(ids)] == [3]
    assert len(body_files(message_log)) == 1
    assert await message_log.verify_chain() is None


async def test_an_old_record_that_is_not_archived_keeps_itself_and_what_follows(
    message_log: MessageLog, tmp_path: Path
) -> None:
    ids = [await append_signed(message_log, tmp_path, days_ago=40) for _ in range(3)]
    await stamp_alone(message_log, ids[0], ids[2])
    keeper = retention(message_log, tmp_path)
    await keeper.archive()
    assert await keeper.remove_old() == 1
    assert [r.id for r in await message_log.by_ids(ids)] == [2, 3]


async def test_numbers_and_chain_go_on_after_everything_was_removed(
    message_log: MessageLog, tmp_path: Path
) -> None:
    first = await append_signed(message_log, tmp_path, days_ago=40)
    await stamp_alone(message_log, first)
    keeper = retention(message_log, tmp_path)
    await keeper.archive()
    await keeper.remove_old()
    assert await append_signed(message_log, tmp_path) == 2
    assert await message_log.verify_chain() is None
    with sqlite3.connect(tmp_path / DATABASE) as connection:
        assert connection.execute("SELECT count(*) FROM stamp").fetchone() == (0,)
        connection.execute("UPDATE removed SET chain = x'00'")
    connection.close()
    assert await message_log.verify_chain() == 2


# What has a row for each record, or more.
LONG_TABLES = frozenset({"record", "attachment", "stamped", "archived", "stamp"})


def traced_statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every statement to SQLite from now on, with its values in it."""
    statements: list[str] = []

    def traced(path: Path) -> sqlite3.Connection:
        connection = connect(path)
        connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(database, "connect", traced)
    return statements


async def test_no_round_walks_through_a_whole_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = traced_statements(monkeypatch)
    log = open_log(tmp_path)
    ids = [await append_signed(log, tmp_path, days_ago=days) for days in (40, 10)]
    statements.clear()
    assert [u.id for u in await log.untimestamped(10)] == ids
    await stamp_alone(log, *ids)
    keeper = retention(log, tmp_path)
    await keeper.archive()
    assert await keeper.remove_old() == 1
    explained = sqlite3.connect(tmp_path / DATABASE)
    walks = [
        (sql, row[3])
        for sql in statements
        if sql.startswith(("SELECT", "INSERT", "UPDATE", "DELETE"))
        and not re.search(r"ORDER BY \S+( DESC)? LIMIT", sql)
        for row in explained.execute(f"EXPLAIN QUERY PLAN {sql}")
        if row[3].startswith("SCAN ") and row[3].split()[1] in LONG_TABLES
    ]
    assert walks == []
    assert any(sql.startswith("DELETE FROM stamp ") for sql in statements)
    # A foreign key's children are looked for in each deletion of its parent.
    parents = {found[1] for sql in statements if (found := re.match(r"DELETE FROM (\w+)", sql))}
    for table in LONG_TABLES:
        for _, _, parent, column, *_ in explained.execute(f"PRAGMA foreign_key_list({table})").fetchall():
            if parent in parents:
                (plan,) = explained.execute(
                    f"EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {column} = 1"
                ).fetchall()
                assert plan[3].startswith("SEARCH "), (table, column)
    explained.close()
    await log.close()


class Killed(BaseException):
    """The end of a process, in the middle of what it does."""


@pytest.mark.parametrize("seal", [True, False])
async def test_a_slow_archiver_that_is_killed_again_and_again_gets_on(tmp_path: Path, seal: bool) -> None:
    """Each record takes it seconds, and each of its lives ends before the log is through."""
    log, clock = open_log(tmp_path), [NOW]
    ids = [await append_signed(log, tmp_path) for _ in range(20)]
    await stamp_alone(log, *ids)

    def now() -> datetime:
        clock[0] += LONGEST_WRITING / 4
        if clock[0] > ends_at:
            raise Killed
        return clock[0]

    lives, archived = 0, [0]
    while archived[-1] < len(ids):
        ends_at = clock[0] + 3 * LONGEST_WRITING
        lives += 1
        with contextlib.suppress(Killed):
            await retention(log, tmp_path, now, seal=seal).archive()
        count = int(str(log.reader.query("SELECT count(*) FROM archived")[0][0]))
        assert count > archived[-1], f"life {lives} got nowhere"
        archived.append(count)
    assert lives > 2
    await log.close()


async def test_records_are_read_many_in_one_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statements = traced_statements(monkeypatch)
    log = open_log(tmp_path)
    ids = [await append_signed(log, tmp_path) for _ in range(READ_TOGETHER + 1)]
    await stamp_alone(log, *ids)
    statements.clear()
    looks: list[object] = []
    monkeypatch.setattr(log.keys, "_refresh", lambda: looks.append(0))
    await retention(log, tmp_path, seal=True).archive()
    assert sum("FROM attachment" in sql for sql in statements) == 2
    assert sum("message_digest" in sql for sql in statements) == 2
    assert len(looks) == 2
    statements.clear()
    assert await log.verify_chain() is None
    assert sum("FROM attachment" in sql for sql in statements) == 1
    await log.close()


async def test_a_round_finishes_what_a_crash_left(message_log: MessageLog, tmp_path: Path) -> None:
    await stamp_alone(message_log, await append_signed(message_log, tmp_path))
    keeper = retention(message_log, tmp_path)
    (path,) = await keeper.archive()
    path.rename(path.with_name(f".{path.name}.tmp"))  # killed between the commit and the last rename
    unknown = path.with_name(".mlog-unknown.zip.tmp")
    unknown.write_bytes(b"half")  # killed before the commit
    assert await keeper.archive() == []
    assert path.exists()
    assert not unknown.exists()


async def test_an_archive_of_a_node_that_was_killed_gets_its_name_and_is_handed_on_whoever_archives_now(
    message_log: MessageLog, tmp_path: Path
) -> None:
    await stamp_alone(message_log, await append_signed(message_log, tmp_path))
    (tmp_path / "copies").mkdir()
    keeper = retention(message_log, tmp_path, transfer=TransferSettings(directory=str(tmp_path / "copies")))
    (path,) = await keeper.archive()
    path.rename(path.with_name(f".{path.name}.tmp"))
    await keeper.look_after_own()
    assert path.read_bytes() == (tmp_path / "copies" / path.name).read_bytes()
    assert await keeper.archive() == []


async def test_archives_before_the_one_that_the_disk_did_not_take_count(
    message_log: MessageLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stamp_alone(message_log, *[await append_signed(message_log, tmp_path) for _ in range(5)])
    keeper = retention(message_log, tmp_path, file_bytes=7000)
    problems = iter((None, OSError(errno.ENOSPC, "No space left on device")))

    def sync(folder: Path) -> None:
        if (problem := next(problems, None)) is not None:
            raise problem

    monkeypatch.setattr(archiving, "sync_folder", sync)
    with pytest.raises(Fault, match="No space left"):
        await keeper.archive()
    (first,) = keeper.folder.glob("mlog-*")
    rest = await keeper.archive()
    digest = ""
    for path in (first, *rest):
        with path.open("rb") as file:
            digest = verify_archive(file, digest).last_digest
    assert len(rest) == 2


async def test_a_disk_that_takes_no_archive_loses_nothing(message_log: MessageLog, tmp_path: Path) -> None:
    await stamp_alone(message_log, await append_signed(message_log, tmp_path, days_ago=40))
    keeper = retention(message_log, tmp_path)
    keeper.folder.rmdir()
    with pytest.raises(Fault):
        await keeper.archive()
    assert await keeper.remove_old() == 0
    keeper.folder.mkdir()
    (path,) = await keeper.archive()
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        assert archive.namelist()[-1] == "linkinginfo"
