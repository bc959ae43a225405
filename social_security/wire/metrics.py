"""What a member's system tells Prometheus: requests by outcome, notices that wait, loops that fail. Never a person."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aiohttp import web

from serving.api.metrics import Gauge, Metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from serving.process.loops import Loops

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def add_metrics(app: web.Application, loops: Loops, networks: str) -> None:
    """Count the requests of a system, and give the figures at ``/metrics`` to this machine and ``networks``."""

    async def read() -> Iterable[Gauge]:
        failing = [({"loop": f.name}, float(f.rounds)) for f in loops.failures()]
        return [
            Gauge("up", "Whether every background loop goes on", (({}, float(not failing)),)),
            Gauge("loop_failures", "Failed rounds in a row of a background loop", failing),
        ]

    metrics = Metrics("social-security", read)
    requests = metrics.counter(
        "requests", "Requests answered, by method and class of status", ("method", "status")
    )
    seconds = metrics.counter("request_seconds", "Time that requests took, together")

    @web.middleware
    async def count(request: web.Request, handler: Handler) -> web.StreamResponse:
        began, status = time.monotonic(), 500
        try:
            answer = await handler(request)
            status = answer.status
            return answer
        except web.HTTPException as err:
            status = err.status
            raise
        finally:
            # A stranger's method is none of ours: the label has few values.
            method = request.method if request.method in ("GET", "POST", "PUT", "DELETE") else "other"
            requests.labels(method, f"{status // 100}xx").inc()
            seconds.inc(time.monotonic() - began)

    app.middlewares.append(count)
    metrics.add_route(app, lambda: networks)
