"""Management requests from this security server's side: built, signed, sent, and followed.

`ManagementSender.send_request` is the one door: it signs what its service asks to be signed, sends ``authCertReg`` by
pinned TLS to the registration address and everything else as a SOAP message through this server's own consumer side,
addressed to the management service that the global configuration names. It gives the number the central server keeps
the request under, or raises what the central server refused. What becomes of a request that waits for approval is asked
with `fetch_status`.

Spec: PR-MSERV; X-Road 7.8's ManagementRequestSender.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Protocol

import msgspec

from certs.algorithms import SignatureAlgorithm
from certs.certificates import der_of, parse_certificate
from schemas.faults import BadMessage, Fault, Kind, NotProved, UnexpectedStatus
from schemas.management import (
    ManagementRequest,
    ManagementServiceCode,
    RequestHeader,
    RequestParts,
    RequestSignature,
    parse_response,
    parse_status,
    render_parts,
    render_request,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from certs.configuration import TrustedConfiguration
    from certs.tokens.port import KeyId, Signer, SigningIdentity
    from schemas.globalconf.private import PrivateParameters
    from schemas.identifiers import ClientId
    from schemas.management import RequestStatus


class SigningIdentities(Protocol):
    """The port to the signing identities of this server's members."""

    def signing(self, member: ClientId, now: datetime) -> tuple[SigningIdentity, Sequence[bytes]]:
        """The member's signing identity with good OCSP responses."""
        ...


class ManagementChannel(Protocol):
    """The port by which requests leave this server: to the central server, to its own listener, or to a pinned address."""

    async def send_message(self, content_type: str, body: bytes) -> tuple[int, bytes]:
        """Send a SOAP message through the own consumer side; HTTP status and body of the answer."""
        ...

    async def ask_own(
        self, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> tuple[int, bytes]:
        """GET a path of the own consumer side, or POST a body to it; HTTP status and body of the answer."""
        ...

    async def post_pinned(
        self, url: str, certificate: bytes, content_type: str, body: bytes
    ) -> tuple[int, bytes]:
        """POST to a server whose TLS certificate must equal ``certificate`` (DER)."""
        ...

    async def get_pinned(self, url: str, certificate: bytes) -> tuple[int, bytes]:
        """GET from such a server."""
        ...


class SentRequest(msgspec.Struct, frozen=True):
    """A request the central server has accepted: its number there (0 for a dry run), and the message's own id."""

    request_id: int
    message_id: str


class ManagementSender(msgspec.Struct, frozen=True):
    """Sends management requests of one security server."""

    configuration: Callable[[], TrustedConfiguration | None]
    identities: Callable[[], SigningIdentities]
    signer: Signer
    channel: ManagementChannel
    now: Callable[[], datetime]
    new_id: Callable[[], str]

    async def send_request(self, request: ManagementRequest, *, auth_key: KeyId | None = None) -> SentRequest:
        """Sign and send a request. ``auth_key`` is the key of the certificate that ``authCertReg`` registers.

        Raises `PeerFault` with what the central server or the management security server refused, `TokenFailed` or
        `NotProved` when it cannot be signed, `Fault` when the registration address is not reached.
        """
        private = self._private()
        message_id = self.new_id()
        header = RequestHeader(request.server.owner, private.management_service.provider, message_id)
        soap = render_request(request, header)
        parts = await self._sign(request, soap, auth_key)
        content_type, body = render_parts(parts, secrets.token_hex(15))
        if request.service is ManagementServiceCode.AUTH_CERT_REG:
            url, certificate = _registration(private)
            status, answer = await self.channel.post_pinned(url, certificate, content_type, body)
        else:
            status, answer = await self.channel.send_message(content_type, body)
        if status not in (200, 500):
            raise Fault(
                Kind.NETWORK_ERROR, f"the management service answered HTTP {status}; 200 or 500 was expected"
            ) from UnexpectedStatus(status, "200 or 500 was expected")
        return SentRequest(parse_response(answer, request.service), message_id)

    async def fetch_status(self, sent: SentRequest) -> RequestStatus:
        """The state of a request at the central server. Raises `Fault`, or `BadMessage` when the central server does not say."""
        url, certificate = _registration(self._private())
        status, answer = await self.channel.get_pinned(
            f"{url.rstrip('/')}/requests/{sent.request_id}/{sent.message_id}", certificate
        )
        if status != 200:
            raise BadMessage(
                Kind.NOT_FOUND,
                f"the central server answered HTTP {status} when asked for request {sent.request_id}",
            ) from UnexpectedStatus(status)
        return parse_status(answer)

    def _private(self) -> PrivateParameters:
        configuration = self.configuration()
        if configuration is None or configuration.private is None:
            raise NotProved(
                Kind.GLOBAL_CONF_OUTDATED,
                "there is no global configuration, so nobody knows where management requests go",
            )
        configuration.check_fresh(self.now())
        return configuration.private

    async def _sign(self, request: ManagementRequest, soap: bytes, auth_key: KeyId | None) -> RequestParts:
        if not request.service.is_signed:
            return RequestParts(soap)
        client_signs = request.service in _SIGNED_BY_CLIENT and request.client is not None
        member = request.client.member if client_signs and request.client else request.server.owner
        identity, responses = self.identities().signing(member, self.now())
        certificate = der_of(identity.certificate)
        own = await self._signature(identity.key_id, identity.algorithm, soap)
        if request.service is not ManagementServiceCode.AUTH_CERT_REG:
            return RequestParts(soap, (own,), (certificate, responses[0]))
        if auth_key is None or not request.auth_certificate:
            raise BadMessage(
                Kind.INVALID_REQUEST, "registering a certificate needs the certificate and its key"
            )
        algorithm = SignatureAlgorithm.for_key(parse_certificate(request.auth_certificate).public_key())
        first = await self._signature(auth_key, algorithm, soap)
        return RequestParts(soap, (first, own), (request.auth_certificate, certificate, responses[0]))

    async def _signature(self, key_id: KeyId, algorithm: SignatureAlgorithm, soap: bytes) -> RequestSignature:
        value = await self.signer.sign(key_id, algorithm.digest.digest(soap), algorithm)
        return RequestSignature(algorithm.jca_name, value)


_SIGNED_BY_CLIENT = frozenset(
    (
        ManagementServiceCode.CLIENT_REG,
        ManagementServiceCode.CLIENT_DISABLE,
        ManagementServiceCode.CLIENT_ENABLE,
        ManagementServiceCode.CLIENT_RENAME,
        ManagementServiceCode.OWNER_CHANGE,
    )
)


def _registration(private: PrivateParameters) -> tuple[str, bytes]:
    service = private.management_service
    if service.registration_certificate is None:
        raise NotProved(
            Kind.SSL_AUTHENTICATION_FAILED,
            "the global configuration gives no TLS certificate of the registration service, so it cannot be reached",
        )
    return service.registration_address, service.registration_certificate
