"""The signature document: XAdES in the profile security servers exchange. It holds no key and proves nothing.

Writing: a text template that is already in canonical form (inclusive C14N 1.0 with the root's four namespaces in
scope), so the bytes to sign are cut from it instead of computed. Reading: documents of that very template are taken
apart by one strict regular expression; every other dialect goes through the XML parser, a table of allowed elements
and real canonicalisation. Both roads give the same `SignatureDocument`.

What peers are known to need, and why the template looks as it does: literal prefixes ``ds:`` and ``xades:``; no white
space between the root and ``ds:Signature`` or inside ``Cert`` and ``CertDigest``; SigningCertificate in its first
version; ``text/xml`` as MIME type even for REST.

Spec: ETSI TS 101 903 v1.3.2; XMLDSIG 1.1; PR-SIGDOC; X-Road 7.8's SignatureXmlBuilder.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from lxml import etree

from schemas.faults import Kind, NotProved
from schemas.safexml import XmlLimits, parse_xml

if TYPE_CHECKING:
    from collections.abc import Sequence

ASIC_NS = "http://uri.etsi.org/02918/v1.2.1#"
DS_NS = "http://www.w3.org/2000/09/xmldsig#"
XADES_NS = "http://uri.etsi.org/01903/v1.3.2#"
SHA512_URI = "http://www.w3.org/2001/04/xmlenc#sha512"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
SIGNED_PROPERTIES_TYPE = "http://uri.etsi.org/01903#SignedProperties"
MESSAGE_URI = "/message.xml"
HASH_CHAIN_RESULT_URI = "/sig-hashchainresult.xml"

_DS = f"{{{DS_NS}}}"
_XADES = f"{{{XADES_NS}}}"
# What stands in a signature is a few certificates and OCSP responses, large ones perhaps, and their timestamps.
_LIMITS = XmlLimits(size_bytes=1024 * 1024, depth=32, elements=4096)


@dataclass(frozen=True, slots=True)
class Reference:
    """One signed reference: its URI and the digest of the part it names."""

    uri: str
    type: str
    digest_uri: str
    digest: bytes
    transforms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SignatureDocument:
    """Everything a signature document says, unproved.

    ``signed_info`` is what the signature value is over; ``signed_properties`` what the properties' reference is over;
    both canonical bytes. Certificates, OCSP responses and timestamp tokens are DER.
    """

    signed_info: bytes
    algorithm_uri: str
    references: tuple[Reference, ...]
    signature_value: bytes
    certificate: bytes
    signed_properties: bytes
    signed_properties_id: str
    signing_time: str
    certificate_digest_uri: str
    certificate_digest: bytes
    intermediates: tuple[bytes, ...]
    ocsp_responses: tuple[bytes, ...]
    timestamps: tuple[bytes, ...]
    is_plain_profile: bool

    def reference(self, uri: str) -> Reference | None:
        """The reference with that URI."""
        return next((r for r in self.references if r.uri == uri), None)


# Writing

_NAMESPACES = (
    f' xmlns:asic="{ASIC_NS}" xmlns:ds="{DS_NS}" xmlns:xades="{XADES_NS}"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
_ROOT = f"<asic:XAdESSignatures{_NAMESPACES}>"
_DECLARATION = '<?xml version="1.0" encoding="UTF-8" standalone="no"?>'
_POLICY = (
    "<xades:SignaturePolicyIdentifier><xades:SignaturePolicyId><xades:SigPolicyId>"
    '<xades:Identifier Qualifier="OIDAsURN">urn:oid:1.3.6.1.4.1.3516.16.2</xades:Identifier>'
    "<xades:Description>Profile for High Performance Digital Signatures (version 1.2)</xades:Description>"
    "</xades:SigPolicyId><xades:SigPolicyHash>"
    f'<ds:DigestMethod Algorithm="{SHA512_URI}"></ds:DigestMethod><ds:DigestValue>'
    "BuO0EDNfkxSVlUbxCzmQPzX1AUF1/xx9ytWHk3/6SAOePxQiniEfDYk+90QeYb3lWpV3Izhuz9fKaYyE+lTcXw=="
    "</ds:DigestValue></xades:SigPolicyHash><xades:SigPolicyQualifiers><xades:SigPolicyQualifier>"
    "<xades:SPURI>https://repo.cyber.ee/dsig-profile-1.2.pdf</xades:SPURI>"
    "</xades:SigPolicyQualifier></xades:SigPolicyQualifiers></xades:SignaturePolicyId>"
    "</xades:SignaturePolicyIdentifier>"
)
_SHA512_METHOD = f'<ds:DigestMethod Algorithm="{SHA512_URI}"></ds:DigestMethod>'


@dataclass(frozen=True, slots=True)
class SignerFacts:
    """A signing certificate as a signature document names it: DER, issuer in RFC 4514 text, serial number."""

    certificate: bytes
    issuer: str
    serial: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A document waiting for its signature value. ``signed_info`` is to be digested and signed."""

    signed_info: bytes
    _inner_signed_info: str
    _signed_properties: str
    _certificate: str

    def finish(
        self,
        signature_value: bytes,
        ocsp_responses: Sequence[bytes],
        intermediates: Sequence[SignerFacts] = (),
    ) -> bytes:
        """The document. ``signature_value`` is raw ``r ‖ s`` for ECDSA; OCSP responses have the signer's first."""
        return "".join(
            (
                _DECLARATION,
                _ROOT,
                '<ds:Signature Id="signature">',
                self._inner_signed_info,
                f'<ds:SignatureValue Id="signature-value">{_b64(signature_value)}</ds:SignatureValue>',
                f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{self._certificate}</ds:X509Certificate>",
                '</ds:X509Data></ds:KeyInfo><ds:Object><xades:QualifyingProperties Target="#signature">',
                self._signed_properties,
                "<xades:UnsignedProperties><xades:UnsignedSignatureProperties>",
                _certificate_values(intermediates),
                "<xades:RevocationValues><xades:OCSPValues>",
                *(
                    f'<xades:EncapsulatedOCSPValue Id="ocsp-response-{n}">{_b64(der)}</xades:EncapsulatedOCSPValue>'
                    for n, der in enumerate(ocsp_responses, 1)
                ),
                "</xades:OCSPValues></xades:RevocationValues></xades:UnsignedSignatureProperties>",
                "</xades:UnsignedProperties></xades:QualifyingProperties></ds:Object></ds:Signature>",
                "</asic:XAdESSignatures>",
            )
        ).encode()


