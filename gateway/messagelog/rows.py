"""Records as rows and back: the statements of a message log, each column named once."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any

from gateway.messagelog.record import ErasureOrder, Links, LogEntry, LoggedAttachment, LogRecord, RecordForm
from schemas.identifiers import ClientId
from schemas.message import Side

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from serving.storage.transactions import Transaction

# The columns a record's digest in the chain is over, in its order; `MESSAGE_PLACE` is where the message stands, or its digest.
DIGESTED = (
    "message_id, request_id, is_response, side, owner, client, service, protocol, message, signature, hash_chain_result, "
    "hash_chain, at_ms"
)
MESSAGE_PLACE = 8
SELECT_RECORDS = (
    "SELECT record.id, message_id, request_id, is_response, side, owner, client, service, protocol, message, "
    "coalesce(stamped.signature, record.signature), hash_chain_result, hash_chain, record.at_ms, form, links, message_digest, "
    "is_reduced, stamp.token, stamp.result, stamped.chain, stamped.record_id, erasure.reference, erasure.authority, "
    "erasure.ordered_by, erasure.at_ms FROM record LEFT JOIN stamped ON stamped.record_id = record.id "
    "LEFT JOIN stamp ON stamp.id = stamped.stamp_id LEFT JOIN erased ON erased.record_id = record.id "
    "LEFT JOIN erasure ON erasure.id = erased.erasure_id "
)
SELECT_ATTACHMENTS = (
    "SELECT record_id, number, size_bytes, digest, content, file_name, file_key, kept_bytes FROM attachment "
    "WHERE record_id IN ({marks}) ORDER BY record_id, number"
)
INSERT_RECORDS = (
    f"INSERT INTO record (id, {DIGESTED}, form, links, message_digest, is_reduced, chain) VALUES "
)
INSERT_ATTACHMENTS = "INSERT INTO attachment (record_id, number, size_bytes, digest, content, file_name, file_key, kept_bytes) VALUES "
# Rows of one statement at the most: eighteen columns each, and every SQLite takes 999 parameters. One statement for many rows lets go
# of the interpreter once, not once a row. Counts are powers of two: a connection keeps each statement that it has seen, some
# 200 KiB for thirty-two rows, and a batch has any number of rows.
_ROWS_TOGETHER = 32

Field = bytes | str | int | None


def insert_rows(connection: Transaction, statement: str, rows: Sequence[Sequence[object]]) -> None:
    """Insert rows, many in one statement."""
    left = len(rows)
    while left:
        count = 1 << (min(left, _ROWS_TOGETHER).bit_length() - 1)
        some = rows[len(rows) - left :][:count]
        connection.execute(_with_marks(statement, count, len(some[0])), list(chain.from_iterable(some)))
        left -= count


@lru_cache(maxsize=64)
def _with_marks(statement: str, rows: int, columns: int) -> str:
    marks = f"({', '.join('?' * columns)})"
    return statement + ", ".join([marks] * rows)


def last_chain(query: Callable[[str], Sequence[Sequence[Any]]], table: str) -> tuple[int, bytes] | None:
    """Number and chain value of the last row of a table that has both."""
    found = query(f"SELECT id, chain FROM {table} ORDER BY id DESC LIMIT 1")
    return (int(found[0][0]), bytes(found[0][1])) if found else None


def digested_row(entry: LogEntry, message: bytes) -> list[Field]:
    """The columns of `DIGESTED`, with ``message`` in the message's place."""
    text = entry.message
    return [
        text.message_id,
        text.request_id,
        int(text.is_response),
        str(entry.side),
        entry.owner.path(),
        text.client.path(),
        text.service.path(),
        str(text.protocol),
        message,
        entry.signature,
        entry.hash_chain_result,
        entry.hash_chain,
        to_milliseconds(entry.at),
    ]


def record_of(row: Sequence[object], attachments: Sequence[Sequence[object]]) -> LogRecord:
    """A row of `SELECT_RECORDS` and its rows of `SELECT_ATTACHMENTS`, without their first column, as a record. Raises `TypeError` or `ValueError` for what no column holds."""
    return LogRecord(
        id=number_of(row[0]),
        message_id=text_of(row[1]),
        request_id=text_of(row[2]),
        is_response=bool(number_of(row[3])),
        side=Side(text_of(row[4])),
        owner=ClientId(*text_of(row[5]).split("/")),
        client=text_of(row[6]),
        service=text_of(row[7]),
        protocol=text_of(row[8]),
        message=bytes_of(row[9]),
        signature=bytes_of(row[10]),
        hash_chain_result=_bytes(row[11]),
        hash_chain=_bytes(row[12]),
        at=to_moment(row[13]),
        form=RecordForm(number_of(row[14])),
        links=Links(number_of(row[15])),
        message_digest=_bytes(row[16]) or b"",
        is_reduced=bool(number_of(row[17])),
        timestamp=_bytes(row[18]),
        timestamp_result=_bytes(row[19]),
        timestamp_chain=_bytes(row[20]),
        is_timestamped=row[21] is not None,
        attachments=tuple(map(_attachment, attachments)),
        erasure=None
        if row[22] is None
        else ErasureOrder(text_of(row[22]), text_of(row[23]), text_of(row[24]), to_moment(row[25])),
    )


def _attachment(row: Sequence[object]) -> LoggedAttachment:
    number, size_bytes, digest, content, file_name, file_key, kept_bytes = row
    return LoggedAttachment(
        number=number_of(number),
        size_bytes=number_of(size_bytes),
        digest=bytes_of(digest),
        content=_bytes(content),
        file_name=None if file_name is None else text_of(file_name),
        file_key=_bytes(file_key),
        kept_bytes=None if kept_bytes is None else number_of(kept_bytes),
    )


def number_of(value: object) -> int:
    """A whole number of a row. Raises `TypeError`."""
    if not isinstance(value, int):
        raise TypeError(f"a whole number is expected, not {type(value).__name__}")
    return value


def text_of(value: object) -> str:
    """A text of a row. Raises `TypeError`."""
    if not isinstance(value, str):
        raise TypeError(f"a text is expected, not {type(value).__name__}")
    return value


def bytes_of(value: object) -> bytes:
    """The bytes of a row. Raises `TypeError`."""
    if not isinstance(value, bytes):
        raise TypeError(f"bytes are expected, not {type(value).__name__}")
    return value


def _bytes(value: object) -> bytes | None:
    return None if value is None else bytes_of(value)


def to_milliseconds(at: datetime) -> int:
    """A moment as it is stored."""
    return int(at.timestamp() * 1000)


def to_moment(milliseconds: object) -> datetime:
    """The aware time in UTC of a stored one, in milliseconds since 1970. Raises `TypeError`, `ValueError` or `OverflowError`."""
    return datetime.fromtimestamp(number_of(milliseconds) / 1000, UTC)
