"""A server's start reads no authorities of the machine and collects nothing; what is asked later is proved all the same.

Each in a process of its own: what is imported, and what OpenSSL is told by the environment, is that process's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.directories import Certified
from tests.paths import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes

_ASK = """
import asyncio, os, sys

from serving.process.machinetrust import import_aiohttp

before = dict(os.environ)
import_aiohttp()
assert dict(os.environ) == before, "the environment is as it was"

from aiohttp import ClientConnectorCertificateError, connector, web
from serving.process.outward import outward_session
from tests.directories import HOST, Certified
from pathlib import Path

assert not connector._SSL_CONTEXT_VERIFIED.get_ca_certs(), "nothing was read by the import"


async def hello(request):
    return web.Response(text="hello")


async def ask():
    app = web.Application()
    app.router.add_get("/", hello)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=Certified(Path(sys.argv[1])).context()).start()
    port = runner.addresses[0][1]
    try:
        async with outward_session() as session:
            for _ in range(2):
                async with session.get(f"https://{HOST}:{port}/") as answer:
                    print(await answer.text())
    except ClientConnectorCertificateError:
        print("not proved")
    finally:
        await runner.cleanup()


asyncio.run(ask())
"""
_COLLECTING = """
import gc
from serving.process.starting import begin_start, end_imports

begin_start()
assert not gc.isenabled()
import gateway.cli.serving, gateway.server.process
end_imports()
assert gc.isenabled()
assert gc.get_freeze_count() > 10_000
assert not {"yaml", "xmlschema", "jinja2"} & set(__import__("sys").modules)
"""


def run(program: str, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=PROJECT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_session_is_proved_by_the_authorities_that_the_machine_trusts(tmp_path: Path) -> None:
    server = Certified(tmp_path / "server").make()
    assert run(_ASK, str(server.folder), SSL_CERT_FILE=server.file) == "hello\nhello\n"


def test_an_authority_that_the_machine_does_not_trust_proves_nobody(tmp_path: Path) -> None:
    server, other = Certified(tmp_path / "server").make(), Certified(tmp_path / "other").make()
    assert run(_ASK, str(server.folder), SSL_CERT_FILE=other.file) == "not proved\n"


def test_garbage_is_collected_again_once_the_modules_are_read() -> None:
    run(_COLLECTING)
