"""Writing archives of records that are due: `write_archives`, in whatever process it is called.

It reads the log and writes files in the archives' folder, and no row: its caller says in the log what is archived
(`gateway.messagelog.retention`), and gives each file its lasting name.
"""

from __future__ import annotations

import os
from datetime import timedelta
from functools import lru_cache, partial
from typing import IO, TYPE_CHECKING

import msgspec

from certs.edges.tokenfiles import sync_folder
from gateway.messagelog.archive import ArchiveLink, ArchiveWriter
from gateway.messagelog.export import container_name, write_record
from gateway.messagelog.sealedarchive import SUFFIX, SealedArchiveWriter
from schemas.asic.container import container_entry
from schemas.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from gateway.messagelog.reading import LogReader
    from gateway.messagelog.record import LogRecord

TEMPORARY = ".tmp"
# An archive that takes longer ends where it is: what a node that is killed has begun is begun anew by another one, and however often
# one is killed, and however slow the machine, a log with much to be archived gets on.
LONGEST_WRITING = timedelta(seconds=10)
# Records that are read, with their keys, in one question each: a database asked for each record is waited for five times a record.
READ_TOGETHER = 32
_KEPT_ENTRIES = 32


class DueGroup(msgspec.Struct, frozen=True):
    """Records of one chain of archives, by number, and the newest archive of that chain."""

    name: str
    previous: ArchiveLink
    record_ids: tuple[int, ...]


class ArchiveTask(msgspec.Struct, frozen=True):
    """The records that are due, whether they are sealed, and the size in bytes beyond which another archive begins."""

    groups: tuple[DueGroup, ...]
    seal: bool
    file_bytes: int

    @property
    def records(self) -> int:
        """The number of records that are due, in all groups."""
        return sum(len(group.record_ids) for group in self.groups)


class WrittenArchive(msgspec.Struct, frozen=True):
    """An archive that is on the disk under its `temporary_name`: its group, link, and the records in it."""

    group: str
    link: ArchiveLink
    name: str
    record_ids: tuple[int, ...]


class ArchiveOutcome(msgspec.Struct):
    """The archives that were written, and why there are no more of them; empty when the task is done."""

    written: list[WrittenArchive]
    failure: str = ""


def temporary_name(name: str) -> str:
    """The name of a file that the log does not know yet."""
    return f".{name}{TEMPORARY}"


def write_archives(
    reader: LogReader, folder: Path, task: ArchiveTask, now: Callable[[], datetime]
) -> ArchiveOutcome:
    """Write archives for `LONGEST_WRITING`, or all that the task takes; each that is given is whole on the disk, also when a later one failed."""
    outcome = ArchiveOutcome([])
    try:
        for written in _Writing(reader, folder, task, now).archives():
            outcome.written.append(written)
    except OSError as err:
        outcome.failure = f"an archive cannot be written: {err}"
    except Fault as fault:
        outcome.failure = fault.detail
    return outcome


class _Writing:
    """The writing of one task's archives, as far as its time goes."""

    def __init__(
        self, reader: LogReader, folder: Path, task: ArchiveTask, now: Callable[[], datetime]
    ) -> None:
        self._reader, self._folder, self._task, self._now = reader, folder, task, now
        self._ends_at = now() + LONGEST_WRITING
        # The records of a batch share one signature document, those of a round one timestamp, and each stands in two containers.
        self._make = lru_cache(maxsize=_KEPT_ENTRIES)(container_entry)

    def archives(self) -> Iterator[WrittenArchive]:
        """Each archive, once it is on the disk."""
        for group in self._task.groups:
            previous, left = group.previous, group.record_ids
            while left:
                written = self._archive(group.name, previous, left)
                yield written
                if self._now() >= self._ends_at:
                    return
                previous, left = written.link, left[len(written.record_ids) :]

    def _archive(self, group: str, previous: ArchiveLink, record_ids: tuple[int, ...]) -> WrittenArchive:
        writing = self._folder / temporary_name(f"{os.getpid()}.writing")
        is_sealed = self._task.seal
        try:
            with writing.open("wb") as file:
                os.fchmod(file.fileno(), 0o600)
                writer = SealedArchiveWriter(file, previous) if is_sealed else ArchiveWriter(file, previous)
                count = self._fill(writer, record_ids)
                link = writer.finish(group)
                file.flush()
                os.fsync(file.fileno())
            name = link.file_name + (SUFFIX if is_sealed else "")
            writing.replace(self._folder / temporary_name(name))
            # The archive is on the disk; a crash from here on leaves a file the log does not know, removed by the next round.
            sync_folder(self._folder)
        except BaseException:
            writing.unlink(missing_ok=True)
            raise
        return WrittenArchive(group, link, name, record_ids[:count])

    def _fill(self, writer: ArchiveWriter | SealedArchiveWriter, record_ids: Sequence[int]) -> int:
        """Write as many records as the archive takes, by size and time; how many they were."""
        count = 0
        for first in range(0, len(record_ids), READ_TOGETHER):
            records = self._reader.records(record_ids[first : first + READ_TOGETHER])
            keys = self._reader.keys_of(records)
            for record in records:
                self._add(writer, record, keys.get(record.id))
                count += 1
                if writer.size_bytes > self._task.file_bytes or self._now() >= self._ends_at:
                    return count
        return count

    def _add(self, writer: ArchiveWriter | SealedArchiveWriter, record: LogRecord, key: bytes | None) -> None:
        name, in_memory = container_name(record), all(a.content is not None for a in record.attachments)
        write = partial(write_record, record=record, reader=self._reader, key=key, make=self._make)
        if isinstance(writer, ArchiveWriter):
            writer.add(name, record.at, write, in_memory=in_memory)
            return

        def write_either(out: IO[bytes], bare: bool) -> None:
            write(out, digests_only=bare)

        writer.add(name, record.at, record.id, key, write_either, in_memory=in_memory)
