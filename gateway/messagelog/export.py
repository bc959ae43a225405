"""Signed containers out of the message log, as ``GET /asic`` gives them.

One message's request and response come as a zip of containers, or one of them bare with ``unique``. A record without a
timestamp is no evidence yet: it is stamped alone and now when ``force`` is there; otherwise the next round of timestamps is
brought forward, and only a record that this has not reached within `STAMP_WAIT_S` is refused. Content that was erased, or
that the log may not keep, stands in its container by its digests, with why; with ``digestsOnly`` (ours) all content does.

Spec: UG-SIGDOC; X-Road 7.8's AsicContainerClientRequestProcessor.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import IO, TYPE_CHECKING, cast
from urllib.parse import quote_plus

import msgspec

from gateway.messagelog.openpgp import SUFFIX, PgpSettings, draw, encrypt
from gateway.messagelog.spool import SealedTemporary
from schemas.asic import container as asic
from schemas.asic.manifest import MIMETYPE
from schemas.asic.withheld import MESSAGE_URI, Order, Reason, Withheld, WithheldPart
from schemas.faults import BadMessage, Fault, Kind
from schemas.identifiers import ClientId
from schemas.zipwriting import ZipWriter

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from gateway.messagelog.reading import LogReader
    from gateway.messagelog.record import ErasureOrder, LogRecord
    from gateway.messagelog.store import MessageLog
    from gateway.messagelog.timestamper import Timestamper
    from schemas.zipwriting import MakeEntry

# How long a download waits for the round of timestamps that it has brought forward.
STAMP_WAIT_S = 10.0


class EvidenceFile(msgspec.Struct, frozen=True):
    """A file to give out; ``chunks`` may be drawn once."""

    content_type: str
    file_name: str
    chunks: AsyncIterator[bytes]


async def asic_download(
    message_log: MessageLog,
    timestamper: Timestamper,
    query: Mapping[str, str],
    pgp: PgpSettings | None = None,
) -> EvidenceFile:
    """The containers a query asks for, with ``encrypted`` (ours) to the owner's OpenPGP keys. Raises `BadMessage` (``bad_request``, ``not_found``) or `Fault`."""
    only_request, only_response = "requestOnly" in query, "responseOnly" in query
    unique = "unique" in query
    if only_request and only_response:
        raise BadMessage(Kind.BAD_REQUEST, "requestOnly and responseOnly exclude each other")
    if unique and not (only_request or only_response):
        raise BadMessage(Kind.BAD_REQUEST, "unique needs requestOnly or responseOnly")
    owner = ClientId(
        query["xRoadInstance"], query["memberClass"], query["memberCode"], query.get("subsystemCode") or None
    )
    message_id = query["queryId"]
    pgp = pgp or PgpSettings()
    # Whose keys are not there is told so before any record is looked at.
    keys = pgp.keys_for(owner.path()) if pgp.for_downloads or "encrypted" in query else ()
    side = True if only_response else False if only_request else None
    records = await message_log.find(owner, message_id, is_response=side)
    if not records:
        raise BadMessage(Kind.NOT_FOUND, f"there is no record of message {message_id!r} of {owner.path()}")
    if unique and len(records) > 1:
        raise BadMessage(
            Kind.BAD_REQUEST, f"{len(records)} records have this message id; unique gives only one"
        )
    waiting = [r.id for r in records if not r.is_timestamped]
    if waiting:
        if "force" in query:
            await timestamper.force(waiting)
        else:
            await timestamper.stamp_soon(STAMP_WAIT_S)
        records = await message_log.find(owner, message_id, is_response=side)
        left = sum(not r.is_timestamped for r in records)
        if left:
            raise Fault(
                Kind.TIMESTAMPING_FAILED,
                f"{left} of the records have no timestamp yet; ask again later, or with force",
            )
    file = await asyncio.to_thread(
        _write, records, message_log.searches, unique=unique, digests_only="digestsOnly" in query
    )
    suffix = "-request" if only_request else "-response" if only_response else ""
    name = container_name(records[0]) if unique else f"{quote_plus(message_id)}{suffix}.zip"
    if keys:
        made = await encrypt(_chunks(file), keys, pgp.home)
        return EvidenceFile("application/octet-stream", f"{name}{SUFFIX}", draw(made))
    return EvidenceFile(MIMETYPE if unique else "application/zip", name, _chunks(file))


