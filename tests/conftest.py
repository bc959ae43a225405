"""What tests of several folders share."""

from __future__ import annotations

import re
import subprocess
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, settings

from tests.postgres import Cluster
from tests.programs import APT

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

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


# What commands that ran within the test itself printed, the last ones.
_RESULTS: deque[tuple[object, Result]] = deque(maxlen=3)
_invoke = CliRunner.invoke


def _recorded(runner: CliRunner, cli: Any, args: Any = None, *more: Any, **options: Any) -> Result:
    result = _invoke(runner, cli, args, *more, **options)
    _RESULTS.append((args, result))
    return result


def pytest_configure() -> None:
    """Keep what `CliRunner` gives, for the report of a test that fails."""
    pytest.MonkeyPatch().setattr(CliRunner, "invoke", _recorded)


def pytest_runtest_setup() -> None:
    """Forget what the test before ran."""
    _RESULTS.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show what programs said themselves before a test that judges their exit codes failed: the code tells nobody why."""
    report = yield
    if call.excinfo is None or not report.failed:
        return report
    raised = call.excinfo.value
    if isinstance(raised, subprocess.CalledProcessError | subprocess.TimeoutExpired):
        for name, output in (("stdout", raised.stdout), ("stderr", raised.stderr)):
            if output:
                text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output
                report.sections.append((f"{name} of {raised.cmd!r:.200}", text[-6000:]))
    for args, result in _RESULTS:
        title = f"exit code {result.exit_code} of {args!r:.200}"
        report.sections.append((title, f"{result.output[-6000:]}{result.exception or ''}"))
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what to install for the tests that were skipped for want of it."""
    told = " ".join(str(r.longrepr) for r in terminalreporter.stats.get("skipped", ()))
    packages = sorted(set(re.findall(rf"{APT} ([a-z0-9.+-]+)", told)))
    if packages:
        terminalreporter.write_line(f"tests were skipped; for all of them: {APT} {' '.join(packages)}")
