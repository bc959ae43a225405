"""Fetching descriptions from a provider that misbehaves: bounded, and refused with the reason."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from typing import TYPE_CHECKING

import msgspec
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from certs.tls import TlsCredentials, system_server_context
from gateway.clients.descriptions.fetching import fetch_description
from gateway.clients.descriptions.fetchpolicy import FetchPolicy
from gateway.clients.records import Document
from serving.errors import Refused
from serving.storage.selfsigned import self_signed

if TYPE_CHECKING:
    from collections.abc import Collection

POLICY = FetchPolicy(max_bytes=100_000, timeout_s=5)


async def plain(_request: web.Request) -> web.Response:
    return web.Response(text="openapi: 3.0.0", content_type="text/yaml")


async def huge(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    for _ in range(2000):
        await answer.write(b"x" * 50_000)
    return answer


async def endless(request: web.Request) -> web.StreamResponse:
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(b"x")
    await asyncio.Event().wait()
    return answer


async def bomb(_request: web.Request) -> web.Response:
    return web.Response(body=gzip.compress(b"x" * 1_000_000), headers={"Content-Encoding": "gzip"})


async def moved(_request: web.Request) -> web.Response:
    raise web.HTTPFound("http://169.254.169.254/latest")


def fetch(
    path: str,
    policy: FetchPolicy = POLICY,
    certificates: Collection[bytes] = (),
    tls: ssl.SSLContext | None = None,
) -> Document:
    async def run() -> Document:
        app = web.Application()
        for handler in (plain, huge, endless, bomb, moved):
            app.router.add_get(f"/{handler.__name__}", handler)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        host, port = runner.addresses[0]
        try:
            scheme = "http" if tls is None else "https"
            return await fetch_description(policy, f"{scheme}://{host}:{port}/{path}", certificates)
        finally:
            await runner.cleanup()

    return asyncio.run(run())


def refused(path: str, policy: FetchPolicy = POLICY) -> Refused:
    with pytest.raises(Refused) as found:
        fetch(path, policy)
    return found.value


def test_a_document_comes_with_its_media_type() -> None:
    assert fetch("plain") == Document(b"openapi: 3.0.0", "text/yaml; charset=utf-8")


def test_a_hundred_megabytes_are_cut_off_at_the_bound() -> None:
    assert refused("huge").code == "description_too_large"


def test_a_document_that_never_ends_is_given_up() -> None:
    assert "did not come within" in str(refused("endless", msgspec.structs.replace(POLICY, timeout_s=0.2)))


def test_a_compressed_document_is_not_unpacked() -> None:
    assert "compressed" in str(refused("bomb"))


def test_a_redirect_is_not_followed() -> None:
    assert "no redirect is followed" in str(refused("moved"))


def test_a_missing_document_says_the_status() -> None:
    assert "404" in str(refused("nothing"))


def test_a_name_that_leads_to_a_denied_network_is_refused() -> None:
    async def run() -> None:
        await fetch_description(
            msgspec.structs.replace(POLICY, denied=("127.0.0.0/8", "::1/128")), "http://localhost:9/x"
        )

    with pytest.raises(Refused) as found:
        asyncio.run(run())
    assert found.value.code == "url_not_allowed"


def test_an_unknown_certificate_is_refused_and_a_registered_one_is_taken() -> None:
    credentials = TlsCredentials(*self_signed("provider"))
    tls = system_server_context(credentials)
    with pytest.raises(Refused) as unknown:
        fetch("plain", tls=tls)
    assert "trust store" in str(unknown.value)
    other = TlsCredentials(*self_signed("other")).chain[0].public_bytes(Encoding.DER)
    with pytest.raises(Refused) as wrong:
        fetch("plain", certificates=[other], tls=tls)
    assert "registered for the client" in str(wrong.value)
    mine = credentials.chain[0].public_bytes(Encoding.DER)
    assert fetch("plain", certificates=[mine], tls=tls).content == b"openapi: 3.0.0"
