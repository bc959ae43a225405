"""The citizen's pages: her own data and nobody else's, who looked, and her ARCO requests from filing to appeal."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from serving.storage.database import open_database
from social_security.domain.curp import find_curp
from social_security.domain.pseudonyms import Pid
from social_security.institute.arco import refusal_digest
from social_security.institute.stores.arco import ArcoStore
from social_security.institute.stores.persons import Access, PersonStore
from social_security.institute.stores.steps import STEPS
from social_security.portal.accounts import Filed
from social_security.wire.gatewayclient import GatewayClient, Why
from tests.portals import NOW, PIDS, Browser, World, open_world

ISSEMYM = "MX/GOB/15-ISSEMYM"
SONORA = "MX/GOB/26-ISSSTESON"
GROUNDS = (("agravios", "La causa IV no aplica: son mis propios datos."), ("confirmo", "1"))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def logged_in(world: World, browser: Browser, accounts: object, name: str) -> None:
    issued = accounts.issue(name, PIDS[name], "Portal")  # type: ignore[attr-defined]
    await browser.log_in(name, issued)
    assert "Salir" in browser.page.text


async def file_request(browser: Browser, right: str, *more: tuple[str, str], at: str = ISSEMYM) -> str:
    await browser.get("/derechos/nueva")
    await browser.send("/derechos/nueva", [("derecho", right), ("instituto", at), *more])
    assert browser.status == 200, browser.page.text
    return next(w for w in browser.page.text.split() if w.startswith("ARCO-"))


def advance(world: World, folio: str, state: str, code: str = "15-ISSEMYM", **changes: object) -> None:
    """What the institute's transparency unit does, straight in its books."""
    database = open_database(world.system_folder(code) / "institute.sqlite", STEPS)
    store = ArcoStore(database)
    request = store.request(folio)
    assert request is not None
    store.save(replace(request, state=state, **changes), datetime.now(UTC), f"MX/GOB/{code}")  # type: ignore[arg-type]
    database.close()


