"""What a central server keeps: the applied registry file with its certificates, and its signing keys' certificates."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from central_server.registry import Registry, parse_registry
from certs.tokens import KeyId
from serving.database import Database

if TYPE_CHECKING:
    from pathlib import Path

STEPS = (
    """
    CREATE TABLE registry (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        generation INTEGER NOT NULL,
        text TEXT NOT NULL,
        certificates TEXT NOT NULL
    );
    CREATE TABLE signing_key (
        key_id TEXT PRIMARY KEY,
        source TEXT NOT NULL,
        certificate BLOB NOT NULL,
        active INTEGER NOT NULL
    );
    """,
)
SOURCES = ("internal", "external")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs the configuration of one source, with its verification certificate (DER)."""

    key_id: KeyId
    source: str
    certificate: bytes
    active: bool


class CentralStore:
    """The central server's database."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, STEPS)

    def close(self) -> None:
        """Close the database."""
        self._database.close()

    def generation(self) -> int:
        """A number that grows with every change of registry or keys; 0 before there is a registry."""
        rows = self._database.query("SELECT generation FROM registry")
        return int(rows[0][0]) if rows else 0

    def text(self) -> str | None:
        """The file applied last."""
        rows = self._database.query("SELECT text FROM registry")
        return None if not rows else str(rows[0][0])

    def registry(self) -> Registry | None:
        """The registry applied last."""
        rows = self._database.query("SELECT text, certificates FROM registry")
        if not rows:
            return None
        certificates = {name: bytes.fromhex(der) for name, der in json.loads(rows[0][1]).items()}
        return parse_registry(rows[0][0], certificates.__getitem__)

    def keep_registry(self, text: str, certificates: dict[str, bytes]) -> None:
        """Keep a checked registry file with the certificates (DER) it names."""
        encoded = json.dumps({name: der.hex() for name, der in certificates.items()})
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO registry (id, generation, text, certificates) VALUES (1, 1, ?, ?) ON CONFLICT (id) "
                "DO UPDATE SET generation = generation + 1, text = excluded.text, certificates = excluded.certificates",
                (text, encoded),
            )

    def signing_keys(self, source: str) -> tuple[SigningKey, ...]:
        """The signing keys of a source, the active one first."""
        rows = self._database.query(
            "SELECT key_id, source, certificate, active FROM signing_key WHERE source = ? ORDER BY active DESC, rowid",
            (source,),
        )
        return tuple(SigningKey(KeyId(r[0]), r[1], bytes(r[2]), bool(r[3])) for r in rows)

    def add_signing_key(self, key: SigningKey) -> None:
        """Keep a signing key."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO signing_key (key_id, source, certificate, active) VALUES (?, ?, ?, ?)",
                (key.key_id, key.source, key.certificate, int(key.active)),
            )
            connection.execute("UPDATE registry SET generation = generation + 1")

    def activate_signing_key(self, key_id: KeyId) -> None:
        """Sign with this key from now on. Raises LookupError when there is none."""
        with self._database.transaction() as connection:
            row = connection.execute("SELECT source FROM signing_key WHERE key_id = ?", (key_id,)).fetchone()
            if row is None:
                raise LookupError(f"there is no signing key {key_id}")
            connection.execute(
                "UPDATE signing_key SET active = (key_id = ?) WHERE source = ?", (key_id, row[0])
            )
            connection.execute("UPDATE registry SET generation = generation + 1")

    def delete_signing_key(self, key_id: KeyId) -> None:
        """Forget a key that does not sign. Raises LookupError or ValueError."""
        with self._database.transaction() as connection:
            row = connection.execute("SELECT active FROM signing_key WHERE key_id = ?", (key_id,)).fetchone()
            if row is None:
                raise LookupError(f"there is no signing key {key_id}")
            if row[0]:
                raise ValueError("the active key signs the configuration; activate another one first")
            connection.execute("DELETE FROM signing_key WHERE key_id = ?", (key_id,))
            connection.execute("UPDATE registry SET generation = generation + 1")
