"""Tokens, keys, signing requests and certificates on disk, in the server configuration's database.

Private keys are not here: they are on their tokens. What decides exchanges (certificates) raises the configuration's
generation, so a running gateway takes it at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from certs.tokens.port import KeyId, TokenStatus, TokenType
from gateway.keys.model import CertificateStatus, Key, KeyCertificate, KeyUsage, SigningRequest, Token
from gateway.rows import instant, readable, seconds
from schemas.identifiers import ClientId
from schemas.jsontext import dump_json, load_json

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from serving.storage.database import AnyDatabase
    from serving.storage.transactions import Transaction

_CERTIFICATE = (
    "der, key_id, usage, active, status, member, imported_at, registered_at, activation_error, renewed_hash, "
    "renewal_error, renewal_at, awaits_activation, renewal_causes"
)


class KeyConfStore:
    """Reads and changes what is known of keys. Use from one thread at a time."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    # Tokens

    def tokens(self) -> tuple[Token, ...]:
        """Every token that was ever seen, with its keys; none is said to be available."""
        keys = self.list_keys()
        rows = self._database.query(
            "SELECT token_id, type, name, serial_number FROM key_token ORDER BY token_id"
        )

        def token(row: tuple[Any, ...]) -> Token:
            token_id, kind, name, serial = row
            return Token(
                token_id,
                TokenType(kind),
                name,
                TokenStatus.OK,
                logged_in=False,
                available=False,
                serial_number=serial,
                keys=tuple(k for k in keys if k.token_id == token_id),
            )

        return tuple(readable("key_token", rows, token))

    def save_token(self, token_id: str, kind: TokenType, name: str, serial: str | None = None) -> None:
        """Know a token; a known one keeps its name."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO key_token (token_id, type, name, serial_number) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (token_id) DO NOTHING",
                (token_id, kind.value, name, serial),
            )

    def rename_token(self, token_id: str, name: str) -> None:
        """Give a token another friendly name."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE key_token SET name = ? WHERE token_id = ?", (name, token_id))

    def remove_token(self, token_id: str) -> None:
        """Forget a token with its keys, requests and certificates."""
        with self._database.transaction() as connection:
            for key_id, *_ in connection.execute(
                "SELECT key_id FROM token_key WHERE token_id = ?", (token_id,)
            ).fetchall():
                _remove_key(connection, key_id)
            connection.execute("DELETE FROM key_token WHERE token_id = ?", (token_id,))
            _changed(connection)

    def touch(self) -> None:
        """Let a running gateway look again: a token was logged in to or out of."""
        with self._database.transaction() as connection:
            _changed(connection)

    # Keys

    def list_keys(self) -> tuple[Key, ...]:
        """Every key with its requests and certificates; none is said to be available."""
        certificates, requests = self.certificates(), self.requests()
        rows = self._database.query(
            "SELECT key_id, token_id, kind, label, name, usage, public_key FROM token_key ORDER BY key_id"
        )

        def key(row: tuple[Any, ...]) -> Key:
            key_id, token_id, kind, label, name, usage, public_key = row
            return Key(
                KeyId(key_id),
                token_id,
                kind,
                label,
                name,
                None if not usage else KeyUsage(usage),
                bytes(public_key),
                available=False,
                certificates=tuple(c for c in certificates if c.key_id == key_id),
                requests=tuple(r for r in requests if r.key_id == key_id),
            )

        return tuple(readable("token_key", rows, key))

    def save_key(self, key: Key) -> None:
        """Know a key; a known one keeps its name, label and usage."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO token_key (key_id, token_id, kind, label, name, usage, public_key) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key_id) DO NOTHING",
                (
                    key.id,
                    key.token_id,
                    key.kind,
                    key.label,
                    key.name,
                    key.usage.value if key.usage else None,
                    key.public_key,
                ),
            )

    def rename_key(self, key_id: KeyId, name: str) -> None:
        """Give a key another friendly name."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE token_key SET name = ? WHERE key_id = ?", (name, key_id))

    def set_usage(self, key_id: KeyId, usage: KeyUsage) -> None:
        """Say what a key is for, once."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE token_key SET usage = ? WHERE key_id = ? AND (usage IS NULL OR usage = '')",
                (usage.value, key_id),
            )

    def remove_key(self, key_id: KeyId) -> None:
        """Forget a key with its requests and certificates."""
        with self._database.transaction() as connection:
            _remove_key(connection, key_id)
            _changed(connection)

    # Signing requests

    def requests(self) -> tuple[SigningRequest, ...]:
        """Every signing request that is kept."""
        rows = self._database.query(
            "SELECT request_id, key_id, usage, member, ca_name, profile, subject, created_at "
            "FROM signing_request ORDER BY created_at, request_id"
        )
        return tuple(readable("signing_request", rows, _request))

    def add_request(self, request: SigningRequest) -> None:
        """Keep a signing request of a key."""
        with self._database.transaction() as connection:
            insert_request(connection, request)

    def remove_request(self, request_id: str) -> None:
        """Remove a signing request; nothing happens when there is none."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM signing_request WHERE request_id = ?", (request_id,))

    # Certificates

    def certificates(self) -> tuple[KeyCertificate, ...]:
        """The certificates of this server's keys, oldest import first."""
        rows = self._database.query(f"SELECT {_CERTIFICATE} FROM own_certificate ORDER BY added")
        return tuple(readable("own_certificate", rows, _certificate))

    def save_certificates(self, certificates: Sequence[KeyCertificate]) -> None:
        """Keep certificates as they are given, known ones and new ones, in one transaction."""
        if not certificates:
            return
        with self._database.transaction() as connection:
            for c in certificates:
                connection.execute(
                    f"INSERT INTO own_certificate ({_CERTIFICATE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "
                    "ON CONFLICT (der) DO UPDATE SET active = excluded.active, status = excluded.status, "
                    "member = excluded.member, registered_at = excluded.registered_at, "
                    "activation_error = excluded.activation_error, renewed_hash = excluded.renewed_hash, "
                    "renewal_error = excluded.renewal_error, renewal_at = excluded.renewal_at, "
                    "awaits_activation = excluded.awaits_activation, renewal_causes = excluded.renewal_causes",
                    _row(c),
                )
            _changed(connection)

    def import_certificate(self, certificate: KeyCertificate, answered: Sequence[str] = ()) -> None:
        """Keep a certificate and forget the requests it answers; importing it again changes only ``active``."""
        known = next((c for c in self.certificates() if c.der == certificate.der), None)
        with self._database.transaction() as connection:
            if known is None:
                connection.execute(
                    f"INSERT INTO own_certificate ({_CERTIFICATE}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    _row(certificate),
                )
            else:
                connection.execute(
                    "UPDATE own_certificate SET active = ? WHERE der = ?",
                    (int(certificate.active), certificate.der),
                )
            for request_id in answered:
                connection.execute("DELETE FROM signing_request WHERE request_id = ?", (request_id,))
            _changed(connection)

    def change_certificate(self, certificate: KeyCertificate, **changes: Any) -> KeyCertificate:
        """Keep a certificate with some of its fields changed; the changed value."""
        changed = msgspec.structs.replace(certificate, **changes)
        self.save_certificates((changed,))
        return changed

    def remove_certificate(self, der: bytes) -> None:
        """Forget a certificate. Its key stays in the token."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM own_certificate WHERE der = ?", (der,))
            _changed(connection)


def insert_request(transaction: Transaction, request: SigningRequest) -> None:
    """Keep a signing request, in a transaction of the caller's."""
    transaction.execute(
        "INSERT INTO signing_request (request_id, key_id, usage, member, ca_name, profile, subject, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            request.id,
            request.key_id,
            request.usage.value,
            request.member.path() if request.member else None,
            request.ca_name,
            request.profile,
            dump_json(request.values, ensure_ascii=False),
            seconds(request.created_at),
        ),
    )


