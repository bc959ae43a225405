"""The development OCSP responder: good, revoked or unknown, signed by the delegated certificate."""

from __future__ import annotations

import contextlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    from certs.dev.authority import DevPki


def ocsp_reply(
    pki: DevPki,
    request: bytes,
    at: datetime,
    *,
    valid_for: timedelta = timedelta(hours=1),
    signer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey] | None = None,
    wrong_nonce: bool = False,
) -> bytes:
    """The response (DER) to an OCSP request; a nonce comes back (RFC 8954).

    ``signer`` stands in for the delegated one, and ``wrong_nonce`` for the nonce, to answer wrongly on purpose.
    """
    try:
        query = ocsp.load_der_ocsp_request(request)
        serial = query.serial_number
    except ValueError:
        return _refusal(ocsp.OCSPResponseStatus.MALFORMED_REQUEST)
    issuer = next((c for c in (pki.intermediate, pki.root) if _key_hash(c) == query.issuer_key_hash), None)
    if issuer is None:
        return _refusal(ocsp.OCSPResponseStatus.UNAUTHORIZED)
    revoked = pki.is_revoked(serial)
    certificate, key = signer or (pki.ocsp_certificate, pki.key_of("ocsp"))
    builder = ocsp.OCSPResponseBuilder().add_response_by_hash(
        issuer_name_hash=query.issuer_name_hash,
        issuer_key_hash=query.issuer_key_hash,
        serial_number=serial,
        algorithm=query.hash_algorithm,
        cert_status=ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD,
        this_update=at,
        next_update=at + valid_for,
        revocation_time=at if revoked else None,
        revocation_reason=x509.ReasonFlags.cessation_of_operation if revoked else None,
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, certificate).certificates([certificate])
    with contextlib.suppress(x509.ExtensionNotFound):
        nonce = query.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce
        builder = builder.add_extension(
            x509.OCSPNonce(bytes(len(nonce)) if wrong_nonce else nonce), critical=False
        )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


def _refusal(status: ocsp.OCSPResponseStatus) -> bytes:
    return ocsp.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)


def _key_hash(certificate: x509.Certificate) -> bytes:
    """SHA-1 of the key's bits (RFC 6960 4.1.1), as RFC 5280 4.2.1.2 makes key identifiers."""
    return x509.SubjectKeyIdentifier.from_public_key(certificate.public_key()).digest
