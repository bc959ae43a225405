"""x509-limbo's cases beside our verdicts, when ``LIMBO`` names its ``limbo.json``.

    git clone https://github.com/C2SP/x509-limbo && LIMBO=x509-limbo/limbo.json pytest tests/interop/test_limbo.py

Every case that is judged laxer or stricter here than there is named below with its reason; any other fails.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from certs.certificates import parse_certificate
from certs.proofmemory import ProofMemory
from certs.verify.chain import verify_chain
from schemas.faults import NotProved

LIMBO = os.environ.get("LIMBO", "")
pytestmark = [
    pytest.mark.skipif(not LIMBO, reason="LIMBO names no limbo.json of x509-limbo"),
    pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning"),
]
# Processor seconds for one case, on a machine that is busy and slow.
SLOW_S = 5.0
LAXER = {
    r"crl::": "revocation is told by OCSP here, and no CRL is read",
    r"pathlen::max-chain-depth-": "a depth that a caller sets: here it is always eight",
    r"rfc5280::aki::(leaf|intermediate|cross-signed-root)-missing-aki": "asked of CAs, not of who validates (RFC 5280 6.1)",
    r"rfc5280::ski::(root|intermediate)-missing-ski": "asked of CAs, not of who validates",
    r"rfc5280::root-non-critical-basic-constraints": "old roots are so; cA and pathLen are held either way",
    r"rfc5280::nc::permitted-dns-match-noncritical": "constraints that are not critical are held all the same",
    r"rfc5280::pc::ica-noncritical-pc": "certificate policies decide nothing on this road; critical ones are refused",
    r"rfc5280::serial::": "serial numbers identify nothing alone; up to 64 octets are read",
    r"rfc5280::eku::ee-wrong-eku": "purposes are X-Road's kinds: see LeafKind",
    r"rfc5280::san::(underscore-dns|ip-in-dns)": "members are named by the subject; no host is looked for",
    r"webpki::(aki|cn|eku|san)::": "names of hosts and purposes of the Web; members are named by the subject",
    r"webpki::forbidden-rsa-(key-)?not-divisible-by-8": "a rule of the Web for who makes keys",
    r"bettertls::nameconstraints::": "the host that was asked for is not looked for",
    r"online::": "the host that was asked for is not looked for",
}
STRICTER = {
    r"rfc5280::ca-as-leaf|pathlen::validation-ignores-pathlen-in-leaf": "a CA's certificate is no member's",
    r"rfc5280::validity::notafter-fractional": "ambiguous there; here notAfter is an instant",
    r"bettertls::": "issuers are matched by name, byte for byte",
    r"online::": "their time may be over",
}


@dataclass(frozen=True)
class Roots:
    """The trusted certificates of one case."""

    certificates: tuple[x509.Certificate, ...]
    memory: ProofMemory = field(default_factory=ProofMemory, compare=False)

    def ca_certificates(self, instance: str) -> tuple[x509.Certificate, ...]:
        return self.certificates

    def signing_ca_certificates(self, instance: str) -> tuple[x509.Certificate, ...]:
        return self.certificates


def cases() -> list[dict[str, Any]]:
    return list(json.loads(Path(LIMBO).read_text())["testcases"]) if LIMBO else []


def verdict(case: dict[str, Any]) -> str:
    """What is found here: nothing, or the reason of a refusal."""
    said = case["validation_time"]
    at = datetime.now(UTC) if said is None else datetime.fromisoformat(said)
    try:
        roots = tuple(parse_certificate(pem.encode()) for pem in case["trusted_certs"])
        between = [parse_certificate(pem.encode()) for pem in case["untrusted_intermediates"]]
        leaf = parse_certificate(case["peer_certificate"].encode())
        verify_chain(leaf, between, Roots(roots), "X", at)
    except NotProved as err:
        return err.detail
    return ""


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_a_path_is_judged_as_limbo_says_or_the_reason_is_known(case: dict[str, Any]) -> None:
    began = time.process_time()
    refusal = verdict(case)
    assert time.process_time() - began < SLOW_S
    if case["expected_result"] == ("FAILURE" if refusal else "SUCCESS"):
        return
    known = STRICTER if refusal else LAXER
    assert any(re.match(pattern, case["id"]) for pattern in known), (refusal, case["description"])
