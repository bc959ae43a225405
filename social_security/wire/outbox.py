"""Notices that must arrive once at each of several members: kept until each has acknowledged, tried again until then.

The table is in the sender's database, written in the same transaction as what the notice tells of. A receiver treats the
notice's id as already done when it comes twice, so trying again is safe. Every notice reaches an end: acknowledged, or given
up with its reason and an alert in the log, when it is refused for good or nobody has answered for `LIFE`.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from schemas.jsontext import dump_json, load_json
from serving.process.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from serving.storage.database import AnyDatabase
    from serving.storage.transactions import Transaction

OUTBOX_STEP = """
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY,
        notice_id TEXT NOT NULL,
        member TEXT NOT NULL,
        operation TEXT NOT NULL,
        body TEXT NOT NULL,
        case_id TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        acknowledged_at TEXT,
        UNIQUE (notice_id, member)
    );
"""
OUTBOX_ENDS_STEP = """
    ALTER TABLE outbox ADD COLUMN first_at TEXT;
    ALTER TABLE outbox ADD COLUMN dead_at TEXT;
    ALTER TABLE outbox ADD COLUMN reason TEXT;
"""
RETRY_S = 1.0
# Notices read at a time.
PAGE = 100
# Longer than any outage that a member comes back from.
LIFE = timedelta(days=30)
log = logging.getLogger("social_security.wire.outbox")


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """One notice for one member."""

    notice_id: str
    member: str
    operation: str
    body: dict[str, Any]
    case: str
    attempts: int = 0
    acknowledged_at: str | None = None
    dead_at: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one try: acknowledged, refused for good (``dead`` says why), or to be tried again, with ``body`` if it changed.

    ``then`` are notices that follow from it; they are kept in the transaction that notes the outcome.
    """

    done: bool = False
    dead: str | None = None
    body: dict[str, Any] | None = None
    then: tuple[OutboxItem, ...] = ()


class Outbox:
    """The notices of one system. ``deliver`` sends one and says what came of it; a bool is the short form of done or not."""

    def __init__(
        self,
        database: AnyDatabase,
        deliver: Callable[[OutboxItem], Awaitable[bool | Outcome]],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._deliver = deliver
        self._now = now

    @staticmethod
    def put(connection: Transaction, notices: Sequence[OutboxItem]) -> None:
        """Keep notices for sending, as part of a transaction; one that is there stays as it is."""
        # On disk with whatever the transaction does: no change is made of which nobody will be told, and the other way round.
        connection.executemany(
            "INSERT INTO outbox (notice_id, member, operation, body, case_id, attempts) VALUES (?, ?, ?, ?, ?, 0) "
            "ON CONFLICT (notice_id, member) DO NOTHING",
            [(n.notice_id, n.member, n.operation, dump_json(n.body), n.case) for n in notices],
        )

    @staticmethod
    def take_back(connection: Transaction, notice: OutboxItem) -> None:
        """Forget a notice that its addressee has refused while somebody waited for the answer, as part of a transaction."""
        connection.execute(
            "DELETE FROM outbox WHERE notice_id = ? AND member = ? AND acknowledged_at IS NULL",
            (notice.notice_id, notice.member),
        )

    def waiting(self) -> list[OutboxItem]:
        """The notices still to be tried, oldest first: neither acknowledged nor given up."""
        return [n for page in self._pages(every=False) for n in page]

    def dead(self) -> list[OutboxItem]:
        """The notices that were given up, each with its reason, for the operator."""
        return [n for n in self.all() if n.dead_at is not None]

    def all(self) -> list[OutboxItem]:
        """Every notice, sent or not, oldest first."""
        return [n for page in self._pages(every=True) for n in page]

    def _pages(self, *, every: bool) -> Iterator[list[OutboxItem]]:
        """All notices, or those still to be tried, oldest first, a page at a time: a big import's are never held whole."""
        last = 0
        while True:
            rows = self._database.query(
                "SELECT id, notice_id, member, operation, body, case_id, attempts, acknowledged_at, dead_at, reason "
                "FROM outbox WHERE id > ? AND (? = 1 OR (acknowledged_at IS NULL AND dead_at IS NULL)) "
                "ORDER BY id LIMIT ?",
                (last, int(every), PAGE),
            )
            if not rows:
                return
            last = int(rows[-1][0])
            yield [
                OutboxItem(r[1], r[2], r[3], load_json(r[4]), r[5], int(r[6]), r[7], r[8], r[9]) for r in rows
            ]

    async def send(self) -> None:
        """Try everything that waits, once; what one notice does wrong stops no other."""
        for page in self._pages(every=False):
            for notice in page:
                try:
                    outcome = await self._deliver(notice)
                except Exception as err:
                    log.error("outbox", extra={"event": "notice_failed", "reason": type(err).__name__})
                    outcome = False
                self.note(notice, outcome if isinstance(outcome, Outcome) else Outcome(done=outcome))

    def note(self, notice: OutboxItem, outcome: Outcome) -> None:
        """Keep what came of a try, if the notice is still here. On disk after it: the count, its end or its body for the next try."""
        now = self._now()
        dead = outcome.dead
        with self._database.transaction() as connection:
            found = connection.execute(
                "UPDATE outbox SET attempts = attempts + 1, first_at = coalesce(first_at, ?), body = ? "
                "WHERE notice_id = ? AND member = ? RETURNING first_at",
                (
                    now.isoformat(),
                    dump_json(notice.body if outcome.body is None else outcome.body),
                    notice.notice_id,
                    notice.member,
                ),
            ).fetchall()
            if not found:
                return  # taken back meanwhile: who waited for the answer has heard the refusal
            if not outcome.done and dead is None and now - datetime.fromisoformat(found[0][0]) > LIFE:
                dead = f"nobody has acknowledged it in {LIFE.days} days"
            connection.execute(
                "UPDATE outbox SET acknowledged_at = ?, dead_at = ?, reason = ? WHERE notice_id = ? AND member = ?",
                (
                    now.isoformat() if outcome.done else None,
                    now.isoformat() if dead is not None and not outcome.done else None,
                    None if outcome.done else dead,
                    notice.notice_id,
                    notice.member,
                ),
            )
            self.put(connection, outcome.then)
        if dead is not None and not outcome.done:
            log.error(
                "notice given up",
                extra={
                    "event": "notice_dead",
                    "member": notice.member,
                    "operation": notice.operation,
                    "case": notice.case,
                    "reason": dead,
                },
            )

    def loop(self) -> Loop:
        """The background loop that sends what waits."""
        return Loop(
            "outbox",
            self.send,
            lambda: RETRY_S,
            retry_s=lambda _: RETRY_S,
            event="outbox_failed",
            discreet=True,
        )