def build_to_be_signed(
    reference_uri: str, reference_digest: bytes, signer: SignerFacts, signing_time: str, algorithm_uri: str
) -> Draft:
    """A draft over ``/message.xml`` or ``/sig-hashchainresult.xml`` (SHA-512 digest of its octets).

    ``signing_time`` is ISO 8601 in UTC with milliseconds and ``Z``.
    """
    mime_type = "text/xml" if reference_uri == MESSAGE_URI else "application/hash-chain-result"
    certificate = _b64(signer.certificate)
    properties = (
        f' Id="signed-properties"><xades:SignedSignatureProperties><xades:SigningTime>{signing_time}'
        "</xades:SigningTime><xades:SigningCertificate>"
        f"{_cert_reference(signer)}</xades:SigningCertificate>{_POLICY}"
        "</xades:SignedSignatureProperties><xades:SignedDataObjectProperties>"
        '<xades:DataObjectFormat ObjectReference="#signature-reference-0">'
        f"<xades:MimeType>{mime_type}</xades:MimeType></xades:DataObjectFormat>"
        "</xades:SignedDataObjectProperties></xades:SignedProperties>"
    )
    properties_digest = hashlib.sha512(f"<xades:SignedProperties{_NAMESPACES}{properties}".encode()).digest()
    signed_info = (
        f'><ds:CanonicalizationMethod Algorithm="{C14N}"></ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{algorithm_uri}"></ds:SignatureMethod>'
        f'<ds:Reference Id="signature-reference-0" URI="{reference_uri}">{_SHA512_METHOD}'
        f"<ds:DigestValue>{_b64(reference_digest)}</ds:DigestValue></ds:Reference>"
        f'<ds:Reference Id="signature-reference-1" Type="{SIGNED_PROPERTIES_TYPE}" URI="#signed-properties">'
        f"{_SHA512_METHOD}<ds:DigestValue>{_b64(properties_digest)}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
    )
    return Draft(
        f"<ds:SignedInfo{_NAMESPACES}{signed_info}".encode(),
        f"<ds:SignedInfo{signed_info}",
        f"<xades:SignedProperties{properties}",
        certificate,
    )


