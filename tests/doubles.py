"""In-memory stand-ins for what the software needs from outside. Each keeps its port's promises, and fails only when told.

A port that fails *before* has done nothing; one that fails *after* has done its work and then says it failed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.clients.descriptions.reading import parse_description
from gateway.exchange.ports import PeerAnswer, ServiceAnswer
from schemas.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from datetime import datetime

    from cryptography import x509

    from certs.algorithms import SignatureAlgorithm
    from certs.signing import MessageSignature
    from certs.tokens.port import KeyId, Signer, SigningIdentity
    from gateway.clients.descriptions.described import ParsedDescription
    from gateway.clients.model import Service, ServiceType
    from gateway.exchange.ports import ServiceCall, Signing
    from gateway.messagelog.record import LogEntry
    from schemas.globalconf.shared import SecurityServer
    from schemas.identifiers import ClientId


async def read_here(kind: ServiceType, content: bytes, url: str) -> ParsedDescription:
    """Read a service description without a process of its own."""
    return parse_description(kind, content, url)


class MemoryTokens:
    """Where a software token keeps its sealed records: nowhere."""

    def __init__(self) -> None:
        self.token: bytes | None = None
        self.keys: dict[str, bytes] = {}

    def read_token(self) -> bytes | None:
        return self.token

    def write_token(self, record: bytes) -> None:
        self.token = record

    def read_keys(self) -> dict[str, bytes]:
        return dict(self.keys)

    def write_key(self, key_id: str, record: bytes) -> None:
        self.keys[key_id] = record

    def remove_key(self, key_id: str) -> None:
        del self.keys[key_id]


class GatheringSigner:
    """A signer that lets everyone who is ready come in line before it signs, as a slow key does."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self.signed = 0

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        for _ in range(3):
            await asyncio.sleep(0)
        self.signed += 1
        return await self._signer.sign(key_id, digest, algorithm)


@dataclass
class Trouble:
    """When a port fails, and with what: before it does its work, after it, or (None) not at all."""

    before: Exception | None = None
    after: Exception | None = None

    def strike_before(self) -> None:
        if self.before is not None:
            raise _fresh(self.before)

    def strike_after(self) -> None:
        if self.after is not None:
            raise _fresh(self.after)


def _fresh(err: Exception) -> Exception:
    """A fault of its own: on its way out it takes steps and an origin on."""
    return type(err)(err.kind, err.detail) if isinstance(err, Fault) else err


class MemoryLog:
    """A message log that keeps what it is given; ``trace`` learns of each record in order."""

    def __init__(self, name: str = "log", trace: list[str] | None = None) -> None:
        self._name = name
        self._trace = [] if trace is None else trace
        self.entries: list[LogEntry] = []
        self.trouble: dict[bool, Trouble] = {False: Trouble(), True: Trouble()}

    def fails(
        self, *, is_response: bool, before: Exception | None = None, after: Exception | None = None
    ) -> None:
        """From now on, requests or answers cannot be logged, or are logged and then said not to be."""
        self.trouble[is_response] = Trouble(before, after)

    async def append(self, entry: LogEntry) -> int:
        trouble = self.trouble[entry.message.is_response]
        trouble.strike_before()
        self.entries.append(entry)
        self._trace.append(f"{self._name} logs {'answer' if entry.message.is_response else 'request'}")
        trouble.strike_after()
        return len(self.entries)


class MemoryIdentities:
    """Signing identities with OCSP responses made on demand, and those of one TLS certificate."""

    def __init__(
        self,
        identities: Mapping[ClientId, SigningIdentity],
        auth_certificate: x509.Certificate,
        ocsp: Callable[[x509.Certificate], bytes],
    ) -> None:
        self._identities = identities
        self._auth = auth_certificate
        self._ocsp = ocsp
        self.signing_trouble = Trouble()
        self.auth_trouble = Trouble()

    def signing(self, member: ClientId, now: datetime) -> tuple[SigningIdentity, Sequence[bytes]]:
        self.signing_trouble.strike_before()
        identity = self._identities[member.member]
        return identity, (self._ocsp(identity.certificate),)

    def authentication_ocsp(self, now: datetime) -> Sequence[bytes]:
        self.auth_trouble.strike_before()
        return (self._ocsp(self._auth),)


class TroubledSigning:
    """The real signing of messages, which can be made to fail."""

    def __init__(self, signing: Signing) -> None:
        self._signing = signing
        self.trouble = Trouble()

    async def sign(
        self,
        identity: SigningIdentity,
        ocsp_responses: Sequence[bytes],
        parts: Sequence[tuple[str, bytes]],
        now: datetime,
    ) -> MessageSignature:
        self.trouble.strike_before()
        signature = await self._signing.sign(identity, ocsp_responses, parts, now)
        self.trouble.strike_after()
        return signature


@dataclass(frozen=True)
class Sent:
    """A message as it left for a peer, or an answer as it came back."""

    headers: dict[str, str]
    raw: bytes


class MemoryPeers:
    """The road to one other security server: what is sent is given to ``deliver``, and its answer comes back."""

    def __init__(self, deliver: Callable[[Sent], Awaitable[Sent]], trace: list[str]) -> None:
        self._deliver = deliver
        self._trace = trace
        self.sent: list[Sent] = []
        self.answers: list[Sent] = []
        self.trouble = Trouble()

    @contextlib.asynccontextmanager
    async def connect(
        self, servers: Sequence[SecurityServer], provider: ClientId
    ) -> AsyncIterator[MemoryPeers]:
        self.trouble.strike_before()
        yield self

    async def post(self, headers: Sequence[tuple[str, str]], chunks: AsyncIterator[bytes]) -> PeerAnswer:
        raw = b"".join([chunk async for chunk in chunks])
        sent = Sent({name.lower(): value for name, value in headers}, raw)
        self.sent.append(sent)
        self._trace.append("sent")
        answer = await self._deliver(sent)
        self.answers.append(answer)
        self.trouble.strike_after()
        return PeerAnswer(
            answer.headers["content-type"], answer.headers.get("x-hash-algorithm"), one_by_one(answer.raw)
        )


class MemoryServices:
    """A provider's system that answers every call alike."""

    def __init__(self, trace: list[str], *, status: int = 200, body: bytes = b"found") -> None:
        self._trace = trace
        self.content_type = "text/plain"
        self.status = status
        self.body = body
        self.calls: list[ServiceCall] = []
        self.trouble = Trouble()

    @contextlib.asynccontextmanager
    async def call(self, service: Service, call: ServiceCall) -> AsyncIterator[ServiceAnswer]:
        self.trouble.strike_before()
        self.calls.append(call)
        self._trace.append("service called")
        self.trouble.strike_after()
        yield ServiceAnswer(self.status, "OK", (("Content-Type", self.content_type),), one_by_one(self.body))


async def one_by_one(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    """Bytes in pieces, as a connection gives them."""
    for start in range(0, len(data), size):
        yield data[start : start + size]
