"""Timestamping authorities taken away one by one: the last one stops stamping, and that is an alert at once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest

from gateway.clients.records import TimestampingService
from gateway.clients.store import ServerConfStore
from gateway.health.diagnosis import DiagnosisFacts, Severity, diagnose
from gateway.messagelog.timestamper import Timestamper, TimestampSettings
from gateway.refusals import GatewayCode
from schemas.faults import Fault
from serving.errors import Refused
from tests import worlds
from tests.logs import append_message, open_log
from tests.worlds import NOW

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = TimestampingService("Dev TSA", "http://tsa.invalid/", "UNDEFINED")
OTHER = TimestampingService("Dev TSA", "http://other.invalid/", "UNDEFINED")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ServerConfStore]:
    made = ServerConfStore(tmp_path / "serverconf.sqlite")
    yield made
    made.close()


def wanted(store: ServerConfStore) -> list[tuple[str, str]] | None:
    services = store.view.timestamping
    return None if services.are_removed() else [(t.name, t.url) for t in services.all()]


@pytest.mark.xroad("F051")
def test_none_is_used_once_the_last_is_removed_until_one_is_added_or_all_are_asked_for(
    store: ServerConfStore,
) -> None:
    assert wanted(store) == [], "before any was chosen every approved one is used"
    for service in (FIRST, OTHER):
        with store.change() as tables:
            tables.timestamping.add(service, NOW)
    for service, left in ((FIRST, [(OTHER.name, OTHER.url)]), (OTHER, None)):
        with store.change() as tables:
            tables.timestamping.remove(service.name, service.url, NOW)
        assert wanted(store) == left
    with store.change() as tables, pytest.raises(Refused) as caught:
        tables.timestamping.remove(OTHER.name, OTHER.url, NOW)
    assert caught.value.code is GatewayCode.TIMESTAMPING_SERVICE_NOT_FOUND
    with store.change() as tables:
        tables.timestamping.add(FIRST, NOW)
    assert wanted(store) == [(FIRST.name, FIRST.url)]
    with store.change() as tables:
        tables.timestamping.remove(FIRST.name, FIRST.url, NOW)
        tables.timestamping.set_all([], NOW)
    assert wanted(store) == []


@pytest.mark.xroad("F051")
async def test_without_one_nothing_is_stamped_and_traffic_stops_after_the_time_allowed(
    tmp_path: Path,
) -> None:
    log = open_log(tmp_path / "log")
    settings = TimestampSettings(acceptable_failure_s=3600)
    async with aiohttp.ClientSession() as session:
        stamper = Timestamper(
            log, lambda: worlds.world().configuration, session, lambda: NOW, settings, services=lambda: None
        )
        assert stamper.has_none
        assert stamper.used() == ()
        await append_message(log, tmp_path, worlds.world().request())
        with pytest.raises(Fault, match="none of the timestamping authorities"):
            await stamper.stamp_round()
        stamper.check(NOW)
        with pytest.raises(Fault, match="no timestamp could be had"):
            stamper.check(NOW + timedelta(hours=2))
    await log.close()


@pytest.mark.xroad("F051")
@pytest.mark.parametrize("language", ["en", "es"])
def test_it_is_an_alert_before_any_message_waits(language: str) -> None:
    facts = DiagnosisFacts(has_no_authority=True, timestamps_acceptable=timedelta(hours=4))
    (finding,) = [f for f in diagnose(facts, NOW).findings if f.code == "timestamps-nobody"]
    assert finding.severity is Severity.WILL_STOP
    assert finding.stops_at == NOW + timedelta(hours=4)
    what, action = finding.texts_in(language)
    assert what
    assert "timestamping add" in action
