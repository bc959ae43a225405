"""``/metrics`` in Prometheus' text format: figures read at the moment of asking, counters kept meanwhile, and the process.

Names begin with ``sacbe_``; times are Unix seconds (``..._timestamp_seconds``), so that a rule says ``time() - x`` itself and
goes on counting when a server hangs. Labels name peers, members' codes, certificates: never a person, never a message.

Who may ask is decided by address: this machine, and the networks that a setting names.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from serving.api.limits import AddressList
from serving.printable import escape_controls

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

PATH = "/metrics"
LOOPBACK = "127.0.0.0/8,::1"
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
REFUSAL = "metrics are for this machine and the networks of the settings\n"


class Gauge(msgspec.Struct, frozen=True):
    """One figure: its name without ``sacbe_``, what it says, and values by labels (one value: no labels)."""

    name: str
    help: str
    values: Sequence[tuple[Mapping[str, str], float]]


def single(name: str, text: str, value: float | None) -> list[Gauge]:
    """A figure without labels; None is none at all, which a rule with ``absent`` can see."""
    return [] if value is None else [Gauge(name, text, (({}, value),))]


def unix(at: datetime | None) -> float | None:
    """A moment as Prometheus writes one."""
    return None if at is None else at.timestamp()


def last_backup(folder: Path) -> list[Gauge]:
    """When the newest backup in a folder was made, if there is one."""
    found = [f.stat().st_mtime for f in folder.glob("*.age")] if folder.is_dir() else []
    return single(
        "backup_last_timestamp_seconds", "When the newest backup was made", max(found, default=None)
    )


@dataclass(slots=True, eq=False)
class Metrics:
    """The figures of one process. ``read`` gives those of the moment."""

    program: str
    read: Callable[[], Awaitable[Iterable[Gauge]]]
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)
    _now: list[Gauge] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Take in what every process tells of itself."""
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self.registry.register(self)

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """A counter of the process, from its start on."""
        return Counter(f"sacbe_{name}", text, labels, registry=self.registry)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges, as `prometheus_client` asks a collector for them."""
        yield _family(
            Gauge("build_info", "Version", (({"program": self.program, "version": version("sacbe")}, 1),))
        )
        for gauge in self._now:
            yield _family(gauge)

    async def render(self) -> bytes:
        """Everything, as Prometheus reads it."""
        self._now = list(await self.read())
        rendered: bytes = generate_latest(self.registry)
        return rendered

    def add_route(self, app: web.Application, networks: Callable[[], str]) -> None:
        """Answer ``GET /metrics``, to this machine and to the comma-separated ``networks``."""

        async def give(request: web.Request) -> web.Response:
            if not AddressList.parse(f"{LOOPBACK},{networks()}").admits(request.remote or ""):
                return web.Response(status=HTTPStatus.FORBIDDEN, text=REFUSAL)
            content = await self.render()
            return web.Response(body=content, headers={"Content-Type": CONTENT_TYPE})

        app.router.add_get(PATH, give)


def _family(gauge: Gauge) -> GaugeMetricFamily:
    names = list(gauge.values[0][0]) if gauge.values else []
    family = GaugeMetricFamily(f"sacbe_{gauge.name}", gauge.help, labels=names)
    for labels, value in gauge.values:
        family.add_metric([escape_controls(labels[name]) for name in names], value)
    return family
