"""Security servers with their authentication certificates and clients, and the group of their owners."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, cast

from cryptography import x509

from central_server.registry.model import OWNERS_GROUP
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store.groups import add_group_member, find_group, remove_group_member
from central_server.store.members import KeptClient, find_client, kept_client, need_client
from central_server.store.records import read_rows
from schemas.identifiers import ClientId, ServerId, check_identifier
from schemas.names import check_host, check_text

if TYPE_CHECKING:
    from datetime import datetime

    from central_server.store.records import Records
    from serving.language import Translatable


@dataclass(frozen=True, slots=True)
class KeptServer:
    """A security server; ``maintenance`` is the notice when it is in maintenance mode."""

    number: int
    id: ServerId
    owner_name: str
    address: str
    maintenance: str | None
    created_at: str
    updated_at: str


@dataclass(frozen=True, slots=True)
class KeptCertificate:
    """An authentication certificate (DER) of a server."""

    number: int
    der: bytes


_SELECT = (
    "SELECT s.id, c.member_class, c.member_code, s.server_code, c.name, s.address, s.maintenance, s.created_at, "
    "s.updated_at FROM server s JOIN client c ON c.id = s.owner_id"
)


READ_AT_ONCE = 1_000
ServerRow = tuple[int, str, str, str, str, str, str | None, str, str]


def server_rows(records: Records) -> list[ServerRow]:
    """Number, owner's class, code, server's code, owner's name, address, notice and times of every server, in no order; for searches."""
    return [cast("ServerRow", row) for row in records.rows(_SELECT)]


def server_of_row(records: Records, row: ServerRow) -> KeptServer:
    """A row of `server_rows` as a value."""
    return _server(records.instance, row)


_PAGE = (
    f"{_SELECT} WHERE s.id IN (SELECT id FROM (SELECT id FROM server ORDER BY server_code, id LIMIT ? OFFSET ?) AS page) "
    "ORDER BY s.server_code, s.id"
)
_PAGE_BACKWARDS = (
    f"{_SELECT} WHERE s.id IN (SELECT id FROM (SELECT id FROM server ORDER BY server_code DESC, id DESC LIMIT ? OFFSET ?) AS page) "
    "ORDER BY s.server_code DESC, s.id DESC"
)


def page_of_servers(
    records: Records, limit: int, start: int, *, backwards: bool = False
) -> tuple[int, list[KeptServer]]:
    """The number of security servers, and ``limit`` of them from ``start`` on by their code."""
    total = records.rows("SELECT COUNT(*) FROM server")[0][0]
    # The page is chosen among codes alone; owners are joined to the rows of the page.
    rows = records.rows(_PAGE_BACKWARDS if backwards else _PAGE, limit, start)
    # Without servers there may be no instance yet.
    return int(total), [_server(records.instance, row) for row in rows]


def _server(instance: str, r: ServerRow) -> KeptServer:
    return KeptServer(int(r[0]), ServerId(instance, r[1], r[2], r[3]), r[4], r[5], r[6], r[7], r[8])


def list_servers(records: Records, faults: list[Translatable] | None = None) -> list[KeptServer]:
    """Every security server. With ``faults`` a row that names nothing is said there and left out."""
    rows = records.rows(f"{_SELECT} ORDER BY c.member_class, c.member_code, s.server_code")
    return read_rows(records, "server", rows, lambda row: _server(records.instance, row), faults)


def find_server(records: Records, server: ServerId) -> KeptServer | None:
    """A security server, or None."""
    if server.instance != records.instance:
        return None
    row = records.row(
        f"{_SELECT} WHERE c.member_class = ? AND c.member_code = ? AND c.subsystem_code = '' AND s.server_code = ?",
        server.member_class,
        server.member_code,
        server.server_code,
    )
    return None if row is None else _server(records.instance, row)


def need_server(records: Records, server: ServerId) -> KeptServer:
    """A security server. Raises `Refused`."""
    found = find_server(records, server)
    if found is None:
        raise refuse(RegistryCode.SECURITY_SERVER_NOT_FOUND, server.encoded())
    return found


