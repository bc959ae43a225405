"""The registry benchmark runs and measures what it says; its aims hold for a small registry in any case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.load import Table
from benchmarks.registry import measure

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_small_registry_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = Table()
    assert measure(tmp_path, 20, 30, table)
    assert {figure for _, _, figure, _ in table.rows} >= {"generate_cpu_s", "load_cpu_s", "load_mib"}
    shown = capsys.readouterr().out
    assert "20 members, 30 security servers" in shown
    assert "shared-params.xml version 6" in shown
