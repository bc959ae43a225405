"""Spans on their way to an OpenTelemetry collector: OTLP over HTTP, by OpenTelemetry's own exporter (extra ``trace``).

Spans wait in a bounded buffer and never hold an exchange: when it is full the oldest go and the log says how many. A crash
loses what waits: spans are statistics, the proof is in the message log.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import logging
from typing import TYPE_CHECKING

from schemas.faults import Fault, Kind
from serving.process.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from gateway.edges.otlp import OtlpSender
    from gateway.monitoring.traces import TraceSpan

log = logging.getLogger("gateway.traces")

BATCH = 512
BUFFER_LENGTH = 8192
EXPORT_S = 5.0
TIMEOUT_S = 10.0


class TraceExporter:
    """Sends spans to where the settings say, in batches; ``url`` gives the collector's address, empty for none."""

    def __init__(self, url: Callable[[], str], server: str) -> None:
        self._url = url
        self._server = server
        self._waiting: collections.deque[TraceSpan] = collections.deque()
        self._lost = 0
        self._sender: OtlpSender | None = None
        self.loop = Loop("traces", self.round, lambda: EXPORT_S)

    @property
    def is_on(self) -> bool:
        """Whether anybody wants spans; while nobody does, none are built."""
        return bool(self._url())

    def add(self, spans: Iterable[TraceSpan]) -> None:
        """Queue spans; they leave within seconds."""
        for span in spans:
            if len(self._waiting) >= BUFFER_LENGTH:
                self._waiting.popleft()
                self._lost += 1
            self._waiting.append(span)

    async def round(self) -> None:
        """Send what waits. Raises `Fault` (``network_error``) when the collector does not take it; it stays queued then."""
        url = self._url()
        if not url:
            self._waiting.clear()
            return
        while self._waiting:
            batch = list(itertools.islice(self._waiting, BATCH))
            if not await asyncio.to_thread(self._send, url, batch):
                raise Fault(
                    Kind.NETWORK_ERROR,
                    f"the collector at {url} did not take {len(batch)} spans",
                )
            for sent in batch:
                # The buffer may have let go of some meanwhile; only what was sent goes.
                if self._waiting and self._waiting[0] is sent:
                    self._waiting.popleft()
        if self._lost:
            log.warning("spans lost", extra={"event": "traces", "count": self._lost})
            self._lost = 0

    def _send(self, url: str, batch: list[TraceSpan]) -> bool:
        """Export one batch. Blocks, at most `TIMEOUT_S`. Raises `Fault` (``internal_error``) without the extra."""
        try:
            from gateway.edges.otlp import OtlpSender  # an extra that few install
        except ImportError as err:
            raise Fault(
                Kind.INTERNAL_ERROR,
                "monitoring.trace_url is set and OpenTelemetry is not installed: pip install 'sacbe[trace]'",
            ) from err
        if self._sender is None or self._sender.url != url:
            self._sender = OtlpSender(url, self._server, TIMEOUT_S)
        return self._sender.send(batch)
