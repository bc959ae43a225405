"""The internal TLS certificate: what this gateway shows to information systems, its own clients' and providers' alike.

One key with one certificate, self-signed until another is imported. The key is made here, never leaves, and lies sealed in
a file (see `serving.storage.keysafe`). Systems compare the certificate byte for byte, so it stays the same over restarts and changes
only when an operator says so. While the seal is not at hand (the token waits for a person) another certificate is shown.

Spec: UG-SS 9.2, 9.3; admin API /system/certificate.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certs.certificatefiles import read_certificate
from certs.certificates import der_of, parse_name
from certs.csr import general_name
from certs.edges.tokenfiles import write_whole
from certs.tls import TlsCredentials
from gateway.refusals import GatewayCode
from schemas.faults import Fault
from serving.errors import OperatorError, Refused
from serving.language import N_
from serving.storage.keysafe import KeySafe, NotAtHand, Seal
from serving.storage.tlsfiles import KeptCredentials

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from gateway.settings.config import Systems

    OwnKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

VALID_DAYS = 20 * 365
NAME = "internal"


class InternalTls:
    """The key pair in ``internal.key.json``, which ``safe`` seals, and ``internal.pem`` of a folder.

    ``address`` (names and IPs, comma-separated) is in the certificate when one is made because there is none. ``passphrase`` opens a key that an earlier
    version sealed. Raises ValueError when the pair is there and cannot be used.
    """

    def __init__(
        self, folder: Path, safe: KeySafe, address: str, now: datetime, passphrase: str | None = None
    ) -> None:
        self._kept = KeptCredentials(folder, NAME, safe, lambda: _self_signed(address, now), passphrase)

    @property
    def current(self) -> TlsCredentials:
        """The key and certificates that connections with information systems show now."""
        return self._kept.current

    def settle(self) -> bool:
        """Take what is on disk, or put there what is shown; whether another pair is shown now."""
        return self._kept.settle()

    def make(self, address: str, now: datetime) -> TlsCredentials:
        """A new key with a self-signed certificate for ``address`` (names and IPs, comma-separated); what was there is gone.

        Refused (``action_not_possible``) while nothing can seal it.
        """
        with _refused():
            self._kept.save(_self_signed(address, now))
        return self.current

    def request(self, distinguished_name: str) -> bytes:
        """A signing request (DER) for the key. Refused (``invalid_distinguished_name``) when the name is none."""
        key = cast("OwnKey", self.current.private_key)
        try:
            subject = parse_name(distinguished_name)
        except ValueError as err:
            raise Refused(
                GatewayCode.INVALID_DISTINGUISHED_NAME,
                N_(
                    "{distinguished_name!r} is no name such as CN=gw.institute.mx,O=Institute",
                    distinguished_name=distinguished_name,
                ),
            ) from err
        if not list(subject):
            raise Refused(GatewayCode.INVALID_DISTINGUISHED_NAME, N_("the name is empty"))
        signed = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.DER)

    def import_certificate(self, content: bytes) -> x509.Certificate:
        """Show this certificate from now on; PEM (with issuers after it) or DER.

        Refused: ``invalid_certificate``; ``key_not_found`` when it belongs to another key; ``certificate_already_exists``;
        ``action_not_possible`` while the key is in memory only.
        """
        chain = _parse_replacement(content, self.current.chain)
        with _refused():
            self._kept.save_chain(chain)
        return chain[0]


def kept_chain(folder: Path) -> tuple[x509.Certificate, ...]:
    """The certificate that is kept in a folder, with its issuers; no seal is needed. Raises ValueError when there is none."""
    path = folder / f"{NAME}.pem"
    if not path.exists():
        raise OperatorError(
            N_(
                "there is no internal TLS certificate yet ({path}); the gateway makes one when it starts",
                path=path,
            )
        )
    return tuple(x509.load_pem_x509_certificates(path.read_bytes()))


def replace_kept_chain(folder: Path, content: bytes) -> x509.Certificate:
    """The same as `InternalTls.import_certificate`, on disk, for a gateway to take from there."""
    chain = _parse_replacement(content, kept_chain(folder))
    pem = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain)
    # On disk from here on: another certificate for the key that is there; a running gateway takes it within a minute.
    write_whole(folder / f"{NAME}.pem", pem)
    return chain[0]


def export_certificate(certificate: x509.Certificate, now: datetime) -> bytes:
    """A certificate for the systems' trust stores: a ``.tar.gz`` of ``cert.pem`` and ``cert.cer`` (DER)."""
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


def open_internal_tls(
    systems: Systems, folder: Path, safe: KeySafe, environ: Mapping[str, str]
) -> InternalTls:
    """The internal TLS key pair of a server with these settings; a passphrase of its own wins over ``safe``."""
    passphrase = systems.passphrase(environ)
    own = safe if passphrase is None else KeySafe((Seal.of_secret(passphrase),))
    return InternalTls(folder, own, systems.tls_address, datetime.now(UTC), passphrase)


def _self_signed(address: str, now: datetime) -> TlsCredentials:
    key = ec.generate_private_key(ec.SECP256R1())
    hosts = [part.strip() for part in address.split(",") if part.strip()]
    if not hosts:
        raise OperatorError(
            N_("the internal TLS certificate needs a name or an address (systems.tls_address)")
        )
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hosts[0][:64])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=VALID_DAYS))
        .add_extension(
            x509.SubjectAlternativeName([general_name(host) for host in dict.fromkeys(hosts)]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return TlsCredentials(key, (certificate,))


@contextlib.contextmanager
def _refused() -> Iterator[None]:
    try:
        yield
    except NotAtHand as err:
        raise Refused(GatewayCode.ACTION_NOT_POSSIBLE, str(err)) from err


def _parse_replacement(content: bytes, current: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate, ...]:
    chain = _parse_chain(content)
    if chain[0].public_key() != current[0].public_key():
        raise Refused(
            GatewayCode.KEY_NOT_FOUND,
            N_("the certificate does not belong to this gateway's internal TLS key"),
        )
    if der_of(chain[0]) == der_of(current[0]):
        raise Refused(GatewayCode.CERTIFICATE_ALREADY_EXISTS, N_("this certificate is the one in use"))
    return chain


def _parse_chain(content: bytes) -> tuple[x509.Certificate, ...]:
    try:
        alone = read_certificate(content)
        if content.count(b"-----BEGIN CERTIFICATE-----") > 1:
            return tuple(x509.load_pem_x509_certificates(content))
        return (alone,)
    except Fault as err:
        raise Refused(GatewayCode.INVALID_CERTIFICATE, err.detail) from err
    except ValueError as err:
        raise Refused(
            GatewayCode.INVALID_CERTIFICATE, N_("the file's chain of certificates cannot be read")
        ) from err
