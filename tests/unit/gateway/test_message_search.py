"""The message log over the admin API: records found page by page, containers of a time with a reason, for those who may."""

from __future__ import annotations

import io
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pytest

from certs.verify.container import verify_file
from gateway.admin.messages import ContainerBody, ContainersBody, MessageLogResource, NewestQuery, SearchQuery
from gateway.admin.roles import OBSERVER, REGISTRATION_OFFICER, SECURITY_OFFICER, gateway_roles
from gateway.messagelog.finding import RecordSearch, find_records
from serving.api.operations import Call
from serving.api.problems import Problem
from tests import worlds
from tests.logs import append_message, entry, open_log, stamp_alone
from tests.worlds import CONSUMER, NOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.admin.context import AdminContext
from gateway.messagelog.store import MessageLog

COUNT = 5


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[MessageLog]:
    opened = open_log(tmp_path / "log")
    for number in range(COUNT):
        await append_message(opened, tmp_path, worlds.world().request(message_id=f"m{number}"))
    yield opened
    await opened.close()


def resource(log: MessageLog) -> MessageLogResource:
    context = SimpleNamespace(
        gateway=SimpleNamespace(log_reader=log.reader), configuration=lambda: worlds.world().configuration
    )
    return MessageLogResource(cast("AdminContext", context))


def call(**how: Any) -> Call:
    return Call(cast("Any", None), how.pop("path", {}), NOW, "id", **how)


def body(**changes: Any) -> Call:
    wanted = {"since": NOW - timedelta(days=1), "until": NOW + timedelta(days=1), "reason": "file 12/2026"}
    return call(body=msgspec.convert(wanted | changes, ContainersBody))


async def test_records_are_found_page_by_page_each_once(log: MessageLog) -> None:
    found: list[str] = []
    after = 0
    while page := await resource(log).find(call(query=SearchQuery(after=after, limit=2))):
        assert len(page) <= 2
        found += [r.message_id for r in page]
        after = page[-1].record
    assert found == [f"m{n}" for n in range(COUNT)]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        (SearchQuery(client=CONSUMER.path()), COUNT),
        (SearchQuery(client=CONSUMER.member.path()), COUNT),
        (SearchQuery(client="MX/GOB/15"), 0),
        (SearchQuery(message_id="m3"), 1),
        (SearchQuery(since=NOW + timedelta(seconds=1)), 0),
        (SearchQuery(since=NOW.replace(tzinfo=None), until=NOW + timedelta(seconds=1)), COUNT),
        (SearchQuery(side="provider"), 0),
    ],
)
async def test_a_search_takes_what_is_clear_in_a_record(
    log: MessageLog, query: SearchQuery, count: int
) -> None:
    assert len(await resource(log).find(call(query=query))) == count


async def test_containers_of_a_time_verify_and_the_audit_log_says_why(log: MessageLog) -> None:
    await stamp_alone(log, *range(1, COUNT + 1))
    asked = body()
    given = await resource(log).containers(asked)
    verdicts = list(verify_file(io.BytesIO(given.content), worlds.world().configuration))
    assert len(verdicts) == COUNT
    assert all(verdict.is_valid for _, verdict in verdicts)
    assert asked.facts == {"reason": "file 12/2026", "records": list(range(1, COUNT + 1))}
    bare = await resource(log).containers(body(digests_only=True, message_id="m1"))
    ((_, verdict),) = verify_file(io.BytesIO(bare.content), worlds.world().configuration)
    assert verdict.is_proved
    assert not verdict.is_valid


async def test_what_is_no_evidence_yet_or_not_there_is_refused(log: MessageLog) -> None:
    with pytest.raises(Problem) as waiting:
        await resource(log).containers(body())
    assert (waiting.value.status, waiting.value.code) == (409, "not_timestamped")
    with pytest.raises(Problem) as absent:
        await resource(log).containers(body(message_id="nobody's"))
    assert absent.value.status == 404


async def test_the_newest_come_first_page_by_page_each_once(log: MessageLog) -> None:
    found: list[str] = []
    before: int | None = None
    for _ in range(COUNT):
        page = await resource(log).newest(call(query=NewestQuery(before=before, limit=2)))
        found += [r.message_id for r in page.records]
        before = page.before
        if before is None:
            break
    assert found == [f"m{n}" for n in reversed(range(COUNT))]


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        (NewestQuery(since=NOW - timedelta(hours=2)), [5, 4, 3, 2, 1]),
        (NewestQuery(since=NOW + timedelta(hours=2)), []),
        (NewestQuery(until=NOW - timedelta(hours=2)), []),
        (NewestQuery(until=NOW + timedelta(days=1), message_id="m2"), [3]),
        (NewestQuery(status=200), []),
        (NewestQuery(before=3), [2, 1]),
        (NewestQuery(before=1), []),
    ],
)
async def test_the_newest_that_match(log: MessageLog, query: NewestQuery, numbers: list[int]) -> None:
    page = await resource(log).newest(call(query=query))
    assert ([r.record for r in page.records], page.before) == (numbers, None)


