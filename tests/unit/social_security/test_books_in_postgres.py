"""The books of registry, ONIESS and institutes in PostgreSQL: what holds in SQLite holds there, by the same machine and the same acts."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

import psycopg
import pytest
from click.testing import CliRunner
from hypothesis import Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from serving.errors import OperatorError
from serving.storage import moving
from serving.storage.database import Database
from serving.storage.moving import MOVED
from serving.storage.postgres import PostgresDatabase
from social_security.__main__ import main
from social_security.commands import moving as commands
from social_security.commands.moving import bring_books_back, move_books
from social_security.config import SystemSettings
from social_security.institute.stores.steps import STEPS
from social_security.wire.books import check_found, holds, open_books
from tests.killing import kill_at
from tests.postgres import Cluster
from tests.property.countrymachine import CountryMachine
from tests.social import seeded

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ISSEMYM = "15-ISSEMYM"


def name_database(folder: Path, member: str, database: str) -> None:
    """Let a folder's settings name its database."""
    (folder / "settings.toml").write_text(f'member = "{member}"\ndatabase = "{database}"\n', encoding="utf-8")


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    """A running PostgreSQL that keeps what it says: others are refused."""
    cluster = Cluster(is_durable=True)
    try:
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of a seeded institute, its books in SQLite."""
    return shutil.copytree(seeded() / ISSEMYM, tmp_path / ISSEMYM)


@pytest.mark.processes
def test_any_order_of_acts_holds_in_postgresql_too(postgres: Cluster) -> None:
    class InPostgres(CountryMachine):
        def __init__(self) -> None:
            super().__init__(postgres.new_database())

    run_state_machine_as_test(
        InPostgres,
        settings=settings(
            max_examples=1,
            stateful_step_count=40,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.generate,),
        ),
    )


@pytest.mark.processes
def test_books_are_moved_whole_and_the_file_is_put_aside(folder: Path, postgres: Cluster) -> None:
    name_database(folder, ISSEMYM, postgres.new_database())
    before = Database(folder / "institute.sqlite", STEPS)
    persons = before.query("SELECT pid, file_number, level FROM affiliation ORDER BY pid")
    assert persons
    with pytest.raises(OperatorError, match="stop the system"):
        list(move_books(folder))  # it is open here
    with pytest.raises(OperatorError, match="move-books"):
        open_books(folder, "institute", STEPS)
    before.close()
    said = list(move_books(folder))
    assert f"institute, affiliation: {len(persons)}" in said
    assert not (folder / "institute.sqlite").exists()
    assert (folder / f"institute.sqlite{MOVED}").exists()
    assert holds(folder, "institute")
    assert not holds(folder, "oniess")
    there = open_books(folder, "institute", STEPS)
    assert there.query("SELECT pid, file_number, level FROM affiliation ORDER BY pid") == persons
    there.close()
    with pytest.raises(OperatorError, match="nothing is to be moved"):
        list(move_books(folder))


@pytest.mark.processes
def test_books_come_back_whole_and_what_was_left_in_the_database_is_used_no_more(
    folder: Path, postgres: Cluster
) -> None:
    address = postgres.new_database()
    name_database(folder, ISSEMYM, address)
    list(move_books(folder))
    there = open_books(folder, "institute", STEPS)
    persons = there.query("SELECT pid, file_number, level FROM affiliation ORDER BY pid")
    with pytest.raises(
        OperatorError, match=r"1 other connections have these books open in .*: stop the system"
    ):
        list(bring_books_back(folder))
    there.close()
    # Stopped anywhere: what has come is under a name that no system takes for its books.
    for lines in (1, 7):
        coming = bring_books_back(folder)
        for _ in range(lines):
            next(coming)
        coming.close()
        assert not (folder / "institute.sqlite").exists()
    lines_of_all = list(bring_books_back(folder))
    assert "take database out of" in lines_of_all[-1]
    with pytest.raises(OperatorError, match="the setting database names another place"):
        open_books(folder, "institute", STEPS)
    (folder / "settings.toml").write_text(f'member = "{ISSEMYM}"\n')
    here = open_books(folder, "institute", STEPS)
    assert here.query("SELECT pid, file_number, level FROM affiliation ORDER BY pid") == persons
    here.close()
    # And there once more, beside what was left.
    name_database(folder, ISSEMYM, address)
    list(move_books(folder))
    again = open_books(folder, "institute", STEPS)
    assert again.query("SELECT pid, file_number, level FROM affiliation ORDER BY pid") == persons
    again.close()


@pytest.mark.processes
def test_a_system_is_founded_in_the_database_and_its_commands_find_it(
    tmp_path: Path, postgres: Cluster
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("una frase", encoding="ascii")
    secret.chmod(0o600)
    address = postgres.new_database()

    def run(*arguments: object) -> str:
        done = CliRunner().invoke(main, [str(a) for a in arguments])
        assert done.exit_code == 0, done.output
        return done.output

    for code in ("00-RNSS", "00-ONIESS"):
        run(
            "init",
            "--data",
            tmp_path / code,
            "--member",
            code,
            "--secret-file",
            secret,
            "--database",
            address,
        )
        assert not list((tmp_path / code).glob("*.sqlite"))
    run("init", "--data", tmp_path / ISSEMYM, "--member", ISSEMYM, "--secret-file", secret, "--database", address,
        "--registry-key", tmp_path / "00-RNSS" / "public-key.json")  # fmt: skip
    run("hand-over", "--data", tmp_path / ISSEMYM, "--out", tmp_path / "handed")
    run("officer", "cost", "--data", tmp_path / "00-ONIESS", "--month", "2026-04", "--pesos", "1000")
    assert (tmp_path / "handed" / "periodos.csv").exists()
    # Each member's tables stand apart from the others' in the one database.
    books = open_books(tmp_path / ISSEMYM, "institute", STEPS)
    schemas = books.query(
        "SELECT DISTINCT table_schema FROM information_schema.tables WHERE table_name = 'step'"
    )
    assert {s for (s,) in schemas} == {"00-rnss", "00-oniess", "15-issemym"}
    books.close()


@pytest.mark.processes
def test_a_command_waits_for_the_change_that_the_system_is_making(folder: Path, postgres: Cluster) -> None:
    name_database(folder, ISSEMYM, postgres.new_database())
    list(move_books(folder))
    system, command = (open_books(folder, "institute", STEPS) for _ in range(2))
    seen: list[int] = []

    def change() -> None:
        with command.transaction() as transaction:
            seen.append(transaction.execute("SELECT count(*) FROM affiliation").fetchone()[0])

    ((before,),) = system.query("SELECT count(*) FROM affiliation")
    with system.transaction() as transaction:
        transaction.execute("DELETE FROM affiliation")
        waiting = threading.Thread(target=change)
        waiting.start()
        # It is in the queue of that lock now, or comes to it; either way it reads after this transaction.
        assert not seen
    waiting.join(60)
    assert before > 0
    assert seen == [0]
    system.close()
    command.close()


def test_a_database_that_commands_would_not_find_is_refused(folder: Path) -> None:
    told = SystemSettings(member=ISSEMYM, database="postgresql://u@db.example/books")
    with pytest.raises(OperatorError, match=r"settings\.toml"):
        check_found(folder, told)
    name_database(folder, ISSEMYM, told.database)
    check_found(folder, told)


@pytest.mark.parametrize("address", ["mysql://db.example/books", "books.sqlite", "postgresql://["])
def test_what_is_no_address_of_postgresql_is_refused_by_name(folder: Path, address: str) -> None:
    name_database(folder, ISSEMYM, address)
    (folder / "institute.sqlite").unlink()
    with pytest.raises(OperatorError, match="database"):
        open_books(folder, "institute", STEPS)


def test_the_folder_of_another_kind_of_member_is_refused(folder: Path) -> None:
    name_database(folder, "00-RNSS", "postgresql://u@db.example/books")
    with pytest.raises(OperatorError, match="00-RNSS"):
        open_books(folder, "institute", STEPS)


def test_nothing_is_moved_without_a_database_named(folder: Path) -> None:
    done = CliRunner().invoke(main, ["move-books", "--data", str(folder)])
    assert done.exit_code == 1
    assert "postgresql://" in done.output
    with sqlite3.connect(folder / "institute.sqlite") as kept:
        assert kept.execute("SELECT count(*) FROM affiliation").fetchone()[0] > 0


# In the middle of copying, and before and after each thing that is on the disk from then on.
THERE = (
    (moving, "_copy_anew", 3, False),
    (commands, "put_aside", 1, False),
)
BACK = (
    (moving, "_copy_anew", 3, False),
    (commands, "put_in_place", 1, False),
    (commands, "put_in_place", 1, True),
)


@pytest.mark.processes
def test_books_whose_move_is_killed_at_each_of_its_steps_are_moved_by_the_same_command(
    folder: Path, postgres: Cluster
) -> None:
    address = postgres.new_database()
    name_database(folder, ISSEMYM, address)
    question = "SELECT pid, file_number, level FROM affiliation ORDER BY pid"
    with contextlib.closing(Database(folder / "institute.sqlite", STEPS)) as before:
        persons = before.query(question)
    for owner, name, nth, after in THERE:
        kill_at(lambda: list(move_books(folder)), owner, name, nth, after=after)
        with contextlib.closing(Database(folder / "institute.sqlite", STEPS)) as here:
            assert here.query(question) == persons
        with pytest.raises(OperatorError, match="move-books"):  # nobody goes on from what has come so far
            open_books(folder, "institute", STEPS)
    # Killed as soon as the file is aside, the move is done.
    kill_at(lambda: list(move_books(folder)), commands, "put_aside", after=True)
    with contextlib.closing(open_books(folder, "institute", STEPS)) as there:
        assert there.query(question) == persons
    for owner, name, nth, after in BACK:
        kill_at(lambda: list(bring_books_back(folder)), owner, name, nth, after=after)
        with contextlib.closing(PostgresDatabase(address, STEPS, schema="15-issemym")) as there:
            assert there.query(question) == persons
        until_alone(address)
    list(bring_books_back(folder))
    (folder / "settings.toml").write_text(f'member = "{ISSEMYM}"\n')
    with contextlib.closing(open_books(folder, "institute", STEPS)) as here:
        assert here.query(question) == persons


def until_alone(address: str) -> None:
    """Wait until the server has found out that a killed process is gone."""
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name <> ''"
    )
    deadline = time.monotonic() + 60
    with psycopg.connect(address, autocommit=True) as connection:
        while connection.execute(others).fetchall() != [(0,)]:
            assert time.monotonic() < deadline
