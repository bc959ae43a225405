"""The process of a configuration proxy: a loop that relays, and the listener that serves what is in force."""

from __future__ import annotations

import contextlib
import logging
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from central_server.proxy.relaying import Relay
from central_server.publication.publish import (
    Published,
    add_directory_route,
    add_part_route,
    load_publication,
)
from serving.errors import OperatorError
from serving.language import N_
from serving.process.devices import signer_loops
from serving.process.loops import Loop, Loops
from serving.process.outward import outward_session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from central_server.proxy.folder import ProxyFolder

log = logging.getLogger("central.proxy")


def utc_now() -> datetime:
    """The time of this machine's clock, in UTC."""
    return datetime.now(UTC)


def build_app(
    folders: Sequence[ProxyFolder], pin: Callable[[], str], *, interval_s: float, validity_s: float
) -> web.Application:
    """The application of one or more proxies: what was in force is served at once; rounds begin when it starts.

    Raises ValueError for a damaged folder, and for two of one name.
    """
    names = [folder.state().name for folder in folders]
    if len(set(names)) < len(names):
        raise OperatorError(
            N_(
                "several proxies on one address need names that differ (proxy init --name), not {names}",
                names=names,
            )
        )
    app = web.Application()
    published = [Published(load_publication(folder.published)) for folder in folders]
    for folder, own in zip(folders, published, strict=True):
        add_directory_route(app, own, folder.state().prefix)
        app.cleanup_ctx.append(partial(_relaying, folder, own, pin, interval_s, validity_s))
    add_part_route(app, published)

    async def health(_request: web.Request) -> web.Response:
        return _health(dict(zip(names, published, strict=True)), validity_s)

    app.router.add_get("/health", health)
    return app


async def _relaying(
    folder: ProxyFolder,
    published: Published,
    pin: Callable[[], str],
    interval_s: float,
    validity_s: float,
    _app: web.Application,
) -> AsyncIterator[None]:
    """The rounds of one proxy, and the processes that hold its token, from the application's start to its end."""
    async with running_signers(folder), outward_session() as session:
        await folder.open_token(pin)
        validity = timedelta(seconds=validity_s)
        relay = Relay(
            folder.source(), folder.key(), folder.device, folder.published, published, utc_now, validity
        )

        async def round_() -> None:
            await relay.relay(session)

        loops = Loops()
        name = f"relaying {folder.state().name}".strip()
        loops.start([Loop(name, round_, lambda: interval_s, needed=True)])
        yield
        await loops.stop()


@contextlib.asynccontextmanager
async def running_signers(folder: ProxyFolder) -> AsyncIterator[None]:
    """The processes that hold the proxy's token, where it is held by any; its device is let go of afterwards."""
    loops = Loops()
    loops.start(signer_loops(folder.signers))
    try:
        yield
    finally:
        await folder.device.close()
        await loops.stop()


def _health(publishers: dict[str, Published], validity_s: float) -> web.Response:
    """200 while what is published is younger than its validity, of every proxy."""
    fresh: dict[str, str] = {}
    for name, published in publishers.items():
        current = published.current
        if current is not None and utc_now() - current.at < timedelta(seconds=validity_s):
            fresh[name] = current.at.isoformat()
    if fresh.keys() == publishers.keys():
        return web.json_response({"status": "up", "published_at": min(fresh.values()), "proxies": fresh})
    lacking = [name or "the proxy" for name in publishers if name not in fresh]
    return web.json_response(
        {"status": "down", "reason": f"nothing that is still valid is published by {', '.join(lacking)}"},
        status=503,
    )
