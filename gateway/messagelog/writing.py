"""The one thread that waits for the disk: batches that are built are written, all or nothing, one after the other.

What is on the disk when: first the files of bodies, under their lasting names; then the rows that name them, in one transaction
(``synchronous=FULL``). A crash in between leaves files that nobody names, removed at the next start.
"""

from __future__ import annotations

import contextlib
import queue
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import msgspec

from certs.edges.tokenfiles import sync_folder
from gateway.messagelog import rows
from gateway.messagelog.body_store import make_files
from gateway.messagelog.building import ChainEnd
from serving.storage.database import connect

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from gateway.messagelog.building import Batch


class _Job(msgspec.Struct, frozen=True):
    work: Callable[[Any], object]
    loop: asyncio.AbstractEventLoop
    on_done: Callable[[object], None]


class LogWriter:
    """The thread, with a connection that ``opened`` gives it. Jobs are done in the order in which they came."""

    def __init__(self, opened: Callable[[], Any]) -> None:
        self._opened = opened
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="message log", daemon=True)
        self._thread.start()

    def put(
        self,
        work: Callable[[Any], object],
        loop: asyncio.AbstractEventLoop,
        on_done: Callable[[object], None],
    ) -> None:
        """Do ``work`` in the thread, then call ``on_done`` in the loop with what it gave, or with the exception it raised."""
        self._jobs.put(_Job(work, loop, on_done))

    def stop(self) -> None:
        """End once what waits is done; returns when the thread is gone."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        writer: Any = None
        while (job := self._jobs.get()) is not None:
            outcome: object
            try:
                # A database that could not be opened is tried again with the next batch.
                writer = self._opened() if writer is None else writer
                outcome = job.work(writer)
            except Exception as err:  # whoever waits is told, and the next job is done
                outcome = err
            with contextlib.suppress(RuntimeError):  # the loop is gone, and with it everyone who waited
                job.loop.call_soon_threadsafe(job.on_done, outcome)
            job = outcome = None  # else the batch stays in memory until the next one comes
        if writer is not None:
            writer.close()


class FolderWriter:
    """Writes batches to a log in a folder; for the thread."""

    def __init__(self, database: Path, bodies: Path) -> None:
        self._connection = connect(database)
        self._connection.execute("PRAGMA wal_autocheckpoint = 1000")
        self._bodies = bodies

    def write(self, batch: Batch) -> None:
        """Write a batch, all of it or nothing. Raises whatever stopped it."""
        write_batch(self._connection, batch, self._bodies)

    def read_end(self) -> ChainEnd:
        """The end of the chain as it is on the disk."""
        return read_end(self._connection)

    def close(self) -> None:
        """Close the connection to the folder's database."""
        self._connection.close()


def write_batch(connection: sqlite3.Connection, batch: Batch, bodies: Path) -> None:
    """Write a batch, all of it or nothing. Raises whatever stopped it."""
    made: list[Path] = []
    try:
        make_files(batch.in_files, bodies, made)
        if made:
            sync_folder(bodies)  # bodies are on the disk; a crash here leaves files nobody names
        connection.execute("BEGIN IMMEDIATE")
        rows.insert_rows(connection, rows.INSERT_RECORDS, batch.records)
        rows.insert_rows(connection, rows.INSERT_ATTACHMENTS, batch.attachments)
        connection.execute("COMMIT")  # from here on the messages are in the log, whatever happens
    except Exception:
        with contextlib.suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        with contextlib.suppress(OSError):  # what stays is removed at the next start
            for path in made:
                path.unlink(missing_ok=True)
        raise


def read_end(connection: sqlite3.Connection) -> ChainEnd:
    """The end of the chain as it is on the disk; a log whose records were all removed goes on after them."""
    return chain_end(lambda sql: connection.execute(sql).fetchall())


def chain_end(query: Callable[[str], Sequence[Sequence[Any]]]) -> ChainEnd:
    """The same out of whatever answers questions."""
    found = rows.last_chain(query, "record") or rows.last_chain(query, "removed")
    return ChainEnd() if found is None else ChainEnd(*found)
