"""A configuration proxy: another federation's configuration reaches gateways under the proxy's key, proved, and never fresher than it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

from central_server.cli.main import main
from central_server.config import Publishing
from central_server.proxy.folder import ProxyFolder
from central_server.proxy.relaying import Relay
from central_server.publication.node import CentralNode
from central_server.publication.publish import Published, add_routes, load_publication
from central_server.store import sources
from central_server.store.loading import import_registry
from central_server.store.members import rename_client
from central_server.store.records import Actor, CentralStore
from certs.configuration import verify_directory
from gateway.edges.configuration import ConfigurationClient
from schemas.faults import Fault
from schemas.globalconf.anchor import Anchor, AnchorSource, parse_anchor, render_anchor
from tests.instance import Instance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANA = Actor("ana")
PIN = "Secret1234"


@dataclass
class Setting:
    """A federation's central server, a proxy of its configuration, and the session both are asked with."""

    instance: Instance
    central: CentralNode
    source: Published
    relay: Relay
    anchor: Anchor
    anchor_raw: bytes
    session: aiohttp.ClientSession
    clock: list[datetime]


async def serving(published: Published) -> TestServer:
    app = web.Application()
    add_routes(app, published)
    server = TestServer(app)
    await server.start_server()
    return server


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    source, own = Published(), Published()
    upstream, downstream = await serving(source), await serving(own)
    instance = Instance(tmp_path, NOW)
    node = CentralNode(
        tmp_path / "central", CentralStore(tmp_path / "central.sqlite"), Publishing(key_kind="ec-p256")
    )
    with node.store.change(ANA, NOW) as records:
        import_registry(records, instance.registry())
        sources.set_node_address(records, f"{upstream.host}:{upstream.port}")
    await node.keys.make_token(PIN)
    for name in sources.SOURCES:
        await node.keys.make_signing_key(name, name, ANA, NOW)
    found = sources.source_anchor(node.store.read(), "internal")
    assert found is not None
    folder = ProxyFolder(tmp_path / "proxy")
    folder.begin(found[0])
    anchor = await folder.make(f"{downstream.host}:{downstream.port}", lambda: PIN, "ec-p256", NOW)
    clock = [NOW]
    relay = Relay(
        folder.source(),
        folder.key(),
        folder.device,
        folder.published,
        own,
        lambda: clock[0],
        timedelta(minutes=10),
    )
    async with aiohttp.ClientSession() as session:
        yield Setting(instance, node, source, relay, anchor, anchor.raw, session, clock)
    await node.close()
    await upstream.close()
    await downstream.close()


async def publish(setting: Setting) -> None:
    assert await setting.central.publish_if_due(setting.clock[0])
    setting.source.current = setting.central.published.current


async def fetched(setting: Setting, folder: Path) -> ConfigurationClient:
    """A gateway that knows the proxy's anchor alone."""
    client = ConfigurationClient(setting.anchor_raw, folder, setting.session, clock=lambda: setting.clock[0])
    await client.refresh()
    return client


@pytest.mark.xroad("F167")
async def test_a_gateway_with_the_proxys_anchor_has_the_federations_configuration_of_every_version(
    setting: Setting, tmp_path: Path
) -> None:
    await publish(setting)
    fresh = await setting.relay.relay(setting.session)
    assert sorted(v for _, v in fresh.directories) == [2, 3, 4, 5, 6]
    client = await fetched(setting, tmp_path / "conf")
    assert client.current is not None
    assert client.current.known_member(setting.instance.provider.member)
    assert client.current.instance == "MX"
    source = setting.relay.anchor
    with pytest.raises(Fault):  # it is the proxy's signature, not the source's
        verify_directory(fresh.directories["internal", 6], source.sources[0].verification_certificates, NOW)


