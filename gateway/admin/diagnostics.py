"""``/diagnostics`` and ``/notifications/alerts``: how this server stands with what it depends on."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import aiohttp
import msgspec
import orjson

from certs.certificates import parse_certificate
from certs.tokens import SOFTWARE_TOKEN_ID
from gateway.admin.desk import Desk, instant, row
from gateway.admin.values import CodeWithDetails
from gateway.edges.diagnosing import as_json
from gateway.keyconf.model import KeyUsage
from gateway.keyconf.store import KeyConfStore
from schemas.faults import Fault
from schemas.globalconf.anchor import parse_anchor
from schemas.globalconf.shared import CostType
from serving.operations import Download

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

    from gateway.keyconf.model import KeyCertificate
    from serving.operations import Call, Operation

CHECK_S = 10.0


class GlobalConfDiagnostics(msgspec.Struct, frozen=True, omit_defaults=True):
    """How the last look for a global configuration went."""

    status_class: str
    prev_update_at: str | None = None
    next_update_at: str | None = None
    error: CodeWithDetails | None = None


class OcspResponderDiagnostics(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a responder answered for this server's certificates."""

    url: str
    cost_type: str
    status_class: str
    error: CodeWithDetails | None = None


class CaOcspDiagnostics(msgspec.Struct, frozen=True):
    """The responders of a CA."""

    distinguished_name: str
    ocsp_responders: list[OcspResponderDiagnostics]


class TimestampingDiagnostics(msgspec.Struct, frozen=True, omit_defaults=True):
    """How timestamping goes."""

    url: str
    cost_type: str
    status_class: str
    error: CodeWithDetails | None = None


class AddOnStatus(msgspec.Struct, frozen=True):
    """Both are always there."""

    messagelog_enabled: bool
    opmonitoring_enabled: bool


class BackupEncryption(msgspec.Struct, frozen=True):
    """To whom backups are encrypted."""

    backup_encryption_status: bool
    backup_encryption_keys: list[str]


class LogEncryption(msgspec.Struct, frozen=True):
    """How the message log is kept."""

    message_log_archive_encryption_status: bool
    message_log_database_encryption_status: bool
    message_log_grouping_rule: str


class MemoryStatus(msgspec.Struct, frozen=True):
    """Memory of this process, in bytes."""

    max_memory: int
    total_memory: int
    used_memory: int
    usage_percent: float
    is_used_over_threshold: bool


