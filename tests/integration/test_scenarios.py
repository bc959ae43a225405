"""The acceptance scenarios of social security, through eight real gateways and their systems, and the scan for CURPs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.federation import free_base
from benchmarks.scenarios.__main__ import SCENARIOS, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes


# A policy may set another quota; `make scenarios` makes the 2,000 look-ups of the pack's.
QUOTA = 200


@pytest.mark.timeout(1500)
def test_every_scenario_holds_and_its_evidence_verifies(tmp_path: Path) -> None:
    outcomes = run(tmp_path, free_base(), sorted(SCENARIOS), quota=QUOTA)
    assert [(o.name, f) for o in outcomes for f in o.failures] == []
    assert [o.name for o in outcomes] == [*sorted(SCENARIOS), "SCAN"]
    assert all(o.containers >= 4 for o in outcomes if o.name != "SCAN")
