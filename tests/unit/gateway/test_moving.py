"""A gateway moved from SQLite to PostgreSQL and back: row for row the same, and every message opens there."""

from __future__ import annotations

import contextlib
import itertools
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from click import ClickException

from central_server.store.records import CentralStore
from certs.edges.tokenfiles import TokenFolder
from certs.tokens.soft import SoftToken
from gateway.cli.storage import storage
from gateway.clients.model import ConnectionType
from gateway.clients.store import ServerConfStore
from gateway.messagelog.keys import LogKeys
from gateway.messagelog.store import MessageLog
from gateway.server.moving import PARTS, move_gateway
from gateway.settings.datafolder import DataFolder, find_folder
from serving.errors import OperatorError
from serving.login.users import Logins
from serving.storage import database as sqlite
from serving.storage.database import connect
from serving.storage.datafolder import claim
from serving.storage.moving import MOVED, set_aside
from serving.storage.nodes import SharedNodes
from tests.logs import SECRET, append_signed, stamp_alone
from tests.objectstore import BUCKET, ObjectStore, objects_beside
from tests.worlds import CONSUMER, CONSUMER_SERVER, NOW, PIN

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.postgres import Cluster

pytestmark = pytest.mark.processes
LARGE = 3_000_000


def open_log(folder: DataFolder) -> MessageLog:
    keys = LogKeys(folder.message_log_keys)
    keys.open(SECRET, may_make=True)
    return MessageLog.open(folder.message_log, keys)


@pytest.fixture
async def gateway(tmp_path: Path) -> DataFolder:
    """A stopped gateway with an administrator, a client and some messages, one of them large."""
    folder = DataFolder(tmp_path / "data")
    folder.root.mkdir()
    store = ServerConfStore(folder.serverconf)
    store.initialise(CONSUMER_SERVER, b"anchor")
    with store.change() as tables:
        tables.clients.add(CONSUMER, ConnectionType.HTTP, NOW)
    store.close()
    SoftToken.create(TokenFolder(folder.token), PIN).close()
    logins = Logins(folder.logins)
    logins.save_user("ana", "a long password", ["SECURITY_OFFICER"])
    logins.make_api_key(["SECURITY_OFFICER"], "ana")
    logins.close()
    log = open_log(folder)
    ids = [await append_signed(log, tmp_path, size=size, message_id=f"q{size}") for size in (10, LARGE, 20)]
    await stamp_alone(log, *ids[:2])
    await log.close()
    return folder


@pytest.mark.xroad("F007", "F008")
async def test_a_moved_gateway_has_everything_and_goes_on(
    gateway: DataFolder, postgres: Cluster, tmp_path: Path
) -> None:
    there = DataFolder(gateway.root, postgres.new_database())
    lines = list(move_gateway(gateway, there))
    assert "message log, chain of 3 records: whole" in lines
    set_aside(gateway.root, PARTS)
    assert not any((gateway.root / part.path).exists() for part in PARTS)
    assert (gateway.root / f"log/messages.sqlite{MOVED}").exists()
    store, logins = ServerConfStore(there.serverconf), Logins(there.logins)
    assert store.load().client(CONSUMER) is not None
    assert logins.verify_password("ana", "a long password") is not None
    # Numbers that the database gives go on after those that were copied.
    assert logins.make_api_key(["SECURITY_OFFICER"], "ana")[0].id == 2
    store.close()
    logins.close()
    log = open_log(there)
    (record,) = await log.find(CONSUMER, f"q{LARGE}")
    assert sum(map(len, log.reader.open_body(record, record.attachments[0]))) == LARGE
    assert await append_signed(log, tmp_path) == 4
    assert await log.verify_chain() is None
    await log.close()
    back = DataFolder(tmp_path / "back")
    (back.root / "log").mkdir(parents=True)
    list(move_gateway(there, back))
    log = open_log(back)
    assert await append_signed(log, tmp_path, message_id="last") == 5
    assert await log.verify_chain() is None
    await log.close()


async def test_a_move_that_was_stopped_goes_on_with_the_same_command(
    gateway: DataFolder, postgres: Cluster
) -> None:
    there = DataFolder(gateway.root, postgres.new_database())
    whole = len(list(move_gateway(gateway, DataFolder(gateway.root, postgres.new_database()))))
    for stopped_after in range(1, whole - 2, 5):
        moving = move_gateway(gateway, there)
        for _ in range(stopped_after):
            next(moving)
        moving.close()
    assert len(list(move_gateway(gateway, there))) == whole
    with pytest.raises(OperatorError, match=r"the target holds the server .* already"):
        list(move_gateway(gateway, there))


