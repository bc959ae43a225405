"""Trying the TLS of a provider's system: what is proved, what is shaken hands with but not known, what is not there."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import pytest

from certs.certificates import der_of
from certs.tls import TlsCredentials, provider_client_context, system_server_context
from gateway.edges.providertls import HANDSHAKE, UNREACHED, try_provider_tls
from serving.storage.selfsigned import self_signed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OWN = TlsCredentials(*self_signed("gateway"))
SYSTEM = TlsCredentials(*self_signed("system"))
KNOWN = {der_of(SYSTEM.chain[0])}


async def _hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _url(context: ssl.SSLContext | None) -> tuple[asyncio.Server, str]:
    server = await asyncio.start_server(_hang_up, "127.0.0.1", 0, ssl=context)
    return server, f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/path"


@pytest.fixture
async def system() -> AsyncIterator[str]:
    server, url = await _url(system_server_context(SYSTEM))
    yield url
    server.close()
    await server.wait_closed()


@pytest.mark.xroad("F094")
async def test_system_whose_certificate_is_registered_is_proved(system: str) -> None:
    assert await try_provider_tls(system, KNOWN, provider_client_context(OWN)) is None


@pytest.mark.xroad("F094")
async def test_system_with_another_certificate_is_not(system: str) -> None:
    for certificates in (set(), {der_of(OWN.chain[0])}):
        assert await try_provider_tls(system, certificates, provider_client_context(OWN)) == HANDSHAKE


async def test_system_that_speaks_no_tls_or_is_not_there_is_not_reached() -> None:
    server, url = await _url(None)
    found = await try_provider_tls(url, KNOWN, provider_client_context(OWN))
    server.close()
    await server.wait_closed()
    assert found in (HANDSHAKE, UNREACHED)
    for nowhere in ("https://127.0.0.1:1/", "https://nowhere.invalid/", "https://127.0.0.1:99999/"):
        assert await try_provider_tls(nowhere, KNOWN, provider_client_context(OWN)) == UNREACHED


async def test_system_that_never_answers_is_given_up() -> None:
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    done = asyncio.Event()
    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    assert await try_provider_tls(url, KNOWN, provider_client_context(OWN), timeout_s=0.2) == UNREACHED
    done.set()
    server.close()
    await server.wait_closed()
