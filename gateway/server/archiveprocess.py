"""Archives are written by a process of its own, after everybody else: ``python -m gateway.server.archiveprocess``.

Writing a container holds the interpreter for a tenth of a millisecond, thousands of times in a row, which messages would wait
for. The process is given the work and the secret of the log's keys on its standard input, reads the log over a connection of its own,
and says what it wrote. It writes no row, so it holds no lock that messages wait for either: the gateway says in the log what is archived.
It is gone with the gateway; what it had written then is written again (`gateway.messagelog.retention`).
"""

from __future__ import annotations

import contextlib
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from gateway.messagelog.archiving import ArchiveOutcome, ArchiveTask, write_archives
from gateway.messagelog.keys import KeySecret, LogKeys
from gateway.messagelog.reading import LogReader
from gateway.settings.datafolder import DataFolder
from schemas.faults import Fault, Kind
from schemas.jsontext import decode_json, encode_json
from serving.process.childprocess import ChildLimits, bound_itself, run_child

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

# It ends by itself (`LONGEST_WRITING`); these are against one that stands still.
LIMITS = ChildLimits(seconds=3600.0, processor_s=900, priority=10)


class _Work(msgspec.Struct, frozen=True):
    """The child's input: the data folder and what it is of, the secret of the keys, where archives go, and what is due."""

    root: str
    database: str
    worker: int
    objects: str
    secret_by: str
    secret: bytes
    folder: str
    task: ArchiveTask


class ArchiveProcess:
    """Writes the archives of one gateway's message log, each time in a process that is gone afterwards."""

    def __init__(self, folder: DataFolder, secret: Callable[[], Awaitable[KeySecret | None]]) -> None:
        """``secret`` gives what opens the message log's keys; None while that cannot be had."""
        self._folder = folder
        self._secret = secret

    async def write(self, folder: Path, task: ArchiveTask) -> ArchiveOutcome:
        """Write into ``folder`` what is due. Raises `Fault` when the process could not be begun, or ended."""
        secret = await self._secret()
        if secret is None:
            raise Fault(
                Kind.LOGGING_FAILED,
                "the message log's keys are closed: archives are written once the token is logged in",
            )
        of = self._folder
        work = _Work(
            str(of.root), of.database, of.worker, of.objects, secret.by, secret.value, str(folder), task
        )
        done = await run_child(__name__, [], encode_json(work), LIMITS, os.environ)
        if done.failure:
            raise Fault(Kind.LOGGING_FAILED, f"the process that writes archives {done.failure}")
        return decode_json(done.output, ArchiveOutcome)


def _write(work: _Work) -> ArchiveOutcome:
    of = DataFolder(Path(work.root), work.database, work.worker, objects=work.objects)
    place, keys = of.message_log, LogKeys(of.message_log_keys)
    try:
        keys.open(KeySecret(work.secret_by, work.secret), may_make=False)
    except Fault as fault:
        return ArchiveOutcome([], fault.detail)
    with contextlib.closing(LogReader(place.open(), place.bodies, keys)) as reader:
        return write_archives(reader, Path(work.folder), work.task, lambda: datetime.now(UTC))


def main(processor_s: str, memory_bytes: str, priority: str) -> None:
    """The child: reads the work on standard input, says on standard output what it wrote."""
    bound_itself(processor_s, memory_bytes, priority, may_write=True)
    outcome = _write(decode_json(sys.stdin.buffer.read(), _Work))
    sys.stdout.buffer.write(encode_json(outcome))


if __name__ == "__main__":
    main(*sys.argv[1:])
