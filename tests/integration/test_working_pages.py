"""Pages of those who work there, in a real browser: each role's, in both languages, wide and at 320 pixels, for everybody's eyes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from serving.storage.database import Database
from social_security.portal.accounts import (
    COMMITTEE,
    COUNTER,
    GUARANTOR,
    OFFICER,
    OPERATOR,
    UNIT,
    Accounts,
)
from social_security.registry.tables import STEPS as REGISTRY_STEPS
from social_security.wire.gatewayclient import GatewayClient, Why
from tests.accessibility import faults_of
from tests.axe import walk_looks
from tests.chromium import Tab, open_tab
from tests.integration.test_browser import log_in
from tests.portals import PIDS, Browser, World, open_world
from tests.unit.social_security.test_portal_person import logged_in
from tests.unit.social_security.test_portal_staff import enter

pytestmark = pytest.mark.processes
# Width and height in pixels: a desk's screen, and the narrowest telephone.
SIZES = ((1280, 900), (320, 640))
COUNTER_PAGES = ("/", f"/?numero={PIDS['ana']}", "/casos", "/casos?terminados=1", "/admisiones")
OPERATOR_PAGES = ("/operacion", "/operacion/convenios", "/operacion/compromisos", "/operacion/indicadores")
GUARANTOR_PAGES = ("/recursos", "/recursos/todos", "/inspeccion")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def begin_work(address: str, accounts: Accounts, world: World) -> tuple[str, str]:
    """A case with totals of one institute, and a request for rights; where they are shown."""
    async with Browser(address) as desk, Browser(address) as person:
        await enter(desk, accounts, COUNTER, "mesa-0")
        await desk.get(f"/?numero={PIDS['ana']}")
        desired = [("pid", PIDS["ana"]), ("convenio", "CONV-DEMO-2025-01"), ("beneficio", "JUBILACION")]
        desired += [("contraparte", "MX/GOB/30-IPE")]
        await desk.send("/casos", [*desired, ("confirmo", "1")])
        (number,) = set(re.findall(r"PORT-15-2026-\d{8}", desk.page.source))
        case = f"/casos/{number}"
        for step in ("ADMITIR", "SOLICITAR_HISTORIA"):
            await desk.get(case)
            await desk.send(case, [("paso", step), ("confirmo", "1")])
            assert desk.status == 200, desk.page.text
        await logged_in(world, person, accounts, "ana")
        await person.get("/derechos/nueva")
        await person.send("/derechos/nueva", [("derecho", "ACCESO"), ("instituto", "MX/GOB/15-ISSEMYM")])
        assert person.status == 200, person.page.text
        (folio,) = set(re.findall(r"ARCO-15-2026-\d{8}", person.page.source))
    return case, f"/solicitudes/{folio}"


async def begin_joining(address: str, operators: Accounts, world: World) -> str:
    """An application with one gate decided and others open, by an institute of many contacts; where it is shown."""
    number = "ALTA-14-2026-00000031"
    roles = ("TITULAR", "UNIDAD_TRANSPARENCIA", "SEGURIDAD", "TECNICO", "JURIDICO", "INCIDENTES_24X7")
    applied = {
        "nombre": "Instituto de Pensiones del Estado de Jalisco", "entidad": "14", "clasePropuesta": "GOB",
        "codigoPropuesto": "14-IPEJAL", "fundamentoCreacion": "Ley del Instituto de Pensiones del Estado de Jalisco",
        "subsistemas": ["AFIL", "HIST", "PORT"], "contactos": [{"rol": r, "correo": f"{r.lower()}@ipejal.example"} for r in roles],
    }  # fmt: skip
    client = GatewayClient(world.gateway, "MX/GOB/00-ONIESS", "1.0.0")
    heard = await client.ask(
        "ALTA", "MX/GOB/00-ONIESS", "solicitarAlta", applied, Why("PUR-ALTA", number, OPERATOR, "Solicitud")
    )
    await client.close()
    assert heard.status == 201, heard.body
    page = f"/operacion/altas/{number}"
    async with Browser(address) as operator:
        await enter(operator, operators, OPERATOR, "operadora-0")
        await operator.get(page)
        await operator.send(
            page,
            [("compuerta", "documentos"), ("resultado", "APROBADA"), ("evidencia", "Oficio 12/2026, foja 3")],
        )
        assert operator.status == 200, operator.page.text
    return page


def put_under_review(world: World) -> None:
    """Two records of the registry that may be one person's, of different institutes."""
    database = Database(world.system_folder("00-RNSS") / "registry.sqlite", REGISTRY_STEPS)
    with database.transaction() as connection:
        one, other = (
            connection.execute("SELECT rid FROM pseudonym WHERE pid = ?", (PIDS[who],)).fetchall()[0][0]
            for who in ("ana", "jose")
        )
        connection.execute("INSERT INTO review (rid, other) VALUES (?, ?)", (one, other))
    database.close()


async def walk(
    tab: Tab, address: str, pages: tuple[str, ...], language: str, name: str
) -> dict[str, list[str]]:
    """What is wrong with each page by axe and `tests.accessibility` in its language's look; by the latter also at the other width."""
    wrong: dict[str, list[str]] = {}
    for path in pages:
        tab.complaints.clear()
        await tab.open(address + path)
        found = await walk_looks(tab, f"{name}-{path}", language)
        for width, height in SIZES:
            await tab.send(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=False,
            )
            found += [f"{width}: {fault}" for fault in await faults_of(tab)]
        await tab.send("Emulation.clearDeviceMetricsOverride")
        if await tab.ask("document.documentElement.lang") != language:
            found.append("another language")
        found += tab.complaints
        if found:
            wrong[path] = found
    return wrong


@pytest.mark.parametrize("language", ["es", "en"])
async def test_every_working_page_holds_for_everybody_s_eyes_wide_and_narrow(
    world: World, language: str
) -> None:
    institute, accounts = await world.portal("15-ISSEMYM")
    oniess, operators = await world.portal("00-ONIESS")
    registry, officers = await world.portal("00-RNSS")
    guarantor, others = await world.portal("15-GARANTE")
    case, request = await begin_work(institute, accounts, world)
    application = await begin_joining(oniess, operators, world)
    put_under_review(world)
    async with Browser(registry) as officer:
        await enter(officer, officers, OFFICER, "oficial-0")
        await officer.get("/")
        assert 'name="revision"' in officer.page.source, (
            "the record under review is on the page that is walked"
        )
    wrong: dict[str, list[str]] = {}
    async with open_tab(language) as tab:
        for address, its, role, pages in (
            (institute, accounts, COUNTER, (*COUNTER_PAGES, case)),
            (institute, accounts, UNIT, ("/", "/solicitudes", request)),
            (institute, accounts, COMMITTEE, (request,)),
            (guarantor, others, GUARANTOR, GUARANTOR_PAGES),
            (oniess, operators, OPERATOR, (*OPERATOR_PAGES, application)),
            (registry, officers, OFFICER, ("/", "/niveles")),
        ):
            await tab.send("Network.clearBrowserCookies")
            await log_in(
                tab, address, f"{role}-1".lower(), its.issue(f"{role}-1".lower(), None, "Portal", role)
            )
            found = await walk(tab, address, pages, language, role.lower())
            wrong |= {f"{role} {page}": faults for page, faults in found.items()}
    assert wrong == {}
