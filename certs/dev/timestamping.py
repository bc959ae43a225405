"""The development timestamping authority: RFC 3161 replies signed over SHA-512, without state of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from certs import der
from certs.algorithms import DigestAlgorithm
from certs.certificates import der_of

if TYPE_CHECKING:
    from datetime import datetime

    from certs.dev.authority import DevPki

_DIGEST_OIDS = frozenset(f"2.16.840.1.101.3.4.2.{n}" for n in (1, 2, 3))


def timestamp_reply(
    pki: DevPki, request: bytes, at: datetime, serial: int, *, wrong_nonce: bool = False
) -> bytes:
    """The reply (DER) to a timestamp request. A request that cannot be served is refused as RFC 3161 says.

    ``wrong_nonce`` answers another nonce than was asked with, on purpose.
    """
    try:
        fields = der.read_one(request, der.SEQUENCE, "request").children()
        imprint = fields[1]
        digest_oid = der.read_oid(imprint.children()[0].children()[0])
        nonce = next((f for f in fields[2:] if f.tag == der.INTEGER), None)
        wants_certificate = any(f.tag == 0x01 and f.content == b"\xff" for f in fields[2:])
    except (ValueError, IndexError):
        return _refusal(2)
    if digest_oid not in _DIGEST_OIDS:
        return _refusal(0)
    info = der.write(
        der.SEQUENCE,
        der.write_integer(1),
        der.write_oid("1.3.6.1.4.1.13762.3"),
        imprint.raw,
        der.write_integer(serial),
        der.write(der.GENERALIZED_TIME, at.strftime("%Y%m%d%H%M%SZ").encode("ascii")),
        b"" if nonce is None else der.write_integer(1) if wrong_nonce else nonce.raw,
    )
    token = _sign_cms(pki, info, with_certificate=wants_certificate)
    return der.write(der.SEQUENCE, der.write(der.SEQUENCE, der.write_integer(0)), token)


def _refusal(failure_bit: int) -> bytes:
    bits = der.write(0x03, bytes((7 - failure_bit, 1 << (7 - failure_bit))))
    return der.write(der.SEQUENCE, der.write(der.SEQUENCE, der.write_integer(2), bits))


def _sign_cms(pki: DevPki, content: bytes, *, with_certificate: bool) -> bytes:
    certificate, key = pki.tsa_certificate, pki.key_of("tsa")
    digest = DigestAlgorithm.SHA512
    sha512 = der.write(der.SEQUENCE, der.write_oid("2.16.840.1.101.3.4.2.3"))
    certificate_digest = der.write(
        der.SEQUENCE,
        der.write(der.SEQUENCE, der.write_oid("2.16.840.1.101.3.4.2.3")),
        der.write(der.OCTET_STRING, digest.digest(der_of(certificate))),
    )
    signing_certificate = der.write(der.SEQUENCE, der.write(der.SEQUENCE, certificate_digest))
    attributes = b"".join(
        sorted(
            (
                _attribute("1.2.840.113549.1.9.3", der.write_oid("1.2.840.113549.1.9.16.1.4")),
                _attribute("1.2.840.113549.1.9.4", der.write(der.OCTET_STRING, digest.digest(content))),
                _attribute("1.2.840.113549.1.9.16.2.47", signing_certificate),
            )
        )
    )
    to_sign = der.write(der.SET, attributes)
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(to_sign, padding.PKCS1v15(), hashes.SHA512())
        algorithm = der.write(der.SEQUENCE, der.write_oid("1.2.840.113549.1.1.13"), b"\x05\x00")
    else:
        signature = key.sign(to_sign, ec.ECDSA(hashes.SHA512()))
        algorithm = der.write(der.SEQUENCE, der.write_oid("1.2.840.10045.4.3.4"))
    signer_info = der.write(
        der.SEQUENCE,
        der.write_integer(1),
        der.write(
            der.SEQUENCE, certificate.issuer.public_bytes(), der.write_integer(certificate.serial_number)
        ),
        sha512,
        der.write(0xA0, attributes),
        algorithm,
        der.write(der.OCTET_STRING, signature),
    )
    signed_data = der.write(
        der.SEQUENCE,
        der.write_integer(3),
        der.write(der.SET, sha512),
        der.write(
            der.SEQUENCE,
            der.write_oid("1.2.840.113549.1.9.16.1.4"),
            der.write(0xA0, der.write(der.OCTET_STRING, content)),
        ),
        der.write(0xA0, der_of(certificate)) if with_certificate else b"",
        der.write(der.SET, signer_info),
    )
    return der.write(der.SEQUENCE, der.write_oid("1.2.840.113549.1.7.2"), der.write(0xA0, signed_data))


def _attribute(oid: str, value: bytes) -> bytes:
    return der.write(der.SEQUENCE, der.write_oid(oid), der.write(der.SET, value))
