"""Notices that must arrive once at each of several members: kept until each has acknowledged, tried again until then.

The table is in the sender's database, written in the same transaction as what the notice tells of. A receiver treats the
notice's id as already done when it comes twice, so trying again is safe.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serving.process.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime

    from serving.storage.database import AnyDatabase, Transaction

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
RETRY_S = 1.0


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


class Outbox:
    """The notices of one system. ``deliver`` sends one and says whether it was acknowledged."""

    def __init__(
        self,
        database: AnyDatabase,
        deliver: Callable[[OutboxItem], Awaitable[bool]],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._deliver = deliver
        self._now = now

    @staticmethod
    def put(connection: Transaction, notices: Sequence[OutboxItem]) -> None:
        """Keep notices for sending, as part of a transaction; one that is there stays as it is."""
        connection.executemany(
            "INSERT INTO outbox (notice_id, member, operation, body, case_id, attempts) VALUES (?, ?, ?, ?, ?, 0) "
            "ON CONFLICT (notice_id, member) DO NOTHING",
            [(n.notice_id, n.member, n.operation, json.dumps(n.body), n.case) for n in notices],
        )

    def waiting(self) -> list[OutboxItem]:
        """What nobody has acknowledged yet."""
        return [n for n in self.all() if n.acknowledged_at is None]

    def all(self) -> list[OutboxItem]:
        """Every notice, oldest first."""
        return [
            OutboxItem(r[0], r[1], r[2], json.loads(r[3]), r[4], int(r[5]), r[6])
            for r in self._database.query(
                "SELECT notice_id, member, operation, body, case_id, attempts, acknowledged_at FROM outbox ORDER BY id"
            )
        ]

    async def send(self) -> None:
        """Try everything that waits, once."""
        for notice in self.waiting():
            done = await self._deliver(notice)
            with self._database.transaction() as connection:
                connection.execute(
                    "UPDATE outbox SET attempts = attempts + 1, acknowledged_at = ? "
                    "WHERE notice_id = ? AND member = ?",
                    (self._now().isoformat() if done else None, notice.notice_id, notice.member),
                )

    def loop(self) -> Loop:
        """The loop that sends."""
        return Loop(
            "outbox",
            self.send,
            lambda: RETRY_S,
            retry_s=lambda _: RETRY_S,
            event="outbox_failed",
            discreet=True,
        )
