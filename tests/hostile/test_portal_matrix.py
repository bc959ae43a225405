"""Every address of every portal for every role, and for another person: who may is a table here, apart from what the portals declare."""

from __future__ import annotations

import re
from datetime import date
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import pytest

from serving.storage.database import open_database
from social_security.institute.stores.arco import ArcoStore
from social_security.institute.stores.steps import STEPS
from social_security.portal.accounts import (
    COMMITTEE,
    COUNTER,
    GUARANTOR,
    OFFICER,
    OPERATOR,
    PERSON,
    REPRESENTATIVE,
    UNIT,
    Mandate,
)
from tests.hostile.test_portal_forms import filled, routes
from tests.portals import PIDS, Browser, World, open_world
from tests.unit.social_security.test_portal_person import file_request, logged_in

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HERS: Final = frozenset((PERSON, REPRESENTATIVE))
UNITS: Final = frozenset((UNIT, COMMITTEE))
DESK: Final = frozenset((COUNTER,))
EVERYBODY: Final = frozenset(("",))
# Member -> first step of a path -> the roles that may; EVERYBODY is without any login.
WHO: Final[dict[str, dict[str, frozenset[str]]]] = {
    "15-ISSEMYM": {
        "": HERS | UNITS | DESK, "historia": HERS, "calculadora": HERS, "derechos": HERS, "tramites": HERS, "accesos": HERS,
        "solicitudes": UNITS, "casos": DESK, "admisiones": DESK, "expediente": DESK, "verificar": EVERYBODY,
    },
    "15-GARANTE": dict.fromkeys(("", "recursos", "inspeccion", "politicas", "evidencia"), frozenset((GUARANTOR,))),
    "00-ONIESS": {
        "operacion": frozenset((OPERATOR,)),
        **dict.fromkeys(("", "estados.csv", "indicadores.csv", "negativas.csv"), EVERYBODY),
    },
    "00-RNSS": dict.fromkeys(("", "niveles"), frozenset((OFFICER,))),
}  # fmt: skip
OPEN: Final = ("entrar", "salir", "aviso", "accesibilidad", "estatico")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


def allowed(code: str, path: str) -> frozenset[str]:
    """Who may, of the table; a KeyError is an address that nobody has thought of here."""
    first = path.strip("/").partition("/")[0]
    return EVERYBODY if first in OPEN else WHO[code][first]


async def answered(browser: Browser, method: str, path: str, csrf: str) -> tuple[int, str]:
    """Status, and where it leads."""
    headers = {"Sec-Fetch-Site": "same-origin", "Origin": browser.address} if method == "POST" else {}
    data = aiohttp.FormData([("csrf", csrf), ("confirmo", "1")]) if method == "POST" else None
    async with browser._session.request(
        method, browser.address + path, data=data, headers=headers, allow_redirects=False
    ) as answer:
        return answer.status, answer.headers.get("Location", "")


@pytest.mark.parametrize("code", list(WHO))
async def test_every_address_is_open_to_its_roles_and_to_nobody_else(world: World, code: str) -> None:
    address, accounts = await world.portal(code, login_attempts=1000)
    wrong: list[Any] = []
    roles = sorted(set().union(*WHO[code].values()) - EVERYBODY)
    for role in ("", *roles):
        async with Browser(address) as browser:
            csrf = ""
            if role:
                issued = accounts.issue(role.lower(), PIDS["ana"] if role in HERS else None, "Portal", role)
                if role == REPRESENTATIVE:
                    accounts.note_mandate(role.lower(), Mandate("ab" * 32, date(2026, 4, 20)))
                await browser.log_in(role.lower(), issued)
                csrf = browser.page.csrf
                assert csrf, browser.page.text
            for method, route in routes(world, code):
                if route in ("/entrar", "/salir"):
                    continue
                path, may = filled(route)[0], allowed(code, route)
                status, to = await answered(browser, method, path, csrf)
                is_let_in = status != 403 and to != "/entrar"
                if is_let_in != (may == EVERYBODY or role in may):
                    wrong.append((role, method, path, status, to))
    assert wrong == []


async def test_no_address_shows_or_moves_anything_of_another_person(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM", login_attempts=1000)
    async with Browser(address) as ana:
        await logged_in(world, ana, accounts, "ana")
        folio = await file_request(
            ana, "RECTIFICACION", ("descripcion", "un secreto de ana"), ("c-nombre", "Ana")
        )
    accounts.issue("apoderado", PIDS["jose"], "Portal", REPRESENTATIVE)
    accounts.note_mandate("apoderado", Mandate("ab" * 32, date(2026, 4, 20)))
    books = open_database(world.system_folder("15-ISSEMYM") / "institute.sqlite", STEPS)
    before = ArcoStore(books).request(folio)
    assert before is not None
    for name, role in (("jose", PERSON), ("apoderado", REPRESENTATIVE)):
        issued = accounts.issue(name, PIDS["jose"], "Portal", role)
        async with Browser(address) as browser:
            await browser.log_in(name, issued)
            csrf = browser.page.csrf
            seen = len(world.messages)
            for method, route in routes(world, "15-ISSEMYM"):
                if not allowed("15-ISSEMYM", route) >= HERS:
                    continue
                path = re.sub(r"\{(folio|caso)\}", folio, route)
                for query in ("", f"?pid={PIDS['ana']}&cuenta=ana&folio={folio}&titular={PIDS['ana']}"):
                    fields = [("csrf", csrf), ("confirmo", "1"), ("pid", PIDS["ana"]), ("folio", folio), ("texto", "x"),
                              ("agravios", "x"), ("instituto", "MX/GOB/15-ISSEMYM"), ("cuenta", "ana"), ("derecho", "ACCESO"),
                              ("paso", "DESISTIR"), ("estado", "DESISTIDA")]  # fmt: skip
                    if method == "POST":
                        await browser.post(path + query, aiohttp.FormData(fields))
                        text = browser.page.source
                    else:
                        async with browser._session.get(address + path + query) as got:
                            text = (await got.read()).decode("utf-8", "replace")
                    assert "un secreto de ana" not in text, (name, method, path)
                    assert PIDS["ana"] not in text.replace(f"pid={PIDS['ana']}", "").replace(
                        f"titular={PIDS['ana']}", ""
                    )
            asked = world.messages[seen:]
            assert asked
            assert [m.path for m in asked if PIDS["ana"].encode() in m.body] == [], (
                "only of her own account's pseudonym"
            )
    assert ArcoStore(books).request(folio) == before
    books.close()
