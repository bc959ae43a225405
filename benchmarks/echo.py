"""A small provider for tests and measuring: echoes, waits, fails and counts on demand."""

from __future__ import annotations

import argparse
import asyncio

import uvloop
from aiohttp import web


async def handle(request: web.Request) -> web.StreamResponse:
    """Answer by the path: /slow waits ?s=, /status answers ?code=, /size sends ?n= bytes, anything else echoes."""
    path = request.path
    if path.endswith("/slow"):
        await asyncio.sleep(float(request.query.get("s", "5")))
    if path.endswith("/status"):
        return web.Response(status=int(request.query["code"]))
    if path.endswith("/count"):
        total = 0
        async for chunk in request.content.iter_any():
            total += len(chunk)
        return web.json_response({"bytes": total})
    if path.endswith("/size"):
        answer = web.StreamResponse()
        await answer.prepare(request)
        left = int(request.query["n"])
        while left > 0:
            await answer.write(b"x" * min(left, 1 << 20))
            left -= 1 << 20
        await answer.write_eof()
        return answer
    body = await request.read()
    return web.Response(
        body=body or b'{"ok":true}',
        content_type=request.content_type or "application/json",
        headers={"X-Seen": path},
    )


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    options = parser.parse_args()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{tail:.*}", handle)
    uvloop.install()
    web.run_app(app, host=options.host, port=options.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
