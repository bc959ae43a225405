"""``/diagnostics``: how this server stands with what it depends on, as it knows from what it did last."""

from __future__ import annotations

import platform
import ssl
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec

from certs.certificates import name_text
from gateway.admin.context import AdminContext, instant, row
from gateway.admin.values import CodeWithMetadata
from gateway.health.diagnosing import as_json
from gateway.monitoring.memory import ALERT_PERCENT, read_memory
from schemas.globalconf.shared import CostType
from schemas.jsontext import encode_json
from serving.api.backupoperations import BackupEncryption
from serving.api.operations import Download
from serving.process.failing import NO_REASON, FailureReason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.messagelog.timestamper import AuthorityState
    from schemas.globalconf.shared import ApprovedTsa
    from serving.api.operations import Call, Operation


class FindingTexts(msgspec.Struct, frozen=True):
    """The words of a finding: the problem, and the remedy."""

    what: str
    do: str


class FindingView(msgspec.Struct, frozen=True):
    """One thing that is wrong; ``stops_at`` is when traffic stops by it."""

    code: str
    severity: str
    subject: str
    values: dict[str, str]
    es: FindingTexts
    en: FindingTexts
    stops_at: str | None = None


class TrafficEndView(msgspec.Struct, frozen=True):
    """Something that exchanges need: until when what is in hand holds, and whether this server renews it by itself."""

    kind: str
    subject: str
    until: str
    is_renewed: bool
    es: FindingTexts
    en: FindingTexts


class DiagnosisView(msgspec.Struct, frozen=True):
    """The findings of a diagnosis, worst first, when traffic stops by them, and what it rests on, the first to end first."""

    at: str
    findings: list[FindingView]
    stops_at: str | None = None
    ends: list[TrafficEndView] = []


