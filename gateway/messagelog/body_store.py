"""The bodies of a message that is to be logged, as the log will keep them: in a row, in a file of its own, in part, or not.

`plan_bodies` decides and touches no disk; `make_files` carries out what needs one, in the thread that writes. What goes to an object
store is there before that (`gateway.messagelog.objectbodies`), and its name begins with `FAR`.
"""

from __future__ import annotations

import io
import secrets
import time
from typing import TYPE_CHECKING, Protocol

import msgspec

from gateway.messagelog.marks import last_before, settle, settled
from gateway.messagelog.sealing import KEY_BYTES, StreamSealer
from gateway.messagelog.spool import read_sealed, write_sealed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from typing_extensions import Buffer

    from gateway.messagelog.bodyrules import BodyRules
    from gateway.messagelog.record import LogEntry
    from gateway.messagelog.spool import Spool
    from serving.storage.database import AnyDatabase

FAR = "objects/"
_LOOKED = "bodies"
# A body that no record names by then was left by a crash. Whoever writes the record has half of that, so that a process which
# stood still in between never names what another one has removed.
UNNAMED_S = 3600
# Bodies of so long before the last look are looked at again: clocks differ.
_LOOKED_AGAIN_MS = 86_400_000


class Bodies(Protocol):
    """The bodies of a log that are in no row of its tables, each by its name and sealed by a key of its own."""

    def chunks(self, name: str, key: bytes) -> Iterable[bytes]:
        """A body, a clear chunk at a time. Raises `Fault`, OSError."""
        ...

    def remove(self, names: Iterable[str]) -> None:
        """Delete bodies by their names; one that is not there is no error."""
        ...

    def remove_unnamed(self, database: AnyDatabase) -> None:
        """Delete the bodies that no record of ``database`` names: a crash between a body and its record left them."""
        ...

    def close(self) -> None:
        """Close connections; a later call opens them again."""
        ...


class KeptBody(msgspec.Struct, frozen=True):
    """A body and what of it is kept; ``kept_bytes`` is None when all of it is.

    ``content`` is what goes into a row; else ``file_name`` is the file to make out of ``spool``, sealed by ``file_key``, or the
    objects that were made of it, begun at ``begun_s`` of the monotonic clock.
    """

    number: int
    size_bytes: int
    digest: bytes
    content: bytes | None
    file_name: str | None
    file_key: bytes
    kept_bytes: int | None
    spool: Spool
    begun_s: float = 0.0

    @property
    def is_near(self) -> bool:
        """Whether it goes into a file, or into pieces, of the log itself."""
        return self.file_name is not None and not self.file_name.startswith(FAR)


def plan_bodies(entry: LogEntry, rules: BodyRules) -> list[KeptBody]:
    """A plan for each body of an entry: row, file or store, whole or cut. Raises `Fault` for one that may neither be kept nor cut."""
    return [_plan(entry, number, spool, rules) for number, spool in enumerate(entry.attachments, 1)]


def _plan(entry: LogEntry, number: int, spool: Spool, rules: BodyRules) -> KeptBody:
    kept = rules.kept_bytes(entry, spool.size)
    part = None if kept == spool.size else kept
    if kept == 0 and spool.size:
        return KeptBody(number, spool.size, spool.digest, None, None, b"", 0, spool)
    if spool.path is None:
        content = spool.content or b""
        return KeptBody(
            number,
            spool.size,
            spool.digest,
            content if part is None else content[:kept],
            None,
            b"",
            part,
            spool,
        )
    name = f"{spool.path.stem}-{'r' if entry.message.is_response else 'q'}"
    # What is kept whole shares the spool's file and its key; a part is written anew under a key of its own.
    key = spool.key if part is None else secrets.token_bytes(KEY_BYTES)
    return KeptBody(number, spool.size, spool.digest, None, name, key, part, spool)


