"""Where signatures are verified more strictly than X-Road does, and what each check refuses."""

from __future__ import annotations

import base64
import io
from datetime import timedelta
from functools import cache

import msgspec
import pytest

from certs.algorithms import SignatureAlgorithm
from certs.certificates import der_of
from certs.configuration import TrustedConfiguration
from certs.signing import MessageSignature
from certs.tokens.port import SigningIdentity
from certs.tokens.soft import KeyKind
from certs.verify.container import verify_container
from certs.verify.signature import (
    FOREIGN_EVIDENCE,
    TRAFFIC,
    VerifyingPolicy,
    check_coverage,
    check_signature_value,
    verify_document,
    verify_message_signature,
)
from schemas import hashchain, xades
from schemas.faults import Fault, NotProved
from schemas.message import Message
from tests import worlds
from tests.worlds import CONSUMER, PROVIDER

SHA1 = "http://www.w3.org/2000/09/xmldsig#sha1"
SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
TRANSFORM = (xades.C14N,)


@cache
def alone() -> tuple[Message, MessageSignature, xades.SignatureDocument]:
    message = worlds.world().request()
    signature = worlds.world().sign(message)[0]
    return message, signature, xades.parse_signature_document(signature.signature)


@cache
def chained() -> tuple[Message, MessageSignature, xades.SignatureDocument]:
    message = worlds.world().request(body=b"body")
    signature = worlds.world().sign(message)[0]
    return message, signature, xades.parse_signature_document(signature.signature)


def with_reference(document: xades.SignatureDocument, **changes: object) -> xades.SignatureDocument:
    """The document with its first reference changed."""
    first, *others = document.references
    return msgspec.structs.replace(document, references=(msgspec.structs.replace(first, **changes), *others))


def coverage(
    document: xades.SignatureDocument,
    message: Message,
    signature: MessageSignature,
    policy: VerifyingPolicy = TRAFFIC,
) -> None:
    check_coverage(document, signature.hash_chain_result, signature.hash_chain, message.parts(), policy)


def test_what_was_signed_verifies() -> None:
    for message, signature, document in (alone(), chained()):
        coverage(document, message, signature)
        verify_document(document, CONSUMER, worlds.world().configuration, worlds.NOW)


def test_a_message_that_the_signature_does_not_reference_is_refused() -> None:
    message, signature, document = alone()
    only_properties = msgspec.structs.replace(document, references=document.references[1:])
    with pytest.raises(NotProved, match=r"does not cover /message\.xml"):
        coverage(only_properties, message, signature)


def test_a_body_beside_a_signature_over_the_message_alone_is_refused() -> None:
    _, signature, document = alone()
    message = worlds.world().request(body=b"smuggled in")
    without_body = message.parts()[0]
    same_head = with_reference(document, digest=without_body[1])
    with pytest.raises(NotProved, match="does not cover /attachment1"):
        coverage(same_head, message, signature)
    with pytest.raises(NotProved, match="no hash chain over them"):
        coverage(same_head, message, signature, VerifyingPolicy(allow_references=False))


@pytest.mark.parametrize("kept", ["result", "chain", "both"])
def test_a_hash_chain_that_nobody_signed_is_refused(kept: str) -> None:
    message, _, document = alone()
    _, other, _ = chained()
    result = None if kept == "chain" else other.hash_chain_result
    chain = None if kept == "result" else other.hash_chain
    with pytest.raises(NotProved, match="does not reference"):
        check_coverage(document, result, chain, message.parts())


@pytest.mark.parametrize("missing", ["result", "chain"])
def test_a_signature_over_a_chain_that_did_not_come_is_refused(missing: str) -> None:
    message, signature, document = chained()
    result = None if missing == "result" else signature.hash_chain_result
    chain = None if missing == "chain" else signature.hash_chain
    with pytest.raises(NotProved, match="did not come"):
        check_coverage(document, result, chain, message.parts())


def test_both_the_message_and_a_chain_referenced_is_refused() -> None:
    message, signature, document = chained()
    extra = xades.Reference(xades.MESSAGE_URI, "", xades.SHA512_URI, message.digest, ())
    with pytest.raises(NotProved, match="both"):
        coverage(
            msgspec.structs.replace(document, references=(*document.references, extra)), message, signature
        )


def test_two_references_to_one_part_are_refused() -> None:
    message, signature, document = alone()
    doubled = msgspec.structs.replace(document, references=(document.references[0], *document.references))
    with pytest.raises(NotProved, match="same URI"):
        coverage(doubled, message, signature)


@pytest.mark.parametrize(
    "changes",
    [
        {"transforms": TRANSFORM},
        {"digest_uri": SHA256},
        {"digest_uri": SHA1},
        {"digest_uri": "urn:x"},
        {"digest": b"x"},
    ],
    ids=str,
)
def test_a_reference_that_is_not_plain_sha512_of_the_message_is_refused(changes: dict[str, object]) -> None:
    message, signature, document = alone()
    with pytest.raises(NotProved):
        coverage(with_reference(document, **changes), message, signature)


