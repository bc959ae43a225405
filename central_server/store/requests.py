"""Management requests as kept: what was asked, by whom, and where it stands. The rules are in `central_server.management.requests`."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from central_server.registry.merging import Registered
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store.records import read_row, read_rows
from schemas.identifiers import ClientId, ServerId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from central_server.store.records import Records


class RequestType(enum.StrEnum):
    """The kinds of request, as the admin API spells them."""

    AUTH_CERT_REGISTRATION = "AUTH_CERT_REGISTRATION_REQUEST"
    AUTH_CERT_DELETION = "AUTH_CERT_DELETION_REQUEST"
    CLIENT_REGISTRATION = "CLIENT_REGISTRATION_REQUEST"
    CLIENT_DELETION = "CLIENT_DELETION_REQUEST"
    CLIENT_DISABLE = "CLIENT_DISABLE_REQUEST"
    CLIENT_ENABLE = "CLIENT_ENABLE_REQUEST"
    CLIENT_RENAME = "CLIENT_RENAME_REQUEST"
    OWNER_CHANGE = "OWNER_CHANGE_REQUEST"
    ADDRESS_CHANGE = "ADDRESS_CHANGE_REQUEST"
    MAINTENANCE_ENABLE = "MAINTENANCE_MODE_ENABLE_REQUEST"
    MAINTENANCE_DISABLE = "MAINTENANCE_MODE_DISABLE_REQUEST"


class RequestOrigin(enum.StrEnum):
    """Whether a security server or the central server made a request."""

    CENTER = "CENTER"
    SECURITY_SERVER = "SECURITY_SERVER"


class RequestState(enum.StrEnum):
    """The states of a management request, as the admin API spells them."""

    WAITING = "WAITING"
    SUBMITTED_FOR_APPROVAL = "SUBMITTED FOR APPROVAL"
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    REVOKED = "REVOKED"


OPEN = (RequestState.WAITING, RequestState.SUBMITTED_FOR_APPROVAL)


@dataclass(frozen=True, slots=True)
class NewRequest:
    """A management request that is not kept yet."""

    type: RequestType
    origin: RequestOrigin
    server: ServerId
    client: ClientId | None = None
    address: str | None = None
    certificate: bytes | None = None
    subsystem_name: str | None = None
    comments: str | None = None
    message_id: str | None = None


@dataclass(frozen=True, slots=True)
class KeptRequest:
    """A request as kept; ``complements`` is the number of the other half of a pair."""

    number: int
    content: NewRequest
    state: RequestState
    complements: int | None
    made_by: str
    first_approval: str | None
    created_at: str
    updated_at: str


_SELECT = (
    "SELECT id, type, origin, server, client, address, certificate, subsystem_name, comments, message_id, status, "
    "complements, made_by, first_approval, created_at, updated_at FROM management_request"
)


def _kept(r: tuple[Any, ...]) -> KeptRequest:
    client = None if r[4] is None else ClientId(*str(r[4]).split("/"))
    request = NewRequest(
        RequestType(str(r[1])),
        RequestOrigin(str(r[2])),
        ServerId(*str(r[3]).split("/")),
        client,
        _text(r[5]),
        None if r[6] is None else bytes(r[6]),
        _text(r[7]),
        _text(r[8]),
        _text(r[9]),
    )
    return KeptRequest(
        int(str(r[0])),
        request,
        RequestState(str(r[10])),
        None if r[11] is None else int(str(r[11])),
        str(r[12]),
        _text(r[13]),
        str(r[14]),
        str(r[15]),
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def add_request(
    records: Records, request: NewRequest, state: RequestState, complements: int | None = None
) -> KeptRequest:
    """Keep a new request in a state; ``complements`` is the number of the request it completes."""
    number = records.insert(
        "management_request",
        type=request.type,
        origin=request.origin,
        status=state,
        server=request.server.path(),
        client=None if request.client is None else request.client.path(),
        address=request.address,
        certificate=request.certificate,
        subsystem_name=request.subsystem_name,
        comments=request.comments,
        message_id=request.message_id,
        complements=complements,
        made_by=records.actor.name,
        created_at=records.at,
        updated_at=records.at,
    )
    return need_request(records, number)


def need_request(records: Records, number: int) -> KeptRequest:
    """The request of that number. Raises `Refused` (``management_request_not_found``)."""
    row = records.row(f"{_SELECT} WHERE id = ?", number)
    if row is None:
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_NOT_FOUND, number)
    return read_row(records, "management_request", row, _kept)


def list_requests(records: Records, state: str | None = None) -> list[KeptRequest]:
    """Every management request, or those in one state, oldest first."""
    condition, values = ("", ()) if state is None else (" WHERE status = ?", (state,))
    rows = records.rows(f"{_SELECT}{condition} ORDER BY id", *values)
    return read_rows(records, "management_request", rows, _kept)


class RequestRow(NamedTuple):
    """A request for a search among tens of thousands, where nothing is made of each; server and client (empty for none) as paths."""

    number: int
    type: str
    origin: str
    server: str
    client: str
    status: str
    created_at: str

    @property
    def owner(self) -> tuple[str, str]:
        """Class and code of the server's owner."""
        _, member_class, member_code, _ = self.server.split("/")
        return member_class, member_code