async def test_a_person_sees_her_standing_and_history_and_asks_about_herself_alone(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        await logged_in(world, browser, accounts, "ana")
        assert "1 de marzo de 1999" in browser.page.text
        assert "En total, 3,837 días" in browser.page.text
    asked = [json.loads(m.body) for m in world.messages]
    assert [a["pid"] for a in asked] == [PIDS["ana"]] * 2
    assert {m.headers["X-OSS-Rol"] for m in world.messages} == {"TITULAR"}
    assert not any(find_curp(str(m)) for m in world.messages)


async def test_her_whole_history_says_who_answered_and_counts_a_day_once(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        await logged_in(world, browser, accounts, "ana")
        await browser.get("/historia")
        assert "Completa" in browser.page.text
        assert "24 años y 299 días" in browser.page.text
        assert "cuentan una sola vez: 9,059" in browser.page.text
        assert browser.page.source.count('class="bar-closed"') == 3
        assert "sin periodo 16 de febrero de 2015 28 de febrero de 2015 13" in browser.page.text
        assert "más de un instituto 16 de agosto de 2009 31 de agosto de 2009 16" in browser.page.text
        assert "Se traslapan: 16" in browser.page.text
        world.silent.add("26-ISSSTESON")
        await browser.get("/historia")
        assert "Incompleta" in browser.page.text
        assert "ISSSTESON (Sonora) no contestó" in browser.page.text
        assert "3,837" in browser.page.text
        world.silent.add("00-RNSS")
        await browser.get("/historia")
        assert "No se pudo reunir su historia" in browser.page.text
        assert "Completa:" not in browser.page.text


async def test_what_does_not_answer_is_said_and_the_rest_is_shown(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address, "en") as browser:
        issued = accounts.issue("ana", PIDS["ana"], "Portal")
        world.silent.add("15-ISSEMYM")
        await browser.log_in("ana", issued)
        assert browser.status == 200
        assert browser.page.text.count("Try again later") == 2
        for path in ("/accesos", "/derechos", "/derechos/nueva", "/historia"):
            await browser.get(path)
            assert browser.status == 200, path


async def test_a_gateway_that_is_away_is_said_in_words(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM", gateway="http://127.0.0.1:9")
    async with Browser(address) as browser:
        await logged_in(world, browser, accounts, "ana")
        assert "No se pudo alcanzar la pasarela" in browser.page.text


async def test_the_pages_of_the_access_log_hold_every_row_once_and_equal_the_institutes_log(
    world: World,
) -> None:
    database = open_database(world.system_folder("15-ISSEMYM") / "institute.sqlite", STEPS)
    store = PersonStore(database)
    start = datetime.fromisoformat(NOW) - timedelta(days=30)
    for number in range(60):
        store.add_access(access(PIDS["ana"], start + timedelta(minutes=number), f"MX-fila-{number:03d}"))
    store.add_access(access(PIDS["jose"], start, "MX-de-otro"))
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        await logged_in(world, browser, accounts, "ana")
        world.at((datetime.fromisoformat(NOW) + timedelta(minutes=1)).isoformat())
        await browser.get("/accesos")
        seen: list[str] = []
        for number in (2, 3, 4):
            seen += [w for w in browser.page.text.split() if w.startswith("MX-") and len(w) > 8]
            older = [x for x in browser.page.links if f"pagina={number}&" in x]
            if not older:
                break
            await browser.get(older[0])
    # 60 rows and the two messages of her first page; what came after the log was opened is not in it.
    total, rows = store.accesses(
        Pid(PIDS["ana"]), today=datetime.fromisoformat(NOW).date(), end=datetime.fromisoformat(NOW)
    )
    database.close()
    assert total == 62
    assert seen == [r.message_id for r in rows]


def access(pid: str, at: datetime, message: str, **changes: object) -> Access:
    row = Access(
        Pid(pid),
        at,
        "Consulta de afiliación",
        "MX/GOB/26-ISSSTESON",
        "Ventanilla",
        "PUR-AFIL",
        "mx:LGPDPPSO-16-II",
        ("afiliacion",),
        "CONS-26-2026-00000001",
        message,
        "MX-26-ISSSTESON:emp-0007",
        "ENTREGADO",
        None,
        None,
        None,
    )
    return replace(row, **changes)  # type: ignore[arg-type]


async def test_a_hidden_inquiry_shows_after_its_day_and_no_public_servant_ever(world: World) -> None:
    database = open_database(world.system_folder("15-ISSEMYM") / "institute.sqlite", STEPS)
    at = datetime.fromisoformat(NOW) - timedelta(days=3)
    until = datetime.fromisoformat("2026-06-30T00:00:00+00:00").date()
    hidden = access(PIDS["ana"], at, "MX-oculta", hidden_basis="mx:LGPDPPSO-49-VI", hidden_until=until)
    PersonStore(database).add_access(hidden)
    database.close()
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        await logged_in(world, browser, accounts, "ana")
        await browser.get("/accesos")
        assert "MX-oculta" not in browser.page.text
        world.at("2026-07-01T09:00:00-06:00")
        await browser.get("/accesos")
        assert "MX-oculta" in browser.page.text
        assert "emp-0007" not in browser.page.source


@pytest.mark.parametrize(
    "query", ["pagina=-1", "pagina=x", "hasta=x", "hasta=2026-04-20", "hasta=9999-01-01T00:00:00%2B00:00"]
)
async def test_a_page_number_that_is_none_shows_the_first_page(world: World, query: str) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        await logged_in(world, browser, accounts, "ana")
        await browser.get(f"/accesos?{query}")
        assert "Página 1 de 1" in browser.page.text


async def test_a_request_goes_to_every_institute_chosen_each_with_its_dates(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        await logged_in(world, browser, accounts, "ana")
        folio = await file_request(browser, "ACCESO", ("instituto", SONORA))
        assert browser.page.text.count("El instituto debe contestar hasta 20 de mayo de 2026") == 2
        assert browser.page.text.count("Usted puede recurrir hasta 10 de junio de 2026") == 2
        await browser.get("/derechos")
        assert folio in browser.page.text


async def test_nobody_sees_or_moves_the_request_of_another(world: World) -> None:
    address, accounts = await world.portal("26-ISSSTESON")
    async with Browser(address) as ana, Browser(address) as jose:
        issued = accounts.issue("ana", "SN16SJV765EFGNS0P72R8S9VS8G", "Portal")
        await ana.log_in("ana", issued)
        await logged_in(world, jose, accounts, "jose")
        folio = await file_request(ana, "ACCESO", at=SONORA)
        before = len(world.messages)
        await jose.get(f"/derechos/{folio}")
        assert jose.status == 404
        assert "Entre sus solicitudes no hay tal folio" in jose.page.text
        await jose.get("/")
        for act in ("aclarar", "recurrir"):
            await jose.send(f"/derechos/{folio}/{act}", [("instituto", SONORA), ("texto", "x")])
            assert jose.status == 404
            await jose.get("/")
        asked = [m for m in world.messages[before:] if folio in str(m)]
        assert asked == []
        await jose.get("/derechos")
        assert folio not in jose.page.text


async def test_a_folio_that_means_another_request_at_the_institute_shows_nothing_of_it(world: World) -> None:
    address, accounts = await world.portal("26-ISSSTESON")
    async with Browser(address) as ana, Browser(address) as jose:
        issued = accounts.issue("ana", "SN16SJV765EFGNS0P72R8S9VS8G", "Portal")
        await ana.log_in("ana", issued)
        folio = await file_request(
            ana, "OPOSICION", ("datos", "sueldos"), ("descripcion", "secreto de ana"), at=SONORA
        )
        await logged_in(world, jose, accounts, "jose")
        accounts.drop_folio("ana", folio)
        at = datetime.fromisoformat("2026-04-20T08:00:00-07:00")
        assert accounts.note_folio("jose", Filed(folio, (SONORA,), at, "ACCESO"))
        await jose.get(f"/derechos/{folio}")
        assert "SS-300" in jose.page.text
        assert "Estado" not in jose.page.text
        await jose.send(f"/derechos/{folio}/recurrir", [("instituto", SONORA), *GROUNDS])
        assert jose.status == 409
        assert "Estado" not in jose.page.text


async def test_another_request_under_a_folio_in_use_is_refused_by_the_institute(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        await logged_in(world, browser, accounts, "ana")
        await file_request(browser, "ACCESO")
    filed = next(m for m in world.messages if m.path == "/arco/solicitudes")
    url = f"{world.gateway}/r1/MX/GOB/15-ISSEMYM/ARCO/oss-v1/arco/solicitudes"
    kept = {n: v for n, v in filed.headers.items() if n.startswith(("X-", "Content-Type"))}
    async with aiohttp.ClientSession() as session:
        async with session.post(url, data=filed.body, headers=kept) as again:
            assert again.status == 201
        other = json.loads(filed.body) | {"derecho": "CANCELACION", "descripcion": "x", "datos": ["correo"]}
        async with session.post(url, json=other, headers=kept) as refused:
            assert (await refused.json())["codigo"] == "SS-402"


async def test_a_person_clarifies_within_her_term_and_the_count_starts_anew(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        await logged_in(world, browser, accounts, "ana")
        folio = await file_request(browser, "RECTIFICACION", ("descripcion", "falta un mes"))
        assert "Lo que usted escribió falta un mes" in browser.page.text
        advance(
            world, folio, "PREVENIDA", dates={"limiteDesahogo": "2026-05-07", "limiteRespuesta": "2026-05-20"}
        )
        await browser.get(f"/derechos/{folio}")
        assert "Usted puede aclarar hasta 7 de mayo de 2026" in browser.page.text
        await browser.send(f"/derechos/{folio}/aclarar", [("instituto", ISSEMYM), ("texto", " ")])
        assert browser.status == 400
        world.at("2026-04-27T10:00:00-06:00")
        await browser.send(f"/derechos/{folio}/aclarar", [("instituto", ISSEMYM), ("texto", "junio de 2004")])
        assert "en trámite" in browser.page.text
        assert "debe contestar hasta 27 de mayo de 2026" in browser.page.text
    database = open_database(world.system_folder("15-ISSEMYM") / "institute.sqlite", STEPS)
    kept = ArcoStore(database).request(folio)
    database.close()
    assert kept is not None
    assert kept.request["aclaracion"] == "junio de 2004"


REFUSAL = {
    "codigo": "SS-500",
    "fundamento": "mx:LGPDPPSO-49-IV",
    "motivacion": "Contiene datos de terceros.",
    "causa": "IV",
    "resolucionComite": "CT-1",
    "medioImpugnacion": "Recurso de revisión",
    "autoridad": "MX/GAR/15-GARANTE",
    "limiteImpugnacion": "2026-05-12",
}


async def test_a_refusal_shows_cause_and_last_day_and_the_appeal_names_that_text(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    dates = {"limiteRespuesta": "2026-05-20", "limiteRecurso": "2026-05-12"}
    async with Browser(address) as browser:
        await logged_in(world, browser, accounts, "ana")
        folio = await file_request(browser, "ACCESO")
        advance(world, folio, "IMPROCEDENTE", dates=dates, refusal=REFUSAL, committee="CT-1")
        await browser.get(f"/derechos/{folio}")
        assert "derechos de un tercero" in browser.page.text
        assert "Último día 12 de mayo de 2026" in browser.page.text
        assert "debe contestar hasta" not in browser.page.text
        await browser.send(f"/derechos/{folio}/recurrir", [("instituto", ISSEMYM), GROUNDS[0]])
        assert browser.status == 400
        assert GROUNDS[0][1] in browser.page.text  # what was typed is kept
        await browser.send(f"/derechos/{folio}/recurrir", [("instituto", ISSEMYM), *GROUNDS])
        assert "en recurso ante la autoridad garante" in browser.page.text
        assert f"Por qué recurrió {GROUNDS[0][1]}" in browser.page.text
    event = next(json.loads(m.body) for m in world.messages if m.path.endswith("/eventos"))
    assert event["huellaNegativa"] == refusal_digest(REFUSAL)
    assert event["descripcion"] == GROUNDS[0][1]


async def test_after_the_last_day_there_is_no_appeal(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    dates = {"limiteRespuesta": "2026-05-20", "limiteRecurso": "2026-05-12"}
    async with Browser(address) as browser:
        await logged_in(world, browser, accounts, "ana")
        folio = await file_request(browser, "ACCESO")
        advance(world, folio, "IMPROCEDENTE", dates=dates, refusal=REFUSAL)
        world.at("2026-05-13T09:00:00-06:00")
        await browser.get(f"/derechos/{folio}")
        assert "Recurrir ante" not in browser.page.text
        await browser.send(f"/derechos/{folio}/recurrir", [("instituto", ISSEMYM), *GROUNDS])
        assert browser.status == 409
        assert "SS-404" in browser.page.text


async def test_silence_is_shown_as_such_and_may_be_appealed(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        await logged_in(world, browser, accounts, "ana")
        folio = await file_request(browser, "ACCESO")
        world.at("2026-05-21T09:00:00-06:00")
        await browser.get(f"/derechos/{folio}")
        assert "el instituto no contestó a tiempo" in browser.page.text
        await browser.send(f"/derechos/{folio}/recurrir", [("instituto", ISSEMYM), *GROUNDS])
        assert "La autoridad garante resuelve hasta" in browser.page.text


async def test_an_opposition_says_which_uses_and_data_and_stops_them_once_granted(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        await logged_in(world, browser, accounts, "ana")
        more = [("datos", "sueldos"), ("propositos", "PUR-HIST"), ("propositos", "PUR-ARCO")]
        folio = await file_request(browser, "OPOSICION", *more, ("descripcion", "no los envíen"))
        for state in ("EN_TRAMITE", "PROCEDENTE", "EFECTIVA"):
            await answer(world, folio, state)
        await browser.get(f"/derechos/{folio}")
        assert "cumplida" in browser.page.text
        await browser.get("/")  # an opposition stops uses by others, never the person's own view
        assert "SS-208" not in browser.page.text
        await browser.get("/accesos")
        assert browser.page.text.count("negado") == 1  # as a choice of the filter, and in no row


async def answer(world: World, folio: str, state: str) -> None:
    """What the institute's transparency unit does, by message."""
    gateway = GatewayClient(world.gateway, ISSEMYM, "1.0.0")
    why = Why("PUR-ARCO", folio, "UNIDAD_TRANSPARENCIA", "Respuesta")
    heard = await gateway.ask("ARCO", ISSEMYM, "avanzarArco", {"estado": state, "ocurridoEl": NOW}, why)
    await gateway.close()
    assert heard.is_done, heard.body


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ([("instituto", ISSEMYM)], "Elija qué derecho"),
        ([("derecho", "TODO"), ("instituto", ISSEMYM)], "Elija qué derecho"),
        ([("derecho", "ACCESO")], "Elija al menos un instituto"),
        ([("derecho", "ACCESO"), ("instituto", "MX/GOB/00-RNSS")], "Elija al menos un instituto"),
        ([("derecho", "RECTIFICACION"), ("instituto", ISSEMYM)], "Describa qué pide"),
        (
            [("derecho", "OPOSICION"), ("instituto", ISSEMYM), ("descripcion", "x")],
            "Marque a qué usos o datos",
        ),
        (
            [("derecho", "CANCELACION"), ("instituto", ISSEMYM), ("descripcion", "x")],
            "Marque sobre qué datos",
        ),
        ([("derecho", "ACCESO"), ("instituto", ISSEMYM), ("descripcion", "x" * 4001)], "pasa de 4000"),
        ([("derecho", "ACCESO"), ("instituto", ISSEMYM), ("descripcion", "EEPA780514MMCJRN95")], "SS-105"),
        ([("derecho", "ACCESO"), ("instituto", "MX/GOB/14-IPEJAL")], "No se presentó ante"),
    ],
)
async def test_a_form_with_something_wrong_says_what_and_keeps_what_was_typed(
    world: World, fields: list[tuple[str, str]], said: str
) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        await logged_in(world, browser, accounts, "ana")
        await browser.send("/derechos/nueva", fields)
        assert browser.status == 400
        assert said in browser.page.text
        typed = dict(fields).get("descripcion", "")
        assert typed in browser.page.source
    assert accounts.folios("ana") == []


async def test_stored_names_and_texts_are_shown_and_never_run(world: World) -> None:
    evil = "<script>alert(1)</script>"
    database = open_database(world.system_folder("15-ISSEMYM") / "institute.sqlite", STEPS)
    at = datetime.fromisoformat(NOW) - timedelta(days=1)
    PersonStore(database).add_access(
        access(
            PIDS["ana"], at, evil, receiver_system=evil, action=evil, receiver=f"MX/GOB/{evil}", bases=evil
        )
    )
    database.close()
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        issued = accounts.issue(evil, PIDS["ana"], "Portal")
        await browser.post("/entrar", {"cuenta": f'"{evil}', "clave": "x", "codigo": "x"})
        assert "<script" not in browser.page.source
        await browser.log_in(evil, issued)
        await browser.get("/accesos")
        assert "<script" not in browser.page.source
        assert browser.page.text.count("alert(1)") >= 5
        await browser.get(f"/accesos?hasta={evil}&lang={evil}")
        assert "<script" not in browser.page.source
        await browser.send("/derechos/nueva", [("derecho", evil), ("descripcion", f"</textarea>{evil}")])
        assert browser.status == 400
        assert "<script" not in browser.page.source


async def test_a_rectification_carries_the_period_that_she_picked(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        await logged_in(world, browser, accounts, "ana")
        await browser.get("/derechos/nueva")
        assert "15-ISSEMYM:P-000001" in browser.page.source
        picked = [("periodo", "15-ISSEMYM:P-000001"), ("c-hasta", "2010-08-31"), ("c-diasDescontados", "12")]
        await file_request(browser, "RECTIFICACION", ("descripcion", "Mi baja fue en 2010"), *picked)
        filed = json.loads(next(m for m in world.messages if m.path == "/arco/solicitudes").body)
        assert {n: filed["periodo"][n] for n in ("idPeriodo", "hasta", "diasDescontados")} == {
            "idPeriodo": "15-ISSEMYM:P-000001",
            "hasta": "2010-08-31",
            "diasDescontados": 12,
        }
        for field, value in (
            ("c-hasta", "31/08/2010"),
            ("c-diasDescontados", "-1"),
            ("c-desde", "2010-02-30"),
        ):
            wrong = [("derecho", "RECTIFICACION"), ("instituto", ISSEMYM), ("descripcion", "x"), picked[0]]
            await browser.get("/derechos/nueva")
            await browser.send("/derechos/nueva", [*wrong, (field, value)])
            assert browser.status == 400
            assert "Revise lo que se corrige" in browser.page.text


async def test_an_opposition_is_withdrawn_from_the_same_form(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        await logged_in(world, browser, accounts, "ana")
        more = [("datos", "sueldos"), ("retirar", "1"), ("descripcion", "ya pueden")]
        await file_request(browser, "OPOSICION", *more)
        assert "cumplida" in browser.page.text
        assert "no constaba oposición" in browser.page.text


async def test_the_same_form_sent_twice_files_one_request_and_another_form_another(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as person:
        await logged_in(world, person, accounts, "ana")
        for count in (1, 2):
            await person.get("/derechos/nueva")
            form_id = re.search(r'name="formulario" value="([^"]+)"', person.page.source)
            assert form_id is not None
            csrf = person.page.csrf
            fields = [
                ("csrf", csrf),
                ("derecho", "ACCESO"),
                ("instituto", ISSEMYM),
                ("formulario", form_id[1]),
            ]
            for _ in range(3):
                await person.post("/derechos/nueva", aiohttp.FormData(fields))
                assert person.status == 200, person.page.text
            assert len(accounts.folios("ana")) == count
