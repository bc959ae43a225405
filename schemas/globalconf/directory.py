"""The signed directory: which parts an instance's configuration has, with their digests, and a signature over that list.

The HTTP body itself begins with a MIME header block. What is signed are the raw bytes of the first outer part: from the
first inner delimiter through the line break after the closing one. Readers take them as framing yields them, so
recordings with bare LF verify too. The configuration proxy's dialect (lower-case names, LF after the outer block, double
quotes, an unquoted hash algorithm) is read as well.

Spec: PR-GCONF 3; X-Road 7.8's DirectoryContentBuilder, DirectoryContentSigner, ConfigurationParser.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from schemas.faults import BadMessage, Fault, Kind
from schemas.multipart import Headers, MultipartParser, PartData, PartStart, parse_content_type, parse_headers

if TYPE_CHECKING:
    from collections.abc import Sequence

OCTETS = "application/octet-stream"
SHA512_URI = "http://www.w3.org/2001/04/xmlenc#sha512"
# Digest URIs a directory may use; SHA-1 only ever finds a certificate, it proves nothing.
DIGEST_NAMES = {
    "http://www.w3.org/2000/09/xmldsig#sha1": "sha1",
    "http://www.w3.org/2001/04/xmldsig-more#sha224": "sha224",
    "http://www.w3.org/2001/04/xmlenc#sha256": "sha256",
    "http://www.w3.org/2001/04/xmldsig-more#sha384": "sha384",
    SHA512_URI: "sha512",
}
_PART_DIGESTS = {uri for uri, name in DIGEST_NAMES.items() if name not in ("sha1", "sha224")}
_LARGEST = 1024 * 1024


class DirectoryPart(msgspec.Struct, frozen=True):
    """One listed part: what it is, whose, where, and its digest."""

    content_id: str
    instance: str
    location: str
    digest_uri: str
    digest: bytes
    file_name: str | None = None

    def check(self, content: bytes) -> None:
        """Refuse content that is not what the directory lists."""
        if hashlib.new(DIGEST_NAMES[self.digest_uri], content).digest() != self.digest:
            raise Fault(
                Kind.MALFORMED_GLOBAL_CONF,
                f"the digest of {self.location} is not the one the directory lists",
            )


class DirectorySignature(msgspec.Struct, frozen=True):
    """The signature of a directory, as it stands in it. ECDSA values are DER here."""

    algorithm_uri: str
    certificate_digest_uri: str
    certificate_digest: bytes
    value: bytes


class SplitDirectory(msgspec.Struct, frozen=True):
    """A directory of which only the framing has been read: verify ``signature`` over ``signed`` first."""

    signed: bytes
    content_headers: Headers
    signature: DirectorySignature


class Directory(msgspec.Struct, frozen=True):
    """A configuration directory: when it expires, of which version it is, and its parts with their digests (PR-GCONF 3)."""

    version: int
    expires_at: datetime
    parts: tuple[DirectoryPart, ...]


def split_directory(raw: bytes) -> SplitDirectory:
    """Separate the signed bytes from the signature. Raises `Fault`."""
    if len(raw) > _LARGEST:
        raise _malformed(f"the directory has {len(raw)} bytes; at most {_LARGEST} are accepted")
    try:
        head, body = _split_head(raw)
        boundary = _boundary(_header(head, "content-type") or "", "the directory")
        parts = _parts(boundary, body)
    except BadMessage as fault:
        raise _malformed(f"the directory is not a MIME multipart: {fault.detail}") from fault
    if len(parts) < 2:
        raise Fault(
            Kind.GLOBAL_CONF_MISSING_EXPIRATION_DATE, "the directory breaks off before its signature part"
        )
    headers, signed = parts[0]
    return SplitDirectory(signed, headers, _signature(*parts[1]))


def parse_signed_content(split: SplitDirectory) -> Directory:
    """The directory in the signed bytes; to be called only once their signature is proved. Raises `Fault`."""
    try:
        content_type = _header(split.content_headers, "content-type") or ""
        inner = _parts(_boundary(content_type, "the signed content"), split.signed)
    except BadMessage as fault:
        raise _malformed(f"the signed content is not a MIME multipart: {fault.detail}") from fault
    if not inner:
        raise Fault(Kind.GLOBAL_CONF_MISSING_EXPIRATION_DATE, "the directory lists nothing")
    first, *rest = inner
    expires = _header(first[0], "expire-date")
    if expires is None:
        raise Fault(Kind.GLOBAL_CONF_HEADER_FIELD_MISSING, "the directory has no Expire-date")
    version = _header(first[0], "version") or "2"
    if not (version.isascii() and version.isdigit() and len(version) < 10):
        raise _malformed(f"the directory's Version is {version[:20]!r}, not a number")
    return Directory(int(version), _time(expires), tuple(_part(*part) for part in rest))


def render_signed_content(directory: Directory, boundary: str) -> bytes:
    """The bytes of a directory that are signed: a MIME multipart of the parts' headers."""
    lines = [
        f"--{boundary}",
        f"Expire-date: {directory.expires_at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        f"Version: {directory.version}",
        "",
    ]
    for part in directory.parts:
        lines += [
            f"--{boundary}",
            f"Content-type: {OCTETS}",
            "Content-transfer-encoding: base64",
            f"Content-identifier: {part.content_id}; instance='{part.instance}'",
            f"Content-location: {part.location}",
            f"Hash-algorithm-id: {part.digest_uri}",
            "",
            base64.b64encode(part.digest).decode("ascii"),
        ]
    lines += [f"--{boundary}--", ""]
    return "\r\n".join(lines).encode()


