"""Paths: what an issuer, a leaf and everything between must be."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

import pytest
from asn1crypto import core, keys
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from certs.der import LARGEST_BYTES
from certs.proofmemory import ProofMemory
from certs.verify.chain import ChainPolicy, LeafKind, check_kind, check_valid_at, verify_chain
from schemas.faults import NotProved
from tests.worlds import NOW

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Anchors:
    certificates: tuple[x509.Certificate, ...]
    signing: tuple[x509.Certificate, ...] | None = None
    memory: ProofMemory = field(default_factory=ProofMemory, compare=False)

    def ca_certificates(self, instance: str) -> tuple[x509.Certificate, ...]:
        return self.certificates

    def signing_ca_certificates(self, instance: str) -> tuple[x509.Certificate, ...]:
        return self.certificates if self.signing is None else self.signing


def trust(*anchors: x509.Certificate, signing: tuple[x509.Certificate, ...] | None = None) -> Anchors:
    return Anchors(anchors, signing)


@cache
def key(name: str) -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


USAGE = {
    "digital_signature": False,
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "key_cert_sign": False,
    "crl_sign": False,
    "encipher_only": False,
    "decipher_only": False,
}


def certificate(
    subject: str,
    issuer: str,
    *,
    public_key: object = None,
    ca: bool | None = None,
    length: int | None = None,
    usage: str | None = None,
    extra: tuple[x509.ExtensionType, bool] | None = None,
    days: int = 10,
) -> x509.Certificate:
    builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
    builder = builder.public_key(public_key or key(subject).public_key())  # type: ignore[arg-type]
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=days))
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca, length), critical=True)
    if usage is not None:
        builder = builder.add_extension(x509.KeyUsage(**{**USAGE, usage: True}), critical=True)
    if extra is not None:
        builder = builder.add_extension(extra[0], critical=extra[1])
    return builder.sign(key(issuer), hashes.SHA256())


def root(**changes: object) -> x509.Certificate:
    return certificate("root", "root", **{"ca": True, "usage": "key_cert_sign", **changes})  # type: ignore[arg-type]


def path(leaf: x509.Certificate, *extras: x509.Certificate, anchors: Anchors, **how: object) -> int:
    return len(verify_chain(leaf, extras, anchors, "MX", NOW, **how))  # type: ignore[arg-type]


def test_a_path_ends_at_the_first_anchor() -> None:
    middle = certificate("middle", "root", ca=True, usage="key_cert_sign")
    leaf = certificate("leaf", "middle")
    assert path(leaf, middle, anchors=trust(root())) == 3
    assert path(leaf, anchors=trust(root(), middle)) == 2


def test_nobody_there_that_issued_it() -> None:
    leaf = certificate("leaf", "middle")
    with pytest.raises(NotProved) as caught:
        path(leaf, anchors=trust(root()))
    assert caught.value.code == "cannot_create_cert_path"


def test_an_issuer_of_the_right_name_and_another_key_is_no_issuer() -> None:
    impostor = certificate("root", "other", ca=True, public_key=key("other").public_key())
    with pytest.raises(NotProved) as caught:
        path(certificate("leaf", "root"), anchors=trust(impostor))
    assert caught.value.code == "cannot_create_cert_path"


@pytest.mark.parametrize(
    "changes", [{"ca": None}, {"ca": False}, {"usage": "crl_sign"}], ids=["no constraints", "no CA", "usage"]
)
def test_an_anchor_that_may_not_issue_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(NotProved) as caught:
        path(certificate("leaf", "root"), anchors=trust(root(**changes)))
    assert caught.value.code == "cert_validation"


def test_a_path_longer_than_its_anchor_allows_is_refused() -> None:
    middle = certificate("middle", "root", ca=True, usage="key_cert_sign")
    with pytest.raises(NotProved, match="may not issue"):
        path(certificate("leaf", "middle"), middle, anchors=trust(root(length=0)))


def test_a_leaf_among_the_extras_issues_nothing() -> None:
    leaf = certificate("middle", "root", ca=False)
    with pytest.raises(NotProved):
        path(certificate("forged", "middle"), leaf, anchors=trust(root()))


def test_a_path_that_never_ends_is_refused() -> None:
    names = [f"ca{n}" for n in range(12)]
    extras = [
        certificate(a, b, ca=True, usage="key_cert_sign") for a, b in itertools.pairwise([*names, "root"])
    ]
    with pytest.raises(NotProved, match="too long"):
        path(certificate("leaf", "ca0"), *extras, anchors=trust(root()))


def test_a_circle_of_issuers_is_refused() -> None:
    one = certificate("one", "two", ca=True, usage="key_cert_sign")
    two = certificate("two", "one", ca=True, usage="key_cert_sign")
    with pytest.raises(NotProved):
        path(certificate("leaf", "one"), one, two, anchors=trust(root()))


def test_an_unknown_critical_extension_is_refused() -> None:
    unknown = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    with pytest.raises(NotProved, match=r"1\.2\.3\.4"):
        path(certificate("leaf", "root", extra=(unknown, True)), anchors=trust(root()))
    assert path(certificate("leaf", "root", extra=(unknown, False)), anchors=trust(root())) == 2


def test_a_small_rsa_key_is_refused_but_in_old_evidence() -> None:
    small = rsa.generate_private_key(65537, 1024).public_key()
    leaf = certificate("leaf", "root", public_key=small)
    with pytest.raises(NotProved, match="1024 bits"):
        path(leaf, anchors=trust(root()))
    assert path(leaf, anchors=trust(root()), policy=ChainPolicy(allow_weak=True)) == 2
    fit = rsa.generate_private_key(65537, 2048).public_key()
    assert path(certificate("leaf", "root", public_key=fit), anchors=trust(root())) == 2


def test_a_key_of_another_kind_is_refused() -> None:
    leaf = certificate("leaf", "root", public_key=ed25519.Ed25519PrivateKey.generate().public_key())
    with pytest.raises(NotProved, match="RSA or EC"):
        path(leaf, anchors=trust(root()))


@pytest.mark.parametrize("which", ["leaf", "anchor"])
def test_every_certificate_of_the_path_must_be_valid(which: str) -> None:
    leaf = certificate("leaf", "root", days=10 if which == "anchor" else 3)
    anchors = trust(root(days=3 if which == "anchor" else 10))
    assert len(verify_chain(leaf, (), anchors, "MX", NOW)) == 2
    with pytest.raises(NotProved) as caught:
        verify_chain(leaf, (), anchors, "MX", NOW + timedelta(days=5))
    assert caught.value.code == "cert_validation"
    with pytest.raises(NotProved):
        check_valid_at(leaf, NOW - timedelta(days=2))


def test_a_ca_for_authentication_only_issues_no_signing_certificate() -> None:
    leaf = certificate("leaf", "root", usage="content_commitment")
    anchors = trust(root(), signing=())
    with pytest.raises(NotProved) as caught:
        path(leaf, anchors=anchors, leaf_kind=LeafKind.SIGNING)
    assert caught.value.code == "cannot_create_cert_path"
    assert path(leaf, anchors=anchors) == 2


@pytest.mark.parametrize(
    ("usage", "extra", "kinds"),
    [
        ("content_commitment", None, {LeafKind.SIGNING}),
        ("digital_signature", None, {LeafKind.AUTHENTICATION}),
        ("key_encipherment", None, {LeafKind.AUTHENTICATION}),
        ("data_encipherment", None, {LeafKind.AUTHENTICATION}),
        ("crl_sign", None, set()),
        ("crl_sign", ExtendedKeyUsageOID.CLIENT_AUTH, {LeafKind.AUTHENTICATION}),
        ("crl_sign", ExtendedKeyUsageOID.SERVER_AUTH, set()),
        (None, None, set()),
    ],
)
def test_kinds_of_certificate(
    usage: str | None, extra: ObjectIdentifier | None, kinds: set[LeafKind]
) -> None:
    extended = None if extra is None else (x509.ExtendedKeyUsage([extra]), False)
    leaf = certificate("leaf", "root", usage=usage, extra=extended)
    check_kind(leaf, LeafKind.ANY)
    for kind in (LeafKind.SIGNING, LeafKind.AUTHENTICATION):
        if kind in kinds:
            check_kind(leaf, kind)
        else:
            with pytest.raises(NotProved) as caught:
                check_kind(leaf, kind)
            assert caught.value.code == "wrong_cert_usage"


def test_a_curve_is_one_that_is_named_in_a_certificate_that_can_be_read() -> None:
    with pytest.raises(NotProved, match="writes its curve out"):
        path(explicit_curve_leaf(), anchors=trust(root()))
    large = x509.UnrecognizedExtension(ObjectIdentifier("1.2.3.4"), bytes(LARGEST_BYTES))
    with pytest.raises(NotProved, match=f"cannot be read: .* at most {LARGEST_BYTES} are read"):
        path(certificate("leaf", "root", extra=(large, False)), anchors=trust(root()))


def explicit_curve_leaf() -> x509.Certificate:
    """A leaf whose key says all of P-256's numbers instead of its name."""
    read = asn1.Certificate.load(certificate("leaf", "root").public_bytes(Encoding.DER))
    tbs = read["tbs_certificate"]
    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    a, b = p - 3, 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    gx, gy = ec_base()
    domain = keys.SpecifiedECDomain(
        {
            "version": "ecdpVer1",
            "field_id": {"field_type": "prime_field", "parameters": core.Integer(p)},
            "curve": {"a": a.to_bytes(32, "big"), "b": b.to_bytes(32, "big")},
            "base": b"\x04" + gx + gy,
            "order": 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
            "cofactor": 1,
        }
    )
    tbs["subject_public_key_info"]["algorithm"]["parameters"] = keys.ECDomainParameters("specified", domain)
    read["signature_value"] = key("root").sign(tbs.dump(force=True), ec.ECDSA(hashes.SHA256()))
    return x509.load_der_x509_certificate(read.dump(force=True))


