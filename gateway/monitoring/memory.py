"""How much memory this process uses, holds, and may have. Read from /proc and the control group."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import msgspec

ALERT_PERCENT = 90
_STATUS = Path("/proc/self/status")
_GROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class Memory(msgspec.Struct, frozen=True):
    """Bytes: what the process may have, holds now, and uses of that for itself (the rest is files and libraries)."""

    most: int
    resident: int
    used: int

    @property
    def percent(self) -> float:
        """The memory held, in percent of the most that may be had."""
        return round(100 * self.resident / self.most, 1)

    @property
    def is_tight(self) -> bool:
        """Whether an operator should look."""
        return self.percent > ALERT_PERCENT


def read_memory() -> Memory:
    """The figures of this moment."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [found for path in _GROUP_LIMITS if (found := _limit(path)) is not None]
    lines = _status_lines()
    resident = lines.get("VmRSS") or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Memory(min([physical, *limits]), resident, lines.get("RssAnon", resident))


def _limit(path: Path) -> int | None:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _status_lines() -> dict[str, int]:
    try:
        lines = _STATUS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in lines if line.endswith(" kB"))
    return {name: int(value.split()[0]) * 1024 for name, value in pairs}