def render_directory(
    signed: bytes, inner_boundary: str, boundary: str, signature: DirectorySignature
) -> bytes:
    """The HTTP body of a directory: the signed bytes and their signature in one multipart."""
    head = (
        f"Content-Type: multipart/related; charset=UTF-8; boundary={boundary}\r\n\r\n"
        f"--{boundary}\r\n"
        f"Content-Type: multipart/mixed; charset=UTF-8; boundary={inner_boundary}\r\n\r\n"
    )
    digest = base64.b64encode(signature.certificate_digest).decode("ascii")
    tail = (
        f"\r\n--{boundary}\r\n"
        f"Content-Type: {OCTETS}\r\n"
        "Content-Transfer-Encoding: base64\r\n"
        f"Signature-Algorithm-Id: {signature.algorithm_uri}\r\n"
        f'Verification-certificate-hash: {digest}; hash-algorithm-id="{signature.certificate_digest_uri}"\r\n\r\n'
        f"{base64.b64encode(signature.value).decode('ascii')}\r\n"
        f"--{boundary}--\r\n"
    )
    return head.encode() + signed + tail.encode()


def _split_head(raw: bytes) -> tuple[Headers, bytes]:
    found = re.search(rb"\r?\n\r?\n", raw)
    if found is None:
        raise BadMessage(Kind.MIME_PARSING_FAILED, "there is no header block")
    return parse_headers(raw[: found.start()].lstrip(b"\r\n")), raw[found.end() :]


def _boundary(content_type: str, what: str) -> str:
    media, parameters = parse_content_type(content_type)
    if not media.startswith("multipart/") or not parameters.get("boundary"):
        raise BadMessage(Kind.MIME_PARSING_FAILED, f"{what} has no multipart content type with a boundary")
    return parameters["boundary"]


def _parts(boundary: str, body: bytes) -> list[tuple[Headers, bytes]]:
    """The parts of a multipart; one that nobody closed ends where the bytes end, as MIME libraries read it."""
    parser = MultipartParser(boundary)
    closing = f"--{boundary}--".encode()
    parts: list[tuple[Headers, bytearray]] = []
    for event in parser.feed(body if closing in body else body + b"\r\n" + closing):
        if isinstance(event, PartStart):
            parts.append((event.headers, bytearray()))
        elif isinstance(event, PartData):
            parts[-1][1].extend(event.data)
    return [(headers, bytes(content)) for headers, content in parts]


