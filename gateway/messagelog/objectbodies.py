"""Bodies in an object store (``node.bodies``): each in pieces of at most `PIECE_BYTES`, objects that are written once, sealed as its file would be.

A body is in the store, whole, before its record is built; the record names it as ``objects/TIME-NAME.PIECES``. A crash in between
leaves objects that no record names, which the archiver's rounds remove once they are `UNNAMED_S` old by the store's clock
(`remove_unnamed`). What is removed while the store is away is left like that too.
"""

from __future__ import annotations

import asyncio
import io
import logging
import re
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from gateway.messagelog.body_store import FAR, UNNAMED_S, PieceReader, sealed_pieces, unnamed_among
from gateway.messagelog.sealing import open_stream
from schemas.faults import Fault, Kind
from serving.storage.objects import ObjectFolder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gateway.messagelog.body_store import Bodies, KeptBody
    from serving.storage.database import AnyDatabase

log = logging.getLogger("gateway.messagelog")

PIECE_BYTES = 4 * 1024 * 1024
# So many bodies at a time are on their way, a piece of each in memory.
_AT_A_TIME = 8
_REMOVED_TOGETHER = 500
# The beginning of a name: when it was begun.
_MINUTE = "%Y%m%dT%H%M"
_NAME = re.compile(r"[0-9]{8}T[0-9]{4}-[^/]+/[0-9]{6}")


class ObjectBodies:
    """The bodies in one object store."""

    def __init__(self, address: str) -> None:
        self._objects = ObjectFolder(address)
        self._turns = asyncio.Semaphore(_AT_A_TIME)
        # Up to this name there is nothing that a crash left.
        self._clean_to = ""

    def warning(self) -> str:
        """Why the store cannot be used, as the last request found; empty while it can."""
        return self._objects.reason and f"large bodies cannot be kept or given out: {self._objects.reason}"

    async def look(self) -> None:
        """Find out whether a store that was away is back; `warning` tells."""
        if self._objects.reason:
            try:
                await self._objects.look()
            except OSError as err:
                log.debug("the object store is away", extra={"event": "log_failed", "reason": str(err)})

    async def keep(self, bodies: Sequence[KeptBody]) -> list[KeptBody]:
        """Have the large ones among an entry's bodies in the store; all of them, as they are kept now. Raises OSError, `Fault`."""
        async with self._turns:
            return [await self._keep(body) if body.is_near else body for body in bodies]

    async def _keep(self, body: KeptBody) -> KeptBody:
        loop, begun_s = asyncio.get_running_loop(), time.monotonic()
        stem, count = f"{datetime.now(UTC):{_MINUTE}}-{body.file_name}", 0
        pieces = sealed_pieces(body, PIECE_BYTES)
        while piece := await loop.run_in_executor(None, next, pieces, b""):
            # In the store whole from here on, and nobody's: a crash leaves pieces that `remove_unnamed` finds.
            await self._objects.put(_piece(stem, count), piece)
            count += 1
        return msgspec.structs.replace(body, file_name=f"{FAR}{stem}.{count}", begun_s=begun_s)

    def chunks(self, name: str, key: bytes) -> Iterable[bytes]:
        """A body, a clear chunk at a time. Raises `Fault`."""
        return open_stream(io.BufferedReader(PieceReader(self._pieces(name)), PIECE_BYTES), key)

    def _pieces(self, name: str) -> Iterator[bytes]:
        for piece in _pieces_of(name):
            try:
                yield self._objects.read(piece)
            except OSError as err:
                log.error("a body cannot be read", extra={"event": "log_failed", "reason": str(err)})
                raise Fault(
                    Kind.LOGGING_FAILED,
                    f"the body {name} cannot be read from the object store (node.bodies); this server's log says why",
                ) from err

    def missing(self, names: Iterable[str]) -> list[str]:
        """Those bodies of which a piece is not in the store, by a listing; the first one that is there is read. Raises OSError."""
        there = {name for name, _at in self._objects.listed()}
        whole = [name for name in names if there.issuperset(_pieces_of(name))]
        if whole:
            self._objects.read(_pieces_of(whole[0])[0])
        return sorted(set(names).difference(whole))

    def remove(self, names: Iterable[str]) -> None:
        """Remove bodies that no record names any more; what cannot be removed now is found by `remove_unnamed`."""
        pieces = [piece for name in names for piece in _pieces_of(name)]
        try:
            for start in range(0, len(pieces), _REMOVED_TOGETHER):
                self._objects.remove(pieces[start : start + _REMOVED_TOGETHER])
        except OSError as err:
            self._clean_to = ""
            log.warning(
                "bodies stay in the object store until a later round",
                extra={"event": "bodies_left", "reason": str(err)},
            )

    def remove_unnamed(self, database: AnyDatabase) -> int:
        """Remove what a crash left, from where the last call came to; how many objects. Raises OSError."""
        before, clean_to = datetime.now(UTC) - timedelta(seconds=UNNAMED_S), ""
        old: list[str] = []
        is_clean = True
        for name, at in self._objects.listed(self._clean_to):
            if not _NAME.fullmatch(name):
                continue  # none of a log's
            is_clean = is_clean and at < before
            clean_to = name.partition("/")[0] if is_clean else clean_to
            if at < before:
                old.append(name)
        # After the listing: what was old by then was named, if at all, half of `UNNAMED_S` before.
        stems = sorted({name.partition("/")[0] for name in old})
        gone = set(unnamed_among(database, stems, _made_ms(self._clean_to), _stem))
        unnamed = [name for name in old if name.partition("/")[0] in gone]
        for start in range(0, len(unnamed), _REMOVED_TOGETHER):
            self._objects.remove(unnamed[start : start + _REMOVED_TOGETHER])
        self._clean_to = max(clean_to, self._clean_to)
        return len(unnamed)


