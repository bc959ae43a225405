"""A spool: where a body rests on its way through. In memory while it is small, or while there is room; then in a file.

Up to `MEMORY_LIMIT` a body is in memory in any case; up to `LARGEST_IN_MEMORY` as long as all spools of a folder together stay
within a budget, so that many large bodies at a time go to files as one very large body does. It is digested as it comes.

A spool knows its SHA-512 and size once finished. Its file is sealed by a key of its own that is only in memory
(`gateway.messagelog.sealing`), so a crash leaves nothing readable; the message log may take the file over by a link, and the
key with it, so a gibibyte is written once. Files left by a crash are removed at the next start.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
import secrets
import tempfile
import threading
from typing import TYPE_CHECKING, BinaryIO, Protocol

from gateway.http.whole import WholeBody
from gateway.messagelog.sealing import KEY_BYTES, StreamSealer, open_stream
from schemas.faults import Fault, Kind
from serving.process.memory import MemoryReturn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator
    from pathlib import Path

    from typing_extensions import Buffer

MEMORY_LIMIT = 64 * 1024
# Above this a row of the log costs more than a file of its own: measured, docs/performance.md.
LARGEST_IN_MEMORY = 256 * 1024
BUDGET_BYTES = 32 * 1024 * 1024
_SUFFIX = ".spool"


class MemoryBudget:
    """The bytes that bodies above `MEMORY_LIMIT` may still take in memory together. Asked from the event loop only."""

    __slots__ = ("left",)

    def __init__(self, total_bytes: int) -> None:
        self.left = total_bytes

    def take(self, size_bytes: int) -> bool:
        """Take so many bytes; False, and nothing is taken, when they are not there."""
        if size_bytes > self.left:
            return False
        self.left -= size_bytes
        return True

    def give_back(self, size_bytes: int) -> None:
        """So many bytes are free again."""
        self.left += size_bytes


class NewSpool(Protocol):
    """The port that makes empty spools."""

    def __call__(self, memory_limit: int = ...) -> Spool:
        """A spool that goes to a file beyond ``memory_limit`` bytes."""
        ...


class Spool:
    """One body. Write it, `finish` it, read it any number of times, `discard` it."""

    def __init__(
        self,
        folder: Path,
        memory_limit: int = MEMORY_LIMIT,
        budget: MemoryBudget | None = None,
        memory: MemoryReturn | None = None,
    ) -> None:
        self._folder = folder
        self._limit = memory_limit
        self._budget = budget
        self._returned = memory
        self._taken = 0  # of the budget
        self._digest = hashlib.sha512()
        self._memory: bytes | bytearray | None = bytearray()
        self._file: BinaryIO | None = None
        self._path: Path | None = None
        self._key = b""
        self._sealer: StreamSealer | None = None
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

    @property
    def key(self) -> bytes:
        """The key that seals the spool's file."""
        return self._key

    def take(self, data: bytes) -> bool:
        """Be a whole body at once, if it fits in memory; False, and nothing is taken, when it must be written."""
        if len(data) > self._limit and not (
            self._budget is not None and len(data) <= LARGEST_IN_MEMORY and self._budget.take(len(data))
        ):
            return False
        self._taken = len(data) if len(data) > self._limit else 0
        self.size = len(data)
        self._digest.update(data)
        self._memory = data
        return True

    async def write(self, data: bytes) -> None:
        """Append to the body. Raises `Fault` when the disk takes no more."""
        self.size += len(data)
        if self._memory is not None and (self.size <= self._limit or self._has_room()):
            self._digest.update(data)
            self._memory += data
            return
        await asyncio.get_running_loop().run_in_executor(None, self._write_file, data)
        self._give_back()

    def _has_room(self) -> bool:
        """Whether the body may grow to its size in memory, beyond what each body may."""
        if (
            self._budget is None
            or self.size > LARGEST_IN_MEMORY
            or not self._budget.take(self.size - self._taken)
        ):
            return False
        self._taken = self.size
        return True

    def _give_back(self) -> None:
        if self._budget is not None and self._taken:
            self._budget.give_back(self._taken)
            self._taken = 0

    def _write_file(self, data: bytes) -> None:
        try:
            with self._writing:
                if self._discarded:
                    return
                self._digest.update(data)
                if self._file is None or self._sealer is None:
                    self._path = self._folder / f"{secrets.token_hex(16)}{_SUFFIX}"
                    self._file = self._path.open("wb", buffering=0)
                    os.fchmod(self._file.fileno(), 0o600)
                    self._key = secrets.token_bytes(KEY_BYTES)
                    self._sealer = StreamSealer(self._key)
                    data = bytes(self._memory or b"") + data
                    self._memory = None
                for sealed in self._sealer.feed(bytes(data)):
                    _write_all(self._file, sealed)
        except OSError as err:
            raise Fault(Kind.LOGGING_FAILED, f"a message body cannot be spooled: {err.strerror}") from err

    async def finish(self) -> None:
        """Say that the body is complete; a file is on the disk after this."""
        if self._file is not None:
            await asyncio.get_running_loop().run_in_executor(None, self._sync)

    def _sync(self) -> None:
        try:
            with self._writing:
                if self._file is None or self._sealer is None:
                    return
                _write_all(self._file, self._sealer.finish())
                os.fsync(self._file.fileno())
                # On disk now: the whole body, sealed by a key in memory alone. A crash here leaves a file nobody can open, which
                # the next start removes (`SpoolFolder`).
                self._file.close()
                self._file = None
        except OSError as err:
            raise Fault(Kind.LOGGING_FAILED, f"a message body cannot be spooled: {err.strerror}") from err

    def chunks(self) -> AsyncIterator[bytes]:
        """The body, from its beginning. It is finished."""
        return self._of_file() if self._memory is None else WholeBody(bytes(self._memory))

    async def _of_file(self) -> AsyncIterator[bytes]:
        if self._path is None:
            return
        loop = asyncio.get_running_loop()
        with self._path.open("rb", buffering=0) as file:
            opened = open_stream(file, self._key)
            while chunk := await loop.run_in_executor(None, next, opened, b""):
                yield chunk

    def link(self, target: Path) -> None:
        """Give the file a second, lasting name; its bytes are shared, not copied. Raises ValueError."""
        if self._path is None:
            raise ValueError("only a body in a file can be linked")
        # Two names for one file from here on; the second counts once its folder is synced and a record names it
        # (`gateway.messagelog.writing`). A crash before that leaves a file that the log removes at its next start.
        os.link(self._path, target)

    def discard(self) -> None:
        """Give the body's memory back and delete its file; a crash before leaves a file that the next start removes."""
        self._give_back()
        with self._writing:
            self._discarded = True
            if self._file is not None:
                with contextlib.suppress(OSError):  # what could not be written is not wanted any more
                    self._file.close()
                self._file = None
            if self._path is not None:
                self._path.unlink(missing_ok=True)
                self._path = None
                if self._returned is not None:  # what its chunks went through is free now
                    self._returned.later()
            self._memory = bytearray()


