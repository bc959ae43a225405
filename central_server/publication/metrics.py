"""What a central server tells Prometheus: what is published and for how long, keys and tokens, what waits for a decision."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from central_server.store import servers, sources
from central_server.store.loading import number_parameter
from central_server.store.members import list_clients
from central_server.store.requests import OPEN, list_requests
from certs.certificates import parse_certificate
from serving.api.metrics import Gauge, Metrics, last_backup, single

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from central_server.publication.node import CentralNode
    from central_server.store.records import Records
    from serving.process.loops import LoopFailure


class CentralMetrics:
    """The figures of one node, as gauges."""

    def __init__(self, node: CentralNode, failing: Callable[[], Sequence[LoopFailure]], folder: Path) -> None:
        self._node, self._failing, self._folder = node, failing, folder
        self.metrics = Metrics("central-server", self._read)

    async def _read(self) -> Iterable[Gauge]:
        node, records = self._node, self._node.store.read()
        failing = list(self._failing())
        is_up = node.problem is None and not any(f.needed for f in failing)
        return [
            *single("up", "Whether the configuration is published as it should be", float(is_up)),
            *single("rows_at_fault", "Rows of the registry that are not published as they are", len(node.faults)),
            *_published(node, records),
            *await _keys(node, records),
            *_registry(records),
            Gauge("loop_failures", "Failed rounds in a row of a background loop",
                [({"loop": f.name}, float(f.rounds)) for f in failing]),
            *last_backup(self._folder / "backups"),
        ]  # fmt: skip


def _published(node: CentralNode, records: Records) -> list[Gauge]:
    current = node.published.current
    if current is None:
        return []
    at = current.at.timestamp()
    lifetime = number_parameter(records, "expire_interval_s")
    return [
        *single("configuration_published_timestamp_seconds", "When the directories in force were signed", at),
        *single("configuration_expires_timestamp_seconds", "When they expire", at + lifetime),
    ]


async def _keys(node: CentralNode, records: Records) -> list[Gauge]:
    opened: list[tuple[dict[str, str], float]] = []
    ends: list[tuple[dict[str, str], float]] = []
    for source in sources.SOURCES:
        for key in sources.signing_keys(records, source):
            if key.active:
                opened.append(({"source": source}, float(await node.keys.is_open(key.token_id))))
            end = parse_certificate(key.certificate).not_valid_after_utc.timestamp()
            ends.append(({"purpose": f"signing key {source}", "serial": str(key.key_id)}, end))
    tls = sources.tls_certificate(records)
    if tls is not None:
        shown = parse_certificate(tls[1])
        labels = {"purpose": "TLS", "serial": str(shown.serial_number)}
        ends.append((labels, shown.not_valid_after_utc.timestamp()))
    return [
        Gauge("signing_key_usable", "Whether the token of an active signing key is open", opened),
        Gauge("certificate_not_after_timestamp_seconds", "When a certificate of this server expires", ends),
    ]


def _registry(records: Records) -> list[Gauge]:
    clients = list_clients(records)
    waiting = [r for r in list_requests(records) if r.state in OPEN]
    oldest = min((datetime.fromisoformat(r.created_at).timestamp() for r in waiting), default=None)
    return [
        *single("members", "Members of the instance", sum(c.id.is_member for c in clients)),
        *single("subsystems", "Their subsystems", sum(not c.id.is_member for c in clients)),
        *single("security_servers", "Registered security servers", len(servers.list_servers(records))),
        *single("requests_waiting", "Management requests that wait for a decision", len(waiting)),
        *single("request_oldest_waiting_timestamp_seconds", "When the oldest of them came", oldest),
    ]
