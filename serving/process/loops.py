"""Background loops that never die: every loop of every server runs here, and says how it is.

A round that fails in any way is logged, shown by `Loops.failures` (health, diagnosis and notices read that), and tried
again after a pause that grows; the loop goes on. Only a cancellation of the loop's own task ends it. Pauses and ages are
counted on the monotonic clock, so a clock that is set, forwards or back, neither stalls a loop nor makes it spin.

Two kinds of failure are told apart. One the loop's part reports itself (a `Fault`: an authority that does not answer) is
logged in a line. Any other is a defect or a sick machine (KeyError, RecursionError, MemoryError, sqlite3.Error): it is
logged with its traceback and alerted until a round succeeds.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from dataclasses import KW_ONLY, dataclass, field
from typing import TYPE_CHECKING

import msgspec

from schemas.faults import Fault
from serving.errors import OperatorError
from serving.process.failing import causes_of
from serving.process.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

log = logging.getLogger("loops")

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 60.0
# A round that takes longer than this much more than the loop's interval is reported; it is not ended.
STALLED_S = 900.0


class LoopFailure(msgspec.Struct, frozen=True):
    """A loop's trouble: its name, the reason for a person, and rounds failed in a row (0: one never ends)."""

    name: str
    reason: str
    rounds: int
    needed: bool = False
    # As `serving.process.failing` names them.
    causes: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.rounds:
            return f"the loop {self.name!r} {self.reason}"
        return f"the loop {self.name!r} failed {self.rounds} times in a row and is tried again: {self.reason}"


def growing_retry_s(failures: int) -> float:
    """The pause after so many failures in a row: 1 s, doubled each time, at most a minute."""
    return min(LONGEST_RETRY_S, FIRST_RETRY_S * float(2 ** min(failures - 1, 10)))


@dataclass(slots=True, eq=False)
class Loop:
    """One loop: a round of work, an interval, a round of work."""

    name: str
    # Public, so that a test can put a round that fails in its place.
    work: Callable[[], Awaitable[object]]
    # Seconds between two rounds; None waits until ``pace`` is told of a change.
    interval_s: Callable[[], float | None]
    _: KW_ONLY
    # The pause after so many failed rounds in a row; after failures of another kind than the part's own never longer than
    # `growing_retry_s`, so that a lost database or the like is looked for again within seconds.
    retry_s: Callable[[int], float] = growing_retry_s
    first_s: float = 0.0
    pace: Pace = field(default_factory=Pace)
    # The log's words for a failed round.
    event: str = "loop_failed"
    failure_text: str = "a round of a background loop failed"
    # Exchanges stop sooner or later without it.
    needed: bool = False
    # A failure is told by its type alone, for its text may hold a person's data.
    discreet: bool = False
    # Whether a round that takes very long is reported.
    stalls: bool = True
    # Seconds, never set back; any thread may ask how the loop is.
    clock: Callable[[], float] = time.monotonic

    failures: int = field(default=0, init=False)
    last_error: str = field(default="", init=False)
    _causes: tuple[str, ...] = field(default=(), init=False)
    _is_unexpected: bool = field(default=False, init=False)
    _round_began: float | None = field(default=None, init=False)

    async def run(self) -> None:
        """Work for ever. Only a cancellation of the task that runs this ends it."""
        if self.first_s:
            await asyncio.sleep(self.first_s)
        while True:
            await self._round()
            await self._pause()

    @property
    def failure(self) -> LoopFailure | None:
        """The trouble that the loop's own part does not report itself; None when all is well."""
        if self.failures and self._is_unexpected:
            return LoopFailure(self.name, self.last_error, self.failures, self.needed, self._causes)
        began = self._round_began
        if self.stalls and began is not None and self.clock() - began > STALLED_S:
            return LoopFailure(
                self.name,
                f"has been at one round for more than {STALLED_S:g} s",
                0,
                self.needed,
                ("timed_out",),
            )
        return None

    async def _round(self) -> None:
        self._round_began = self.clock()
        try:
            await self.work()
        except asyncio.CancelledError:
            if _is_cancelling():
                raise
            # Something that the round waited for was cancelled, not the loop.
            self._failed("what the round waited for was cancelled", unexpected=True)
        except Fault as fault:
            self._failed(type(fault).__name__ if self.discreet else fault.detail, unexpected=False)
        except Exception as err:  # whatever it was, the next round may go well
            self._failed(self._reason(err), unexpected=True, error=err)
        else:
            if self.failures and self._is_unexpected:
                log.warning("a background loop works again", extra={"event": "loop_works", "loop": self.name})
            self.failures, self.last_error, self._is_unexpected = 0, "", False
        finally:
            self._round_began = None

    def _retry_s(self) -> float:
        """The pause after a failed round: the part's own for what it reports itself, at most a growing one for any other."""
        own = self.retry_s(self.failures)
        return min(own, growing_retry_s(self.failures)) if self._is_unexpected else own

    async def _pause(self) -> None:
        try:
            if self.failures:
                await self.pace.pause(self._retry_s)
            else:
                await self.pace.pause(self.interval_s)
        except asyncio.CancelledError:
            if _is_cancelling():
                raise
        except Exception as err:  # an interval that cannot be worked out
            self._failed(self._reason(err), unexpected=True, error=err)
            await asyncio.sleep(growing_retry_s(self.failures))

    def _failed(self, reason: str, *, unexpected: bool, error: BaseException | None = None) -> None:
        self.failures += 1
        self.last_error, self._is_unexpected = reason, unexpected
        self._causes = () if error is None else causes_of(error)
        fields = {"event": self.event, "loop": self.name, "reason": reason, "failures": self.failures}
        if not unexpected:
            log.warning(self.failure_text, extra=fields)
            return
        # The first of a row with its traceback, the others in a line; what is an operator's to mend says where and how.
        is_explained = isinstance(error, OperatorError | sqlite3.DatabaseError)
        reported = error if self.failures == 1 and not self.discreet and not is_explained else None
        log.error(self.failure_text, extra=fields, exc_info=reported)

    def _reason(self, error: BaseException) -> str:
        name = type(error).__name__
        return name if self.discreet else f"{name}: {error}"[:500].rstrip(": ")


class Loops:
    """The loops of one server: started together, stopped together, looked at together."""

    def __init__(self) -> None:
        self._loops: list[Loop] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __iter__(self) -> Iterator[Loop]:
        return iter(self._loops)

    def start(self, loops: Iterable[Loop]) -> None:
        """Run these too, from now until `stop`. Raises ValueError when a name is there twice."""
        for loop in loops:
            if loop.name in self._tasks:
                raise ValueError(f"there is a loop {loop.name!r} already")
            self._loops.append(loop)
            self._tasks[loop.name] = asyncio.create_task(loop.run(), name=loop.name)

    async def stop(self) -> None:
        """End every loop and wait for it."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def failures(self) -> list[LoopFailure]:
        """The loops in trouble now; one whose task ended all the same is among them."""
        found = [failure for loop in self._loops if (failure := loop.failure) is not None]
        ended = (loop for loop in self._loops if self._tasks[loop.name].done())
        return [*found, *(LoopFailure(o.name, "has ended; restart the server", 0, o.needed) for o in ended)]


def _is_cancelling() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