class GlobalConfDiagnostics(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome of the last look for a global configuration: its class, when it was and the next one is, its error if any."""

    status_class: str
    prev_update_at: str | None = None
    next_update_at: str | None = None
    last_successful_url: str | None = None
    error: CodeWithMetadata | None = None


class OcspResponderDiagnostics(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last outcome of a responder for this server's certificates; ``status_class`` WAITING: it was not asked since the start."""

    url: str
    cost_type: str
    status_class: str
    prev_update_at: str | None = None
    next_update_at: str | None = None
    error: CodeWithMetadata | None = None


class CaOcspDiagnostics(msgspec.Struct, frozen=True):
    """The responders of a CA."""

    distinguished_name: str
    ocsp_responders: list[OcspResponderDiagnostics]


class TimestampingDiagnostics(msgspec.Struct, frozen=True, omit_defaults=True):
    """The last outcome of a timestamping authority; ``status_class`` WAITING: it was not asked since the start."""

    url: str
    cost_type: str
    status_class: str
    prev_update_at: str | None = None
    error: CodeWithMetadata | None = None


class AddOnStatus(msgspec.Struct, frozen=True):
    """The add-ons of X-Road's API; here both are always there."""

    messagelog_enabled: bool
    opmonitoring_enabled: bool


class LogEncryption(msgspec.Struct, frozen=True):
    """Whether archives and the database of the message log are encrypted, and by what archives are grouped."""

    message_log_archive_encryption_status: bool
    message_log_database_encryption_status: bool
    message_log_grouping_rule: str


class MemoryStatus(msgspec.Struct, frozen=True):
    """Memory of this process, in bytes: what it may have, holds, and uses for itself; percent of what it may have."""

    max_memory: int
    total_memory: int
    used_memory: int
    threshold: int
    usage_percent: float
    is_used_over_threshold: bool


@dataclass(frozen=True, slots=True)
class Diagnostics:
    """The handlers of ``/diagnostics`` that answer from what is known."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        base, may = "/diagnostics", "DIAGNOSTICS"
        return [
            row("GET", base + "/findings", self.findings, "What is wrong, when traffic stops, what to do", may,
                answer=DiagnosisView),
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
            row("GET", base + "/info/download", self.report, "A report as a file", "DOWNLOAD_DIAGNOSTICS_REPORT",
                answer="application/json"),
        ]  # fmt: skip

    async def findings(self, _call: Call) -> DiagnosisView:
        return msgspec.convert(as_json(await self.context.gateway.diagnosis()), DiagnosisView)

    async def globalconf(self, call: Call) -> GlobalConfDiagnostics:
        configuration = self.context.process.configuration()
        client = self.context.gateway.configuration_client
        failure = client.last_failure or NO_REASON
        if configuration is not None and configuration.expires_at <= call.now:
            expired = f"the configuration in force expired at {instant(configuration.expires_at)}"
            text = f"{expired}; {failure}" if failure else expired
            failure = FailureReason(text, ("configuration_expired", *failure.causes))
        state = "FAIL" if failure else "WAITING" if configuration is None else "OK"
        return GlobalConfDiagnostics(
            state, _at(client.looked_at), _at(client.next_look_at), client.last_url, failure_code(failure)
        )

    async def responders(self, _call: Call) -> list[CaOcspDiagnostics]:
        return [
            CaOcspDiagnostics(
                name_text(certificate.subject),
                [self._responder(o.url, (o.cost_type or CostType.UNDEFINED).value) for o in info.ocsp],
            )
            for _, info, certificate in self.context.configuration().own.ca_infos
        ]

    def _responder(self, url: str, cost_type: str) -> OcspResponderDiagnostics:
        revocation = self.context.gateway.revocation
        state, next_round = revocation.responder(url), _at(revocation.next_round_at)
        if state is None:
            return OcspResponderDiagnostics(url, cost_type, "WAITING", None, next_round)
        return OcspResponderDiagnostics(
            url, cost_type, _class(state.failure), _at(state.at), next_round, failure_code(state.failure)
        )

    async def timestamping(self, _call: Call) -> list[TimestampingDiagnostics]:
        used = self.context.gateway.timestamper.used()
        found = [_authority(authority, state) for authority, state in used]
        urls = {authority.url for authority, _ in used}
        no_longer = "the global configuration approves this authority no longer"
        refused = failure_code(FailureReason(no_longer, ("approved_no_longer",)))
        return found + [
            TimestampingDiagnostics(t.url, t.cost_type, "FAIL", None, refused)
            for t in self.context.view.timestamping.all()
            if t.url not in urls and t.name not in {authority.name for authority, _ in used}
        ]

    async def addons(self, _call: Call) -> AddOnStatus:
        return AddOnStatus(True, True)

    async def backups(self, _call: Call) -> BackupEncryption:
        recipients = self.context.process.settings.backup.recipients
        return BackupEncryption(bool(recipients), list(recipients))

    async def log(self, _call: Call) -> LogEncryption:
        chosen = self.context.process.settings.log
        return LogEncryption(chosen.seal_archives, True, chosen.archive_grouping.value)

    async def memory(self, _call: Call) -> MemoryStatus:
        found = read_memory()
        return MemoryStatus(
            found.most, found.resident, found.used, ALERT_PERCENT, found.percent, found.is_tight
        )

    async def report(self, call: Call) -> Download:
        """Everything that support asks for first: versions, the centre's state and those of OCSP and TSA, what is wrong."""
        configuration = self.context.process.configuration()
        facts = {
            "at": instant(call.now),
            "software": f"Sacbé gateway {version('sacbe')}",
            "python": platform.python_version(),
            "tls": ssl.OPENSSL_VERSION,
            "system": platform.platform(),
            "server": self.context.server_id().encoded(),
            "configuration": {
                "version": None if configuration is None else configuration.own.shared.version,
                "expires_at": _at(None if configuration is None else configuration.expires_at),
                **msgspec.to_builtins(await self.globalconf(call)),
            },
            "ocsp_responders": []
            if configuration is None
            else msgspec.to_builtins(await self.responders(call)),
            "timestamping_services": msgspec.to_builtins(await self.timestamping(call)),
            "message_log": msgspec.to_builtins(await self.log(call)),
            "memory": msgspec.to_builtins(await self.memory(call)),
            "clients": [c.id.encoded() for c in self.context.view.clients.all()],
            "diagnosis": as_json(await self.context.gateway.diagnosis()),
        }
        return Download(encode_json(facts, enc_hook=str), "application/json", "diagnostics.json")


def _authority(authority: ApprovedTsa, state: AuthorityState | None) -> TimestampingDiagnostics:
    cost_type = (authority.cost_type or CostType.UNDEFINED).value
    if state is None:
        return TimestampingDiagnostics(authority.url, cost_type, "WAITING")
    return TimestampingDiagnostics(
        authority.url, cost_type, _class(state.failure), instant(state.at), failure_code(state.failure)
    )


def _class(failure: FailureReason | None) -> str:
    return "OK" if failure is None else "FAIL"


def _at(at: datetime | None) -> str | None:
    return None if at is None else instant(at)


def failure_code(reason: FailureReason | None) -> CodeWithMetadata | None:
    """A failure as the API says it: the text as it was found (English), behind it the causes."""
    return CodeWithMetadata("diagnostic_failure", [reason.detail, *reason.causes]) if reason else None
