"""A message log whose records are timestamped before a message leaves, where the settings ask for it.

Messages that come while a timestamp is being had share the next one, so many at a time cost few.

Spec: X-Road 7.8, ``message-log.timestamp-immediately``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.messagelog.record import LogEntry
    from gateway.messagelog.store import MessageLog
    from gateway.messagelog.timestamper import Timestamper


class StampedAtOnce(msgspec.Struct, frozen=True):
    """The log as exchanges write to it. ``is_enabled`` is asked for each record."""

    log: MessageLog
    timestamper: Timestamper
    is_enabled: Callable[[], bool]

    async def append(self, entry: LogEntry) -> int:
        """The id of the durable record, timestamped if that is wanted. Raises `Fault`: then nothing is to leave."""
        number = await self.log.append(entry)
        if self.is_enabled():
            await self.timestamper.stamp_with_others(number)
        return number
