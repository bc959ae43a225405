"""Logging in with an OpenID provider: who gets in, and every way in which an answer that proves nothing is refused."""

from __future__ import annotations

import contextlib
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import psycopg
import pytest
from yarl import URL

from serving.config.oidcsettings import OidcSettings
from serving.config.secret import SecretSource
from serving.errors import OperatorError
from serving.login.sessionplaces import open_sessions
from serving.login.sessions import MOST_WAITING, WaitingLogin
from tests.openidprovider import CLIENT_ID, SECRET, OpenIdProvider
from tests.unit.serving.test_adminapi import ROLES, Setting

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import ClientResponse

    from serving.login.sessions import SessionStore
    from tests.postgres import Cluster

PUBLIC = "https://gateway.example:4000"


class Stage(Setting):
    """An admin API whose administrators come from a provider, and a browser."""

    def __init__(self, folder: Path, issuer: str, sessions: SessionStore | None = None, **oidc: Any) -> None:
        settings = {
            "issuer": issuer,
            "client_id": CLIENT_ID,
            "client_secret": SecretSource(environment="OIDC_SECRET"),
            "public_url": PUBLIC,
            "name_claim": "preferred_username",
            "roles": {"bosses": ("BOSS",), "readers": ("READER",), "everything": ("all",)},
            **oidc,
        }
        super().__init__(folder, {"OIDC_SECRET": SECRET}, sessions, oidc=OidcSettings(**settings))

    async def begin(self, back: str = "") -> tuple[str, str]:
        """Where the browser is sent, and its cookie; ``back`` is the page that was asked for."""
        asked = {"vuelta": back} if back else {}
        answer = await self.client.get("/login/oidc", params=asked, allow_redirects=False)
        assert answer.status == 302, await answer.text()
        cookie = answer.cookies["__Host-OIDC"]
        assert cookie["httponly"]
        assert cookie["secure"]
        assert cookie["samesite"] == "Lax"
        return answer.headers["Location"], cookie.value

    async def agree(self, at: str) -> str:
        """What the provider sends the browser back with: path and query."""
        async with aiohttp.ClientSession() as session:
            answer = await session.get(URL(at, encoded=True), allow_redirects=False)
        where = answer.headers["Location"]
        assert where.startswith(f"{PUBLIC}/login/oidc/callback?")
        return where.removeprefix(PUBLIC)

    async def come_back(self, path: str, browser: str | None) -> ClientResponse:
        headers = {"Cookie": f"__Host-OIDC={browser}"} if browser else {}
        return await self.client.get(URL(path, encoded=True), headers=headers, allow_redirects=False)

    async def log_in_there(self) -> ClientResponse:
        """The whole way."""
        at, browser = await self.begin()
        return await self.come_back(await self.agree(at), browser)

    async def refused(self, answer: ClientResponse, why: str, status: int = 401) -> None:
        """The answer is a refusal that says why, opens nothing, and is on the audit log."""
        body = await answer.json()
        assert answer.status == status, body
        assert why in body["error"]["metadata"][0]
        assert "JSESSIONID" not in answer.cookies
        last = self.recorded()[-1]
        assert (last["event"], last["outcome"]) == ("LOGIN_OIDC", "refused")
        assert why in json.dumps(last["detail"])
        assert "Traceback" not in json.dumps(body)


@pytest.fixture
async def provider() -> AsyncIterator[OpenIdProvider]:
    made = OpenIdProvider(Stage.NOW)
    await made.server.start_server()
    yield made
    await made.server.close()


@contextlib.asynccontextmanager
async def staged(folder: Path, issuer: str, sessions: SessionStore | None = None) -> AsyncIterator[Stage]:
    made = Stage(folder, issuer, sessions)
    await made.open()
    yield made
    await made.close()
    made.api.authentication.sessions.close()


@pytest.fixture
async def stage(tmp_path: Path, provider: OpenIdProvider) -> AsyncIterator[Stage]:
    async with staged(tmp_path, provider.issuer) as made:
        yield made


def session_headers(answer: ClientResponse) -> dict[str, str]:
    cookies = {name: morsel.value for name, morsel in answer.cookies.items() if morsel.value}
    return {
        "Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items()),
        "X-XSRF-TOKEN": cookies["XSRF-TOKEN"],
    }


@pytest.mark.xroad("F131")
async def test_person_whom_the_provider_names_gets_the_roles_of_the_mapping(stage: Stage) -> None:
    answer = await stage.log_in_there()
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    shown = await stage.client.get("/api/v1/user", headers=session_headers(answer))
    assert await shown.json() == {
        "username": "oidc:ana",
        "roles": ["BOSS"],
        "permissions": sorted(ROLES.permissions["BOSS"]),
    }
    made = await stage.client.post(
        "/api/v1/things", json={"thing": {"code": "a"}}, headers=session_headers(answer)
    )
    assert made.status == 201
    login, change = stage.recorded()[-2:]
    assert (login["event"], login["outcome"], login["detail"]) == ("LOGIN_OIDC", "done", {"sub": "u-17"})
    assert (change["who"], change["event"]) == ("oidc:ana", "ADD_THING")


