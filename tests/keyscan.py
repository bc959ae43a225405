"""Looking for private keys: known ones in every form in which they could lie about, unknown ones by what keys look like."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

# What no public structure holds: the beginnings of PKCS#8, SEC 1 and PKCS#1 private keys in DER, and PEM's lines.
LOOKS = {
    "PKCS#8 EC": re.compile(rb"\x02\x01\x00\x30[\x10-\x20]\x06\x07\x2a\x86\x48\xce\x3d\x02\x01"),
    "PKCS#8 RSA": re.compile(rb"\x02\x01\x00\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"),
    "PKCS#8 Ed25519": re.compile(rb"\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20"),
    "SEC 1": re.compile(rb"\x30[\x25-\x80]\x02\x01\x01\x04[\x20\x30]"),
    "PKCS#1": re.compile(rb"\x30\x82..\x02\x01\x00\x02\x82[\x01\x02][\x00\x01\x80\x81]\x00", re.DOTALL),
    "PEM": re.compile(rb"-----BEGIN (?!ENCRYPTED)(?:[A-Z]+ )?PRIVATE KEY-----(?!\s*Proc-Type: 4,ENCRYPTED)"),
    "PEM without its lines": re.compile(
        rb"MIG[A-Za-z0-9]AgEAM[A-D]|MHcCAQEEI|MC4CAQAwBQYDK2Vw|MII[A-Z][A-Za-z0-9+/]{2}IBADANBgkqhkiG9w0BAQEF"
    ),
}


def forms(key: PrivateKeyTypes) -> list[bytes]:
    """The numbers that are the key, as bytes both ways, in hexadecimal, and the key as base64 of DER."""
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    if isinstance(key, ec.EllipticCurvePrivateKey):
        numbers = [key.private_numbers().private_value]
    elif isinstance(key, rsa.RSAPrivateKey):
        private = key.private_numbers()
        numbers = [private.p, private.q, private.d]
    else:
        assert isinstance(key, ed25519.Ed25519PrivateKey)
        numbers = [int.from_bytes(key.private_bytes_raw(), "big")]
    found = []
    for number in numbers:
        raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
        found += [raw, raw[::-1], raw.hex().encode(), raw.hex().upper().encode()]
    return [*found, base64.b64encode(der)[40:100]]


def found_in(data: bytes, secrets: Iterable[bytes] = ()) -> list[str]:
    """What of a private key is in ``data``: looks by their names, known secrets as such."""
    looks = [name for name, pattern in LOOKS.items() if pattern.search(data)]
    return looks + ["a known secret" for secret in secrets if secret in data]


def found_below(folder: Path, secrets: Iterable[bytes] = ()) -> dict[str, list[str]]:
    """The same for every file below a folder, by its path."""
    wanted = list(secrets)
    found = {
        str(path.relative_to(folder)): found_in(path.read_bytes(), wanted)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return {path: what for path, what in found.items() if what}
