"""``/mail``: which notices go out by mail, to whom, and whether a mail arrives."""

from __future__ import annotations

import smtplib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from gateway.admin.context import AdminContext, row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.api.operations import Call, Operation

# X-Road's words for what this server tells of by mail.
NOTIFIED = (
    "ACME_FAILURE",
    "ACME_SUCCESS",
    "AUTH_CERT_REGISTERED",
    "ACME_CERT_AUTOMATICALLY_ACTIVATED",
    "ACME_CERT_AUTOMATIC_ACTIVATION_FAILED",
)
Address = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[^\s,;<>@]+@[^\s,;<>@]+$")]


class MailNotificationStatus(msgspec.Struct, frozen=True):
    """The notices that go out by mail, to whom, and whether mail is set up."""

    enabled_notifications: list[str]
    configuration_present: bool
    recipients_emails: list[str]


class MailRecipient(msgspec.Struct, frozen=True):
    """Who shall get a test mail."""

    mail_address: Address


class TestMailResponse(msgspec.Struct, frozen=True):
    """Whether the mail server took it."""

    status: str
    text: str


@dataclass(frozen=True, slots=True)
class Mail:
    """The handlers of ``/mail``: status and test mail."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        return [
            row("GET", "/mail/mail-notification-status", self.status, "Which notices go out by mail", "DIAGNOSTICS",
                answer=MailNotificationStatus),
            row("PUT", "/mail/send-test-mail", self.send, "Send a test mail", "DIAGNOSTICS", body=MailRecipient,
                answer=TestMailResponse, event="SEND_TEST_MAIL", exclusive=False),
        ]  # fmt: skip

    async def status(self, _call: Call) -> MailNotificationStatus:
        recipients = list(self.context.process.settings.notices.recipients)
        return MailNotificationStatus(list(NOTIFIED) if recipients else [], bool(recipients), recipients)

    async def send(self, call: Call) -> TestMailResponse:
        recipient = call.body_as(MailRecipient).mail_address
        call.note(recipient=recipient)
        try:
            await self.context.gateway.notifier.send_test_mail(recipient)
        except (OSError, smtplib.SMTPException, ValueError) as err:
            return TestMailResponse("error", f"Error: {err or type(err).__name__}")
        return TestMailResponse("success", "Success!")
