"""Where a gateway listens: for consumer systems, for security servers, for their OCSP questions, for a look at its health."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from gateway.edges.http import DataPlaneServer, Listening, listen
from gateway.health.diagnosing import as_json
from gateway.server.state import Phase
from serving.process import listener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from gateway.health.diagnosis import Diagnosis
    from gateway.server.tlscontexts import TlsContexts
    from gateway.settings.config import GatewaySettings


_NOT_OPEN = {
    Phase.STARTING: "this gateway starts; it does not listen for messages yet",
    Phase.STOPPING: "this gateway stops; send messages to another node",
}


async def open_exchange_listeners(
    settings: GatewaySettings,
    for_consumers: DataPlaneServer,
    for_peers: DataPlaneServer,
    contexts: TlsContexts,
) -> AsyncIterator[Listening]:
    """Listen for security servers, then for consumer systems (HTTPS and HTTP); each as soon as it listens."""
    where = settings.listen
    yield await listen(
        for_peers, where.peer_host, where.peer_port, contexts.peer.listening, setting="listen.peer_port"
    )
    yield await listen(
        for_consumers, where.consumer_host, where.https_port, contexts.system, setting="listen.https_port"
    )
    yield await listen(for_consumers, where.consumer_host, where.http_port, setting="listen.http_port")


async def serve(app: web.Application, host: str, port: int, setting: str = "") -> web.BaseRunner:
    """Listen with a small application; ``setting`` names what sets the port."""
    return await listener.listen(app, host, port, setting=setting)


def health_app(
    problems: Callable[[], Awaitable[Sequence[str]]],
    diagnosis: Callable[[], Awaitable[Diagnosis]],
    warnings: Callable[[], Sequence[str]] = tuple,
    add_metrics: Callable[[web.Application], None] = lambda _: None,
    phase: Callable[[], Phase] = lambda: Phase.OPEN,
) -> web.Application:
    """The application of the health address: whether messages can be exchanged, what will stop them, and figures for Prometheus."""

    async def give_health(_request: web.Request) -> web.Response:
        now = phase()
        if now is not Phase.OPEN:
            state = {"status": now.value, "problems": [_NOT_OPEN[now]], "warnings": []}
            return web.json_response(state, status=503)
        try:
            found = list(await problems())
        except OSError as err:  # the database that nodes share is lost
            found = [str(err)]
        state = {"status": "down" if found else "up", "problems": found, "warnings": list(warnings())}
        return web.json_response(state, status=503 if found else 200)

    async def give_diagnosis(_request: web.Request) -> web.Response:
        return web.json_response(as_json(await diagnosis()))

    app = web.Application()
    app.router.add_get("/", give_health)
    app.router.add_get("/diagnosis", give_diagnosis)
    add_metrics(app)
    return app
