"""Waiting between two rounds of a loop, so that a changed interval counts at once and not after the old one is over."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Pace:
    """The pauses of one loop."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Look at the interval again, from where the pause began."""
        self._changed.set()

    async def pause(self, interval_s: Callable[[], float | None]) -> None:
        """Wait until the interval is over; None waits until it changes."""
        clock = asyncio.get_running_loop().time
        began = clock()
        while True:
            self._changed.clear()
            interval = interval_s()
            left = None if interval is None else began + interval - clock()
            if left is not None and left <= 0:
                await asyncio.sleep(0)
                return
            try:
                async with asyncio.timeout(left):
                    await self._changed.wait()
            except TimeoutError:
                return