def _changed(connection: Any) -> None:
    connection.execute("UPDATE server SET generation = generation + 1")


def _remove_key(connection: Any, key_id: str) -> None:
    connection.execute("DELETE FROM own_certificate WHERE key_id = ?", (key_id,))
    connection.execute("DELETE FROM signing_request WHERE key_id = ?", (key_id,))
    connection.execute("DELETE FROM token_key WHERE key_id = ?", (key_id,))


def _client(path: str | None) -> ClientId | None:
    return None if not path else ClientId(*path.split("/"))


def _time(stored: int) -> datetime | None:
    return None if not stored else instant(stored)


def _stored(at: datetime | None) -> int:
    return 0 if at is None else seconds(at)


def _request(row: Sequence[Any]) -> SigningRequest:
    request_id, key_id, usage, member, ca_name, profile, subject, created_at = row
    return SigningRequest(
        request_id,
        KeyId(key_id),
        KeyUsage(usage),
        _client(member),
        ca_name,
        profile,
        tuple((name, value) for name, value in load_json(subject)),
        instant(created_at),
    )


def _certificate(row: Sequence[Any]) -> KeyCertificate:
    return KeyCertificate(
        bytes(row[0]),
        KeyId(row[1]),
        KeyUsage(row[2]),
        bool(row[3]),
        CertificateStatus(row[4]),
        _client(row[5]),
        _time(row[6]),
        _time(row[7]),
        row[8],
        row[9],
        row[10],
        _time(row[11]),
        awaits_activation=bool(row[12]),
        renewal_causes=tuple(row[13].split()),
    )


def _row(c: KeyCertificate) -> tuple[Any, ...]:
    return (
        c.der,
        c.key_id,
        c.usage.value,
        int(c.active),
        c.status.value,
        c.member.path() if c.member else None,
        _stored(c.imported_at),
        _stored(c.registered_at),
        c.activation_error,
        c.renewed_hash,
        c.renewal_error,
        _stored(c.renewal_at),
        int(c.awaits_activation),
        " ".join(c.renewal_causes),
    )
