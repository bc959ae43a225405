"""A member's signed preflight report: the proof that its machine meets the targets, as a gate of onboarding asks for it.

Pure. The report is signed by the member's own signing key, under a certificate of an authority that ONIESS trusts for
members' servers; when ONIESS has been told of none, no report is taken.

Spec: the domain reference F24, 5.5 (gate conformidad); S01.
"""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes

from schemas.jsontext import load_json
from social_security.domain.faults import DomainError
from social_security.oniess.adoption import is_issued, verify_over

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT = "sacbe-preflight/1"
MAX_AGE = timedelta(days=30)
# By the end of the algorithm's URI (RFC 9231).
_DIGESTS = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384(), "sha512": hashes.SHA512()}


def check_preflight(
    signed: Mapping[str, Any], member: str, authorities: Sequence[x509.Certificate], now: datetime
) -> None:
    """Refuse a report that does not prove what it says. Raises `DomainError` SS-602.

    1. The certificate is of a trusted authority, valid now, and names the member. 2. Its key signed the report's bytes.
    3. The report is of the member's server, and at most 30 days old. 4. Every target was met.
    """
    try:
        document = base64.b64decode(signed["document"], validate=True)
        (entry,) = signed["signatures"]
        certificate = x509.load_der_x509_certificate(base64.b64decode(entry["certificate"], validate=True))
        value = base64.b64decode(entry["value"], validate=True)
        digest = _DIGESTS[str(entry["algorithm"]).rpartition("-")[2]]
        report = load_json(document)
    except (ValueError, KeyError, TypeError):
        raise _refused("no se entiende", "it is not understood") from None
    names = {a.value for a in certificate.subject}
    code = member.rpartition("/")[2]
    if (  # 1
        not any(is_issued(certificate, authority) for authority in authorities)
        or not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc
        or code not in names
    ):
        raise _refused(
            f"el certificado no es de {code} ni de una autoridad de confianza",
            f"the certificate is not of {code} by a trusted authority",
        )
    try:
        verify_over(certificate, value, document, digest)  # 2
    except InvalidSignature:
        raise _refused("la firma no corresponde", "the signature does not hold") from None
    if report.get("format") != FORMAT or not str(report.get("server", "")).startswith(f"{member}/"):  # 3
        raise _refused("es de otro servidor", "it is of another server")
    made = datetime.fromisoformat(report["at"])
    if not made - MAX_AGE <= now <= made + MAX_AGE:
        raise _refused("tiene más de 30 días", "it is older than 30 days")
    failed = [str(c["id"]) for c in report["checks"] if not c["passed"]]
    if failed or not report["checks"]:  # 4
        raise _refused(f"no se cumplieron: {', '.join(failed)}", f"not met: {', '.join(failed)}")


def _refused(es: str, en: str) -> DomainError:
    return DomainError("SS-602", f"preflight: {es}", f"preflight: {en}", field="preflight")
