"""RFC 3161: asking for a timestamp, and what a token must be to count.

As X-Road asks: no nonce, no policy, and no certificate wanted back; the configured authority's certificate is put into the
token before it is kept, so that evidence stands alone. Checked: the status, the imprint, that the signer is an approved
authority, that its certificate is for timestamping, and the CMS signature over exactly this content.

Spec: RFC 3161, RFC 5652, RFC 5816; X-Road 7.8's TimestampVerifier.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar

import msgspec
from asn1crypto import algos, cms, core, tsp
from asn1crypto import x509 as asn1_x509
from asn1crypto.parser import emit
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.algorithms import DigestAlgorithm
from certs.certificates import der_of
from certs.der import UNREADABLE, load_value, reason_of
from schemas.faults import Kind, NotProved

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_TST_INFO = "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_RSA_PSS = "1.2.840.113549.1.1.10"
_BY_NAME = {algorithm.short: algorithm for algorithm in DigestAlgorithm}
_GRANTED = ("granted", "granted_with_mods")


class TimestampReply(core.Sequence):  # type: ignore[misc]  # the library has no types
    """TimeStampResp of RFC 3161 2.4.2; the library's own wants a token in refusals too."""

    _fields: ClassVar = [
        ("status", tsp.PKIStatusInfo),
        ("time_stamp_token", cms.ContentInfo, {"optional": True}),
    ]


class TimestampPolicy(msgspec.Struct, frozen=True):
    """``check_purpose`` asks for the timeStamping key usage; recordings of long ago may lack it."""

    check_purpose: bool = True
    allow_sha1: bool = False


class Timestamp(msgspec.Struct, frozen=True):
    """A proved timestamp: when, and by which authority."""

    at: datetime
    authority: x509.Certificate
    imprint: bytes


class _TimestampSigner(msgspec.Struct, frozen=True):
    issuer: bytes
    serial: int
    key_identifier: bytes | None
    digest_algorithm: DigestAlgorithm
    attributes: bytes | None
    signed: Mapping[str, core.Asn1Value]
    signature_oid: str
    signature: bytes


class _Token(msgspec.Struct, frozen=True):
    content: bytes
    imprint_algorithm: DigestAlgorithm
    imprint: bytes
    nonce: int | None
    at: datetime
    signer: _TimestampSigner


def build_request(
    digest: bytes,
    algorithm: DigestAlgorithm = DigestAlgorithm.SHA512,
    *,
    nonce: int | None = None,
    want_certificate: bool = False,
) -> bytes:
    """The request (DER) for a timestamp over a digest. A nonce and the certificate are asked for only when said."""
    fields: dict[str, object] = {
        "version": "v1",
        "message_imprint": {
            "hash_algorithm": {"algorithm": algorithm.short, "parameters": core.Null()},
            "hashed_message": digest,
        },
        "cert_req": want_certificate,
    }
    if nonce is not None:
        fields["nonce"] = nonce
    request: bytes = tsp.TimeStampReq(fields).dump()
    return request


def check_reply(
    reply: bytes,
    digest: bytes,
    authorities: Sequence[x509.Certificate],
    algorithm: DigestAlgorithm = DigestAlgorithm.SHA512,
    policy: TimestampPolicy | None = None,
) -> tuple[bytes, Timestamp]:
    """The token of a granted reply, with the authority's certificate in it, and what it proves. Raises `NotProved`."""
    try:
        read = load_value(reply, TimestampReply, "reply")
        status = read["status"]["status"].native
        if len(read.children) > len(TimestampReply._fields):
            raise ValueError("something follows the token")
        token: bytes = read["time_stamp_token"].dump() if status in _GRANTED else b""
    except UNREADABLE as err:
        raise _failed(f"the timestamping authority's reply cannot be read: {reason_of(err)}") from err
    if not token:
        raise _failed(f"the timestamping authority refused with status {str(status)[:40]}")
    stamp = check_token(token, digest, authorities, algorithm, policy)
    return add_certificate(token, stamp.authority), stamp


