"""A system from nothing, and an institute's own data into it: commands as an operator gives them."""

from __future__ import annotations

import csv
import json
import sqlite3
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.config.secret import SecretSource
from serving.storage.database import Database
from social_security import app, config
from social_security.__main__ import main
from social_security.commands.enrolment import suggest_curp
from social_security.domain import pack
from social_security.domain.curp import check_digit
from social_security.importing.layouts import PERIODS
from social_security.institute.stores.steps import STEPS
from social_security.keys import load_institute_keys, load_registry_keys
from tests.social import SECRET, seeded

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from serving.storage.transactions import Transaction

from datetime import date

TODAY = date(2026, 3, 2)
CURPS = ("EEPA780514MMCJRN95", "HEGG560427MVZRRL04", "SABC560626MDFLRN01", "AAPR630321HDFLRC09")


def run(*arguments: object, code: int = 0) -> Result:
    """One command and its exit code; what it refuses it says in a sentence."""
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a passphrase and a registry made by init."""
    (tmp_path / "secret").write_text(SECRET, encoding="ascii")
    (tmp_path / "secret").chmod(0o600)
    run("init", "--data", tmp_path / "reg", "--member", "00-RNSS", "--secret-file", tmp_path / "secret")
    return tmp_path


def make_institute(place: Path, code: str = "15-ISSEMYM") -> Path:
    """An institute whose key the registry has taken."""
    folder = place / code
    run("init", "--data", folder, "--member", code, "--secret-file", place / "secret", "--registry-key",
        place / "reg" / "public-key.json")  # fmt: skip
    digest = json.loads((folder / "public-key.json").read_text())["sha256"]
    run("officer", "add-recipient", "--data", place / "reg", "--digest", digest, folder / "public-key.json")
    return folder


def test_keys_are_random_and_both_sides_know_each_other_s(place: Path) -> None:
    institute = load_institute_keys(make_institute(place) / "keys.json", SECRET)
    registry = load_registry_keys(place / "reg" / "keys.json", SECRET)
    fixture = pack.persons()
    assert registry.pid.hex() != fixture["registry_key"]
    assert registry.index.hex() != fixture["index_key"]
    assert institute.registry["x"] == registry.signing["x"]
    stored = (
        sqlite3.connect(place / "reg" / "registry.sqlite")
        .execute("SELECT member, jwk FROM recipient")
        .fetchall()
    )
    assert [(m, json.loads(j)["x"]) for m, j in stored] == [("MX/GOB/15-ISSEMYM", institute.own["x"])]
    for folder in ("reg", "15-ISSEMYM"):
        assert '"d"' not in (place / folder / "public-key.json").read_text()
        told = config.load(place / folder / "settings.toml", {})
        app.build(place / folder, told)


def test_published_keys_do_not_start_but_in_an_exercise(place: Path) -> None:
    told = config.SystemSettings(member="00-RNSS", keys_secret=SecretSource(file=str(place / "secret")))
    with pytest.raises(ValueError, match="published fixture keys"):
        app.build(seeded() / "00-RNSS", told)


@pytest.mark.parametrize("code", ["99-NADIE", "", "15-GARANTE", "15-issemym"])
def test_a_system_of_nobody_is_not_made(place: Path, code: str) -> None:
    run("init", "--data", place / "x", "--member", code, "--secret-file", place / "secret", code=1)
    assert not (place / "x").exists()


def test_a_system_is_made_once_and_an_institute_needs_the_registry_s_key(place: Path) -> None:
    run("init", "--data", place / "reg", "--member", "00-RNSS", "--secret-file", place / "secret", code=1)
    run("init", "--data", place / "y", "--member", "30-IPE", "--secret-file", place / "secret", code=1)
    own = make_institute(place) / "public-key.json"
    run("init", "--data", place / "y", "--member", "30-IPE", "--secret-file", place / "secret",
        "--registry-key", own, code=1)  # fmt: skip
    run("init", "--data", place / "oniess", "--member", "00-ONIESS", "--secret-file", place / "secret")


@pytest.mark.parametrize(
    "change",
    [
        {"member": "MX/GOB/99-NADIE"}, {"member": 5}, {"format": "x"}, {"sha256": "0" * 64}, {"key": None},
        {"key": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}, {"key": {}},
    ],
)  # fmt: skip
def test_a_key_file_that_is_not_right_is_not_taken(place: Path, change: dict[str, object]) -> None:
    file = make_institute(place, "30-IPE") / "public-key.json"
    value = json.loads(file.read_text())
    file.write_text(json.dumps(value | change))
    run("officer", "add-recipient", "--data", place / "reg", "--digest", value["sha256"], file, code=1)
    file.write_text(json.dumps(value))
    run("officer", "add-recipient", "--data", place / "reg", "--digest", "0" * 64, file, code=1)


def write(path: Path, *rows: str) -> Path:
    """A CSV of these lines."""
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def report_of(path: Path) -> list[list[str]]:
    """The rows of a quality report."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


