"""The key that signs a server's backups (Ed25519): made at first use, sealed on disk, its public half beside it.

It signs nothing else and opens nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from certs.edges.tokenfiles import write_whole
from serving.errors import OperatorError
from serving.language import N_
from serving.storage.keysafe import SUFFIX, shred

if TYPE_CHECKING:
    from pathlib import Path

    from serving.storage.keysafe import KeySafe

NAME = "backup"
SEALED, PUBLIC = f"{NAME}{SUFFIX}", f"{NAME}.pub"
# How earlier versions kept it: in clear.
CLEAR = f"{NAME}.key"


def backup_key(folder: Path, safe: KeySafe) -> Ed25519PrivateKey:
    """The server's key. Raises `serving.storage.keysafe.NotAtHand`, or ValueError when it does not open."""
    settle_backup_key(folder, safe)
    if (folder / SEALED).exists():
        key = safe.read(folder / SEALED)
        if not isinstance(key, Ed25519PrivateKey):
            raise OperatorError(N_("{folder} holds no Ed25519 key", folder=folder / SEALED))
    else:
        key = Ed25519PrivateKey.generate()
        safe.write(folder / SEALED, key)
    _print_public(folder, key)
    return key


def public_backup_key(folder: Path, safe: KeySafe) -> Ed25519PublicKey:
    """The public half, for which no seal is needed once there is a key."""
    if (folder / PUBLIC).exists():
        return Ed25519PublicKey.from_public_bytes((folder / PUBLIC).read_bytes())
    return backup_key(folder, safe).public_key()


def settle_backup_key(folder: Path, safe: KeySafe) -> None:
    """Seal a key that an earlier version left in clear, if a seal is at hand; then the clear one is removed."""
    clear = folder / CLEAR
    if clear.exists() and safe.can_seal:
        key = Ed25519PrivateKey.from_private_bytes(clear.read_bytes())
        # Sealed first, then public, then the clear one goes: a crash in between leaves both, and this is done again.
        safe.write(folder / SEALED, key)
        _print_public(folder, key)
        shred(clear)


def _print_public(folder: Path, key: Ed25519PrivateKey) -> None:
    raw = key.public_key().public_bytes_raw()
    if not (folder / PUBLIC).exists() or (folder / PUBLIC).read_bytes() != raw:
        write_whole(folder / PUBLIC, raw)  # after the key itself: a crash before leaves it to be said again
