"""A value that is none of its column's, or none that can be read, is named with file, table, row, column and the remedy."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from central_server.app import CentralServer
from central_server.cli.serving import check_start
from central_server.store.steps import STEPS as CENTRAL
from gateway.cli.serving import read_settings
from gateway.messagelog.steps import STEPS as LOG
from gateway.migrations.serverconf import STEPS as SERVERCONF
from gateway.monitoring.store import STEPS as MONITORING
from gateway.server.nodes import server_in
from serving.cli.commands import explain
from serving.errors import OperatorError
from serving.login.users import LOGIN_STEPS
from serving.storage import database as serving_database
from serving.storage.damage import find_damage
from serving.storage.database import Database, naming, open_file
from serving.storage.witnessed import STEPS as WITNESSED
from serving.storage.witnessed import WitnessBook
from social_security.institute.stores.steps import STEPS as INSTITUTE
from social_security.oniess.tables import STEPS as ONIESS
from social_security.portal.accounts import STEPS as PORTAL
from social_security.registry.tables import STEPS as REGISTRY
from tests.integration import centralhosting
from tests.logs import entry, open_log

REMEDY = "correct that value or remove that row, or restore a backup (backup restore)"
STORES: dict[str, Sequence[str]] = {
    "central": CENTRAL, "messages": LOG, "serverconf": SERVERCONF, "opmonitoring": MONITORING, "admin": LOGIN_STEPS,
    "witnessed": WITNESSED, "institute": INSTITUTE, "oniess": ONIESS, "portal": PORTAL, "registry": REGISTRY,
}  # fmt: skip
RIGHT: dict[str, object] = {"TEXT": "t", "INTEGER": 7, "BIGINT": 7, "BLOB": b"b", "REAL": 0.5}
OTHER = {
    "TEXT": st.binary(max_size=20),
    "INTEGER": st.binary(max_size=20) | st.text("xyz", min_size=1) | st.floats(0.1, 0.9),
    "BLOB": st.text(st.characters(codec="utf-8", exclude_characters="\0")) | st.integers(-9, 9) | st.floats(0, 1),
    "REAL": st.binary(max_size=20) | st.text("xyz", min_size=1),
}  # fmt: skip
OTHER["BIGINT"] = OTHER["INTEGER"]


def columns_of(database: sqlite3.Connection) -> Iterator[tuple[str, str, str]]:
    """Table, name and type of every column whose value another one can stand in for."""
    for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        if not table.startswith("sqlite_"):
            rows = database.execute(f"PRAGMA table_info({table})").fetchall()
            keys = [row for row in rows if row[5]]
            for _, name, kind, _, _, key in rows:
                if not (
                    key and len(keys) == 1 and kind == "INTEGER"
                ):  # that one SQLite itself keeps a number
                    yield table, name, kind


def filled(path: Path, steps: Sequence[str], *, every: bool = True) -> sqlite3.Connection:
    """A database of this version with a row in every table, or in those whose conditions it meets."""
    database = open_file(path, steps)
    database.execute(f"PRAGMA ignore_check_constraints = {int(every)}")
    database.execute("PRAGMA foreign_keys = OFF")
    for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        if table.startswith("sqlite_") or database.execute(f"SELECT 1 FROM {table}").fetchone():
            continue
        values = {row[1]: RIGHT[row[2]] for row in database.execute(f"PRAGMA table_info({table})")}
        marks = ", ".join("?" * len(values))
        with contextlib.suppress(sqlite3.IntegrityError):
            database.execute(
                f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", [*values.values()]
            )
    return database


def damaged(database: sqlite3.Connection, table: str, column: str, value: object) -> str:
    """The words for a column that holds a value; the database is as before afterwards."""
    database.execute("BEGIN")
    try:
        (key,) = database.execute(f"SELECT name FROM pragma_table_info('{table}') LIMIT 1").fetchone()
        where = f"{key} = (SELECT max({key}) FROM {table})"
        database.execute(f"UPDATE {table} SET {column} = ? WHERE {where}", (value,))
        found = find_damage(database, [table])
        return "nothing" if found is None else found.into("en")
    finally:
        database.execute("ROLLBACK")


@pytest.mark.parametrize("name", STORES)
def test_a_value_of_another_type_in_any_column_of_any_store_is_found_and_named(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / f"{name}.sqlite"
    with contextlib.closing(filled(path, STORES[name])) as database:
        assert find_damage(database) is None
        columns = list(columns_of(database))
        assert columns

        @settings(max_examples=3, deadline=None)
        @given(st.tuples(*(OTHER[kind] for _, _, kind in columns)))
        def damage_each(values: tuple[object, ...]) -> None:
            for (table, column, _), value in zip(columns, values, strict=True):
                found = damaged(database, table, column, value)
                assert found.startswith(f"table {table}, row with ") and f" column {column} holds " in found

        damage_each()
        table, column, kind = columns[-1]
        database.execute(f"UPDATE {table} SET {column} = ?", (b"x" if kind != "BLOB" else "x",))
    with pytest.raises(sqlite3.DatabaseError) as refused:
        open_file(path, STORES[name])
    line = explain(refused.value)
    assert line.startswith(f"{path}: table {table}, row with ") and line.endswith(REMEDY)


def test_of_a_large_database_the_tables_of_few_rows_are_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a configuration with descriptions of megabytes is; a message log's records would keep a start waiting."""
    name, steps = next(iter(STORES.items()))
    path = tmp_path / f"{name}.sqlite"
    with contextlib.closing(filled(path, steps)) as database:
        table, column, kind = list(columns_of(database))[-1]
        database.execute(f"UPDATE {table} SET {column} = ?", (b"x" if kind != "BLOB" else "x",))
    monkeypatch.setattr(serving_database, "LARGEST_CHECKED_PAGES", 0)
    with pytest.raises(sqlite3.DatabaseError, match=f"table {table}, row with "):
        open_file(path, steps)
    monkeypatch.setattr(serving_database, "MOST_CHECKED_ROWS", 0)
    open_file(path, steps).close()


