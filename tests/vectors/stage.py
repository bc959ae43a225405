"""The environment of X-Road's proxy test suite, put up in this process: two gateways, a service or a fake peer, a clock.

As the case lists describe it: every client is registered, every service exists and everybody may call it, until a case's
``setup`` says otherwise. Three things differ. Keys and certificates are our own, because theirs are signed with SHA-1,
which traffic refuses; OCSP answers are of the frozen moment itself, for the same reason; gateways always speak mutual
TLS to each other, and a peer that posts to the provider gateway shows no certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import ssl
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certs.algorithms import SignatureAlgorithm
from certs.certificates import der_of
from certs.configuration import TrustedConfiguration
from certs.dev.authority import DevPki
from certs.dev.responder import ocsp_reply
from certs.signing import MessageSigner
from certs.systemtls import SystemServerContext
from certs.tls import (
    TlsCredentials,
    peer_client_context,
    peer_server_context,
    provider_client_context,
)
from certs.tokens.port import SigningIdentity
from certs.tokens.soft import KeyKind, SoftToken
from certs.verify import ocsp
from gateway.clients.model import (
    AccessRight,
    Client,
    ConnectionType,
    Endpoint,
    ServerConf,
    Service,
    ServiceType,
)
from gateway.edges.consumers import ConsumerListener
from gateway.edges.http import DataPlaneServer, listen
from gateway.edges.peerlistener import PeerListener
from gateway.edges.peers import PeerClient, PeerExpected, PeerTimes
from gateway.edges.services import ServiceCaller
from gateway.exchange.peertrust import check_consumer_side
from gateway.exchange.ports import ExchangeContext, LocalServices, NoLocalServices
from gateway.messagelog.spool import SpoolFolder
from gateway.messagelog.store import MessageLog
from schemas.faults import Kind, Spelling, TokenFailed
from schemas.globalconf.shared import (
    ApprovedCa,
    ApprovedTsa,
    CaInfo,
    OcspInfo,
    SecurityServer,
    SharedParameters,
    Source,
)
from schemas.identifiers import ClientId, GlobalGroupId, ServerId, ServiceId
from serving.storage.selfsigned import self_signed
from tests.doubles import MemoryLog, MemoryTokens
from tests.vectors.keystores import load
from tests.worlds import trusted

NOW = datetime(2020, 1, 1, tzinfo=UTC)
SERVER = ServerId("EE", "BUSINESS", "consumer", "proxytest")
HOST = "127.0.0.1"
EVERYONE = GlobalGroupId("EE", "everyone")
_numbers = itertools.count(1)


class Everyone(frozenset[ClientId]):
    """Has every client in it."""

    def __contains__(self, item: object) -> bool:
        return True


@dataclass
class Setup:
    """What a case may change."""

    addresses: Sequence[str] = (HOST,)
    maintenance: str | None = None
    service_url: str | None = None
    services_exist: bool = True
    rest: bool = False
    soap_codes: frozenset[str] = frozenset()
    may_call: bool = True
    denied_methods: frozenset[str] = frozenset()
    disabled: str | None = None
    registered: bool = True
    auth_known: bool = True
    auth_matches: bool = True
    cannot_sign: Callable[[ClientId], bool] = lambda _member: False
    connection: ConnectionType = ConnectionType.HTTP
    system_certificates: frozenset[bytes] = frozenset()
    shown: str = "certs/client.p12"
    service_tls: str | None = None
    verify_tls: bool = True
    same_ciphers: bool = True
    local_services: LocalServices = field(default_factory=NoLocalServices)
    port: int = 0
    idle_s: float = 30.0
    pooled: bool = True
    log_certificates: bool = False


class Trust:
    """Certificates of the environment, made on demand; one authority for the whole run."""

    def __init__(self, folder: Path) -> None:
        self.pki = DevPki.create(folder, now=NOW)
        self.token = SoftToken.create(MemoryTokens(), "1234")
        self._signing: dict[ClientId, SigningIdentity] = {}
        self._ocsp: dict[int, bytes] = {}
        key_id = self.token.generate_key(KeyKind.EC_P256, "auth", "auth")
        # As long as the authority itself: OpenSSL looks at this machine's clock, not at the frozen one.
        self.auth = self.pki.issue_auth(self.token.public_key(key_id), SERVER, HOST, days=3650 - 1, now=NOW)
        self.auth_tls = TlsCredentials(self.token.tls_private_key(key_id), (self.auth, self.pki.intermediate))

    def signing(self, member: ClientId) -> SigningIdentity:
        """The signing identity of a member, made when first asked for."""
        if member not in self._signing:
            key_id = self.token.generate_key(KeyKind.EC_P256, "sign", "sign")
            certificate = self.pki.issue_sign(self.token.public_key(key_id), member, now=NOW)
            algorithm = SignatureAlgorithm.for_key(self.token.public_key(key_id))
            self._signing[member] = SigningIdentity(member, key_id, certificate, (), algorithm)
        return self._signing[member]

    def ocsp(self, certificate: x509.Certificate) -> bytes:
        """A good answer of the frozen moment, the same each time as a gateway holds one."""
        number = certificate.serial_number
        if number not in self._ocsp:
            request = ocsp.build_request(certificate, self.pki.intermediate)
            self._ocsp[number] = ocsp_reply(self.pki, request, NOW)
        return self._ocsp[number]


@cache
def trust() -> Trust:
    """The environment's trust, made once."""
    with tempfile.TemporaryDirectory(prefix="sacbe-stage-") as folder:
        return Trust(Path(folder))


