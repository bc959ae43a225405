"""The sizing table says what was measured, the newest of each figure."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks.load import BODIES, COLUMNS
from benchmarks.sizing import read_history, render_sizing


def history(path: Path, *, commit: str, cpu_ms: float, log_bytes: float = 20_000) -> Path:
    """A history with one more run in it."""
    rows = [
        (case, 32, figure, value)
        for case in "cdef"
        for figure, value in (("cpu_ms", cpu_ms), ("per_second", 200.0))
    ]
    rows += [
        (f"c {size}", 4, figure, value)
        for size in BODIES
        for figure, value in (("cpu_ms", 10 * cpu_ms), ("megabytes_per_second", 2.0))
    ]
    rows += [
        ("c", 32, "log_bytes", log_bytes),
        ("CONS-EC", 0, "resident_mib", 150.0),
        ("CONS-EC", 0, "start_up_s", 2.0),
    ]
    text = path.read_text() if path.exists() else ",".join(COLUMNS) + "\n"
    path.write_text(
        text + "".join(f"{commit},2026-01-0{len(commit)},m x2,{','.join(map(str, row))}\n" for row in rows)
    )
    return path


@pytest.mark.parametrize("language", ["es", "en"])
def test_a_row_reckons_with_one_gateway_s_processor_time_and_the_newest_run(
    tmp_path: Path, language: str
) -> None:
    file = history(tmp_path / "h.csv", commit="old", cpu_ms=50)
    history(file, commit="newer", cpu_ms=7, log_bytes=12_345)
    lines = render_sizing(language, read_history(file)).splitlines()
    cells = [[c.strip() for c in line.strip("|").split("|")] for line in lines]
    assert {len(row) for row in cells} == {4}
    assert ["REST, 1 KB, P-256", "3.5", "200", "200"] in cells  # 700 ms of a second, 3.5 ms each
    assert any(row[0] == "REST, 20 MB, P-256" and row[3] == "0.1" for row in cells)
    assert re.search(r"12\.3 GB", "".join(lines))
    assert "newer" in lines[-1]


def test_a_history_without_a_measured_exchange_is_refused(tmp_path: Path) -> None:
    (tmp_path / "h.csv").write_text(",".join(COLUMNS) + "\n")
    with pytest.raises(ValueError, match="make bench"):
        read_history(tmp_path / "h.csv")
