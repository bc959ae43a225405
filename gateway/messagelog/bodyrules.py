"""Which messages a log keeps with their bodies, and how much of a body. Pure.

Off by a switch, a message is kept by its headers and its digests alone (`schemas.reduced`); the switch is global, and lists of
producers' subsystems turn it round, one list for services of this server and one for services of others. X-Road's own
settings and meanings, but for the limit: none by default, where X-Road refuses messages above 10 MiB.

Spec: UG-SYSPAR 3.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.messagelog.record import LogEntry
from schemas.faults import Fault, Kind
from schemas.message import Side

if TYPE_CHECKING:
    from schemas.identifiers import ClientId


class BodyRules(msgspec.Struct, frozen=True):
    """``except_local`` and ``except_remote`` are producers' subsystems for which the opposite of ``keep`` holds.

    ``max_bytes``: None is no limit, 0 keeps the message and no body. A larger body is cut if ``may_cut``, else refused.
    """

    keep: bool = True
    except_local: frozenset[str] = frozenset()
    except_remote: frozenset[str] = frozenset()
    max_bytes: int | None = None
    may_cut: bool = False

    def keeps(self, side: Side, producer: ClientId) -> bool:
        """Whether messages with a producer are kept with their bodies."""
        excepted = self.except_remote if side is Side.CONSUMER else self.except_local
        return self.keep != (producer.path() in excepted) if excepted else self.keep

    def kept_bytes(self, entry: LogEntry, size_bytes: int) -> int:
        """The bytes that are kept of an entry's body of ``size_bytes``. Raises `Fault` when it may neither be kept nor cut."""
        if not self.keeps(entry.side, entry.message.service.client):
            return 0
        limit = self.max_bytes
        if limit is None or size_bytes <= limit:
            return size_bytes
        if limit and not self.may_cut:
            raise Fault(
                Kind.LOGGING_FAILED,
                f"a body of {size_bytes} bytes is larger than the {limit} this log keeps (log.max_loggable_body_bytes), and "
                "log.truncated_body_allowed is off; the message is refused",
            )
        return limit

    def check(self, entry: LogEntry) -> None:
        """Refuse an entry one of whose bodies may neither be kept nor cut. Raises `Fault`."""
        if self.max_bytes is not None:
            for spool in entry.attachments:
                self.kept_bytes(entry, spool.size)
