"""A machine passes preflight when every written target is met, and what could not be tried is not met."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.health.preflight import PreflightFacts, Targets, judge, render_report

GOOD = PreflightFacts(
    4, 8000, 50_000, 0.4, {"a:5500": ""}, {"a": ""}, {"http://t": ""}, {"http://o": ""}, (), ""
)
BAD = {
    "cpu": {"cores": 1},
    "memory": {"memory_mib": 100},
    "disk": {"disk_mib": 5},
    "clock": {"clock_offset_s": None},
    "ports": {"ports": {"a:5500": "Address already in use"}},
    "dns": {"names": {}},
    "tsa": {"authorities": {"http://t": "Connection refused"}},
    "ocsp": {"responders": {"http://o": "timed out"}},
    "certificates": {"findings": ("the certificate has expired",)},
    "backup": {"backup": "BackupProblem: no"},
}


def test_machine_that_meets_every_target_passes() -> None:
    checks = judge(GOOD, Targets())
    assert [c.id for c in checks] == list(BAD)
    assert all(c.passed for c in checks)


@pytest.mark.parametrize("name", BAD)
@pytest.mark.xroad("F014")
def test_target_that_is_not_met_is_named(name: str) -> None:
    checks = judge(replace(GOOD, **BAD[name]), Targets())  # type: ignore[arg-type]
    assert [c.id for c in checks if not c.passed] == [name]


def test_report_says_whose_it_is_and_what_failed() -> None:
    checks = judge(replace(GOOD, cores=1), Targets())
    report = json.loads(render_report("MX/GOB/14-IPEJAL/SS1", datetime(2026, 4, 13, tzinfo=UTC), checks))
    assert (report["server"], report["passed"]) == ("MX/GOB/14-IPEJAL/SS1", False)
    assert [c["id"] for c in report["checks"] if not c["passed"]] == ["cpu"]
