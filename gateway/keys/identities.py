"""This server's keys with their certificates: which key signs for which member, and what TLS shows.

Rebuilt whenever the global configuration or the certificates change: a certificate's path and member depend on both.
Among several active certificates the one that is valid longest is used, of those that are good by OCSP now: so one
certificate takes over from another without a request failing.
"""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from certs.algorithms import SignatureAlgorithm
from certs.certificates import der_of, parse_certificate
from certs.edges.devices import public_bytes
from certs.tls import TlsCredentials
from certs.tokens.port import KeyId, SigningIdentity
from certs.verify import chain as chains
from gateway.keys.model import CertificateStatus, KeyUsage
from schemas.faults import Fault, Kind, NotProved, TokenFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography import x509

    from certs.configuration import TrustedConfiguration
    from gateway.edges.revocation import OwnRevocation
    from gateway.keys.model import KeyCertificate
    from gateway.keys.tokens import Tokens
    from schemas.identifiers import ClientId, ServerId


class _GoodResponses(msgspec.Struct, frozen=True):
    """The OCSP responses of a path, proved good at ``since`` and until ``until`` for one generation of what they rest on."""

    responses: tuple[bytes, ...]
    generation: tuple[int, int]
    since: datetime
    until: datetime


class _OwnPath:
    """A proved path of this server, leaf to anchor, with the verdict on its OCSP responses as long as that holds."""

    def __init__(self, certificates: tuple[x509.Certificate, ...], revocation: OwnRevocation) -> None:
        self.certificates = certificates
        self._revocation = revocation
        self._good: _GoodResponses | None = None

    def responses(self, now: datetime) -> tuple[bytes, ...]:
        """The responses, leaf first, each certificate valid and each response good at ``now``. Raises `NotProved`."""
        good, generation = self._good, self._revocation.generation
        if good is None or good.generation != generation or not good.since <= now < good.until:
            good = self._good = self._prove(generation, now)
        return good.responses

    def _prove(self, generation: tuple[int, int], now: datetime) -> _GoodResponses:
        for certificate in self.certificates:
            chains.check_valid_at(certificate, now)
        found = [
            self._revocation.good_response(certificate, issuer, now)
            for certificate, issuer in itertools.pairwise(self.certificates)
        ]
        ends = [*(until for _, until in found), *(c.not_valid_after_utc for c in self.certificates)]
        return _GoodResponses(tuple(der for der, _ in found), generation, now, min(ends))


class _ProvedCertificate(msgspec.Struct, frozen=True):
    """A certificate of this server with its proved path. ``settled_at`` is when peers can be expected to know it."""

    key_id: KeyId
    usage: KeyUsage
    path: tuple[x509.Certificate, ...]
    own: _OwnPath
    member: ClientId | None
    registered: bool = False
    settled_at: datetime | None = None


