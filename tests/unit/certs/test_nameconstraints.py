"""Name constraints and what a leaf may be, rule by rule (RFC 5280 4.2.1.10)."""

from __future__ import annotations

import ipaddress
from datetime import timedelta
from functools import cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import NameOID

from certs.proofmemory import ProofMemory
from certs.verify.chain import verify_chain
from certs.verify.nameconstraints import check_name_constraints
from schemas.faults import Kind, NotProved
from tests.worlds import NOW

DNS, MAIL, URI = x509.DNSName, x509.RFC822Name, x509.UniformResourceIdentifier


@cache
def key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def named(*values: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, value) for value in values])


def certificate(
    subject: x509.Name,
    *extensions: tuple[x509.ExtensionType, bool],
    issuer: x509.Name | None = None,
    public_key: CertificatePublicKeyTypes | None = None,
    digest: hashes.SHA256 | hashes.SHA3_256 | None = None,
) -> x509.Certificate:
    builder = x509.CertificateBuilder(
        named("CA") if issuer is None else issuer, subject, public_key or key().public_key(), 7
    )
    builder = builder.not_valid_before(NOW - timedelta(days=1)).not_valid_after(NOW + timedelta(days=1))
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(key(), digest or hashes.SHA256())


def alternative(*names: x509.GeneralName) -> tuple[x509.ExtensionType, bool]:
    return x509.SubjectAlternativeName(names), False


def ca(
    permitted: tuple[x509.GeneralName, ...] = (), excluded: tuple[x509.GeneralName, ...] = ()
) -> x509.Certificate:
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=True, path_length=None), True)
    ]
    if permitted or excluded:
        extensions.append((x509.NameConstraints(permitted or None, excluded or None), True))
    return certificate(named("CA"), *extensions)


def ip(text: str) -> x509.IPAddress:
    return x509.IPAddress(ipaddress.ip_network(text) if "/" in text else ipaddress.ip_address(text))


def directory(*values: str) -> x509.DirectoryName:
    return x509.DirectoryName(named(*values))


@pytest.mark.parametrize(
    ("constraint", "name"),
    [
        (DNS("gob.mx"), DNS("a.gob.mx")),
        (DNS("gob.mx"), DNS("GOB.mx")),
        (DNS(""), DNS("a.example")),
        (ip("10.0.0.0/8"), ip("10.1.2.3")),
        (ip("10.0.0.0/8"), ip("::ffff:10.1.2.3")),
        (MAIL("gob.mx"), MAIL("ana@gob.mx")),
        (MAIL(".gob.mx"), MAIL("ana@a.gob.mx")),
        (MAIL("ana@gob.mx"), MAIL("ana@GOB.mx")),
        (URI(".gob.mx"), URI("https://a.gob.mx/x")),
        (directory("a"), directory("a", "b")),
    ],
)
def test_a_name_below_a_constraint_is_permitted_by_it_and_excluded_by_it(
    constraint: x509.GeneralName, name: x509.GeneralName
) -> None:
    leaf = certificate(named("a"), alternative(name))
    check_name_constraints([leaf, ca(permitted=(constraint,))])
    with pytest.raises(NotProved, match="it excludes") as caught:
        check_name_constraints([leaf, ca(excluded=(constraint,))])
    assert caught.value.kind is Kind.CERT_VALIDATION


@pytest.mark.parametrize(
    ("constraint", "name"),
    [
        (DNS("gob.mx"), DNS("agob.mx")),
        (DNS("gob.mx"), DNS("mx")),
        (DNS("a.gob.mx"), DNS("*.gob.mx")),
        (ip("10.0.0.0/8"), ip("11.0.0.1")),
        (ip("10.0.0.0/8"), ip("::1")),
        (MAIL("gob.mx"), MAIL("ana@a.gob.mx")),
        (MAIL(".gob.mx"), MAIL("ana@gob.mx")),
        (MAIL("ana@gob.mx"), MAIL("eva@gob.mx")),
        (URI("gob.mx"), URI("https://a.gob.mx/x")),
        (directory("a"), directory("b")),
    ],
)
def test_a_name_beside_a_constraint_is_not_permitted(
    constraint: x509.GeneralName, name: x509.GeneralName
) -> None:
    with pytest.raises(NotProved, match="it does not permit"):
        check_name_constraints([certificate(named("a"), alternative(name)), ca(permitted=(constraint,))])


