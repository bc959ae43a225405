"""An institute's tables out of its own SQL database: read by a mapping, never written, and taken by `import` as they come out."""

from __future__ import annotations

import csv
import sqlite3
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from social_security.__main__ import main
from social_security.importing.mapping import MAPPED, TableMapping, extract_rows, read_mapping

MAPPING = """
url = "sqlite:///{database}"

[afiliaciones]
sql = "SELECT num_exp, estatus, alta, baja FROM nomina ORDER BY num_exp"
columnas = {{ expediente = "num_exp", estado = "estatus", desde = "alta", hasta = "baja" }}
constantes = {{ regimen = "MX-15/reparto", nivel = "2" }}
valores.estado = {{ A = "ACTIVA", B = "BAJA" }}
formatos = {{ desde = "%d/%m/%Y", hasta = "%d/%m/%Y" }}
"""


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """An institute's payroll, as it was never meant for anybody else."""
    path = tmp_path / "nomina.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE nomina (num_exp TEXT, estatus TEXT, alta TEXT, baja TEXT)")
    rows = [
        ("E-1", "A", "29/02/2000", None),
        ("E-2", "B", " 01/03/1999 ", "31/08/2009"),
        ("E-3", "?", "1999", ""),
    ]
    connection.executemany("INSERT INTO nomina VALUES (?, ?, ?, ?)", rows)
    connection.commit()
    connection.close()
    return path


def run(tmp_path: Path, text: str) -> Result:
    file = tmp_path / "mapa.toml"
    file.write_text(text, encoding="utf-8")
    return CliRunner().invoke(main, ["extract", "--mapping", str(file), "--out", str(tmp_path / "out")])


def test_a_table_comes_out_in_the_layout_of_the_import(tmp_path: Path, database: Path) -> None:
    before = database.read_bytes()
    made = run(tmp_path, MAPPING.format(database=database))
    assert made.exit_code == 0, made.output
    file = tmp_path / "out" / "afiliaciones.csv"
    with file.open(encoding="utf-8", newline="") as opened:
        assert list(csv.reader(opened)) == [
            ["expediente", "regimen", "estado", "desde", "hasta", "nivel"],
            ["E-1", "MX-15/reparto", "ACTIVA", "2000-02-29", "", "2"],
            ["E-2", "MX-15/reparto", "BAJA", "1999-03-01", "2009-08-31", "2"],
            # What is wrong there stays as it is: the import's report says in which row.
            ["E-3", "MX-15/reparto", "?", "1999", "", "2"],
        ]
    assert file.stat().st_mode & 0o777 == 0o600
    assert database.read_bytes() == before
    assert run(tmp_path, MAPPING.format(database=database)).exit_code == 1, "a folder that is there stays"


def test_what_the_database_says_is_told_without_a_traceback_or_a_password(
    tmp_path: Path, database: Path
) -> None:
    made = run(tmp_path, MAPPING.format(database=database).replace("FROM nomina", "FROM nadie"))
    assert (made.exit_code, "nadie" in made.output) == (1, True)
    assert isinstance(made.exception, SystemExit)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ('url = "postgresql://u:clave@h/b"', "password_file"),
        ("", "url"),
        ("url = ", "TOML"),
        ('url = "sqlite://"\n[pensiones]\nsql = "SELECT 1"', "pensiones"),
        ('url = "sqlite://"\n[periodos]\nsql = "DROP TABLE nomina"', "SELECT"),
        ('url = "sqlite://"\n[periodos]\nsql = "SELECT 1"\nmodo = 1', "SELECT"),
        ('url = "sqlite://"\n[periodos]\nsql = "SELECT 1"\ncolumnas = { curp = "x" }', "curp"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused_with_the_reason(tmp_path: Path, wrong: str, why: str) -> None:
    file = tmp_path / "mapa.toml"
    file.write_text(wrong, encoding="utf-8")
    with pytest.raises(ValueError, match=why):
        read_mapping(file)


def test_what_databases_call_a_value_is_written_as_the_layouts_have_it() -> None:
    row = {
        "id_periodo": 7, "expediente": " O'Ñ-1 ", "desde": date(2004, 2, 29), "hasta": datetime(2010, 1, 31, 23, 59),
        "tipo": Decimal("11"), "dias_descontados": 3.0, "dias_reintegrados": None, "empleador": "Güémez",
        "sueldo_mensual_centavos": Decimal("1800000.00"),
    }  # fmt: skip
    (made,) = extract_rows(iter([row]), MAPPED["periodos"], TableMapping("SELECT 1"))
    assert made == ["7", "O'Ñ-1", "2004-02-29", "2010-01-31", "11", "3", "", "Güémez", "1800000"]
    with pytest.raises(ValueError, match="expediente"):
        list(extract_rows(iter([{"x": 1}]), ["expediente"], TableMapping("SELECT 1")))
