"""RFC 3161: asking for a timestamp, and what a token must be to count.

As X-Road asks: no nonce, no policy, and no certificate wanted back; the configured authority's certificate is put into the
token before it is kept, so that evidence stands alone. Checked: the status, the imprint, that the signer is an approved
authority, that its certificate is for timestamping, and the CMS signature over exactly this content.

Spec: RFC 3161, RFC 5652, RFC 5816; X-Road 7.8's TimestampVerifier.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs import der
from certs.algorithms import DigestAlgorithm
from certs.certificates import der_of
from schemas.faults import Kind, NotProved

if TYPE_CHECKING:
    from collections.abc import Sequence

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_TST_INFO = "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_RSA_PSS = "1.2.840.113549.1.1.10"
_DIGEST_OIDS = {
    DigestAlgorithm.SHA1: "1.3.14.3.2.26",
    DigestAlgorithm.SHA256: "2.16.840.1.101.3.4.2.1",
    DigestAlgorithm.SHA384: "2.16.840.1.101.3.4.2.2",
    DigestAlgorithm.SHA512: "2.16.840.1.101.3.4.2.3",
}
_BY_OID = {oid: algorithm for algorithm, oid in _DIGEST_OIDS.items()}
_CERTIFICATES = 0xA0


@dataclass(frozen=True, slots=True)
class TimestampPolicy:
    """``check_purpose`` asks for the timeStamping key usage; recordings of long ago may lack it."""

    check_purpose: bool = True
    allow_sha1: bool = False


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A proved timestamp: when, and by which authority."""

    at: datetime
    authority: x509.Certificate
    imprint: bytes


@dataclass(frozen=True, slots=True)
class _TimestampSigner:
    issuer: bytes
    serial: int
    key_identifier: bytes | None
    digest_algorithm: DigestAlgorithm
    attributes: der.Value | None
    signature_oid: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class _Token:
    content: bytes
    imprint_algorithm: DigestAlgorithm
    imprint: bytes
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
    imprint = der.write(
        der.SEQUENCE,
        der.write(der.SEQUENCE, der.write_oid(_DIGEST_OIDS[algorithm]), b"\x05\x00"),
        der.write(der.OCTET_STRING, digest),
    )
    extras = (b"" if nonce is None else der.write_integer(nonce)) + (
        b"\x01\x01\xff" if want_certificate else b""
    )
    return der.write(der.SEQUENCE, der.write_integer(1), imprint, extras)


def check_reply(
    reply: bytes,
    digest: bytes,
    authorities: Sequence[x509.Certificate],
    algorithm: DigestAlgorithm = DigestAlgorithm.SHA512,
    policy: TimestampPolicy | None = None,
) -> tuple[bytes, Timestamp]:
    """The token of a granted reply, with the authority's certificate in it, and what it proves. Raises `NotProved`."""
    try:
        status, *rest = der.read_one(reply, der.SEQUENCE, "timestamp reply").children()
        code = int.from_bytes(status.children()[0].expect(der.INTEGER, "status").content, "big")
    except (ValueError, IndexError) as err:
        raise _failed(f"the timestamping authority's reply cannot be read: {err}") from err
    if code not in (0, 1) or not rest:
        raise _failed(f"the timestamping authority refused with status {code}")
    token = rest[0].raw
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
    _check_signature(parsed, authority, policy)
    return Timestamp(parsed.at, authority, parsed.imprint)


def check_nonce(token: bytes, nonce: int) -> None:
    """Refuse a token that answers another request than the one with this nonce. Raises `NotProved`."""
    try:
        info = der.read_one(_parse(token).content, der.SEQUENCE, "TSTInfo").children()
    except ValueError as err:
        raise NotProved(Kind.MALFORMED_SIGNATURE, f"the timestamp token cannot be read: {err}") from err
    came = next(
        (int.from_bytes(v.content, "big", signed=True) for v in info[5:] if v.tag == der.INTEGER), None
    )
    if came != nonce:
        raise _failed("the timestamp carries another nonce than was sent: it answers another request")


def imprint_algorithm_of(token: bytes) -> DigestAlgorithm:
    """The digest algorithm a token's imprint was made with. Raises `NotProved`."""
    return _parse(token).imprint_algorithm


