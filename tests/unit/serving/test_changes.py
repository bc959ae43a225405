"""Changes told between nodes over one PostgreSQL: by notification, not by looking, and again after the connection is lost.

The nodes here look by themselves once an hour while changes are told, so that what they see within a test was told to them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
import pytest

from gateway.clients.store import ServerConfStore
from gateway.server.nodes import Nodes
from gateway.settings.datafolder import DataFolder
from gateway.settings.livesettings import LiveSettings
from schemas.identifiers import ServerId
from serving.process.changes import Changes
from serving.process.loops import Loops
from serving.storage.listening import CHANNEL, ChangeListener, notify_changes
from serving.storage.nodes import SharedNodes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.postgres import Cluster

pytestmark = pytest.mark.processes
TOPIC = "colour"
PATIENCE_S = 60
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Node:
    """A node that looks for one thing, and keeps what it has seen."""

    def __init__(self, where: str, name: str) -> None:
        self.shared = SharedNodes(where, name, "1")
        self.changes = Changes(notified_poll_s=3600)
        self.listener = ChangeListener(where, self.changes)
        self.loops = Loops()
        self.seen = -1
        self._looked = asyncio.Condition()

    async def look(self) -> None:
        ((found,),) = await asyncio.to_thread(
            self.shared.database.query, "SELECT coalesce(max(n), 0) FROM colour"
        )
        async with self._looked:
            self.seen = int(found)
            self._looked.notify_all()

    async def sees(self, number: int) -> None:
        """Wait until it has seen so much."""
        async with asyncio.timeout(PATIENCE_S), self._looked:
            await self._looked.wait_for(lambda: self.seen >= number)

    async def is_notified(self) -> None:
        """Wait until changes are told to it."""
        async with asyncio.timeout(PATIENCE_S):
            while not self.changes.is_notified:
                await asyncio.sleep(0.05)

    def start(self) -> None:
        self.loops.start([self.changes.loop("colours", TOPIC, self.look), self.listener.loop()])

    async def stop(self) -> None:
        await self.loops.stop()
        await self.listener.close()
        self.shared.close()


@pytest.fixture
def where(postgres: Cluster) -> str:
    return postgres.new_database()


@pytest.fixture
async def pair(where: str) -> AsyncIterator[tuple[Node, Node]]:
    made = Node(where, "one"), Node(where, "two")
    say(where, "CREATE TABLE nodes.colour (n BIGINT NOT NULL)")
    for node in made:
        notify_changes(node.shared.database, ["nodes.colour"])
        node.start()
    try:
        for node in made:
            await node.is_notified()
            await node.sees(0)
        yield made
    finally:
        for node in made:
            await node.stop()


def say(where: str, sql: str) -> None:
    """By a client of its own, as another node, a command or an older version would."""
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute(sql)


def change(where: str, number: int) -> None:
    say(where, f"INSERT INTO nodes.colour (n) VALUES ({number})")


async def test_a_change_is_notified_to_every_node_and_again_after_a_lost_connection(
    pair: tuple[Node, Node], where: str
) -> None:
    for number in (1, 2, 3):
        await asyncio.to_thread(change, where, number)
        for node in pair:
            await node.sees(number)
    listening = f"query ILIKE 'LISTEN%{CHANNEL}%' OR query = 'SELECT 1'"
    # The server ends both; what is changed before they listen again is seen when they do.
    say(
        where,
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE ({listening}) AND datname = current_database()",
    )
    await asyncio.to_thread(change, where, 4)
    for node in pair:
        await node.sees(4)
        await node.is_notified()
    await asyncio.to_thread(change, where, 5)
    for node in pair:
        await node.sees(5)


async def test_what_is_notified_while_a_node_looks_is_looked_for_again() -> None:
    changes, loops = Changes(notified_poll_s=3600), Loops()
    begun, go_on, looks = asyncio.Event(), asyncio.Event(), 0

    async def look() -> None:
        nonlocal looks
        looks += 1
        begun.set()
        await go_on.wait()

    loops.start([changes.loop("colours", TOPIC, look)])
    changes.begin_notifying()
    async with asyncio.timeout(PATIENCE_S):
        await begun.wait()
        changes.notify(TOPIC)
        changes.notify("what nobody looks for")
        begun.clear()
        go_on.set()
        await begun.wait()
    assert looks >= 2
    await loops.stop()


@contextlib.contextmanager
def heard(where: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute(f"LISTEN {CHANNEL}")
        yield connection


def heard_until_now(connection: psycopg.Connection) -> set[str]:
    """What was told until now: every word before the one this says itself."""
    connection.execute(f"NOTIFY {CHANNEL}, 'end'")
    found: set[str] = set()
    for notify in connection.notifies(timeout=PATIENCE_S):
        if notify.payload == "end":
            break
        found.add(notify.payload)
    return found


def test_configuration_and_settings_are_told_by_whoever_changes_them(where: str, tmp_path: Path) -> None:
    folder = DataFolder(tmp_path, where)
    store = ServerConfStore(folder.serverconf)
    nodes = Nodes(folder, SharedNodes(where, "one", "1"))
    for _ in range(2):  # as the second node of the gateway does too
        nodes.notify_changes()
    settings = LiveSettings(store.database, None, os.environ)
    with heard(where) as connection:
        store.initialise(ServerId("MX", "GOB", "00-RNSS", "SS1"), b"<anchor/>", owner_added_at=NOW)
        assert heard_until_now(connection) == {"server"}
        settings.set("monitoring.keep_days", "31")
        assert heard_until_now(connection) == {"setting"}
        settings.unset("monitoring.keep_days")
        assert heard_until_now(connection) == {"setting"}
        assert store.generation()  # a question tells nothing
        assert heard_until_now(connection) == set()
    nodes.close()
    store.close()


async def test_alone_a_server_looks_by_itself() -> None:
    changes = Changes()
    assert changes.poll_s() == pytest.approx(0.5)
    changes.begin_notifying()
    assert changes.poll_s() == pytest.approx(5.0)
    changes.end_notifying()
    assert changes.poll_s() == pytest.approx(0.5)
