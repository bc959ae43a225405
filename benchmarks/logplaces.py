"""Appends to a message log in a folder and in a database, by one node and by two. ``python -m benchmarks.logplaces DATABASE``.

Records a second with one and with 32 messages at a time, all in this process; DATABASE is the address of an empty PostgreSQL
database for each run. Rows go to ``history.csv``.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.load import HISTORY, Table
from gateway.messagelog.keys import KeySecret, LogKeys
from gateway.messagelog.record import LogEntry
from gateway.messagelog.store import MessageLog
from gateway.settings.datafolder import DataFolder
from schemas.identifiers import ClientId, ServiceId
from schemas.message import Message, MessageProtocol, Side
from serving.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Sequence

OWNER = ClientId("MX", "GOB", "A", "S")
SECRET = KeySecret.of_token(b"k" * 32)
CONTENT = b"x" * 1500
SECONDS = 3.0
RECORDS = 6_400


def entry(message_id: str) -> LogEntry:
    """A request of some 1.5 KB with a signature of 4 KB, as an exchange logs."""
    digest = hashlib.sha512(CONTENT).digest()
    message = Message(
        MessageProtocol.REST,
        is_response=False,
        raw=CONTENT,
        digest=digest,
        client=OWNER,
        service=ServiceId(OWNER, "echo"),
        message_id=message_id,
        request_id="r",
    )
    return LogEntry(Side.CONSUMER, message, OWNER, b"s" * 4096, None, None, (), datetime.now(UTC))


def open_log(folder: DataFolder) -> MessageLog:
    """The log of a node, its keys open."""
    keys = LogKeys(folder.message_log_keys)
    keys.open(SECRET, may_make=True)
    return MessageLog.open(folder.message_log, keys)


async def append_for(logs: Sequence[MessageLog], at_once: int, seconds: float) -> float:
    """Records a second that the logs take together, so many waiting at a time."""
    count, until = 0, time.perf_counter() + seconds

    async def one(log: MessageLog) -> None:
        nonlocal count
        while time.perf_counter() < until:
            await log.append(entry(secrets.token_hex(8)))
            count += 1

    await asyncio.gather(*(one(logs[n % len(logs)]) for n in range(at_once)))
    return count / seconds


async def measure_place(database: str, nodes: int, at_once: int) -> float:
    """Records a second of so many nodes over one place, after a second to warm up."""
    with tempfile.TemporaryDirectory() as folder:
        logs = [open_log(DataFolder(Path(folder) / str(n), database)) for n in range(nodes)]
        await append_for(logs, at_once, 1.0)
        found = await append_for(logs, at_once, SECONDS)
        for log in logs:
            await log.close()
    return found


async def measure_size() -> float:
    """Bytes on the disk for each record of some 1.5 KB with a signature of 4 KB, in SQLite: indexes and what is wasted among them."""
    with tempfile.TemporaryDirectory() as name:
        folder = DataFolder(Path(name))
        log = open_log(folder)
        before = _size_of(folder.root)
        await asyncio.gather(*(_append_many(log, RECORDS // 32) for _ in range(32)))
        await log.close()
        return (_size_of(folder.root) - before) / (RECORDS // 32 * 32)


async def _append_many(log: MessageLog, count: int) -> None:
    for _ in range(count):
        await log.append(entry(secrets.token_hex(8)))


def _size_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def main(database: str) -> None:
    """Measure every place in turns, and keep the better of two rounds."""
    places = {"LOG-SQLITE": ("", 1), "LOG-POSTGRES": (database, 1), "LOG-POSTGRES-2-NODES": (database, 2)}
    best: dict[tuple[str, int], float] = {}
    for _ in range(2):
        for at_once in (1, 32):
            for case, (where, nodes) in places.items():
                rate = asyncio.run(measure_place(where, nodes, at_once))
                best[case, at_once] = max(rate, best.get((case, at_once), 0.0))
                print(f"{case:22}{at_once:4}{rate:10.0f} records/s")
    table = Table()
    table.keep("LOG-SQLITE", 32, "bytes_a_record", asyncio.run(measure_size()))
    for (case, at_once), rate in best.items():
        table.keep(case, at_once, "records_per_s", rate)
    table.append_to(HISTORY)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise OperatorError("python -m benchmarks.logplaces postgresql://user@host/empty-database")
    main(sys.argv[1])