def test_persons_affiliations_and_periods_come_in_and_what_is_wrong_is_reported(place: Path) -> None:
    folder = make_institute(place)
    persons = write(
        place / "personas.csv", "expediente,curp,nivel",
        f"E-1,{CURPS[0]},2", f"E-2,{CURPS[1]},2", f"E-3,{CURPS[0]},2", f"E-2,{CURPS[2]},2",
        "E-4,EEPA780514MMCJRN94,2", "E-5,EEPA7805I4MMCJRN95,2", "E-6,nada,2", f"E-7,{CURPS[3]},9", "E-8",
    )  # fmt: skip
    common: tuple[str | Path, ...] = (
        "--data",
        place / "reg",
        "--member",
        "15-ISSEMYM",
        "--out",
        place / "pids.csv",
        "--report",
    )
    dry = run("officer", "import-persons", *common, place / "r0.csv", "--dry-run", persons, code=3)
    assert "2 new persons" in dry.output
    assert not (place / "pids.csv").exists()
    run("officer", "import-persons", *common, place / "r1.csv", persons, code=3)
    found = {row[0]: row for row in report_of(place / "r1.csv")}
    assert [found[n][1] for n in "456789"] + [found["10"][1]] == [
        "curp", "expediente", "curp", "curp", "curp", "nivel", "expediente",
    ]  # fmt: skip
    assert found["6"][3] == CURPS[0]  # the check digit that is right
    assert found["7"][3] == CURPS[0]  # an I for a 1
    affiliations = write(
        place / "afiliaciones.csv", "expediente,regimen,estado,desde,hasta,nivel",
        "E-1,reparto,ACTIVA,2001-01-01,,2", "E-2,reparto,BAJA,1990-01-01,1999-12-31,2", "E-9,reparto,BAJA,1990-01-01,,2",
        "E-1,reparto,ACTIVA,2001-01-01,,2",
    )  # fmt: skip
    run("import", "--data", folder, "--member", "15-ISSEMYM", "--kind", "afiliaciones", "--pids", place / "pids.csv",
        "--report", place / "r2.csv", affiliations, code=3)  # fmt: skip
    assert [r[0] for r in report_of(place / "r2.csv")] == ["4", "5"]
    periods = write(
        place / "periodos.csv", ",".join(PERIODS),
        "1,E-1,2001-01-01,2005-12-31,11,10,0,SEDUC,100000", "2,E-1,2005-12-01,2007-12-31,11,0,0,SEDUC,100000",
        "3,E-1,2009-01-01,,11,0,0,SEDUC,100000", "4,E-1,2009-01-02,2009-01-01,11,0,0,SEDUC,1",
        "5,E-1,2099-01-01,,11,0,0,SEDUC,1", "6,E-1,01/02/2010,2010-12-31,11,0,0,SEDUC,1",
        "7,E-1,2010-01-01,2010-01-10,11,11,0,SEDUC,1", "8,E-7,2010-01-01,2010-01-10,11,0,0,SEDUC,1",
        "3,E-2,1990-01-01,1999-12-31,11,0,0,SEDUC,1", "9,E-2,2010-02-30,2010-03-01,11,0,0,SEDUC,1",
        "10,E-2,2010-02-01,2010-03-01,11,0,0,,1", "11,E-2,2010-02-01,2010-03-01,11,0,0,SEDUC,-5",
    )  # fmt: skip
    common = ("--data", folder, "--member", "15-ISSEMYM", "--kind", "periodos", "--report")
    run("import", *common, place / "r3.csv", "--dry-run", periods, code=3)
    database = Database(folder / "institute.sqlite", STEPS)
    assert database.query("SELECT count(*) FROM period") == [(0,)]
    run("import", *common, place / "r4.csv", periods, code=3)
    run("import", *common, place / "r5.csv", periods, code=3)
    assert database.query("SELECT period_id FROM period ORDER BY period_id") == [
        ("15-ISSEMYM:1",), ("15-ISSEMYM:2",), ("15-ISSEMYM:3",),
    ]  # fmt: skip
    database.close()
    notes = report_of(place / "r4.csv")
    assert {int(r[0]) for r in notes} == {3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13}
    assert next(r[3] for r in notes if r[0] == "7") == "2010-02-01"
    assert notes == report_of(place / "r5.csv")


