"""The registry benchmark runs and measures what it says; its aims hold for a small registry in any case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.registry import measure

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_small_registry_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert measure(tmp_path, 20, 30) == 0
    shown = capsys.readouterr().out
    assert "20 members, 30 security servers" in shown
    assert "shared-params.xml version 6" in shown
