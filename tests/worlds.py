"""A small federation in memory: trust services, a configuration, two members with keys, and what they can sign.

Nothing here listens or waits. The clock stands at the time a world is made for. Worlds are made once and shared: they
hold no state that a test could spoil.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
import tempfile
import zipfile
from collections.abc import Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from cryptography import x509

from certs.algorithms import SignatureAlgorithm
from certs.certificates import der_of
from certs.configuration import TrustedConfiguration
from certs.dev.authority import DevPki
from certs.dev.responder import ocsp_reply
from certs.dev.timestamping import timestamp_reply
from certs.signing import MessageSignature, MessageSigner
from certs.tokens.port import SigningIdentity
from certs.tokens.soft import KeyKind, SoftToken
from certs.verify import ocsp
from certs.verify.timestamp import build_request, check_reply
from schemas import hashchain, rest, xades
from schemas.asic import container as asic
from schemas.globalconf.shared import (
    ApprovedCa,
    ApprovedTsa,
    CaInfo,
    Member,
    OcspInfo,
    SecurityServer,
    SharedParameters,
    Source,
    Subsystem,
)
from schemas.globalconf.sharedwriting import render_shared
from schemas.identifiers import ClientId, ServerId
from schemas.message import Attachment, Message, digest_of
from tests.doubles import GatheringSigner, MemoryTokens

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CONSUMER = ClientId("MX", "GOB", "15-ISSEMYM", "AFIL")
PROVIDER = ClientId("MX", "GOB", "00-RNSS", "INDICE")
STRANGER = ClientId("MX", "GOB", "99-OTRO", "AFIL")
CONSUMER_SERVER = CONSUMER.member.server("SS1")
PROVIDER_SERVER = PROVIDER.member.server("SS1")
SIGNATURES_URI = "/META-INF/signatures.xml"
PIN = "1234"
T = TypeVar("T")


def run_now(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, wherever one stands: a test may have a loop of its own running."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


@dataclass(frozen=True)
class World:
    """One federation at one moment."""

    now: datetime
    pki: DevPki
    token: SoftToken
    identities: dict[ClientId, SigningIdentity]
    auth: dict[ServerId, x509.Certificate]
    shared: SharedParameters
    configuration: TrustedConfiguration

    # Trust services

    def ocsp(self, certificate: x509.Certificate, *, at: datetime | None = None, **how: Any) -> bytes:
        """An OCSP response (DER) about a certificate of the intermediate CA."""
        asked = ocsp.build_request(certificate, self.pki.intermediate)
        return ocsp_reply(self.pki, asked, at or self.now, **how)

    def stamp(self, content: bytes) -> bytes:
        """A timestamp token over some bytes, with the authority's certificate in it."""
        digest = digest_of(content)
        reply = timestamp_reply(self.pki, build_request(digest), self.now, serial=1)
        return check_reply(reply, digest, self.configuration.tsa_certificates())[0]

    # Messages

    def request(
        self, *, body: bytes | None = None, client: ClientId = CONSUMER, message_id: str = "q1"
    ) -> Message:
        """A REST request of the consumer."""
        return self.rest_request(body=body, client=client, message_id=message_id).to_message(_attached(body))

    def rest_request(
        self, *, body: bytes | None = None, client: ClientId = CONSUMER, message_id: str = "q1"
    ) -> rest.RestRequest:
        """The same as REST."""
        return rest.build_request(
            "GET" if body is None else "POST",
            f"/r1/{PROVIDER.path()}/afiliados/v1/x?curp=1",
            [("X-Road-Client", client.path()), ("X-Road-Id", message_id), ("Accept", "application/json")],
            instance="MX",
            new_id=lambda: "5f2f0b4e-0000-4000-8000-000000000001",
        )

    def response(self, request: Message, *, body: bytes | None = None) -> Message:
        """The provider's answer to a request."""
        parsed = rest.parse_request(request.raw)
        asked_body = request.attachments[0].digest if request.attachments else None
        request_hash = rest.compute_request_hash(request.digest, asked_body)
        built = rest.build_response(200, "OK", [("Content-Type", "text/plain")], parsed, request_hash)
        return built.to_message(_attached(body))

    def signer_of(self, message: Message) -> ClientId:
        """The member that signs a message."""
        return (message.service.client if message.is_response else message.client).member

    def sign(
        self, *messages: Message, identity: SigningIdentity | None = None, ocsp_response: bytes | None = None
    ) -> list[MessageSignature]:
        """Signatures over messages of one member; several come under one signature."""
        who = identity or self.identities[self.signer_of(messages[0])]
        responses = (ocsp_response or self.ocsp(who.certificate),)

        async def sign_all() -> list[MessageSignature]:
            signer = MessageSigner(GatheringSigner(self.token))
            waiting = [signer.sign(who, responses, m.parts(), self.now) for m in messages]
            if len(waiting) > 1:
                # The first to come signs alone; what comes meanwhile is signed together.
                alone = signer.sign(who, responses, messages[0].parts(), self.now)
                return list((await asyncio.gather(alone, *waiting))[1:])
            return list(await asyncio.gather(*waiting))

        return run_now(sign_all())

    # Containers

    def container(
        self, message: Message, signature: MessageSignature, *, body: bytes | None = None, batch: int = 0
    ) -> bytes:
        """A signed container; ``batch`` other signatures share its timestamp."""
        built = None
        document = signature.signature
        if batch:
            others = [[(SIGNATURES_URI, digest_of(b"%d" % n))] for n in range(batch)]
            mine = [(SIGNATURES_URI, digest_of(document))]
            built = hashchain.build([mine, *others], result_uri=hashchain.TIMESTAMP_CHAIN_URI)
        else:
            value = xades.parse_signature_document(document).signature_value
            document = xades.insert_timestamp(document, self.stamp(value))
        parts = asic.Container(
            message=message.raw,
            signature=document,
            sig_hash_chain_result=signature.hash_chain_result,
            sig_hash_chain=signature.hash_chain,
            ts_hash_chain_result=None if built is None else built.result,
            ts_hash_chain=None if built is None else built.chains[0],
            timestamp=None if built is None else self.stamp(built.result),
        )
        return asic.render_container(parts, self.now, [] if body is None else [("attachment1", body)])

    def containers(self) -> dict[str, bytes]:
        """One container of each kind this software makes."""
        plain, asked = self.request(), self.request(body=b'{"a":1}')
        answer = self.response(plain, body=b"found")
        batch = self.sign(plain, self.request(message_id="q2"), asked)
        return {
            "alone": self.container(plain, self.sign(plain)[0]),
            "with-body": self.container(asked, self.sign(asked)[0], body=b'{"a":1}'),
            "response": self.container(answer, self.sign(answer)[0], body=b"found"),
            "batch": self.container(plain, batch[0]),
            "batch-with-body": self.container(asked, batch[2], body=b'{"a":1}'),
            "batch-timestamp": self.container(plain, self.sign(plain)[0], batch=3),
            "batch-both": self.container(asked, batch[2], body=b'{"a":1}', batch=5),
        }


