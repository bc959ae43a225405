"""A central server whose signing keys are on a PKCS#11 token: made over the admin API, killed, locked, rotated."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from benchmarks.federation import free_base
from central_server.app import CentralServer
from central_server.config import load
from central_server.store import sources
from central_server.store.loading import import_registry
from central_server.store.records import OPERATOR
from gateway.edges.configuration import ConfigurationClient
from schemas.faults import Fault
from tests.instance import Instance
from tests.softhsm import SoftHsm, module

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.processes
PIN = "Secret1234"
INTERNAL = "/configuration-sources/INTERNAL"


@dataclass
class Running:
    """A central server with its admin API, and a gateway's configuration client that looks again and again."""

    server: CentralServer
    base: str
    session: aiohttp.ClientSession
    headers: dict[str, str]
    folder: Path
    client: ConfigurationClient | None = None

    async def call(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        url = f"https://{self.base}.1:4000/api/v1{path}"
        async with self.session.request(method, url, json=body, headers=self.headers, ssl=False) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json() if answer.content_type == "application/json" else await answer.read()

    def new_client(self, anchor: bytes, name: str) -> ConfigurationClient:
        return ConfigurationClient(anchor, self.folder / name, self.session, clock=lambda: datetime.now(UTC))

    async def token(self, token_id: str) -> Any:
        return next(t for t in await self.call("GET", "/tokens") if t["id"] == token_id)

    async def alerts(self) -> list[Any]:
        found: list[Any] = await self.call("GET", "/notifications/alerts")
        return found

    async def is_well(self) -> bool:
        """Whether nothing is told to be wrong."""
        return not await self.alerts()

    async def change(self, code: str) -> None:
        """Something that a new configuration will show."""
        await self.call("POST", "/member-classes", {"code": code, "description": code}, 201)

    async def directory(self) -> bytes:
        url = f"http://{self.base}.1:8080/internalconf?version=6"
        async with self.session.get(url) as answer:
            assert answer.status == 200
            return await answer.read()

    async def sees(self, code: str) -> bool:
        """Whether the client has a configuration that shows a change."""
        assert self.client is not None
        with contextlib.suppress(Fault):
            await self.client.refresh()
        return has_seen(self.client, code)


def has_seen(client: ConfigurationClient, code: str) -> bool:
    """Whether a client's configuration shows a change already."""
    current = client.current
    return current is not None and any(c.code == code for c in current.own.shared.member_classes)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what a process does in its own time."""
    async with asyncio.timeout(120):
        while not await holds():  # nothing says when
            await asyncio.sleep(0.1)


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    hsm, base, data = SoftHsm(tmp_path / "h").make(), free_base(), tmp_path / "central"
    secret = tmp_path / "hsm.pin"
    secret.write_text(hsm.pin)
    secret.chmod(0o600)
    settings = tmp_path / "settings.toml"
    settings.write_text(
        f"""
[listen]
host = "{base}.1"
http_port = 8080
https_port = 0
registration_port = 0
management_port = 0
[admin]
host = "{base}.1"
requests_per_second = 0
requests_per_minute = 0
[publishing]
minimum_version = 6
key_kind = "ec-p256"
[[keys.tokens]]
id = "hsm"
module = "{module()}"
label = "{hsm.label}"
pin = {{ file = "{secret}" }}
environment = {{ SOFTHSM2_CONF = "{hsm.environment["SOFTHSM2_CONF"]}" }}
"""
    )
    server = CentralServer(data, load(settings, {}), None, ["--settings", str(settings)])
    _, key = server.logins.make_api_key(["XROAD_SECURITY_OFFICER", "XROAD_SYSTEM_ADMINISTRATOR"], "test")
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            made = Running(server, base, session, {"Authorization": f"X-Road-ApiKey token={key}"}, tmp_path)
            await made.call(
                "POST",
                "/initialization",
                {
                    "software_token_pin": PIN,
                    "instance_identifier": "MX",
                    "central_server_address": f"{base}.1:8080",
                },
            )
            with server.node.store.change(OPERATOR, datetime.now(UTC)) as records:
                import_registry(records, Instance(tmp_path, datetime.now(UTC)).registry())
                sources.set_node_address(records, f"{base}.1:8080")
            yield made
    finally:
        await server.stop()


async def keyed(running: Running, internal: str) -> bytes:
    """Signing keys: the internal one on a token, the external one on the software token; published. The anchor."""
    for source, token in (("INTERNAL", internal), ("EXTERNAL", "0")):
        body = {"key_label": source, "token_id": token}
        made = await running.call("POST", f"/configuration-sources/{source}/signing-keys", body)
        assert (made["token_id"], made["active"]) == (token, True)
    anchor: bytes = await running.call("GET", f"{INTERNAL}/anchor/download")
    running.client = running.new_client(anchor, "client")
    await until(lambda: running.sees("GOB"))
    return anchor


@pytest.mark.xroad("F026")
async def test_a_configuration_signed_on_a_pkcs11_token_is_proved_by_clients(running: Running) -> None:
    await running.call("POST", f"{INTERNAL}/signing-keys", {"key_label": "k", "token_id": "other"}, 404)
    await keyed(running, "hsm")
    token = await running.token("hsm")
    (key,) = token["configuration_signing_keys"]
    assert (key["key_algorithm"], key["source_type"], key["available"]) == ("EC", "INTERNAL", True)
    assert token["possible_actions"] == ["LOGOUT", "GENERATE_INTERNAL_KEY", "GENERATE_EXTERNAL_KEY"]
    await until(running.is_well)
    # The process of the token dies: another takes its place, logs in, and the next change is signed.
    (signer,) = running.server.signers
    before = signer.restarts
    assert signer.pid is not None
    os.kill(signer.pid, signal.SIGKILL)
    await running.change("KILLED")
    await until(lambda: running.sees("KILLED"))
    assert signer.restarts > before


async def test_a_locked_token_stops_publishing_loudly_and_the_old_configuration_stays(
    running: Running,
) -> None:
    await keyed(running, "hsm")
    locked = await running.call("PUT", "/tokens/hsm/logout")
    assert (locked["logged_in"], locked["possible_actions"]) == (False, ["LOGIN"])
    await running.change("LATER")

    async def failing() -> bool:
        return "status.global_conf_generation.failing" in {a["errorCode"] for a in await running.alerts()}

    await until(failing)
    before = await running.directory()
    alerts = {a["errorCode"]: a["metadata"] for a in await running.alerts()}
    assert "token hsm" in alerts["status.global_conf_generation.failing"][0]
    assert alerts["status.signing_key.internal.token_not_active"] == ["hsm"]
    assert "status.signing_key.external.token_not_active" not in alerts
    async with running.session.get(f"http://{running.base}.1:8080/health") as answer:
        assert (answer.status, (await answer.json())["status"]) == (503, "down")
    assert await running.directory() == before
    assert not await running.sees("LATER")
    # What needs the software token alone goes on.
    assert (await running.token("0"))["logged_in"]
    await running.call("POST", "/management-services-configuration/certificate", status=201)
    wrong = await running.call("PUT", "/tokens/hsm/login", {"password": "0000"}, 400)
    assert wrong["error"]["code"] == "pin_incorrect"
    await running.call("PUT", "/tokens/hsm/login", {"password": "4321"})
    await until(lambda: running.sees("LATER"))
    await until(running.is_well)


@pytest.mark.xroad("F161")
async def test_keys_are_rotated_between_tokens_without_a_gap(running: Running) -> None:
    other = running.new_client(await keyed(running, "0"), "other")
    failures: list[str] = []

    async def look() -> None:
        while True:
            try:
                await other.refresh()
            except Fault as fault:
                failures.append(fault.detail)
            await asyncio.sleep(0.05)

    async def both_see(code: str) -> bool:
        return await running.sees(code) and has_seen(other, code)

    looking = asyncio.create_task(look())
    try:
        for number, token in enumerate(("hsm", "0"), 1):
            body = {"key_label": "next", "token_id": token}
            made = await running.call("POST", f"{INTERNAL}/signing-keys", body)
            assert (made["active"], made["possible_actions"]) == (False, ["ACTIVATE", "DELETE"])
            # A client has seen the new key's certificate once this has reached it.
            await running.change(f"ADDED{number}")
            await until(partial(both_see, f"ADDED{number}"))
            old = await active_key(running)
            await running.call("PUT", f"/signing-keys/{made['id']}/activate", status=204)
            await running.change(f"ACTIVE{number}")
            await until(partial(both_see, f"ACTIVE{number}"))
            await running.call("DELETE", f"/signing-keys/{old}", status=204)
            await running.change(f"ALONE{number}")
            await until(partial(both_see, f"ALONE{number}"))
            assert await active_key(running) == made["id"]
    finally:
        looking.cancel()
    assert failures == []


async def active_key(running: Running) -> str:
    keys = [k for t in await running.call("GET", "/tokens") for k in t["configuration_signing_keys"]]
    (found,) = (k["id"] for k in keys if k["active"] and k["source_type"] == "INTERNAL")
    return str(found)
