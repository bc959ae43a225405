"""Reading a signature document: one strict regular expression for our template, the XML parser for every other dialect."""

from __future__ import annotations

import hashlib
import re

from schemas.xades.dialects import TIME, parse_dialect
from schemas.xades.document import (
    SHA512_URI,
    SIGNED_PROPERTIES_TYPE,
    Reference,
    SignatureDocument,
    decode_value,
    malformed,
)
from schemas.xades.writing import NAMESPACES, SignerFacts, build_to_be_signed, encode_value


def parse_signature_document(raw: bytes) -> SignatureDocument:
    """Take a signature document apart. Raises `BadMessage` (``invalid_xml``) or `NotProved` (``malformed_signature``)."""
    match = _OWN.fullmatch(raw)
    return _parse_own(match) if match is not None and _is_text(raw) else parse_dialect(raw)


def _is_text(raw: bytes) -> bool:
    """Whether bytes that matched are characters of XML too: the pattern lets anything above ASCII through."""
    if raw.isascii():
        return True
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return "\ufffe" not in text and "\uffff" not in text


def _own_pattern() -> re.Pattern[bytes]:
    """Exactly what `Draft.finish` writes, with its variable places captured."""
    base64_text = r"[A-Za-z0-9+/]+={0,2}"
    character = r"[^<>&\x00-\x1f]"
    issuer = rf"{character}*(?:&(?:amp|lt|gt);{character}*)*"
    blank = SignerFacts(b"", "@ISSUER@", 0)
    draft = build_to_be_signed("@URI@", b"", blank, "@TIME@", "@ALGORITHM@")
    text = re.escape(draft.finish(b"", ()).decode())
    # The empty places of the template, in document order.
    empty_digest = re.escape(f"<ds:DigestValue>{encode_value(hashlib.sha512(b'').digest())}</ds:DigestValue>")
    properties_digest = re.search(
        r"signed\\-properties\">.*?<ds:DigestValue>(.*?)</ds:DigestValue>", text, re.DOTALL
    )
    assert properties_digest is not None  # the template is ours
    text = text.replace(properties_digest.group(1), f"(?P<properties_digest>{base64_text})", 1)
    text = text.replace(
        empty_digest, f"<ds:DigestValue>(?P<certificate_digest>{base64_text})</ds:DigestValue>", 1
    )
    text = text.replace(
        "<ds:DigestValue></ds:DigestValue>", f"<ds:DigestValue>(?P<digest>{base64_text})</ds:DigestValue>", 1
    )
    text = text.replace(re.escape("@ALGORITHM@"), r"(?P<algorithm>[A-Za-z0-9:/.#\-]+)")
    text = text.replace(re.escape("@URI@"), r"(?P<uri>/message\.xml|/sig-hashchainresult\.xml)")
    text = text.replace(re.escape("@TIME@"), rf"(?P<time>{TIME})")
    text = text.replace(re.escape("@ISSUER@"), issuer)
    text = text.replace(r"<ds:X509SerialNumber>0<", r"<ds:X509SerialNumber>[0-9]+<")
    text = text.replace(
        r"application/hash\-chain\-result", r"(?P<mime>text/xml|application/hash\-chain\-result)"
    )
    text = text.replace(
        r'Id="signature\-value"></ds:SignatureValue>',
        rf'Id="signature\-value">(?P<value>{base64_text})</ds:SignatureValue>',
    )
    text = text.replace(
        "<ds:X509Certificate></ds:", f"<ds:X509Certificate>(?P<certificate>{base64_text})</ds:"
    )
    text = text.replace(
        "<xades:OCSPValues></xades:OCSPValues>",
        r'<xades:OCSPValues>(?P<ocsp>(?:<xades:EncapsulatedOCSPValue Id="ocsp-response-[0-9]+">'
        rf"{base64_text}</xades:EncapsulatedOCSPValue>)+)</xades:OCSPValues>",
    )
    for name, start, end in (
        ("signed_info", "<ds:SignedInfo>", "</ds:SignedInfo>"),
        ("signed_properties", "<xades:SignedProperties ", "</xades:SignedProperties>"),
    ):
        begin, finish = re.escape(start), re.escape(end)
        text = text.replace(begin, f"(?P<{name}>{begin}", 1).replace(finish, f"{finish})", 1)
    return re.compile(text.encode())


_OWN = _own_pattern()
_OWN_OCSP = re.compile(rb'Id="(ocsp-response-[0-9]+)">([A-Za-z0-9+/=]+)<')


def _parse_own(match: re.Match[bytes]) -> SignatureDocument:
    found = match.groupdict()
    uri = found["uri"].decode()
    namespaces = NAMESPACES.encode()
    responses = _OWN_OCSP.findall(found["ocsp"])
    if len({name for name, _ in responses}) != len(responses):
        raise malformed("an Id is there twice")
    return SignatureDocument(
        signed_info=b"<ds:SignedInfo" + namespaces + found["signed_info"][len("<ds:SignedInfo") :],
        algorithm_uri=found["algorithm"].decode(),
        references=(
            Reference(uri, "", SHA512_URI, decode_value(found["digest"]), ()),
            Reference(
                "#signed-properties",
                SIGNED_PROPERTIES_TYPE,
                SHA512_URI,
                decode_value(found["properties_digest"]),
                (),
            ),
        ),
        signature_value=decode_value(found["value"]),
        certificate=decode_value(found["certificate"]),
        signed_properties=b"<xades:SignedProperties"
        + namespaces
        + found["signed_properties"][len("<xades:SignedProperties") :],
        signed_properties_id="signed-properties",
        signing_time=found["time"].decode(),
        certificate_digest_uri=SHA512_URI,
        certificate_digest=decode_value(found["certificate_digest"]),
        intermediates=(),
        ocsp_responses=tuple(decode_value(value) for _, value in responses),
        timestamps=(),
        is_plain_profile=True,
    )