@pytest.mark.parametrize("name", STORES)
def test_a_text_that_is_no_utf8_is_named_when_it_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.sqlite"
    with contextlib.closing(filled(path, STORES[name], every=False)) as database:
        texts = [(t, c) for t, c, kind in columns_of(database) if kind == "TEXT"]
        table, column = next(p for p in texts if database.execute(f"SELECT 1 FROM {p[0]}").fetchone())
        database.execute(f"UPDATE {table} SET {column} = CAST(x'41ff42' AS TEXT)")
    store = Database(path, STORES[name])
    with pytest.raises(sqlite3.DatabaseError) as refused:
        store.query(f"SELECT {column} FROM {table}")
    store.close()
    line = explain(refused.value)
    assert (
        f"{path}: table {table}, row with " in line
        and f"column {column} holds bytes that are no UTF-8" in line
    )
    assert line.endswith(REMEDY)


def test_what_reads_a_file_before_its_server_starts_names_the_value(tmp_path: Path) -> None:
    with contextlib.closing(filled(tmp_path / "serverconf.sqlite", SERVERCONF)) as database:
        database.execute("UPDATE setting SET value = x'00'")
        database.execute("UPDATE server SET server_id = x'00'")
    with contextlib.closing(filled(tmp_path / "central.sqlite", CENTRAL)) as database:
        database.execute("CREATE TABLE old AS SELECT * FROM step")
        database.execute("DROP TABLE step")
        database.execute("CREATE TABLE step (number BIGINT)")
        database.execute("INSERT INTO step VALUES ('x')")
    for table, read in (
        ("setting", lambda: read_settings(tmp_path, None)),
        ("server", lambda: server_in(tmp_path)),
        ("step", lambda: next(check_start(tmp_path, centralhosting.settings(), None))),
    ):
        with pytest.raises(
            sqlite3.DatabaseError, match=f"table {table}, row with .*{REMEDY.partition('(')[0]}"
        ):
            read()


async def test_a_value_of_another_type_in_a_log_that_is_not_looked_through_is_named_when_its_record_is_read(
    tmp_path: Path,
) -> None:
    log = open_log(tmp_path)
    await log.append(entry("m"))
    path = tmp_path / "messages.sqlite"
    row = dict.fromkeys(("record_id", "number", "size_bytes"), 1) | {"digest": b"d", "content": b"c"}
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as writer:
        marks = ", ".join("?" * len(row))
        writer.execute(f"INSERT INTO attachment ({', '.join(row)}) VALUES ({marks})", [*row.values()])
        read = [(t, c, k) for t, c, k in columns_of(writer) if t in ("record", "attachment")]
        for table, column, kind in read:
            if column in ("chain", "record_id"):  # of no record's value, and what leads to it
                continue
            key = "id" if table == "record" else "record_id"
            (kept,) = writer.execute(f"SELECT {column} FROM {table} WHERE {key} = 1").fetchone()
            for value in (b"\xff\x00", "x", 0.5):
                writer.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = 1", (value,))
                if (
                    find_damage(writer, [table]) is not None
                ):  # else it is what the column holds, by SQLite's affinity
                    with pytest.raises(OperatorError) as refused:
                        log.reader.record(1)
                    line = explain(refused.value)
                    assert line.startswith(f"{path}: table {table}, row with {key} = 1"), (column, value)
                    assert f"column {column} holds " in line and line.endswith(REMEDY)
                    assert await log.verify_chain() == 1
            writer.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = 1", (kept,))
            assert kind in RIGHT
    assert log.reader.record(1).attachments[0].digest == b"d"
    await log.close()


def test_a_witness_does_not_cosign_from_a_damaged_book(tmp_path: Path) -> None:
    path = tmp_path / "witnessed.sqlite"
    with contextlib.closing(filled(path, WITNESSED)) as database:
        database.execute("UPDATE witnessed SET note = 'x'")
    with pytest.raises(
        sqlite3.DatabaseError, match="table witnessed, row with origin = t, column note holds text"
    ):
        WitnessBook(path, ())


