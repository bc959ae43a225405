"""Certificates as people hand them in: what CAs, OpenSSL, Windows and mail programs make of them.

`read_certificate` takes DER (a line end behind it too); PEM with whatever text stands around it (``openssl x509 -text``,
``openssl ca``, bag attributes of PKCS#12), a byte order mark or UTF-16; ``TRUSTED CERTIFICATE``; PKCS#7 in DER and PEM; base64
without armour. Of several certificates in PEM it takes the first, as every reader of chains does; of PKCS#7, whose set has no
order, the one that issued none of the others. What is something else is said in words, a private key first of all.

For files of administrators only: what comes in messages and configurations is read by `certs.certificates`, strictly.

Spec: RFC 7468 (PEM, labels of section 4), RFC 5280, RFC 5652 5.1 (certificates of SignedData).
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key, pkcs7

from certs.certificates import UNREADABLE, der_of, name_text, parse_certificate
from schemas.faults import Kind, NotProved

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LARGEST_FILE = 1024 * 1024
MOST_BLOCKS = 200
_CERTIFICATES = ("CERTIFICATE", "X509 CERTIFICATE")
_TRUSTED = "TRUSTED CERTIFICATE"
_PKCS7 = ("PKCS7", "PKCS #7 SIGNED DATA", "CMS")
_SIGNED_DATA = bytes.fromhex("06092a864886f70d010702")
_SEALED_KEY = bytes.fromhex("06092a864886f70d0105")  # PKCS#5, which PKCS#8 seals keys by
_BEHIND = b"\r\n\t \x00\x1a"
_WORDS = {
    "CERTIFICATE REQUEST": "a certificate signing request (give the certificate that the CA made of it)",
    "NEW CERTIFICATE REQUEST": "a certificate signing request (give the certificate that the CA made of it)",
    "X509 CRL": "a list of revoked certificates",
    "PUBLIC KEY": "a public key without a certificate",
    "RSA PUBLIC KEY": "a public key without a certificate",
    "DH PARAMETERS": "parameters of a key exchange",
    "EC PARAMETERS": "parameters of a key",
    "ATTRIBUTE CERTIFICATE": "an attribute certificate",
    "PGP PUBLIC KEY BLOCK": "an OpenPGP key",
    "SSH2 PUBLIC KEY": "an SSH key",
}
_KEY = (
    "the file holds a private key, which nobody but its owner may have; give the certificate alone, and if the key has left "
    "its machine, have the certificate revoked"
)


def read_certificate(data: bytes) -> x509.Certificate:
    """The certificate in a file. Raises `NotProved` (``incorrect_certificate``) with what the file is instead."""
    if len(data) > LARGEST_FILE:
        raise _refused(f"the file has {len(data)} bytes; a certificate has some thousands")
    content = _in_single_bytes(data)
    if not content.strip(_BEHIND):
        raise _refused("the file is empty; a certificate in PEM or DER was expected")
    if b"-----BEGIN " in content:
        return _first(_blocks(content))
    if content[:1] == b"\x30":
        return _from_der(content)
    try:
        decoded = base64.b64decode(b"".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _refused(f"the file is no certificate: {_kind_of_text(content)}") from None
    if decoded[:1] != b"\x30":
        raise _refused("the file is base64, but not of a certificate; PEM or DER was expected")
    return _from_der(decoded)


def read_certificate_der(data: bytes) -> bytes:
    """The DER of the certificate in a file."""
    return der_of(read_certificate(data))


def _in_single_bytes(data: bytes) -> bytes:
    """The file without a byte order mark, and UTF-16 as ASCII."""
    if data[:3] == b"\xef\xbb\xbf":
        return data[3:]
    wide = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else None
    if wide is None and data[1:2] == b"\0" and data[:1].isascii() and data[:1] != b"\x30":
        wide = "utf-16-le"
    elif wide is None and data[:1] == b"\0" and b"\0" < data[1:2] < b"\x80":
        wide = "utf-16-be"
    if wide is None:
        return data
    try:
        return data.decode(wide).encode("ascii", "replace")
    except UnicodeDecodeError:
        return data


def _blocks(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Label and body of each PEM block, in order; one pass."""
    place = 0
    for _ in range(MOST_BLOCKS):
        begin = content.find(b"-----BEGIN ", place)
        if begin < 0:
            return
        label_end = content.find(b"-----", begin + 11)
        label = content[begin + 11 : label_end].decode("ascii", "replace") if label_end >= 0 else ""
        if not label or len(label) > 64 or "\n" in label:
            raise _refused("the file has a line '-----BEGIN ...-----' that is not whole")
        end = content.find(f"-----END {label}-----".encode("ascii", "replace"), label_end)
        if end < 0:
            raise _refused(
                f"the file is cut off: it has '-----BEGIN {label}-----' and no '-----END {label}-----'"
            )
        yield label, content[label_end + 5 : end]
        place = end + len(label) + 14
    raise _refused(f"the file has more than {MOST_BLOCKS} PEM blocks; give the certificate alone")