def ec_base() -> tuple[bytes, bytes]:
    numbers = ec.derive_private_key(1, ec.SECP256R1()).public_key().public_numbers()
    return numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")


def signed_otherwise(
    given: x509.Certificate, algorithm: str, sign: Callable[[bytes], bytes]
) -> x509.Certificate:
    """A certificate that says it is signed by another algorithm, with what that made of it."""
    read = asn1.Certificate.load(given.public_bytes(Encoding.DER))
    for place in (read["tbs_certificate"]["signature"], read["signature_algorithm"]):
        place["algorithm"] = algorithm
        del place["parameters"]
    read["signature_value"] = sign(read["tbs_certificate"].dump(force=True))
    return x509.load_der_x509_certificate(read.dump(force=True))


def sha1_leaf() -> x509.Certificate:
    leaf = certificate("leaf", "root")
    return signed_otherwise(leaf, "sha1_ecdsa", lambda data: key("root").sign(data, ec.ECDSA(hashes.SHA1())))


def test_a_weak_digest_counts_for_old_evidence_alone() -> None:
    rsa_key = rsa.generate_private_key(65537, 2048)
    by_rsa = signed_otherwise(
        certificate("leaf", "root"),
        "sha1_rsa",
        lambda data: rsa_key.sign(data, padding.PKCS1v15(), hashes.SHA1()),
    )
    old, rsa_root = ChainPolicy(allow_weak=True), root(public_key=rsa_key.public_key())
    for leaf, anchor, other in ((sha1_leaf(), root(), rsa_root), (by_rsa, rsa_root, root())):
        assert path(leaf, anchors=trust(anchor), policy=old) == 2
        with pytest.raises(NotProved, match="is signed with sha1, which is too weak"):
            path(leaf, anchors=trust(anchor))
        with pytest.raises(NotProved, match="no path leads"):
            path(leaf, anchors=trust(other), policy=old)


@pytest.mark.parametrize("policy", [None, ChainPolicy(allow_weak=True)], ids=["traffic", "old evidence"])
def test_an_algorithm_that_nobody_knows_here_proves_nothing_and_is_an_anchors_own_affair(
    policy: ChainPolicy | None,
) -> None:
    strange = [
        signed_otherwise(c, "1.2.3.4", lambda _data: bytes(64)) for c in (root(), certificate("leaf", "root"))
    ]
    assert path(certificate("leaf", "root"), anchors=trust(strange[0]), policy=policy) == 2
    with pytest.raises(NotProved) as caught:
        path(strange[1], anchors=trust(root()), policy=policy)
    assert caught.value.code == "cannot_create_cert_path"


def test_what_a_key_of_another_kind_is_said_to_have_signed_over_sha1_is_issued_by_nobody() -> None:
    strange = certificate(
        "root",
        "root",
        public_key=ed25519.Ed25519PrivateKey.generate().public_key(),
        ca=True,
        usage="key_cert_sign",
    )
    with pytest.raises(NotProved) as caught:
        path(sha1_leaf(), anchors=trust(strange), policy=ChainPolicy(allow_weak=True))
    assert caught.value.code == "cannot_create_cert_path"
