"""Who may use an admin API: users of our own, their roles, API keys. Passwords stand as argon2id, keys as SHA-256.

A role is a set of permissions; operations ask for permissions, never for roles. A user or key may be narrowed to some
clients (``scope``); an empty scope is everything. An API key is 122 random bits, so a plain digest keeps it.
"""

from __future__ import annotations

import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import argon2

from schemas.faults import BadMessage
from schemas.jsontext import decode_json, encode_json
from schemas.names import check_name
from serving.errors import OperatorError
from serving.language import N_
from serving.storage.audit import AUDIT_STEP
from serving.storage.database import open_database

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LOGIN_STEPS = (
    """
    CREATE TABLE admin_user (
        name TEXT PRIMARY KEY,
        password TEXT NOT NULL,
        roles TEXT NOT NULL,
        scope TEXT NOT NULL,
        stamp TEXT NOT NULL
    );
    CREATE TABLE api_key (
        id INTEGER PRIMARY KEY,
        digest TEXT NOT NULL UNIQUE,
        roles TEXT NOT NULL,
        scope TEXT NOT NULL,
        made_by TEXT NOT NULL,
        expires_at TEXT
    )
    """,
    AUDIT_STEP,
    "ALTER TABLE admin_user ADD COLUMN disabled INTEGER NOT NULL DEFAULT 0",
)
SCHEMA = "admin"
SHORTEST_PASSWORD = 6
LONGEST_PASSWORD = 255


