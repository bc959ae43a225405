"""A standby that is read while it is close behind, and the primary where it is not, or must be current."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg
import pytest

from gateway.messagelog.keys import LogKeys
from gateway.messagelog.store import MessageLog
from gateway.settings.datafolder import DataFolder
from gateway.settings.nodesettings import NodeSettings
from serving.errors import OperatorError
from serving.login.users import SCHEMA, Logins
from serving.storage.audit import AuditEntry, AuditLog
from serving.storage.nodes import SharedNodes
from serving.storage.postgres import PostgresDatabase
from serving.storage.replica import Replica, ReplicaDatabase
from tests import worlds
from tests.integration.calling import until
from tests.logs import NOW, SECRET, append_signed, stamp_alone
from tests.postgres import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.processes
BOUND_S = 3600.0


class Pair:
    """A primary and its standby, and the addresses of one database in both."""

    def __init__(self) -> None:
        self.primary = Cluster()
        self.standby = Cluster(standby_of=self.primary)

    def new(self) -> tuple[str, str]:
        where = self.primary.new_database()
        name = where.split("/")[3].partition("?")[0]
        SharedNodes(where, "one", "1").close()
        until(lambda: say(self.standby, name, "SELECT 1 FROM nodes.node LIMIT 0"), lambda found: found == [])
        return where, self.address(name)

    def address(self, name: str) -> str:
        return f"postgresql://sacbe@/{name}?host={self.standby.folder}"

    def caught_up(self, where: str, replica: str) -> None:
        """Wait until the standby shows what the primary has committed."""
        ((at,),) = ask(where, "SELECT CAST(pg_current_wal_lsn() AS TEXT)")
        reached = f"SELECT pg_last_wal_replay_lsn() >= CAST('{at}' AS pg_lsn)"
        until(lambda: ask(replica, reached), lambda found: found == [(True,)])

    def stand_still(self, replica: str, *, still: bool) -> None:
        """Let the standby show nothing new, or go on."""
        ask(replica, f"SELECT pg_wal_replay_{'pause' if still else 'resume'}()")
        if still:
            until(
                lambda: ask(replica, "SELECT pg_get_wal_replay_pause_state()"), lambda f: f == [("paused",)]
            )


def ask(where: str, sql: str) -> list[tuple[object, ...]]:
    with psycopg.connect(where, autocommit=True) as connection:
        said = connection.execute(sql)
        return said.fetchall() if said.description else []


def say(cluster: Cluster, name: str, sql: str) -> list[tuple[object, ...]]:
    try:
        return ask(f"postgresql://sacbe@/{name}?host={cluster.folder}", sql)
    except psycopg.Error as err:
        raise OSError(str(err)) from err


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.standby.remove()
    made.primary.remove()


def seen(where: str, seconds_ago: int) -> None:
    """A node's note, as it puts it there every few seconds."""
    ask(
        where,
        "INSERT INTO nodes.node VALUES ('n', 'n', '1', 0, 0) ON CONFLICT (process) DO NOTHING; "
        f"UPDATE nodes.node SET seen_ms = nodes.now_ms() - {seconds_ago * 1000}",
    )


def test_a_standby_is_read_while_it_is_close_behind_and_the_primary_otherwise(pair: Pair) -> None:
    where, replica = pair.new()
    primary = PostgresDatabase(where, ["CREATE TABLE word (text TEXT NOT NULL)"], "words")
    reading = ReplicaDatabase(primary, "words", Replica(replica, BOUND_S), look_s=0)
    seen(where, 0)
    with reading.transaction() as transaction:
        transaction.execute("INSERT INTO word (text) VALUES ('one')")
    pair.caught_up(where, replica)
    pair.stand_still(replica, still=True)
    primary.query("INSERT INTO word (text) VALUES ('two')")
    # It is read, for it does not show the second one yet.
    assert reading.query("SELECT text FROM word WHERE text = ?", ("two",)) == []
    assert reading.reason == ""
    pair.stand_still(replica, still=False)
    seen(where, 2 * int(BOUND_S))
    pair.caught_up(where, replica)
    assert reading.query("SELECT count(*) FROM word") == [(2,)]
    assert re.search(r"is 7\d{3} s behind; expected at most 3600 s", reading.reason)
    pair.stand_still(replica, still=True)
    primary.query("INSERT INTO word (text) VALUES ('three')")
    assert reading.query("SELECT count(*) FROM word") == [(3,)]
    pair.stand_still(replica, still=False)
    seen(where, 0)
    pair.caught_up(where, replica)
    assert reading.query("SELECT count(*) FROM word") == [(3,)]
    assert reading.reason == ""
    reading.close()