def test_a_refused_row_takes_nobody_s_place(place: Path) -> None:
    folder = make_institute(place)
    # The third has the second's number, refused for its CURP; the fifth repeats one that came in.
    persons = write(
        place / "personas.csv", "expediente,curp,nivel",
        f"E-1,{CURPS[0]},2", f"E-2,{CURPS[0]},2", f"E-2,{CURPS[1]},2", f"E-3,{CURPS[2]},9", f"E-3,{CURPS[2]},2",
        f"E-3,{CURPS[3]},2",
    )  # fmt: skip
    run("officer", "import-persons", "--data", place / "reg", "--member", "15-ISSEMYM", "--out", place / "pids.csv",
        "--report", place / "r1.csv", persons, code=3)  # fmt: skip
    assert [(r[0], r[1]) for r in report_of(place / "r1.csv")] == [
        ("3", "curp"),
        ("5", "nivel"),
        ("7", "expediente"),
    ]
    rows = {
        "afiliaciones": ("expediente,regimen,estado,desde,hasta,nivel", "{},r,{},2001-01-01,,2", "NADA", "PENSIONADA"),
        "periodos": (",".join(PERIODS), "1,{},2001-01-01,{},11,0,0,SEDUC,1", "ayer", "2001-12-31"),
        "contactos": ("expediente,correo", "{},{}", "nada", "ana@ejemplo.mx"),
        "jubilados": ("expediente,nombre,pension_mensual_centavos", "{},Ana,{}", "0", "100"),
    }  # fmt: skip
    for kind, (header, row, wrong, right) in rows.items():
        lines = [row.format("E-1", cell) for cell in (wrong, right, right)]
        file = write(place / f"{kind}.csv", header, *lines)
        more = ("--pids", place / "pids.csv") if kind == "afiliaciones" else ()
        run("import", "--data", folder, "--member", "15-ISSEMYM", "--kind", kind, *more,
            "--report", place / f"{kind}.report", file, code=3)  # fmt: skip
        found = [(r[0], "fila 3" in r[2]) for r in report_of(place / f"{kind}.report")]
        assert found == [("2", False), ("4", True)], (kind, found)


def test_the_file_of_pids_alone_makes_nobody_affiliated(place: Path) -> None:
    folder = make_institute(place)
    persons = write(place / "personas.csv", "expediente,curp,nivel", f"E-1,{CURPS[0]},2")
    pids = place / "pids.csv"
    run("officer", "import-persons", "--data", place / "reg", "--member", "15-ISSEMYM", "--out", pids,
        "--report", place / "r1.csv", persons)  # fmt: skip
    periods = write(place / "p.csv", ",".join(PERIODS), "1,E-1,2001-01-01,2005-12-31,11,10,0,SEDUC,100000")
    contacts = write(place / "c.csv", "expediente,correo", "E-1,ana@ejemplo.mx")
    common = ("import", "--data", folder, "--member", "15-ISSEMYM", "--pids", pids, "--kind")
    for kind, file in (("periodos", periods), ("contactos", contacts)):
        report = place / f"{kind}.report"
        run(*common, kind, "--report", report, file, code=3)
        ((row, name, es, _, en),) = report_of(report)
        assert (row, name) == ("2", "expediente")
        assert "importe antes su afiliación" in es
        assert "import the row of affiliations first" in en
    # Of whom another member hands over she may have no affiliation left: it was cancelled there.
    for wrong in ("99-NADIE", "15-ISSEMYM"):
        run(*common, "periodos", "--from", wrong, "--report", place / "no", periods, code=1)
    run(*common, "periodos", "--from", "30-IPE", "--report", place / "heir", periods)
    database = Database(folder / "institute.sqlite", STEPS)
    assert database.query("SELECT period_id FROM period") == [("15-ISSEMYM:1",)]
    database.close()


def namesake(curp: str, differentiator: str) -> str:
    stem = curp[:16] + differentiator
    return f"{stem}{check_digit(stem)}"


