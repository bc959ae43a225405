"""The server's configuration on disk: clients, services, rights, groups, certificates of its keys.

One SQLite database, changed in whole transactions: a crash leaves the configuration before or after a change, never
between. Every change raises the generation; a running gateway watches it and takes the new snapshot.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from certs.tokens import KeyId
from gateway.serverconf.model import (
    AccessRight,
    Client,
    ConnectionType,
    Endpoint,
    LocalGroup,
    ServerConf,
    Service,
    ServiceType,
    Subject,
)
from schemas.identifiers import ClientId, GlobalGroupId, LocalGroupId, ServerId, ServiceId
from serving.database import Database

if TYPE_CHECKING:
    from pathlib import Path

STEPS = (
    """
    CREATE TABLE server (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        server_id TEXT NOT NULL,
        anchor BLOB NOT NULL,
        generation INTEGER NOT NULL
    );
    CREATE TABLE client (
        client_id TEXT PRIMARY KEY,
        connection TEXT NOT NULL
    );
    CREATE TABLE client_certificate (
        client_id TEXT NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
        der BLOB NOT NULL,
        PRIMARY KEY (client_id, der)
    );
    CREATE TABLE service (
        client_id TEXT NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
        service_code TEXT NOT NULL,
        service_version TEXT NOT NULL,
        type TEXT NOT NULL,
        url TEXT NOT NULL,
        timeout_s REAL NOT NULL,
        verify_tls INTEGER NOT NULL,
        disabled TEXT,
        PRIMARY KEY (client_id, service_code, service_version)
    );
    CREATE TABLE access_right (
        client_id TEXT NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
        service_code TEXT NOT NULL,
        method TEXT NOT NULL,
        path TEXT NOT NULL,
        subject_type TEXT NOT NULL,
        subject TEXT NOT NULL,
        PRIMARY KEY (client_id, service_code, method, path, subject_type, subject)
    );
    CREATE TABLE local_group (
        client_id TEXT NOT NULL REFERENCES client (client_id) ON DELETE CASCADE,
        code TEXT NOT NULL,
        PRIMARY KEY (client_id, code)
    );
    CREATE TABLE local_group_member (
        client_id TEXT NOT NULL,
        code TEXT NOT NULL,
        member TEXT NOT NULL,
        PRIMARY KEY (client_id, code, member),
        FOREIGN KEY (client_id, code) REFERENCES local_group (client_id, code) ON DELETE CASCADE
    );
    CREATE TABLE certificate (
        der BLOB PRIMARY KEY,
        key_id TEXT NOT NULL,
        usage TEXT NOT NULL,
        active INTEGER NOT NULL
    );
    """,
)


class CertificateUsage(enum.StrEnum):
    """What a certificate of this server proves."""

    SIGNING = "sign"
    AUTHENTICATION = "auth"


@dataclass(frozen=True, slots=True)
class OwnCertificate:
    """A certificate imported for one of this server's keys."""

    der: bytes
    key_id: KeyId
    usage: CertificateUsage
    active: bool


class NotInitialised(Exception):  # noqa: N818  a state, said to the operator
    """The database holds no server yet."""