def _attached(body: bytes | None) -> tuple[Attachment, ...]:
    return () if body is None else (Attachment(digest_of(body), len(body)),)


def trusted(shared: SharedParameters, now: datetime, **parts: bytes) -> TrustedConfiguration:
    """Shared parameters as a configuration that was written, stored and loaded again."""
    expires = (now + timedelta(days=1)).isoformat()
    metadata = f'{{"configurationVersion":"6","expirationDate":"{expires}"}}'.encode()
    files = {
        "instance-identifier": shared.instance.encode(),
        f"{shared.instance}/shared-params.xml": render_shared(shared),
        f"{shared.instance}/shared-params.xml.metadata": metadata,
        **{f"{shared.instance}/{name}-params.xml": raw for name, raw in parts.items()},
    }
    return TrustedConfiguration.load(files)


def make_world(folder: Path, kind: KeyKind, now: datetime) -> World:
    """A federation whose every key is of one kind."""
    pki = DevPki.create(folder, "rsa" if kind.value.startswith("rsa") else "ec", now=now)
    token = SoftToken.create(MemoryTokens(), PIN)
    identities, auth = {}, {}
    for client in (CONSUMER, PROVIDER, STRANGER):
        key_id = token.generate_key(kind, "sign", "sign")
        certificate = pki.issue_sign(token.public_key(key_id), client.member, now=now)
        algorithm = SignatureAlgorithm.for_key(token.public_key(key_id))
        identities[client.member] = SigningIdentity(client.member, key_id, certificate, (), algorithm)
        server = client.member.server("SS1")
        auth_key = token.generate_key(KeyKind.EC_P256, "auth", "auth")
        auth[server] = pki.issue_auth(token.public_key(auth_key), server, "127.0.0.1", now=now)
    shared = shared_parameters(pki, auth)
    return World(now, pki, token, identities, auth, shared, trusted(shared, now))


