"""Equal nodes over one PostgreSQL: leases, sessions, and the databases that are refused by name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import psycopg
import pytest

from serving.api.problems import Problem
from serving.errors import OperatorError
from serving.login.sessions import FormState
from serving.login.sharedsessions import SharedSessions
from serving.login.users import User
from serving.process.leases import EveryLease, done_once
from serving.process.loops import Loop
from serving.storage.conflicts import DatabaseConflict
from serving.storage.database import open_database
from serving.storage.nodes import SharedNodes, check_same, list_nodes, note_moved
from serving.storage.postgres import PostgresDatabase, has_password, shown_address, with_password
from serving.web.editing import SentForms
from tests.integration.calling import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serving.process.leases import Leases
    from tests.postgres import Cluster

pytestmark = pytest.mark.processes
ANA = User("ana", frozenset({"SECURITY_OFFICER"}), frozenset(), "stamp")


@pytest.fixture
def where(postgres: Cluster) -> str:
    return postgres.new_database()


@pytest.fixture
def pair(where: str) -> Iterator[tuple[SharedNodes, SharedNodes]]:
    made = SharedNodes(where, "one", "1"), SharedNodes(where, "two", "2")
    yield made
    for node in made:
        node.close()


def end_leases(where: str) -> None:
    """As time does after the holder was killed."""
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute("UPDATE nodes.lease SET until_ms = 0")


async def test_one_node_holds_a_lease_and_another_takes_over_when_it_is_over(
    pair: tuple[SharedNodes, SharedNodes], where: str
) -> None:
    one, two = pair
    assert sorted(await asyncio.gather(one.take("timestamper"), two.take("timestamper"))) == [False, True]
    holder, other = (one, two) if "timestamper" in one.own_leases else (two, one)
    assert await holder.take("timestamper")
    await holder.renew()
    assert not await other.take("timestamper")
    assert await other.take("archiver")
    end_leases(where)
    assert await other.take("timestamper")
    await holder.renew()
    assert holder.own_leases == frozenset()
    with psycopg.connect(where) as connection:
        fencing = connection.execute("SELECT name, fencing FROM nodes.lease ORDER BY name").fetchall()
    assert fencing == [("archiver", 1), ("timestamper", 2)]


async def test_whoever_lost_a_lease_writes_nothing_by_it(
    pair: tuple[SharedNodes, SharedNodes], where: str
) -> None:
    one, two = pair
    work = PostgresDatabase(where, ["CREATE TABLE done (who TEXT NOT NULL)"], "work")

    def write(who: str) -> None:
        with work.transaction() as transaction:
            transaction.execute("INSERT INTO done (who) VALUES (?)", (who,))

    assert await one.take("archiver")
    with one.working("archiver"):
        await asyncio.to_thread(write, "one")
    end_leases(where)  # it stood still within its round
    assert await two.take("archiver")
    with one.working("archiver"), pytest.raises(DatabaseConflict, match="the lease of archiver ended"):
        await asyncio.to_thread(write, "one again")
    with two.working("archiver"):
        write("two")
    write("nobody's work")
    assert work.query("SELECT who FROM done") == [("one",), ("two",), ("nobody's work",)]
    work.close()


async def test_a_lease_passes_on_only_after_what_is_written_by_it_is_committed(
    pair: tuple[SharedNodes, SharedNodes], where: str
) -> None:
    one, two = pair
    work = PostgresDatabase(where, ["CREATE TABLE done (who TEXT NOT NULL)"], "work")
    assert await one.take("archiver")
    with one.working("archiver"), work.transaction() as transaction:
        transaction.execute("INSERT INTO done (who) VALUES ('one')")
        ending = asyncio.create_task(asyncio.to_thread(end_leases, where))
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        await asyncio.to_thread(until, lambda: two.database.query(waiting), lambda found: found != [(0,)])
        assert not ending.done()
    await ending
    assert await two.take("archiver")
    work.close()


def test_a_process_goes_on_beside_a_newer_version_and_an_older_one_does_not_begin(where: str) -> None:
    now = ["CREATE TABLE done (who TEXT NOT NULL)"]
    running = PostgresDatabase(where, now, "work")
    PostgresDatabase(where, [*now, "ALTER TABLE done ADD COLUMN at_ms INTEGER"], "work").close()
    again = PostgresDatabase(where, now, "work")
    for database in (running, again):
        database.query("INSERT INTO done (who) VALUES ('the older version')")
        database.close()
    with pytest.raises(OperatorError, match="written by a newer version"):
        PostgresDatabase(where, [], "work")


async def test_a_node_that_ends_in_order_gives_its_leases_back_at_once(where: str) -> None:
    one, two = SharedNodes(where, "one", "1"), SharedNodes(where, "two", "1")
    assert await one.take("notices")
    await one.renew()
    assert [(n.name, n.is_alive, n.leases) for n in list_nodes(where)] == [("one", True, ("notices",))]
    one.close()
    assert await two.take("notices")
    assert list_nodes(where) == []
    two.close()


async def test_a_loop_works_at_its_holder_and_looks_at_the_others(
    pair: tuple[SharedNodes, SharedNodes],
) -> None:
    done: list[str] = []

    def loop(leases: Leases, name: str) -> Loop:
        async def work() -> None:
            done.append(f"{name} works")

        async def look() -> None:
            done.append(f"{name} looks")

        return done_once(Loop("job", work, lambda: None), leases, look)

    for found in (loop(pair[0], "one"), loop(pair[1], "two"), loop(EveryLease(), "alone")):
        await found.work()
    assert done == ["one works", "two looks", "alone works"]


def test_a_session_begun_at_one_node_is_known_and_ended_at_every_other(
    pair: tuple[SharedNodes, SharedNodes], where: str
) -> None:
    one, two = (SharedSessions(node.database, 60) for node in pair)
    token, session = one.begin(ANA, 0.0)
    found = two.find(token, 0.0)
    assert found is not None
    assert (found.name, found.stamp, found.csrf, found.vouched) == ("ana", "stamp", session.csrf, None)
    vouched, _ = two.begin_vouched(ANA, 0.0, 60)
    known = one.find(vouched, 0.0)
    assert known is not None
    assert known.vouched == ANA
    two.end(token)
    assert one.find(token, 0.0) is None
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute("UPDATE nodes.session SET used_ms = used_ms - 61000")
    assert one.find(vouched, 0.0) is None
    ended, _ = one.begin_vouched(ANA, 0.0, 0)
    assert two.find(ended, 0.0) is None


async def test_a_form_that_comes_to_two_nodes_is_carried_out_at_one(
    pair: tuple[SharedNodes, SharedNodes], where: str
) -> None:
    one, two = (SharedSessions(node.database, 60) for node in pair)
    here, there = SentForms(one), SentForms(two)
    entered, go_on = asyncio.Event(), asyncio.Event()
    done: list[str] = []

    async def refuse() -> str:
        entered.set()
        await go_on.wait()
        raise Problem(409, "no")

    async def act(who: str) -> str:
        done.append(who)
        return who

    first = asyncio.create_task(here.once("form", refuse))
    await entered.wait()
    # While one node has it another one waits, and does it itself when it was refused there.
    assert two.begin_form("form") is FormState.RUNNING
    second = asyncio.create_task(there.once("form", lambda: act("two")))
    go_on.set()
    with pytest.raises(Problem):
        await first
    assert await second == "two"
    with pytest.raises(Problem) as refused:
        await here.once("form", lambda: act("one"))
    assert refused.value.code == "form_carried_out"
    assert done == ["two"]
    assert await here.once("another", lambda: act("one")) == "one"
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute("UPDATE nodes.sent_form SET sent_ms = sent_ms - 600001")
    assert one.begin_form("form") is FormState.NEW


def test_a_database_that_may_lose_a_commit_is_refused(where: str) -> None:
    node = SharedNodes(where, "one", "1")  # the cluster of the unit tests has fsync off
    with pytest.raises(OperatorError, match=r"has fsync = off: .* may be lost"):
        node.begin()
    node.close()


def test_a_database_the_gateway_was_moved_away_from_takes_no_node(where: str) -> None:
    note_moved(where)
    node = SharedNodes(where, "one", "1")
    with pytest.raises(OperatorError, match="was moved away from the database"):
        node.begin()
    node.close()


def test_another_servers_database_is_refused_and_a_restored_or_renamed_one_is_not() -> None:
    check_same("", "", "b", "MX/GOB/2/SS")
    check_same("a", "MX/GOB/1/SS", "a", "MX/GOB/2/SS")  # the same installation has another owner now
    check_same("a", "MX/GOB/1/SS", "b", "MX/GOB/1/SS")  # the same server in another database
    with pytest.raises(OperatorError, match="of the server MX/GOB/1/SS, and the database is of MX/GOB/2/SS"):
        check_same("a", "MX/GOB/1/SS", "b", "MX/GOB/2/SS")


def test_addresses_are_shown_without_a_password() -> None:
    address = with_password("postgresql://sacbe@db.example:5433/state?sslmode=require", "p&ss w/rd")
    assert shown_address(address) == "state at db.example:5433"
    assert psycopg.conninfo.conninfo_to_dict(address)["password"] == "p&ss w/rd"
    assert has_password("postgresql://sacbe:secret@db/state")
    assert not has_password("postgresql://sacbe@db/state")
    with pytest.raises(OperatorError, match="expected postgresql://"):
        shown_address("postgresql://db/state?nonsense=1")


def test_a_user_that_may_make_no_tables_is_named_with_what_to_do(where: str) -> None:
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS plain")
        connection.execute("CREATE ROLE plain LOGIN")
    for schema in ("", "admin"):
        with pytest.raises(OSError, match=r"cannot be used: .*permission denied.*let it own the database"):
            open_database(where.replace("sacbe@", "plain@"), ("CREATE TABLE a (n INTEGER)",), schema)
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute("ALTER ROLE plain CONNECTION LIMIT 0")
    with pytest.raises(OSError, match=r"cannot be used: .*too many connections.*raise max_connections"):
        open_database(where.replace("sacbe@", "plain@"), ())


def test_statements_that_are_sent_together_are_undone_together(where: str) -> None:
    database = PostgresDatabase(where, ("CREATE TABLE a (n INTEGER PRIMARY KEY)",))
    with pytest.raises(psycopg.errors.UniqueViolation), database.pipelined() as transaction:
        for number in (1, 2, 1):
            transaction.execute("INSERT INTO a (n) VALUES (?)", (number,))
    assert database.query("SELECT n FROM a") == []
    with database.pipelined() as transaction:
        transaction.execute("INSERT INTO a (n) VALUES (?)", (3,))
        assert transaction.execute("SELECT n FROM a").fetchall() == [(3,)]
    assert database.query("SELECT n FROM a") == [(3,)]
    database.close()


def test_what_cannot_be_used_is_named_with_what_to_do(where: str, postgres: Cluster) -> None:
    with pytest.raises(OSError, match=r"cannot be used: .*does not exist.*createdb"):
        open_database(where.replace("/test", "/nothing"), ())
    with pytest.raises(OSError, match=r"cannot be used: .*; see that the server runs"):
        open_database(f"postgresql://sacbe@/test?host={postgres.folder / 'elsewhere'}", ())
    open_database(where, ("CREATE TABLE a (n INTEGER)", "CREATE TABLE b (n INTEGER)")).close()
    with pytest.raises(OperatorError, match="written by a newer version"):
        open_database(where, ("CREATE TABLE a (n INTEGER)",))
    with psycopg.connect(where, autocommit=True) as connection:
        connection.execute(
            "ALTER DATABASE "
            + where.split("/")[3].partition("?")[0]
            + " SET default_transaction_read_only = on"
        )
    with pytest.raises(OSError, match=r"cannot be used: .*read-only.*it takes no changes"):
        open_database(where, ())
