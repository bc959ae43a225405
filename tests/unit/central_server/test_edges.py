"""The edges: who gets into the management service, and how institutes are told of decisions."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from itertools import product
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from central_server.config import CentralNoticeSettings
from central_server.edges.management import ManagementEdge, StoreKeeper
from central_server.edges.notifier import SIGNATURE_HEADER, RequestNotifier
from central_server.management import notices
from central_server.management.noticetexts import render_mail
from central_server.management.requests import MANUAL, add_request, approve_request, end_request
from central_server.registry.model import RegisteredServer
from central_server.store.loading import import_registry
from central_server.store.records import Actor, CentralStore
from central_server.store.requests import NewRequest, RequestOrigin, RequestState, RequestType
from certs.certificates import der_of
from certs.tls import TlsCredentials, provider_client_context, system_server_context
from schemas.faultxml import parse_soap_fault
from schemas.identifiers import ClientId
from schemas.management import ManagementRequest, ManagementServiceCode, parse_response
from serving.api.limits import RateLimit
from serving.storage.audit import AuditLog
from serving.storage.selfsigned import self_signed
from tests.instance import Instance
from tests.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from email.message import EmailMessage
    from pathlib import Path

    from central_server.store.records import Records

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
    request = ManagementRequest(ManagementServiceCode.CLIENT_DELETION, OWNER.server("SS1"), AFIL)
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


@pytest.mark.xroad("F134")
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
    notifier = RequestNotifier(store, CentralNoticeSettings(), lambda: now)
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
        assert await RequestNotifier(store, CentralNoticeSettings(), lambda: NOW).send_due(session) == 0
    ((problem,),) = store.database.query("SELECT problem FROM notice")
    assert "not https" in problem


def ask(store: CentralStore, contact: notices.Contact) -> int:
    """A client registration of the institute's server waits; its number."""
    with store.change(ANA, NOW) as records:
        notices.keep_contact(records, contact)
        wanted = NewRequest(
            RequestType.CLIENT_REGISTRATION,
            RequestOrigin.SECURITY_SERVER,
            OWNER.server("SS1"),
            OWNER.subsystem("X"),
        )
        return add_request(records, wanted).number


@dataclass
class PostOffice:
    """A mail server, and the notifier that hands in there."""

    mails: list[bytes]
    notifier: RequestNotifier
    session: aiohttp.ClientSession
    takes: bool = True
    now: datetime = NOW

    async def send(self) -> list[EmailMessage]:
        """What reached the mail server of what was due."""
        self.mails.clear()
        await self.notifier.send_due(self.session)
        return [message_from_bytes(m, policy=policy.default) for m in self.mails]


@pytest.fixture
async def post(store: CentralStore) -> AsyncIterator[PostOffice]:
    mails: list[bytes] = []
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession() as session:
        server = await loop.create_server(lambda: Mailbox(mails, lambda: office.takes), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        settings = CentralNoticeSettings(smtp_host="127.0.0.1", smtp_port=port, sender="registro@oniess.mx")
        office = PostOffice(mails, RequestNotifier(store, settings, lambda: office.now), session)
        yield office
        server.close()


@pytest.mark.parametrize(
    ("decide", "spanish", "english"),
    [
        (
            approve_request,
            "La solicitud 1 (registro de un cliente) fue aprobada",
            "Management request 1 (registration of a client) was approved",
        ),
        (
            lambda r, n: end_request(r, n, "falta el oficio"),
            "La solicitud 1 (registro de un cliente) fue rechazada",
            "Management request 1 (registration of a client) was declined",
        ),
    ],
    ids=["approved", "declined"],
)
async def test_an_institute_is_told_of_a_decision_by_mail_in_both_languages(
    store: CentralStore,
    post: PostOffice,
    decide: Callable[[Records, int], object],
    spanish: str,
    english: str,
) -> None:
    number = ask(store, notices.Contact(OWNER, "sistemas@issemym.mx"))
    with store.change(ANA, NOW) as records:
        decide(records, number)
    *_, mail = await post.send()
    assert (mail["From"], mail["To"]) == ("registro@oniess.mx", "sistemas@issemym.mx")
    assert "solicitud 1 fue" in mail["Subject"]
    assert "request 1 was" in mail["Subject"]
    text = mail.get_content().replace("\r\n", "\n")
    assert f"{spanish} el 2026-01-01 12:00 UTC." in text
    assert f"{english} on 2026-01-01 12:00 UTC." in text
    assert "Servidor: MX:GOB:15-ISSEMYM:SS1\nCliente: MX:GOB:15-ISSEMYM:X\n" in text
    assert ("Motivo: falta el oficio" in text) == (english.endswith("declined"))
    assert await post.send() == []


async def test_a_mail_that_is_not_taken_is_handed_in_again(store: CentralStore, post: PostOffice) -> None:
    number = ask(store, notices.Contact(OWNER, "sistemas@issemym.mx"))
    with store.change(ANA, NOW) as records:
        end_request(records, number, "no")
    post.takes = False
    assert await post.send() == []
    ((problem,),) = store.database.query("SELECT DISTINCT problem FROM notice")
    assert "not now" in problem
    post.takes = True
    assert await post.send() == []
    post.now = NOW + timedelta(minutes=1)
    assert "fue rechazada" in (await post.send())[-1].get_content()


def test_every_kind_and_state_of_request_has_words_in_both_languages() -> None:
    for kind, state in product(RequestType, RequestState):
        said: dict[str, object] = {
            "request_id": 7,
            "type": kind.value,
            "status": state.value,
            "at": NOW.isoformat(),
        }
        said |= {"security_server_id": "MX:GOB:1:SS1", "client_id": None, "comments": None}
        text = render_mail(json.dumps(said)).text
        spanish, _, english = text.partition("\n--\n")
        assert spanish.startswith("La solicitud 7 (")
        assert english.strip().startswith("Management request 7 (")
