"""What nobody opened is closed: the management service until somebody is pinned, admin APIs, their description."""

from __future__ import annotations

import ipaddress
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import aiohttp
import msgspec
import pytest
import requests
from aiohttp import web
from aiohttp.test_utils import TestServer

from central_server.app import CentralServer
from central_server.config import (
    CentralListenSettings,
    CentralSettings,
    Management,
    admin_host,
    management_host,
)
from central_server.edges.management import ManagementEdge, StoreKeeper
from central_server.management.requests import MANUAL
from central_server.registry.model import RegisteredServer
from central_server.store.loading import import_registry
from central_server.store.records import Actor, CentralStore
from gateway.settings.config import KeySettings
from schemas.faultxml import parse_soap_fault
from schemas.identifiers import ClientId
from schemas.management import ManagementRequest, ManagementServiceCode
from serving.api.limits import RateLimit
from serving.config.adminsettings import AdminSettings, local_host
from serving.storage.audit import AuditLog
from tests.instance import Instance
from tests.integration import centralhosting, hosting
from tests.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aiohttp.typedefs import Handler

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OWNER = ClientId("MX", "GOB", "15-ISSEMYM")
AFIL = OWNER.subsystem("AFIL")
SERVER = OWNER.server("SS1")
UNSIGNED = (
    ManagementRequest(ManagementServiceCode.CLIENT_DELETION, SERVER, AFIL),
    ManagementRequest(ManagementServiceCode.AUTH_CERT_DELETION, SERVER, auth_certificate=b"c"),
)


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path, NOW)


@pytest.fixture
def store(tmp_path: Path, instance: Instance) -> Iterator[CentralStore]:
    made = CentralStore(tmp_path / "central.sqlite")
    server = RegisteredServer(SERVER, "ss1.mx", (b"c",), (AFIL,))
    with made.change(Actor("ana"), NOW) as records:
        import_registry(records, instance.registry(AFIL, servers=(server,)))
    yield made
    made.close()


def service(store: CentralStore, address: str) -> web.Application:
    """The management service with nobody pinned, as it is called from an address."""

    @web.middleware
    async def from_address(request: web.Request, handler: Handler) -> web.StreamResponse:
        return await handler(request.clone(remote=address))

    edge = ManagementEdge(
        StoreKeeper(store, lambda: MANUAL),
        AuditLog(store.database),
        lambda: NOW,
        lambda: 0.0,
        RateLimit(0, 0),
    )
    app = edge.service_app()
    app.middlewares.append(from_address)
    return app


async def call(app: web.Application, instance: Instance, request: ManagementRequest) -> tuple[int, bytes]:
    content_type, body = instance.body(request)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        url = server.make_url("/managementservice/manage/")
        async with session.post(url, data=body, headers={"Content-Type": content_type}) as answer:
            return answer.status, await answer.read()


@pytest.mark.parametrize("request_", UNSIGNED, ids=lambda r: r.service.value)
@pytest.mark.parametrize(
    "address", ["203.0.113.9", "10.0.0.7", "169.254.1.1", "2001:db8::1", "fe80::1", "", "x"]
)
async def test_while_nobody_is_pinned_nobody_elsewhere_deletes_anything(
    store: CentralStore, instance: Instance, request_: ManagementRequest, address: str
) -> None:
    before = store.generation()
    status, raw = await call(service(store, address), instance, request_)
    fault = parse_soap_fault(raw)
    assert fault is not None
    assert (status, fault.code) == (500, "access_denied")
    assert store.generation() == before


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
async def test_what_nobody_proved_is_written_down_as_unproved(
    store: CentralStore, instance: Instance, address: str
) -> None:
    status, _ = await call(service(store, address), instance, UNSIGNED[0])
    assert status == 200
    told = [json.loads(text) for _, text, _ in AuditLog(store.database).records()]
    actors = {r["who"] for r in told if r.get("address") == address or r["event"] != "INIT"}
    assert any(a == f"unproved security server {SERVER.path()}" for a in actors), actors
    assert f"security server {SERVER.path()}" not in actors


# Where servers listen


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.5", "central.gob.mx", ""])
def test_a_public_address_opens_neither_the_admin_api_nor_an_unpinned_management_service(host: str) -> None:
    settings = CentralSettings(listen=CentralListenSettings(host=host))
    assert admin_host(settings) == management_host(settings) == "127.0.0.1"
    pinned = CentralSettings(
        listen=CentralListenSettings(host=host), management=Management(pinned_certificates=("a.pem",))
    )
    assert management_host(pinned) == host
    assert admin_host(pinned) == "127.0.0.1"


@pytest.mark.xroad("F099")
def test_an_address_that_is_named_is_the_one_that_is_taken() -> None:
    named = CentralSettings(
        listen=CentralListenSettings(host="10.0.0.5", management_host="10.0.0.6"),
        admin=AdminSettings(host="10.0.0.7"),
    )
    assert (management_host(named), admin_host(named)) == ("10.0.0.6", "10.0.0.7")
    local = CentralSettings(listen=CentralListenSettings(host="127.5.0.1"))
    assert (management_host(local), admin_host(local)) == ("127.5.0.1", "127.5.0.1")
    assert [local_host(h) for h in ("127.5.0.1", "::1", "::", "0.0.0.0", "localhost")] == [
        "127.5.0.1",
        "::1",
        "127.0.0.1",
        "127.0.0.1",
        "127.0.0.1",
    ]


async def test_a_central_server_as_installed_shows_strangers_the_configuration_and_the_registration_alone(
    tmp_path: Path,
) -> None:
    ports = [free_port() for _ in range(5)]
    listen = CentralListenSettings(
        http_port=ports[0], https_port=ports[1], registration_port=ports[2], management_port=ports[3]
    )
    admin = AdminSettings(port=ports[4])
    chosen = msgspec.structs.replace(centralhosting.settings(), listen=listen, admin=admin)
    server = CentralServer(tmp_path / "central", chosen)
    await centralhosting.initialise(server, tmp_path)
    await server.start()
    try:
        bound = [a for runner in server._runners for a in runner.addresses] + server.admin.addresses
        public = {port for host, port, *_ in bound if not ipaddress.ip_address(host).is_loopback}
        assert public == set(ports[:3])
        assert {port for _, port, *_ in bound} == set(ports)
    finally:
        await server.stop()


# Descriptions


@pytest.mark.parametrize("opened", [False, True])
def test_the_description_of_an_admin_api_needs_a_login_unless_a_setting_opens_it(
    tmp_path: Path, *, opened: bool
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    hosting.prepare(folder)
    chosen = hosting.settings(KeySettings())
    chosen = msgspec.structs.replace(
        chosen, admin=msgspec.structs.replace(chosen.admin, public_openapi=opened)
    )
    with hosting.hosted(folder, chosen=chosen) as (url, host):
        stranger = requests.get(f"{url}/api/v1/openapi.yaml", timeout=30)
        assert stranger.status_code == (200 if opened else 401)
        known = requests.get(f"{url}/api/v1/openapi.yaml", headers=hosting.api_key(host), timeout=30)
        assert known.status_code == 200
        assert "openapi" in known.text[:200]
        for path in ("/", "/api/v1/openapi.yaml", "/api/v1/nothing"):
            assert "Server" not in requests.get(f"{url}{path}", timeout=30).headers