def _cert_reference(signer: SignerFacts, uri: str = "") -> str:
    attribute = f' URI="{uri}"' if uri else ""
    return (
        f"<xades:Cert{attribute}><xades:CertDigest>{_SHA512_METHOD}<ds:DigestValue>"
        f"{_b64(hashlib.sha512(signer.certificate).digest())}</ds:DigestValue></xades:CertDigest>"
        f"<xades:IssuerSerial><ds:X509IssuerName>{_canonical_text(signer.issuer)}</ds:X509IssuerName>"
        f"<ds:X509SerialNumber>{signer.serial}</ds:X509SerialNumber></xades:IssuerSerial></xades:Cert>"
    )


def _certificate_values(intermediates: Sequence[SignerFacts]) -> str:
    if not intermediates:
        return ""
    references = "".join(
        _cert_reference(c, f"#encapsulated-cert-{n}") for n, c in enumerate(intermediates, 1)
    )
    values = "".join(
        f'<xades:EncapsulatedX509Certificate Id="encapsulated-cert-{n}">{_b64(c.certificate)}'
        "</xades:EncapsulatedX509Certificate>"
        for n, c in enumerate(intermediates, 1)
    )
    return (
        '<xades:CompleteCertificateRefs Id="complete-certificate-refs"><xades:CertRefs>'
        f"{references}</xades:CertRefs></xades:CompleteCertificateRefs>"
        f"<xades:CertificateValues>{values}</xades:CertificateValues>"
    )


def _canonical_text(text: str) -> str:
    return escape(text).replace("\r", "&#xD;")


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


_UNSIGNED_START = b"<xades:UnsignedSignatureProperties>"


def insert_timestamp(raw: bytes, token: bytes) -> bytes:
    """The document with a timestamp token (DER) as the first unsigned property, where asic-verifier looks for it.

    Nothing else changes by a byte: the token is over the signature value, which stays. Raises `NotProved`.
    """
    at = raw.find(_UNSIGNED_START)
    if at < 0 or raw.count(_UNSIGNED_START) != 1:
        raise NotProved(Kind.MALFORMED_SIGNATURE, "the signature has no one place for a timestamp")
    place = at + len(_UNSIGNED_START)
    stamp = (
        '<xades:SignatureTimeStamp Id="signature-timestamp">'
        f"<xades:EncapsulatedTimeStamp>{_b64(token)}</xades:EncapsulatedTimeStamp></xades:SignatureTimeStamp>"
    )
    return raw[:place] + stamp.encode("ascii") + raw[place:]


# Reading


def parse_signature_document(raw: bytes) -> SignatureDocument:
    """Take a signature document apart. Raises `BadMessage` (``invalid_xml``) or `NotProved` (``malformed_signature``)."""
    match = _OWN.fullmatch(raw)
    return _parse_own(match) if match is not None and _is_text(raw) else _parse_any(raw)


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
    empty_digest = re.escape(f"<ds:DigestValue>{_b64(hashlib.sha512(b'').digest())}</ds:DigestValue>")
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
    text = text.replace(re.escape("@TIME@"), rf"(?P<time>{_TIME})")
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


_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z"
_ANY_TIME = re.compile(rf"-?{_TIME.removesuffix('Z')}(?:Z|[+-][0-9]{{2}}:[0-9]{{2}})?")
_OWN = _own_pattern()
_OWN_OCSP = re.compile(rb'Id="(ocsp-response-[0-9]+)">([A-Za-z0-9+/=]+)<')


def _parse_own(match: re.Match[bytes]) -> SignatureDocument:
    found = match.groupdict()
    uri = found["uri"].decode()
    namespaces = _NAMESPACES.encode()
    responses = _OWN_OCSP.findall(found["ocsp"])
    if len({name for name, _ in responses}) != len(responses):
        raise _malformed("an Id is there twice")
    return SignatureDocument(
        signed_info=b"<ds:SignedInfo" + namespaces + found["signed_info"][len("<ds:SignedInfo") :],
        algorithm_uri=found["algorithm"].decode(),
        references=(
            Reference(uri, "", SHA512_URI, _decode(found["digest"]), ()),
            Reference(
                "#signed-properties",
                SIGNED_PROPERTIES_TYPE,
                SHA512_URI,
                _decode(found["properties_digest"]),
                (),
            ),
        ),
        signature_value=_decode(found["value"]),
        certificate=_decode(found["certificate"]),
        signed_properties=b"<xades:SignedProperties"
        + namespaces
        + found["signed_properties"][len("<xades:SignedProperties") :],
        signed_properties_id="signed-properties",
        signing_time=found["time"].decode(),
        certificate_digest_uri=SHA512_URI,
        certificate_digest=_decode(found["certificate_digest"]),
        intermediates=(),
        ocsp_responses=tuple(_decode(value) for _, value in responses),
        timestamps=(),
        is_plain_profile=True,
    )


