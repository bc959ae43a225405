"""A database of another version: an older one is copied before it is changed, a newer one is refused and left alone."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import pytest

from central_server.store.steps import STEPS as CENTRAL_STEPS
from gateway.messagelog.steps import STEPS as LOG_STEPS
from gateway.migrations.serverconf import STEPS as SERVERCONF_STEPS
from gateway.monitoring.store import STEPS as MONITORING_STEPS
from serving.errors import OperatorError
from serving.login.users import LOGIN_STEPS
from serving.storage.database import Database, apply_steps, connect, kept_copies, open_database
from social_security.institute.stores.steps import STEPS as INSTITUTE_STEPS
from social_security.oniess.tables import STEPS as ONIESS_STEPS
from social_security.portal.accounts import STEPS as ACCOUNT_STEPS
from social_security.registry.tables import STEPS as REGISTRY_STEPS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

EVERY = {
    "central server": CENTRAL_STEPS,
    "message log": LOG_STEPS,
    "monitoring": MONITORING_STEPS,
    "server configuration": SERVERCONF_STEPS,
    "logins": LOGIN_STEPS,
    "institute": INSTITUTE_STEPS,
    "oniess": ONIESS_STEPS,
    "accounts": ACCOUNT_STEPS,
    "registry": REGISTRY_STEPS,
}


def made(path: Path, steps: Sequence[str]) -> None:
    with contextlib.closing(connect(path)) as connection:
        apply_steps(connection, steps)


def schema(path: Path) -> list[tuple[str, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.xroad("F016")
def test_every_landed_version_becomes_what_a_new_one_is(name: str, tmp_path: Path) -> None:
    steps = EVERY[name]
    made(tmp_path / "new", steps)
    for number in range(1, len(steps)):
        path = tmp_path / f"old-{number}"
        made(path, steps[:number])
        before = schema(path)
        made(path, steps)
        assert schema(path) == schema(tmp_path / "new")
        (copy,) = kept_copies(path)
        assert schema(copy) == before
        assert copy.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.xroad("F016")
def test_a_newer_one_is_refused_with_what_to_do_and_left_as_it_is(name: str, tmp_path: Path) -> None:
    steps, path = EVERY[name], tmp_path / "newer"
    made(path, (*steps, "CREATE TABLE of_tomorrow (n INTEGER)"))
    before = path.read_bytes()
    with pytest.raises(
        OperatorError, match=rf"step {len(steps) + 1}; this one knows {len(steps)}.*install that version"
    ):
        open_database(path, steps)
    assert path.read_bytes() == before
    assert kept_copies(path) == []


def test_the_copy_holds_what_was_committed_and_the_next_one_takes_its_place(tmp_path: Path) -> None:
    path = tmp_path / "d.sqlite"
    steps = [
        "CREATE TABLE c (n INTEGER)",
        "ALTER TABLE c ADD COLUMN m INTEGER",
        "ALTER TABLE c ADD COLUMN o INTEGER",
    ]
    Database(path, steps[:1]).close()
    for number in (1, 2):
        database = Database(path, steps[:number])
        with database.transaction() as sql:
            sql.execute("INSERT INTO c (n) VALUES (?)", (number,))
        # Still open: what it wrote stands in the write-ahead log.
        Database(path, steps[: number + 1]).close()
        database.close()
    (copy,) = kept_copies(path)
    assert copy.name == "d.sqlite.before-step-2"
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT n FROM c ORDER BY n").fetchall() == [(1,), (2,)]


def test_a_database_that_is_as_it_should_be_is_not_copied(tmp_path: Path) -> None:
    for _ in range(2):
        made(tmp_path / "d", SERVERCONF_STEPS)
    assert kept_copies(tmp_path / "d") == []


def test_a_step_that_fails_leaves_the_data_and_the_copy(tmp_path: Path) -> None:
    path = tmp_path / "d"
    made(path, ["CREATE TABLE c (n INTEGER)"])
    with pytest.raises(sqlite3.Error):
        Database(path, ["CREATE TABLE c (n INTEGER)", "CREATE TABLE c (n INTEGER)"])
    assert len(kept_copies(path)) == 1
    made(path, ["CREATE TABLE c (n INTEGER)", "CREATE TABLE d (n INTEGER)"])


def test_files_of_a_database_are_its_owners_alone(tmp_path: Path) -> None:
    database = Database(tmp_path / "new" / "d", ["CREATE TABLE c (n INTEGER)"])
    with database.transaction() as sql:
        sql.execute("INSERT INTO c VALUES (1)")
    assert [p.name for p in (tmp_path / "new").iterdir() if p.stat().st_mode & 0o077] == []
    assert (tmp_path / "new").stat().st_mode & 0o077 == 0
    database.close()
