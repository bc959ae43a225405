"""What an administrator's pages poll and set: ``/notifications/alerts`` and ``/language``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from certs.tokens.port import SOFTWARE_TOKEN_ID
from gateway.admin.context import AdminContext, instant, row
from gateway.keys.model import KeyUsage
from gateway.keys.store import KeyConfStore
from serving.api.operations import ApiAnswer
from serving.api.problems import not_found
from serving.language import console_languages

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.api.backupoperations import BackupResource
    from serving.api.operations import Call, Operation

LANGUAGE_COOKIE = "language"


class Alerts(msgspec.Struct, frozen=True, omit_defaults=True):
    """The states that an administrator's pages poll for a warning."""

    current_time: str
    global_conf_valid: bool
    global_conf_valid_check_success: bool
    soft_token_pin_entered: bool
    soft_token_pin_entered_check_success: bool
    certificate_renewal_job_success: bool
    auth_certificate_ids_with_errors: list[str]
    sign_certificate_ids_with_errors: list[str]
    backup_restore_running_since: str | None = None


class LanguageView(msgspec.Struct, frozen=True):
    """The language of the pages."""

    id: str


@dataclass(frozen=True, slots=True)
class Interface:
    """The handlers of ``/notifications/alerts`` and ``/language``."""

    context: AdminContext
    backups: BackupResource

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        return [
            row("GET", "/notifications/alerts", self.alerts, "What an operator should look at", answer=Alerts),
            row("PUT", "/notifications/alerts/reset", self.reset, "Forget that a backup or restore is running",
                "BACKUP_CONFIGURATION", "RESTORE_CONFIGURATION", status=204, event="RESET_ALERTS", exclusive=False),
            row("PUT", "/language/{code}", self.language, "The language of the pages, kept in a cookie",
                answer=LanguageView),
        ]  # fmt: skip

    async def alerts(self, call: Call) -> Alerts:
        configuration = self.context.process.configuration()
        token = None
        if self.context.process.gateway is not None:
            token = await self.context.keys.token(SOFTWARE_TOKEN_ID)
        store = KeyConfStore(self.context.process.store.database)
        wrong = [c for c in store.certificates() if c.renewal_error] if token is not None else []
        running = self.backups.running_since
        return Alerts(
            instant(call.now),
            configuration is not None and configuration.expires_at > call.now,
            True,
            token is not None and token.logged_in,
            token is not None,
            not wrong,
            [c.hash for c in wrong if c.usage is KeyUsage.AUTHENTICATION],
            [c.hash for c in wrong if c.usage is KeyUsage.SIGNING],
            None if running is None else instant(running),
        )

    async def reset(self, _call: Call) -> None:
        self.backups.running_since = None

    async def language(self, call: Call) -> ApiAnswer:
        code = call.path["code"]
        if code not in console_languages():
            raise not_found("language_not_found", code, *console_languages())
        cookie = f"{LANGUAGE_COOKIE}={code}; Path=/; Secure; SameSite=Strict"
        return ApiAnswer(LanguageView(code), headers={"Set-Cookie": cookie})
