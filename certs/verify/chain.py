"""Certificate paths at a time: from a leaf to an approved CA of its instance, each step proved.

An approved CA certificate, top or intermediate, is an anchor: the path ends at the first one. A CA approved for
authentication only is no anchor for a signing certificate. Every step is checked for name, signature, validity, CA
flag, keyCertSign, path length, algorithm and unknown critical extensions. Revocation is not looked at here: see
`certs.verify.ocsp`. Positive results are remembered per configuration with the window in which they hold.

Spec: RFC 5280 6; X-Road 7.8's CertChainVerifier and CertUtils (kinds of certificate).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from certs.certificates import UNREADABLE, der_of
from schemas.faults import Kind, NotProved

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

_LONGEST_PATH = 8
_REMEMBERED = 4096
_KNOWN_CRITICAL = frozenset(
    (
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.CERTIFICATE_POLICIES,
    )
)
_WEAK_DIGESTS = ("md5", "sha1")


class LeafKind(enum.Enum):
    """What the leaf must be for."""

    SIGNING = "signing"
    AUTHENTICATION = "authentication"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class ChainPolicy:
    """``allow_weak`` lets in SHA-1 signatures and small keys: for evidence made long ago, never for traffic."""

    allow_weak: bool = False


class Anchors(Protocol):
    """What path building asks of the configuration."""

    @property
    def generation(self) -> int:
        """Changes with the configuration."""
        ...

    def ca_certificates(self, instance: str) -> tuple[x509.Certificate, ...]:
        """The approved CA certificates of an instance."""
        ...

    def signing_ca_certificates(self, instance: str) -> tuple[x509.Certificate, ...]:
        """Those of them that may issue signing certificates."""
        ...


_Key = tuple[bytes, int, str, LeafKind, bool]
_remembered: dict[_Key, tuple[x509.Certificate, ...]] = {}


def verify_chain(
    leaf: x509.Certificate,
    extra_certificates: Sequence[x509.Certificate],
    configuration: Anchors,
    instance: str,
    at: datetime,
    *,
    leaf_kind: LeafKind = LeafKind.ANY,
    policy: ChainPolicy | None = None,
) -> tuple[x509.Certificate, ...]:
    """The path from ``leaf`` to its anchor, all valid at ``at``. Raises `NotProved`.

    ``extra_certificates`` may help in between; they are never anchors. Kinds: ``wrong_cert_usage``,
    ``cannot_create_cert_path``, ``cert_validation``.
    """
    weak = policy is not None and policy.allow_weak
    key = (der_of(leaf), configuration.generation, instance, leaf_kind, weak)
    path = _remembered.get(key)
    if path is None:
        check_kind(leaf, leaf_kind)
        signing = leaf_kind is LeafKind.SIGNING
        anchors = configuration.signing_ca_certificates if signing else configuration.ca_certificates
        path = _build(leaf, extra_certificates, anchors(instance), instance, weak=weak)
        if len(_remembered) >= _REMEMBERED:
            _remembered.clear()
        _remembered[key] = path
    for certificate in path:
        check_valid_at(certificate, at)
    return path


def check_valid_at(certificate: x509.Certificate, at: datetime) -> None:
    """Refuse a certificate outside its validity. Raises `NotProved` (``cert_validation``)."""
    if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
        raise NotProved(
            Kind.CERT_VALIDATION,
            f"the certificate {_name(certificate)} is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, not at {at:%Y-%m-%d %H:%M}",
        )


def is_signing_certificate(certificate: x509.Certificate) -> bool:
    """Whether keyUsage has nonRepudiation."""
    usage = _key_usage(certificate)
    return usage is not None and usage.content_commitment


def is_authentication_certificate(certificate: x509.Certificate) -> bool:
    """Whether it is for TLS clients by extended key usage, or may sign or encipher data by key usage."""
    try:
        extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        if ExtendedKeyUsageOID.CLIENT_AUTH in extended:
            return True
    except x509.ExtensionNotFound:
        pass
    usage = _key_usage(certificate)
    return usage is not None and (
        usage.digital_signature or usage.key_encipherment or usage.data_encipherment
    )


def check_kind(certificate: x509.Certificate, kind: LeafKind) -> None:
    """Refuse a certificate that is not for its purpose. Raises `NotProved` (``wrong_cert_usage``)."""
    if kind is LeafKind.SIGNING and not is_signing_certificate(certificate):
        raise NotProved(
            Kind.WRONG_CERT_USAGE,
            f"{_name(certificate)} is not a signing certificate (keyUsage lacks nonRepudiation)",
        )
    if kind is LeafKind.AUTHENTICATION and not is_authentication_certificate(certificate):
        raise NotProved(Kind.WRONG_CERT_USAGE, f"{_name(certificate)} is not an authentication certificate")


def _key_usage(certificate: x509.Certificate) -> x509.KeyUsage | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return None


def _build(
    leaf: x509.Certificate,
    extras: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    instance: str,
    *,
    weak: bool,
) -> tuple[x509.Certificate, ...]:
    _check_certificate(leaf, weak=weak)
    path = [leaf]
    while len(path) <= _LONGEST_PATH:
        current = path[-1]
        for issuer in anchors:
            if issuer.subject == current.issuer and _issued(current, issuer, weak=weak):
                _check_issuer(issuer, len(path) - 1)
                return (*path, issuer)
        following = next(
            (
                c
                for c in extras
                if c.subject == current.issuer and c not in path and _issued(current, c, weak=weak)
            ),
            None,
        )
        if following is None:
            raise NotProved(
                Kind.CANNOT_CREATE_CERT_PATH,
                f"no path leads from {_name(leaf)} to an approved CA of instance {instance}: nobody named "
                f"{current.issuer.rfc4514_string()!r} is there that issued {_name(current)}",
            )
        _check_certificate(following, weak=weak)
        _check_issuer(following, len(path) - 1)
        path.append(following)
    raise NotProved(Kind.CANNOT_CREATE_CERT_PATH, f"the certificate path of {_name(leaf)} is too long")


def _issued(certificate: x509.Certificate, issuer: x509.Certificate, *, weak: bool) -> bool:
    try:
        if weak and _is_weakly_signed(certificate):
            _verify_sha1(certificate, issuer)
        else:
            certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def _is_weakly_signed(certificate: x509.Certificate) -> bool:
    return _digest_name(certificate) == "sha1"


def _digest_name(certificate: x509.Certificate) -> str | None:
    """The digest a certificate is signed with; None for schemes that are none of ours, which prove nothing."""
    try:
        digest = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    return None if digest is None else digest.name


def _verify_sha1(certificate: x509.Certificate, issuer: x509.Certificate) -> None:
    """The library no longer verifies SHA-1 by itself; old evidence needs it (see `ChainPolicy`)."""
    key, digest = issuer.public_key(), hashes.SHA1()  # noqa: S303
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), digest)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(digest))
    else:
        raise TypeError("RSA or EC was expected")


def _check_issuer(issuer: x509.Certificate, below: int) -> None:
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        raise NotProved(
            Kind.CERT_VALIDATION, f"{_name(issuer)} is no CA certificate (no basicConstraints)"
        ) from None
    if not constraints.ca or (constraints.path_length is not None and constraints.path_length < below):
        raise NotProved(Kind.CERT_VALIDATION, f"{_name(issuer)} may not issue the certificates below it")
    usage = _key_usage(issuer)
    if usage is not None and not usage.key_cert_sign:
        raise NotProved(
            Kind.CERT_VALIDATION, f"{_name(issuer)} may not sign certificates (keyUsage lacks keyCertSign)"
        )


def _check_certificate(certificate: x509.Certificate, *, weak: bool) -> None:
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _KNOWN_CRITICAL:
            raise NotProved(
                Kind.CERT_VALIDATION,
                f"{_name(certificate)} has the critical extension {extension.oid.dotted_string}, unknown here",
            )
    if weak:
        return
    digest = _digest_name(certificate)
    if digest in _WEAK_DIGESTS:
        raise NotProved(
            Kind.CERT_VALIDATION, f"{_name(certificate)} is signed with {digest}, which is too weak"
        )
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < 2048:
            raise NotProved(
                Kind.CERT_VALIDATION,
                f"{_name(certificate)} has an RSA key of {key.key_size} bits; 2048 is the least",
            )
    elif not isinstance(key, ec.EllipticCurvePublicKey):
        raise NotProved(
            Kind.CERT_VALIDATION, f"{_name(certificate)} has a {type(key).__name__}; RSA or EC was expected"
        )


def _name(certificate: x509.Certificate) -> str:
    return repr(certificate.subject.rfc4514_string())
