"""The audit log's chain: what was written stands, and whoever changes it is found out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from serving.errors import OperatorError
from serving.storage.audit import AUDIT_STEP, AuditEntry, AuditLog, AuditSought
from serving.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "audit.sqlite", (AUDIT_STEP,))
    log = AuditLog(made)
    for number in range(5):
        log.append(AuditEntry(AT, "ana", "127.0.0.1", "ADD", "done", detail={"number": number}))
    yield made
    made.close()


@pytest.mark.xroad("F136", "F137")
def test_whole_chain_verifies_and_exports_each_record(database: Database) -> None:
    log = AuditLog(database)
    count, head = log.verify()
    lines = [json.loads(line) for line in log.export()]
    assert count == 5
    assert [line["record"]["detail"]["number"] for line in lines] == [0, 1, 2, 3, 4]
    assert lines[-1]["digest"] == head


@pytest.mark.parametrize(
    ("sql", "where"),
    [
        ("UPDATE audit SET record = replace(record, 'ana', 'leo') WHERE number = 3", "record 3"),
        ("DELETE FROM audit WHERE number = 2", "record 2 is missing"),
        ("UPDATE audit SET number = 9 WHERE number = 1", "record 1 is missing"),
    ],
)
def test_changed_removed_or_moved_record_breaks_the_chain(database: Database, sql: str, where: str) -> None:
    with database.transaction() as connection:
        connection.execute(sql)
    with pytest.raises(OperatorError, match=where):
        AuditLog(database).verify()


def test_cut_off_end_is_seen_against_a_noted_head(database: Database) -> None:
    _, head = AuditLog(database).verify()
    with database.transaction() as connection:
        connection.execute("DELETE FROM audit WHERE number = 5")
    AuditLog(database).verify()
    with pytest.raises(OperatorError, match="cut off"):
        AuditLog(database).verify(head)


def test_repeated_refusals_are_counted_into_the_next_one(database: Database) -> None:
    log = AuditLog(database)
    for number in range(100):
        log.refuse(AuditEntry(AT, "x", "10.0.0.1", "FORM_LOGIN", "refused"), number * 0.1)
    log.refuse(AuditEntry(AT, "x", "10.0.0.1", "FORM_LOGIN", "refused"), 61.0)
    texts = [json.loads(text) for _, text, _ in log.records(5)]
    assert len(texts) == 61
    assert texts[-1]["detail"] == {"refused_before_unwritten": 40}


def test_half_a_surrogate_pair_is_written_as_text(database: Database) -> None:
    log = AuditLog(database)
    log.append(
        AuditEntry(AT, "ana", "::1", "ADD", "failed", "PUT /x\udcff", {"a\ud800": ["\udfff", 1 << 70]})
    )
    *_, last = (json.loads(line)["record"] for line in log.export())
    assert last["target"] == "PUT /x\\udcff"
    assert last["detail"] == {"a\\ud800": ["\\udfff", 1 << 70]}
    assert log.verify()[0] == 6


@pytest.mark.parametrize(
    ("sought", "numbers"),
    [
        (AuditSought(), [9, 8, 7, 6, 5, 4, 3, 2, 1]),
        (AuditSought(who="LEO"), [8, 6]),
        (AuditSought(who="le", outcome="refused"), [8]),
        (AuditSought(event="DELETE"), [9, 8]),
        (AuditSought(event="ADD_"), []),
        (AuditSought(about="mx:gob:1 OTRA"), [9]),
        (AuditSought(about="Peñón"), [7]),
        (AuditSought(about='dijo "no"'), [6]),
        (AuditSought(about="10.0.0.7"), [8]),
        (AuditSought(since=AT + timedelta(hours=6), until=AT + timedelta(hours=8)), [7, 6]),
        (AuditSought(who="leo", since=AT + timedelta(hours=7)), [8]),
        (AuditSought(since=AT + timedelta(hours=99)), []),
        (AuditSought(until=AT), []),
        (AuditSought(who="_"), []),
        (AuditSought(who="%"), []),
    ],
)
def test_entries_are_found_by_who_what_when_and_about(
    database: Database, sought: AuditSought, numbers: list[int]
) -> None:
    log = AuditLog(database)
    for hour, who, event, outcome, about in (
        (6, "leo", "ADD", "done", {"reason": 'dijo "no"'}),
        (7, "ana", "ADD", "done", {"place": "PEÑÓN"}),
        (8, "leo", "DELETE", "refused", {}),
        (9, "ana", "DELETE", "done", {"client": "MX:GOB:1:OTRA"}),
    ):
        address = "10.0.0.7" if hour == 8 else "127.0.0.1"
        log.append(AuditEntry(AT + timedelta(hours=hour), who, address, event, outcome, detail=about))
    for most in (1, 2, 50):
        found: list[int] = []
        while page := log.find(sought, found[-1] if found else None, 0, most):
            found += [number for number, _ in page]
        assert found == numbers
    assert [n for n, _ in log.find(sought, 9, 5, 50)] == [n for n in numbers if 5 < n < 9]
