"""A certificate a server makes for itself, until its operator imports another."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from certs.csr import general_name


def self_signed(address: str) -> tuple[ec.EllipticCurvePrivateKey, tuple[x509.Certificate]]:
    """A fresh P-256 key and its certificate for an address, valid for a year."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, address[:64])])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([general_name(address)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return key, (certificate,)
