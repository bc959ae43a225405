"""``/message-log``: records found by what is clear in them, one record with its proof, and containers, for auditors and security officers.

Consumer systems ask for one message of their own at ``GET /asic``. Here an administrator with the permission asks for many, of
every client: what was found says who called what and when, no content; containers hold content, so each download is an
entry of the audit log and says why it was made. A verdict (`gateway.admin.verdicts`) says what is proved, and no content.
"""

from __future__ import annotations

import asyncio
import io
import itertools
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from certs.verify.container import verify_container
from gateway.admin.context import AdminContext, instant, number_of, row
from gateway.admin.verdicts import VerdictView, view_verdict
from gateway.messagelog.export import container_name, write_record
from gateway.messagelog.finding import RecordSearch, find_records, newest_records, status_of
from schemas.asic.manifest import MIMETYPE
from schemas.message import Side
from schemas.zipwriting import ZipWriter
from serving.api.operations import Bytes, Download
from serving.api.problems import bad_request, conflict, not_found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.messagelog.reading import LogReader
    from gateway.messagelog.record import LogRecord
    from serving.api.operations import Call, Operation

MOST_CONTAINERS = 1_000
MOST_BYTES = 64 * 1024 * 1024
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1_024)]


class SearchQuery(msgspec.Struct, frozen=True):
    """Records to find; a client or a service is a path or its beginning. ``after`` is the number of the last one seen."""

    since: datetime | None = None
    until: datetime | None = None
    client: Text | None = None
    service: Text | None = None
    side: Literal["consumer", "provider"] | None = None
    message_id: Text | None = None
    status: Annotated[int, msgspec.Meta(ge=100, le=999)] | None = None
    after: Annotated[int, msgspec.Meta(ge=0, le=2**62)] = 0
    limit: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 100


class NewestQuery(SearchQuery, frozen=True):
    """Records to find, the newest first: ``before`` is the number below which to go on."""

    before: Annotated[int, msgspec.Meta(ge=1, le=2**62)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class ContainersBody(msgspec.Struct, frozen=True):
    """Whose containers are to be handed out: from ``since`` to before ``until``, for a reason that the audit log keeps."""

    since: datetime
    until: datetime
    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=500)]
    client: Text | None = None
    service: Text | None = None
    side: Literal["consumer", "provider"] | None = None
    message_id: Text | None = None
    # Containers without content: by their digests alone.
    digests_only: bool = False


class ContainerBody(msgspec.Struct, frozen=True):
    """Why the container of one record is handed out, and whether by the digests of its content alone."""

    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=500)]
    digests_only: bool = False


class RecordView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A record of the message log by what is clear in it; ``erased`` is the reference of the order that took its content."""

    record: int
    at: str
    side: str
    is_response: bool
    message_id: str
    client: str
    service: str
    protocol: str
    timestamped: bool
    erased: str | None = None


class RecordPage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Records, the newest first; ask again with ``before`` for older ones, even after a page with few or none. Without it: no more."""

    records: list[RecordView]
    before: int | None = None


class RecordedBody(msgspec.Struct, frozen=True):
    """A body of a message: its length, its SHA-512, and whether all of it is in the log."""

    number: int
    size_bytes: int
    sha512: str
    is_kept: bool


class RecordDetail(msgspec.Struct, frozen=True, omit_defaults=True):
    """One record: what is clear in it, digests of its content, the status of a REST answer, and why its content is gone."""

    record: RecordView
    owner: str
    request_id: str
    message_sha512: str
    bodies: list[RecordedBody]
    status: int | None = None
    erased_by: str | None = None
    erased_at: str | None = None


