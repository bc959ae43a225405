"""A PDF signed so that every reader verifies it: a signature dictionary in an incremental update, and a CMS over all other bytes.

The form is PAdES baseline B-B: ``ETSI.CAdES.detached``, SHA-256, the signer's certificate and its digest among what is signed. The
signature is invisible; the reader shows who signed, and that nothing was changed since. The document is one that fpdf2 made: a
classic table of references, no signature yet, its page without annotations.

Spec: ISO 32000-1 7.5.6 and 12.8; ETSI EN 319 142-1 6.3; RFC 5652, RFC 5035.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from asn1crypto import cms, core, tsp
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from serving.storage.keysafe import SUFFIX, KeySafe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

# Hexadecimal digits kept for the CMS: a chain of a few certificates fits many times over.
_ROOM: Final = 32_768
_RANGE: Final = b"/ByteRange [0 %010d %010d %010d]"
NAME: Final = "constancias"


@dataclass(frozen=True, slots=True)
class PdfSigner:
    """The institute's key for its certificates, and the certificates that lead to its authority, its own first."""

    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]


def load_signer(folder: Path, safe: KeySafe) -> PdfSigner | None:
    """The key of ``constancias.key.json``, sealed, with the certificates of ``constancias.pem``; None while there is no certificate.

    Raises ValueError for a key that does not open, is of another kind, or is not the certificate's.
    """
    file = folder / f"{NAME}.pem"
    if not file.exists():
        return None
    chain = tuple(x509.load_pem_x509_certificates(file.read_bytes()))
    key = safe.read(folder / f"{NAME}{SUFFIX}")
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError(f"{NAME}{SUFFIX}: RSA or elliptic curve was expected, {type(key).__name__} came")
    if key.public_key() != chain[0].public_key():
        raise ValueError(f"{file}: the first certificate is not of the key in {NAME}{SUFFIX}")
    return PdfSigner(key, chain)


def make_request(folder: Path, safe: KeySafe, member: str, name: str) -> bytes:
    """A new key of the portal's, sealed in its folder, and the request for its certificate (PEM). Raises FileExistsError, `NotAtHand`."""
    file = folder / f"{NAME}{SUFFIX}"
    if file.exists():
        raise FileExistsError(f"{file} is there already; remove it for a new key")
    key = ec.generate_private_key(ec.SECP256R1())
    safe.write(file, key)
    subject = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "MX"),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, name),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, f"Constancias {member}"),
        ]
    )
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM)


def sign_pdf(document: bytes, signer: PdfSigner, at: datetime, reason: str) -> bytes:
    """The document with a signature over all of it, appended; its bytes before stay as they are. Raises ValueError for another form."""
    place = _field(rb"startxref\s+(\d+)\s+%%EOF\s*$", document)
    trailer = document[document.rindex(b"trailer") :]
    size, root = int(_field(rb"/Size (\d+)", trailer)), int(_field(rb"/Root (\d+) 0 R", trailer))
    catalog = _object(document, root)
    pages = _object(document, int(_field(rb"/Pages (\d+) 0 R", catalog)))
    first = int(_field(rb"/Kids \[(\d+) 0 R", pages))
    page = _object(document, first)
    if b"/Annots" in page or b"/AcroForm" in catalog:
        raise ValueError("a document without forms and annotations was expected")
    signature, widget = size, size + 1
    moment = at.strftime("%Y%m%d%H%M%S") + at.strftime("%z")[:3] + "'" + at.strftime("%z")[3:] + "'"
    made = {
        signature: b"<< /Type /Sig /Filter /Adobe.PPKLite /SubFilter /ETSI.CAdES.detached\n"
        + _RANGE % (0, 0, 0)
        + b"\n/Contents <"
        + b"0" * _ROOM
        + f">\n/M (D:{moment})\n/Reason {_text(reason)} >>".encode("ascii"),
        widget: f"<< /Type /Annot /Subtype /Widget /FT /Sig /T (firma) /V {signature} 0 R /P {first} 0 R "
        "/Rect [0 0 0 0] /F 132 >>".encode("ascii"),
        root: _with(catalog, f"/AcroForm << /Fields [{widget} 0 R] /SigFlags 3 >>"),
        first: _with(page, f"/Annots [{widget} 0 R]"),
    }
    whole = bytearray(document if document.endswith(b"\n") else document + b"\n")
    places = {}
    for number, body in made.items():
        places[number] = len(whole)
        whole += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    whole += _references(places, len(whole), _kept(trailer), size + 2, int(place))
    begin = whole.index(b"/Contents <" + b"0" * _ROOM, places[signature]) + len("/Contents ")
    end = begin + _ROOM + 2
    place_of_range = whole.index(_RANGE % (0, 0, 0), places[signature])
    filled = _RANGE % (begin, end, len(whole) - end)
    whole[place_of_range : place_of_range + len(filled)] = filled
    container = sign_cms(bytes(whole[:begin]) + bytes(whole[end:]), signer)
    if len(container) * 2 > _ROOM:
        raise ValueError(f"{NAME}.pem holds more certificates than a signature has room for")
    whole[begin + 1 : begin + 1 + len(container) * 2] = container.hex().encode("ascii")
    return bytes(whole)


