"""Periods that stay in the institute's own system: read there each time, within a bounded time, and kept nowhere else."""

from __future__ import annotations

import asyncio
import csv
import importlib.util
import json
import sqlite3
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

from serving.storage.database import Database
from social_security.__main__ import main
from social_security.institute.announcing import queue_announcements
from social_security.institute.operations import acts_of, readings_of
from social_security.institute.ownsystem import MOST_BYTES, MOST_ROWS, open_own_system
from social_security.institute.stores.steps import STEPS
from social_security.wire.service import SystemOperations
from tests.directgateway import INSTITUTES, DirectCountry
from tests.paths import PROJECT
from tests.unit.social_security.test_beside_the_scenarios import MEMBERS, PIDS, Desk

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

ISSEMYM, SONORA, IPE = INSTITUTES
ANALYST, PERSON = "ANALISTA_PORTABILIDAD", "TITULAR"
CASE = "PORT-15-2026-00000001"
COLUMNS = {
    "id_periodo": "clave", "desde": "alta", "hasta": "baja", "empleador": "dependencia",
    "sueldo_mensual_centavos": "sueldo",
}  # fmt: skip
MAPPED = (
    f"[periodos]\ncolumnas = {{ {', '.join(f'{k} = {json.dumps(v)}' for k, v in COLUMNS.items())} }}\n"
    'constantes = { tipo = "11", dias_reintegrados = "0" }\nformatos = { desde = "%d/%m/%Y", hasta = "%d/%m/%Y" }\n'
)
ROW = {
    "clave": "7-A",
    "alta": "16/08/2009",
    "baja": "15/02/2015",
    "dias_descontados": 3,
    "dependencia": "SEC",
    "sueldo": 1_000_000,
}


@dataclass
class Payroll:
    """The institute's own system as its people have it: rows by file number, and what it was asked."""

    answers: dict[str, list[Any]] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    raw: tuple[int, bytes] | None = None
    hangs: bool = False

    async def answer(self, request: web.Request) -> web.Response:
        """One request, as its own people wrote it."""
        number = (await request.json())["expediente"]
        self.asked.append((request.path_qs, request.headers.get("Authorization", ""), number))
        if self.hangs:
            await asyncio.Event().wait()
        if self.raw is not None:
            return web.Response(status=self.raw[0], body=self.raw[1], headers={"Location": "/otra"})
        if number not in self.answers:
            return web.Response(status=404)
        return web.json_response({"periodos": self.answers[number]})


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(DirectCountry(tmp_path))
    yield made
    made.c.close()


@pytest.fixture
async def payroll(desk: Desk, tmp_path: Path) -> AsyncIterator[Payroll]:
    """Sonora's periods are in its payroll over HTTP, and none in its database."""
    made = Payroll({file_of(desk, SONORA): [ROW]})
    app = web.Application()
    app.router.add_post("/periodos", made.answer)
    server = TestServer(app)
    await server.start_server()
    (tmp_path / "token").write_text("secreto", encoding="ascii")
    (tmp_path / "token").chmod(0o600)
    head = f'url = "{server.make_url("/periodos")}"\npassword_file = "{tmp_path}/token"\ntimeout_s = 15\n'
    use(desk, SONORA, write(tmp_path, head + MAPPED))
    yield made
    await closed(desk, SONORA)
    await server.close()


def file_of(desk: Desk, code: str) -> str:
    found = desk.c.institutes[code].persons.affiliation(PIDS["ana"][code])
    assert found is not None
    return found.file_number


def write(folder: Path, text: str) -> Path:
    file = folder / "periodos.toml"
    file.write_text(text, encoding="utf-8")
    return file


def use(desk: Desk, code: str, mapping: Path) -> None:
    """The institute's system goes by the mapping file, and has no period in its database."""
    services = desk.c.institutes[code]
    services.database.query("DELETE FROM period")
    services.read_periods_of(open_own_system(mapping))
    desk.c.systems[code] = SystemOperations(services, acts_of(services), readings_of(services))


async def closed(desk: Desk, code: str) -> None:
    own = desk.c.institutes[code].own_system
    assert own is not None
    await own.close()


async def history(desk: Desk, code: str = SONORA) -> Any:
    body = {"pid": PIDS["ana"][code]}
    case = f"CONS-{code[:2]}-2026-00000001"
    return await desk.c.ask(f"{code}/HIST", code, "consultarHistoria", body, "PUR-HIST", case, PERSON)


def stored(desk: Desk, code: str = SONORA) -> int:
    ((count,),) = desk.c.institutes[code].database.query("SELECT count(*) FROM period")
    return int(count)