def servers_owned_by(records: Records, member: ClientId) -> list[KeptServer]:
    """The servers a member owns."""
    found = need_client(records, member)
    rows = records.rows(f"{_SELECT} WHERE s.owner_id = ? ORDER BY s.server_code", found.number)
    return [_server(records.instance, row) for row in rows]


def servers_used_by(records: Records, client: ClientId) -> list[KeptServer]:
    """The servers that have exactly this client."""
    found = need_client(records, client)
    rows = records.rows(
        f"{_SELECT} JOIN server_client u ON u.server_id = s.id WHERE u.client_id = ? ORDER BY s.server_code",
        found.number,
    )
    return [_server(records.instance, row) for row in rows]


# Changes


def add_server(records: Records, server: ServerId, address: str) -> KeptServer:
    """A new security server of a member that is there."""
    check_identifier(server, "security server")
    check_host(address, f"security server {server.path()}: the address")
    owner = need_client(records, server.owner)
    records.insert(
        "server",
        owner_id=owner.number,
        server_code=server.server_code,
        address=address,
        created_at=records.at,
        updated_at=records.at,
    )
    records.note("ADD_SECURITY_SERVER", server.encoded(), after=[f"address {address}"])
    return need_server(records, server)


def set_address(records: Records, server: ServerId, address: str) -> KeptServer:
    """Give a server another address."""
    check_host(address, f"security server {server.path()}: the address")
    found = need_server(records, server)
    records.rows(
        "UPDATE server SET address = ?, updated_at = ? WHERE id = ?", address, records.at, found.number
    )
    records.note(
        "EDIT_SECURITY_SERVER_ADDRESS",
        server.encoded(),
        before=[f"address {found.address}"],
        after=[f"address {address}"],
    )
    return need_server(records, server)


def set_maintenance(records: Records, server: ServerId, notice: str | None) -> None:
    """Put a server into maintenance mode with a notice, which may have lines, or (None) out of it. Raises `BadMessage`."""
    found = need_server(records, server)
    check_text(notice or "", f"security server {server.path()}: the notice", lines=True)
    records.rows(
        "UPDATE server SET maintenance = ?, updated_at = ? WHERE id = ?", notice, records.at, found.number
    )
    records.note(
        "SET_MAINTENANCE_MODE",
        server.encoded(),
        before=[f"maintenance {found.maintenance!r}"],
        after=[f"maintenance {notice!r}"],
    )


def delete_server(records: Records, server: ServerId) -> None:
    """Remove a server with its certificates and clients; an owner without servers leaves the owners' group."""
    found = need_server(records, server)
    for certificate in certificates_of(records, found):
        remove_certificate(records, found, certificate)
    for client in clients_of(records, found):
        remove_server_client(records, found, client.id)
    records.rows("DELETE FROM server WHERE id = ?", found.number)
    records.note("DELETE_SECURITY_SERVER", server.encoded(), before=[f"address {found.address}"])
    if not servers_owned_by(records, server.owner):
        remove_group_member(records, OWNERS_GROUP, server.owner)


def change_owner(records: Records, server: ServerId, owner: ClientId) -> ServerId:
    """Give a server to another member, its client until now; the old owner becomes a client."""
    found, old, new = (
        need_server(records, server),
        need_client(records, server.owner),
        need_client(records, owner),
    )
    records.rows(
        "UPDATE server SET owner_id = ?, updated_at = ? WHERE id = ?", new.number, records.at, found.number
    )
    changed = need_server(records, owner.server(server.server_code))
    remove_server_client(records, changed, owner)
    if find_server_client(records, changed, old.id) is None:
        add_server_client(records, changed, old.id)
    records.note(
        "CHANGE_OWNER",
        server.encoded(),
        before=[f"owner {old.id.encoded()}"],
        after=[f"owner {owner.encoded()}"],
    )
    if not servers_owned_by(records, old.id):
        remove_group_member(records, OWNERS_GROUP, old.id)
    join_owners(records, owner)
    return changed.id


