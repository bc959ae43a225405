"""NIST's PKITS paths and OpenSSL's OCSP responses, as the package cryptography-vectors carries them.

PKITS assumes CRLs; here revocation is OCSP's business, so its CRL cases are left to that and named below. What is stricter
here than PKITS asks is named too: no policy processing (critical: refused), no DSA, names of issuers compared byte for byte,
no CA's certificate as a leaf.

Project Wycheproof's vectors are not run: the package does not carry them, and no other Python or Debian package was found
that does.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import cryptography_vectors
import pytest
from cryptography import x509

from certs.proofmemory import ProofMemory
from certs.verify import chain as chains
from certs.verify import ocsp
from schemas.faults import NotProved
from tests.worlds import shared_parameters, trusted, world

X509 = Path(cryptography_vectors.__file__).parent / "x509"
PKITS = X509 / "PKITS_data" / "certs"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
REVOKED_BY_CRL_ONLY = re.compile(
    r"Invalid(BadCRL|MissingCRL|OldCRL|WrongCRL|UnknownCRL|pre2000CRL|Revoked|SeparateCertificateandCRL|BasicSelfIssued|"
    r"IDPwith|LongSerial|NegativeSerial|cRLIssuer|deltaCRL|distributionPoint|keyUsage(Not)?CriticalcRLSign|only)"
)
STRICTER_HERE = re.compile(
    r"(Valid(PolicyMapping|NameChaining(Cap|White)|DSA|Rollover|UTF8StringCase)|Validinhibit|inhibitAnyPolicy|ValidrequireExplicit|"
    r"ValidSelfIssued(inhibit|requireExplicit)|DifferentPoliciesTest[78]|OverlappingPoliciesTest6|ValidonlyContainsCACerts|"
    r"ValidpathLenConstraintTest(8|14))"
)


class Anchor:
    """The trust anchor of the suite alone."""

    memory = ProofMemory()

    def ca_certificates(self, instance: str) -> tuple[x509.Certificate, ...]:
        del instance
        return (load("TrustAnchorRootCertificate"),)

    def signing_ca_certificates(self, instance: str) -> tuple[x509.Certificate, ...]:
        return self.ca_certificates(instance)


@cache
def load(name: str) -> x509.Certificate:
    return x509.load_der_x509_certificate((PKITS / f"{name}.crt").read_bytes())


@cache
def intermediates() -> tuple[x509.Certificate, ...]:
    names = [p.stem for p in sorted(PKITS.glob("*.crt")) if not p.stem.endswith("EE")]
    # One inherits its DSA parameters, which the library does not read.
    return tuple(load(n) for n in names if not n.startswith(("TrustAnchor", "DSAParametersInherited")))


ALL = [p.stem for p in sorted(PKITS.glob("*EE.crt")) if not p.stem.startswith("ValidDSAParameter")]
CASES = [name for name in ALL if not REVOKED_BY_CRL_ONLY.match(name)]


@pytest.mark.filterwarnings(
    "ignore:Parsed a:UserWarning", "ignore::cryptography.utils.CryptographyDeprecationWarning"
)
@pytest.mark.parametrize("name", CASES)
def test_pkits_paths_are_judged_as_nist_says(name: str) -> None:
    expected = not name.startswith("Invalid")
    try:
        chains.verify_chain(load(name), intermediates(), Anchor(), "X", NOW)
        found = True
    except (NotProved, ValueError):
        found = False
    assert found is (expected and not STRICTER_HERE.match(name))


def test_most_of_pkits_is_judged_as_nist_judges() -> None:
    assert len([n for n in CASES if not STRICTER_HERE.match(n)]) > len(ALL) / 2


@pytest.mark.parametrize("path", sorted((X509 / "ocsp").glob("resp-*.der")), ids=lambda p: p.stem)
def test_foreign_ocsp_responses_are_read_and_never_taken_for_another_certificate_s(path: Path) -> None:
    pki = world().pki
    certificate = next(iter(world().identities.values())).certificate
    configuration = trusted(shared_parameters(pki, {}), NOW)
    with pytest.raises(NotProved) as caught:
        ocsp.check_response(path.read_bytes(), certificate, pki.intermediate, configuration, NOW)
    assert caught.value.detail
    assert not ocsp.is_about(path.read_bytes(), certificate, pki.intermediate)
