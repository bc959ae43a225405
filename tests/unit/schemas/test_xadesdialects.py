"""Signature documents of other dialects, rule by rule: what the table of elements lets in, and the first thing that is wrong."""

from __future__ import annotations

import re

import pytest

from schemas.faults import BadMessage, NotProved
from schemas.xades.dialects import parse_dialect
from schemas.xades.document import EXCLUSIVE_C14N
from schemas.xades.reading import parse_signature_document
from schemas.xades.writing import SignerFacts, build_to_be_signed, insert_timestamp
from tests import worlds

C14N_METHOD = '<ds:CanonicalizationMethod Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"></ds:CanonicalizationMethod>'
SIGNING_CERTIFICATE = re.compile(r"<xades:SigningCertificate>.*</xades:SigningCertificate>")
SIGNING_TIME = re.compile(r"(?<=<xades:SigningTime>)[^<]*")
UNSIGNED = "<xades:UnsignedSignatureProperties>"
PROPERTIES_REFERENCE = ' URI="#signed-properties">'


def document() -> str:
    """A signature as this gateway writes it, from which every dialect below is made."""
    world = worlds.world()
    return world.sign(world.request())[0].signature.decode()


def changed(old: str | re.Pattern[str], new: str) -> bytes:
    text = document()
    found = old if isinstance(old, str) else old.search(text)
    assert found
    if isinstance(old, str):
        assert old in text
        return text.replace(old, new, 1).encode()
    return old.sub(lambda _: new, text, count=1).encode()


def element(name: str) -> re.Pattern[str]:
    """The first element of that name, whole."""
    return re.compile(rf"<{name}(?: [^>]*)?>.*?</{name}>", re.DOTALL)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<ds:Signature Id", "<ds:Signature/><ds:Signature Id", "exactly one ds:Signature"),
        ("</asic:XAdESSignatures>", "<ds:Object/></asic:XAdESSignatures>", "exactly one ds:Signature"),
        ("<ds:SignedInfo>", '<ds:SignedInfo Kind="x">', "ds:SignedInfo cannot have the attribute 'Kind'"),
        ("<ds:DigestMethod ", '<ds:DigestMethod Id="d" ', "ds:DigestMethod cannot have the attribute 'Id'"),
        ("<ds:KeyInfo>", "<ds:KeyInfo><ds:KeyName/>", "ds:KeyInfo cannot hold ds:KeyName"),
        ("<ds:KeyInfo>", "<ds:KeyInfo><X509Data/>", r"ds:KeyInfo cannot hold \?:X509Data"),
        ("<ds:SignedInfo>", "<ds:SignedInfo><!-- -->", "ds:SignedInfo holds a comment"),
        ("<ds:SignedInfo>", "<ds:SignedInfo><?a b?>", "ds:SignedInfo holds a comment or a processing"),
        ("</ds:SignedInfo>", f"{C14N_METHOD}</ds:SignedInfo>", "stands too late in ds:SignedInfo"),
        ("<ds:SignedInfo>", f"<ds:SignedInfo>{C14N_METHOD}", "exactly one CanonicalizationMethod .* 2 are"),
        ('Id="signature-value"', 'Id="1 value"', "'1 value' is not a name"),
        ('Id="signature-value"', 'Id=""', "'' is not a name"),
        ('Id="signature-value"', 'Id="signature"', "'signature' is there twice"),
        ("<xades:SigPolicyId>", '<xades:SigPolicyId ID="signature">', "'signature' is there twice"),
        ("<xades:SigPolicyId>", '<xades:SigPolicyId id="signature">', "'signature' is there twice"),
        ('Target="#signature"', 'Target="#other"', "of another signature"),
        (' Target="#signature"', "", "of another signature"),
        (element("ds:SignatureMethod"), "", "exactly one SignatureMethod was expected, 0"),
        (element("ds:SignatureValue"), "", "exactly one SignatureValue was expected, 0"),
        (element("ds:X509Certificate"), "", "exactly one X509Certificate was expected, 0"),
        (element("xades:SignedProperties"), "", "exactly one SignedProperties was expected, 0"),
        (element("xades:SignedSignatureProperties"), "", "SignedSignatureProperties is missing"),
        ("REC-xml-c14n-20010315", "REC-xml-c14n-20010315#WithComments", "canonicalisation .* not accepted"),
        (
            PROPERTIES_REFERENCE,
            f'{PROPERTIES_REFERENCE}<ds:Transforms><ds:Transform Algorithm="urn:x"/></ds:Transforms>',
            "the canonicalisation 'urn:x' is not accepted",
        ),
        (SIGNING_TIME, "yesterday", "'yesterday' is not a date and time"),
        (SIGNING_TIME, "", "'' is not a date and time"),
        (SIGNING_CERTIFICATE, "", "exactly one signing certificate was expected, 0"),
        (
            "</xades:SigningCertificate>",
            "<xades:Cert/></xades:SigningCertificate>",
            "exactly one signing certificate was expected, 2",
        ),
        (element("xades:CertDigest"), "", "exactly one CertDigest was expected, 0"),
        (
            UNSIGNED,
            f"{UNSIGNED}<xades:CertificateValues><xades:EncapsulatedX509Certificate>AA=="
            "</xades:EncapsulatedX509Certificate></xades:CertificateValues>",
            "an encapsulated certificate has no Id",
        ),
        (
            UNSIGNED,
            f"{UNSIGNED}<xades:SignatureTimeStamp></xades:SignatureTimeStamp>",
            "a value is empty",
        ),
        (re.compile(r"(?<=<ds:X509Certificate>)[^<]*"), "no!base64", "not base64"),
        (re.compile(r"(?<=<ds:X509Certificate>)[^<]*"), "AB==", "one form"),
    ],
)
def test_what_the_rules_of_a_signature_document_do_not_allow_is_refused(
    old: str | re.Pattern[str], new: str, words: str
) -> None:
    with pytest.raises(NotProved, match=words) as caught:
        parse_dialect(changed(old, new))
    assert caught.value.code == "malformed_signature"