@dataclass(frozen=True)
class Federation:
    """A recorded federation to stand in instead of the stage's own: its proved configuration, its moment, our server in it.

    Peers are not proved: a recording has no TLS connection. ``ids`` are the first identifiers that the gateway makes.
    """

    trusting: TrustedConfiguration
    now: datetime
    server: ServerId
    ids: Sequence[str] = ()


class Configuration(TrustedConfiguration):
    """A global configuration in which everybody is at home on the one server."""

    setup: Setup

    def servers_of(self, client: ClientId) -> tuple[SecurityServer, ...]:
        digest = self.auth_certificate_digest(der_of(trust().auth))
        return tuple(
            SecurityServer(SERVER, a, frozenset((digest,)), Everyone(), self.setup.maintenance)
            for a in self.setup.addresses
        )

    def server(self, server_id: ServerId) -> SecurityServer | None:
        return SecurityServer(SERVER, HOST, clients=Everyone()) if self.setup.registered else None

    def server_by_auth_certificate(self, der: bytes) -> SecurityServer | None:
        return SecurityServer(SERVER, HOST) if self.setup.auth_known else None

    def auth_certificate_matches(self, der: bytes, client: ClientId) -> bool:
        return self.setup.auth_known and self.setup.auth_matches

    def in_global_group(self, client: ClientId, group: GlobalGroupId) -> bool:
        return group == EVERYONE


def configuration(setup: Setup) -> Configuration:
    """The configuration of a setup."""
    shared = _shared()
    base = trusted(shared, NOW)
    made = Configuration(base.instance, base.instances, base.parts)
    object.__setattr__(made, "setup", setup)
    return made


def _shared() -> SharedParameters:
    pki = trust().pki
    responder = OcspInfo("http://ocsp.invalid/", der_of(pki.ocsp_certificate))
    ca = ApprovedCa(
        "CA",
        CaInfo(der_of(pki.root)),
        "Basic",
        intermediates=(CaInfo(der_of(pki.intermediate), (responder,)),),
    )
    return SharedParameters(
        "EE",
        sources=(Source("cs.invalid", (b"internal",), (b"external",)),),
        approved_cas=(ca,),
        approved_tsas=(ApprovedTsa("TSA", "http://tsa.invalid/", der_of(pki.tsa_certificate)),),
    )


