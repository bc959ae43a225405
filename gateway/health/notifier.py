"""Sending notices by mail and by webhook; a notice that cannot be sent is tried again and never holds anything up.

A webhook gets JSON with ``X-Sacbe-Signature: sha256=...``, the HMAC of the body under the secret both sides know.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import logging
import smtplib
from collections import deque
from datetime import datetime, timedelta
from email.message import EmailMessage
from typing import TYPE_CHECKING

import aiohttp
import msgspec

from certs.edges.tokenfiles import write_whole
from gateway.health.notices import (
    GOOD_NEWS,
    RESOLVED,
    DeliveredNotice,
    OperatorNotice,
    decide_notices,
    event_notice,
)
from schemas.faults import UnexpectedStatus
from schemas.jsontext import decode_json, dump_json, encode_json
from serving.language import N_, SOURCE_LANGUAGE, Text, mail_languages
from serving.mail import deliver
from serving.printable import escape_controls
from serving.process.failing import FailureReason, reason_of, text_of
from serving.process.loops import Loop
from serving.process.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from gateway.health.diagnosis import Diagnosis
    from gateway.health.notices import Key
    from gateway.settings.config import NoticeSettings

log = logging.getLogger("gateway.health.notices")

_WAITING = 1000
_TIMEOUT_S = 20


class Notifier:
    """The notices of one server, whose name stands in every one."""

    def __init__(
        self,
        settings: NoticeSettings,
        server: str,
        session: aiohttp.ClientSession,
        now: Callable[[], datetime],
        environ: Mapping[str, str],
        waiting_file: Path | None = None,
    ) -> None:
        self._settings = settings
        self.server = server
        self._session = session
        self._now = now
        self._environ = environ
        self._pace = Pace()
        self._delivered: dict[Key, DeliveredNotice] = {}
        self._waiting_file = waiting_file
        self._waiting: deque[tuple[str, OperatorNotice]] = deque(_read_waiting(waiting_file), maxlen=_WAITING)
        self.last_failure: FailureReason | None = None

    @property
    def is_set(self) -> bool:
        """Whether there is anybody to tell."""
        settings = self._settings
        return bool(settings.webhook_url or settings.recipients or settings.contacts)

    def reconfigure(self, settings: NoticeSettings) -> None:
        """Tell others, or at other times."""
        self._settings = settings
        self._pace.changed()

    def notify(self, kind: str, subject: str, detail: str, member: str = "") -> None:
        """Tell of something that happened, to the contact of ``member`` too; it is sent soon."""
        self._queue(event_notice(kind, subject, detail, self._now(), member))

    def look(self, diagnosis: Diagnosis) -> None:
        """Tell what a diagnosis newly finds, or finds no longer."""
        repeat = timedelta(seconds=self._settings.repeat_s)
        notices, self._delivered = decide_notices(diagnosis, self._delivered, repeat)
        for notice in notices:
            self._queue(notice)

    def loop(self, diagnose: Callable[[], Awaitable[Diagnosis]]) -> Loop:
        """The loop that diagnoses and sends."""

        async def work() -> None:
            if self.is_set:
                self.look(await diagnose())
                await self.send_waiting()

        return Loop("notices", work, lambda: self._settings.check_s, pace=self._pace)

    async def send_waiting(self) -> int:
        """Send what waits; how many notices are still waiting afterwards."""
        for _ in range(len(self._waiting)):
            way, notice = self._waiting.popleft()
            try:
                await (self._post(notice) if way == "webhook" else self._mail(notice))
            except (OSError, smtplib.SMTPException, aiohttp.ClientError, TimeoutError, ValueError) as err:
                self.last_failure = reason_of(err, way)
                log.warning("notice not sent", extra={"event": "notice", "way": way, "reason": text_of(err)})
                self._waiting.append((way, notice))
            self._keep_waiting()  # on disk now: a crash repeats the one under way and loses none
        return len(self._waiting)

    async def send_test_mail(self, recipient: str) -> None:
        """A mail that shows that mails arrive. Raises OSError or `smtplib.SMTPException` when they do not."""
        message = self._message(
            _every(N_("test"), " / "), _every(N_("This is a test mail."), " "), (recipient,)
        )
        await asyncio.to_thread(self._deliver, message)

    def _queue(self, notice: OperatorNotice) -> None:
        texts = {language: escape_controls(text) for language, text in notice.texts.items()}
        notice = msgspec.structs.replace(notice, subject=escape_controls(notice.subject), texts=texts)
        log.log(
            logging.INFO if notice.severity == RESOLVED or notice.code in GOOD_NEWS else logging.WARNING,
            "notice",
            extra={"event": "notice", "code": notice.code, "text": notice.texts[SOURCE_LANGUAGE]},
        )
        if self._settings.webhook_url:
            self._waiting.append(("webhook", notice))
        if self._recipients(notice):
            self._waiting.append(("mail", notice))
        self._keep_waiting()

    def _recipients(self, notice: OperatorNotice) -> tuple[str, ...]:
        contacts = [
            c.recipients for c in self._settings.contacts if notice.member and c.member == notice.member
        ]
        return tuple(dict.fromkeys((*self._settings.recipients, *itertools.chain.from_iterable(contacts))))

    def _keep_waiting(self) -> None:
        """Write what waits; a disk that takes nothing costs the notices a restart at the most, never an exchange."""
        if self._waiting_file is None:
            return
        try:
            write_whole(self._waiting_file, encode_json(list(self._waiting)), mode=0o600)
        except OSError as err:
            log.warning("notices not kept", extra={"event": "notice", "reason": str(err)})

    async def _post(self, notice: OperatorNotice) -> None:
        body = dump_json(
            {
                "server": self.server,
                "code": notice.code,
                "severity": notice.severity,
                "subject": notice.subject,
                "at": notice.at.isoformat(),
                "stops_at": notice.stops_at.isoformat() if notice.stops_at else None,
                **notice.texts,
            },
            ensure_ascii=False,
        ).encode()
        headers = {"Content-Type": "application/json"}
        if self._settings.webhook_secret.is_set:
            key = self._settings.webhook_secret.read(self._environ).encode()
            headers["X-Sacbe-Signature"] = f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}"
        async with self._session.post(
            self._settings.webhook_url,
            data=body,
            headers=headers,
            timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            allow_redirects=False,
        ) as answer:
            if not 200 <= answer.status < 300:
                raise UnexpectedStatus(answer.status, "2xx was expected of the webhook")

    async def _mail(self, notice: OperatorNotice) -> None:
        text = "".join(
            f"{notice.texts[language]}\n\n" for language in mail_languages() if language in notice.texts
        )
        text += f"{self.server}, {notice.at:%Y-%m-%d %H:%M:%S} UTC\n"
        message = self._message(f"{notice.severity}: {notice.code}", text, self._recipients(notice))
        await asyncio.to_thread(self._deliver, message)

    def _message(self, subject: str, text: str, recipients: tuple[str, ...]) -> EmailMessage:
        message = EmailMessage()
        message["Subject"] = f"[{self.server}] {subject}"
        message["From"] = self._settings.sender
        message["To"] = ", ".join(recipients)
        message.set_content(text)
        return message

    def _deliver(self, message: EmailMessage) -> None:
        deliver(self._settings, self._environ, message)


def _read_waiting(file: Path | None) -> list[tuple[str, OperatorNotice]]:
    """What waited when the process ended. A file that cannot be read is told in the log and left out."""
    if file is None or not file.exists():
        return []
    try:
        return decode_json(file.read_bytes(), list[tuple[str, OperatorNotice]])
    except (OSError, msgspec.MsgspecError) as err:
        log.warning("kept notices cannot be read", extra={"event": "notice", "reason": str(err)})
        return []


def _every(text: Text, between: str) -> str:
    """A text in every language, one after the other."""
    return between.join(text.into(language) for language in mail_languages())
