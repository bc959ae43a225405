"""Foreign programs that some tests need: found, or said to be missing; in CI a missing one is a failure."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

APT = "apt-get install -y"


def need(program: str, *, package: str, beside: str = "") -> str:
    """The path of a program. Without it the test fails in CI and is skipped, with its reason, elsewhere.

    ``beside`` is a glob of folders to look in when the program is not on the PATH.
    """
    found = shutil.which(program)
    if found is None and beside:
        matches = sorted(Path("/").glob(f"{beside.lstrip('/')}/{program}"))
        found = str(matches[-1]) if matches else None
    if found is not None:
        return found
    lack(program, package)


def lack(program: str, package: str) -> NoReturn:
    """Fail in CI, skip elsewhere: a program that Debian has in ``package`` is missing."""
    reason = f"{program} is not installed; {APT} {package}"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
