"""Parsed certificates, each parsed once. DER in, or PEM and base64 of PEM as configurations carry them.

Strict: what people hand in as files is read by `certs.certificatefiles`.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from schemas.faults import Kind, NotProved

# Everything the library raises over bytes it cannot make sense of; it parses lazily, so at any touch.
UNREADABLE = (
    ValueError,
    TypeError,
    OverflowError,
    RecursionError,
    UnsupportedAlgorithm,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
_LONGEST_SERIAL_BITS = 512
# Attributes that the library would write as numbers, by their names in X.520 and RFC 4519; the shape of a number stays readable.
_ATTRIBUTES = {
    NameOID.SERIAL_NUMBER: "serialNumber",
    NameOID.BUSINESS_CATEGORY: "businessCategory",
    NameOID.ORGANIZATION_IDENTIFIER: "organizationIdentifier",
    NameOID.GIVEN_NAME: "givenName",
    NameOID.SURNAME: "surname",
    NameOID.TITLE: "title",
    NameOID.EMAIL_ADDRESS: "emailAddress",
    NameOID.POSTAL_CODE: "postalCode",
}
_ATTRIBUTE = re.compile(r"(?:^|(?<=[,+]))\s*([A-Za-z]+)\s*(?==)")
_OIDS = {name.upper(): oid for oid, name in _ATTRIBUTES.items()}


@lru_cache(maxsize=8192)
def parse_certificate(data: bytes) -> x509.Certificate:
    """The certificate in DER or PEM bytes. Raises `NotProved` (``incorrect_certificate``)."""
    if not data:
        raise NotProved(Kind.INCORRECT_CERTIFICATE, "a certificate is empty")
    try:
        if data[:1] not in (b"\x30", b"-") and data.lstrip()[:1] != b"-":
            data = base64.b64decode(b"".join(data.split()), validate=True)
        is_pem = data.lstrip()[:1] == b"-"
        certificate = x509.load_pem_x509_certificate(data) if is_pem else x509.load_der_x509_certificate(data)
        # Parsing is lazy: whatever is broken inside must show here and not in the middle of a decision.
        _ = (certificate.subject, certificate.issuer, certificate.extensions, certificate.serial_number)
        # Beyond what RFC 5280 4.1.2.2 has everybody read by far; a number of thousands of digits cannot even be written out.
        if certificate.serial_number.bit_length() > _LONGEST_SERIAL_BITS:
            raise ValueError(f"its serial number has {certificate.serial_number.bit_length()} bits")
        _ = (certificate.not_valid_before_utc, certificate.not_valid_after_utc, certificate.public_key())
        return certificate
    except (*UNREADABLE, binascii.Error) as err:
        raise NotProved(Kind.INCORRECT_CERTIFICATE, f"a certificate cannot be read: {err}") from err


@lru_cache(maxsize=1024)
def subject_of(certificate: x509.Certificate) -> str:
    """A certificate's subject for people, as `name_text` writes it; made once for each certificate."""
    return name_text(certificate.subject)


def der_of(certificate: x509.Certificate) -> bytes:
    """A certificate's DER bytes, encoded once for each object."""
    return certificate.public_bytes(Encoding.DER)


def name_text(name: x509.Name) -> str:
    """A distinguished name for people (RFC 4514), attributes by name: ``serialNumber=...``, never ``2.5.4.5=...``."""
    return name.rfc4514_string(_ATTRIBUTES)


def parse_name(text: str) -> x509.Name:
    """The distinguished name that a person wrote (RFC 4514); attributes by name in any case, or by number.

    Raises `ValueError` for an unknown attribute or another shape.
    """
    written = {m[1]: oid for m in _ATTRIBUTE.finditer(text) if (oid := _OIDS.get(m[1].upper()))}
    return x509.Name.from_rfc4514_string(text, written)
