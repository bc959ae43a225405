"""The digests and signature schemes let in, with their names in XML, in Java and in OIDs.

Closed lists: an algorithm that is not here does not exist for this software. SHA-1 appears only where the protocol
demands it for look-up (OCSP CertID, V2 certificate hashes), never for a signature.

Spec: XMLDSIG 1.1, RFC 6931, RFC 9231; PR-MESSTRANSP 5; PR-MSERV (Java names).
"""

from __future__ import annotations

import enum
import hashlib
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)

from schemas.faults import Kind, NotProved

if TYPE_CHECKING:
    from typing import Literal

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_PSS = "http://www.w3.org/2007/05/xmldsig-more#"


class DigestAlgorithm(enum.Enum):
    """A digest: hashlib's name, the URI of XML signatures, the name headers carry."""

    SHA1 = ("sha1", "http://www.w3.org/2000/09/xmldsig#sha1", "SHA-1")
    SHA224 = ("sha224", f"{_MORE}sha224", "SHA-224")
    SHA256 = ("sha256", "http://www.w3.org/2001/04/xmlenc#sha256", "SHA-256")
    SHA384 = ("sha384", f"{_MORE}sha384", "SHA-384")
    SHA512 = ("sha512", "http://www.w3.org/2001/04/xmlenc#sha512", "SHA-512")

    def __init__(self, short: str, uri: str, name_on_wire: str) -> None:
        self.short = short
        self.uri = uri
        self.name_on_wire = name_on_wire

    def digest(self, data: bytes) -> bytes:
        """The raw digest of ``data`` by this algorithm."""
        return hashlib.new(self.short, data).digest()

    @property
    def hash(self) -> hashes.HashAlgorithm:
        """The same digest for the cryptography library."""
        return _HASHES[self.short]

    @classmethod
    def from_uri(cls, uri: str) -> DigestAlgorithm:
        """The digest of an XML URI. Raises `NotProved` (``malformed_signature``) when it is unknown."""
        found = _DIGEST_BY_URI.get(uri)
        if found is None:
            raise NotProved(Kind.MALFORMED_SIGNATURE, f"{uri!r} is not a digest algorithm that is accepted")
        return found

    @classmethod
    def from_name(cls, name: str) -> DigestAlgorithm:
        """The digest of a header name such as ``SHA-512``, whatever its case. Raises `NotProved` (``malformed_signature``)."""
        for algorithm in cls:
            if algorithm.name_on_wire.lower() == name.lower():
                return algorithm
        raise NotProved(Kind.MALFORMED_SIGNATURE, f"{name!r} is not a digest algorithm that is accepted")


# Names certificates (OCSP's CertID, X-Road's look-ups) and reads old evidence; nothing new is signed with it.
SHA1 = hashes.SHA1()
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": SHA1,
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
_DIGEST_BY_URI = {a.uri: a for a in DigestAlgorithm}


