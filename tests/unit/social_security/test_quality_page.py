"""The quality report of an import as a page: counted by kind, each row with its suggestion, and nothing in it ever runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from social_security.commands.quality import SHOWN, quality_page, render_quality

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "fila,campo,problema,valor_sugerido\n"


def test_problems_are_counted_by_kind_and_each_row_has_its_suggestion(tmp_path: Path) -> None:
    report = tmp_path / "calidad.csv"
    rows = "".join(f"{n},curp,el dígito es {n % 10},SUGERIDA{n}\n" for n in range(2, 2 + SHOWN + 5))
    report.write_text(HEADER + rows + "900,hasta,termina antes,\n", encoding="utf-8")
    page = render_quality(report, "es")
    assert f"<td>curp</td><td>el dígito es …</td><td>{SHOWN + 5}</td>" in page
    assert "SUGERIDA2<" in page
    assert f"SUGERIDA{SHOWN + 3}<" not in page, "as many as somebody looks through"
    assert "termina antes" in page


def test_what_a_cell_holds_is_text(tmp_path: Path) -> None:
    report = tmp_path / "calidad.csv"
    report.write_text(HEADER + '2,<b>x,<script>alert(1)</script>,"""onload="\n', encoding="utf-8")
    page = render_quality(report, "es")
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize("content", ["", "a,b\n", HEADER + "2,curp\n", "fila,campo,problema\n"])
def test_what_is_no_report_is_said_in_one_line_and_makes_no_page(tmp_path: Path, content: str) -> None:
    report, out = tmp_path / "otra.csv", tmp_path / "pagina.html"
    report.write_text(content, encoding="utf-8")
    done = CliRunner().invoke(quality_page, ["--out", str(out), str(report)])
    assert done.exit_code == 1
    assert "Traceback" not in done.output
    assert not out.exists()


def test_a_page_is_a_new_private_file_and_an_empty_report_says_that_all_is_well(tmp_path: Path) -> None:
    report, out = tmp_path / "calidad.csv", tmp_path / "pagina.html"
    report.write_text(HEADER, encoding="utf-8")
    assert CliRunner().invoke(quality_page, ["--out", str(out), str(report)]).exit_code == 0
    assert out.stat().st_mode & 0o077 == 0
    assert CliRunner().invoke(quality_page, ["--out", str(out), str(report)]).exit_code == 1