@pytest.mark.parametrize(
    "changes", [{"transforms": TRANSFORM}, {"digest_uri": SHA1}, {"digest": b"x"}], ids=str
)
def test_a_reference_to_the_result_that_is_not_plain_is_refused(changes: dict[str, object]) -> None:
    message, signature, document = chained()
    with pytest.raises(NotProved):
        coverage(with_reference(document, **changes), message, signature)


def relabelled(*uris: str) -> tuple[xades.SignatureDocument, bytes, bytes, dict[str, bytes]]:
    """A signed message with body whose chain names its parts otherwise: no URI goes into a digest."""
    message, signature, document = chained()
    chain = signature.hash_chain or b""
    for number, uri in enumerate(("/message.xml", "/attachment1")):
        chain = chain.replace(f'DataRef URI="{uri}"'.encode(), f'DataRef URI="@{number}"'.encode())
    for number, uri in enumerate(uris):
        chain = chain.replace(f'"@{number}"'.encode(), f'"{uri}"'.encode())
    digests = dict(zip(uris, (d for _, d in message.parts()), strict=True))
    return document, signature.hash_chain_result or b"", chain, digests


def test_a_body_cannot_be_passed_off_as_the_message() -> None:
    document, result, chain, digests = relabelled("/attachment1", "/message.xml")
    hashchain.verify(result, chain, digests)  # by itself the chain holds
    parts = [("/message.xml", digests["/message.xml"]), ("/attachment1", digests["/attachment1"])]
    with pytest.raises(NotProved, match="the message and then its attachments"):
        check_coverage(document, result, chain, parts)


def test_a_chain_that_lies_about_a_digest_is_refused_though_the_sum_is_right() -> None:
    message, signature, document = chained()
    chain = (signature.hash_chain or b"").replace(
        base64.b64encode(message.digest), base64.b64encode(bytes(64))
    )
    with pytest.raises(NotProved) as caught:
        check_coverage(document, signature.hash_chain_result, chain, message.parts())
    assert caught.value.code == "malformed_signature.invalid_hash_chain_ref"


def test_another_certificate_in_key_info_than_the_signed_one_is_refused() -> None:
    _, _, document = alone()
    world = worlds.world()
    stranger = der_of(world.identities[PROVIDER.member].certificate)
    with pytest.raises(NotProved, match="another certificate"):
        verify_document(
            msgspec.structs.replace(document, certificate=stranger), PROVIDER, world.configuration, worlds.NOW
        )
    with pytest.raises(NotProved, match="another certificate"):
        verify_document(
            msgspec.structs.replace(document, certificate_digest_uri=SHA1),
            CONSUMER,
            world.configuration,
            worlds.NOW,
        )


def test_an_authentication_certificate_signs_no_message() -> None:
    _, _, document = alone()
    world = worlds.world()
    auth = der_of(world.auth[worlds.CONSUMER_SERVER])
    with pytest.raises(NotProved) as caught:
        verify_document(
            msgspec.structs.replace(document, certificate=auth), CONSUMER, world.configuration, worlds.NOW
        )
    assert caught.value.code == "wrong_cert_usage"


@pytest.mark.parametrize(
    "changes",
    [
        {"signed_properties_id": "another"},
        {"signed_properties": b"changed"},
        {"signed_info": b"changed"},
        {"signature_value": b"\x01" * 64},
        {"signature_value": b"\x01" * 63},
        {"algorithm_uri": "http://www.w3.org/2000/09/xmldsig#rsa-sha1"},
        {"algorithm_uri": "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512"},
    ],
    ids=str,
)
def test_a_value_that_is_not_the_keys_over_this_document_is_refused(changes: dict[str, object]) -> None:
    _, _, document = alone()
    certificate = worlds.world().identities[CONSUMER.member].certificate
    with pytest.raises(NotProved):
        check_signature_value(msgspec.structs.replace(document, **changes), certificate)


@pytest.mark.parametrize(
    "changes", [{"type": ""}, {"transforms": TRANSFORM * 2}, {"digest_uri": SHA1}], ids=str
)
def test_signed_properties_must_be_referenced_as_such(changes: dict[str, object]) -> None:
    _, _, document = alone()
    first, properties = document.references
    changed = msgspec.structs.replace(
        document, references=(first, msgspec.structs.replace(properties, **changes))
    )
    with pytest.raises(NotProved):
        check_signature_value(changed, worlds.world().identities[CONSUMER.member].certificate)


def test_a_signature_without_an_ocsp_response_is_refused() -> None:
    _, _, document = alone()
    with pytest.raises(NotProved, match="no OCSP response"):
        verify_document(
            msgspec.structs.replace(document, ocsp_responses=()),
            CONSUMER,
            worlds.world().configuration,
            worlds.NOW,
        )


