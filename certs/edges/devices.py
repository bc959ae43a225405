"""The Device port: one token, wherever it is, and the software token in this process.

A device in another process is `certs.edges.signerclient.RemoteDevice`. Everything is asynchronous, for a token may be a
machine in another room.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.tokens.port import TokenStatus, TokenType
from certs.tokens.soft import WRONG_PINS_ALLOWED
from schemas.faults import Kind, TokenFailed

if TYPE_CHECKING:
    from certs.algorithms import SignatureAlgorithm
    from certs.tls import TlsPrivateKey
    from certs.tokens.port import KeyId
    from certs.tokens.soft import SoftToken


class DeviceState(msgspec.Struct, frozen=True):
    """The state of a token: its PIN, its labels; ``failure`` says what keeps it from being available."""

    status: TokenStatus
    available: bool
    logged_in: bool
    read_only: bool = False
    serial_number: str | None = None
    label: str = ""
    infos: tuple[tuple[str, str], ...] = ()
    failure: str | None = None


class DeviceKey(msgspec.Struct, frozen=True):
    """A key as the token knows it; ``usage`` is empty when the token does not say."""

    id: KeyId
    kind: str
    label: str
    usage: str
    public_key: bytes


class Device(Protocol):
    """One token as the gateway uses it, in this process or another one."""

    @property
    def token_id(self) -> str:
        """The token's identifier in the admin API."""
        ...

    @property
    def type(self) -> TokenType:
        """Whether its keys live in sealed files or behind PKCS#11."""
        ...

    @property
    def signs_pss(self) -> bool:
        """Whether its RSA keys sign by PSS."""
        ...

    async def state(self) -> DeviceState:
        """The token's state at this moment; never raises."""
        ...

    async def make(self, pin: str) -> None:
        """Initialise an empty software token. Raises `TokenFailed`."""
        ...

    async def login(self, pin: str) -> None:
        """Let its keys be used. Raises `TokenFailed`."""
        ...

    async def logout(self) -> None:
        """Let its keys be used no more."""
        ...

    async def change_pin(self, old: str, new: str) -> None:
        """Let it open with another PIN. Raises `TokenFailed`."""
        ...

    async def device_keys(self) -> tuple[DeviceKey, ...]:
        """Its keys. Raises `TokenFailed` while it is not logged in."""
        ...

    async def device_certificates(self) -> tuple[bytes, ...]:
        """The certificates (DER) stored on it. Raises `TokenFailed` while it is not logged in."""
        ...

    async def generate_key(self, kind: str, label: str, usage: str) -> DeviceKey:
        """Make a key in it. Raises `TokenFailed`."""
        ...

    async def remove_key(self, key_id: KeyId) -> None:
        """Destroy a key. Raises `TokenFailed`."""
        ...

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        """The signature over a digest; ECDSA as DER. Raises `TokenFailed`."""
        ...

    async def derive_secret(self, purpose: str) -> bytes:
        """A secret of the software token for one purpose. Raises `TokenFailed`."""
        ...

    def tls_private_key(self, key_id: KeyId, public_key: bytes) -> TlsPrivateKey:
        """The key for TLS handshakes: itself, or an object that asks the token for each signature."""
        ...

    async def close(self) -> None:
        """Close the session with the token; keys in memory are forgotten. It is not used afterwards."""
        ...


class SoftwareDevice:
    """The software token, opened in this process."""

    type = TokenType.SOFTWARE
    signs_pss = False

    def __init__(self, token_id: str, token: SoftToken) -> None:
        self.token_id = token_id
        self._token = token

    async def state(self) -> DeviceState:
        """The token's state; one that was never made is not initialised."""
        if not self._token.is_made:
            return DeviceState(TokenStatus.NOT_INITIALIZED, available=True, logged_in=False)
        status = pin_status(WRONG_PINS_ALLOWED - self._token.wrong_pins())
        return DeviceState(status, available=True, logged_in=self._token.is_unlocked)

    async def make(self, pin: str) -> None:
        """Initialise the token with its first PIN, and leave it logged in."""
        await asyncio.to_thread(self._token.make, pin)

    async def login(self, pin: str) -> None:
        """Open the keys with the PIN. Raises `TokenFailed`."""
        await asyncio.to_thread(self._token.unlock, pin)

    async def logout(self) -> None:
        """Lock: every key in memory is forgotten."""
        self._token.lock()

    async def change_pin(self, old: str, new: str) -> None:
        """Seal the master key with another PIN. Raises `TokenFailed` (``token_not_active``)."""
        if not self._token.is_unlocked:
            raise TokenFailed(Kind.TOKEN_NOT_ACTIVE, "the token is locked; give its PIN first")
        await asyncio.to_thread(self._token.change_pin, old, new)

    async def device_keys(self) -> tuple[DeviceKey, ...]:
        """The keys in the token's folder."""
        return tuple(
            DeviceKey(i.id, i.kind.value, i.label, i.usage, public_bytes(self._token.public_key(i.id)))
            for i in self._token.key_infos()
        )

    async def device_certificates(self) -> tuple[bytes, ...]:
        """None: a software token holds keys alone."""
        return ()

    async def generate_key(self, kind: str, label: str, usage: str) -> DeviceKey:
        """Make a key and keep it sealed."""
        key_id = await asyncio.to_thread(self._token.generate_key, kind, label, usage)
        return DeviceKey(key_id, kind, label, usage, public_bytes(self._token.public_key(key_id)))

    async def remove_key(self, key_id: KeyId) -> None:
        """Forget a key for ever."""
        self._token.remove_key(key_id)

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        """The signature over a digest."""
        return await self._token.sign(key_id, digest, algorithm)

    async def derive_secret(self, purpose: str) -> bytes:
        """A secret for one purpose."""
        return self._token.derive_secret(purpose)

    def tls_private_key(self, key_id: KeyId, public_key: bytes) -> TlsPrivateKey:
        """The key itself: it is in this process anyway."""
        return self._token.tls_private_key(key_id)

    async def close(self) -> None:
        """Lock, and let the token's threads go."""
        self._token.close()


def pin_status(tries_left: int) -> TokenStatus:
    """The token's status for a number of PINs that may still be wrong."""
    if tries_left <= 0:
        return TokenStatus.USER_PIN_LOCKED
    if tries_left == 1:
        return TokenStatus.USER_PIN_FINAL_TRY
    return TokenStatus.OK if tries_left >= WRONG_PINS_ALLOWED else TokenStatus.USER_PIN_COUNT_LOW


def public_bytes(key: object) -> bytes:
    """A public key as SubjectPublicKeyInfo (DER)."""
    der: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return der