@pytest.mark.xroad("F008")
async def test_a_copy_that_differs_is_found_and_nothing_is_switched(
    gateway: DataFolder, postgres: Cluster
) -> None:
    there = DataFolder(gateway.root, postgres.new_database())
    moving = move_gateway(gateway, there)
    for line in moving:
        if line.startswith("message log, record:"):
            break
    moving.close()
    database = PARTS[0].open(there.root, there.database)
    database.query("UPDATE record SET service = 'MX/GOB/other' WHERE id = 2")
    database.close()
    with pytest.raises(OperatorError, match="the copy of the table record is not what was copied"):
        list(move_gateway(gateway, there))


async def test_there_and_back_twice_everything_is_one_chain_and_the_old_places_take_no_gateway(
    gateway: DataFolder, postgres: Cluster, tmp_path: Path
) -> None:
    here, places = DataFolder(gateway.root), [postgres.new_database() for _ in range(2)]
    for number, where in enumerate(places):
        move(gateway.root, where)
        log = open_log(DataFolder(gateway.root, where))
        await append_signed(log, tmp_path, message_id=f"there-{number}")
        await log.close()
        move(gateway.root, "sqlite")
        log = open_log(here)
        await append_signed(log, tmp_path, message_id=f"back-{number}")
        assert await log.verify_chain() is None
        assert len(await log.by_ids(range(1, 20))) == 5 + 2 * number
        await log.close()
        with pytest.raises(ClickException, match=r"the target holds the server|was moved away"):
            move(gateway.root, where)
    log = open_log(here)
    ids = [r.message_id for r in await log.by_ids(range(1, 20))]
    assert ids[3:] == ["there-0", "back-0", "there-1", "back-1"]
    await log.close()


async def test_a_command_that_was_stopped_anywhere_after_the_copy_is_run_again_and_done(
    gateway: DataFolder, postgres: Cluster, tmp_path: Path
) -> None:
    where = postgres.new_database()
    there = DataFolder(gateway.root, where)
    list(move_gateway(gateway, there))
    move(gateway.root, where)  # stopped before the settings named the database: both sides are compared
    assert (gateway.root / f"serverconf.sqlite{MOVED}").exists()
    for part in PARTS[
        1:
    ]:  # stopped while the files were given their other names, and a node goes on meanwhile
        aside = gateway.root / f"{part.path}{MOVED}"
        if aside.exists():
            aside.rename(gateway.root / part.path)
    log = open_log(there)
    await append_signed(log, tmp_path, message_id="later")
    await log.close()
    move(gateway.root, where)
    assert not (gateway.root / "serverconf.sqlite").exists()
    with pytest.raises(ClickException, match="keeps its state in a database already"):
        move(gateway.root, where)
    # Stopped on its way back, before the database noted it: the same command again.
    list(move_gateway(there, gateway))
    for part in PARTS:
        (gateway.root / part.path).unlink()
    move(gateway.root, "sqlite")
    log = open_log(gateway)
    assert await log.verify_chain() is None
    await log.close()


async def test_what_cannot_be_moved_is_refused_by_name_and_nothing_is_changed(
    gateway: DataFolder, postgres: Cluster, tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ClickException, match="there is no server in"):
        move(empty, postgres.new_database())
    assert not list(empty.glob("*.sqlite"))
    with pytest.raises(OperatorError, match="there is no gateway to be moved"):
        list(move_gateway(DataFolder(empty), DataFolder(empty, postgres.new_database())))
    # A central server's database, and one of some other program.
    central = postgres.new_database()
    CentralStore(central).close()
    with pytest.raises(
        ClickException, match=r"holds something else: the tables client_certificate are not there"
    ):
        move(gateway.root, central)
    other = postgres.new_database()
    with psycopg.connect(other, autocommit=True) as connection:
        connection.execute("CREATE TABLE client (id BIGINT)")
    with pytest.raises(ClickException, match="the tables client are there, and nothing says"):
        move(gateway.root, other)
    with claim(gateway.root), pytest.raises(ClickException, match="stop that server first"):
        move(gateway.root, postgres.new_database())
    assert (gateway.root / "serverconf.sqlite").exists()
    # Another node works on the database that is to be left.
    where = postgres.new_database()
    move(gateway.root, where)
    node = SharedNodes(where, "node-2", "1")
    await node.renew()
    with pytest.raises(ClickException, match="the nodes node-2 work on the database: stop them first"):
        move(gateway.root, "sqlite")
    node.close()
    move(gateway.root, "sqlite")


async def test_a_target_that_is_lost_in_the_middle_leaves_the_source_and_the_command_goes_on(
    gateway: DataFolder, postgres: Cluster
) -> None:
    there = DataFolder(gateway.root, postgres.new_database())
    moving = move_gateway(gateway, there)
    next(moving)
    postgres.stop()
    try:
        with pytest.raises(OSError, match="goes on by itself once it does"):
            list(moving)
    finally:
        postgres.start()
    assert any("whole" in line for line in move_gateway(gateway, there))


