"""What somebody with the disk may do to a message log and its transparency log: each changes a copy, and says which record it hurt."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from certs.transparency import NoteSigner
from gateway.messagelog.committed import CommittedReader
from gateway.messagelog.keys import LogKeys
from gateway.messagelog.places import FolderPlace
from gateway.messagelog.reading import LogReader
from gateway.messagelog.record import chain_value
from gateway.messagelog.rows import DIGESTED, MESSAGE_PLACE
from gateway.messagelog.steps import DATABASE
from gateway.transparency.builder import LogBuilder
from gateway.transparency.files import TransparencyFiles
from gateway.transparency.verification import Findings, ShownContainer, verify_message_log
from schemas.transparency.entries import OPENING_BYTES, parse_opening
from schemas.transparency.notes import ED25519, SignedNote, VerifierKey, parse_note
from schemas.transparency.records import record_digest
from schemas.transparency.tiles import WIDTH, TileName, parse_bundle, render_bundle
from tests.logs import NOW

ORIGIN = "MX/GOB/A/SS1"
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
WITNESS = NoteSigner("MX/GOB/B/SS2/witness", Ed25519PrivateKey.from_private_bytes(b"w" * 32))


@dataclass(frozen=True, slots=True)
class Books:
    """A message log and its transparency log in a folder."""

    folder: Path

    @property
    def files(self) -> TransparencyFiles:
        return TransparencyFiles(self.folder / "transparency")

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """The message log's database, its changes in one transaction and nothing checked."""
        connection = sqlite3.connect(self.folder / DATABASE, isolation_level=None)
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        yield connection
        connection.execute("COMMIT")
        connection.close()

    def reader(self) -> CommittedReader:
        keys = LogKeys(self.folder.with_name(f"{self.folder.name}-keys"))
        place = FolderPlace(self.folder)
        return CommittedReader(LogReader(place.open(), place.bodies, keys))

    def builder(self) -> LogBuilder:
        return LogBuilder(self.files, self.reader(), KEY, ORIGIN, lambda: NOW)

    def cosigned(self) -> SignedNote:
        """The head, as a witness has signed it too."""
        note = self.files.read_checkpoint()
        assert note is not None
        return note.signed_also(WITNESS.cosign(note, datetime(2026, 1, 3, tzinfo=UTC)))

    def containers(self) -> list[ShownContainer]:
        """What archives of every record show."""
        size = int(self.cosigned().text.split("\n")[1])
        return [
            ShownContainer(o.number, o.signature_digest, f"archive, container {o.number}")
            for o in self.files.openings(size)
        ]

    def copy(self, target: Path) -> Books:
        shutil.copytree(self.folder, target)
        return Books(target)


def log_key() -> VerifierKey:
    return NoteSigner(ORIGIN, KEY).verifier(ED25519)


def verify(
    books: Books,
    *earlier: bytes,
    mirror: Books | None = None,
    containers: Sequence[ShownContainer] = (),
) -> Findings:
    """What a third party finds, who has earlier checkpoints and perhaps a copy of the tiles."""
    return verify_message_log(
        books.files,
        books.reader(),
        log_key(),
        earlier=[parse_note(raw) for raw in earlier],
        mirror=None if mirror is None else mirror.files,
        containers=containers,
    )


# The message log's database. ``n`` is the record that is hurt.


def rechain(connection: sqlite3.Connection) -> None:
    """Compute the chain of the message log anew, as who owns the disk can."""
    chain = bytes(32)
    rows = connection.execute(f"SELECT id, {DIGESTED}, message_digest FROM record ORDER BY id").fetchall()
    for row in rows:
        fields = list(row[1:-1])
        fields[MESSAGE_PLACE] = row[-1]
        chain = chain_value(chain, record_digest(fields))
        connection.execute("UPDATE record SET chain = ? WHERE id = ?", (chain, row[0]))


def _renumber(connection: sqlite3.Connection, start: int, by: int) -> None:
    for table, column in (("record", "id"), ("stamped", "record_id")):
        connection.execute(f"UPDATE {table} SET {column} = -({column} + ?) WHERE {column} >= ?", (by, start))
        connection.execute(f"UPDATE {table} SET {column} = -{column} WHERE {column} < 0")


def _delete(connection: sqlite3.Connection, first: int, last: int) -> None:
    connection.execute("DELETE FROM stamped WHERE record_id BETWEEN ? AND ?", (first, last))
    connection.execute("DELETE FROM record WHERE id BETWEEN ? AND ?", (first, last))


def delete(connection: sqlite3.Connection, n: int) -> None:
    _delete(connection, n, n)


def delete_and_renumber(connection: sqlite3.Connection, n: int) -> None:
    _delete(connection, n, n)
    _renumber(connection, n + 1, -1)


