"""Notices: told once, told again after a day, told when it is over; by mail and by signed webhook."""

from __future__ import annotations

import asyncio
import email
import email.policy
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.health.diagnosis import Diagnosis, DiagnosisFacts, Finding, Severity, diagnose
from gateway.health.diagnosistexts import TEXTS
from gateway.health.notices import RESOLVED, OperatorNotice, decide_notices
from gateway.health.notifier import Notifier
from gateway.settings.config import MemberContact, NoticeSettings
from serving.config.secret import SecretSource
from serving.process.failing import FailureReason
from tests.mailbox import Mailbox

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gateway.health.notices import DeliveredNotice, Key

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def seen(*failures: tuple[str, str], at: datetime = NOW) -> Diagnosis:
    return diagnose(
        DiagnosisFacts(
            token_failures={t: FailureReason(why) for t, why in failures},
            configuration_expires_at=at + 10 * DAY,
        ),
        at,
    )


def told(
    diagnosis: Diagnosis, before: Mapping[Key, DeliveredNotice]
) -> tuple[list[tuple[str, str]], dict[Key, DeliveredNotice]]:
    notices, after = decide_notices(diagnosis, dict(before), DAY)
    return [(n.subject, n.severity) for n in notices], after


def test_a_finding_is_told_once_again_after_a_day_and_when_it_is_over() -> None:
    first, after = told(seen(("hsm", "gone")), {})
    second, after = told(seen(("hsm", "gone"), at=NOW + DAY / 2), after)
    third, after = told(seen(("hsm", "gone"), at=NOW + DAY), after)
    fourth, after = told(seen(at=NOW + DAY * 1.1), after)
    fifth, _ = told(seen(at=NOW + DAY * 1.2), after)
    notice = [("hsm", Severity.NOTICE.value)]
    assert (first, second, third, fourth, fifth) == (notice, [], notice, [("hsm", RESOLVED)], [])


def test_a_finding_that_grows_worse_is_told_at_once() -> None:
    mild = Finding("token", Severity.NOTICE, "hsm", None, {"reason": "gone"})
    bad = Finding("token", Severity.STOPPED, "hsm", NOW, {"reason": "gone"})
    _, after = told(Diagnosis(NOW, (mild,), None), {})
    assert told(Diagnosis(NOW, (bad,), NOW), after)[0] == [("hsm", "stopped")]


def test_every_finding_has_words_in_both_languages() -> None:
    values = dict.fromkeys(
        [
            "reason",
            "expires",
            "since",
            "until",
            "seconds",
            "purpose",
            "issuer",
            "serial",
            "days",
            "certificate",
            "responder",
            "urls",
            "this_update",
            "next_update",
            "good_until",
        ],
        "x",
    )
    values["direction"] = "ahead"
    for code in TEXTS:
        finding = Finding(code, Severity.NOTICE, "s", None, values)
        assert all(finding.texts_in("es")) and all(finding.texts_in("en"))
        assert finding.texts_in("es") != finding.texts_in("en")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


async def test_a_webhook_gets_signed_json_and_is_tried_again(session: aiohttp.ClientSession) -> None:
    bodies: list[bytes] = []
    answers = iter((503, 204))

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        digest = hmac.new(b"shared", body, hashlib.sha256).hexdigest()
        assert request.headers["X-Sacbe-Signature"] == f"sha256={digest}"
        bodies.append(body)
        return web.Response(status=next(answers))

    app = web.Application()
    app.router.add_post("/hook", take)
    server = TestServer(app)
    await server.start_server()
    settings = NoticeSettings(
        webhook_url=str(server.make_url("/hook")), webhook_secret=SecretSource(environment="HOOK")
    )
    notifier = Notifier(settings, "MX/GOB/1/SS1", session, lambda: NOW, {"HOOK": "shared"})
    notifier.look(seen(("hsm", "gone")))
    assert await notifier.send_waiting() == 1
    assert notifier.last_failure == FailureReason(
        "webhook: HTTP 503 where 2xx was expected of the webhook", ("http_status=503",)
    )
    assert await notifier.send_waiting() == 0
    await server.close()
    told_ = json.loads(bodies[1])
    assert (told_["server"], told_["code"], "hsm" in told_["es"]) == ("MX/GOB/1/SS1", "token", True)


