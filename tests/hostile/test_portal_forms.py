"""Every form and every page of every portal, with what no browser sends: nothing, fields twice, other types, other roles' cookies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
from aiohttp import web

from social_security.portal import app as portal_app
from social_security.portal.accounts import COMMITTEE, COUNTER, GUARANTOR, OFFICER, OPERATOR, UNIT
from tests.portals import PIDS, QUICK, Browser, World, open_world

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

# Which accounts there are at a member's portal: person's PIDs or roles.
ROLES = {
    "15-ISSEMYM": (("ana", PIDS["ana"], None), ("jose", PIDS["jose"], None), ("mostrador", None, COUNTER),
                   ("unidad", None, UNIT), ("comite", None, COMMITTEE)),
    "15-GARANTE": (("garante", None, GUARANTOR),),
    "00-ONIESS": (("operador", None, OPERATOR),),
    "00-RNSS": (("oficial", None, OFFICER),),
}  # fmt: skip
# Values that are of no form: empty, with signs of HTML, of another script with a NUL, a number too large.
ODD = ("", "<script>alert(1)</script>", "\u0000٣/2026-02-29", "9" * 400)
PLACES = {
    "folio": ("ARCO-15-2026-00000001", "x", "%00", "..%2f"), "caso": ("PORT-15-2026-00000001", "x", "%0a"),
    "instituto": ("15-ISSEMYM", "99-NADIE"), "": ("x",),
}  # fmt: skip


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


def routes(world: World, code: str) -> list[tuple[str, str]]:
    """Method and path of everything a portal answers."""
    made = portal_app.build(world.folder / f"routes-{code}", world.portal_settings(code), QUICK)
    found = set()
    for route in made.router.routes():
        resource = route.resource
        if isinstance(resource, web.PlainResource | web.DynamicResource) and route.method in ("GET", "POST"):
            found.add((route.method, resource.canonical))
    return sorted(found)


def filled(path: str) -> list[str]:
    """A path with each of the values that its places may be given."""
    names = re.findall(r"\{(\w+)\}", path)
    if not names:
        return [path]
    values = zip(*(PLACES.get(n, PLACES[""]) * 4 for n in names), strict=False)
    return [re.sub(r"\{(\w+)\}", "{}", path).format(*v) for v in list(values)[:4]]


def fields_of(source: str) -> list[str]:
    """The names of the fields of a page's forms."""
    return list(dict.fromkeys(re.findall(r'name="([^"]+)"', source)))


@pytest.mark.parametrize("code", list(ROLES))
async def test_no_form_of_any_role_is_answered_by_a_fault_of_ours(world: World, code: str) -> None:
    address, accounts = await world.portal(code, login_attempts=1000)
    wrong: list[str] = []
    for name, pid, role in ROLES[code]:
        issued = accounts.issue(name, pid, "Portal", role)
        async with Browser(address) as browser:
            await browser.log_in(name, issued)
            csrf = browser.page.csrf
            assert csrf, browser.page.text
            for method, path in routes(world, code):
                if path in ("/salir", "/entrar"):
                    continue
                for place in filled(path):
                    wrong += await attack(browser, method, place, csrf, name)
    assert wrong == []


async def attack(browser: Browser, method: str, place: str, csrf: str, who: str) -> list[str]:
    """One address with every odd value; what was answered by a fault of ours, or by a page that shows what was sent as markup."""
    wrong = []
    try:
        page = await browser.get(place)
        known = [n for n in fields_of(page.source) if n != "csrf"]
    except UnicodeDecodeError:
        known = []
    if browser.status >= 500 and browser.status not in (501, 502, 503):
        wrong.append(f"{who} GET {place}: {browser.status}")
    for value in ODD:
        names = known or ["a", "estado", "evento", "derecho"]
        if method == "GET":
            async with browser._session.get(
                browser.address + place, params=[(n, value) for n in names for _ in (0, 1)]
            ) as got:
                status, text = got.status, await got.read()
        else:
            data: list[tuple[str, Any]] = [("csrf", csrf), *((n, value) for n in names for _ in (0, 1))]
            await browser.post(place, aiohttp.FormData(data))
            status, text = browser.status, browser.page.source.encode("utf-8", "replace")
        if status >= 500 and status not in (501, 502, 503):
            wrong.append(f"{who} {method} {place} {value[:20]!r}: {status}")
        if b"<script>alert(1)" in text:
            wrong.append(f"{who} {method} {place}: shown as markup")
    if method == "POST":
        await browser.post(place, aiohttp.FormData([("csrf", csrf)]))
        if browser.status >= 500 and browser.status not in (501, 502, 503):
            wrong.append(f"{who} POST {place} nothing: {browser.status}")
        await browser.post(
            place, b"\xff\xfe%%%=&&&", headers={"Content-Type": "application/x-www-form-urlencoded"}
        )
        if browser.status >= 500:
            wrong.append(f"{who} POST {place} bytes: {browser.status}")
    return wrong
