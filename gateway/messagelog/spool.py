"""A spool: where a body rests on its way through. Small ones in memory, large ones in a file, digested as they come.

A spool knows its SHA-512 and size once finished. The message log may take its file over by a rename, so a gibibyte is
written once. Files left by a crash are removed at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import secrets
import threading
from typing import TYPE_CHECKING, BinaryIO

from schemas.faults import Kind, LogFailed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

MEMORY_LIMIT = 64 * 1024
CHUNK = 256 * 1024
_SUFFIX = ".spool"


class Spool:
    """One body. Write it, `finish` it, read it any number of times, `discard` it."""

    def __init__(self, folder: Path, memory_limit: int = MEMORY_LIMIT) -> None:
        self._folder = folder
        self._limit = memory_limit
        self._digest = hashlib.sha512()
        self._memory: bytearray | None = bytearray()
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        # A caller may go away while a thread still writes for it: nothing may be opened after a discard.
        self._writing = threading.Lock()
        self._discarded = False
        self.size = 0

    @property
    def digest(self) -> bytes:
        """SHA-512 of everything written so far."""
        return self._digest.digest()

    @property
    def content(self) -> bytes | None:
        """The whole body when it is in memory; None when it is in a file."""
        return None if self._memory is None else bytes(self._memory)

    @property
    def path(self) -> Path | None:
        """The file when the body is in one."""
        return self._path

    async def write(self, data: bytes) -> None:
        """Append to the body. Raises `LogFailed` when the disk takes no more."""
        self.size += len(data)
        if self._memory is not None and self.size <= self._limit:
            self._digest.update(data)
            self._memory += data
            return
        await asyncio.get_running_loop().run_in_executor(None, self._write_file, data)

    def _write_file(self, data: bytes) -> None:
        try:
            with self._writing:
                if self._discarded:
                    return
                self._digest.update(data)
                if self._file is None:
                    self._path = self._folder / f"{secrets.token_hex(16)}{_SUFFIX}"
                    self._file = self._path.open("wb", buffering=CHUNK)
                    os.fchmod(self._file.fileno(), 0o600)
                    self._file.write(self._memory or b"")
                    self._memory = None
                self._file.write(data)
        except OSError as err:
            raise LogFailed(Kind.LOGGING_FAILED, f"a message body cannot be spooled: {err.strerror}") from err

    async def finish(self) -> None:
        """Say that the body is complete; a file is on the disk after this."""
        if self._file is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._sync)

    def _sync(self) -> None:
        try:
            with self._writing:
                if self._file is None:
                    return
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
                self._file = None
        except OSError as err:
            raise LogFailed(Kind.LOGGING_FAILED, f"a message body cannot be spooled: {err.strerror}") from err

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body, from its beginning."""
        if self._memory is not None:
            if self._memory:
                yield bytes(self._memory)
            return
        if self._path is None:
            return
        loop = asyncio.get_running_loop()
        with self._path.open("rb", buffering=0) as file:
            while chunk := await loop.run_in_executor(None, file.read, CHUNK):
                yield chunk

    def link(self, target: Path) -> None:
        """Give the file a second, lasting name; its bytes are shared, not copied."""
        if self._path is None:
            raise ValueError("only a body in a file can be linked")
        os.link(self._path, target)

    def discard(self) -> None:
        """Let go of the body."""
        with self._writing:
            self._discarded = True
            if self._file is not None:
                with contextlib.suppress(OSError):  # what could not be written is not wanted any more
                    self._file.close()
                self._file = None
            if self._path is not None:
                self._path.unlink(missing_ok=True)
                self._path = None
            self._memory = bytearray()


class SpoolFolder:
    """Makes spools in one folder, which must be on the message log's file system."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.glob(f"*{_SUFFIX}"):
            left.unlink()

    def new(self, memory_limit: int = MEMORY_LIMIT) -> Spool:
        """An empty spool that goes to a file beyond ``memory_limit`` bytes."""
        return Spool(self._folder, memory_limit)


def read_chunks(path: Path) -> Iterator[bytes]:
    """A file, a chunk at a time."""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
