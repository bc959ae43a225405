"""What becomes of old records: archived in files that follow one another, and removed once they are long archived.

A record is archived once it is timestamped. Each archive is complete on the disk under a temporary name before the log
says that its records are archived, and gets its lasting name after: a crash leaves a temporary file, which the next round
renames if the log knows it and deletes if not. A record is removed only when it and all before it are archived and older
than they are to be kept; the log's chain then begins after it. A log that nodes share loses a partition at a time
(`gateway.messagelog.partitions`), any other one row by row.

It works beside `MessageLog`, on a connection of its own. Spec: UG-SS 12; X-Road 7.8's LogArchiver and LogCleaner.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from certs.edges.tokenfiles import sync_folder
from gateway.messagelog.archive import FIRST, ArchiveLink, Grouping
from gateway.messagelog.archiving import TEMPORARY, ArchiveTask, DueGroup, temporary_name, write_archives
from gateway.messagelog.marks import UnmarkedRecords
from gateway.messagelog.partitions import (
    begin_partition,
    drop_partition,
    first_partitioned,
    note_removed,
    period_ms,
    remove_marks,
)
from gateway.messagelog.rows import to_milliseconds
from gateway.messagelog.sealedarchive import SUFFIX
from gateway.messagelog.transfer import TransferSettings, transfer_archives
from schemas.faults import Fault, Kind
from schemas.identifiers import ClientId
from serving.process.loops import Loop
from serving.process.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from gateway.messagelog.archiving import ArchiveOutcome, WrittenArchive
    from gateway.messagelog.objectbodies import ObjectBodies
    from gateway.messagelog.store import MessageLog
    from serving.storage.database import AnyDatabase

log = logging.getLogger("gateway.archiver")

LARGEST_ROUND = 10_000
# To begin a process takes as long as to archive some thousand records; this process's other threads wait for its interpreter meanwhile.
FEW = 200
REMOVED_TOGETHER = 500
# How often to look whether the log's keys are open by now.
_WAIT_S = 1.0


class RetentionSettings(msgspec.Struct, frozen=True):
    """Seconds, bytes and days; ``interval_s`` 0 neither archives nor removes, ``destroy_keys_days`` 0 destroys no key."""

    interval_s: float = 21_600.0
    grouping: Grouping = Grouping.NONE
    file_bytes: int = 32 * 1024 * 1024
    keep_days: int = 30
    seal: bool = True
    destroy_keys_days: int = 0
    transfer: TransferSettings = msgspec.field(default_factory=TransferSettings)


class Retention:
    """Archives and cleans one message log, whose folder has an ``archive`` folder for it."""

    def __init__(
        self,
        message_log: MessageLog,
        folder: Path,
        now: Callable[[], datetime],
        settings: RetentionSettings | None = None,
        write_apart: Callable[[Path, ArchiveTask], Awaitable[ArchiveOutcome]] | None = None,
    ) -> None:
        """``write_apart`` writes archives in another process; a few records are archived in a thread of this one."""
        self._log = message_log
        self._write_apart = write_apart
        self._now = now
        self._settings = settings or RetentionSettings()
        self._pace = Pace()
        self.folder = folder / "archive"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self._waits_for_keys = False
        self.loop = Loop(
            "archiver",
            self.round,
            self._interval,
            pace=self._pace,
            event="archive_failed",
            failure_text="the message log could not be archived",
        )

    def reconfigure(self, settings: RetentionSettings) -> None:
        """Go on with another interval, grouping or age."""
        self._settings = settings
        self._pace.changed()

    def _interval(self) -> float | None:
        if not self._settings.interval_s:
            return None
        return _WAIT_S if self._waits_for_keys else self._settings.interval_s

    async def round(self) -> None:
        """Archive and remove what is due; nothing while the settings say so or the log's keys are closed."""
        self._waits_for_keys = not self._log.is_begun
        if not self._settings.interval_s or self._waits_for_keys:
            return
        await self.archive()
        # Before records are removed: an archive that could not be handed on keeps what is in it in the log.
        await transfer_archives(self.folder, self._settings.transfer, self._group_of)
        await self.remove_old()
        await self.begin_partition()
        await self.destroy_old_keys()
        await self.remove_unnamed()

    async def look_after_own(self) -> None:
        """Give the archives in this folder their names where a crash came before, and hand them on, while another node archives."""
        if self._settings.interval_s:
            await asyncio.to_thread(self._finish_own)
            await transfer_archives(self.folder, self._settings.transfer, self._group_of)

    def _finish_own(self) -> None:
        with contextlib.closing(self._log.place.open()) as database:
            self._finish_interrupted(database)

    # Archiving

    async def archive(self) -> list[Path]:
        """Archive every timestamped record that is not archived yet; the new files. Raises `Fault`."""
        try:
            return await self._archive()
        except OSError as err:
            raise Fault(Kind.LOGGING_FAILED, f"the folder of archives cannot be used: {err}") from err

    async def _archive(self) -> list[Path]:
        made: list[Path] = []
        with contextlib.closing(await asyncio.to_thread(self._log.place.open)) as database:
            await asyncio.to_thread(self._finish_interrupted, database)
            unarchived = UnmarkedRecords(database.query, self._now, "archived")
            while task := await asyncio.to_thread(self._due, database, unarchived):
                outcome = await self._write(task)
                for written in outcome.written:
                    made.append(await asyncio.to_thread(self._take, database, written))
                if outcome.failure:
                    raise Fault(Kind.LOGGING_FAILED, outcome.failure)
        return made

    async def _write(self, task: ArchiveTask) -> ArchiveOutcome:
        if self._write_apart is not None and task.records >= FEW:
            return await self._write_apart(self.folder, task)
        return await asyncio.to_thread(write_archives, self._log.reader, self.folder, task, self._now)

    def _finish_interrupted(self, database: AnyDatabase) -> None:
        # What a crash left on disk: a file that the log does not know was written before its rows, and its records are archived
        # again; one that it knows lacks its name alone.
        for path in self.folder.glob(f".*{TEMPORARY}"):
            name = path.name[1:].removesuffix(TEMPORARY)
            known = database.query("SELECT 1 FROM archive WHERE file_name = ?", (name.removesuffix(SUFFIX),))
            if not known:
                path.unlink()
            else:
                path.replace(self.folder / name)
        sync_folder(self.folder)

    def _due(self, database: AnyDatabase, unarchived: UnmarkedRecords) -> ArchiveTask | None:
        first = unarchived.first()
        with database.transaction() as transaction:
            unarchived.keep(transaction)
        if first is None:
            return None
        rows = database.query(
            "SELECT record.id, record.owner FROM record JOIN stamped ON stamped.record_id = record.id AND stamped.record_id >= ? "
            "LEFT JOIN archived ON archived.record_id = record.id AND archived.record_id >= ? "
            "WHERE record.id >= ? AND archived.record_id IS NULL ORDER BY record.id LIMIT ?",
            (first, first, first, LARGEST_ROUND),
        )
        grouped: dict[str, list[int]] = {}
        for number, owner in rows:
            grouped.setdefault(self._settings.grouping.name_for(ClientId(*owner.split("/"))), []).append(
                number
            )
        groups = [
            DueGroup(name, _last_archive(database, name), tuple(ids)) for name, ids in sorted(grouped.items())
        ]
        settings = self._settings
        return ArchiveTask(tuple(groups), settings.seal, settings.file_bytes) if groups else None

    def _take(self, database: AnyDatabase, written: WrittenArchive) -> Path:
        """Say in the log what is archived, and give the archive its lasting name."""
        target = self.folder / written.name
        # On disk after this: the archive's rows, and of its file the content without the name.
        with database.transaction() as transaction:
            (number,) = transaction.execute(
                "INSERT INTO archive (group_name, digest, file_name, at_ms) VALUES (?, ?, ?, ?) RETURNING id",
                (
                    written.group,
                    written.link.digest,
                    written.link.file_name,
                    int(self._now().timestamp() * 1000),
                ),
            ).fetchone()
            transaction.executemany(
                "INSERT INTO archived (record_id, archive_id) VALUES (?, ?)",
                [(record_id, number) for record_id in written.record_ids],
            )
        # A crash here: the next round gives it its name.
        (self.folder / temporary_name(written.name)).replace(target)
        sync_folder(self.folder)
        log.info(
            "archive made",
            extra={"event": "archived", "file": target.name, "records": len(written.record_ids)},
        )
        return target

    def _group_of(self, file_name: str) -> str:
        """The group of an archive by its file's name; empty where there is one for all, or nobody knows."""
        with contextlib.closing(self._log.place.open()) as database:
            found = database.query(
                "SELECT group_name FROM archive WHERE file_name = ?", (file_name.removesuffix(SUFFIX),)
            )
        return str(found[0][0]) if found else ""

    # Removing

    async def remove_old(self) -> int:
        """Remove the oldest records that are archived and have been kept long enough; how many they were."""
        return await asyncio.to_thread(self._remove_old)

    def _remove_old(self) -> int:
        before_ms = to_milliseconds(self._now() - timedelta(days=self._settings.keep_days))
        database = self._log.place.open()
        count = 0
        try:
            while removed := self._remove_some(database, before_ms):
                count += removed
            if self._log.place.is_shared:
                count += self._drop_partitions(database, before_ms)
            if count:  # records go oldest first, and timestamps are numbered in their order
                database.query(
                    "DELETE FROM stamp WHERE id < coalesce((SELECT min(stamp_id) FROM stamped), (SELECT max(id) + 1 FROM stamp))"
                )
        finally:
            database.close()
        if count:
            log.info("old records removed", extra={"event": "removed", "records": count})
        return count

    def _drop_partitions(self, database: AnyDatabase, before_ms: int) -> int:
        count = 0
        while (dropped := drop_partition(database, before_ms)) is not None:
            self._log.bodies.remove(dropped.body_names)
            count += dropped.records
        remove_marks(database)
        return count

    async def remove_unnamed(self) -> int:
        """Remove the objects that a crash left in the object store of large bodies; how many they were. Raises `Fault`."""
        objects = self._log.place.objects
        return 0 if objects is None else await asyncio.to_thread(self._remove_unnamed, objects)

    def _remove_unnamed(self, objects: ObjectBodies) -> int:
        try:
            with contextlib.closing(self._log.place.open()) as database:
                return objects.remove_unnamed(database)
        except OSError as err:
            raise Fault(
                Kind.LOGGING_FAILED, f"what a crash left of bodies cannot be looked for: {err}"
            ) from err

    async def begin_partition(self) -> bool:
        """Let what is written from now on go into another partition of a shared log, if it is time for one; whether one was begun."""
        return self._log.place.is_shared and await asyncio.to_thread(self._begin_partition)

    def _begin_partition(self) -> bool:
        with contextlib.closing(self._log.place.open()) as database:
            period = period_ms(self._settings.keep_days)
            return begin_partition(database, to_milliseconds(self._now()), period)

    def _remove_some(self, database: AnyDatabase, before_ms: int) -> int:
        end = first_partitioned(database) if self._log.place.is_shared else None
        where, bounds = ("", ()) if end is None else ("WHERE record.id < ? ", (end,))
        rows = database.query(
            "SELECT record.id, record.chain, record.at_ms < ? AND archived.record_id IS NOT NULL, record.at_ms FROM record "
            f"LEFT JOIN archived ON archived.record_id = record.id {where}ORDER BY record.id LIMIT ?",
            (before_ms, *bounds, REMOVED_TOGETHER),
        )
        old = list(itertools.takewhile(lambda row: row[2], rows))
        if not old:
            return 0
        last, chain, _, at_ms = old[-1]
        files = database.query(
            "SELECT file_name FROM attachment WHERE record_id <= ? AND file_name IS NOT NULL", (last,)
        )
        with database.transaction() as transaction:
            for table in ("attachment", "archived", "stamped"):
                transaction.execute(f"DELETE FROM {table} WHERE record_id <= ?", (last,))
            transaction.execute("DELETE FROM record WHERE id <= ?", (last,))
            note_removed(transaction, last, chain, at_ms)
        # Committed; a crash from here on leaves bodies that nobody names, removed at the next start.
        self._log.bodies.remove([str(name) for (name,) in files])
        return len(old)

    # The end of archives

    async def destroy_old_keys(self) -> int:
        """Destroy the keys of removed records that are past the end of retention; the last one's number, 0 for none.

        Their sealed containers, in every copy of every archive, can be opened no more; what they prove stays. Raises `Fault`.
        """
        return await asyncio.to_thread(self._destroy_old_keys)

    def _destroy_old_keys(self) -> int:
        days = self._settings.destroy_keys_days
        if not days:
            return 0
        now = self._now()
        before_ms = to_milliseconds(now - timedelta(days=days))
        database = self._log.place.open()
        try:
            ((last,),) = database.query(
                "SELECT coalesce(max(id), 0) FROM emptied WHERE at_ms < ? AND is_destroyed = 0", (before_ms,)
            )
            if last:
                # A crash after this: the next round does it again, to no effect.
                self._log.keys.destroy([(0, last)])
                with database.transaction() as transaction:
                    transaction.execute("UPDATE emptied SET is_destroyed = 1 WHERE id <= ?", (last,))
                    transaction.execute(
                        "INSERT INTO erasure (reference, authority, ordered_by, at_ms, is_done) VALUES (?, ?, ?, ?, 1)",
                        (
                            f"records to {last}",
                            f"log.destroy_keys_days {days}",
                            "retention",
                            to_milliseconds(now),
                        ),
                    )
                log.info("keys destroyed", extra={"event": "keys_destroyed", "last_record": last})
        finally:
            database.close()
        return int(last)


def _last_archive(database: AnyDatabase, group: str) -> ArchiveLink:
    found = database.query(
        "SELECT digest, file_name FROM archive WHERE group_name = ? ORDER BY id DESC LIMIT 1", (group,)
    )
    return ArchiveLink(*found[0]) if found else FIRST
