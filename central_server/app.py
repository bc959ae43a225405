"""The running central server: watches its registry, publishes, and serves over HTTP and HTTPS.

A change is published as soon as it is seen (twice a second); without one a new directory is made each minute, because
directories expire. What cannot be generated is said in the log and on ``/health``, and the old configuration stays.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aiohttp import web

from central_server.publish import Published, add_routes, make_publication
from certs.tls import system_server_context
from schemas.faults import Fault

if TYPE_CHECKING:
    import ssl

    from central_server.store import CentralStore
    from certs.softtoken import SoftToken
    from certs.tls import TlsCredentials

log = logging.getLogger("central_server")

WATCH_S = 0.5
REGENERATE = timedelta(seconds=60)
KEEP_PARTS = timedelta(seconds=600)


class CentralServer:
    """One central server node."""

    def __init__(self, store: CentralStore, token: SoftToken, tls: TlsCredentials | None) -> None:
        self._store = store
        self._token = token
        self._tls = tls
        self._seen = -1
        self._problem: str | None = "nothing published yet"
        self.published = Published()

    def app(self) -> web.Application:
        """The application."""
        app = web.Application()
        add_routes(app, self.published)
        app.router.add_get("/health", self._health)
        return app

    async def _health(self, _request: web.Request) -> web.Response:
        status = {"status": "up" if self._problem is None else "down", "problem": self._problem}
        return web.json_response(status, status=200 if self._problem is None else 503)

    async def publish_if_due(self, now: datetime) -> None:
        """Publish when the registry changed, or when the last directory is a minute old."""
        generation = self._store.generation()
        current = self.published.current
        if generation == self._seen and current is not None and now - current.at < REGENERATE:
            return
        try:
            registry = self._store.registry()
            if registry is None:
                self._problem = "there is no registry yet; run 'central-server apply FILE'"
                return
            fresh = await make_publication(registry, self._store, self._token, now)
        except (Fault, ValueError, LookupError, KeyError) as err:
            self._problem = f"the configuration could not be generated, the old one stays: {err}"
            log.error("generation failed", extra={"event": "generation_failed", "reason": str(err)})
            return
        self.published.put_in_force(fresh, KEEP_PARTS)
        self._seen, self._problem = generation, None
        log.info("configuration published", extra={"event": "published", "generation": generation})

    async def run(self) -> None:
        """Publish for ever."""
        while True:
            await self.publish_if_due(datetime.now(UTC))
            await asyncio.sleep(WATCH_S)

    async def start(self, host: str, port: int, https_port: int) -> web.AppRunner:
        """Publish once, then listen."""
        await self.publish_if_due(datetime.now(UTC))
        runner = web.AppRunner(self.app(), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        context: ssl.SSLContext | None = None if self._tls is None else system_server_context(self._tls)
        if context is not None and https_port:
            await web.TCPSite(runner, host, https_port, ssl_context=context).start()
        return runner
