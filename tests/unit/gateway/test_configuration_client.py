"""The configuration client refuses what is not as it was signed, keeps what it has, and says so once."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.hazmat.primitives.serialization import Encoding

import certs.configuration
import gateway.edges.configuration
from central_server.config import Publishing
from central_server.publication.node import CentralNode
from central_server.publication.publish import add_routes
from central_server.store import sources
from central_server.store.loading import import_registry
from central_server.store.records import Actor, CentralStore
from certs.tls import TlsCredentials, system_server_context
from gateway.edges.configuration import ConfigurationClient
from schemas.faults import Fault
from schemas.globalconf.anchor import Anchor, AnchorSource, parse_anchor, render_anchor
from schemas.globalconf.shared import SharedParameters, parse_shared
from serving.storage.selfsigned import self_signed
from tests.instance import Instance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from aiohttp.typedefs import Handler

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANA = Actor("ana")


def untouched(body: bytes) -> bytes:
    return body


@dataclass
class Source:
    """A central server whose answers somebody alters on the way, and a gateway's client of it."""

    node: CentralNode
    client: ConfigurationClient
    anchor: bytes
    directory: Callable[[bytes], bytes] = untouched
    part: Callable[[bytes], bytes] = untouched
    told: list[tuple[str, str]] = field(default_factory=list)

    async def publish(self, now: datetime) -> None:
        with self.node.store.change(ANA, now) as records:
            records.set_parameter("timestamping_interval_s", str(now.second))
        assert await self.node.publish_if_due(now)


@pytest.fixture
async def source(tmp_path: Path) -> AsyncIterator[Source]:
    node = CentralNode(
        tmp_path / "c",
        CentralStore(tmp_path / "c" / "central.sqlite"),
        Publishing(key_kind="ec-p256", minimum_version=6),
    )
    with node.store.change(ANA, NOW) as records:
        import_registry(records, Instance(tmp_path, NOW).registry())
    await node.keys.make_token("Secret1234")
    keys = [await node.keys.make_signing_key(s, s, ANA, NOW) for s in sources.SOURCES]
    assert await node.publish_if_due(NOW)

    @web.middleware
    async def alter(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await handler(request)
        change = made.part if request.path.startswith("/V") else made.directory
        if isinstance(answer, web.Response) and isinstance(answer.body, bytes):
            answer.body = change(answer.body)
        return answer

    app = web.Application(middlewares=[alter])
    add_routes(app, node.published)
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        url = str(server.make_url("/internalconf"))
        anchor = render_anchor(Anchor("MX", (AnchorSource(url, (keys[0].certificate,)),), NOW))
        client = ConfigurationClient(anchor, tmp_path / "conf", session, clock=lambda: NOW)
        made = Source(node, client, anchor)
        client.when_refused(lambda url, reason: made.told.append((url, reason)))
        yield made
    await node.close()


def changed_member(body: bytes) -> bytes:
    return body.replace(b"00-ONIESS", b"66-ONIESS")


@pytest.mark.parametrize(
    ("directory", "part", "reason"),
    [
        (
            lambda b: b.replace(b"Expire-date: 2026-01-01T12:1", b"Expire-date: 2036-01-01T12:1"),
            untouched,
            "sign",
        ),
        (lambda b: b[:-200], untouched, ""),
        (untouched, changed_member, "digest"),
        (untouched, lambda _: b"<unsigned/>", "digest"),
    ],
    ids=["altered directory", "cut signature", "altered part", "other part"],
)
async def test_what_is_not_as_it_was_signed_is_refused_and_told_once(
    source: Source, directory: Callable[[bytes], bytes], part: Callable[[bytes], bytes], reason: str
) -> None:
    await source.client.refresh()
    before = source.client.current
    assert before is not None
    assert source.told == []
    source.directory, source.part = directory, part
    await source.publish(NOW + timedelta(seconds=7))
    for _ in range(2):
        with pytest.raises(Fault):
            await source.client.refresh()
    assert source.client.current is before
    ((url, said),) = source.told
    assert url.endswith("/internalconf")
    assert reason in said
    source.directory, source.part = untouched, untouched
    await source.client.refresh()
    assert source.client.current is not before


async def test_a_source_that_is_silent_is_no_refusal(source: Source) -> None:
    source.node.published.current = None
    with pytest.raises(Fault, match="503"):
        await source.client.refresh()
    assert source.told == []


@pytest.mark.xroad("F156")
async def test_when_the_first_source_of_an_anchor_is_dead_the_next_one_serves(
    source: Source, tmp_path: Path
) -> None:
    (alive,) = parse_anchor(source.anchor).sources
    nobody, broken = "http://127.0.0.1:1/internalconf", alive.download_url.replace("internalconf", "V6/no")
    certificates = alive.verification_certificates
    sources_ = tuple(AnchorSource(url, certificates) for url in (nobody, broken, alive.download_url))
    anchor = render_anchor(Anchor("MX", sources_, NOW))
    async with aiohttp.ClientSession() as session:
        client = ConfigurationClient(anchor, tmp_path / "other", session, clock=lambda: NOW)
        for second in (7, 8):  # a change is seen too, not only the first configuration
            await source.publish(NOW + timedelta(seconds=second))
            before = client.current
            await client.refresh()
            assert client.current is not None
            assert client.current is not before
    assert client.last_url == alive.download_url


@pytest.mark.xroad("F159")
async def test_a_configuration_is_had_over_https_from_a_server_whose_certificate_is_trusted_and_from_no_other(
    source: Source, tmp_path: Path
) -> None:
    key, chain = self_signed("127.0.0.1")
    (plain,) = parse_anchor(source.anchor).sources
    app = web.Application()
    add_routes(app, source.node.published)
    trusting = ssl.create_default_context(cadata=chain[0].public_bytes(Encoding.PEM).decode())
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=system_server_context(TlsCredentials(key, chain)))
    try:
        there = AnchorSource(str(server.make_url("/internalconf")), plain.verification_certificates)
        anchor = render_anchor(Anchor("MX", (there,), NOW))
        for context, is_taken in ((trusting, True), (ssl.create_default_context(), False)):
            connector = aiohttp.TCPConnector(ssl=context)
            async with aiohttp.ClientSession(connector=connector) as session:
                folder = tmp_path / f"conf-{is_taken}"
                client = ConfigurationClient(anchor, folder, session, clock=lambda: NOW)
                if is_taken:
                    await client.refresh()
                    assert client.current is not None
                else:
                    with pytest.raises(Fault, match="certificate"):
                        await client.refresh()
                    assert client.current is None
    finally:
        await server.close()


async def test_parameters_are_read_once_and_not_again_while_they_are_the_same(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []

    def counted(raw: bytes, version: int) -> SharedParameters:
        read.append(len(raw))
        return parse_shared(raw, version)

    for module in (certs.configuration, gateway.edges.configuration):
        monkeypatch.setattr(module, "parse_shared", counted)
    client = source.client
    await client.refresh()
    assert len(read) == 1
    first = client.current
    assert first is not None
    later = NOW + timedelta(seconds=30)
    await source.publish(later)  # private parameters and the directory alone
    await client.refresh()
    assert client.current is not None
    assert client.current.timestamping_interval_s == later.second
    assert client.current.expires_at > first.expires_at
    assert client.current.own.shared is first.own.shared
    assert len(read) == 1
    with source.node.store.change(ANA, later) as records:
        records.set_parameter("ocsp_freshness_s", "77")
    assert await source.node.publish_if_due(later)
    await client.refresh()
    assert client.current.ocsp_freshness_s == 77
    assert len(read) == 2
