"""The whole country, scaled down, on the code that serves."""

from __future__ import annotations

import subprocess
import sys

import pytest

from social_security.domain.indicators import INDICATORS, OBJECTIVES, Indicator, check_links, render_ratio
from tests.paths import PROJECT


def test_small_country_meets_every_figure_in_a_process_of_its_own() -> None:
    # Of its own, because peak memory is a process's and this one has run other tests.
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.simulation", "--small"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert (done.returncode, done.stdout.count("S15  ok"), "MISSED" in done.stdout) == (0, 13, False), (
        done.stdout
    )


def test_objective_without_indicator_fails_the_build() -> None:
    with pytest.raises(ValueError, match="otro"):
        check_links(INDICATORS, (*OBJECTIVES, "otro"))


def test_indicator_without_objective_fails_the_build() -> None:
    orphan = Indicator("IND-17", "nadie", "x", "x", "x")
    with pytest.raises(ValueError, match="nadie"):
        check_links((*INDICATORS, orphan), OBJECTIVES)


def test_small_cell_is_suppressed_and_says_so() -> None:
    row = render_ratio(INDICATORS[5], "2026-04", 4, 100, "x")
    assert (row["valor"], row["suprimido"]) == (None, True)
