"""A client of this server asks another member for access: the message that leaves is one that the provider's side understands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from gateway.clients.access_request_table import AccessState
from gateway.clients.model import Endpoint, ServerConf, Service, ServiceType
from gateway.edges.accessclient import ask_for_access, list_offered_services, read_access_request
from gateway.exchange.ports import ServiceCall
from gateway.metaservices.accessrequests import AccessRequests
from gateway.metaservices.listing import list_rest_services
from gateway.refusals import GatewayCode
from schemas import rest
from schemas.accessrequests import AccessQuestion
from schemas.faults import Fault, Kind
from schemas.identifiers import ServiceId
from schemas.jsontext import encode_json
from schemas.message import MessageProtocol
from schemas.metadata import render_services_json
from serving.errors import Refused
from tests.unit.gateway.test_access_requests import store
from tests.worlds import CONSUMER, NOW, PROVIDER, PROVIDER_SERVER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from gateway.clients.store import ServerConfStore

__all__ = ["store"]
QUESTION = AccessQuestion("echo", "pensions of widows", "LISSSTE art. 129", "ana@institute.mx")


@dataclass
class MessageChannel:
    """The own consumer side with a provider's server behind it; nothing in between can fail unless a test says so."""

    store: ServerConfStore
    failing: tuple[int, bytes] | Fault | None = None
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def ask_own(
        self, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> tuple[int, bytes]:
        """The provider's own answer, or a fault as a consumer side gives it."""
        method = "GET" if body is None else "POST"
        self.asked.append((method, path))
        if isinstance(self.failing, Fault):
            raise self.failing
        if self.failing is not None:
            return self.failing
        request = rest.build_request(
            method, path, list(headers.items()), instance="MX", new_id=lambda: "by-console"
        )

        async def chunks() -> AsyncIterator[bytes]:
            yield body or b""

        services = AccessRequests(self.store, lambda: NOW)
        found = services.find(request.service, MessageProtocol.REST)
        assert found is not None
        call = ServiceCall(request.to_message(), method, rest.service_target(request), (), chunks)
        try:
            return 200, (await found.answer(call)).body
        except Fault as fault:
            return 500, encode_json({"type": fault.code, "message": fault.detail, "detail": ""})

    async def send_message(self, content_type: str, body: bytes) -> tuple[int, bytes]:
        raise NotImplementedError

    async def post_pinned(
        self, url: str, certificate: bytes, content_type: str, body: bytes
    ) -> tuple[int, bytes]:
        raise NotImplementedError

    async def get_pinned(self, url: str, certificate: bytes) -> tuple[int, bytes]:
        raise NotImplementedError


async def test_a_request_arrives_as_it_was_written_and_its_client_reads_the_decision(
    store: ServerConfStore,
) -> None:
    channel = MessageChannel(store)
    with pytest.raises(Refused, match="has not asked") as refused:
        await read_access_request(channel, CONSUMER, PROVIDER, "echo")
    assert refused.value.code is GatewayCode.ACCESS_REQUEST_NOT_ANSWERED
    assert (await ask_for_access(channel, CONSUMER, PROVIDER, QUESTION)).state == AccessState.WAITING
    (record,) = store.view.access_requests.all()
    plea = record.plea
    assert (plea.client, plea.provider, plea.service_code) == (CONSUMER, PROVIDER, "echo")
    assert (plea.purpose, plea.legal_basis, plea.contact) == (
        QUESTION.purpose,
        QUESTION.legal_basis,
        QUESTION.contact,
    )
    with store.change() as tables:
        tables.access_requests.decide(record.id, AccessState.DECLINED, "ana", NOW, "name the convention")
    standing = await read_access_request(channel, CONSUMER, PROVIDER, "echo")
    assert (standing.state, standing.reason) == ("DECLINED", "name the convention")


@pytest.mark.parametrize("code", ["a/b", "a b", "..", "a?b=c&d", "niñas", "%2F"])
async def test_a_service_code_of_any_letters_stays_one_value(store: ServerConfStore, code: str) -> None:
    with pytest.raises(Refused) as refused:
        await read_access_request(MessageChannel(store), CONSUMER, PROVIDER, code)
    assert repr(code) in str(refused.value)


@pytest.mark.parametrize(
    ("failing", "told"),
    [
        ((500, b'{"type": "Server.ServerProxy.UnknownService", "message": "no such service"}'), "no such service"),
        ((502, b"<html>"), "HTTP 502"),
        ((500, b'["type"]'), "HTTP 500"),
        ((200, b"\xff"), "cannot be read"),
        ((200, b"{}"), "cannot be read"),
        (Fault(Kind.NETWORK_ERROR, "nobody listens"), "nobody listens"),
    ],
)  # fmt: skip
async def test_what_is_no_answer_is_a_refusal_that_says_what_came(
    store: ServerConfStore, failing: tuple[int, bytes] | Fault, told: str
) -> None:
    channel = MessageChannel(store, failing)
    for asking in (
        ask_for_access(channel, CONSUMER, PROVIDER, QUESTION),
        read_access_request(channel, CONSUMER, PROVIDER, "echo"),
    ):
        with pytest.raises(Refused, match=told):
            await asking
    assert [method for method, _ in channel.asked] == ["POST", "GET"]


async def test_the_services_of_a_provider_are_those_that_it_lists(store: ServerConfStore) -> None:
    conf = ServerConf(
        PROVIDER_SERVER,
        services=(Service(ServiceId(PROVIDER, "echo"), ServiceType.REST, "http://10.1.2.3"),),
        endpoints=((PROVIDER, Endpoint("echo")),),
    )
    channel = MessageChannel(store, (200, render_services_json(list_rest_services(conf, PROVIDER))))
    (found,) = await list_offered_services(channel, CONSUMER, PROVIDER)
    assert (found.id.service_code, found.type) == ("echo", "REST")
    channel.failing = 200, b"[]"
    with pytest.raises(Refused, match="list"):
        await list_offered_services(channel, CONSUMER, PROVIDER)
