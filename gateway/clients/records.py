"""What an administrator sees of a server's configuration: the same things as `model`, with ids, instants and states.

`model.ServerConf` is what an exchange needs and nothing more; these are the rows behind it. A change that cannot be
made is a `Refused` whose ``code`` is the admin API's word for it.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from datetime import datetime

    from gateway.clients.model import ConnectionType, Endpoint, ServiceType, Subject, Validation
    from schemas.identifiers import ClientId, ServiceId


class RenameStatus(enum.StrEnum):
    """The states of a new display name: set here, or submitted to the central server."""

    NAME_SET = "NAME_SET"
    NAME_SUBMITTED = "NAME_SUBMITTED"


class ClientStatus(enum.StrEnum):
    """The states of a client at the central server; derived (`derive_status`), never stored."""

    SAVED = "SAVED"
    REGISTRATION_IN_PROGRESS = "REGISTRATION_IN_PROGRESS"
    REGISTERED = "REGISTERED"
    DELETION_IN_PROGRESS = "DELETION_IN_PROGRESS"
    GLOBAL_ERROR = "GLOBAL_ERROR"
    DISABLING_IN_PROGRESS = "DISABLING_IN_PROGRESS"
    DISABLED = "DISABLED"
    ENABLING_IN_PROGRESS = "ENABLING_IN_PROGRESS"


class RequestKind(enum.StrEnum):
    """Management requests that wait for an answer, which comes only as another global configuration."""

    CLIENT_REGISTRATION = "CLIENT_REGISTRATION"
    CLIENT_DELETION = "CLIENT_DELETION"
    CLIENT_DISABLE = "CLIENT_DISABLE"
    CLIENT_ENABLE = "CLIENT_ENABLE"
    CLIENT_RENAME = "CLIENT_RENAME"
    OWNER_CHANGE = "OWNER_CHANGE"
    ADDRESS_CHANGE = "ADDRESS_CHANGE"
    AUTH_CERT_REGISTRATION = "AUTH_CERT_REGISTRATION"
    AUTH_CERT_DELETION = "AUTH_CERT_DELETION"
    MAINTENANCE_ENABLE = "MAINTENANCE_ENABLE"
    MAINTENANCE_DISABLE = "MAINTENANCE_DISABLE"


class ClientRecord(msgspec.Struct, frozen=True):
    """A client. ``name`` is a display name set here; ``seen_registered`` that it once was in the configuration."""

    id: ClientId
    connection: ConnectionType
    name: str | None
    rename: RenameStatus | None
    added_at: datetime
    seen_registered: bool


class CertificateRecord(msgspec.Struct, frozen=True):
    """A TLS certificate (DER) that a client's information systems may show."""

    client: ClientId
    der: bytes
    added_at: datetime


class PendingRequest(msgspec.Struct, frozen=True):
    """A management request that was sent. ``subject``: a client's or certificate's name; ``detail``: what was asked.

    ``number`` and ``message_id`` are what the central server knows it by; ``effective``: it took effect and still says
    something, as a client that is disabled does.
    """

    id: int
    kind: RequestKind
    subject: str
    detail: str
    sent_at: datetime
    number: int = 0
    message_id: str = ""
    effective: bool = False


class ServiceRecord(msgspec.Struct, frozen=True):
    """A service below a description. A timeout of 0 waits as long as the peer does."""

    id: ServiceId
    description_id: int
    title: str
    url: str
    timeout_s: float
    ssl_auth: bool
    validation: Validation

    @property
    def full_code(self) -> str:
        """Code, and version where there is one: ``getRandom.v1``."""
        version = self.id.service_version
        return self.id.service_code if version is None else f"{self.id.service_code}.{version}"


class DescriptionRecord(msgspec.Struct, frozen=True):
    """A service description. ``digest`` is the stored document's SHA-256 in hex; empty when none is stored."""

    id: int
    client: ClientId
    type: ServiceType
    url: str
    disabled: bool
    notice: str
    refreshed_at: datetime
    media_type: str = ""
    digest: str = ""
    services: tuple[ServiceRecord, ...] = ()


class Document(msgspec.Struct, frozen=True):
    """A stored description, byte for byte as it came."""

    content: bytes
    media_type: str


class EndpointRecord(msgspec.Struct, frozen=True):
    """An endpoint of a client's service; ``generated`` ones come from the description and go with it."""

    id: int
    client: ClientId
    endpoint: Endpoint
    generated: bool


class RightRecord(msgspec.Struct, frozen=True):
    """``subject`` may use an endpoint since ``granted_at``."""

    endpoint: EndpointRecord
    subject: Subject
    granted_at: datetime


class GroupMember(msgspec.Struct, frozen=True):
    """A client in a local group."""

    id: ClientId
    added_at: datetime


class GroupRecord(msgspec.Struct, frozen=True):
    """A local group of a client."""

    id: int
    owner: ClientId
    code: str
    description: str
    updated_at: datetime
    members: tuple[GroupMember, ...] = ()


class TimestampingService(msgspec.Struct, frozen=True):
    """An approved timestamping authority that this server uses."""

    name: str
    url: str
    cost_type: str


def derive_status(
    client: ClientRecord, pending: frozenset[RequestKind], *, listed_here: bool
) -> ClientStatus:
    """The state of a client, from the configuration (is it listed on this server?) and the kinds of requests that wait.

    A registered client whose listing went away is in error, unless this side asked for it to be deleted or disabled.
    Spec: UG-SS 4.1; the status words are the admin API's.
    """
    if listed_here:
        if RequestKind.CLIENT_DELETION in pending:
            return ClientStatus.DELETION_IN_PROGRESS
        if RequestKind.CLIENT_DISABLE in pending and RequestKind.CLIENT_ENABLE not in pending:
            return ClientStatus.DISABLING_IN_PROGRESS
        return ClientStatus.REGISTERED
    if RequestKind.CLIENT_DELETION in pending:
        return ClientStatus.DELETION_IN_PROGRESS
    if RequestKind.CLIENT_ENABLE in pending:
        return ClientStatus.ENABLING_IN_PROGRESS
    if RequestKind.CLIENT_DISABLE in pending:
        return ClientStatus.DISABLED
    if RequestKind.CLIENT_REGISTRATION in pending:
        return ClientStatus.REGISTRATION_IN_PROGRESS
    return ClientStatus.GLOBAL_ERROR if client.seen_registered else ClientStatus.SAVED