def check_token(
    token: bytes,
    digest: bytes,
    authorities: Sequence[x509.Certificate],
    algorithm: DigestAlgorithm | None = None,
    policy: TimestampPolicy | None = None,
) -> Timestamp:
    """Prove that an approved authority stamped ``digest``. Raises `NotProved`.

    1. The token is CMS SignedData over a TSTInfo. 2. Its imprint is the digest (in ``algorithm``, if given). 3. Its signer
    is one of ``authorities``, and for timestamping. 4. The signature holds over this content.
    """
    policy = policy or TimestampPolicy()
    parsed = _parse(token)
    if parsed.imprint != digest or (algorithm is not None and parsed.imprint_algorithm is not algorithm):
        raise NotProved(
            Kind.MALFORMED_SIGNATURE, "the timestamp is over something else (its imprint does not match)"
        )
    authority = next((c for c in authorities if _is_signer(parsed, c)), None)
    if authority is None:
        raise NotProved(
            Kind.TSP_CERTIFICATE_NOT_FOUND,
            "the timestamp was not made by an approved timestamping authority "
            f"({len(authorities)} are approved; its signer has the serial number {parsed.signer.serial})",
        )
    if policy.check_purpose:
        _check_purpose(authority)
    _prove_signature(token, authority, policy)
    return Timestamp(parsed.at, authority, parsed.imprint)


def check_nonce(token: bytes, nonce: int) -> None:
    """Refuse a token that answers another request than the one with this nonce. Raises `NotProved`."""
    if _parse(token).nonce != nonce:
        raise _failed("the timestamp carries another nonce than was sent: it answers another request")


def imprint_algorithm_of(token: bytes) -> DigestAlgorithm:
    """The digest algorithm a token's imprint was made with. Raises `NotProved`."""
    return _parse(token).imprint_algorithm


def stamped_at(token: bytes) -> datetime:
    """The time that a token says, proved or not. Raises `NotProved` when it cannot be read."""
    return _parse(token).at


def add_certificate(token: bytes, certificate: x509.Certificate) -> bytes:
    """A proved token with a certificate among its certificates; nothing that is signed changes. Raises `NotProved`."""
    encoded = der_of(certificate)
    try:
        read = load_value(token, cms.ContentInfo, "token")
        present = read["content"]["certificates"]
        if any(c.dump() == encoded for c in present):
            return token
        added = cms.CertificateChoices("certificate", asn1_x509.Certificate.load(encoded))
        read["content"]["certificates"] = cms.CertificateSet([*present, added])
        whole: bytes = read.dump()
    except UNREADABLE as err:
        raise _unreadable(err) from err
    return whole


# A token of a batch comes with each of its records: what was found of exactly these bytes is remembered.
@lru_cache(maxsize=64)
def _parse(token: bytes) -> _Token:
    try:
        return _parse_token(token)
    except UNREADABLE as err:
        raise _unreadable(err) from err


def _parse_token(token: bytes) -> _Token:
    read = load_value(token, cms.ContentInfo, "token")
    if read["content_type"].dotted != _SIGNED_DATA:
        raise ValueError("it is no CMS SignedData")
    signed = read["content"]
    if signed["encap_content_info"]["content_type"].dotted != _TST_INFO:
        raise ValueError("its content is no TSTInfo")
    content = bytes(signed["encap_content_info"]["content"])
    info = load_value(content, tsp.TSTInfo, "TSTInfo")
    signers = list(signed["signer_infos"])
    if len(signers) != 1:
        raise ValueError(f"it has {len(signers)} signers; one was expected")
    imprint = info["message_imprint"]
    return _Token(
        content=content,
        imprint_algorithm=_digest_algorithm(imprint["hash_algorithm"]),
        imprint=imprint["hashed_message"].native,
        nonce=info["nonce"].native,
        at=_time(info["gen_time"]),
        signer=_signer(signers[0]),
    )


