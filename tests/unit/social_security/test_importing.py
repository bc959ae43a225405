"""Contacts and retirees out of CSV and out of an SQL database; what was cancelled stays so; reasons in both languages."""

from __future__ import annotations

import csv
import os
import pty
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result

from serving.storage.database import Database
from social_security.__main__ import main
from social_security.commands.quality import render_quality
from social_security.importing.layouts import LAYOUTS
from social_security.institute.stores.steps import STEPS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from serving.storage.database import AnyDatabase

MEMBER = "07-ISSTECH"


@pytest.fixture
def books(tmp_path: Path) -> Iterator[AnyDatabase]:
    """An institute of a pensioner, an active worker and one who left."""
    made = Database(tmp_path / "institute.sqlite", STEPS)
    for number, state in (("E-1", "PENSIONADA"), ("E-2", "ACTIVA"), ("E-3", "BAJA"), ("E-4", "PENSIONADA")):
        made.query(
            "INSERT INTO affiliation VALUES (?, ?, 'reparto', ?, '1990-01-01', NULL, 2)",
            (f"P{number}", number, state),
        )
    yield made
    made.close()


def take(
    folder: Path, kind: str, *rows: str, code: int = 0, name: str = "", more: tuple[str, ...] = ()
) -> list[list[str]]:
    """Import a file of these rows; the rows of its quality report."""
    file, report = folder / f"{kind}{name}.csv", folder / f"{kind}{name}.report"
    file.write_text("\n".join((",".join(LAYOUTS[kind]), *rows)) + "\n", encoding="utf-8")
    run(
        "import",
        "--data",
        folder,
        "--member",
        MEMBER,
        "--kind",
        kind,
        "--report",
        report,
        *more,
        file,
        code=code,
    )
    return read(report)


def run(*arguments: object, code: int = 0) -> Result:
    """A command that ends with an exit code and no traceback."""
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
    assert done.exit_code == code, done.output
    return done


def read(report: Path) -> list[list[str]]:
    """The rows of a quality report."""
    with report.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def test_contacts_come_in_once_and_one_that_is_there_stays(tmp_path: Path, books: AnyDatabase) -> None:
    rows = (
        "E-1,ana@ejemplo.mx",
        "E-2,no es correo",
        "E-3,a@b",
        "E-9,x@ejemplo.mx",
        "E-1,otra@ejemplo.mx",
        "E-4",
    )
    dry = take(tmp_path, "contactos", *rows, code=3, name="0", more=("--dry-run",))
    assert books.query("SELECT * FROM contact") == []
    assert take(tmp_path, "contactos", *rows, code=3) == dry
    assert [(r[0], r[1]) for r in dry] == [
        ("3", "correo"), ("4", "correo"), ("5", "expediente"), ("6", "expediente"), ("7", "expediente"),
    ]  # fmt: skip
    take(tmp_path, "contactos", "E-1,nueva@ejemplo.mx", name="2")
    assert books.query("SELECT pid, value FROM contact") == [("PE-1", "ana@ejemplo.mx")]


@pytest.mark.parametrize(
    "address",
    ["a@b.mx,c@d.mx", "a b@c.mx", "@c.mx", "a@", "a@c..mx", "a@.mx", "<a@c.mx>", "a@c.m", f"{'a' * 65}@c.mx",
     f"a@{'b.' * 130}mx", "a@b@c.mx", "\x07a@c.mx"],
)  # fmt: skip
def test_what_is_no_one_address_is_not_taken(tmp_path: Path, books: AnyDatabase, address: str) -> None:
    assert [r[0] for r in take(tmp_path, "contactos", f'E-1,"{address}"', code=3)] == ["2"]
    assert books.query("SELECT * FROM contact") == []


def test_retirees_are_pensioners_whose_amount_follows_the_file_and_whose_rectified_name_stays(
    tmp_path: Path, books: AnyDatabase
) -> None:
    rows = ("E-1,Ana López,1250000", "E-2,Eva Ruiz,1", "E-4,,1", "E-4,Luz,0", "E-4,Luz,-1", "E-4,Luz,12.5")
    assert [(r[0], r[1]) for r in take(tmp_path, "jubilados", *rows, code=3)] == [
        ("3", "expediente"), ("4", "nombre"), ("5", "pension_mensual_centavos"), ("6", "pension_mensual_centavos"),
        ("7", "pension_mensual_centavos"),
    ]  # fmt: skip
    books.query("UPDATE retiree SET name = 'Ana Lopes'")
    take(tmp_path, "jubilados", "E-1,Ana López,1300000", name="2")
    assert books.query("SELECT * FROM retiree") == [("PE-1", "Ana Lopes", 1_300_000)]


