"""What an exchange needs from outside, as ports: each is one honest question or one act.

The consumer and the provider side receive one `ExchangeContext`. Tests build it from doubles, the application from edges.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from certs.configuration import TrustedConfiguration
    from certs.signing import MessageSignature
    from certs.tokens.port import SigningIdentity
    from gateway.clients.model import ServerConf, Service
    from gateway.exchange.record import ExchangeRecord
    from gateway.exchange.wire import Body
    from gateway.messagelog.spool import NewSpool
    from gateway.messagelog.store import LogEntry
    from schemas.globalconf.shared import SecurityServer
    from schemas.identifiers import ClientId, ServiceId
    from schemas.message import Message, MessageProtocol


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
        """The signature over ``parts``: URI and SHA-512 digest of each, as `Message.parts` has them. Raises `TokenFailed`."""
        ...


class MessageLogPort(Protocol):
    """The message log: returns once the record is durable, or raises `Fault`."""

    async def append(self, entry: LogEntry) -> int:
        """The id of the durable record."""
        ...


class PeerAnswer(msgspec.Struct, frozen=True):
    """A security server's answer: its HTTP head and the body as chunks, which may be drawn once."""

    content_type: str
    hash_algorithm: str | None
    chunks: AsyncIterator[bytes]
    original_content_type: str = ""


class LeasedPeer(Protocol):
    """A proved security server on the other end of a connection that carries one message."""

    async def post(self, headers: Sequence[tuple[str, str]], chunks: AsyncIterator[bytes]) -> PeerAnswer:
        """Send a message, once, and give the answer. Raises `Fault`, or what stopped ``chunks``."""
        ...


class Peers(Protocol):
    """The port to other security servers."""

    def connect(
        self, servers: Sequence[SecurityServer], provider: ClientId
    ) -> AbstractAsyncContextManager[LeasedPeer]:
        """A connection to the fastest of ``servers`` that proves to serve ``provider``. Raises `Fault`."""
        ...


class ServiceCall(msgspec.Struct, frozen=True):
    """One call of a service: the HTTP request to make, and for services of the gateway's own what was proved.

    ``target`` is what follows the service's URL: path after the service code and query, still encoded; empty for SOAP.
    ``chunks`` gives the HTTP body, any number of times; None means none. ``bodies`` are the message's own.
    """

    message: Message
    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    chunks: Callable[[], AsyncIterator[bytes]] | None = None
    bodies: Sequence[Body] = ()


class ServiceAnswer(msgspec.Struct, frozen=True):
    """The answer of a provider's system: its HTTP head and the body as chunks, which may be drawn once."""

    status: int
    reason: str
    headers: Sequence[tuple[str, str]]
    chunks: AsyncIterator[bytes]

    def header(self, name: str) -> str | None:
        """The first header of that name, whatever its case."""
        return next((v for n, v in self.headers if n.lower() == name), None)


class ProviderSystems(Protocol):
    """The port to the providers' information systems."""

    def call(self, service: Service, call: ServiceCall) -> AbstractAsyncContextManager[ServiceAnswer]:
        """One call, answer and all within the service's timeout. Raises `Fault`."""
        ...


class LocalAnswer(msgspec.Struct, frozen=True):
    """The answer of a service that the gateway answers itself, as if a system had sent it over HTTP.

    Over SOAP ``body`` is an envelope (see `schemas.soap.render_answer`) or a ``multipart/related``, and ``headers`` say
    which; the request hash is put in, and the signature is made, by the exchange.
    """

    headers: Sequence[tuple[str, str]]
    body: bytes
    status: int = 200
    reason: str = "OK"


class LocalService(Protocol):
    """A service that the gateway answers itself: metadata, monitoring, its own administration.

    The exchange has proved the message (`ServiceCall.message`) and logs request and answer like any other. Access
    rights are not looked at: such a service decides on its own, by raising `Fault`.
    """

    async def answer(self, call: ServiceCall) -> LocalAnswer:
        """Answer one call. Raises `Fault`."""
        ...


class LocalServices(Protocol):
    """Which service codes the gateway answers itself, whatever client they are asked of."""

    def find(self, service: ServiceId, protocol: MessageProtocol) -> LocalService | None:
        """The local service behind an identifier; None when a provider's system answers it."""
        ...


class NoLocalServices:
    """A gateway that answers nothing itself."""

    def find(self, service: ServiceId, protocol: MessageProtocol) -> LocalService | None:
        """No service is the gateway's own: None."""
        return None


class Policies(Protocol):
    """The data policies that services of this gateway are bound to, or that its clients' requests are held against."""

    async def check_leaving(self, call: ServiceCall) -> None:
        """Refuse a client's request before it leaves. Raises `Fault`."""
        ...

    def guard(
        self, service: Service, target: Callable[[ServiceCall], AbstractAsyncContextManager[ServiceAnswer]]
    ) -> Callable[[ServiceCall], AbstractAsyncContextManager[ServiceAnswer]]:
        """The service as its policy lets it be asked: what the policy refuses is answered, and never asked."""
        ...


class NoPolicies:
    """A gateway whose services are bound to no policy."""

    async def check_leaving(self, call: ServiceCall) -> None:
        """Let every call leave for the service."""

    def guard(
        self, service: Service, target: Callable[[ServiceCall], AbstractAsyncContextManager[ServiceAnswer]]
    ) -> Callable[[ServiceCall], AbstractAsyncContextManager[ServiceAnswer]]:
        """The service as it is."""
        return target


class Several(msgspec.Struct, frozen=True):
    """Local services of several kinds; the first that knows an identifier answers it."""

    kinds: Sequence[LocalServices]

    def find(self, service: ServiceId, protocol: MessageProtocol) -> LocalService | None:
        """The local service behind an identifier, or None."""
        return next((f for kind in self.kinds if (f := kind.find(service, protocol)) is not None), None)


class PeerTrust(Protocol):
    """Decides whether a TLS peer is a security server that may speak for a client."""

    def __call__(
        self,
        configuration: TrustedConfiguration,
        certificates: Sequence[bytes],
        ocsp_responses: Sequence[bytes],
        client: ClientId,
        now: datetime,
        /,
    ) -> SecurityServer:
        """The server that the certificate belongs to. Raises `NotProved` (``ssl_authentication_failed``)."""
        ...


@dataclass(frozen=True)
class ExchangeContext:
    """Everything both sides of an exchange are given."""

    now: Callable[[], datetime]
    new_id: Callable[[], str]
    configuration: Callable[[], TrustedConfiguration | None]
    serverconf: Callable[[], ServerConf]
    identities: Identities
    signing: Signing
    log: MessageLogPort
    peers: Peers
    services: ProviderSystems
    peer_trust: PeerTrust
    new_spool: NewSpool
    own_certificates: Callable[[], Collection[bytes]]
    max_body_bytes: int
    local_services: LocalServices = field(default_factory=NoLocalServices)
    # Told of every exchange once it is over, whatever happened; must return at once.
    observe: Callable[[ExchangeRecord], None] = field(default=lambda _record: None)
    policies: Policies = field(default_factory=NoPolicies)
    # The oldest version of consumer sides that are answered; empty answers all.
    minimum_client_version: Callable[[], str] = field(default=lambda: "")
