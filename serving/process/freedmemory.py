"""Giving back to the system what the C library keeps of freed memory.

A large document is a tree of small pieces while it is read. They lie between pieces that stay, so glibc gives nothing of them back by
itself: of a configuration of 9 MB, 80 of 100 MiB.
"""

from __future__ import annotations

import ctypes
import sys


def give_back_freed() -> None:
    """Give whole free pages back (malloc_trim(3)); nothing where the C library has no such call. Takes some milliseconds."""
    if sys.platform != "linux":
        return
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
    if trim is not None:
        trim(0)