def request_rows(records: Records) -> list[RequestRow]:
    """Every management request, oldest first."""
    rows = records.rows(
        "SELECT id, type, origin, server, COALESCE(client, ''), status, created_at FROM management_request ORDER BY id"
    )
    return list(map(RequestRow._make, rows))


def page_of_requests(
    records: Records, state: str | None, limit: int, start: int, *, backwards: bool = False
) -> tuple[int, list[KeptRequest]]:
    """The number of requests, of all or in one state, and ``limit`` of them from ``start`` on by number."""
    where, values = ("", ()) if state is None else (" WHERE status = ?", (state,))
    total = records.rows(f"SELECT COUNT(*) FROM management_request{where}", *values)[0][0]
    sql = f"{_SELECT}{where} ORDER BY id DESC" if backwards else f"{_SELECT}{where} ORDER BY id"
    rows = records.rows(f"{sql} LIMIT ? OFFSET ?", *values, limit, start)
    return int(total), [_kept(r) for r in rows]


def registered_by_request(records: Records) -> Registered:
    """The outcome of approved registrations, whether or not it is still there."""
    approved = [r for r in list_requests(records) if r.state is RequestState.APPROVED]
    servers, clients, pairs = set(), set(), set()
    for request in approved:
        new_request = request.content
        if new_request.type in (
            RequestType.AUTH_CERT_REGISTRATION,
            RequestType.CLIENT_REGISTRATION,
            RequestType.OWNER_CHANGE,
        ):
            servers.add(new_request.server)
            clients.add(new_request.server.owner)
        if new_request.client is not None and new_request.type in (
            RequestType.CLIENT_REGISTRATION,
            RequestType.OWNER_CHANGE,
        ):
            clients |= {new_request.client, new_request.client.member}
            pairs.add((new_request.server, new_request.client))
        if new_request.client is not None and new_request.type is RequestType.OWNER_CHANGE:
            # The server goes on under its new owner, with what it had.
            new = replace(
                new_request.server,
                member_class=new_request.client.member_class,
                member_code=new_request.client.member_code,
            )
            servers.add(new)
            pairs |= {(new, client) for server, client in pairs if server == new_request.server}
            pairs.add((new, new_request.server.owner))
    certificates = {
        r.content.certificate
        for r in approved
        if r.content.type is RequestType.AUTH_CERT_REGISTRATION and r.content.certificate is not None
    }
    return Registered(frozenset(clients), frozenset(servers), frozenset(certificates), frozenset(pairs))


def requests_of_server(
    records: Records, server: ServerId, kind: RequestType, states: Iterable[RequestState]
) -> list[KeptRequest]:
    """A server's requests of a kind in some states."""
    chosen = tuple(states)
    marks = ", ".join("?" * len(chosen))
    rows = records.rows(
        f"{_SELECT} WHERE server = ? AND type = ? AND status IN ({marks}) ORDER BY id",
        server.path(),
        kind,
        *chosen,
    )
    return read_rows(records, "management_request", rows, _kept)


def requests_with_certificate(records: Records, certificate: bytes) -> list[KeptRequest]:
    """Open registrations of an authentication certificate, whatever the server."""
    rows = records.rows(
        f"{_SELECT} WHERE type = ? AND certificate = ? AND status IN (?, ?) ORDER BY id",
        RequestType.AUTH_CERT_REGISTRATION,
        certificate,
        *OPEN,
    )
    return read_rows(records, "management_request", rows, _kept)


def set_state(records: Records, number: int, state: RequestState) -> None:
    """Move a request, and the other half of its pair with it."""
    found = need_request(records, number)
    records.rows(
        "UPDATE management_request SET status = ?, updated_at = ? WHERE id = ? OR complements = ? OR id = ?",
        state,
        records.at,
        number,
        number,
        -1 if found.complements is None else found.complements,
    )


def set_comments(records: Records, number: int, comments: str) -> None:
    """Keep the comments on a request: why it was made or declined."""
    records.rows("UPDATE management_request SET comments = ? WHERE id = ?", comments, number)


def set_first_approval(records: Records, number: int, who: str) -> None:
    """Remember who approved first, where two must."""
    records.rows(
        "UPDATE management_request SET first_approval = ?, updated_at = ? WHERE id = ?",
        who,
        records.at,
        number,
    )


def remember_message(records: Records, sender: str, message_id: str) -> None:
    """Refuse a message that has been handled before. Raises `Refused`."""
    if records.row(
        "SELECT seen_at FROM seen_message WHERE sender = ? AND message_id = ?", sender, message_id
    ):
        raise refuse(RegistryCode.MANAGEMENT_REQUEST_REPLAYED, message_id)
    records.rows(
        "INSERT INTO seen_message (sender, message_id, seen_at) VALUES (?, ?, ?)",
        sender,
        message_id,
        records.at,
    )
