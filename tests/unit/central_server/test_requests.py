"""What each management request does to the registry, what it waits for, and what it is refused for."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from central_server.management import notices
from central_server.management.requests import (
    MOVES,
    ApprovalPolicy,
    Event,
    add_request,
    approve_request,
    end_request,
)
from central_server.registry.model import OWNERS_GROUP, RegisteredServer
from central_server.store import groups, members, servers
from central_server.store.loading import import_registry, load_registry
from central_server.store.records import Actor, CentralStore
from central_server.store.requests import (
    NewRequest,
    RequestOrigin,
    RequestState,
    RequestType,
    need_request,
    remember_message,
)
from schemas.identifiers import ClientId
from serving.errors import Refused
from tests.instance import Instance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from central_server.store.records import Records

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANA, LEO = Actor("ana"), Actor("leo")
OWNER = ClientId("MX", "GOB", "15-ISSEMYM")
AFIL = OWNER.subsystem("AFIL")
NEW = ClientId("MX", "GOB", "26-NUEVO")
NEW_SUBSYSTEM = NEW.subsystem("S")
SERVER = OWNER.server("SS1")
FROM_SERVER, FROM_CENTER = RequestOrigin.SECURITY_SERVER, RequestOrigin.CENTER


@pytest.fixture
def records(tmp_path: Path) -> Iterator[Records]:
    store = CentralStore(tmp_path / "central.sqlite")
    instance = Instance(tmp_path, NOW)
    registered = RegisteredServer(SERVER, "ss1.mx", (b"certificate",), (AFIL,))
    management = RegisteredServer(
        instance.provider.member.server("MSS"), "mss.mx", (b"other",), (instance.provider,)
    )
    with store.change(ANA, NOW) as change:
        import_registry(change, instance.registry(AFIL, servers=(registered, management)))
    with store.change(ANA, NOW) as change:
        yield change
    store.close()


def ask(kind: RequestType, origin: RequestOrigin = FROM_SERVER, **fields: object) -> NewRequest:
    return NewRequest(kind, origin, **{"server": SERVER, **fields})  # type: ignore[arg-type]


def client_ask(origin: RequestOrigin = FROM_SERVER, client: ClientId = NEW_SUBSYSTEM) -> NewRequest:
    return ask(RequestType.CLIENT_REGISTRATION, origin, client=client, subsystem_name="Nombre")


def test_no_move_leads_out_of_an_end() -> None:
    ends = {RequestState.APPROVED, RequestState.DECLINED, RequestState.REVOKED}
    assert not [state for state, _ in MOVES if state in ends]


@pytest.mark.xroad("F163")
def test_a_client_registration_waits_until_it_is_approved_and_makes_what_is_missing(records: Records) -> None:
    made = add_request(records, client_ask())
    assert made.state is RequestState.WAITING
    assert members.find_client(records, NEW) is None
    approved = approve_request(records, made.number)
    assert approved.state is RequestState.APPROVED
    found = members.need_client(records, NEW.subsystem("S"))
    assert found.name == "Nombre"
    assert servers.find_server_client(records, servers.need_server(records, SERVER), found.id) is True


def test_the_other_half_makes_a_pair_that_is_approved_when_the_server_asks_last(records: Records) -> None:
    members.add_member(records, NEW, "Nuevo")
    first = add_request(records, client_ask(FROM_CENTER))
    second = add_request(records, client_ask(FROM_SERVER))
    assert second.state is RequestState.APPROVED
    assert need_request(records, first.number).state is RequestState.APPROVED


def test_the_other_half_from_the_centre_waits_for_approval(records: Records) -> None:
    members.add_member(records, NEW, "Nuevo")
    first = add_request(records, client_ask(FROM_SERVER))
    second = add_request(records, client_ask(FROM_CENTER))
    assert second.state is RequestState.SUBMITTED_FOR_APPROVAL
    assert need_request(records, first.number).state is RequestState.SUBMITTED_FOR_APPROVAL
    approve_request(records, first.number)
    assert need_request(records, second.number).state is RequestState.APPROVED


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        (client_ask(client=OWNER), "management_request_cannot_register_owner"),
        (client_ask(client=AFIL), "management_request_client_already_registered"),
        (client_ask(FROM_CENTER), "management_request_member_not_found"),
        (
            replace(client_ask(FROM_CENTER), server=OWNER.server("NO")),
            "management_request_server_not_found",
        ),
        (ask(RequestType.AUTH_CERT_REGISTRATION), "management_request_invalid_auth_certificate"),
        (
            ask(RequestType.AUTH_CERT_REGISTRATION, certificate=b"certificate"),
            "management_request_security_server_exists",
        ),
        (
            ask(RequestType.AUTH_CERT_REGISTRATION, FROM_CENTER, certificate=b"n", server=NEW.server("S")),
            "management_request_server_owner_not_found",
        ),
        (ask(RequestType.OWNER_CHANGE, client=AFIL), "management_request_owner_must_be_member"),
        (ask(RequestType.OWNER_CHANGE, client=OWNER), "management_request_client_already_owner"),
        (ask(RequestType.OWNER_CHANGE, client=NEW), "management_request_owner_must_be_client"),
        (
            ask(RequestType.OWNER_CHANGE, client=NEW, server=NEW.server("X")),
            "management_request_server_not_found",
        ),
        (ask(RequestType.CLIENT_DELETION, client=NEW), "management_request_client_registration_not_found"),
        (ask(RequestType.CLIENT_DISABLE, client=NEW), "management_request_server_client_not_found"),
        (ask(RequestType.CLIENT_RENAME, client=OWNER), "management_request_only_subsystem_rename_allowed"),
        (ask(RequestType.CLIENT_RENAME, client=AFIL), "management_request_invalid_subsystem_name"),
        (
            ask(RequestType.AUTH_CERT_DELETION, certificate=b"no"),
            "management_request_invalid_auth_certificate",
        ),
        (ask(RequestType.AUTH_CERT_DELETION, certificate=b"other"), "security_server_not_found"),
        (ask(RequestType.ADDRESS_CHANGE, address=" "), "management_request_invalid_server_address"),
        (ask(RequestType.ADDRESS_CHANGE, address="a.mx:80/x#"), "management_request_invalid_server_address"),
        (
            ask(RequestType.AUTH_CERT_REGISTRATION, certificate=b"n", address="http://a.mx"),
            "management_request_invalid_server_address",
        ),
        (ask(RequestType.MAINTENANCE_DISABLE), "management_request_server_not_in_maintenance_mode"),
        (ask(RequestType.CLIENT_ENABLE), "management_request_missing_field"),
    ],
    ids=lambda x: x if isinstance(x, str) else x.type.value,
)
def test_a_request_that_cannot_be_is_refused_with_its_code(
    records: Records, asked: NewRequest, code: str
) -> None:
    with pytest.raises(Refused) as caught:
        add_request(records, asked)
    assert caught.value.code == code


def test_the_same_request_again_is_refused_while_the_first_is_open(records: Records) -> None:
    add_request(records, client_ask())
    with pytest.raises(Refused, match="management_request_exists"):
        add_request(records, client_ask())


@pytest.mark.xroad("F040")
def test_an_auth_certificate_makes_its_server_and_its_owner_joins_the_owners(records: Records) -> None:
    asked = ask(
        RequestType.AUTH_CERT_REGISTRATION, server=NEW.server("S9"), certificate=b"new", address="s9.mx"
    )
    approve_request(records, add_request(records, asked).number)
    assert servers.need_server(records, NEW.server("S9")).address == "s9.mx"
    group = groups.need_group(records, OWNERS_GROUP)
    assert NEW in [m.client.id for m in groups.group_members(records, group)]


@pytest.mark.xroad("F164")
def test_automatic_approval_needs_its_setting_and_a_known_member(records: Records) -> None:
    policy = ApprovalPolicy(auto_auth_cert_registration=True, auto_client_registration=True)
    known = ask(RequestType.AUTH_CERT_REGISTRATION, certificate=b"second", address="ss1.mx")
    assert add_request(records, known, policy).state is RequestState.APPROVED
    assert add_request(records, client_ask(), policy).state is RequestState.WAITING
    assert (
        add_request(records, client_ask(client=OWNER.subsystem("X")), policy).state is RequestState.APPROVED
    )


def test_a_declined_request_changes_nothing_and_can_be_asked_again(records: Records) -> None:
    made = add_request(records, client_ask())
    assert end_request(records, made.number, "falta el oficio").state is RequestState.DECLINED
    assert need_request(records, made.number).content.comments == "falta el oficio"
    with pytest.raises(Refused, match="invalid_state_for_approval"):
        approve_request(records, made.number)
    with pytest.raises(Refused, match="management_request_invalid_state"):
        end_request(records, made.number)
    assert add_request(records, client_ask()).state is RequestState.WAITING


def test_what_the_centre_asked_alone_is_revoked_and_a_deletion_revokes_what_waits(records: Records) -> None:
    members.add_member(records, NEW, "Nuevo")
    assert end_request(records, add_request(records, client_ask(FROM_CENTER)).number).state is (
        RequestState.REVOKED
    )
    made = add_request(records, client_ask())
    add_request(records, ask(RequestType.CLIENT_DELETION, client=made.content.client))
    assert need_request(records, made.number).state is RequestState.REVOKED
    certificate = add_request(records, ask(RequestType.AUTH_CERT_REGISTRATION, certificate=b"w"))
    add_request(records, ask(RequestType.AUTH_CERT_DELETION, certificate=b"w"))
    assert need_request(records, certificate.number).state is RequestState.REVOKED


def test_an_immediate_request_is_not_declined(records: Records) -> None:
    made = add_request(records, ask(RequestType.CLIENT_DISABLE, client=AFIL))
    with pytest.raises(Refused, match="management_request_not_supported"):
        end_request(records, made.number)


def test_a_change_of_owner_moves_the_server_and_makes_the_old_owner_a_client(records: Records) -> None:
    members.add_member(records, NEW, "Nuevo")
    servers.add_server_client(records, servers.need_server(records, SERVER), NEW)
    made = add_request(records, ask(RequestType.OWNER_CHANGE, client=NEW))
    with pytest.raises(Refused, match="management_request_exists"):
        add_request(records, ask(RequestType.OWNER_CHANGE, client=NEW))
    approve_request(records, made.number)
    server = servers.need_server(records, NEW.server("SS1"))
    assert {c.id for c in servers.clients_of(records, server)} == {AFIL, OWNER}
    owners = groups.group_members(records, groups.need_group(records, OWNERS_GROUP))
    assert OWNER not in [m.client.id for m in owners]
    assert NEW in [m.client.id for m in owners]


def test_a_disabled_client_is_not_published_and_an_enabled_one_is(records: Records) -> None:
    def published() -> tuple[ClientId, ...]:
        return next(s.clients for s in load_registry(records).servers if s.id == SERVER)

    add_request(records, ask(RequestType.CLIENT_DISABLE, client=AFIL))
    assert published() == ()
    add_request(records, ask(RequestType.CLIENT_ENABLE, client=AFIL))
    assert published() == (AFIL,)


def test_address_name_and_maintenance_change_at_once_and_comments_keep_the_old(records: Records) -> None:
    made = add_request(records, ask(RequestType.ADDRESS_CHANGE, address="new.mx"))
    assert made.content.comments == "The address was 'ss1.mx'."
    add_request(records, ask(RequestType.CLIENT_RENAME, client=AFIL, subsystem_name="Uno"))
    made = add_request(records, ask(RequestType.CLIENT_RENAME, client=AFIL, subsystem_name="Dos"))
    assert made.content.comments == "The name was 'Uno'."
    add_request(records, ask(RequestType.MAINTENANCE_ENABLE, comments="hasta las 5"))
    assert servers.need_server(records, SERVER).maintenance == "hasta las 5"
    with pytest.raises(Refused, match="already_in_maintenance_mode"):
        add_request(records, ask(RequestType.MAINTENANCE_ENABLE))
    add_request(records, ask(RequestType.MAINTENANCE_DISABLE))
    assert servers.need_server(records, SERVER).maintenance is None


def test_the_management_service_is_neither_disabled_nor_put_into_maintenance(records: Records) -> None:
    provider = ClientId("MX", "GOB", "00-ONIESS", "GESTION")
    server = provider.member.server("MSS")
    with pytest.raises(Refused, match="mr_forbidden_disable"):
        add_request(records, ask(RequestType.CLIENT_DISABLE, client=provider, server=server))
    with pytest.raises(Refused, match="mr_forbidden_enable_maintenance"):
        add_request(records, ask(RequestType.MAINTENANCE_ENABLE, server=server))


def test_four_eyes_need_two_different_people(tmp_path: Path) -> None:
    store, instance = CentralStore(tmp_path / "central.sqlite"), Instance(tmp_path, NOW)
    policy = ApprovalPolicy(four_eyes=True)
    with store.change(ANA, NOW) as records:
        import_registry(
            records,
            instance.registry(
                servers=(RegisteredServer(instance.provider.member.server("SS1"), "a", (), ()),)
            ),
        )
        asked = replace(client_ask(), server=instance.provider.member.server("SS1"))
        number = add_request(records, asked).number
        assert approve_request(records, number, policy).state is RequestState.WAITING
        with pytest.raises(Refused, match="needs_another_approver"):
            approve_request(records, number, policy)
    with store.change(LEO, NOW) as records:
        assert approve_request(records, number, policy).state is RequestState.APPROVED
    store.close()


def test_a_message_is_handled_once(records: Records) -> None:
    remember_message(records, OWNER.path(), "id-1")
    with pytest.raises(Refused, match="management_request_replayed"):
        remember_message(records, OWNER.path(), "id-1")
    remember_message(records, NEW.path(), "id-1")


def test_a_decision_is_put_into_the_outbox_of_every_institute_it_concerns(records: Records) -> None:
    notices.keep_contact(records, notices.Contact(OWNER, "ti@issemym.mx", "https://issemym.mx/hook", "s"))
    made = add_request(records, client_ask())
    assert notices.due_notices(records, NOW) == []
    end_request(records, made.number, "no")
    due = notices.due_notices(records, NOW)
    assert {n.channel for n in due} == {"mail", "webhook"}
    assert all('"status": "DECLINED"' in n.body and '"comments": "no"' in n.body for n in due)


def test_every_event_has_a_move() -> None:
    assert {event for _, event in MOVES} == set(Event)
