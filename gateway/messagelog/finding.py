"""Records found by what is clear in them: time, client, service, side, message id; and by the status of an answer, with the keys.

`find_records` walks all of a log, oldest first, a page in memory. `newest_records` is for a person who waits: the newest first, and
at most so many records looked at in one go, however large the log is; it says where to go on.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from gateway.messagelog import rows
from gateway.messagelog.marks import last_before
from schemas import rest
from schemas.faults import Fault
from schemas.message import MessageProtocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from gateway.messagelog.reading import LogReader
    from gateway.messagelog.record import LogRecord
    from schemas.message import Side

_PAGE = 200
# Records looked at in one go: by columns alone, and where each answer has to be opened for its status.
_LOOKED_AT = 20_000
_OPENED = 1_000
# Times of records follow their numbers but for what writers that share a log, or a clock that is set, put between.
CLOCK_MARGIN = timedelta(hours=1)


class RecordSearch(msgspec.Struct, frozen=True):
    """The conditions on records; a client or a service is a path, or its beginning up to a slash. ``status``: of a REST answer."""

    since: datetime | None = None
    until: datetime | None = None
    client: str | None = None
    service: str | None = None
    side: Side | None = None
    message_id: str | None = None
    status: int | None = None

    def clause(self) -> tuple[str, list[object]]:
        """The condition on what is clear, as SQL with its parameters."""
        terms: list[str] = ["record.id > ?"]
        values: list[object] = []
        for term, value in (
            ("record.at_ms >= ?", None if self.since is None else rows.to_milliseconds(self.since)),
            ("record.at_ms < ?", None if self.until is None else rows.to_milliseconds(self.until)),
            ("side = ?", None if self.side is None else self.side.value),
            ("message_id = ?", self.message_id),
            ("is_response = ?", None if self.status is None else 1),
            ("protocol = ?", None if self.status is None else str(MessageProtocol.REST)),
        ):
            if value is not None:
                terms.append(term)
                values.append(value)
        for column, path in (("client", self.client), ("service", self.service)):
            if path is not None:
                beginning = f"{path.rstrip('/')}/"
                terms.append(f"({column} = ? OR substr({column}, 1, ?) = ?)")
                values += [path.rstrip("/"), len(beginning), beginning]
        return " AND ".join(terms), values


class FoundPage(msgspec.Struct, frozen=True):
    """Records, the newest first, and the number below which to go on; None: there are no more."""

    records: tuple[LogRecord, ...]
    before: int | None


def newest_records(
    reader: LogReader, search: RecordSearch, *, most: int, before: int | None = None
) -> FoundPage:
    """At most ``most`` records that match, below the number ``before``. A page may hold fewer than there are: go on by its ``before``.

    A time is found by halving, for numbers grow with it; records whose time is more than `CLOCK_MARGIN` away from that of their
    neighbours may be missed by a search for a time (`find_records` finds them). Raises `Fault` as `find_records` does.
    """
    # Each end is one step in the table; asked for together, every record is looked at.
    ((lowest, highest),) = reader.query("SELECT (SELECT min(id) FROM record), (SELECT max(id) FROM record)")
    if lowest is None:
        return FoundPage((), None)
    first, last = int(str(lowest)), int(str(highest))
    bottom = first if search.since is None else _number_at(reader, search.since - CLOCK_MARGIN, first, last)
    top = last + 1 if search.until is None else _number_at(reader, search.until + CLOCK_MARGIN, first, last)
    top = top if before is None else min(top, before)
    # A message id has an index of its own, so all of the log is looked through for it at once.
    reach = top if search.message_id else _LOOKED_AT if search.status is None else _OPENED
    floor = max(bottom, top - reach)
    condition, values = search.clause()
    found: list[LogRecord] = []
    at = top
    while len(found) < most and (
        some := reader.select_newest(
            f"{condition} AND record.id < ?", [floor - 1, *values, at], min(_PAGE, most - len(found))
        )
    ):
        found += [r for r in some if search.status is None or _status(reader, r) == search.status]
        at = some[-1].id
    if len(found) >= most:
        floor = found[-1].id
    return FoundPage(tuple(found), floor if floor > bottom else None)


def _number_at(reader: LogReader, at: datetime, first: int, last: int) -> int:
    """The lowest number from ``first`` on whose record is not older than ``at``, by halving; ``last + 1`` where all are."""
    return last_before(reader.query, rows.to_milliseconds(at) - 1, first - 1, last) + 1


def status_of(reader: LogReader, record: LogRecord) -> int | None:
    """The status of a REST answer; None for other messages, and where its content is not there or does not open."""
    if not record.is_response or record.protocol != MessageProtocol.REST:
        return None
    try:
        return _status(reader, record)
    except Fault:
        return None


def find_records(reader: LogReader, search: RecordSearch, after: int = 0) -> Iterator[LogRecord]:
    """The records, oldest first. Raises `Fault` while the keys are closed and a status is asked for."""
    condition, values = search.clause()
    last = after
    while some := reader.select(condition, [last, *values], _PAGE):
        for record in some:
            if search.status is None or _status(reader, record) == search.status:
                yield record
        last = some[-1].id


def _status(reader: LogReader, record: LogRecord) -> int | None:
    """The status of an answer; None where its content is not there any more."""
    if record.erasure is not None:
        return None
    message = reader.open_message(record)
    try:
        return rest.parse_response(message).status
    except Fault:
        return None
