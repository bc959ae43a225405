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

from schemas.xades.document import (
    ASIC_NS,
    C14N,
    DS_NS,
    EXCLUSIVE_C14N,
    HASH_CHAIN_RESULT_URI,
    MESSAGE_URI,
    SHA512_URI,
    SIGNED_PROPERTIES_TYPE,
    XADES_NS,
    Reference,
    SignatureDocument,
)
from schemas.xades.reading import parse_signature_document
from schemas.xades.writing import Draft, SignerFacts, build_to_be_signed, insert_timestamp

__all__ = [
    "ASIC_NS",
    "C14N",
    "DS_NS",
    "EXCLUSIVE_C14N",
    "HASH_CHAIN_RESULT_URI",
    "MESSAGE_URI",
    "SHA512_URI",
    "SIGNED_PROPERTIES_TYPE",
    "XADES_NS",
    "Draft",
    "Reference",
    "SignatureDocument",
    "SignerFacts",
    "build_to_be_signed",
    "insert_timestamp",
    "parse_signature_document",
]
