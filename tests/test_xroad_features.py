"""The page of X-Road's features says what the tests show, and no more."""

from __future__ import annotations

import pytest

from tests.featuretable import PAGE, Feature, load_features, render_page


def test_the_page_of_features_is_what_the_marks_of_the_tests_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == render_page(load_features()), (
        "run python -m tests.featuretable"
    )


def test_every_feature_of_x_road_has_its_row() -> None:
    assert [f.id for f in load_features()] == [f"F{n:03}" for n in range(1, 180)]


@pytest.mark.parametrize(
    ("missing", "reason", "tests", "state"),
    [
        ("", "", ("a",), "works"),
        ("x", "", ("a",), "partial"),
        ("x", "", (), "missing"),
        ("", "", (), "not shown"),
        ("", "no JVM", (), "not applicable"),
    ],
)
def test_only_what_a_test_shows_counts_as_working(
    missing: str, reason: str, tests: tuple[str, ...], state: str
) -> None:
    assert Feature("F000", "n", "must", missing, reason, tests).state == state
