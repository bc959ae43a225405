"""``getEvidenceStatistics``: how much of a month's log has its timestamp in time, told to the gateway's own members.

A metadata service over REST: ``GET .../getEvidenceStatistics?month=2026-04`` answers how many messages the log holds of the
month, and how many were timestamped within eight hours. One that waits and is younger is not counted yet; what has been
archived and removed is not in the log any more.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from gateway.exchange.ports import LocalAnswer
from gateway.messagelog.rows import to_milliseconds
from schemas.faults import BadMessage, Fault, Kind
from schemas.jsontext import dump_json
from schemas.message import MessageProtocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.exchange.ports import LocalService, ServiceCall
    from gateway.messagelog.reading import LogReader
    from schemas.identifiers import ServiceId

SERVICE_CODE = "getEvidenceStatistics"
IN_TIME = timedelta(hours=8)


@dataclass(frozen=True, slots=True)
class EvidenceStatisticsService:
    """Finds the service, and answers it from the log."""

    reader: LogReader
    now: Callable[[], datetime]

    def find(self, service: ServiceId, protocol: MessageProtocol) -> LocalService | None:
        """This service over REST, or None."""
        return self if service.service_code == SERVICE_CODE and protocol is MessageProtocol.REST else None

    async def answer(self, call: ServiceCall) -> LocalAnswer:
        """The counts of a month. Raises `Fault` for another member, `BadMessage` for what is no month."""
        owner = call.message.service.client.member
        if call.message.client.member != owner or call.method != "GET":
            raise Fault(
                Kind.ACCESS_DENIED, f"{SERVICE_CODE} is asked with GET by systems of {owner.path()} itself"
            )
        month = dict(parse_qsl(call.target.partition("?")[2])).get("month", "")
        try:
            start = datetime.strptime(month, "%Y-%m").replace(tzinfo=UTC)
        except ValueError:
            raise BadMessage(Kind.INVALID_REQUEST, f"month is YYYY-MM; {month[:20]!r} came") from None
        end = (start + timedelta(days=32)).replace(day=1)
        every, in_time = await asyncio.to_thread(self._count, start, end)
        body = {"month": month, "messages": every, "timestampedInTime": in_time}
        return LocalAnswer((("Content-Type", "application/json"),), dump_json(body).encode())

    def _count(self, start: datetime, end: datetime) -> tuple[int, int]:
        limit = int(IN_TIME.total_seconds() * 1000)
        ((every, in_time),) = self.reader.query(
            "SELECT count(*), coalesce(sum(CASE WHEN stamp.at_ms - record.at_ms <= ? THEN 1 ELSE 0 END), 0) FROM record "
            "LEFT JOIN stamped ON stamped.record_id = record.id LEFT JOIN stamp ON stamp.id = stamped.stamp_id "
            "WHERE record.at_ms >= ? AND record.at_ms < ? AND (stamp.id IS NOT NULL OR record.at_ms < ?)",
            (limit, to_milliseconds(start), to_milliseconds(end), to_milliseconds(self.now()) - limit),
        )
        return int(str(every)), int(str(in_time))
