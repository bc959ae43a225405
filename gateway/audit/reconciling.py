"""Two members' evidence side by side: what one lacks, what differs, answers without requests, times out of order.

Both sides are read once, container by container, into a SQLite file of their own (in memory or on disk), one short row
each; the comparison is a question to it. Nothing but what a container says and is gets in: no keys and no gateway are needed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path
from typing import IO, TYPE_CHECKING

import msgspec

from certs.verify.timestamp import stamped_at
from gateway.audit.evidence import contained, find_units
from gateway.messagelog.committed import signature_digest
from schemas import rest, soap, xades
from schemas.asic.container import Container, read_container
from schemas.faults import Fault
from schemas.message import digest_of
from schemas.zipreading import open_zip
from serving.language import N_, SOURCE_LANGUAGE, Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_TABLE = """
CREATE TABLE said (
    side TEXT NOT NULL, message_id TEXT NOT NULL, is_response INTEGER NOT NULL, digest BLOB NOT NULL, signature BLOB NOT NULL,
    signed_at TEXT NOT NULL, stamped_at TEXT NOT NULL, place TEXT NOT NULL, PRIMARY KEY (side, message_id, is_response, digest, signature)
) WITHOUT ROWID
"""
_QUESTIONS: tuple[tuple[Callable[[str], Text], str], ...] = (
    (
        lambda side: N_("only in {side}", side=side),
        "SELECT message_id, is_response, place FROM said AS a WHERE side = {0!r} AND NOT EXISTS (SELECT 1 FROM said AS b "
        "WHERE b.side = {1!r} AND b.message_id = a.message_id AND b.is_response = a.is_response) ORDER BY 1, 2",
    ),
    (
        lambda side: N_("answer without request in {side}", side=side),
        "SELECT message_id, is_response, place FROM said AS a WHERE side = {0!r} AND is_response = 1 AND NOT EXISTS "
        "(SELECT 1 FROM said AS b WHERE b.side = a.side AND b.message_id = a.message_id AND b.is_response = 0) ORDER BY 1",
    ),
    (
        lambda side: N_("answer signed before request in {side}", side=side),
        "SELECT a.message_id, 1, a.place FROM said AS a JOIN said AS b ON b.side = a.side AND b.message_id = a.message_id "
        "WHERE a.side = {0!r} AND a.is_response = 1 AND b.is_response = 0 AND a.signed_at <> '' AND b.signed_at <> '' "
        "AND a.signed_at < b.signed_at ORDER BY 1",
    ),
    (
        lambda side: N_("answer timestamped before request in {side}", side=side),
        "SELECT a.message_id, 1, a.place FROM said AS a JOIN said AS b ON b.side = a.side AND b.message_id = a.message_id "
        "WHERE a.side = {0!r} AND a.is_response = 1 AND b.is_response = 0 AND a.stamped_at <> '' AND b.stamped_at <> '' "
        "AND a.stamped_at < b.stamped_at ORDER BY 1",
    ),
)
_DIFFERENT = (
    "SELECT a.message_id, a.is_response, a.place FROM said AS a WHERE a.side = 'A' AND EXISTS (SELECT 1 FROM said AS b "
    "WHERE b.side = 'B' AND b.message_id = a.message_id AND b.is_response = a.is_response) AND NOT EXISTS (SELECT 1 FROM said "
    "AS b WHERE b.side = 'B' AND b.message_id = a.message_id AND b.is_response = a.is_response AND b.digest = a.digest) "
    "ORDER BY 1, 2"
)


class Disagreement(msgspec.Struct, frozen=True):
    """One message on which two sides do not agree, and where it lies."""

    words: Text
    message_id: str
    is_response: bool
    where: str

    @property
    def what(self) -> str:
        """Why they do not agree, for programs: ``only in A``."""
        return self.words.into(SOURCE_LANGUAGE)


class Reconciled(msgspec.Struct, frozen=True):
    """Two sides compared: containers of each side, names of those that could not be read, and what differs."""

    counts: tuple[int, int]
    unread: tuple[str, ...]
    disagreements: tuple[Disagreement, ...]


def reconcile(a: Path, b: Path, work: Path | None = None) -> Reconciled:
    """Compare two sides. ``work`` is a file for what is compared, where memory would not do. Raises OSError."""
    with contextlib.closing(sqlite3.connect(work or ":memory:")) as database:
        database.execute(_TABLE)
        unread: list[str] = []
        counts = tuple(_take(database, side, path, unread) for side, path in (("A", a), ("B", b)))
        database.commit()
        found = [d for words, sql in _queries() for d in _disagreements(database, words, sql)]
    return Reconciled((counts[0], counts[1]), tuple(unread), tuple(found))


def _queries() -> Iterator[tuple[Text, str]]:
    for words, sql in _QUESTIONS:
        for sides in (("A", "B"), ("B", "A")):
            yield words(sides[0]), sql.format(*sides)
    yield N_("digests differ"), _DIFFERENT


def _disagreements(database: sqlite3.Connection, words: Text, sql: str) -> Iterator[Disagreement]:
    for message_id, is_response, place in database.execute(sql):
        yield Disagreement(words, str(message_id), bool(is_response), str(place))


def _take(database: sqlite3.Connection, side: str, path: Path, unread: list[str]) -> int:
    count = 0
    for place, container in _containers([path]):
        count += 1
        try:
            if not isinstance(container, Container):
                raise container
            row = _row(container)
        except Fault as fault:
            unread.append(f"{place}: {fault.detail}")
            continue
        database.execute("INSERT OR IGNORE INTO said VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (side, *row, place))
    return count


def _containers(paths: Iterable[Path]) -> Iterator[tuple[str, Container | Fault]]:
    for unit in find_units(paths):
        with Path(unit.path).open("rb") as source:
            contained_here = contained(source)
            if not contained_here:
                yield unit.path, _read(source)
                continue
            archive = open_zip(source)
            for name in contained_here[unit.start : unit.end or None]:
                with archive.open(name) as container:
                    yield f"{unit.path}: {name}", _read(container)


def _read(source: IO[bytes]) -> Container | Fault:
    try:
        return read_container(source)
    except Fault as fault:
        return fault


def _row(container: Container) -> tuple[str, int, bytes, bytes, str, str]:
    """Message id, direction, digest of the message, digest of the signature value, when it was signed and timestamped.

    Times are those that are said; what proves them is `gateway audit verify`'s.
    """
    document = xades.parse_signature_document(container.signature)
    signature = signature_digest(container.signature)
    token = container.timestamp or next(iter(document.timestamps), None)
    times = (document.signing_time, "" if token is None else stamped_at(token).isoformat())
    if container.withheld is not None:
        digest = dict(container.signed_parts()).get("/message.xml", b"")
        withheld = container.withheld
        return withheld.message_id, int(withheld.is_response), digest, signature, *times
    message = container.message
    if message.lstrip()[:1] == b"<" or message.startswith(b"\xef\xbb\xbf"):
        parsed = soap.parse_message(message)
        return parsed.message_id, int(parsed.is_response), digest_of(message), signature, *times
    is_response = rest.is_response_part(message)
    message_id = (rest.parse_response(message) if is_response else rest.parse_request(message)).message_id
    return message_id, int(is_response), digest_of(message), signature, *times
