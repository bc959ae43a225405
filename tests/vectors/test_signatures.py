"""Foreign message signatures give the verdicts their origin gives; ours are never laxer."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from certs.configuration import TrustedConfiguration
from certs.edges.configurationfiles import load_configuration_folder
from certs.verify.signature import FOREIGN_EVIDENCE, verify_message_signature
from schemas.faults import Fault
from schemas.identifiers import ClientId
from schemas.message import digest_of
from tests.paths import VECTORS
from tests.vectors.keystores import load

CASES = json.loads((VECTORS / "signatures/cases.json").read_text(encoding="utf-8"))["cases"]


class TestTrust(TrustedConfiguration):
    """good_v4 as X-Road's own tests bend it: one CA whatever the subject, class BUSINESS, code = CN."""

    __test__ = False

    def ca_certificates(self, instance: str) -> tuple[x509.Certificate, ...]:
        return (load("certs/root-ca.p12")[1],)

    signing_ca_certificates = ca_certificates

    def configured_responders_for(self, issuer: x509.Certificate) -> tuple[x509.Certificate, ...]:
        return self.ocsp_responder_certificates()

    def member_of_signing_certificate(self, certificate: x509.Certificate, instance: str) -> ClientId:
        name = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
        return ClientId(instance, "BUSINESS", str(name))


@cache
def trust(name: str) -> TrustedConfiguration:
    if name == "v4":
        found = load_configuration_folder(VECTORS / "globalconf/good_v4", strict=False)
        return TestTrust(found.instance, found.instances, found.parts)
    return load_configuration_folder(VECTORS / "globalconf/good2_v3")


def content(part: dict[str, str]) -> bytes:
    if "file" in part:
        return (VECTORS / part["file"]).read_bytes()
    return part["text"].encode() if "text" in part else bytes.fromhex(part["hex"])


def optional(name: str | None) -> bytes | None:
    return None if name is None else (VECTORS / name).read_bytes()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
def test_case(case: dict[str, Any]) -> None:
    at = datetime(2014, 10, 30, tzinfo=UTC) if case["at"] is None else datetime.fromisoformat(case["at"])
    signer = ClientId(*(case["signer"] or "EE/BUSINESS/consumer").split("/"))
    if case["name"] == "valid-direct-references":
        # Recorded the same day: this moment satisfies the certificate and the OCSP response alike.
        at = datetime(2024, 7, 9, 8, tzinfo=UTC)

    def verify() -> None:
        verify_message_signature(
            (VECTORS / case["signature"]).read_bytes(),
            optional(case.get("hash_chain_result")),
            optional(case.get("hash_chain")),
            [(p["uri"], digest_of(content(p))) for p in case.get("parts", ())],
            signer,
            trust(case["trust"]),
            at,
            policy=FOREIGN_EVIDENCE,
        )

    if case["expect"]["outcome"] == "valid":
        verify()
        return
    with pytest.raises(Fault) as caught:
        verify()
    assert case["expect"]["code"] in caught.value.code
