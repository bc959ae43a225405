"""Clients, the TLS certificates of their systems, requests under way and timestamping services, in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gateway.clients.model import ConnectionType
from gateway.clients.records import (
    CertificateRecord,
    ClientRecord,
    PendingRequest,
    RenameStatus,
    RequestKind,
    TimestampingService,
)
from gateway.refusals import GatewayCode
from gateway.rows import client_of, instant, next_id, readable, seconds
from schemas.identifiers import check_identifier
from schemas.names import check_name
from serving.errors import Refused
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from gateway.rows import Run
    from schemas.identifiers import ClientId


class ClientTable:
    """Clients and the certificates their systems may show."""

    def __init__(self, rows: Run) -> None:
        self._rows = rows

    def all(self) -> tuple[ClientRecord, ...]:
        """Every client, in the order of identifiers."""
        found = self._rows(
            "SELECT client_id, connection, name, rename_status, added_at, seen_registered FROM client", ()
        )
        return tuple(sorted(readable("client", found, _client), key=lambda c: c.id))

    def find(self, client: ClientId) -> ClientRecord | None:
        """The client's record, or None when it is not registered here."""
        found = self._rows(
            "SELECT client_id, connection, name, rename_status, added_at, seen_registered FROM client "
            "WHERE client_id = ?",
            (client.path(),),
        )
        return next(readable("client", found, _client), None)

    def get(self, client: ClientId) -> ClientRecord:
        """The client. Refused (``client_not_found``) when it is none of this server."""
        found = self.find(client)
        if found is None:
            raise Refused(
                GatewayCode.CLIENT_NOT_FOUND,
                N_(
                    "{client} is not a client of this security server; correct it (gateway client list), or add the subsystem "
                    "(gateway join --subsystem CODE)",
                    client=client.path(),
                ),
            )
        return found

    def add(
        self, client: ClientId, connection: ConnectionType, now: datetime, name: str | None = None
    ) -> ClientRecord:
        """Add a client. Refused (``client_already_exists``) when it is there."""
        if self.find(client) is not None:
            raise Refused(
                GatewayCode.CLIENT_ALREADY_EXISTS,
                N_("{client} is a client of this server already", client=client.path()),
            )
        check_identifier(client, "client")
        if name is not None:
            check_name(name, f"client {client.path()}: the name")
        rename = RenameStatus.NAME_SET.value if name else None
        self._rows(
            "INSERT INTO client (client_id, connection, name, rename_status, added_at, seen_registered) "
            "VALUES (?, ?, ?, ?, ?, 0)",
            (client.path(), connection.value, name, rename, seconds(now)),
        )
        return self.get(client)

    def set_connection(self, client: ClientId, connection: ConnectionType) -> None:
        """Set how the client's systems must connect from now on. Raises `Refused` for a client that is none here."""
        self.get(client)
        self._rows("UPDATE client SET connection = ? WHERE client_id = ?", (connection.value, client.path()))

    def set_name(self, client: ClientId, name: str | None, rename: RenameStatus | None) -> None:
        """Set the display name wished for, and how far that has come; None for both once the configuration has it."""
        self.get(client)
        if name is not None:
            check_name(name, f"client {client.path()}: the name")
        self._rows(
            "UPDATE client SET name = ?, rename_status = ? WHERE client_id = ?",
            (name, None if rename is None else rename.value, client.path()),
        )

    def note_registered(self, clients: Collection[ClientId]) -> None:
        """Remember that the global configuration listed these on this server."""
        for client in clients:
            self._rows("UPDATE client SET seen_registered = 1 WHERE client_id = ?", (client.path(),))

    def forget_registered(self, client: ClientId) -> None:
        """The client's registration has ended as this side wished: it stands as if it had never been."""
        self._rows("UPDATE client SET seen_registered = 0 WHERE client_id = ?", (client.path(),))

    def remove(self, client: ClientId) -> None:
        """Delete a client with all that is its own: descriptions, rights, groups, certificates."""
        self.get(client)
        self._rows("DELETE FROM client WHERE client_id = ?", (client.path(),))

    def certificates(self, client: ClientId | None = None) -> tuple[CertificateRecord, ...]:
        """The certificates of one client's systems, or of all."""
        where, parameters = ("", ()) if client is None else (" WHERE client_id = ?", (client.path(),))
        found = self._rows(
            "SELECT client_id, der, added_at FROM client_certificate"
            + where
            + " ORDER BY client_id, added_at, der",
            parameters,
        )
        return tuple(readable("client_certificate", found, _client_certificate))

    def add_certificate(self, client: ClientId, der: bytes, now: datetime) -> CertificateRecord:
        """Let the client's systems show a certificate. Refused (``certificate_already_exists``) when they may."""
        self.get(client)
        if any(c.der == der for c in self.certificates(client)):
            raise Refused(
                GatewayCode.CERTIFICATE_ALREADY_EXISTS,
                N_("{client} has this certificate already", client=client.path()),
            )
        self._rows(
            "INSERT INTO client_certificate (client_id, der, added_at) VALUES (?, ?, ?)",
            (client.path(), der, seconds(now)),
        )
        return CertificateRecord(client, der, instant(seconds(now)))

    def remove_certificate(self, client: ClientId, der: bytes) -> None:
        """Trust a certificate no longer. Refused (``certificate_not_found``) when it was not trusted."""
        if all(c.der != der for c in self.certificates(client)):
            raise Refused(
                GatewayCode.CERTIFICATE_NOT_FOUND,
                N_("{client} has no such certificate", client=client.path()),
            )
        self._rows("DELETE FROM client_certificate WHERE client_id = ? AND der = ?", (client.path(), der))