class OwnIdentities:
    """The identities of one security server."""

    def __init__(
        self,
        tokens: Tokens,
        revocation: OwnRevocation,
        server_id: Callable[[], ServerId],
        *,
        settle_s: float = 0.0,
    ) -> None:
        self._tokens = tokens
        self._revocation = revocation
        self._server_id = server_id
        self._settle = timedelta(seconds=settle_s)
        self._signing: dict[ClientId, tuple[tuple[SigningIdentity, _OwnPath], ...]] = {}
        self._auth_candidates: tuple[_ProvedCertificate, ...] = ()
        self._auth: _ProvedCertificate | None = None
        self.problems: tuple[str, ...] = ()

    def take_settle(self, settle_s: float) -> None:
        """Let newly registered authentication certificates wait another time, from the next `rebuild` on."""
        self._settle = timedelta(seconds=settle_s)

    def rebuild(
        self, certificates: Sequence[KeyCertificate], configuration: TrustedConfiguration, now: datetime
    ) -> None:
        """Take certificates and configuration into use; what cannot be used is in ``problems``."""
        proved: list[_ProvedCertificate] = []
        problems: list[str] = []
        for own in certificates:
            if not own.active:
                continue
            try:
                proved.append(self._prove(own, configuration, now))
            except Fault as fault:
                problems.append(fault.detail)
        proved.sort(key=lambda h: h.path[0].not_valid_after_utc, reverse=True)
        signing: dict[ClientId, list[tuple[SigningIdentity, _OwnPath]]] = {}
        for h in proved:
            if h.usage is KeyUsage.SIGNING and h.member is not None:
                signing.setdefault(h.member, []).append(
                    (_identity(h, pss=self._tokens.signs_pss(h.key_id)), h.own)
                )
        self._signing = {member: tuple(found) for member, found in signing.items()}
        auth = tuple(h for h in proved if h.usage is KeyUsage.AUTHENTICATION)
        self._auth_candidates = tuple(h for h in auth if h.registered) or auth
        self.problems = tuple(problems)
        self._revocation.watch([pair for h in proved for pair in itertools.pairwise(h.path)])
        self.choose_authentication(now)

    def choose_authentication(self, now: datetime) -> None:
        """Let TLS show the best certificate: one that peers know and that is good, valid longest; else what there is.

        A newly registered one waits until peers can be expected to have the configuration, as long as another is good;
        while all of them are new, the one that peers have known longest is shown.
        """
        good = [h for h in self._auth_candidates if self._is_good(h, now)]
        settled = [h for h in good if h.settled_at is None or h.settled_at <= now]
        by_age = sorted(good, key=lambda h: h.settled_at or now)
        choice = settled or by_age or self._auth_candidates
        self._auth = choice[0] if choice else None

    def _is_good(self, proved: _ProvedCertificate, now: datetime) -> bool:
        try:
            proved.own.responses(now)
        except NotProved:
            return False
        return True

    def _prove(
        self, own: KeyCertificate, configuration: TrustedConfiguration, now: datetime
    ) -> _ProvedCertificate:
        certificate = parse_certificate(own.der)
        kind = chains.LeafKind.SIGNING if own.usage is KeyUsage.SIGNING else chains.LeafKind.AUTHENTICATION
        path = chains.verify_chain(
            certificate, (), configuration, configuration.instance, now, leaf_kind=kind
        )
        member = (
            configuration.member_of_signing_certificate(certificate, configuration.instance)
            if own.usage is KeyUsage.SIGNING
            else None
        )
        registered = own.usage is KeyUsage.AUTHENTICATION and self._is_registered(own, configuration)
        settled_at = None if own.registered_at is None else own.registered_at + self._settle
        return _ProvedCertificate(
            own.key_id, own.usage, path, _OwnPath(path, self._revocation), member, registered, settled_at
        )

    def _is_registered(self, own: KeyCertificate, configuration: TrustedConfiguration) -> bool:
        server = configuration.server_by_auth_certificate(own.der)
        listed = server is not None and server.id == self._server_id()
        return listed and own.status is not CertificateStatus.DELETION_IN_PROGRESS

    def signing(self, member: ClientId, now: datetime) -> tuple[SigningIdentity, Sequence[bytes]]:
        """The member's signing identity with good OCSP responses. Raises `TokenFailed` or `NotProved`.

        Of several the first that is good: a new certificate takes over once its OCSP response is in hand.
        """
        found = self._signing.get(member.member, ())
        problem: Fault = TokenFailed(
            Kind.CERT_NOT_FOUND,
            f"this security server has no usable signing certificate of {member.member.path()}",
        )
        for number, (identity, path) in enumerate(found):
            try:
                return identity, path.responses(now)
            except NotProved as fault:
                problem = fault if number == 0 else problem
        raise problem

    def authentication_ocsp(self, now: datetime) -> Sequence[bytes]:
        """Good OCSP responses of the TLS certificate's path. Raises `NotProved`."""
        return self._authentication().own.responses(now)

    def tls_credentials(self) -> TlsCredentials:
        """The key and certificates that TLS shows to peers. Raises `NotProved` when there is no usable authentication certificate."""
        proved = self._authentication()
        # Leaf and what is between it and its anchor. The anchor itself, an approved intermediate too, is never sent:
        # X-Road wants an OCSP response for every certificate that came.
        private_key = self._tokens.tls_private_key(proved.key_id, public_bytes(proved.path[0].public_key()))
        return TlsCredentials(private_key, proved.path[:-1])

    def tls_key(self) -> tuple[KeyId, bytes] | None:
        """The key id and certificate that the TLS credentials are made of, to see whether they changed; None without them."""
        return None if self._auth is None else (self._auth.key_id, der_of(self._auth.path[0]))

    def _authentication(self) -> _ProvedCertificate:
        if self._auth is None:
            raise NotProved(
                Kind.SSL_AUTHENTICATION_FAILED,
                "this security server has no usable authentication certificate",
            )
        return self._auth


def _identity(proved: _ProvedCertificate, *, pss: bool) -> SigningIdentity:
    leaf = proved.path[0]
    if proved.member is None:
        raise NotProved(Kind.INCORRECT_CERTIFICATE, "a signing certificate names no member")
    # The anchor itself is in the verifier's configuration; only what is between goes into the signature.
    algorithm = SignatureAlgorithm.for_key(leaf.public_key(), pss=pss)
    return SigningIdentity(proved.member, proved.key_id, leaf, proved.path[1:-1], algorithm)
