"""Calls with aiohttp."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from yarl import URL

from sacbe_client.calls import Answer, Caller, OutgoingCall, build_call, header_pairs, read_answer
from sacbe_client.errors import CallError, Side
from sacbe_client.retrying import NEVER, RetryRule
from sacbe_client.tracing import trace_headers

if TYPE_CHECKING:
    from sacbe_client.identifiers import ClientId, ServiceId

TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=90)


class Gateway:
    """The own gateway, as one client of it; an asynchronous context manager.

    aiohttp sends PUT and DELETE again by itself when a kept connection was closed; so that nothing is done twice, a session that is
    made here keeps no connections. A session that is handed in keeps what it likes.
    """

    def __init__(
        self,
        address: str,
        client: ClientId,
        *,
        session: aiohttp.ClientSession | None = None,
        retry: RetryRule = NEVER,
        ssl: Any = True,
    ) -> None:
        self._caller, self._retry, self._ssl = Caller(address, client), retry, ssl
        self._given = session
        self._session = session

    async def __aenter__(self) -> Self:
        """Make a session, unless one was handed in."""
        if self._session is None:
            connector = aiohttp.TCPConnector(force_close=True, ssl=self._ssl)
            self._session = aiohttp.ClientSession(connector=connector, timeout=TIMEOUT)
        return self

    async def __aexit__(self, *raised: object) -> None:
        """Close the session that was made here."""
        if self._given is None and self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, service: ServiceId, method: str = "GET", path: Any = (), **options: Any) -> Answer:
        """Send a call (arguments as `build_call`) and return the provider's answer. Raises `CallError` and `ValueError`."""
        ids: tuple[str, ...] = ()
        while True:
            headers = (*header_pairs(options.get("headers", ())), *trace_headers())
            outgoing = build_call(self._caller, service, method, path, **{**options, "headers": headers})
            ids = (*ids, outgoing.message_id)
            try:
                return await self._send(outgoing)
            except (aiohttp.ClientError, TimeoutError, CallError) as failed:
                error = _as_error(failed, ids)
                pause = self._retry.pause_after(len(ids), method, error)
                if pause is None:
                    raise error from failed
                await asyncio.sleep(pause)

    async def _send(self, outgoing: OutgoingCall) -> Answer:
        if self._session is None:
            raise RuntimeError("use `async with Gateway(...) as gateway`")
        request = self._session.request(
            outgoing.method,
            URL(outgoing.url, encoded=True),
            headers=list(outgoing.headers),
            data=outgoing.body or None,
            allow_redirects=False,
        )
        async with request as response:
            headers = [(n.decode("latin-1"), v.decode("utf-8", "replace")) for n, v in response.raw_headers]
            return read_answer(response.status, headers, await response.read(), outgoing.message_id)


def _as_error(failed: Exception, ids: tuple[str, ...]) -> CallError:
    if isinstance(failed, CallError):
        error = failed
    elif isinstance(failed, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        error = CallError("no_connection", f"no connection to the own gateway: {failed}", side=Side.NETWORK)
    elif isinstance(failed, TimeoutError):
        error = CallError("timeout", f"no answer in time: {type(failed).__name__}", side=Side.NETWORK)
    else:
        error = CallError(
            "io_error", f"the connection to the own gateway broke: {failed!r}", side=Side.NETWORK
        )
    error.message_ids = ids
    return error