# Which elements may stand where, and in which order; anything else fails as it would against the XAdES schema.
_ALLOWED: dict[str, tuple[str, ...]] = {
    name: tuple(children.split())
    for name, children in {
        "ds:Signature": "ds:SignedInfo ds:SignatureValue ds:KeyInfo ds:Object",
        "ds:SignedInfo": "ds:CanonicalizationMethod ds:SignatureMethod ds:Reference",
        "ds:CanonicalizationMethod": "",
        "ds:SignatureMethod": "",
        "ds:Reference": "ds:Transforms ds:DigestMethod ds:DigestValue",
        "ds:Transforms": "ds:Transform",
        "ds:Transform": "",
        "ds:DigestMethod": "",
        "ds:DigestValue": "",
        "ds:SignatureValue": "",
        "ds:KeyInfo": "ds:X509Data",
        "ds:X509Data": "ds:X509Certificate ds:X509IssuerSerial ds:X509SubjectName",
        "ds:Object": "xades:QualifyingProperties ds:Manifest",
        "ds:Manifest": "ds:Reference",
        "xades:QualifyingProperties": "xades:SignedProperties xades:UnsignedProperties",
        "xades:SignedProperties": "xades:SignedSignatureProperties xades:SignedDataObjectProperties",
        "xades:SignedSignatureProperties": (
            "xades:SigningTime xades:SigningCertificate xades:SigningCertificateV2 "
            "xades:SignaturePolicyIdentifier xades:SignatureProductionPlace xades:SignerRole"
        ),
        "xades:SigningCertificate": "xades:Cert",
        "xades:SigningCertificateV2": "xades:Cert",
        "xades:Cert": "xades:CertDigest xades:IssuerSerial xades:IssuerSerialV2",
        "xades:CertDigest": "ds:DigestMethod ds:DigestValue",
        "xades:IssuerSerial": "ds:X509IssuerName ds:X509SerialNumber",
        "xades:SignedDataObjectProperties": (
            "xades:DataObjectFormat xades:CommitmentTypeIndication "
            "xades:AllDataObjectsTimeStamp xades:IndividualDataObjectsTimeStamp"
        ),
        "xades:DataObjectFormat": "xades:Description xades:ObjectIdentifier xades:MimeType xades:Encoding",
        "xades:UnsignedProperties": "xades:UnsignedSignatureProperties xades:UnsignedDataObjectProperties",
        "xades:UnsignedSignatureProperties": (
            "xades:SignatureTimeStamp xades:CompleteCertificateRefs xades:CompleteRevocationRefs "
            "xades:CertificateValues xades:RevocationValues xades:CounterSignature xades:SigAndRefsTimeStamp "
            "xades:RefsOnlyTimeStamp xades:ArchiveTimeStamp xades:AttributeCertificateRefs "
            "xades:AttributeRevocationRefs xades:AttrAuthoritiesCertValues xades:AttributeRevocationValues"
        ),
        "xades:CertificateValues": "xades:EncapsulatedX509Certificate xades:OtherCertificate",
        "xades:RevocationValues": "xades:CRLValues xades:OCSPValues xades:OtherValues",
        "xades:OCSPValues": "xades:EncapsulatedOCSPValue",
        "xades:CompleteCertificateRefs": "xades:CertRefs",
        "xades:CertRefs": "xades:Cert",
    }.items()
}
_IN_ANY_ORDER = frozenset(
    ("ds:Object", "ds:X509Data", "xades:CertificateValues", "xades:UnsignedSignatureProperties")
)
_ID = frozenset(("Id",))
_ALGORITHM = frozenset(("Algorithm",))
_ENCAPSULATED = frozenset(("Id", "Encoding"))
# The attributes of each element; those not listed here may have an Id at the most.
_ATTRIBUTES: dict[str, frozenset[str]] = {
    "ds:CanonicalizationMethod": _ALGORITHM,
    "ds:SignatureMethod": _ALGORITHM,
    "ds:DigestMethod": _ALGORITHM,
    "ds:Transform": _ALGORITHM,
    "ds:Reference": frozenset(("Id", "URI", "Type")),
    "ds:Object": frozenset(("Id", "MimeType", "Encoding")),
    "xades:QualifyingProperties": frozenset(("Id", "Target")),
    "xades:DataObjectFormat": frozenset(("ObjectReference",)),
    "xades:Cert": frozenset(("URI",)),
    "xades:EncapsulatedX509Certificate": _ENCAPSULATED,
    "xades:EncapsulatedOCSPValue": _ENCAPSULATED,
}
_SCHEMA_HINTS = "{http://www.w3.org/2001/XMLSchema-instance}"
_NAME = re.compile(r"[^\W\d][\w.\-]*")
_PREFIXES = {DS_NS: "ds", XADES_NS: "xades"}


