"""What a database says when two nodes changed the same thing at once; apart, so that nobody loads a driver for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

# How often a change is tried anew when other nodes change the same thing at the same time.
TRIES = 20


class DatabaseConflict(RuntimeError):
    """Another node changed the same thing at the same time; nothing of this transaction was kept. Try again."""


def tried_again(work: Callable[[], T]) -> T:
    """Do ``work`` until it is not overtaken by another node; its value. Raises `DatabaseConflict` when it always is."""
    for _ in range(TRIES - 1):
        try:
            return work()
        except DatabaseConflict:
            continue
    return work()
