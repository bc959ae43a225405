"""How management requests leave: through the own consumer listener, or by TLS to a pinned certificate.

The own listener is called over HTTPS with this server's internal certificate, which always passes there, whatever the
connection type of the client that asks. The registration service's certificate is compared whole, before a byte of the
request leaves; its name and its dates do not count, as the global configuration vouches for it.
"""

from __future__ import annotations

import hashlib
import ssl
from typing import TYPE_CHECKING

import aiohttp
import msgspec
from yarl import URL

from certs.tls import provider_client_context
from schemas.faults import Fault, Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from certs.tls import TlsCredentials

TIMEOUT = aiohttp.ClientTimeout(total=90, sock_connect=20)
_LARGEST = 256 * 1024


class HttpManagementChannel(msgspec.Struct, frozen=True):
    """Sends over HTTP; ``consumer_url`` is the own HTTPS listener, ``own_tls`` what it shows now."""

    session: aiohttp.ClientSession
    consumer_url: str
    own_tls: Callable[[], TlsCredentials]

    async def send_message(self, content_type: str, body: bytes) -> tuple[int, bytes]:
        """Send a SOAP message through the own consumer side."""
        context = provider_client_context(self.own_tls())
        return await self._request("POST", self.consumer_url, context, _typed(content_type), body)

    async def ask_own(
        self, path: str, headers: Mapping[str, str], body: bytes | None = None
    ) -> tuple[int, bytes]:
        """GET a path of the own consumer side, or POST a body to it."""
        context = provider_client_context(self.own_tls())
        # ``encoded``: a percent-encoded identifier goes out as it is written here.
        url = URL(self.consumer_url.rstrip("/") + path, encoded=True)
        return await self._request("GET" if body is None else "POST", url, context, headers, body)

    async def post_pinned(
        self, url: str, certificate: bytes, content_type: str, body: bytes
    ) -> tuple[int, bytes]:
        """POST to a server whose TLS certificate must equal ``certificate``."""
        pin = aiohttp.Fingerprint(hashlib.sha256(certificate).digest())
        return await self._request("POST", url, pin, _typed(content_type), body)

    async def get_pinned(self, url: str, certificate: bytes) -> tuple[int, bytes]:
        """GET from such a server."""
        return await self._request("GET", url, aiohttp.Fingerprint(hashlib.sha256(certificate).digest()))

    async def _request(
        self,
        method: str,
        url: str | URL,
        tls: ssl.SSLContext | aiohttp.Fingerprint,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> tuple[int, bytes]:
        try:
            async with self.session.request(
                method,
                url,
                data=body,
                headers=headers,
                ssl=tls,
                timeout=TIMEOUT,
                allow_redirects=False,
            ) as answer:
                content = bytearray()
                async for chunk in answer.content.iter_any():
                    content += chunk
                    if len(content) > _LARGEST:
                        raise Fault(Kind.NETWORK_ERROR, f"{url} answered more than {_LARGEST} bytes")
                return answer.status, bytes(content)
        except aiohttp.ServerFingerprintMismatch as err:
            raise Fault(
                Kind.SSL_AUTHENTICATION_FAILED,
                f"the server at {url} showed another TLS certificate than the global configuration names",
            ) from err
        except (TimeoutError, aiohttp.ClientError, OSError) as err:
            raise Fault(Kind.NETWORK_ERROR, f"{url} was not reached: {err or type(err).__name__}") from err


def _typed(content_type: str) -> dict[str, str]:
    return {"Content-Type": content_type}
