"""The national platform as an exercise needs it: it takes records by POST and acknowledges each by its digest."""

from __future__ import annotations

import hashlib
import sys

from aiohttp import web


async def take(request: web.Request) -> web.Response:
    """Acknowledge what came, by the digest of its bytes."""
    raw = await request.read()
    digest = hashlib.sha256(raw).hexdigest()
    return web.json_response({"acuse": f"PNT-{digest[:12]}", "sha256": digest})


async def state(_request: web.Request) -> web.Response:
    """Up."""
    return web.json_response({"status": "OK"})


if __name__ == "__main__":
    app = web.Application()
    app.router.add_post("/registros", take)
    app.router.add_get("/", state)
    web.run_app(app, host=sys.argv[1], port=int(sys.argv[2]), print=None, access_log=None)
