"""What tests of several folders share."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.postgres import Cluster
from tests.programs import APT

if TYPE_CHECKING:
    from collections.abc import Iterator

# The same examples every time, however slow the machine: exploring is what ``make fuzz`` is for.
settings.register_profile(
    "steady",
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("steady")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """A running PostgreSQL."""
    cluster = Cluster()
    try:
        yield cluster
    finally:
        cluster.remove()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what to install for the tests that were skipped for want of it."""
    told = " ".join(str(r.longrepr) for r in terminalreporter.stats.get("skipped", ()))
    packages = sorted(set(re.findall(rf"{APT} ([a-z0-9.+-]+)", told)))
    if packages:
        terminalreporter.write_line(f"tests were skipped; for all of them: {APT} {' '.join(packages)}")
