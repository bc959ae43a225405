"""Certificate paths at a time: from a leaf to an approved CA of its instance, each step proved.

An approved CA certificate, top or intermediate, is an anchor: the path ends at the first one. A CA approved for
authentication only is no anchor for a signing certificate. Every certificate, the anchor too, is checked for name, validity,
version, key, unknown critical extensions, and every step for signature and its algorithm, CA flag, keyCertSign, path length
and name constraints. Where several certificates of an issuer are there, each is tried, within a bound. Revocation is not looked
at here: see `certs.verify.ocsp`. Paths found are remembered per configuration and checked for validity each time.

Spec: RFC 5280 6; X-Road 7.8's CertChainVerifier and CertUtils (kinds of certificate). Stricter than RFC 5280 6.1: an anchor's
extensions count, and a CA's certificate is no leaf.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

import msgspec
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from certs import der
from certs.algorithms import SHA1
from certs.certificates import UNREADABLE, der_of, name_text
from certs.verify.nameconstraints import check_name_constraints
from schemas.faults import Kind, NotProved

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from certs.proofmemory import ProofMemory

_LONGEST_PATH = 8
# Issuers tried for one path: a stranger may send certificates that all have one name.
_MOST_TRIED = 64
_REMEMBERED = 4096
_KNOWN_CRITICAL = frozenset(
    (
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.NAME_CONSTRAINTS,
    )
)
_WEAK_DIGESTS = ("md5", "sha1")
# NIST SP 800-57: 112 bits of strength; FIPS 186-5 5.1: an exponent above 2^16.
_LEAST_RSA_BITS = 2048
_LEAST_EC_BITS = 224
_LEAST_EXPONENT = 65_537


class LeafKind(enum.Enum):
    """The use that the leaf of a path must be certified for."""

    SIGNING = "signing"
    AUTHENTICATION = "authentication"
    ANY = "any"


class ChainPolicy(msgspec.Struct, frozen=True):
    """``allow_weak`` lets in SHA-1 signatures and small keys: for evidence made long ago, never for traffic."""

    allow_weak: bool = False


class Anchors(Protocol):
    """The approved CAs of a configuration, as path building asks for them."""

    @property
    def memory(self) -> ProofMemory:
        """The proofs made under this configuration; another one has another memory."""
        ...

    def ca_certificates(self, instance: str) -> tuple[x509.Certificate, ...]:
        """The approved CA certificates of an instance."""
        ...

    def signing_ca_certificates(self, instance: str) -> tuple[x509.Certificate, ...]:
        """The approved CA certificates of an instance that may issue signing certificates."""
        ...


class _ProvedPath(msgspec.Struct, frozen=True):
    """The path that a certificate was found to have, from itself to its anchor."""

    certificates: tuple[x509.Certificate, ...]


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
    key = (der_of(leaf), instance, leaf_kind, weak)
    remembered = configuration.memory.of(_ProvedPath, _REMEMBERED)
    known = remembered.get(key)
    if known is not None and all(_is_valid_at(certificate, at) for certificate in known.certificates):
        path = known.certificates
    else:
        check_kind(leaf, leaf_kind)
        signing = leaf_kind is LeafKind.SIGNING
        anchors = configuration.signing_ca_certificates if signing else configuration.ca_certificates
        path = _Search(extra_certificates, anchors(instance), at, weak=weak).path(leaf, instance)
        remembered.keep(key, _ProvedPath(path))
    check_valid_at(leaf, at)
    return path


def check_valid_at(certificate: x509.Certificate, at: datetime) -> None:
    """Refuse a certificate outside its validity. Raises `NotProved` (``cert_validation``)."""
    if not _is_valid_at(certificate, at):
        raise NotProved(
            Kind.CERT_VALIDATION,
            f"the certificate {_name(certificate)} is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, not at {at:%Y-%m-%d %H:%M}",
        )


def _is_valid_at(certificate: x509.Certificate, at: datetime) -> bool:
    return certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc


def is_signing_certificate(certificate: x509.Certificate) -> bool:
    """Whether the certificate's keyUsage has nonRepudiation, which X-Road's signing certificates carry."""
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


class _Search(msgspec.Struct):
    """One search for a path. The first thing that was wrong with an issuer is what a search without result says."""

    extras: Sequence[x509.Certificate]
    anchors: Sequence[x509.Certificate]
    at: datetime
    weak: bool
    tried: int = 0
    refusal: NotProved | None = None

    def path(self, leaf: x509.Certificate, instance: str) -> tuple[x509.Certificate, ...]:
        """The path of a leaf. Raises `NotProved`."""
        _check_certificate(leaf, weak=self.weak)
        _check_leaf(leaf)
        found = self._from((leaf,))
        if found is None:
            raise self.refusal or NotProved(
                Kind.CANNOT_CREATE_CERT_PATH,
                f"no path leads from {_name(leaf)} to an approved CA of instance {instance}: nobody named "
                f"{name_text(leaf.issuer)!r} is there that issued it",
            )
        return found

    def _from(self, path: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate, ...] | None:
        for issuer in self.anchors:
            if self._leads(path, issuer, is_anchor=True):
                return (*path, issuer)
        if len(path) > _LONGEST_PATH:
            self._note(Kind.CANNOT_CREATE_CERT_PATH, f"the certificate path of {_name(path[0])} is too long")
            return None
        for issuer in self.extras:
            if issuer not in path and self._leads(path, issuer, is_anchor=False):
                found = self._from((*path, issuer))
                if found is not None:
                    return found
        return None

    def _leads(
        self, path: tuple[x509.Certificate, ...], issuer: x509.Certificate, *, is_anchor: bool
    ) -> bool:
        """Whether an issuer may follow at the end of a path."""
        if issuer.subject != path[-1].issuer:
            return False
        self.tried += 1
        if self.tried > _MOST_TRIED:
            raise NotProved(
                Kind.CANNOT_CREATE_CERT_PATH,
                f"{_MOST_TRIED} issuers were tried, and no path leads from {_name(path[0])} to an approved CA",
            )
        if not _issued(path[-1], issuer, weak=self.weak):
            return False
        try:
            _check_certificate(issuer, weak=self.weak, is_anchor=is_anchor)
            _check_issuer(issuer, sum(c.subject != c.issuer for c in path[1:]))
            check_valid_at(issuer, self.at)
            if is_anchor:
                check_name_constraints((*path, issuer))
        except NotProved as err:
            self.refusal = self.refusal or err
            return False
        return True

    def _note(self, kind: Kind, detail: str) -> None:
        self.refusal = self.refusal or NotProved(kind, detail)


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
    key, digest = issuer.public_key(), SHA1
    if isinstance(key, rsa.RSAPublicKey):
        key.verify(certificate.signature, certificate.tbs_certificate_bytes, padding.PKCS1v15(), digest)
    elif isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(certificate.signature, certificate.tbs_certificate_bytes, ec.ECDSA(digest))
    else:
        raise TypeError("RSA or EC was expected")


def _check_issuer(issuer: x509.Certificate, below: int) -> None:
    constraints = _basic_constraints(issuer)
    if constraints is None:
        raise _invalid(issuer, "is no CA certificate (no basicConstraints)")
    if not constraints.ca or (constraints.path_length is not None and constraints.path_length < below):
        raise _invalid(issuer, "may not issue the certificates below it")
    usage = _key_usage(issuer)
    if usage is not None and not usage.key_cert_sign:
        raise _invalid(issuer, "may not sign certificates (keyUsage lacks keyCertSign)")
    if not issuer.subject.rdns:
        raise _invalid(issuer, "is a CA without a name")


def _check_leaf(leaf: x509.Certificate) -> None:
    constraints, usage = _basic_constraints(leaf), _key_usage(leaf)
    if (constraints is not None and constraints.ca) or (usage is not None and usage.key_cert_sign):
        raise _invalid(leaf, "is a CA's certificate; one of a member or a security server was expected")
    if any(extension.oid == ExtensionOID.NAME_CONSTRAINTS for extension in leaf.extensions):
        raise _invalid(leaf, "has name constraints, which only a CA may have")
    named = any(e.critical and e.oid == ExtensionOID.SUBJECT_ALTERNATIVE_NAME for e in leaf.extensions)
    if not leaf.subject.rdns and not named:
        raise _invalid(leaf, "names nobody")


def _basic_constraints(certificate: x509.Certificate) -> x509.BasicConstraints | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return None


def _check_certificate(certificate: x509.Certificate, *, weak: bool, is_anchor: bool = False) -> None:
    """Refuse what no certificate of a path may be. An anchor's own signature proves nothing and may be of any kind."""
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _KNOWN_CRITICAL:
            raise _invalid(
                certificate, f"has the critical extension {extension.oid.dotted_string}, unknown here"
            )
    if certificate.version is not x509.Version.v3 and not is_anchor:
        raise _invalid(certificate, f"is an X.509 certificate {certificate.version.name}; v3 was expected")
    if weak:
        return
    digest = _digest_name(certificate)
    if digest in _WEAK_DIGESTS and not is_anchor:
        raise _invalid(certificate, f"is signed with {digest}, which is too weak")
    _check_key(certificate)