def test_a_standby_that_cannot_be_reached_is_said_and_the_primary_is_read(pair: Pair) -> None:
    where, _ = pair.new()
    primary = PostgresDatabase(where, ["CREATE TABLE word (text TEXT NOT NULL)"], "words")
    nowhere = "postgresql://sacbe:secret@/test?host=/nowhere"
    reading = ReplicaDatabase(primary, "words", Replica(nowhere, BOUND_S), look_s=0)
    for _ in range(2):
        assert reading.query("SELECT count(*) FROM word") == [(0,)]
        assert "cannot be used" in reading.reason
        assert "secret" not in reading.reason
    with pytest.raises(psycopg.errors.UndefinedTable):  # a mistake is one at either
        reading.query("SELECT 1 FROM nothing")
    reading.close()


async def test_messages_are_found_at_a_standby_and_at_the_primary_where_that_has_them_not_yet(
    pair: Pair, tmp_path: Path
) -> None:
    where, replica = pair.new()
    folder = DataFolder(tmp_path, where, replica=replica, replica_lag_s=BOUND_S)
    keys = LogKeys(folder.message_log_keys)
    keys.open(SECRET, may_make=True)
    log = MessageLog.open(folder.message_log, keys)
    seen(where, 0)
    first = await append_signed(log, tmp_path, size=300_000, message_id="q1")
    await stamp_alone(log, first)
    pair.caught_up(where, replica)
    pair.stand_still(replica, still=True)
    second = await append_signed(log, tmp_path, size=300_000, message_id="q2")
    assert [r.id for r in log.searches.select("record.id > ?", [0], 10)] == [first]
    assert [r.id for r in await log.find(worlds.CONSUMER, "q1", is_response=False)] == [first]
    (found,) = await log.find(worlds.CONSUMER, "q2", is_response=False)
    assert found.id == second
    assert sum(map(len, log.searches.open_body(found, found.attachments[0]))) == 300_000
    # A timestamp that the standby does not show yet is not said to be missing.
    await stamp_alone(log, second)
    assert [r.is_timestamped for r in await log.find(worlds.CONSUMER, "q2")] == [True]
    assert log.place.warning() == ""
    pair.stand_still(replica, still=False)
    await log.close()


def test_the_audit_log_is_read_at_a_standby_and_continued_at_the_primary(pair: Pair, tmp_path: Path) -> None:
    where, replica = pair.new()
    logins = Logins(where)
    folder = DataFolder(tmp_path, where, replica=replica, replica_lag_s=BOUND_S)
    logins.reading = folder.reading(logins.database, SCHEMA)
    audit = AuditLog(logins.database, logins.reading)
    seen(where, 0)
    audit.append(AuditEntry(NOW, "ana", "", "ADD_CLIENT", "done"))
    pair.caught_up(where, replica)
    pair.stand_still(replica, still=True)
    audit.append(AuditEntry(NOW, "ana", "", "DELETE_CLIENT", "done"))
    assert [number for number, _ in audit.before(None, 10)] == [1]
    assert audit.verify()[0] == 2
    pair.stand_still(replica, still=False)
    logins.close()


def test_a_standby_of_nothing_is_refused_and_it_is_asked_with_the_databases_password() -> None:
    with pytest.raises(
        OperatorError, match=r"node\.replica is a standby of node\.database, which is not set"
    ):
        NodeSettings(replica="postgresql://db2/x").replica_address({})
    with pytest.raises(OperatorError, match=r"node\.replica has mysql; expected postgresql://"):
        NodeSettings(database="postgresql://db/x", replica="mysql://db2/x").replica_address({})
    assert (
        NodeSettings(database="postgresql://db/x", replica="postgresql://db2/x").replica_address({})
        == "postgresql://db2/x"
    )
