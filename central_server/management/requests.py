"""Management requests: the rules. One table of states and moves, one table of what each kind does.

A request that registers something waits for approval; the other half of a pair (the same thing asked by the other side)
moves both to ``SUBMITTED FOR APPROVAL``. All other kinds take effect at once. Approval may be automatic, and may need two
people. Whatever happens to a request of a security server is also put into the outbox for its owner.

Rules raise `Refused`; the transaction they run in is then rolled back, so a refused request changes nothing.

Spec: X-Road 7.8's central server, managementrequest package; UG-CS management requests.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from central_server.management import notices
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store import members, servers
from central_server.store import requests as kept
from central_server.store.loading import provider
from central_server.store.requests import (
    OPEN,
    KeptRequest,
    NewRequest,
    RequestOrigin,
    RequestState,
    RequestType,
)
from schemas.names import is_host

if TYPE_CHECKING:
    from collections.abc import Callable

    from central_server.store.records import Records
    from schemas.identifiers import ClientId


class Event(enum.StrEnum):
    """An event that moves a request from one state to another."""

    COMPLEMENT = "complement"
    APPROVE = "approve"
    DECLINE = "decline"
    REVOKE = "revoke"


MOVES: dict[tuple[RequestState, Event], RequestState] = {
    (RequestState.WAITING, Event.COMPLEMENT): RequestState.SUBMITTED_FOR_APPROVAL,
    (RequestState.WAITING, Event.APPROVE): RequestState.APPROVED,
    (RequestState.WAITING, Event.DECLINE): RequestState.DECLINED,
    (RequestState.WAITING, Event.REVOKE): RequestState.REVOKED,
    (RequestState.SUBMITTED_FOR_APPROVAL, Event.APPROVE): RequestState.APPROVED,
    (RequestState.SUBMITTED_FOR_APPROVAL, Event.DECLINE): RequestState.DECLINED,
}


@dataclass(frozen=True, slots=True)
class ApprovalPolicy:
    """The requests approved without anybody looking, and whether two people must look at the rest."""

    auto_auth_cert_registration: bool = False
    auto_client_registration: bool = False
    auto_owner_change: bool = False
    four_eyes: bool = False


MANUAL = ApprovalPolicy()


def add_request(records: Records, request: NewRequest, policy: ApprovalPolicy = MANUAL) -> KeptRequest:
    """Take a request: it waits, is approved automatically, or takes effect at once. Raises `Refused`."""
    # The tables hold this instance's alone, and name it nowhere: another's would come in as one of this.
    if request.server.instance != records.instance:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_SERVER_NOT_FOUND, request.server.encoded())
    if request.client is not None and request.client.instance != records.instance:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_MEMBER_NOT_FOUND, request.client.encoded())
    waiting = _WAITING.get(request.type)
    if waiting is None:
        request = _IMMEDIATE[request.type](records, request)
        return _added(records, kept.add_request(records, request, RequestState.APPROVED))
    check, effect = waiting
    found = check(records, request)
    if found is None:
        made = kept.add_request(records, request, RequestState.WAITING)
    else:
        made = kept.add_request(records, request, found.state, found.number)
        _move(records, made, Event.COMPLEMENT)
        made = kept.need_request(records, made.number)
    made = _added(records, made)
    if _is_automatic(records, made, policy):
        effect(records, made)
        return _finish(records, made, Event.APPROVE)
    return made


def approve_request(records: Records, number: int, policy: ApprovalPolicy = MANUAL) -> KeptRequest:
    """Approve a waiting request, or approve it for the first time where two must. Raises `Refused`."""
    found = kept.need_request(records, number)
    waiting = _WAITING.get(found.content.type)
    if waiting is None or found.state not in OPEN:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_INVALID_STATE_FOR_APPROVAL, number)
    if policy.four_eyes:
        if found.first_approval is None:
            kept.set_first_approval(records, number, records.actor.name)
            records.note("FIRST_APPROVAL_OF_MANAGEMENT_REQUEST", str(number))
            return kept.need_request(records, number)
        if found.first_approval == records.actor.name:
            raise refuse(RegistryCode.MANAGEMENT_REQUEST_NEEDS_ANOTHER_APPROVER, number, found.first_approval)
    waiting[1](records, found)
    return _finish(records, found, Event.APPROVE)


def end_request(records: Records, number: int, comments: str | None = None) -> KeptRequest:
    """Decline what a security server asked, or revoke what the centre asked and nobody complemented. Raises `Refused`."""
    found = kept.need_request(records, number)
    if found.content.type not in _WAITING:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_NOT_SUPPORTED, number)
    if found.state not in OPEN:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_INVALID_STATE, number)
    if comments:
        kept.set_comments(records, number, comments)
    alone = found.state is RequestState.WAITING and found.content.origin is RequestOrigin.CENTER
    return _finish(records, found, Event.REVOKE if alone else Event.DECLINE)


def _added(records: Records, made: KeptRequest) -> KeptRequest:
    about = made.content
    lines = {
        "client": None if about.client is None else about.client.encoded(),
        "address": about.address,
        "certificate": None if about.certificate is None else servers.certificate_digest(about.certificate),
        "name": about.subsystem_name,
    }
    records.note(
        "ADD_MANAGEMENT_REQUEST",
        str(made.number),
        after=[f"{name} {value}" for name, value in lines.items() if value is not None],
        type=about.type.value,
        origin=about.origin.value,
        server=about.server.encoded(),
        state=made.state.value,
    )
    return made


def _move(records: Records, request: KeptRequest, event: Event) -> None:
    goal = MOVES.get((request.state, event))
    if goal is None:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_INVALID_STATE, request.number)
    kept.set_state(records, request.number, goal)


def _finish(records: Records, request: KeptRequest, event: Event) -> KeptRequest:
    _move(records, request, event)
    after = kept.need_request(records, request.number)
    records.note(
        f"{event.value.upper()}_MANAGEMENT_REQUEST",
        str(request.number),
        before=[f"state {request.state.value}"],
        after=[f"state {after.state.value}"],
    )
    notices.queue_notices(records, after)
    return after


def _is_automatic(records: Records, made: KeptRequest, policy: ApprovalPolicy) -> bool:
    request = made.content
    if request.origin is not RequestOrigin.SECURITY_SERVER:
        return False
    both = made.state is RequestState.SUBMITTED_FOR_APPROVAL
    match request.type:
        case RequestType.AUTH_CERT_REGISTRATION:
            ready = members.find_client(records, request.server.owner) is not None
            return ready and (both or policy.auto_auth_cert_registration)
        case RequestType.CLIENT_REGISTRATION:
            ready = (
                servers.find_server(records, request.server) is not None
                and members.find_client(records, _client(request).member) is not None
            )
            return ready and (both or policy.auto_client_registration)
        case RequestType.OWNER_CHANGE:
            return policy.auto_owner_change
        case _:
            return False


def _client(request: NewRequest) -> ClientId:
    if request.client is None:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_MISSING_FIELD, "client_id")
    return request.client


# Authentication certificate registration


def _check_auth_cert(records: Records, request: NewRequest) -> KeptRequest | None:
    if not request.certificate:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_INVALID_AUTH_CERTIFICATE)
    if request.origin is RequestOrigin.CENTER and members.find_client(records, request.server.owner) is None:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_SERVER_OWNER_NOT_FOUND, request.server.owner.encoded())
    if request.address and not is_host(request.address):
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_INVALID_SERVER_ADDRESS)
    if servers.server_of_certificate(records, request.certificate) is not None:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_SECURITY_SERVER_EXISTS)
    found = kept.requests_with_certificate(records, request.certificate)
    if not found:
        return None
    first = found[0]
    if len(found) > 1 or first.content.origin is request.origin or first.content.server != request.server:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_EXISTS, first.number)
    return first


def _register_auth_cert(records: Records, request: KeptRequest) -> None:
    new_request = request.content
    if (
        new_request.certificate is None
        or servers.server_of_certificate(records, new_request.certificate) is not None
    ):
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_SECURITY_SERVER_EXISTS)
    _find_or_create_member(records, new_request.server.owner)
    server = servers.find_server(records, new_request.server)
    address = new_request.address or _address_of_pair(records, request)
    if server is None:
        server = servers.add_server(records, new_request.server, address or "")
    elif address and address != server.address:
        server = servers.set_address(records, new_request.server, address)
    servers.add_certificate(records, server, new_request.certificate)
    servers.join_owners(records, new_request.server.owner)


def _address_of_pair(records: Records, request: KeptRequest) -> str | None:
    if request.complements is None:
        return None
    return kept.need_request(records, request.complements).content.address


def _find_or_create_member(records: Records, member: ClientId) -> None:
    if members.find_client(records, member) is None:
        members.add_member(records, member, member.member_code)


# Client registration


def _check_client(records: Records, request: NewRequest) -> KeptRequest | None:
    client = _client(request)
    if client == request.server.owner:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_CANNOT_REGISTER_OWNER)
    server = servers.find_server(records, request.server)
    if request.origin is RequestOrigin.CENTER:
        if server is None:
            raise refuse(RegistryCode.MANAGEMENT_REQUEST_SERVER_NOT_FOUND, request.server.encoded())
        if members.find_client(records, client.member) is None:
            raise refuse(RegistryCode.MANAGEMENT_REQUEST_MEMBER_NOT_FOUND, client.encoded())
    if server is not None and servers.find_server_client(records, server, client) is not None:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_CLIENT_ALREADY_REGISTERED)
    found = [
        r
        for r in kept.requests_of_server(records, request.server, RequestType.CLIENT_REGISTRATION, OPEN)
        if r.content.client == client
    ]
    if not found:
        return None
    if len(found) > 1 or found[0].content.origin is request.origin:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_EXISTS, found[0].number)
    return found[0]


def _register_client(records: Records, request: KeptRequest) -> None:
    new_request, client = request.content, _client(request.content)
    server = servers.find_server(records, new_request.server)
    if server is None:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_SERVER_NOT_FOUND, new_request.server.encoded())
    # Whatever was changed while the request waited: by a file, by an administrator, by a change of owner.
    if client == server.id.owner:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_CANNOT_REGISTER_OWNER)
    if servers.find_server_client(records, server, client) is not None:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_CLIENT_ALREADY_REGISTERED)
    _find_or_create_member(records, client.member)
    found = members.find_client(records, client)
    if found is None:
        members.add_subsystem(records, client, new_request.subsystem_name)
    elif client.subsystem_code and new_request.subsystem_name and new_request.subsystem_name != found.name:
        members.rename_client(records, client, new_request.subsystem_name)
    servers.add_server_client(records, server, client)


# Change of owner


def _check_owner_change(records: Records, request: NewRequest) -> KeptRequest | None:
    client = _client(request)
    pending = kept.requests_of_server(records, request.server, RequestType.OWNER_CHANGE, OPEN)
    if pending:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_EXISTS, pending[0].number)
    if not client.is_member:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_OWNER_MUST_BE_MEMBER, client.encoded())
    server = servers.find_server(records, request.server)
    if server is None:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_SERVER_NOT_FOUND, request.server.encoded())
    if client == request.server.owner:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_CLIENT_ALREADY_OWNER, client.encoded())
    if servers.find_server_client(records, server, client) is None:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_OWNER_MUST_BE_CLIENT, client.encoded())
    if servers.find_server(records, client.server(request.server.server_code)) is not None:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_SERVER_CODE_EXISTS, request.server.server_code)
    return None


def _change_owner(records: Records, request: KeptRequest) -> None:
    _check_owner_still(records, request)
    servers.change_owner(records, request.content.server, _client(request.content))


def _check_owner_still(records: Records, request: KeptRequest) -> None:
    server = servers.find_server(records, request.content.server)
    if server is None:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_SERVER_NOT_FOUND, request.content.server.encoded())
    client = _client(request.content)
    if servers.find_server_client(records, server, client) is None:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_OWNER_MUST_BE_CLIENT, client.encoded())
    if servers.find_server(records, client.server(request.content.server.server_code)) is not None:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_SERVER_CODE_EXISTS, request.content.server.server_code)


_WAITING: dict[
    RequestType,
    tuple[Callable[[Records, NewRequest], KeptRequest | None], Callable[[Records, KeptRequest], None]],
] = {
    RequestType.AUTH_CERT_REGISTRATION: (_check_auth_cert, _register_auth_cert),
    RequestType.CLIENT_REGISTRATION: (_check_client, _register_client),
    RequestType.OWNER_CHANGE: (_check_owner_change, _change_owner),
}


# What takes effect at once; each gives the request as it is to be kept


def _delete_auth_cert(records: Records, request: NewRequest) -> NewRequest:
    if not request.certificate:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_INVALID_AUTH_CERTIFICATE)
    owner = servers.server_of_certificate(records, request.certificate)
    if owner is not None:
        if owner != request.server:
            raise refuse(RegistryCode.SECURITY_SERVER_NOT_FOUND, request.server.encoded())
        server = servers.need_server(records, request.server)
        for certificate in servers.certificates_of(records, server):
            if certificate.der == request.certificate:
                servers.remove_certificate(records, server, certificate)
        return request
    for pending in kept.requests_with_certificate(records, request.certificate):
        if pending.content.server == request.server and pending.state is RequestState.WAITING:
            _finish(records, pending, Event.REVOKE)
            return request
    raise refuse(RegistryCode.MANAGEMENT_REQUEST_INVALID_AUTH_CERTIFICATE)


def _delete_client(records: Records, request: NewRequest) -> NewRequest:
    client = _client(request)
    server = servers.find_server(records, request.server)
    if server is not None and servers.find_server_client(records, server, client) is not None:
        servers.remove_server_client(records, server, client)
        return request
    everything = kept.requests_of_server(
        records,
        request.server,
        RequestType.CLIENT_REGISTRATION,
        (RequestState.WAITING, RequestState.DECLINED),
    )
    found = [r for r in everything if r.content.client == client]
    waiting = [r for r in found if r.state is RequestState.WAITING]
    if waiting:
        _finish(records, waiting[0], Event.REVOKE)
    elif not found:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_CLIENT_REGISTRATION_NOT_FOUND, client.encoded())
    return request


def _server_of(records: Records, request: NewRequest) -> servers.KeptServer:
    server = servers.find_server(records, request.server)
    if server is None:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_SERVER_NOT_FOUND, request.server.encoded())
    return server


def _server_with_client(records: Records, request: NewRequest) -> servers.KeptServer:
    server, client = servers.find_server(records, request.server), _client(request)
    if server is None or servers.find_server_client(records, server, client) is None:
        raise refuse(
            RegistryCode.MANAGEMENT_REQUEST_SERVER_CLIENT_NOT_FOUND,
            request.server.encoded(),
            client.encoded(),
        )
    return server


def _disable_client(records: Records, request: NewRequest) -> NewRequest:
    server, client = _server_with_client(records, request), _client(request)
    if client == provider(records):
        raise refuse(RegistryCode.MR_FORBIDDEN_DISABLE_MANAGEMENT_SERVICE_CLIENT, client.encoded())
    servers.enable_server_client(records, server, client, enabled=False)
    return request


def _enable_client(records: Records, request: NewRequest) -> NewRequest:
    servers.enable_server_client(
        records, _server_with_client(records, request), _client(request), enabled=True
    )
    return request


def _rename_client(records: Records, request: NewRequest) -> NewRequest:
    client = _client(request)
    if client.is_member:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_ONLY_SUBSYSTEM_RENAME_ALLOWED)
    if not (request.subsystem_name or "").strip():
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_INVALID_SUBSYSTEM_NAME)
    _server_with_client(records, request)
    old = members.need_client(records, client).name
    members.rename_client(records, client, request.subsystem_name)
    return request if old is None else replace(request, comments=request.comments or f"The name was '{old}'.")


def _change_address(records: Records, request: NewRequest) -> NewRequest:
    if not is_host(request.address or ""):
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_INVALID_SERVER_ADDRESS)
    old = _server_of(records, request).address
    servers.set_address(records, request.server, request.address or "")
    return replace(request, comments=request.comments or f"The address was '{old}'.")


def _enable_maintenance(records: Records, request: NewRequest) -> NewRequest:
    server, chosen = _server_of(records, request), provider(records)
    if chosen is not None and (
        chosen == request.server.owner or servers.find_server_client(records, server, chosen) is not None
    ):
        raise refuse(
            RegistryCode.MR_FORBIDDEN_ENABLE_MAINTENANCE_MODE_FOR_MANAGEMENT_SERVICE,
            chosen.encoded(),
            request.server.encoded(),
        )
    if server.maintenance is not None:
        raise refuse(
            RegistryCode.MANAGEMENT_REQUEST_SERVER_ALREADY_IN_MAINTENANCE_MODE, request.server.encoded()
        )
    servers.set_maintenance(records, request.server, request.comments or "")
    return request


def _disable_maintenance(records: Records, request: NewRequest) -> NewRequest:
    if _server_of(records, request).maintenance is None:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_SERVER_NOT_IN_MAINTENANCE_MODE, request.server.encoded())
    servers.set_maintenance(records, request.server, None)
    return request


_IMMEDIATE: dict[RequestType, Callable[[Records, NewRequest], NewRequest]] = {
    RequestType.AUTH_CERT_DELETION: _delete_auth_cert,
    RequestType.CLIENT_DELETION: _delete_client,
    RequestType.CLIENT_DISABLE: _disable_client,
    RequestType.CLIENT_ENABLE: _enable_client,
    RequestType.CLIENT_RENAME: _rename_client,
    RequestType.ADDRESS_CHANGE: _change_address,
    RequestType.MAINTENANCE_ENABLE: _enable_maintenance,
    RequestType.MAINTENANCE_DISABLE: _disable_maintenance,
}
