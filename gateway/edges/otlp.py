"""One collector of OpenTelemetry, spoken to by OpenTelemetry's own exporter. Imported only where the extra ``trace`` is used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.monitoring.traces import TraceSpan


class OtlpSender:
    """Sends spans of one server to ``url`` (``http://collector:4318/v1/traces``), OTLP by protobuf over HTTP."""

    def __init__(self, url: str, server: str, timeout_s: float) -> None:
        self.url = url
        self._exporter = OTLPSpanExporter(endpoint=url, timeout=timeout_s)
        self._resource = Resource({"service.name": "sacbe-gateway", "service.instance.id": server})

    def send(self, batch: Iterable[TraceSpan]) -> bool:
        """Whether the collector took them. Blocks."""
        return self._exporter.export([self._readable(span) for span in batch]) is SpanExportResult.SUCCESS

    def _readable(self, span: TraceSpan) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=_context(span.trace_id, span.span_id),
            parent=None if span.parent_id is None else _context(span.trace_id, span.parent_id),
            resource=self._resource,
            attributes=dict(span.attributes),
            kind=SpanKind.SERVER if span.is_server else SpanKind.CLIENT,
            status=Status(StatusCode.OK) if span.failed is None else Status(StatusCode.ERROR, span.failed),
            start_time=span.start_ns,
            end_time=span.end_ns,
        )


def _context(trace_id: int, span_id: int) -> SpanContext:
    return SpanContext(trace_id, span_id, is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED))
