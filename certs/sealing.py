"""Closing small secrets with a key, and making keys from what people remember.

A sealed value is a nonce and AES-256-GCM over the clear one; what it belongs to is associated data, so that it cannot be
put in another's place. Sealing uses fresh randomness, opening none.
"""

from __future__ import annotations

import secrets

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_MEMORY_KIB = 32 * 1024
_PASSES = 2
_NONCE_BYTES = 12
# A nonce and the tag, around nothing.
SHORTEST_SEALED = _NONCE_BYTES + 16


def stretch(secret: str, salt: bytes) -> bytes:
    """A key of 32 bytes from what a person remembers (argon2id)."""
    return hash_secret_raw(
        secret.encode("utf-8"),
        salt,
        time_cost=_PASSES,
        memory_cost=_MEMORY_KIB,
        parallelism=1,
        hash_len=32,
        type=Type.ID,
    )


def seal(key: bytes, clear: bytes, associated: bytes) -> bytes:
    """The clear bytes sealed by AES-GCM under a key of 32 bytes, its nonce first; ``associated`` must be the same to open."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, clear, associated)


def open_sealed(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """The value, open. Raises `cryptography.exceptions.InvalidTag`, also for what is too short to have been sealed."""
    if len(sealed) < SHORTEST_SEALED:
        raise InvalidTag
    return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], associated)
