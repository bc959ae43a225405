"""Configuration proxies as one process: two under one address, the key of one behind PKCS#11, its token's process killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from click.testing import CliRunner

from benchmarks.federation import free_base
from central_server.cli.main import main
from central_server.config import Publishing, load
from central_server.proxy.folder import ProxyFolder
from central_server.proxy.serving import build_app
from central_server.publication.node import CentralNode
from central_server.publication.publish import Published, add_routes
from central_server.store import sources
from central_server.store.loading import import_registry
from central_server.store.members import rename_client
from central_server.store.records import Actor, CentralStore
from certs.certificates import parse_certificate
from gateway.edges.configuration import ConfigurationClient
from schemas.faults import Fault
from schemas.globalconf.anchor import Anchor, AnchorSource, render_anchor
from tests.instance import Instance
from tests.integration.test_central_tokens import until
from tests.softhsm import SoftHsm, module

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes
ANA, PIN = Actor("ana"), "Secret1234"


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


async def sees(client: ConfigurationClient, instance: Instance, name: str) -> bool:
    with contextlib.suppress(Fault):
        await client.refresh()
    return client.current is not None and client.current.member_name(instance.provider.member) == name


def secret_file(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def settings_of(hsm: SoftHsm, folder: Path) -> Path:
    secret, settings = secret_file(folder / "hsm.pin", hsm.pin), folder / "settings.toml"
    settings.write_text(
        f'[[keys.tokens]]\nid = "hsm"\nmodule = "{module()}"\nlabel = "{hsm.label}"\npin = {{ file = "{secret}" }}\n'
        f'environment = {{ SOFTHSM2_CONF = "{hsm.environment["SOFTHSM2_CONF"]}" }}\n'
    )
    return settings


@pytest.mark.xroad("F026", "F167")
async def test_two_proxies_are_one_process_and_the_key_of_one_is_on_a_pkcs11_token(tmp_path: Path) -> None:
    address, instance, pin = f"{free_base()}.1", Instance(tmp_path, now()), secret_file(tmp_path / "pin", PIN)
    settings = settings_of(SoftHsm(tmp_path / "h").make(), tmp_path)
    node = CentralNode(
        tmp_path / "central", CentralStore(tmp_path / "central.sqlite"), Publishing(key_kind="ec-p256")
    )
    published, upstream_app = Published(), web.Application()
    add_routes(upstream_app, published)
    async with TestServer(upstream_app) as upstream, aiohttp.ClientSession() as session:
        with node.store.change(ANA, now()) as records:
            import_registry(records, instance.registry())
            sources.set_node_address(records, f"{upstream.host}:{upstream.port}")
        await node.keys.make_token(PIN)
        for source in sources.SOURCES:
            await node.keys.make_signing_key(source, source, ANA, now())
        assert await node.publish_if_due(now())
        published.current = node.published.current
        found = sources.source_anchor(node.store.read(), "internal")
        assert found is not None
        (tmp_path / "their.xml").write_bytes(found[0])
        folders = {"uno": tmp_path / "uno", "dos": tmp_path / "dos"}
        for name, token in (("uno", "hsm"), ("dos", "0")):
            words = ["proxy", "init", "--data", str(folders[name]), "--anchor", str(tmp_path / "their.xml")]
            words += ["--address", f"{address}:8081", "--name", name, "--token", token, "--kind", "ec-p256"]
            words += ["--pin-file", str(pin), "--settings", str(settings)]
            made = await asyncio.to_thread(CliRunner().invoke, main, words)
            assert made.exit_code == 0, made.output
        assert not (folders["uno"] / "token").exists()
        keys, arguments = load(settings, {}).keys, ["--settings", str(settings)]
        proxies = [ProxyFolder(folder, keys, arguments=arguments) for folder in folders.values()]
        runner = web.AppRunner(build_app(proxies, lambda: PIN, interval_s=0.2, validity_s=600))
        await runner.setup()
        try:
            await web.TCPSite(runner, address, 8081).start()
            clients = {
                name: ConfigurationClient(
                    (folder / "anchor.xml").read_bytes(), tmp_path / f"conf-{name}", session, clock=now
                )
                for name, folder in folders.items()
            }
            (signer,) = proxies[0].signers
            before = signer.restarts
            assert signer.pid is not None
            os.kill(signer.pid, signal.SIGKILL)
            with node.store.change(ANA, now()) as records:
                rename_client(records, instance.provider.member, "Otro nombre")
            assert await node.publish_if_due(now())
            published.current = node.published.current
            for client in clients.values():
                await until(partial(sees, client, instance, "Otro nombre"))
            assert signer.restarts > before
            async with session.get(f"http://{address}:8081/health") as answer:
                said = await answer.json()
            assert (said["status"], sorted(said["proxies"])) == ("up", ["dos", "uno"])
            # Each is signed by its own key, which only its own anchor names.
            one, other = (parse_certificate(p.state().certificate).public_key() for p in proxies)
            assert one != other
        finally:
            await runner.cleanup()
            await node.close()


def test_two_proxies_without_names_are_not_served_on_one_address(tmp_path: Path) -> None:
    anchor, pin = tmp_path / "a.xml", secret_file(tmp_path / "pin", PIN)
    source = AnchorSource("http://central.example/internalconf", (b"certificate",))
    anchor.write_bytes(render_anchor(Anchor("DEV", (source,), now())))
    for name in ("a", "b"):
        words = [
            "proxy",
            "init",
            "--data",
            str(tmp_path / name),
            "--anchor",
            str(anchor),
            "--kind",
            "ec-p256",
        ]
        words += ["--address", "proxy.example", "--pin-file", str(pin)]
        assert CliRunner().invoke(main, words).exit_code == 0
    words = [
        "proxy",
        "serve",
        "--data",
        str(tmp_path / "a"),
        "--data",
        str(tmp_path / "b"),
        "--pin-file",
        str(pin),
    ]
    refused = CliRunner().invoke(main, words)
    assert refused.exit_code == 1
    assert "--name" in refused.output