class SpoolFolder:
    """Makes spools in one folder, which must be on the message log's file system."""

    def __init__(self, folder: Path, budget_bytes: int = BUDGET_BYTES) -> None:
        self._folder = folder
        self._budget = MemoryBudget(budget_bytes)
        self._memory = MemoryReturn()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in folder.glob(f"*{_SUFFIX}"):
            left.unlink()  # of a process that ended: its key is gone with it

    def new(self, memory_limit: int = MEMORY_LIMIT) -> Spool:
        """An empty spool. With the usual limit it may stay in memory beyond that as long as there is room; else it goes to a file."""
        budget = self._budget if memory_limit == MEMORY_LIMIT else None
        return Spool(self._folder, memory_limit, budget, self._memory)


def read_sealed(path: Path, key: bytes) -> Iterator[bytes]:
    """A spool's file, a clear chunk at a time. Raises `Fault`."""
    with path.open("rb") as file:
        yield from open_stream(file, key)


def write_sealed(path: Path, chunks: Iterable[bytes], key: bytes) -> None:
    """Put a body at a path, sealed by a key that seals nothing else, and on the disk."""
    sealer = StreamSealer(key)
    with path.open("wb", buffering=0) as file:
        os.fchmod(file.fileno(), 0o600)
        for chunk in chunks:
            for sealed in sealer.feed(chunk):
                _write_all(file, sealed)
        _write_all(file, sealer.finish())
        os.fsync(file.fileno())


class SealedTemporary(io.RawIOBase):
    """A nameless file to be written once and then drawn once, sealed by a key that is only in memory."""

    def __init__(self) -> None:
        self._file: BinaryIO = tempfile.TemporaryFile(buffering=0)  # closed when drawn
        self._key = secrets.token_bytes(KEY_BYTES)
        self._sealer = StreamSealer(self._key)

    def writable(self) -> bool:
        """Whether bytes can be written: always."""
        return True

    def write(self, data: Buffer, /) -> int:
        """Append; how many bytes were taken: all."""
        raw = bytes(data)
        for sealed in self._sealer.feed(raw):
            _write_all(self._file, sealed)
        return len(raw)

    def draw(self) -> Iterator[bytes]:
        """The bytes that were written, from the beginning; the file is gone after."""
        with self._file:
            _write_all(self._file, self._sealer.finish())
            self._file.seek(0)
            yield from open_stream(self._file, self._key)


def _write_all(file: BinaryIO, data: bytes) -> None:
    """Unbuffered files may take less than they are given."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
