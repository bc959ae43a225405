"""A gateway's state moved from the SQLite of its data folder to a database that nodes share, or back, with its evidence.

The order: message log with its bodies and keys, monitoring records, users and audit log, and the configuration last, its server as
the very last row. Until that one is there no gateway starts on the target, and the source stays what it was; so a move that was
stopped is begun again with the same command. Only when every row was compared does the caller switch over.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from certs.edges.tokenfiles import sync_folder
from gateway.messagelog import rows
from gateway.messagelog.committed import CommittedReader
from gateway.messagelog.partitions import SHARED_STEPS
from gateway.messagelog.places import FolderBodies
from gateway.messagelog.reading import LogReader
from gateway.messagelog.record import FIRST_CHAIN_VALUE, chain_value
from gateway.messagelog.shared import PIECE_BYTES, SCHEMA, DatabaseBodies
from gateway.messagelog.steps import DATABASE
from gateway.messagelog.steps import STEPS as LOG_STEPS
from gateway.migrations.serverconf import STEPS
from gateway.monitoring import store as monitoring
from schemas.faults import Fault
from serving.errors import OperatorError
from serving.login import users
from serving.storage.database import Database
from serving.storage.moving import MovedPart, compare_tables, copy_tables, tables_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gateway.settings.datafolder import DataFolder
    from serving.storage.database import AnyDatabase
    from serving.storage.moving import MovedTable

_TOGETHER = 500


PARTS = (
    MovedPart("message log", f"log/{DATABASE}", LOG_STEPS, SCHEMA, SHARED_STEPS),
    MovedPart("monitoring", "log/opmonitoring.sqlite", monitoring.STEPS, monitoring.SCHEMA),
    MovedPart("users and audit log", "admin.sqlite", users.LOGIN_STEPS, users.SCHEMA),
    MovedPart("configuration", "serverconf.sqlite", STEPS, ""),
)


def move_gateway(source: DataFolder, target: DataFolder) -> Generator[str]:
    """Copy everything and prove that it is the same; a line for each piece. Raises `OperatorError`, OSError: nothing was switched."""
    _check_empty(target)
    for part in PARTS:
        here, there = (part.open(folder.root, folder.database) for folder in (source, target))
        try:
            sqlite = here if isinstance(here, Database) else there
            if not isinstance(sqlite, Database):
                raise OperatorError("a gateway is moved between the SQLite of its folder and PostgreSQL")
            tables = _server_last(tables_in(sqlite))
            for line in copy_tables(here, there, tables):
                yield f"{part.name}, {line}"
            if part.name == "message log":
                yield from _move_bodies(source, target, here)
                _move_keys(source, target)
            compare_tables(here, there, tables)
            if part.name == "message log":
                yield _verified_chain(there, target)
        finally:
            here.close()
            there.close()


def _check_empty(target: DataFolder) -> None:
    database = PARTS[-1].open(target.root, target.database)
    try:
        found = database.query("SELECT server_id FROM server")
    finally:
        database.close()
    if found:
        raise OperatorError(
            f"the target holds the server {found[0][0]} already; name an empty database (createdb). Nothing was changed"
        )


def _server_last(tables: list[MovedTable]) -> list[MovedTable]:
    return sorted(tables, key=lambda table: table.name == "server")


def _move_bodies(source: DataFolder, target: DataFolder, log: AnyDatabase) -> Iterator[str]:
    here, there = source.message_log.bodies, target.message_log.bodies
    count = 0
    try:
        for (name,) in log.query("SELECT file_name FROM attachment WHERE file_name IS NOT NULL"):
            digest = _digest(_pieces(here, str(name)))
            if _digest(_pieces(there, str(name))) != digest:
                there.remove([str(name)])
                _keep(there, str(name), _pieces(here, str(name)))
                if _digest(_pieces(there, str(name))) != digest:
                    raise OperatorError(
                        f"the copy of the body {name} is not what was copied; nothing was switched over"
                    )
            count += 1
    finally:
        here.close()
        there.close()
    yield f"message log, bodies: {count}"


def _pieces(bodies: Any, name: str) -> Iterator[bytes]:
    """The bytes of a body as they are kept; none for one that is not there."""
    try:
        if isinstance(bodies, FolderBodies):
            with (bodies.folder / name).open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    yield piece
        else:
            yield from bodies.pieces(name)
    except FileNotFoundError:
        return


def _keep(bodies: Any, name: str, pieces: Iterator[bytes]) -> None:
    if isinstance(bodies, DatabaseBodies):
        bodies.keep_pieces(name, pieces)
        return
    with (bodies.folder / name).open("wb") as file:
        os.fchmod(file.fileno(), 0o600)
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    # On disk now: the body. Its row comes after it, so a crash leaves a body that the next move writes again.
    sync_folder(bodies.folder)


def _digest(pieces: Iterator[bytes]) -> bytes:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.digest()


def _move_keys(source: DataFolder, target: DataFolder) -> None:
    here, there = source.message_log_keys, target.message_log_keys
    try:
        if here.mark() is None:
            return
        content = here.read()
        with there.locked():
            if there.mark() is None or there.read() != content:
                there.write(content)
    finally:
        here.close()
        there.close()


def _verified_chain(log: AnyDatabase, target: DataFolder) -> str:
    """Walk the chain of the copy by what is clear in it. Raises `OperatorError` at the first record that does not follow."""
    keys: Any = None  # what is sealed is not opened here
    reader = LogReader(log, target.message_log.bodies, keys)
    committed = CommittedReader(reader)
    number, chain = rows.last_chain(reader.query, "removed") or (0, FIRST_CHAIN_VALUE)
    count = 0
    while True:
        try:
            some = committed.committed_after(number, _TOGETHER)
        except Fault:
            return (
                f"message log, chain: records after {number} need the keys; verify it with gateway log verify"
            )
        if not some:
            return f"message log, chain of {count} records: whole"
        found = reader.query(
            "SELECT id, chain FROM record WHERE id BETWEEN ? AND ?", [some[0].number, some[-1].number]
        )
        kept = {row[0]: row[1] for row in found}
        for record in some:
            chain = chain_value(chain, record.digest)
            if record.number != number + 1 or kept[record.number] != chain:
                raise OperatorError(
                    f"the chain of the copy breaks at record {record.number}; nothing was switched over"
                )
            number, count = record.number, count + 1