def _parse_any(raw: bytes) -> SignatureDocument:
    root = parse_xml(raw, kind=Kind.INVALID_XML, what="signature", limits=_LIMITS, with_comments=True)
    signature = _signature_of(root)
    _check_structure(signature, "ds:Signature")
    _check_ids(root)
    signed_info = _one(signature, f"{_DS}SignedInfo")
    properties = _one(signature, f"{_DS}Object/{_XADES}QualifyingProperties")
    if properties.get("Target", "") != f"#{signature.get('Id', '')}":
        raise _malformed("the qualifying properties are of another signature (Target)")
    signed_properties = _one(properties, f"{_XADES}SignedProperties")
    references = tuple(_reference(r) for r in signed_info.findall(f"{_DS}Reference"))
    signing = properties.find(f"{_XADES}SignedProperties/{_XADES}SignedSignatureProperties")
    if signing is None:
        raise _malformed("SignedSignatureProperties is missing")
    digest_uri, digest = _signing_certificate(signing)
    unsigned = f"{_XADES}UnsignedProperties/{_XADES}UnsignedSignatureProperties/{_XADES}"
    properties_id = signed_properties.get("Id", "")
    by_properties = next((r for r in references if r.uri == f"#{properties_id}"), None)
    transforms = () if by_properties is None else by_properties.transforms
    return SignatureDocument(
        signed_info=_canonical(signed_info, _algorithm(signed_info, "CanonicalizationMethod")),
        algorithm_uri=_algorithm(signed_info, "SignatureMethod"),
        references=references,
        signature_value=_decode(_text(_one(signature, f"{_DS}SignatureValue"))),
        certificate=_decode(_text(_one(signature, f"{_DS}KeyInfo/{_DS}X509Data/{_DS}X509Certificate"))),
        signed_properties=_canonical(signed_properties, transforms[0] if transforms else C14N),
        signed_properties_id=properties_id,
        signing_time=_signing_time(signing),
        certificate_digest_uri=digest_uri,
        certificate_digest=digest,
        intermediates=_intermediates(properties, unsigned),
        ocsp_responses=tuple(
            _decode(_text(e))
            for e in properties.iterfind(
                f"{unsigned}RevocationValues/{_XADES}OCSPValues/{_XADES}EncapsulatedOCSPValue"
            )
        ),
        timestamps=_timestamps(properties, unsigned),
        is_plain_profile=root is not signature and not any(r.transforms for r in references),
    )


def _signature_of(root: etree._Element) -> etree._Element:
    if root.tag == f"{_DS}Signature":
        return root
    signatures = root.findall(f"{_DS}Signature")
    if etree.QName(root).localname != "XAdESSignatures" or len(signatures) != 1 or len(root) != 1:
        raise _malformed("an XAdESSignatures element with exactly one ds:Signature was expected")
    return signatures[0]


def _check_structure(element: etree._Element, name: str) -> None:
    allowed = _ALLOWED.get(name)
    if allowed is None and name not in _ATTRIBUTES:
        return
    for attribute in map(str, element.keys()):
        if attribute not in _ATTRIBUTES.get(name, _ID) and not attribute.startswith(_SCHEMA_HINTS):
            raise _malformed(f"{name} cannot have the attribute {attribute!r}")
    if allowed is None:
        return
    place = 0
    for child in element:
        if not isinstance(child.tag, str):
            raise _malformed(f"{name} holds a comment or a processing instruction")
        tag = etree.QName(child)
        child_name = f"{_PREFIXES.get(tag.namespace or '', '?')}:{tag.localname}"
        if child_name not in allowed:
            raise _malformed(f"{name} cannot hold {child_name}")
        if name not in _IN_ANY_ORDER:
            if allowed.index(child_name) < place:
                raise _malformed(f"{child_name} stands too late in {name}")
            place = allowed.index(child_name)
        _check_structure(child, child_name)


