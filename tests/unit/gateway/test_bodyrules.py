"""Which bodies a log keeps: X-Road's switches, and evidence that says what is not there."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest

from certs.verify.container import verify_container
from gateway.messagelog.bodyrules import BodyRules
from gateway.messagelog.export import write_record
from gateway.messagelog.store import LogSettings
from gateway.server.partsettings import body_rules
from gateway.settings.config import GatewaySettings, MessageLogSettings
from schemas import rest, soap
from schemas.asic import container as asic
from schemas.asic.withheld import Reason
from schemas.faults import Fault, Kind
from schemas.message import Side
from tests import worlds
from tests.logs import append_message, append_signed, body_files, open_log, soap_messages, stamp_alone
from tests.worlds import CONSUMER, PROVIDER

if TYPE_CHECKING:
    from pathlib import Path

    from certs.verify.container import Verdict
    from gateway.messagelog.store import MessageLog

OTHER = PROVIDER.member.subsystem("OTRO")
LOCAL, REMOTE = Side.PROVIDER, Side.CONSUMER


def rules(**settings: object) -> BodyRules:
    return body_rules(GatewaySettings(log=MessageLogSettings(**settings)))  # type: ignore[arg-type]


def open_with(folder: Path, **settings: object) -> MessageLog:
    return open_log(folder / "log", LogSettings(bodies=rules(**settings)))


def evidence(log: MessageLog, number: int) -> tuple[asic.Container, Verdict]:
    out = io.BytesIO()
    write_record(out, log.reader.record(number), log.reader)
    out.seek(0)
    verdict = verify_container(out, worlds.world().configuration)
    out.seek(0)
    return asic.read_container(out), verdict


def test_by_default_every_body_is_kept() -> None:
    assert rules() == BodyRules()
    assert all(rules().keeps(side, PROVIDER) for side in Side)


@pytest.mark.parametrize(("on", "word"), [(True, "disabled"), (False, "enabled")])
@pytest.mark.xroad("F102")
def test_a_list_turns_the_switch_round_for_its_producers_on_its_side(*, on: bool, word: str) -> None:
    other_word = "enabled" if on else "disabled"
    local = rules(
        message_body_logging=on,
        **{
            f"{word}_body_logging_local_producers": (PROVIDER.path(),),
            f"{other_word}_body_logging_remote_producers": (PROVIDER.path(),),
        },
    )
    assert local.keeps(LOCAL, PROVIDER) is not on
    assert [local.keeps(LOCAL, OTHER), local.keeps(REMOTE, PROVIDER), local.keeps(REMOTE, OTHER)] == [on] * 3
    remote = rules(message_body_logging=on, **{f"{word}_body_logging_remote_producers": (PROVIDER.path(),)})
    assert remote.keeps(REMOTE, PROVIDER) is not on
    assert remote.keeps(LOCAL, PROVIDER) is on


@pytest.mark.xroad("F113")
async def test_a_rest_message_without_its_body_is_kept_by_its_headers_and_proved_by_its_digests(
    tmp_path: Path,
) -> None:
    log = open_with(tmp_path, message_body_logging=False)
    await append_signed(log, tmp_path, size=100_000)
    await stamp_alone(log, 1)
    container, verdict = evidence(log, 1)
    kept = rest.parse_request(container.message)
    assert (kept.client, kept.service.client, kept.service_path, kept.query) == (CONSUMER, PROVIDER, "", None)
    assert all(name.lower().startswith("x-road-") for name, _ in kept.headers)
    assert container.attachments == {}
    assert body_files(log) == []
    assert verdict.is_proved
    assert not verdict.is_valid
    assert verdict.withheld is not None
    assert verdict.withheld.reason is Reason.NOT_LOGGED
    assert await log.verify_chain() is None
    await log.close()


async def test_a_soap_message_without_its_body_has_its_headers_and_one_empty_element(tmp_path: Path) -> None:
    log = open_with(tmp_path, disabled_body_logging_remote_producers=(PROVIDER.path(),))
    request, answer = soap_messages((b"a" * 10,))
    await append_message(log, tmp_path, request, (b"a" * 10,))
    await append_message(log, tmp_path, answer)
    await stamp_alone(log, 1, 2)
    for number, name in ((1, b"<buscar/>"), (2, b"<buscarResponse/>")):
        container, verdict = evidence(log, number)
        kept = soap.parse_message(container.message)
        assert (kept.client, kept.message_id) == (CONSUMER, "s1")
        assert name in container.message
        assert b"GOMC850101MMCMRR07" not in container.message
        assert container.attachments == {}
        assert (verdict.is_proved, verdict.is_valid) == (True, False)
    await log.close()


@pytest.mark.xroad("F096")
async def test_a_body_above_the_limit_is_refused_and_nothing_of_it_is_logged(tmp_path: Path) -> None:
    log = open_with(tmp_path, max_loggable_body_bytes=1000)
    with pytest.raises(Fault, match="max_loggable_body_bytes") as refused:
        await append_signed(log, tmp_path, size=1001)
    assert refused.value.kind is Kind.LOGGING_FAILED
    assert await append_signed(log, tmp_path, size=1000) == 1
    await log.close()


@pytest.mark.parametrize(("size", "limit"), [(1001, 1000), (1_000_000, 1000), (1_000_000, 600_000), (300, 0)])
@pytest.mark.xroad("F103")
async def test_a_body_that_is_cut_says_so_and_is_proved_by_its_digest(
    tmp_path: Path, size: int, limit: int
) -> None:
    log = open_with(tmp_path, max_loggable_body_bytes=limit, truncated_body_allowed=limit > 0)
    await append_signed(log, tmp_path, size=size)
    await stamp_alone(log, 1)
    record = log.reader.record(1)
    assert len(b"".join(log.reader.open_body(record, record.attachments[0]))) == limit
    container, verdict = evidence(log, 1)
    assert rest.parse_request(container.message).query == "curp=1"
    assert len(container.attachments) == (1 if limit else 0)
    assert (verdict.is_proved, verdict.is_valid) == (True, False)
    assert verdict.withheld is not None
    (part,) = verdict.withheld.parts
    assert (part.uri, part.size_bytes, part.kept_bytes) == ("/attachment1", size, limit)
    await log.close()
