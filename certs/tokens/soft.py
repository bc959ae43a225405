"""Keys in sealed files: a software token that opens with a PIN.

The PIN, through argon2id, opens the token's master key; the master key seals each private key (AES-256-GCM, the key's
id and label as associated data). On disk there is never a private key in clear; in memory only while unlocked. A wrong
PIN is counted on disk, and after ten in a row the token stays locked until its counter is reset by who owns the files.

RSA signs in a small thread pool (0.2 ms and more, and the library releases the interpreter lock); elliptic-curve keys
sign at once, since handing over to a thread would cost more than the signature.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import enum
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from certs.sealing import SHORTEST_SEALED, open_sealed, seal, stretch
from certs.tokens.port import KeyId
from schemas.faults import Kind, TokenFailed
from schemas.jsontext import dump_json, load_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from certs.algorithms import SignatureAlgorithm

    PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey
    PublicKey = RSAPublicKey | EllipticCurvePublicKey

WRONG_PINS_ALLOWED = 10


class KeyKind(enum.StrEnum):
    """The kinds of key that the token makes: RSA and EC, with their sizes and curves."""

    RSA_2048 = "rsa-2048"
    RSA_3072 = "rsa-3072"
    RSA_4096 = "rsa-4096"
    EC_P256 = "ec-p256"
    EC_P384 = "ec-p384"


class TokenStorage(Protocol):
    """The port to a place for sealed records: one of the token, one of each key by its id."""

    def read_token(self) -> bytes | None:
        """The token's own sealed record; None before it is made."""
        ...

    def write_token(self, record: bytes) -> None:
        """Keep the token's own record."""
        ...

    def read_keys(self) -> dict[str, bytes]:
        """Every key's sealed record, by key id."""
        ...

    def write_key(self, key_id: str, record: bytes) -> None:
        """Keep a key's sealed record durably."""
        ...

    def remove_key(self, key_id: str) -> None:
        """Forget a key's record for ever."""
        ...


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """The facts about a key that are known while the token is locked."""

    id: KeyId
    kind: KeyKind
    label: str
    usage: str


