"""The bodies of a message that is to be logged, as the log will keep them: in a row, in a file of its own, in part, or not.

`plan_bodies` decides and touches no disk; `make_files` carries out what needs one, in the thread that writes.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import msgspec

from gateway.messagelog.sealing import KEY_BYTES, StreamSealer
from gateway.messagelog.spool import read_sealed, write_sealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from gateway.messagelog.bodyrules import BodyRules
    from gateway.messagelog.record import LogEntry
    from gateway.messagelog.spool import Spool


class KeptBody(msgspec.Struct, frozen=True):
    """A body and what of it is kept; ``kept_bytes`` is None when all of it is.

    ``content`` is what goes into a row; else ``file_name`` is the file to make out of ``spool``, sealed by ``file_key``.
    """

    number: int
    size_bytes: int
    digest: bytes
    content: bytes | None
    file_name: str | None
    file_key: bytes
    kept_bytes: int | None
    spool: Spool


def plan_bodies(entry: LogEntry, rules: BodyRules) -> list[KeptBody]:
    """How an entry's bodies will be kept. Raises `Fault` for one that may neither be kept nor cut."""
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


def _first(chunks: Iterable[bytes], size_bytes: int) -> Iterator[bytes]:
    left = size_bytes
    for chunk in chunks:
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return