def add_certificate(token: bytes, certificate: x509.Certificate) -> bytes:
    """The token with a certificate among its certificates; nothing that is signed changes."""
    content_type, wrapped = der.read_one(token, der.SEQUENCE, "token").children()
    signed_data = der.read_one(wrapped.content, der.SEQUENCE, "signed data").children()
    encoded = der_of(certificate)
    head, tail = signed_data[:3], signed_data[3:]
    present = tail[0].content if tail and tail[0].tag == _CERTIFICATES else b""
    if encoded in present:
        return token
    if present or (tail and tail[0].tag == _CERTIFICATES):
        tail = tail[1:]
    rebuilt = der.write(
        der.SEQUENCE,
        *(v.raw for v in head),
        der.write(_CERTIFICATES, present, encoded),
        *(v.raw for v in tail),
    )
    return der.write(der.SEQUENCE, content_type.raw, der.write(0xA0, rebuilt))


def _parse(token: bytes) -> _Token:
    try:
        return _parse_token(token)
    except (ValueError, IndexError, KeyError) as err:
        raise NotProved(Kind.MALFORMED_SIGNATURE, f"the timestamp token cannot be read: {err}") from err


def _parse_token(token: bytes) -> _Token:
    content_type, wrapped = der.read_one(token, der.SEQUENCE, "token").children()
    if der.read_oid(content_type) != _SIGNED_DATA:
        raise ValueError("it is no CMS SignedData")
    signed_data = der.read_one(wrapped.content, der.SEQUENCE, "signed data").children()
    inner_type, inner = signed_data[2].children()
    if der.read_oid(inner_type) != _TST_INFO:
        raise ValueError("its content is no TSTInfo")
    content = der.read_one(inner.content, der.OCTET_STRING, "content").content
    signers = signed_data[-1].expect(der.SET, "signer infos").children()
    if len(signers) != 1:
        raise ValueError(f"it has {len(signers)} signers; one was expected")
    info = der.read_one(content, der.SEQUENCE, "TSTInfo").children()
    imprint = info[2].children()
    return _Token(
        content=content,
        imprint_algorithm=_BY_OID[der.read_oid(imprint[0].children()[0])],
        imprint=imprint[1].expect(der.OCTET_STRING, "imprint").content,
        at=_time(info[4].expect(der.GENERALIZED_TIME, "genTime").content),
        signer=_signer(signers[0]),
    )


def _signer(value: der.Value) -> _TimestampSigner:
    fields = value.children()
    sid, rest = fields[1], fields[3:]
    issuer, serial, key_identifier = b"", 0, None
    if sid.tag == der.SEQUENCE:
        name, number = sid.children()
        issuer, serial = name.raw, int.from_bytes(number.content, "big", signed=True)
    else:
        key_identifier = sid.content
    attributes = rest.pop(0) if rest and rest[0].tag == 0xA0 else None
    return _TimestampSigner(
        issuer=issuer,
        serial=serial,
        key_identifier=key_identifier,
        digest_algorithm=_BY_OID[der.read_oid(fields[2].children()[0])],
        attributes=attributes,
        signature_oid=der.read_oid(rest[0].children()[0]),
        signature=rest[1].expect(der.OCTET_STRING, "signature").content,
    )


def _time(content: bytes) -> datetime:
    text = content.decode("ascii")
    if not text.endswith("Z"):
        raise ValueError("genTime is not in UTC")
    whole, _, fraction = text[:-1].partition(".")
    at = datetime.strptime(whole, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    return at.replace(microsecond=int(fraction.ljust(6, "0")[:6])) if fraction else at


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


def _check_signature(token: _Token, authority: x509.Certificate, policy: TimestampPolicy) -> None:
    if token.signer.digest_algorithm is DigestAlgorithm.SHA1 and not policy.allow_sha1:
        raise _unverified("the timestamp is signed over SHA-1, which is too weak")
    content = token.content
    if token.signer.attributes is not None:
        _check_attributes(token)
        content = der.write(der.SET, token.signer.attributes.content)
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
    if token.signer.attributes is None:
        return
    try:
        values = {
            der.read_oid(attribute.children()[0]): attribute.children()[1].children()
            for attribute in token.signer.attributes.children()
        }
        content_type = der.read_oid(values[_CONTENT_TYPE][0])
        digest = values[_MESSAGE_DIGEST][0].expect(der.OCTET_STRING, "message digest").content
    except (ValueError, IndexError, KeyError) as err:
        raise _unverified(f"the timestamp's signed attributes cannot be read: {err}") from err
    if content_type != _TST_INFO or digest != token.signer.digest_algorithm.digest(token.content):
        raise _unverified("the timestamp's signed attributes are of another content")


def _failed(detail: str) -> NotProved:
    return NotProved(Kind.TIMESTAMPING_FAILED, detail)


def _unverified(detail: str) -> NotProved:
    return NotProved(Kind.TIMESTAMP_SIGNER_VERIFICATION_FAILED, detail)
