"""Calls with httpx: `Gateway` waits, `AsyncGateway` is awaited.

For a client whose connection type is HTTPS give httpx's client the certificate of this system and the gateway's internal TLS
certificate: ``Gateway(address, client, http=httpx.Client(verify="gateway.pem", cert=("own.pem", "own.key")))``.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Self

import httpx

from sacbe_client.calls import Answer, Caller, OutgoingCall, build_call, header_pairs, read_answer
from sacbe_client.errors import CallError, Side
from sacbe_client.retrying import NEVER, RetryRule
from sacbe_client.tracing import trace_headers

if TYPE_CHECKING:
    from sacbe_client.identifiers import ClientId, ServiceId

# Longer than a gateway waits for a silent service (60 s by default), so that its fault comes and not only a timeout here.
TIMEOUT = httpx.Timeout(90, connect=10)


class Gateway:
    """The own gateway, as one client of it. ``http`` is closed with it when it was made here."""

    def __init__(
        self, address: str, client: ClientId, *, http: httpx.Client | None = None, retry: RetryRule = NEVER
    ) -> None:
        self._caller, self._retry = Caller(address, client), retry
        self._mine = http is None
        self._http = http or httpx.Client(timeout=TIMEOUT, trust_env=False)

    def call(self, service: ServiceId, method: str = "GET", path: Any = (), **options: Any) -> Answer:
        """Send a call (arguments as `build_call`) and return the provider's answer. Raises `CallError` and `ValueError`."""
        ids: tuple[str, ...] = ()
        while True:
            outgoing = _build(self._caller, service, method, path, options)
            ids = (*ids, outgoing.message_id)
            try:
                return _read(self._http.request(**_arguments(outgoing)), outgoing)
            except (httpx.HTTPError, CallError) as failed:
                error = _as_error(failed, ids)
                pause = self._retry.pause_after(len(ids), method, error)
                if pause is None:
                    raise error from failed
                time.sleep(pause)

    def __enter__(self) -> Self:
        """The client, whose connections close at the end of the block."""
        return self

    def __exit__(self, *raised: object) -> None:
        """Close the connections that were made here."""
        if self._mine:
            self._http.close()


class AsyncGateway:
    """The own gateway, as one client of it, for asynchronous code."""

    def __init__(
        self,
        address: str,
        client: ClientId,
        *,
        http: httpx.AsyncClient | None = None,
        retry: RetryRule = NEVER,
    ) -> None:
        self._caller, self._retry = Caller(address, client), retry
        self._mine = http is None
        self._http = http or httpx.AsyncClient(timeout=TIMEOUT, trust_env=False)

    async def call(self, service: ServiceId, method: str = "GET", path: Any = (), **options: Any) -> Answer:
        """Send a call (arguments as `build_call`) and return the provider's answer. Raises `CallError` and `ValueError`."""
        ids: tuple[str, ...] = ()
        while True:
            outgoing = _build(self._caller, service, method, path, options)
            ids = (*ids, outgoing.message_id)
            try:
                return _read(await self._http.request(**_arguments(outgoing)), outgoing)
            except (httpx.HTTPError, CallError) as failed:
                error = _as_error(failed, ids)
                pause = self._retry.pause_after(len(ids), method, error)
                if pause is None:
                    raise error from failed
                await asyncio.sleep(pause)

    async def __aenter__(self) -> Self:
        """The client, whose connections close at the end of the block."""
        return self

    async def __aexit__(self, *raised: object) -> None:
        """Close the connections that were made here."""
        if self._mine:
            await self._http.aclose()


def _build(
    caller: Caller, service: ServiceId, method: str, path: Any, options: dict[str, Any]
) -> OutgoingCall:
    headers = (*header_pairs(options.get("headers", ())), *trace_headers())
    return build_call(caller, service, method, path, **{**options, "headers": headers})


def _arguments(outgoing: OutgoingCall) -> dict[str, Any]:
    return {
        "method": outgoing.method,
        "url": outgoing.url,
        "headers": [(name, value.encode()) for name, value in outgoing.headers],
        "content": outgoing.body or None,
    }


def _read(response: httpx.Response, outgoing: OutgoingCall) -> Answer:
    headers = [(n.decode("latin-1"), v.decode("utf-8", "replace")) for n, v in response.headers.raw]
    return read_answer(response.status_code, headers, response.content, outgoing.message_id)


def _as_error(failed: httpx.HTTPError | CallError, ids: tuple[str, ...]) -> CallError:
    if isinstance(failed, CallError):
        error = failed
    elif isinstance(failed, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout):
        error = CallError("no_connection", f"no connection to the own gateway: {failed}", side=Side.NETWORK)
    elif isinstance(failed, httpx.TimeoutException):
        error = CallError("timeout", f"no answer in time: {type(failed).__name__}", side=Side.NETWORK)
    else:
        error = CallError(
            "io_error", f"the connection to the own gateway broke: {failed!r}", side=Side.NETWORK
        )
    error.message_ids = ids
    return error
