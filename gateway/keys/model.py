"""Tokens, keys, signing requests and certificates as values, and the states of a certificate as a table.

Names of states and actions are the admin API's. A signing certificate counts as registered from its import; an
authentication certificate moves with management requests and with what the global configuration says. ``active`` is
separate: the operator's switch. Read `MOVES` for the life of a certificate.

Spec: X-Road 7.8's CertificateInfo and GlobalConfChecker; UG-SS 5.
"""

from __future__ import annotations

import enum
import hashlib
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from certs.tokens.port import KeyId, TokenStatus, TokenType
    from schemas.identifiers import ClientId


class KeyUsage(enum.StrEnum):
    """The usage of a key: signing or authentication; `name` is the admin API's spelling."""

    SIGNING = "sign"
    AUTHENTICATION = "auth"


class CertificateStatus(enum.StrEnum):
    """The states of a certificate at the central server; names of the admin API."""

    SAVED = "SAVED"
    REGISTRATION_IN_PROGRESS = "REGISTRATION_IN_PROGRESS"
    REGISTERED = "REGISTERED"
    DELETION_IN_PROGRESS = "DELETION_IN_PROGRESS"
    GLOBAL_ERROR = "GLOBAL_ERROR"


class CertificateEvent(enum.StrEnum):
    """The events that move an authentication certificate from one status to another."""

    REGISTRATION_SENT = "its registration was sent to the central server"
    REGISTRATION_REFUSED = "the central server refused its registration"
    DELETION_SENT = "its deletion was sent to the central server, or is no longer waited for"
    SEEN = "the global configuration lists it on this server"
    GONE = "the global configuration does not list it on this server"


_S, _E = CertificateStatus, CertificateEvent
MOVES: Mapping[tuple[CertificateStatus, CertificateEvent], CertificateStatus] = {
    (_S.SAVED, _E.REGISTRATION_SENT): _S.REGISTRATION_IN_PROGRESS,
    (_S.SAVED, _E.SEEN): _S.REGISTERED,
    (_S.REGISTRATION_IN_PROGRESS, _E.SEEN): _S.REGISTERED,
    (_S.REGISTRATION_IN_PROGRESS, _E.REGISTRATION_REFUSED): _S.SAVED,
    (_S.REGISTRATION_IN_PROGRESS, _E.DELETION_SENT): _S.DELETION_IN_PROGRESS,
    (_S.REGISTERED, _E.GONE): _S.GLOBAL_ERROR,
    (_S.REGISTERED, _E.DELETION_SENT): _S.DELETION_IN_PROGRESS,
    (_S.GLOBAL_ERROR, _E.SEEN): _S.REGISTERED,
}


def move(status: CertificateStatus, event: CertificateEvent) -> CertificateStatus | None:
    """The state after an event; None when the event means nothing in this state."""
    return MOVES.get((status, event))


class PossibleAction(enum.StrEnum):
    """The actions on a token, key, request or certificate, in the admin API's spelling."""

    DELETE = "DELETE"
    ACTIVATE = "ACTIVATE"
    DISABLE = "DISABLE"
    LOGIN = "LOGIN"
    LOGOUT = "LOGOUT"
    REGISTER = "REGISTER"
    UNREGISTER = "UNREGISTER"
    IMPORT_FROM_TOKEN = "IMPORT_FROM_TOKEN"  # the API's word
    GENERATE_KEY = "GENERATE_KEY"
    EDIT_FRIENDLY_NAME = "EDIT_FRIENDLY_NAME"
    GENERATE_AUTH_CSR = "GENERATE_AUTH_CSR"
    GENERATE_SIGN_CSR = "GENERATE_SIGN_CSR"
    TOKEN_CHANGE_PIN = "TOKEN_CHANGE_PIN"  # the API's word
    TOKEN_DELETE = "TOKEN_DELETE"  # the API's word


class KeyCertificate(msgspec.Struct, frozen=True):
    """A certificate of one of this server's keys. ``member`` is whom a signing certificate speaks for, once known.

    ``registered_at`` is when the global configuration was first seen to list an authentication certificate. One that is
    not ``saved`` was found on a token and is not part of the configuration until it is imported. ``awaits_activation`` is of one that shall be
    activated without a person.
    """

    der: bytes
    key_id: KeyId
    usage: KeyUsage
    active: bool
    status: CertificateStatus
    member: ClientId | None = None
    imported_at: datetime | None = None
    registered_at: datetime | None = None
    activation_error: str | None = None
    renewed_hash: str | None = None
    renewal_error: str | None = None
    renewal_at: datetime | None = None
    saved: bool = True
    awaits_activation: bool = False
    # Of ``renewal_error``, as `serving.process.failing` names them.
    renewal_causes: tuple[str, ...] = ()

    @property
    def hash(self) -> str:
        """The handle of the admin API: SHA-256 of the DER, upper-case hexadecimal."""
        return hashlib.sha256(self.der).hexdigest().upper()


class SigningRequest(msgspec.Struct, frozen=True):
    """A certificate signing request that was made for a key: its values, from which it can be built again."""

    id: str
    key_id: KeyId
    usage: KeyUsage
    member: ClientId | None
    ca_name: str
    profile: str
    values: tuple[tuple[str, str], ...]
    created_at: datetime


class Key(msgspec.Struct, frozen=True):
    """A key with its requests and certificates; ``usage`` is open until its first request."""

    id: KeyId
    token_id: str
    kind: str
    label: str
    name: str
    usage: KeyUsage | None
    public_key: bytes
    available: bool
    certificates: tuple[KeyCertificate, ...] = ()
    requests: tuple[SigningRequest, ...] = ()

    @property
    def is_saved(self) -> bool:
        """Whether the configuration holds anything for it; a key that was only found on its token is not."""
        return bool(self.requests) or any(c.saved for c in self.certificates)

    @property
    def algorithm(self) -> str:
        """The algorithm of the key: ``RSA`` or ``EC``."""
        return "EC" if self.kind.startswith("ec") else "RSA"


class Token(msgspec.Struct, frozen=True):
    """A token with its keys, as it stands now."""

    id: str
    type: TokenType
    name: str
    status: TokenStatus
    logged_in: bool
    available: bool
    read_only: bool = False
    serial_number: str | None = None
    infos: tuple[tuple[str, str], ...] = ()
    keys: tuple[Key, ...] = ()
