"""Foreign archives of the message log give the verdicts their origin gives."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.messagelog.archive import verify_archive
from schemas.faults import Fault
from tests.paths import VECTORS

CASES = json.loads((VECTORS / "archives/cases.json").read_text(encoding="utf-8"))["cases"]
REASONS = {
    "wrong-previous-digest": "follows the one that ends with",
    "no-asic-containers": "no containers",
    "no-linkinginfo": "no linking info",
    "excessive-files-in-linkinginfo": "names 2 containers",
    "invalid-digest": "not the one in the linking info",
}


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
@pytest.mark.xroad("F105")
def test_case(case: dict[str, Any]) -> None:
    with (VECTORS / case["file"]).open("rb") as file:
        if case["expect"]["outcome"] == "valid":
            verdict = verify_archive(file, case["previous_digest"])
            assert verdict.last_digest == case["expect"].get("last_digest", verdict.last_digest)
            assert verdict.containers
            return
        with pytest.raises(Fault, match=REASONS[case["name"]]):
            verify_archive(file, case["previous_digest"])