@dataclass(frozen=True, slots=True)
class MessageLogResource:
    """The handlers of ``/message-log``: a search, and containers by time."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of this handler: path, right, input, answer."""
        return [
            row("GET", "/message-log/records", self.find, "Find records of the message log", "VIEW_MESSAGE_LOG",
                query=SearchQuery, answer=list[RecordView], errors=(500,)),
            row("GET", "/message-log/newest-records", self.newest, "Find records of the message log, newest first",
                "VIEW_MESSAGE_LOG", query=NewestQuery, answer=RecordPage, errors=(500,)),
            row("GET", "/message-log/records/{id}", self.one, "One record of the message log", "VIEW_MESSAGE_LOG",
                answer=RecordDetail, errors=(500,)),
            row("GET", "/message-log/records/{id}/verdict", self.verdict, "Verify the container of a record, step by step",
                "VIEW_MESSAGE_LOG", answer=VerdictView, errors=(500,)),
            row("POST", "/message-log/records/{id}/container", self.container, "The signed container of a record",
                "DOWNLOAD_MESSAGE_LOG", body=ContainerBody, answer=MIMETYPE, event="DOWNLOAD_MESSAGE_LOG_CONTAINERS",
                errors=(500,)),
            row("POST", "/message-log/verdicts", self.judge, "Verify a container from elsewhere, step by step",
                "VIEW_MESSAGE_LOG", body=Bytes(), answer=VerdictView),
            row("POST", "/message-log/containers", self.containers, "Signed containers of a time as a zip",
                "DOWNLOAD_MESSAGE_LOG", body=ContainersBody, answer="application/zip",
                event="DOWNLOAD_MESSAGE_LOG_CONTAINERS", errors=(500,)),
        ]  # fmt: skip

    async def find(self, call: Call) -> list[RecordView]:
        """Records that match, oldest first; ask again with ``after`` for those that follow. Raises `Problem`."""
        record_query = call.query_as(SearchQuery)
        search = msgspec.structs.replace(_search(record_query), status=record_query.status)
        reader = self.context.gateway.log_reader
        return [
            _view(r)
            for r in await asyncio.to_thread(_some, reader, search, record_query.after, record_query.limit)
        ]

    async def newest(self, call: Call) -> RecordPage:
        """A page of records that match, the newest first. Raises `Problem`."""
        query = call.query_as(NewestQuery)
        found = await asyncio.to_thread(
            newest_records,
            self.context.gateway.log_reader,
            msgspec.structs.replace(_search(query), status=query.status),
            most=query.limit,
            before=query.before,
        )
        return RecordPage([_view(r) for r in found.records], found.before)

    async def one(self, call: Call) -> RecordDetail:
        """A record by its number. Raises `Problem` (``record_not_found``)."""
        record = await self._record(call)
        status = await asyncio.to_thread(status_of, self.context.gateway.log_reader, record)
        return _detail(record, status)

    async def verdict(self, call: Call) -> VerdictView:
        """The verdict on the container of a record, by the configuration that holds now. Raises `Problem` while it has no timestamp."""
        record = await self._record(call)
        configuration = self.context.configuration()
        _check([record])
        content = await asyncio.to_thread(_container, self.context.gateway.log_reader, record)
        return view_verdict(await asyncio.to_thread(verify_container, io.BytesIO(content), configuration))

    async def container(self, call: Call) -> Download:
        """The container of one record. Raises `Problem` while it has no timestamp."""
        body = call.body_as(ContainerBody)
        record = await self._record(call)
        call.note(reason=body.reason, records=[record.id])
        _check([record])
        content = await asyncio.to_thread(
            _container, self.context.gateway.log_reader, record, digests_only=body.digests_only
        )
        return Download(content, MIMETYPE, container_name(record))

    async def judge(self, call: Call) -> VerdictView:
        """The verdict on an uploaded container, which is not kept."""
        configuration = self.context.configuration()
        return view_verdict(await asyncio.to_thread(verify_container, io.BytesIO(call.file()), configuration))

    async def _record(self, call: Call) -> LogRecord:
        number = number_of(call.path["id"], "record_not_found")
        found = await self.context.gateway.log_reader.by_ids([number])
        if not found:
            raise not_found("record_not_found", call.path["id"])
        return found[0]

    async def containers(self, call: Call) -> Download:
        """The containers of every record that matches. Raises `Problem` where they are none, or too many for one answer."""
        record_query = call.body_as(ContainersBody)
        reader = self.context.gateway.log_reader
        found = await asyncio.to_thread(_some, reader, _search(record_query), 0, MOST_CONTAINERS + 1)
        call.note(reason=record_query.reason, records=[r.id for r in found])
        _check(found)
        content = await asyncio.to_thread(_zip, reader, found, digests_only=record_query.digests_only)
        name = f"messages-{_utc(record_query.since):%Y%m%dT%H%M%SZ}-{_utc(record_query.until):%Y%m%dT%H%M%SZ}.zip"
        return Download(content, "application/zip", name)


def _check(found: Sequence[LogRecord]) -> None:
    if not found:
        raise not_found("record_not_found", "no record of the message log matches")
    size = sum(a.size_bytes for r in found for a in r.attachments)
    if len(found) > MOST_CONTAINERS or size > MOST_BYTES:
        raise bad_request(
            "too_many_records",
            f"more than {MOST_CONTAINERS} records or {MOST_BYTES} bytes match: ask for a shorter time, or take "
            "'gateway log find --export' at the server",
        )
    waiting = [r.id for r in found if not r.is_timestamped]
    if waiting:
        raise conflict("not_timestamped", f"record {waiting[0]} has no timestamp yet; ask again later")


def _some(reader: LogReader, search: RecordSearch, after: int, most: int) -> list[LogRecord]:
    return list(itertools.islice(find_records(reader, search, after), most))


def _zip(reader: LogReader, found: Sequence[LogRecord], *, digests_only: bool) -> bytes:
    out = io.BytesIO()
    archive = ZipWriter(out)
    for record in found:
        write = partial(write_record, record=record, reader=reader, digests_only=digests_only)
        archive.add_stream(container_name(record), write, record.at)
    archive.close()
    return out.getvalue()


def _container(reader: LogReader, record: LogRecord, *, digests_only: bool = False) -> bytes:
    out = io.BytesIO()
    write_record(out, record, reader, digests_only=digests_only)
    return out.getvalue()


def _search(record_query: SearchQuery | ContainersBody) -> RecordSearch:
    return RecordSearch(
        None if record_query.since is None else _utc(record_query.since),
        None if record_query.until is None else _utc(record_query.until),
        record_query.client,
        record_query.service,
        None if record_query.side is None else Side(record_query.side),
        record_query.message_id,
    )


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _view(record: LogRecord) -> RecordView:
    return RecordView(
        record.id,
        instant(record.at),
        record.side.value,
        record.is_response,
        record.message_id,
        record.client,
        record.service,
        record.protocol,
        record.is_timestamped,
        None if record.erasure is None else record.erasure.reference,
    )


def _detail(record: LogRecord, status: int | None) -> RecordDetail:
    bodies = [
        RecordedBody(a.number, a.size_bytes, a.digest.hex(), a.kept_bytes is None and record.erasure is None)
        for a in record.attachments
    ]
    return RecordDetail(
        _view(record),
        record.owner.path(),
        record.request_id,
        record.message_digest.hex(),
        bodies,
        status,
        None if record.erasure is None else record.erasure.authority,
        None if record.erasure is None else instant(record.erasure.at),
    )
