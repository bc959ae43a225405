"""The software token's folder: one sealed file a key and one for the token itself, written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

TOKEN_FILE = "token.json"  # a file name
KEY_SUFFIX = ".key.json"


def write_whole(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Put ``data`` at ``path`` so that a crash leaves the old content or the new, and it outlives a power cut."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` outlive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class TokenFolder:
    """A folder with the sealed records of a software token: one file for the token, one for each key."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def read_token(self) -> bytes | None:
        """The token's own record; None before it is made."""
        path = self._folder / TOKEN_FILE
        return path.read_bytes() if path.exists() else None

    def write_token(self, record: bytes) -> None:
        """Keep the token's own record; on disk when this returns, in place of the one before."""
        write_whole(self._folder / TOKEN_FILE, record)

    def read_keys(self) -> dict[str, bytes]:
        """Every key's record by key id."""
        return {
            path.name.removesuffix(KEY_SUFFIX): path.read_bytes()
            for path in sorted(self._folder.glob(f"*{KEY_SUFFIX}"))
        }

    def write_key(self, key_id: str, record: bytes) -> None:
        """Keep a key's sealed record; on disk when this returns."""
        write_whole(self._folder / f"{key_id}{KEY_SUFFIX}", record)

    def remove_key(self, key_id: str) -> None:
        """Forget a key for ever; gone from the folder when this returns, and after a power cut too."""
        (self._folder / f"{key_id}{KEY_SUFFIX}").unlink()
        sync_folder(self._folder)