def test_homonyms_are_pointed_at_in_the_file_and_between_states_and_come_in_all_the_same(place: Path) -> None:
    first, second, third = CURPS[0], namesake(CURPS[0], "4"), namesake(CURPS[0], "7")
    young, younger = namesake("LOOA020202MNERPN", "A"), namesake("LOOA020202MNERPN", "B")
    layout = "expediente,curp,nivel"
    file = write(place / "a.csv", layout, f"1,{first},2", f"2,{second},2", f"3,{CURPS[1]},2", f"4,{young},2")
    common = ("officer", "import-persons", "--data", place / "reg", "--member")
    run(*common, "15-ISSEMYM", "--out", place / "p1.csv", "--report", place / "r1.csv", file, code=3)
    pointed = report_of(place / "r1.csv")
    assert [(r[0], r[1], "homónima" in r[2]) for r in pointed if "fila 2" in r[2]] == [("3", "curp", True)]
    assert len((place / "p1.csv").read_text("utf-8").splitlines()) == 5, "all four came in"
    # Another state's file: its own persons are known as others' namesakes, or as nobody's.
    file = write(place / "b.csv", layout, f"1,{third},2", f"2,{first},2", f"3,{younger},2", f"4,{CURPS[2]},2")
    run(*common, "30-IPE", "--out", place / "p2.csv", "--report", place / "r2.csv", file, code=3)
    between = [(r[0], r[2]) for r in report_of(place / "r2.csv") if "en el registro" in r[2]]
    assert [row for row, _ in between] == ["2", "2", "3", "3", "4"], between
    assert all("de otro instituto" in why for row, why in between if row != "3"), "and not of which"
    assert not any(curp in str(report_of(place / "r2.csv")) for curp in (first, second, third, young))


@pytest.mark.parametrize(
    "text", ["", "a,b\n", "expediente,curp\n", "\xff\xfe", '"', "expediente;curp;nivel\n"]
)
def test_a_file_of_another_layout_is_refused_whole(place: Path, text: str) -> None:
    file = place / "x.csv"
    file.write_bytes(text.encode("latin-1"))
    run("officer", "import-persons", "--data", place / "reg", "--member", "15-ISSEMYM", "--out", place / "o.csv",
        "--report", place / "r.csv", file, code=1)  # fmt: skip
    assert not (place / "r.csv").exists(), "the same command may be run again once the file is mended"


def test_an_interrupted_import_goes_on_and_rows_are_written_many_at_once(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_institute(place)
    database = Database(folder / "institute.sqlite", STEPS)
    database.query("INSERT INTO affiliation VALUES ('P', 'E-1', 'r', 'ACTIVA', '2000-01-01', NULL, 2)")
    rows = [f"{n},E-1,2001-01-01,2001-01-02,11,0,0,SEDUC,1" for n in range(20_000)]
    file = write(place / "p.csv", ",".join(PERIODS), *rows)
    common = ("--data", folder, "--member", "15-ISSEMYM", "--kind", "periodos", "--report")
    transactions: list[Database] = []
    transaction = Database.transaction

    def counted(self: Database) -> AbstractContextManager[Transaction]:
        transactions.append(self)
        return transaction(self)

    with monkeypatch.context() as patched:
        patched.setattr(Database, "transaction", counted)
        run("import", *common, place / "a.csv", file, code=3)
    assert database.query("SELECT count(*) FROM period") == [(20_000,)]
    # As a crash after the second batch leaves it.
    database.query("DELETE FROM period WHERE CAST(substr(period_id, 12) AS INTEGER) >= 10000")
    database.query("UPDATE import_progress SET rows_read = 10001, finished_at = NULL")
    run("import", *common, place / "b.csv", file, code=3)
    assert database.query("SELECT count(*) FROM period") == [(20_000,)]
    database.close()
    assert 0 < len(transactions) < 100, "of 20,000 rows; each transaction waits for the disk"


@settings(deadline=None)
@given(st.sampled_from(CURPS), st.integers(0, 9))
def test_a_wrong_check_digit_is_suggested_right_and_nothing_is_suggested_twice(curp: str, digit: int) -> None:
    wrong = f"{curp[:17]}{digit}"
    found = suggest_curp(wrong, TODAY)
    assert found in ("", curp) or found[17] == str(check_digit(found[:17]))


@settings(deadline=None)
@given(st.text(max_size=40))
def test_no_text_breaks_the_suggestion(text: str) -> None:
    assert suggest_curp(text, TODAY) == "" or len(suggest_curp(text, TODAY)) == 18
