"""Signature documents in every dialect: the XML parser, a table of allowed elements, and real canonicalisation.

Spec: ETSI TS 101 903 v1.3.2; XMLDSIG 1.1.
"""

from __future__ import annotations

import re

from lxml import etree

from schemas.faults import Kind
from schemas.safexml import XmlLimits, parse_xml
from schemas.xades.document import (
    C14N,
    DS_NS,
    EXCLUSIVE_C14N,
    XADES_NS,
    Reference,
    SignatureDocument,
    decode_value,
    malformed,
)

_DS = f"{{{DS_NS}}}"
_XADES = f"{{{XADES_NS}}}"
# What stands in a signature is a few certificates and OCSP responses, large ones perhaps, and their timestamps.
_LIMITS = XmlLimits(size_bytes=1024 * 1024, depth=32, elements=4096)
TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?Z"
_ANY_TIME = re.compile(rf"-?{TIME.removesuffix('Z')}(?:Z|[+-][0-9]{{2}}:[0-9]{{2}})?")

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


def parse_dialect(raw: bytes) -> SignatureDocument:
    """Take a signature document in any dialect apart. Raises as `schemas.xades.parse_signature_document`."""
    root = parse_xml(raw, kind=Kind.INVALID_XML, what="signature", limits=_LIMITS, with_comments=True)
    signature = _signature_of(root)
    _check_structure(signature, "ds:Signature")
    _check_ids(root)
    signed_info = _one(signature, f"{_DS}SignedInfo")
    properties = _one(signature, f"{_DS}Object/{_XADES}QualifyingProperties")
    if properties.get("Target", "") != f"#{signature.get('Id', '')}":
        raise malformed("the qualifying properties are of another signature (Target)")
    signed_properties = _one(properties, f"{_XADES}SignedProperties")
    references = tuple(_reference(r) for r in signed_info.findall(f"{_DS}Reference"))
    signing = properties.find(f"{_XADES}SignedProperties/{_XADES}SignedSignatureProperties")
    if signing is None:
        raise malformed("SignedSignatureProperties is missing")
    digest_uri, digest = _signing_certificate(signing)
    unsigned = f"{_XADES}UnsignedProperties/{_XADES}UnsignedSignatureProperties/{_XADES}"
    properties_id = signed_properties.get("Id", "")
    by_properties = next((r for r in references if r.uri == f"#{properties_id}"), None)
    transforms = () if by_properties is None else by_properties.transforms
    return SignatureDocument(
        signed_info=_canonical(signed_info, _algorithm(signed_info, "CanonicalizationMethod")),
        algorithm_uri=_algorithm(signed_info, "SignatureMethod"),
        references=references,
        signature_value=decode_value(_text(_one(signature, f"{_DS}SignatureValue"))),
        certificate=decode_value(_text(_one(signature, f"{_DS}KeyInfo/{_DS}X509Data/{_DS}X509Certificate"))),
        signed_properties=_canonical(signed_properties, transforms[0] if transforms else C14N),
        signed_properties_id=properties_id,
        signing_time=_signing_time(signing),
        certificate_digest_uri=digest_uri,
        certificate_digest=digest,
        intermediates=_intermediates(properties, unsigned),
        ocsp_responses=tuple(
            decode_value(_text(e))
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
        raise malformed("an XAdESSignatures element with exactly one ds:Signature was expected")
    return signatures[0]


def _check_structure(element: etree._Element, name: str) -> None:
    allowed = _ALLOWED.get(name)
    if allowed is None and name not in _ATTRIBUTES:
        return
    for attribute in map(str, element.keys()):
        if attribute not in _ATTRIBUTES.get(name, _ID) and not attribute.startswith(_SCHEMA_HINTS):
            raise malformed(f"{name} cannot have the attribute {attribute!r}")
    if allowed is None:
        return
    place = 0
    for child in element:
        if not isinstance(child.tag, str):
            raise malformed(f"{name} holds a comment or a processing instruction")
        tag = etree.QName(child)
        child_name = f"{_PREFIXES.get(tag.namespace or '', '?')}:{tag.localname}"
        if child_name not in allowed:
            raise malformed(f"{name} cannot hold {child_name}")
        if name not in _IN_ANY_ORDER:
            if allowed.index(child_name) < place:
                raise malformed(f"{child_name} stands too late in {name}")
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
                raise malformed(f"the Id {value!r} is not a name")
            if value in seen:
                raise malformed(f"the Id {value!r} is there twice")
            seen.add(value)


def _one(parent: etree._Element, path: str) -> etree._Element:
    found = parent.findall(path)
    if len(found) != 1:
        raise malformed(f"exactly one {path.rpartition('}')[2]} was expected, {len(found)} are there")
    return found[0]


def _reference(element: etree._Element) -> Reference:
    method = _one(element, f"{_DS}DigestMethod")
    return Reference(
        element.get("URI", ""),
        element.get("Type", ""),
        method.get("Algorithm", ""),
        decode_value(_text(_one(element, f"{_DS}DigestValue"))),
        tuple(t.get("Algorithm", "") for t in element.iterfind(f"{_DS}Transforms/{_DS}Transform")),
    )


def _algorithm(signed_info: etree._Element, name: str) -> str:
    return _one(signed_info, f"{_DS}{name}").get("Algorithm", "")


def _canonical(element: etree._Element, algorithm: str) -> bytes:
    if algorithm not in (C14N, EXCLUSIVE_C14N):
        raise malformed(f"the canonicalisation {algorithm!r} is not accepted")
    try:
        canonical: bytes = etree.tostring(
            element, method="c14n", exclusive=algorithm == EXCLUSIVE_C14N, with_comments=False
        )
    except etree.LxmlError as err:
        raise malformed(f"{etree.QName(element).localname} has no canonical form: {err}") from err
    return canonical


def _signing_time(signing: etree._Element) -> str:
    found = signing.findtext(f"{_XADES}SigningTime")
    if found is None:
        return ""
    if _ANY_TIME.fullmatch(found.strip()) is None:
        raise malformed(f"the signing time {found[:60]!r} is not a date and time")
    return found.strip()


def _signing_certificate(signing: etree._Element) -> tuple[str, bytes]:
    certificates = [
        c
        for version in ("SigningCertificate", "SigningCertificateV2")
        for c in signing.iterfind(f"{_XADES}{version}/{_XADES}Cert")
    ]
    if len(certificates) != 1:
        raise malformed(f"exactly one signing certificate was expected, {len(certificates)} are named")
    digest = _one(certificates[0], f"{_XADES}CertDigest")
    return _one(digest, f"{_DS}DigestMethod").get("Algorithm", ""), decode_value(
        _text(_one(digest, f"{_DS}DigestValue"))
    )


def _intermediates(properties: etree._Element, unsigned: str) -> tuple[bytes, ...]:
    found = []
    for element in properties.iterfind(f"{unsigned}CertificateValues/{_XADES}EncapsulatedX509Certificate"):
        if not element.get("Id"):
            raise malformed("an encapsulated certificate has no Id")
        found.append(decode_value(_text(element)))
    return tuple(found)


def _timestamps(properties: etree._Element, unsigned: str) -> tuple[bytes, ...]:
    tokens = []
    for stamp in properties.iterfind(f"{unsigned}SignatureTimeStamp"):
        inner = stamp.find(f"{_XADES}EncapsulatedTimeStamp")
        # An old form has the token directly in SignatureTimeStamp.
        tokens.append(decode_value(_text(stamp if inner is None else inner)))
    return tuple(tokens)


def _text(element: etree._Element) -> str:
    return element.text or ""
