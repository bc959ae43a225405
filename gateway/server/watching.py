"""What is known of exchanges and of the server's condition: operational records, health, diagnosis, figures for Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from gateway.edges.traceexport import TraceExporter
from gateway.health.condition import Condition
from gateway.metaservices.monitoring import MonitoringServices
from gateway.monitoring.environment import machine_metrics, version_metric
from gateway.monitoring.health import Health
from gateway.monitoring.records import build_record
from gateway.monitoring.traces import build_spans
from gateway.server import parts
from gateway.server.metrics import GatewayMetrics
from gateway.server.state import GatewayState, utc_now
from schemas.monitoring import Metric

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp import web

    from gateway.exchange.record import ExchangeRecord
    from gateway.monitoring.store import RecordStore
    from gateway.server.evidence import EvidenceParts
    from gateway.server.proofs import Proofs
    from serving.process.loops import LoopFailure


class Watching(msgspec.Struct, frozen=True):
    """The records of exchanges and whatever is derived from them, and the condition of the server."""

    state: GatewayState
    proofs: Proofs
    records: RecordStore
    traces: TraceExporter
    health: Health
    condition: Condition
    metrics: GatewayMetrics

    @classmethod
    def build(
        cls,
        state: GatewayState,
        proofs: Proofs,
        evidence: EvidenceParts,
        failed_loops: Callable[[], list[LoopFailure]],
    ) -> Watching:
        """All of them; the records' database is opened."""
        condition = Condition(
            proofs.configuration,
            lambda: state.serverconf,
            state.keyconf,
            state.tokens,
            proofs.identities,
            proofs.revocation,
            evidence.log,
            evidence.timestamper,
            failed_loops,
        )
        metrics = GatewayMetrics(condition, lambda: state.serverconf, evidence.log, state.folder)
        records = parts.record_store(state.settings, state.folder, utc_now)
        traces = TraceExporter(lambda: state.settings.monitoring.trace_url, state.server_id.path())
        return cls(state, proofs, records, traces, Health(), condition, metrics)

    def observe(self, record: ExchangeRecord) -> None:
        """Keep the operational record of an exchange that is over."""
        state = self.state
        built = build_record(
            record, state.serverconf, self.proofs.current(), state.settings.listen.consumer_host
        )
        self.records.add(built)
        self.health.add(built)
        self.metrics.add(built)
        if self.traces.is_on:
            self.traces.add(build_spans(record, built))

    def services(self) -> MonitoringServices:
        """The monitoring services that other members ask for (PR-OPMON, PR-ENVMONMES)."""
        state = self.state
        return MonitoringServices(
            lambda: state.serverconf,
            self.proofs.current,
            self.records,
            self.health,
            self._environment,
            utc_now,
            utc_now(),
            lambda: state.settings.monitoring.limit_remote_metrics,
        )

    def add_metrics(self, app: web.Application) -> None:
        """Serve the figures at ``/metrics`` of an application, to the networks that the settings name."""
        self.metrics.metrics.add_route(app, lambda: self.state.settings.monitoring.metrics_from)

    def _environment(self) -> tuple[Metric, ...]:
        """The metrics of getSecurityServerMetrics: the version, then the machine."""
        certificates = [(c.der, c.usage.value, c.active) for c in self.state.keyconf.certificates()]
        machine = Metric("systemMetrics", machine_metrics(certificates, self.state.folder.root))
        return (version_metric(), machine)