class Requests:
    """Management requests whose outcome the global configuration has not shown yet."""

    def __init__(self, rows: Run) -> None:
        self._rows = rows

    def all(self, kind: RequestKind | None = None) -> tuple[PendingRequest, ...]:
        """The requests under way, of all kinds or of one, oldest first."""
        found = self._rows(
            "SELECT id, kind, subject, detail, sent_at, number, message_id, effective FROM pending_request "
            "ORDER BY id",
            (),
        )
        every = readable("pending_request", found, _pending)
        return tuple(r for r in every if kind is None or r.kind is kind)

    def kinds_of(self, subject: str) -> frozenset[RequestKind]:
        """The kinds of management requests under way for one client (its path) or certificate."""
        return frozenset(r.kind for r in self.all() if r.subject == subject)

    def add(
        self,
        kind: RequestKind,
        subject: str,
        detail: str,
        now: datetime,
        *,
        number: int = 0,
        message_id: str = "",
    ) -> int:
        """Note that a request was sent; its id here. A second of the same kind and subject takes the first's place.

        ``number`` and ``message_id`` are what the central server knows it by.
        """
        self.remove(kind, subject)
        own = next_id(self._rows, "request")
        self._rows(
            "INSERT INTO pending_request (id, kind, subject, detail, sent_at, number, message_id, effective) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            (own, kind.value, subject, detail, seconds(now), number, message_id),
        )
        return own

    def mark_effective(self, own: int) -> None:
        """A request took effect, and stays for what it says."""
        self._rows("UPDATE pending_request SET effective = 1 WHERE id = ?", (own,))

    def remove(self, kind: RequestKind, subject: str) -> None:
        """Forget a request: it took effect, or was given up."""
        self._rows("DELETE FROM pending_request WHERE kind = ? AND subject = ?", (kind.value, subject))


class TimestampingServices:
    """The timestamping authorities this server uses, in the order they were added.

    Before any was added every approved one is used. Once the last is removed none is, until one is added or `set_all` is said.
    """

    def __init__(self, rows: Run) -> None:
        self._rows = rows

    def all(self) -> tuple[TimestampingService, ...]:
        """Those that were chosen; none means all that the global configuration approves, unless `are_removed`."""
        found = self._rows(
            "SELECT name, url, cost_type FROM timestamping_service ORDER BY added_at, name, url", ()
        )
        return tuple(TimestampingService(*row) for row in found)

    def are_removed(self) -> bool:
        """Whether an operator took the last one away, so that none is used."""
        return bool(list(self._rows("SELECT since FROM no_timestamping", ())))

    def add(self, service: TimestampingService, now: datetime) -> None:
        """Use one more. Refused (``timestamping_service_already_configured``) when it is used."""
        if service.url in {s.url for s in self.all() if s.name == service.name}:
            raise Refused(
                GatewayCode.TIMESTAMPING_SERVICE_ALREADY_CONFIGURED,
                N_("{service} at {url} is in use already", service=service.name, url=service.url),
            )
        self._rows(
            "INSERT INTO timestamping_service (name, url, cost_type, added_at) VALUES (?, ?, ?, ?)",
            (service.name, service.url, service.cost_type, seconds(now)),
        )
        self._rows("DELETE FROM no_timestamping", ())

    def set_all(self, services: Sequence[TimestampingService], now: datetime) -> None:
        """Use exactly these, or with none every approved one; those in use already keep their place."""
        pairs = {(s.name, s.url) for s in services}
        for used in self.all():
            if (used.name, used.url) not in pairs:
                self._delete(used.name, used.url)
        self._rows("DELETE FROM no_timestamping", ())
        there = {(s.name, s.url) for s in self.all()}
        for service in services:
            if (service.name, service.url) not in there:
                self.add(service, now)

    def remove(self, name: str, url: str, now: datetime) -> None:
        """Use one no longer; after the last none is used. Refused (``timestamping_service_not_found``) when it was not used."""
        if (name, url) not in {(s.name, s.url) for s in self.all()}:
            raise Refused(
                GatewayCode.TIMESTAMPING_SERVICE_NOT_FOUND,
                N_("{name} at {url} is not in use", name=name, url=url),
            )
        self._delete(name, url)
        if not self.all():
            self._rows("INSERT INTO no_timestamping (since) VALUES (?)", (seconds(now),))

    def _delete(self, name: str, url: str) -> None:
        self._rows("DELETE FROM timestamping_service WHERE name = ? AND url = ?", (name, url))


def _client_certificate(row: tuple[Any, ...]) -> CertificateRecord:
    client, der, added_at = row
    return CertificateRecord(client_of(client), bytes(der), instant(added_at))


def _pending(row: tuple[Any, ...]) -> PendingRequest:
    number, kind, subject, detail, sent_at, central, message_id, effective = row
    return PendingRequest(
        number, RequestKind(kind), subject, detail, instant(sent_at), central, message_id, bool(effective)
    )


def _client(row: tuple[Any, ...]) -> ClientRecord:
    client, connection, name, rename, added_at, seen = row
    return ClientRecord(
        client_of(client),
        ConnectionType(connection),
        name,
        None if rename is None else RenameStatus(rename),
        instant(added_at),
        bool(seen),
    )
