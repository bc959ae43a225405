"""The server configuration in its database: ids that stay, changes that are whole, a file that can be applied again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from gateway.clients.model import ConnectionType, Endpoint, ServiceType, Validation
from gateway.clients.records import ClientStatus, Document, RequestKind, ServiceRecord, derive_status
from gateway.clients.store import ServerConfStore
from gateway.desired.apply import apply_file
from gateway.migrations.serverconf import FIRST
from schemas.identifiers import ClientId, GlobalGroupId, LocalGroupId, ServerId, ServiceId
from serving.errors import OperatorError, Refused
from serving.storage.database import open_database
from tests.paths import VECTORS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Cluster

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SERVER = ServerId("MX", "GOB", "00-RNSS", "SS1")
PROVIDER = ClientId("MX", "GOB", "00-RNSS", "INDICE")
CONSUMER = ClientId("MX", "GOB", "15-ISSEMYM", "AFIL")
WANTED = """
[[client]]
id = "MX/GOB/00-RNSS/INDICE"
connection = "HTTP"
[[client.service]]
code = "echo"
url = "http://127.0.0.1:9000"
timeout_s = 2
[[client.service.allow]]
subject = "MX/GOB/15-ISSEMYM/AFIL"
method = "GET"
path = "/public/**"
[[client.service.allow]]
subject = "local:mobility"
[[client.service]]
code = "person"
version = "v1"
type = "WSDL"
url = "http://127.0.0.1:9001"
disabled = "until Monday"
[[client.group]]
code = "mobility"
members = ["MX/GOB/30-IPE/HIST"]
"""


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.processes)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "serverconf.sqlite")
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.new_database()


@pytest.fixture
def store(where: str) -> Iterator[ServerConfStore]:
    made = ServerConfStore(where)
    made.initialise(SERVER, b"anchor")
    yield made
    made.close()


def apply(store: ServerConfStore, folder: Path, text: str, now: datetime = NOW) -> list[str]:
    file = folder / "gateway.toml"
    file.write_text(text, encoding="utf-8")
    return apply_file(store, file, now)


def with_service(store: ServerConfStore) -> int:
    with store.change() as tables:
        tables.clients.add(PROVIDER, ConnectionType.HTTP, NOW)
        description = tables.descriptions.add(PROVIDER, ServiceType.REST, "http://127.0.0.1:9000", NOW)
        service = ServiceId(PROVIDER, "echo")
        tables.descriptions.add_service(
            ServiceRecord(
                service,
                description.id,
                "",
                "http://127.0.0.1:9000",
                60.0,
                ssl_auth=True,
                validation=Validation.OFF,
            )
        )
        tables.endpoints.add(PROVIDER, Endpoint("echo"), generated=True)
    return description.id


def test_applying_a_file_twice_changes_nothing_the_second_time(
    store: ServerConfStore, tmp_path: Path
) -> None:
    assert apply(store, tmp_path, WANTED) != []
    first = store.load()
    assert apply(store, tmp_path, WANTED) == []
    assert store.load() == first
    assert store.load().generation == first.generation


def test_what_a_changed_file_leaves_alone_keeps_its_ids_and_dates(
    store: ServerConfStore, tmp_path: Path
) -> None:
    apply(store, tmp_path, WANTED)
    before = store.view
    descriptions, endpoints = before.descriptions.all(), before.endpoints.all()
    rights = before.rights.all()
    changed = WANTED.replace("timeout_s = 2", "timeout_s = 30").replace("until Monday", "until Friday")
    apply(store, tmp_path, changed, NOW + timedelta(days=1))
    after = store.view
    assert [d.id for d in after.descriptions.all()] == [d.id for d in descriptions]
    assert after.endpoints.all() == endpoints
    assert after.rights.all() == rights
    assert {s.timeout_s for s in after.descriptions.services()} == {30.0, 60.0}
    assert [d.notice for d in after.descriptions.all() if d.disabled] == ["until Friday"]


def test_a_file_takes_away_what_it_does_not_name(store: ServerConfStore, tmp_path: Path) -> None:
    apply(store, tmp_path, WANTED)
    apply(store, tmp_path, '[[client]]\nid = "MX/GOB/00-RNSS/INDICE"\n')
    left = store.load()
    assert (left.services, left.rights, left.groups, left.endpoints) == ((), (), (), ())
    assert [c.id for c in left.clients] == [PROVIDER]


def test_the_snapshot_says_what_the_file_said(store: ServerConfStore, tmp_path: Path) -> None:
    apply(store, tmp_path, WANTED)
    conf = store.load()
    assert conf.endpoints_of(PROVIDER, "echo") == (Endpoint("echo", "GET", "/public/**"),)
    disabled = conf.service(ServiceId(PROVIDER, "person", "v1"))
    assert disabled is not None
    assert disabled.disabled == "until Monday"
    assert {str(r.subject) for r in conf.rights_of(PROVIDER, "echo")} == {
        "SUBSYSTEM:MX/GOB/15-ISSEMYM/AFIL",
        "LOCALGROUP:mobility",
    }


def test_a_database_of_the_first_step_is_carried_over(where: str) -> None:
    old = open_database(where, (FIRST,))
    with old.transaction() as connection:
        connection.execute("INSERT INTO server VALUES (1, ?, ?, 7)", (SERVER.path(), b"anchor"))
        connection.execute("INSERT INTO client VALUES (?, 'HTTP')", (PROVIDER.path(),))
        connection.execute(
            "INSERT INTO service VALUES (?, 'echo', '', 'REST', 'http://e', 5.0, 1, 'off')",
            (PROVIDER.path(),),
        )
        connection.execute(
            "INSERT INTO access_right VALUES (?, 'echo', 'GET', '/a', 'SUBSYSTEM', ?)",
            (PROVIDER.path(), CONSUMER.path()),
        )
        connection.execute("INSERT INTO local_group VALUES (?, 'g')", (PROVIDER.path(),))
        connection.execute(
            "INSERT INTO local_group_member VALUES (?, 'g', ?)", (PROVIDER.path(), CONSUMER.path())
        )
    old.close()
    store = ServerConfStore(where)
    conf = store.load()
    assert [(s.id.service_code, s.timeout_s, s.disabled) for s in conf.services] == [("echo", 5.0, "off")]
    assert [(r.subject, r.endpoint) for r in conf.rights] == [(CONSUMER, Endpoint("echo", "GET", "/a"))]
    assert conf.in_local_group(PROVIDER, LocalGroupId("g"), CONSUMER)
    with store.change() as tables:
        assert tables.descriptions.add(PROVIDER, ServiceType.REST, "http://f", NOW).id == 2
    store.close()


def test_the_id_of_a_deleted_description_is_never_given_again(store: ServerConfStore) -> None:
    number = with_service(store)
    with store.change() as tables:
        tables.descriptions.remove(number)
        again = tables.descriptions.add(PROVIDER, ServiceType.REST, "http://127.0.0.1:9000", NOW)
    assert again.id == number + 1
    assert store.view.endpoints.all() == ()


def test_a_change_that_fails_half_way_leaves_nothing(store: ServerConfStore) -> None:
    with_service(store)
    before, generation = store.load(), store.generation()
    with pytest.raises(Refused) as refused, store.change() as tables:
        tables.clients.add(CONSUMER, ConnectionType.HTTP, NOW)
        tables.clients.add(PROVIDER, ConnectionType.HTTP, NOW)
    assert refused.value.code == "client_already_exists"
    assert store.load() == before
    assert store.generation() == generation


def test_versions_of_a_service_share_endpoints_until_the_last_goes(store: ServerConfStore) -> None:
    number = with_service(store)
    with store.change() as tables:
        first = tables.descriptions.services()[0]
        second = ServiceRecord(
            ServiceId(PROVIDER, "echo", "v2"), number, "", first.url, 60.0, True, Validation.OFF
        )
        tables.descriptions.add_service(second)
        tables.descriptions.remove_services([first.id])
        assert len(tables.endpoints.all()) == 1
        tables.descriptions.remove_services([second.id])
        assert tables.endpoints.all() == ()


@pytest.mark.xroad("F082")
def test_rights_are_granted_once_and_revoked_once(store: ServerConfStore) -> None:
    with_service(store)
    group = GlobalGroupId("MX", "todos")
    with store.change() as tables:
        base = tables.endpoints.base(PROVIDER, "echo")
        tables.rights.grant(base, group, NOW)
    with pytest.raises(Refused) as twice, store.change() as tables:
        tables.rights.grant(base, group, NOW)
    assert twice.value.code == "duplicate_accessright"
    assert [(r.subject, r.granted_at) for r in store.view.rights.all(PROVIDER)] == [(group, NOW)]
    with store.change() as tables:
        tables.rights.revoke(base, group)
    with pytest.raises(Refused) as gone, store.change() as tables:
        tables.rights.revoke(base, group)
    assert gone.value.code == "accessright_not_found"


def test_a_generated_endpoint_cannot_be_edited_and_a_hand_made_one_keeps_its_rights(
    store: ServerConfStore,
) -> None:
    with_service(store)
    with store.change() as tables:
        made = tables.endpoints.add(PROVIDER, Endpoint("echo", "GET", "/a"), generated=False)
        tables.rights.grant(made, CONSUMER, NOW)
        tables.endpoints.update(made.id, "POST", "/b")
    (right,) = store.view.rights.all(subject=CONSUMER)
    assert right.endpoint.endpoint == Endpoint("echo", "POST", "/b")
    base = store.view.endpoints.base(PROVIDER, "echo")
    with pytest.raises(Refused) as refused, store.change() as tables:
        tables.endpoints.update(base.id, "POST", "/b")
    assert refused.value.code == "illegal_generated_endpoint_update"


@pytest.mark.xroad("F069")
def test_deleting_a_local_group_takes_its_rights_along(store: ServerConfStore) -> None:
    with_service(store)
    with store.change() as tables:
        group = tables.groups.add(PROVIDER, "mobility", "de movilidad", NOW)
        tables.groups.add_member(group.id, CONSUMER, NOW)
        tables.rights.grant(tables.endpoints.base(PROVIDER, "echo"), LocalGroupId("mobility"), NOW)
    assert [m.id for m in store.view.groups.get(group.id).members] == [CONSUMER]
    with store.change() as tables:
        tables.groups.remove(group.id)
    assert store.view.rights.all() == ()


def test_a_document_is_kept_byte_for_byte(store: ServerConfStore) -> None:
    number = with_service(store)
    content = b"openapi: 3.0.0\r\n\xef\xbb\xbf"
    with store.change() as tables:
        tables.descriptions.set_document(number, Document(content, "text/yaml"), NOW)
    assert store.view.descriptions.document(number) == Document(content, "text/yaml")
    assert len(store.view.descriptions.get(number).digest) == 64


def test_a_second_request_of_a_kind_takes_the_place_of_the_first(store: ServerConfStore) -> None:
    with store.change() as tables:
        tables.requests.add(RequestKind.ADDRESS_CHANGE, "", "a.example", NOW)
        tables.requests.add(RequestKind.ADDRESS_CHANGE, "", "b.example", NOW)
    assert [r.detail for r in store.view.requests.all()] == ["b.example"]


@pytest.mark.parametrize(
    ("listed", "pending", "seen", "status"),
    [
        (True, (), False, ClientStatus.REGISTERED),
        (True, (RequestKind.CLIENT_DELETION,), True, ClientStatus.DELETION_IN_PROGRESS),
        (True, (RequestKind.CLIENT_DISABLE,), True, ClientStatus.DISABLING_IN_PROGRESS),
        (False, (RequestKind.CLIENT_DISABLE,), True, ClientStatus.DISABLED),
        (False, (RequestKind.CLIENT_ENABLE,), True, ClientStatus.ENABLING_IN_PROGRESS),
        (False, (RequestKind.CLIENT_REGISTRATION,), False, ClientStatus.REGISTRATION_IN_PROGRESS),
        (False, (), False, ClientStatus.SAVED),
        (False, (), True, ClientStatus.GLOBAL_ERROR),
    ],
)
def test_the_status_of_a_client_follows_from_configuration_and_requests(
    store: ServerConfStore,
    listed: bool,
    pending: tuple[RequestKind, ...],
    seen: bool,
    status: ClientStatus,
) -> None:
    with store.change() as tables:
        tables.clients.add(PROVIDER, ConnectionType.HTTP, NOW)
    if seen:
        store.note_registered({PROVIDER})
    client = store.view.clients.get(PROVIDER)
    assert derive_status(client, frozenset(pending), listed_here=listed) is status


def test_a_file_may_name_the_descriptions_of_its_services(store: ServerConfStore, tmp_path: Path) -> None:
    for name in ("testservice1.wsdl", "testopenapi_v310.json"):
        (tmp_path / name).write_bytes((VECTORS / "services" / name).read_bytes())
    services = """