@pytest.mark.parametrize(
    ("back", "place"),
    [
        ("/consola/clientes?q=a%22%3E&pagina=2", "/consola/clientes?q=a%22%3E&pagina=2"),
        ('/consola/a"><script>', '/consola/a"><script>'),
        ("https://evil.example/consola/", ""),
        ("//evil.example/consola/", ""),
        ("/consola/\\evil.example", ""),
        ("/consola/\r\nSet-Cookie: a=b", ""),
        ("/otra", ""),
    ],
)
async def test_login_leads_to_the_page_that_was_asked_for_and_nowhere_else(
    stage: Stage, back: str, place: str
) -> None:
    at, browser = await stage.begin(back)
    answer = await stage.come_back(await stage.agree(at), browser)
    assert "JSESSIONID" in answer.cookies
    if not place:
        assert (answer.status, answer.headers["Location"]) == (303, "/")
        return
    # Not a redirect: a cookie that is for this site alone is not sent while the provider leads.
    assert (answer.status, answer.headers["Refresh"]) == (200, f"0; url={place}")
    assert "<script" not in await answer.text()
    assert (await stage.client.get("/login/oidc/callback?state=again")).status == 401


async def test_session_needs_its_csrf_value_and_ends_at_logout(stage: Stage) -> None:
    headers = session_headers(await stage.log_in_there())
    without = {"Cookie": headers["Cookie"]}
    assert (await stage.client.get("/api/v1/user", headers=without)).status == 403
    assert (await stage.client.post("/logout", headers=headers)).status == 200
    assert (await stage.client.get("/api/v1/user", headers=headers)).status == 401


async def test_session_ends_after_its_time_however_busy_it_is(stage: Stage) -> None:
    headers = session_headers(await stage.log_in_there())
    for _ in range(28):
        stage.monotonic += 1000
        assert (await stage.client.get("/api/v1/user", headers=headers)).status == 200
    stage.monotonic += 1000
    assert (await stage.client.get("/api/v1/user", headers=headers)).status == 401


async def test_claim_within_an_object_may_hold_the_roles_and_another_the_clients(
    tmp_path: Path, provider: OpenIdProvider
) -> None:
    provider.claims |= {"realm": {"roles": "everything other"}, "clients": ["MX:GOB:1:mine"]}
    stage = Stage(tmp_path, provider.issuer, roles_claim="realm.roles", clients_claim="clients")
    await stage.open()
    headers = session_headers(await stage.log_in_there())
    who = await (await stage.client.get("/api/v1/user", headers=headers)).json()
    assert who["roles"] == ["BOSS", "READER"]
    for code, status in (("mine", 201), ("other", 403)):
        answer = await stage.client.post("/api/v1/things", json={"thing": {"code": code}}, headers=headers)
        assert answer.status == status
    provider.claims["clients"] = []
    await stage.refused(await stage.log_in_there(), "names no client")
    await stage.close()


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://elsewhere.example"}, "is of issuer 'https://elsewhere.example'"),
        ({"aud": "another-client"}, "is for 'another-client'"),
        ({"aud": ["another-client"]}, "is for ['another-client']"),
        ({"aud": [CLIENT_ID, "another-client"]}, "authorised party is None"),
        ({"azp": "another-client"}, "authorised party is 'another-client'"),
        ({"exp": 1_000_000_000}, "expired"),
        ({"exp": None}, "exp is no time"),
        ({"exp": "never"}, "exp is no time"),
        ({"exp": float("inf")}, "exp is no time"),
        ({"iat": 4_000_000_000}, "in the future"),
        ({"nbf": 4_000_000_000}, "not valid yet"),
        ({"nonce": "another"}, "answers another login"),
        ({"nonce": None}, "answers another login"),
        ({"sub": None}, "names nobody"),
        ({"preferred_username": None}, "holds no name"),
        ({"preferred_username": "a\nb"}, "holds no name"),
        ({"roles": None}, "gives a role on this server"),
        ({"roles": ["strangers"]}, "gives a role on this server"),
    ],
)
async def test_token_that_says_something_wrong_is_refused(
    stage: Stage, provider: OpenIdProvider, claims: dict[str, Any], why: str
) -> None:
    provider.lies.claims = claims
    await stage.refused(await stage.log_in_there(), why)