class ServerConfStore:
    """Reads and changes the configuration. Use from one thread at a time."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, STEPS)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def initialise(self, server_id: ServerId, anchor: bytes) -> None:
        """Set the server's identifier and its configuration anchor, once."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO server (id, server_id, anchor, generation) VALUES (1, ?, ?, 1)",
                (server_id.path(), anchor),
            )

    def replace_anchor(self, anchor: bytes) -> None:
        """Trust another anchor from the next start on."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE server SET anchor = ?, generation = generation + 1", (anchor,))

    def is_initialised(self) -> bool:
        """Whether `initialise` has been done."""
        return bool(self._database.query("SELECT 1 FROM server"))

    def anchor(self) -> bytes:
        """The configuration anchor, as imported."""
        return bytes(self._server_row()[1])

    def server_id(self) -> ServerId:
        """The server's identifier."""
        return ServerId(*str(self._server_row()[0]).split("/"))

    def generation(self) -> int:
        """A number that grows with every change."""
        return int(self._server_row()[2])

    def _server_row(self) -> tuple[str, bytes, int]:
        rows = self._database.query("SELECT server_id, anchor, generation FROM server")
        if not rows:
            raise NotInitialised("this data directory holds no gateway yet; run 'gateway init' first")
        return rows[0][0], rows[0][1], rows[0][2]

    def load(self) -> ServerConf:
        """One snapshot of everything an exchange needs."""
        query = self._database.query
        certificates: dict[str, set[bytes]] = {}
        for client_id, der in query("SELECT client_id, der FROM client_certificate"):
            certificates.setdefault(client_id, set()).add(bytes(der))
        members: dict[tuple[str, str], set[ClientId]] = {}
        for client_id, code in query("SELECT client_id, code FROM local_group"):
            members[client_id, code] = set()
        for client_id, code, member in query("SELECT client_id, code, member FROM local_group_member"):
            members[client_id, code].add(_client(member))
        return ServerConf(
            server_id=self.server_id(),
            generation=self.generation(),
            clients=tuple(
                Client(
                    _client(client_id),
                    ConnectionType(connection),
                    frozenset(certificates.get(client_id, ())),
                )
                for client_id, connection in query(
                    "SELECT client_id, connection FROM client ORDER BY client_id"
                )
            ),
            services=tuple(
                Service(
                    ServiceId(_client(client_id), code, version or None),
                    ServiceType(kind),
                    url,
                    timeout_s,
                    bool(verify_tls),
                    disabled,
                )
                for client_id, code, version, kind, url, timeout_s, verify_tls, disabled in query(
                    "SELECT client_id, service_code, service_version, type, url, timeout_s, verify_tls, disabled "
                    "FROM service ORDER BY client_id, service_code, service_version"
                )
            ),
            rights=tuple(
                AccessRight(_client(client_id), _subject(kind, subject), Endpoint(code, method, path))
                for client_id, code, method, path, kind, subject in query(
                    "SELECT client_id, service_code, method, path, subject_type, subject FROM access_right "
                    "ORDER BY client_id, service_code, method, path, subject_type, subject"
                )
            ),
            groups=tuple(
                LocalGroup(_client(client_id), code, frozenset(found))
                for (client_id, code), found in sorted(members.items())
            ),
        )

    def replace(self, wanted: ServerConf) -> None:
        """Make clients, services, rights and groups exactly those of ``wanted``, in one transaction."""
        with self._database.transaction() as connection:
            for table in (
                "client_certificate",
                "service",
                "access_right",
                "local_group_member",
                "local_group",
                "client",
            ):
                connection.execute(f"DELETE FROM {table}")  # noqa: S608  names from the line above
            connection.executemany(
                "INSERT INTO client (client_id, connection) VALUES (?, ?)",
                [(c.id.path(), c.connection.value) for c in wanted.clients],
            )
            connection.executemany(
                "INSERT INTO client_certificate (client_id, der) VALUES (?, ?)",
                [(c.id.path(), der) for c in wanted.clients for der in sorted(c.certificates)],
            )
            connection.executemany(
                "INSERT INTO service (client_id, service_code, service_version, type, url, timeout_s, verify_tls, "
                "disabled) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [_service_row(s) for s in wanted.services],
            )
            connection.executemany(
                "INSERT INTO access_right (client_id, service_code, method, path, subject_type, subject) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                [_right_row(r) for r in wanted.rights],
            )
            connection.executemany(
                "INSERT INTO local_group (client_id, code) VALUES (?, ?)",
                [(g.owner.path(), g.code) for g in wanted.groups],
            )
            connection.executemany(
                "INSERT INTO local_group_member (client_id, code, member) VALUES (?, ?, ?)",
                [(g.owner.path(), g.code, m.path()) for g in wanted.groups for m in sorted(g.members)],
            )
            connection.execute("UPDATE server SET generation = generation + 1")

    def certificates(self) -> tuple[OwnCertificate, ...]:
        """The certificates of this server's keys."""
        rows = self._database.query("SELECT der, key_id, usage, active FROM certificate ORDER BY rowid")
        return tuple(
            OwnCertificate(bytes(r[0]), KeyId(r[1]), CertificateUsage(r[2]), bool(r[3])) for r in rows
        )

    def import_certificate(self, certificate: OwnCertificate) -> None:
        """Keep a certificate; importing it again changes only whether it is active."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO certificate (der, key_id, usage, active) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (der) DO UPDATE SET active = excluded.active",
                (certificate.der, certificate.key_id, certificate.usage.value, int(certificate.active)),
            )
            connection.execute("UPDATE server SET generation = generation + 1")

    def remove_certificate(self, der: bytes) -> None:
        """Forget a certificate. Its key stays in the token."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM certificate WHERE der = ?", (der,))
            connection.execute("UPDATE server SET generation = generation + 1")


def _client(path: str) -> ClientId:
    return ClientId(*path.split("/"))


def _subject(kind: str, subject: str) -> Subject:
    if kind == GlobalGroupId.object_type:
        return GlobalGroupId(*subject.split("/"))
    if kind == LocalGroupId.object_type:
        return LocalGroupId(subject)
    return _client(subject)


def _service_row(service: Service) -> tuple[str, str, str, str, str, float, int, str | None]:
    return (
        service.id.client.path(),
        service.id.service_code,
        service.id.service_version or "",
        service.type.value,
        service.url,
        service.timeout_s,
        int(service.verify_tls),
        service.disabled,
    )


def _right_row(right: AccessRight) -> tuple[str, str, str, str, str, str]:
    return (
        right.provider.path(),
        right.endpoint.service_code,
        right.endpoint.method,
        right.endpoint.path,
        right.subject.object_type,
        right.subject.path(),
    )
