"""Who works at a member logs in at its portal with the institution's account: one role by its claims, nobody without, no person."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from serving.config.oidcsettings import OidcSettings
from serving.config.secret import SecretSource
from serving.errors import OperatorError
from social_security.portal.accounts import COMMITTEE, COUNTER, UNIT
from tests.openidprovider import CLIENT_ID, SECRET, OpenIdProvider
from tests.portals import Browser, World, open_world
from tests.ports import free_port

GROUPS = {"mesa": (COUNTER,), "unidad": (UNIT,), "ambas": (UNIT, COMMITTEE), "todo": ("all",)}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


@pytest.fixture
async def provider() -> AsyncIterator[OpenIdProvider]:
    made = OpenIdProvider(datetime.now(UTC))
    await made.server.start_server()
    yield made
    await made.server.close()


async def portal(world: World, provider: OpenIdProvider, code: str, roles: dict[str, Any]) -> str:
    (world.folder / "secret-of-the-provider").write_text(SECRET, encoding="utf-8")
    (world.folder / "secret-of-the-provider").chmod(0o600)
    public = f"http://127.0.0.1:{free_port()}"
    settings = OidcSettings(
        issuer=provider.issuer,
        client_id=CLIENT_ID,
        client_secret=SecretSource(file=str(world.folder / "secret-of-the-provider")),
        public_url=public,
        name_claim="preferred_username",
        roles=roles,
    )
    address, _ = await world.portal(code, public_url=public, oidc=settings)
    return address


async def go_and_come_back(address: str) -> tuple[aiohttp.ClientResponse, str]:
    """To the provider, which agrees, and back in the same browser; the answer, and its page."""
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        begun = await session.get(f"{address}/login/oidc", allow_redirects=False)
        assert begun.status == 302, await begun.text()
        agreed = await session.get(URL(begun.headers["Location"], encoded=True), allow_redirects=False)
        cookie = f"__Host-OIDC={begun.cookies['__Host-OIDC'].value}"
        back = await session.get(
            URL(agreed.headers["Location"], encoded=True), headers={"Cookie": cookie}, allow_redirects=False
        )
        return back, await back.text()


async def test_the_desk_s_account_at_the_provider_opens_the_desk_and_signs_with_its_name(
    world: World, provider: OpenIdProvider
) -> None:
    address = await portal(world, provider, "15-ISSEMYM", GROUPS)
    provider.claims |= {"roles": ["mesa"]}
    back, _ = await go_and_come_back(address)
    assert (back.status, back.headers["Refresh"]) == (200, "0; url=/")
    given = back.cookies["sesion"]
    assert (given["httponly"], given["samesite"]) == (True, "Strict")
    async with Browser(address) as browser:
        await browser.get("/entrar")
        assert "/login/oidc" in browser.page.links
        await browser.get_as(given.value)
        assert (browser.status, "oidc:ana" in browser.page.text) == (200, True)
        await browser.get_as(given.value, "/casos")
        assert browser.status == 200
        await browser.get_as(given.value, "/solicitudes")
        assert browser.status == 403, "the unit's"
    users = {m.headers.get("X-Road-UserId", "") for m in world.messages}
    assert "MX-15-ISSEMYM:oidc_ana" in users


@pytest.mark.parametrize(
    ("groups", "status"),
    [(["strangers"], 401), ([], 401), (["ambas"], 403), (["todo"], 403), (["mesa", "unidad"], 403)],
)
async def test_without_exactly_one_role_nobody_gets_in(
    world: World, provider: OpenIdProvider, groups: list[str], status: int
) -> None:
    address = await portal(world, provider, "15-ISSEMYM", GROUPS)
    provider.claims |= {"roles": groups}
    back, page = await go_and_come_back(address)
    assert back.status == status, page
    assert "sesion" not in back.cookies


async def test_a_person_s_role_cannot_come_from_a_provider(world: World, provider: OpenIdProvider) -> None:
    with pytest.raises(OperatorError, match="unknown roles: TITULAR"):
        await portal(world, provider, "15-ISSEMYM", {"mesa": ("TITULAR",)})


async def test_an_operator_begins_at_her_own_pages(world: World, provider: OpenIdProvider) -> None:
    address = await portal(world, provider, "00-ONIESS", {"oniess": ("OPERADOR_ALTA",)})
    provider.claims |= {"roles": ["oniess"]}
    back, _ = await go_and_come_back(address)
    assert back.headers["Refresh"] == "0; url=/operacion"
    async with Browser(address) as browser:
        await browser.get_as(back.cookies["sesion"].value, "/operacion")
        assert browser.status == 200
