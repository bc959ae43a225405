"""The audit log: who did what, when, from where, with what result. Appended to, never changed; chained by digests.

Each record's digest covers the record and the digest before it, so a changed, moved or removed record breaks the chain
at its place. Cutting off the end is seen by comparing with a head kept elsewhere: every head is also written to the
log stream. The text of a record is stored as it was digested.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from schemas.jsontext import decode_json, encode_json
from schemas.showing import escape_json
from serving.errors import OperatorError
from serving.language import N_
from serving.storage.conflicts import tried_again

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serving.storage.database import AnyDatabase
    from serving.storage.transactions import Transaction

log = logging.getLogger("audit")
# Whole records, for a collector alone: nothing else is told of them here (see `serving.process.telemetry`).
records = logging.getLogger("audit.records")
records.propagate = False

AUDIT_STEP = """
    CREATE TABLE audit (
        number BIGINT PRIMARY KEY,
        record TEXT NOT NULL,
        digest TEXT NOT NULL
    )
"""
FIRST = "0" * 64
# So many refusals from one address are written one by one in a minute; the rest are counted into the next one.
REFUSALS_A_MINUTE = 60
LARGEST_NUMBER = 2**62


_FILTERED = (
    "SELECT number, record FROM audit WHERE number < ? AND number > ? AND LOWER(record) LIKE ? AND LOWER(record) LIKE ? "
    "AND LOWER(record) LIKE ? AND LOWER(record) LIKE ? ORDER BY number DESC LIMIT ?"
)
# What stands in a record's text as it stands in its values: no escape of JSON, and no letter whose case engines change differently.
_PLAIN = re.compile(r"[A-Za-z0-9:/@.-]+")


@dataclass(frozen=True, slots=True)
class AuditSought:
    """Which entries are looked for: an empty text is any, and the case of letters does not count.

    ``who`` is a part of a name, ``about`` words that all stand in what the entry was about, in its facts or in what is different since.
    """

    who: str = ""
    event: str = ""
    outcome: str = ""
    about: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def accepts(self, record: dict[str, Any]) -> bool:
        """Whether an entry, as it is stored, is looked for."""
        if self.event not in ("", record["event"]) or self.outcome not in ("", record["outcome"]):
            return False
        at = datetime.fromisoformat(record["at"])
        if (self.since is not None and at < self.since) or (self.until is not None and at >= self.until):
            return False
        parts = [record.get("target", ""), record.get("address", ""), *record.get("changes", ())]
        searched = "\n".join((*parts, str(record.get("detail", "")))).lower()
        return self.who.lower() in record["who"].lower() and all(
            w in searched for w in self.about.lower().split()
        )

    def patterns(self) -> list[str]:
        """Four patterns of SQL's LIKE that the text of every such entry fits; the entries that fit are more than those looked for."""
        longest = max(_PLAIN.findall(self.about), key=len, default="")
        who = self.who if _PLAIN.fullmatch(self.who) else ""
        event = self.event if _PLAIN.fullmatch(self.event.replace("_", ".")) else ""
        fields = (("who", who), ("event", event), ("outcome", self.outcome))
        begun = [f'%"{name}":"%{text.lower()}%' if text else "%" for name, text in fields]
        return [*begun, f"%{longest.lower()}%"]


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One thing somebody did or was refused."""

    at: datetime
    who: str
    address: str
    event: str
    # done, failed or refused
    outcome: str
    # What it was about: method and path of a call, or a command line's words.
    target: str = ""
    # Facts of the event; never a secret.
    detail: dict[str, Any] = field(default_factory=dict)
    # What is different now, a line each, ``+`` added and ``-`` removed.
    changes: tuple[str, ...] = ()
    id: str = ""

    def text(self) -> str:
        """The record as it is stored and digested."""
        record: dict[str, Any] = {
            "at": self.at.isoformat(timespec="milliseconds"),
            "who": self.who,
            "address": self.address,
            "event": self.event,
            "outcome": self.outcome,
        }
        for name in ("target", "detail", "changes", "id"):
            if getattr(self, name):
                record[name] = getattr(self, name)
        try:
            text = encode_json(record, enc_hook=str, order="deterministic").decode()
        except UnicodeEncodeError:  # half a surrogate pair, from bytes that were no UTF-8
            text = encode_json(_writable(record), enc_hook=str, order="deterministic").decode()
        return escape_json(text)  # it is read in terminals, and by collectors that know lines only


def _writable(value: object) -> object:
    """The same as UTF-8 can carry it: what it cannot is spelled (``\\udcff``)."""
    if isinstance(value, dict):
        return {str(_writable(str(k))): _writable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_writable(v) for v in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


class AuditLog:
    """The log in a database that holds the table of `AUDIT_STEP`."""

    def __init__(self, database: AnyDatabase, reading: AnyDatabase | None = None) -> None:
        self._database = database
        # Where pages and exports are read from: they may be some seconds old.
        self._reading = reading or database
        self._refused: dict[str, tuple[float, int, int]] = {}

    def append(self, entry: AuditEntry) -> int:
        """Write an entry; it is on the disk when this returns. The number it got.

        Where nodes share the log, one that was overtaken takes the next number.
        """
        text = entry.text()

        def write() -> tuple[int, str]:
            with self._database.transaction() as sql:
                return append_text(sql, text)

        number, digest = tried_again(write)
        log.info(
            "%s %s by %s",
            entry.event,
            entry.outcome,
            entry.who,
            extra={"event": "audit", "number": number, "head": digest, "target": entry.target},
        )
        forward(number, digest, text)
        return number

    async def append_in_thread(self, entry: AuditEntry) -> None:
        """As `append`, while the event loop goes on: of thousands of services a record is a megabyte. Whoever is cancelled waits for it."""
        writing = asyncio.ensure_future(asyncio.to_thread(self.append, entry))
        try:
            await asyncio.shield(writing)
        finally:
            if not writing.done():
                await asyncio.wait([writing])

    def refuse(self, entry: AuditEntry, now_s: float) -> None:
        """Write a refusal, unless its address has filled this minute; what was left out is counted in the next."""
        began, written, left_out = self._refused.get(entry.address, (now_s, 0, 0))
        if now_s - began >= 60:
            began, written = now_s, 0
        if written >= REFUSALS_A_MINUTE:
            self._refused[entry.address] = (began, written, left_out + 1)
            log.warning("refused again", extra={"event": entry.event, "address": entry.address})
            return
        if len(self._refused) > 10_000:
            self._refused.clear()
        self._refused[entry.address] = (began, written + 1, 0)
        if left_out:
            entry.detail["refused_before_unwritten"] = left_out
        self.append(entry)

    def records(self, after: int = 0) -> Iterator[tuple[int, str, str]]:
        """Number, text and digest of every record after a number, in order."""
        return _records(self._database, after)

    def find(
        self, sought: AuditSought, before: int | None, after: int, limit: int
    ) -> list[tuple[int, dict[str, Any]]]:
        """Number and record of at most ``limit`` entries above ``after`` and below ``before`` that are looked for, the newest first.

        Entries of a time are found by their numbers, for both grow together.
        """
        at = LARGEST_NUMBER if before is None else before
        if sought.until is not None:
            at = min(at, self._first_since(sought.until))
        if sought.since is not None:
            after = max(after, self._first_since(sought.since) - 1)
        found: list[tuple[int, dict[str, Any]]] = []
        while len(found) < limit and (
            rows := self._reading.query(_FILTERED, [at, after, *sought.patterns(), limit])
        ):
            records = ((int(n), decode_json(t)) for n, t in rows)
            found += [(n, record) for n, record in records if sought.accepts(record)]
            at = int(rows[-1][0])
        return found[:limit]

    def _first_since(self, at: datetime) -> int:
        """The number of the first entry at a time or later; one more than the last where there is none."""
        low, high = 1, (self.before(None, 1) or [(0, "")])[0][0] + 1
        while low < high:
            middle = (low + high) // 2
            rows = self._reading.query(
                "SELECT record FROM audit WHERE number >= ? ORDER BY number LIMIT 1", [middle]
            )
            if rows and datetime.fromisoformat(decode_json(rows[0][0])["at"]) < at:
                low = middle + 1
            else:
                high = middle
        return low

    def before(self, number: int | None, limit: int) -> list[tuple[int, str]]:
        """Number and text of at most ``limit`` records below a number, the newest first; None is from the end on."""
        where, values = ("WHERE number < ?", [number]) if number is not None else ("", [])
        rows = self._reading.query(
            f"SELECT number, record FROM audit {where} ORDER BY number DESC LIMIT ?",
            [*values, limit],
        )
        return [(int(n), str(t)) for n, t in rows]

    def head(self) -> str:
        """The digest the chain ends with."""
        rows = self._database.query("SELECT digest FROM audit ORDER BY number DESC LIMIT 1")
        return str(rows[0][0]) if rows else FIRST

    def verify(self, head: str | None = None) -> tuple[int, str]:
        """The number of records and the last digest, the chain being whole. Raises `OperatorError`.

        ``head`` is a digest noted earlier: it must be on the chain, or the log's end was cut off.
        """
        previous, count, found = FIRST, 0, head is None or head == FIRST
        for number, text, digest in self.records():
            if number != count + 1:
                raise OperatorError(
                    N_(
                        "record {missing} is missing: record {number} follows record {before}",
                        missing=count + 1,
                        number=number,
                        before=count,
                    )
                )
            if digest != _digest(previous, text):
                raise OperatorError(
                    N_("record {number} is not what was written: its digest does not hold", number=number)
                )
            previous, count = digest, number
            found = found or digest == head
        if not found:
            raise OperatorError(
                N_("the noted digest {head} is on no record: the end of the log was cut off", head=head)
            )
        return count, previous

    def export(self) -> Iterator[bytes]:
        """Every record as a JSON line with its number and digest."""
        for number, text, digest in _records(self._reading, 0):
            yield b'{"number":%d,"digest":"%s","record":%s}\n' % (number, digest.encode(), text.encode())


def _records(database: AnyDatabase, after: int) -> Iterator[tuple[int, str, str]]:
    while rows := database.query(
        "SELECT number, record, digest FROM audit WHERE number > ? ORDER BY number LIMIT 1000", (after,)
    ):
        yield from ((int(n), str(t), str(d)) for n, t, d in rows)
        after = rows[-1][0]


def forward(number: int, digest: str, text: str) -> None:
    """Hand a record that is on the disk to the collector, if ``logging.audit_syslog`` names one."""
    records.info('{"number":%d,"head":"%s","record":%s}', number, digest, text)


def append_text(sql: Transaction, text: str) -> tuple[int, str]:
    """Put a record at the end of the chain; it counts when the transaction does. Its number and digest."""
    row = sql.execute("SELECT number, digest FROM audit ORDER BY number DESC LIMIT 1").fetchone()
    number, previous = (int(row[0]) + 1, str(row[1])) if row else (1, FIRST)
    digest = _digest(previous, text)
    sql.execute("INSERT INTO audit (number, record, digest) VALUES (?, ?, ?)", (number, text, digest))
    return number, digest


def _digest(previous: str, text: str) -> str:
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()