def sign_cms(content: bytes, signer: PdfSigner) -> bytes:
    """A detached CMS over content, with the certificates and the digest of the signer's own among what is signed (DER)."""
    chain = [asn1_x509.Certificate.load(c.public_bytes(Encoding.DER)) for c in signer.chain]
    sha256 = {"algorithm": "sha256"}
    own = tsp.ESSCertIDv2({"hash_algorithm": sha256, "cert_hash": hashlib.sha256(chain[0].dump()).digest()})
    attributes = cms.CMSAttributes(
        [
            cms.CMSAttribute({"type": "content_type", "values": ["data"]}),
            cms.CMSAttribute({"type": "message_digest", "values": [hashlib.sha256(content).digest()]}),
            cms.CMSAttribute({"type": "signing_certificate_v2", "values": [{"certs": [own]}]}),
        ]
    )
    if isinstance(signer.key, rsa.RSAPrivateKey):
        value = signer.key.sign(attributes.dump(), padding.PKCS1v15(), hashes.SHA256())
        algorithm: dict[str, object] = {"algorithm": "sha256_rsa", "parameters": core.Null()}
    else:
        value = signer.key.sign(attributes.dump(), ec.ECDSA(hashes.SHA256()))
        algorithm = {"algorithm": "sha256_ecdsa"}
    names = {"issuer": chain[0].issuer, "serial_number": chain[0].serial_number}
    signed = cms.SignerInfo(
        {
            "version": "v1",
            "sid": cms.SignerIdentifier("issuer_and_serial_number", names),
            "digest_algorithm": sha256,
            "signed_attrs": attributes,
            "signature_algorithm": algorithm,
            "signature": value,
        }
    )
    fields = {
        "version": "v1",
        "digest_algorithms": [sha256],
        "encap_content_info": {"content_type": "data"},
        "certificates": [cms.CertificateChoices("certificate", c) for c in chain],
        "signer_infos": [signed],
    }
    made: bytes = cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(fields)}).dump()
    return made


def _references(places: dict[int, int], table: int, kept: Sequence[bytes], size: int, previous: int) -> bytes:
    """The table of references of the update, with its trailer: where each new or changed object stands."""
    rows = [b"xref\n"]
    for number in sorted(places):
        rows += [b"%d 1\n" % number, b"%010d 00000 n \n" % places[number]]
    entries = b" ".join((b"/Size %d" % size, *kept, b"/Prev %d" % previous))
    return b"".join(rows) + b"trailer\n<< %s >>\nstartxref\n%d\n%%%%EOF\n" % (entries, table)


def _kept(trailer: bytes) -> list[bytes]:
    """The entries of the trailer that every update repeats."""
    found = (re.search(p, trailer) for p in (rb"/Root \d+ 0 R", rb"/Info \d+ 0 R", rb"/ID \[[^\]]*\]"))
    return [m[0] for m in found if m is not None]


def _object(document: bytes, number: int) -> bytes:
    """The dictionary of an object, without its outer brackets."""
    found = re.search(rb"(?:^|\n)%d 0 obj\s*<<(.*?)>>\s*endobj" % number, document, re.DOTALL)
    if found is None:
        raise ValueError(f"the document has no object {number} of the form that was expected")
    return found[1].strip()


def _with(entries: bytes, more: str) -> bytes:
    return b"<<\n" + entries + b"\n" + more.encode("ascii") + b"\n>>"


def _field(pattern: bytes, text: bytes) -> bytes:
    found = re.search(pattern, text)
    if found is None:
        raise ValueError(f"a document of fpdf2 was expected: {pattern!r} is not in it")
    return found[1]


def _text(text: str) -> str:
    """A text as a PDF holds it, in hexadecimal."""
    encoded = f"\ufeff{text}".encode("utf-16-be")
    return f"<{encoded.hex()}>"
