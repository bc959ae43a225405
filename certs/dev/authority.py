"""A certification authority for a laptop and for tests: root, intermediate, OCSP signer, timestamping authority.

For development only: its keys stand in its folder unsealed (mode 0600). It issues what members and security servers ask
for, remembers what it revoked, answers OCSP requests and stamps digests. Everything is synchronous and quick.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs import csr
from certs.profiles import STANDARD_PROFILES
from schemas.identifiers import ServerId
from schemas.jsontext import dump_json, load_json

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from schemas.identifiers import ClientId

    PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
    PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_ROLES = ("root", "intermediate", "ocsp", "tsa")


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """A certificate of the authority with its key."""

    certificate: x509.Certificate
    key: PrivateKey


class DevPki:
    """A whole trust service in one folder."""

    def __init__(self, folder: Path, roles: dict[str, IssuedCertificate], revoked: set[int]) -> None:
        self._folder = folder
        self._roles = roles
        self._revoked = revoked

    @classmethod
    def create(
        cls, folder: Path, algorithm: str = "ec", *, flat: bool = False, now: datetime | None = None
    ) -> DevPki:
        """Make a new authority; ``algorithm`` is ``ec`` (P-256) or ``rsa`` (2048). ``flat``: the root issues everything."""
        folder.mkdir(parents=True, exist_ok=True)
        start = (now or datetime.now(UTC)).replace(microsecond=0) - timedelta(hours=1)
        roles: dict[str, IssuedCertificate] = {}
        for role in _ROLES:
            if flat and role == "intermediate":
                roles[role] = roles["root"]
            else:
                key = _new_key(algorithm)
                issuer = roles.get("intermediate") or roles.get("root")
                roles[role] = IssuedCertificate(_role_certificate(role, key, issuer, start), key)
            _write(folder / f"{role}.key", _key_pem(roles[role].key))
            _write(folder / f"{role}.pem", roles[role].certificate.public_bytes(Encoding.PEM))
        pki = cls(folder, roles, set())
        pki._save_revoked()
        return pki

    @classmethod
    def load(cls, folder: Path) -> DevPki:
        """The authority that is in a folder. Raises TypeError."""
        roles = {}
        for role in _ROLES:
            key = serialization.load_pem_private_key((folder / f"{role}.key").read_bytes(), None)
            if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
                raise TypeError(f"the key of {role} is of an unexpected type")
            roles[role] = IssuedCertificate(
                x509.load_pem_x509_certificate((folder / f"{role}.pem").read_bytes()), key
            )
        return cls(folder, roles, set(load_json((folder / "revoked.json").read_text())))

    @classmethod
    def open(cls, folder: Path, algorithm: str = "ec", *, flat: bool = False) -> DevPki:
        """The authority of a folder, made if it is not there yet."""
        made = (folder / "revoked.json").exists()
        return cls.load(folder) if made else cls.create(folder, algorithm, flat=flat)

    @property
    def root(self) -> x509.Certificate:
        """The self-signed certificate of the root CA."""
        return self._roles["root"].certificate

    @property
    def intermediate(self) -> x509.Certificate:
        """The certificate that issues everything else."""
        return self._roles["intermediate"].certificate

    @property
    def ocsp_certificate(self) -> x509.Certificate:
        """The OCSP signer, delegated by the intermediate."""
        return self._roles["ocsp"].certificate

    @property
    def tsa_certificate(self) -> x509.Certificate:
        """The certificate of the timestamping authority."""
        return self._roles["tsa"].certificate

    def issue_sign(
        self,
        public_key: PublicKey | x509.CertificateSigningRequest,
        member: ClientId,
        name: str | None = None,
        profile: str = "Basic",
        *,
        days: int = 365,
        now: datetime | None = None,
    ) -> x509.Certificate:
        """A signing certificate (nonRepudiation only) for a member, its subject by a certificate profile."""
        server = _server_of(member)
        requester = csr.Requester(member, server, name or member.member_code, "localhost")
        subject = csr.build_subject(STANDARD_PROFILES.named(profile), requester, "sign")
        usage = _key_usage(content_commitment=True)
        return self._issue(_key_of(public_key), subject, [(usage, True)], days, now)

    def issue_auth(
        self,
        public_key: PublicKey | x509.CertificateSigningRequest,
        server: ServerId,
        address: str,
        *,
        days: int = 365,
        now: datetime | None = None,
    ) -> x509.Certificate:
        """An authentication certificate (TLS client and server) for a security server."""
        requester = csr.Requester(server.owner, server, server.member_code, address)
        subject = csr.build_subject(STANDARD_PROFILES.named("Basic"), requester, "auth")
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (_key_usage(digital_signature=True, key_encipherment=True, key_agreement=True), True),
            (
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]),
                False,
            ),
            (x509.SubjectAlternativeName([csr.general_name(address)]), False),
        ]
        return self._issue(_key_of(public_key), subject, extensions, days, now)

    def certify(
        self,
        request: x509.CertificateSigningRequest,
        kind: str,
        *,
        days: int = 7300,
        now: datetime | None = None,
    ) -> x509.Certificate:
        """A ``sign`` or ``auth`` certificate with the request's own subject, as X-Road's test CA gives; kept in ``issued/``.

        The subject alternative name of the request goes into authentication certificates only.

        Raises ValueError.
        """
        if not request.is_signature_valid:
            raise ValueError("the request's own signature does not hold")
        extensions: list[tuple[x509.ExtensionType, bool]] = []
        if kind == "sign":
            extensions.append((_key_usage(content_commitment=True), True))
        else:
            usage = _key_usage(
                digital_signature=True, key_encipherment=True, data_encipherment=True, key_agreement=True
            )
            extensions.append((usage, False))
            purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
            extensions.append((x509.ExtendedKeyUsage(purposes), False))
            with contextlib.suppress(x509.ExtensionNotFound):
                names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName)
                extensions.append((names.value, False))
        issued = self._issue(_key_of(request), request.subject, extensions, days, now)
        folder = self._folder / "issued"
        folder.mkdir(exist_ok=True)
        _write(folder / f"{issued.serial_number}.pem", issued.public_bytes(Encoding.PEM))
        return issued

    def issued_names(self) -> list[str]:
        """The file names of what `certify` issued."""
        return sorted(path.name for path in (self._folder / "issued").glob("*.pem"))

    def revoke(self, certificate: x509.Certificate | int) -> None:
        """Answer ``revoked`` for a certificate, or a serial number, from now on."""
        self._revoked.add(certificate if isinstance(certificate, int) else certificate.serial_number)
        self._save_revoked()

    def unrevoke(self, serial: int) -> None:
        """Forget a revocation, for tests that recover."""
        self._revoked.discard(serial)
        self._save_revoked()

    def is_revoked(self, serial: int) -> bool:
        """Whether a serial number has been revoked."""
        return serial in self._revoked

    def key_of(self, role: str) -> PrivateKey:
        """The key of a role, for those who sign wrong answers on purpose."""
        return self._roles[role].key

    def _issue(
        self,
        public_key: PublicKey,
        subject: x509.Name,
        extensions: list[tuple[x509.ExtensionType, bool]],
        days: int,
        now: datetime | None,
    ) -> x509.Certificate:
        issuer = self._roles["intermediate"]
        start = (now or datetime.now(UTC)).replace(microsecond=0) - timedelta(minutes=5)
        builder = _builder(subject, issuer.certificate.subject, public_key, start, timedelta(days=days))
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_issued_by(issuer), critical=False)
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(issuer.key, hashes.SHA256())

    def _save_revoked(self) -> None:
        _write(self._folder / "revoked.json", dump_json(sorted(self._revoked)).encode())


def _server_of(member: ClientId) -> ServerId:
    return member.member.server("SS")


def _new_key(algorithm: str) -> PrivateKey:
    if algorithm == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


def _key_of(source: PublicKeyTypes | x509.CertificateSigningRequest) -> PublicKey:
    key = source.public_key() if isinstance(source, x509.CertificateSigningRequest) else source
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
        raise TypeError("only RSA and EC keys are certified")
    return key


def _key_usage(**usages: bool) -> x509.KeyUsage:
    names = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{name: usages.get(name, False) for name in names})


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: PublicKey, start: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _issued_by(issuer: IssuedCertificate) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(_key_of(issuer.certificate.public_key()))


def _role_certificate(
    role: str, key: PrivateKey, issuer: IssuedCertificate | None, start: datetime
) -> x509.Certificate:
    names = {"root": "Dev Root CA", "intermediate": "Dev CA", "ocsp": "Dev OCSP", "tsa": "Dev TSA"}
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Sacbé development"),
            x509.NameAttribute(NameOID.COMMON_NAME, names[role]),
        ]
    )
    issuer_name = subject if issuer is None else issuer.certificate.subject
    builder = _builder(subject, issuer_name, key.public_key(), start, timedelta(days=3650))
    if issuer is not None:
        builder = builder.add_extension(_issued_by(issuer), critical=False)
    if role in ("root", "intermediate"):
        length = None if role == "root" else 0
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=length), critical=True)
        builder = builder.add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
    else:
        purpose = ExtendedKeyUsageOID.OCSP_SIGNING if role == "ocsp" else ExtendedKeyUsageOID.TIME_STAMPING
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(
            _key_usage(digital_signature=True, content_commitment=role == "tsa"), critical=True
        )
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), critical=role == "tsa")
    return builder.sign(key if issuer is None else issuer.key, hashes.SHA256())


def _key_pem(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
