"""The registry store: one contract on both engines; a file applied twice changes nothing; every change is on the chain."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from central_server.registry.model import OWNERS_GROUP, RegisteredServer
from central_server.store import groups, members, requests, servers, sources, trust
from central_server.store.loading import canonical, import_registry, load_registry
from central_server.store.records import Actor, CentralStore
from certs.certificates import der_of
from certs.tokens.port import KeyId
from schemas.identifiers import ClientId
from serving.errors import Refused
from serving.storage.audit import AuditLog
from tests.instance import Instance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Cluster

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANA = Actor("ana", "127.0.0.1")
ISSEMYM = ClientId("MX", "GOB", "15-ISSEMYM")
AFIL = ISSEMYM.subsystem("AFIL")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.processes)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return str(tmp_path / "central.sqlite")
    cluster: Cluster = request.getfixturevalue("postgres")
    return cluster.new_database()


@pytest.fixture
def store(where: str) -> Iterator[CentralStore]:
    made = CentralStore(where)
    yield made
    made.close()


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path, NOW)


def with_server(instance: Instance) -> RegisteredServer:
    certificate = der_of(instance.auth(ISSEMYM)[1])
    return RegisteredServer(ISSEMYM.server("SS1"), "ss1.mx", (certificate,), (AFIL,))


def apply(store: CentralStore, registry: object) -> None:
    with store.change(ANA, NOW) as records:
        import_registry(records, registry)  # type: ignore[arg-type]


def test_an_applied_registry_is_loaded_as_it_was(store: CentralStore, instance: Instance) -> None:
    wanted = instance.registry(AFIL, servers=(with_server(instance),))
    apply(store, wanted)
    loaded = canonical(load_registry(store.read()))
    assert loaded.members == canonical(wanted).members
    assert loaded.servers == canonical(wanted).servers
    assert loaded.cas == wanted.cas
    assert loaded.tsas == wanted.tsas


def test_pages_of_servers_group_members_and_requests_are_slices_of_all_of_them(
    store: CentralStore, instance: Instance
) -> None:
    owners = [ClientId("MX", "GOB", code) for code in ("15-ISSEMYM", "00-ONIESS")]
    named = tuple(
        RegisteredServer(o.server(f"SS{n}"), f"ss{n}.mx", (), ()) for o in owners for n in (2, 10, 1)
    )
    apply(store, instance.registry(AFIL, servers=named))
    with store.change(ANA, NOW) as records:
        groups.add_group(records, "todos", "Todos")
        for client in members.list_clients(records):
            groups.add_group_member(records, "todos", client.id)
        for n, server in enumerate(named):
            request = requests.NewRequest(
                requests.RequestType.OWNER_CHANGE, requests.RequestOrigin.CENTER, server.id, AFIL
            )
            state = requests.RequestState.WAITING if n % 2 else requests.RequestState.APPROVED
            requests.add_request(records, request, state)
    records = store.read()
    for backwards in (False, True):
        every = servers.page_of_servers(records, 100, 0, backwards=backwards)[1]
        assert [s.id.server_code for s in every] == sorted(
            (s.id.server_code for s in named), reverse=backwards
        )
        pages = [servers.page_of_servers(records, 2, start, backwards=backwards) for start in (0, 2, 4, 6)]
        assert [total for total, _ in pages] == [6] * 4
        assert [s for _, page in pages for s in page] == every
        waiting = [r for r in requests.request_rows(records) if r.status == "WAITING"]
        total, found = requests.page_of_requests(records, "WAITING", 2, 1, backwards=backwards)
        assert total == len(waiting) == 3
        assert [r.number for r in found] == sorted((r.number for r in waiting), reverse=backwards)[1:3]
    group = groups.need_group(records, "todos")
    rows = groups.group_member_rows(records, group)
    assert len(rows) == group.member_count == len(members.list_clients(records))
    assert rows[1:3] == groups.page_of_group_members(records, group, 2, 1)
    assert {r.member_name for r in rows} == set(members.names_of_members(records).values())


def test_how_servers_stand_is_counted_also_where_ends_were_not_noted(
    store: CentralStore, instance: Instance
) -> None:
    other = RegisteredServer(ISSEMYM.server("SS2"), "ss2.mx", (b"no certificate",), ())
    apply(store, instance.registry(AFIL, servers=(with_server(instance), other)))
    day = timedelta(days=1)
    # As an earlier version left them: registered, and nothing noted.
    with store.change(ANA, NOW) as records:
        records.rows("UPDATE auth_certificate SET not_after = NULL")
        assert servers.lacks_ends(records)
        assert not servers.read_ends(records)
    records = store.read()
    assert not servers.lacks_ends(records)
    (first, state, end), (_, last_state, last_end) = servers.worst_servers(records, NOW, NOW + day, 5)
    assert (first.id.server_code, state, end) == ("SS2", 0, None)
    assert (servers.SERVER_STATES[last_state], last_end is not None) == ("IN_ORDER", True)
    ends = datetime.fromisoformat(last_end or "")
    for now, soon, expected in (
        (NOW, NOW + day, "IN_ORDER"),
        (NOW, ends + day, "ENDING_SOON"),
        (ends, ends + day, "WITHOUT_CERTIFICATE"),
    ):
        counts = servers.count_server_states(records, now, soon)
        assert sum(counts.values()) == 2
        assert counts["GOB", servers.SERVER_STATES.index(expected)] >= 1, expected
    with store.change(ANA, NOW) as records:
        servers.set_maintenance(records, ISSEMYM.server("SS1"), "hoy")
    assert servers.count_server_states(store.read(), NOW, NOW + day) == {("GOB", 0): 1, ("GOB", 2): 1}


def test_applying_a_registry_twice_changes_nothing_and_keeps_numbers(
    store: CentralStore, instance: Instance
) -> None:
    wanted = instance.registry(AFIL, servers=(with_server(instance),))
    apply(store, wanted)
    before = [ca.number for ca in trust.list_cas(store.read())]
    rows = len(list(AuditLog(store.database).records()))
    apply(store, wanted)
    assert [ca.number for ca in trust.list_cas(store.read())] == before
    assert len(list(AuditLog(store.database).records())) == rows


def test_what_a_smaller_file_leaves_out_is_removed(store: CentralStore, instance: Instance) -> None:
    apply(store, instance.registry(AFIL, servers=(with_server(instance),)))
    apply(store, instance.registry())
    assert servers.list_servers(store.read()) == []
    assert members.find_client(store.read(), ISSEMYM) is None


def test_a_change_that_fails_leaves_nothing_not_even_an_audit_row(
    store: CentralStore, instance: Instance
) -> None:
    apply(store, instance.registry())
    rows, generation = len(list(AuditLog(store.database).records())), store.generation()
    with pytest.raises(Refused, match="member_class_exists"), store.change(ANA, NOW) as records:
        members.add_member(records, ISSEMYM, "ISSEMYM")
        members.add_member_class(records, "GOB", "again")
    assert members.find_client(store.read(), ISSEMYM) is None
    assert len(list(AuditLog(store.database).records())) == rows
    assert store.generation() == generation


def test_a_rehearsal_refuses_as_the_change_would_and_leaves_nothing(
    store: CentralStore, instance: Instance
) -> None:
    apply(store, instance.registry(AFIL, servers=(with_server(instance),)))
    registry, generation = canonical(load_registry(store.read())), store.generation()
    rows = list(AuditLog(store.database).records())
    with store.rehearse(ANA, NOW) as records:
        import_registry(records, instance.registry())
        assert servers.list_servers(records) == []
    with pytest.raises(Refused, match="member_class_exists"), store.rehearse(ANA, NOW) as records:
        members.add_member_class(records, "GOB", "again")
    assert canonical(load_registry(store.read())) == registry
    assert store.generation() == generation
    assert list(AuditLog(store.database).records()) == rows
    apply(store, instance.registry())
    assert servers.list_servers(store.read()) == []


@pytest.mark.xroad("F138")
def test_every_change_says_who_what_before_and_after_on_one_chain(
    store: CentralStore, instance: Instance
) -> None:
    apply(store, instance.registry(AFIL))
    with store.change(ANA, NOW) as records:
        members.rename_client(records, ISSEMYM, "Instituto")
    log = AuditLog(store.database)
    count, _ = log.verify()
    (*_, (_, text, _)) = log.records(count - 1)
    record = json.loads(text)
    assert record["who"] == "ana"
    assert record["event"] == "EDIT_MEMBER_NAME"
    assert record["changes"] == ["- name 15-ISSEMYM", "+ name Instituto"]


def test_an_owner_joins_and_leaves_the_owners_group_with_its_servers(
    store: CentralStore, instance: Instance
) -> None:
    apply(store, instance.registry(AFIL))
    with store.change(ANA, NOW) as records:
        servers.add_server(records, ISSEMYM.server("SS1"), "ss1.mx")
        servers.join_owners(records, ISSEMYM)
    group = groups.need_group(store.read(), OWNERS_GROUP)
    assert [m.client.id for m in groups.group_members(store.read(), group)] == [ISSEMYM]
    with store.change(ANA, NOW) as records:
        servers.delete_server(records, ISSEMYM.server("SS1"))
    assert groups.need_group(store.read(), OWNERS_GROUP).member_count == 0


def test_keys_of_two_nodes_stand_apart_and_both_are_published(where: str, instance: Instance) -> None:
    first, second = CentralStore(where, "node_0"), CentralStore(where, "node_1")
    apply(first, replace(instance.registry(), address="a.mx"))
    for store, name in ((first, "a"), (second, "b")):
        with store.change(ANA, NOW) as records:
            sources.set_node_address(records, f"{name}.mx")
            sources.add_signing_key(
                records, sources.SigningKey(KeyId(name), "internal", name.encode(), active=False)
            )
    assert [k.key_id for k in sources.signing_keys(first.read(), "internal")] == ["a"]
    assert [k.key_id for k in sources.signing_keys(second.read(), "internal")] == ["b"]
    shared = [load_registry(store.read()).sources for store in (first, second)]
    assert shared[0] == shared[1]
    assert [s.address for s in shared[0]] == ["a.mx", "b.mx"]
    first.close()
    second.close()


def test_the_first_key_signs_a_second_waits_and_a_third_is_refused(
    store: CentralStore, instance: Instance
) -> None:
    apply(store, instance.registry())
    with store.change(ANA, NOW) as records:
        for name in ("a", "b"):
            sources.add_signing_key(records, sources.SigningKey(KeyId(name), "internal", b"", active=False))
        assert [k.active for k in sources.signing_keys(records, "internal")] == [True, False]
        with pytest.raises(Refused, match="token_action_not_possible"):
            sources.check_room_for_key(records, "internal")
        with pytest.raises(Refused, match="signing_key_action_not_possible"):
            sources.delete_signing_key(records, "a")
        sources.activate_signing_key(records, "b")
        sources.delete_signing_key(records, "a")
        assert [k.key_id for k in sources.signing_keys(records, "internal")] == ["b"]


def test_a_key_counts_as_known_from_its_first_publication_and_anew_after_an_outage(
    store: CentralStore, instance: Instance
) -> None:
    apply(store, instance.registry())
    lifetime, hour = timedelta(hours=1), timedelta(hours=1)
    with store.change(ANA, NOW) as records:
        sources.set_node_address(records, "cs.mx")
        for name in ("a", "b"):
            sources.add_signing_key(records, sources.SigningKey(KeyId(name), "internal", b"", active=False))

    def published(after: timedelta, *keys: str) -> timedelta | None:
        """A publication some time after the key was made; since when the waiting key then counts."""
        with store.database.transaction() as sql:
            sources.note_publication(sql, store.node, NOW + after, [KeyId(k) for k in keys], lifetime)
        records = store.read()
        since = sources.known_since(records, sources.need_signing_key(records, "b"), 3600)
        return None if since is None else since[0] - NOW

    # A publication that was made without it: the one before is signed anew while the registry cannot be read.
    assert published(hour, "a") is None
    # The centre was stopped since the key was made: it counts from where it was published, not from where it was made.
    assert published(5 * hour, "a", "b") == 5 * hour
    assert published(5.5 * hour, "a", "b") == 5 * hour
    assert published(6.5 * hour) == 5 * hour
    # Longer without a publication than one lasts: gateways may have met none that tells of it.
    assert published(8 * hour, "a", "b") == 8 * hour
    assert published(9.1 * hour, "a") is None
    # A clock that was set back proves nothing of how long the key has been out.
    assert published(9.2 * hour, "a", "b") == 9.2 * hour
    assert published(3 * hour, "a", "b") == 3 * hour


def test_changed_ca_settings_keep_the_number(store: CentralStore, instance: Instance) -> None:
    apply(store, instance.registry())
    (ca,) = trust.list_cas(store.read())
    with store.change(ANA, NOW) as records:
        trust.set_ca(records, ca.number, replace(ca.settings, acme_url="https://acme.mx/"))
    assert trust.need_ca(store.read(), ca.number).settings.acme_url == "https://acme.mx/"
