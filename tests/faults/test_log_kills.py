"""kill -9 at the commit points of message log, tiles, checkpoint, archive and cleaning loses nothing and forks nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.paths import PROJECT


@pytest.mark.processes
def test_kills_at_commit_points_and_in_between_lose_nothing_and_fork_nothing() -> None:
    # A process of its own: it forks, and this one has threads. By hand: python -m tests.logkills, 500 times.
    done = subprocess.run(
        [sys.executable, "-m", "tests.logkills", "--kills", "24", "--first", "4"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "nothing lost, nothing forked" in done.stdout
    assert "at os.rename" in done.stdout
