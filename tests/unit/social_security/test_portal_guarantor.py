"""The guarantor's pages: counts without persons, evidence judged by the auditor's code, policies in force."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from social_security.domain.pseudonyms import parse_pid
from tests.paths import VECTORS
from tests.portals import PIDS, Browser, World, open_world
from tests.unit.social_security.test_portal_person import REFUSAL, advance, file_request, logged_in

PID = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{25}[048CGMRW][0-9A-Z]\b")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def enter(world: World, browser: Browser, accounts: object, name: str = "garante") -> None:
    issued = accounts.issue(name, None, "Portal")  # type: ignore[attr-defined]
    await browser.log_in(name, issued)
    assert browser.status == 200


def configuration(name: str) -> bytes:
    folder, made = VECTORS / "globalconf" / name, io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return made.getvalue()


def container(content: bytes, csrf: str) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("csrf", csrf)
    form.add_field(
        "archivo", io.BytesIO(content), filename="mensaje.asice", content_type="application/octet-stream"
    )
    return form


async def test_terms_missed_refusals_and_accesses_are_counted_and_nobody_is_named(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as person:
        await logged_in(world, person, accounts, "ana")
        silent = await file_request(person, "ACCESO")
        refused = await file_request(person, "ACCESO")
        advance(world, refused, "IMPROCEDENTE", refusal=REFUSAL)
    world.at("2026-05-21T09:00:00-06:00")
    address, accounts = await world.portal("15-GARANTE")
    async with Browser(address) as browser:
        await enter(world, browser, accounts)
        text = browser.page.text
        assert "Plazos vencidos: 1" in text
        assert f"{silent} Acceso: ver mis datos El instituto debe contestar hasta 20 de mayo de 2026" in text
        assert "IV ( derechos de un tercero ) 1" in text
        assert "Solicitudes ARCO: 2" in text
        assert not PID.search(browser.page.source)
        assert parse_pid(PIDS["ana"]) not in browser.page.source
        await browser.get("/?desde=2026-05-01&hasta=2026-05-21&lang=en")
        assert "No term missed." in browser.page.text
        await browser.get("/?desde=mayo")
        assert browser.status == 200
        assert "is written YYYY-MM-DD" in browser.page.text
    answers = [m for m in world.messages if m.path == "/supervision/estadistica"]
    assert {m.headers["X-Road-UserId"] for m in answers} == {"MX-15-GARANTE:garante"}


async def test_another_states_guarantor_gets_no_count(world: World) -> None:
    address, accounts = await world.portal("26-GARANTE", supervised=("15-ISSEMYM", "26-ISSSTESON"))
    async with Browser(address) as browser:
        await enter(world, browser, accounts)
        assert "SS-210" in browser.page.text
        assert browser.page.text.count("Ningún plazo vencido") == 1


async def test_an_institute_that_is_away_is_said_and_the_others_are_shown(world: World) -> None:
    address, accounts = await world.portal("00-SABG", supervised=("15-ISSEMYM", "26-ISSSTESON"))
    world.silent.add("26-ISSSTESON")
    async with Browser(address) as browser:
        await enter(world, browser, accounts)
        assert "no contestó" in browser.page.text
        assert browser.page.text.count("Ningún plazo vencido") == 1


async def test_policies_say_version_digest_and_what_may_leave(world: World) -> None:
    address, accounts = await world.portal("15-GARANTE")
    async with Browser(address) as browser:
        await enter(world, browser, accounts)
        await browser.get("/politicas")
        assert "ISSEMYM (Estado de México) 1.0.0" in browser.page.text
        assert "Firmas 3" in browser.page.text
        assert "periodos.dias" in browser.page.text
        world.silent |= {"00-ONIESS", "15-ISSEMYM"}
        await browser.get("/politicas")
        assert browser.status == 200
        assert browser.page.text.count("Intente más tarde") == 2


async def test_a_container_is_judged_as_the_auditors_command_does(world: World) -> None:
    world.verification_configuration = configuration("good2_v3")
    address, accounts = await world.portal("15-GARANTE")
    folder = VECTORS / "asic/verifier"
    async with Browser(address) as browser:
        await enter(world, browser, accounts)
        await browser.get("/evidencia")
        good = (folder / "valid-signed-hashchain.asice").read_bytes()
        await browser.post("/evidencia", container(good, browser.page.csrf))
        assert "Válido." in browser.page.text
        assert "ruta del certificado y OCSP" in browser.page.text
        bad = (folder / "invalid-digest.asice").read_bytes()
        await browser.post("/evidencia?lang=en", container(bad, browser.page.csrf))
        assert "Not valid. invalid_signature_value" in browser.page.text
        await browser.post("/evidencia", container(b"nothing of the kind", browser.page.csrf))
        assert "Not valid." in browser.page.text
        # The gateway is away now: the configuration of before serves.
        world.verification_configuration = b""
        await browser.post("/evidencia", container(good, browser.page.csrf))
        assert "Valid." in browser.page.text


async def test_an_upload_needs_the_sessions_value_a_file_and_a_configuration(world: World) -> None:
    address, accounts = await world.portal("15-GARANTE")
    async with Browser(address) as browser:
        await enter(world, browser, accounts)
        csrf = browser.page.csrf
        await browser.post("/evidencia", container(b"x", "forged"))
        assert browser.status == 403
        late = aiohttp.FormData()
        late.add_field("archivo", b"x", filename="x.asice")
        late.add_field("csrf", csrf)
        await browser.post("/evidencia", late)
        assert browser.status == 403
        await browser.post("/evidencia", container(b"", csrf))
        assert browser.status == 400
        await browser.post("/evidencia", container(b"x" * (10 * 2**20 + 1), csrf))
        assert browser.status == 413
        await browser.post("/evidencia", container(b"x", csrf))
        assert browser.status == 503
        assert "No hay configuración con la cual verificar" in browser.page.text


async def test_a_guarantor_has_no_page_of_a_person(world: World) -> None:
    address, accounts = await world.portal("15-GARANTE")
    async with Browser(address) as browser:
        await enter(world, browser, accounts)
        for path in ("/accesos", "/historia", "/derechos"):
            await browser.get(path)
            assert browser.status == 404
    assert all("pid" not in json.loads(m.body or b"{}") for m in world.messages)
