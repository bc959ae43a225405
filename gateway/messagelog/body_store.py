"""The bodies of a message that is to be logged, as the log will keep them: in a row, in a file of its own, in part, or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.messagelog.spool import read_sealed, write_sealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from gateway.messagelog.bodyrules import BodyRules
    from gateway.messagelog.record import LogEntry
    from gateway.messagelog.spool import Spool


@dataclass(frozen=True, slots=True)
class KeptBody:
    """A body and what of it is kept; ``kept_bytes`` is None when all of it is."""

    number: int
    size_bytes: int
    digest: bytes
    content: bytes | None
    file_name: str | None
    file_key: bytes
    kept_bytes: int | None


def keep_bodies(entry: LogEntry, folder: Path, rules: BodyRules, made: list[Path]) -> list[KeptBody]:
    """An entry's bodies; files for them are in ``folder``, and named in ``made``, when this returns."""
    return [
        _keep(entry, number, spool, folder, rules, made) for number, spool in enumerate(entry.attachments, 1)
    ]


def _keep(
    entry: LogEntry, number: int, spool: Spool, folder: Path, rules: BodyRules, made: list[Path]
) -> KeptBody:
    kept = rules.kept_bytes(entry, spool.size)
    part = None if kept == spool.size else kept
    if kept == 0 and spool.size:
        return KeptBody(number, spool.size, spool.digest, None, None, b"", 0)
    if spool.path is None:
        return KeptBody(number, spool.size, spool.digest, (spool.content or b"")[:kept], None, b"", part)
    target = folder / f"{spool.path.stem}-{'r' if entry.message.is_response else 'q'}"
    made.append(target)
    key = spool.key
    if part is None:
        spool.link(target)
    else:
        key = write_sealed(target, _first(read_sealed(spool.path, spool.key), part))
    return KeptBody(number, spool.size, spool.digest, None, target.name, key, part)


def _first(chunks: Iterable[bytes], size_bytes: int) -> Iterator[bytes]:
    left = size_bytes
    for chunk in chunks:
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return
