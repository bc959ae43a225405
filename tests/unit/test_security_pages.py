"""The pages on security and privacy claim what a test shows, the same in both languages."""

from __future__ import annotations

import re

import pytest

from tests.paths import PROJECT

PAGES = ("security.md", "seguridad.md")
OWASP = {f"A{number:02}" for number in range(1, 11)}


def rows(page: str) -> list[list[str]]:
    """The cells of the tables' rows, without heads."""
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    lines = re.findall(r"^\| (.+) \|$", text, re.MULTILINE)
    return [cells for line in lines if len(cells := line.split(" | ")) == 3 and "::" in cells[2]]


def named(cell: str) -> list[tuple[str, str]]:
    return re.findall(r"`([\w/]+\.py)::(\w+)`", cell)


@pytest.mark.xroad("F147")
@pytest.mark.parametrize("page", PAGES)
def test_each_claim_names_tests_that_exist(page: str) -> None:
    found = rows(page)
    assert {cells[0][:3] for cells in found} >= OWASP
    for _what, _how, cell in found:
        tests = named(cell)
        assert tests
        for file, function in tests:
            text = (PROJECT / "tests" / file).read_text(encoding="utf-8")
            assert re.search(rf"def {function}\(", text), f"{file}::{function}"


def test_both_languages_claim_the_same() -> None:
    english, spanish = ([named(cells[2]) for cells in rows(page)] for page in PAGES)
    assert english == spanish
