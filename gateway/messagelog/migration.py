"""Sealing in place what a log holds in clear, written by a version that did not seal.

A transaction at a time: a record whose ``form`` is 1 is sealed whole, any other is as it was. A body's file is written anew,
sealed, under a new name before the transaction that names it; the clear file goes after. A crash leaves both, and the next
start goes on: the file that no row names is removed then. At the end the database is written anew (VACUUM) and its
write-ahead log emptied, so that no freed page keeps what was clear, and only then is that noted in the table ``sealed``.
The chain stays as it is: it is over what was logged, and what was logged can be opened.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from typing import TYPE_CHECKING

from certs.edges.tokenfiles import sync_folder
from gateway.messagelog.record import sealed_label
from gateway.messagelog.rows import to_moment
from gateway.messagelog.sealing import CHUNK, KEY_BYTES, NONCE_BYTES, seal
from gateway.messagelog.spool import write_sealed
from serving.storage.database import connect, kept_copies

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.messagelog.keys import LogKeys
    from serving.storage.database import AnyDatabase

log = logging.getLogger("gateway.messagelog")

_TOGETHER = 200


def has_sealed(database: AnyDatabase) -> bool:
    """Whether something rests on the keys: sealed records, or what became of them."""
    (row,) = database.query(
        "SELECT EXISTS (SELECT 1 FROM record WHERE form = 1) OR (EXISTS (SELECT 1 FROM sealed) "
        "AND (EXISTS (SELECT 1 FROM archive) OR EXISTS (SELECT 1 FROM removed)))"
    )
    return bool(row[0])


def seal_clear_records(database: Path, bodies: Path, keys: LogKeys) -> int:
    """Seal every record that is clear; how many were. Nothing is in clear on the disk once this returns."""
    connection = connect(database)
    try:
        if connection.execute("SELECT 1 FROM sealed").fetchone():
            return 0
        connection.execute("PRAGMA secure_delete = ON")
        count = 0
        while some := _seal_some(connection, bodies, keys):
            count += some
        if connection.execute(
            "SELECT EXISTS (SELECT 1 FROM record), EXISTS (SELECT 1 FROM removed)"
        ).fetchone() != (0, 0):
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        # On disk after this: a log that is sealed whole. A crash before it leaves some records sealed; the next start goes on.
        connection.execute("INSERT INTO sealed (id, at_ms) VALUES (1, ?)", (int(time.time() * 1000),))
    finally:
        connection.close()
    # A copy that was kept before the tables changed holds what is sealed now.
    for copy in kept_copies(database):
        copy.unlink()  # a crash before it leaves a copy in clear, which the next migration's copy takes the place of
    if count:
        log.info("the message log is sealed", extra={"event": "log_sealed", "records": count})
    return count


def _seal_some(connection: sqlite3.Connection, bodies: Path, keys: LogKeys) -> int:
    found = connection.execute(
        "SELECT id, message, at_ms FROM record WHERE form = 0 ORDER BY id LIMIT ?", (_TOGETHER,)
    ).fetchall()
    clear_files: list[Path] = []
    connection.execute("BEGIN IMMEDIATE")
    try:
        for record_id, message, at_ms in found:
            keys.prepare(record_id, to_moment(at_ms))
            key = keys.record_key(record_id)
            sealed = _sealed(key, bytes(message), record_id, "message")
            connection.execute(
                "UPDATE record SET message = ?, message_digest = ?, form = 1 WHERE id = ?",
                (sealed, hashlib.sha512(message).digest(), record_id),
            )
            clear_files += _seal_attachments(connection, bodies, record_id, key)
        sync_folder(bodies)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")  # from here on these are sealed; a crash leaves clear files nobody names
    for path in clear_files:
        path.unlink(missing_ok=True)
    return len(found)


def _seal_attachments(connection: sqlite3.Connection, bodies: Path, record_id: int, key: bytes) -> list[Path]:
    clear_files: list[Path] = []
    for number, content, clear_name in connection.execute(
        "SELECT number, content, file_name FROM attachment WHERE record_id = ?", (record_id,)
    ).fetchall():
        what = f"attachment {number}"
        sealed = None if content is None else _sealed(key, bytes(content), record_id, what)
        file_name = file_key = None
        if clear_name is not None:
            clear_files.append(bodies / clear_name)
            file_name = f"{secrets.token_hex(16)}-s"
            own = secrets.token_bytes(KEY_BYTES)
            write_sealed(bodies / file_name, _chunks(clear_files[-1]), own)
            file_key = _sealed(key, own, record_id, f"key of {what}")
        connection.execute(
            "UPDATE attachment SET content = ?, file_name = ?, file_key = ? WHERE record_id = ? AND number = ?",
            (sealed, file_name, file_key, record_id, number),
        )
    return clear_files


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk


def _sealed(key: bytes, clear: bytes, record_id: int, what: str) -> bytes:
    return seal(key, secrets.token_bytes(NONCE_BYTES), clear, sealed_label(record_id, what))
