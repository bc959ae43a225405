"""The secret keys of a system, in one file that only its passphrase opens (`social_security.sealedfile`).

The registry's are made by `new_registry_keys`. They are in the memory of the system while it runs. Most of them cannot be
behind a signing device: pseudonyms and the blind index are keyed digests, stored CURPs are encrypted.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from social_security.sealedfile import read_sealed, write_sealed
from social_security.wire import tokens

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, repr=False)
class RegistryKeys:
    """Keys of the registry: pseudonyms, blind index, stored CURPs, signature of tokens."""

    pid: bytes
    index: bytes
    cipher: bytes
    version: str
    signing: dict[str, str]


@dataclass(frozen=True, slots=True, repr=False)
class InstituteKeys:
    """Keys of an institute: its own for opening tokens, and the registry's public one."""

    own: dict[str, str]
    registry: dict[str, str]


def new_registry_keys(*, pid: bytes | None = None, index: bytes | None = None) -> RegistryKeys:
    """Fresh keys; exercises fix the first two so that pseudonyms repeat."""
    return RegistryKeys(
        pid or secrets.token_bytes(32),
        index or secrets.token_bytes(32),
        secrets.token_bytes(32),
        "v1",
        tokens.new_key(),
    )


def save_registry_keys(path: Path, keys: RegistryKeys, secret: str) -> None:
    """Write the file, sealed; it must not exist."""
    write_sealed(
        path,
        {
            "pid": keys.pid.hex(),
            "index": keys.index.hex(),
            "cipher": keys.cipher.hex(),
            "version": keys.version,
            "signing": keys.signing,
        },
        secret,
    )


def load_registry_keys(path: Path, secret: str) -> RegistryKeys:
    """Read the file. Raises `OperatorError`."""
    value = read_sealed(path, secret)
    return RegistryKeys(
        bytes.fromhex(value["pid"]),
        bytes.fromhex(value["index"]),
        bytes.fromhex(value["cipher"]),
        value["version"],
        value["signing"],
    )


def save_institute_keys(path: Path, keys: InstituteKeys, secret: str) -> None:
    """Write the file, sealed; it must not exist."""
    write_sealed(path, {"own": keys.own, "registry": keys.registry}, secret)


def load_institute_keys(path: Path, secret: str) -> InstituteKeys:
    """Read the file. Raises `OperatorError`."""
    value = read_sealed(path, secret)
    return InstituteKeys(value["own"], value["registry"])
