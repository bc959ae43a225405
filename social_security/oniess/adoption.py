"""A head's adoption of the policy: her signature over its hash, under a certificate of an authority that ONIESS trusts.

Pure. Only the outcome, the role and the time are kept: such certificates carry a person's CURP (2.5, rule 4).

Spec: the domain reference 3.7, 5.2 (AdopcionPolitica), F32.
"""

from __future__ import annotations

import base64
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from social_security.domain.faults import DomainError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

# How long a conformance report says how a member's services are.
REPORT_HOLDS = timedelta(days=365)


def check_adoption(
    adoption: Mapping[str, Any], policy_sha256: str, authorities: Sequence[x509.Certificate], now: datetime
) -> None:
    """Refuse an adoption that does not prove what it says. Raises `DomainError` SS-604.

    1. It is about the policy in force, by hash. 2. The certificate is of a trusted authority. 3. It is valid now. 4. Its key
    made the signature over that hash.
    """
    if adoption["politicaSha256"] != policy_sha256:  # 1
        raise _refused(
            "la huella no es la de la política vigente", "the hash is not that of the policy in force"
        )
    try:
        certificate = x509.load_der_x509_certificate(base64.b64decode(adoption["certificado"], validate=True))
        signature = base64.b64decode(adoption["firma"], validate=True)
    except ValueError:
        raise _refused(
            "el certificado o la firma no se entienden", "certificate or signature are not understood"
        ) from None
    if not any(is_issued(certificate, authority) for authority in authorities):  # 2
        raise _refused(
            "la autoridad del certificado no es de confianza", "the certificate's authority is not trusted"
        )
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:  # 3
        raise _refused("el certificado no está vigente", "the certificate is not valid now")
    try:
        verify_over(certificate, signature, bytes.fromhex(policy_sha256), hashes.SHA256())  # 4
    except InvalidSignature:
        raise _refused("la firma no corresponde", "the signature does not hold") from None


def outdated(gates: Mapping[str, Mapping[str, str]], policy_sha256: str, today: date) -> list[str]:
    """Which approvals of a member no longer say how it is: its head adopted another policy, its conformance report is too old."""
    adopted = gates.get("titular", {}).get("politica")
    reported = gates.get("conformidad", {}).get("reporte")
    found = []
    if adopted is not None and adopted != policy_sha256:
        found.append("titular")
    if reported is not None and not is_report_in_force(reported, today):
        found.append("conformidad")
    return found


def is_report_in_force(reported: str, today: date) -> bool:
    """Whether a conformance report of a day (ISO 8601) still says how the member's services are."""
    return today <= date.fromisoformat(reported) + REPORT_HOLDS


def is_issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    """Whether an authority's key signed a certificate."""
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def verify_over(
    certificate: x509.Certificate, signature: bytes, signed: bytes, digest: hashes.HashAlgorithm
) -> None:
    """Whether the certificate's key signed these bytes. Raises `InvalidSignature`."""
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, signed, ec.ECDSA(digest))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, signed, padding.PKCS1v15(), digest)
    else:
        raise InvalidSignature


def _refused(es: str, en: str) -> DomainError:
    return DomainError("SS-604", es, en, field="adopcion")
