"""The trace that a call belongs to, as headers: W3C Trace Context, when OpenTelemetry is installed.

The headers are part of the message: signed, logged by both gateways, and seen by the provider.
"""

from __future__ import annotations

import contextlib
from typing import Any

inject: Any = None
with contextlib.suppress(ImportError):
    from opentelemetry.propagate import inject


def trace_headers() -> tuple[tuple[str, str], ...]:
    """``traceparent`` and its companions of the current span; empty without OpenTelemetry or outside a span."""
    carrier: dict[str, str] = {}
    if inject is not None:
        inject(carrier)
    return tuple(carrier.items())
