"""Calling the providers' information systems: one HTTP request, within the service's timeout.

Nothing is followed, decompressed or retried: the answer goes into the signed response as it came. The system's TLS
certificate is compared with those registered for the provider client, byte for byte; no path, no name.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import hdrs
from yarl import URL

from gateway.exchange.ports import ServiceAnswer
from schemas import rest
from schemas.faults import Fault, Kind, ServiceFailed

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable

    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from gateway.clients.model import ServerConf, Service
    from gateway.exchange.ports import ServiceCall

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
        tls: Callable[[], ssl.SSLContext],
    ) -> None:
        self._serverconf = serverconf
        self._tls = tls
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

    @contextlib.asynccontextmanager
    async def call(self, service: Service, call: ServiceCall) -> AsyncIterator[ServiceAnswer]:
        """One call. Raises `ServiceFailed` when the system cannot be reached or does not answer in time."""
        if self._session is None:
            raise ServiceFailed(Kind.INTERNAL_ERROR, "the pool of connections to services is not open")
        url = self._url(service, call.target)
        first, body = await _body(call)
        try:
            async with asyncio.timeout(service.timeout_s or None):
                async with self._session.request(
                    call.method,
                    url,
                    headers=call.headers,
                    data=first if body is None else body,
                    allow_redirects=False,
                    ssl=self._context(service) if url.scheme == "https" else True,
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S),
                ) as answer:
                    yield ServiceAnswer(
                        answer.status,
                        answer.reason or "",
                        [
                            (n.decode("utf-8", "surrogateescape"), v.decode("utf-8", "surrogateescape"))
                            for n, v in answer.raw_headers
                        ],
                        _chunks(answer),
                    )
        except Fault:
            raise
        except TimeoutError as err:
            raise ServiceFailed(
                Kind.NETWORK_ERROR,
                f"service {service.id.path()} did not answer within {service.timeout_s:g} s",
            ) from err
        except (aiohttp.ClientError, OSError, ValueError) as err:
            raise ServiceFailed(
                _kind(err), f"service {service.id.path()} could not be called: {_reason(err)}"
            ) from err

    def _url(self, service: Service, target: str) -> URL:
        if not service.url:
            raise ServiceFailed(Kind.SERVICE_MISSING_URL, f"service {service.id.path()} has no URL")
        try:
            url = URL(rest.service_url(service.url, target), encoded=True)
        except ValueError as err:
            raise ServiceFailed(
                Kind.SERVICE_MALFORMED_URL, f"the URL of service {service.id.path()} is malformed"
            ) from err
        if not url.raw_path_qs.endswith(target) and not f"{url.raw_path_qs}?".endswith(target):
            raise ServiceFailed(
                Kind.SERVICE_MALFORMED_URL,
                f"the URL of service {service.id.path()} would change the target that was decided on",
            )
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


async def _body(call: ServiceCall) -> tuple[bytes | None, AsyncIterator[bytes] | None]:
    """The body whole when it is one chunk, as old systems cannot read a chunked request; else what gives it."""
    if call.chunks is None:
        return None, None
    begun = call.chunks()
    first, second = await anext(begun, b""), await anext(begun, None)
    if second is None:
        return first, None
    return None, _all(first, second, begun)


async def _all(first: bytes, second: bytes, rest_: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    yield second
    async for chunk in rest_:
        yield chunk


async def _chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, OSError) as err:
        if isinstance(err, TimeoutError):
            raise
        raise ServiceFailed(Kind.IO_ERROR, f"the system broke off its answer ({type(err).__name__})") from err


def _kind(err: Exception) -> Kind:
    return Kind.UNKNOWN_HOST if isinstance(err, aiohttp.ClientConnectorDNSError) else Kind.NETWORK_ERROR


def _reason(err: Exception) -> str:
    """What went wrong, without addresses of the provider's network that the consumer has no business knowing."""
    if isinstance(err, aiohttp.ClientConnectorError):
        return f"connection failed ({err.os_error.strerror or 'no answer'})"
    return type(err).__name__
