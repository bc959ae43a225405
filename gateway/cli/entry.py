"""Where the command ``gateway`` begins.

What a server's start does not need is not imported by it: ``serve`` is a program of its own here, the other commands another.
"""

from __future__ import annotations

import gc
import sys

# Containers made and not freed before the youngest are collected. Imports make hundreds of thousands that stay, and an exchange
# frees by reference count what it made: by Python's 700 a tenth of a start, and of an exchange, goes into looking at them.
COLLECTED_AFTER = 20_000


def collect_seldom() -> None:
    """Let this process look for garbage no more often than is worth it."""
    gc.set_threshold(COLLECTED_AFTER, 10, 10)


def run() -> None:
    """Run what the command line says."""
    collect_seldom()
    if sys.argv[1:2] == ["serve"]:
        from gateway.cli.serving import server_program as program
    else:
        from gateway.cli.main import main as program
    program()
