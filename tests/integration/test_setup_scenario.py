"""X-Road's set-up, call by call, against a central server, two gateways and the test CA as real processes; then changes."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.paths import PROJECT
from tests.programs import need

# Some hundred calls, each once the one before is known everywhere: longer than one test may take elsewhere.
pytestmark = [pytest.mark.processes, pytest.mark.timeout(900)]


@pytest.mark.xroad(
    "F011",
    "F012",
    "F034",
    "F036",
    "F037",
    "F039",
    "F040",
    "F047",
    "F048",
    "F052",
    "F058",
    "F059",
    "F060",
    "F062",
    "F063",
    "F064",
    "F065",
    "F066",
    "F069",
    "F070",
    "F072",
    "F073",
    "F074",
    "F080",
    "F082",
    "F083",
    "F084",
    "F122",
    "F123",
    "F124",
    "F163",
    "F165",
)
def test_whole_federation_is_set_up_and_changed_over_the_admin_apis_and_exchanges() -> None:
    unshare = need("unshare", package="util-linux")
    as_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    command = [unshare, *as_user, "--mount", "--net", "--kill-child", "--fork", sys.executable, "-m"]
    result = subprocess.run(
        [*command, "tests.interop.ownchanges"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-6000:]
    found = re.search(r"(\d+) calls answered as they must", result.stdout)
    assert found is not None
    assert int(found[1]) > 250
