"""Records found by what is clear in them: time, client, service, side, message id; and by the status of an answer, with the keys.

Records come one page after another in the order of their numbers, so a search over years holds a page in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.messagelog import rows
from schemas import rest
from schemas.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from gateway.messagelog.reading import LogReader
    from gateway.messagelog.record import LogRecord, Side

_PAGE = 200


@dataclass(frozen=True, slots=True)
class RecordSearch:
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
            ("protocol = ?", None if self.status is None else "rest"),
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
