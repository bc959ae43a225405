"""Those who work at an institute and its guarantor, on their pages: a request from its filing to what an appeal orders; files; cases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from social_security.portal.accounts import COMMITTEE, COUNTER, STAFF, UNIT, Accounts
from social_security.portal.answering import allowed
from social_security.portal.counter import next_step
from tests.portals import PIDS, Browser, World, open_world
from tests.unit.social_security.test_portal_person import file_request, logged_in

REASONS = "La rectificación no procede porque el documento no corresponde al periodo."


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def enter(browser: Browser, accounts: Accounts, role: str | None, name: str) -> None:
    await browser.log_in(name, accounts.issue(name, None, "Portal", role))
    assert browser.status == 200


async def step(browser: Browser, path: str, chosen: str, *fields: tuple[str, str]) -> None:
    await browser.get(path)
    await browser.send(path, [("paso", chosen), ("confirmo", "1"), *fields])
    assert browser.status == 200, browser.page.text
    assert "Listo" in browser.page.text, browser.page.text


async def ask_and_give_a_report(
    guarantor: Browser, appeal: str, address: str, accounts: Accounts, folio: str
) -> None:
    await guarantor.send(appeal, [("paso", "INFORME"), ("confirmo", "1"), ("motivacion", "¿Por qué?")])
    assert guarantor.status == 409, "what is asked is said"
    await step(guarantor, appeal, "INFORME", ("motivacion", "Informe qué documento tuvo a la vista."))
    async with Browser(address) as unit:
        await enter(unit, accounts, UNIT, "unidad-2")
        await step(
            unit,
            f"/solicitudes/{folio}",
            "RINDE_INFORME",
            ("motivacion", "Se tuvo a la vista la nómina."),
        )
        assert "RINDE_INFORME" not in unit.page.source, "it was asked for once"
    await guarantor.get(appeal)
    assert "Se tuvo a la vista la nómina." in guarantor.page.text


async def test_a_request_goes_from_the_unit_to_the_guarantor_and_back_and_is_carried_out(
    world: World,
) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as person:
        await logged_in(world, person, accounts, "ana")
        folio = await file_request(person, "ACCESO")
        async with Browser(address) as unit:
            await enter(unit, accounts, UNIT, "unidad-1")
            assert folio in unit.page.text
            assert PIDS["ana"] not in unit.page.source
            path = f"/solicitudes/{folio}"
            await step(unit, path, "EN_TRAMITE")
            await unit.send(path, [("paso", "IMPROCEDENTE"), ("confirmo", "1"), ("causa", "IV")])
            assert (unit.status, "Comité" in unit.page.text) == (400, True)
            lacking = [("paso", "IMPROCEDENTE"), ("confirmo", "1"), ("causa", "IV"), ("comite", "CT/1/2026")]
            await unit.send(path, lacking)
            assert unit.status == 400, "a cause alone is no reason"
            await unit.send(path, [("paso", "CUMPLIDA"), ("confirmo", "1")])
            assert unit.status == 400, "what may not follow is not sent"
            more = (("causa", "IV"), ("comite", "CT/1/2026"), ("motivacion", REASONS))
            await step(unit, path, "IMPROCEDENTE", *more)
            assert REASONS in unit.page.text
        await person.get(f"/derechos/{folio}")
        assert REASONS in person.page.text
        grounds = [("instituto", "MX/GOB/15-ISSEMYM"), ("agravios", "Sí son míos."), ("confirmo", "1")]
        await person.send(f"/derechos/{folio}/recurrir", grounds)
    other, guards = await world.portal("15-GARANTE")
    async with Browser(other) as guarantor:
        await enter(guarantor, guards, None, "garante")
        await guarantor.get("/recursos")
        assert folio in guarantor.page.text
        appeal = f"/recursos/15-ISSEMYM/{folio}"
        await guarantor.get(appeal)
        assert "Sí son míos." in guarantor.page.text
        assert PIDS["ana"] not in guarantor.page.source
        await ask_and_give_a_report(guarantor, appeal, address, accounts, folio)
        await step(guarantor, appeal, "REVOCAR", ("motivacion", "Se revoca."))
        await guarantor.get("/recursos/30-IPE/" + folio)
        assert guarantor.status == 404
    async with Browser(address) as committee:
        await enter(committee, accounts, COMMITTEE, "comite-1")
        await step(committee, f"/solicitudes/{folio}", "CUMPLIDA")
    async with Browser(address) as person:
        await logged_in(world, person, accounts, "ana")
        await person.get("/accesos")
        assert person.status == 200
    users = {m.headers.get("X-Road-UserId", "").rpartition(":")[2] for m in world.messages}
    assert {"unidad-1", "garante", "comite-1"} <= users


async def test_the_desk_opens_a_file_and_certifies_a_period_and_the_person_sees_both(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as desk:
        await enter(desk, accounts, COUNTER, "mesa-1")
        await desk.get("/?numero=NADIE-1")
        assert desk.status == 404
        await desk.get(f"/?numero={PIDS['ana']}")
        assert "15-ISSEMYM:P-000001" in desk.page.text
        period = [
            ("pid", PIDS["ana"]),
            ("desde", "2011-01-01"),
            ("hasta", "2011-01-31"),
            ("empleador", "15-SALUD"),
        ]
        proof = ("prueba", "Nómina de enero de 2011, foja 3")
        await desk.send("/expediente", [*period, proof])
        assert desk.status == 400, "what is certified is confirmed"
        await desk.send("/expediente", [*period, ("confirmo", "1")])
        assert desk.status == 400, "what is certified is proved"
        wrong = [("hasta", "2010-01-01") if n == "hasta" else (n, v) for n, v in period]
        await desk.send("/expediente", [*wrong, proof, ("confirmo", "1")])
        assert (desk.status, "Nómina de enero" in desk.page.source) == (400, True)
        await desk.send("/expediente", [*period, proof, ("confirmo", "1")])
        assert desk.status == 200
        assert "2011-01-01 a 2011-01-31" in desk.page.text
        await desk.get("/casos")
        assert desk.status == 200
        for forbidden in ("/solicitudes", "/accesos", "/derechos"):
            await desk.get(forbidden)
            assert desk.status == 403, forbidden
    async with Browser(address) as person:
        await logged_in(world, person, accounts, "ana")
        for forbidden in ("/casos", "/solicitudes"):
            await person.get(forbidden)
            assert person.status == 403, forbidden
        await person.get("/accesos?quien=otros")
        await person.get("/accesos")
        assert "Expediente en la mesa del propio instituto" in person.page.text
        assert "mesa-1" not in person.page.source, "the public servant's id is the institute's to know"


async def test_an_inspection_has_its_case_and_its_range(world: World) -> None:
    address, accounts = await world.portal("15-GARANTE")
    async with Browser(address) as guarantor:
        await enter(guarantor, accounts, None, "garante")
        for query in (
            "caso=X&instituto=15-ISSEMYM&desde=2026-01-01&hasta=2026-12-31",
            "caso=CONS-15-2026-00000009&instituto=30-IPE&desde=2026-01-01&hasta=2026-12-31",
            "caso=CONS-15-2026-00000009&instituto=15-ISSEMYM&desde=2026-12-31&hasta=2026-01-01",
            "caso=CONS-15-2026-00000009&instituto=15-ISSEMYM&desde=ayer&hasta=2026-01-01",
        ):
            await guarantor.get(f"/inspeccion?{query}")
            assert guarantor.status == 400, query
        await guarantor.get(
            "/inspeccion?caso=CONS-15-2026-00000009&instituto=15-ISSEMYM&desde=2026-01-01&hasta=2026-12-31"
        )
        assert guarantor.status == 200


@pytest.mark.parametrize("role", STAFF)
@pytest.mark.parametrize("language", ["es", "en"])
async def test_every_home_is_there_in_both_languages(world: World, role: str, language: str) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address, language) as browser:
        await enter(browser, accounts, role, "alguien")
        assert f'lang="{language}"' in browser.page.source


def test_what_is_offered_is_what_the_table_lets_follow() -> None:
    assert set(allowed(UNIT, {"estado": "PREVENIDA"})) == set(), "it is the person's turn"
    assert set(allowed(UNIT, {"estado": "AMPLIADA"})) == {"PROCEDENTE", "IMPROCEDENTE", "INEXISTENCIA"}
    assert set(allowed(UNIT, {"estado": "RECURRIDA"})) == set()
    assert "REVOCAR" in allowed("GARANTE", {"estado": "RECURRIDA"})
    assert set(allowed("GARANTE", {"estado": "RESUELTA_RR", "sentido": "CONFIRMAR"})) == set()
    late = {"estado": "RESUELTA_RR", "sentido": "CONFIRMAR_POR_SILENCIO"}
    assert "ORDENAR_ENTREGA" in allowed("GARANTE", late)
    assert set(allowed("GARANTE", {})) == set()


def test_a_case_says_whose_turn_it_is_until_it_has_ended() -> None:
    turn = next_step("HISTORIA_SOLICITADA")
    assert turn is not None
    assert turn[1] == "ENTREGAR_HISTORIA"
    assert [next_step(s) for s in ("CERRADA", "VENCIDA", "RECURRIDA")] == [None, None, None]
