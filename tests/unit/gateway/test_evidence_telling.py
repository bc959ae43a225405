"""How much of a month's log is timestamped in time is told to the member whose gateway it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.exchange.ports import ServiceCall
from gateway.messagelog.reading import LogReader
from gateway.messagelog.rows import to_milliseconds
from gateway.metaservices.evidence_statistics import SERVICE_CODE, EvidenceStatisticsService
from schemas.faults import BadMessage, Fault
from schemas.identifiers import ClientId, ServiceId
from schemas.message import Message, MessageProtocol
from serving.storage.database import Database

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 4, 30, 12, tzinfo=UTC)
OWNER = ClientId("MX", "GOB", "15-ISSEMYM", "BITACORA")


def call(target: str, client: ClientId = OWNER) -> ServiceCall:
    message = Message(
        MessageProtocol.REST,
        is_response=False,
        raw=b"",
        digest=b"",
        client=client,
        service=ServiceId(OWNER, SERVICE_CODE),
        message_id="m",
        request_id="r",
    )
    return ServiceCall(message, "GET", target, ())


@pytest.fixture
def telling(tmp_path: Path) -> EvidenceStatisticsService:
    tables = (
        "CREATE TABLE record (id INTEGER PRIMARY KEY, at_ms INTEGER); CREATE TABLE stamped (record_id, stamp_id);"
        "CREATE TABLE stamp (id INTEGER PRIMARY KEY, at_ms INTEGER)"
    )
    database = Database(tmp_path / "log.sqlite", (tables,))
    hour = timedelta(hours=1)
    written = [NOW - 200 * hour, NOW - 100 * hour, NOW - 50 * hour, NOW - hour, NOW - 2000 * hour]
    stamps = {1: 1 * hour, 2: 9 * hour, 5: hour}  # in time; late; of another month
    for number, at in enumerate(written, 1):
        database.query("INSERT INTO record VALUES (?, ?)", (number, to_milliseconds(at)))
        if number in stamps:
            database.query("INSERT INTO stamp VALUES (?, ?)", (number, to_milliseconds(at + stamps[number])))
            database.query("INSERT INTO stamped VALUES (?, ?)", (number, number))
    return EvidenceStatisticsService(LogReader(database, None, None), lambda: NOW)  # type: ignore[arg-type]


async def test_late_and_missing_timestamps_count_and_young_messages_do_not_yet(
    telling: EvidenceStatisticsService,
) -> None:
    answer = json.loads((await telling.answer(call("?month=2026-04"))).body)
    assert answer == {"month": "2026-04", "messages": 3, "timestampedInTime": 1}


async def test_only_the_member_itself_may_ask_and_for_a_month_only(
    telling: EvidenceStatisticsService,
) -> None:
    with pytest.raises(Fault):
        await telling.answer(call("?month=2026-04", ClientId("MX", "GOB", "30-IPE", "PORT")))
    with pytest.raises(BadMessage, match="YYYY-MM"):
        await telling.answer(call("?month=April"))