@pytest.mark.parametrize(
    ("lie", "why"),
    [
        ("unsigned", "is signed with 'none'"),
        ("symmetric", "is signed with 'HS256'"),
        ("hidden_key", "which is none of the provider's"),
    ],
)
async def test_token_that_the_provider_did_not_sign_is_refused(
    stage: Stage, provider: OpenIdProvider, lie: str, why: str
) -> None:
    setattr(provider.lies, lie, True)
    await stage.refused(await stage.log_in_there(), why)


async def test_token_signed_by_another_key_of_the_same_name_is_refused(
    stage: Stage, provider: OpenIdProvider
) -> None:
    assert (await stage.log_in_there()).status == 303
    name = provider.keys[0].kid
    provider.rotate()
    provider.keys[0].ensure_kid()
    imposter = provider.keys[0].as_dict(private=True) | {"kid": name}
    provider.keys = [type(provider.keys[0]).import_key(imposter)]  # type: ignore[arg-type]
    await stage.refused(await stage.log_in_there(), "signature does not hold")


async def test_rotated_keys_are_read_again_and_made_up_ones_do_not_hammer_the_provider(
    stage: Stage, provider: OpenIdProvider
) -> None:
    assert (await stage.log_in_there()).status == 303
    provider.rotate()
    stage.monotonic += 11
    assert (await stage.log_in_there()).status == 303
    assert provider.key_reads == 2
    provider.lies.hidden_key = True
    for _ in range(5):
        await stage.refused(await stage.log_in_there(), "which is none of the provider's")
    assert provider.key_reads == 2


async def test_key_that_the_provider_withdrew_is_trusted_no_longer(
    stage: Stage, provider: OpenIdProvider
) -> None:
    assert (await stage.log_in_there()).status == 303
    old = list(provider.keys)
    at, browser = await stage.begin()
    path = await stage.agree(at)
    provider.rotate()
    stage.monotonic += (
        200  # within the time for a login; the keys are read again, for another login needs the new one
    )
    assert (await stage.log_in_there()).status == 303
    provider.keys = old
    await stage.refused(await stage.come_back(path, browser), "which is none of the provider's")


async def test_state_is_good_once_in_its_browser_and_for_its_time(stage: Stage) -> None:
    at, browser = await stage.begin()
    path = await stage.agree(at)
    assert (await stage.come_back(path, browser)).status == 303
    await stage.refused(await stage.come_back(path, browser), "no login that is waiting")
    await stage.refused(await stage.come_back("/login/oidc/callback", browser), "no login that is waiting")
    for other in (None, "stolen"):
        at, _ = await stage.begin()
        await stage.refused(await stage.come_back(await stage.agree(at), other), "in another browser")
    at, browser = await stage.begin()
    path = await stage.agree(at)
    stage.monotonic += 301
    await stage.refused(await stage.come_back(path, browser), "longer than 300 s")


@pytest.mark.processes
async def test_a_login_begun_at_one_node_ends_at_another_and_is_good_once_there_too(
    tmp_path: Path, provider: OpenIdProvider, postgres: Cluster
) -> None:
    where = postgres.new_database()
    async with contextlib.AsyncExitStack() as stack:
        one, two = [
            await stack.enter_async_context(
                staged(tmp_path / name, provider.issuer, open_sessions(where, 60))
            )
            for name in ("one", "two")
        ]
        at, browser = await one.begin()
        path = await one.agree(at)
        answer = await two.come_back(path, browser)
        assert answer.status == 303
        assert (await one.client.get("/api/v1/user", headers=session_headers(answer))).status == 200
        for node in (one, two):
            await node.refused(await node.come_back(path, browser), "no login that is waiting")
        at, browser = await one.begin()
        path = await one.agree(at)
        await two.refused(await two.come_back(path, "stolen"), "in another browser")
        at, browser = await two.begin()
        with psycopg.connect(where, autocommit=True) as connection:
            connection.execute("UPDATE nodes.waiting_login SET begun_ms = begun_ms - 301000")
        await one.refused(await one.come_back(await two.agree(at), browser), "longer than 300 s")


@pytest.mark.processes
def test_logins_that_wait_in_a_shared_database_are_bounded_and_the_oldest_goes_first(
    postgres: Cluster,
) -> None:
    where = postgres.new_database()
    with (
        contextlib.closing(open_sessions(where, 60)) as sessions,
        psycopg.connect(where, autocommit=True) as at,
    ):
        at.execute(
            "INSERT INTO nodes.waiting_login SELECT 's' || n, '', '', '', '', nodes.now_ms() - n "
            "FROM generate_series(1, %s) AS n",
            (MOST_WAITING,),
        )
        at.execute("UPDATE nodes.waiting_login SET begun_ms = begun_ms - 3600000 WHERE state = 's1'")
        sessions.keep_waiting("mine", WaitingLogin("n", "v", "b", "/page"), 0.0)
        kept = {state for (state,) in at.execute("SELECT state FROM nodes.waiting_login").fetchall()}
        assert len(kept) == MOST_WAITING
        assert "s1" not in kept
        taken = sessions.take_waiting("mine", 0.0)
    assert taken is not None
    assert taken[0] == WaitingLogin("n", "v", "b", "/page")


