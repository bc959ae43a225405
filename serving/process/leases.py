"""Background work that only one of several equal processes is to do: whoever holds its lease.

A process that runs alone holds every lease (`EveryLease`). Where several share a database the leases stand there
(`serving.storage.nodes`): a holder that dies loses them when their time is over, and another process goes on with the work.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager

    from serving.process.loops import Loop


class Leases(Protocol):
    """Asked before a piece of work that one process alone is to do."""

    async def take(self, name: str) -> bool:
        """Hold the lease of this name, or go on holding it; False while another process holds it. Raises OSError."""
        ...

    def working(self, name: str) -> AbstractContextManager[None]:
        """Within it nothing is written to what the processes share once the lease is another's."""
        ...


class EveryLease:
    """The leases of a process that runs alone."""

    async def take(self, name: str) -> bool:
        """True: there is nobody else."""
        return bool(name)

    def working(self, name: str) -> AbstractContextManager[None]:
        """No bound: the lease of any ``name`` holds as long as the process."""
        return contextlib.nullcontext()


class NoLease:
    """The leases of a process that leaves background work to another one beside it."""

    async def take(self, name: str) -> bool:
        """False: the other one holds it, or will."""
        return not name

    def working(self, name: str) -> AbstractContextManager[None]:
        """Never entered: the lease of no ``name`` is held here. Raises LookupError."""
        raise LookupError(f"the lease of {name} is not taken by this process")


def done_once(loop: Loop, leases: Leases, otherwise: Callable[[], Awaitable[object]] | None = None) -> Loop:
    """The loop, its rounds done only by the process that holds the lease of its name; the others do ``otherwise``."""
    work = loop.work

    async def round_of_holder() -> None:
        if await leases.take(loop.name):
            with leases.working(loop.name):
                await work()
        elif otherwise is not None:
            await otherwise()

    loop.work = round_of_holder
    return loop