class SoftToken:
    """A token over sealed records. It is locked until `unlock`."""

    def __init__(self, storage: TokenStorage) -> None:
        self._storage = storage
        self._master: bytes | None = None
        self._keys: dict[KeyId, PrivateKey] = {}
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="rsa")

    @classmethod
    def create(cls, storage: TokenStorage, pin: str) -> SoftToken:
        """A new, unlocked token. Raises `TokenFailed` when there is one already."""
        if storage.read_token() is not None:
            raise TokenFailed(Kind.INVALID_REQUEST, "there is a token here already; its keys would be lost")
        token = cls(storage)
        token._master = secrets.token_bytes(32)
        token._seal_master(pin, token._master)
        return token

    @property
    def is_made(self) -> bool:
        """Whether there is a token at all."""
        return self._storage.read_token() is not None

    def make(self, pin: str) -> None:
        """Make the token, unlocked. Raises `TokenFailed` when there is one already."""
        made = SoftToken.create(self._storage, pin)
        self._master = made._master
        made.close()

    @property
    def is_unlocked(self) -> bool:
        """Whether keys can be used."""
        return self._master is not None

    def wrong_pins(self) -> int:
        """The number of wrong PINs in a row."""
        return int(self._record()["wrong_pins"])

    def unlock(self, pin: str) -> None:
        """Open the token. Raises `TokenFailed`: ``pin_incorrect``, or ``token_not_active`` after too many."""
        record = self._record()
        wrong = int(record["wrong_pins"])
        if wrong >= WRONG_PINS_ALLOWED:
            raise TokenFailed(Kind.TOKEN_NOT_ACTIVE, f"the token is locked after {wrong} wrong PINs in a row")
        try:
            master = open_sealed(stretch(pin, _bytes(record["salt"])), _bytes(record["master"]), b"master")
        except InvalidTag:
            self._count_wrong_pin(record, wrong + 1)
            left = WRONG_PINS_ALLOWED - wrong - 1
            raise TokenFailed(Kind.PIN_INCORRECT, f"the PIN is wrong; {left} tries are left") from None
        if wrong:
            self._count_wrong_pin(record, 0)
        self._master = master
        self._keys = {KeyId(i): _load(i, raw, master) for i, raw in self._storage.read_keys().items()}

    def lock(self) -> None:
        """Forget every key that is in memory."""
        self._master = None
        self._keys = {}

    def change_pin(self, old: str, new: str) -> None:
        """Let the token open with another PIN; keys stay as they are."""
        self.unlock(old)
        self._seal_master(new, self._opened())

    def key_infos(self) -> tuple[KeyInfo, ...]:
        """Every key, locked or not."""
        infos = []
        for key_id, raw in self._storage.read_keys().items():
            with _reading(f"the file of key {key_id}"):
                record = load_json(raw)
                kind, label, usage = KeyKind(record["kind"]), record["label"], record["usage"]
            infos.append(KeyInfo(KeyId(key_id), kind, label, usage))
        return tuple(infos)

    def generate_key(self, kind: KeyKind | str, label: str, usage: str) -> KeyId:
        """Make a key and keep it sealed; ``usage`` is ``sign``, ``auth``, or empty while it is open."""
        master = self._opened()
        private_key = _generate(KeyKind(kind))
        key_id = KeyId(secrets.token_hex(16))
        clear = private_key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        sealed = seal(master, clear, _associated(key_id, usage))
        record = {"kind": str(kind), "label": label, "usage": usage, "sealed": _text(sealed)}
        self._storage.write_key(key_id, dump_json(record, indent=1).encode())
        self._keys[key_id] = private_key
        return key_id

    def remove_key(self, key_id: KeyId) -> None:
        """Forget a key for ever."""
        self._key(key_id)
        self._storage.remove_key(key_id)
        del self._keys[key_id]

    def public_key(self, key_id: KeyId) -> PublicKey:
        """The public half of a key."""
        return self._key(key_id).public_key()

    def find_key(self, public_key: PublicKeyTypes) -> KeyId | None:
        """The key whose public half this is."""
        self._load_new()
        return next((i for i, k in self._keys.items() if k.public_key() == public_key), None)

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        """The signature over a digest; ECDSA as DER. Raises `TokenFailed`."""
        key = self._key(key_id)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return _sign(key, digest, algorithm)
        return await asyncio.get_running_loop().run_in_executor(self._pool, _sign, key, digest, algorithm)

    def sign_now(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        """The same for callers without an event loop."""
        return _sign(self._key(key_id), digest, algorithm)

    def derive_secret(self, purpose: str) -> bytes:
        """32 bytes for one purpose, the same whenever the token is open; they tell nothing about its keys or its PIN."""
        return HKDF(hashes.SHA256(), 32, None, f"sacbe token secret: {purpose}".encode()).derive(
            self._opened()
        )

    def tls_private_key(self, key_id: KeyId) -> PrivateKey:
        """The key itself, for OpenSSL alone: TLS with a software key cannot sign elsewhere."""
        return self._key(key_id)

    def close(self) -> None:
        """Lock, and let the threads go."""
        self.lock()
        self._pool.shutdown()

    def _load_new(self) -> None:
        """Open the keys that another process has put there since."""
        master = self._opened()
        for name, raw in self._storage.read_keys().items():
            if name not in self._keys:
                self._keys[KeyId(name)] = _load(name, raw, master)

    def _key(self, key_id: KeyId) -> PrivateKey:
        self._opened()
        if key_id not in self._keys:
            self._load_new()
        key = self._keys.get(key_id)
        if key is None:
            raise TokenFailed(Kind.KEY_NOT_FOUND, f"the token has no key {key_id!r}")
        return key

    def _opened(self) -> bytes:
        if self._master is None:
            raise TokenFailed(Kind.TOKEN_NOT_ACTIVE, "the token is locked; give its PIN first")
        return self._master

    def _record(self) -> dict[str, str | int]:
        raw = self._storage.read_token()
        if raw is None:
            raise TokenFailed(Kind.TOKEN_NOT_FOUND, "there is no token here; make one first")
        with _reading("the token's file (token.json)"):
            record: dict[str, str | int] = load_json(raw)
            for name, least in (("salt", 8), ("master", SHORTEST_SEALED)):
                found = len(base64.b64decode(str(record[name]), validate=True))
                if found < least:
                    raise ValueError(f"its {name} has {found} bytes; at least {least} were expected")
            int(record.get("wrong_pins", 0))
        return record

    def _seal_master(self, pin: str, master: bytes) -> None:
        if len(pin) < 4:
            raise TokenFailed(Kind.INVALID_REQUEST, "a PIN has at least four characters")
        salt = secrets.token_bytes(16)
        sealed = seal(stretch(pin, salt), master, b"master")
        record = {"salt": _text(salt), "master": _text(sealed), "wrong_pins": 0}
        self._storage.write_token(dump_json(record, indent=1).encode())

    def _count_wrong_pin(self, record: dict[str, str | int], wrong: int) -> None:
        self._storage.write_token(dump_json({**record, "wrong_pins": wrong}, indent=1).encode())


@contextlib.contextmanager
def _reading(what: str) -> Iterator[None]:
    """Name what cannot be read. Raises `TokenFailed` for whatever a damaged record leads to."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as err:
        raise TokenFailed(
            Kind.TOKEN_NOT_ACTIVE,
            f"{what} is damaged ({type(err).__name__}: {str(err)[:100]}); restore it from a backup (backup restore)",
        ) from err


def _generate(kind: KeyKind) -> PrivateKey:
    match kind:
        case KeyKind.EC_P256:
            return ec.generate_private_key(ec.SECP256R1())
        case KeyKind.EC_P384:
            return ec.generate_private_key(ec.SECP384R1())
        case _:
            return rsa.generate_private_key(65537, int(kind.value.removeprefix("rsa-")))


def _sign(key: PrivateKey, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
    try:
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key.sign(digest, algorithm.ecdsa)
        if algorithm.padding is not None:
            return key.sign(digest, algorithm.padding, algorithm.prehashed)
    except ValueError as err:
        raise TokenFailed(Kind.CANNOT_SIGN, f"the key cannot sign with {algorithm.name}: {err}") from err
    raise TokenFailed(Kind.CANNOT_SIGN, f"the key cannot sign with {algorithm.name}")


def _load(key_id: str, raw: bytes, master: bytes) -> PrivateKey:
    with _reading(f"the file of key {key_id}"):
        record = load_json(raw)
        sealed, usage = _bytes(record["sealed"]), record["usage"]
    try:
        clear = open_sealed(master, sealed, _associated(key_id, usage))
    except InvalidTag:
        raise TokenFailed(
            Kind.CANNOT_SIGN, f"the file of key {key_id} is damaged or was put there by another token"
        ) from None
    key = serialization.load_der_private_key(clear, None)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise TokenFailed(Kind.CANNOT_SIGN, f"key {key_id} is of a type that is not supported")
    return key


def _associated(key_id: str, usage: str) -> bytes:
    return f"{key_id}:{usage}".encode()


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str | int) -> bytes:
    return base64.b64decode(str(text))