class Serverconf(ServerConf):
    """A server configuration in which every client and every service exists."""

    setup: Setup

    def client(self, client: ClientId) -> Client | None:
        setup = self.setup
        return Client(client, setup.connection, setup.system_certificates)

    def service(self, service: ServiceId) -> Service | None:
        setup = self.setup
        if not setup.services_exist:
            return None
        scheme = "https" if setup.service_tls else "http"
        url = setup.service_url or f"{scheme}://{HOST}:{setup.port}"
        if not setup.rest and setup.service_url is None:
            url += f"/{service.service_code}"
        is_rest = setup.rest and service.service_code not in setup.soap_codes
        kind = ServiceType.REST if is_rest else ServiceType.WSDL
        return Service(service, kind, url, 10.0, setup.verify_tls, setup.disabled)

    def rights_of(self, provider: ClientId, service_code: str) -> tuple[AccessRight, ...]:
        if not self.setup.may_call:
            return ()
        methods = ["*"]
        if self.setup.denied_methods:
            methods = [m for m in ("GET", "POST", "PUT", "DELETE") if m not in self.setup.denied_methods]
        return tuple(AccessRight(provider, EVERYONE, Endpoint(service_code, m)) for m in methods)


class Identities:
    """Every member signs, with an OCSP response of the moment."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup

    def signing(self, member: ClientId, now: datetime) -> tuple[SigningIdentity, Sequence[bytes]]:
        if self._setup.cannot_sign(member.member):
            raise TokenFailed(Kind.CANNOT_CREATE_SIGNATURE, f"{member.path()} cannot sign in this case")
        identity = trust().signing(member.member)
        return identity, (trust().ocsp(identity.certificate),)

    def authentication_ocsp(self, now: datetime) -> Sequence[bytes]:
        return (trust().ocsp(trust().auth),)


def accept_any_peer(*_: object) -> SecurityServer:
    """Take any peer, as X-Road's suite does where it has TLS switched off."""
    return SecurityServer(SERVER, HOST)


@dataclass
class Stage:
    """Everything that runs for one case."""

    setup: Setup
    consumer_port: int
    provider_port: int
    consumer_tls_port: int
    log: MemoryLog
    spools: Path
    # One for each TLS handshake between the two gateways.
    handshakes: list[int] = field(default_factory=list)


@contextlib.asynccontextmanager
async def put_up(
    setup: Setup,
    *,
    peer_port: int | None = None,
    prove_peers: bool = True,
    federation: Federation | None = None,
    kept: MessageLog | None = None,
) -> AsyncIterator[Stage]:
    """Both gateways, listening. ``peer_port`` puts a fake peer, or nobody, in the provider gateway's place.

    Both log into memory, or into ``kept``.
    """
    home = federation or Federation(configuration(setup), NOW, SERVER)
    prove_peers = prove_peers and federation is None
    async with contextlib.AsyncExitStack() as stack:
        own_tls = TlsCredentials(*self_signed("stage"))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sacbe-case-")))
        trusting, log = home.trusting, MemoryLog()
        ids = itertools.chain(home.ids, (f"00000000-0000-4000-8000-{n:012d}" for n in _numbers))
        serverconf = Serverconf(home.server)
        object.__setattr__(serverconf, "setup", setup)
        services = ServiceCaller(lambda: serverconf, lambda: provider_client_context(own_tls))
        await services.start()
        stack.push_async_callback(services.close)

        async def check_peer(certificates: Sequence[bytes], expected: PeerExpected) -> None:
            responses = [trust().ocsp(trust().auth)]
            if federation is None:
                check_consumer_side(trusting, certificates, responses, expected.provider, NOW)

        @cache
        def client_tls() -> ssl.SSLContext:
            context = peer_client_context(trust().auth_tls)
            if not setup.same_ciphers:
                context.maximum_version = ssl.TLSVersion.TLSv1_2
                context.set_ciphers("AES256-SHA")
            return context

        async def start(server: DataPlaneServer, context: ssl.SSLContext | None = None) -> int:
            runner = await listen(server, HOST, 0, context)
            stack.push_async_callback(runner.cleanup)
            return int(runner.addresses[0][1])

        def road(peers: PeerClient) -> ExchangeContext:
            return ExchangeContext(
                now=lambda: home.now,
                new_id=lambda: next(ids),
                configuration=lambda: trusting,
                serverconf=lambda: serverconf,
                identities=Identities(setup),
                signing=MessageSigner(trust().token, turn=None if kept is None else kept.turn),
                log=kept or log,
                peers=peers,
                services=services,
                peer_trust=check_consumer_side if prove_peers else accept_any_peer,
                new_spool=SpoolFolder(folder).new,
                own_certificates=lambda: (der_of(own_tls.chain[0]),),
                max_body_bytes=64 * 1024 * 1024,
                local_services=setup.local_services,
            )

        server_tls = peer_server_context(trust().auth_tls, (trust().pki.root, trust().pki.intermediate))
        handshakes: list[int] = []
        server_tls.sni_callback = lambda *_: handshakes.append(1)
        listener = PeerListener(road(PeerClient(check_peer, client_tls)), Spelling.SNAKE)
        port = await start(listener.server(), server_tls if prove_peers else None)
        peers = PeerClient(
            check_peer,
            client_tls,
            port=peer_port or port,
            times=PeerTimes(connect_s=5, read_s=10, pooled=setup.pooled),
        )
        await peers.start()
        stack.push_async_callback(peers.close)
        systems = SystemServerContext(own_tls)
        consumers = ConsumerListener(
            road(peers),
            Spelling.SNAKE,
            _no_download,
            lambda: b"",
            idle_s=setup.idle_s,
            log_certificates=setup.log_certificates,
        )
        plain = await start(consumers.server())
        secure = await start(consumers.server(), systems)
        yield Stage(setup, plain, port, secure, log, folder, handshakes)


