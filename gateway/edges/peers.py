"""Sending messages to other security servers: pool, fastest connection, failover, and proof of the peer.

Every connection is checked each time it is about to carry a message, kept-alive ones too: the certificate must be
registered for a security server that serves the provider, its path must hold, and its OCSP response must be good at
that moment. Only then is the message asked for, signed and logged; so a peer that is not proved costs nothing.

Several servers: TCP connections race, the winner is remembered, and a failure before the message was asked for goes
on to the next server. Once bytes may have left, nothing is repeated.

Spec: PR-MESSTRANSP 3 and 4; X-Road's client proxy for the race and the times.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aiohttp
from aiohttp import hdrs
from aiohttp.payload import AsyncIterablePayload
from yarl import URL

from certs.tls import peer_certificates
from gateway.exchange.ports import PeerAnswer
from gateway.exchange.wire import ORIGINAL_CONTENT_TYPE_HEADER
from schemas.faults import Fault, Kind, PeerFailed

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from schemas.globalconf.shared import SecurityServer
    from schemas.identifiers import ClientId

_AUTO_HEADERS = (hdrs.USER_AGENT, hdrs.ACCEPT, hdrs.ACCEPT_ENCODING)


@dataclass(frozen=True, slots=True)
class PeerTimes:
    """Limits of the sender, in seconds; ``read_s`` 0 waits for ever, as X-Road does."""

    connect_s: float = 30.0
    remembered_connect_s: float = 5.0
    read_s: float = 1060.0
    remember_s: float = 3600.0


@dataclass(frozen=True, slots=True)
class PeerExpected:
    """Whom the connection under way must lead to."""

    provider: ClientId
    server: SecurityServer


_expected: contextvars.ContextVar[PeerExpected | None] = contextvars.ContextVar("peer", default=None)


class _PeerConnector(aiohttp.TCPConnector):
    """A pool that proves the peer each time a connection is about to carry a message."""

    def __init__(self, check: Callable[[Sequence[bytes], PeerExpected], Awaitable[None]]) -> None:
        super().__init__(limit=0, limit_per_host=0, keepalive_timeout=30.0, ttl_dns_cache=60)
        self._check = check

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        expected = _expected.get()
        transport = connection.transport
        ssl_object = None if transport is None else transport.get_extra_info("ssl_object")
        try:
            if ssl_object is None or expected is None:
                raise PeerFailed(
                    Kind.SSL_AUTHENTICATION_FAILED, "the connection to the peer has no TLS to prove"
                )
            await self._check(peer_certificates(ssl_object), expected)
        except BaseException:
            connection.close()
            raise
        return connection


class PeerClient:
    """Sends messages to security servers. ``check`` proves a peer; ``tls`` gives the context in force."""

    def __init__(
        self,
        check: Callable[[Sequence[bytes], PeerExpected], Awaitable[None]],
        tls: Callable[[], ssl.SSLContext],
        *,
        port: int = 5500,
        times: PeerTimes | None = None,
    ) -> None:
        self._check = check
        self._tls = tls
        self._port = port
        self._times = times or PeerTimes()
        self._session: aiohttp.ClientSession | None = None
        self._fastest: dict[frozenset[str], tuple[str, float]] = {}

    def take_times(self, times: PeerTimes) -> None:
        """Give the next exchanges other times; those under way keep theirs."""
        self._times = times

    async def start(self) -> None:
        """Open the pool."""
        self._session = aiohttp.ClientSession(
            connector=_PeerConnector(self._check),
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
    async def send(
        self,
        servers: Sequence[SecurityServer],
        provider: ClientId,
        headers: Sequence[tuple[str, str]],
        body: Callable[[], AsyncIterator[bytes]],
    ) -> AsyncIterator[PeerAnswer]:
        """Send one message and give the answer. Raises `PeerFailed`, or the fault that stopped the body."""
        answer = await self._first_that_takes_it(servers, provider, headers, body)
        try:
            if answer.status not in (200, 500):
                raise PeerFailed(
                    Kind.HTTP_ERROR,
                    f"the provider's gateway answered HTTP {answer.status}; 200 or 500 was expected",
                )
            yield PeerAnswer(
                answer.headers.get(hdrs.CONTENT_TYPE, ""),
                answer.headers.get("x-hash-algorithm"),
                _answer_chunks(answer),
                answer.headers.get(ORIGINAL_CONTENT_TYPE_HEADER, ""),
            )
            answer.release()
        finally:
            answer.close()

    async def _first_that_takes_it(
        self,
        servers: Sequence[SecurityServer],
        provider: ClientId,
        headers: Sequence[tuple[str, str]],
        body: Callable[[], AsyncIterator[bytes]],
    ) -> aiohttp.ClientResponse:
        ordered = await self._in_order(servers)
        several = len(ordered) > 1
        failures: list[str] = []
        last: Fault | None = None
        for number, server in enumerate(ordered):
            drawn = _Drawn(body)
            connect_s = self._connect_limit(first=number == 0, several=several)
            try:
                answer = await self._post(server, provider, headers, drawn, connect_s)
            except Fault as fault:
                if drawn.begun:
                    raise
                last = fault
                failures.append(f"{server.address}: {fault.detail}")
                self._forget(servers)
                continue
            if several:
                self._remember(servers, server)
            return answer
        kind = last.kind if last is not None else Kind.NETWORK_ERROR
        raise PeerFailed(
            kind, "no security server of the provider could be used: " + "; ".join(failures)
        ) from last

    async def _post(
        self,
        server: SecurityServer,
        provider: ClientId,
        headers: Sequence[tuple[str, str]],
        drawn: _Drawn,
        connect_s: float,
    ) -> aiohttp.ClientResponse:
        if self._session is None:
            raise PeerFailed(Kind.INTERNAL_ERROR, "the pool of connections to peers is not open")
        _expected.set(PeerExpected(provider, server))
        try:
            return await self._session.post(
                _url(server.address, self._port),
                headers=list(headers),
                data=_Together(drawn.chunks()),
                allow_redirects=False,
                ssl=self._tls(),
                timeout=aiohttp.ClientTimeout(
                    total=None,
                    connect=connect_s,
                    sock_connect=connect_s,
                    sock_read=self._times.read_s or None,
                ),
            )
        except Fault:
            raise
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as err:
            if drawn.fault is not None:
                raise drawn.fault from None
            raise PeerFailed(Kind.NETWORK_ERROR, _reason(err)) from err

    def _connect_limit(self, *, first: bool, several: bool) -> float:
        if not several:
            return self._times.connect_s
        remembered = self._times.remembered_connect_s
        return remembered if first else max(remembered, self._times.connect_s / 2)

    async def _in_order(self, servers: Sequence[SecurityServer]) -> list[SecurityServer]:
        """The servers, the remembered or fastest one first."""
        if len(servers) == 1:
            return list(servers)
        shuffled = random.sample(list(servers), len(servers))
        remembered, until = self._fastest.get(_addresses(servers), ("", 0.0))
        if until < asyncio.get_running_loop().time():
            remembered = await self._race([s.address for s in shuffled])
        return sorted(shuffled, key=lambda s: s.address != remembered)

    async def _race(self, addresses: Sequence[str]) -> str:
        """The address that accepts a TCP connection first; empty when none does."""
        runners = {asyncio.create_task(self._touch(a)): a for a in addresses}
        try:
            pending = set(runners)
            async with asyncio.timeout(self._times.connect_s / 2):
                while pending:
                    done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        if task.exception() is None:
                            return runners[task]
        except TimeoutError:
            return ""
        finally:
            for task in runners:
                task.cancel()
            await asyncio.gather(*runners, return_exceptions=True)
        return ""

    async def _touch(self, address: str) -> None:
        _, writer = await asyncio.open_connection(address, self._port)
        writer.close()

    def _remember(self, servers: Sequence[SecurityServer], winner: SecurityServer) -> None:
        if self._times.remember_s > 0:
            until = asyncio.get_running_loop().time() + self._times.remember_s
            self._fastest.setdefault(_addresses(servers), (winner.address, until))

    def _forget(self, servers: Sequence[SecurityServer]) -> None:
        self._fastest.pop(_addresses(servers), None)


class _Drawn:
    """A message body that knows whether it was asked for, and keeps the fault that stopped it."""

    def __init__(self, body: Callable[[], AsyncIterator[bytes]]) -> None:
        self._body = body
        self.begun = False
        self.fault: Fault | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body; a fault raised on the way is kept, because the HTTP client wraps it."""
        self.begun = True
        try:
            async for chunk in self._body():
                yield chunk
        except Fault as fault:
            self.fault = fault
            raise