async def test_a_history_is_what_the_own_system_says_now_and_is_kept_nowhere(
    desk: Desk, payroll: Payroll
) -> None:
    heard = await history(desk)
    assert heard.is_done, heard
    (period,) = heard.body["periodos"]
    assert (period["idPeriodo"], period["desde"], period["hasta"], period["version"], period["dias"]) == (
        "26-ISSSTESON:7-A", "2009-08-16", "2015-02-15", 1, 2007,
    )  # fmt: skip
    payroll.answers[file_of(desk, SONORA)] = [{**ROW, "baja": "16/02/2015", "version": 2}, {**ROW, "clave": "8", "alta": "01/01/2020", "baja": "31/12/2020", "dias_descontados": 0}]  # fmt: skip
    again = await history(desk)
    assert [(p["version"], p.get("hasta")) for p in again.body["periodos"]] == [
        (2, "2015-02-16"),
        (1, "2020-12-31"),
    ]
    assert again.body["totalDias"] == 2008 + 366
    assert payroll.asked == [("/periodos", "Bearer secreto", file_of(desk, SONORA))] * 2
    assert stored(desk) == 0
    payroll.answers.clear()
    assert (await history(desk)).body["codigo"] == "SS-300", "the system knows nothing of her"


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        ((500, b"{}"), "SS-901"), ((503, b""), "SS-901"), ((302, b""), "SS-901"), ((401, b"{}"), "SS-901"),
        ((200, b""), "SS-303"), ((200, b"[]"), "SS-303"), ((200, b'{"periodos": 5}'), "SS-303"), ((200, b'{"periodos": [5]}'), "SS-303"),
        ((200, b'{"periodos": [{}]}'), "SS-303"), ((200, b"\xff"), "SS-303"), ((200, b" " * (MOST_BYTES + 2)), "SS-303"),
        ((200, b'{"periodos": [' + b",".join([b"{}"] * (MOST_ROWS + 1)) + b"]}"), "SS-303"),
    ],
)  # fmt: skip
async def test_while_the_own_system_does_not_answer_rightly_the_refusal_says_so_and_other_services_go_on(
    desk: Desk, payroll: Payroll, raw: tuple[int, bytes], code: str
) -> None:
    payroll.raw = raw
    heard = await history(desk)
    assert heard.body["codigo"] == code
    assert "sistema del instituto" in heard.body["mensaje"]
    assert "institute's system" in heard.body["message"]
    body = {"pid": PIDS["ana"][SONORA]}
    why = ("PUR-AFIL", "CONS-26-2026-00000001", "ANALISTA_AFILIACION")
    assert (await desk.c.ask(f"{SONORA}/AFIL", SONORA, "consultarAfiliacion", body, *why)).is_done
    _, seen = desk.c.institutes[SONORA].persons.accesses(PIDS["ana"][SONORA], today=desk.c.now.date())
    assert (code, "NEGADO") in {(a.code, a.outcome) for a in seen}, "the attempt is in her access log"
    payroll.raw = None
    assert (await history(desk)).is_done


@pytest.mark.parametrize(
    "change",
    [
        {"alta": "2009-13-40"}, {"baja": "01/01/2000"}, {"alta": "01/01/2099", "baja": None}, {"dias_descontados": -1}, {"dias_descontados": 9999},
        {"dependencia": ""}, {"sueldo": 1.5}, {"clave": None}, {"version": 0}, {"version": "dos"}, {"alta": {"a": 1}}, {"clave": "x" * 101},
        {"alta": "01/01/1850"},
    ],
)  # fmt: skip
async def test_a_row_that_no_period_can_be_is_not_certified(
    desk: Desk, payroll: Payroll, change: dict[str, Any]
) -> None:
    payroll.answers[file_of(desk, SONORA)] = [{**ROW, "clave": "0"}, {**ROW, **change}]
    assert (await history(desk)).body["codigo"] == "SS-303"
    payroll.answers[file_of(desk, SONORA)] = [ROW, ROW]
    assert (await history(desk)).body["codigo"] == "SS-303", "one id is one period"


async def test_a_system_that_hangs_is_waited_for_no_longer_than_its_time(
    desk: Desk, payroll: Payroll
) -> None:
    payroll.hangs = True
    await closed(desk, SONORA)
    text = (desk.c.folder / "periodos.toml").read_text(encoding="utf-8")
    use(desk, SONORA, write(desk.c.folder, text.replace("timeout_s = 15", "timeout_s = 0.5")))
    heard = await asyncio.wait_for(history(desk), 60)
    assert heard.body["codigo"] == "SS-901"
    assert "did not answer within" in heard.body["message"]
    assert "0.5 s" in heard.body["mensaje"]


