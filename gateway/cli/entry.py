"""Where the command ``gateway`` begins.

What a server's start does not need is not imported by it: ``serve`` is a program of its own here, the other commands another.
"""

from __future__ import annotations

import sys

from serving.process.starting import begin_start, collect_seldom


def run() -> None:
    """Run what the command line says."""
    if sys.argv[1:2] == ["serve"]:
        begin_start()
        from gateway.cli.serving import server_program as program
    else:
        collect_seldom()
        from gateway.cli.main import main as program
    program()
