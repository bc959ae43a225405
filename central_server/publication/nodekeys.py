"""The keys of one node: its tokens, the keys that sign the configuration, and the TLS key of the management services.

Signing keys are on any token of the settings; the TLS key is on the software token. Keys are made before the rows that
name them, so a crash in between leaves a key that nobody uses and never a row without its key. A token that is locked,
or whose process is gone, keeps only its own keys from being used.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from central_server.publication.anchors import remake_anchor
from central_server.publication.generate import host_of
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store import sources
from certs.certificates import parse_certificate
from certs.csr import general_name
from certs.tls import TlsCredentials
from certs.tokens.port import SOFTWARE_TOKEN_ID, KeyId, TokenStatus
from certs.tokens.remote import sign_certificate, sign_request
from schemas.faults import Kind, TokenFailed
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from central_server.store.records import Actor, CentralStore
    from certs.algorithms import SignatureAlgorithm
    from certs.edges.devices import Device, DeviceKey, DeviceState

    PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class NodeKeys:
    """Tokens and keys of a node. It is the `Signer` of everything the node signs."""

    def __init__(self, store: CentralStore, devices: Sequence[Device], key_kind: str) -> None:
        self._store = store
        self._devices = {d.token_id: d for d in devices}
        self._key_kind = key_kind
        self._where: dict[KeyId, str] = {}
        self._opened: list[Callable[[], Awaitable[None]]] = []

    async def close(self) -> None:
        """Close the session with every token."""
        for device in self._devices.values():
            await device.close()

    def when_opened(self, callback: Callable[[], Awaitable[None]]) -> None:
        """Call ``callback`` whenever keys have become usable or others are to be used."""
        self._opened.append(callback)

    # Tokens

    @property
    def token_ids(self) -> tuple[str, ...]:
        """The tokens of the settings, and those that only keys made earlier still name."""
        records = self._store.read()
        named = [k.token_id for s in sources.SOURCES for k in sources.signing_keys(records, s)]
        return tuple(dict.fromkeys([*self._devices, *named]))

    async def state(self, token_id: str) -> DeviceState | None:
        """The state of a token; None when it is not among the settings. Never raises."""
        device = self._devices.get(token_id)
        return None if device is None else await device.state()

    async def is_made(self) -> bool:
        """Whether the software token has been made."""
        state = await self._software.state()
        return state.status is not TokenStatus.NOT_INITIALIZED

    async def is_open(self, token_id: str = SOFTWARE_TOKEN_ID) -> bool:
        """Whether a token's keys can be used now."""
        state = await self.state(token_id)
        return state is not None and state.logged_in

    async def make_token(self, pin: str) -> None:
        """Make the software token, unlocked. Raises `TokenFailed` when there is one."""
        await self._software.make(pin)

    async def log_in(self, pin: str, actor: Actor, now: datetime, token_id: str = SOFTWARE_TOKEN_ID) -> None:
        """Let a token's keys be used. Raises `TokenFailed`, and `Refused` when its process is gone."""
        device = self._device(token_id)
        state = await device.state()
        if not state.available:
            raise refuse(
                RegistryCode.TOKEN_ACTION_NOT_POSSIBLE,
                state.failure or N_("token {token_id} is not available", token_id=token_id),
            )
        await device.login(pin)
        if token_id == SOFTWARE_TOKEN_ID:
            await self._make_missing_tls_certificate(actor, now)
        await self.call_opened()

    async def log_out(self, token_id: str = SOFTWARE_TOKEN_ID) -> None:
        """Lock a token; what is published stays until it expires."""
        await self._device(token_id).logout()

    async def call_opened(self) -> None:
        """Tell everybody who waits for keys."""
        for callback in self._opened:
            await callback()

    @property
    def _software(self) -> Device:
        return self._devices[SOFTWARE_TOKEN_ID]

    def _device(self, token_id: str) -> Device:
        found = self._devices.get(token_id)
        if found is None:
            raise refuse(RegistryCode.TOKEN_NOT_FOUND, token_id)
        return found

    async def _opened_device(self, token_id: str) -> Device:
        device = self._device(token_id)
        state = await device.state()
        if not state.logged_in:
            raise refuse(
                RegistryCode.TOKEN_ACTION_NOT_POSSIBLE,
                state.failure or N_("the token {token_id} is not logged in; log in first", token_id=token_id),
            )
        return device

    async def derive_secret(self, purpose: str) -> bytes:
        """A key of the software token for sealing other files of this node. Raises `TokenFailed` while it is locked."""
        return await self._software.derive_secret(purpose)

    # Signing

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        """The signature over a digest, by whichever token has the key. Raises `TokenFailed`."""
        token_id = self._token_of(key_id)
        device = self._devices.get(token_id)
        if device is None:
            raise TokenFailed(
                Kind.TOKEN_NOT_FOUND,
                f"the key {key_id} is on the token {token_id}, which the settings do not name; "
                "name it there or activate a key on another token",
            )
        try:
            return await device.sign(key_id, digest, algorithm)
        except TokenFailed as fault:
            raise TokenFailed(fault.kind, f"token {token_id}: {fault.detail}") from fault

    def signs_pss(self, token_id: str) -> bool:
        """Whether the RSA keys of a token sign by PSS; False for one that the settings do not name."""
        device = self._devices.get(token_id)
        return device is not None and device.signs_pss

    def _token_of(self, key_id: KeyId) -> str:
        if key_id not in self._where:
            records = self._store.read()
            for source in sources.SOURCES:
                self._where |= {k.key_id: k.token_id for k in sources.signing_keys(records, source)}
        return self._where.get(key_id, SOFTWARE_TOKEN_ID)

    async def make_signing_key(
        self, source: str, label: str, actor: Actor, now: datetime, token_id: str = SOFTWARE_TOKEN_ID
    ) -> sources.SigningKey:
        """A new signing key of a source; the first signs at once. Its anchor is made anew."""
        device = await self._opened_device(token_id)
        sources.check_room_for_key(self._store.read(), source)
        made = await device.generate_key(self._key_kind, label, "sign")
        certificate = await certify_signing_key(device, made, f"{source} configuration signing key")
        with self._store.change(actor, now) as records:
            sources.check_room_for_key(records, source)
            kept = sources.add_signing_key(
                records,
                sources.SigningKey(
                    made.id, source, certificate, active=False, label=label, token_id=token_id
                ),
            )
            if sources.node_address(records) is not None:
                remake_anchor(records, source)
        return kept

    async def delete_signing_key(self, key_id: str, actor: Actor, now: datetime) -> None:
        """Forget a key that does not sign, in the store first and then on the token, if that is still set up."""
        token_id = sources.need_signing_key(self._store.read(), key_id).token_id
        device = await self._opened_device(token_id) if token_id in self._devices else None
        with self._store.change(actor, now) as records:
            gone = sources.delete_signing_key(records, key_id)
            remake_anchor(records, gone.source)
        if device is not None:
            await device.remove_key(gone.key_id)

    # TLS of the management services

    async def make_tls_certificate(self, actor: Actor, now: datetime) -> bytes:
        """A new key for the management services with a certificate of its own making; the certificate (DER)."""
        device = await self._opened_device(SOFTWARE_TOKEN_ID)
        address = host_of(sources.node_address(self._store.read()) or "localhost")
        made = await device.generate_key("rsa-2048", "management services TLS", "auth")
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, address[:64])])
        builder = _certificate(name, made, now - timedelta(hours=1), now + timedelta(days=7300))
        builder = builder.add_extension(x509.SubjectAlternativeName([general_name(address)]), critical=False)
        certificate = await sign_certificate(builder, made.id, _public(made), device)
        await self.keep_tls_certificate(made.id, certificate, actor, now)
        return certificate

    async def keep_tls_certificate(
        self, key_id: KeyId, certificate: bytes, actor: Actor, now: datetime
    ) -> None:
        """Show another certificate from now on, to gateways that have it from the configuration."""
        with self._store.change(actor, now) as records:
            sources.keep_tls_certificate(records, key_id, certificate)
        await self.call_opened()

    async def tls_request(self, subject: x509.Name) -> bytes:
        """A signing request (DER) for the TLS key. Raises `Refused` while the token is locked or has no such key."""
        found = sources.tls_certificate(self._store.read())
        if found is None or not await self.is_open():
            raise refuse(RegistryCode.TOKEN_ACTION_NOT_POSSIBLE, N_("the token is locked or has no TLS key"))
        address = host_of(sources.node_address(self._store.read()) or "localhost")
        builder = (
            x509.CertificateSigningRequestBuilder()
            .subject_name(subject)
            .add_extension(x509.SubjectAlternativeName([general_name(address)]), critical=False)
        )
        return await sign_request(builder, found[0], _key_of(found[1]), self._software)

    async def tls_credentials(self) -> TlsCredentials | None:
        """The key and chain of the management services' TLS; None while the token is locked or has no key for it."""
        found = sources.tls_certificate(self._store.read())
        if found is None or not await self.is_open():
            return None
        certificate = parse_certificate(found[1])
        public = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return TlsCredentials(self._software.tls_private_key(found[0], public), (certificate,))

    async def _make_missing_tls_certificate(self, actor: Actor, now: datetime) -> None:
        records = self._store.read()
        if sources.node_address(records) is not None and sources.tls_certificate(records) is None:
            await self.make_tls_certificate(actor, now)


async def certify_signing_key(device: Device, key: DeviceKey, common_name: str) -> bytes:
    """A key's own certificate (DER), which only carries it: clients look at neither its name nor its dates."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
    builder = _certificate(name, key, datetime(1970, 1, 1, tzinfo=UTC), datetime(2038, 1, 1, tzinfo=UTC))
    return await sign_certificate(builder, key.id, _public(key), device, pss=device.signs_pss)


def _certificate(
    name: x509.Name, key: DeviceKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(_public(key))
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )


def _public(key: DeviceKey) -> PublicKey:
    return _checked(load_der_public_key(key.public_key))


def _key_of(certificate: bytes) -> PublicKey:
    return _checked(parse_certificate(certificate).public_key())


def _checked(key: object) -> PublicKey:
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise TokenFailed(Kind.CANNOT_SIGN, f"a {type(key).__name__} cannot sign; RSA and EC keys can")
    return key