def join_owners(records: Records, member: ClientId) -> None:
    """Put a member into the group of security server owners, unless it is there."""
    if find_group(records, OWNERS_GROUP) is not None:
        add_group_member(records, OWNERS_GROUP, member)


# Authentication certificates


def certificate_digest(der: bytes) -> str:
    """The digest a certificate is found by, in hex."""
    return hashlib.sha256(der).hexdigest()


def certificates_of(records: Records, server: KeptServer) -> list[KeptCertificate]:
    """The authentication certificates of a server."""
    rows = records.rows("SELECT id, der FROM auth_certificate WHERE server_id = ? ORDER BY id", server.number)
    return [KeptCertificate(int(r[0]), bytes(r[1])) for r in rows]


def read_ends(records: Records) -> bool:
    """In a change, note when certificates end of which an earlier version did not; whether more of them wait."""
    rows = records.rows(
        "SELECT id, der FROM auth_certificate WHERE not_after IS NULL ORDER BY id LIMIT ?", READ_AT_ONCE
    )
    for number, der in rows:
        records.rows("UPDATE auth_certificate SET not_after = ? WHERE id = ?", _end_of(bytes(der)), number)
    return len(rows) == READ_AT_ONCE


def lacks_ends(records: Records) -> bool:
    """Whether of some certificate it was not noted when it ends."""
    return records.row("SELECT id FROM auth_certificate WHERE not_after IS NULL LIMIT 1") is not None


def _end_of(der: bytes) -> str:
    """When a certificate ends, in UTC to the second; empty for what is no certificate. Nothing else of it is read."""
    try:
        return x509.load_der_x509_certificate(der).not_valid_after_utc.strftime(ENDS)
    except ValueError:
        return ""


# How the servers stand. The number of a state is its place in `SERVER_STATES`, the worst first; `ENDS` is how the tables keep an end.

ServerState = Literal["WITHOUT_CERTIFICATE", "ENDING_SOON", "IN_MAINTENANCE", "IN_ORDER"]
SERVER_STATES: Final[tuple[ServerState, ...]] = (
    "WITHOUT_CERTIFICATE",
    "ENDING_SOON",
    "IN_MAINTENANCE",
    "IN_ORDER",
)
ENDS = "%Y-%m-%dT%H:%M:%SZ"
_STATE_ROWS = (
    "SELECT s.id AS number, s.owner_id, s.server_code, e.ends, "
    "CASE WHEN e.ends IS NULL OR e.ends <= ? THEN 0 WHEN e.ends < ? THEN 1 WHEN s.maintenance IS NULL THEN 3 ELSE 2 END AS state "
    "FROM server s LEFT JOIN (SELECT server_id, MAX(not_after) AS ends FROM auth_certificate GROUP BY server_id) e "
    "ON e.server_id = s.id"
)


def count_server_states(records: Records, now: datetime, soon: datetime) -> dict[tuple[str, int], int]:
    """The number of servers by member class and state; a certificate that ends before ``soon`` ends soon."""
    rows = records.rows(
        f"SELECT c.member_class, t.state, COUNT(*) FROM ({_STATE_ROWS}) t JOIN client c ON c.id = t.owner_id "
        "GROUP BY c.member_class, t.state",
        now.strftime(ENDS),
        soon.strftime(ENDS),
    )
    return {(str(r[0]), int(r[1])): int(r[2]) for r in rows}


def worst_servers(
    records: Records, now: datetime, soon: datetime, limit: int
) -> list[tuple[KeptServer, int, str | None]]:
    """Some servers, the worst first and of those the one that ends first, each with its state and when its last certificate ends."""
    rows = records.rows(
        f"{_SELECT.replace(' FROM ', ', t.state, t.ends FROM ')} JOIN ({_STATE_ROWS}) t ON t.number = s.id "
        "ORDER BY t.state, COALESCE(t.ends, ''), c.member_class, c.member_code, s.server_code LIMIT ?",
        now.strftime(ENDS),
        soon.strftime(ENDS),
        limit,
    )
    return [(_server(records.instance, r[:9]), int(r[9]), r[10] or None) for r in rows]


