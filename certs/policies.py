"""Policy documents signed and verified: as many of the governing authorities as are needed, each over the same bytes.

The authorities' certificates only carry keys, as those of a configuration anchor do: trust comes from having been loaded
into the gateway by its operator, not from a path.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.algorithms import SignatureAlgorithm, verify_digest_signature
from certs.certificates import name_text, parse_certificate
from schemas.faults import Fault, Kind, NotProved
from schemas.policy import Signature, SignedDocument

if TYPE_CHECKING:
    from collections.abc import Collection

    from cryptography import x509

    from certs.tokens.port import KeyId, Signer


async def sign_policy(
    raw: bytes, signer: Signer, key_id: KeyId, algorithm: SignatureAlgorithm, certificate: bytes
) -> Signature:
    """One authority's signature over a document's exact bytes."""
    value = await signer.sign(key_id, algorithm.digest.digest(raw), algorithm)
    return Signature(certificate, algorithm.uri, value)


def verify_policy(signed: SignedDocument, authorities: Collection[bytes], needed: int) -> bytes:
    """The document, once ``needed`` different authorities have signed it. Raises `Fault`.

    1. A signature counts only if its certificate is one of ``authorities``, byte for byte. 2. Its key made it over the
    document's bytes; one that does not verify refuses the whole. 3. Each key counts once.
    """
    if needed < 1 or needed > len(set(authorities)):
        raise Fault(
            Kind.BAD_REQUEST,
            f"{needed} signatures are needed of {len(set(authorities))} authorities; set both with 'gateway policy authority'",
        )
    signers: set[bytes] = set()
    for signature in signed.signatures:
        if signature.certificate not in authorities:
            continue  # 1
        certificate = parse_certificate(signature.certificate)
        try:
            algorithm = SignatureAlgorithm.from_uri(signature.algorithm)
            verify_digest_signature(
                certificate.public_key(),
                signature.value,
                algorithm.digest.digest(signed.raw),
                algorithm,
                ecdsa_format="der",
            )  # 2
        except NotProved as fault:
            raise Fault(
                Kind.INVALID_SIGNATURE_VALUE,
                f"a signature of {name_text(certificate.subject)} does not hold: {fault.detail}",
            ) from fault
        signers.add(_key_digest(certificate))  # 3
    if len(signers) < needed:
        raise Fault(
            Kind.INVALID_SIGNATURE_VALUE,
            f"{len(signers)} of the {needed} authorities needed have signed the document",
        )
    return signed.raw


def _key_digest(certificate: x509.Certificate) -> bytes:
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(key).digest()