@pytest.mark.xroad("F167")
async def test_a_change_passes_and_what_stayed_keeps_its_place(setting: Setting, tmp_path: Path) -> None:
    await publish(setting)
    first = await setting.relay.relay(setting.session)
    with setting.central.store.change(ANA, NOW) as records:
        rename_client(records, setting.instance.provider.member, "Otro nombre")
    setting.clock[0] += timedelta(seconds=30)
    await publish(setting)
    second = await setting.relay.relay(setting.session)
    paths = [{p.content_id: p.path for p in made.parts[6]} for made in (first, second)]
    assert paths[0]["SHARED-PARAMETERS"] != paths[1]["SHARED-PARAMETERS"]
    assert paths[0]["PRIVATE-PARAMETERS"] == paths[1]["PRIVATE-PARAMETERS"]
    client = await fetched(setting, tmp_path / "conf")
    assert client.current is not None
    assert client.current.member_name(setting.instance.provider.member) == "Otro nombre"


@pytest.mark.xroad("F167")
async def test_nothing_is_published_as_fresher_than_its_source_says(setting: Setting) -> None:
    await publish(setting)
    theirs = verify_directory(
        setting.source.current.directories["internal", 6],  # type: ignore[union-attr]
        setting.relay.anchor.sources[0].verification_certificates,
        NOW,
    )
    long = replace(setting.relay, validity=timedelta(days=30))
    ours = verify_directory(
        (await long.relay(setting.session)).directories["internal", 6],
        setting.anchor.sources[0].verification_certificates,
        NOW,
    )
    assert ours.expires_at == theirs.expires_at
    short = replace(setting.relay, validity=timedelta(seconds=60))
    ours = verify_directory(
        (await short.relay(setting.session)).directories["internal", 6],
        setting.anchor.sources[0].verification_certificates,
        NOW,
    )
    assert ours.expires_at == NOW + timedelta(seconds=60)


async def test_what_cannot_be_proved_is_not_published_and_what_was_stays(setting: Setting) -> None:
    await publish(setting)
    before = await setting.relay.relay(setting.session)
    current = setting.source.current
    assert current is not None
    part = current.parts[6][0]
    damaged = replace(
        part, content=part.content.replace(b"GESTION", b"GESTIOM"), path="/V6/x/shared-params.xml"
    )
    forged = {k: raw.replace(b"Version: 6", b"Version: 9") for k, raw in current.directories.items()}
    for bad in (
        replace(current, directories=forged),
        replace(current, parts=dict.fromkeys(current.parts, (damaged,))),
        None,
    ):
        setting.source.current = bad
        setting.source.older = []
        setting.relay.published.current = replace(before, parts={})  # nothing at hand: all is fetched
        with pytest.raises(Fault) as caught:
            await setting.relay.relay(setting.session)
        assert setting.relay.anchor.sources[0].download_url in caught.value.detail
        assert setting.relay.published.current.at == before.at
    kept = load_publication(setting.relay.folder)
    assert kept is not None
    assert kept.directories == before.directories


def test_the_folder_is_made_once_and_its_anchor_told_again(tmp_path: Path) -> None:
    anchor, pin = tmp_path / "a.xml", tmp_path / "pin"
    source = AnchorSource("http://central.example/internalconf", (b"certificate",))
    anchor.write_bytes(render_anchor(Anchor("DEV", (source,), NOW)))
    words = [
        "proxy", "init", "--data", str(tmp_path / "p"), "--pin-file", str(pin), "--anchor", str(anchor),
        "--address", "proxy.example", "--kind", "ec-p256",
    ]  # fmt: skip
    first, second = (CliRunner().invoke(main, words, env={"SACBE_LANG": "en"}) for _ in range(2))
    assert (first.exit_code, second.exit_code) == (0, 0), first.output + second.output
    assert first.output.splitlines()[-1] == second.output.splitlines()[-1]
    made = parse_anchor((tmp_path / "p/anchor.xml").read_bytes())
    assert (made.instance, made.sources[0].download_url) == ("DEV", "http://proxy.example/internalconf")
    refused = CliRunner().invoke(
        main, ["proxy", "serve", "--data", str(tmp_path / "no"), "--pin-file", str(pin)]
    )
    assert refused.exit_code != 0
