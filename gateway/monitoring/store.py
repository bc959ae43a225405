"""Operational monitoring records on disk: written in batches, asked by time, removed after some days.

Records wait in a bounded buffer; when it is full the oldest go, for an exchange must never wait for its statistics. How
many were lost is told in the log. A crash loses the seconds that were not written yet: these are statistics, the proof is in
the message log.
"""

from __future__ import annotations

import asyncio
import collections
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.monitoring.records import party_path
from gateway.monitoring.summary import Exchanged
from schemas.jsontext import decode_json, dump_json, load_json
from schemas.monitoring import Record, Value
from serving.process.loops import Loop
from serving.process.pace import Pace
from serving.storage.database import open_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from schemas.identifiers import ClientId, ServiceId

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
    # Exchanges counted by the minute their request came in; empty names are all services together.
    """
    CREATE TABLE traffic (
        provider TEXT NOT NULL,
        service TEXT NOT NULL,
        version TEXT NOT NULL,
        side TEXT NOT NULL,
        minute BIGINT NOT NULL,
        succeeded BIGINT NOT NULL,
        failed BIGINT NOT NULL,
        PRIMARY KEY (provider, service, version, side, minute)
    );
    CREATE INDEX traffic_minute ON traffic (minute);
    INSERT INTO traffic (provider, service, version, side, minute, succeeded, failed)
        SELECT provider, COALESCE(CAST(json_extract(fields, '$.serviceCode') AS TEXT), ''),
            COALESCE(CAST(json_extract(fields, '$.serviceVersion') AS TEXT), ''),
            COALESCE(CAST(json_extract(fields, '$.securityServerType') AS TEXT), ''),
            CAST(json_extract(fields, '$.requestInTs') AS BIGINT) / 60000,
            SUM(CASE WHEN CAST(json_extract(fields, '$.succeeded') AS TEXT) IN ('1', 'true') THEN 1 ELSE 0 END),
            SUM(CASE WHEN CAST(json_extract(fields, '$.succeeded') AS TEXT) IN ('1', 'true') THEN 0 ELSE 1 END)
        FROM record WHERE json_extract(fields, '$.requestInTs') IS NOT NULL AND provider <> '' GROUP BY 1, 2, 3, 4, 5;
    INSERT INTO traffic (provider, service, version, side, minute, succeeded, failed)
        SELECT '', '', '', COALESCE(CAST(json_extract(fields, '$.securityServerType') AS TEXT), ''),
            CAST(json_extract(fields, '$.requestInTs') AS BIGINT) / 60000,
            SUM(CASE WHEN CAST(json_extract(fields, '$.succeeded') AS TEXT) IN ('1', 'true') THEN 1 ELSE 0 END),
            SUM(CASE WHEN CAST(json_extract(fields, '$.succeeded') AS TEXT) IN ('1', 'true') THEN 0 ELSE 1 END)
        FROM record WHERE json_extract(fields, '$.requestInTs') IS NOT NULL GROUP BY 4, 5;
    """,
)
BATCH = 500
MINUTE_MS = 60_000
# With a filter, so many of the newest records are looked at.
MOST_LOOKED_AT = 50_000
RECEIVED = "CAST(json_extract(fields, '$.requestInTs') AS BIGINT)"
NEWEST = f"SELECT client, provider, fields FROM record WHERE at >= ? AND {RECEIVED} BETWEEN ? AND ? ORDER BY at DESC LIMIT ?"
# Where the records stand in a database that nodes share.
SCHEMA = "monitoring"


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


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which exchanges to count; None is no condition. ``party`` is client or provider, exactly."""

    side: str | None = None
    party: ClientId | None = None
    service: ServiceId | None = None


@dataclass(frozen=True, slots=True)
class Counted:
    """The exchanges whose request came in a span of time: Unix milliseconds of its begin, how many succeeded, how many failed."""

    begin_ms: int
    succeeded: int
    failed: int


class RecordStore:
    """The records of one server."""

    def __init__(
        self, where: Path | str, now: Callable[[], datetime], settings: StoreSettings | None = None
    ) -> None:
        self._database = open_database(where, STEPS, SCHEMA)
        self._now = now
        self._settings = settings or StoreSettings()
        self._pace = Pace()
        self._written_s = 0.0
        self.loop = Loop("monitoring", self.round, lambda: self._settings.write_s, pace=self._pace)
        self._waiting: collections.deque[Record] = collections.deque()
        self._lost = 0

    def add(self, record: Record) -> None:
        """Keep a record; it is on disk within seconds."""
        if len(self._waiting) >= self._settings.buffer_length:
            self._waiting.popleft()
            self._lost += 1
        self._waiting.append(record)

    def write(self) -> None:
        """Write the waiting records, a transaction each `BATCH` of them. Blocks; a crash loses what was not written yet."""
        at = int(self._now().timestamp())
        while self._waiting:
            self.insert([(at, self._waiting.popleft()) for _ in range(min(BATCH, len(self._waiting)))])
        if self._lost:
            log.warning("operational records lost", extra={"event": "opmonitoring", "count": self._lost})
            self._lost = 0

    def insert(self, records: Sequence[tuple[int, Record]]) -> None:
        """Write records, each with the second it was stored at, and count them, in one transaction. Blocks."""
        rows = [
            (at, party_path(r, "client"), party_path(r, "service"), dump_json(dict(r))) for at, r in records
        ]
        counted = _counted([r for _, r in records])
        with self._database.transaction() as transaction:
            transaction.executemany(
                "INSERT INTO record (at, client, provider, fields) VALUES (?, ?, ?, ?)", rows
            )
            transaction.executemany(
                "INSERT INTO traffic (provider, service, version, side, minute, succeeded, failed) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (provider, service, version, side, minute) DO UPDATE SET "
                "succeeded = traffic.succeeded + excluded.succeeded, failed = traffic.failed + excluded.failed",
                counted,
            )

    def clean(self) -> None:
        """Remove records older than they are kept. Blocks."""
        oldest = int(self._now().timestamp()) - self._settings.keep_days * 86_400
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM record WHERE at < ?", (oldest,))
            transaction.execute("DELETE FROM traffic WHERE minute < ?", (oldest // 60,))

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
        return [Stored(int(at), load_json(fields)) for at, fields in rows]

    def count(self, begin_ms: int, spans: int, span_ms: int, record_filter: RecordFilter) -> list[Counted]:
        """Exchanges by the time their request came in, in ``spans`` spans of ``span_ms`` from ``begin_ms`` on. Blocks."""
        last_ms = begin_ms + spans * span_ms - 1
        if record_filter.party is None and begin_ms % MINUTE_MS == span_ms % MINUTE_MS == 0:
            rows = self._sum_minutes(begin_ms, last_ms, span_ms, record_filter)
        else:
            rows = self._count_records(begin_ms, last_ms, span_ms, record_filter)
        found = {int(span): (int(good), int(every)) for span, good, every in rows}
        counts = [found.get(span, (0, 0)) for span in range(spans)]
        return [Counted(begin_ms + n * span_ms, good, every - good) for n, (good, every) in enumerate(counts)]

    def _sum_minutes(
        self, begin_ms: int, last_ms: int, span_ms: int, record_filter: RecordFilter
    ) -> list[tuple[Any, ...]]:
        """Span, successes and all, from what was counted as records were written: as long with ten million of them as with ten."""
        service = record_filter.service
        where, parameters = (
            "provider = ? AND minute BETWEEN ? AND ?",
            [begin_ms // MINUTE_MS, span_ms // MINUTE_MS],
        )
        names: list[int | str] = [
            "" if service is None else service.client.path(),
            begin_ms // MINUTE_MS,
            last_ms // MINUTE_MS,
        ]
        if service is not None:
            where += " AND service = ?"
            names.append(service.service_code)
            if service.service_version is not None:
                where += " AND version = ?"
                names.append(service.service_version)
        if record_filter.side is not None:
            where += " AND side = ?"
            names.append(record_filter.side)
        return self._database.query(
            "SELECT (minute - ?) / ? AS span, SUM(succeeded), SUM(succeeded + failed) "
            f"FROM traffic WHERE {where} GROUP BY span",
            [*parameters, *names],
        )

    def _count_records(
        self, begin_ms: int, last_ms: int, span_ms: int, record_filter: RecordFilter
    ) -> list[tuple[Any, ...]]:
        """The same from the records, for a party or for spans that are no minutes."""
        # A record is stored after its request came in, so the index on ``at`` leaves out what is older.
        where = f"at >= ? AND {RECEIVED} BETWEEN ? AND ?"
        parameters: list[int | str] = [begin_ms // 1000, begin_ms, last_ms]
        for condition, values in _conditions(record_filter):
            where += f" AND {condition}"
            parameters += values
        return self._database.query(
            f"SELECT ({RECEIVED} - ?) / ? AS span, "
            "SUM(CASE WHEN CAST(json_extract(fields, '$.succeeded') AS TEXT) IN ('1', 'true') THEN 1 ELSE 0 END), COUNT(*) "
            f"FROM record WHERE {where} GROUP BY span",
            [begin_ms, span_ms, *parameters],
        )

    def newest(self, begin_ms: int, end_ms: int, record_filter: RecordFilter, limit: int) -> list[Exchanged]:
        """The newest exchanges whose request came in then, at most ``limit``, in no order; with a filter, of the newest `MOST_LOOKED_AT`. Blocks."""
        conditions = list(_conditions(record_filter))
        values: list[int | str] = [
            begin_ms // 1000,
            begin_ms,
            end_ms,
            MOST_LOOKED_AT if conditions else limit,
        ]
        where = " AND ".join(condition for condition, _ in conditions) or "1 = 1"
        for _, more in conditions:
            values += more
        rows = self._database.query(
            f"SELECT client, provider, fields FROM ({NEWEST}) AS newest WHERE {where} LIMIT ?",
            [*values, limit],
        )
        return [
            _exchanged(str(client), str(provider), _measured(fields)) for client, provider, fields in rows
        ]

    def reconfigure(self, settings: StoreSettings) -> None:
        """Go on with other times and sizes."""
        self._settings = settings
        self._pace.changed()

    async def round(self) -> None:
        """Write what waits; once an hour, remove what is old."""
        await asyncio.to_thread(self.write)
        self._written_s += self._settings.write_s
        if self._written_s >= 3600:
            await asyncio.to_thread(self.clean)
            self._written_s = 0.0

    def close(self) -> None:
        """Write what waits and close."""
        self.write()
        self._database.close()


def _counted(records: Sequence[Record]) -> list[tuple[str, str, str, str, int, int, int]]:
    """Rows of ``traffic`` for records: each counts for its service and for all together; one that says no time of its request does not."""
    sums: dict[tuple[str, str, str, str, int], list[int]] = {}
    for record in records:
        received = record.get("requestInTs")
        if received is None:
            continue
        side, minute = str(record.get("securityServerType") or ""), int(received) // MINUTE_MS
        service, version = str(record.get("serviceCode") or ""), str(record.get("serviceVersion") or "")
        for key in {
            (party_path(record, "service"), service, version, side, minute),
            ("", "", "", side, minute),
        }:
            sums.setdefault(key, [0, 0])[0 if record.get("succeeded") else 1] += 1
    return [(*key, good, bad) for key, (good, bad) in sorted(sums.items())]


class _Measured(msgspec.Struct, frozen=True, rename="camel"):
    """The fields of a record that a summary counts: of thousands nothing else is read."""

    request_in_ts: Value | None = None
    response_out_ts: Value | None = None
    service_code: Value | None = None
    service_version: Value | None = None
    security_server_type: Value | None = None
    fault_code: Value | None = None
    succeeded: Value | None = None


def _measured(fields: str) -> _Measured:
    try:
        return decode_json(fields, _Measured)
    except msgspec.DecodeError:  # kept by an earlier release: `schemas.jsontext`
        return msgspec.convert(load_json(fields), _Measured)


def _exchanged(client: str, provider: str, fields: _Measured) -> Exchanged:
    begin, end = int(fields.request_in_ts or 0), int(fields.response_out_ts or 0)
    service = ".".join(str(part) for part in (fields.service_code, fields.service_version) if part)
    is_consumer = fields.security_server_type == "Client"
    name = f"{provider}/{service}".replace("/", ":") if provider or service else ""
    peer = (provider if is_consumer else client).replace("/", ":")
    fault = str(fields.fault_code or "")
    return Exchanged(begin, float(max(end - begin, 0)), name, peer, fault, bool(fields.succeeded))


def _conditions(record_filter: RecordFilter) -> Iterator[tuple[str, list[int | str]]]:
    if record_filter.side is not None:
        yield "json_extract(fields, '$.securityServerType') = ?", [record_filter.side]
    if record_filter.party is not None:
        yield "(client = ? OR provider = ?)", [record_filter.party.path(), record_filter.party.path()]
    service = record_filter.service
    if service is not None:
        yield "provider = ?", [service.client.path()]
        yield "json_extract(fields, '$.serviceCode') = ?", [service.service_code]
        if service.service_version is not None:
            yield "json_extract(fields, '$.serviceVersion') = ?", [service.service_version]
