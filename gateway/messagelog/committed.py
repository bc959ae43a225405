"""The message log as its followers read it: committed records in the order of their numbers, by digests, never by content."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

import msgspec

from gateway.messagelog import rows
from gateway.messagelog.record import Links
from schemas import xades
from schemas.faults import Fault
from schemas.message import Side
from schemas.transparency.records import record_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.messagelog.reading import LogReader
    from gateway.messagelog.record import LogEntry

_NAME = b"SignatureValue"
_VALUE = re.compile(
    rb"<(?:\w+:)?SignatureValue(?:\s[^<>]*)?>([A-Za-z0-9+/=\s]+)</(?:\w+:)?SignatureValue\s*>"
)
# Rows read at a time: each brings its signature and chain, some 8 KiB, of which a committed record keeps digests.
_TOGETHER = 200
_STATE = len(rows.DIGESTED.split(", ")) + 1
# Records of about ten seconds under full load; what was committed before is read from the log.
_MOST_FRESH = 16_384
# The message itself, most of a record, is not read.
_COLUMNS = rows.DIGESTED.replace(" message,", " NULL,")


class CommittedRecord(msgspec.Struct, frozen=True):
    """A record as another log commits to it: digests that bind all of it, nothing of its content.

    ``signature_digest`` is SHA-256 over the signature value, by which a signed container is known to be of this record.
    """

    number: int
    side: Side
    at_ms: int
    digest: bytes
    signature_digest: bytes


class FreshRecords:
    """Records that this process has just committed, kept for the one who follows the log: their digests are those of the append.

    So none is read and digested again, and a row that is changed before it is followed shows. Bounded: what nobody takes
    is forgotten, oldest first. One thread adds while another takes; each step of either is one of the dictionary's own.
    """

    def __init__(self) -> None:
        self._kept: dict[int, CommittedRecord] = {}

    def add(self, first: int, entries: Sequence[LogEntry], digests: Sequence[bytes]) -> None:
        """Keep records that are on the disk, whose numbers begin with ``first``."""
        for number, (entry, digest) in enumerate(zip(entries, digests, strict=True), first):
            at_ms, signature = rows.to_milliseconds(entry.at), signature_digest(entry.signature)
            self._kept[number] = CommittedRecord(number, entry.side, at_ms, digest, signature)
            self._kept.pop(number - _MOST_FRESH, None)

    def take_after(self, number: int, limit: int) -> list[CommittedRecord]:
        """At most ``limit`` records that follow one without a gap; they are not kept any longer."""
        found: list[CommittedRecord] = []
        while len(found) < limit and (record := self._kept.pop(number + 1 + len(found), None)) is not None:
            found.append(record)
        return found


class CommittedReader:
    """Reads what is committed, from any thread. It sees what another process removed, too: it keeps nothing.

    With ``fresh`` it is for one follower alone, who takes what it is given.
    """

    def __init__(self, reader: LogReader, fresh: FreshRecords | None = None) -> None:
        self._reader = reader
        self._fresh = fresh

    def removed_up_to(self) -> int:
        """The number of the last record that retention removed; 0 for none."""
        found = self._reader.query("SELECT coalesce(max(id), 0) FROM removed")
        return int(str(found[0][0]))

    def last_number(self) -> int:
        """The number of the last record that is there or was removed; 0 for none."""
        found = self._reader.query("SELECT max(id) FROM record")
        return int(str(found[0][0])) if found[0][0] is not None else self.removed_up_to()

    def committed_after(self, number: int, limit: int) -> list[CommittedRecord]:
        """At most ``limit`` records after one, oldest first. Raises `Fault` where a record of an early version needs the keys."""
        found = [] if self._fresh is None else self._fresh.take_after(number, limit)
        while len(found) < limit:
            some = self._some_after(found[-1].number if found else number, min(_TOGETHER, limit - len(found)))
            found += some
            if len(some) < _TOGETHER:
                break
        return found

    def _some_after(self, number: int, limit: int) -> list[CommittedRecord]:
        found = self._reader.query(
            f"SELECT record.id, {_COLUMNS}, links, message_digest, erased.record_digest FROM record "
            "LEFT JOIN erased ON erased.record_id = record.id WHERE record.id > ? ORDER BY record.id LIMIT ?",
            [number, limit],
        )
        if not found:
            return []
        bodies: dict[object, list[bytes]] = {}
        for record_id, digest in self._reader.query(
            "SELECT record_id, digest FROM attachment WHERE record_id BETWEEN ? AND ? ORDER BY record_id, number",
            [found[0][0], found[-1][0]],
        ):
            bodies.setdefault(record_id, []).append(digest)  # type: ignore[arg-type]  # a blob
        return [self._committed(row, bodies.get(row[0], ())) for row in found]

    def _committed(self, row: Sequence[object], bodies: Sequence[bytes]) -> CommittedRecord:
        fields = list(row[1:_STATE])
        links, message_digest, erased_digest = row[_STATE:]
        number = int(str(row[0]))
        if links == Links.DIGEST:
            fields[rows.MESSAGE_PLACE] = message_digest
        elif isinstance(erased_digest, bytes):
            return _record(number, fields, erased_digest)
        else:
            fields[rows.MESSAGE_PLACE] = self._reader.open_message(self._reader.record(number))
        return _record(number, fields, record_digest([*fields, *bodies]))  # type: ignore[list-item]  # as SQLite gives them


def _record(number: int, fields: Sequence[object], digest: bytes) -> CommittedRecord:
    signature = fields[9]
    return CommittedRecord(
        number,
        Side(str(fields[3])),
        int(str(fields[12])),
        digest,
        signature_digest(signature if isinstance(signature, bytes) else b""),
    )


def signature_digest(document: bytes) -> bytes:
    """SHA-256 of the signature value in a signature document: the same before and after a timestamp was put into it.

    A document that cannot be read, which the log would not have taken, stands by its own digest.
    """
    start = document.find(_NAME)
    end = document.find(_NAME, start + 1)
    # The expression is asked about the one element alone: over the whole document it takes longer than the digest does.
    if 0 < start < end and document.find(_NAME, end + 1) < 0:
        found = _VALUE.fullmatch(document, document.rfind(b"<", 0, start), document.find(b">", end) + 1)
    else:
        found = None
    if found is not None:
        try:
            return hashlib.sha256(base64.b64decode(b"".join(found[1].split()), validate=True)).digest()
        except ValueError:
            pass
    try:
        return hashlib.sha256(xades.parse_signature_document(document).signature_value).digest()
    except Fault:
        return hashlib.sha256(document).digest()
