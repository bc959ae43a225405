"""A file that only a passphrase opens: argon2id over a salt of its own, then AES-256-GCM bound to the file's name.

Written whole, readable by its owner only. What does not open says so, and never what was in it.
"""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING, Any, Final

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from schemas.jsontext import dump_json, load_json
from serving.errors import OperatorError
from serving.language import N_
from social_security.newfiles import new_file

if TYPE_CHECKING:
    from pathlib import Path

FORMAT: Final = "sacbe-sealed/1"
SHORTEST: Final = 8
# RFC 9106's second choice for machines without much memory to spare.
_ROUNDS, _MEMORY_KIB, _LANES = 3, 64 * 1024, 4


def write_sealed(path: Path, value: object, secret: str) -> None:
    """Write a new file; one that is there is left alone (FileExistsError)."""
    if len(secret) < SHORTEST:
        raise OperatorError(
            N_("a passphrase that seals keys has at least {shortest} characters", shortest=SHORTEST)
        )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    salt, nonce = secrets.token_bytes(16), secrets.token_bytes(12)
    clear = dump_json(value).encode()
    sealed = nonce + AESGCM(_stretch(secret, salt)).encrypt(nonce, clear, path.name.encode())
    record = {"format": FORMAT, "salt": _text(salt), "sealed": _text(sealed)}
    # On disk when this returns: keys that nothing else holds. A crash before leaves nothing at the path.
    with new_file(path) as file:
        file.write(dump_json(record))


def read_sealed(path: Path, secret: str) -> Any:
    """The value that `write_sealed` sealed into a file. Raises `OperatorError` for a damaged file or another passphrase."""
    try:
        record = load_json(path.read_bytes())
    except (OSError, ValueError) as err:
        raise OperatorError(N_("{path} cannot be read: {name}", path=path, name=type(err).__name__)) from err
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise OperatorError(
            N_(
                "{path} is not sealed by a passphrase ({format}); make the system's keys anew",
                path=path,
                format=FORMAT,
            )
        )
    try:
        salt, sealed = (base64.b64decode(record[n], validate=True) for n in ("salt", "sealed"))
        clear = AESGCM(_stretch(secret, salt)).decrypt(sealed[:12], sealed[12:], path.name.encode())
    except (InvalidTag, KeyError, TypeError, ValueError) as err:
        raise OperatorError(
            N_(
                "{path} does not open: the passphrase is another one, or the file is damaged (keys_secret in the settings)",
                path=path,
            )
        ) from err
    return load_json(clear)


def _stretch(secret: str, salt: bytes) -> bytes:
    return hash_secret_raw(secret.encode(), salt, _ROUNDS, _MEMORY_KIB, _LANES, 32, Type.ID)


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")
