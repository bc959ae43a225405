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
import random
from typing import TYPE_CHECKING

import msgspec

from certs.tls import peer_certificates
from gateway.exchange.ports import PeerAnswer
from gateway.exchange.wire import ORIGINAL_CONTENT_TYPE_HEADER
from gateway.http.client import AnswerChunks, Failure, HttpFailedError, Place, Pool
from gateway.http.heads import NotHttpError
from schemas.faults import Fault, Kind
from schemas.names import host_in_url

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from gateway.http.client import ClientConnection
    from gateway.http.heads import AnswerHead
    from schemas.globalconf.shared import SecurityServer
    from schemas.identifiers import ClientId

KEPT_S = 30.0


class PeerTimes(msgspec.Struct, frozen=True):
    """Limits of the sender, in seconds; ``read_s`` 0 waits for ever, as X-Road does."""

    connect_s: float = 30.0
    remembered_connect_s: float = 5.0
    read_s: float = 1060.0
    remember_s: float = 3600.0
    # Whether a connection carries more than one message.
    pooled: bool = True


class PeerExpected(msgspec.Struct, frozen=True):
    """Whom the connection under way must lead to."""

    provider: ClientId
    server: SecurityServer


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
        self._pool = Pool(KEPT_S)
        self._fastest: dict[frozenset[str], tuple[str, float]] = {}

    def take_times(self, times: PeerTimes) -> None:
        """Give the next exchanges other times; those under way keep theirs."""
        self._times = times

    async def start(self) -> None:
        """Nothing to do: connections are made when they are needed."""

    async def close(self) -> None:
        """Close the connections that are kept."""
        self._pool.close()

    def connect(self, servers: Sequence[SecurityServer], provider: ClientId) -> _Leasing:
        """A connection to the fastest of ``servers`` that proves to serve ``provider``, while it is used. Raises `Fault`."""
        return _Leasing(self, servers, provider)

    async def lease(self, servers: Sequence[SecurityServer], provider: ClientId) -> _LeasedPeer:
        """Such a connection; `give_back` ends the lease. Raises `Fault`."""
        return _LeasedPeer(await self._first_that_is_proved(servers, provider), self._times.read_s)

    def give_back(self, peer: _LeasedPeer) -> None:
        """Keep the connection of a lease that has ended, or close it."""
        if self._times.pooled:
            self._pool.give_back(peer.connection)
        else:
            peer.connection.abort()

    async def _first_that_is_proved(
        self, servers: Sequence[SecurityServer], provider: ClientId
    ) -> ClientConnection:
        ordered = await self._in_order(servers)
        several = len(ordered) > 1
        failures: list[str] = []
        last: Fault | None = None
        for number, server in enumerate(ordered):
            connect_s = self._connect_limit(first=number == 0, several=several)
            try:
                connection = await self._proved(PeerExpected(provider, server), connect_s)
            except Fault as fault:
                last = fault
                failures.append(f"{server.address}: {fault.detail}")
                self._forget(servers)
                continue
            if several:
                self._remember(servers, server)
            return connection
        kind = last.kind if last is not None else Kind.NETWORK_ERROR
        raise Fault(
            kind, "no security server of the provider could be used: " + "; ".join(failures)
        ) from last

    async def _proved(self, expected: PeerExpected, connect_s: float) -> ClientConnection:
        """A connection to one server, kept or new; the peer is proved now in either case."""
        place = Place(expected.server.address, self._port, self._tls())
        try:
            connection = await self._pool.lease(place, connect_s)
        except HttpFailedError as failed:
            raise _fault_of(failed) from failed
        tls = connection.certificates_from()
        try:
            if tls is None:
                raise Fault(Kind.SSL_AUTHENTICATION_FAILED, "the connection to the peer has no TLS to prove")
            await self._check(peer_certificates(tls), expected)
        except BaseException:
            connection.abort()
            raise
        return connection

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


class _Leasing:
    """The time in which a connection is leased."""

    __slots__ = ("_client", "_peer", "_provider", "_servers")

    def __init__(self, client: PeerClient, servers: Sequence[SecurityServer], provider: ClientId) -> None:
        self._client, self._servers, self._provider = client, servers, provider
        self._peer: _LeasedPeer | None = None

    async def __aenter__(self) -> _LeasedPeer:
        self._peer = await self._client.lease(self._servers, self._provider)
        return self._peer

    async def __aexit__(self, *_exception: object) -> None:
        if self._peer is not None:
            self._client.give_back(self._peer)


class _LeasedPeer:
    """A proved peer that one message may be sent to."""

    def __init__(self, connection: ClientConnection, read_s: float) -> None:
        self.connection = connection
        self._read_s = read_s

    async def post(self, headers: Sequence[tuple[str, str]], chunks: AsyncIterator[bytes]) -> PeerAnswer:
        """Send the message, once, and give the answer. Raises `Fault`, or the fault that stopped ``chunks``."""
        connection = self.connection
        place = connection.place
        if place is None:  # pragma: no cover  the pool sets it
            raise Fault(Kind.INTERNAL_ERROR, "the connection leads nowhere")
        lines = [
            (b"Host", f"{host_in_url(place.host)}:{place.port}".encode("ascii", "replace")),
            *map(_encoded, headers),
        ]
        try:
            answer = await connection.request("POST", b"/", lines, chunks, silence_s=self._read_s)
        except HttpFailedError as failed:
            raise _fault_of(failed) from failed
        except NotHttpError as err:
            raise Fault(Kind.INVALID_MESSAGE, f"the message cannot be sent: {err.reason}") from err
        if answer.status not in (200, 500):
            raise Fault(
                Kind.HTTP_ERROR,
                f"the provider's gateway answered HTTP {answer.status}; 200 or 500 was expected",
            )
        return PeerAnswer(
            _text(answer, b"content-type") or "",
            _text(answer, b"x-hash-algorithm"),
            AnswerChunks(connection.chunks(), _broken_off),
            _text(answer, ORIGINAL_CONTENT_TYPE_HEADER.encode("ascii")) or "",
        )


def _broken_off(failed: HttpFailedError) -> Fault:
    return Fault(Kind.IO_ERROR, f"the provider's gateway {failed.reason}")


def _encoded(pair: tuple[str, str]) -> tuple[bytes, bytes]:
    return pair[0].encode("ascii", "replace"), pair[1].encode("utf-8", "surrogateescape")


def _text(answer: AnswerHead, name: bytes) -> str | None:
    value = answer.value(name)
    return None if value is None else value.decode("utf-8", "surrogateescape")


def _addresses(servers: Sequence[SecurityServer]) -> frozenset[str]:
    return frozenset(s.address for s in servers)


def _fault_of(failed: HttpFailedError) -> Fault:
    kind = Kind.UNKNOWN_HOST if failed.failure is Failure.UNKNOWN_HOST else Kind.NETWORK_ERROR
    return Fault(kind, f"the provider's gateway {failed.reason}")
