"""Algorithms, profiles, DER, timestamps and evidence: what each refuses."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.algorithms import (
    DigestAlgorithm,
    SignatureAlgorithm,
    der_to_raw,
    raw_to_der,
    verify_digest_signature,
)
from certs.certificates import parse_certificate
from certs.profiles import CATEGORY, ORGANIZATION_IDENTIFIER, STANDARD_PROFILES
from certs.tokens.soft import KeyKind
from certs.verify.container import StepOutcome, verify_container
from certs.verify.timestamp import TimestampPolicy, check_nonce, check_reply, check_token
from schemas.asic import container as asic
from schemas.faults import NotProved
from schemas.message import digest_of
from tests import worlds
from tests.worlds import CONSUMER, NOW

# Algorithms


def test_names_and_uris_lead_to_their_algorithm_and_unknown_ones_nowhere() -> None:
    for algorithm in SignatureAlgorithm:
        assert SignatureAlgorithm.from_uri(algorithm.uri) is algorithm
        assert SignatureAlgorithm.from_jca_name(algorithm.jca_name.upper()) is algorithm
    for digest in DigestAlgorithm:
        assert DigestAlgorithm.from_uri(digest.uri) is digest
        assert DigestAlgorithm.from_name(digest.name_on_wire.lower()) is digest
    for find in (
        SignatureAlgorithm.from_uri,
        SignatureAlgorithm.from_jca_name,
        DigestAlgorithm.from_uri,
        DigestAlgorithm.from_name,
    ):
        with pytest.raises(NotProved):
            find("MD5")


def test_keys_of_other_kinds_are_not_signed_with() -> None:
    with pytest.raises(NotProved, match="not accepted"):
        SignatureAlgorithm.for_key(ed25519.Ed25519PrivateKey.generate().public_key())


RSA_KEY, EC_KEY = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())


def signed_by(scheme: SignatureAlgorithm, digest: bytes) -> bytes:
    """A signature of a scheme, written out as its standard has it (RFC 8017 8.1 and 8.2; salt as long as the digest)."""
    family, hashed = scheme.name.split("_SHA")[0], scheme.digest.hash
    if family == "ECDSA":
        return EC_KEY.sign(digest, ec.ECDSA(Prehashed(hashed)))
    own = padding.PSS(padding.MGF1(hashed), hashed.digest_size) if family == "RSA_PSS" else padding.PKCS1v15()
    return RSA_KEY.sign(digest, own, Prehashed(hashed))


@pytest.mark.parametrize("scheme", list(SignatureAlgorithm), ids=lambda s: s.name)
def test_a_signature_holds_under_its_own_scheme_alone(scheme: SignatureAlgorithm) -> None:
    key = EC_KEY.public_key() if scheme.family == "ecdsa" else RSA_KEY.public_key()
    digest = scheme.digest.digest(b"x")
    signature = signed_by(scheme, digest)
    verify_digest_signature(key, signature, digest, scheme, ecdsa_format="der")
    for other in set(SignatureAlgorithm) - {scheme}:
        with pytest.raises(NotProved) as caught:
            verify_digest_signature(key, signature, other.digest.digest(b"x"), other, ecdsa_format="der")
        assert caught.value.code == "invalid_signature_value"


@pytest.mark.parametrize("kind", [KeyKind.EC_P256, KeyKind.RSA_2048])
def test_a_scheme_of_another_kind_of_key_is_refused(kind: KeyKind) -> None:
    key = worlds.world(kind).identities[CONSUMER.member].certificate.public_key()
    scheme = SignatureAlgorithm.RSA_SHA512 if kind is KeyKind.EC_P256 else SignatureAlgorithm.ECDSA_SHA512
    with pytest.raises(NotProved, match="the certificate's key is"):
        verify_digest_signature(key, b"x" * 64, bytes(64), scheme, ecdsa_format="raw")


def test_raw_ecdsa_values_may_be_short_and_must_have_two_halves() -> None:
    short = (5).to_bytes(20, "big") + (7).to_bytes(20, "big")
    assert der_to_raw(raw_to_der(short), 256) == (5).to_bytes(32, "big") + (7).to_bytes(32, "big")
    for raw in (b"", b"123"):
        with pytest.raises(ValueError, match="two halves"):
            raw_to_der(raw)


# Profiles

C, O, OU, CN, SERIAL = (  # the field's name
    NameOID.COUNTRY_NAME,
    NameOID.ORGANIZATION_NAME,
    NameOID.ORGANIZATIONAL_UNIT_NAME,
    NameOID.COMMON_NAME,
    NameOID.SERIAL_NUMBER,
)


@pytest.mark.parametrize(
    ("profile", "subject"),
    [
        ("Fo", {C: "IS", O: "i", OU: "c", CN: "m", SERIAL: "s"}),
        ("Fo", {C: "FO", O: "i", CN: "m", SERIAL: "s"}),
        ("Fo", {C: "FO", O: "i", OU: "c", CN: "m"}),
        ("Is", {C: "FO", O: "i", OU: "c", CN: "m", SERIAL: "s"}),
        ("Is", {C: "IS", O: "i", CN: "m", SERIAL: "s"}),
        ("Is", {C: "IS", O: "i", OU: "c", CN: "m"}),
        ("FiVRK", {C: "FI", O: "x", CN: "m", SERIAL: "only/two"}),
        ("FiVRK", {C: "SE", O: "x", OU: "c", CN: "m"}),
        ("Basic", {SERIAL: "m"}),
        ("Ejbca", {C: "MX", CN: "m"}),
        ("SkKlass3", {SERIAL: "0123"}),
        ("SkEsteId", {}),
        ("Mexico", {}),
    ],
    ids=str,
)
def test_a_subject_that_names_no_member_is_refused(profile: str, subject: dict[object, str]) -> None:
    with pytest.raises(NotProved) as caught:
        STANDARD_PROFILES.member_of_fields(profile, subject, "MX")  # type: ignore[arg-type]
    assert caught.value.code == "incorrect_certificate"


@pytest.mark.parametrize(
    ("profile", "subject", "member"),
    [
        ("Ejbca", {C: "EE", O: "GOV", CN: "1"}, "EE/GOV/1"),
        ("Basic", {CATEGORY: "GOV", SERIAL: "1"}, "MX/GOV/1"),
        ("Fo", {C: "FO", O: "FO-TEST", OU: "GOV", CN: "1", SERIAL: "s"}, "FO-TEST/GOV/1"),
        ("Is", {C: "IS", O: "IS-TEST", OU: "GOV", CN: "1", SERIAL: "s"}, "IS-TEST/GOV/1"),
        ("Is", {C: "IS-TEST", O: "GOV", CN: "1"}, "IS-TEST/GOV/1"),
        ("FiVRK", {C: "FI", O: "x", CN: "1", SERIAL: "FI-TEST/ss/GOV"}, "FI-TEST/GOV/1"),
        ("FiVRK", {C: "FI", O: "FI-TEST", OU: "GOV", CN: "1"}, "FI-TEST/GOV/1"),
        ("FiVRK", {C: "FI-TEST", O: "GOV", CN: "1"}, "FI-TEST/GOV/1"),
        ("SkKlass3", {ORGANIZATION_IDENTIFIER: "NTREE-1"}, "MX/COM/1"),
        ("SkKlass3", {ORGANIZATION_IDENTIFIER: "GO:EE-1"}, "MX/GOV/1"),
        ("SkKlass3", {ORGANIZATION_IDENTIFIER: "NP:EE-1"}, "MX/NGO/1"),
        ("SkKlass3", {ORGANIZATION_IDENTIFIER: "VATEE-1"}, "MX/NEE/VATEE-1"),
        ("SkKlass3", {SERIAL: "60000000"}, "MX/COM/60000000"),
        ("SkKlass3", {SERIAL: "70000000"}, "MX/GOV/70000000"),
        ("SkKlass3", {SERIAL: "80000000"}, "MX/NGO/80000000"),
        ("SkEsteId", {SERIAL: "1"}, "MX/PERSON/1"),
        ("Mexico", {CATEGORY: "GOB", SERIAL: "1"}, "MX/GOB/1"),
    ],
    ids=str,
)
def test_a_subject_names_its_member_as_its_country_writes_it(
    profile: str, subject: dict[x509.ObjectIdentifier, str], member: str
) -> None:
    assert STANDARD_PROFILES.member_of_fields(profile, subject, "MX").path() == member


def test_an_unknown_profile_is_refused() -> None:
    with pytest.raises(NotProved, match="not known"):
        STANDARD_PROFILES.named("org.example.NoSuchProvider")


# Certificates and DER


@pytest.mark.parametrize("data", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\n", b"\x30\x00", b"AAAA"])
def test_what_is_no_certificate_is_a_fault(data: bytes) -> None:
    with pytest.raises(NotProved) as caught:
        parse_certificate(data)
    assert caught.value.code == "incorrect_certificate"


# Timestamps


def authorities(world: worlds.World) -> tuple[object, ...]:
    return world.configuration.tsa_certificates()


def test_a_timestamp_over_something_else_or_by_a_stranger_is_refused() -> None:
    world, other = worlds.world(), worlds.world(KeyKind.EC_P384)
    token = world.stamp(b"x")
    with pytest.raises(NotProved) as wrong:
        check_token(token, digest_of(b"y"), world.configuration.tsa_certificates())
    assert wrong.value.code == "malformed_signature"
    with pytest.raises(NotProved) as method:
        check_token(token, digest_of(b"x"), world.configuration.tsa_certificates(), DigestAlgorithm.SHA256)
    assert method.value.code == "malformed_signature"
    with pytest.raises(NotProved) as stranger:
        check_token(token, digest_of(b"x"), other.configuration.tsa_certificates())
    assert stranger.value.code == "mlog.tsp_certificate_not_found"
    with pytest.raises(NotProved):
        check_token(token, digest_of(b"x"), ())


def test_a_nonce_that_did_not_come_back_is_refused() -> None:
    with pytest.raises(NotProved, match="another nonce"):
        check_nonce(worlds.world().stamp(b"x"), 7)


@pytest.mark.parametrize(
    "reply", [b"", b"\x30\x00", b"\x30\x05\x30\x03\x02\x01\x02", b"\x30\x05\x30\x03\x02\x01\x00"]
)
def test_a_reply_without_a_granted_token_is_refused(reply: bytes) -> None:
    with pytest.raises(NotProved) as caught:
        check_reply(reply, digest_of(b"x"), worlds.world().configuration.tsa_certificates())
    assert caught.value.code == "timestamping_failed"


def test_a_certificate_that_is_not_for_timestamping_stamps_nothing() -> None:
    """The authority's name, number and key in a certificate for answering about certificates: its token holds but for its purpose."""
    world, token = worlds.world(), worlds.world().stamp(b"x")
    genuine = world.pki.tsa_certificate
    builder = x509.CertificateBuilder(
        genuine.issuer, genuine.subject, genuine.public_key(), genuine.serial_number
    )
    builder = builder.not_valid_before(genuine.not_valid_before_utc).not_valid_after(
        genuine.not_valid_after_utc
    )
    usages = (
        [ExtendedKeyUsageOID.OCSP_SIGNING],
        [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH],
    )
    for made in (builder, *(builder.add_extension(x509.ExtendedKeyUsage(u), critical=True) for u in usages)):
        other = made.sign(world.pki.key_of("root"), SHA256())
        with pytest.raises(NotProved, match="is not for timestamping") as caught:
            check_token(token, digest_of(b"x"), (other,))
        assert caught.value.code == "mlog.timestamp_signer_verification_failed"
        assert (
            check_token(token, digest_of(b"x"), (other,), policy=TimestampPolicy(check_purpose=False)).at
            == NOW
        )