def _check_ids(root: etree._Element) -> None:
    seen: set[str] = set()
    for element in root.iter():
        for name in ("Id", "ID", "id"):
            value = element.get(name) if isinstance(element.tag, str) else None
            if value is None:
                continue
            if _NAME.fullmatch(value) is None:
                raise _malformed(f"the Id {value!r} is not a name")
            if value in seen:
                raise _malformed(f"the Id {value!r} is there twice")
            seen.add(value)


def _one(parent: etree._Element, path: str) -> etree._Element:
    found = parent.findall(path)
    if len(found) != 1:
        raise _malformed(f"exactly one {path.rpartition('}')[2]} was expected, {len(found)} are there")
    return found[0]


def _reference(element: etree._Element) -> Reference:
    method = _one(element, f"{_DS}DigestMethod")
    return Reference(
        element.get("URI", ""),
        element.get("Type", ""),
        method.get("Algorithm", ""),
        _decode(_text(_one(element, f"{_DS}DigestValue"))),
        tuple(t.get("Algorithm", "") for t in element.iterfind(f"{_DS}Transforms/{_DS}Transform")),
    )


def _algorithm(signed_info: etree._Element, name: str) -> str:
    return _one(signed_info, f"{_DS}{name}").get("Algorithm", "")


def _canonical(element: etree._Element, algorithm: str) -> bytes:
    if algorithm not in (C14N, EXCLUSIVE_C14N):
        raise _malformed(f"the canonicalisation {algorithm!r} is not accepted")
    try:
        canonical: bytes = etree.tostring(
            element, method="c14n", exclusive=algorithm == EXCLUSIVE_C14N, with_comments=False
        )
    except etree.LxmlError as err:
        raise _malformed(f"{etree.QName(element).localname} has no canonical form: {err}") from err
    return canonical


def _signing_time(signing: etree._Element) -> str:
    found = signing.findtext(f"{_XADES}SigningTime")
    if found is None:
        return ""
    if _ANY_TIME.fullmatch(found.strip()) is None:
        raise _malformed(f"the signing time {found[:60]!r} is not a date and time")
    return found.strip()


def _signing_certificate(signing: etree._Element) -> tuple[str, bytes]:
    certificates = [
        c
        for version in ("SigningCertificate", "SigningCertificateV2")
        for c in signing.iterfind(f"{_XADES}{version}/{_XADES}Cert")
    ]
    if len(certificates) != 1:
        raise _malformed(f"exactly one signing certificate was expected, {len(certificates)} are named")
    digest = _one(certificates[0], f"{_XADES}CertDigest")
    return _one(digest, f"{_DS}DigestMethod").get("Algorithm", ""), _decode(
        _text(_one(digest, f"{_DS}DigestValue"))
    )


def _intermediates(properties: etree._Element, unsigned: str) -> tuple[bytes, ...]:
    found = []
    for element in properties.iterfind(f"{unsigned}CertificateValues/{_XADES}EncapsulatedX509Certificate"):
        if not element.get("Id"):
            raise _malformed("an encapsulated certificate has no Id")
        found.append(_decode(_text(element)))
    return tuple(found)


def _timestamps(properties: etree._Element, unsigned: str) -> tuple[bytes, ...]:
    tokens = []
    for stamp in properties.iterfind(f"{unsigned}SignatureTimeStamp"):
        inner = stamp.find(f"{_XADES}EncapsulatedTimeStamp")
        # An old form has the token directly in SignatureTimeStamp.
        tokens.append(_decode(_text(stamp if inner is None else inner)))
    return tuple(tokens)


def _text(element: etree._Element) -> str:
    return element.text or ""


def _decode(text: str | bytes) -> bytes:
    if isinstance(text, str):
        text = "".join(text.split()).encode("ascii", "replace")
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise _malformed("a value is not base64") from None
    if not value:
        raise _malformed("a value is empty")
    if base64.b64encode(value) != text:
        raise _malformed("a value is not base64 in its one form")
    return value


def _malformed(detail: str) -> NotProved:
    return NotProved(Kind.MALFORMED_SIGNATURE, detail)