class SignatureAlgorithm(enum.Enum):
    """A signature scheme: family, digest, XML URI and Java name."""

    RSA_SHA256 = ("rsa", DigestAlgorithm.SHA256, f"{_MORE}rsa-sha256", "SHA256withRSA")
    RSA_SHA384 = ("rsa", DigestAlgorithm.SHA384, f"{_MORE}rsa-sha384", "SHA384withRSA")
    RSA_SHA512 = ("rsa", DigestAlgorithm.SHA512, f"{_MORE}rsa-sha512", "SHA512withRSA")
    RSA_PSS_SHA256 = ("pss", DigestAlgorithm.SHA256, f"{_PSS}sha256-rsa-MGF1", "SHA256withRSAandMGF1")
    RSA_PSS_SHA384 = ("pss", DigestAlgorithm.SHA384, f"{_PSS}sha384-rsa-MGF1", "SHA384withRSAandMGF1")
    RSA_PSS_SHA512 = ("pss", DigestAlgorithm.SHA512, f"{_PSS}sha512-rsa-MGF1", "SHA512withRSAandMGF1")
    ECDSA_SHA256 = ("ecdsa", DigestAlgorithm.SHA256, f"{_MORE}ecdsa-sha256", "SHA256withECDSA")
    ECDSA_SHA384 = ("ecdsa", DigestAlgorithm.SHA384, f"{_MORE}ecdsa-sha384", "SHA384withECDSA")
    ECDSA_SHA512 = ("ecdsa", DigestAlgorithm.SHA512, f"{_MORE}ecdsa-sha512", "SHA512withECDSA")

    def __init__(self, family: str, digest: DigestAlgorithm, uri: str, jca_name: str) -> None:
        self.family = family
        self.digest = digest
        self.uri = uri
        self.jca_name = jca_name
        self.prehashed = Prehashed(digest.hash)
        paddings: dict[str, padding.AsymmetricPadding] = {
            "rsa": padding.PKCS1v15(),
            "pss": padding.PSS(padding.MGF1(digest.hash), digest.hash.digest_size),
        }
        self.padding = paddings.get(family)

    @property
    def ecdsa(self) -> ec.ECDSA:
        """The scheme for elliptic-curve keys, over a digest."""
        return ec.ECDSA(self.prehashed)

    @classmethod
    def from_uri(cls, uri: str) -> SignatureAlgorithm:
        """The scheme of an XML URI. Raises `NotProved` (``malformed_signature``) when it is not accepted."""
        found = _SIGNATURE_BY_URI.get(uri)
        if found is None:
            raise NotProved(
                Kind.MALFORMED_SIGNATURE, f"{uri!r} is not a signature algorithm that is accepted"
            )
        return found

    @classmethod
    def from_jca_name(cls, name: str) -> SignatureAlgorithm:
        """The scheme of a Java name such as ``SHA512withRSA``, whatever its case. Raises `NotProved` (``malformed_signature``)."""
        for algorithm in cls:
            if algorithm.jca_name.lower() == name.lower():
                return algorithm
        raise NotProved(Kind.MALFORMED_SIGNATURE, f"{name!r} is not a signature algorithm that is accepted")

    @classmethod
    def for_key(cls, key: PublicKeyTypes, *, pss: bool = False) -> SignatureAlgorithm:
        """The scheme this software signs with for a key: SHA-512 with PKCS#1 v1.5 or ECDSA, as X-Road's default.

        ``pss`` is for RSA keys of a token that signs by PSS.

        Raises `NotProved` (``malformed_signature``).
        """
        if isinstance(key, rsa.RSAPublicKey):
            return cls.RSA_PSS_SHA512 if pss else cls.RSA_SHA512
        if isinstance(key, ec.EllipticCurvePublicKey):
            return cls.ECDSA_SHA512
        raise NotProved(Kind.MALFORMED_SIGNATURE, f"keys of type {type(key).__name__} are not accepted")


_SIGNATURE_BY_URI = {a.uri: a for a in SignatureAlgorithm}


def verify_digest_signature(
    public_key: PublicKeyTypes,
    signature: bytes,
    digest: bytes,
    algorithm: SignatureAlgorithm,
    *,
    ecdsa_format: Literal["raw", "der"],
) -> None:
    """Prove that ``signature`` is the key's over ``digest``. Raises `NotProved` (``invalid_signature_value``).

    ECDSA values are raw ``r ‖ s`` in XML signatures and DER in directories and management requests.
    """
    try:
        if isinstance(public_key, rsa.RSAPublicKey) and algorithm.padding is not None:
            public_key.verify(signature, digest, algorithm.padding, algorithm.prehashed)
            return
        if isinstance(public_key, ec.EllipticCurvePublicKey) and algorithm.family == "ecdsa":
            der = raw_to_der(signature) if ecdsa_format == "raw" else signature
            public_key.verify(der, digest, algorithm.ecdsa)
            return
    except (InvalidSignature, ValueError):
        raise NotProved(
            Kind.INVALID_SIGNATURE_VALUE, "the signature value does not belong to this key and content"
        ) from None
    raise NotProved(
        Kind.INVALID_SIGNATURE_VALUE,
        f"the signature says {algorithm.name}, but the certificate's key is a {type(public_key).__name__}",
    )


def der_to_raw(signature: bytes, key_size_bits: int) -> bytes:
    """A DER ECDSA signature as ``r ‖ s``, each as long as the curve's field."""
    size = (key_size_bits + 7) // 8
    r, s = decode_dss_signature(signature)
    return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def raw_to_der(signature: bytes) -> bytes:
    """``r ‖ s`` as DER. Values shorter than the field are read too: the halves are equally long. Raises ValueError."""
    half, odd = divmod(len(signature), 2)
    if odd or not half:
        raise ValueError("an ECDSA signature value has two halves of the same length")
    return encode_dss_signature(
        int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    )
