"""This server's keys with their certificates: which key signs for which member, and what TLS shows.

Rebuilt whenever the global configuration or the certificates change: a certificate's path and member depend on both.
Among several active certificates the one that is valid longest is used.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from certs import chains
from certs.algorithms import SignatureAlgorithm
from certs.certificates import der_of, parse_certificate
from certs.tls import TlsCredentials
from certs.tokens import KeyId, SigningIdentity
from gateway.serverconf.store import CertificateUsage, OwnCertificate
from schemas.faults import Fault, Kind, NotProved, TokenFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography import x509

    from certs.configuration import TrustedConfiguration
    from certs.softtoken import SoftToken
    from gateway.edges.revocation import OwnRevocation
    from schemas.identifiers import ClientId, ServerId


@dataclass(frozen=True, slots=True)
class _Held:
    """A certificate of this server with its proved path."""

    key_id: KeyId
    usage: CertificateUsage
    path: tuple[x509.Certificate, ...]
    member: ClientId | None


class OwnIdentities:
    """The identities of one security server."""

    def __init__(self, token: SoftToken, revocation: OwnRevocation, server_id: ServerId) -> None:
        self._token = token
        self._revocation = revocation
        self._server_id = server_id
        self._signing: dict[ClientId, tuple[SigningIdentity, tuple[x509.Certificate, ...]]] = {}
        self._auth: _Held | None = None
        self.problems: tuple[str, ...] = ()

    def rebuild(
        self, certificates: Sequence[OwnCertificate], configuration: TrustedConfiguration, now: datetime
    ) -> None:
        """Take certificates and configuration into use; what cannot be used is in ``problems``."""
        held: list[_Held] = []
        problems: list[str] = []
        for own in certificates:
            if not own.active:
                continue
            try:
                held.append(self._hold(own, configuration, now))
            except Fault as fault:
                problems.append(fault.detail)
        held.sort(key=lambda h: h.path[0].not_valid_after_utc)
        self._signing = {
            h.member: (_identity(h), h.path)
            for h in held
            if h.usage is CertificateUsage.SIGNING and h.member is not None
        }
        auth = [h for h in held if h.usage is CertificateUsage.AUTHENTICATION]
        registered = [h for h in auth if _is_registered(h, configuration, self._server_id)]
        usable = registered or auth
        self._auth = usable[-1] if usable else None
        self.problems = tuple(problems)
        self._revocation.watch([pair for h in held for pair in itertools.pairwise(h.path)])

    def _hold(self, own: OwnCertificate, configuration: TrustedConfiguration, now: datetime) -> _Held:
        certificate = parse_certificate(own.der)
        kind = (
            chains.LeafKind.SIGNING
            if own.usage is CertificateUsage.SIGNING
            else chains.LeafKind.AUTHENTICATION
        )
        path = chains.verify_chain(
            certificate, (), configuration, configuration.instance, now, leaf_kind=kind
        )
        member = (
            configuration.member_of_signing_certificate(certificate, configuration.instance)
            if own.usage is CertificateUsage.SIGNING
            else None
        )
        return _Held(own.key_id, own.usage, path, member)

    def signing(self, member: ClientId, now: datetime) -> tuple[SigningIdentity, Sequence[bytes]]:
        """The member's signing identity with good OCSP responses. Raises `TokenFailed` or `NotProved`."""
        found = self._signing.get(member.member)
        if found is None:
            raise TokenFailed(
                Kind.CERT_NOT_FOUND,
                f"this security server has no usable signing certificate of {member.member.path()}",
            )
        identity, path = found
        return identity, self._responses(path, now)

    def authentication_ocsp(self, now: datetime) -> Sequence[bytes]:
        """Good OCSP responses of the TLS certificate's path. Raises `NotProved`."""
        return self._responses(self._authentication().path, now)

    def tls_credentials(self) -> TlsCredentials:
        """What TLS shows. Raises `NotProved` when there is no usable authentication certificate."""
        held = self._authentication()
        # Leaf and what is between it and its anchor. The anchor itself, an approved intermediate too, is never sent:
        # X-Road wants an OCSP response for every certificate that came.
        return TlsCredentials(self._token.tls_private_key(held.key_id), held.path[:-1])

    def tls_key(self) -> tuple[KeyId, bytes] | None:
        """What the TLS credentials were made from, to see whether they changed."""
        return None if self._auth is None else (self._auth.key_id, der_of(self._auth.path[0]))

    def _authentication(self) -> _Held:
        if self._auth is None:
            raise NotProved(
                Kind.SSL_AUTHENTICATION_FAILED,
                "this security server has no usable authentication certificate",
            )
        return self._auth

    def _responses(self, path: Sequence[x509.Certificate], now: datetime) -> Sequence[bytes]:
        for certificate in path:
            chains.check_valid_at(certificate, now)
        return tuple(
            self._revocation.response(certificate, issuer, now)
            for certificate, issuer in itertools.pairwise(path)
        )


def _identity(held: _Held) -> SigningIdentity:
    leaf = held.path[0]
    if held.member is None:
        raise NotProved(Kind.INCORRECT_CERTIFICATE, "a signing certificate names no member")
    # The anchor itself is in the verifier's configuration; only what is between goes into the signature.
    return SigningIdentity(
        held.member, held.key_id, leaf, held.path[1:-1], SignatureAlgorithm.for_key(leaf.public_key())
    )


def _is_registered(held: _Held, configuration: TrustedConfiguration, server_id: ServerId) -> bool:
    server = configuration.server_by_auth_certificate(der_of(held.path[0]))
    return server is not None and server.id == server_id
