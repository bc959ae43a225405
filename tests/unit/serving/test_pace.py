"""Pauses of a loop: a changed interval counts at once."""

from __future__ import annotations

import asyncio

from serving.process.pace import Pace


async def test_a_shorter_interval_ends_the_pause_that_a_longer_one_began() -> None:
    pace, interval = Pace(), [3600.0]
    pausing = asyncio.create_task(pace.pause(lambda: interval[0]))
    await asyncio.sleep(0)
    interval[0] = 0.0
    pace.changed()
    await asyncio.wait_for(pausing, 60)


async def test_a_pause_without_an_interval_waits_for_one() -> None:
    pace = Pace()
    interval: list[float | None] = [None]
    pausing = asyncio.create_task(pace.pause(lambda: interval[0]))
    await asyncio.sleep(0)
    pace.changed()
    await asyncio.sleep(0)
    assert not pausing.done()
    interval[0] = 0.0
    pace.changed()
    await asyncio.wait_for(pausing, 60)
