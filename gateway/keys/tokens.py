"""All tokens of this server together: which key is where, and signing with any of them.

What a device says when it is logged in is written down in the store, so that keys, names and certificates can be shown
while it is locked, lost or in repair.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import msgspec

from certs.certificates import der_of, parse_certificate
from certs.edges.devices import public_bytes
from certs.tokens.port import SOFTWARE_TOKEN_ID, TokenStatus
from certs.verify import chain as chains
from gateway.keys.model import CertificateStatus, Key, KeyCertificate, KeyUsage, Token
from gateway.refusals import GatewayCode
from schemas.faults import Fault, Kind, TokenFailed
from serving.errors import Refused
from serving.language import N_
from serving.process.failing import FailureReason

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.x509 import Certificate

    from certs.algorithms import SignatureAlgorithm
    from certs.edges.devices import Device, DeviceKey, DeviceState
    from certs.tls import TlsPrivateKey
    from certs.tokens.port import KeyId
    from gateway.keys.store import KeyConfStore


class Tokens:
    """The devices of one server. It is the `Signer` of everything here."""

    def __init__(self, store: KeyConfStore, devices: Sequence[Device]) -> None:
        self._store = store
        self._devices = {d.token_id: d for d in devices}
        self._where: dict[KeyId, str] = {}
        for device in devices:
            name = f"softToken-{device.token_id}" if device.token_id == SOFTWARE_TOKEN_ID else device.token_id
            store.save_token(device.token_id, device.type, name)

    async def tokens(self) -> tuple[Token, ...]:
        """Every token, as it stands now, those included whose device is gone."""
        return tuple([await self._filled(t) for t in self._store.tokens()])

    async def token(self, token_id: str) -> Token:
        """One token. Raises `Refused` (``token_not_found``)."""
        found = next((t for t in self._store.tokens() if t.id == token_id), None)
        if found is None:
            raise Refused(
                GatewayCode.TOKEN_NOT_FOUND, N_("there is no token {token_id!r}", token_id=token_id)
            )
        return await self._filled(found)

    async def failure(self, token_id: str) -> FailureReason | None:
        """The reason why a token cannot be used; None when it can."""
        device = self._devices.get(token_id)
        if device is None:
            return FailureReason(
                f"the token {token_id} is known from before, but no module or folder is set up for it now",
                ("token_without_device",),
            )
        state = await device.state()
        if state.failure:
            return FailureReason(state.failure, ("token_fails",))
        if state.status is TokenStatus.NOT_INITIALIZED:
            return FailureReason(f"the token {token_id} was never initialised", ("token_without_pin",))
        if state.status is TokenStatus.USER_PIN_LOCKED:
            return FailureReason(
                f"the token {token_id} is locked after too many wrong PINs", ("token_locked",)
            )
        if state.logged_in:
            return None
        return FailureReason(f"the token {token_id} is not logged in; give its PIN", ("token_logged_out",))

    def device(self, token_id: str) -> Device:
        """A token's device. Raises `Refused` when there is none now."""
        found = self._devices.get(token_id)
        if found is None:
            raise Refused(
                GatewayCode.ACTION_NOT_POSSIBLE,
                N_("the token {token_id!r} has no device now", token_id=token_id),
            )
        return found

    async def sync(self, token_id: str) -> None:
        """Write down what a logged-in token holds."""
        for key in await self.device(token_id).device_keys():
            self._store.save_key(_key(token_id, key))
            self._where[key.id] = token_id

    async def login(self, token_id: str, pin: str) -> None:
        """Let a token's keys be used. Raises `TokenFailed`."""
        await self.device(token_id).login(pin)
        await self.sync(token_id)

    async def generate_key(self, token_id: str, kind: str, label: str, usage: KeyUsage | None) -> KeyId:
        """Make a key on a token. Raises `TokenFailed`."""
        made = await self.device(token_id).generate_key(kind, label, usage.value if usage else "")
        self._store.save_key(_key(token_id, made))
        self._where[made.id] = token_id
        return made.id

    async def remove_key(self, key: Key) -> None:
        """Destroy a key, with everything that is known of it. Raises `TokenFailed`."""
        device = self._devices.get(key.token_id)
        if device is not None:
            try:
                await device.remove_key(key.id)
            except TokenFailed as fault:
                if fault.kind is not Kind.KEY_NOT_FOUND:  # gone already is what was wanted
                    raise
        self._store.remove_key(key.id)
        self._where.pop(key.id, None)

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        """The signature over a digest, by whichever token has the key. Raises `TokenFailed`."""
        return await self._device_of(key_id).sign(key_id, digest, algorithm)

    def signs_pss(self, key_id: KeyId) -> bool:
        """Whether a key, if it is an RSA key, signs by PSS; False for one whose token is not set up here."""
        try:
            return self._device_of(key_id).signs_pss
        except TokenFailed:
            return False

    def tls_private_key(self, key_id: KeyId, public_key: bytes) -> TlsPrivateKey:
        """The key that TLS signs with: itself, or a stand-in that asks its token for each signature. Raises `TokenFailed`."""
        return self._device_of(key_id).tls_private_key(key_id, public_key)

    async def close(self) -> None:
        """Close the session with every token."""
        for device in self._devices.values():
            await device.close()

    def _device_of(self, key_id: KeyId) -> Device:
        token_id = self._where.get(key_id)
        if token_id is None:
            self._where = {k.id: k.token_id for k in self._store.list_keys()}
            token_id = self._where.get(key_id, "")
        device = self._devices.get(token_id)
        if device is None and len(self._devices) == 1:
            return next(iter(self._devices.values()))  # keys made before they were written down
        if device is None:
            raise TokenFailed(Kind.KEY_NOT_FOUND, f"no token that is set up here has the key {key_id!r}")
        return device

    async def _filled(self, token: Token) -> Token:
        device = self._devices.get(token.id)
        if device is None:
            return token
        state = await device.state()
        keys = token.keys
        if state.logged_in:
            with contextlib.suppress(Fault):
                await self.sync(token.id)
                keys = tuple(k for k in self._store.list_keys() if k.token_id == token.id)
                stored = _readable(await device.device_certificates())
                keys = tuple(_with_stored(key, stored) for key in keys)
        return _with_state(token, state, keys)