async def _no_download(_query: dict[str, str]) -> Any:
    raise AssertionError("no case downloads containers")


# Those who answer


@dataclass
class Seen:
    """What a service or a fake peer was sent."""

    method: str = ""
    target: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first header of that name."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)


Answerer = Callable[[Seen], bytes]


@contextlib.asynccontextmanager
async def answering(
    answer: Answerer, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[Seen]]]:
    """A server that reads one whole HTTP request and writes back exactly the bytes it is given."""
    seen: list[Seen] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            one = await _read_request(reader)
            seen.append(one)
            writer.write(answer(one))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, HOST, 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()


async def _read_request(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, target, _ = head[0].split(" ")
    pairs = [(n.strip(), v.strip()) for n, _, v in (line.partition(":") for line in head[1:] if line)]
    one = Seen(method, target, pairs)
    if (one.header("transfer-encoding") or "").lower() == "chunked":
        while size := int((await reader.readline()).split(b";")[0], 16):
            one.body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    elif length := one.header("content-length"):
        one.body = await reader.readexactly(int(length))
    return one


def http_answer(
    body: bytes,
    *,
    status: int = 200,
    length: int | None = None,
    headers: Sequence[tuple[str, str]] = (),
    reason: str = "Answer",
) -> bytes:
    """The bytes of an HTTP answer after which the connection closes."""
    lines = [
        f"HTTP/1.1 {status} {reason}",
        "Connection: close",
        f"Content-Length: {len(body) if length is None else length}",
    ]
    lines += [f"{n}: {v}" for n, v in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8") + body


def tls_of(name: str) -> ssl.SSLContext:
    """A server context of a foreign key pair; those are old, so OpenSSL is told to let them pass."""
    return _foreign(ssl.PROTOCOL_TLS_SERVER, name)


def client_tls_of(name: str) -> ssl.SSLContext:
    """A client context that shows a foreign certificate."""
    context = _foreign(ssl.PROTOCOL_TLS_CLIENT, name)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _foreign(purpose: int, name: str) -> ssl.SSLContext:
    key, certificate = load(name)
    context = ssl.SSLContext(purpose)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with tempfile.NamedTemporaryFile(suffix=".pem") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        file.write(certificate.public_bytes(serialization.Encoding.PEM))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def peer_tls() -> ssl.SSLContext:
    """The server context of a fake provider gateway."""
    return peer_server_context(trust().auth_tls, (trust().pki.root, trust().pki.intermediate))