async def test_answer_of_another_issuer_or_without_a_code_or_with_an_error_is_refused(
    stage: Stage, provider: OpenIdProvider
) -> None:
    provider.lies.answer_issuer = "https://elsewhere.example"
    await stage.refused(await stage.log_in_there(), "the answer is of issuer")
    provider.lies.answer_issuer = None
    for query, why in (
        ("", "the answer is of issuer 'none'"),
        (f"&iss={provider.issuer}", "holds no code"),
        ("&error=access_denied&error_description=not+today", "the provider refused: access_denied not today"),
        (f"&iss={provider.issuer}&code=made-up", "refused the code: invalid_grant"),
    ):
        at, browser = await stage.begin()
        state = parse_qs(urlsplit(at).query)["state"][0]
        answer = await stage.come_back(f"/login/oidc/callback?state={state}{query}", browser)
        await stage.refused(answer, why)


async def test_code_of_one_login_is_no_good_in_another(stage: Stage) -> None:
    first, _ = await stage.begin()
    code = parse_qs(urlsplit(await stage.agree(first)).query)["code"][0]
    second, browser = await stage.begin()
    path = await stage.agree(second)
    mixed = path.replace(parse_qs(urlsplit(path).query)["code"][0], code)
    await stage.refused(await stage.come_back(mixed, browser), "refused the code: invalid_grant")


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({"issuer": "https://elsewhere.example"}, "is metadata of issuer"),
        ({"code_challenge_methods_supported": ["plain"]}, "does not do PKCE with S256"),
        ({"token_endpoint": "http://elsewhere.example/token"}, "must be an https URL"),
        ({"jwks_uri": 5}, "cannot be used"),
    ],
)
async def test_provider_whose_metadata_is_not_its_own_is_not_used(
    stage: Stage, provider: OpenIdProvider, metadata: dict[str, Any], why: str
) -> None:
    provider.lies.metadata = metadata
    answer = await stage.client.get("/login/oidc", allow_redirects=False)
    await stage.refused(answer, why, 500)


async def test_provider_that_is_down_is_said_and_passwords_go_on(
    stage: Stage, provider: OpenIdProvider
) -> None:
    await provider.server.close()
    answer = await stage.client.get("/login/oidc", allow_redirects=False)
    await stage.refused(answer, "was not reached", 500)
    assert (await stage.log_in("ana"))["X-XSRF-TOKEN"]


async def test_thousand_made_up_answers_are_refused_and_leave_the_waiting_ones_alone(stage: Stage) -> None:
    at, browser = await stage.begin()
    for number in range(1000):
        answer = await stage.come_back(f"/login/oidc/callback?state={number}&code=x", browser)
        assert answer.status == 401
    assert (await stage.come_back(await stage.agree(at), browser)).status == 303
    assert len([e for e in stage.recorded() if e["outcome"] == "refused"]) == 60


async def test_without_a_provider_there_is_no_such_login(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    await setting.open()
    assert (await setting.client.get("/login/oidc")).status == 404
    assert "/login/oidc" not in setting.api.document["paths"]
    await setting.close()


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"client_id": ""}, "client_id is needed"),
        ({"roles": {}}, "roles is needed"),
        ({"public_url": "http://gateway.example"}, "must be an https URL"),
        ({"issuer": "http://provider.example"}, "must be an https URL"),
        ({"scope": "profile"}, "must hold openid"),
        ({"roles": {"x": ("KING",)}}, "unknown roles: KING"),
    ],
)
def test_settings_that_cannot_work_stop_the_start(wrong: dict[str, Any], why: str) -> None:
    good = {
        "issuer": "https://provider.example",
        "client_id": "x",
        "public_url": PUBLIC,
        "roles": {"x": ("BOSS",)},
    }
    OidcSettings(**good).check(ROLES.of_people())  # type: ignore[arg-type]
    with pytest.raises(OperatorError, match=why):
        OidcSettings(**good | wrong).check(ROLES.of_people())


async def test_expiry_counts_with_the_leeway_for_clocks_that_differ(
    stage: Stage, provider: OpenIdProvider
) -> None:
    provider.now = stage.now - timedelta(seconds=60 + 29)
    assert (await stage.log_in_there()).status == 303
    provider.now = stage.now - timedelta(seconds=60 + 30)
    await stage.refused(await stage.log_in_there(), "expired 30 s ago")
