"""Operational monitoring records on disk: written in batches, asked by time, removed after some days.

Records wait in a bounded buffer; when it is full the oldest go, for an exchange must never wait for its statistics. How
many were lost is told in the log. A crash loses the seconds that were not written yet: these are statistics, the proof is in
the message log.
"""

from __future__ import annotations

import asyncio
import collections
import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.database import Database

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from schemas.identifiers import ClientId
    from schemas.monitoring import Record, Value

log = logging.getLogger("gateway.monitoring")

STEPS = (
    """
    CREATE TABLE record (
        id INTEGER PRIMARY KEY,
        at INTEGER NOT NULL,
        client TEXT NOT NULL,
        provider TEXT NOT NULL,
        fields TEXT NOT NULL
    );
    CREATE INDEX record_at ON record (at);
    """,
)
BATCH = 500


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """Days records are kept, seconds between writes, records that may wait."""

    keep_days: int = 7
    write_s: float = 5.0
    buffer_length: int = 20_000


@dataclass(frozen=True, slots=True)
class Stored:
    """A record with the second it was stored at."""

    at: int
    fields: dict[str, Value]


class RecordStore:
    """The records of one server."""

    def __init__(
        self, path: Path, now: Callable[[], datetime], settings: StoreSettings | None = None
    ) -> None:
        self._database = Database(path, STEPS)
        self._now = now
        self._settings = settings or StoreSettings()
        self._waiting: collections.deque[Record] = collections.deque()
        self._lost = 0

    def add(self, record: Record) -> None:
        """Keep a record; it is on disk within seconds."""
        if len(self._waiting) >= self._settings.buffer_length:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(record)

    def write(self) -> None:
        """Write what waits. Blocks."""
        at = int(self._now().timestamp())
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            rows = [(at, _path(r, "client"), _path(r, "service"), json.dumps(dict(r))) for r in batch]
            with self._database.transaction() as transaction:
                transaction.executemany(
                    "INSERT INTO record (at, client, provider, fields) VALUES (?, ?, ?, ?)", rows
                )
        if self._lost:
            log.warning("operational records lost", extra={"event": "opmonitoring", "count": self._lost})
            self._lost = 0

    def clean(self) -> None:
        """Remove records older than they are kept. Blocks."""
        oldest = int(self._now().timestamp()) - self._settings.keep_days * 86_400
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM record WHERE at < ?", (oldest,))

    def query(
        self, begin: int, end: int, *, party: ClientId | None, provider: ClientId | None, limit: int
    ) -> list[Stored]:
        """Records stored from ``begin`` to ``end``, oldest first, ``limit`` and all of the last one's second. Blocks.

        ``party`` must be client or provider of a record, ``provider`` its provider.
        """
        where, parameters = "at >= ? AND at <= ?", [begin, end]
        names: list[str] = []
        if party is not None:
            where += " AND (client = ? OR provider = ?)"
            names += [party.path(), party.path()]
        if provider is not None:
            where += " AND provider = ?"
            names.append(provider.path())
        ask = "SELECT at, fields FROM record WHERE "
        rows = self._database.query(f"{ask}{where} ORDER BY at, id LIMIT ?", [*parameters, *names, limit])
        if len(rows) == limit:
            last = rows[-1][0]
            rows = [r for r in rows if r[0] < last]
            rows += self._database.query(f"{ask}{where} ORDER BY at, id", [last, last, *names])
        return [Stored(int(at), json.loads(fields)) for at, fields in rows]

    async def run(self) -> None:
        """Write every few seconds, clean every hour."""
        written = 0.0
        while True:
            await asyncio.sleep(self._settings.write_s)
            await asyncio.to_thread(self.write)
            written += self._settings.write_s
            if written >= 3600:
                await asyncio.to_thread(self.clean)
                written = 0.0

    def close(self) -> None:
        """Write what waits and close."""
        self.write()
        self._database.close()


def _path(record: Record, prefix: str) -> str:
    names = ("XRoadInstance", "MemberClass", "MemberCode", "SubsystemCode")
    return "/".join(str(record[f"{prefix}{n}"]) for n in names if f"{prefix}{n}" in record)
