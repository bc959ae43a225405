"""Twenty-two institutes on one machine: distinct, each with an address of its own beside the servers that all share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.country import ONIESS, REGISTRY
from benchmarks.nation import INSTITUTES, Nation, institutes

if TYPE_CHECKING:
    from pathlib import Path


def test_each_server_of_twenty_two_institutes_has_its_own_address(tmp_path: Path) -> None:
    codes = institutes(INSTITUTES)
    assert len(set(codes)) == INSTITUTES
    addresses = Nation(tmp_path, (REGISTRY, ONIESS, *codes), "127.90.0").addresses()
    assert len(set(addresses)) == len(addresses) == INSTITUTES + 4
