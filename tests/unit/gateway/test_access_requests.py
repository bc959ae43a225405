"""Asking for access over the exchange: kept once, bounded, answered to who asked alone, decided once; nothing is granted by asking."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from gateway.clients.access_request_table import MOST_WAITING, AccessPlea, AccessState
from gateway.clients.store import ServerConfStore
from gateway.exchange.ports import ServiceCall
from gateway.metaservices.accessrequests import AccessRequests
from schemas import rest
from schemas.accessrequests import LONGEST_QUESTION, REQUEST_ACCESS, AccessRequestState
from schemas.faults import Fault
from schemas.identifiers import ClientId
from schemas.message import MessageProtocol
from serving.errors import Refused
from tests.unit.gateway.test_serverconf_store import with_service
from tests.worlds import CONSUMER, NOW, PROVIDER, PROVIDER_SERVER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

QUESTION = {"service_code": "echo", "purpose": "pensions of widows", "legal_basis": "LISSSTE art. 129"}
OTHER = ClientId("MX", "GOB", "15-ISSEMYM", "OTRO")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ServerConfStore]:
    opened = ServerConfStore(tmp_path / "serverconf.sqlite")
    opened.initialise(PROVIDER_SERVER, b"anchor")
    with_service(opened)
    yield opened
    opened.close()


def ask(
    store: ServerConfStore,
    method: str,
    query: str = "",
    body: bytes | None = None,
    client: ClientId = CONSUMER,
) -> AccessRequestState:
    """The answer to a client's message."""
    request = rest.build_request(
        method,
        f"/r1/{PROVIDER.path()}/{REQUEST_ACCESS}{query}",
        [("X-Road-Client", client.path())],
        instance="MX",
        new_id=lambda: "q1",
    )

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body or b""), 5_000):
            yield (body or b"")[start : start + 5_000]

    services = AccessRequests(store, lambda: NOW)
    found = services.find(request.service, MessageProtocol.REST)
    assert found is not None
    given = None if body is None else chunks
    call = ServiceCall(request.to_message(), method, rest.service_target(request), (), given)
    return msgspec.json.decode(asyncio.run(found.answer(call)).body, type=AccessRequestState)


def post(store: ServerConfStore, client: ClientId = CONSUMER, **changes: Any) -> AccessRequestState:
    return ask(store, "POST", body=json.dumps(QUESTION | changes).encode(), client=client)


def test_a_request_is_kept_once_and_its_client_alone_reads_how_it_stands(store: ServerConfStore) -> None:
    before = store.generation()
    assert post(store).state == AccessState.WAITING
    assert post(store, purpose="something else").state == AccessState.WAITING
    (record,) = store.view.access_requests.all()
    assert (record.plea.client, record.plea.purpose, record.plea.message_id) == (
        CONSUMER,
        "pensions of widows",
        "MX-q1",
    )
    assert ask(store, "GET", "?serviceCode=echo").state == AccessState.WAITING
    with pytest.raises(Fault, match="has not asked"):
        ask(store, "GET", "?serviceCode=echo", client=OTHER)
    assert store.view.rights.all(PROVIDER) == ()
    assert store.generation() == before  # asking changes nothing that exchanges go by


def test_it_is_decided_once_and_a_new_one_takes_the_place_of_what_was_decided(store: ServerConfStore) -> None:
    post(store)
    number = store.view.access_requests.all()[0].id
    with store.change() as tables:
        tables.access_requests.decide(number, AccessState.DECLINED, "ana", NOW, "name the convention")
    standing = ask(store, "GET", "?serviceCode=echo")
    assert (standing.state, standing.reason) == ("DECLINED", "name the convention")
    with pytest.raises(Refused, match="decided already"), store.change() as tables:
        tables.access_requests.decide(number, AccessState.APPROVED, "ana", NOW)
    assert post(store).state == AccessState.WAITING
    (again,) = store.view.access_requests.all()
    assert again.id != number


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (None, "cannot be read"),
        (b"{", "cannot be read"),
        (json.dumps({**QUESTION, "admin": True}).encode(), "unknown field"),
        (json.dumps({**QUESTION, "purpose": "x"}).encode(), "purpose"),
        (json.dumps({**QUESTION, "legal_basis": "a\u202eb c"}).encode(), "legal_basis"),
        (json.dumps({**QUESTION, "purpose": "p" * LONGEST_QUESTION}).encode(), "at most"),
        (json.dumps({**QUESTION, "service_code": "nothing"}).encode(), "nothing"),
        (b"\xff\xfe", "cannot be read"),
    ],
)
def test_what_is_no_request_is_refused_and_nothing_is_kept(
    store: ServerConfStore, body: bytes | None, told: str
) -> None:
    with pytest.raises(Fault, match=told):
        ask(store, "POST", body=body)
    assert store.view.access_requests.all() == ()


def test_a_client_cannot_heap_up_requests(store: ServerConfStore) -> None:
    for number in range(MOST_WAITING):
        plea = AccessPlea(CONSUMER, PROVIDER, f"s{number}", "purpose", "basis", "", "q")
        store.add_access_request(plea, NOW)
    with pytest.raises(Fault, match="at most"):
        post(store)
    assert post(store, OTHER).state == AccessState.WAITING


def test_only_this_code_over_rest_is_answered_here(store: ServerConfStore) -> None:
    services = AccessRequests(store, lambda: NOW)
    service = rest.build_request(
        "GET", f"/r1/{PROVIDER.path()}/{REQUEST_ACCESS}", [("X-Road-Client", CONSUMER.path())], instance="MX",
        new_id=lambda: "q1",
    ).service  # fmt: skip
    assert services.find(service, MessageProtocol.SOAP) is None
    assert services.find(msgspec.structs.replace(service, service_code="echo"), MessageProtocol.REST) is None
    with pytest.raises(Fault, match="GET or POST"):
        ask(store, "DELETE")
