"""What this security server serves, as values: clients, services, endpoints, access rights.

`ServerConf` is one immutable snapshot with the look-ups an exchange needs, each by dictionary. Whether a client is
*registered* is not stored here: it is, exactly when the global configuration lists it on this server.

Access rights hang on endpoints (service code, method, path); a right to a whole service is the base endpoint
``*`` ``**``. Versions of a service share its rights. Spec: PR-GCONF; UG-SS 7 (access rights).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import msgspec

from gateway.clients.globs import compile_glob
from schemas.identifiers import ClientId, GlobalGroupId, LocalGroupId, ServerId, ServiceId

Subject = ClientId | GlobalGroupId | LocalGroupId


class ConnectionType(enum.StrEnum):
    """The connection that consumer systems of a client must use; names of the admin API."""

    HTTP = "HTTP"
    HTTPS_NO_AUTH = "HTTPS_NO_AUTH"
    HTTPS = "HTTPS"


class ServiceType(enum.StrEnum):
    """The kind of description a service has; it decides the message protocol."""

    REST = "REST"
    OPENAPI3 = "OPENAPI3"
    WSDL = "WSDL"

    @property
    def is_rest(self) -> bool:
        """Whether the service speaks the REST message protocol."""
        return self is not ServiceType.WSDL


class Validation(enum.StrEnum):
    """Whether messages of a service are checked against its description here, and what a finding does."""

    OFF = "OFF"
    REPORT = "REPORT"
    REFUSE = "REFUSE"


class Client(msgspec.Struct, frozen=True):
    """A client of this server; ``certificates`` are those its systems may show (DER)."""

    id: ClientId
    connection: ConnectionType = ConnectionType.HTTPS
    certificates: frozenset[bytes] = frozenset()


class Service(msgspec.Struct, frozen=True):
    """A service of a local client. ``timeout_s`` bounds one call; ``disabled`` carries the notice to consumers.

    ``description`` is where its description comes from, ``digest`` the SHA-256 of the stored document in hex.
    """

    id: ServiceId
    type: ServiceType
    url: str
    timeout_s: float = 60.0
    verify_tls: bool = True
    disabled: str | None = None
    title: str = ""
    validation: Validation = Validation.OFF
    description: str = ""
    digest: str = ""


class Endpoint(msgspec.Struct, frozen=True):
    """A method (or ``*``) and a path pattern of a service; ``*`` and ``**`` name the whole service."""

    service_code: str
    method: str = "*"
    path: str = "**"

    def matches(self, method: str, path: str) -> bool:
        """Whether a request's method and decoded path fall under this endpoint."""
        return (self.method in ("*", method) or self.method.upper() == method.upper()) and (
            self.path == "**" or compile_glob(self.path).fits(path)
        )

    @property
    def is_base(self) -> bool:
        """Whether this is the endpoint that stands for the whole service."""
        return self.method == "*" and self.path == "**"


class AccessRight(msgspec.Struct, frozen=True):
    """``subject`` may call ``endpoint`` of ``provider``."""

    provider: ClientId
    subject: Subject
    endpoint: Endpoint


class LocalGroup(msgspec.Struct, frozen=True):
    """A group of clients that one local client keeps for its own access rights."""

    owner: ClientId
    code: str
    members: frozenset[ClientId]


@dataclass(frozen=True)
class ServerConf:
    """One snapshot of the server's configuration."""

    server_id: ServerId
    clients: tuple[Client, ...] = ()
    services: tuple[Service, ...] = ()
    rights: tuple[AccessRight, ...] = ()
    groups: tuple[LocalGroup, ...] = ()
    endpoints: tuple[tuple[ClientId, Endpoint], ...] = ()
    generation: int = 0
    _clients: dict[ClientId, Client] = field(init=False, repr=False, compare=False)
    _services: dict[ServiceId, Service] = field(init=False, repr=False, compare=False)
    _rights: dict[tuple[ClientId, str], tuple[AccessRight, ...]] = field(
        init=False, repr=False, compare=False
    )
    _groups: dict[tuple[ClientId, str], frozenset[ClientId]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rights: dict[tuple[ClientId, str], list[AccessRight]] = {}
        for right in self.rights:
            rights.setdefault((right.provider, right.endpoint.service_code), []).append(right)
        object.__setattr__(self, "_clients", {c.id: c for c in self.clients})
        object.__setattr__(self, "_services", {s.id: s for s in self.services})
        object.__setattr__(self, "_rights", {key: tuple(found) for key, found in rights.items()})
        object.__setattr__(self, "_groups", {(g.owner, g.code): g.members for g in self.groups})

    def client(self, client: ClientId) -> Client | None:
        """The client as configured here, or None."""
        return self._clients.get(client)

    def service(self, service: ServiceId) -> Service | None:
        """The service as described here, or None."""
        return self._services.get(service)

    def rights_of(self, provider: ClientId, service_code: str) -> tuple[AccessRight, ...]:
        """Every right granted on a service, whatever its version."""
        return self._rights.get((provider, service_code), ())

    def services_of(self, provider: ClientId) -> tuple[Service, ...]:
        """Every service of a client, in the order of their identifiers."""
        return tuple(s for s in self.services if s.id.client == provider)

    def endpoints_of(self, provider: ClientId, service_code: str) -> tuple[Endpoint, ...]:
        """The endpoints of a service but for the one that stands for the whole of it."""
        return tuple(
            e for c, e in self.endpoints if c == provider and e.service_code == service_code and not e.is_base
        )

    def in_local_group(self, owner: ClientId, group: LocalGroupId, client: ClientId) -> bool:
        """Whether ``client`` is in the group that ``owner`` keeps. A member does not stand for its subsystems."""
        return client in self._groups.get((owner, group.group_code), frozenset())
