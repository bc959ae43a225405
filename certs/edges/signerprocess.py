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
    """One child process that holds a token, to be started anew whenever it ends."""

    def __init__(self, token_id: str, program: str, arguments: Sequence[str]) -> None:
        self._token_id = token_id
        # The package whose command ``signer`` is the child.
        self._program = program
        self._arguments = list(arguments)
        self._child: asyncio.subprocess.Process | None = None
        self.restarts = 0
        # Before the next start: longer after each life that was short.
        self.pause_s = FIRST_PAUSE_S

    @property
    def token_id(self) -> str:
        """The token that the process holds."""
        return self._token_id

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return None if self._child is None or self._child.returncode is not None else self._child.pid

    async def live(self) -> None:
        """One life of the child, from its start to its end; ``pause_s`` is to pass before the next."""
        clock = asyncio.get_running_loop().time
        started = clock()
        try:
            self._child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                self._program,
                "signer",
                *self._arguments,
                stdin=asyncio.subprocess.DEVNULL,
            )
            status = await self._child.wait()
        finally:
            await self._end()
        self.restarts += 1
        steady = clock() - started > _STEADY_S
        self.pause_s = FIRST_PAUSE_S if steady else min(self.pause_s * 2, LONGEST_PAUSE_S)
        log.error(
            "signer process ended",
            extra={
                "event": "signer_ended",
                "token": self._token_id,
                "status": status,
                "again_s": self.pause_s,
            },
        )

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
