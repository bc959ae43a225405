"""A message log of ten million rows beside an empty one: appends a second as a ratio, and what it costs to open and to look into it.

    python -m benchmarks.fulllog                    # SQLite
    python -m benchmarks.fulllog --place postgres   # a cluster of its own

Rows are copies of one true record with a body and its timestamp, under numbers and message ids of their own, made within the
database; in PostgreSQL in thirty partitions. Their sizes are set by ``--message-bytes``, ``--signature-bytes`` and ``--body-bytes``: ten
million take some 20 GB as they are. The last record is a true one, which the log is opened by. Both logs are appended to in turns. Rows go to
``history.csv`` as cases ``full sqlite`` and ``full postgres``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from benchmarks.load import HISTORY, Table
from benchmarks.logplaces import OWNER, SECRET, append_for, entry, open_log
from gateway.messagelog.bodyrules import BodyRules
from gateway.messagelog.building import build_batch
from gateway.messagelog.keys import LogKeys
from gateway.messagelog.marks import UnmarkedRecords
from gateway.messagelog.partitions import begin_partition
from gateway.messagelog.retention import Retention
from gateway.settings.datafolder import DataFolder
from schemas.message import Side
from serving.storage.database import Database
from tests.postgres import Cluster

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from serving.storage.database import AnyDatabase

PARTITIONS = 30
DAY_MS = 86_400_000
# Rows that are made in one transaction.
TOGETHER = 250_000
RECORD = (
    "id, message_id, request_id, is_response, side, owner, client, service, protocol, message, signature, at_ms, form, links, "
    "message_digest, is_reduced, chain"
)
ATTACHMENT = "record_id, number, size_bytes, digest, content"
SQLITE_NUMBERS = (
    "(WITH RECURSIVE counting(n) AS (SELECT ? UNION ALL SELECT n + 1 FROM counting WHERE n < ?) "
    "SELECT n FROM counting) AS numbers"
)
POSTGRES_NUMBERS = "generate_series(CAST(? AS bigint), CAST(? AS bigint)) AS numbers(n)"
# Message ids are not in the order of the numbers, as those of systems are not.
MESSAGE_ID = "'q-' || ((n * 7919) % 1000003) || '-' || n"


class Made(msgspec.Struct, frozen=True):
    """Rows of one table, one for each number: its name, its columns, those that are the number's, and the values of the others."""

    table: str
    columns: str
    numbered: str
    values: Sequence[object]

    def insert(self, table: str, numbers: str) -> str:
        """The statement for so many numbers."""
        marks = ", ".join([self.numbered, *"?" * len(self.values)])
        return f"INSERT INTO {table} ({self.columns}) SELECT {marks} FROM {numbers}"


def made_rows(options: argparse.Namespace) -> list[Made]:
    """Records, their bodies, and what marks them as timestamped and archived."""
    owner, at_ms = OWNER.path(), int(time.time() * 1000) - DAY_MS
    message, signature = os.urandom(options.message_bytes), os.urandom(options.signature_bytes)
    sealed = (1, 2, os.urandom(64), 0, os.urandom(64))
    texts = ("r", 0, str(Side.CONSUMER), owner, owner, f"{owner}/echo", "REST")
    return [
        Made("record", RECORD, f"n, {MESSAGE_ID}", (*texts, message, signature, at_ms, *sealed)),
        Made(
            "attachment",
            ATTACHMENT,
            "n",
            (1, options.body_bytes, os.urandom(64), os.urandom(options.body_bytes)),
        ),
        Made("stamped", "record_id, stamp_id", "n", (1,)),
        Made("archived", "record_id, archive_id", "n", (1,)),
    ]


