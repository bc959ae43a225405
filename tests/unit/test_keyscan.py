"""The search for private keys finds every kind in every form, and nothing in what is public or sealed."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from certs.certificates import der_of
from serving.storage.selfsigned import self_signed
from tests.keyscan import forms, found_in

EC, RSA, ED = (
    ec.generate_private_key(ec.SECP256R1()),
    rsa.generate_private_key(65537, 2048),
    ed25519.Ed25519PrivateKey.generate(),
)
OLD, NEW = PrivateFormat.TraditionalOpenSSL, PrivateFormat.PKCS8


@pytest.mark.parametrize(
    ("key", "form"),
    [(EC, NEW), (EC, OLD), (RSA, NEW), (RSA, OLD), (ED, NEW), (ec.generate_private_key(ec.SECP384R1()), NEW)],
)
def test_a_key_in_clear_is_found_by_its_looks(key: object, form: PrivateFormat) -> None:
    der, pem = (key.private_bytes(e, form, NoEncryption()) for e in (Encoding.DER, Encoding.PEM))  # type: ignore[attr-defined]
    assert found_in(b"x" * 7 + der)
    assert "PEM" in found_in(b"x" * 7 + pem)
    assert found_in(base64.b64encode(der)) or form is OLD


@pytest.mark.parametrize("key", [EC, RSA, ED])
def test_a_known_key_is_found_however_it_lies(key: ec.EllipticCurvePrivateKey) -> None:
    secrets = forms(key)
    assert all(found_in(b"before" + form + b"after", secrets) for form in secrets)


def test_what_is_public_or_sealed_is_not_found() -> None:
    sealed = EC.private_bytes(Encoding.PEM, NEW, BestAvailableEncryption(b"secret"))
    public = RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert found_in(sealed + public + der_of(self_signed("gw")[1][0]), [*forms(EC), *forms(RSA)]) == []
