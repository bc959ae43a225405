"""The values of a signature document, and the names it is written with. Read this first."""

from __future__ import annotations

import binascii

import msgspec

from schemas.faults import Kind, NotProved

ASIC_NS = "http://uri.etsi.org/02918/v1.2.1#"
DS_NS = "http://www.w3.org/2000/09/xmldsig#"
XADES_NS = "http://uri.etsi.org/01903/v1.3.2#"
SHA512_URI = "http://www.w3.org/2001/04/xmlenc#sha512"
C14N = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315"
EXCLUSIVE_C14N = "http://www.w3.org/2001/10/xml-exc-c14n#"
SIGNED_PROPERTIES_TYPE = "http://uri.etsi.org/01903#SignedProperties"
MESSAGE_URI = "/message.xml"
HASH_CHAIN_RESULT_URI = "/sig-hashchainresult.xml"


class Reference(msgspec.Struct, frozen=True):
    """One signed reference: its URI and the digest of the part it names."""

    uri: str
    type: str
    digest_uri: str
    digest: bytes
    transforms: tuple[str, ...]


class SignatureDocument(msgspec.Struct, frozen=True):
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


def decode_value(text: str | bytes) -> bytes:
    """The bytes of a base64 value, white space in it dropped. Raises `NotProved` unless it is base64 in its one form."""
    if isinstance(text, str):
        text = "".join(text.split()).encode("ascii", "replace")
    try:
        value = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        raise malformed("a value is not base64") from None
    if not value:
        raise malformed("a value is empty")
    if binascii.b2a_base64(value, newline=False) != text:
        raise malformed("a value is not base64 in its one form")
    return value


def malformed(detail: str) -> NotProved:
    """The refusal (``malformed_signature``) of a document that is no signature document."""
    return NotProved(Kind.MALFORMED_SIGNATURE, detail)
