"""Looking for what other processes change: at once where changes are told, and every so often all the same.

A process that runs alone, or whose connection is broken, looks every `POLL_S`. While changes are told (`serving.storage.listening`)
it looks when it is told, and every `NOTIFIED_POLL_S` for what a connection may have kept back. Nothing is told but that something
changed: what it is now is read where it stands, so a lost, late or doubled word does no harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.process.loops import Loop, growing_retry_s

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

POLL_S = 0.5
NOTIFIED_POLL_S = 5.0


class Changes:
    """The loops of this process that look for changes, each by its topic: the table that is changed then."""

    def __init__(self, notified_poll_s: float = NOTIFIED_POLL_S) -> None:
        self._notified_poll_s = notified_poll_s
        self._watches: dict[str, _Watch] = {}
        self._is_notified = False

    @property
    def is_notified(self) -> bool:
        """Whether changes are told as they are committed."""
        return self._is_notified

    def loop(
        self,
        name: str,
        topic: str,
        look: Callable[[], Awaitable[object]],
        *,
        retry_s: Callable[[int], float] = growing_retry_s,
        needed: bool = False,
    ) -> Loop:
        """The loop that looks for one kind of change; it takes the place of an earlier one of that topic."""
        watch = self._watches[topic] = _Watch(self, look)
        watch.loop = Loop(name, watch.look, watch.interval_s, retry_s=retry_s, needed=needed)
        return watch.loop

    def begin_notifying(self) -> None:
        """From now on changes are told; all look once, for what was changed before."""
        self._is_notified = True
        for watch in self._watches.values():
            watch.notify()

    def end_notifying(self) -> None:
        """Nothing is told any more until `begin_notifying`: all look often."""
        self._is_notified = False
        for watch in self._watches.values():
            watch.loop.pace.changed()

    def notify(self, topic: str) -> None:
        """Something of this kind was changed; a topic that nobody here looks for is passed over."""
        if topic in self._watches:
            self._watches[topic].notify()

    def poll_s(self) -> float:
        """The seconds between two looks that nobody asked for."""
        return self._notified_poll_s if self._is_notified else POLL_S


class _Watch:
    """One kind of change, and whether it was told since the last look began."""

    loop: Loop

    def __init__(self, changes: Changes, look: Callable[[], Awaitable[object]]) -> None:
        self._changes = changes
        self._look = look
        self._was_notified = False

    def notify(self) -> None:
        self._was_notified = True
        self.loop.pace.changed()

    async def look(self) -> None:
        self._was_notified = False  # before the look: what is told during it is looked for again
        await self._look()

    def interval_s(self) -> float:
        return 0.0 if self._was_notified else self._changes.poll_s()
