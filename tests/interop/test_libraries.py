"""Other Python libraries as judges: signxml on signatures, rfc3161-client and asn1crypto on timestamps and OCSP."""

from __future__ import annotations

from pathlib import Path

import pytest
from asn1crypto import ocsp as asn1_ocsp
from asn1crypto import tsp
from cryptography.hazmat.primitives.serialization import Encoding
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)
from signxml import SignatureConfiguration, XMLVerifier  # type: ignore[attr-defined]
from signxml.exceptions import InvalidDigest, InvalidSignature

from certs.certificates import parse_certificate
from certs.dev.timestamping import timestamp_reply
from certs.verify.timestamp import build_request
from schemas.message import digest_of
from schemas.xades import parse_signature_document
from tests import worlds
from tests.interop.conftest import ids


def verify(folder: Path) -> None:
    # Our elliptic-curve values are raw r and s, as XML signatures demand and signxml expects.
    certificate = parse_signature_document((folder / "signatures.xml").read_bytes()).certificate
    XMLVerifier().verify(
        (folder / "signatures.xml").read_bytes(),
        x509_cert=parse_certificate(certificate).public_bytes(Encoding.PEM).decode(),
        uri_resolver=lambda uri: (folder / uri.lstrip("/")).read_bytes(),
        id_attribute="Id",
        expect_config=SignatureConfiguration(expect_references=2),
    )


@pytest.mark.parametrize("name", ids())
def test_signxml_accepts_it(name: str, unpacked: dict[str, Path]) -> None:
    verify(unpacked[name])


def test_signxml_refuses_a_changed_message(unpacked: dict[str, Path], tmp_path: Path) -> None:
    good = unpacked["ec-p256/alone"]
    (tmp_path / "signatures.xml").write_bytes((good / "signatures.xml").read_bytes())
    (tmp_path / "message.xml").write_bytes(b"another")
    with pytest.raises((InvalidDigest, InvalidSignature)):
        verify(tmp_path)


def test_rfc3161_client_accepts_the_development_authority() -> None:
    world = worlds.world()
    request = build_request(digest_of(b"x"), want_certificate=True)
    reply = decode_timestamp_response(timestamp_reply(world.pki, request, world.now, 7))
    verifier = VerifierBuilder().add_root_certificate(world.pki.root)
    verifier = verifier.add_intermediate_certificate(world.pki.intermediate)
    assert verifier.tsa_certificate(world.pki.tsa_certificate).build().verify(reply, digest_of(b"x"))


def test_the_development_authority_answers_rfc3161_client_s_own_question() -> None:
    world = worlds.world()
    request = (
        TimestampRequestBuilder().data(b"x").hash_algorithm(HashAlgorithm.SHA512).nonce(nonce=True).build()
    )
    reply = decode_timestamp_response(timestamp_reply(world.pki, request.as_bytes(), world.now, 8))
    verifier = VerifierBuilder.from_request(request).add_root_certificate(world.pki.root)
    verifier = verifier.add_intermediate_certificate(world.pki.intermediate)
    assert verifier.tsa_certificate(world.pki.tsa_certificate).build().verify_message(reply, b"x")
    another = VerifierBuilder.from_request(TimestampRequestBuilder().data(b"x").nonce(nonce=True).build())
    another = another.add_root_certificate(world.pki.root).add_intermediate_certificate(
        world.pki.intermediate
    )
    with pytest.raises(VerificationError):  # an answer to another question than this one
        another.tsa_certificate(world.pki.tsa_certificate).build().verify_message(reply, b"x")


def test_asn1crypto_reads_the_token_that_is_kept() -> None:
    world = worlds.world()
    signed = tsp.ContentInfo.load(world.stamp(b"x"), strict=True)["content"]
    info = signed["encap_content_info"]["content"].parsed
    assert info["message_imprint"]["hashed_message"].native == digest_of(b"x")
    assert len(signed["certificates"]) == 1


def test_asn1crypto_reads_the_ocsp_response() -> None:
    world = worlds.world()
    leaf = world.identities[worlds.CONSUMER.member].certificate
    answer = asn1_ocsp.OCSPResponse.load(world.ocsp(leaf), strict=True)
    single = answer.basic_ocsp_response["tbs_response_data"]["responses"][0]
    assert single["cert_id"]["serial_number"].native == leaf.serial_number
    assert single["cert_status"].name == "good"