def _readable(stored: Sequence[bytes]) -> list[Certificate]:
    """The certificates (DER) of a token that can be read; others on it are not this server's to judge, and are left out."""
    found = []
    for der in stored:
        with contextlib.suppress(Fault):
            found.append(parse_certificate(der))
    return found


def _with_stored(key: Key, stored: Sequence[Certificate]) -> Key:
    """A key with those certificates on its token that are for it and that the configuration does not have."""
    known = {c.der for c in key.certificates}
    found = [
        KeyCertificate(
            der_of(certificate), key.id, usage, active=False, status=CertificateStatus.SAVED, saved=False
        )
        for certificate in stored
        if (usage := usage_by_extension(certificate)) is not None
        and public_bytes(certificate.public_key()) == key.public_key
        and der_of(certificate) not in known
    ]
    return msgspec.structs.replace(key, certificates=(*key.certificates, *found))


def usage_by_extension(certificate: Certificate) -> KeyUsage | None:
    """The usage that a certificate's keyUsage says (RFC 5280 4.2.1.3); None when it is for both or neither, and so for nothing here."""
    signing = chains.is_signing_certificate(certificate)
    if signing == chains.is_authentication_certificate(certificate):
        return None
    return KeyUsage.SIGNING if signing else KeyUsage.AUTHENTICATION


def _with_state(token: Token, state: DeviceState, keys: Sequence[Key]) -> Token:
    return msgspec.structs.replace(
        token,
        status=state.status,
        logged_in=state.logged_in,
        available=state.available,
        read_only=state.read_only,
        serial_number=state.serial_number or token.serial_number,
        infos=state.infos,
        keys=tuple(msgspec.structs.replace(k, available=state.logged_in) for k in keys),
    )


def _key(token_id: str, key: DeviceKey) -> Key:
    usage = KeyUsage(key.usage) if key.usage else None
    return Key(key.id, token_id, key.kind, key.label, key.label, usage, key.public_key, available=True)