@pytest.mark.parametrize("raw", [b"", b"x", b"<a>", b"<!DOCTYPE a><a/>"])
def test_what_is_no_xml_is_refused_as_such(raw: bytes) -> None:
    with pytest.raises(BadMessage) as caught:
        parse_dialect(raw)
    assert caught.value.code == "invalid_xml"


def test_a_lone_signature_element_is_read_and_is_not_the_plain_profile() -> None:
    text = document()
    namespaces = re.search(r"<asic:XAdESSignatures([^>]*)>", text)
    alone = re.search(r"<ds:Signature .*</ds:Signature>", text)
    assert namespaces is not None
    assert alone is not None
    found = parse_dialect(alone.group().replace("<ds:Signature", f"<ds:Signature{namespaces[1]}", 1).encode())
    whole = parse_dialect(text.encode())
    assert (found.is_plain_profile, whole.is_plain_profile) == (False, True)
    assert (found.references, found.signature_value, found.certificate, found.ocsp_responses) == (
        whole.references,
        whole.signature_value,
        whole.certificate,
        whole.ocsp_responses,
    )


def test_a_transform_of_the_properties_says_how_they_are_made_canonical() -> None:
    transform = f'<ds:Transforms><ds:Transform Algorithm="{EXCLUSIVE_C14N}"/></ds:Transforms>'
    found = parse_dialect(changed(PROPERTIES_REFERENCE, f"{PROPERTIES_REFERENCE}{transform}"))
    assert found.references[1].transforms == (EXCLUSIVE_C14N,)
    assert not found.is_plain_profile
    assert b"xmlns:asic" not in found.signed_properties
    assert b"xmlns:asic" in parse_dialect(document().encode()).signed_properties


def test_a_document_without_a_signing_time_has_none() -> None:
    assert parse_dialect(changed(element("xades:SigningTime"), "")).signing_time == ""