class SplitBodies:
    """Bodies near the log's tables and bodies in an object store, each found where its name says it is."""

    def __init__(self, near: Bodies, far: ObjectBodies) -> None:
        self._near, self._far = near, far

    def chunks(self, name: str, key: bytes) -> Iterable[bytes]:
        """A body, a clear chunk at a time."""
        return (self._far if name.startswith(FAR) else self._near).chunks(name, key)

    def remove(self, names: Iterable[str]) -> None:
        """Delete bodies by their names, each where it is; one that is not there is no error."""
        gone = list(names)
        self._near.remove([name for name in gone if not name.startswith(FAR)])
        self._far.remove([name for name in gone if name.startswith(FAR)])

    def remove_unnamed(self, database: AnyDatabase) -> None:
        """Delete the log's own bodies that no record names; those in the object store are for the archiver's rounds."""
        self._near.remove_unnamed(database)

    def close(self) -> None:
        """Close the log's own bodies; the object store is closed by whoever opened it."""
        self._near.close()


def all_bodies(near: Bodies, far: ObjectBodies | None) -> Bodies:
    """The bodies of a log: its own, together with those in an object store where there is one."""
    return near if far is None else SplitBodies(near, far)


def check_near(name: str) -> None:
    """Refuse the name of a body in an object store, where none is set. Raises `Fault`."""
    if name.startswith(FAR):
        raise Fault(
            Kind.LOGGING_FAILED,
            f"the body {name} is in an object store, and none is named: set node.bodies to the one it was written to",
        )


def _made_ms(stem: str) -> int:
    """When the body of a name was begun, in milliseconds; 0 where the name does not say."""
    try:
        return int(datetime.strptime(f"{stem.partition('-')[0]}Z", f"{_MINUTE}%z").timestamp() * 1000)
    except ValueError:
        return 0


def _stem(name: str) -> str:
    return name.removeprefix(FAR).rpartition(".")[0]


def _piece(stem: str, number: int) -> str:
    return f"{stem}/{number:06}"


def _pieces_of(name: str) -> list[str]:
    return [_piece(_stem(name), number) for number in range(int(name.rpartition(".")[2]))]
