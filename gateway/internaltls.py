"""The internal TLS certificate: what this gateway shows to information systems, its own clients' and providers' alike.

One key with one certificate, self-signed until another is imported. The key is made here and never leaves: it lies in a
file that only this user can read, sealed with a passphrase where the settings name one. Systems compare the certificate
byte for byte, so it stays the same over restarts and changes only when an operator says so.

Spec: UG-SS 9.2, 9.3; admin API /system/certificate.
"""

from __future__ import annotations

import io
import tarfile
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs.certificates import der_of, parse_certificate
from certs.csr import general_name
from certs.edges.tokenfiles import write_whole
from certs.tls import TlsCredentials
from gateway.serverconf.records import Refusal
from schemas.faults import Fault

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    OwnKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

VALID_DAYS = 20 * 365
NAME = "internal"


class InternalTls:
    """The key pair in ``internal.key`` and ``internal.pem`` of a folder."""

    def __init__(self, folder: Path, passphrase: str | None = None) -> None:
        self._key_file = folder / f"{NAME}.key"
        self._chain_file = folder / f"{NAME}.pem"
        self._passphrase = None if passphrase is None else passphrase.encode()

    def load_or_make(self, address: str, now: datetime) -> TlsCredentials:
        """The key pair, made when there is none yet."""
        if not self._key_file.exists() or not self._chain_file.exists():
            return self.make(address, now)
        return self.load()

    def load(self) -> TlsCredentials:
        """The key pair as it is kept. Raises ValueError when it cannot be opened."""
        return TlsCredentials(self._key(), self._chain())

    def _chain(self) -> tuple[x509.Certificate, ...]:
        return tuple(x509.load_pem_x509_certificates(self._chain_file.read_bytes()))

    def _key(self) -> OwnKey:
        try:
            key = serialization.load_pem_private_key(self._key_file.read_bytes(), self._passphrase)
        except TypeError as err:
            wanted = "a passphrase, and none is set" if self._passphrase is None else "no passphrase"
            raise ValueError(f"the internal TLS key {self._key_file} needs {wanted}") from err
        except ValueError as err:
            raise ValueError(
                f"the internal TLS key {self._key_file} does not open with the passphrase"
            ) from err
        return cast("OwnKey", key)

    def make(self, address: str, now: datetime) -> TlsCredentials:
        """A new key with a self-signed certificate for ``address``; what was there is gone."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, address[:64])])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=VALID_DAYS))
            .add_extension(x509.SubjectAlternativeName([general_name(address)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        self._chain_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # On disk now: no certificate. A crash before the last line leaves a pair that is made anew.
        self._chain_file.unlink(missing_ok=True)
        write_whole(self._key_file, self._sealed(key))
        self._keep((certificate,))
        return TlsCredentials(key, (certificate,))

    def request(self, distinguished_name: str) -> bytes:
        """A signing request (DER) for the key. Refused (``invalid_distinguished_name``) when the name is none."""
        key = self._key()
        try:
            subject = x509.Name.from_rfc4514_string(distinguished_name)
        except ValueError as err:
            raise Refusal(
                "invalid_distinguished_name",
                f"{distinguished_name!r} is no name such as CN=gw.institute.mx,O=Institute",
            ) from err
        if not list(subject):
            raise Refusal("invalid_distinguished_name", "the name is empty")
        signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.DER)

    def import_certificate(self, content: bytes) -> x509.Certificate:
        """Show this certificate from now on; PEM (with issuers after it) or DER.

        Refused: ``invalid_certificate``; ``key_not_found`` when it belongs to another key; ``certificate_already_exists``.
        """
        chain = _parse_chain(content)
        if chain[0].public_key() != self._key().public_key():
            raise Refusal(
                "key_not_found", "the certificate does not belong to this gateway's internal TLS key"
            )
        if der_of(chain[0]) == der_of(self._chain()[0]):
            raise Refusal("certificate_already_exists", "this certificate is the one in use")
        self._keep(chain)
        return chain[0]

    def export(self, now: datetime) -> bytes:
        """The certificate for the systems' trust stores: a ``.tar.gz`` of ``cert.pem`` and ``cert.cer`` (DER)."""
        certificate = self._chain()[0]
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as archive:
            for name, encoding in (
                ("cert.pem", serialization.Encoding.PEM),
                ("cert.cer", serialization.Encoding.DER),
            ):
                content = certificate.public_bytes(encoding)
                entry = tarfile.TarInfo(name)
                entry.size, entry.mtime, entry.mode = len(content), int(now.timestamp()), 0o644
                archive.addfile(entry, io.BytesIO(content))
        return out.getvalue()

    def _sealed(self, key: OwnKey) -> bytes:
        how: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if self._passphrase is not None:
            how = serialization.BestAvailableEncryption(self._passphrase)
        return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, how)

    def _keep(self, chain: tuple[x509.Certificate, ...]) -> None:
        pem = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain)
        write_whole(self._chain_file, pem, mode=0o644)


def _parse_chain(content: bytes) -> tuple[x509.Certificate, ...]:
    try:
        if b"-----BEGIN CERTIFICATE-----" in content:
            return tuple(x509.load_pem_x509_certificates(content))
        return (parse_certificate(content),)
    except (ValueError, Fault) as err:
        raise Refusal("invalid_certificate", "the file holds no certificate, neither PEM nor DER") from err
