"""The governing body of an exercise: three keys, the policy they sign, and the orders that suspend a member."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from benchmarks.federation import run_command
from certs.algorithms import SignatureAlgorithm
from certs.certificates import der_of
from certs.policies import sign_policy
from certs.tokens.port import KeyId
from gateway.cli.main import main as gateway_command
from schemas.policy import SignedDocument, render_signed
from serving.storage.database import Database
from serving.storage.selfsigned import self_signed
from social_security.oniess.store import OniessStore
from social_security.oniess.tables import STEPS as ONIESS_STEPS
from social_security.wire.policydocument import POLICY_ID, build_policy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

NEEDED = 3
EFFECTIVE = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Key:
    key: ec.EllipticCurvePrivateKey
    certificate: bytes

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        del key_id
        return self.key.sign(digest, algorithm.ecdsa)


class Governing:
    """Three governing keys under one folder; a policy needs all three."""

    def __init__(self, folder: Path, quota: int | None = None) -> None:
        self._folder = folder
        self._quota = quota

    def _keys(self) -> list[_Key]:
        self._folder.mkdir(parents=True, exist_ok=True)
        made: list[_Key] = []
        for number in range(1, NEEDED + 1):
            file = self._folder / f"llave-{number}.pem"
            if not file.exists():
                key, (certificate,) = self_signed(f"gobierno-{number}.oniess.example")
                file.write_bytes(self._sealed(key))
                file.chmod(0o600)
                (self._folder / f"autoridad-{number}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
            loaded = load_pem_private_key(file.read_bytes(), self._passphrase())
            assert isinstance(loaded, ec.EllipticCurvePrivateKey)
            known = x509.load_pem_x509_certificate((self._folder / f"autoridad-{number}.pem").read_bytes())
            made.append(_Key(loaded, der_of(known)))
        return made

    def _passphrase(self) -> bytes:
        """What seals the keys of this exercise; it lies beside them, so it keeps nothing but copies of single files safe."""
        file = self._folder / "frase"
        if not file.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(24), encoding="ascii")
        return file.read_bytes()

    def _sealed(self, key: ec.EllipticCurvePrivateKey) -> bytes:
        how = BestAvailableEncryption(self._passphrase())
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)

    def sign(self, raw: bytes, signers: Sequence[int] = (0, 1, 2)) -> bytes:
        """The signed form of a document, by the keys named."""
        keys = self._keys()

        async def sign_all() -> SignedDocument:
            chosen = [keys[n] for n in signers]
            return SignedDocument(
                raw,
                tuple(
                    [
                        await sign_policy(
                            raw,
                            k,
                            KeyId("gobierno"),
                            SignatureAlgorithm.for_key(k.key.public_key()),
                            k.certificate,
                        )
                        for k in chosen
                    ]
                ),
            )

        return render_signed(asyncio.run(sign_all()))

    def policy(self) -> bytes:
        """Policy 1.0.0."""
        return build_policy("1.0.0", EFFECTIVE, daily_quota=self._quota)

    @staticmethod
    def policy_id() -> str:
        """The policy's name, whatever its version."""
        return POLICY_ID

    def policy_hash(self) -> str:
        """The SHA-256 that heads adopt and the next version names."""
        return hashlib.sha256(self.policy()).hexdigest()

    def publish(self, system: Path, gateways: Mapping[Path, Sequence[str]]) -> None:
        """Sign the policy once, publish it at ONIESS, load it at every gateway and bind every service to it.

        ``system`` is the folder of ONIESS's system, ``gateways`` has the services of each gateway by its folder.
        """
        file = self._folder / "politica-1.0.0.json"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.sign(self.policy()))
        self._heads_authority(system)
        oniess = system / "oniess.sqlite"
        if oniess.exists():
            database = Database(oniess, ONIESS_STEPS)
            store = OniessStore(database)
            store.publish("politica", self.policy())
            store.publish("politica-firmada", file.read_bytes())
            database.close()
        for gateway, services in gateways.items():
            self._load(gateway, services, file)

    def _heads_authority(self, oniess: Path) -> None:
        """The authority whose certificates heads sign with; ONIESS trusts it, and nobody else's."""
        if (oniess / "authorities.pem").exists() or not oniess.exists():
            return
        key, (certificate,) = self_signed("ac.firma.example")
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "ac-titulares.pem").write_bytes(self._sealed(key))
        (self._folder / "ac-titulares.pem").chmod(0o600)
        (oniess / "authorities.pem").write_bytes(certificate.public_bytes(Encoding.PEM))

    def adopt(self, policy_sha256: str, at: datetime) -> dict[str, str]:
        """A head's adoption of a policy, with a certificate that is good around ``at``."""
        authority = load_pem_private_key((self._folder / "ac-titulares.pem").read_bytes(), self._passphrase())
        assert isinstance(authority, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Titular")]))
            .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ac.firma.example")]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(at - timedelta(days=1))
            .not_valid_after(at + timedelta(days=365))
            .sign(authority, hashes.SHA256())
        )
        signature = key.sign(bytes.fromhex(policy_sha256), ec.ECDSA(hashes.SHA256()))
        return {
            "politicaSha256": policy_sha256,
            "firma": base64.b64encode(signature).decode(),
            "certificado": base64.b64encode(der_of(certificate)).decode(),
        }

    def _load(self, data: Path, services: Sequence[str], file: Path) -> None:
        mark = data / "politica"
        if mark.exists():
            return
        authorities = [str(self._folder / f"autoridad-{n}.pem") for n in range(1, NEEDED + 1)]
        self._policy(data, "authorities", "--needed", str(NEEDED), *authorities)
        self._policy(data, "load", str(file))
        self._policy(
            data, "bind", *(part for s in services for part in ("--service", s)), "--policy", POLICY_ID
        )
        mark.write_text("1.0.0\n", encoding="ascii")

    @staticmethod
    def _policy(data: Path, command: str, *arguments: str) -> None:
        run_command(gateway_command, "policy", command, "--data", str(data), *arguments)

    def load(self, gateways: Iterable[Path], signed: bytes, name: str) -> None:
        """Load a signed document at each gateway, given by its folder."""
        file = self._folder / name
        file.write_bytes(signed)
        for gateway in gateways:
            self._policy(gateway, "load", str(file))
