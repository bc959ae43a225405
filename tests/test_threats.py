"""THREATS.md names only tests that exist."""

from __future__ import annotations

import re

import pytest

from tests.paths import PROJECT

NAMED = sorted(
    set(re.findall(r"`([\w/]+\.py)::(\w+)`", (PROJECT / "THREATS.md").read_text(encoding="utf-8")))
)


def test_every_boundary_names_tests() -> None:
    assert len(NAMED) > 20


@pytest.mark.parametrize(("file", "function"), NAMED)
@pytest.mark.xroad("F147")
def test_a_named_test_exists(file: str, function: str) -> None:
    text = (PROJECT / "tests" / file).read_text(encoding="utf-8")
    assert re.search(rf"^\s*(async )?def {function}\(", text, re.MULTILINE)
