"""The Signer port: what a key can be asked to do, who it signs for, and the words for how its token stands.

A signer is given a key's name and a digest and gives a signature; nothing wider, so that keys can live in another
process or in hardware. ECDSA signatures leave it as DER.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NewType, Protocol

from certs.certificates import der_of
from schemas import xades

if TYPE_CHECKING:
    from cryptography import x509

    from certs.algorithms import SignatureAlgorithm
    from schemas.identifiers import ClientId

KeyId = NewType("KeyId", str)
SOFTWARE_TOKEN_ID = "0"  # an identifier

# What keys made behind PKCS#11 may be narrowed to, and the attributes of their halves that may be set: the standard's names
# without CKM_ and CKA_.
KEY_MECHANISMS = frozenset({"RSA_PKCS", "RSA_PKCS_PSS", "ECDSA"})
PRIVATE_ATTRIBUTES = frozenset(
    {
        "ALWAYS_AUTHENTICATE",
        "DECRYPT",
        "EXTRACTABLE",
        "MODIFIABLE",
        "PRIVATE",
        "SENSITIVE",
        "SIGN",
        "SIGN_RECOVER",
        "UNWRAP",
        "WRAP_WITH_TRUSTED",
    }
)
PUBLIC_ATTRIBUTES = frozenset(
    {"ENCRYPT", "MODIFIABLE", "PRIVATE", "TRUSTED", "VERIFY", "VERIFY_RECOVER", "WRAP"}
)


class TokenType(enum.StrEnum):
    """Whether a token's keys live in sealed files or in a device."""

    SOFTWARE = "SOFTWARE"
    HARDWARE = "HARDWARE"


class TokenStatus(enum.StrEnum):
    """The states of a token and its PIN; names of the admin API."""

    OK = "OK"
    USER_PIN_LOCKED = "USER_PIN_LOCKED"
    USER_PIN_INCORRECT = "USER_PIN_INCORRECT"
    USER_PIN_INVALID = "USER_PIN_INVALID"
    USER_PIN_EXPIRED = "USER_PIN_EXPIRED"
    USER_PIN_COUNT_LOW = "USER_PIN_COUNT_LOW"
    USER_PIN_FINAL_TRY = "USER_PIN_FINAL_TRY"
    NOT_INITIALIZED = "NOT_INITIALIZED"


class Signer(Protocol):
    """Signs digests with keys it never gives out."""

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        """The signature over a digest of ``algorithm.digest``. Raises `TokenFailed`."""
        ...


@dataclass(frozen=True)
class SigningIdentity:
    """A member's key with its certificate and the intermediates above it, the root left out.

    What a signature document says of the certificates is drawn from them once, and lives as long as the identity.
    """

    member: ClientId
    key_id: KeyId
    certificate: x509.Certificate
    issuers: tuple[x509.Certificate, ...]
    algorithm: SignatureAlgorithm

    @cached_property
    def facts(self) -> xades.SignerFacts:
        """The certificate as a signature document names it."""
        return _facts_of(self.certificate)

    @cached_property
    def issuer_facts(self) -> tuple[xades.SignerFacts, ...]:
        """The intermediate certificates as a signature document names them."""
        return tuple(map(_facts_of, self.issuers))


def _facts_of(certificate: x509.Certificate) -> xades.SignerFacts:
    return xades.SignerFacts(
        der_of(certificate), certificate.issuer.rfc4514_string(), certificate.serial_number
    )
