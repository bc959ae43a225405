"""A process that is of no use without the one that started it."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal

_PR_SET_PDEATHSIG = 1


def end_with_parent(sent: signal.Signals, parent: int | None = None) -> None:
    """Be sent a signal when the thread that started this process ends (Linux, prctl(2)).

    With its process id, also when that parent had ended before this was called, at once.
    """
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(sent), 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os.kill(os.getpid(), sent)
