"""A database that nodes share, in the states that its operators bring it into: full, out of connections, restarted, or locked by a node
that stands still. Each refuses, loses nothing, and is good again without a restart of the gateway."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import psycopg
import pytest

from gateway.clients.model import ConnectionType
from gateway.clients.store import ServerConfStore
from gateway.messagelog.keys import LogKeys
from gateway.messagelog.partitions import LOG_LOCK
from gateway.messagelog.store import MessageLog
from gateway.settings.datafolder import DataFolder
from schemas.faults import Fault
from serving.storage.postgres import PostgresDatabase
from tests.logs import SECRET, entry
from tests.worlds import CONSUMER, CONSUMER_SERVER, NOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.postgres import Cluster

pytestmark = pytest.mark.processes
# As PostgreSQL raises it when no block can be had for a row.
FULL = """
    CREATE FUNCTION messagelog.no_room() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END
    $$;
    CREATE TRIGGER no_room BEFORE INSERT ON messagelog.record EXECUTE FUNCTION messagelog.no_room()
"""


@contextlib.asynccontextmanager
async def opened(address: str, folder: Path) -> AsyncIterator[MessageLog]:
    keys = LogKeys(DataFolder(folder, address).message_log_keys)
    keys.open(SECRET, may_make=True)
    log = MessageLog.open(DataFolder(folder, address).message_log, keys)
    try:
        yield log
    finally:
        await log.close()


def say(address: str, sql: str) -> None:
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(sql)


async def test_a_full_disk_refuses_and_the_chain_goes_on_once_there_is_room(
    postgres: Cluster, tmp_path: Path
) -> None:
    where = postgres.new_database()
    async with opened(where, tmp_path) as log:
        await log.append(entry("before"))
        say(where, FULL)
        with pytest.raises(Fault, match="its database cannot be used") as refused:
            await log.append(entry("lost"))
        assert "No space" not in refused.value.detail
        say(where, "DROP TRIGGER no_room ON messagelog.record")
        assert await log.append(entry("after")) == 2
        assert await log.failure() == ""
        assert await log.verify_chain() is None


async def test_a_user_that_may_open_no_more_connections_is_named_and_found_again(
    postgres: Cluster, tmp_path: Path
) -> None:
    where = postgres.new_database()
    say(where, "CREATE ROLE few LOGIN CONNECTION LIMIT 40; GRANT ALL ON SCHEMA public TO few")
    say(where, "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO few', current_database()); END $$")
    few = where.replace("//sacbe@", "//few@")
    async with opened(few, tmp_path) as log:
        await log.append(entry("before"))
        say(where, "ALTER ROLE few CONNECTION LIMIT 0")
        say(where, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'few'")
        with pytest.raises(Fault, match="its database cannot be used"):
            await log.append(entry("lost"))
        assert "its database cannot be used" in await log.failure()
        with pytest.raises(OSError, match="too many connections for role"):
            PostgresDatabase(few, ())
        say(where, "ALTER ROLE few CONNECTION LIMIT 40")
        await log.append(entry("after"))
        assert [r.message_id for r in log.reader.select("1 = 1", [], 10)] == ["before", "after"]


def test_a_server_that_restarts_in_the_middle_of_a_change_keeps_nothing_of_it(postgres: Cluster) -> None:
    store = ServerConfStore(postgres.new_database())
    store.initialise(CONSUMER_SERVER, b"anchor")

    def add(*, lost: bool) -> None:
        with store.change() as tables:
            tables.clients.add(CONSUMER, ConnectionType.HTTP, NOW)
            if lost:
                postgres.stop()
                postgres.start()

    with pytest.raises(OSError, match="cannot be used"):
        add(lost=True)
    assert store.load().client(CONSUMER) is None
    add(lost=False)
    assert store.load().client(CONSUMER) is not None
    store.close()


async def test_a_node_that_stands_still_with_the_log_locked_holds_the_others_up_and_refuses_none(
    postgres: Cluster, tmp_path: Path
) -> None:
    where = postgres.new_database()
    async with opened(where, tmp_path) as log:
        await log.append(entry("before"))
        # As the writer of a stopped node: the lock taken, its batch built, its process not going on.
        writer = log.place.open_writer()
        still = writer._database._connection  # as the stopped process left it
        still.execute("BEGIN")
        still.execute("SELECT pg_advisory_xact_lock(%s)", (LOG_LOCK,))
        async with asyncio.timeout(90):
            assert await log.append(entry("after")) == 2
        with pytest.raises(psycopg.Error, match="idle-in-transaction timeout"):
            still.execute("COMMIT")
        writer.close()
        assert await log.verify_chain() is None
