"""Calling the providers' information systems: one HTTP request, within the service's timeout.

Nothing is followed, decompressed or retried: the answer goes into the signed response as it came. The system's TLS
certificate is compared with those registered for the provider client, byte for byte; no path, no name.
"""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import hdrs
from yarl import URL

from gateway.exchange.ports import ServiceAnswer
from schemas import rest
from schemas.faults import Kind, ServiceFailed

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from gateway.messagelog.spool import Spool
    from gateway.serverconf.model import ServerConf, Service
    from schemas.rest import RestRequest

CONNECT_TIMEOUT_S = 30.0
_AUTO_HEADERS = (hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE)


# The certificates (DER) the system may show in the call under way; None when the service is not verified.
_expected: contextvars.ContextVar[frozenset[bytes] | None] = contextvars.ContextVar("expected", default=None)


class _ServiceConnector(aiohttp.TCPConnector):
    """A pool that compares a system's certificate each time a connection is about to carry a call."""

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        expected = _expected.get()
        transport = connection.transport
        ssl_object = None if transport is None else transport.get_extra_info("ssl_object")
        if ssl_object is not None and expected is not None and ssl_object.getpeercert(True) not in expected:
            connection.close()
            raise ServiceFailed(
                Kind.SSL_AUTHENTICATION_FAILED,
                "the system's TLS certificate is not among those registered for the provider; "
                "register it, or switch its verification off for this service",
            )
        return connection


class ServiceCaller:
    """Calls services over plain HTTP and HTTPS with one pool of connections."""

    def __init__(
        self,
        serverconf: Callable[[], ServerConf],
        new_spool: Callable[[], Spool],
        tls: Callable[[], ssl.SSLContext],
        *,
        max_body_bytes: int,
    ) -> None:
        self._serverconf = serverconf
        self._new_spool = new_spool
        self._tls = tls
        self._max_body_bytes = max_body_bytes
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the pool."""
        self._session = aiohttp.ClientSession(
            connector=_ServiceConnector(limit=0, limit_per_host=0, keepalive_timeout=15.0),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=_AUTO_HEADERS,
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the pool."""
        if self._session is not None:
            await self._session.close()

    async def call(self, service: Service, request: RestRequest, body: Spool | None) -> ServiceAnswer:
        """One call of a REST service. Raises `ServiceFailed` when it cannot be reached or does not answer in time."""
        if self._session is None:
            raise ServiceFailed(Kind.INTERNAL_ERROR, "the pool of connections to services is not open")
        url = self._url(service, request)
        try:
            async with asyncio.timeout(service.timeout_s or None):
                async with self._session.request(
                    request.method,
                    url,
                    headers=rest.service_headers(request),
                    data=None if body is None else body.chunks(),
                    allow_redirects=False,
                    ssl=self._context(service) if url.scheme == "https" else True,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
                ) as answer:
                    return ServiceAnswer(
                        answer.status,
                        answer.reason or "",
                        [
                            (n.decode("utf-8", "surrogateescape"), v.decode("utf-8", "surrogateescape"))
                            for n, v in answer.raw_headers
                        ],
                        await self._spool(answer),
                    )
        except TimeoutError as err:
            raise ServiceFailed(
                Kind.NETWORK_ERROR,
                f"service {service.id.path()} did not answer within {service.timeout_s:g} s",
            ) from err
        except (aiohttp.ClientError, OSError, ValueError) as err:
            raise ServiceFailed(
                Kind.NETWORK_ERROR, f"service {service.id.path()} could not be called: {_reason(err)}"
            ) from err

    def _url(self, service: Service, request: RestRequest) -> URL:
        if not service.url:
            raise ServiceFailed(Kind.SERVICE_MISSING_URL, f"service {service.id.path()} has no URL")
        try:
            url = URL(rest.service_url(service.url, request), encoded=True)
        except ValueError as err:
            raise ServiceFailed(
                Kind.SERVICE_MALFORMED_URL, f"the URL of service {service.id.path()} is malformed"
            ) from err
        if url.scheme not in ("http", "https") or not url.host:
            raise ServiceFailed(
                Kind.SERVICE_MALFORMED_URL,
                f"the URL of service {service.id.path()} must be http:// or https://",
            )
        return url

    def _context(self, service: Service) -> ssl.SSLContext:
        if service.verify_tls:
            client = self._serverconf().client(service.id.client)
            _expected.set(frozenset() if client is None else client.certificates)
        else:
            _expected.set(None)
        return self._tls()

    async def _spool(self, answer: aiohttp.ClientResponse) -> Spool | None:
        spool = self._new_spool()
        try:
            async for chunk in answer.content.iter_any():
                if spool.size + len(chunk) > self._max_body_bytes:
                    raise ServiceFailed(
                        Kind.INVALID_BODY,
                        f"the service's answer is larger than the {self._max_body_bytes} bytes this gateway accepts",
                    )
                await spool.write(chunk)
            await spool.finish()
        except BaseException:
            spool.discard()
            raise
        if spool.size == 0:
            spool.discard()
            return None
        return spool


def _reason(err: Exception) -> str:
    """What went wrong, without addresses of the provider's network that the consumer has no business knowing."""
    if isinstance(err, aiohttp.ClientConnectorError):
        return f"connection failed ({err.os_error.strerror or 'no answer'})"
    return type(err).__name__