def container_name(record: LogRecord) -> str:
    """The name of a record's container."""
    return asic.file_name(record.message_id, is_response=record.is_response, record_id=record.id)


def write_record(
    out: IO[bytes],
    record: LogRecord,
    reader: LogReader,
    *,
    digests_only: bool = False,
    key: bytes | None = None,
    make: MakeEntry | None = None,
) -> None:
    """Write a record's container, its bodies streamed; of what is withheld, its digests. Raises `Fault`.

    ``key`` as `LogReader.open_message`, ``make`` as `schemas.asic.container.write_container`.
    """
    in_batch = record.timestamp_result is not None
    withheld = withheld_of(record, digests_only=digests_only)
    has_message = withheld is None or withheld.reason in (Reason.CUT, Reason.NOT_LOGGED)
    container = asic.Container(
        message=reader.open_message(record, key) if has_message else b"",
        signature=record.signature,
        sig_hash_chain_result=record.hash_chain_result,
        sig_hash_chain=record.hash_chain,
        ts_hash_chain_result=record.timestamp_result,
        ts_hash_chain=record.timestamp_chain,
        timestamp=record.timestamp if in_batch else None,
        withheld=withheld,
    )
    kept = [a for a in record.attachments if has_message and a.kept_bytes != 0]
    named = [(f"attachment{a.number}", reader.open_body(record, a, key)) for a in kept]
    asic.write_container(out, container, record.at, named, make)


def withheld_of(record: LogRecord, *, digests_only: bool) -> Withheld | None:
    """The parts that a record's container does not hold, and why; None when it holds all that was signed."""
    cut = [a for a in record.attachments if a.kept_bytes is not None]
    if record.erasure is not None:
        reason, order = Reason.ERASED, record.erasure
    elif digests_only:
        reason, order = Reason.LEFT_OUT, None
    elif record.is_reduced:
        reason, order = Reason.NOT_LOGGED, None
    elif cut:
        reason, order = Reason.CUT, None
    else:
        return None
    bodies = cut if reason is Reason.CUT else record.attachments
    parts = [
        WithheldPart(
            uri=f"/attachment{a.number}",
            sha512=a.digest.hex(),
            size_bytes=a.size_bytes,
            kept_bytes=(a.kept_bytes or 0) if reason is Reason.CUT else 0,
        )
        for a in bodies
    ]
    if reason is not Reason.CUT:
        parts.insert(0, WithheldPart(uri=MESSAGE_URI, sha512=record.message_digest.hex()))
    return Withheld(
        reason,
        record.message_id,
        record.is_response,
        record.protocol,
        ClientId(*record.client.split("/")),
        record.service,
        tuple(parts),
        None if order is None else _order(order),
    )


def _order(order: ErasureOrder) -> Order:
    return Order(
        reference=order.reference,
        authority=order.authority,
        carried_out_by=order.ordered_by,
        at=f"{order.at:%Y-%m-%dT%H:%M:%SZ}",
    )


def _write(
    records: list[LogRecord], reader: LogReader, *, unique: bool, digests_only: bool
) -> SealedTemporary:
    # A file that cannot be gone back in: what was written is sealed already.
    file = SealedTemporary()
    out: IO[bytes] = cast("IO[bytes]", file)
    if unique:
        write_record(out, records[0], reader, digests_only=digests_only)
    else:
        archive = ZipWriter(out)
        for record in records:
            write = partial(write_record, record=record, reader=reader, digests_only=digests_only)
            archive.add_stream(container_name(record), write, record.at)
        archive.close()
    return file


async def _chunks(file: SealedTemporary) -> AsyncIterator[bytes]:
    drawn = file.draw()
    while chunk := await asyncio.to_thread(next, drawn, b""):
        yield chunk
