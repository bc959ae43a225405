"""How a server's process ends: for good, or to start anew with the same command line."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from serving.process.loops import Loop, Loops
from serving.process.supervised import report_alive, watchdog_interval_s

if TYPE_CHECKING:
    from collections.abc import Coroutine


class Ending:
    """Waits until the process is told to end, by a signal or by itself."""

    def __init__(self) -> None:
        self._requested = asyncio.Event()
        self._again = asyncio.Event()
        self.starts_anew = False

    def restart(self) -> None:
        """End, and start anew afterwards."""
        self.starts_anew = True
        self._requested.set()

    def take_signals(self) -> None:
        """Let SIGINT and SIGTERM ask for the end, from now on."""
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, self._signalled)

    async def start(self, starting: Coroutine[Any, Any, object]) -> bool:
        """Start a server, which may serve before it has started whole; False: it was told to end meanwhile, and is ended.

        The start is cancelled then, and closes what it opened; what it served already is answered first.
        """
        self.take_signals()
        start = asyncio.create_task(starting)
        requested = asyncio.create_task(self._requested.wait())
        await asyncio.wait((start, requested), return_when=asyncio.FIRST_COMPLETED)
        requested.cancel()
        if start.done():
            start.result()
            return True
        start.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await start
        return False

    async def wait(self) -> None:
        """Until SIGINT, SIGTERM or `restart`; systemd's watchdog hears meanwhile that the event loop turns."""
        loops, interval = Loops(), watchdog_interval_s(os.environ)
        if interval is not None:
            loops.start([Loop("watchdog", _beat, lambda: interval)])
        await self._requested.wait()
        await loops.stop()

    async def wait_again(self, most_s: float) -> None:
        """After `wait`: until a second signal asks for haste, ``most_s`` seconds at most."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self._again.wait()

    def _signalled(self) -> None:
        (self._again if self._requested.is_set() else self._requested).set()


async def _beat() -> None:
    report_alive(os.environ)


def start_anew() -> None:
    """Replace this process by a new one with the same command line. Does not return."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # our own command line