def test_what_a_person_has_had_cancelled_does_not_come_back_by_a_file(
    tmp_path: Path, books: AnyDatabase
) -> None:
    books.query("INSERT INTO contact VALUES ('PE-1', 'ana@ejemplo.mx', '2026-02-01', '2026-03-01')")
    books.query("INSERT INTO suppression (day, what, pid) VALUES ('2025-02-01', 'contact', 'PE-2')")
    books.query(
        "INSERT INTO blocked VALUES ('PE-1', 'historia', 'ARCO-07-2025-00000001', '2020-06-01', '2030-06-01')"
    )
    books.query("INSERT INTO suppression (day, what, pid) VALUES ('2021-01-01', 'periodo', 'PE-2')")
    books.query("INSERT INTO suppression (day, what, pid) VALUES ('2021-01-01', 'afiliacion', 'PE-4')")
    found = take(tmp_path, "contactos", "E-1,a@c.mx", "E-2,b@c.mx", "E-3,c@c.mx", code=3)
    assert [(r[0], "2026-02-01" in r[2]) for r in found] == [("2", True), ("3", False)]
    assert books.query("SELECT pid, value FROM contact ORDER BY pid") == [
        ("PE-1", "ana@ejemplo.mx"),
        ("PE-3", "c@c.mx"),
    ]
    rows = [f"{n},E-{who},{since},{since[:4]}-12-31,11,0,0,SEDUC,1" for n, (who, since) in enumerate(
        ((1, "2019-01-01"), (1, "2020-06-01"), (1, "2020-06-02"), (2, "2021-01-01"), (2, "2021-01-02"), (3, "2019-01-01"))
    )]  # fmt: skip
    assert [r[0] for r in take(tmp_path, "periodos", *rows, code=3) if "cancelado" in r[2]] == ["2", "3", "5"]
    affiliations = ("E-4,reparto,BAJA,1990-01-01,,2", "E-3,reparto,BAJA,1990-01-01,,2")
    assert [r[0] for r in take(tmp_path, "afiliaciones", *affiliations, code=3)] == ["2"]


def test_every_reason_stands_in_spanish_and_english_and_the_page_is_in_its_reader_s(
    tmp_path: Path, books: AnyDatabase
) -> None:
    rows = (
        "1,E-1,2001-01-01,2001-12-31,11,0,0,SEDUC,1", "2,E-1,2001-06-01,2002-12-31,11,0,0,SEDUC,1", "3,E-1,2009-01-01,,11,0,0,SEDUC,1",
        "4,E-9,2009-01-01,,11,0,0,SEDUC,1", "5,E-2,2099-01-01,,11,0,0,SEDUC,1", "6,E-2,2009-01-02,2009-01-01,11,0,0,SEDUC,1",
        "7,E-2,1850-01-01,1850-02-01,11,0,0,SEDUC,1", "8,E-2,01/02/2010,,11,0,0,SEDUC,1", "9,E-2,2010-01-01,,11,x,0,SEDUC,1",
        "1,E-2,2010-01-01,,11,0,0,SEDUC,1", "10,E-2,2010-01-01,,,0,0,SEDUC,1",
    )  # fmt: skip
    found = take(tmp_path, "periodos", *rows, code=3)
    assert sorted(int(r[0]) for r in found) == list(range(3, 13))
    assert all(r[2] and r[4] and r[2] != r[4] for r in found), found
    report = tmp_path / "periodos.report"
    spanish, english = render_quality(report, "es"), render_quality(report, "en")
    assert ("se traslapa con la fila" in spanish, "it overlaps with row" in spanish) == (True, False)
    assert ("se traslapa con la fila" in english, "it overlaps with row" in english) == (False, True)
    assert books.query("SELECT count(*) FROM period") == [(3,)]


def test_contacts_and_retirees_come_out_of_an_sql_database_by_the_mapping(
    tmp_path: Path, books: AnyDatabase
) -> None:
    source = sqlite3.connect(tmp_path / "nomina.sqlite")
    source.execute("CREATE TABLE pago (exp TEXT, nombre TEXT, mail TEXT, pesos INTEGER)")
    source.execute("INSERT INTO pago VALUES ('E-1', 'Ana López', 'ana@ejemplo.mx', 12500)")
    source.commit()
    source.close()
    mapping = tmp_path / "mapa.toml"
    mapping.write_text(
        f'url = "sqlite:///{tmp_path}/nomina.sqlite"\n[contactos]\nsql = "SELECT exp, mail FROM pago"\n'
        'columnas = { expediente = "exp", correo = "mail" }\n[jubilados]\n'
        'sql = "SELECT exp, nombre, pesos * 100 AS centavos FROM pago"\n'
        'columnas = { expediente = "exp", pension_mensual_centavos = "centavos" }\n',
        encoding="utf-8",
    )
    run("extract", "--mapping", mapping, "--out", tmp_path / "out")
    for kind in ("contactos", "jubilados"):
        run("import", "--data", tmp_path, "--member", MEMBER, "--kind", kind, "--report", tmp_path / f"{kind}.r",
            tmp_path / "out" / f"{kind}.csv")  # fmt: skip
    assert books.query("SELECT * FROM retiree") == [("PE-1", "Ana López", 1_250_000)]
    assert books.query("SELECT pid, value FROM contact") == [("PE-1", "ana@ejemplo.mx")]


