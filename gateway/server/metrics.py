"""What a gateway tells Prometheus: the questions its operators ask first, each a figure.

How long certificates, configuration and OCSP responses are good; how old the oldest record without a timestamp is; when each
peer was last exchanged with; how many rights there are; what waits in queue and spool; when the last backup was made.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gateway.health.diagnosing import gather_facts
from gateway.monitoring.records import PRODUCER
from serving.api.metrics import Gauge, Metrics, last_backup, single, unix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.clients.model import ServerConf
    from gateway.health.condition import Condition
    from gateway.health.diagnosis import CertificateFacts
    from gateway.messagelog.store import MessageLog
    from gateway.settings.datafolder import DataFolder
    from schemas.monitoring import Record

# Peers are told apart up to here; beyond it (a list that grows for ever) none is added.
MAX_PEERS = 2000


class GatewayMetrics:
    """Fed with every record of an exchange, as `gateway.monitoring.health.Health` is."""

    def __init__(
        self,
        condition: Condition,
        serverconf: Callable[[], ServerConf],
        log: MessageLog,
        folder: DataFolder,
    ) -> None:
        self._condition, self._serverconf, self._log, self._folder = condition, serverconf, log, folder
        self._unstamped = log.reader.unstamped
        self._peers: dict[str, float] = {}
        self.metrics = Metrics("gateway", self._read)
        self._exchanges = self.metrics.counter(
            "exchanges",
            "Exchanges that ended, by side and outcome (ok or the fault's code)",
            ("side", "outcome"),
        )
        self._seconds = self.metrics.counter(
            "exchange_seconds", "Time that exchanges took, together", ("side",)
        )

    def add(self, record: Record) -> None:
        """Count one exchange by side and outcome, with its seconds and its peer."""
        is_provider = record.get("securityServerType") == PRODUCER
        side = "provider" if is_provider else "consumer"
        outcome = "ok" if record["succeeded"] else str(record.get("faultCode", "unknown"))
        self._exchanges.labels(side, outcome).inc()
        begin, end = int(record["requestInTs"]), int(record["responseOutTs"])
        self._seconds.labels(side).inc(max(0, end - begin) / 1000)
        peer = _peer(record, "client" if is_provider else "service")
        if record["succeeded"] and peer and (peer in self._peers or len(self._peers) < MAX_PEERS):
            self._peers[peer] = end / 1000

    async def _read(self) -> Iterable[Gauge]:
        now = datetime.now(UTC)
        problems = await self._condition.problems(now)
        facts = await gather_facts(self._condition.sources(), now)
        configuration = self._condition.configuration
        conf = self._serverconf()
        return [
            *single("up", "Whether messages can be exchanged now", float(not problems)),
            *single("problems", "What stands in the way of an exchange", len(problems)),
            *single("configuration_fetched_timestamp_seconds", "When the global configuration was last proved current",
                unix(configuration.proved_at)),
            *single("configuration_expires_timestamp_seconds", "When it expires", unix(facts.configuration_expires_at)),
            *_certificates(facts.certificates),
            *single("timestamping_failing_since_timestamp_seconds", "Since when no record gets a timestamp",
                unix(facts.timestamps_failing_since)),
            *single("clock_offset_seconds", "How far this clock is from the authority's", facts.clock_offset_s),
            *await asyncio.to_thread(self._of_log),
            Gauge("peer_last_success_timestamp_seconds", "When an exchange with a member last succeeded",
                [({"peer": peer}, at) for peer, at in sorted(self._peers.items())]),
            *single("access_rights", "Access rights granted here", len(conf.rights)),
            *single("clients", "Clients of this server", len(conf.clients)),
            *single("services", "Services of this server's clients", len(conf.services)),
            Gauge("loop_failures", "Failed rounds in a row of a background loop",
                [({"loop": name}, 1.0) for name, _, _ in facts.loops]),
            *last_backup(self._folder.root / "backups"),
        ]  # fmt: skip

    def _of_log(self) -> list[Gauge]:
        count, oldest = self._unstamped.count()
        spool = [f.stat().st_size for f in self._folder.spool.glob("*") if f.is_file()]
        return [
            *single("log_unstamped_records", "Records of the message log without a timestamp", count),
            *single("log_oldest_unstamped_timestamp_seconds", "When the oldest of them was written", oldest),
            *single("log_queue_length", "Messages that wait for the disk", self._log.waiting),
            *single("spool_files", "Bodies under way that are on the disk", len(spool)),
            *single("spool_bytes", "Their size", sum(spool)),
        ]


def _certificates(certificates: Iterable[CertificateFacts]) -> list[Gauge]:
    def labels(one: CertificateFacts) -> dict[str, str]:
        return {"purpose": one.purpose, "serial": one.serial}

    found = list(certificates)
    responses = [(labels(c), c.ocsp) for c in found]
    return [
        Gauge("certificate_not_after_timestamp_seconds", "When an active certificate expires",
            [(labels(c), c.not_after.timestamp()) for c in found]),
        Gauge("ocsp_this_update_timestamp_seconds", "Of when the oldest OCSP response of a certificate's path is",
            [(name, min(at)) for name, path in responses if (at := [o.this_update.timestamp() for o in path if o.this_update])]),
        Gauge("ocsp_good_until_timestamp_seconds", "Until when the OCSP responses of a certificate's path are good",
            [(name, min(at)) for name, path in responses if (at := [o.good_until.timestamp() for o in path if o.good_until])]),
    ]  # fmt: skip


def _peer(record: Record, prefix: str) -> str:
    """The member on the other side, ``instance/class/code``; empty when the record does not say."""
    names = (f"{prefix}XRoadInstance", f"{prefix}MemberClass", f"{prefix}MemberCode")
    return "/".join(str(record[n]) for n in names) if all(n in record for n in names) else ""
