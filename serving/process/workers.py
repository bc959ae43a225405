"""Several processes of one server on one machine: each a child that is started anew whenever it ends, or falls silent.

A worker speaks to its starter as a service speaks to systemd (sd_notify(3)): it says when it is ready, and again and again that
its event loop turns. One that was ready and says nothing for ``silent_s`` is killed. Sockets are the starter's and inherited:
connections that nobody has taken wait in one queue for all workers, and outlive each of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import tempfile
from typing import TYPE_CHECKING

import msgspec

from serving.process.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

log = logging.getLogger("serving.process.workers")

# A worker that ends with it asks for a new start of all of them.
RESTART_STATUS = 75
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 5.0
STEADY_S = 30.0
# A worker says twice as often that it is alive.
BEAT_S = 20
SILENT_S = 60.0
_LOOK_S = 1.0


class WorkerArguments(msgspec.Struct, frozen=True):
    """Passed to a worker as its one argument: folder, number, files, the starter's process id, open sockets by setting."""

    data: str
    number: int
    starter: int
    pin_file: str
    settings_file: str
    sockets: dict[str, list[int]]


class Worker:
    """One child: ``command`` with the files ``given`` open; ``restart`` is called when it asks for a new start of all."""

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        environ: Mapping[str, str],
        *,
        given: Sequence[int],
        restart: Callable[[], None],
        silent_s: float = SILENT_S,
    ) -> None:
        self.number = number
        self._command = list(command)
        self._environ = dict(environ)
        self._given = tuple(given)
        self._restart = restart
        self._silent_s = silent_s
        self._child: asyncio.subprocess.Process | None = None
        self._is_ending = False
        self._last_report_at = 0.0
        self._changed = asyncio.Event()
        # How it ended before it was ever ready; None while it did not.
        self.failed_start: int | None = None
        # Set while it is ready.
        self.ready = asyncio.Event()
        self.pause_s = FIRST_PAUSE_S

    @property
    def pid(self) -> int | None:
        """The child's process id while it runs."""
        return None if self._child is None or self._child.returncode is not None else self._child.pid

    def loop(self) -> Loop:
        """The loop that starts it, and again each time it ended."""
        return Loop(f"worker {self.number}", self.live, lambda: self.pause_s, needed=True, stalls=False)

    async def wait_ready(self) -> bool:
        """Wait until it is ready; False: it ended before."""
        while self.failed_start is None and not self.ready.is_set():
            self._changed.clear()
            await self._changed.wait()
        return self.ready.is_set()

    async def live(self) -> None:
        """One life of the child; ``pause_s`` is to pass before the next. Does not end any more once the end was asked for."""
        if self._is_ending:
            await asyncio.Event().wait()
        clock = asyncio.get_running_loop().time
        started = clock()
        with self._listening() as address:
            self._child = child = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                env={**self._environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": str(BEAT_S * 1_000_000)},
                pass_fds=self._given,
            )
            try:
                await self._watch(child)
            finally:
                was_ready = self.ready.is_set()
                self.ready.clear()
                if child.returncode is None:  # nobody watches it any more
                    child.kill()
        if self._is_ending:
            await asyncio.Event().wait()
        if child.returncode == RESTART_STATUS:
            self._restart()
        elif not was_ready:
            self.failed_start = child.returncode
            self._changed.set()
        self.pause_s = (
            FIRST_PAUSE_S if clock() - started > STEADY_S else min(self.pause_s * 2, LONGEST_PAUSE_S)
        )
        log.error(
            "worker ended",
            extra={
                "event": "worker_ended",
                "worker": self.number,
                "status": child.returncode,
                "again_s": self.pause_s,
            },
        )

    async def stop(self) -> None:
        """Ask it to end in order, and wait until it has."""
        self.ask_to_end()
        while self.pid is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._child_ended()

    def ask_to_end(self) -> None:
        """SIGTERM; asked again, a worker that drains ends at once. It is not started any more."""
        self._is_ending = True
        self.send(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it runs."""
        if self.pid is not None:
            os.kill(self.pid, number)

    async def _child_ended(self) -> None:
        if self._child is not None:
            await self._child.wait()

    async def _watch(self, child: asyncio.subprocess.Process) -> None:
        clock = asyncio.get_running_loop().time
        while child.returncode is None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await child.wait()
            if (
                child.returncode is None
                and self.ready.is_set()
                and clock() - self._last_report_at > self._silent_s
            ):
                log.error("worker fell silent", extra={"event": "worker_silent", "worker": self.number})
                child.kill()

    @contextlib.contextmanager
    def _listening(self) -> Iterator[str]:
        """Hear what the child says, at the address that is given."""
        loop = asyncio.get_running_loop()
        # In a folder of its own (0700), for a data folder's path may be longer than an address of a socket. A crash leaves the folder.
        with (
            tempfile.TemporaryDirectory(prefix="sacbe-worker-") as folder,
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
        ):
            address = f"{folder}/notify"
            channel.setblocking(False)
            channel.bind(address)
            loop.add_reader(channel, self._hear, channel)
            try:
                yield address
            finally:
                loop.remove_reader(channel)

    def _hear(self, channel: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            state = channel.recv(4096)
            self._last_report_at = asyncio.get_running_loop().time()
            if b"READY=1" in state:
                self.ready.set()
                self._changed.set()
