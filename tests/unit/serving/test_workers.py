"""Processes that are started anew whenever they end or fall silent, and sockets that they inherit."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest

from serving.process.binding import bind_address, is_shared, take_given
from serving.process.leases import NoLease, done_once
from serving.process.loops import Loop, Loops
from serving.process.workers import RESTART_STATUS, SILENT_S, Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

READY = "import os; from serving.process.supervised import notify_supervisor; notify_supervisor('READY=1', os.environ); "
FOREVER = "import signal; signal.pause()"


def worker(
    code: str, told: list[str] | None = None, given: tuple[int, ...] = (), silent_s: float = SILENT_S
) -> Worker:
    """A worker whose process runs a piece of Python."""
    asked = told if told is not None else []
    return Worker(
        1,
        [sys.executable, "-c", code],
        os.environ,
        given=given,
        restart=lambda: asked.append("restart"),
        silent_s=silent_s,
    )


@contextlib.asynccontextmanager
async def running(made: Worker) -> AsyncIterator[Worker]:
    """Its loop, until the end of the block; then it has ended."""
    loops = Loops()
    loops.start([made.loop()])
    try:
        yield made
    finally:
        await made.stop()
        await loops.stop()


async def another(made: Worker, before: int | None) -> int:
    """Wait until it runs as another process than before, and is ready."""
    async with asyncio.timeout(60):
        while not made.ready.is_set() or made.pid in (before, None):
            await asyncio.sleep(0.02)
    assert made.pid is not None
    return made.pid


@pytest.mark.processes
async def test_a_worker_that_is_killed_is_started_anew_and_one_told_to_end_is_not() -> None:
    async with running(worker(READY + FOREVER)) as made:
        assert await made.wait_ready()
        first = await another(made, None)
        os.kill(first, signal.SIGKILL)
        second = await another(made, first)
        await made.stop()
        assert made.pid is None
        with pytest.raises(ProcessLookupError):
            os.kill(second, 0)
        # Its loop goes on and starts nothing.
        await asyncio.sleep(made.pause_s * 2)
        assert made.pid is None


@pytest.mark.processes
async def test_a_worker_that_ends_before_it_was_ready_says_how() -> None:
    async with running(worker("raise SystemExit(2)")) as made:
        assert not await made.wait_ready()
        assert made.failed_start == 2


@pytest.mark.processes
async def test_a_worker_may_ask_for_a_new_start_of_all() -> None:
    told: list[str] = []
    async with running(worker(f"{READY} raise SystemExit({RESTART_STATUS})", told)):
        async with asyncio.timeout(60):
            while not told:
                await asyncio.sleep(0.02)


@pytest.mark.processes
async def test_a_worker_that_falls_silent_is_killed() -> None:
    async with running(worker(READY + FOREVER, silent_s=0.5)) as made:
        first = await another(made, None)
        assert await another(made, first) != first


@pytest.mark.processes
async def test_a_worker_accepts_on_the_socket_that_its_starter_holds() -> None:
    (listening,) = await bind_address("127.0.0.1", 0)
    answering = (
        "import asyncio, socket, sys\n"
        "from serving.process.binding import bind_address, take_given\n"
        f"take_given({{'listen.x': [{listening.fileno()}]}})\n"
        "(s,) = asyncio.run(bind_address('203.0.113.1', 9, 'listen.x'))\n"
        "s.setblocking(True)\n"
        f"{READY}\n"
        "while True:\n"
        "    c, _ = s.accept(); c.sendall(str(os.getpid()).encode()); c.close()\n"
    )
    async with running(worker(answering, given=(listening.fileno(),))) as made:
        first = await another(made, None)
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(60):
            while made.pid == first:
                await asyncio.sleep(0.02)
        # Whoever connects before there is another one waits in the queue for it.
        with socket.create_connection(listening.getsockname(), timeout=60) as connection:
            found = await asyncio.to_thread(connection.recv, 100)
        assert int(found) == await another(made, first)
    listening.close()


async def test_a_given_socket_is_taken_once_and_known_as_shared() -> None:
    (listening,) = await bind_address("127.0.0.1", 0)
    take_given({"listen.given": [os.dup(listening.fileno())]})
    (taken,) = await bind_address("127.0.0.1", 0, "listen.given")
    assert taken.getsockname() == listening.getsockname()
    (fresh,) = await bind_address("127.0.0.1", 0, "listen.given")
    assert fresh.getsockname() != listening.getsockname()
    assert is_shared("listen.given")
    assert not is_shared("listen.other")
    for made in (listening, taken, fresh):
        made.close()


async def test_a_process_without_leases_leaves_the_work_and_does_what_the_others_do() -> None:
    done: list[str] = []

    async def work() -> None:
        done.append("work")

    async def otherwise() -> None:
        done.append("otherwise")

    await done_once(Loop("x", work, lambda: 1.0), NoLease(), otherwise).work()
    assert done == ["otherwise"]
