"""Backups restored over the admin API: the server proves them, starts itself anew and is as it was."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyrage
import pytest
from click.testing import CliRunner

from benchmarks.federation import free_base
from central_server.admin.roles import central_roles
from central_server.cli.main import main as central_command
from gateway.admin.roles import gateway_roles
from serving.login.users import Logins
from serving.storage.audit import FIRST
from tests.integration.hosting import prepare
from tests.worlds import CONSUMER, PIN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from serving.login.users import Roles

pytestmark = pytest.mark.processes
IDENTITY, OTHER = (pyrage.x25519.Identity.generate() for _ in range(2))


@dataclass
class Server:
    """A server's process with its admin API."""

    process: subprocess.Popen[bytes]
    host: str
    headers: dict[str, str]
    data: Path
    # Makes something, and lists what was made.
    make: tuple[str, dict[str, str]]
    listing: str

    def call(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Status and body; the connection is closed whatever becomes of a server that may be going away."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(self.host, 4000, timeout=90, context=context)
        headers = self.headers | ({} if body is None else {"Content-Type": "application/json"})
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, f"/api/v1{path}", sent, headers)
            answer = connection.getresponse()
            raw = answer.read()
            return answer.status, json.loads(raw) if raw else None
        finally:
            connection.close()

    def add(self, code: str) -> None:
        path, member = self.make
        status, found = self.call("POST", path, {**member, "code": code, "description": code})
        assert status == 201, found

    def codes(self) -> list[str]:
        status, found = self.call("GET", self.listing)
        if status != 200:
            raise ValueError(str(found))
        return sorted(one["code"] for one in found)

    def wait(self, holds: Any) -> None:
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                if holds():
                    return
            assert time.monotonic() < deadline, (self.data.parent / "out").read_text()[-3000:]
            assert self.process.poll() is None, (self.data.parent / "out").read_text()[-3000:]
            time.sleep(0.3)


def settings(base: str) -> str:
    return f"""
[admin]
host = "{base}.1"
requests_per_second = 0
requests_per_minute = 0
[backup]
recipients = ["{IDENTITY.to_public()}"]
"""


def central(folder: Path, base: str) -> tuple[str, str, Roles, tuple[str, dict[str, str]], str]:
    """A central server before its start."""
    done = CliRunner().invoke(
        central_command,
        ["init", "--data", str(folder / "data"), "--kind", "ec-p256", "--pin-file", str(folder / "pin")],
    )
    assert done.exit_code == 0, done.output
    listen = f'[listen]\nhost = "{base}.1"\nhttp_port = 8080\nhttps_port = 0\n'
    return "central_server", listen, central_roles(), ("/member-classes", {}), "/member-classes"


def gateway(folder: Path, base: str) -> tuple[str, str, Roles, tuple[str, dict[str, str]], str]:
    """A gateway before its start."""
    (folder / "data").mkdir()
    prepare(folder / "data")
    names = ("consumer_host", "peer_host", "health_host")
    listen = "[listen]\n" + "".join(f'{name} = "{base}.1"\n' for name in names)
    path = f"/clients/{CONSUMER.encoded()}/local-groups"
    return "gateway", listen, gateway_roles(), (path, {}), path


@pytest.fixture(params=[central, gateway], ids=["central server", "gateway"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    base = free_base()
    (tmp_path / "pin").write_text(PIN)
    (tmp_path / "pin").chmod(0o600)
    (tmp_path / "pin").chmod(0o600)
    program, listen, roles, make, listing = request.param(tmp_path, base)
    (tmp_path / "settings.toml").write_text(listen + settings(base))
    logins = Logins(tmp_path / "data" / "admin.sqlite")
    _, key = logins.make_api_key(roles.of_people(), "test")
    logins.close()
    words = ["serve", "--data", "data", "--settings", "settings.toml", "--pin-file", "pin"]
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", program, *words],
            cwd=tmp_path,
            stdout=out,
            stderr=out,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        )
    made = Server(
        process,
        f"{base}.1",
        {"Authorization": f"X-Road-ApiKey token={key}"},
        tmp_path / "data",
        make,
        listing,
    )
    try:
        made.wait(lambda: made.call("GET", "/user")[0] == 200)
        if program == "central_server":
            body = {"instance_identifier": "MX", "central_server_address": f"{base}.1:8080"}
            status, found = made.call("POST", "/initialization", {**body, "software_token_pin": PIN})
            assert status == 200, found
        yield made
    finally:
        process.terminate()
        process.wait(60)


def audit_rows(server: Server, event: str) -> list[Any]:
    logins = Logins(server.data / "admin.sqlite")
    rows = [json.loads(t) for (t,) in logins.database.query("SELECT record FROM audit ORDER BY number")]
    logins.close()
    return [r for r in rows if r["event"] == event]


@pytest.mark.xroad("F139", "F153")
def test_a_server_is_as_it_was_after_a_restore_over_the_api(server: Server) -> None:
    server.add("before")
    status, made = server.call("POST", "/backups")
    assert status == 201, made
    restore = f"/backups/{made['filename']}/restore"
    server.add("after")
    for body, status, code in (
        (None, 409, "backup_identity_needed"),
        ({"identity": str(OTHER)}, 400, "restore_process_failed"),
        ({"identity": str(IDENTITY), "signer": "SHA256:" + "0" * 64}, 400, "restore_process_failed"),
        ({"passphrase": "one", "identity": str(IDENTITY)}, 409, "backup_identity_needed"),
        ({"identity": "AGE-PLUGIN-1"}, 400, "validation_failure"),
    ):
        answered, refused = server.call("PUT", restore, body)
        assert (answered, refused["error"]["code"]) == (status, code), refused
    assert server.codes() == ["after", "before"]
    done = server.call("PUT", restore, {"identity": str(IDENTITY)})
    assert done == (200, {"hsm_tokens_logged_out": False})
    server.wait(lambda: server.codes() == ["before"])
    # The same process, what was before set aside in it, and the restore on the chain that came back.
    assert server.process.poll() is None
    assert [p.name for p in server.data.glob("before-*")]
    (row,) = audit_rows(server, "RESTORE_BACKUP")
    assert (row["who"], row["outcome"], row["detail"]["file"]) == (
        "api-key-1",
        "done",
        restore.split("/")[2],
    )
    assert row["detail"]["head_before"] != FIRST
    server.add("later")
    assert str(IDENTITY) not in (server.data.parent / "out").read_text()
