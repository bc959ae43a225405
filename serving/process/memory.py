"""Giving freed memory back to the system: the C library keeps what large bodies and documents were read into, for more of the same.

A large document is a tree of small pieces while it is read. They lie between pieces that stay, so glibc gives nothing of them back by
itself: of a configuration of 9 MB, 80 of 100 MiB. What connections held lies about in the same way once they are closed, some of it in
rings of objects that name each other, which only a collection finds.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc

PAUSE_S = 5.0


class MemoryReturn:
    """Gives back what was freed, a while after it was and once for all of it. Asked from the event loop."""

    def __init__(self, pause_s: float = PAUSE_S) -> None:
        self._pause_s = pause_s
        self._timer: asyncio.TimerHandle | None = None

    def later(self) -> None:
        """Give freed memory back when the pause is over. Without a running loop nothing is given back."""
        if self._timer is not None:
            return
        with contextlib.suppress(RuntimeError):
            self._timer = asyncio.get_running_loop().call_later(self._pause_s, self._give_back)

    def _give_back(self) -> None:
        self._timer = None
        gc.collect()  # some milliseconds: what a start made is not looked at (`serving.process.starting`)
        give_back_freed()


def give_back_freed() -> bool:
    """Have the C library give its free pages back (malloc_trim(3), glibc), in some milliseconds; whether it knows how."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):  # another C library
        return False
    trim(0)
    return True
