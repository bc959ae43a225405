"""How many files and connections a process may have open: the usual 1,024 are too few for a server."""

from __future__ import annotations

import resource

TARGET = 65_536


def raise_limit(target: int = TARGET) -> int:
    """Raise this process's own limit as far as it may go, at most to ``target``; what it is now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = target if hard == resource.RLIM_INFINITY else min(target, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        return most
    return soft