async def test_a_case_goes_through_with_a_history_that_is_read_and_waits_while_it_cannot_be(
    desk: Desk, payroll: Payroll
) -> None:
    assert (await desk.open(ISSEMYM, "ana", "JUBILACION")).status == 201
    for code in (SONORA, IPE):
        assert (await desk.tell(CASE, "ana", code)).is_done

    async def step(code: str, name: str, **more: Any) -> Any:
        body = {"evento": name, **more}
        heard = await desk.c.ask(f"{code}/PORT", code, "avanzarCaso", body, "PUR-PORT", CASE, ANALYST)
        await desk.c.settle()
        return heard

    for name in ("ADMITIR", "SOLICITAR_HISTORIA"):
        assert (await step(ISSEMYM, name)).is_done
    payroll.raw = (503, b"")
    assert (await step(SONORA, "ENTREGAR_HISTORIA")).body["codigo"] == "SS-901"
    assert desk.case(CASE, SONORA).state == "HISTORIA_SOLICITADA"
    payroll.raw = None
    for code in (SONORA, IPE):
        assert (await step(code, "ENTREGAR_HISTORIA")).is_done
    done = await step(ISSEMYM, "TOTALIZAR", montoCentavos=1_800_000)
    assert done.is_done, done
    told = desk.c.institutes[ISSEMYM].cases.events(CASE)[-1].event["totalizacion"]
    days = {p["instituto"]: p["dias"] for p in told["partes"]}
    assert 0 < days[MEMBERS[SONORA]] <= 2007
    assert {desk.case(CASE, c).state for c in INSTITUTES} == {"TOTALIZADA"}
    assert stored(desk) == 0


async def test_a_responsible_institute_totals_what_its_own_system_says(desk: Desk, tmp_path: Path) -> None:
    source = sqlite3.connect(tmp_path / "nomina.sqlite")
    source.execute("CREATE TABLE mov (exp TEXT, clave TEXT, alta TEXT, baja TEXT, desc_ INTEGER, dep TEXT)")
    source.execute(
        "INSERT INTO mov VALUES (?, 'M1', '1999-03-01', '2009-08-31', 0, 'SEDUC')", (file_of(desk, ISSEMYM),)
    )
    source.execute("INSERT INTO mov VALUES ('otro', 'M2', '1990-01-01', '2020-08-31', 0, 'SEDUC')")
    source.commit()
    mapping = write(
        tmp_path,
        f'url = "sqlite:///{tmp_path}/nomina.sqlite"\ntimeout_s = 15\n[periodos]\n'
        'sql = "SELECT clave AS id_periodo, alta AS desde, baja AS hasta, desc_ AS dias_descontados, dep AS empleador FROM mov WHERE exp = :expediente"\n'
        'constantes = { tipo = "11", dias_reintegrados = "0", sueldo_mensual_centavos = "0" }\n',
    )
    use(desk, ISSEMYM, mapping)
    heard = await history(desk, ISSEMYM)
    assert (heard.body["totalDias"], len(heard.body["periodos"])) == (3837, 1)
    source.execute("DROP TABLE mov")
    source.commit()
    source.close()
    refused = await history(desk, ISSEMYM)
    assert refused.body["codigo"] == "SS-901"
    assert "mov" not in json.dumps(refused.body), "what the database says is for the operator alone"
    await closed(desk, ISSEMYM)


async def test_a_period_is_corrected_in_the_own_system_and_the_right_is_done_when_it_is(
    desk: Desk, payroll: Payroll
) -> None:
    wanted = {"idPeriodo": "26-ISSSTESON:7-A", "hasta": "2015-02-28", "evidenciaSha256": "0" * 64}
    refused = await desk.granted(SONORA, "ana", "RECTIFICACION", periodo=wanted)
    assert refused.body["codigo"] == "SS-400"
    assert "corrija ahí" in refused.body["mensaje"]
    payroll.answers[file_of(desk, SONORA)] = [{**ROW, "baja": "28/02/2015", "version": 2}]
    done = await desk.arco(SONORA, "ARCO-26-2026-00000001", "EFECTIVA")
    assert done.is_done, done
    assert (await history(desk)).body["periodos"][0]["hasta"] == "2015-02-28"


