"""The edges: who gets into the management service, and how institutes are told of decisions."""

from __future__ import annotations

import json
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from central_server import notices
from central_server.config import Notices
from central_server.edges.management import ManagementEdge, StoreKeeper
from central_server.edges.notifier import SIGNATURE_HEADER, Notifier
from central_server.registry import RegisteredServer
from central_server.requests import MANUAL, add_request, end_request
from central_server.store.loading import import_registry
from central_server.store.records import Actor, CentralStore
from central_server.store.requests import NewRequest, RequestOrigin, RequestType
from certs.certificates import der_of
from certs.tls import TlsCredentials, provider_client_context, system_server_context
from schemas.faultxml import parse_soap_fault
from schemas.identifiers import ClientId
from schemas.management import ManagementRequest, ManagementService, parse_response
from serving.audit import AuditLog
from serving.limits import RateLimit
from serving.selfsigned import self_signed
from tests.instance import Instance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OWNER = ClientId("MX", "GOB", "15-ISSEMYM")
AFIL = OWNER.subsystem("AFIL")
ANA = Actor("ana")


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path, NOW)


@pytest.fixture
def store(tmp_path: Path, instance: Instance) -> Iterator[CentralStore]:
    made = CentralStore(tmp_path / "central.sqlite")
    server = RegisteredServer(OWNER.server("SS1"), "ss1.mx", (b"c",), (AFIL,))
    with made.change(ANA, NOW) as records:
        import_registry(records, instance.registry(AFIL, servers=(server,)))
    yield made
    made.close()


async def test_where_a_certificate_is_pinned_nobody_else_reaches_the_management_service(
    store: CentralStore, instance: Instance
) -> None:
    gateway, stranger, own = (TlsCredentials(*self_signed(name)) for name in ("gateway", "other", "central"))
    edge = ManagementEdge(
        StoreKeeper(store, lambda: MANUAL),
        AuditLog(store.database),
        lambda: NOW,
        lambda: 0.0,
        RateLimit(0, 0),
        (der_of(gateway.chain[0]),),
    )
    server = TestServer(edge.service_app())
    await server.start_server(ssl=system_server_context(own, gateway.chain))
    request = ManagementRequest(ManagementService.CLIENT_DELETION, OWNER.server("SS1"), AFIL)
    content_type, body = instance.body(request)
    url = f"https://127.0.0.1:{server.port}/managementservice/manage/"

    async def call(context: ssl.SSLContext) -> tuple[int, bytes]:
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=body, headers={"Content-Type": content_type}, ssl=context) as answer,
        ):
            return answer.status, await answer.read()

    status, raw = await call(provider_client_context(None))
    fault = parse_soap_fault(raw)
    assert fault is not None
    assert (status, fault.code) == (500, "access_denied")
    with pytest.raises(aiohttp.ClientError):
        await call(provider_client_context(stranger))
    status, raw = await call(provider_client_context(gateway))
    assert status == 200
    assert parse_response(raw, request.service) == 1
    log = [json.loads(text) for _, text, _ in AuditLog(store.database).records()]
    assert [r["detail"]["code"] for r in log if r["outcome"] == "refused"] == ["access_denied"]
    await server.close()


async def test_too_many_requests_of_one_address_are_turned_away(
    store: CentralStore, instance: Instance
) -> None:
    edge = ManagementEdge(
        StoreKeeper(store, lambda: MANUAL),
        AuditLog(store.database),
        lambda: NOW,
        lambda: 0.0,
        RateLimit(0, 2),
    )
    async with TestServer(edge.registration_app()) as server, aiohttp.ClientSession() as session:
        statuses = []
        for _ in range(3):
            async with session.post(server.make_url("/managementservice/"), data=b"x") as answer:
                statuses.append(answer.status)
    assert statuses == [500, 500, 429]


# Notices


class Institute:
    """An institute's webhook."""

    def __init__(self) -> None:
        self.status = 204
        self.came: list[tuple[bytes, str]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.came.append((await request.read(), request.headers[SIGNATURE_HEADER]))
        return web.Response(status=self.status)


def decline(store: CentralStore, webhook: str) -> None:
    with store.change(ANA, NOW) as records:
        notices.keep_contact(records, notices.Contact(OWNER, None, webhook, "secret"))
        asked = NewRequest(
            RequestType.CLIENT_REGISTRATION,
            RequestOrigin.SECURITY_SERVER,
            OWNER.server("SS1"),
            OWNER.subsystem("X"),
        )
        end_request(records, add_request(records, asked).number, "no")


async def test_an_institute_is_told_by_a_signed_webhook_and_again_when_it_did_not_answer(
    store: CentralStore,
) -> None:
    institute = Institute()
    app = web.Application()
    app.router.add_post("/hook", institute.take)
    now = NOW
    notifier = Notifier(store, Notices(), lambda: now)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        decline(store, str(server.make_url("/hook")))
        institute.status = 500
        assert await notifier.send_due(session) == 0
        assert await notifier.send_due(session) == 0
        assert len(institute.came) == 1
        institute.status = 204
        now = NOW + timedelta(minutes=1)
        assert await notifier.send_due(session) == 1
        assert await notifier.send_due(session) == 0
    body, signature = institute.came[-1]
    assert signature == notices.sign_body("secret", body)
    assert json.loads(body)["status"] == "DECLINED"


async def test_a_webhook_that_is_not_https_is_not_called(store: CentralStore) -> None:
    decline(store, "http://institute.example/hook")
    async with aiohttp.ClientSession() as session:
        assert await Notifier(store, Notices(), lambda: NOW).send_due(session) == 0
    ((problem,),) = store.database.query("SELECT problem FROM notice")
    assert "not https" in problem
