"""Exchanges counted over time, for a chart."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from gateway.monitoring.store import RecordFilter, RecordStore
from schemas.identifiers import ClientId, ServiceId

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BEGIN = datetime(2026, 1, 1, 12, tzinfo=UTC)
BEGIN_MS = int(BEGIN.timestamp() * 1000)
MINUTE_MS = 60_000
CONSUMER, PROVIDER = ClientId("MX", "GOB", "1", "AFIL"), ClientId("MX", "GOB", "2", "INDICE")
SERVICE = ServiceId(PROVIDER, "look", "v1")


def record(
    at_ms: int, *, good: bool = True, side: str = "Client", code: str = "look"
) -> dict[str, str | int]:
    found: dict[str, str | int] = {
        "requestInTs": at_ms,
        "succeeded": good,
        "securityServerType": side,
        "serviceCode": code,
        "serviceVersion": "v1",
    }
    for prefix, client in (("client", CONSUMER), ("service", PROVIDER)):
        for name, value in zip(
            ("XRoadInstance", "MemberClass", "MemberCode", "SubsystemCode"), client.components, strict=True
        ):
            found[f"{prefix}{name}"] = value
    return found


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.processes)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RecordStore]:
    where: Path | str = tmp_path / "records.sqlite"
    if request.param == "postgres":
        where = request.getfixturevalue("postgres").new_database()
    made = RecordStore(where, lambda: BEGIN)
    for given in (
        record(BEGIN_MS - 1),
        record(BEGIN_MS),
        record(BEGIN_MS + MINUTE_MS - 1, good=False),
        record(BEGIN_MS + MINUTE_MS, side="Producer"),
        record(BEGIN_MS + 2 * MINUTE_MS, code="other"),
        record(BEGIN_MS + 3 * MINUTE_MS),
    ):
        made.add(given)
    made.write()
    yield made
    made.close()


def counted(store: RecordStore, wanted: RecordFilter) -> list[tuple[int, int]]:
    found = store.count(BEGIN_MS, 3, MINUTE_MS, wanted)
    assert [c.begin_ms for c in found] == [BEGIN_MS + n * MINUTE_MS for n in range(3)]
    return [(c.succeeded, c.failed) for c in found]


def test_every_span_is_told_and_what_is_outside_is_not_counted(store: RecordStore) -> None:
    assert counted(store, RecordFilter()) == [(1, 1), (1, 0), (1, 0)]


def test_side_party_and_service_narrow_what_is_counted(store: RecordStore) -> None:
    assert counted(store, RecordFilter("Producer")) == [(0, 0), (1, 0), (0, 0)]
    assert counted(store, RecordFilter(party=PROVIDER)) == [(1, 1), (1, 0), (1, 0)]
    assert counted(store, RecordFilter(party=ClientId("MX", "GOB", "1"))) == [(0, 0)] * 3
    assert counted(store, RecordFilter(service=SERVICE)) == [(1, 1), (1, 0), (0, 0)]
    assert counted(store, RecordFilter(service=ServiceId(PROVIDER, "look"))) == [(1, 1), (1, 0), (0, 0)]
    assert counted(store, RecordFilter(service=ServiceId(PROVIDER, "look", "v2"))) == [(0, 0)] * 3