def test_an_ocsp_response_about_another_certificate_does_not_help() -> None:
    _, _, document = alone()
    world = worlds.world()
    other = world.ocsp(world.identities[PROVIDER.member].certificate)
    with pytest.raises(NotProved, match="no OCSP response came for"):
        verify_document(
            msgspec.structs.replace(document, ocsp_responses=(other,)),
            CONSUMER,
            world.configuration,
            worlds.NOW,
        )


@pytest.mark.parametrize("later", [timedelta(hours=2), timedelta(days=400)], ids=["OCSP old", "expired"])
def test_what_was_proved_once_is_not_proved_for_ever(later: timedelta) -> None:
    message, signature, _ = alone()
    world = worlds.world()

    def verify(after: timedelta) -> None:
        verify_message_signature(
            signature.signature,
            signature.hash_chain_result,
            signature.hash_chain,
            message.parts(),
            CONSUMER,
            world.configuration,
            worlds.NOW + after,
        )

    verify(timedelta())
    with pytest.raises(Fault):
        verify(later)


def test_a_remembered_signature_does_not_prove_another_message() -> None:
    message, signature, _ = alone()
    other = worlds.world().request(message_id="another")
    configuration: TrustedConfiguration = worlds.world().configuration
    arguments = (signature.signature, None, None)
    verify_message_signature(*arguments, message.parts(), CONSUMER, configuration, worlds.NOW)
    with pytest.raises(NotProved) as caught:
        verify_message_signature(*arguments, other.parts(), CONSUMER, configuration, worlds.NOW)
    assert caught.value.code == "invalid_signature_value"
    with pytest.raises(NotProved) as of_another:
        verify_message_signature(*arguments, message.parts(), PROVIDER, configuration, worlds.NOW)
    assert of_another.value.code == "incorrect_certificate"


def test_what_a_certificate_proved_once_counts_only_for_its_time_and_its_documents() -> None:
    world = worlds.world()
    _, _, document = alone()
    for _ in range(2):
        assert verify_document(document, CONSUMER, world.configuration, worlds.NOW).member == CONSUMER.member
    for at in (worlds.NOW - timedelta(days=4000), worlds.NOW + timedelta(days=4000)):
        with pytest.raises(Fault):
            verify_document(document, CONSUMER, world.configuration, at)
    with pytest.raises(NotProved, match="was expected"):
        verify_document(document, PROVIDER, world.configuration, worlds.NOW)
    spoiled = msgspec.structs.replace(document, signature_value=bytes(len(document.signature_value)))
    with pytest.raises(NotProved):
        verify_document(spoiled, CONSUMER, world.configuration, worlds.NOW)
    other_name = msgspec.structs.replace(document, certificate_digest=bytes(64))
    with pytest.raises(NotProved, match="name another certificate"):
        verify_document(other_name, CONSUMER, world.configuration, worlds.NOW)
    without = msgspec.structs.replace(document, ocsp_responses=())
    with pytest.raises(NotProved, match="no OCSP response"):
        verify_document(without, CONSUMER, world.configuration, worlds.NOW)


@pytest.mark.parametrize("policy", [TRAFFIC, FOREIGN_EVIDENCE], ids=["traffic", "evidence"])
def test_what_was_proved_before_changes_no_verdict_at_any_other_time(policy: VerifyingPolicy) -> None:
    world = worlds.world()

    def fresh() -> xades.SignatureDocument:
        """A document of which nothing is known yet: its OCSP response is another one."""
        signature = world.sign(world.request())[0]
        return xades.parse_signature_document(signature.signature)

    def is_good(document: xades.SignatureDocument, after_s: int) -> bool:
        at = worlds.NOW + timedelta(seconds=after_s)
        try:
            verify_document(document, CONSUMER, world.configuration, at, policy)
        except Fault:
            return False
        return True

    times = [-400 * 86400, -3600, -61, -60, -1, 0, 1, 3599, 3600, 3601, 400 * 86400]
    alone_at = {after: is_good(fresh(), after) for after in times}
    assert set(alone_at.values()) == {True, False}
    for first in times:
        known = fresh()
        is_good(known, first)
        assert {after: is_good(known, after) for after in times} == alone_at


@pytest.mark.xroad("F030")
def test_a_member_signs_with_its_old_rsa_key_and_its_new_ec_key_side_by_side() -> None:
    world = worlds.world(KeyKind.RSA_2048)
    old = world.identities[CONSUMER.member]
    key_id = world.token.generate_key(KeyKind.EC_P256, "new", "sign")
    public = world.token.public_key(key_id)
    new = SigningIdentity(
        CONSUMER.member,
        key_id,
        world.pki.issue_sign(public, CONSUMER.member, now=world.now),
        (),
        SignatureAlgorithm.for_key(public),
    )
    algorithms = set()
    for identity in (old, new, old):
        request = world.request(body=b"body")
        container = world.container(request, world.sign(request, identity=identity)[0], body=b"body", batch=3)
        assert verify_container(io.BytesIO(container), world.configuration).is_valid
        algorithms.add(identity.algorithm)
    assert algorithms == {SignatureAlgorithm.RSA_SHA512, SignatureAlgorithm.ECDSA_SHA512}