async def test_answers_are_found_by_their_status(log: MessageLog, tmp_path: Path) -> None:
    world = worlds.world()
    answer = world.response(world.request(message_id="m1"))
    number = await append_message(log, tmp_path, answer)
    found = await resource(log).newest(call(query=NewestQuery(status=200)))
    assert [r.record for r in found.records] == [number]
    assert (await resource(log).one(call(path={"id": str(number)}))).status == 200
    assert list(find_records(log.reader, RecordSearch(status=404))) == []
    assert [r.id for r in find_records(log.reader, RecordSearch(status=200))] == [number]


async def test_a_time_among_many_records_is_found_by_halving_and_a_long_look_goes_on(tmp_path: Path) -> None:
    log = open_log(tmp_path / "long")
    for number in range(12):
        await log.append(entry(f"h{number}", at=NOW + timedelta(hours=3 * number)))
    query = NewestQuery(since=NOW + timedelta(hours=6), until=NOW + timedelta(hours=15))
    page = await resource(log).newest(call(query=query))
    assert [r.message_id for r in page.records] == ["h4", "h3", "h2"]
    assert page.before is None
    await log.close()


async def test_a_long_look_ends_somewhere_and_an_id_is_found_however_old(tmp_path: Path) -> None:
    log = open_log(tmp_path / "long")
    await append_message(log, tmp_path, worlds.world().request(message_id="old"))
    same = "request_id, is_response, side, owner, client, service, protocol, form, links, message_digest, is_reduced, chain"
    with log.reader.database.transaction() as transaction:
        transaction.execute(
            f"INSERT INTO record (id, at_ms, message_id, message, signature, {same}) "
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 21000) "
            f"SELECT i, at_ms + i, 'm' || i, X'00', X'00', {same} FROM n, record WHERE record.id = 1"
        )
    nobody = NewestQuery(client="MX/GOB/NONE")
    first = await resource(log).newest(call(query=nobody))
    assert (first.records, first.before) == ([], 1_001)
    second = await resource(log).newest(call(query=msgspec.structs.replace(nobody, before=first.before)))
    assert (second.records, second.before) == ([], None)
    found = await resource(log).newest(call(query=NewestQuery(message_id="old")))
    assert [r.record for r in found.records] == [1]
    await log.close()


async def test_a_record_is_shown_by_its_digests_and_its_container_is_judged_step_by_step(
    log: MessageLog,
) -> None:
    messages, two = resource(log), call(path={"id": "2"})
    with pytest.raises(Problem) as waiting:
        await messages.verdict(two)
    assert waiting.value.code == "not_timestamped"
    await stamp_alone(log, 2)
    detail = await messages.one(two)
    assert (detail.record.message_id, detail.owner, detail.status) == ("m1", CONSUMER.path(), None)
    verdict = await messages.verdict(two)
    assert verdict.is_valid
    assert [s.outcome for s in verdict.steps] == ["valid"] * 7
    asked = call(path={"id": "2"}, body=ContainerBody("file 12/2026"))
    given = await messages.container(asked)
    assert asked.facts == {"reason": "file 12/2026", "records": [2]}
    assert (await messages.judge(call(body=given.content))).is_valid
    assert not (await messages.judge(call(body=given.content[:-200]))).is_proved
    bare = await messages.container(call(path={"id": "2"}, body=ContainerBody("file", digests_only=True)))
    judged = await messages.judge(call(body=bare.content))
    assert (judged.is_proved, judged.is_valid) == (True, False)
    for nothing in ("99", "x", "-1"):
        with pytest.raises(Problem) as absent:
            await messages.one(call(path={"id": nothing}))
        assert absent.value.status == 404


def test_only_those_who_may_see_or_take_messages() -> None:
    granted = gateway_roles().permissions
    assert {r for r, p in granted.items() if "DOWNLOAD_MESSAGE_LOG" in p} == {SECURITY_OFFICER}
    assert {OBSERVER, SECURITY_OFFICER} <= {r for r, p in granted.items() if "VIEW_MESSAGE_LOG" in p}
    assert "VIEW_MESSAGE_LOG" not in granted[REGISTRATION_OFFICER]
