"""What a gateway is measured against: one half of a bare aiohttp double proxy with mutual TLS. It signs and logs nothing.

Two of these stand where two gateways would: ``--side consumer`` takes plain HTTP and goes on over mutual TLS, ``--side
provider`` takes mutual TLS and goes on over plain HTTP. Bodies are read whole, both ways; connections are kept.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import ssl
from pathlib import Path

import aiohttp
import uvloop
from aiohttp import web

_HOP_BY_HOP = frozenset(("host", "connection", "content-length", "transfer-encoding", "keep-alive"))


def context(purpose: int, folder: Path, name: str) -> ssl.SSLContext:
    """Mutual TLS with the pair ``name`` below the authority in ``folder``."""
    made = ssl.SSLContext(purpose)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_verify_locations(folder / "ca.pem")
    made.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
    return made


class Proxy:
    """One process of the pair."""

    def __init__(self, onward: str, tls: ssl.SSLContext | bool) -> None:
        self._onward = onward
        self._tls = tls
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the pool."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), auto_decompress=False, trust_env=False
        )

    async def close(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Pass one request on and its answer back."""
        assert self._session is not None
        # Of any size; `read` would refuse more than a mebibyte, and be no measure.
        body = b"".join([chunk async for chunk in request.content.iter_any()])
        headers = {n: v for n, v in request.headers.items() if n.lower() not in _HOP_BY_HOP}
        async with self._session.request(
            request.method,
            f"{self._onward}{request.path_qs}",
            headers=headers,
            data=body or None,
            ssl=self._tls,
            allow_redirects=False,
        ) as answer:
            content = await answer.read()
            kept = {n: v for n, v in answer.headers.items() if n.lower() not in _HOP_BY_HOP}
            return web.Response(status=answer.status, body=content, headers=kept)


async def serve(options: argparse.Namespace) -> None:
    """Run until told to stop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    is_consumer = options.side == "consumer"
    client = context(ssl.PROTOCOL_TLS_CLIENT, options.certificates, "consumer") if is_consumer else True
    server = None if is_consumer else context(ssl.PROTOCOL_TLS_SERVER, options.certificates, "provider")
    proxy = Proxy(options.onward, client)
    await proxy.start()
    runner = web.ServerRunner(web.Server(proxy.handle, access_log=None), shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, options.host, options.port, ssl_context=server, backlog=1024).start()
    await stop.wait()
    await runner.cleanup()
    await proxy.close()


def main() -> None:
    """Serve one side."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", choices=("consumer", "provider"), required=True)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--onward", required=True, help="base URL of what stands behind")
    parser.add_argument("--certificates", type=Path, required=True, help="ca.pem, consumer.*, provider.*")
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