PROGRAM = """
from serving.cli.progress import advancing
with advancing("Filas", 2000) as advance:
    for done in (1, 1000, 2000):
        advance(done)
print("done")
"""


@pytest.mark.processes
def test_a_terminal_sees_how_far_it_is_and_a_log_not_a_byte_of_it() -> None:
    quiet = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=True
    )
    assert (quiet.stdout, quiet.stderr) == ("done\n", "")
    ours, theirs = pty.openpty()
    seen = subprocess.run(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=theirs, timeout=120, check=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 65536).decode("utf-8", "replace")
    os.close(ours)
    assert seen.stdout == b"done\n"
    assert "Filas" in shown
    assert "2,000 / 2,000" in shown


REQUEST = '"{""derecho"": ""ACCESO"", ""representante"": false, ""nivelIdentidad"": ""LOA2"", ""modalidad"": ""ELECTRONICA"", ' \
    '""recibidaEl"": ""2026-03-01T09:00:00-06:00"", ""responsables"": [""MX/GOB/30-IPE""]}"'  # fmt: skip
TERMS = '"{""dia0"": ""2026-03-02"", ""limiteRespuesta"": ""2026-03-30""}"'


PID = "C77536HD0CYA1RRC9HFC4CF1SRC"


def enter_seventh(books: AnyDatabase) -> None:
    """A person with a pseudonym as the registry gives them."""
    books.query(
        "INSERT INTO affiliation VALUES (?, 'E-7', 'reparto', 'ACTIVA', '1990-01-01', NULL, 2)", (PID,)
    )


@pytest.mark.parametrize(
    ("kind", "row", "field"),
    [
        ("solicitudes", f"ARCO-30-2026-00000001,E-7,MX/GOB/30-IPE,RECIBIDA,{{}},{TERMS},,,", "solicitud"),
        ("solicitudes", f"ARCO-30-2026-00000001,E-7,MX/GOB/30-IPE,RECIBIDA,{REQUEST},{{}},,,", "plazos"),
        ("solicitudes", f'ARCO-30-2026-00000001,E-7,MX/GOB/30-IPE,RECIBIDA,{REQUEST},"{{""dia0"": 5}}",,,', "dia0"),
        ("solicitudes", f"ARCO-30-2026-00000001,E-7,MX/GOB/30-IPE,CUMPLIDA,{REQUEST},{TERMS},,,", "estado"),
        ("solicitudes", f"PORT-30-2026-00000001,E-7,MX/GOB/30-IPE,RECIBIDA,{REQUEST},{TERMS},,,", "folio"),
        ("solicitudes", f"ARCO-30-2026-00000001,E-7,MX/GOB/30-IPE,RECIBIDA,{REQUEST},{TERMS},[],,", "negativa"),
        ("oposiciones", "E-7,todo,ARCO-30-2026-00000001,2026-01-01", "uso"),
        ("oposiciones", "E-7,historia,ARCO-30-2026-00000001,2126-01-01", "desde"),
    ],
)  # fmt: skip
def test_what_an_institute_that_left_handed_over_wrong_is_told_by_row_and_not_taken(
    tmp_path: Path, books: AnyDatabase, kind: str, row: str, field: str
) -> None:
    enter_seventh(books)
    assert [r[:2] for r in take(tmp_path, kind, row, code=3)] == [["2", field]]
    assert books.query("SELECT (SELECT count(*) FROM arco) + (SELECT count(*) FROM opposition)") == [(0,)]


def test_a_request_handed_over_comes_in_once_and_empty_lines_are_no_rows(
    tmp_path: Path, books: AnyDatabase
) -> None:
    enter_seventh(books)
    row = f"ARCO-30-2026-00000001,E-7,MX/GOB/30-IPE,RECIBIDA,{REQUEST},{TERMS},,,"
    for name in ("a", "b"):
        assert len(take(tmp_path, "solicitudes", "", row, "", "", name=name)) == 0
    assert books.query("SELECT pid, folio, state FROM arco") == [(PID, "ARCO-30-2026-00000001", "RECIBIDA")]
