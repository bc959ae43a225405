"""Certificate files as they are in the wild: read, or what they are instead is said in words; and none takes long."""

from __future__ import annotations

import base64
import contextlib
import random
import textwrap
import time
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, pkcs7, pkcs12
from hypothesis import given
from hypothesis import strategies as st

from certs.certificatefiles import LARGEST_FILE, read_certificate, read_certificate_der
from schemas.faults import NotProved

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def issue(
    name: str, issuer: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])

    return (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=30))
        .sign(signer, hashes.SHA256())
    )


ROOT_KEY, KEY = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
ROOT, LEAF = issue("root", "root", ROOT_KEY, ROOT_KEY), issue("leaf", "root", KEY, ROOT_KEY)
OTHER = issue("other", "root", ROOT_KEY, ROOT_KEY)
DER, PEM = LEAF.public_bytes(Encoding.DER), LEAF.public_bytes(Encoding.PEM)
ROOT_PEM = ROOT.public_bytes(Encoding.PEM)
PKCS8 = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
SEALED = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x"))
CSR = x509.CertificateSigningRequestBuilder().subject_name(LEAF.subject).sign(KEY, hashes.SHA256())
BASE64 = base64.b64encode(DER)
TEXT = b"Certificate:\n    Data:\n        Version: 3 (0x2)\n        Subject: CN = M\xc3\xa9xico\n        30:0d:06:09\n"


def armoured(label: str, der: bytes, width: int = 64) -> bytes:
    body = "\n".join(textwrap.wrap(base64.b64encode(der).decode(), width))
    return f"-----BEGIN {label}-----\n{body}\n-----END {label}-----\n".encode()


READ = {
    "PEM": PEM,
    "DER": DER,
    "openssl x509 -text": TEXT + PEM,
    "openssl ca, text in Latin-1": b"Subject: O=Mu\xf1oz\n" + PEM,
    "bag attributes of PKCS#12": b"Bag Attributes\n    localKeyID: 54 69 6D 65\nsubject=CN = leaf\nissuer=CN = root\n"
    + PEM,
    "byte order mark": b"\xef\xbb\xbf" + PEM,
    "byte order mark and text": b"\xef\xbb\xbf" + TEXT + PEM,
    "UTF-16 of Notepad": PEM.decode().encode("utf-16"),
    "UTF-16 without a mark": PEM.decode().encode("utf-16-le"),
    "UTF-16 in the other order without a mark": PEM.decode().encode("utf-16-be"),
    "CRLF": PEM.replace(b"\n", b"\r\n"),
    "CR alone": PEM.replace(b"\n", b"\r"),
    "blanks at the ends of lines": PEM.replace(b"\n", b"  \n"),
    "indented": b"\n".join(b"    " + line for line in PEM.splitlines()),
    "one long line": b"-----BEGIN CERTIFICATE-----" + BASE64 + b"-----END CERTIFICATE-----",
    "lines of 76": armoured("CERTIFICATE", DER, 76),
    "text behind": PEM + b"\nsent from my telephone\n",
    "chain, leaf first": PEM + ROOT_PEM,
    "the same twice": PEM + PEM,
    "X509 CERTIFICATE": armoured("X509 CERTIFICATE", DER),
    "TRUSTED CERTIFICATE": armoured(
        "TRUSTED CERTIFICATE", DER + bytes.fromhex("300c300a06082b06010505070301")
    ),
    "PKCS#7 in DER": pkcs7.serialize_certificates([LEAF], Encoding.DER),
    "PKCS#7 in PEM": pkcs7.serialize_certificates([LEAF], Encoding.PEM),
    "PKCS#7 of a chain, root first": pkcs7.serialize_certificates([ROOT, LEAF], Encoding.DER),
    "PKCS#7 of a chain, leaf first, in PEM with text": b"chain\n"
    + pkcs7.serialize_certificates([LEAF, ROOT], Encoding.PEM),
    "PKCS#7 labelled CMS": armoured("CMS", pkcs7.serialize_certificates([LEAF], Encoding.DER)),
    "PKCS#7 and a line end": pkcs7.serialize_certificates([LEAF], Encoding.DER) + b"\r\n",
    "DER and LF": DER + b"\n",
    "DER and CRLF": DER + b"\r\n",
    "DER and NUL": DER + b"\x00\x00",
    "base64 without armour": BASE64,
    "base64 in lines": b"\n".join(BASE64[i : i + 64] for i in range(0, len(BASE64), 64)) + b"\n",
    "base64 with CRLF and a mark": b"\xef\xbb\xbf" + BASE64[:100] + b"\r\n" + BASE64[100:],
    "request beside it": CSR.public_bytes(Encoding.PEM) + PEM,
}

