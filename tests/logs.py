"""Message logs for tests, with keys under a fixed secret."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from certs.edges.tokenfiles import TokenFolder
from certs.softtoken import SoftToken
from gateway.datafolder import DataFolder
from gateway.messagelog.keys import TOKEN_PURPOSE, KeySecret, LogKeys
from gateway.messagelog.record import LogEntry, Side
from gateway.messagelog.store import LogSettings, MessageLog
from schemas.identifiers import ClientId, ServiceId
from schemas.message import Message, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from gateway.messagelog.spool import Spool

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
OWNER = ClientId("MX", "GOB", "A", "S")
SECRET = KeySecret.of_token(b"k" * 32)


def open_keys(folder: Path, secret: KeySecret = SECRET) -> LogKeys:
    """The keys in a folder beside a log's."""
    keys = LogKeys(folder.with_name(f"{folder.name}-keys"))
    keys.open(secret, may_make=True)
    return keys


def open_log(folder: Path, settings: LogSettings | None = None) -> MessageLog:
    """The log in a folder, its keys open."""
    return MessageLog.open(folder, open_keys(folder), settings=settings)


def open_gateway_log(data: Path, pin: str) -> MessageLog:
    """The log of a gateway that does not run."""
    token = SoftToken(TokenFolder(data / "token"))
    token.unlock(pin)
    keys = LogKeys(DataFolder(data).log_keys)
    keys.open(KeySecret.of_token(token.derive_secret(TOKEN_PURPOSE)), may_make=False)
    token.close()
    return MessageLog.open(DataFolder(data).log, keys)


def entry(
    message_id: str = "m", *bodies: Spool, raw: bytes | None = None, service: str = "echo", at: datetime = NOW
) -> LogEntry:
    """A request of `OWNER` to be logged; its bytes are its id unless given."""
    content = message_id.encode() if raw is None else raw
    message = Message(
        Protocol.REST,
        is_response=False,
        raw=content,
        digest=hashlib.sha512(content).digest(),
        client=OWNER,
        service=ServiceId(OWNER, service),
        message_id=message_id,
        request_id="r",
    )
    return LogEntry(Side.CONSUMER, message, OWNER, b"signature", None, None, bodies, at)
