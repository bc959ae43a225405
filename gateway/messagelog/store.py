"""The message log: append-only, sealed, one writer a process, group commit. Its shape is decision 0024.

Whoever appends waits for the disk. What waits is built into a batch on the event loop (`gateway.messagelog.building`), written in one
transaction by a thread (`gateway.messagelog.writing`), and only then is everyone in it answered; what comes meanwhile is the
next batch. A commit that fails is answered with `Fault` to everyone in it, nothing of it is in the log, and its numbers are
given anew. What waits is bounded; beyond that a message is refused at once.

Where it stands, a folder or a database that several nodes write (`write_shared`), is its place's affair
(`gateway.messagelog.places`). Messages and bodies are sealed under a key of the record (`gateway.messagelog.keys`); while the keys are closed nothing is taken, and nothing is ever written in clear instead. A log that
an earlier version wrote in clear is sealed when its keys open.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.messagelog import migration, rows
from gateway.messagelog.body_store import plan_bodies
from gateway.messagelog.bodyrules import BodyRules
from gateway.messagelog.building import ChainEnd, build_batch
from gateway.messagelog.committed import FreshRecords
from gateway.messagelog.erasure import finish_erasures
from gateway.messagelog.places import place_of
from gateway.messagelog.reading import LogReader
from gateway.messagelog.record import LogEntry, LogRecord, Unstamped
from gateway.messagelog.writing import LogWriter, chain_end
from schemas.faults import Fault, Kind
from schemas.message import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from pathlib import Path

    from gateway.messagelog.body_store import KeptBody
    from gateway.messagelog.building import Batch
    from gateway.messagelog.keys import KeySecret, LogKeys
    from gateway.messagelog.places import LogPlace
    from schemas.identifiers import ClientId

__all__ = ["LogEntry", "LogSettings", "MessageLog", "Side"]

log = logging.getLogger("gateway.messagelog")

# The next batch is closed at so many bytes, so that large bodies do not stand in memory twice over in great number.
_BATCH_BYTES = 4 * 1024 * 1024
# Under load (so many records in the batch before) a batch gathers for so long, unless so many wait sooner: a commit costs the same
# processor time whatever is in it. Measured, docs/performance.md.
_UNDER_LOAD = 4
_GATHER_S = 0.005
_GATHERED = 32


class LogSettings(msgspec.Struct, frozen=True):
    """The bounds of the log: messages that may wait, messages a batch, and which bodies are kept."""

    queue_length: int = 10_000
    batch_length: int = 512
    bodies: BodyRules = msgspec.field(default_factory=BodyRules)


class _Waiting(msgspec.Struct):
    """An entry that waits for the disk; ``done`` gives its number, and is another future once its caller has gone.

    ``far`` is how its bodies are kept where one of them is in an object store already.
    """

    entry: LogEntry
    done: asyncio.Future[int]
    far: Sequence[KeptBody] | None
    is_answered: bool = False


class MessageLog:
    """The log of one security server. Open it once a process; appends come from the event loop."""

    def __init__(self, place: LogPlace, keys: LogKeys, settings: LogSettings | None = None) -> None:
        self._settings = settings or LogSettings()
        self.place = place
        self.bodies = place.bodies
        self.keys = keys
        self._is_begun = False
        self._why_closed = "its keys open once the software token is logged in (or with log.secret)"
        self._waiting: deque[_Waiting] = deque()
        self._length = 0  # of those who wait, with those of the batch that is being written
        self._is_writing = False
        self._last_length = 0  # of the batch before
        self._gathering: asyncio.TimerHandle | None = None  # opens the next batch
        self._turns: list[asyncio.Future[None]] = []  # of those who wait for the next batch to open
        self._idle: asyncio.Future[None] | None = None
        # Why the last batch could not be written; empty once one was, or could be.
        self._failure = ""
        self._end = ChainEnd()
        self._gate: Callable[[datetime], None] | None = None
        self.fresh = FreshRecords()
        self.reader = LogReader(place.open(), self.bodies, keys)
        # For what may be some seconds old: searches. The same reader, or one of a standby.
        standby = place.open_replica()
        self.searches = self.reader if standby is None else LogReader(*standby, keys)
        self._writer: LogWriter | None = None
        if keys.is_open:
            self.begin()

    @classmethod
    def open(
        cls, where: Path | LogPlace, keys: LogKeys, *, settings: LogSettings | None = None
    ) -> MessageLog:
        """The log in a folder or another place, made if it is not there. With closed keys it takes nothing until `unlock`."""
        return cls(place_of(where), keys, settings)

    @property
    def waiting(self) -> int:
        """The number of messages that wait for the disk."""
        return self._length

    @property
    def is_begun(self) -> bool:
        """Whether the log takes messages: it does between start and end."""
        return self._is_begun

    async def failure(self) -> str:
        """Why messages cannot be written, empty when they can: after a failure it is tried, for nobody may send any meanwhile."""
        if self._failure:
            try:
                await asyncio.to_thread(self.place.check_writable)
            except (OSError, sqlite3.Error) as err:
                log.debug("the message log stays closed", extra={"event": "log_failed", "reason": str(err)})
            else:
                self._failure = ""
        if self.place.objects is not None:
            await self.place.objects.look()
        return self._failure

    def unlock(self, secret: KeySecret) -> None:
        """Open the keys and begin. Raises `Fault` when they are missing, or not those of this log: then nothing begins."""
        try:
            self.keys.open(secret, may_make=not migration.has_sealed(self.reader.database))
            self.begin()
        except Fault as err:
            self._why_closed = err.detail
            self.keys.close()
            raise

    def begin(self) -> None:
        """Prove that the keys are this log's, seal what is clear, and take messages from now on. Raises `Fault`."""
        newest = self.reader.newest_sealed()
        if newest is not None:
            self.reader.open_message(newest)
        self.place.prepare(self.keys)
        self._finish_erasures()
        self.bodies.remove_unnamed(self.reader.database)
        self._end = chain_end(self.reader.query)
        self._writer = LogWriter(self.place.open_writer)
        self._is_begun = True

    def reconfigure(self, queue_length: int, bodies: BodyRules) -> None:
        """Let another number of messages wait for the disk, and keep bodies by other rules."""
        self._settings = msgspec.structs.replace(self._settings, queue_length=queue_length, bodies=bodies)

    def guard(self, gate: Callable[[datetime], None]) -> None:
        """Ask ``gate`` before every append; it raises `Fault` when evidence can no longer be timestamped."""
        self._gate = gate

    def check_accepting(self, now: datetime) -> None:
        """Refuse when a message could not be logged now. Raises `Fault`."""
        if not self._is_begun:
            raise Fault(
                Kind.LOGGING_FAILED,
                f"the message log is closed: {self._why_closed}; nothing is logged or sent until then",
            )
        if self._gate is not None:
            self._gate(now)
        if self._length >= self._settings.queue_length:
            raise Fault(
                Kind.LOGGING_FAILED,
                f"{self._length} messages wait for the disk; no more are taken until it catches up",
            )

    async def turn(self) -> None:
        """Return once what is appended right after would stand in the next batch: at once while nothing is being written.

        A message that has to wait for the disk anyway waits unsigned, and shares its signature with the others of its batch.
        """
        if self._is_writing:
            self._turns.append(asyncio.get_running_loop().create_future())
            await self._turns[-1]

    async def append(self, entry: LogEntry) -> int:
        """Write a message to the disk; its id. Raises `Fault`, and then it is not in the log."""
        self.check_accepting(entry.at)
        self._settings.bodies.check(entry)
        far = await self._keep_far(entry)
        loop = asyncio.get_running_loop()
        waiting = _Waiting(entry, loop.create_future(), far)
        self._length += 1
        self._waiting.append(waiting)
        if not self._is_writing:
            self._is_writing = True
            self._begin_soon(loop)
        elif self._gathering is not None and len(self._waiting) >= _GATHERED:
            self._gathering.cancel()
            self._open_batch(loop)
        try:
            return await waiting.done
        except asyncio.CancelledError:
            # A caller that goes away does not take its message out of a batch, and keeps its bodies until that is written.
            if not waiting.is_answered:
                waiting.done = loop.create_future()
                await _settled(waiting.done)
            raise

    async def _keep_far(self, entry: LogEntry) -> Sequence[KeptBody] | None:
        """Have the large bodies of an entry in the object store, if there is one. Raises `Fault`."""
        objects = self.place.objects
        if objects is None or all(spool.path is None for spool in entry.attachments):
            return None
        self._length += 1
        try:
            return await objects.keep(plan_bodies(entry, self._settings.bodies))
        except OSError as err:
            log.error("a body could not be kept", extra={"event": "log_failed", "reason": str(err)})
            raise Fault(
                Kind.LOGGING_FAILED,
                "a body of this message cannot be kept: the object store of large bodies (node.bodies) cannot be used; nothing "
                "was sent. It goes on by itself once it can",
            ) from err
        finally:
            self._length -= 1

    async def close(self) -> None:
        """Write what waits and stop."""
        loop = asyncio.get_running_loop()
        if self._is_writing:
            self._idle = loop.create_future()
            await self._idle
        if self._writer is not None:
            await loop.run_in_executor(None, self._writer.stop)
        if self.searches is not self.reader:
            self.searches.close()
        self.reader.close()

    # A batch: built here, written by the thread, answered here. One at a time.

    def _begin_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begin the next batch: at once while messages come one by one, with this turn's when some come, a little later under load."""
        if self._last_length >= _UNDER_LOAD and len(self._waiting) < _GATHERED:
            self._gathering = loop.call_later(_GATHER_S, self._open_batch, loop)
        elif self._turns:
            self._open_batch(loop)
        elif self._last_length <= 1:
            self._begin_batch(loop)
        else:
            loop.call_soon(self._begin_batch, loop)

    def _open_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let those who wait for their turn append, and begin then: they are signed in the next turn of the loop, and append in the one after.

        Whose signature takes longer, for the first time with a key that signs elsewhere, is in a later batch.
        """
        self._gathering = None
        if self._give_turns():
            loop.call_soon(loop.call_soon, self._begin_batch, loop)
        else:
            self._begin_batch(loop)

    def _give_turns(self) -> bool:
        """Let everyone go on who waits for a turn; whether anyone did."""
        turns, self._turns = self._turns, []
        for turn in turns:
            if not turn.done():
                turn.set_result(None)
        return bool(turns)

    def _begin_batch(self, loop: asyncio.AbstractEventLoop) -> None:
        self._give_turns()  # nobody is left behind when no batch follows
        batch = self._take()
        if not batch:
            self._is_writing = False
            if self._idle is not None:
                self._idle.set_result(None)
            return
        self._last_length = len(batch)
        if self.place.is_shared:
            self._write_shared(loop, batch)
            return
        number, moments = self._end.number + 1, [w.entry.at for w in batch]
        keys = self.keys.known_keys(number, moments)
        if keys is not None:
            self._write(loop, batch, keys)
            return
        # Keys that must be made, or read again: that takes a lock and the disk.
        self._put(
            loop,
            lambda _writer: self.keys.new_keys(number, moments),
            lambda made: self._write(loop, batch, made),
        )

    def _take(self) -> list[_Waiting]:
        """The next batch: what waits, up to a number of records and of bytes."""
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < self._settings.batch_length and size < _BATCH_BYTES:
            batch.append(self._waiting.popleft())
            size += batch[-1].entry.bytes_in_memory()
        return batch

    def _write(self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting], keys: object) -> None:
        """Build a batch and have it written; ``keys`` is the exception when they could not be had."""
        try:
            if not isinstance(keys, list):
                raise keys if isinstance(keys, Exception) else TypeError(f"{type(keys)} are no keys")
            entries, rules = [w.entry for w in batch], self._settings.bodies
            kept = _planned(batch, rules)
            built = build_batch(entries, kept, keys, self._end, rules)
        except Exception as err:  # whatever it was, everyone is answered and the next batch is tried
            self._refuse(batch, err)
            loop.call_soon(self._begin_batch, loop)
            return
        self._put(
            loop,
            lambda writer: writer.write(built),
            lambda outcome: self._written(loop, batch, built, outcome),
        )

    def _write_shared(self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting]) -> None:
        """Have a batch numbered, built and written by the thread: only there is it known which number is next."""
        entries, rules = [w.entry for w in batch], self._settings.bodies

        def settle(outcome: object) -> None:
            if isinstance(outcome, int):
                self._answer(batch, outcome)
            else:
                self._refuse(batch, outcome if isinstance(outcome, Exception) else TypeError(str(outcome)))
            self._begin_soon(loop)

        self._put(
            loop,
            lambda writer: writer.write(entries, _planned(batch, rules), self.keys, rules),
            settle,
        )

    def _written(
        self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting], built: Batch, outcome: object
    ) -> None:
        if isinstance(outcome, Exception):
            self._refuse(batch, outcome)
            # The numbers of this batch were not used; what is on the disk says which is next.
            self._put(loop, lambda writer: writer.read_end(), lambda end: self._go_on_after(loop, end))
            return
        first = self._end.number + 1
        self._end = built.end
        self.fresh.add(first, [w.entry for w in batch], built.digests)
        self._answer(batch, first)
        self._begin_soon(loop)

    def _answer(self, batch: list[_Waiting], first: int) -> None:
        """Tell everyone of a batch that is in the log, the first of them under this number."""
        self._failure = ""
        self._length -= len(batch)
        for number, waiting in enumerate(batch, first):
            waiting.is_answered = True
            if not waiting.done.done():
                waiting.done.set_result(number)

    def _go_on_after(self, loop: asyncio.AbstractEventLoop, end: object) -> None:
        if isinstance(end, ChainEnd):
            self._end = end
        self._begin_batch(loop)

    def _refuse(self, batch: list[_Waiting], err: Exception) -> None:
        """Tell everyone of a batch that it is not in the log."""
        reason = err.detail if isinstance(err, Fault) else str(err)
        cause = repr(err) if err.__cause__ is None else f"{err!r}: {err.__cause__!r}"
        log.error("messages could not be logged", extra={"event": "log_failed", "reason": cause})
        if self.place.is_shared and isinstance(err, OSError):
            # Where the database is and who may use it is for this server's log and health, not for whoever sent the message.
            reason = "its database cannot be used"
        remedy = "It goes on by itself once it can" if self.place.is_shared else "Free space or mend the disk"
        if isinstance(err, MemoryError):
            reason, remedy = "no memory is left", "It goes on by itself once there is some"
        text = f"the message log cannot be written ({reason}); nothing was sent. {remedy}"
        self._failure = text
        self._length -= len(batch)
        for waiting in batch:
            waiting.is_answered = True
            if not waiting.done.done():
                waiting.done.set_exception(Fault(Kind.LOGGING_FAILED, text))

    def _put(
        self,
        loop: asyncio.AbstractEventLoop,
        work: Callable[[Any], object],
        on_done: Callable[[object], None],
    ) -> None:
        if self._writer is None:  # pragma: no cover  nothing is taken before `begin`
            raise RuntimeError("the log was not begun")
        self._writer.put(work, loop, on_done)

    def _finish_erasures(self) -> None:
        database = self.place.open()
        try:
            finish_erasures(database, self.bodies, self.keys)
        finally:
            database.close()

    # Reading, and timestamps: see `gateway.messagelog.reading`

    async def find(
        self, owner: ClientId, message_id: str, *, is_response: bool | None = None
    ) -> list[LogRecord]:
        """A client's records of a message id, oldest first: a standby's where they are complete, with their timestamps."""
        if self.searches is not self.reader:
            found = await self.searches.find(owner, message_id, is_response=is_response)
            sides = {r.is_response for r in found if r.is_timestamped}
            if all(r.is_timestamped for r in found) and sides >= (
                {is_response} if is_response is not None else {False, True}
            ):
                return found
        return await self.reader.find(owner, message_id, is_response=is_response)

    async def untimestamped(self, limit: int, among: Sequence[int] = ()) -> list[Unstamped]:
        """The oldest records without a timestamp, of all or of some."""
        return await self.reader.untimestamped(limit, among)

    async def by_ids(self, ids: Sequence[int]) -> list[LogRecord]:
        """The records with these ids, as many as there are."""
        return await self.reader.by_ids(ids)

    async def verify_chain(self) -> int | None:
        """The id of the first record that was changed or follows a gap; None when all is whole."""
        return await self.reader.verify_chain()

    async def keep_stamp(self, stamp: Stamp) -> None:
        """Keep a timestamp with the records it is over, all or nothing. Raises `Fault`."""
        await asyncio.to_thread(self._keep_stamp, stamp)

    def _keep_stamp(self, stamp: Stamp) -> None:
        try:
            with self.reader.database.transaction() as transaction:
                (number,) = transaction.execute(
                    "INSERT INTO stamp (token, result, at_ms, authority) VALUES (?, ?, ?, ?) RETURNING id",
                    (stamp.token, stamp.result, rows.to_milliseconds(stamp.at), stamp.authority),
                ).fetchone()
                # Of two nodes that stamped a record at the same time the first one's timestamp stays.
                transaction.executemany(
                    "INSERT INTO stamped (record_id, stamp_id, chain, signature) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (record_id) DO NOTHING",
                    [(r, number, chain, signature) for r, chain, signature in stamp.records],
                )
                transaction.execute(
                    "DELETE FROM stamp WHERE id = ? AND NOT EXISTS (SELECT 1 FROM stamped WHERE stamp_id = ?)",
                    (number, number),
                )
                self.reader.unstamped.keep(transaction)
        except (sqlite3.Error, OSError) as err:
            raise Fault(Kind.LOGGING_FAILED, f"a timestamp cannot be kept: {err}") from err


class Stamp(msgspec.Struct, frozen=True):
    """A proved timestamp and its records: (id, own hash chain, or the signature with the token inside)."""

    token: bytes
    result: bytes | None
    at: datetime
    authority: str
    records: Sequence[tuple[int, bytes | None, bytes | None]]


def _planned(batch: Sequence[_Waiting], rules: BodyRules) -> list[Sequence[KeptBody]]:
    """A plan for the bodies of each entry, in the batch's order."""
    return [plan_bodies(w.entry, rules) if w.far is None else w.far for w in batch]


async def _settled(done: asyncio.Future[int]) -> None:
    """Wait until ``done`` has a result or an exception, however often the caller is told to go."""
    while not done.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait((done,))
    done.exception()  # nobody else will look at it
