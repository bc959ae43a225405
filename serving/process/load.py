"""How much of its machine a process takes, and whether that is more than it shall: processor time, and memory that is resident.

It is looked at once a second at most, when somebody comes; nothing is measured while nobody does.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_S = 1.0
_STATM = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """Above which a process is busy: processors kept busy (1.0 is one whole one), and resident bytes. 0 is no limit."""

    processors: float = 0.0
    memory_bytes: int = 0

    @property
    def are_set(self) -> bool:
        """Whether there is any limit at all."""
        return bool(self.processors or self.memory_bytes)


NO_LIMITS = LoadLimits()


def resident_bytes() -> int:
    """The memory of this process that is resident; 0 where the system does not say (no Linux)."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


class ProcessLoad:
    """The load of this process, as it was in the last second that somebody asked. The ports are clocks in seconds, and bytes."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        used: Callable[[], float] = time.process_time,
        resident: Callable[[], int] = resident_bytes,
    ) -> None:
        self._clock = clock
        self._used = used
        self._resident = resident
        self._looked = (clock(), used())
        self._processors = 0.0
        self._memory = 0

    def is_above(self, limits: LoadLimits) -> bool:
        """Whether the process takes more than it shall."""
        if not limits.are_set:
            return False
        now, used = self._clock(), self._used()
        before, used_before = self._looked
        if now - before >= LOOK_S:
            self._processors = (used - used_before) / (now - before)
            self._memory = self._resident()
            self._looked = (now, used)
        return (0 < limits.processors < self._processors) or (0 < limits.memory_bytes < self._memory)
