"""Management requests are over once the configuration shows their effect, and what an administrator sees is true then."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.clients.model import ConnectionType
from gateway.clients.records import ClientStatus, PendingRequest, RenameStatus, RequestKind, derive_status
from gateway.clients.request_status import Seen, decide_new_owner, decide_settled
from gateway.clients.store import ServerConfStore
from gateway.management.request_tracker import RequestTracker
from schemas.faults import BadMessage, Kind
from schemas.globalconf.shared import SecurityServer
from schemas.identifiers import ClientId, ServerId
from schemas.management import RequestStatus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.clients.tables import Tables
    from gateway.management.requests import SentRequest

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SERVER = ServerId("MX", "GOB", "1", "SS1")
OWNER, CLIENT = ClientId("MX", "GOB", "1"), ClientId("MX", "GOB", "1", "AFIL")
OTHER = ClientId("MX", "GOB", "2")
K = RequestKind


@dataclass
class Central:
    """What the central server says of requests, and what the configuration says of this server."""

    server: SecurityServer | None = field(default_factory=lambda: SecurityServer(SERVER, "a.example"))
    names: dict[ClientId, str] = field(default_factory=dict)
    said: dict[int, str] = field(default_factory=dict)
    breaks: set[int] = field(default_factory=set)

    def lists(self, *clients: ClientId) -> None:
        assert self.server is not None
        self.server = msgspec.structs.replace(self.server, clients=frozenset(clients))

    async def fetch_status(self, sent: SentRequest) -> RequestStatus:
        if sent.request_id in self.breaks:
            raise KeyError("a row at fault")
        if sent.request_id not in self.said:
            raise BadMessage(Kind.NOT_FOUND, "404")
        assert sent.message_id == f"m{sent.request_id}"
        return RequestStatus(sent.request_id, "x", self.said[sent.request_id], "because")


class Stage:
    """A store with a client, and the one who follows its requests."""

    def __init__(self, store: ServerConfStore) -> None:
        self.store, self.central = store, Central()
        self.told: list[tuple[str, str, str]] = []
        store.initialise(SERVER, b"anchor", owner_added_at=NOW)
        with store.change() as tables:
            tables.clients.add(CLIENT, ConnectionType.HTTP, NOW)
        self.following = RequestTracker(
            store,
            NoCertificates(),  # type: ignore[arg-type]
            NoCertificates(),  # type: ignore[arg-type]
            self.central,  # type: ignore[arg-type]
            lambda: Configuration(self.central),  # type: ignore[arg-type, return-value]
            lambda *words: self.told.append(words),
            15.0,
        )

    def send(
        self, kind: RequestKind, subject: str = CLIENT.path(), detail: str = "", number: int = 7
    ) -> None:
        with self.store.change() as tables:
            tables.requests.add(kind, subject, detail, NOW, number=number, message_id=f"m{number}")

    def observe(self) -> None:
        self.following.observe(Configuration(self.central))  # type: ignore[arg-type]

    @property
    def view(self) -> Tables:
        return self.store.view

    @property
    def status(self) -> ClientStatus:
        server = self.central.server
        listed = server is not None and CLIENT in server.clients
        record = self.view.clients.get(CLIENT)
        return derive_status(record, self.view.requests.kinds_of(CLIENT.path()), listed_here=listed)

    @property
    def waiting(self) -> list[RequestKind]:
        return [r.kind for r in self.view.requests.all()]


class NoCertificates:
    """A key configuration without certificates."""

    def certificates(self) -> tuple[()]:
        return ()


@dataclass
class Configuration:
    """The part of a trusted configuration that is looked at."""

    central: Central

    def server(self, server: ServerId) -> SecurityServer | None:
        found = self.central.server
        return found if found is not None and found.id == server else None

    def member_name(self, client: ClientId) -> str | None:
        return self.central.names.get(client)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    store = ServerConfStore(tmp_path / "serverconf.sqlite")
    yield Stage(store)
    store.close()


@pytest.mark.xroad("F059")
def test_registration_is_over_once_the_client_is_listed(stage: Stage) -> None:
    stage.send(K.CLIENT_REGISTRATION)
    stage.observe()
    assert (stage.status, stage.waiting) == (ClientStatus.REGISTRATION_IN_PROGRESS, [K.CLIENT_REGISTRATION])
    stage.central.lists(CLIENT)
    stage.observe()
    assert (stage.status, stage.waiting) == (ClientStatus.REGISTERED, [])
    stage.central.lists()
    stage.observe()
    assert stage.status is ClientStatus.GLOBAL_ERROR


@pytest.mark.xroad("F061")
def test_deletion_that_took_effect_leaves_a_client_that_can_be_registered_again(stage: Stage) -> None:
    stage.central.lists(CLIENT)
    stage.observe()
    stage.send(K.CLIENT_DELETION)
    stage.observe()
    assert stage.status is ClientStatus.DELETION_IN_PROGRESS
    stage.central.lists()
    stage.observe()
    assert (stage.status, stage.waiting) == (ClientStatus.SAVED, [])


def test_deletion_before_approval_takes_the_registration_with_it(stage: Stage) -> None:
    stage.send(K.CLIENT_REGISTRATION, number=1)
    stage.send(K.CLIENT_DELETION, number=2)
    assert stage.status is ClientStatus.DELETION_IN_PROGRESS
    stage.observe()
    assert (stage.status, stage.waiting) == (ClientStatus.SAVED, [])


@pytest.mark.xroad("F059", "F062")
def test_disabled_client_stays_disabled_until_it_is_enabled(stage: Stage) -> None:
    stage.central.lists(CLIENT)
    stage.observe()
    stage.send(K.CLIENT_DISABLE, number=1)
    stage.observe()
    assert (stage.status, stage.waiting) == (ClientStatus.DISABLING_IN_PROGRESS, [K.CLIENT_DISABLE])
    stage.central.lists()
    for _ in range(2):
        stage.observe()
        assert (stage.status, stage.waiting) == (ClientStatus.DISABLED, [K.CLIENT_DISABLE])
    stage.send(K.CLIENT_ENABLE, number=2)
    stage.observe()
    both = [K.CLIENT_DISABLE, K.CLIENT_ENABLE]
    assert (stage.status, stage.waiting) == (ClientStatus.ENABLING_IN_PROGRESS, both)
    stage.central.lists(CLIENT)
    assert stage.status is ClientStatus.REGISTERED
    stage.observe()
    assert (stage.status, stage.waiting) == (ClientStatus.REGISTERED, [])


def test_client_enabled_by_the_central_operator_is_registered_again(stage: Stage) -> None:
    stage.central.lists(CLIENT)
    stage.send(K.CLIENT_DISABLE)
    stage.central.lists()
    stage.observe()
    stage.central.lists(CLIENT)
    stage.observe()
    assert (stage.status, stage.waiting) == (ClientStatus.REGISTERED, [])


def test_name_that_the_configuration_has_is_wished_for_no_longer(stage: Stage) -> None:
    stage.central.lists(CLIENT)
    with stage.store.change() as tables:
        tables.clients.set_name(CLIENT, "Afiliación", RenameStatus.NAME_SUBMITTED)
    stage.send(K.CLIENT_RENAME, detail="Afiliación")
    stage.observe()
    assert stage.waiting == [K.CLIENT_RENAME]
    stage.central.names[CLIENT] = "Afiliación"
    stage.observe()
    found = stage.view.clients.get(CLIENT)
    assert (found.name, found.rename, stage.waiting) == (None, None, [])


def test_address_and_maintenance_are_over_once_the_server_has_them(stage: Stage) -> None:
    assert stage.central.server is not None
    stage.send(K.ADDRESS_CHANGE, SERVER.path(), "b.example", 1)
    stage.send(K.MAINTENANCE_ENABLE, SERVER.path(), "", 2)
    stage.observe()
    assert stage.waiting == [K.ADDRESS_CHANGE, K.MAINTENANCE_ENABLE]
    stage.central.server = msgspec.structs.replace(stage.central.server, address="b.example", maintenance="")
    stage.observe()
    assert stage.waiting == []
    stage.send(K.MAINTENANCE_DISABLE, SERVER.path(), "", 3)
    stage.observe()
    assert stage.waiting == [K.MAINTENANCE_DISABLE]
    stage.central.server = msgspec.structs.replace(stage.central.server, maintenance=None)
    stage.observe()
    assert stage.waiting == []


@pytest.mark.parametrize("word", ["DECLINED", "REVOKED"])
async def test_refused_request_waits_no_longer_and_is_told(stage: Stage, word: str) -> None:
    stage.send(K.CLIENT_REGISTRATION)
    for said in (None, "WAITING", "APPROVED"):
        stage.central.said = {7: said} if said else {}
        await stage.following.ask()
        assert stage.status is ClientStatus.REGISTRATION_IN_PROGRESS
    stage.central.said = {7: word}
    await stage.following.ask()
    assert (stage.status, stage.waiting) == (ClientStatus.SAVED, [])
    assert stage.told == [("request-refused", f"CLIENT_REGISTRATION {CLIENT.path()}", "because")]


async def test_refused_name_is_forgotten_and_refused_disabling_leaves_the_client_registered(
    stage: Stage,
) -> None:
    stage.central.lists(CLIENT)
    with stage.store.change() as tables:
        tables.clients.set_name(CLIENT, "Otro", RenameStatus.NAME_SUBMITTED)
    stage.send(K.CLIENT_RENAME, detail="Otro", number=1)
    stage.send(K.CLIENT_DISABLE, number=2)
    stage.central.said = {1: "DECLINED", 2: "DECLINED"}
    await stage.following.ask()
    found = stage.view.clients.get(CLIENT)
    assert (found.name, found.rename, stage.status) == (None, None, ClientStatus.REGISTERED)


async def test_disabled_client_is_not_asked_about(stage: Stage) -> None:
    stage.send(K.CLIENT_DISABLE)
    stage.observe()
    stage.central.said = {7: "REVOKED"}
    await stage.following.ask()
    assert stage.status is ClientStatus.DISABLED


def test_what_cannot_be_written_down_now_is_settled_at_the_next_look(stage: Stage) -> None:
    stage.send(K.CLIENT_REGISTRATION)
    stage.central.lists(CLIENT)
    stage.store.database.query("PRAGMA query_only = 1")
    stage.observe()
    stage.store.database.query("PRAGMA query_only = 0")
    assert stage.waiting == [K.CLIENT_REGISTRATION]
    stage.observe()
    assert stage.waiting == []


async def test_many_requests_are_asked_about_in_turn(stage: Stage) -> None:
    for number in range(1, 13):
        stage.send(K.CLIENT_REGISTRATION, f"MX/GOB/1/S{number}", number=number)
    stage.central.said = dict.fromkeys(range(1, 13), "WAITING")
    stage.following.last_queried.clear()
    asked: list[int] = []
    with stage.store.change() as tables:
        for number in range(1, 13):
            tables.clients.add(ClientId("MX", "GOB", "1", f"S{number}"), ConnectionType.HTTP, NOW)
    for _ in range(3):
        await stage.following.ask()
        asked += stage.following.last_queried
    assert len(asked) == 15
    assert len(set(asked)) == 12


def test_request_of_a_client_that_is_gone_is_forgotten(stage: Stage) -> None:
    stage.send(K.CLIENT_REGISTRATION, "MX/GOB/1/GONE")
    stage.observe()
    assert stage.waiting == []


def test_certificate_registration_is_over_when_registered_or_gone() -> None:
    pending = [
        PendingRequest(number, K.AUTH_CERT_REGISTRATION, digest, "", NOW)
        for number, digest in enumerate(("ABSENT", "SEEN", "WAITS"))
    ]
    seen = Seen(None, lambda _: None, {"SEEN"}, {"SEEN", "WAITS"})
    assert [r.subject for r in decide_settled(pending, [], seen).over] == ["ABSENT", "SEEN"]


def test_server_takes_only_a_member_of_its_own_for_its_new_owner() -> None:
    entry = SecurityServer(OTHER.server("SS1"))
    assert decide_new_owner(SERVER, [entry], {OTHER}) == OTHER.server("SS1")
    assert decide_new_owner(SERVER, [entry], set()) is None
    assert decide_new_owner(SERVER, [SecurityServer(OTHER.server("SS2"))], {OTHER}) is None
    assert decide_new_owner(SERVER, [SecurityServer(SERVER)], {OWNER}) is None


async def test_a_request_at_fault_keeps_no_other_of_its_round_waiting(stage: Stage) -> None:
    other = ClientId("MX", "GOB", "1", "HIST")
    with stage.store.change() as tables:
        tables.clients.add(other, ConnectionType.HTTP, NOW)
    stage.send(K.CLIENT_REGISTRATION, number=7)
    stage.send(K.CLIENT_REGISTRATION, subject=other.path(), number=8)
    stage.central.breaks, stage.central.said = {7}, {8: "DECLINED"}
    with pytest.raises(KeyError):
        await stage.following.ask()
    assert [r.subject for r in stage.view.requests.all()] == [CLIENT.path()]
    assert [word for word, *_ in stage.told] == ["request-refused"]
