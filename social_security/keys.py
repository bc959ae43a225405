"""The secret keys of a system, in one file that only its owner may read.

They are made by `new_registry_keys` and `new_institute_keys` and never change place; a hardware token would hold them
instead, see README of the domain pack.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from social_security import tokens

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


def save_registry_keys(path: Path, keys: RegistryKeys) -> None:
    """Write the file; it must not exist."""
    _write(
        path,
        {
            "pid": keys.pid.hex(),
            "index": keys.index.hex(),
            "cipher": keys.cipher.hex(),
            "version": keys.version,
            "signing": keys.signing,
        },
    )


def load_registry_keys(path: Path) -> RegistryKeys:
    """Read the file."""
    value = json.loads(path.read_text(encoding="ascii"))
    return RegistryKeys(
        bytes.fromhex(value["pid"]),
        bytes.fromhex(value["index"]),
        bytes.fromhex(value["cipher"]),
        value["version"],
        value["signing"],
    )


def save_institute_keys(path: Path, keys: InstituteKeys) -> None:
    """Write the file; it must not exist."""
    _write(path, {"own": keys.own, "registry": keys.registry})


def load_institute_keys(path: Path) -> InstituteKeys:
    """Read the file."""
    value = json.loads(path.read_text(encoding="ascii"))
    return InstituteKeys(value["own"], value["registry"])


def _write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        json.dump(value, file)
