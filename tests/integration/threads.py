"""A server of ours in a thread of its own: for tests that ask it over HTTP and look into it too."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractAsyncContextManager

T = TypeVar("T")


@contextlib.contextmanager
def in_thread(serve: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[T]:
    """What ``serve`` yields once it is entered, on a loop in another thread; left at the end. What it raises is raised here."""
    started = threading.Event()
    found: list[T] = []
    stop: list[asyncio.Event] = []
    problem: list[BaseException] = []

    async def run() -> None:
        async with serve() as value:
            found.append(value)
            stop.append(asyncio.Event())
            started.set()
            await stop[0].wait()

    def work() -> None:
        try:
            loop.run_until_complete(run())
        except BaseException as err:
            problem.append(err)
        finally:
            started.set()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert started.wait(120), "the server did not start"
        if problem:
            raise problem[0]
        yield found[0]
    finally:
        if stop:
            loop.call_soon_threadsafe(stop[0].set)
        thread.join(120)
        loop.close()
    if problem:
        raise problem[0]