[[client]]
id = "MX/GOB/00-RNSS/INDICE"
[[client.service]]
code = "testOp1"
type = "WSDL"
url = "http://inside/1"
description = "testservice1.wsdl"
[[client.service]]
code = "testOpA"
type = "WSDL"
url = "http://inside/a"
description = "testservice1.wsdl"
[[client.service]]
code = "api"
type = "OPENAPI3"
url = "http://inside/api"
description = "testopenapi_v310.json"
validation = "REPORT"
"""
    assert apply(store, tmp_path, services) != []
    descriptions = store.view.descriptions.all(PROVIDER)
    assert sorted(len(d.services) for d in descriptions) == [1, 2]
    assert len(store.load().endpoints_of(PROVIDER, "api")) == 3
    document = store.view.descriptions.document_of(ServiceId(PROVIDER, "testOpA"))
    assert document == Document((VECTORS / "services" / "testservice1.wsdl").read_bytes(), "text/xml")
    assert apply(store, tmp_path, services) == []
    changed = (tmp_path / "testopenapi_v310.json").read_text().replace("/file", "/other")
    (tmp_path / "testopenapi_v310.json").write_text(changed)
    assert len(apply(store, tmp_path, services)) == 2
    assert Endpoint("api", "POST", "/other") in store.load().endpoints_of(PROVIDER, "api")
    assert Endpoint("api", "POST", "/file") not in store.load().endpoints_of(PROVIDER, "api")
    with pytest.raises(OperatorError, match="its description has only testOp1, testOpA"):
        apply(store, tmp_path, services.replace('"testOpA"', '"nothing"'))