def fill(database: AnyDatabase, options: argparse.Namespace) -> None:
    """Make the rows, but for the last one."""
    is_sqlite = isinstance(database, Database)
    numbers = SQLITE_NUMBERS if is_sqlite else POSTGRES_NUMBERS
    stamp = "INSERT INTO stamp (id, token, result, at_ms, authority) VALUES (1, ?, ?, 1, 'none')"
    archive = (
        "INSERT INTO archive (id, group_name, digest, file_name, at_ms) VALUES (1, 'all', '', 'all.zip', 1)"
    )
    with database.transaction() as transaction:
        transaction.execute(stamp, (b"t", b"r"))
        transaction.execute(archive)
    if is_sqlite:  # its index is made at once at the end, and what is lost in a power cut is made again
        for pragma in (
            "journal_mode = OFF",
            "synchronous = OFF",
            "secure_delete = OFF",
            "cache_size = -200000",
        ):
            database.query(f"PRAGMA {pragma}")
        database.query("DROP INDEX record_of_message")
    partition, period, made = 0, -(-options.records // PARTITIONS), made_rows(options)
    for first in range(1, options.records, TOGETHER):
        last = min(first + TOGETHER, options.records) - 1
        while not is_sqlite and first > partition * period:
            begin_partition(database, (partition + 1) * DAY_MS, DAY_MS)
            partition += 1
        with database.transaction() as transaction:
            for rows in made:
                table = rows.table
                if partition and table in ("record", "attachment"):
                    table = f"{table}_{partition}"
                transaction.execute(rows.insert(table, numbers), [*rows.values, first, last])
        print(f"\r{last:,} rows", end="", flush=True)
    if is_sqlite:
        database.query("CREATE INDEX record_of_message ON record (message_id)")
        database.query("PRAGMA journal_mode = WAL")
    print()


def end_with_a_true_one(folder: DataFolder) -> None:
    """The last record, which opens by the log's keys: a start proves by it that they are this log's."""
    keys, rules = LogKeys(folder.message_log_keys), BodyRules()
    keys.open(SECRET, may_make=True)
    writer, written = folder.message_log.open_writer(), entry("last")
    if folder.message_log.is_shared:
        writer.write([written], [[]], keys, rules)
    else:
        end = writer.read_end()
        made = keys.new_keys(end.number + 1, [written.at])
        writer.write(build_batch([written], [[]], made, end, rules))
    writer.close()
    keys.close()


def keep_marks(folder: DataFolder) -> dict[str, float]:
    """What timestamping and archiving keep as they go, which rows made here lack; seconds of the one walk that finds it."""
    begun = time.perf_counter()
    with contextlib.closing(folder.message_log.open()) as database:
        found = [
            UnmarkedRecords(database.query, lambda: datetime.now(UTC), marks)
            for marks in ("stamped", "archived")
        ]
        for unmarked in found:
            unmarked.first()
        with database.transaction() as transaction:
            for unmarked in found:
                unmarked.keep(transaction)
    return {"first_walk_s": time.perf_counter() - begun}


def looks(folder: DataFolder, options: argparse.Namespace) -> dict[str, float]:
    """Milliseconds to open the log, and of what a running gateway asks it."""
    found, begun = {}, time.perf_counter()
    log = open_log(folder)
    found["open_ms"] = (time.perf_counter() - begun) * 1000
    ids = [f"q-{(n * 7919) % 1000003}-{n}" for n in range(1, options.records, max(1, options.records // 50))]
    questions: dict[str, Callable[[], object]] = {
        "find_ms": lambda: [log.reader.select("message_id = ?", [name], 10) for name in ids[:50]],
        "unstamped_ms": lambda: asyncio.run(log.untimestamped(100)),
        "oldest_ms": log.reader.oldest_untimestamped,
        "archive_ms": lambda: asyncio.run(Retention(log, folder.log, lambda: datetime.now(UTC)).archive()),
    }
    for name, ask in questions.items():
        begun = time.perf_counter()
        ask()
        found[name] = (time.perf_counter() - begun) * 1000 / (len(ids[:50]) if name == "find_ms" else 1)
    asyncio.run(log.close())
    return found


async def compare(folders: Sequence[DataFolder], options: argparse.Namespace) -> dict[str, float]:
    """Records a second of the empty log and of the full one, taken in turns, and the median of the turns' ratios."""
    logs = [open_log(folder) for folder in folders]
    turns = []
    for log in logs:
        await append_for([log], 32, 1.0)
    for _ in range(options.turns):
        turns.append([await append_for([log], 32, options.seconds) for log in logs])
    for log in logs:
        await log.close()
    empty, full = (statistics.median(turn[n] for turn in turns) for n in (0, 1))
    ratio = statistics.median(turn[1] / turn[0] for turn in turns)
    return {"empty_records_per_s": empty, "records_per_s": full, "ratio_to_empty": ratio}


def run(options: argparse.Namespace, folder: Path, addresses: Sequence[str]) -> None:
    """Fill, look, compare; print, and append to the history."""
    case, table = f"full {options.place}", Table()
    empty, full = (
        DataFolder(folder / name, where) for name, where in zip(("empty", "full"), addresses, strict=True)
    )
    begun = time.perf_counter()
    full.log.mkdir(parents=True, exist_ok=True)  # of archives, wherever the log is
    asyncio.run(open_log(full).close())  # once opened, it is known that nothing in it is in clear
    with contextlib.closing(full.message_log.open()) as database:
        fill(database, options)
    os.sync()  # else whoever syncs first below waits for all of it
    end_with_a_true_one(full)
    figures = {"rows": float(options.records), "fill_s": time.perf_counter() - begun}
    figures |= keep_marks(full) | looks(full, options) | asyncio.run(compare((empty, full), options))
    for figure, value in figures.items():
        table.keep(case, 32, figure, value)
        print(f"{case:14} {figure:20} {value:14,.3f}")
    if not options.dry:
        table.append_to(HISTORY)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--place", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--records", type=int, default=10_000_000)
    parser.add_argument("--message-bytes", type=int, default=300)
    parser.add_argument("--signature-bytes", type=int, default=300)
    parser.add_argument("--body-bytes", type=int, default=500)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--folder", type=Path, help="where there is room; else where temporary files are")
    parser.add_argument("--dry", action="store_true", help="do not append to the history")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sacbe-full-", dir=options.folder) as name:
        if options.place == "sqlite":
            run(options, Path(name), ("", ""))
            return
        cluster = Cluster(is_durable=True, beside=options.folder)
        try:
            run(options, Path(name), (cluster.new_database(), cluster.new_database()))
        finally:
            cluster.remove()


if __name__ == "__main__":
    main()