def client_members(records: Records, number: int) -> list[tuple[str, str]]:
    """Class and code of the member of each client of the server of that number, its owner left out."""
    rows = records.rows(
        "SELECT c.member_class, c.member_code FROM server_client u JOIN client c ON c.id = u.client_id "
        "WHERE u.server_id = ?",
        number,
    )
    return [(r[0], r[1]) for r in rows]


def server_of_certificate(records: Records, der: bytes) -> ServerId | None:
    """The server that has an authentication certificate, or None."""
    row = records.row(
        f"{_SELECT} JOIN auth_certificate a ON a.server_id = s.id WHERE a.digest = ?", certificate_digest(der)
    )
    return None if row is None else _server(records.instance, row).id


def add_certificate(records: Records, server: KeptServer, der: bytes) -> None:
    """Register an authentication certificate that no server has."""
    digest = certificate_digest(der)
    records.insert(
        "auth_certificate",
        server_id=server.number,
        digest=digest,
        der=der,
        created_at=records.at,
        not_after=_end_of(der),
    )
    records.note("ADD_SECURITY_SERVER_AUTH_CERT", server.id.encoded(), after=[f"certificate {digest}"])


def remove_certificate(records: Records, server: KeptServer, certificate: KeptCertificate) -> None:
    """Forget an authentication certificate of a server."""
    records.rows("DELETE FROM auth_certificate WHERE id = ?", certificate.number)
    records.note(
        "DELETE_SECURITY_SERVER_AUTH_CERT",
        server.id.encoded(),
        before=[f"certificate {certificate_digest(certificate.der)}"],
    )


# Clients


def clients_of(records: Records, server: KeptServer) -> list[KeptClient]:
    """A server's clients, disabled ones too, without its owner."""
    rows = records.rows(
        "SELECT c.id, c.member_class, c.member_code, c.subsystem_code, c.name FROM server_client u "
        "JOIN client c ON c.id = u.client_id WHERE u.server_id = ? "
        "ORDER BY c.member_class, c.member_code, c.subsystem_code",
        server.number,
    )
    return [kept_client(records.instance, row) for row in rows]


def find_server_client(records: Records, server: KeptServer, client: ClientId) -> bool | None:
    """Whether a client of a server is enabled; None when it is none."""
    found = find_client(records, client)
    if found is None:
        return None
    row = records.row(
        "SELECT enabled FROM server_client WHERE server_id = ? AND client_id = ?", server.number, found.number
    )
    return None if row is None else bool(row[0])


def add_server_client(records: Records, server: KeptServer, client: ClientId) -> None:
    """Make a member or subsystem a client of a server."""
    found = need_client(records, client)
    records.rows(
        "INSERT INTO server_client (server_id, client_id, enabled, created_at) VALUES (?, ?, 1, ?)",
        server.number,
        found.number,
        records.at,
    )
    records.note("ADD_SECURITY_SERVER_CLIENT", server.id.encoded(), after=[f"client {client.encoded()}"])


def enable_server_client(records: Records, server: KeptServer, client: ClientId, *, enabled: bool) -> None:
    """Show or hide a client of a server in the configuration."""
    found = need_client(records, client)
    records.rows(
        "UPDATE server_client SET enabled = ? WHERE server_id = ? AND client_id = ?",
        int(enabled),
        server.number,
        found.number,
    )
    event = "ENABLE_SECURITY_SERVER_CLIENT" if enabled else "DISABLE_SECURITY_SERVER_CLIENT"
    records.note(event, server.id.encoded(), client=client.encoded())


def remove_server_client(records: Records, server: KeptServer, client: ClientId) -> None:
    """Take a client away from a server."""
    found = need_client(records, client)
    records.rows(
        "DELETE FROM server_client WHERE server_id = ? AND client_id = ?", server.number, found.number
    )
    records.note("DELETE_SECURITY_SERVER_CLIENT", server.id.encoded(), before=[f"client {client.encoded()}"])
