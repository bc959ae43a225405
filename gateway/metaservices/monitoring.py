"""The monitoring services over the message exchange, asked of the server's owner.

Who may see what: any registered client its own records and every service's health; the central monitoring client all
records, and the owner all when the request names this very server; metrics only those two. Spec: PR-OPMON 3, PR-ENVMONMES.
"""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.exchange.ports import LocalAnswer
from gateway.monitoring.health import PERIOD_S
from schemas import metadata, monitoring, soap
from schemas.faults import Fault, Kind, Origin, origin
from schemas.jsontext import dump_json
from schemas.message import MessageProtocol
from schemas.monitoring import Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from certs.configuration import TrustedConfiguration
    from gateway.clients.model import ServerConf
    from gateway.exchange.ports import LocalService, ServiceCall
    from gateway.monitoring.health import Health
    from gateway.monitoring.store import RecordStore, Stored
    from schemas.identifiers import ServiceId

# Records younger than this are not told yet: they may still be waiting to be written.
AVAILABLE_S = 60
LIMIT = 10_000
# What others than the owner are told where the data set is limited (X-Road's ``limit-remote-data-set``).
LIMITED = frozenset(("proxyVersion", "OperatingSystem", "Certificates"))


@dataclass(frozen=True)
class MonitoringServices:
    """Finds the monitoring service behind an identifier."""

    serverconf: Callable[[], ServerConf]
    configuration: Callable[[], TrustedConfiguration | None]
    records: RecordStore
    health: Health
    metrics: Callable[[], tuple[Metric, ...]]
    now: Callable[[], datetime]
    started: datetime
    # Whether the central monitoring client is told only what `LIMITED` names.
    limits_metrics: Callable[[], bool] = lambda: False

    def find(self, service: ServiceId, protocol: MessageProtocol) -> LocalService | None:
        """The monitoring service of that code when the server's owner is asked over SOAP."""
        if protocol is not MessageProtocol.SOAP or service.client != self.serverconf().server_id.owner:
            return None
        how = _ANSWERS.get(service.service_code)
        return None if how is None else _MonitoringService(self, how)

    def is_monitoring_client(self, call: ServiceCall) -> bool:
        """Whether the central monitoring client asks. Raises `Fault` (``global_conf_outdated``)."""
        configuration = self.configuration()
        if configuration is None:
            raise Fault(Kind.GLOBAL_CONF_OUTDATED, "there is no global configuration")
        return configuration.monitoring_client == call.message.client

    def is_owner(self, call: ServiceCall) -> bool:
        """Whether the server's owner asks."""
        return call.message.client == self.serverconf().server_id.owner


@dataclass(frozen=True, slots=True)
class _MonitoringService:
    of: MonitoringServices
    how: Callable[[MonitoringServices, ServiceCall], LocalAnswer]

    async def answer(self, call: ServiceCall) -> LocalAnswer:
        """Answer one call, in a thread."""
        return await asyncio.to_thread(self.how, self.of, call)


def _operational_data(of: MonitoringServices, call: ServiceCall) -> LocalAnswer:
    now = int(of.now().timestamp())
    with origin(Origin.CLIENT):
        query = monitoring.parse_operational_query(call.message.raw, now, AVAILABLE_S)
    sees_all = of.is_monitoring_client(call) or (
        of.is_owner(call) and call.message.security_server is not None
    )
    available = now - AVAILABLE_S
    end = min(query.records_to, available - 1)
    party = None if sees_all else call.message.client
    found = of.records.query(query.records_from, end, party=party, provider=query.client, limit=LIMIT)
    next_from = available if query.records_to >= available else None
    if len(found) >= LIMIT:
        next_from = found[-1].at + 1
    fields = query.fields or monitoring.FIELDS
    if not sees_all:
        fields = tuple(f for f in fields if f != monitoring.INTERNAL_IP)
    records = [_fields(stored, fields) for stored in found]
    packed = gzip.compress(dump_json({"records": records}, ensure_ascii=False).encode(), mtime=0)
    envelope = soap.render_answer(
        soap.parse_message(call.message.raw), monitoring.render_operational_body(len(found), next_from)
    )
    headers = (
        ("content-type", "application/gzip"),
        ("content-transfer-encoding", "binary"),
        ("content-id", f"<{monitoring.ATTACHMENT_ID}>"),
    )  # spelled so, with the id last: X-Road Metrics' collector looks for these bytes
    content_type, body = metadata.render_with_attachment(envelope, packed, headers, _boundary(call))
    return LocalAnswer((("Content-Type", content_type),), body)


def _fields(stored: Stored, names: tuple[str, ...]) -> dict[str, monitoring.Value]:
    fields = {"monitoringDataTs": stored.at, **stored.fields}
    return {name: fields[name] for name in names if name in fields}


def _boundary(call: ServiceCall) -> str:
    """Drawn from the request's digest: bytes that compressed records cannot be made to hold."""
    return f"xroad{call.message.digest.hex()[:40]}"


def _health_data(of: MonitoringServices, call: ServiceCall) -> LocalAnswer:
    with origin(Origin.CLIENT):
        provider = monitoring.parse_health_query(call.message.raw)
    now_ms = int(of.now().timestamp() * 1000)
    body = monitoring.render_health_body(
        int(of.started.timestamp() * 1000), PERIOD_S, of.health.snapshot(now_ms, provider)
    )
    return _envelope(call, body)


def _metrics(of: MonitoringServices, call: ServiceCall) -> LocalAnswer:
    if not (of.is_owner(call) or of.is_monitoring_client(call)):
        raise Fault(
            Kind.ACCESS_DENIED,
            f"{call.message.client.path()} may not read this server's metrics; its owner and the monitoring client may",
        )
    names = monitoring.parse_metrics_query(call.message.raw)
    found = of.metrics()
    if of.limits_metrics() and not of.is_owner(call):
        found = choose_metrics(found, LIMITED)
    if names:
        found = choose_metrics(found, frozenset(names))
    name = str(of.serverconf().server_id)
    return _envelope(call, monitoring.render_metrics_body(Metric(name, found)))


def choose_metrics(metrics: Iterable[Metric], names: frozenset[str]) -> tuple[Metric, ...]:
    """The metrics of these names, wherever they stand, each within the sets it stands in."""
    chosen: list[Metric] = []
    for metric in metrics:
        if metric.name in names:
            chosen.append(metric)
        elif isinstance(metric.value, tuple) and (within := choose_metrics(metric.value, names)):
            chosen.append(Metric(metric.name, within))
    return tuple(chosen)


def _envelope(call: ServiceCall, body: str) -> LocalAnswer:
    raw = soap.render_answer(soap.parse_message(call.message.raw), body)
    return LocalAnswer((("Content-Type", soap.CONTENT_TYPE),), raw)


_ANSWERS: dict[str, Callable[[MonitoringServices, ServiceCall], LocalAnswer]] = {
    monitoring.OPERATIONAL_DATA: _operational_data,
    monitoring.HEALTH_DATA: _health_data,
    monitoring.METRICS: _metrics,
}
