"""Fetching a description from the provider's system, within the policy and its bounds.

No redirect is followed, nothing is decompressed, no cookie or proxy setting is used. The server's certificate is
proved by this machine's trust store or is, byte for byte, one registered for the client.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp

from gateway.clients.descriptions.fetchpolicy import check_address, check_host
from gateway.clients.records import Document
from gateway.refusals import GatewayCode
from schemas.faults import UnexpectedStatus
from serving.errors import Refused
from serving.language import N_
from serving.process.failing import FailureReason, causes_of, reason_of
from serving.process.outward import OutwardConnector

if TYPE_CHECKING:
    from collections.abc import Collection

    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

    from gateway.clients.descriptions.fetchpolicy import FetchPolicy


class _Connector(OutwardConnector):
    """Connects, and refuses a server whose certificate is not one of those given (None: any the context let in)."""

    def __init__(self, policy: FetchPolicy, certificates: Collection[bytes] | None, **options: Any) -> None:
        super().__init__(partial(check_address, policy), **options)
        self._certificates = certificates

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        connection = await super().connect(req, traces, timeout)
        transport = connection.transport
        tls = None if transport is None else transport.get_extra_info("ssl_object")
        trusted = self._certificates
        if trusted is not None and tls is not None and tls.getpeercert(True) not in trusted:
            connection.close()
            raise aiohttp.ClientConnectionError(
                "the server's certificate is not one of those registered for the client"
            )
        return connection


async def fetch_description(policy: FetchPolicy, url: str, certificates: Collection[bytes] = ()) -> Document:
    """The document at ``url``. Refused (``description_download_failed`` and the policy's codes) with the reason."""
    check_host(policy, url)
    try:
        async with asyncio.timeout(policy.timeout_s):
            try:
                return await _get(policy, url, certificates, pinned=False)
            except aiohttp.ClientConnectorCertificateError:
                if not certificates:
                    raise
                return await _get(policy, url, certificates, pinned=True)
    except TimeoutError as err:
        text = f"it did not come within {policy.timeout_s:g} s"
        raise _failed(url, FailureReason(text, causes_of(err))) from err
    except aiohttp.ClientConnectorCertificateError as err:
        text = "the server's certificate is neither proved by this machine's trust store nor registered for the client"
        raise _failed(url, FailureReason(text, causes_of(err))) from err
    except Refused:
        raise
    except (aiohttp.ClientError, OSError, ValueError) as err:
        raise _failed(url, reason_of(err)) from err


async def _get(policy: FetchPolicy, url: str, certificates: Collection[bytes], *, pinned: bool) -> Document:
    trusting = await asyncio.to_thread(
        ssl.create_default_context
    )  # a tenth of a second for all that a machine trusts
    if pinned or not policy.verify_tls:
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
    async with (
        aiohttp.ClientSession(
            connector=_Connector(
                policy,
                certificates if pinned else None,
                ssl=trusting,
                force_close=True,
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
        ) as session,
        session.get(url, allow_redirects=False, headers={"Accept-Encoding": "identity"}) as answer,
    ):
        return await _read(policy, answer, url)


async def _read(policy: FetchPolicy, answer: aiohttp.ClientResponse, url: str) -> Document:
    if answer.status != 200:
        unexpected = UnexpectedStatus(answer.status, "only 200 is taken, and no redirect is followed")
        raise _failed(url, reason_of(unexpected)) from unexpected
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        compressed = "the server compressed the document although it was asked not to"
        raise _failed(url, FailureReason(compressed, ("unexpected_content",)))
    content = bytearray()
    async for chunk in answer.content.iter_any():
        content += chunk
        if len(content) > policy.max_bytes:
            raise Refused(
                GatewayCode.DESCRIPTION_TOO_LARGE,
                N_(
                    "the document at {url} has more than the {max_bytes} bytes that are accepted",
                    url=url,
                    max_bytes=policy.max_bytes,
                ),
                url,
            )
    return Document(bytes(content), answer.headers.get("Content-Type", "")[:255])


def _failed(url: str, reason: FailureReason) -> Refused:
    return Refused(
        GatewayCode.DESCRIPTION_DOWNLOAD_FAILED,
        N_("the document at {url} could not be fetched: {reason}", url=url, reason=reason),
        reason.detail,
    )
