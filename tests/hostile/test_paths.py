"""Certificate paths that a stranger, or a CA gone astray, may offer. PKITS and x509-limbo have more: see vectors and interop."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from certs.verify.chain import ChainPolicy, verify_chain
from certs.verify.nameconstraints import check_name_constraints
from schemas.faults import NotProved
from tests.unit.certs.test_chains import certificate, key, name, path, root, trust
from tests.worlds import NOW

OUTSIDE = [
    ([x509.DNSName("gob.mx")], [], x509.DNSName("gob.mx.evil.example")),
    ([x509.DNSName("gob.mx")], [], x509.DNSName("egob.mx")),
    ([x509.DNSName("gob.mx")], [], x509.DNSName("x.gob.mx.")),
    ([], [x509.DNSName("issste.gob.mx")], x509.DNSName("ISSSTE.gob.mx")),
    ([], [x509.DNSName("issste.gob.mx")], x509.DNSName("issste.gob.mx.")),
    ([], [x509.DNSName("issste.gob.mx")], x509.DNSName("*.gob.mx")),
    ([], [x509.DNSName(".gob.mx")], x509.DNSName("x.example")),
    ([x509.DNSName("")], [x509.DNSName("")], x509.DNSName("x.example")),
    (
        [x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))],
        [],
        x509.IPAddress(ipaddress.ip_address("11.0.0.1")),
    ),
    (
        [],
        [x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))],
        x509.IPAddress(ipaddress.ip_address("::ffff:10.1.1.1")),
    ),
    ([x509.RFC822Name("gob.mx")], [], x509.RFC822Name("a@b.gob.mx")),
    ([x509.RFC822Name("gob.mx")], [], x509.RFC822Name._init_without_validation("a@evil@gob.mx")),
    ([x509.RFC822Name("a@gob.mx")], [], x509.RFC822Name("A@gob.mx")),
    (
        [x509.UniformResourceIdentifier(".gob.mx")],
        [],
        x509.UniformResourceIdentifier("https://gob.mx@evil.example/"),
    ),
    (
        [x509.UniformResourceIdentifier("gob.mx")],
        [],
        x509.UniformResourceIdentifier("https://evil.example#gob.mx"),
    ),
    ([x509.UniformResourceIdentifier("gob.mx")], [], x509.UniformResourceIdentifier("urn:gob.mx")),
    ([x509.UniformResourceIdentifier("gob.mx")], [], x509.UniformResourceIdentifier("https://[::1]/")),
    ([], [x509.DirectoryName(name("LEAF"))], None),
    ([x509.DirectoryName(name("leaf2"))], [], None),
    (
        [],
        [x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))],
        x509.RegisteredID(x509.ObjectIdentifier("1.2.4")),
    ),
]
INSIDE = [
    ([x509.DNSName("gob.mx")], [], x509.DNSName("A.GOB.mx")),
    ([x509.DNSName("gob.mx")], [x509.DNSName("x.gob.mx")], x509.DNSName("y.gob.mx")),
    ([x509.DNSName("gob.mx")], [], None),
    ([x509.DNSName("gob.mx")], [], x509.DNSName("*.gob.mx")),
    ([x509.RFC822Name(".gob.mx")], [], x509.RFC822Name("a@b.gob.mx")),
    (
        [x509.UniformResourceIdentifier(".gob.mx")],
        [],
        x509.UniformResourceIdentifier("https://b.gob.mx:8443/x"),
    ),
    ([x509.DirectoryName(name("leaf"))], [], x509.DNSName("anything.example")),
    ([], [x509.RegisteredID(x509.ObjectIdentifier("1.2.3"))], x509.DNSName("anything.example")),
]


def constrained(permitted: list[x509.GeneralName], excluded: list[x509.GeneralName]) -> x509.Certificate:
    constraints = x509.NameConstraints(permitted or None, excluded or None)
    return root(extra=(constraints, True))


def named(alternative: x509.GeneralName | None) -> x509.Certificate:
    extra = None if alternative is None else (x509.SubjectAlternativeName([alternative]), False)
    return certificate("leaf", "root", extra=extra)


@pytest.mark.parametrize(("permitted", "excluded", "alternative"), OUTSIDE)
def test_a_name_outside_of_its_ca_s_constraints_is_refused(
    permitted: list[x509.GeneralName], excluded: list[x509.GeneralName], alternative: x509.GeneralName | None
) -> None:
    with pytest.raises(NotProved) as caught:
        path(named(alternative), anchors=trust(constrained(permitted, excluded)))
    assert caught.value.code == "cert_validation"


@pytest.mark.parametrize(("permitted", "excluded", "alternative"), INSIDE)
def test_a_name_within_its_ca_s_constraints_is_taken(
    permitted: list[x509.GeneralName], excluded: list[x509.GeneralName], alternative: x509.GeneralName | None
) -> None:
    assert path(named(alternative), anchors=trust(constrained(permitted, excluded))) == 2


def test_a_mailbox_in_the_subject_is_constrained_too() -> None:
    subject = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@evil.example")])
    with pytest.raises(NotProved, match=r"evil\.example"):
        check_name_constraints([renamed(subject), constrained([x509.RFC822Name("gob.mx")], [])])


def renamed(subject: x509.Name) -> x509.Certificate:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(name("root"))
    builder = builder.public_key(key("leaf").public_key()).serial_number(1)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    return builder.sign(key("root"), hashes.SHA256())


def test_many_names_below_many_constraints_are_refused_at_once() -> None:
    many = [x509.DNSName(f"a{n}.example") for n in range(600)]
    ca = root(extra=(x509.NameConstraints(many, None), True))
    leaf = certificate("leaf", "root", extra=(x509.SubjectAlternativeName(many), False))
    began = time.process_time()
    with pytest.raises(NotProved, match="too many"):
        path(leaf, anchors=trust(ca))
    assert time.process_time() - began < 5


def test_a_ca_s_constraints_reach_below_a_ca_that_says_none() -> None:
    middle = certificate("middle", "root", ca=True, usage="key_cert_sign")
    leaf = certificate(
        "leaf", "middle", extra=(x509.SubjectAlternativeName([x509.DNSName("x.example")]), False)
    )
    with pytest.raises(NotProved, match="name constraints"):
        path(leaf, middle, anchors=trust(constrained([x509.DNSName("gob.mx")], [])))


def test_an_expired_intermediate_is_refused_and_its_renewal_found_beside_it() -> None:
    old = certificate("middle", "root", ca=True, usage="key_cert_sign", days=3)
    new = certificate("middle", "root", ca=True, usage="key_cert_sign", days=30)
    leaf, anchors, later = certificate("leaf", "middle"), trust(root()), NOW + timedelta(days=5)
    assert len(verify_chain(leaf, (old,), anchors, "MX", NOW)) == 3
    with pytest.raises(NotProved, match="is valid from"):
        verify_chain(leaf, (old,), anchors, "MX", later)
    assert verify_chain(leaf, (old, new), anchors, "MX", later)[1] == new


def test_of_two_issuers_of_one_name_the_one_that_leads_to_an_anchor_is_found() -> None:
    astray = certificate("middle", "nobody", ca=True, usage="key_cert_sign")
    right = certificate("middle", "root", ca=True, usage="key_cert_sign")
    assert path(certificate("leaf", "middle"), astray, right, anchors=trust(root())) == 3


def test_a_crowd_of_issuers_of_one_name_is_not_searched_without_end() -> None:
    names = ["a", "b", "a", "b", "a", "b"]
    crowd = [
        certificate(x, y, ca=True, usage="key_cert_sign")
        for x, y in zip(names * 10, (names[1:] + names[:1]) * 10, strict=True)
    ]
    began = time.process_time()
    with pytest.raises(NotProved) as caught:
        path(certificate("leaf", "a"), *crowd, anchors=trust(root()))
    assert caught.value.code == "cannot_create_cert_path"
    assert time.process_time() - began < 5


WEAK_KEYS: dict[str, Callable[[], CertificatePublicKeyTypes]] = {
    "RSA of exponent 3": lambda: rsa.generate_private_key(3, 2048).public_key(),
    "RSA of 1024 bits": lambda: rsa.generate_private_key(65537, 1024).public_key(),
    "P-192": lambda: ec.generate_private_key(ec.SECP192R1()).public_key(),
}


@pytest.mark.parametrize("weak", WEAK_KEYS)
def test_a_weak_key_is_refused_wherever_it_stands(weak: str) -> None:
    public = WEAK_KEYS[weak]()
    leaf = certificate("leaf", "root", public_key=public)
    with pytest.raises(NotProved, match="is the least"):
        path(leaf, anchors=trust(root()))
    assert path(leaf, anchors=trust(root()), policy=ChainPolicy(allow_weak=True)) == 2


def test_an_anchor_with_a_weak_key_issues_nothing() -> None:
    weak = rsa.generate_private_key(3, 2048)
    builder = x509.CertificateBuilder().issuer_name(name("root")).serial_number(1)
    builder = builder.not_valid_before(NOW).not_valid_after(NOW + timedelta(days=1))
    leaf = builder.subject_name(name("leaf")).public_key(key("leaf").public_key()).sign(weak, hashes.SHA256())
    ca = builder.subject_name(name("root")).public_key(weak.public_key())
    ca = ca.add_extension(x509.BasicConstraints(True, None), critical=True)
    with pytest.raises(NotProved, match="exponent 3"):
        path(leaf, anchors=trust(ca.sign(weak, hashes.SHA256())))


@pytest.mark.parametrize("changes", [{"ca": True}, {"usage": "key_cert_sign"}], ids=["cA", "keyCertSign"])
def test_a_ca_s_certificate_is_no_member_s(changes: dict[str, object]) -> None:
    with pytest.raises(NotProved, match="CA's certificate"):
        path(certificate("leaf", "root", **changes), anchors=trust(root()))  # type: ignore[arg-type]


def test_a_leaf_that_names_nobody_is_refused() -> None:
    with pytest.raises(NotProved, match="names nobody"):
        path(renamed(x509.Name([])), anchors=trust(root()))


def test_an_anchor_with_an_unknown_critical_extension_issues_nothing() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    with pytest.raises(NotProved, match=r"1\.2\.3\.4"):
        path(certificate("leaf", "root"), anchors=trust(root(extra=(unknown, True))))
