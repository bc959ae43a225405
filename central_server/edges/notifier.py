"""Sends what waits in the outbox: mail by SMTP, webhooks by HTTPS. What fails is tried again, ever more slowly.

A webhook may only go to an ``https`` address (or to this machine), is not redirected, and must be answered with 2xx.
"""

from __future__ import annotations

import asyncio
import logging
from email.message import EmailMessage
from typing import TYPE_CHECKING

import aiohttp

from central_server.management.notices import check_webhook, due_notices, next_try, sign_body
from central_server.management.noticetexts import render_mail
from serving.mail import deliver
from serving.process.loops import Loop
from serving.process.outward import outward_session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from central_server.config import CentralNoticeSettings
    from central_server.management.notices import RequestNotice
    from central_server.store.records import CentralStore

log = logging.getLogger("central_server.management.notices")

TIMEOUT = aiohttp.ClientTimeout(total=20)
SIGNATURE_HEADER = "X-Sacbe-Signature"


class RequestNotifier:
    """Sends the notices in the outbox to members' contacts."""

    def __init__(
        self,
        store: CentralStore,
        settings: CentralNoticeSettings,
        clock: Callable[[], datetime],
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._store = store
        self._environ = environ or {}
        self._settings = settings
        self._clock = clock

    def loop(self) -> Loop:
        """The loop that sends what is due."""
        return Loop("notices", self._send, lambda: self._settings.poll_s)

    async def _send(self) -> None:
        if not due_notices(self._store.read(), self._clock()):
            return
        async with outward_session() as session:
            await self.send_due(session)

    async def send_due(self, session: aiohttp.ClientSession) -> int:
        """Try everything that is due; how many were delivered."""
        sent = 0
        for notice in due_notices(self._store.read(), self._clock()):
            try:
                if notice.channel == "mail":
                    await asyncio.to_thread(self._mail, notice)
                else:
                    await _call_webhook(session, notice)
            except Exception as err:  # one notice that cannot be sent holds up none of the others
                self._failed(notice, str(err) or type(err).__name__)
                continue
            with self._store.database.transaction() as sql:
                sql.execute("DELETE FROM notice WHERE id = ?", (notice.number,))
            sent += 1
        return sent

    def _failed(self, notice: RequestNotice, problem: str) -> None:
        log.warning(
            "an institute was not told",
            extra={"event": "notice_failed", "member": notice.contact.member.path(), "reason": problem},
        )
        at = next_try(notice.tries, self._clock()).isoformat(timespec="milliseconds")
        with self._store.database.transaction() as sql:
            sql.execute(
                "UPDATE notice SET tries = ?, next_at = ?, problem = ? WHERE id = ?",
                (notice.tries + 1, at, problem[:500], notice.number),
            )

    def _mail(self, notice: RequestNotice) -> None:
        if not self._settings.smtp_host or not notice.contact.mail:
            raise ValueError("no mail server is set (notices.smtp_host)")
        message = EmailMessage()
        message["From"] = self._settings.sender
        message["To"] = notice.contact.mail
        mail = render_mail(notice.body)
        message["Subject"] = mail.subject
        message.set_content(mail.text)
        deliver(self._settings, self._environ, message)


async def _call_webhook(session: aiohttp.ClientSession, notice: RequestNotice) -> None:
    url = notice.contact.webhook or ""
    check_webhook(url)
    body = notice.body.encode()
    headers = {"Content-Type": "application/json"}
    if notice.contact.secret:
        headers[SIGNATURE_HEADER] = sign_body(notice.contact.secret, body)
    async with session.post(
        url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
    ) as answer:
        if not 200 <= answer.status < 300:
            raise ValueError(f"the webhook answered HTTP {answer.status}")
