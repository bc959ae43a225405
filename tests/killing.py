"""A command killed by SIGKILL at one of its steps, as a power cut or the system would: nothing of it cleans up."""

from __future__ import annotations

import itertools
import os
import signal
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def kill_at(
    command: Callable[[], object], owner: object, name: str, nth: int = 1, *, after: bool = False
) -> None:
    """Run ``command`` in a process of its own that is killed when ``owner.name`` is called for the ``nth`` time, or when that returns."""
    child = os.fork()
    if not child:
        try:
            _die_at(owner, name, nth, after=after)
            command()
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"{name} was not called {nth} times"
    assert os.WTERMSIG(status) == signal.SIGKILL


def _die_at(owner: object, name: str, nth: int, *, after: bool) -> None:
    real, calls = getattr(owner, name), itertools.count(1)

    def dying(*arguments: Any, **named: Any) -> Any:
        is_now = next(calls) == nth
        if is_now and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        found = real(*arguments, **named)
        if is_now:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, name, dying)