class ConnectionStatus(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether something can be reached."""

    status_class: str
    error: CodeWithDetails | None = None


class GlobalConfConnection(msgspec.Struct, frozen=True):
    """Whether a source of the configuration can be reached."""

    download_url: str
    connection_status: ConnectionStatus


class Alerts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an operator should look at."""

    current_time: str
    global_conf_valid: bool
    global_conf_valid_check_success: bool
    soft_token_pin_entered: bool
    soft_token_pin_entered_check_success: bool
    certificate_renewal_job_success: bool
    auth_certificate_ids_with_errors: list[str]
    sign_certificate_ids_with_errors: list[str]


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """The handlers."""

    desk: Desk

    def rows(self) -> Sequence[Operation]:
        """Their rows."""
        base, may = "/diagnostics", "DIAGNOSTICS"
        return [
            row("GET", base + "/globalconf", self.globalconf, "The global configuration", may,
                answer=GlobalConfDiagnostics),
            row("GET", base + "/ocsp-responders", self.responders, "OCSP responders", may,
                answer=list[CaOcspDiagnostics]),
            row("GET", base + "/timestamping-services", self.timestamping, "Timestamping authorities", may,
                answer=list[TimestampingDiagnostics]),
            row("GET", base + "/addon-status", self.addons, "What is there", may, "VIEW_TSPS", answer=AddOnStatus),
            row("GET", base + "/backup-encryption-status", self.backups, "To whom backups are encrypted", may,
                answer=BackupEncryption),
            row("GET", base + "/message-log-encryption-status", self.log, "How the message log is kept", may,
                answer=LogEncryption),
            row("GET", base + "/proxy-memory-usage-status", self.memory, "Memory", may, answer=MemoryStatus),
            row("GET", base + "/auth-cert-req-status", self.registration, "Can the registration service be reached",
                may, answer=ConnectionStatus),
            row("GET", base + "/global-conf-status", self.sources, "Can the configuration's sources be reached", may,
                answer=list[GlobalConfConnection]),
            row("GET", base + "/info/download", self.report, "A report as a file", "DOWNLOAD_DIAGNOSTICS_REPORT",
                answer="application/json"),
            row("GET", "/notifications/alerts", self.alerts, "What an operator should look at", answer=Alerts),
        ]  # fmt: skip

    async def globalconf(self, call: Call) -> GlobalConfDiagnostics:
        configuration = self.desk.process.configuration()
        failure = self.desk.gateway.configuration_client.last_failure
        if configuration is None:
            return GlobalConfDiagnostics("FAIL" if failure else "WAITING", None, None, _error(failure))
        expired = configuration.expires_at <= call.now
        failure = failure or ("the configuration has expired" if expired else None)
        until = instant(configuration.expires_at)
        return GlobalConfDiagnostics("FAIL" if failure else "OK", None, until, _error(failure))

    async def responders(self, _call: Call) -> list[CaOcspDiagnostics]:
        found = []
        for _, info, certificate in self.desk.configuration().own.ca_infos:
            state, failure = self._responses_of(certificate)
            shown = [
                OcspResponderDiagnostics(
                    o.url, (o.cost_type or CostType.UNDEFINED).value, state, _error(failure)
                )
                for o in info.ocsp
            ]
            found.append(CaOcspDiagnostics(certificate.subject.rfc4514_string(), shown))
        return found

    def _responses_of(self, issuer: x509.Certificate) -> tuple[str, str | None]:
        own = [parse_certificate(c.der) for c in self._certificates() if c.active]
        answers = [self.desk.gateway.revocation.in_hand(c) for c in own if c.issuer == issuer.subject]
        failure = next((why for _, why in answers if why), None)
        if failure:
            return "FAIL", failure
        return ("OK" if any(response for response, _ in answers) else "WAITING"), None

    async def timestamping(self, _call: Call) -> list[TimestampingDiagnostics]:
        timestamper = self.desk.gateway.timestamper
        failing = timestamper.failing_since is not None
        error = _error(timestamper.last_failure if failing else None)
        return [
            TimestampingDiagnostics(t.url, t.cost_type, "FAIL" if failing else "OK", error)
            for t in self.desk.view.timestamping.all()
        ]

    async def addons(self, _call: Call) -> AddOnStatus:
        return AddOnStatus(True, True)

    async def backups(self, _call: Call) -> BackupEncryption:
        recipients = self.desk.process.settings.backup.recipients
        return BackupEncryption(bool(recipients), list(recipients))

    async def log(self, _call: Call) -> LogEncryption:
        return LogEncryption(False, False, self.desk.process.settings.log.archive_grouping.value)

    async def memory(self, _call: Call) -> MemoryStatus:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        percent = round(100 * used / total, 1)
        return MemoryStatus(total, total, used, percent, percent > 90)

    async def registration(self, _call: Call) -> ConnectionStatus:
        private = self.desk.configuration().private
        service = None if private is None else private.management_service
        if service is None or service.registration_certificate is None:
            return ConnectionStatus("FAIL", _error("the global configuration names no registration service"))
        try:
            await self.desk.gateway.management.road.get_pinned(
                service.registration_address, service.registration_certificate
            )
        except Fault as fault:
            return ConnectionStatus("FAIL", _error(fault.detail))
        return ConnectionStatus("OK")

    async def sources(self, _call: Call) -> list[GlobalConfConnection]:
        raw = self.desk.process.anchor()
        urls = [s.download_url for s in parse_anchor(raw).sources] if raw else []
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CHECK_S)) as session:
            return [GlobalConfConnection(url, await _reach(session, url)) for url in urls]

    async def report(self, call: Call) -> Download:
        diagnosis = as_json(await self.desk.gateway.diagnosis())
        facts = {
            "at": instant(call.now),
            "software": f"Sacbé gateway {version('sacbe')}",
            "server": self.desk.server_id().encoded(),
            "clients": [c.id.encoded() for c in self.desk.view.clients.all()],
            "diagnosis": diagnosis,
        }
        return Download(orjson.dumps(facts, default=str), "application/json", "diagnostics.json")

    async def alerts(self, call: Call) -> Alerts:
        configuration = self.desk.process.configuration()
        token = None
        if self.desk.process.gateway is not None:
            token = await self.desk.keys.token(SOFTWARE_TOKEN_ID)
        wrong = [c for c in self._certificates() if c.renewal_error] if token is not None else []
        return Alerts(
            instant(call.now),
            configuration is not None and configuration.expires_at > call.now,
            True,
            token is not None and token.logged_in,
            token is not None,
            not wrong,
            [c.hash for c in wrong if c.usage is KeyUsage.AUTHENTICATION],
            [c.hash for c in wrong if c.usage is KeyUsage.SIGNING],
        )

    def _certificates(self) -> Sequence[KeyCertificate]:
        return KeyConfStore(self.desk.process.store.database).certificates()


def _error(text: str | None) -> CodeWithDetails | None:
    return CodeWithDetails("diagnostic_failure", [text]) if text else None


async def _reach(session: aiohttp.ClientSession, url: str) -> ConnectionStatus:
    try:
        async with session.get(url) as answer:
            if answer.status == 200:
                return ConnectionStatus("OK")
            return ConnectionStatus("FAIL", _error(f"{url} answered HTTP {answer.status}"))
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as err:
        return ConnectionStatus("FAIL", _error(f"{url} was not reached: {err or type(err).__name__}"))