def shared_parameters(pki: DevPki, auth: dict[ServerId, x509.Certificate]) -> SharedParameters:
    """Who is who in a world."""
    responder = OcspInfo("http://ocsp.invalid/", der_of(pki.ocsp_certificate))
    ca = ApprovedCa(
        "Dev CA",
        CaInfo(der_of(pki.root)),
        "Basic",
        intermediates=(CaInfo(der_of(pki.intermediate), (responder,)),),
    )
    clients = {c.member: c for c in (CONSUMER, PROVIDER, STRANGER)}
    return SharedParameters(
        "MX",
        sources=(Source("cs.invalid", (b"internal",), (b"external",)),),
        approved_cas=(ca,),
        approved_tsas=(ApprovedTsa("Dev TSA", "http://tsa.invalid/", der_of(pki.tsa_certificate)),),
        members=tuple(
            Member(member, "Gobierno", member.member_code, (Subsystem(client.subsystem_code or ""),))
            for member, client in clients.items()
        ),
        security_servers=tuple(
            SecurityServer(
                server,
                "127.0.0.1",
                frozenset((digest_of_auth(certificate),)),
                frozenset((clients[server.owner],)),
            )
            for server, certificate in auth.items()
        ),
    )


def digest_of_auth(certificate: x509.Certificate) -> bytes:
    """What the configuration lists an authentication certificate under."""
    return hashlib.sha256(der_of(certificate)).digest()


def world(kind: KeyKind = KeyKind.EC_P256) -> World:
    """The world of a kind of key, made once."""
    return _world(kind)


@cache
def _world(kind: KeyKind) -> World:
    with tempfile.TemporaryDirectory(prefix="sacbe-world-") as folder:
        return make_world(Path(folder), kind, NOW)


def containers(kind: KeyKind = KeyKind.EC_P256) -> dict[str, bytes]:
    """The containers of a world, made once."""
    return _containers(kind)


@cache
def _containers(kind: KeyKind) -> dict[str, bytes]:
    return world(kind).containers()


def opened(container: bytes) -> asic.Container:
    """A container, read."""
    return asic.read_container(io.BytesIO(container))


def rezipped(container: bytes, changes: Mapping[str, bytes | None]) -> io.BytesIO:
    """A container with other content in some entries; None leaves an entry out."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(container)) as old, zipfile.ZipFile(out, "w") as new:
        new.comment = old.comment
        for name in old.namelist():
            content = changes.get(name, old.read(name))
            if content is not None:
                new.writestr(zipfile.ZipInfo(name, (2026, 11, 24, 12, 0, 0)), content)
    out.seek(0)
    return out


def parts_of(messages: Sequence[Message]) -> list[Sequence[tuple[str, bytes]]]:
    """The signed parts of each message."""
    return [m.parts() for m in messages]