async def test_a_full_disk_at_either_end_is_refused_by_name_and_the_source_goes_on(
    gateway: DataFolder, postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = postgres.new_database()
    stopped = move_gateway(gateway, DataFolder(gateway.root, where))
    next(stopped)  # the tables are there
    stopped.close()
    with psycopg.connect(where, autocommit=True) as connection:
        # What the server itself gives when it cannot write any more.
        connection.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "RAISE EXCEPTION USING ERRCODE = 'disk_full', MESSAGE = 'could not extend file: No space left on device'; END $$"
        )
        connection.execute(
            "CREATE TRIGGER full_disk BEFORE INSERT ON messagelog.stamped FOR EACH ROW EXECUTE FUNCTION full_disk()"
        )
    with pytest.raises(ClickException, match=r"No space left on device.*; free space on the server's disk"):
        move(gateway.root, where)
    assert not find_folder(gateway.root, {}).database
    log = open_log(gateway)
    assert await append_signed(log, tmp_path, message_id="goes on") == 4
    assert await log.verify_chain() is None
    await log.close()
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute("DROP TRIGGER full_disk ON messagelog.stamped")
    move(gateway.root, where)

    def small(path: Path) -> sqlite3.Connection:
        opened = connect(path)
        if path.name == "messages.sqlite":
            opened.execute("PRAGMA max_page_count = 10")
        return opened

    monkeypatch.setattr(sqlite, "connect", small)
    with pytest.raises(
        ClickException, match=r"messages\.sqlite: database or disk is full; free space on the disk"
    ):
        move(gateway.root, "sqlite")
    monkeypatch.undo()
    assert find_folder(gateway.root, {}).database == where
    log = open_log(DataFolder(gateway.root, where))
    assert await append_signed(log, tmp_path, message_id="goes on there") == 5
    await log.close()
    move(gateway.root, "sqlite")
    log = open_log(gateway)
    assert await log.verify_chain() is None
    assert len(await log.by_ids(range(1, 9))) == 5
    await log.close()


@pytest.fixture
def objects() -> Iterator[ObjectStore]:
    pytest.importorskip("obstore")
    with objects_beside(ObjectStore()) as store:
        yield store


async def test_bodies_in_an_object_store_stay_there_and_one_that_is_lost_is_named_before_anything_is_switched(
    gateway: DataFolder, postgres: Cluster, tmp_path: Path, objects: ObjectStore
) -> None:
    where = f"s3://{BUCKET}/gateway"
    (gateway.root / "settings.toml").write_text(f'[node]\nbodies = "{where}"\n')
    here = replace(gateway, objects=where)
    log = open_log(here)
    await append_signed(log, tmp_path, size=LARGE, message_id="far")
    await log.close()
    target, kept = postgres.new_database(), dict(objects.objects)
    (gateway.root / "settings.toml").write_text("")
    with pytest.raises(ClickException, match=r"1 bodies .* node\.bodies names none"):
        move(gateway.root, target)
    (gateway.root / "settings.toml").write_text(f'[node]\nbodies = "{where}"\n')
    name, content = objects.objects.popitem()
    with pytest.raises(ClickException, match="1 bodies that records name are not in the object store"):
        move(gateway.root, target)
    objects.objects[name] = content
    for to in (target, "sqlite"):
        move(gateway.root, to)
        assert objects.objects == kept
        log = open_log(find_folder(gateway.root, {}))
        (record,) = await log.find(CONSUMER, "far")
        assert sum(map(len, log.reader.open_body(record, record.attachments[0]))) == LARGE
        await log.close()


def test_a_move_killed_anywhere_and_run_again_is_whole(
    gateway: DataFolder, postgres: Cluster, tmp_path: Path
) -> None:
    where, kills = postgres.new_database(), Counter[str]()
    for to in (where, "sqlite"):
        for lines in (0, 1, 3, 9, 17, 30, 1000):
            command = [
                sys.executable,
                "-m",
                "gateway",
                "storage",
                "move",
                "--data",
                str(gateway.root),
                "--to",
                to,
            ]
            with (tmp_path / "out").open("w+") as out:
                process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=out, text=True)
                assert process.stdout is not None
                printed = list(itertools.islice(process.stdout, lines))
                if lines < 1000:
                    process.kill()
                process.stdout.close()
                status = process.wait()
                out.seek(0)
                print(to, lines, status, printed[-1:], out.read())
            kills[to] += status == -signal.SIGKILL
            if status == 0:
                break
        assert status == 0
        assert kills[to] > 1
    folder = DataFolder(gateway.root)
    with contextlib.closing(folder.message_log.open()) as log:
        assert log.query("SELECT count(*) FROM record") == [(3,)]
    with contextlib.closing(ServerConfStore(folder.serverconf)) as store:
        assert store.load().client(CONSUMER) is not None


def move(data: Path, to: str) -> None:
    storage.main(["move", "--data", str(data), "--to", to], standalone_mode=False)
