"""Foreign certificates: profiles, paths and OCSP answers give the verdicts their origin gives."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as ocsp_library
from cryptography.x509.oid import NameOID, ObjectIdentifier

from certs import profiles
from certs.certificates import parse_certificate
from certs.proofmemory import ProofMemory
from certs.verify import chain as chains
from certs.verify import ocsp
from schemas.faults import Fault, Kind, NotProved
from tests.paths import VECTORS
from tests.vectors.keystores import load

CASES = json.loads((VECTORS / "certs/cases.json").read_text(encoding="utf-8"))
NAMES = {
    "C": NameOID.COUNTRY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
    "SERIALNUMBER": NameOID.SERIAL_NUMBER,
    "S": NameOID.STATE_OR_PROVINCE_NAME,
}
NOW = datetime(2020, 1, 1, tzinfo=UTC)


class Trust:
    """A configuration with given anchors and responders."""

    def __init__(
        self,
        anchors: tuple[x509.Certificate, ...],
        responders: tuple[x509.Certificate, ...] = (),
        *,
        verify_next_update: bool = True,
    ) -> None:
        self.memory = ProofMemory()
        self._anchors = anchors
        self._responders = responders
        self.verify_next_update = verify_next_update
        self.ocsp_freshness_s = 3600

    def ca_certificates(self, instance: str) -> tuple[x509.Certificate, ...]:
        return self._anchors

    def signing_ca_certificates(self, instance: str) -> tuple[x509.Certificate, ...]:
        return self.ca_certificates(instance)

    def all_ca_certificates(self) -> tuple[x509.Certificate, ...]:
        return self._anchors

    def configured_responders_for(self, issuer: x509.Certificate) -> tuple[x509.Certificate, ...]:
        return self._responders

    def ocsp_responder_certificates(self) -> tuple[x509.Certificate, ...]:
        return self._responders


@pytest.mark.parametrize("case", CASES["profiles"], ids=lambda c: f"{c['profile']}:{c['subject']}")
@pytest.mark.xroad("F035")
def test_profile(case: dict[str, Any]) -> None:
    if case["subject"].startswith("the subject of"):
        certificate = parse_certificate(
            (VECTORS / case["subject"].removeprefix("the subject of ")).read_bytes()
        )
        found = profiles.STANDARD_PROFILES.member_of_certificate(case["profile"], certificate, "XX")
        assert found.path() == case["answer"]
        return
    subject: dict[ObjectIdentifier, str] = {}
    for part in case["subject"].split(", "):
        name, _, value = part.partition("=")
        subject[NAMES.get(name.upper()) or ObjectIdentifier(name)] = value
    if case["answer"] is None:
        with pytest.raises(NotProved):
            profiles.STANDARD_PROFILES.member_of_fields(case["profile"], subject, "XX")
    else:
        assert (
            profiles.STANDARD_PROFILES.member_of_fields(case["profile"], subject, "XX").path()
            == case["answer"]
        )


@pytest.mark.parametrize("case", CASES["chains"], ids=lambda c: c["name"])
def test_chain(case: dict[str, Any]) -> None:
    leaf = load(case["leaf"])[1]
    intermediates = [load(name)[1] for name in case["intermediates"]]
    root = load(case["root"])[1]
    trust = Trust((root,))
    at = leaf.not_valid_before_utc + timedelta(days=1)

    def check() -> None:
        path = chains.verify_chain(
            leaf, intermediates, trust, "XX", at, policy=chains.ChainPolicy(allow_weak=True)
        )
        answered = case["ocsp"]
        if answered == "not asked":
            return
        policy = ocsp.OcspPolicy(3600, verify_next_update=True, check_responder_validity=False)
        signer_key, signer = load("certs/ocspsigner.p12")
        responders = Trust((root,), (signer,))
        for certificate, issuer in itertools.pairwise(path):
            missing = "none for ca_2" in answered and certificate == load("certs/test_chain/ca_2.p12")[1]
            if missing:
                raise NotProved(Kind.CERT_VALIDATION, "no OCSP response")
            status = "revoked" if answered == "revoked for all" else "good"
            answer = make_answer(certificate, issuer, (signer_key, signer), status, at, None, at)
            ocsp.check_response(answer, certificate, issuer, responders, at, policy)

    if case["expect"]["outcome"] == "valid":
        check()
    else:
        with pytest.raises(NotProved):
            check()


def make_answer(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    signer: tuple[Any, x509.Certificate],
    status: str,
    this_update: datetime,
    next_update: datetime | None,
    now: datetime,
) -> bytes:
    statuses = {
        "good": ocsp_library.OCSPCertStatus.GOOD,
        "revoked": ocsp_library.OCSPCertStatus.REVOKED,
        "unknown": ocsp_library.OCSPCertStatus.UNKNOWN,
    }
    builder = ocsp_library.OCSPResponseBuilder().add_response(
        certificate,
        issuer,
        hashes.SHA1(),
        statuses[status],
        this_update,
        next_update,
        now if status == "revoked" else None,
        None,
    )
    builder = builder.responder_id(ocsp_library.OCSPResponderEncoding.HASH, signer[1]).certificates(
        [signer[1]]
    )
    return builder.sign(signer[0], hashes.SHA256()).public_bytes(Encoding.DER)


def moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    value, _, unit = text.removeprefix("now").strip().partition(" ") if text != "now" else ("", "", "")
    if not value:
        return NOW
    sign = 1 if value == "+" else -1
    amount, _, unit = unit.partition(" ")
    return NOW + sign * timedelta(seconds=float(amount) * (86400 if unit.startswith("day") else 1))


@pytest.mark.parametrize("case", CASES["ocsp"], ids=lambda c: c["name"])
def test_ocsp(case: dict[str, Any]) -> None:
    spec, ask = case["answer"], case["verify"]
    this_update, next_update = moment(spec["thisUpdate"]), moment(spec["nextUpdate"])
    assert this_update is not None
    if next_update is not None and next_update <= this_update:
        # The library refuses to build an answer that ends before it begins; what counts is that it has ended.
        next_update -= timedelta(seconds=2)
        this_update = next_update - timedelta(seconds=1)
    answer = make_answer(
        load(spec["for"])[1],
        load(spec["issuer"])[1],
        load(spec["signed_by"]),
        spec["status"].split()[0],
        this_update,
        next_update,
        NOW,
    )
    root = load("certs/test_chain/root_ca.p12")[1]
    trust = Trust((root,), (root,), verify_next_update=ask["check_nextUpdate"])
    policy = ocsp.OcspPolicy(
        3600, verify_next_update=ask["check_nextUpdate"], skew_s=None, check_responder_validity=False
    )

    def check() -> None:
        ocsp.check_response(answer, load(ask["subject"])[1], load(ask["issuer"])[1], trust, NOW, policy)

    if case["expect"]["outcome"] == "valid":
        check()
        return
    with pytest.raises(Fault) as caught:
        check()
    code = case["expect"]["code"]
    assert caught.value.code == code
