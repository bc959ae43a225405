"""OCSP: the question, and what an answer must be to count. There is no soft failure: no good answer, no trust.

As X-Road: CertID with SHA-1, the first single response counts, no nonce. Stricter than X-Road: an answer from the future
(beyond a minute of skew) does not count, and the responder's certificate must itself be valid.

An answer is read and its signature proved once under a configuration; all that depends on the time is compared at each use.

Spec: RFC 6960; X-Road 7.8's OcspVerifier.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.algorithms import SHA1
from certs.certificates import UNREADABLE, der_of, name_text
from certs.verify.chain import check_valid_at
from schemas.faults import Kind, NotProved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from certs.proofmemory import ProofMemory

_REMEMBERED = 4096


class OcspPolicy(msgspec.Struct, frozen=True):
    """The demands on an OCSP response besides its signature; ``skew_s`` None lets answers come from any future."""

    freshness_s: int
    verify_next_update: bool
    skew_s: int | None = 60
    check_responder_validity: bool = True


class OcspStatus(msgspec.Struct, frozen=True):
    """A good answer: its times and who signed it."""

    produced_at: datetime
    this_update: datetime
    next_update: datetime | None
    responder: x509.Certificate


class _Proved(msgspec.Struct, frozen=True):
    """An answer about one certificate whose signer is proved; what it says, still to be held against the time."""

    says: ocsp.OCSPCertStatus
    status: OcspStatus
    is_on_hold: bool


class Responders(Protocol):
    """The CAs and responders of a configuration, as the check of an OCSP response asks for them."""

    @property
    def memory(self) -> ProofMemory:
        """The proofs made under this configuration; another one has another memory."""
        ...

    @property
    def ocsp_freshness_s(self) -> int:
        """The greatest age of a response's thisUpdate, in seconds."""
        ...

    @property
    def verify_next_update(self) -> bool:
        """Whether a response whose nextUpdate has passed is refused."""
        ...

    def configured_responders_for(self, issuer: x509.Certificate) -> tuple[x509.Certificate, ...]:
        """Responder certificates configured for a CA."""
        ...

    def all_ca_certificates(self) -> tuple[x509.Certificate, ...]:
        """Every CA certificate the configuration approves."""
        ...

    def ocsp_responder_certificates(self) -> tuple[x509.Certificate, ...]:
        """Every responder certificate the configuration names."""
        ...


def policy_of(configuration: Responders) -> OcspPolicy:
    """The policy the configuration asks for."""
    return OcspPolicy(configuration.ocsp_freshness_s, configuration.verify_next_update)


def build_request(
    certificate: x509.Certificate, issuer: x509.Certificate, nonce: bytes | None = None
) -> bytes:
    """The question (DER) about one certificate, by default without a nonce."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(certificate, issuer, SHA1)
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def check_response(
    der: bytes,
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    configuration: Responders,
    at: datetime,
    policy: OcspPolicy | None = None,
) -> OcspStatus:
    """Prove that an answer says ``certificate`` of ``issuer`` is good at ``at``. Raises `NotProved`.

    1. The answer is successful and its first single response is about this certificate (SHA-1 CertID). 2. Its signer is
    configured for the issuer, is the issuer, or was issued by it for OCSP signing; and the signature holds. 3. thisUpdate
    is fresh and not from the future. 4. nextUpdate, when it counts, has not passed. 5. The status is good.
    """
    policy = policy or policy_of(configuration)
    key = (der, der_of(certificate), der_of(issuer))
    remembered = configuration.memory.of(_Proved, _REMEMBERED)
    proved = remembered.get(key)
    if proved is None:
        try:
            proved = _prove(der, certificate, issuer, configuration)  # 1, 2
        except UNREADABLE as err:
            raise _unreadable(err) from err
        remembered.keep(key, proved)
    status = proved.status
    if policy.check_responder_validity:
        check_valid_at(status.responder, at)
    _check_times(status.this_update, status.next_update, at, policy)  # 3, 4
    if proved.says is not ocsp.OCSPCertStatus.GOOD:  # 5
        raise _not_good(certificate, proved)
    return status


def _not_good(certificate: x509.Certificate, proved: _Proved) -> NotProved:
    status = proved.says.name.lower()
    err = NotProved(
        Kind.CERT_VALIDATION,
        f"the certificate {name_text(certificate.subject)!r} is {status}, says its OCSP responder",
    )
    err.is_revoked, err.is_on_hold = proved.says is ocsp.OCSPCertStatus.REVOKED, proved.is_on_hold
    return err


def _prove(
    der: bytes, certificate: x509.Certificate, issuer: x509.Certificate, configuration: Responders
) -> _Proved:
    response = _load(der)
    if response.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise _incorrect(f"the OCSP responder answered {response.response_status.name.lower()}")
    single = next(iter(response.responses), None)
    if single is None or not _is_about(single, certificate, issuer):
        raise _incorrect("the OCSP response is not about this certificate")
    responder = _responder(response, issuer, configuration)
    status = OcspStatus(response.produced_at_utc, single.this_update_utc, single.next_update_utc, responder)
    is_on_hold = single.revocation_reason is x509.ReasonFlags.certificate_hold
    return _Proved(single.certificate_status, status, is_on_hold)


def check_nonce(der: bytes, nonce: bytes) -> None:
    """Refuse an answer to another question than the one with this nonce. Raises `NotProved`."""
    try:
        received = _load(der).extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
    except (x509.ExtensionNotFound, *UNREADABLE) as err:
        raise _incorrect("the OCSP response carries no nonce, though one was sent") from err
    if received != nonce:
        raise _incorrect("the OCSP response carries another nonce than was sent: it answers another question")


def good_since(status: OcspStatus, policy: OcspPolicy) -> datetime:
    """From when on a good answer counts."""
    since = datetime.min.replace(tzinfo=UTC)
    if policy.skew_s is not None:
        since = status.this_update - timedelta(seconds=policy.skew_s)
    if policy.check_responder_validity:
        since = max(since, status.responder.not_valid_before_utc)
    return since


def good_until(status: OcspStatus, configuration: Responders) -> datetime:
    """Until when a good answer counts."""
    fresh = status.this_update + timedelta(seconds=configuration.ocsp_freshness_s)
    until = min(fresh, status.responder.not_valid_after_utc)
    if configuration.verify_next_update and status.next_update is not None:
        until = min(until, status.next_update)
    return until


def is_about(der: bytes, certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether an answer speaks of a certificate, good or not."""
    try:
        single = next(iter(_load(der).responses), None)
        return single is not None and _is_about(single, certificate, issuer)
    except (NotProved, *UNREADABLE):
        return False


