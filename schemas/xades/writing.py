"""Writing a signature document: a text template that is already in canonical form, so what is signed is cut, not computed."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import msgspec

from schemas.faults import Kind, NotProved
from schemas.xades.document import (
    ASIC_NS,
    C14N,
    DS_NS,
    MESSAGE_URI,
    SHA512_URI,
    SIGNED_PROPERTIES_TYPE,
    XADES_NS,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

NAMESPACES = (
    f' xmlns:asic="{ASIC_NS}" xmlns:ds="{DS_NS}" xmlns:xades="{XADES_NS}"'
    ' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
_ROOT = f"<asic:XAdESSignatures{NAMESPACES}>"
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


class SignerFacts(msgspec.Struct, frozen=True):
    """A signing certificate as a signature document names it: DER, issuer in RFC 4514 text, serial number."""

    certificate: bytes
    issuer: str
    serial: int


class Draft(msgspec.Struct, frozen=True):
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
                f'<ds:SignatureValue Id="signature-value">{encode_value(signature_value)}</ds:SignatureValue>',
                f"<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{self._certificate}</ds:X509Certificate>",
                '</ds:X509Data></ds:KeyInfo><ds:Object><xades:QualifyingProperties Target="#signature">',
                self._signed_properties,
                "<xades:UnsignedProperties><xades:UnsignedSignatureProperties>",
                _certificate_values(intermediates),
                "<xades:RevocationValues><xades:OCSPValues>",
                *(
                    f'<xades:EncapsulatedOCSPValue Id="ocsp-response-{n}">{encode_value(der)}</xades:EncapsulatedOCSPValue>'
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
    certificate = encode_value(signer.certificate)
    properties = (
        f' Id="signed-properties"><xades:SignedSignatureProperties><xades:SigningTime>{signing_time}'
        "</xades:SigningTime><xades:SigningCertificate>"
        f"{_cert_reference(signer)}</xades:SigningCertificate>{_POLICY}"
        "</xades:SignedSignatureProperties><xades:SignedDataObjectProperties>"
        '<xades:DataObjectFormat ObjectReference="#signature-reference-0">'
        f"<xades:MimeType>{mime_type}</xades:MimeType></xades:DataObjectFormat>"
        "</xades:SignedDataObjectProperties></xades:SignedProperties>"
    )
    properties_digest = hashlib.sha512(f"<xades:SignedProperties{NAMESPACES}{properties}".encode()).digest()
    signed_info = (
        f'><ds:CanonicalizationMethod Algorithm="{C14N}"></ds:CanonicalizationMethod>'
        f'<ds:SignatureMethod Algorithm="{algorithm_uri}"></ds:SignatureMethod>'
        f'<ds:Reference Id="signature-reference-0" URI="{reference_uri}">{_SHA512_METHOD}'
        f"<ds:DigestValue>{encode_value(reference_digest)}</ds:DigestValue></ds:Reference>"
        f'<ds:Reference Id="signature-reference-1" Type="{SIGNED_PROPERTIES_TYPE}" URI="#signed-properties">'
        f"{_SHA512_METHOD}<ds:DigestValue>{encode_value(properties_digest)}</ds:DigestValue></ds:Reference></ds:SignedInfo>"
    )
    return Draft(
        f"<ds:SignedInfo{NAMESPACES}{signed_info}".encode(),
        f"<ds:SignedInfo{signed_info}",
        f"<xades:SignedProperties{properties}",
        certificate,
    )


def _cert_reference(signer: SignerFacts, uri: str = "") -> str:
    attribute = f' URI="{uri}"' if uri else ""
    return (
        f"<xades:Cert{attribute}><xades:CertDigest>{_SHA512_METHOD}<ds:DigestValue>"
        f"{encode_value(hashlib.sha512(signer.certificate).digest())}</ds:DigestValue></xades:CertDigest>"
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
        f'<xades:EncapsulatedX509Certificate Id="encapsulated-cert-{n}">{encode_value(c.certificate)}'
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


def encode_value(data: bytes) -> str:
    """Bytes as base64 text, on one line."""
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
        f"<xades:EncapsulatedTimeStamp>{encode_value(token)}</xades:EncapsulatedTimeStamp></xades:SignatureTimeStamp>"
    )
    return raw[:place] + stamp.encode("ascii") + raw[place:]
