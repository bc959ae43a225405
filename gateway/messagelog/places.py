"""Where a message log stands: its tables, and the bodies that are too large for a row.

A `FolderPlace` is a folder with SQLite in it: one process writes. Where several nodes write one log it stands in a database that
they share (`gateway.messagelog.shared`). The rest of the package reads and changes a log through the two ports here.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gateway.messagelog.body_store import looked_from, note_looked, unnamed_among
from gateway.messagelog.migration import seal_clear_records
from gateway.messagelog.objectbodies import ObjectBodies, all_bodies, check_near
from gateway.messagelog.spool import read_sealed
from gateway.messagelog.steps import DATABASE, STEPS
from gateway.messagelog.writing import FolderWriter
from serving.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.messagelog.body_store import Bodies
    from gateway.messagelog.keys import LogKeys
    from serving.storage.database import AnyDatabase


# A record, its pages in the write-ahead log, and as much for what is written beside it.
_ROOM_BYTES = 256 * 1024


class LogPlace(Protocol):
    """A place for one log."""

    # Whether other processes write the same log at the same time.
    is_shared: bool

    # The object store of large bodies, where there is one.
    objects: ObjectBodies | None

    @property
    def bodies(self) -> Bodies:
        """The bodies that are in no row."""
        ...

    @property
    def near(self) -> Bodies:
        """The bodies that the place keeps itself, in no object store."""
        ...

    def open(self) -> AnyDatabase:
        """The tables, over a connection of its own. Raises what says why they cannot be opened."""
        ...

    def open_replica(self) -> tuple[AnyDatabase, Bodies] | None:
        """Tables and bodies for what may be some seconds old, over connections of their own; None where there is no standby."""
        ...

    def warning(self) -> str:
        """Whatever is wrong with the place and stops nothing, for a person; empty when all is well."""
        ...

    def prepare(self, keys: LogKeys) -> None:
        """Seal what an earlier version wrote in clear; the keys are open."""
        ...

    def check_writable(self) -> None:
        """Try whether messages could be written. Raises `OSError` or `sqlite3.Error` with the reason when they could not."""
        ...

    def open_writer(self) -> Any:
        """For the thread that writes: a `FolderWriter`, or a `SharedWriter` where the place is shared."""
        ...


class FolderBodies:
    """Bodies as files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def chunks(self, name: str, key: bytes) -> Iterable[bytes]:
        """A body, a clear chunk at a time."""
        check_near(name)
        return read_sealed(self.folder / name, key)

    def remove(self, names: Iterable[str]) -> None:
        """Remove the files of bodies; those that are gone already are passed over."""
        # No record names them any more. A crash here leaves files that `remove_unnamed` removes at the next start.
        for name in names:
            (self.folder / name).unlink(missing_ok=True)

    def remove_unnamed(self, database: AnyDatabase) -> None:
        """Delete the files that no record of ``database`` names."""
        now_ms, since_ms = int(time.time() * 1000), looked_from(database)
        with os.scandir(self.folder) as found:
            files = [entry.name for entry in found if entry.stat().st_mtime * 1000 >= since_ms]
        self.remove(unnamed_among(database, files, since_ms))
        note_looked(database, now_ms)

    def close(self) -> None:
        """Nothing is held open here, so nothing is closed."""


class FolderPlace:
    """A log in a folder: ``messages.sqlite`` and ``bodies/``."""

    is_shared = False

    def __init__(self, folder: Path, objects: str = "") -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / DATABASE
        self.near = FolderBodies(folder / "bodies")
        self.near.folder.mkdir(mode=0o700, exist_ok=True)
        self.objects = ObjectBodies(objects) if objects else None
        self.bodies = all_bodies(self.near, self.objects)
        self._is_looked_at = False

    def open(self) -> AnyDatabase:
        """The database, looked at when it is opened first; what is deleted in it is overwritten."""
        database = Database(self.path, STEPS, is_looked_at=self._is_looked_at)
        self._is_looked_at = True
        database.query("PRAGMA secure_delete = ON")
        return database

    def open_replica(self) -> None:
        """None: a folder has no standby."""

    def warning(self) -> str:
        """Nothing: whatever is wrong with a folder stops the log."""
        return ""

    def check_writable(self) -> None:
        """Write as much beside the database as a small batch takes; nothing of it stays on the disk, a crash or not. Raises `OSError`."""
        with tempfile.TemporaryFile(dir=self.path.parent) as tried:
            tried.write(bytes(_ROOM_BYTES))
            tried.flush()
            os.fsync(tried.fileno())

    def open_writer(self) -> FolderWriter:
        """For the thread that writes."""
        return FolderWriter(self.path, self.near.folder)

    def prepare(self, keys: LogKeys) -> None:
        """Seal what an earlier version wrote in clear."""
        seal_clear_records(self.path, self.near.folder, keys)


def place_of(where: Path | LogPlace) -> LogPlace:
    """The place that is meant: a folder stands for a log in it."""
    return FolderPlace(where) if isinstance(where, Path) else where
