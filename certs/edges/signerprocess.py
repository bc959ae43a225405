"""Keeping the processes that hold tokens running: start, watch, start anew when one ends."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("signer")

FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
_STEADY_S = 30.0


class SignerProcess:
    """One child process that holds a token, started anew whenever it ends until it is told to stop."""

    def __init__(self, token_id: str, program: str, arguments: Sequence[str]) -> None:
        self._token_id = token_id
        # The package whose command ``signer`` is the child.
        self._program = program
        self._arguments = list(arguments)
        self._child: asyncio.subprocess.Process | None = None
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return None if self._child is None or self._child.returncode is not None else self._child.pid

    async def run(self) -> None:
        """Run for ever; a child that ends soon after its start is started anew ever more slowly."""
        pause = FIRST_PAUSE_S
        loop = asyncio.get_running_loop()
        try:
            while True:
                started = loop.time()
                self._child = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    self._program,
                    "signer",
                    *self._arguments,
                    stdin=asyncio.subprocess.DEVNULL,
                )
                status = await self._child.wait()
                self.restarts += 1
                pause = (
                    FIRST_PAUSE_S if loop.time() - started > _STEADY_S else min(pause * 2, LONGEST_PAUSE_S)
                )
                log.error(
                    "signer process ended",
                    extra={
                        "event": "signer_ended",
                        "token": self._token_id,
                        "status": status,
                        "again_s": pause,
                    },
                )
                await asyncio.sleep(pause)
        finally:
            await self._end()

    async def _end(self) -> None:
        child = self._child
        if child is None or child.returncode is not None:
            return
        child.terminate()
        try:
            async with asyncio.timeout(5):
                await child.wait()
        except TimeoutError:
            child.kill()
            await child.wait()
