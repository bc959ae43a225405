"""Calling the providers' information systems: one HTTP request, within the service's timeout.

The timeout counts silence, as X-Road's does: an answer may flow for as long as bytes come.

Nothing is followed, decompressed or retried: the answer goes into the signed response as it came. The system's TLS
certificate is compared with those registered for the provider client, byte for byte; no path, no name.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
from base64 import b64encode
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec

from gateway.exchange.ports import ServiceAnswer
from gateway.http.client import AnswerChunks, Failure, HttpFailedError, Place, Pool
from gateway.http.heads import FRAMING, NotHttpError
from schemas import rest
from schemas.faults import BadMessage, Fault, Kind

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractAsyncContextManager

    from gateway.clients.model import ServerConf, Service
    from gateway.exchange.ports import ServiceCall
    from gateway.http.client import ClientConnection

CONNECT_TIMEOUT_S = 30.0
KEPT_S = 15.0
_WITHOUT_BODY = frozenset(("GET", "HEAD", "DELETE", "OPTIONS", "TRACE"))
_URL = re.compile(
    r"(?P<scheme>https?)://(?:(?P<login>[^/?#@]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?#@:\[\]\s]+)(?::(?P<port>\d{1,5}))?",
    re.IGNORECASE,
)


class _Base(msgspec.Struct, frozen=True):
    """The part of a service's URL before its path."""

    scheme: str
    host: str
    port: int
    host_header: bytes
    login: bytes | None
    length: int


@functools.lru_cache(maxsize=1024)
def _parse_base(url: str) -> _Base | None:
    """Scheme, host and port of a URL; None when it has none that can be called."""
    found = _URL.match(url)
    if found is None or url[found.end() : found.end() + 1] not in ("", "/", "?"):
        return None
    scheme = found["scheme"].lower()
    usual = 443 if scheme == "https" else 80
    port = int(found["port"] or usual)
    try:
        name = found["host"] if found["host"].isascii() else found["host"].encode("idna").decode("ascii")
    except UnicodeError:
        return None
    if not 0 < port < 65_536:
        return None
    shown = name if port == usual else f"{name}:{port}"
    login = None if found["login"] is None else b"Basic " + b64encode(unquote(found["login"]).encode())
    return _Base(scheme, name.strip("[]"), port, shown.encode("ascii"), login, found.end())


class ServiceCaller:
    """Calls services over plain HTTP and HTTPS with one pool of connections."""

    def __init__(
        self,
        serverconf: Callable[[], ServerConf],
        tls: Callable[[], ssl.SSLContext],
        *,
        total_s: float = 0.0,
    ) -> None:
        self._serverconf = serverconf
        self._tls = tls
        self._pool = Pool(KEPT_S)
        self._total_s = total_s

    async def start(self) -> None:
        """Nothing to do: connections are made when they are needed."""

    async def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.close()

    def take_total(self, total_s: float) -> None:
        """Give the next calls another longest time in all; 0 none."""
        self._total_s = total_s

    def call(self, service: Service, call: ServiceCall) -> AbstractAsyncContextManager[ServiceAnswer]:
        """One call. Raises `Fault` when the system cannot be reached, is silent too long, or answers no HTTP."""
        return self._bounded(service, call) if self._total_s else self._called(service, call)

    @contextlib.asynccontextmanager
    async def _bounded(self, service: Service, call: ServiceCall) -> AsyncIterator[ServiceAnswer]:
        """A call whose time in all is bounded."""
        try:
            async with asyncio.timeout(self._total_s):
                async with self._called(service, call) as answer:
                    yield answer
        except TimeoutError as err:
            raise Fault(
                Kind.NETWORK_ERROR,
                f"service {service.id.path()} did not end its answer within {self._total_s:g} s in all",
            ) from err

    @contextlib.asynccontextmanager
    async def _called(self, service: Service, call: ServiceCall) -> AsyncIterator[ServiceAnswer]:
        base, target = self._place(service, call.target)
        headers = _headers(base, call)
        body = None if call.chunks is None else call.chunks()
        tls = self._tls() if base.scheme == "https" else None
        try:
            connection = await self._pool.lease(Place(base.host, base.port, tls), CONNECT_TIMEOUT_S)
        except HttpFailedError as failed:
            raise _fault_of(service, failed) from failed
        try:
            self._check_certificate(service, connection)
            no_body = b"" if call.method not in _WITHOUT_BODY else None
            answer = await connection.request(
                call.method,
                target,
                headers,
                no_body if body is None else body,
                silence_s=service.timeout_s,
            )
            yield ServiceAnswer(
                answer.status,
                _text(answer.reason),
                [(_text(n), _text(v)) for n, v in answer.headers],
                AnswerChunks(
                    connection.chunks(),
                    lambda failed: Fault(Kind.IO_ERROR, f"service {service.id.path()} {failed.reason}"),
                ),
            )
        except HttpFailedError as failed:
            raise _fault_of(service, failed) from failed
        except NotHttpError as err:
            raise BadMessage(Kind.INVALID_REQUEST, f"the request cannot be sent: {err.reason}") from err
        finally:
            self._pool.give_back(connection)

    def _check_certificate(self, service: Service, connection: ClientConnection) -> None:
        """Compare the system's certificate each time a connection is about to carry a call."""
        tls = connection.certificates_from()
        if tls is None or not service.verify_tls:
            return
        client = self._serverconf().client(service.id.client)
        if client is None or tls.getpeercert(True) not in client.certificates:
            connection.abort()
            raise Fault(
                Kind.SSL_AUTHENTICATION_FAILED,
                "the system's TLS certificate is not among those registered for the provider; "
                "register it, or switch its verification off for this service",
            )

    def _place(self, service: Service, target: str) -> tuple[_Base, bytes]:
        """The address to connect to, and the request target: path and query as they were signed."""
        if not service.url:
            raise Fault(Kind.SERVICE_MISSING_URL, f"service {service.id.path()} has no URL")
        base = _parse_base(service.url)
        if base is None:
            raise Fault(
                Kind.SERVICE_MALFORMED_URL,
                f"the URL of service {service.id.path()} must be http:// or https:// with a host",
            )
        path = rest.service_url(service.url, target)[base.length :]
        if not path.startswith("/"):
            path = "/" + path
        return base, path.encode("utf-8", "surrogateescape")


def _headers(base: _Base, call: ServiceCall) -> list[tuple[bytes, bytes]]:
    """The request's headers as they came, after the one that HTTP demands."""
    given = [
        (n.encode("utf-8", "surrogateescape"), v.encode("utf-8", "surrogateescape"))
        for n, v in call.headers
        if n.lower().encode("utf-8", "surrogateescape") not in FRAMING
    ]
    headers = [(b"Host", base.host_header), *given]
    if base.login is not None and all(n.lower() != b"authorization" for n, _ in given):
        headers.append((b"Authorization", base.login))
    return headers


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _fault_of(service: Service, failed: HttpFailedError) -> Fault:
    return Fault(
        _KINDS.get(failed.failure, Kind.NETWORK_ERROR), f"service {service.id.path()} {failed.reason}"
    )


# X-Road has one code for what answered and for what did not; a system that answers no HTTP is told apart here.
_KINDS = {
    Failure.UNKNOWN_HOST: Kind.UNKNOWN_HOST,
    Failure.NOT_HTTP: Kind.HTTP_ERROR,
    Failure.CUT: Kind.IO_ERROR,
}