@pytest.mark.xroad("F045")
async def test_a_mail_says_it_in_both_languages(session: aiohttp.ClientSession) -> None:
    mails: list[bytes] = []
    server = await asyncio.get_running_loop().create_server(lambda: Mailbox(mails), "127.0.0.1", 0)
    settings = NoticeSettings(
        recipients=("operador@example.org",),
        smtp_host="127.0.0.1",
        smtp_port=server.sockets[0].getsockname()[1],
    )
    notifier = Notifier(settings, "MX/GOB/1/SS1", session, lambda: NOW, {})
    notifier.notify("renewal-failed", "CN=x", "la CA está cerrada")
    assert await notifier.send_waiting() == 0
    await notifier.send_test_mail("otro@example.org")
    server.close()
    first, second = (email.message_from_bytes(m, policy=email.policy.default) for m in mails)
    text = first.get_content()
    assert (first["Subject"], first["To"]) == (
        "[MX/GOB/1/SS1] notice: renewal-failed",
        "operador@example.org",
    )
    assert "La renovación de CN=x falló: la CA está cerrada" in text
    assert "The renewal of CN=x failed" in text
    assert second["To"] == "otro@example.org"


async def test_what_cannot_be_sent_is_bounded(session: aiohttp.ClientSession) -> None:
    settings = NoticeSettings(recipients=("a@example.org",), smtp_host="127.0.0.1", smtp_port=9)
    notifier = Notifier(settings, "s", session, lambda: NOW, {})
    for n in range(1100):
        notifier.notify("renewal-failed", str(n), "x")
    assert len(notifier._waiting) == 1000
    assert isinstance(notifier._waiting[0][1], OperatorNotice)


@pytest.mark.xroad("F045")
async def test_a_members_contact_is_told_of_its_certificates_and_of_nothing_else(
    session: aiohttp.ClientSession,
) -> None:
    mails: list[bytes] = []
    server = await asyncio.get_running_loop().create_server(lambda: Mailbox(mails), "127.0.0.1", 0)
    settings = NoticeSettings(
        recipients=("operador@example.org",),
        contacts=(
            MemberContact(member="MX/GOB/1", recipients=("uno@example.org", "operador@example.org")),
            MemberContact(member="MX/GOB/2", recipients=("dos@example.org",)),
        ),
        smtp_host="127.0.0.1",
        smtp_port=server.sockets[0].getsockname()[1],
    )
    notifier = Notifier(settings, "MX/GOB/1/SS1", session, lambda: NOW, {})
    notifier.notify("certificate-renewed", "CN=uno", "AB", "MX/GOB/1")
    notifier.notify("activation-failed", "CN=dos", "no OCSP", "MX/GOB/2")
    notifier.notify("request-refused", "MX/GOB/1", "because")
    assert await notifier.send_waiting() == 0
    server.close()
    sent = [email.message_from_bytes(m, policy=email.policy.default) for m in mails]
    assert [m["To"] for m in sent] == [
        "operador@example.org, uno@example.org",
        "operador@example.org, dos@example.org",
        "operador@example.org",
    ]


@pytest.mark.xroad("F045")
async def test_a_notice_that_waits_outlives_the_process(
    session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    mails: list[bytes] = []
    server = await asyncio.get_running_loop().create_server(lambda: Mailbox(mails), "127.0.0.1", 0)
    port, kept = server.sockets[0].getsockname()[1], tmp_path / "notices.json"
    nowhere = NoticeSettings(recipients=("a@example.org",), smtp_host="127.0.0.1", smtp_port=1)
    here = NoticeSettings(recipients=("a@example.org",), smtp_host="127.0.0.1", smtp_port=port)
    first = Notifier(nowhere, "MX/GOB/1/SS1", session, lambda: NOW, {}, kept)
    first.notify("renewal-failed", "CN=ñandú", "closed")
    assert await first.send_waiting() == 1
    assert await Notifier(here, "MX/GOB/1/SS1", session, lambda: NOW, {}, kept).send_waiting() == 0
    assert await Notifier(here, "MX/GOB/1/SS1", session, lambda: NOW, {}, kept).send_waiting() == 0
    server.close()
    (sent,) = (email.message_from_bytes(m, policy=email.policy.default) for m in mails)
    assert "CN=ñandú" in sent.get_content()
    kept.write_bytes(b"{damaged")
    assert await Notifier(here, "MX/GOB/1/SS1", session, lambda: NOW, {}, kept).send_waiting() == 0
