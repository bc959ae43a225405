"""A gateway takes no configuration part that is malformed, of another instance, or not listed as it came."""

from __future__ import annotations

import hashlib

import pytest

from gateway.edges.configuration import check_part
from schemas.faults import Fault
from schemas.globalconf.directory import SHA512_URI, DirectoryPart
from schemas.globalconf.parts import FETCH_INTERVAL_ID, MONITORING_ID, NEXT_UPDATE_ID, render_fetch_interval


def part(content_id: str, content: bytes) -> DirectoryPart:
    return DirectoryPart(content_id, "MX", "/V6/1/x.xml", SHA512_URI, hashlib.sha512(content).digest())


@pytest.mark.parametrize("content_id", [MONITORING_ID, FETCH_INTERVAL_ID, NEXT_UPDATE_ID])
def test_a_malformed_optional_part_is_refused(content_id: str) -> None:
    with pytest.raises(Fault):
        check_part(part(content_id, b"<no/>"), b"<no/>", 6, "MX")


@pytest.mark.xroad("F160")
def test_a_well_formed_optional_part_is_taken_and_another_content_is_not() -> None:
    content = render_fetch_interval(600)
    found = part(FETCH_INTERVAL_ID, content)
    found.check(content)
    check_part(found, content, 6, "MX")
    with pytest.raises(Fault):
        found.check(content + b" ")


def test_an_unknown_optional_part_is_carried_unread() -> None:
    check_part(part("OTHER", b"anything"), b"anything", 6, "MX")
