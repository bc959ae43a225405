"""Two operators decide on one request at the same moment, or one server asks the same twice: exactly one effect, one entry in the audit log."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from central_server.management.requests import ApprovalPolicy, add_request, approve_request, end_request
from central_server.registry.model import RegisteredServer, check_registry
from central_server.store import members, servers
from central_server.store.loading import import_registry, load_registry
from central_server.store.records import Actor, CentralStore
from central_server.store.requests import NewRequest, RequestOrigin, RequestState, RequestType, need_request
from schemas.faults import BadMessage
from schemas.identifiers import ClientId
from serving.errors import Refused
from tests.instance import Instance

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from central_server.store.records import Records

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANA, LEO = Actor("ana"), Actor("leo")
OWNER = ClientId("MX", "GOB", "15-ISSEMYM")
AFIL = OWNER.subsystem("AFIL")
OTHER = ClientId("MX", "GOB", "26-OTRO")
SERVER = OWNER.server("SS1")
FROM_SERVER = RequestOrigin.SECURITY_SERVER
WAITING: dict[RequestType, dict[str, object]] = {
    RequestType.CLIENT_REGISTRATION: {"client": OTHER.subsystem("S"), "subsystem_name": "S"},
    RequestType.AUTH_CERT_REGISTRATION: {"certificate": b"new", "address": "ss1.mx"},
    RequestType.OWNER_CHANGE: {"client": OTHER},
}
# A client that is disabled may be disabled again: nothing changes.
AT_ONCE: dict[RequestType, dict[str, object]] = {
    RequestType.AUTH_CERT_DELETION: {"certificate": b"certificate"},
    RequestType.CLIENT_DELETION: {"client": AFIL},
    RequestType.MAINTENANCE_ENABLE: {},
}


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[CentralStore, CentralStore]]:
    """Two stores on one database, as two nodes or two programs have them."""
    stores = CentralStore(tmp_path / "central.sqlite"), CentralStore(tmp_path / "central.sqlite")
    instance = Instance(tmp_path, NOW)
    provider = instance.provider
    servers = (
        RegisteredServer(SERVER, "ss1.mx", (b"certificate",), (AFIL, OTHER)),
        RegisteredServer(provider.member.server("MSS"), "mss.mx", (b"other",), (provider,)),
    )
    with stores[0].change(ANA, NOW) as change:
        import_registry(change, instance.registry(AFIL, OTHER, servers=servers))
    yield stores
    for store in stores:
        store.close()


def ask(store: CentralStore, kind: RequestType, fields: dict[str, object]) -> int:
    with store.change(ANA, NOW) as records:
        return add_request(records, NewRequest(kind, FROM_SERVER, server=SERVER, **fields)).number  # type: ignore[arg-type]


def race(
    nodes: tuple[CentralStore, CentralStore],
    acts: tuple[Callable[[Records], object], Callable[[Records], object]],
) -> list[str]:
    """Do both at once, one at each store; the codes of those that were refused."""
    start = threading.Barrier(2)

    def run(place: int) -> str:
        start.wait()
        try:
            with nodes[place].change((ANA, LEO)[place], NOW) as records:
                acts[place](records)
        except Refused as refused:
            return str(refused.code)
        return ""

    with ThreadPoolExecutor(2) as threads:
        return [code for code in threads.map(run, (0, 1)) if code]


@pytest.mark.parametrize("kind", WAITING, ids=lambda k: k.value)
@pytest.mark.parametrize("against", ["approve", "decline"])
def test_of_two_decisions_at_once_one_counts(
    nodes: tuple[CentralStore, CentralStore], kind: RequestType, against: str
) -> None:
    number = ask(nodes[0], kind, WAITING[kind])
    before = load_registry(nodes[0].read())

    def approve(records: Records) -> object:
        return approve_request(records, number)

    def decline(records: Records) -> object:
        return end_request(records, number, "no")

    refused = race(nodes, (approve, approve if against == "approve" else decline))
    assert len(refused) == 1
    assert refused[0].startswith("management_request_invalid_state")
    state = need_request(nodes[1].read(), number).state
    changed = load_registry(nodes[1].read()) != before
    assert changed == (state is RequestState.APPROVED)
    assert state in (
        {RequestState.APPROVED} if against == "approve" else {RequestState.APPROVED, RequestState.DECLINED}
    )


@pytest.mark.parametrize("kind", [*WAITING, *AT_ONCE], ids=lambda k: k.value)
def test_the_same_request_twice_at_once_is_taken_once(
    nodes: tuple[CentralStore, CentralStore], kind: RequestType
) -> None:
    asked = NewRequest(kind, FROM_SERVER, server=SERVER, **(WAITING | AT_ONCE)[kind])  # type: ignore[arg-type]

    def add(records: Records) -> object:
        return add_request(records, asked)

    assert len(race(nodes, (add, add))) == 1


def test_four_eyes_are_two_people_also_at_once(nodes: tuple[CentralStore, CentralStore]) -> None:
    number = ask(nodes[0], RequestType.CLIENT_REGISTRATION, WAITING[RequestType.CLIENT_REGISTRATION])

    def approve(records: Records) -> object:
        return approve_request(records, number, ApprovalPolicy(four_eyes=True))

    assert race(nodes, (approve, approve)) == []
    assert need_request(nodes[0].read(), number).state is RequestState.APPROVED


@pytest.mark.parametrize("change", ["a file", "an owner"])
def test_what_was_registered_while_a_request_waited_is_refused_by_its_code(
    nodes: tuple[CentralStore, CentralStore], change: str
) -> None:
    store, asked = nodes[0], OWNER if change == "an owner" else OTHER.subsystem("S")
    changed = OTHER.server("SS1") if change == "an owner" else SERVER
    with store.change(ANA, NOW) as records:
        request = NewRequest(RequestType.CLIENT_REGISTRATION, FROM_SERVER, changed, asked)
        number = add_request(records, request).number
    with store.change(ANA, NOW) as records:
        if change == "an owner":
            servers.change_owner(records, SERVER, OTHER)
        else:
            members.add_subsystem(records, asked, None)
            servers.add_server_client(records, servers.need_server(records, SERVER), asked)
    before = load_registry(store.read())
    with pytest.raises(Refused) as refused, store.change(ANA, NOW) as records:
        approve_request(records, number)
    assert refused.value.code == "management_request_client_already_registered"
    assert load_registry(store.read()) == before


def test_a_client_of_another_instance_is_not_registered_as_one_of_this(
    nodes: tuple[CentralStore, CentralStore],
) -> None:
    stranger = ClientId("XX", *OTHER.components[1:])
    with pytest.raises(Refused) as refused:
        ask(nodes[0], RequestType.CLIENT_REGISTRATION, {"client": stranger.subsystem("S")})
    assert refused.value.code == "management_request_member_not_found"
    request = NewRequest(
        RequestType.AUTH_CERT_REGISTRATION,
        FROM_SERVER,
        stranger.server("A"),
        certificate=b"x",
        address="a.mx",
    )
    with pytest.raises(Refused) as refused, nodes[0].change(ANA, NOW) as records:
        add_request(records, request)
    assert refused.value.code == "management_request_server_not_found"


@pytest.mark.parametrize("notice", ["one\ntwo", "\u0301", "", "a" * 255])
def test_no_notice_of_an_owner_keeps_a_registry_from_being_applied(
    nodes: tuple[CentralStore, CentralStore], notice: str
) -> None:
    ask(nodes[0], RequestType.MAINTENANCE_ENABLE, {"comments": notice})
    registry = load_registry(nodes[0].read())
    assert list(check_registry(registry)) == []
    assert next(s.maintenance for s in registry.servers if s.id == SERVER) == notice


def test_a_notice_that_no_configuration_shows_is_refused(nodes: tuple[CentralStore, CentralStore]) -> None:
    with pytest.raises(BadMessage, match="the notice has 256 characters"):
        ask(nodes[0], RequestType.MAINTENANCE_ENABLE, {"comments": "a" * 256})


def test_an_authentication_certificate_is_one_server_s_also_when_two_ask_at_once(
    nodes: tuple[CentralStore, CentralStore],
) -> None:
    with nodes[0].change(ANA, NOW) as records:
        members.add_member(records, ClientId("MX", "GOB", "30-MAS"), "Mas")
    numbers = []
    for server in (OTHER.server("A"), ClientId("MX", "GOB", "30-MAS").server("B")):
        with nodes[0].change(ANA, NOW) as records:
            asked = NewRequest(
                RequestType.AUTH_CERT_REGISTRATION,
                FROM_SERVER,
                server=server,
                certificate=b"one",
                address="a.mx",
            )
            try:
                numbers.append(add_request(records, asked).number)
            except Refused as refused:
                assert "certificate" in str(refused.code) or "exists" in str(refused.code)
    if len(numbers) == 2:
        first, second = numbers
        acts = (lambda r: approve_request(r, first)), (lambda r: approve_request(r, second))
        assert len(race(nodes, acts)) == 1
    holders = [s for s in load_registry(nodes[0].read()).servers if b"one" in s.auth_certificates]
    assert len(holders) <= 1
