"""The variations beside the scenarios, one for each fault that was found beside them."""

from __future__ import annotations

import pytest

from benchmarks.scenarios.variations import VARIATIONS, play

FAULTS = 27


def test_there_is_a_variation_for_each_fault() -> None:
    assert list(VARIATIONS) == [f"V{number:02d}" for number in range(1, FAULTS + 1)]


@pytest.mark.parametrize("name", VARIATIONS)
def test_a_variation_holds(name: str) -> None:
    outcome = play(name)
    assert outcome.failures == []
    assert outcome.checks >= 3
