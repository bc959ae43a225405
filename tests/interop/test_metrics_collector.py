"""X-Road Metrics' collector, unmodified, gathers from two of our gateways and reads our central server's list of servers.

It runs when ``SACBE_XROAD_METRICS`` names the folder ``collector_module`` of a checkout of
github.com/nordic-institute/X-Road-Metrics (tried with 1.4.2).
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from gateway.clients.model import ServerConf
from gateway.exchange.record import ExchangeRecord
from gateway.metaservices.monitoring import MonitoringServices
from gateway.monitoring.records import build_record
from schemas import rest
from schemas.identifiers import ClientId
from tests.vectors import stage
from tests.vectors.recorded import RECORDED
from tests.vectors.test_opmonitoring import FROM, NOW, monitor

if TYPE_CHECKING:
    pass

CHECKOUT = os.environ.get("SACBE_XROAD_METRICS", "")
OWNER = stage.SERVER.owner
METRICS = ClientId(OWNER.instance, OWNER.member_class, OWNER.member_code, "METRICS")


def record() -> dict[str, Any]:
    """What our gateway keeps of a REST exchange of the monitoring client's own."""
    request = rest.build_request(
        "GET",
        f"/r1/{OWNER.path()}/SUB/echo/pets/1?x=1",
        [("X-Road-Client", METRICS.path())],
        instance=OWNER.instance,
        new_id=lambda: "6e18dc1f-7db4-4844-ad36-c9a4574edc7c",
    )
    at = stage.NOW.fromtimestamp(FROM, stage.NOW.tzinfo)
    exchange = ExchangeRecord("Producer", at)
    exchange.message(request.to_message())
    exchange.finish(at, None)
    return dict(build_record(exchange, ServerConf(stage.SERVER), None, "10.0.0.1"))


def services(folder: Path) -> MonitoringServices:
    """Monitoring of the stage's server, whose owner is asked."""
    of = monitor(folder, OWNER, (record(),))
    return MonitoringServices(
        lambda: ServerConf(stage.SERVER),
        of.configuration,
        of.records,
        of.health,
        lambda: (),
        of.now,
        of.started,
    )


async def central(stack: AsyncExitStack) -> str:
    """What our central server published in the recorded federation, at an address of its own."""

    async def directory(_request: web.Request) -> web.Response:
        return web.Response(body=(RECORDED / "ours-internalconf.v6").read_bytes())

    async def shared(_request: web.Request) -> web.Response:
        return web.Response(
            body=(RECORDED / "globalconf-as-x-road-stored/DEV/shared-params.xml").read_bytes()
        )

    app = web.Application()
    app.router.add_get("/internalconf", directory)
    app.router.add_get("/{rest:.*}/shared-params.xml", shared)
    runner = web.AppRunner(app)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, stage.HOST, 0)
    await site.start()
    return f"{stage.HOST}:{runner.addresses[0][1]}"


async def collected(folder: Path) -> dict[str, Any]:
    """One run of the collector against a consumer gateway, a provider gateway behind it, and the central server."""
    setup = stage.Setup(local_services=services(folder))
    async with AsyncExitStack() as stack:
        registry = await central(stack)
        up = await stack.enter_async_context(stage.put_up(setup))
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("metricscollector.py")),
            f"{stage.HOST}:{up.consumer_port}",
            registry,
            str(FROM - 10),
            str(NOW - 100),
            stage.SERVER.path(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": CHECKOUT},
        )
        said, complained = await asyncio.wait_for(child.communicate(), 120)
        assert child.returncode == 0, complained.decode()
        result: dict[str, Any] = json.loads(said)
        assert result["done"], (result["reason"], complained.decode())
        return result


@pytest.mark.xroad("F116", "F121")
@pytest.mark.skipif(
    not CHECKOUT, reason="SACBE_XROAD_METRICS names no checkout of X-Road-Metrics' collector_module"
)
def test_the_collector_takes_every_record_with_its_rest_path_and_finds_every_server(tmp_path: Path) -> None:
    found = asyncio.run(collected(tmp_path))
    (kept,) = found["records"]
    assert (kept["clientSubsystemCode"], kept["serviceCode"]) == ("METRICS", "echo")
    assert (kept["restPath"], kept["restMethod"], kept["xRoadVersion"]) == ("/pets/1", "GET", "7.8.0")
    assert [s.rpartition("/")[0] for s in found["servers"]] == [
        "DEV/COM/1111/SX1",
        "DEV/COM/1234/SS0",
        "DEV/COM/2222/SX2",
        "DEV/COM/4321/SSA",
    ]
