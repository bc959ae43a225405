"""A PDF signed so that every reader verifies it, by pyHanko; and the institute's key for it.

The form is PAdES baseline B-B: ``ETSI.CAdES.detached``, SHA-256, the signer's certificate and its digest among what is signed. The
signature is invisible; the reader shows who signed, and that nothing was changed since.

Spec: ETSI EN 319 142-1 6.3; ISO 32000-2 12.8.2.2 (DocMDP).
"""

from __future__ import annotations

import importlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from serving.errors import OperatorError
from serving.language import N_, _
from serving.storage.keysafe import SUFFIX, KeySafe

if TYPE_CHECKING:
    from pathlib import Path

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
        raise OperatorError(
            N_(
                "{name}{suffix}: RSA or elliptic curve was expected, {kind} came",
                name=NAME,
                suffix=SUFFIX,
                kind=type(key).__name__,
            )
        )
    if key.public_key() != chain[0].public_key():
        raise OperatorError(
            N_(
                "{file}: the first certificate is not of the key in {name}{suffix}",
                file=file,
                name=NAME,
                suffix=SUFFIX,
            )
        )
    return PdfSigner(key, chain)


def make_request(folder: Path, safe: KeySafe, member: str, name: str) -> bytes:
    """A new key of the portal's, sealed in its folder, and the request for its certificate (PEM). Raises FileExistsError, `NotAtHand`."""
    file = folder / f"{NAME}{SUFFIX}"
    if file.exists():
        raise FileExistsError(_("{file} is there already; remove it for a new key", file=file))
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


def sign_pdf(document: bytes, signer: PdfSigner, reason: str) -> bytes:
    """The document with a signature over all of it, appended; its bytes before stay as they are. Not on a loop: it runs one of its own."""
    from asn1crypto import keys
    from asn1crypto import x509 as asn1_x509
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign import fields, signers

    registry: Any = importlib.import_module("pyhanko_certvalidator.registry")  # it has no types
    chain = [asn1_x509.Certificate.load(c.public_bytes(Encoding.DER)) for c in signer.chain]
    key = signer.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    store = registry.SimpleCertificateStore.from_certs(chain)
    made = signers.SimpleSigner(chain[0], keys.PrivateKeyInfo.load(key), store)
    # Certified against any change: what is appended later (a note over a figure, a filled-in field) breaks it for every reader,
    # where a plain signature would be shown as good with something added.
    form = signers.PdfSignatureMetadata(
        field_name="firma",
        md_algorithm="sha256",
        subfilter=fields.SigSeedSubFilter.PADES,
        reason=reason,
        certify=True,
        docmdp_permissions=fields.MDPPerm.NO_CHANGES,
    )
    signed = io.BytesIO()
    signers.sign_pdf(IncrementalPdfFileWriter(io.BytesIO(document)), form, made, output=signed)
    return signed.getvalue()