async def test_the_example_answers_as_the_page_says(desk: Desk, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("own_periods", PROJECT / "examples" / "own_periods.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    rows = tmp_path / "nomina.csv"
    rows.write_text(
        f"expediente,clave,alta,baja,dependencia,dias_descontados\n{file_of(desk, SONORA)},7-A,16/08/2009,15/02/2015,SEC,0\n",
        encoding="utf-8",
    )
    server = TestServer(example.build(rows, "secreto"))
    await server.start_server()
    (tmp_path / "token").write_text("secreto", encoding="ascii")
    (tmp_path / "token").chmod(0o600)
    page = (PROJECT / "docs" / "import.md").read_text(encoding="utf-8")
    mapping = page.partition("## Periods that stay")[2].partition("```toml")[2].partition("```")[0]
    mapping = mapping.replace("https://nomina.issemym.interno/periodos", str(server.make_url("/periodos")))
    mapping = mapping.replace("/run/secrets/nomina", str(tmp_path / "token")).replace(
        "timeout_s = 5", "timeout_s = 15"
    )
    use(desk, SONORA, write(tmp_path, mapping))
    assert (await history(desk)).body["totalDias"] == 2010
    (tmp_path / "token").write_text("otro", encoding="ascii")
    await closed(desk, SONORA)
    use(desk, SONORA, write(tmp_path, mapping))
    assert (await history(desk)).body["codigo"] == "SS-901", "who may not ask is not answered"
    await closed(desk, SONORA)
    await server.close()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('url = "sqlite:///x"\n[periodos]\nsql = "SELECT * FROM p"\n', ":expediente"),
        ('url = "sqlite:///x"\n[periodos]\nsql = "DELETE FROM p WHERE a = :expediente"\n', "SELECT"),
        ('url = "http://nomina.example/p"\n[periodos]\n', "https"),
        ('url = "https://a:b@nomina.example/p"\n[periodos]\n', "password"),
        ('url = "https://nomina.example/p"\n', "periodos"),
        ('url = "https://nomina.example/p"\ntimeout_s = 600\n[periodos]\n', "timeout_s"),
        ('url = "https://nomina.example/p"\ntimeout_s = "x"\n[periodos]\n', "timeout_s"),
        ('url = "https://nomina.example/p"\n[periodos]\ncolumnas = { nada = "x" }\n', "nada"),
        ("", "url"),
    ],
)  # fmt: skip
def test_a_mapping_that_cannot_be_right_stops_the_start_with_its_reason(
    tmp_path: Path, text: str, why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        open_own_system(write(tmp_path, text))


def test_who_leaves_hands_over_what_is_in_the_own_system_and_the_registry_is_told_of_histories_there(
    tmp_path: Path,
) -> None:
    source = sqlite3.connect(tmp_path / "nomina.sqlite")
    source.execute(
        "CREATE TABLE p AS SELECT 'E-1' AS exp, 'M1' AS id_periodo, '1999-03-01' AS desde, NULL AS hasta, 2 AS dias_descontados"
    )
    source.commit()
    source.close()
    mapping = write(
        tmp_path,
        f'url = "sqlite:///{tmp_path}/nomina.sqlite"\n[periodos]\nsql = "SELECT * FROM p WHERE exp = :expediente"\n'
        'constantes = { tipo = "11", dias_reintegrados = "0", sueldo_mensual_centavos = "5", empleador = "SEC" }\n',
    )
    (tmp_path / "settings.toml").write_text(
        f'member = "07-ISSTECH"\nperiods_from = "{mapping}"\n', encoding="utf-8"
    )
    database = Database(tmp_path / "institute.sqlite", STEPS)
    for number in ("E-1", "E-2"):
        database.query(
            "INSERT INTO affiliation VALUES (?, ?, 'r', 'ACTIVA', '1999-03-01', NULL, 2)",
            (f"P{number}", number),
        )
    assert queue_announcements(database, "07-ISSTECH", date(2026, 3, 2), are_periods_elsewhere=True) == 2
    assert {h for (h,) in database.query("SELECT history FROM announced")} == {1}
    database.close()
    done = CliRunner().invoke(main, ["hand-over", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    with (tmp_path / "out" / "periodos.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file))[1:] == [["M1", "E-1", "1999-03-01", "", "11", "2", "0", "SEC", "5"]]
    given = CliRunner().invoke(main, [
        "import", "--data", str(tmp_path), "--member", "07-ISSTECH", "--kind", "periodos", "--report", str(tmp_path / "r"),
        str(tmp_path / "out" / "periodos.csv"),
    ])  # fmt: skip
    assert given.exit_code == 1
    assert "periods_from" in given.output