class _Together(AsyncIterablePayload):
    """A body that leaves with its HTTP head, and with its end, in one write when it is a single chunk."""

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Draw the chunks and write them. The length of a message is never known before it is drawn."""
        del content_length
        chunks = aiter(self._value)
        first, second = await anext(chunks, b""), await anext(chunks, None)
        if second is None:
            await writer.write_eof(first)
            return
        await writer.write(first)
        await writer.write(second)
        async for chunk in chunks:
            await writer.write(chunk)


async def _answer_chunks(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    try:
        async for chunk in answer.content.iter_any():
            yield chunk
    except (aiohttp.ClientError, TimeoutError, OSError) as err:
        raise PeerFailed(
            Kind.IO_ERROR, f"the provider's gateway broke off its answer: {_reason(err)}"
        ) from err


def _addresses(servers: Sequence[SecurityServer]) -> frozenset[str]:
    return frozenset(s.address for s in servers)


def _url(address: str, port: int) -> URL:
    host = f"[{address}]" if ":" in address else address
    try:
        return URL(f"https://{host}:{port}/")
    except ValueError as err:
        raise PeerFailed(Kind.UNKNOWN_HOST, f"{address!r} is not an address of a security server") from err


def _reason(err: Exception) -> str:
    if isinstance(err, aiohttp.ClientConnectorError):
        return f"connection to the provider's gateway failed ({err.os_error.strerror or err.os_error})"
    if isinstance(err, TimeoutError):
        return "the provider's gateway did not answer in time"
    return f"the exchange with the provider's gateway broke off ({type(err).__name__})"
