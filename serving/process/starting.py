"""What a process does about garbage while its modules are read, and about what its libraries read when they are imported."""

from __future__ import annotations

import gc

from serving.process.machinetrust import import_aiohttp
from serving.process.memory import keep_for_reuse

# Containers made and not freed before the youngest are collected. Imports make hundreds of thousands that stay, and an exchange
# frees by reference count what it made: by Python's 700 a tenth of a start, and of an exchange, goes into looking at them.
COLLECTED_AFTER = 20_000


def collect_seldom() -> None:
    """Let this process look for garbage no more often than is worth it."""
    gc.set_threshold(COLLECTED_AFTER, 10, 10)


def begin_start() -> None:
    """Collect nothing while a server's modules are read: nearly all that they make stays. `end_imports` ends this."""
    collect_seldom()
    keep_for_reuse()
    gc.disable()
    import_aiohttp()


def end_imports() -> None:
    """Leave what was imported out of every collection from now on, and let garbage be collected."""
    gc.freeze()
    gc.enable()
