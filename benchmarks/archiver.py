"""What archives cost: ``python -m benchmarks.archiver [--records 10000]``. Processor time a record of the process that writes them.

Records are as an exchange logs them: a message of 1.5 KB, a signature of 6.4 KB that eleven have in common, one timestamp. Counted is
all that the process uses from its start to its end. A row goes to ``history.csv`` (``--dry`` keeps none).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import os
import resource
import secrets
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from benchmarks.load import HISTORY, Table
from benchmarks.logplaces import SECRET, entry, open_log
from gateway.messagelog.retention import Retention
from gateway.server.archiveprocess import ArchiveProcess
from gateway.settings.datafolder import DataFolder

if TYPE_CHECKING:
    from gateway.messagelog.keys import KeySecret
    from gateway.messagelog.store import MessageLog

SHARING = 11
SIGNATURE_BYTES, TOKEN_BYTES = 4800, 3000


async def append(log: MessageLog, count: int) -> None:
    """Append so many records, those that share a signature together."""
    for _ in range(0, count, SHARING):
        signature = base64.b64encode(os.urandom(SIGNATURE_BYTES))
        made = [
            msgspec.structs.replace(entry(secrets.token_hex(8)), signature=signature) for _ in range(SHARING)
        ]
        await asyncio.gather(*(log.append(one) for one in made))


def stamp(folder: DataFolder) -> int:
    """Mark every record as timestamped; how many there are."""
    with contextlib.closing(folder.message_log.open()) as database, database.transaction() as transaction:
        transaction.execute(
            "INSERT INTO stamp (id, token, result, at_ms, authority) VALUES (1, ?, ?, 1, 'none')",
            (os.urandom(TOKEN_BYTES), b"<result/>"),
        )
        transaction.execute(
            "INSERT INTO stamped (record_id, stamp_id, chain) SELECT id, 1, message_digest FROM record"
        )
        return int(transaction.execute("SELECT count(*) FROM record").fetchone()[0])


async def secret() -> KeySecret:
    """What opens the log's keys."""
    return SECRET


async def measure(records: int, folder: DataFolder) -> float:
    """Microseconds of processor time a record."""
    log = open_log(folder)
    await append(log, records)
    count = stamp(folder)
    keeper = Retention(
        log, folder.log, lambda: datetime.now(UTC), write_apart=ArchiveProcess(folder, secret).write
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    made = await keeper.archive()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    await log.close()
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{count} records in {len(made)} archives: {spent / count * 1e6:.0f} us a record")
    return spent / count * 1e6


def main() -> None:
    """Measure, and keep the row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--dry", action="store_true", help="do not append to the history")
    options = parser.parse_args()
    table = Table()
    with tempfile.TemporaryDirectory() as folder:
        table.keep("archiver", 1, "cpu_us", asyncio.run(measure(options.records, DataFolder(Path(folder)))))
    if not options.dry:
        table.append_to(HISTORY)


if __name__ == "__main__":
    main()
