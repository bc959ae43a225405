"""The door of a portal: two proofs, a session of its own, forms of its own pages, headers that keep data at home."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from serving.errors import OperatorError
from serving.storage.audit import AuditLog
from social_security.portal import onetime
from social_security.portal.accounts import Accounts
from social_security.portal.settings import load
from tests.portals import PIDS, Browser, World, code_now, open_world
from tests.ports import free_port

PAGES = ("/", "/historia", "/accesos", "/derechos", "/derechos/nueva", "/derechos/ARCO-15-2026-00000001")
OPEN = ("/entrar", "/aviso", "/accesibilidad", "/no-hay-tal")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize(
    ("seconds", "code"),
    [(59, "287082"), (1111111109, "081804"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_codes_are_those_of_rfc_6238(seconds: int, code: str) -> None:
    at = datetime.fromtimestamp(seconds, UTC)
    assert onetime.code_at(b"12345678901234567890", onetime.counter_at(at)) == code


def test_a_code_is_good_one_step_either_way_and_once() -> None:
    secret, now = b"x" * 20, datetime(2026, 4, 20, tzinfo=UTC)
    current = onetime.counter_at(now)
    for step in (-1, 0, 1):
        assert onetime.find_counter(secret, onetime.code_at(secret, current + step), now, 0) == current + step
    assert onetime.find_counter(secret, onetime.code_at(secret, current + 2), now, 0) is None
    assert onetime.find_counter(secret, onetime.code_at(secret, current), now, current) is None


def test_an_account_is_not_named_after_a_curp(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path)
    with pytest.raises(OperatorError, match="CURP"):
        accounts.issue("eepa780514mmcjrn95", PIDS["ana"], "Portal")
    accounts.close()


@pytest.mark.parametrize(
    "address",
    ["http://portal.example", "ftp://127.0.0.1", "https://portal.example/x", "https://", "portal.example"],
)
def test_an_address_without_tls_or_with_a_path_stops_the_start(address: str, tmp_path: Path) -> None:
    file = tmp_path / "portal.toml"
    file.write_text(f'member = "15-ISSEMYM"\ngateway = "http://127.0.0.1:1"\npublic_url = "{address}"\n')
    with pytest.raises(OperatorError, match="public_url"):
        load(file, {})


async def test_without_a_login_every_page_leads_to_the_door(world: World) -> None:
    address, _ = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        for path in PAGES:
            await browser.get(path, allow_redirects=False)
            assert (browser.status, browser.headers["Location"]) == (303, "/entrar"), path
        await browser.post("/derechos/nueva", {"csrf": "x"}, allow_redirects=False)
        assert (browser.status, browser.headers["Location"]) == (303, "/entrar")
    assert world.messages == []


async def test_it_takes_the_password_and_a_code_and_each_code_once(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM", login_attempts=50)
    ana = accounts.issue("ana", PIDS["ana"], "Portal")
    jose = accounts.issue("jose", PIDS["jose"], "Portal")
    telephone = code_now(ana)
    async with Browser(address) as browser:
        for password, code in (
            ("wrong", ana.codes[0]),
            (ana.password, ""),
            (ana.password, "000000" if telephone != "000000" else "111111"),
            (ana.password, jose.codes[0]),
            (ana.password, ana.codes[0][:-1]),
        ):
            await browser.post("/entrar", {"cuenta": "ana", "clave": password, "codigo": code})
            assert browser.status == 401
            assert "sirve una sola vez" in browser.page.text
        for number in range(3):
            listed = (ana.codes[0], ana.codes[1].lower().replace("-", " "))
            code = listed[number] if number < 2 else code_now(ana)
            await browser.post("/entrar", {"cuenta": "ana", "clave": ana.password, "codigo": code})
            assert "Mi expediente" in browser.page.text
            await browser.send("/salir")
            await browser.post("/entrar", {"cuenta": "ana", "clave": ana.password, "codigo": code})
            assert browser.status == 401
    assert accounts.listed_left("ana") == 8


async def test_wrong_logins_lock_the_account_for_that_address_and_stand_on_the_audit_log(
    world: World,
) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    ana = accounts.issue("ana", PIDS["ana"], "Portal")
    async with Browser(address) as browser:
        for _ in range(3):
            await browser.post("/entrar", {"cuenta": "ana", "clave": "x", "codigo": "123456"})
        await browser.log_in("ana", ana)
        assert browser.status == 429
    log = AuditLog(accounts.logins.database)
    log.verify()
    text = b"".join(log.export()).decode()
    assert text.count("wrong proof") >= 1
    assert "locked" in text
    assert ana.password not in text


async def test_the_session_is_new_at_each_login_and_a_cookie_brought_along_is_nobody(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    ana = accounts.issue("ana", PIDS["ana"], "Portal")
    async with Browser(address) as browser:
        await browser.get_as("f" * 64)
        assert browser.status == 303
        headers = {"Cookie": "sesion=" + "f" * 64}
        data = {"cuenta": "ana", "clave": ana.password, "codigo": ana.codes[0]}
        await browser.post("/entrar", data, headers=headers)
        first = browser.cookies["sesion"]
        assert first != "f" * 64
        await browser.get_as("f" * 64)
        assert browser.status == 303
        await browser.post("/entrar", data | {"codigo": ana.codes[1]})
        assert browser.cookies["sesion"] not in ("f" * 64, first)
        await browser.get_as(first)
        assert browser.status == 303


async def test_the_session_ends_with_the_logout_and_with_the_account(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    ana = accounts.issue("ana", PIDS["ana"], "Portal")
    async with Browser(address) as browser:
        await browser.log_in("ana", ana)
        kept = browser.cookies["sesion"]
        await browser.send("/salir")
        await browser.get_as(kept)
        assert browser.status == 303
        await browser.log_in("ana", ana, code=ana.codes[1])
        accounts.remove("ana")
        await browser.get("/", allow_redirects=False)
        assert browser.status == 303


async def test_a_form_needs_the_value_of_its_session_and_this_site(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    ana = accounts.issue("ana", PIDS["ana"], "Portal")
    fields = [("derecho", "ACCESO"), ("instituto", "MX/GOB/15-ISSEMYM")]
    async with Browser(address) as browser:
        await browser.log_in("ana", ana)
        csrf = browser.page.csrf
        before = len(world.messages)
        for token, headers in (
            ("", {}),
            ("0" * 32, {}),
            (csrf, {"Origin": "https://evil.example"}),
            (csrf, {"Origin": "null"}),
            (csrf, {"Sec-Fetch-Site": "cross-site", "Origin": ""}),
            (csrf, {"Sec-Fetch-Site": "same-site", "Origin": ""}),
        ):
            await browser.post(
                "/derechos/nueva", aiohttp.FormData([("csrf", token), *fields]), headers=headers
            )
            assert browser.status == 403, (token, headers)
            assert "no se hizo nada" in browser.page.text
        await browser.post("/salir", {"csrf": "x"})
        assert browser.status == 403
        assert len(world.messages) == before
        assert accounts.folios("ana") == []
        await browser.post("/entrar", {"cuenta": "ana"}, headers={"Origin": "https://evil.example"})
        assert browser.status == 403


async def test_every_page_keeps_data_at_home_and_runs_nothing(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    ana = accounts.issue("ana", PIDS["ana"], "Portal")
    async with Browser(address) as browser:
        await browser.log_in("ana", ana)
        for path in (*PAGES, *OPEN):
            await browser.get(path, allow_redirects=False)
            headers = browser.headers
            assert headers["Cache-Control"] == "no-store", path
            assert headers["X-Frame-Options"] == "DENY"
            assert headers["X-Content-Type-Options"] == "nosniff"
            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            for forbidden in (
                "<script",
                "<style",
                " style=",
                " onclick",
                "javascript:",
                "http://",
                "https://",
            ):
                found = browser.page.source.replace("https://issemym.example/aviso/v3", "")
                assert forbidden not in found, (path, forbidden)


async def test_cookies_are_for_this_site_alone(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    ana = accounts.issue("ana", PIDS["ana"], "Portal")
    async with aiohttp.ClientSession() as session:
        data = {"cuenta": "ana", "clave": ana.password, "codigo": ana.codes[0]}
        async with session.post(f"{address}/entrar", data=data, allow_redirects=False) as answer:
            (cookie,) = answer.headers.getall("Set-Cookie")
            assert answer.headers["Location"] == "/"
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {p.strip() for p in cookie.split(";")}


async def test_behind_tls_cookies_are_bound_to_this_host(world: World) -> None:
    public, accounts = await world.portal("15-ISSEMYM", public_url=f"https://127.0.0.1:{free_port()}")
    ana = accounts.issue("ana", PIDS["ana"], "Portal")
    plain = public.replace("https", "http")
    async with aiohttp.ClientSession() as session:
        data = {"cuenta": "ana", "clave": ana.password, "codigo": ana.codes[0]}
        async with session.post(f"{plain}/entrar", data=data, allow_redirects=False) as answer:
            (cookie,) = answer.headers.getall("Set-Cookie")
            assert "Strict-Transport-Security" in answer.headers
    assert cookie.startswith("__Host-sesion=")
    assert "Secure" in cookie


async def test_no_address_of_a_request_is_followed(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    ana = accounts.issue("ana", PIDS["ana"], "Portal")
    async with Browser(address) as browser:
        for path in (
            "/entrar?next=//evil.example",
            "//evil.example/",
            "/\\evil.example",
            "/entrar?lang=//evil",
        ):
            await browser.get(path)
            assert all(link.startswith(("/", "?", "#")) for link in browser.page.links), path
            assert not any(link.startswith(("//", "/\\")) for link in browser.page.links), path
        data = {"cuenta": "ana", "clave": ana.password, "codigo": ana.codes[0], "next": "//evil.example"}
        await browser.post("/entrar?next=//evil.example", data, allow_redirects=False)
        assert browser.headers["Location"] == "/"


async def test_another_name_than_the_portals_is_refused(world: World) -> None:
    address, _ = await world.portal("15-ISSEMYM")
    async with Browser(address) as browser:
        await browser.get("/entrar", headers={"Host": "evil.example"})
        assert browser.status == 421


async def test_too_many_requests_and_too_large_forms_are_refused(world: World) -> None:
    address, _ = await world.portal("15-ISSEMYM", requests_per_minute=4)
    async with Browser(address) as browser:
        await browser.post("/entrar", {"cuenta": "a" * 100_000})
        assert browser.status == 413
        await browser.post("/entrar", b"{}", headers={"Content-Type": "application/json"})
        assert browser.status == 415
        await browser.get("/entrar")
        await browser.get("/entrar")
        await browser.get("/entrar")
        assert browser.status == 429
        assert "espere un minuto" in browser.page.text


async def test_pages_speak_the_browsers_language_and_the_one_that_was_chosen(world: World) -> None:
    address, _ = await world.portal("15-ISSEMYM")
    for accepted, expected in (
        ("fr,en;q=0.8,es;q=0.5", "en"),
        ("es-MX,en;q=0.9", "es"),
        ("fr", "es"),
        ("", "es"),
        ("en;q=bad,es;q=0.1", "es"),
    ):
        async with Browser(address, accepted) as browser:
            await browser.get("/entrar")
            assert f'<html lang="{expected}">' in browser.page.source, accepted
    async with Browser(address, "es") as browser:
        await browser.get("/entrar?lang=en")
        assert "Log in" in browser.page.text
        await browser.get("/accesibilidad")
        assert "Accessibility" in browser.page.text
        await browser.get("/no-hay-tal")
        assert browser.status == 404
        assert "There is no such page here." in browser.page.text
        await browser.get("/entrar?lang=xx")
        assert "Log in" in browser.page.text
