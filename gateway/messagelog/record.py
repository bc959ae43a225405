"""What the message log keeps of one message, as values.

A record's digest covers everything that was true when it was written, the message and its bodies by their own digests; its
chain value binds it to all records before it, so a row that is changed or taken out shows. What is sealed may be erased and
the chain holds. Timestamps come later and are kept beside, never inside.
"""

from __future__ import annotations

import enum
import hashlib
from typing import TYPE_CHECKING

import msgspec

from schemas.identifiers import ClientId
from schemas.message import Side

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.messagelog.spool import Spool
    from schemas.message import Message

FIRST_CHAIN_VALUE = bytes(32)


class LogEntry(msgspec.Struct, frozen=True):
    """A message to be logged: proved or just signed, with its bodies. ``owner`` is the local party."""

    side: Side
    message: Message
    owner: ClientId
    signature: bytes
    hash_chain_result: bytes | None
    hash_chain: bytes | None
    attachments: Sequence[Spool]
    at: datetime

    def bytes_in_memory(self) -> int:
        """About how much of memory the entry holds: message, signature, and the bodies that are in no file."""
        return (
            len(self.message.raw)
            + len(self.signature)
            + sum(s.size for s in self.attachments if s.path is None)
        )


class RecordForm(enum.IntEnum):
    """The forms in which a record's content is kept."""

    CLEAR = 0  # by a version before this; sealed at the next start
    SEALED = 1


class Links(enum.IntEnum):
    """The part of a record's digest that stands for the message."""

    MESSAGE = 1  # the message itself, in records from before sealing
    DIGEST = 2


class ErasureOrder(msgspec.Struct, frozen=True):
    """On whose order content was erased: reference and authority of the order, who carried it out, when."""

    reference: str
    authority: str
    ordered_by: str
    at: datetime


class LoggedAttachment(msgspec.Struct, frozen=True):
    """A body in the log, sealed: its content, or the name of the file that has it and the file's sealed key.

    ``kept_bytes`` says how much of it is in the log, where that is not all of it.
    """

    number: int
    size_bytes: int
    digest: bytes
    content: bytes | None
    file_name: str | None
    file_key: bytes | None = None
    kept_bytes: int | None = None


class Unstamped(msgspec.Struct, frozen=True):
    """A record without a timestamp, as timestamping needs it: the digest of its signature document."""

    id: int
    at: datetime
    signature_digest: bytes


class LogRecord(msgspec.Struct, frozen=True):
    """A message in the log. ``signature`` has the timestamp in it when it was stamped alone.

    ``message`` is sealed: `gateway.messagelog.reading.LogReader.open_message` opens it.
    """

    id: int
    message_id: str
    request_id: str
    is_response: bool
    side: Side
    owner: ClientId
    client: str
    service: str
    protocol: str
    message: bytes
    signature: bytes
    hash_chain_result: bytes | None
    hash_chain: bytes | None
    at: datetime
    form: RecordForm
    links: Links
    message_digest: bytes
    is_reduced: bool = False
    timestamp: bytes | None = None
    timestamp_result: bytes | None = None
    timestamp_chain: bytes | None = None
    is_timestamped: bool = False
    attachments: tuple[LoggedAttachment, ...] = ()
    erasure: ErasureOrder | None = None


def sealed_label(record_id: int, what: str) -> bytes:
    """The label under which a part of a record is sealed: it opens in no other place."""
    return f"{what} of record {record_id}".encode()


def chain_value(before: bytes, digest: bytes) -> bytes:
    """The chain value of a record after the one before it."""
    return hashlib.sha256(before + digest).digest()
