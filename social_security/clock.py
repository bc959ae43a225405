"""What time it is for a system: the machine's clock, or a file that an exercise writes.

Deadlines are days where the member is, so every system also has a zone.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def machine_clock() -> datetime:
    """The time of this machine's clock, aware, in UTC."""
    return datetime.now(UTC)


def exercise_clock(file: Path) -> Callable[[], datetime]:
    """A clock that shows what stands in ``file`` (RFC 3339 with offset). For exercises only: it can go backwards."""

    def now() -> datetime:
        at = datetime.fromisoformat(file.read_text(encoding="ascii").strip())
        if at.tzinfo is None:
            raise ValueError(f"{file} must hold a time with its offset, as 2026-03-02T09:00:00-06:00")
        return at.astimezone(UTC)

    return now