def make_files(bodies: Sequence[KeptBody], folder: Path, made: list[Path]) -> None:
    """The files of bodies in ``folder``; each is named in ``made`` before it can be there. Raises OSError, ValueError, `Fault`."""
    for body in bodies:
        if body.file_name is None:
            continue
        target = folder / body.file_name
        made.append(target)
        if body.kept_bytes is None:
            body.spool.link(target)
        elif body.spool.path is None:
            raise ValueError("the spool of a body is gone before the body was logged")
        else:
            chunks = read_sealed(body.spool.path, body.spool.key)
            write_sealed(target, _first(chunks, body.kept_bytes), body.file_key)


def sealed_pieces(body: KeptBody, size_bytes: int) -> Iterator[bytes]:
    """The content of a body's file, in pieces of at most so many bytes. Raises OSError, ValueError, `Fault`."""
    if body.spool.path is None:
        raise ValueError("the spool of a body is gone before the body was logged")
    if body.kept_bytes is None:
        with body.spool.path.open("rb") as file:
            while piece := file.read(size_bytes):
                yield piece
        return
    sealer, piece = StreamSealer(body.file_key), b""
    for chunk in _first(read_sealed(body.spool.path, body.spool.key), body.kept_bytes):
        for sealed in sealer.feed(chunk):
            piece += sealed
            while len(piece) >= size_bytes:
                yield piece[:size_bytes]
                piece = piece[size_bytes:]
    piece += sealer.finish()
    for start in range(0, len(piece), size_bytes):
        yield piece[start : start + size_bytes]


def looked_from(database: AnyDatabase) -> int:
    """The milliseconds from when on bodies are to be looked at whether a record names them; 0: all of them."""
    return max(0, settled(database.query, _LOOKED) - _LOOKED_AGAIN_MS)


def note_looked(database: AnyDatabase, until_ms: int) -> None:
    """Keep with the log that of the bodies from before then none is unnamed."""
    with database.transaction() as transaction:
        settle(transaction, _LOOKED, until_ms)


def unnamed_among(
    database: AnyDatabase, names: Sequence[str], since_ms: int, name_of: Callable[[str], str] = str
) -> list[str]:
    """Those bodies, none older than ``since_ms``, that no record names; ``name_of`` gives the name of one by what a record says.

    The records since then are looked at, and only if that leaves some unnamed, for bodies may be copies of older ones, all records.
    """
    left, question = (
        list(names),
        "SELECT file_name FROM attachment WHERE record_id > ? AND file_name IS NOT NULL",
    )
    if not left:
        return left
    ((newest,),) = database.query("SELECT coalesce(max(id), 0) FROM record")
    lately = last_before(database.query, since_ms - _LOOKED_AGAIN_MS, 0, int(newest))
    for after in sorted({0, lately}, reverse=True):
        if left:
            named = {name_of(str(name)) for (name,) in database.query(question, (after,))}
            left = [name for name in left if name not in named]
    return left


def check_recent(begun_s: Iterable[float]) -> None:
    """Refuse to name bodies that were begun so long ago that they may be removed before they are named. Raises OSError."""
    oldest = min(begun_s, default=None)
    if oldest is not None and time.monotonic() - oldest > UNNAMED_S / 2:
        raise OSError(
            f"{time.monotonic() - oldest:.0f} s went by between the body of a message and its record; expected at most {UNNAMED_S // 2}"
        )


class PieceReader(io.RawIOBase):
    """A stream out of the pieces of a body's file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def readable(self) -> bool:
        """Whether it can be read: always."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Take what comes next; how many bytes, 0 at the end."""
        view = memoryview(buffer)
        if not self._left:
            self._left = next(self._pieces, b"")
        taken = self._left[: len(view)]
        view[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        return len(taken)


def _first(chunks: Iterable[bytes], size_bytes: int) -> Iterator[bytes]:
    left = size_bytes
    for chunk in chunks:
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return
