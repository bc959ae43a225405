"""Foreign identifier elements read as their origin says, or are refused with its code."""

from __future__ import annotations

import json
from typing import Any

import pytest
from lxml import etree

from schemas.faults import BadMessage
from schemas.identifiers import append_identifier, parse_identifier
from schemas.safexml import parse_xml
from tests.paths import VECTORS

CASES = json.loads((VECTORS / "identifiers/cases.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["file"])
def test_case(case: dict[str, Any]) -> None:
    element = parse_xml((VECTORS / case["file"]).read_bytes())
    if case["expect"]["outcome"] == "error":
        with pytest.raises(BadMessage) as caught:
            parse_identifier(element)
        assert caught.value.code == case["expect"]["code"]
        return
    identifier = parse_identifier(element)
    assert str(identifier) == case["expect"]["reads"]
    assert identifier.object_type == case["read_as"]
    assert parse_identifier(append_identifier(etree.Element("x"), "y", identifier)) == identifier