def _first(blocks: Iterator[tuple[str, bytes]]) -> x509.Certificate:
    found: x509.Certificate | None = None
    other = ""
    for label, body in blocks:
        if label.endswith("PRIVATE KEY") or label.startswith("PGP PRIVATE"):
            raise _refused(_KEY)
        if found is None and label in (*_CERTIFICATES, _TRUSTED, *_PKCS7):
            found = _of_block(label, body)
        other = other or label
    if found is None:
        raise _refused(f"the file holds {_WORDS.get(other, repr(other))}, not a certificate")
    return found


def _of_block(label: str, body: bytes) -> x509.Certificate:
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True)
    except (binascii.Error, ValueError) as err:
        raise _refused(f"what stands below '-----BEGIN {label}-----' is not base64: {err}") from err
    if label in _PKCS7:
        return _from_pkcs7(der)
    if label == _TRUSTED:  # OpenSSL puts its own remarks on trust behind the certificate
        der = der[: _length(der) or len(der)]
    return _parsed(der)


def _from_der(content: bytes) -> x509.Certificate:
    length = _length(content)
    if length is None:  # of unknown length: BER, which only PKCS#7 files are written in
        return _from_pkcs7(content)
    if length > len(content):
        raise _refused(f"the file is cut off: {length} bytes are announced, {len(content)} are there")
    if content[length:].strip(_BEHIND):
        raise _refused(f"{len(content) - length} bytes that belong to nothing stand behind the certificate")
    der = content[:length]
    if _SIGNED_DATA in der[:24]:
        return _from_pkcs7(der)
    try:
        return _parsed(der)
    except NotProved as fault:
        raise _refused(_kind_of_der(der) or fault.detail) from fault


def _length(der: bytes) -> int | None:
    """The bytes of the first element, header and all; None when it does not say."""
    if len(der) < 2 or der[1] == 0x80:
        return None
    if der[1] < 0x80:
        return 2 + der[1]
    octets = der[1] & 0x7F
    return 2 + octets + int.from_bytes(der[2 : 2 + octets], "big")


def _from_pkcs7(der: bytes) -> x509.Certificate:
    try:
        found = pkcs7.load_der_pkcs7_certificates(der)
    except (*UNREADABLE, Warning) as err:
        raise _refused(f"the file is PKCS#7 that cannot be read: {_short(err)}") from err
    certificates = [_parsed(der_of(c)) for c in found[:MOST_BLOCKS]]
    if not certificates:
        raise _refused("the file is PKCS#7 without a certificate")
    leaves = _issuing_none(certificates)
    if len(leaves) != 1:
        names = "; ".join(name_text(c.subject)[:80] for c in (leaves or certificates)[:5])
        raise _refused(
            f"the file holds several certificates, none of which is the last of a chain ({names}); give one"
        )
    return leaves[0]


def _issuing_none(certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    if len(certificates) == 1:
        return list(certificates)
    issuers = {c.issuer.public_bytes() for c in certificates if c.issuer != c.subject}
    return [c for c in certificates if c.subject.public_bytes() not in issuers]


def _parsed(der: bytes) -> x509.Certificate:
    try:
        certificate = parse_certificate(der)
    except NotProved as fault:
        raise _refused(_short(fault.detail)) from fault
    except Warning as err:  # where warnings are errors
        raise _refused(f"a certificate cannot be read: {_short(err)}") from err
    if certificate.serial_number <= 0:
        raise _refused("the certificate's serial number is not positive, which RFC 5280 demands")
    return certificate


def _kind_of_der(der: bytes) -> str | None:
    """The name of what this DER is when it is no certificate (a key, a request); None when it is unknown."""
    if der[_header(der) :][:3] == b"\x02\x01\x03":
        return f"the file is PKCS#12 (.p12, .pfx): {_KEY}"
    try:
        x509.load_der_x509_csr(der)
    except (*UNREADABLE, Warning):
        pass
    else:
        return f"the file holds {_WORDS['CERTIFICATE REQUEST']}"
    if _SEALED_KEY in der[:48]:
        return _KEY
    try:
        load_der_private_key(der, None)
    except UNREADABLE:
        return None
    return _KEY


def _header(der: bytes) -> int:
    return 2 if der[1] < 0x80 else 2 + (der[1] & 0x7F)


def _kind_of_text(content: bytes) -> str:
    beginning = content[:200].lstrip().lower()
    if beginning.startswith((b"<!doctype html", b"<html")):
        return "it is a web page; download the certificate itself"
    if beginning.startswith((b"ssh-", b"ecdsa-sha2-", b"sk-")):
        return "it is an SSH key"
    if content[:2] == b"PK":
        return "it is a zip archive; unpack it first"
    return "PEM (a line '-----BEGIN CERTIFICATE-----') or DER was expected"


def _short(problem: object) -> str:
    return " ".join(str(problem).split())[:200]


def _refused(detail: str) -> NotProved:
    return NotProved(Kind.INCORRECT_CERTIFICATE, detail)
