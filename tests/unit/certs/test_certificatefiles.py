"""Certificates as people hand them in, rule by rule: what is taken, and what a file is instead."""

from __future__ import annotations

import base64
import warnings
from functools import cache

import pytest
from asn1crypto import cms
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    pkcs7,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from certs.certificatefiles import LARGEST_FILE, MOST_BLOCKS, read_certificate, read_certificate_der
from certs.certificates import parse_certificate
from schemas.faults import Kind, NotProved
from tests.worlds import NOW


@cache
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@cache
def made(subject: str, issuer: str) -> x509.Certificate:
    builder = x509.CertificateBuilder(
        name(issuer), name(subject), key().public_key(), 7, NOW, NOW.replace(year=2030)
    )
    return builder.sign(key(), hashes.SHA256())


def pem(label: str, content: bytes) -> bytes:
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (
        label.encode(),
        base64.encodebytes(content),
        label.encode(),
    )


LEAF, CA = made("hoja", "CA"), made("CA", "CA")
DER = LEAF.public_bytes(Encoding.DER)
PRIVATE = key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
SEALED = key().private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"clave"))
REQUEST = (
    x509.CertificateSigningRequestBuilder(name("hoja"))
    .sign(key(), hashes.SHA256())
    .public_bytes(Encoding.DER)
)


@pytest.mark.parametrize(
    "content",
    [
        DER,
        DER + b"\r\n",
        pem("CERTIFICATE", DER),
        b"\xef\xbb\xbf" + pem("CERTIFICATE", DER),
        *(pem("CERTIFICATE", DER).decode().encode(wide) for wide in ("utf-16", "utf-16-le", "utf-16-be")),
        b"subject=hoja\n" + pem("X509 CERTIFICATE", DER) + pem("CERTIFICATE", CA.public_bytes(Encoding.DER)),
        pem("TRUSTED CERTIFICATE", DER + b"\x30\x00"),
        base64.encodebytes(DER),
        pkcs7.serialize_certificates([CA, LEAF], Encoding.DER),
        pkcs7.serialize_certificates([LEAF], Encoding.PEM),
    ],
)
def test_what_programs_make_of_a_certificate_is_read(content: bytes) -> None:
    assert read_certificate_der(content) == DER


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a" * (LARGEST_FILE + 1), "has some thousands"),
        (b" \r\n", "the file is empty"),
        (b"hello there", "no certificate: PEM"),
        (b"<!DOCTYPE html><p>", "a web page"),
        ("hello".encode("utf-16") + b"x", "no certificate: PEM"),
        (b"ssh-ed25519 AAAA", "an SSH key"),
        (b"PK\x03\x04!", "a zip archive"),
        (base64.b64encode(b"other"), "base64, but not of a certificate"),
        (b"-----BEGIN CERTIFICATE", "is not whole"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA", "no '-----END CERTIFICATE-----'"),
        (pem("CERTIFICATE", DER) * (MOST_BLOCKS + 1), "more than 200 PEM blocks"),
        (pem("CERTIFICATE", DER) + pem("PRIVATE KEY", PRIVATE), "holds a private key"),
        (pem("PGP PRIVATE KEY BLOCK", b"x"), "holds a private key"),
        (pem("CERTIFICATE REQUEST", REQUEST), "a certificate signing request"),
        (pem("PUBLIC KEY", b"x"), "a public key without a certificate"),
        (pem("SOMETHING", b"x"), "'SOMETHING', not a certificate"),
        (b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n", "is not base64"),
        (pem("PKCS7", b"0\x00"), "PKCS#7 that cannot be read"),
        (b"\x30\x80\x00\x00", "PKCS#7 that cannot be read"),
        (DER[:-1], "the file is cut off"),
        (DER + b"more", "bytes that belong to nothing"),
        (REQUEST, "a certificate signing request"),
        (PRIVATE, "holds a private key"),
        (SEALED, "holds a private key"),
        (pkcs12.serialize_key_and_certificates(b"a", key(), LEAF, None, BestAvailableEncryption(b"clave")), "PKCS#12"),
        (b"\x30\x03\x02\x01\x01", r"."),
        (pkcs7.serialize_certificates([LEAF, made("otra", "CA")], Encoding.DER), "several certificates"),
    ],
)  # fmt: skip
def test_what_is_no_certificate_is_said_in_words(content: bytes, words: str) -> None:
    with pytest.raises(NotProved, match=words) as caught:
        read_certificate(content)
    assert caught.value.kind is Kind.INCORRECT_CERTIFICATE


def numbered(serial: int) -> bytes:
    """The leaf under another serial number, which its signature does not cover; nobody asks here."""
    read = asn1.Certificate.load(LEAF.public_bytes(Encoding.DER))
    read["tbs_certificate"]["serial_number"] = serial
    raw: bytes = read.dump(force=True)
    return raw


@pytest.mark.parametrize("serial", [0, -1, -(1 << 60)])
def test_a_serial_number_is_positive(serial: int) -> None:
    """The library warns of such a number, which is an error where warnings are, as here; elsewhere the rule is ours."""
    assert read_certificate(numbered(1)).serial_number == 1
    with pytest.raises(NotProved, match="a certificate cannot be read"):
        read_certificate(numbered(serial))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(
            NotProved, match="serial number is not positive, which RFC 5280 demands"
        ) as caught:
            read_certificate(numbered(serial))
    assert caught.value.kind is Kind.INCORRECT_CERTIFICATE


def test_a_serial_number_has_no_thousands_of_digits() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert parse_certificate(numbered((1 << 160) - 1)).serial_number == (1 << 160) - 1
        with pytest.raises(NotProved, match="serial number has 9001 bits") as caught:
            parse_certificate(numbered(1 << 9000))
    assert caught.value.kind is Kind.INCORRECT_CERTIFICATE


def test_pkcs7_without_a_certificate_is_told_from_broken_pkcs7() -> None:
    empty = cms.ContentInfo(
        {
            "content_type": "signed_data",
            "content": cms.SignedData(
                {
                    "version": "v1",
                    "digest_algorithms": [],
                    "encap_content_info": {"content_type": "data"},
                    "certificates": [],
                    "signer_infos": [],
                }
            ),
        }
    )
    with pytest.raises(NotProved, match="PKCS#7 without a certificate"):
        read_certificate(empty.dump())