def _signer(read: cms.SignerInfo) -> _TimestampSigner:
    sid = read["sid"]
    issuer, serial, key_identifier = b"", 0, None
    if sid.name == "issuer_and_serial_number":
        issuer, serial = sid.chosen["issuer"].dump(), sid.chosen["serial_number"].native
    else:
        key_identifier = sid.chosen.native
    attributes = read["signed_attrs"]
    has_attributes = not isinstance(attributes, core.Void)
    return _TimestampSigner(
        issuer=issuer,
        serial=serial,
        key_identifier=key_identifier,
        digest_algorithm=_digest_algorithm(read["digest_algorithm"]),
        # Signed as a SET; in the token they have a tag of their own.
        attributes=emit(0, 1, core.Set.tag, attributes.contents) if has_attributes else None,
        signed={a["type"].dotted: a["values"][0] for a in attributes} if has_attributes else {},
        signature_oid=read["signature_algorithm"]["algorithm"].dotted,
        signature=read["signature"].native,
    )


def _digest_algorithm(read: algos.DigestAlgorithm) -> DigestAlgorithm:
    name = read["algorithm"].native
    if name not in _BY_NAME:
        raise ValueError(f"the digest algorithm {str(name)[:80]} is not accepted")
    return _BY_NAME[name]


def _time(read: core.GeneralizedTime) -> datetime:
    at = read.native
    if not isinstance(at, datetime) or at.utcoffset() != timedelta() or not str(read).endswith("Z"):
        raise ValueError("genTime is not in UTC")
    return at.astimezone(UTC)


def _is_signer(token: _Token, certificate: x509.Certificate) -> bool:
    if token.signer.key_identifier is None:
        return (
            certificate.serial_number == token.signer.serial
            and certificate.issuer.public_bytes() == token.signer.issuer
        )
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    except x509.ExtensionNotFound:
        return False
    return extension.value.digest == token.signer.key_identifier


def _check_purpose(authority: x509.Certificate) -> None:
    try:
        usage = authority.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
    if ExtendedKeyUsageOID.TIME_STAMPING not in usage:
        raise _unverified("the authority's certificate is not for timestamping (extended key usage)")


@lru_cache(maxsize=64)
def _prove_signature(token: bytes, authority: x509.Certificate, policy: TimestampPolicy) -> None:
    _check_signature(_parse(token), authority, policy)


def _check_signature(token: _Token, authority: x509.Certificate, policy: TimestampPolicy) -> None:
    if token.signer.digest_algorithm is DigestAlgorithm.SHA1 and not policy.allow_sha1:
        raise _unverified("the timestamp is signed over SHA-1, which is too weak")
    content = token.content
    if token.signer.attributes is not None:
        _check_attributes(token)
        content = token.signer.attributes
    key, digest = authority.public_key(), token.signer.digest_algorithm.hash
    try:
        if isinstance(key, rsa.RSAPublicKey):
            scheme: padding.AsymmetricPadding = padding.PKCS1v15()
            if token.signer.signature_oid == _RSA_PSS:
                scheme = padding.PSS(padding.MGF1(digest), padding.PSS.AUTO)
            key.verify(token.signer.signature, content, scheme, digest)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(token.signer.signature, content, ec.ECDSA(digest))
        else:
            raise _unverified(f"the authority's key is a {type(key).__name__}; RSA or EC was expected")
    except (InvalidSignature, ValueError):
        raise _unverified("the timestamp's signature does not hold") from None


def _check_attributes(token: _Token) -> None:
    try:
        content_type = token.signer.signed[_CONTENT_TYPE].dotted
        digest = token.signer.signed[_MESSAGE_DIGEST].native
    except UNREADABLE as err:
        raise _unverified(f"the timestamp's signed attributes cannot be read: {reason_of(err)}") from err
    if content_type != _TST_INFO or digest != token.signer.digest_algorithm.digest(token.content):
        raise _unverified("the timestamp's signed attributes are of another content")


def _unreadable(err: Exception) -> NotProved:
    return NotProved(Kind.MALFORMED_SIGNATURE, f"the timestamp token cannot be read: {reason_of(err)}")


def _failed(detail: str) -> NotProved:
    return NotProved(Kind.TIMESTAMPING_FAILED, detail)


def _unverified(detail: str) -> NotProved:
    return NotProved(Kind.TIMESTAMP_SIGNER_VERIFICATION_FAILED, detail)
