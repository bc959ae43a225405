"""Pages of those who work there, in a real browser: each role's, in both languages, wide and at 320 pixels, for everybody's eyes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from social_security.portal.accounts import COUNTER, OFFICER, OPERATOR, UNIT, Accounts
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


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def begin_work(address: str, accounts: Accounts, world: World) -> list[str]:
    """A case with totals of one institute, and a request for rights; where they are shown."""
    async with Browser(address) as desk, Browser(address) as person:
        await enter(desk, accounts, COUNTER, "mesa-0")
        await desk.get(f"/?numero={PIDS['ana']}")
        wanted = [("pid", PIDS["ana"]), ("convenio", "CONV-DEMO-2025-01"), ("beneficio", "JUBILACION")]
        wanted += [("contraparte", "MX/GOB/30-IPE")]
        await desk.send("/casos", [*wanted, ("confirmo", "1")])
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
    return [case]


async def walk(tab: Tab, address: str, pages: tuple[str, ...], language: str) -> dict[str, list[str]]:
    """What is wrong with each page, wide and narrow."""
    wrong: dict[str, list[str]] = {}
    for path in pages:
        for width, height in SIZES:
            await tab.send(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=False,
            )
            tab.complaints.clear()
            await tab.open(address + path)
            found = await faults_of(tab)
            if await tab.ask("document.documentElement.lang") != language:
                found.append("another language")
            found += tab.complaints
            if found:
                wrong[f"{path} at {width}"] = found
    return wrong


@pytest.mark.parametrize("language", ["es", "en"])
async def test_every_working_page_holds_for_everybody_s_eyes_wide_and_narrow(
    world: World, language: str
) -> None:
    institute, accounts = await world.portal("15-ISSEMYM")
    oniess, operators = await world.portal("00-ONIESS")
    registry, officers = await world.portal("00-RNSS")
    shown = await begin_work(institute, accounts, world)
    wrong: dict[str, list[str]] = {}
    async with open_tab(language) as tab:
        for address, its, role, pages in (
            (institute, accounts, COUNTER, (*COUNTER_PAGES, *shown)),
            (institute, accounts, UNIT, ("/", "/solicitudes")),
            (oniess, operators, OPERATOR, OPERATOR_PAGES),
            (registry, officers, OFFICER, ("/", "/niveles")),
        ):
            await tab.send("Network.clearBrowserCookies")
            await log_in(
                tab, address, f"{role}-1".lower(), its.issue(f"{role}-1".lower(), None, "Portal", role)
            )
            found = await walk(tab, address, pages, language)
            wrong |= {f"{role} {page}": faults for page, faults in found.items()}
    assert wrong == {}
