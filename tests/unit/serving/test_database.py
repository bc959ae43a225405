"""One contract, both engines: what a store may rely on holds on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from serving.storage.conflicts import DatabaseConflict
from serving.storage.database import AnyDatabase, open_database
from serving.storage.postgres import translate_statement, translate_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.postgres import Cluster

STEPS = (
    "CREATE TABLE member (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, der BLOB, weight REAL, active INTEGER)",
    "ALTER TABLE member ADD COLUMN note TEXT",
)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.processes)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "test.sqlite")
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.new_database()


@pytest.fixture
def opened(where: str) -> Iterator[Callable[[], AnyDatabase]]:
    made: list[AnyDatabase] = []

    def make() -> AnyDatabase:
        made.append(open_database(where, STEPS))
        return made[-1]

    yield make
    for database in made:
        database.close()


def insert(database: AnyDatabase, name: str, der: bytes = b"\x00\xff") -> int:
    with database.transaction() as transaction:
        row = transaction.execute(
            "INSERT INTO member (name, der, weight, active) VALUES (?, ?, ?, ?) RETURNING id",
            (name, der, 0.5, 1),
        ).fetchone()
    return int(row[0])


def test_what_is_written_is_read_back_in_its_types(opened: Callable[[], AnyDatabase]) -> None:
    database = opened()
    number = insert(database, "100 % ¿qué?")
    (row,) = database.query("SELECT id, name, der, weight, active FROM member WHERE name LIKE '100 %'")
    assert (row[0], row[1], bytes(row[2]), row[3], row[4]) == (number, "100 % ¿qué?", b"\x00\xff", 0.5, 1)


def test_a_thread_in_a_transaction_keeps_no_reader_of_a_file_waiting(tmp_path: Path) -> None:
    database = open_database(tmp_path / "test.sqlite", STEPS)
    insert(database, "before")
    changing, read = threading.Event(), threading.Event()

    def change() -> None:
        with database.transaction() as transaction:
            transaction.execute("UPDATE member SET name = 'after'")
            changing.set()
            read.wait(60)

    thread = threading.Thread(target=change)
    thread.start()
    assert changing.wait(60)
    assert database.query("SELECT name FROM member") == [("before",)]
    read.set()
    thread.join()
    assert database.query("SELECT name FROM member") == [("after",)]
    database.close()


def test_numbers_given_by_the_database_differ(opened: Callable[[], AnyDatabase]) -> None:
    database = opened()
    assert insert(database, "a") != insert(database, "b")


def test_an_exception_undoes_the_whole_transaction(opened: Callable[[], AnyDatabase]) -> None:
    database = opened()
    with pytest.raises(LookupError), database.transaction() as transaction:
        transaction.execute("INSERT INTO member (name) VALUES (?)", ("lost",))
        raise LookupError
    assert database.query("SELECT name FROM member") == []


def test_a_conflicting_key_updates(opened: Callable[[], AnyDatabase]) -> None:
    database = opened()
    insert(database, "a")
    with database.transaction() as transaction:
        transaction.executemany(
            "INSERT INTO member (name, note) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET note = excluded.note",
            [("a", "first"), ("c", "second")],
        )
    assert database.query("SELECT name, note FROM member ORDER BY name") == [("a", "first"), ("c", "second")]


def test_steps_are_applied_once_by_many_that_open_at_once(opened: Callable[[], AnyDatabase]) -> None:
    opened()
    failed: list[Exception] = []

    def run() -> None:
        try:
            opened().query("SELECT note FROM member")
        except Exception as err:
            failed.append(err)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert opened().query("SELECT number FROM step ORDER BY number") == [(1,), (2,)]


@pytest.mark.processes
def test_of_two_nodes_changing_what_both_read_one_is_told(postgres: Cluster) -> None:
    where = postgres.new_database()
    one, other = open_database(where, STEPS), open_database(where, STEPS)
    insert(one, "a")
    with pytest.raises(DatabaseConflict), one.transaction() as slow:
        count = slow.execute("SELECT count(*) FROM member").fetchone()[0]
        with other.transaction() as quick:
            quick.execute("SELECT count(*) FROM member").fetchone()
            quick.execute("INSERT INTO member (name) VALUES (?)", ("b",))
        slow.execute("INSERT INTO member (name) VALUES (?)", (f"number {count}",))
    assert other.query("SELECT name FROM member ORDER BY name") == [("a",), ("b",)]
    one.close()
    other.close()


@pytest.mark.processes
def test_a_restarted_server_is_found_again(postgres: Cluster) -> None:
    database = open_database(postgres.new_database(), STEPS)
    insert(database, "a")
    postgres.stop()
    postgres.start()
    assert database.query("SELECT name FROM member") == [("a",)]
    insert(database, "b")
    database.close()


def test_statements_are_translated_outside_of_literals() -> None:
    assert (
        translate_statement("SELECT '?%', a % 2 FROM t WHERE b = ?")
        == "SELECT '?%%', a %% 2 FROM t WHERE b = %s"
    )


def test_steps_get_types_of_the_other_engine() -> None:
    step = "CREATE TABLE t (id INTEGER PRIMARY KEY, one INTEGER PRIMARY KEY CHECK (one = 1), der BLOB) WITHOUT ROWID"
    assert translate_step(step) == (
        "CREATE TABLE t (id BIGINT GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, "
        "one BIGINT PRIMARY KEY CHECK (one = 1), der BYTEA)"
    )
