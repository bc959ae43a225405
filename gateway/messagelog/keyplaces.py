"""Where the sealed key file of a message log is kept: beside the log, or in a schema of a database that nodes share."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from certs.edges.tokenfiles import write_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY_FILE = "keys.json"


class KeyPlace(Protocol):
    """A place for one file of keys, which several processes may change."""

    # Whether `mark` may be asked from the event loop.
    is_near: bool

    def __str__(self) -> str:
        """The place as people are told it: a path, or a database without its password."""
        ...

    def mark(self) -> object:
        """Another value whenever the file is another one; None when there is none. Raises OSError."""
        ...

    def read(self) -> bytes:
        """The bytes of the key file. Raises OSError."""
        ...

    def write(self, content: bytes) -> None:
        """Put another file in its place, on the disk when this returns. Only within `locked`."""
        ...

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """No other process changes the file meanwhile."""
        ...

    def close(self) -> None:
        """Close connections; a later call opens them again."""
        ...


class FolderKeys:
    """The file in a folder."""

    is_near = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / KEY_FILE

    def __str__(self) -> str:
        """The path of the key file."""
        return str(self._path)

    def mark(self) -> tuple[int, int, int] | None:
        """The file's inode, time (ns) and size, to see whether it changed; None without a file."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def read(self) -> bytes:
        """The bytes of the key file. Raises OSError."""
        return self._path.read_bytes()

    def write(self, content: bytes) -> None:
        """Written whole or not at all."""
        write_whole(self._path, content)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Under a lock of the file beside it."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Nothing is held open here, so nothing is closed."""


def keys_of(where: Path | KeyPlace) -> KeyPlace:
    """The place that is meant: a folder stands for a file in it."""
    return FolderKeys(where) if isinstance(where, Path) else where