def _load(der: bytes) -> ocsp.OCSPResponse:
    try:
        return ocsp.load_der_ocsp_response(der)
    except UNREADABLE as err:
        raise _unreadable(err) from err


def _is_about(
    single: ocsp.OCSPSingleResponse, certificate: x509.Certificate, issuer: x509.Certificate
) -> bool:
    return (
        single.serial_number == certificate.serial_number
        and isinstance(single.hash_algorithm, hashes.SHA1)
        and single.issuer_key_hash == _key_hash(issuer)
        and single.issuer_name_hash == _name_hash(issuer)
    )


def _responder(
    response: ocsp.OCSPResponse, issuer: x509.Certificate, configuration: Responders
) -> x509.Certificate:
    named = [
        c
        for c in (
            *configuration.ocsp_responder_certificates(),
            issuer,
            *configuration.all_ca_certificates(),
            *response.certificates,
        )
        if _is_named(response, c)
    ]
    if not named:
        raise _incorrect("the certificate of the OCSP responder is neither known nor in the response")
    signed = next((c for c in named if _signed(response, c)), None)
    if signed is None:
        raise _incorrect("the signature of the OCSP response does not hold")
    if not _is_authorised(signed, issuer, configuration.configured_responders_for(issuer)):
        raise _incorrect(
            f"{name_text(signed.subject)!r} may not answer for certificates of {name_text(issuer.subject)!r}"
        )
    return signed


def _is_named(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    name = response.responder_name
    if name is not None:
        # Some responders write their name back to front; the name only finds the key, the signature proves it.
        return certificate.subject == name or certificate.subject.rdns == name.rdns[::-1]
    return response.responder_key_hash == _key_hash(certificate)


def _signed(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    key, digest = certificate.public_key(), response.signature_hash_algorithm
    try:
        if isinstance(key, rsa.RSAPublicKey) and digest is not None:
            key.verify(response.signature, response.tbs_response_bytes, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and digest is not None:
            key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(digest))
        else:
            return False
    except (InvalidSignature, ValueError):
        return False
    return True


def _is_authorised(
    responder: x509.Certificate, issuer: x509.Certificate, configured: Sequence[x509.Certificate]
) -> bool:
    if responder in configured or responder == issuer:
        return True
    try:
        extended = responder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        responder.verify_directly_issued_by(issuer)
    except (x509.ExtensionNotFound, InvalidSignature, ValueError, TypeError):
        return False
    return ExtendedKeyUsageOID.OCSP_SIGNING in extended


def _check_times(
    this_update: datetime, next_update: datetime | None, at: datetime, policy: OcspPolicy
) -> None:
    if this_update < at - timedelta(seconds=policy.freshness_s):
        raise _incorrect(
            f"the OCSP response is of {this_update:%Y-%m-%d %H:%M:%S} UTC, older than the {policy.freshness_s} s allowed"
        )
    if policy.skew_s is not None and this_update > at + timedelta(seconds=policy.skew_s):
        raise _incorrect(
            f"the OCSP response is of {this_update:%Y-%m-%d %H:%M:%S} UTC, which lies ahead; check the clocks"
        )
    if policy.verify_next_update and next_update is not None and next_update < at:
        raise _incorrect(f"the OCSP response was to be renewed by {next_update:%Y-%m-%d %H:%M:%S} UTC")


def _name_hash(certificate: x509.Certificate) -> bytes:
    return _digest(certificate.subject.public_bytes())


def _key_hash(certificate: x509.Certificate) -> bytes:
    """SHA-1 of the key's bits (RFC 6960 4.1.1), as RFC 5280 4.2.1.2 makes key identifiers."""
    return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest


def _digest(data: bytes) -> bytes:
    digest = hashes.Hash(SHA1)
    digest.update(data)
    return digest.finalize()


def _unreadable(err: Exception) -> NotProved:
    return _incorrect(f"the OCSP response cannot be read: {err}")


def _incorrect(detail: str) -> NotProved:
    return NotProved(Kind.INCORRECT_VALIDATION_INFO, detail)
