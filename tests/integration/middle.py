"""A provider's gateway gone bad, for tests: it holds the real TLS key, stands where the registry says, and misbehaves.

Behind it the real gateway works; what that answers is passed on, recorded, replayed, cut or altered, as `Middle.mode` says.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import web
from cryptography import x509

from certs.edges.tokenfiles import TokenFolder
from certs.tls import TlsCredentials, peer_client_context, peer_server_context
from certs.tokens.soft import SoftToken

if TYPE_CHECKING:
    from benchmarks.federation import Federation, GatewaySpec


def credentials(federation: Federation, spec: GatewaySpec) -> TlsCredentials:
    """The TLS key and certificate of a gateway, out of its folder."""
    token = SoftToken(TokenFolder(federation.data(spec) / "token"))
    token.unlock((federation.folder / "pin").read_text().strip())
    certificate = x509.load_pem_x509_certificate((federation.folder / f"{spec.key}-auth.pem").read_bytes())
    key_id = token.find_key(certificate.public_key())
    assert key_id is not None
    found = TlsCredentials(token.tls_private_key(key_id), (certificate,))
    token.close()
    return found


@dataclass(frozen=True, slots=True)
class Recorded:
    """An answer of the real gateway."""

    content_type: str
    body: bytes


class Middle:
    """Listens on ``provider.registered_address`` with the provider's key; use it as an async context manager."""

    def __init__(self, federation: Federation, provider: GatewaySpec, consumer: GatewaySpec) -> None:
        assert federation.pki is not None
        self._provider = provider
        self._server_tls = peer_server_context(
            credentials(federation, provider), (federation.pki.intermediate,)
        )
        self._client_tls = peer_client_context(credentials(federation, consumer))
        self.mode = "pass"
        self.recorded: list[Recorded] = []
        self.asked = 0
        self._transports: list[asyncio.Transport] = []

    async def __aenter__(self) -> Middle:
        self._session = aiohttp.ClientSession()
        address = self._provider.registered_address
        self._runners = []
        for handler, port, tls in ((self._message, 5500, self._server_tls), (self._ocsp, 5577, None)):
            runner = web.ServerRunner(web.Server(handler, access_log=None), shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, address, port, ssl_context=tls).start()
            self._runners.append(runner)
        return self

    async def __aexit__(self, *_: object) -> None:
        for transport in self._transports:
            transport.abort()
        for runner in self._runners:
            await runner.cleanup()
        await self._session.close()
        await asyncio.sleep(0.05)  # aborted transports are closed in the turns of the loop that follow

    async def _ocsp(self, request: web.BaseRequest) -> web.StreamResponse:
        async with self._session.get(f"http://{self._provider.address}:5577{request.path_qs}") as answer:
            return web.Response(
                body=await answer.read(), headers={"Content-Type": answer.headers["Content-Type"]}
            )

    async def _message(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked += 1
        if request.transport is not None:
            self._transports.append(request.transport)
        passed = {n: v for n, v in request.headers.items() if n.lower().startswith(("x-", "content-type"))}
        async with self._session.post(
            f"https://{self._provider.address}:5500/",
            data=await request.read(),
            headers=passed,
            ssl=self._client_tls,
        ) as answer:
            fresh = Recorded(answer.headers["Content-Type"], await answer.read())
        self.recorded.append(fresh)
        match self.mode:
            case "silent":
                await asyncio.sleep(60)
            case "cut":
                return await self._send(request, fresh, fresh.body[: len(fresh.body) // 2], len(fresh.body))
            case "no length":
                return await self._send(request, fresh, fresh.body[: len(fresh.body) // 2], None)
            case "not multipart":
                return web.Response(text="<html>maintenance</html>", content_type="text/html")
            case "another status":
                return web.Response(status=302, headers={"Location": "http://127.0.0.1/"})
            case "huge header":
                return web.Response(
                    body=fresh.body, headers={"Content-Type": fresh.content_type, "X-H": "x" * 100_000}
                )
            case "unsigned":
                cut = fresh.body.rfind(b"\r\n--", 0, fresh.body.rfind(b"signature/bdoc"))
                end = fresh.body[fresh.body.rfind(b"\r\n--", 0, -4) :]
                return await self._send(request, fresh, fresh.body[:cut] + end, None)
            case "altered":
                return await self._send(request, fresh, fresh.body.replace(b'"asked"', b'"alter"'), None)
            case "replayed":
                fresh = self.recorded[0]
        return await self._send(request, fresh, fresh.body, len(fresh.body))

    async def _send(
        self, request: web.BaseRequest, answer: Recorded, body: bytes, length: int | None
    ) -> web.StreamResponse:
        response = web.StreamResponse(
            headers={"content-type": answer.content_type, "x-hash-algorithm": "SHA-512"}
        )
        response.content_length = length
        await response.prepare(request)
        await response.write(body)
        if length is not None and length != len(body) and request.transport is not None:
            request.transport.abort()
        return response


class Listener:
    """A TLS server that shows a certificate and counts what it is sent; use it as an async context manager."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        self._address = address
        self._context = context
        self.handshakes = 0
        self.bytes_received = 0

    async def __aenter__(self) -> Listener:
        self._server = await asyncio.start_server(self._take, self._address, 5500, ssl=self._context)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.handshakes += 1
        while data := await reader.read(65536):
            self.bytes_received += len(data)
        writer.close()