# Evidence


def verdict_of(container: asic.Container, bodies: list[tuple[str, bytes]] | None = None) -> str | None:
    raw = asic.render_container(container, NOW, bodies or [])
    verdict = verify_container(io.BytesIO(raw), worlds.world().configuration)
    assert verdict.is_valid is (verdict.code is None)
    assert [s.number for s in verdict.steps] == list(range(1, len(verdict.steps) + 1))
    return verdict.code


def test_a_container_without_a_timestamp_is_no_evidence() -> None:
    world = worlds.world()
    message = world.request()
    bare = asic.Container(message.raw, world.sign(message)[0].signature)
    assert verdict_of(bare) == "asic_timestamp_not_found"


def test_a_body_that_nobody_signed_makes_the_container_invalid() -> None:
    container = worlds.opened(worlds.containers()["alone"])
    assert verdict_of(container) is None
    assert verdict_of(container, [("attachment1", b"put in")]) == "malformed_signature"


def test_another_body_than_the_signed_one_makes_the_container_invalid() -> None:
    container = worlds.opened(worlds.containers()["with-body"])
    code = verdict_of(container, [("attachment1", b"another")])
    assert code == "malformed_signature.invalid_hash_chain_ref" or (code or "").startswith(
        "malformed_signature"
    )


def test_a_missing_body_is_said_and_does_not_make_it_invalid() -> None:
    container = worlds.opened(worlds.containers()["with-body"])
    raw = asic.render_container(container, NOW)
    verdict = verify_container(io.BytesIO(raw), worlds.world().configuration)
    assert verdict.is_valid
    assert "not included: /attachment1" in verdict.steps[-1].detail