@pytest.mark.parametrize(
    "time",
    ["2026-11-24T12:00:00", "2026-11-24T12:00:00+05:30", "-0001-11-24T12:00:00.5Z", " 2026-11-24T12:00:00Z "],
)
def test_every_spelling_of_a_date_and_time_is_read(time: str) -> None:
    assert parse_dialect(changed(SIGNING_TIME, time)).signing_time == time.strip()


def test_a_token_stands_in_its_own_element_or_in_the_old_form_directly() -> None:
    stamps = (
        "<xades:SignatureTimeStamp>AAEC</xades:SignatureTimeStamp><xades:SignatureTimeStamp>"
        "<xades:EncapsulatedTimeStamp>AwQF</xades:EncapsulatedTimeStamp></xades:SignatureTimeStamp>"
    )
    assert parse_dialect(changed(UNSIGNED, f"{UNSIGNED}{stamps}")).timestamps == (
        bytes((0, 1, 2)),
        bytes((3, 4, 5)),
    )


def test_the_newer_form_of_the_signing_certificate_says_the_same() -> None:
    text = document().replace("xades:SigningCertificate>", "xades:SigningCertificateV2>")
    newer = re.sub("<xades:IssuerSerial>.*</xades:IssuerSerial>", "", text)
    assert (
        parse_dialect(newer.encode()).certificate_digest
        == parse_dialect(document().encode()).certificate_digest
    )


def test_an_element_without_a_canonical_form_is_refused() -> None:
    raw = changed("<ds:SignedInfo>", '<ds:SignedInfo xmlns:r="relative">')
    with pytest.raises(NotProved, match="SignedInfo has no canonical form") as caught:
        parse_dialect(raw)
    assert caught.value.code == "malformed_signature"


def test_two_values_of_one_id_are_refused_in_our_own_form_too() -> None:
    text = document()
    (one,) = re.findall(
        r'<xades:EncapsulatedOCSPValue Id="ocsp-response-1">[^<]*</xades:EncapsulatedOCSPValue>', text
    )
    other = one.replace("response-1", "response-9")
    assert len(parse_signature_document(text.replace(one, one + other).encode()).ocsp_responses) == 2
    with pytest.raises(NotProved, match="an Id is there twice") as caught:
        parse_signature_document(text.replace(one, one * 2).encode())
    assert caught.value.code == "malformed_signature"


@pytest.mark.parametrize("raw", [b"<x/>", UNSIGNED.encode() * 2])
def test_a_timestamp_is_put_where_there_is_one_place_for_it(raw: bytes) -> None:
    with pytest.raises(NotProved, match="no one place for a timestamp") as caught:
        insert_timestamp(raw, b"token")
    assert caught.value.code == "malformed_signature"
    stamped = insert_timestamp(document().encode(), b"token")
    assert parse_signature_document(stamped).timestamps == (b"token",)


@pytest.mark.parametrize("issuer", ["CN=a", "CN=Peña", "CN=\ufffe", "CN=\ud800"])
def test_a_document_in_our_own_form_holds_characters_of_xml_only(issuer: str) -> None:
    text = re.sub("(?<=<ds:X509IssuerName>)[^<]*", issuer, document())
    raw = text.encode("utf-8", "surrogatepass")
    if issuer.endswith("a"):
        assert parse_signature_document(raw) == parse_dialect(raw)
    else:
        with pytest.raises(BadMessage, match="not well-formed"):
            parse_signature_document(raw)


def test_certificates_between_the_signer_s_and_the_root_come_along() -> None:
    signer, *between = (SignerFacts(bytes([n]) * 9, f"CN=<{n}> & sons", n) for n in (1, 2, 3))
    draft = build_to_be_signed("/message.xml", b"d" * 64, signer, "2026-11-24T12:00:00.000Z", "urn:algorithm")
    for intermediates in ([], between):
        found = parse_signature_document(draft.finish(b"value", [b"ocsp"], intermediates))
        assert found.intermediates == tuple(c.certificate for c in intermediates)
        assert (found.certificate, found.ocsp_responses) == (signer.certificate, (b"ocsp",))