REFUSED = {
    "empty": (b"", "empty"),
    "blanks": (b" \r\n\t", "empty"),
    "mark alone": (b"\xef\xbb\xbf", "empty"),
    "private key": (PKCS8, "private key"),
    "sealed private key": (SEALED, "private key"),
    "private key of OpenSSL": (
        KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
        "private key",
    ),
    "private key of SSH": (
        KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        "private key",
    ),
    "private key in DER": (
        KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        "private key",
    ),
    "sealed private key in DER": (
        KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")),
        "private key",
    ),
    "key before the certificate": (PKCS8 + PEM, "private key"),
    "key behind the certificate": (PEM + PKCS8, "private key"),
    "PKCS#12": (pkcs12.serialize_key_and_certificates(b"x", KEY, LEAF, None, NoEncryption()), "PKCS#12"),
    "request": (CSR.public_bytes(Encoding.PEM), "signing request"),
    "request in DER": (CSR.public_bytes(Encoding.DER), "signing request"),
    "public key": (
        KEY.public_key().public_bytes(Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        "public key",
    ),
    "SSH key": (KEY.public_key().public_bytes(Encoding.OpenSSH, serialization.PublicFormat.OpenSSH), "SSH"),
    "CRL": (armoured("X509 CRL", DER), "revoked"),
    "OpenPGP": (armoured("PGP PUBLIC KEY BLOCK", b"x"), "OpenPGP"),
    "unknown block": (armoured("SOMETHING", b"x"), "SOMETHING"),
    "cut off": (PEM[:-40], "cut off"),
    "cut off in DER": (DER[:-5], "cut off"),
    "DER and a word": (DER + b"abc", "3 bytes"),
    "two in DER": (DER + DER, "stand behind"),
    "two leaves in PKCS#7": (pkcs7.serialize_certificates([LEAF, OTHER], Encoding.DER), "several"),
    "not base64": (PEM.replace(b"M", b"*"), "not base64"),
    "armour around nothing": (b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n", "empty"),
    "armour around text": (armoured("CERTIFICATE", b"hello"), "cannot be read"),
    "web page": (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
    "zip": (b"PK\x03\x04rest", "zip"),
    "text": (b"please find the certificate attached", "PEM"),
    "base64 of text": (base64.b64encode(b"hello world"), "not of a certificate"),
    "broken begin line": (b"-----BEGIN CERTIFICATE\n" + BASE64, "not whole"),
    "large": (b"A" * (LARGEST_FILE + 1), "bytes"),
    "one byte": (b"\x30", "cannot be read"),
    "header alone": (b"\x30\x82", "cut off"),
}


@pytest.mark.parametrize("name", READ)
def test_what_a_publisher_writes_is_read(name: str) -> None:
    assert read_certificate_der(READ[name]) == DER


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_certificate_is_said_in_words(name: str) -> None:
    content, word = REFUSED[name]
    with pytest.raises(NotProved) as caught:
        read_certificate(content)
    assert word in caught.value.detail
    assert len(caught.value.detail) < 700
    assert "ASN.1" not in caught.value.detail.split(":")[0]


@given(
    st.binary(max_size=400)
    | st.binary(max_size=40).map(lambda b: DER[:60] + b)
    | st.binary(max_size=99).map(lambda b: PEM[:99] + b)
)
def test_any_bytes_give_a_certificate_or_a_refusal(content: bytes) -> None:
    with contextlib.suppress(NotProved):
        read_certificate(content)


def test_a_flipped_byte_gives_a_certificate_or_a_refusal() -> None:
    chosen = random.Random(1)
    for base in (DER, pkcs7.serialize_certificates([LEAF, ROOT], Encoding.DER)):
        for _ in range(300):
            changed = bytearray(base)
            changed[chosen.randrange(len(base))] ^= 1 << chosen.randrange(8)
            with contextlib.suppress(NotProved):
                read_certificate(bytes(changed))


@pytest.mark.parametrize(
    "content",
    [b"-----BEGIN " * 90_000, b"-----BEGIN A-----" * 60_000, armoured("A", b"x") * 15_000, b"-" * 1_000_000],
)
def test_a_hostile_file_takes_no_time(content: bytes) -> None:
    began = time.process_time()
    with pytest.raises(NotProved):
        read_certificate(content)
    assert time.process_time() - began < 2