@dataclass(frozen=True, slots=True)
class User:
    """A person, or a service, with a password."""

    name: str
    roles: frozenset[str]
    scope: frozenset[str]
    # Changes with the password and the roles, and when it is switched off: sessions that began before are over.
    stamp: str
    is_disabled: bool = False


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key as kept: without the key itself."""

    id: int
    roles: frozenset[str]
    scope: frozenset[str]
    made_by: str
    expires_at: datetime | None

    def has_expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Roles:
    """The permissions of each role of a server, and who may hand out a role he does not have himself."""

    permissions: Mapping[str, frozenset[str]]
    # Role that only machines have -> role whose holders may hand it out.
    given_by: Mapping[str, str]

    def of(self, roles: Iterable[str]) -> frozenset[str]:
        """The permissions of several roles together."""
        return frozenset().union(*(self.permissions.get(role, frozenset()) for role in roles))

    def of_people(self) -> frozenset[str]:
        """Every role that a user may have."""
        return frozenset(self.permissions) - frozenset(self.given_by)

    def may_give(self, own: frozenset[str], role: str) -> bool:
        """Whether somebody with the roles ``own`` may hand out ``role``."""
        return role in own or self.given_by.get(role) in own


class Logins:
    """Users and API keys of one server, together with the audit log of its admin API.

    They are in a file of their own, or in the schema `SCHEMA` of a PostgreSQL database that several nodes share.
    """

    def __init__(self, where: str | Path, hasher: argon2.PasswordHasher | None = None) -> None:
        self.database = open_database(where, LOGIN_STEPS, SCHEMA)
        # The same where what is read may be some seconds old: the audit log.
        self.reading = self.database
        if isinstance(where, Path):
            where.chmod(0o600)
        self._hasher = hasher or argon2.PasswordHasher()

    def close(self) -> None:
        """Close the database of users."""
        self.reading.close()

    # Users

    def users(self) -> list[User]:
        """Every user, sorted by name."""
        return [_user(row) for row in self.database.query(f"{_SELECT_USER} ORDER BY name")]

    def user(self, name: str) -> User | None:
        """The user of that name; None when there is none."""
        rows = self.database.query(f"{_SELECT_USER} WHERE name = ?", (name,))
        return _user(rows[0]) if rows else None

    def save_user(
        self, name: str, password: str | None, roles: Iterable[str], scope: Iterable[str] = ()
    ) -> None:
        """Make a user or change one; without a password the one it has stays. Ends its sessions. Raises `OperatorError`."""
        try:
            check_name(name, "a user's name")
        except BadMessage as fault:
            raise OperatorError(fault.detail) from fault
        if password is not None and not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
            raise OperatorError(
                N_(
                    "a password has {shortest} to {longest} characters",
                    shortest=SHORTEST_PASSWORD,
                    longest=LONGEST_PASSWORD,
                )
            )
        kept = self.database.query("SELECT password FROM admin_user WHERE name = ?", (name,))
        if password is None and not kept:
            raise OperatorError(N_("user {name} is new: a password is needed", name=name))
        sealed = kept[0][0] if password is None else self._hasher.hash(password)
        with self.database.transaction() as connection:
            connection.execute(
                "INSERT INTO admin_user (name, password, roles, scope, stamp) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET password = excluded.password, roles = excluded.roles, "
                "scope = excluded.scope, stamp = excluded.stamp",
                (name, sealed, _text(roles), _text(scope), secrets.token_hex(8)),
            )

    def set_user_disabled(self, name: str, *, disabled: bool) -> None:
        """Switch a user off, which ends its sessions, or on. Raises `OperatorError` when there is none."""
        with self.database.transaction() as connection:
            changed = connection.execute(
                "UPDATE admin_user SET disabled = ?, stamp = ? WHERE name = ?",
                (int(disabled), secrets.token_hex(8), name),
            )
            if changed.rowcount != 1:
                raise OperatorError(N_("there is no user {name}", name=name))

    def remove_user(self, name: str) -> None:
        """Forget a user. Raises `OperatorError` when there is none."""
        with self.database.transaction() as connection:
            if connection.execute("DELETE FROM admin_user WHERE name = ?", (name,)).rowcount != 1:
                raise OperatorError(N_("there is no user {name}", name=name))

    def verify_password(self, name: str, password: str) -> User | None:
        """The user whose password this is, or None; None for one that is switched off. Slow on purpose: call it in a thread."""
        rows = self.database.query("SELECT password FROM admin_user WHERE name = ?", (name,))
        if not rows:
            self._hasher.hash(password)  # so that a name nobody has takes as long as a wrong password
            return None
        try:
            self._hasher.verify(rows[0][0], password)
        except argon2.exceptions.VerificationError:
            return None
        user = self.user(name)
        return None if user is None or user.is_disabled else user

    # API keys

    def make_api_key(
        self,
        roles: Iterable[str],
        made_by: str,
        *,
        scope: Iterable[str] = (),
        expires_at: datetime | None = None,
    ) -> tuple[ApiKey, str]:
        """A new API key and its secret, which is shown this once. Raises LookupError."""
        key = str(uuid.UUID(bytes=secrets.token_bytes(16), version=4))
        with self.database.transaction() as connection:
            number = connection.execute(
                "INSERT INTO api_key (digest, roles, scope, made_by, expires_at) VALUES (?, ?, ?, ?, ?) "
                "RETURNING id",
                (_digest(key), _text(roles), _text(scope), made_by, expires_at and expires_at.isoformat()),
            ).fetchone()[0]
        found = self.api_key(int(number))
        if found is None:
            raise LookupError(f"API key {number} vanished as it was made")
        return found, key

    def api_keys(self) -> list[ApiKey]:
        """Every API key, oldest first."""
        return [_api_key(row) for row in self.database.query(f"{_SELECT_KEY} ORDER BY id")]

    def api_key(self, number: int) -> ApiKey | None:
        """An API key by its number, or None."""
        rows = self.database.query(f"{_SELECT_KEY} WHERE id = ?", (number,))
        return _api_key(rows[0]) if rows else None

    def set_api_key_roles(self, number: int, roles: Iterable[str]) -> None:
        """Give a key other roles."""
        with self.database.transaction() as connection:
            connection.execute("UPDATE api_key SET roles = ? WHERE id = ?", (_text(roles), number))

    def revoke_api_key(self, number: int) -> None:
        """End a key at once."""
        with self.database.transaction() as connection:
            connection.execute("DELETE FROM api_key WHERE id = ?", (number,))

    def find_api_key(self, key: str) -> ApiKey | None:
        """The key with this secret, expired or not, or None."""
        rows = self.database.query(f"{_SELECT_KEY} WHERE digest = ?", (_digest(key),))
        return _api_key(rows[0]) if rows else None


_SELECT_USER = "SELECT name, roles, scope, stamp, disabled FROM admin_user"
_SELECT_KEY = "SELECT id, roles, scope, made_by, expires_at FROM api_key"


def _user(row: tuple[str, str, str, str, int]) -> User:
    return User(row[0], _set(row[1]), _set(row[2]), row[3], bool(row[4]))


def _api_key(row: tuple[int, str, str, str, str | None]) -> ApiKey:
    expires = datetime.fromisoformat(row[4]) if row[4] else None
    return ApiKey(row[0], _set(row[1]), _set(row[2]), row[3], expires)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _text(values: Iterable[str]) -> str:
    return encode_json(sorted(set(values))).decode()


def _set(text: str) -> frozenset[str]:
    return frozenset(decode_json(text))
