"""What a process does about garbage while its modules are read, about freed memory, and about what its libraries read when they are imported."""

from __future__ import annotations

import ctypes
import gc

from serving.process.machinetrust import import_aiohttp

# Containers made and not freed before the youngest are collected. Imports make hundreds of thousands that stay, and an exchange
# frees by reference count what it made: by Python's 700 a tenth of a start, and of an exchange, goes into looking at them.
COLLECTED_AFTER = 20_000
# mallopt(3)'s numbers of the two, and bytes. Left alone, glibc gives a free end of its heap back from 128 KiB on, or from twice the largest
# block it has seen: the chunks of a large body then get fresh pages each, which the kernel clears.
_TRIM_THRESHOLD, _KEPT_BYTES = -1, 8 * 1024 * 1024
_MMAP_THRESHOLD, _LARGE_BYTES = -3, 4 * 1024 * 1024


def collect_seldom() -> None:
    """Let this process look for garbage no more often than is worth it."""
    gc.set_threshold(COLLECTED_AFTER, 10, 10)


def begin_start() -> None:
    """Collect nothing while a server's modules are read: nearly all that they make stays. `end_imports` ends this."""
    collect_seldom()
    gc.disable()
    keep_for_reuse()
    import_aiohttp()


def keep_for_reuse() -> bool:
    """Have the C library keep the free end of each heap up to 8 MiB, until `serving.process.memory` gives it back; whether it knows how (glibc)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(_TRIM_THRESHOLD, _KEPT_BYTES) and mallopt(_MMAP_THRESHOLD, _LARGE_BYTES))


def end_imports() -> None:
    """Leave what was imported out of every collection from now on, and let garbage be collected."""
    gc.freeze()
    gc.enable()
