"""The Signer port: what a key can be asked to do, and who it signs for.

A signer is given a key's name and a digest and gives a signature; nothing wider, so that keys can live in another
process or in hardware. ECDSA signatures leave it as DER.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NewType, Protocol

if TYPE_CHECKING:
    from cryptography import x509

    from certs.algorithms import SignatureAlgorithm
    from schemas.identifiers import ClientId

KeyId = NewType("KeyId", str)


class Signer(Protocol):
    """Signs digests with keys it never gives out."""

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        """The signature over a digest of ``algorithm.digest``. Raises `TokenFailed`."""
        ...


@dataclass(frozen=True, slots=True)
class SigningIdentity:
    """A member's key with its certificate and the intermediates above it, the root left out."""

    member: ClientId
    key_id: KeyId
    certificate: x509.Certificate
    issuers: tuple[x509.Certificate, ...]
    algorithm: SignatureAlgorithm