# Values of the right type that nothing can be made of.
SENSELESS = (
    ("ocsp_responder", "cost_type", "?"),
    ("tsa", "cost_type", "?"),
    ("tsa", "certificate", b"\x30\x03\x02\x01\x07"),
    ("approved_ca", "certificate", b""),
    ("intermediate_ca", "certificate", b"\x30"),
    ("signing_key", "certificate", b"no certificate"),
    ("parameter", "value", "["),
)


async def test_a_senseless_value_of_a_registry_is_named_and_no_traceback_stands_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = centralhosting.settings()
    server = CentralServer(tmp_path / "central", chosen)
    await centralhosting.initialise(server, tmp_path)
    await server.start()
    await server.stop()
    path = tmp_path / "central" / "central.sqlite"
    for table, column, value in SENSELESS:
        where = " WHERE name = 'management_service'" if table == "parameter" else ""
        with contextlib.closing(sqlite3.connect(path)) as database:
            kept = database.execute(f"SELECT rowid, {column} FROM {table}{where}").fetchall()
            database.execute(f"UPDATE {table} SET {column} = ?{where}", (value,))
            database.commit()
        caplog.clear()
        server = CentralServer(tmp_path / "central", chosen, centralhosting.PIN)
        with caplog.at_level(logging.ERROR):
            await server.start()
            problem = "" if server.node.problem is None else server.node.problem.into("en")
            await server.stop()
        assert f"{path}: table {table}, row with " in problem and REMEDY in problem, (table, column)
        assert not any(record.exc_info for record in caplog.records)
        with contextlib.closing(sqlite3.connect(path)) as database:
            database.executemany(
                f"UPDATE {table} SET {column} = ? WHERE rowid = ?", [(v, r) for r, v in kept]
            )
            database.commit()


async def test_an_address_that_is_none_ends_the_start_of_a_central_server_with_its_place(
    tmp_path: Path,
) -> None:
    server = CentralServer(tmp_path / "central", centralhosting.settings())
    await centralhosting.initialise(server, tmp_path)
    await server.stop()
    with contextlib.closing(sqlite3.connect(tmp_path / "central" / "central.sqlite")) as database:
        database.execute("UPDATE node SET address = '['")
        database.commit()
    again = CentralServer(tmp_path / "central", centralhosting.settings(), centralhosting.PIN)
    with pytest.raises(ValueError, match="table node, row with name = node_0"):
        await again.start()
    await again.stop()


def failing(code: int, words: str, kind: type[sqlite3.Error] = sqlite3.OperationalError) -> sqlite3.Error:
    """An error as SQLite gives it: a class, a code and words."""
    err = kind(words)
    err.sqlite_errorcode = code
    return err


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (sqlite3.SQLITE_BUSY, "another process uses it"),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, "another process uses it"),
        (sqlite3.SQLITE_LOCKED, "another process uses it"),
        (sqlite3.SQLITE_READONLY_DBMOVED, "a file that the server's user can read and write"),
        (sqlite3.SQLITE_CANTOPEN_ISDIR, "a file that the server's user can read and write"),
        (sqlite3.SQLITE_FULL, "free space on the disk"),
        (sqlite3.SQLITE_IOERR_FSYNC, "check the disk, and that it has space left"),
        (sqlite3.SQLITE_IOERR_SHMSIZE, "check the disk, and that it has space left"),
        (sqlite3.SQLITE_NOMEM, "free memory"),
        (sqlite3.SQLITE_IOERR_NOMEM, "free memory"),
        (sqlite3.SQLITE_CORRUPT_VTAB, "the file is damaged"),
        (sqlite3.SQLITE_NOTADB, "the file is damaged"),
        (sqlite3.SQLITE_ERROR, "the file is damaged"),
    ],
)
@pytest.mark.parametrize(
    "words", ["database is locked", "la base de datos está llena", "full disk I/O readonly", ""]
)
def test_the_remedy_goes_by_the_code_of_the_error_whatever_its_words(
    tmp_path: Path, code: int, remedy: str, words: str
) -> None:
    path = tmp_path / "full locked readonly.sqlite"
    for kind in (sqlite3.OperationalError, sqlite3.DatabaseError):
        with pytest.raises(kind) as refused, naming(path), naming(path):
            raise failing(code, words, kind)
        assert refused.value.sqlite_errorcode == code
        line = explain(refused.value)
        assert line.startswith(f"{path}: ") and line.count(str(path)) == 1 and remedy in line


def test_what_breaks_a_rule_of_the_tables_stays_as_it_is(tmp_path: Path) -> None:
    err = failing(sqlite3.SQLITE_CONSTRAINT_UNIQUE, "UNIQUE constraint failed: a.n", sqlite3.IntegrityError)
    with pytest.raises(sqlite3.IntegrityError) as refused, naming(tmp_path / "a.sqlite"):
        raise err
    assert refused.value is err
