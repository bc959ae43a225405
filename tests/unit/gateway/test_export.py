"""``GET /asic``: what each of its parameters gives, over REST and SOAP, from a log that is sealed."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, cast

import pytest

from certs.verify.container import verify_container
from gateway.messagelog.export import asic_download
from schemas.asic.manifest import MIMETYPE
from schemas.faults import BadMessage, Fault
from tests import worlds
from tests.logs import append_message, open_log, soap_messages, stamp_alone
from tests.worlds import CONSUMER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from gateway.messagelog.store import MessageLog
    from gateway.messagelog.timestamper import Timestamper
    from schemas.message import Message

BODIES = (b"a" * 10, b"b" * 300_000)


class Stamper:
    """Stamps when it is forced to."""

    def __init__(self, log: MessageLog) -> None:
        self._log = log

    # What a round that is brought forward reaches.
    reached: tuple[int, ...] = ()

    async def stamp_soon(self, _within_s: float) -> None:
        await stamp_alone(self._log, *self.reached)

    async def force(self, ids: Sequence[int]) -> None:
        await stamp_alone(self._log, *ids)


def exchanged(protocol: str) -> tuple[Message, Message, tuple[bytes, ...]]:
    if protocol == "SOAP":
        return (*soap_messages(BODIES), BODIES)
    request = worlds.world().request(body=BODIES[1], message_id="s1")
    return request, worlds.world().response(request), BODIES[1:]


@pytest.fixture(params=["REST", "SOAP"])
async def log(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MessageLog]:
    opened = open_log(tmp_path / "log")
    asked, answered, bodies = exchanged(request.param)
    await append_message(opened, tmp_path, asked, bodies)
    await append_message(opened, tmp_path, answered)
    yield opened
    await opened.close()


async def get(
    log: MessageLog, *flags: str, reached: tuple[int, ...] = (), **query: str
) -> tuple[str, str, bytes]:
    asked = dict(
        zip(("xRoadInstance", "memberClass", "memberCode", "subsystemCode"), CONSUMER.components, strict=True)
    )
    stamper = Stamper(log)
    stamper.reached = reached
    download = await asic_download(
        log,
        cast("Timestamper", stamper),
        {**asked, "queryId": "s1", **dict.fromkeys(flags, ""), **query},
    )
    return download.content_type, download.file_name, b"".join([c async for c in download.chunks])


def proved(container: bytes, *, whole: bool = True) -> bool:
    verdict = verify_container(io.BytesIO(container), worlds.world().configuration)
    assert verdict.is_valid is whole, verdict.steps
    return verdict.is_proved


@pytest.mark.xroad("F110")
async def test_untimestamped_records_are_refused_or_stamped_by_force(log: MessageLog) -> None:
    with pytest.raises(Fault, match="no timestamp yet"):
        await get(log)
    content_type, name, raw = await get(log, "force")
    assert (content_type, name) == ("application/zip", "s1.zip")
    with zipfile.ZipFile(io.BytesIO(raw)) as both:
        assert [n.rsplit("-", 1)[0] for n in both.namelist()] == ["s1-request", "s1-response"]
        assert all(proved(both.read(n)) for n in both.namelist())


async def test_right_after_an_exchange_the_next_round_of_timestamps_is_waited_for(log: MessageLog) -> None:
    with pytest.raises(Fault, match="1 of the records have no timestamp yet"):
        await get(log, reached=(1,))
    _, name, raw = await get(log, reached=(2,))
    assert name == "s1.zip"
    with zipfile.ZipFile(io.BytesIO(raw)) as both:
        assert all(proved(both.read(n)) for n in both.namelist())


@pytest.mark.parametrize(("flag", "direction"), [("requestOnly", "request"), ("responseOnly", "response")])
@pytest.mark.xroad("F110")
async def test_one_direction_comes_in_a_zip_and_unique_bare(
    log: MessageLog, flag: str, direction: str
) -> None:
    content_type, name, raw = await get(log, "force", flag)
    assert (content_type, name) == ("application/zip", f"s1-{direction}.zip")
    with zipfile.ZipFile(io.BytesIO(raw)) as one:
        (entry,) = one.namelist()
        assert proved(one.read(entry))
    content_type, name, raw = await get(log, flag, "unique")
    assert content_type == MIMETYPE
    assert name == entry
    assert proved(raw)


async def test_digests_alone_can_be_had(log: MessageLog) -> None:
    _, _, raw = await get(log, "force", "digestsOnly")
    with zipfile.ZipFile(io.BytesIO(raw)) as both:
        assert all(proved(both.read(n), whole=False) for n in both.namelist())
        assert not any(
            "message.xml" in zipfile.ZipFile(io.BytesIO(both.read(n))).namelist() for n in both.namelist()
        )


async def test_flags_that_contradict_and_ids_nobody_sent_are_refused(log: MessageLog) -> None:
    for flags in (("requestOnly", "responseOnly"), ("unique",)):
        with pytest.raises(BadMessage):
            await get(log, *flags)
    with pytest.raises(BadMessage, match="no record"):
        await get(log, queryId="other")
