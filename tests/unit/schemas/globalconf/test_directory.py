"""The signed directory, rule by rule: what is no directory, and what may not be listed in one."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest

from schemas.faults import Fault, Kind
from schemas.globalconf.directory import (
    SHA512_URI,
    Directory,
    DirectoryPart,
    DirectorySignature,
    find_certificate,
    parse_signed_content,
    render_directory,
    render_signed_content,
    split_directory,
)

CONTENT = b"<conf/>"
PART = DirectoryPart("SHARED-PARAMETERS", "MX", "/V4/1.xml", SHA512_URI, hashlib.sha512(CONTENT).digest())
DIRECTORY = Directory(4, datetime(2026, 12, 1, 12, 0, tzinfo=UTC), (PART,))
SIGNATURE = DirectorySignature("urn:algorithm", SHA512_URI, hashlib.sha512(b"certificate").digest(), b"value")
WHOLE = render_directory(render_signed_content(DIRECTORY, "inner"), "inner", "outer", SIGNATURE)


def changed(old: bytes, new: bytes) -> bytes:
    assert old in WHOLE, old
    return WHOLE.replace(old, new)


def test_a_directory_is_read_as_it_was_written() -> None:
    split = split_directory(WHOLE)
    assert (split.signature, parse_signed_content(split)) == (SIGNATURE, DIRECTORY)


MALFORMED, LACKS = Kind.MALFORMED_GLOBAL_CONF, Kind.GLOBAL_CONF_HEADER_FIELD_MISSING
BREAKS_OFF = Kind.GLOBAL_CONF_MISSING_EXPIRATION_DATE


@pytest.mark.parametrize(
    ("raw", "kind", "words"),
    [
        (b"a" * (1024 * 1024 + 1), MALFORMED, "at most 1048576"),
        (b"no header block", MALFORMED, "there is no header block"),
        (changed(b"multipart/related", b"text/plain"), MALFORMED, "no multipart content type"),
        (changed(b"; boundary=outer", b""), MALFORMED, "no multipart content type"),
        (WHOLE[: WHOLE.rindex(b"--outer\r\n")], BREAKS_OFF, "breaks off"),
        (
            changed(b"Verification-certificate-hash: ", b"Other: "),
            LACKS,
            "lacks verification-certificate-hash",
        ),
        (changed(b"Signature-Algorithm-Id: ", b"Other: "), LACKS, "lacks signature-algorithm-id"),
        (
            changed(b'hash-algorithm-id="' + SHA512_URI.encode(), b'hash-algorithm-id="urn:md5'),
            MALFORMED,
            "'urn:md5'",
        ),
        (changed(b"dmFsdWU=", b"?"), MALFORMED, "not base64"),
    ],
)
def test_bytes_that_are_no_directory_say_why(raw: bytes, kind: Kind, words: str) -> None:
    with pytest.raises(Fault, match=words) as caught:
        split_directory(raw)
    assert caught.value.kind is kind


@pytest.mark.parametrize(
    ("raw", "kind", "words"),
    [
        (changed(b"multipart/mixed", b"text/plain"), MALFORMED, "signed content is not a MIME multipart"),
        (changed(WHOLE[WHOLE.index(b"--inner\r\n") : WHOLE.index(b"--inner--")], b""), BREAKS_OFF, "lists nothing"),
        (changed(b"Expire-date: ", b"Other: "), LACKS, "no Expire-date"),
        (changed(b"2026-12-01T12:00:00Z", b"tomorrow"), MALFORMED, "not a date and time"),
        (changed(b"12:00:00Z", b"12:00:00"), MALFORMED, "no time zone"),
        (changed(b"Version: 4", b"Version: four"), MALFORMED, "not a number"),
        (changed(b"Version: 4", b"Version: 44444444444"), MALFORMED, "not a number"),
        (changed(b"Content-type: application/octet-stream", b"Content-type: text/plain"), MALFORMED, "text/plain"),
        (changed(b"Content-transfer-encoding: base64", b"Content-transfer-encoding: 8bit"), MALFORMED, "8bit"),
        (changed(b"Content-transfer-encoding: base64\r\n", b""), LACKS, "lacks content-transfer-encoding"),
        (changed(b"Content-identifier: ", b"Other: "), LACKS, "lacks content-identifier"),
        (changed(b"Content-location: ", b"Other: "), LACKS, "lacks content-location"),
        (changed(b"Hash-algorithm-id: ", b"Other: "), LACKS, "lacks hash-algorithm-id"),
        (changed(b"; instance='MX'", b""), MALFORMED, "of which instance"),
        (changed(b"Hash-algorithm-id: " + SHA512_URI.encode(),
                 b"Hash-algorithm-id: http://www.w3.org/2000/09/xmldsig#sha1"), MALFORMED, "is not accepted"),
    ],
)  # fmt: skip
def test_signed_bytes_that_may_not_be_listed_say_why(raw: bytes, kind: Kind, words: str) -> None:
    split = split_directory(raw)
    with pytest.raises(Fault, match=words) as caught:
        parse_signed_content(split)
    assert caught.value.kind is kind


def test_content_is_what_the_directory_lists() -> None:
    PART.check(CONTENT)
    with pytest.raises(Fault, match="is not the one the directory lists"):
        PART.check(CONTENT + b" ")


def test_a_directory_names_a_certificate_that_is_known() -> None:
    assert find_certificate(SIGNATURE, [b"other", b"certificate"]) == b"certificate"
    with pytest.raises(Fault, match="none of the 1 known") as caught:
        find_certificate(SIGNATURE, [b"other"])
    assert caught.value.kind is Kind.GLOBAL_CONF_MISSING_VERIFICATION_CERT
