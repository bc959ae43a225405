"""Progress is for a terminal: elsewhere not a byte of it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

PROGRAM = """
from serving.cli.progress import counted, working
with working("going on"):
    pass
print(list(counted([1, 2, 3], "counting")))
"""


def test_nothing_is_shown_where_nobody_looks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("[1, 2, 3]\n", "")


def test_a_terminal_sees_what_is_done() -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "80"},
        timeout=60,
        check=True,
    )
    os.close(theirs)
    shown = os.read(ours, 65536).decode("utf-8", "replace")
    os.close(ours)
    assert done.stdout == b"[1, 2, 3]\n"
    assert "counting" in shown
