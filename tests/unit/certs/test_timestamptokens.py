"""Timestamp tokens, rule by rule: what a token or reply must be, and the first thing that is wrong with it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from asn1crypto import cms, core, tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.algorithms import DigestAlgorithm
from certs.verify.timestamp import (
    TimestampPolicy,
    TimestampReply,
    add_certificate,
    build_request,
    check_reply,
    check_token,
    imprint_algorithm_of,
    stamped_at,
)
from schemas.faults import NotProved
from schemas.message import digest_of
from tests import worlds
from tests.worlds import NOW

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

DIGEST = digest_of(b"x")
SIGNED_DATA, ENVELOPED_DATA = (core.ObjectIdentifier(f"1.2.840.113549.1.7.{n}").dump() for n in (2, 3))
TST_INFO, OTHER_CONTENT = (core.ObjectIdentifier(f"1.2.840.113549.1.9.16.1.{n}").dump() for n in (4, 5))
AT = NOW.strftime("%Y%m%d%H%M%SZ").encode()
ABROAD = NOW.strftime("%Y%m%d%H+0100").encode()


def token() -> bytes:
    return worlds.world().stamp(b"x")


def content_of(made: bytes) -> bytes:
    return bytes(cms.ContentInfo.load(made)["content"]["encap_content_info"]["content"])


def with_content(edit: Callable[[bytes], bytes]) -> bytes:
    """The token with another TSTInfo of the same length in it; its signature no longer holds."""
    made = token()
    content = content_of(made)
    assert len(edit(content)) == len(content)
    assert edit(content) != content
    return made.replace(content, edit(content))


def with_signers(edit: Callable[[list[Any]], list[Any]]) -> bytes:
    """The token with other signers."""
    read = cms.ContentInfo.load(token())
    read["content"]["signer_infos"] = cms.SignerInfos(edit(list(read["content"]["signer_infos"])))
    changed: bytes = read.dump()
    return changed


def with_signer(**fields: Any) -> bytes:
    """The token with other fields of its one signer; None takes a field away."""

    def edit(signers: list[Any]) -> list[Any]:
        for name, value in fields.items():
            if value is None:
                del signers[0][name]
            else:
                signers[0][name] = value
        return signers

    return with_signers(edit)


def attribute(kind: str, value: object) -> cms.CMSAttribute:
    return cms.CMSAttribute({"type": kind, "values": [value]})


def other_digest(content: bytes) -> bytes:
    return content.replace(
        core.ObjectIdentifier("2.16.840.1.101.3.4.2.3").dump(),  # SHA-512
        core.ObjectIdentifier("2.16.840.1.101.3.4.2.7").dump(),  # SHA3-224
    )


def refuse(made: bytes, code: str, words: str, policy: TimestampPolicy | None = None) -> None:
    authorities = worlds.world().configuration.tsa_certificates()
    with pytest.raises(NotProved, match=words) as caught:
        check_token(made, DIGEST, authorities, policy=policy)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: b"", "cannot be read"),
        (lambda: token()[:-1], "cannot be read: a value is longer than what it lies in"),
        (lambda: token() + b"\x05\x00", "cannot be read"),
        (lambda: token().replace(SIGNED_DATA, ENVELOPED_DATA, 1), "it is no CMS SignedData"),
        (lambda: token().replace(TST_INFO, OTHER_CONTENT, 1), "its content is no TSTInfo"),
        (lambda: with_signers(lambda _signers: []), "it has 0 signers; one was expected"),
        (lambda: with_signers(lambda signers: signers * 2), "it has 2 signers; one was expected"),
        (lambda: with_content(other_digest), "the digest algorithm .* is not accepted"),
        (lambda: with_signer(digest_algorithm={"algorithm": "md5"}), "digest algorithm md5 is not accepted"),
        (lambda: with_content(lambda c: c.replace(AT, ABROAD)), "genTime is not in UTC"),
        (lambda: with_content(lambda c: c.replace(AT, b"x" * len(AT))), "cannot be read"),
    ],
)
def test_what_is_no_token_is_refused_with_its_reason(make: Callable[[], bytes], words: str) -> None:
    refuse(make(), "malformed_signature", words)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: with_signer(digest_algorithm={"algorithm": "sha1"}), "SHA-1, which is too weak"),
        (
            lambda: with_signer(signed_attrs=[attribute("content_type", "tst_info")]),
            "attributes cannot be read",
        ),
        (
            lambda: with_signer(
                signed_attrs=[
                    attribute("content_type", "tst_info"),
                    attribute("message_digest", digest_of(b"another")),
                ]
            ),
            "attributes are of another content",
        ),
        (
            lambda: with_signer(
                signed_attrs=[
                    attribute("content_type", "data"),
                    attribute("message_digest", digest_of(content_of(token()))),
                ]
            ),
            "attributes are of another content",
        ),
        (lambda: with_signer(signed_attrs=None), "signature does not hold"),
        (lambda: with_signer(signature=bytes(64)), "signature does not hold"),
        (lambda: with_content(lambda c: c.replace(AT, AT[:-2] + b"1Z")), "attributes are of another content"),
    ],
)
def test_a_token_that_its_authority_did_not_sign_like_this_is_refused(
    make: Callable[[], bytes], words: str
) -> None:
    refuse(make(), "mlog.timestamp_signer_verification_failed", words)


def test_sha1_is_read_where_it_is_allowed_and_must_hold_like_any_other() -> None:
    refuse(
        with_signer(digest_algorithm={"algorithm": "sha1"}),
        "mlog.timestamp_signer_verification_failed",
        "of another content",
        TimestampPolicy(allow_sha1=True),
    )


# Signers that are made for it


def authority(key: CertificateIssuerPrivateKeyTypes, *, identifier: bytes | None = None) -> x509.Certificate:
    """A certificate with the name and number of the world's authority, but for another key."""
    known = worlds.world().pki.tsa_certificate
    made = (
        x509.CertificateBuilder()
        .subject_name(known.subject)
        .issuer_name(known.issuer)
        .serial_number(known.serial_number)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .public_key(key.public_key())
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
    )
    if identifier is not None:
        made = made.add_extension(x509.SubjectKeyIdentifier(identifier), critical=False)
    return made.sign(key, None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def signed_again(sign: Callable[[bytes], bytes], algorithm: object, **fields: Any) -> bytes:
    """The world's token, its attributes signed by another key."""
    attributes = cms.ContentInfo.load(token())["content"]["signer_infos"][0]["signed_attrs"]
    to_sign = b"\x31" + attributes.dump()[1:]
    return with_signer(signature=sign(to_sign), signature_algorithm=algorithm, **fields)


def test_a_key_that_signs_no_timestamps_here_proves_none() -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    with pytest.raises(NotProved, match="Ed25519PublicKey; RSA or EC was expected"):
        check_token(token(), DIGEST, [authority(key)])


@pytest.mark.parametrize("scheme", ["pkcs1", "pss"])
def test_both_schemes_of_rsa_are_read_as_the_token_names_them(scheme: str) -> None:
    key = rsa.generate_private_key(65537, 2048)
    padded = padding.PSS(padding.MGF1(hashes.SHA512()), 64) if scheme == "pss" else padding.PKCS1v15()
    names = {"pss": {"algorithm": "rsassa_pss"}, "pkcs1": {"algorithm": "sha512_rsa"}}
    for named in ("pss", "pkcs1"):
        made = signed_again(lambda data: key.sign(data, padded, hashes.SHA512()), names[named])
        if named == scheme:
            assert check_token(made, DIGEST, [authority(key)]).at == NOW
        else:
            with pytest.raises(NotProved, match="does not hold"):
                check_token(made, DIGEST, [authority(key)])


def test_a_signer_named_by_its_key_is_found_by_the_certificates_identifier_alone() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    made = signed_again(
        lambda data: key.sign(data, ec.ECDSA(hashes.SHA512())),
        {"algorithm": "sha512_ecdsa"},
        sid=cms.SignerIdentifier("subject_key_identifier", b"the key"),
    )
    named, other, without = (authority(key, identifier=i) for i in (b"the key", b"another", None))
    assert check_token(made, DIGEST, [without, other, named]).authority == named
    with pytest.raises(NotProved, match="not made by an approved") as caught:
        check_token(made, DIGEST, [without, other])
    assert caught.value.code == "mlog.tsp_certificate_not_found"


# Replies and what is read of tokens


def test_something_behind_the_token_of_a_reply_is_refused() -> None:
    status = tsp.PKIStatusInfo({"status": "granted"}).dump()
    whole = core.SequenceOf([core.Any.load(p) for p in (status, token(), b"\x05\x00")], spec=core.Any).dump()
    with pytest.raises(NotProved, match="something follows the token") as caught:
        check_reply(whole, DIGEST, worlds.world().configuration.tsa_certificates())
    assert caught.value.code == "timestamping_failed"


@pytest.mark.parametrize("status", ["rejection", "waiting", "revocation_warning", "revocation_notification"])
def test_a_token_that_was_not_granted_does_not_count(status: str) -> None:
    reply = TimestampReply({"status": {"status": status}, "time_stamp_token": cms.ContentInfo.load(token())})
    with pytest.raises(NotProved, match=f"refused with status {status}"):
        check_reply(reply.dump(), DIGEST, worlds.world().configuration.tsa_certificates())


def test_a_token_granted_with_changes_counts() -> None:
    sent = token()
    reply = TimestampReply(
        {"status": {"status": "granted_with_mods"}, "time_stamp_token": cms.ContentInfo.load(sent)}
    )
    made, stamp = check_reply(reply.dump(), DIGEST, worlds.world().configuration.tsa_certificates())
    assert (made, stamp.at, stamp.imprint) == (sent, NOW, DIGEST)


def test_a_certificate_is_added_once_and_to_nothing_but_a_token() -> None:
    world = worlds.world()
    made = token()
    assert add_certificate(made, world.pki.tsa_certificate) == made
    both = add_certificate(made, world.pki.intermediate)
    assert len(cms.ContentInfo.load(both)["content"]["certificates"]) == 2
    assert check_token(both, DIGEST, world.configuration.tsa_certificates()).at == NOW
    for broken in (b"", b"\x30\x00", made[:-1]):
        with pytest.raises(NotProved, match="cannot be read"):
            add_certificate(broken, world.pki.intermediate)


def test_a_tokens_time_and_digest_algorithm_are_read_without_proof() -> None:
    assert (stamped_at(token()), imprint_algorithm_of(token())) == (NOW, DigestAlgorithm.SHA512)
    for read in (stamped_at, imprint_algorithm_of):
        with pytest.raises(NotProved, match="cannot be read"):
            read(b"\x30\x00")


@pytest.mark.parametrize("nonce", [None, 0, 2**63])
@pytest.mark.parametrize("wants", [False, True])
def test_a_request_asks_for_what_was_said_and_nothing_else(nonce: int | None, wants: bool) -> None:
    asked = tsp.TimeStampReq.load(build_request(DIGEST, nonce=nonce, want_certificate=wants)).native
    assert (asked["nonce"], asked["cert_req"], asked["req_policy"]) == (nonce, wants, None)
    assert asked["message_imprint"]["hashed_message"] == DIGEST
