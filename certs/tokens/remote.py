"""Signing requests and certificates with keys that live elsewhere: the library builds, a `Signer` signs.

The library insists on a private key object. It is given a stand-in, twice: the first time to learn what is to be
signed, the second time to hand over the signature that the signer has made of it. What is built is the same both
times, so the signature fits; a builder that changed in between would be found out by `is_signature_valid`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from certs.algorithms import DigestAlgorithm, SignatureAlgorithm, verify_digest_signature
from schemas.faults import Fault, Kind, TokenFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509

    from certs.tokens.port import KeyId, Signer

    PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


async def sign_request(
    builder: x509.CertificateSigningRequestBuilder,
    key_id: KeyId,
    public_key: PublicKey,
    signer: Signer,
    *,
    pss: bool = False,
) -> bytes:
    """The request (DER), signed over SHA-256 by the signer's key, an RSA key by PSS where ``pss``. Raises `TokenFailed`."""
    to_be_signed: list[bytes] = []
    algorithm = _algorithm_for(public_key, pss=pss)
    named = _padding_named(algorithm)
    builder.sign(_stand_in(public_key, to_be_signed.append), hashes.SHA256(), rsa_padding=named)
    signature = await signer.sign(key_id, DigestAlgorithm.SHA256.digest(to_be_signed[0]), algorithm)
    request = builder.sign(
        _stand_in(public_key, lambda _: None, signature), hashes.SHA256(), rsa_padding=named
    )
    if not request.is_signature_valid:
        raise TokenFailed(
            Kind.CANNOT_SIGN, f"the token's signature does not belong to the public half of key {key_id}"
        )
    return request.public_bytes(Encoding.DER)


async def sign_certificate(
    builder: x509.CertificateBuilder,
    key_id: KeyId,
    public_key: PublicKey,
    signer: Signer,
    *,
    pss: bool = False,
) -> bytes:
    """The certificate (DER) that the key of ``public_key`` issues, as `sign_request` signs. Raises `TokenFailed`."""
    to_be_signed: list[bytes] = []
    algorithm = _algorithm_for(public_key, pss=pss)
    named = _padding_named(algorithm)
    builder.sign(_stand_in(public_key, to_be_signed.append), hashes.SHA256(), rsa_padding=named)
    digest = DigestAlgorithm.SHA256.digest(to_be_signed[0])
    signature = await signer.sign(key_id, digest, algorithm)
    try:
        verify_digest_signature(public_key, signature, digest, algorithm, ecdsa_format="der")
    except Fault as fault:
        raise TokenFailed(
            Kind.CANNOT_SIGN, f"the token's signature does not belong to the public half of key {key_id}"
        ) from fault
    made = builder.sign(_stand_in(public_key, lambda _: None, signature), hashes.SHA256(), rsa_padding=named)
    return made.public_bytes(Encoding.DER)


def _algorithm_for(public_key: PublicKey, *, pss: bool) -> SignatureAlgorithm:
    if isinstance(public_key, rsa.RSAPublicKey):
        return SignatureAlgorithm.RSA_PSS_SHA256 if pss else SignatureAlgorithm.RSA_SHA256
    return SignatureAlgorithm.ECDSA_SHA256


def _padding_named(algorithm: SignatureAlgorithm) -> padding.PSS | None:
    """The RSA-PSS padding to name in the request or certificate; None for PKCS#1 v1.5 and ECDSA, which a builder names itself."""
    return algorithm.padding if isinstance(algorithm.padding, padding.PSS) else None


class _StandIn:
    """The private key that a builder asks for: it passes on what is to be signed, and gives the signature that the token made."""

    def __init__(self, public_key: Any, seen: Callable[[bytes], None], signature: bytes) -> None:
        self._public, self._seen, self._signature = public_key, seen, signature

    def sign(self, data: Any, *_: Any, **__: Any) -> bytes:
        self._seen(bytes(data))
        return self._signature

    def public_key(self) -> Any:
        return self._public

    @property
    def key_size(self) -> int:
        return int(self._public.key_size)

    def private_numbers(self) -> Any:
        raise NotImplementedError

    def private_bytes(self, *_: Any) -> bytes:
        raise NotImplementedError

    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return self


class _RsaStandIn(_StandIn, rsa.RSAPrivateKey):
    def decrypt(self, *_: Any) -> bytes:
        raise NotImplementedError


class _EcStandIn(_StandIn, ec.EllipticCurvePrivateKey):
    @property
    def curve(self) -> ec.EllipticCurve:
        return self.public_key().curve  # type: ignore[no-any-return]

    def exchange(self, *_: Any) -> bytes:
        raise NotImplementedError


def _stand_in(
    public_key: PublicKey, seen: Callable[[bytes], None], signature: bytes = b"\x00"
) -> _RsaStandIn | _EcStandIn:
    if isinstance(public_key, rsa.RSAPublicKey):
        return _RsaStandIn(public_key, seen, signature)
    return _EcStandIn(public_key, seen, signature)
