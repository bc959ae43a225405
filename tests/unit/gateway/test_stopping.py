"""A gateway's start and end as balancers see them: the health address says no before it listens, and from the word to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal

import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.health.diagnosis import Diagnosis
from gateway.server.listeners import health_app
from gateway.server.state import Phase
from serving.process.ending import Ending


async def well() -> list[str]:
    return []


async def never() -> Diagnosis:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("phase", "status"), [(Phase.STARTING, 503), (Phase.OPEN, 200), (Phase.STOPPING, 503)]
)
async def test_the_health_address_asks_for_messages_only_while_they_are_listened_for(
    phase: Phase, status: int
) -> None:
    app = health_app(well, never, phase=lambda: phase)
    async with TestClient(TestServer(app)) as client, client.get("/") as answer:
        said = await answer.json()
    assert answer.status == status
    assert said["status"] == ("up" if phase is Phase.OPEN else phase.value)
    assert bool(said["problems"]) is (phase is not Phase.OPEN)


async def test_a_second_signal_ends_the_wait_for_balancers() -> None:
    ending = Ending()
    ending.take_signals()
    waiting = asyncio.create_task(ending.wait())
    await asyncio.sleep(0)
    os.kill(os.getpid(), signal.SIGTERM)
    try:
        async with asyncio.timeout(60):
            await waiting
            patient = asyncio.create_task(ending.wait_again(3600))
            await asyncio.sleep(0)
            os.kill(os.getpid(), signal.SIGTERM)
            await patient
            await ending.wait_again(0.01)
    finally:
        drop_signals()


def drop_signals() -> None:
    for name in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(ValueError):
            asyncio.get_running_loop().remove_signal_handler(name)


async def test_a_signal_ends_a_start_that_is_not_over_and_lets_it_close_what_it_opened() -> None:
    begun, closed, ending = asyncio.Event(), asyncio.Event(), Ending()

    async def starting() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    start = asyncio.create_task(ending.start(starting()))
    try:
        async with asyncio.timeout(60):
            await begun.wait()
            os.kill(os.getpid(), signal.SIGTERM)
            assert await start is False
            assert closed.is_set()
            await ending.wait()
    finally:
        drop_signals()


async def test_a_start_that_fails_says_why_and_one_that_is_over_waits_for_a_signal() -> None:
    async def failing() -> None:
        raise OSError("the address is taken")

    try:
        with pytest.raises(OSError, match="the address is taken"):
            await Ending().start(failing())
        assert await Ending().start(asyncio.sleep(0)) is True
    finally:
        drop_signals()
