"""docs/seed.md says of each of the article's forty features how far it is, and names only tests, scenarios and variations that exist."""

from __future__ import annotations

import re

import pytest

from benchmarks.scenarios.__main__ import SCENARIOS
from benchmarks.scenarios.variations import VARIATIONS
from tests.paths import PROJECT

FEATURES = 40
PAGE = (PROJECT / "docs" / "seed.md").read_text(encoding="utf-8")
ROWS = {
    cells[0]: cells
    for cells in (
        [c.strip() for c in line.strip("|").split("|")] for line in PAGE.splitlines() if line[:3] == "| F"
    )
}


def test_every_feature_has_its_row() -> None:
    assert list(ROWS) == [f"F{number:02d}" for number in range(1, FEATURES + 1)]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_says_how_far_it_is_and_names_what_exists(row: str) -> None:
    _, _, _, played, state, tests = ROWS[row]
    assert state.startswith(("done", "partial", "scaled")), state
    assert set(played.split()) <= {*SCENARIOS, *VARIATIONS, "S15"}
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", tests)
    assert named
    for file, function in named:
        text = (PROJECT / "tests" / file).read_text(encoding="utf-8")
        assert re.search(rf"^\s*(async )?def {function}\(", text, re.MULTILINE), f"{file}::{function}"
