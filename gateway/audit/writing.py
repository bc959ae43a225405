"""Where judgements go: a SQLite file that Datasette opens with ready questions, CSV, JSON lines, and a count of each verdict.

The SQLite file is also what a run that was killed goes on from: a unit and its judgements are in one transaction, with others.
"""

from __future__ import annotations

import csv
from collections import Counter
from typing import IO, TYPE_CHECKING

import sqlite_utils

from gateway.audit.judging import COLUMNS
from schemas.jsontext import dump_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from gateway.audit.evidence import EvidenceUnit
    from gateway.audit.judging import Judgement

# Judgements in a transaction: so many at the most are made again after a kill.
_TOGETHER = 100
QUERIES = {
    "not_valid": (
        "Containers that are not valid",
        "select file, container, verdict, code, signer, message_id from judgement where verdict <> 'valid' order by file",
    ),
    "by_service": (
        "Messages by client and service",
        "select client, service, direction, count(*) as messages, min(timestamp) as first, max(timestamp) as last "
        "from judgement group by client, service, direction order by messages desc",
    ),
    "without_answer": (
        "Requests without an answer",
        "select message_id, client, service, timestamp from judgement as asked where direction = 'request' and not exists "
        "(select 1 from judgement where message_id = asked.message_id and direction = 'response') order by timestamp",
    ),
    "of_message": (
        "All of a message",
        "select * from judgement where message_id = :message_id order by direction",
    ),
}


_INSERT = f"INSERT INTO judgement (unit, {', '.join(COLUMNS)}) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"


class SqliteReport:
    """A report in a SQLite file, made if it is not there."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite_utils.Database(path)
        self._uncommitted = 0
        self._database.conn.execute("PRAGMA journal_mode = WAL")
        kinds = {name: int if name in ("record", "status") else str for name in COLUMNS}
        self._database.table("judgement").create(
            {"id": int, "unit": str, **kinds}, pk="id", if_not_exists=True
        )
        self._database.table("step").create(
            {"judgement": int, "number": int, "title": str, "outcome": str, "detail": str},
            foreign_keys=[("judgement", "judgement", "id")],
            if_not_exists=True,
        )
        self._database.table("unit").create({"key": str}, pk="key", if_not_exists=True)
        for column in ("message_id", "verdict"):
            self._database.table("judgement").create_index([column], if_not_exists=True)
        self._database.conn.commit()

    def left(self, units: Iterable[EvidenceUnit]) -> Iterator[EvidenceUnit]:
        """The units that are not in the report yet, or were changed since."""
        for unit in units:
            found = self._database.conn.execute("SELECT 1 FROM unit WHERE key = ?", [unit.key]).fetchone()
            if found is None:
                yield unit

    def add(self, unit: EvidenceUnit, judgements: Iterable[Judgement]) -> None:
        """Put in a unit with its judgements, all or nothing; on the disk some units later, or when the report is closed."""
        connection = self._database.conn
        try:
            for judgement in judgements:
                row = judgement.row()
                cursor = connection.execute(_INSERT, [unit.key, *(row[name] for name in COLUMNS)])
                connection.executemany(
                    "INSERT INTO step VALUES (?, ?, ?, ?, ?)",
                    [(cursor.lastrowid, *s) for s in judgement.steps],
                )
                self._uncommitted += 1
            connection.execute("INSERT OR REPLACE INTO unit (key) VALUES (?)", [unit.key])
        except BaseException:
            connection.rollback()
            raise
        if self._uncommitted >= _TOGETHER:
            # On disk: whole units, each with its key. A crash before leaves none of these; they are judged again.
            connection.commit()
            self._uncommitted = 0

    def verdicts(self) -> Counter[str]:
        """The number of containers by verdict, of all put in so far."""
        rows = self._database.conn.execute("SELECT verdict, count(*) FROM judgement GROUP BY verdict")
        return Counter(dict(rows.fetchall()))

    def close(self) -> None:
        """Commit what was put in, and close the file."""
        self._database.conn.commit()
        self._database.conn.close()


def render_metadata(about: str) -> str:
    """Datasette's metadata for such a file: what it is, and the ready questions."""
    queries = {name: {"title": title, "sql": sql} for name, (title, sql) in QUERIES.items()}
    metadata = {"title": "Sacbé audit", "description": about, "databases": {"*": {"queries": queries}}}
    return dump_json(metadata, indent=1, ensure_ascii=False)


class CsvReport:
    """Judgements as CSV with a line of columns. Cells that a spreadsheet would take for a formula are quoted."""

    def __init__(self, out: IO[str]) -> None:
        self._writer = csv.writer(out)
        self._writer.writerow(COLUMNS)

    def add(self, judgements: Iterable[Judgement]) -> None:
        """Write a row for each judgement, in the order of `COLUMNS`."""
        for judgement in judgements:
            row = judgement.row()
            self._writer.writerow([_cell(str(row[name])) for name in COLUMNS])


def _cell(text: str) -> str:
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