def _header(headers: Headers, name: str) -> str | None:
    return next((v for n, v in headers if n.lower() == name), None)


def _needed(headers: Headers, name: str) -> str:
    value = _header(headers, name)
    if not value:
        raise Fault(Kind.GLOBAL_CONF_HEADER_FIELD_MISSING, f"a part of the directory lacks {name}")
    return value


def _check_encoding(headers: Headers) -> None:
    for name, expected in (("content-type", OCTETS), ("content-transfer-encoding", "base64")):
        value = _needed(headers, name)
        if value != expected:
            raise _malformed(f"a part of the directory has {name} {value!r}; {expected} was expected")


def _part(headers: Headers, content: bytes) -> DirectoryPart:
    _check_encoding(headers)
    content_id, parameters = _split_identifier(_needed(headers, "content-identifier"))
    instance = parameters.get("instance", "")
    if not instance and content_id in ("SHARED-PARAMETERS", "PRIVATE-PARAMETERS"):
        raise _malformed(f"{content_id} does not say of which instance it is")
    digest_uri = _needed(headers, "hash-algorithm-id")
    if digest_uri not in _PART_DIGESTS:
        raise _malformed(f"the digest algorithm {digest_uri!r} of a part is not accepted")
    return DirectoryPart(
        content_id,
        instance,
        _needed(headers, "content-location"),
        digest_uri,
        _base64(content),
        _header(headers, "content-file-name"),
    )


def _split_identifier(value: str) -> tuple[str, dict[str, str]]:
    content_id, *rest = value.split(";")
    parameters = {}
    for piece in rest:
        name, _, text = piece.partition("=")
        parameters[name.strip().lower()] = text.strip().strip("'\"")
    return content_id.strip(), parameters


def _signature(headers: Headers, content: bytes) -> DirectorySignature:
    _check_encoding(headers)
    digest, parameters = _split_identifier(_needed(headers, "verification-certificate-hash"))
    digest_uri = parameters.get("hash-algorithm-id", "")
    if digest_uri not in DIGEST_NAMES:
        raise _malformed(
            f"the digest algorithm {digest_uri!r} of the verification certificate is not accepted"
        )
    return DirectorySignature(
        _needed(headers, "signature-algorithm-id"),
        digest_uri,
        _base64(digest.encode("ascii", "replace")),
        _base64(content),
    )


def _base64(content: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(content.split()), validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("a value of the directory is not base64") from None


def _time(value: str) -> datetime:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise _malformed(f"the directory's Expire-date is {value!r}, not a date and time") from None
    if at.tzinfo is None:
        raise _malformed(f"the directory's Expire-date {value!r} has no time zone")
    return at


def _malformed(detail: str) -> Fault:
    return Fault(Kind.MALFORMED_GLOBAL_CONF, detail)


def matches_certificate(signature: DirectorySignature, certificate: bytes) -> bool:
    """Whether the directory names this verification certificate, by the digest of its bytes as transmitted."""
    name = DIGEST_NAMES[signature.certificate_digest_uri]
    return hashlib.new(name, certificate).digest() == signature.certificate_digest


def find_certificate(signature: DirectorySignature, certificates: Sequence[bytes]) -> bytes:
    """The verification certificate a directory names. Raises `Fault`."""
    for certificate in certificates:
        if matches_certificate(signature, certificate):
            return certificate
    raise Fault(
        Kind.GLOBAL_CONF_MISSING_VERIFICATION_CERT,
        f"the directory is signed with a key that none of the {len(certificates)} known verification certificates "
        "has; if the central server's keys were replaced, import its new anchor",
    )
