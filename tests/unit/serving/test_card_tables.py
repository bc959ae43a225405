"""Tables of every template: on a telephone each row is a card, in which the head of its column stands at every value."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# A file with a head of its own is no page of a server but a report on paper. What Jinja writes may hold anything; attributes of tags are looked at without it.
JINJA = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
TEMPLATES = [
    path
    for package in ("serving", "gateway", "central_server", "social_security")
    for path in sorted((ROOT / package).rglob("*.html"))
    if "<table" in path.read_text(encoding="utf-8") and "<html" not in path.read_text(encoding="utf-8")
]


def unlabelled(source: str) -> list[str]:
    """Tags of tables of a template that a card could not show: tables that are none, values without their column's head."""
    tags = re.findall(r"<(?:table|td)\b[^>]*>", JINJA.sub("x", source))
    return [
        tag
        for tag in tags
        if ("cards" not in tag if tag.startswith("<table") else not re.search(r"data-label=|colspan=", tag))
    ]


def test_there_are_tables_to_look_at() -> None:
    assert len(TEMPLATES) > 20
    assert unlabelled("<table><tr><td>{{ a > b }}</td></tr></table>") == ["<table>", "<td>"]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_table_becomes_cards_where_the_screen_is_narrow(path: Path) -> None:
    assert unlabelled(path.read_text(encoding="utf-8")) == []
