"""OCSP responses: who may give them, how old they may be, and that there is no soft failure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from asn1crypto import core
from asn1crypto import ocsp as asn1
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as library

from certs.tokens.soft import KeyKind
from certs.verify.ocsp import OcspPolicy, check_nonce, check_response, good_until, is_about, policy_of
from schemas.faults import NotProved
from schemas.globalconf.parts import render_verify_next_update
from schemas.globalconf.shared import CaInfo
from tests import worlds
from tests.worlds import CONSUMER, NOW, PROVIDER

HOUR = timedelta(hours=1)


def leaf() -> x509.Certificate:
    return worlds.world().identities[CONSUMER.member].certificate


def check(der: bytes, *, at: timedelta = timedelta(), policy: OcspPolicy | None = None) -> None:
    world = worlds.world()
    check_response(der, leaf(), world.pki.intermediate, world.configuration, NOW + at, policy)


def code_of(der: bytes, *, at: timedelta = timedelta(), policy: OcspPolicy | None = None) -> str:
    with pytest.raises(NotProved) as caught:
        check(der, at=at, policy=policy)
    return caught.value.code


def test_a_good_answer_counts_until_it_is_old() -> None:
    der = worlds.world().ocsp(leaf())
    check(der)
    check(der, at=HOUR)
    assert code_of(der, at=HOUR + timedelta(seconds=1)) == "incorrect_validation_info"


def test_an_answer_from_the_future_counts_within_the_skew_only() -> None:
    der = worlds.world().ocsp(leaf())
    check(der, at=-timedelta(seconds=60))
    assert code_of(der, at=-timedelta(seconds=61)) == "incorrect_validation_info"
    check(der, at=-HOUR, policy=OcspPolicy(3600, verify_next_update=True, skew_s=None))


def test_next_update_counts_unless_the_configuration_says_no() -> None:
    world = worlds.world()
    der = world.ocsp(leaf(), valid_for=timedelta(minutes=10))
    assert code_of(der, at=timedelta(minutes=11)) == "incorrect_validation_info"
    lenient = worlds.trusted(world.shared, NOW, nextupdate=render_verify_next_update(False))
    status = check_response(der, leaf(), world.pki.intermediate, lenient, NOW + timedelta(minutes=11))
    assert good_until(status, lenient) == NOW + HOUR
    assert good_until(status, world.configuration) == NOW + timedelta(minutes=10)
    assert policy_of(lenient).verify_next_update is False


@pytest.mark.xroad("F038")
@pytest.mark.parametrize(
    ("says", "reason", "is_revoked", "is_on_hold"),
    [
        (library.OCSPCertStatus.REVOKED, None, True, False),
        (library.OCSPCertStatus.REVOKED, x509.ReasonFlags.key_compromise, True, False),
        (library.OCSPCertStatus.REVOKED, x509.ReasonFlags.certificate_hold, True, True),
        (library.OCSPCertStatus.UNKNOWN, None, False, False),
    ],
)
def test_a_certificate_that_is_not_good_is_refused_with_its_own_code(
    says: library.OCSPCertStatus, reason: x509.ReasonFlags | None, is_revoked: bool, is_on_hold: bool
) -> None:
    world = worlds.world()
    at = NOW if is_revoked else None
    builder = library.OCSPResponseBuilder().add_response(
        leaf(), world.pki.intermediate, hashes.SHA1(), says, NOW, None, at, reason
    )
    builder = builder.responder_id(library.OCSPResponderEncoding.HASH, world.pki.ocsp_certificate)
    der = builder.sign(world.pki.key_of("ocsp"), hashes.SHA256()).public_bytes(Encoding.DER)
    with pytest.raises(NotProved) as caught:
        check(der)
    assert caught.value.code == "cert_validation"
    assert (caught.value.is_revoked, caught.value.is_on_hold) == (is_revoked, is_on_hold)


@pytest.mark.parametrize("status", [s for s in library.OCSPResponseStatus if s.value])
def test_a_responder_that_refuses_proves_nothing(status: library.OCSPResponseStatus) -> None:
    der = library.OCSPResponseBuilder.build_unsuccessful(status).public_bytes(Encoding.DER)
    assert code_of(der) == "incorrect_validation_info"
    assert not is_about(der, leaf(), worlds.world().pki.intermediate)


def test_an_answer_about_another_certificate_is_refused() -> None:
    world = worlds.world()
    other = world.ocsp(world.identities[PROVIDER.member].certificate)
    assert code_of(other) == "incorrect_validation_info"
    assert not is_about(other, leaf(), world.pki.intermediate)
    assert is_about(world.ocsp(leaf()), leaf(), world.pki.intermediate)
    assert not is_about(world.ocsp(leaf()), leaf(), world.pki.root)


@pytest.mark.parametrize("role", ["tsa", "root"])
def test_a_responder_that_is_not_authorised_is_refused(role: str) -> None:
    world = worlds.world()
    certificate = world.pki.tsa_certificate if role == "tsa" else world.pki.root
    der = world.ocsp(leaf(), signer=(certificate, world.pki.key_of(role)))
    assert code_of(der) == "incorrect_validation_info"


def test_the_issuer_itself_may_answer() -> None:
    world = worlds.world()
    check(world.ocsp(leaf(), signer=(world.pki.intermediate, world.pki.key_of("intermediate"))))


def test_a_delegated_responder_needs_no_configuration() -> None:
    world = worlds.world()
    (ca,) = world.shared.approved_cas
    bare = msgspec.structs.replace(ca, intermediates=(CaInfo(ca.intermediates[0].certificate),))
    unconfigured = worlds.trusted(replace(world.shared, approved_cas=(bare,)), NOW)
    check_response(world.ocsp(leaf()), leaf(), world.pki.intermediate, unconfigured, NOW)


@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_responder_may_be_named_and_its_name_written_back_to_front(*, is_reversed: bool) -> None:
    world = worlds.world()
    der = answered(library.OCSPResponderEncoding.NAME, world.pki.ocsp_certificate, world.pki.key_of("ocsp"))
    if is_reversed:
        key = world.pki.key_of("ocsp")
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        read = asn1.OCSPResponse.load(der)
        basic = read["response_bytes"]["response"].parsed
        backwards = x509.Name(world.pki.ocsp_certificate.subject.rdns[::-1])
        data = basic["tbs_response_data"]
        data["responder_id"] = asn1.ResponderId("by_name", asn1_x509.Name.load(backwards.public_bytes()))
        basic["signature"] = key.sign(data.dump(force=True), ec.ECDSA(hashes.SHA256()))
        read["response_bytes"]["response"] = core.ParsableOctetString(basic.dump(force=True))
        der = read.dump(force=True)
    check(der)


@pytest.mark.parametrize("encoding", list(library.OCSPResponderEncoding))
def test_a_responder_whose_key_is_of_another_kind_proves_nothing(
    encoding: library.OCSPResponderEncoding,
) -> None:
    """Its certificate comes along and its signature holds; RSA and EC keys alone answer here."""
    world, key = worlds.world(), ed25519.Ed25519PrivateKey.generate()
    known = world.pki.ocsp_certificate
    builder = x509.CertificateBuilder(known.issuer, known.subject, key.public_key(), known.serial_number)
    builder = builder.not_valid_before(NOW - HOUR).not_valid_after(NOW + HOUR)
    for extension in known.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    strange = builder.sign(world.pki.key_of("intermediate"), hashes.SHA256())
    with pytest.raises(NotProved, match="the signature of the OCSP response does not hold") as caught:
        check(answered(encoding, strange, key))
    assert caught.value.code == "incorrect_validation_info"


def answered(
    encoding: library.OCSPResponderEncoding,
    responder: x509.Certificate,
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey,
) -> bytes:
    """An answer that the leaf is good, by a responder that says who it is in one of the two ways."""
    issuer = worlds.world().pki.intermediate
    builder = library.OCSPResponseBuilder().add_response(
        leaf(), issuer, hashes.SHA1(), library.OCSPCertStatus.GOOD, NOW, NOW + HOUR, None, None
    )
    builder = builder.responder_id(encoding, responder).certificates([responder])
    digest = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(key, digest).public_bytes(Encoding.DER)


def test_a_changed_signature_is_refused() -> None:
    der = worlds.world().ocsp(leaf())
    value = library.load_der_ocsp_response(der).signature
    assert code_of(der.replace(value, value[:-1] + bytes((value[-1] ^ 1,)))) == "incorrect_validation_info"


def test_an_unknown_responder_is_refused() -> None:
    other = worlds.world(KeyKind.EC_P384)
    ours = worlds.world()
    signer = (other.pki.ocsp_certificate, other.pki.key_of("ocsp"))
    assert code_of(ours.ocsp(leaf(), signer=signer)) == "incorrect_validation_info"


@pytest.mark.parametrize("der", [b"", b"garbage", b"\x30\x80", b"\x30\x03\x0a\x01\x00"])
def test_what_is_no_answer_is_a_fault(der: bytes) -> None:
    assert code_of(der) == "incorrect_validation_info"


def test_an_answer_without_the_nonce_that_was_sent_is_refused() -> None:
    with pytest.raises(NotProved, match="no nonce"):
        check_nonce(worlds.world().ocsp(leaf()), b"1234")


def test_an_answer_with_an_extension_that_cannot_be_read_is_refused() -> None:
    world = worlds.world()
    builder = library.OCSPResponseBuilder().add_response(
        leaf(), world.pki.intermediate, hashes.SHA1(), library.OCSPCertStatus.GOOD, NOW, None, None, None
    )
    builder = builder.responder_id(library.OCSPResponderEncoding.HASH, world.pki.ocsp_certificate)
    der = builder.sign(world.pki.key_of("ocsp"), hashes.SHA256()).public_bytes(Encoding.DER)
    check(der)
    read = asn1.OCSPResponse.load(der)
    basic = read["response_bytes"]["response"].parsed
    basic["tbs_response_data"]["responses"][0]["cert_id"]["hash_algorithm"]["algorithm"] = "1.2.3.4"
    read["response_bytes"]["response"] = core.ParsableOctetString(basic.dump(force=True))
    with pytest.raises(NotProved) as caught:
        check(read.dump(force=True))
    assert caught.value.code == "incorrect_validation_info"