def test_a_batch_timestamp_without_its_chain_is_refused() -> None:
    container = worlds.opened(worlds.containers()["batch-timestamp"])
    stripped = replace(container, ts_hash_chain_result=None, ts_hash_chain=None)
    out = io.BytesIO()
    asic.write_container(out, stripped, NOW)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("META-INF/timestamp.tst", container.timestamp or b"")
    verdict = verify_container(io.BytesIO(out.getvalue()), worlds.world().configuration)
    assert verdict.code == "asic_hash_chain_result_not_found"


def test_a_chain_beside_a_signature_that_does_not_name_it_is_a_warning() -> None:
    alone, batch = (worlds.opened(worlds.containers()[n]) for n in ("alone", "batch"))
    stray = replace(
        alone, sig_hash_chain=batch.sig_hash_chain, sig_hash_chain_result=batch.sig_hash_chain_result
    )
    verdict = verify_container(io.BytesIO(asic.render_container(stray, NOW)), worlds.world().configuration)
    assert verdict.is_valid
    assert StepOutcome.WARNING in {s.outcome for s in verdict.steps}


def test_a_signature_over_something_else_than_the_message_is_no_evidence() -> None:
    container = worlds.opened(worlds.containers()["alone"])
    for uri in (b"/other.xml", b"/attachment1"):
        astray = container.signature.replace(b'URI="/message.xml"', b'URI="%b"' % uri)
        assert astray != container.signature
        verdict = verify_container(
            io.BytesIO(asic.render_container(replace(container, signature=astray), NOW)),
            worlds.world().configuration,
        )
        assert (verdict.code, len(verdict.steps)) == ("malformed_signature", 3)
        assert "neither the message nor a hash chain result" in verdict.steps[-1].detail