def edit(connection: sqlite3.Connection, n: int) -> None:
    connection.execute("UPDATE record SET service = 'MX/GOB/A/S/other' WHERE id = ?", (n,))


def edit_time(connection: sqlite3.Connection, n: int) -> None:
    connection.execute("UPDATE record SET at_ms = at_ms - 1 WHERE id = ?", (n,))


def edit_signature(connection: sqlite3.Connection, n: int) -> None:
    connection.execute("UPDATE record SET signature = x'00' WHERE id = ?", (n,))


def reorder(connection: sqlite3.Connection, n: int) -> None:
    for old, new in ((n, -1), (n + 5, n), (-1, n + 5)):
        connection.execute("UPDATE record SET id = ? WHERE id = ?", (new, old))


def insert(connection: sqlite3.Connection, n: int) -> None:
    _renumber(connection, n, 1)
    columns = f"{DIGESTED}, chain, form, links, message_digest, is_reduced"
    copied = columns.replace("message_id", "'forged'", 1)
    connection.execute(
        f"INSERT INTO record (id, {columns}) SELECT ?, {copied} FROM record WHERE id = ?", (n, n + 1)
    )


def truncate(connection: sqlite3.Connection, n: int) -> None:
    _delete(connection, n, 1 << 40)


IN_DATABASE: dict[str, Callable[[sqlite3.Connection, int], None]] = {
    f.__name__: f
    for f in (delete, delete_and_renumber, edit, edit_time, edit_signature, reorder, insert, truncate)
}


# Its tiles


def _bundle(books: Books, n: int) -> tuple[Path, list[bytes]]:
    """The bundle that has the entry of record n, and its entries."""
    size = int(books.cosigned().text.split("\n")[1])
    index = n // WIDTH
    width = min(WIDTH, size - index * WIDTH)
    path = books.files.folder / TileName(None, index, width).path
    return path, parse_bundle(path.read_bytes(), width)


def edit_entry(books: Books, n: int) -> None:
    path, entries = _bundle(books, n)
    entries[n % WIDTH] = b"\x01" + bytes(32)
    path.write_bytes(render_bundle(entries))


def reorder_entries(books: Books, n: int) -> None:
    path, entries = _bundle(books, n)
    place = n % WIDTH
    entries[place], entries[place + 1] = entries[place + 1], entries[place]
    path.write_bytes(render_bundle(entries))


def insert_entry(books: Books, n: int) -> None:
    path, entries = _bundle(books, n)
    entries.insert(n % WIDTH, b"\x01" + bytes(32))
    path.write_bytes(render_bundle(entries[:-1]))


def delete_entry(books: Books, n: int) -> None:
    path, entries = _bundle(books, n)
    entries.append(entries.pop(n % WIDTH))
    path.write_bytes(render_bundle(entries))


def edit_leaf_tile(books: Books, n: int) -> None:
    path = books.files.folder / _bundle(books, n)[0].relative_to(books.files.folder).as_posix().replace(
        "entries", "0"
    )
    raw = bytearray(path.read_bytes())
    raw[(n % WIDTH) * 32] ^= 1
    path.write_bytes(raw)


def edit_opening(books: Books, n: int) -> None:
    path = books.files.folder / "openings"
    raw = bytearray(path.read_bytes())
    opening = parse_opening(bytes(raw[n * OPENING_BYTES : (n + 1) * OPENING_BYTES]))
    raw[n * OPENING_BYTES + OPENING_BYTES - 64 : n * OPENING_BYTES + OPENING_BYTES - 32] = bytes(32)
    assert opening.number == n
    path.write_bytes(raw)


def truncate_openings(books: Books, n: int) -> None:
    path = books.files.folder / "openings"
    path.write_bytes(path.read_bytes()[: n * OPENING_BYTES])


IN_TILES: dict[str, Callable[[Books, int], None]] = {
    f.__name__: f
    for f in (
        edit_entry,
        reorder_entries,
        insert_entry,
        delete_entry,
        edit_leaf_tile,
        edit_opening,
        truncate_openings,
    )
}


# Its archives


def archives_changed(what: str, shown: Sequence[ShownContainer], n: int) -> list[ShownContainer]:
    """The containers that archives show after a change at record n."""
    found, place = list(shown), n - 1
    match what:
        case "delete":
            del found[place]
        case "edit":
            found[place] = ShownContainer(n, bytes(32), "archive, edited")
        case "reorder":
            a, b = found[place], found[place + 1]
            found[place] = ShownContainer(a.number, b.signature_digest, "archive, exchanged")
            found[place + 1] = ShownContainer(b.number, a.signature_digest, "archive, exchanged")
        case "insert":
            found.insert(place, ShownContainer(n, bytes(32), "archive, put in"))
        case "twice":
            found.append(found[place])
    return found


IN_ARCHIVES = ("delete", "edit", "reorder", "insert", "twice")
