"""A certificate as the admin APIs show it (``CertificateDetails``): names, validity, usages, key, signature."""

from __future__ import annotations

import hashlib

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.certificates import name_text, parse_certificate

_USAGES = (
    ("digital_signature", "DIGITAL_SIGNATURE"),
    ("content_commitment", "NON_REPUDIATION"),
    ("key_encipherment", "KEY_ENCIPHERMENT"),
    ("data_encipherment", "DATA_ENCIPHERMENT"),
    ("key_agreement", "KEY_AGREEMENT"),
    ("key_cert_sign", "KEY_CERT_SIGN"),
    ("crl_sign", "CRL_SIGN"),
)
_NAMES = {"DNSName": "DNS", "IPAddress": "IP Address", "RFC822Name": "email"}
_DIGESTS = {"sha1": "SHA1", "sha256": "SHA256", "sha384": "SHA384", "sha512": "SHA512", "md5": "MD5"}


class CertificateDetails(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The fields of a certificate that a person compares: names, dates, keys, fingerprints."""

    hash: str
    issuer_common_name: str
    issuer_distinguished_name: str
    key_usages: list[str]
    not_after: str
    not_before: str
    public_key_algorithm: str
    serial: str
    signature: str
    signature_algorithm: str
    subject_alternative_names: str
    subject_common_name: str
    subject_distinguished_name: str
    version: int
    rsa_public_key_exponent: int | None = None
    rsa_public_key_modulus: str | None = None
    ec_public_parameters: str | None = None
    ec_public_key_point: str | None = None


def certificate_details(data: bytes) -> CertificateDetails:
    """The details of a certificate in DER or PEM. Raises `NotProved` when it is none."""
    certificate = parse_certificate(data)
    key = certificate.public_key()
    return CertificateDetails(
        hash=hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest().upper(),
        issuer_common_name=common_name(certificate.issuer),
        issuer_distinguished_name=name_text(certificate.issuer),
        key_usages=_key_usages(certificate),
        not_after=certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        not_before=certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        serial=str(certificate.serial_number),
        signature=certificate.signature.hex(),
        signature_algorithm=_signature_algorithm(certificate),
        subject_alternative_names=_alternative_names(certificate),
        subject_common_name=common_name(certificate.subject),
        subject_distinguished_name=name_text(certificate.subject),
        version=certificate.version.value + 1,
        public_key_algorithm=_key_algorithm(key),
        rsa_public_key_exponent=key.public_numbers().e if isinstance(key, rsa.RSAPublicKey) else None,
        rsa_public_key_modulus=f"{key.public_numbers().n:x}" if isinstance(key, rsa.RSAPublicKey) else None,
        ec_public_parameters=key.curve.name if isinstance(key, ec.EllipticCurvePublicKey) else None,
        ec_public_key_point=_point(key) if isinstance(key, ec.EllipticCurvePublicKey) else None,
    )


def common_name(name: x509.Name) -> str:
    """The first common name, or nothing."""
    found = name.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def _key_usages(certificate: x509.Certificate) -> list[str]:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        return []
    found = [shown for name, shown in _USAGES if getattr(usage, name)]
    if usage.key_agreement:
        found += ["ENCIPHER_ONLY"] if usage.encipher_only else []
        found += ["DECIPHER_ONLY"] if usage.decipher_only else []
    return found


def _alternative_names(certificate: x509.Certificate) -> str:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ""
    shown = []
    for name in names:
        kind = _NAMES.get(type(name).__name__, "other")
        shown.append(f"{kind}:{name.value}")
    return ", ".join(shown)[:1000]


def _signature_algorithm(certificate: x509.Certificate) -> str:
    digest = certificate.signature_hash_algorithm
    family = certificate.signature_algorithm_oid._name.lower()
    scheme = "RSA" if "rsa" in family else "ECDSA" if "ecdsa" in family else family
    return scheme if digest is None else f"{_DIGESTS.get(digest.name, digest.name)}with{scheme}"


def _key_algorithm(key: object) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA"
    return "EC" if isinstance(key, ec.EllipticCurvePublicKey) else type(key).__name__


def _point(key: ec.EllipticCurvePublicKey) -> str:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint).hex()
