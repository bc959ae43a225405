"""Which databases this version may open: those that have seen no step it does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Sequence


def check_version(done: int, steps: Sequence[str], where: str) -> None:
    """Refuse a database that has seen more steps than this version knows. Raises `OperatorError`."""
    if done > len(steps):
        raise OperatorError(
            f"{where} was written by a newer version (step {done}; this one knows {len(steps)}): install that version "
            "again, or restore a backup that this version made; nothing was changed"
        )
