"""The pages of what a node and a country need: each row they rest on stands in the history of benchmarks, and both say the same."""

from __future__ import annotations

import csv

import pytest

from tests.paths import PROJECT

PAGES = ("scale.md", "escala.md")


def rows_of(name: str) -> list[tuple[str, str, str, str]]:
    """Case, connections, figure and value of each row that a page rests on."""
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (PROJECT / "docs" / name).read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    return [(c[1], c[2], c[3], c[4]) for c in cells if len(c) == 5 and len(c[0]) == 1]


@pytest.mark.parametrize("name", PAGES)
def test_every_row_that_a_page_rests_on_is_in_the_history(name: str) -> None:
    with (PROJECT / "benchmarks" / "history.csv").open(encoding="utf-8") as file:
        kept = {(r["case"], r["connections"], r["figure"], r["value"]) for r in csv.DictReader(file)}
    rested_on = set(rows_of(name))
    assert len(rested_on) >= 9
    assert rested_on - kept == set()


def test_both_languages_rest_on_the_same_rows() -> None:
    assert rows_of(PAGES[0]) == rows_of(PAGES[1])
