"""Who is not let in, at the gateway's admin API and at the central server's: refused, on the audit log, never a stack trace."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
import argon2
import pytest
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from central_server.admin.api import make_api as make_central_api
from central_server.admin.context import CentralAdminContext
from central_server.config import Publishing
from central_server.datafolder import BACKUP_CONTENT
from central_server.edges.management import StoreKeeper
from central_server.management.requests import MANUAL
from central_server.publication.node import CentralNode
from central_server.store.records import CentralStore
from gateway.admin.api import make_api as make_gateway_api
from gateway.server.process import GatewayProcess
from gateway.settings.config import GatewaySettings
from gateway.settings.datafolder import DataFolder
from serving.api.authentication import AccessEvent, Clock
from serving.api.backupoperations import BackupResource
from serving.config.adminsettings import AdminSettings
from serving.config.oidcsettings import OidcSettings
from serving.config.secret import SecretSource
from serving.login.users import Logins
from serving.storage.keysafe import KeySafe, Seal
from tests.openidprovider import CLIENT_ID, SECRET, OpenIdProvider

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from aiohttp import ClientResponse

    from serving.api.server import AdminApi

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PUBLIC = "https://server.example:4000"
QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
BOSS, CLERK = "XROAD_SYSTEM_ADMINISTRATOR", "XROAD_REGISTRATION_OFFICER"


@dataclass
class Server:
    """One of the two admin APIs, with a clock that a test moves. ``change`` is a call that a clerk may not make."""

    api: AdminApi
    client: TestClient[Any, Any]
    logins: Logins
    change: tuple[str, str]
    now: datetime = NOW
    monotonic: float = 0.0

    async def log_in(self, name: str, password: str = "good password") -> dict[str, str]:
        answer = await self.client.post("/login", data={"username": name, "password": password})
        cookies = {key: morsel.value for key, morsel in answer.cookies.items()}
        return {
            "Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items()),
            "X-XSRF-TOKEN": cookies["XSRF-TOKEN"],
        }

    async def refused(self, answer: ClientResponse, status: int, event: str) -> dict[str, Any]:
        """The answer refuses, says nothing of the inside, and stands last on the audit log."""
        text = await answer.text()
        assert answer.status == status, text
        assert json.loads(text)["status"] == status
        assert "Traceback" not in text
        last: dict[str, Any] = json.loads(list(self.api.audit.records())[-1][1])
        assert (last["event"], last["outcome"]) == (event, "refused")
        return last


def _users(logins: Logins) -> None:
    logins.save_user("boss", "good password", [BOSS])
    logins.save_user("clerk", "good password", [CLERK])


def _oidc(issuer: str) -> OidcSettings:
    return OidcSettings(
        issuer=issuer,
        client_id=CLIENT_ID,
        client_secret=SecretSource(environment="OIDC_SECRET"),
        public_url=PUBLIC,
        roles={"bosses": (BOSS,)},
    )


@pytest.fixture
async def provider() -> AsyncIterator[OpenIdProvider]:
    made = OpenIdProvider(NOW)
    await made.server.start_server()
    yield made
    await made.server.close()


@pytest.fixture(params=["gateway", "central server"])
async def server(
    request: pytest.FixtureRequest, tmp_path: Path, provider: OpenIdProvider
) -> AsyncIterator[Server]:
    settings = AdminSettings(
        requests_per_second=0,
        requests_per_minute=0,
        allowed_hostnames="127.0.0.1,server.example",
        oidc=_oidc(provider.issuer),
    )
    logins = Logins(tmp_path / "logins.sqlite", QUICK)
    _users(logins)
    clock = Clock(lambda: made.now, lambda: made.monotonic)
    environ = {"OIDC_SECRET": SECRET}
    if request.param == "gateway":
        host = GatewayProcess(DataFolder(tmp_path / "gateway"), GatewaySettings(), None)
        api = make_gateway_api(host, settings, logins, clock, environ)
        change = ("POST", "/api/v1/backups")
    else:
        data = tmp_path / "central"
        node = CentralNode(data, CentralStore(data / "central.sqlite"), Publishing(key_kind="ec-p256"))
        context = CentralAdminContext(
            node, lambda: MANUAL, StoreKeeper(node.store, lambda: MANUAL).trusted, _trust, "test"
        )
        backups = BackupResource(
            data, BACKUP_CONTENT, tuple, lambda: "MX", "test", KeySafe((Seal.of_token(bytes(32)),))
        )
        api = make_central_api(context, settings, logins, clock, backups, environ)
        change = ("POST", "/api/v1/backups")
    client = TestClient(TestServer(api.app()), cookie_jar=aiohttp.DummyCookieJar())
    made = Server(api, client, logins, change)
    await client.start_server()
    yield made
    await client.close()
    logins.close()
    if request.param == "gateway":
        host.logins.close()
        host.store.close()
    else:
        await node.close()


async def _trust(*_: object) -> None:
    raise AssertionError("no external source is asked for")


@pytest.mark.xroad("F136")
async def test_wrong_login(server: Server) -> None:
    for name, password in (
        ("boss", "bad"),
        ("nobody", "good password"),
        ("x" * 300, "y"),
        ("boss", "z" * 300),
    ):
        answer = await server.client.post("/login", data={"username": name, "password": password})
        last = await server.refused(answer, 401, "FORM_LOGIN")
        assert last["who"] == name[:255]
    basic = base64.b64encode(b"boss:bad").decode()
    answer = await server.client.get("/api/v1/api-keys", headers={"Authorization": f"Basic {basic}"})
    await server.refused(answer, 401, "KEY_MANAGEMENT_PAM_LOGIN")


@pytest.mark.xroad("F136")
async def test_what_is_no_operation_is_recorded_under_x_roads_names(server: Server) -> None:
    headers = await server.log_in("clerk")
    # Reading what the role does not show; nothing would have changed, so no operation's own event says it.
    answer = await server.client.get("/api/v1/api-keys", headers=headers)
    last = await server.refused(answer, 403, "UNSPECIFIED_ACCESS_CHECK")
    assert (last["who"], last["target"]) == ("clerk", "GET /api/v1/api-keys")
    assert (await server.client.post("/logout", headers=headers)).status == 200
    recorded = [json.loads(raw) for _, raw, *_ in server.api.audit.records()]
    assert [(r["event"], r["outcome"]) for r in recorded] == [
        ("FORM_LOGIN", "done"),
        ("UNSPECIFIED_ACCESS_CHECK", "refused"),
        ("FORM_LOGOUT", "done"),
    ]
    assert {r["event"] for r in recorded} < {event.value for event in AccessEvent}


@pytest.mark.xroad("F136")
async def test_expired_and_unknown_api_key(server: Server) -> None:
    _, key = server.logins.make_api_key([BOSS], "boss", expires_at=NOW + timedelta(days=1))
    headers = {"Authorization": f"X-Road-ApiKey token={key}"}
    assert (await server.client.get("/api/v1/user", headers=headers)).status == 200
    server.now = NOW + timedelta(days=1)
    answer = await server.client.get("/api/v1/user", headers=headers)
    last = await server.refused(answer, 401, "API_KEY_AUTHENTICATION")
    assert last["detail"]["reason"] == "the API key has expired"
    headers = {"Authorization": "X-Road-ApiKey token=made-up"}
    await server.refused(
        await server.client.get("/api/v1/user", headers=headers), 401, "API_KEY_AUTHENTICATION"
    )


@pytest.mark.xroad("F136")
async def test_missing_and_wrong_csrf_value(server: Server) -> None:
    headers = await server.log_in("boss")
    for value in (None, "made-up"):
        shown = {"Cookie": headers["Cookie"], **({"X-XSRF-TOKEN": value} if value else {})}
        for method, path in (("GET", "/api/v1/user"), server.change, ("POST", "/logout")):
            answer = await server.client.request(method, path, headers=shown)
            await server.refused(answer, 403, "UNSPECIFIED_ACCESS_CHECK")
    assert (await server.client.get("/api/v1/user", headers=headers)).status == 200


async def test_wrong_role(server: Server) -> None:
    headers = await server.log_in("clerk")
    method, path = server.change
    answer = await server.client.request(method, path, headers=headers)
    last = await server.refused(answer, 403, "BACKUP")
    assert last["who"] == "clerk"
    assert last["detail"]["error"].endswith("BACKUP_CONFIGURATION")
    answer = await server.client.post("/api/v1/api-keys", json=[BOSS], headers=headers)
    await server.refused(answer, 403, "API_KEY_CREATE")


async def test_role_that_one_does_not_have_is_not_handed_out(server: Server) -> None:
    headers = await server.log_in("boss")
    answer = await server.client.post("/api/v1/api-keys", json=[CLERK], headers=headers)
    await server.refused(answer, 403, "API_KEY_CREATE")


@pytest.mark.parametrize("host", ["elsewhere.example", "elsewhere.example:4000", "server.example.evil", ""])
async def test_wrong_host(server: Server, host: str) -> None:
    for path in ("/", "/api/v1/user", "/login/oidc"):
        answer = await server.client.get(path, headers={"Host": host})
        await server.refused(answer, 400, "HOST_CHECK")
    assert (await server.client.get("/", headers={"Host": "server.example:4000"})).status == 200


async def test_thousand_logins(server: Server) -> None:
    for number in range(1000):
        answer = await server.client.post("/login", data={"username": "boss", "password": f"guess {number}"})
        assert answer.status == 401
        assert await answer.json() == {"status": 401}
    right = {"username": "boss", "password": "good password"}
    assert (await server.client.post("/login", data=right)).status == 401
    server.monotonic += 301
    assert (await server.client.post("/login", data=right)).status == 200
    assert server.api.audit.verify()[0] == 61


async def test_person_of_the_provider_without_a_role_here(server: Server, provider: OpenIdProvider) -> None:
    assert (await _through(server)).status == 303
    provider.claims["roles"] = ["strangers"]
    last = await server.refused(await _through(server), 401, "LOGIN_OIDC")
    assert "gives a role on this server" in last["detail"]["reason"]


async def _through(server: Server) -> ClientResponse:
    """The whole way through the provider."""
    begun = await server.client.get("/login/oidc", allow_redirects=False)
    cookie = begun.cookies["__Host-OIDC"].value
    async with aiohttp.ClientSession() as session:
        agreed = await session.get(URL(begun.headers["Location"], encoded=True), allow_redirects=False)
    path = agreed.headers["Location"].removeprefix(PUBLIC)
    headers = {"Cookie": f"__Host-OIDC={cookie}"}
    return await server.client.get(URL(path, encoded=True), headers=headers, allow_redirects=False)
