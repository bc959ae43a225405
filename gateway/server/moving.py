"""A gateway's state moved from the SQLite of its data folder to a database that nodes share, or back, with its evidence.

The order: message log with its bodies and keys, monitoring records, users and audit log, and the configuration last, its server as
the very last row. Until that one is there no gateway starts on the target, and the source stays what it was; so a move that was
stopped is begun again with the same command. Only when every row was compared does the caller switch over.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from certs.edges.tokenfiles import sync_folder
from gateway.messagelog import rows
from gateway.messagelog.body_store import FAR
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
from serving.language import N_, _
from serving.login import users
from serving.storage.moving import MovedPart, both_sides

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gateway.settings.datafolder import DataFolder
    from serving.storage.database import AnyDatabase

_TOGETHER = 500


PARTS = (
    MovedPart("message log", f"log/{DATABASE}", LOG_STEPS, SCHEMA, SHARED_STEPS),
    MovedPart("monitoring", "log/opmonitoring.sqlite", monitoring.STEPS, monitoring.SCHEMA),
    MovedPart("users and audit log", "admin.sqlite", users.LOGIN_STEPS, users.SCHEMA),
    MovedPart("configuration", "serverconf.sqlite", STEPS, "", last="server"),
)


def move_gateway(source: DataFolder, target: DataFolder) -> Generator[str]:
    """Copy everything and prove that it is the same; a line for each piece. Raises `OperatorError`, OSError: nothing was switched."""
    _check_source(source)
    _check_empty(target)
    for part in PARTS:
        with both_sides([(folder.root, folder.database) for folder in (source, target)], part) as sides:
            yield from sides.copy()
            if part.name == "message log":
                yield from _move_bodies(source, target, sides.here)
                _move_keys(source, target)
            sides.compare()
            if part.name == "message log":
                yield _verified_chain(sides.there, target)


def was_moved(source: DataFolder, target: DataFolder) -> bool:
    """Whether the target goes on from what a folder's SQLite holds: a move was stopped between its end and the files' other names."""
    log, configuration = PARTS[0], PARTS[-1]
    folders = [(folder.root, folder.database) for folder in (source, target)]
    with both_sides(folders, configuration) as sides:
        here, there = (side.query("SELECT server_id FROM server") for side in (sides.here, sides.there))
    if not here or here != there:
        return False
    if not (source.root / log.path).exists():  # it has its other name already
        return True
    with both_sides(folders, log) as sides:
        end = rows.last_chain(sides.here.query, "record") or (0, FIRST_CHAIN_VALUE)
        removed = rows.last_chain(sides.there.query, "removed") or (0, FIRST_CHAIN_VALUE)
        found = sides.there.query("SELECT chain FROM record WHERE id = ?", (end[0],))
    return end[0] <= removed[0] or [bytes(chain) for (chain,) in found] == [end[1]]


def compare_gateway(source: DataFolder, target: DataFolder) -> Iterator[str]:
    """Prove that a copy which no node works on yet is whole; a line for each part. Raises `OperatorError`, OSError."""
    for part in PARTS:
        with both_sides([(folder.root, folder.database) for folder in (source, target)], part) as sides:
            sides.compare()
        yield f"{part.name}: {_('the same')}"


def _check_source(source: DataFolder) -> None:
    configuration = PARTS[-1]
    if source.database or (source.root / configuration.path).exists():
        with contextlib.closing(configuration.open(source.root, source.database)) as database:
            if database.query("SELECT server_id FROM server"):
                return
    raise OperatorError(N_("there is no gateway to be moved: {where} holds none", where=source.root))


def _check_empty(target: DataFolder) -> None:
    database = PARTS[-1].open(target.root, target.database)
    try:
        found = database.query("SELECT server_id FROM server")
    finally:
        database.close()
    if found:
        raise OperatorError(
            N_(
                "the target holds the server {found} already; name an empty database (createdb). Nothing was changed",
                found=found[0][0],
            )
        )


def _move_bodies(source: DataFolder, target: DataFolder, log: AnyDatabase) -> Iterator[str]:
    here, there = source.message_log.near, target.message_log.near
    count = 0
    try:
        for (name,) in log.query(
            "SELECT file_name FROM attachment WHERE file_name IS NOT NULL AND file_name NOT LIKE ?",
            (f"{FAR}%",),
        ):
            digest = _digest(_pieces(here, str(name)))
            if _digest(_pieces(there, str(name))) != digest:
                there.remove([str(name)])
                _keep(there, str(name), _pieces(here, str(name)))
                if _digest(_pieces(there, str(name))) != digest:
                    raise OperatorError(
                        N_(
                            "the copy of the body {name} is not what was copied; nothing was switched over",
                            name=name,
                        )
                    )
            count += 1
    finally:
        here.close()
        there.close()
    yield f"message log, bodies: {count}"
    # Those in an object store stay where they are, under the names that the copied records have too.
    far = [
        str(n) for (n,) in log.query("SELECT file_name FROM attachment WHERE file_name LIKE ?", (f"{FAR}%",))
    ]
    if far:
        yield _checked_far(target, far)


def _checked_far(target: DataFolder, names: Sequence[str]) -> str:
    """Find every body that records name in the object store of the target. Raises `OperatorError` for one that is not there, OSError."""
    objects = target.message_log.objects
    if objects is None:
        raise OperatorError(
            N_(
                "{count} bodies of large messages are in an object store, and node.bodies names none: set it to the one that they were written to, and begin again; nothing was switched over",
                count=len(names),
            )
        )
    missing = objects.missing(names)
    if missing:
        raise OperatorError(
            N_(
                "{count} bodies that records name are not in the object store {store}, {name} among them: set node.bodies to the one that they were written to, or bring them there from a backup; nothing was switched over",
                count=len(missing),
                store=target.objects,
                name=missing[0],
            )
        )
    return f"message log, bodies in the object store: {len(names)}"


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
                    N_(
                        "the chain of the copy breaks at record {number}; nothing was switched over",
                        number=record.number,
                    )
                )
            number, count = record.number, count + 1
