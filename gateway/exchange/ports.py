"""What an exchange needs from outside, as ports: each is one honest question or one act.

The consumer and the provider side receive one `Road`. Tests build it from doubles, the application from edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from certs.configuration import TrustedConfiguration
    from certs.signing import MessageSignature
    from certs.tokens import SigningIdentity
    from gateway.messagelog.spool import Spool
    from gateway.messagelog.store import LogEntry
    from gateway.serverconf.model import ServerConf, Service
    from schemas.globalconf.shared import SecurityServer
    from schemas.identifiers import ClientId
    from schemas.rest import RestRequest


class Identities(Protocol):
    """The keys and certificates of this server, each with OCSP responses that hold at ``now``."""

    def signing(self, member: ClientId, now: datetime) -> tuple[SigningIdentity, Sequence[bytes]]:
        """The member's active signing identity and the OCSP responses of its chain, leaf first."""
        ...

    def authentication_ocsp(self, now: datetime) -> Sequence[bytes]:
        """The OCSP responses of this server's auth certificate chain, leaf first."""
        ...


class Signing(Protocol):
    """Signs the parts of one message; may put several waiting messages under one signature."""

    async def sign(
        self,
        identity: SigningIdentity,
        ocsp_responses: Sequence[bytes],
        parts: Sequence[tuple[str, bytes]],
        now: datetime,
    ) -> MessageSignature:
        """The signature over the parts."""
        ...


class Log(Protocol):
    """The message log: returns once the record is durable, or raises `LogFailed`."""

    async def append(self, entry: LogEntry) -> int:
        """The id of the durable record."""
        ...


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """What a security server answered: its HTTP head and the body as chunks."""

    content_type: str
    hash_algorithm: str | None
    chunks: AsyncIterator[bytes]


class Peers(Protocol):
    """Other security servers."""

    def send(
        self,
        servers: Sequence[SecurityServer],
        provider: ClientId,
        headers: Sequence[tuple[str, str]],
        body: Callable[[], AsyncIterator[bytes]],
    ) -> AbstractAsyncContextManager[PeerAnswer]:
        """Connect to the fastest of ``servers`` that proves to serve ``provider``; only then ask for the body."""
        ...


@dataclass(slots=True)
class ServiceAnswer:
    """What a provider's system answered; ``body`` is None when it sent no byte."""

    status: int
    reason: str
    headers: Sequence[tuple[str, str]]
    body: Spool | None


class Services(Protocol):
    """The providers' information systems."""

    async def call(self, service: Service, request: RestRequest, body: Spool | None) -> ServiceAnswer:
        """One call, within the service's timeout. Raises `ServiceFailed`."""
        ...


class PeerTrust(Protocol):
    """Decides whether a TLS peer is a security server that may speak for a client."""

    def check_consumer_side(
        self,
        configuration: TrustedConfiguration,
        certificates: Sequence[bytes],
        ocsp_responses: Sequence[bytes],
        client: ClientId,
        now: datetime,
    ) -> SecurityServer:
        """The server that the certificate belongs to. Raises `NotProved` (``ssl_authentication_failed``)."""
        ...


@dataclass(frozen=True)
class Road:
    """Everything both sides of an exchange are given."""

    now: Callable[[], datetime]
    new_id: Callable[[], str]
    configuration: Callable[[], TrustedConfiguration | None]
    serverconf: Callable[[], ServerConf]
    identities: Identities
    signing: Signing
    log: Log
    peers: Peers
    services: Services
    peer_trust: PeerTrust
    new_spool: Callable[[], Spool]
    own_certificates: Callable[[], Collection[bytes]]
    max_body_bytes: int