@pytest.mark.parametrize(
    ("constraint", "name", "words"),
    [
        (DNS("gob.mx"), DNS("10.0.0.1"), "no name of a host"),
        (DNS("gob.mx"), DNS("a_b..mx"), "no name of a host"),
        (URI("gob.mx"), URI("urn:a"), "no name of a host"),
        (x509.RegisteredID(x509.ObjectIdentifier("1.2.3")), x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
         "not known here"),
    ],
)  # fmt: skip
def test_a_name_that_cannot_be_compared_is_refused(
    constraint: x509.GeneralName, name: x509.GeneralName, words: str
) -> None:
    with pytest.raises(NotProved, match=words):
        check_name_constraints([certificate(named("a"), alternative(name)), ca(permitted=(constraint,))])


def test_a_wildcard_is_excluded_by_any_name_that_it_stands_for() -> None:
    leaf = certificate(named("a"), alternative(DNS("*.gob.mx")))
    with pytest.raises(NotProved, match="it excludes"):
        check_name_constraints([leaf, ca(excluded=(DNS("a.gob.mx"),))])
    check_name_constraints([leaf, ca(excluded=(DNS("a.b.gob.mx"),))])


def test_a_ca_that_certifies_its_own_new_key_need_not_permit_its_own_name() -> None:
    """RFC 5280 6.1.3 (b): a leaf is held to the constraints though it calls itself as its issuer does."""
    anchor, leaf = ca(permitted=(directory("a"),)), certificate(named("a"))
    check_name_constraints([leaf, ca(), anchor])
    for path in ([leaf, certificate(named("CA2")), anchor], [certificate(named("CA")), anchor]):
        with pytest.raises(NotProved, match="it does not permit"):
            check_name_constraints(path)


def test_names_and_constraints_without_end_are_not_compared() -> None:
    leaf = certificate(named("a"), alternative(*(DNS(f"a{n}.gob.mx") for n in range(400))))
    with pytest.raises(NotProved, match="too many names"):
        check_name_constraints([leaf, ca(permitted=tuple(DNS(f"b{n}.gob.mx") for n in range(3_000)))])


class Trusted:
    """Anchors of every instance."""

    def __init__(self, *certificates: x509.Certificate) -> None:
        self.certificates = certificates
        self.memory = ProofMemory()

    def ca_certificates(self, _instance: str) -> tuple[x509.Certificate, ...]:
        return self.certificates

    signing_ca_certificates = ca_certificates


def small_curve() -> x509.Certificate:
    """A certificate of a key on P-192, which is too small."""
    return certificate(named("a"), public_key=ec.generate_private_key(ec.SECP192R1()).public_key())


@pytest.mark.parametrize(
    ("leaf", "words"),
    [
        (
            certificate(named("a"), (x509.BasicConstraints(ca=True, path_length=None), True)),
            "is a CA's certificate",
        ),
        (
            certificate(named("a"), (x509.NameConstraints([DNS("a.mx")], None), True)),
            "which only a CA may have",
        ),
        (certificate(x509.Name([])), "names nobody"),
        (small_curve(), "an EC key of 192 bits"),
        (certificate(named("a"), public_key=rsa.generate_private_key(3, 2048).public_key()), "exponent 3"),
    ],
    ids=["CA", "constraints", "nobody", "curve", "exponent"],
)
def test_a_leaf_that_may_be_none_is_refused(leaf: x509.Certificate, words: str) -> None:
    with pytest.raises(NotProved, match=words):
        verify_chain(leaf, (), Trusted(ca()), "MX", NOW)


def test_a_ca_has_a_name() -> None:
    nobody = certificate(
        x509.Name([]), (x509.BasicConstraints(ca=True, path_length=None), True), issuer=x509.Name([])
    )
    leaf = certificate(named("a"), issuer=x509.Name([]))
    with pytest.raises(NotProved, match="a CA without a name"):
        verify_chain(leaf, (), Trusted(nobody), "MX", NOW)
