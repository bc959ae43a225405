"""The time by an HTTP answer: found before the first timestamp, and never by guessing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.edges.configuration import ConfigurationClient
from gateway.edges.httpclock import ask_clocks, clock_offset_s
from gateway.health.diagnosis import clock_warning, furthest_clock
from schemas.faults import Fault
from schemas.globalconf.anchor import Anchor, AnchorSource, render_anchor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
SAID = "Sun, 01 Mar 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "ahead", "offset"),
    [
        ({"Date": SAID}, timedelta(0), 0),
        ({"Date": SAID}, timedelta(milliseconds=900), 0),
        ({"Date": SAID}, timedelta(hours=2), 7200),
        ({"Date": SAID}, -timedelta(days=1), -86400),
        ({"Date": SAID, "Age": "60"}, timedelta(seconds=60), 0),
        ({"Date": "Sun, 01 Mar 2026 12:00:00 -0000"}, timedelta(seconds=10), 10),
        ({}, timedelta(0), None),
        ({"Date": "yesterday"}, timedelta(0), None),
        ({"Date": SAID, "Age": "old"}, timedelta(0), None),
    ],
)
def test_an_offset_is_what_the_answer_says(
    headers: dict[str, str], ahead: timedelta, offset: float | None
) -> None:
    assert clock_offset_s(headers, NOW + ahead) == offset


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=404, headers={"Date": SAID})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    listening = TestServer(app)
    await listening.start_server()
    yield listening
    await listening.close()


async def test_the_first_server_that_answers_anything_is_believed(server: TestServer) -> None:
    url = str(server.make_url("/tsa"))
    async with aiohttp.ClientSession() as session:
        found = await ask_clocks(session, ["http://127.0.0.1:9/", url], lambda: NOW + timedelta(hours=1))
        assert found == (3600, f"127.0.0.1:{server.port}")
        assert await ask_clocks(session, ["http://127.0.0.1:9/", "no url"], lambda: NOW) is None


async def test_a_gateway_knows_its_clock_from_its_first_look_even_if_nothing_came(
    server: TestServer, tmp_path: Path
) -> None:
    url = str(server.make_url("/internalconf"))
    anchor = render_anchor(Anchor("MX", (AnchorSource(url, (b"no certificate",)),), NOW))
    async with aiohttp.ClientSession() as session:
        client = ConfigurationClient(anchor, tmp_path, session, clock=lambda: NOW - timedelta(days=1))
        with pytest.raises(Fault):
            await client.refresh()
        assert client.clock == (-86400, f"127.0.0.1:{server.port}")


def test_of_clocks_that_this_one_was_compared_with_the_furthest_is_named_and_by_how_much() -> None:
    assert furthest_clock(None, None) == (None, "")
    assert furthest_clock(None, (0.0, "centre:8080")) == (0.0, "centre:8080")
    assert furthest_clock((-0.4, "tsa"), (180.2, "centre:8080")) == (180.2, "centre:8080")
    assert furthest_clock((-200.0, "tsa"), (180.2, "centre:8080")) == (-200.0, "tsa")
    assert "is 180 s ahead of that of centre:8080" in clock_warning(180.2, "centre:8080")
    assert "is 34560000 s behind that of tsa" in clock_warning(-34_560_000.0, "tsa")