def _check_key(certificate: x509.Certificate) -> None:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < _LEAST_RSA_BITS:
            raise _invalid(
                certificate, f"has an RSA key of {key.key_size} bits; {_LEAST_RSA_BITS} is the least"
            )
        if key.public_numbers().e < _LEAST_EXPONENT:
            raise _invalid(
                certificate,
                f"has an RSA key of exponent {key.public_numbers().e}; {_LEAST_EXPONENT} is the least",
            )
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.key_size < _LEAST_EC_BITS:
            raise _invalid(
                certificate, f"has an EC key of {key.curve.key_size} bits; {_LEAST_EC_BITS} is the least"
            )
        _check_curve(certificate)
    else:
        raise _invalid(certificate, f"has a {type(key).__name__}; RSA or EC was expected")


def _check_curve(certificate: x509.Certificate) -> None:
    """Refuse a curve that is written out, which the library reads as the named one."""
    try:
        read = der.load_value(der_of(certificate), asn1_x509.Certificate, "certificate")
        curve = str(read["tbs_certificate"]["subject_public_key_info"]["algorithm"]["parameters"].name)
    except der.UNREADABLE as err:
        raise _invalid(certificate, f"cannot be read: {der.reason_of(err)}") from err
    if curve != "named":
        raise _invalid(certificate, "writes its curve out; a named one was expected (RFC 5480 2.1.1)")


def _invalid(certificate: x509.Certificate, reason: str) -> NotProved:
    return NotProved(Kind.CERT_VALIDATION, f"{_name(certificate)} {reason}")


def _name(certificate: x509.Certificate) -> str:
    return repr(name_text(certificate.subject))
