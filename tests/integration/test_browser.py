"""Portals in a real browser, its scripts off: a person logs in and sees her record; pages hold for everybody's eyes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from social_security.portal.accounts import NewAccount
from tests.accessibility import faults_of
from tests.axe import walk_looks
from tests.chromium import Tab, open_tab
from tests.portals import PIDS, World, open_world

pytestmark = pytest.mark.processes
PERSON = (
    "/",
    "/historia",
    "/calculadora",
    "/tramites",
    "/accesos",
    "/derechos",
    "/derechos/nueva",
    "/no-hay-tal",
)
GUARANTOR = ("/", "/evidencia", "/politicas")
EVERYBODY = ("/aviso", "/accesibilidad")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def log_in(tab: Tab, address: str, name: str, issued: NewAccount, code: int = 0) -> None:
    await tab.open(f"{address}/entrar")
    await tab.type("#cuenta", name)
    await tab.type("#clave", issued.password)
    await tab.type("#codigo", issued.codes[code])
    await tab.click("main button")


@contextlib.asynccontextmanager
async def another_site(body: str) -> AsyncIterator[str]:
    """A page of somebody else, at an address that is another site to a browser; the address."""

    async def give(_request: web.Request) -> web.Response:
        return web.Response(text=f"<!doctype html><title>x</title>{body}", content_type="text/html")

    app = web.Application()
    app.router.add_get("/", give)
    async with TestServer(app, host="127.0.0.2") as server:
        yield str(server.make_url("/"))


async def test_a_person_logs_in_sees_her_record_and_files_a_request(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    ana = accounts.issue("ana", PIDS["ana"], "Portal")
    async with open_tab() as tab:
        await log_in(tab, address, "ana", ana)
        assert "En total, 3,837 días certificados" in await tab.text()
        assert await tab.ask("document.documentElement.lang") == "es"
        await tab.click(".switch")
        assert "In all, 3,837 days certified" in await tab.text()
        await tab.open(f"{address}/derechos/nueva")
        await tab.click("input[value=ACCESO]", loads=False)
        await tab.click("main button")
        assert "The institute must answer by 20 May 2026" in await tab.text()
        await tab.click(".bar form button")
        assert "Log in" in await tab.text()
        await tab.open(f"{address}/accesos")
        assert "Log in" in await tab.text()
        assert tab.complaints == []


async def test_a_forged_cookie_and_a_forged_form_are_refused(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    ana = accounts.issue("ana", PIDS["ana"], "Portal")
    async with open_tab() as tab:
        await tab.send("Network.setCookie", url=address, name="sesion", value="f" * 64)
        await tab.open(f"{address}/")
        assert "Su cuenta se entrega en la ventanilla" in await tab.text()
        await log_in(tab, address, "ana", ana)
        await tab.open(f"{address}/derechos/nueva")
        await tab.ask("document.querySelector('main [name=csrf]').value = '0'.repeat(32)")
        await tab.click("input[value=ACCESO]", loads=False)
        await tab.click("main button")
        assert "El formulario no era de esta sesión" in await tab.text()
        hostile = (
            f'<form method="post" action="{address}/derechos/nueva"><input name="derecho" value="ACCESO">'
            f'<input name="instituto" value="MX/GOB/15-ISSEMYM"><button>x</button></form>'
        )
        async with another_site(hostile) as evil:
            await tab.open(evil)
            await tab.click("button")
        assert "El formulario se envió desde otro sitio" in await tab.text()
    assert accounts.folios("ana") == []


async def test_no_other_site_can_frame_a_page_or_run_a_script_in_it(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    ana = accounts.issue("ana", PIDS["ana"], "Portal")
    async with open_tab(scripts=True) as tab:
        await log_in(tab, address, "ana", ana)
        assert tab.complaints == []
        await tab.ask(
            "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran = 1\"><p style=\"color:red\">')"
        )
        await tab.ask(
            "(s => { s.textContent = 'window.ran = 1'; document.body.append(s) })(document.createElement('script'))"
        )
        assert await tab.ask("window.ran") is None
        await tab.complained("Content Security Policy")
        async with another_site(f'<iframe src="{address}/entrar"></iframe>') as evil:
            await tab.open(evil)
            frame = await tab.attach("iframe")
            shown = await tab.ask("location.href + document.body.innerText", session=frame)
        assert str(shown).startswith("chrome-error:")
        assert "ontraseña" not in str(shown)


@pytest.mark.parametrize("language", ["es", "en"])
async def test_every_page_holds_for_everybodys_eyes(world: World, language: str) -> None:
    person, accounts = await world.portal("15-ISSEMYM")
    ana = accounts.issue("ana", PIDS["ana"], "Portal")
    guarantor, others = await world.portal("15-GARANTE")
    garante = others.issue("garante", None, "Portal")
    wrong: dict[str, list[str]] = {}
    platform, _ = await world.portal("00-ONIESS")
    async with open_tab(language) as tab:
        await tab.open(f"{platform}/")
        wrong[platform] = await walk_looks(tab, "platform", language)
        assert tab.complaints == []
        for address, name, issued, pages in (
            (person, "ana", ana, PERSON),
            (guarantor, "garante", garante, GUARANTOR),
        ):
            await tab.open(f"{address}/entrar")
            wrong[f"{address}/entrar"] = await walk_looks(tab, f"{name}-entrar", language)
            await log_in(tab, address, name, issued)
            for path in (*pages, *EVERYBODY):
                tab.complaints.clear()
                await tab.open(address + path)
                wrong[address + path] = await walk_looks(tab, f"{name}-{path}", language)
                assert await tab.ask("document.documentElement.lang") == language
                # A page that is not there says so with its status, which the browser notes.
                assert [c for c in tab.complaints if "404" not in c] == [], path
    assert {page: found for page, found in wrong.items() if found} == {}


async def test_a_narrow_screen_and_the_keyboard_are_enough(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    ana = accounts.issue("ana", PIDS["ana"], "Portal")
    async with open_tab() as tab:
        await log_in(tab, address, "ana", ana)
        await tab.send(
            "Emulation.setDeviceMetricsOverride", width=320, height=700, deviceScaleFactor=1, mobile=True
        )
        for path in PERSON:
            await tab.open(address + path)
            assert "wider than the window" not in await faults_of(tab), path
        await tab.open(f"{address}/")
        await tab.press("Tab")
        assert await tab.ask("document.activeElement.className") == "skip"
        assert await tab.ask("document.activeElement.getBoundingClientRect().left >= 0")
        await tab.press("Tab")
        outline = await tab.ask("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
