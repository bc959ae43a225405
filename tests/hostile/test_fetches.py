"""Whatever a server of ours fetches: no redirect is followed, nothing is read without end, and every failure is an answer.

What an address may be is decided where it is set: a CA's, an authority's or a source's by the signed configuration and the anchor,
a description's by `gateway.clients.descriptions.fetching`, which refuses the machine's own metadata networks. So what is held here is
that whoever answers at such an address leads nowhere else.
"""

from __future__ import annotations

import ast
import asyncio
import contextlib
import gzip
import time
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from central_server.edges.gatewayclient import CatalogueGatewayClient
from certs.edges.fetch import fetch_ocsp, fetch_timestamp
from schemas.faults import Fault
from schemas.identifiers import ClientId, ServiceId
from social_security.wire.gatewayclient import GatewayClient
from social_security.wire.platform import ApiPlatform

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "central_server", "serving", "social_security", "certs", "schemas")
CALLS = {"get", "post", "put", "head", "patch", "delete", "request", "options", "ws_connect"}
BOMB = gzip.compress(bytes(256 * 1024 * 1024), 1)


# No redirect


def fetches(path: Path) -> list[tuple[int, bool]]:
    """Each call of a client session in a module: its line, and whether it refuses redirects."""
    return [
        (
            node.lineno,
            any(k.arg == "allow_redirects" and ast.unparse(k.value) == "False" for k in node.keywords),
        )
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CALLS
        and ast.unparse(node.func.value).rpartition(".")[2] in ("session", "_session")
    ]


def test_no_fetch_of_any_server_follows_a_redirect() -> None:
    modules = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    found = {
        f"{path.relative_to(ROOT)}:{line}": refuses for path in modules for line, refuses in fetches(path)
    }
    assert len(found) >= 10
    assert [place for place, refuses in found.items() if not refuses] == []


# A server that does what it likes


class Liar:
    """Answers every request as ``mode`` says, and counts those that came to another path than was asked."""

    def __init__(self) -> None:
        self.mode = ""
        self.led_astray = 0
        self.url = ""

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/inner":
            self.led_astray += 1
            return web.Response(body=b"{}")
        match self.mode:
            case "301" | "302" | "303" | "307" | "308":
                return web.Response(status=int(self.mode), headers={"Location": f"{self.url}/inner"})
            case "endless":
                response = web.StreamResponse()
                await response.prepare(request)
                with contextlib.suppress(ConnectionError):
                    while True:
                        await response.write(bytes(1024 * 1024))
                return response
            case "gzip bomb":
                return web.Response(body=BOMB, headers={"Content-Encoding": "gzip"})
            case "cut":
                response = web.StreamResponse(headers={"Content-Length": "1000"})
                await response.prepare(request)
                await response.write(b"x")
                assert request.transport is not None
                request.transport.abort()
                return response
            case "deep":
                return web.Response(body=b"[" * 200_000)
            case "no text":
                return web.Response(body=b"\xff\xfe\x00{" * 1000)
        return web.Response(status=500)


@contextlib.asynccontextmanager
async def lying() -> AsyncIterator[Liar]:
    liar = Liar()
    runner = web.ServerRunner(web.Server(liar.answer, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    liar.url = f"http://{host}:{port}"
    try:
        yield liar
    finally:
        await runner.cleanup()


async def ask_ocsp(session: aiohttp.ClientSession, url: str) -> None:
    with pytest.raises(Fault, match="no OCSP responder answered"):
        await fetch_ocsp(session, [url], b"x", timeout_s=30)


async def ask_timestamp(session: aiohttp.ClientSession, url: str) -> None:
    with pytest.raises(Fault, match="did not answer"):
        await fetch_timestamp(session, url, b"x", timeout_s=30)


async def ask_central(session: aiohttp.ClientSession, url: str) -> None:
    member = ClientId("MX", "GOB", "1", "S")
    client = CatalogueGatewayClient(session, url, member.path())
    with pytest.raises((Fault, ValueError, aiohttp.ClientError)):
        await client.get(member, "listMethods")
    with pytest.raises((Fault, ValueError, aiohttp.ClientError)):
        await client.post(ServiceId(member, "getWsdl"), "<getWsdl/>")


async def ask_system(session: aiohttp.ClientSession, url: str) -> None:
    del session
    client = GatewayClient(url, "MX/GOB/15-ISSEMYM", "1.0.0")
    heard = await client.send("GET", "MX/GOB/1/S/x", {}, None)
    await client.close()
    assert not heard.is_done
    assert heard.body == {}


async def ask_platform(session: aiohttp.ClientSession, url: str) -> None:
    del session
    record = {"folio": "1", "miembro": "MX/GOB/1", "numero": 1}
    assert not await ApiPlatform(url).hand_over(record)


ASKERS: dict[str, Callable[[aiohttp.ClientSession, str], Awaitable[None]]] = {
    "OCSP": ask_ocsp,
    "timestamps": ask_timestamp,
    "catalogue": ask_central,
    "a member's system": ask_system,
    "the platform": ask_platform,
}
READERS = ("a member's system", "the platform")
MEANING = ("deep", "no text")
MODES = ("301", "302", "303", "307", "308", "endless", "gzip bomb", "cut", "deep", "no text", "500")


@pytest.mark.parametrize(
    ("who", "mode"),
    # What OCSP responders, authorities and the catalogue give is bytes: what they mean is decided elsewhere.
    [(who, mode) for who in ASKERS for mode in MODES if mode not in MEANING or who in READERS],
)
async def test_a_server_that_lies_leads_nobody_astray(who: str, mode: str) -> None:
    async with (
        asyncio.timeout(120),
        lying() as liar,
        aiohttp.ClientSession(trust_env=False) as session,
    ):
        liar.mode = mode
        began = time.process_time()
        await ASKERS[who](session, f"{liar.url}/asked")
        assert time.process_time() - began < 20
        assert liar.led_astray == 0
