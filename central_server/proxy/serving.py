"""The process of a configuration proxy: a loop that relays, and the listener that serves what is in force."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aiohttp import web

from central_server.proxy.relaying import Relay
from central_server.publication.publish import Published, add_routes, load_publication
from serving.process.loops import Loop, Loops
from serving.process.outward import outward_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from central_server.proxy.folder import ProxyFolder

log = logging.getLogger("central.proxy")


def utc_now() -> datetime:
    """The time of this machine's clock, in UTC."""
    return datetime.now(UTC)


def build_app(folder: ProxyFolder, pin: str, *, interval_s: float, validity_s: float) -> web.Application:
    """The application: what was in force is served at once; rounds begin when it starts. Raises ValueError for a damaged folder."""
    published = Published(load_publication(folder.published))
    app = web.Application()
    add_routes(app, published)
    app.router.add_get("/health", lambda _request: _health(published, validity_s))

    async def relaying(_app: web.Application) -> AsyncIterator[None]:
        await folder.device.login(pin)
        relay = Relay(
            folder.source(),
            folder.key(),
            folder.device,
            folder.published,
            published,
            utc_now,
            timedelta(seconds=validity_s),
        )
        loops = Loops()
        async with outward_session() as session:

            async def round_() -> None:
                await relay.relay(session)

            loops.start([Loop("relaying", round_, lambda: interval_s, needed=True)])
            yield
            await loops.stop()
        await folder.device.close()

    app.cleanup_ctx.append(relaying)
    return app


async def _health(published: Published, validity_s: float) -> web.Response:
    """200 while what is published is younger than its validity."""
    current = published.current
    if current is not None and utc_now() - current.at < timedelta(seconds=validity_s):
        return web.json_response({"status": "up", "published_at": current.at.isoformat()})
    return web.json_response(
        {"status": "down", "reason": "nothing that is still valid is published"}, status=503
    )
