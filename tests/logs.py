"""Message logs for tests, with keys under a fixed secret."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from certs.edges.tokenfiles import TokenFolder
from certs.tokens.soft import SoftToken
from gateway.messagelog.keys import TOKEN_PURPOSE, KeySecret, LogKeys
from gateway.messagelog.places import FolderBodies
from gateway.messagelog.record import LogEntry
from gateway.messagelog.spool import SpoolFolder
from gateway.messagelog.store import LogSettings, MessageLog, Stamp
from gateway.settings.datafolder import DataFolder
from schemas import soap, xades
from schemas.identifiers import ClientId, ServiceId
from schemas.message import Attachment, Message, MessageProtocol, Side, digest_of
from tests import worlds
from tests.worlds import CONSUMER, PROVIDER

if TYPE_CHECKING:
    from collections.abc import Sequence
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


def body_files(log: MessageLog) -> list[Path]:
    """The files of the bodies in a log in a folder."""
    assert isinstance(log.bodies, FolderBodies)
    return list(log.bodies.folder.iterdir())


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
        MessageProtocol.REST,
        is_response=False,
        raw=content,
        digest=hashlib.sha512(content).digest(),
        client=OWNER,
        service=ServiceId(OWNER, service),
        message_id=message_id,
        request_id="r",
    )
    return LogEntry(Side.CONSUMER, message, OWNER, b"signature", None, None, bodies, at)


async def append_message(
    log: MessageLog,
    folder: Path,
    message: Message,
    bodies: Sequence[bytes] = (),
    *,
    owner: ClientId = CONSUMER,
    side: Side = Side.CONSUMER,
    at: datetime = worlds.NOW,
) -> int:
    """A message signed by who must sign it, with its bodies, in the log."""
    signature = worlds.world().sign(message)[0]
    spools = [SpoolFolder(folder / "spool", budget_bytes=0).new() for _ in bodies]
    for spool, body in zip(spools, bodies, strict=True):
        await spool.write(body)
        await spool.finish()
    number = await log.append(
        LogEntry(
            side,
            message,
            owner,
            signature.signature,
            signature.hash_chain_result,
            signature.hash_chain,
            spools,
            at,
        )
    )
    for spool in spools:
        spool.discard()
    return number


async def append_signed(
    log: MessageLog,
    folder: Path,
    *,
    owner: ClientId = CONSUMER,
    size: int = 10,
    days_ago: int = 0,
    message_id: str = "q1",
) -> int:
    """A signed request with a body, ``days_ago`` in the log."""
    body = b"x" * size
    message = worlds.world().request(body=body, message_id=message_id)
    at = worlds.NOW - timedelta(days=days_ago)
    return await append_message(log, folder, message, [body], owner=owner, at=at)


def soap_messages(attachments: Sequence[bytes], *, message_id: str = "s1") -> tuple[Message, Message]:
    """A SOAP request with attachments, and its answer."""
    service = ServiceId(PROVIDER, "buscar")
    raw = soap.render_request(
        CONSUMER,
        service,
        message_id,
        '<p:buscar xmlns:p="urn:p"><p:curp>GOMC850101MMCMRR07</p:curp></p:buscar>',
    )
    request = soap.parse_message(raw)
    attached = tuple(Attachment(digest_of(a), len(a)) for a in attachments)
    answer = soap.parse_message(
        soap.render_answer(request, '<p:buscarResponse xmlns:p="urn:p"><p:rid>1</p:rid></p:buscarResponse>')
    )
    return (
        request.to_message("r1", is_response=False).with_attachments(attached),
        answer.to_message("r1", is_response=True),
    )


async def stamp_alone(log: MessageLog, *ids: int) -> None:
    """A timestamp of its own for each record."""
    world = worlds.world()
    for record in await log.by_ids(ids):
        token = world.stamp(xades.parse_signature_document(record.signature).signature_value)
        signed = xades.insert_timestamp(record.signature, token)
        await log.keep_stamp(Stamp(token, None, worlds.NOW, "tsa", [(record.id, None, signed)]))
