"""What policies counted and refused, on disk: a restart neither resets a quota nor forgets a refusal.

Counts are by day (UTC) and account; those of days that are a week over are removed with the first count of a day. Refusals stay: they are
part of the evidence. `refusals` is what `gateway.metaservices.policy_statistics` answers from.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

from gateway.policies.gate import PolicyRefusalRecord
from schemas.faults import Fault, Kind
from schemas.identifiers import ClientId, ServiceId
from schemas.jsontext import dump_json, load_json
from serving.storage.conflicts import DatabaseConflict, tried_again

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from serving.storage.database import AnyDatabase


log = logging.getLogger("gateway.policies")

T = TypeVar("T")
# How long counts of days that are over stay.
KEPT_DAYS = 7


class PolicyLedger:
    """Counts and refusals in the server configuration's database, which all nodes of a gateway share."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    async def take(self, account: str, day: date) -> int:
        """Count one more request of an account; how many it is that day."""
        return await _written(lambda: self._take(account, day))

    async def note(self, refusal: PolicyRefusalRecord) -> None:
        """Keep one refusal; it is on disk when this returns."""
        await _written(lambda: self._note(refusal))

    def refusals(self, owner: ClientId, after: int, limit: int) -> list[tuple[int, PolicyRefusalRecord]]:
        """Refusals at a member's services with a number above ``after``, oldest first."""
        rows = self._database.query(
            "SELECT number, at, event, reason, rule, policy, client, service, message_id, field, told "
            "FROM policy_refusal WHERE owner = ? AND number > ? ORDER BY number LIMIT ?",
            (owner.path(), after, limit),
        )
        return [
            (
                int(r[0]),
                PolicyRefusalRecord(
                    datetime.fromisoformat(r[1]),
                    r[2],
                    r[3],
                    r[4],
                    r[5],
                    ClientId(*r[6].split("/")),
                    _service(r[7]),
                    r[8],
                    r[9],
                    load_json(r[10]),
                ),
            )
            for r in rows
        ]

    def _take(self, account: str, day: date) -> int:
        with self._database.transaction() as connection:
            ((count,),) = connection.execute(
                "INSERT INTO policy_count (day, account, count) VALUES (?, ?, 1) "
                "ON CONFLICT (day, account) DO UPDATE SET count = policy_count.count + 1 RETURNING count",
                (day.isoformat(), account),
            ).fetchall()
            if count == 1:
                # Not yesterday's: a node whose clock is behind counts on there, and must not begin anew.
                ended = day - timedelta(days=KEPT_DAYS)
                connection.execute("DELETE FROM policy_count WHERE day < ?", (ended.isoformat(),))
        return int(count)

    def _note(self, r: PolicyRefusalRecord) -> None:
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO policy_refusal (at, event, reason, rule, policy, client, owner, service, message_id, "
                "field, told) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    r.at.isoformat(),
                    r.event,
                    r.reason,
                    r.rule,
                    r.policy,
                    r.client.path(),
                    r.service.client.member.path(),
                    r.service.path(),
                    r.message_id,
                    r.field,
                    dump_json(r.claims),
                ),
            )


async def _written(work: Callable[[], T]) -> T:
    """Do ``work`` until it is not overtaken by another node. Raises `Fault` while the database cannot be written."""
    try:
        return await asyncio.to_thread(tried_again, work)
    except (OSError, sqlite3.Error, DatabaseConflict) as err:
        log.error(
            "a policy's count could not be written", extra={"event": "policy_ledger", "reason": str(err)}
        )
        raise Fault(
            Kind.DATABASE_ERROR, "what data policies count cannot be written; the request was refused"
        ) from err


def _service(path: str) -> ServiceId:
    instance, member_class, code, subsystem, service, *version = path.split("/")
    return ServiceId(ClientId(instance, member_class, code, subsystem), service, *version)
