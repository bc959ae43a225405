"""examples/: every caller calls through two gateways, every provider is called, a refusal is told in each language's way."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import CONSUMER, PROVIDER
from tests.integration.test_toolkits import environment, run_gateway
from tests.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.federation import Federation

pytestmark = pytest.mark.processes
EXAMPLES = PROJECT / "examples"
CLIENT, OTHER = "MX/GOB/15-ISSEMYM/AFIL", "MX/GOB/15-ISSEMYM/OTRO"
INDICE = "MX/GOB/00-RNSS/INDICE"
PORT = 9210
PROVIDERS = ("provider_aiohttp", "provider_fastapi")
# The address from which a gateway on this machine reaches another loopback address.
GATEWAYS_OWN = "127.0.0.1"


def program(name: str) -> str:
    """The path of a program; without it the test is skipped, and fails in CI."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def command(example: str) -> list[str]:
    """How examples/README.md says an example is run."""
    path = str(EXAMPLES / example)
    match example.rpartition(".")[2]:
        case "sh":
            return ["sh", path]
        case "py":
            return [str(environment("clients")), path]
        case "java":
            return [program("java"), path]
        case _:
            return [program("node"), path]


def run(example: str, service: str, client: str = CLIENT) -> subprocess.CompletedProcess[str]:
    """One run of a caller."""
    own = {
        "GATEWAY": f"http://{CONSUMER.address}:8080",
        "CLIENT": client,
        "SERVICE": service,
        "PYTHONPATH": str(PROJECT / "clients"),
    }
    return subprocess.run(
        command(example), env={**os.environ, **own}, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("example", ["call.sh", "call.py", "Call.java", "call.mjs"])
class TestCallers:
    @pytest.mark.xroad("F077")
    def test_it_prints_what_the_provider_answered(self, federation: Federation, example: str) -> None:
        done = run(example, f"{INDICE}/echo")
        assert done.returncode == 0, done.stderr
        status, message_id, body = done.stdout.strip().split(" ", 2)
        assert (status, json.loads(body)) == ("200", {"weeks": 42})
        assert len(message_id) == 36

    def test_it_ends_with_what_a_gateway_refused(self, federation: Federation, example: str) -> None:
        done = run(example, f"{INDICE}/echo", OTHER)
        assert done.returncode == 1, done.stderr
        assert "server.serverproxy.access_denied" in done.stderr


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest, federation: Federation) -> Iterator[tuple[str, int, str]]:
    """A provider of the examples, offered as a service; its code, port and the other name."""
    name = str(request.param)
    port = PORT + PROVIDERS.index(name)
    code = name.replace("_", "-")
    process = start(name, port)
    added = run_gateway(
        federation,
        "add",
        "--client",
        INDICE,
        "--type",
        "REST",
        "--url",
        f"http://{PROVIDER.address}:{port}",
        "--code",
        code,
    )
    run_gateway(federation, "allow", "--client", INDICE, code, CLIENT)
    run_gateway(federation, "enable", added.split()[-1])
    yield f"{INDICE}/{code}", port, code
    process.terminate()
    process.wait(60)


def start(name: str, port: int) -> subprocess.Popen[bytes]:
    """A provider that believes the provider's gateway only; waits until it listens."""
    environ = {**os.environ, "PYTHONPATH": str(PROJECT / "clients")}
    path: Path = EXAMPLES / f"{name}.py"
    arguments = [str(environment("clients")), str(path), "0.0.0.0", str(port), GATEWAYS_OWN]
    process = subprocess.Popen(arguments, env=environ, stdin=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while status_of(port) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    return process


def status_of(port: int) -> int | None:
    """What a stranger at the provider's own port is answered, who says to be a client."""
    stranger = http.client.HTTPConnection(
        PROVIDER.address, port, timeout=60, source_address=(CONSUMER.address, 0)
    )
    try:
        stranger.request("POST", "/people/7", b"{}", {"X-Road-Client": CLIENT, "X-Road-Id": "1"})
        return stranger.getresponse().status
    except OSError:
        return None
    finally:
        stranger.close()


def test_a_provider_answers_its_gateway_and_nobody_else(
    federation: Federation, provider: tuple[str, int, str]
) -> None:
    service, port, _ = provider
    deadline = time.monotonic() + 120
    done = run("call.py", service)
    while done.returncode != 0 and time.monotonic() < deadline:
        done = run("call.py", service)
    assert done.returncode == 0, done.stderr
    body = json.loads(done.stdout.strip().split(" ", 2)[2])
    assert body == {"person": "7", "asked_by": CLIENT, "purpose": None, "bases": []}
    assert status_of(port) == 403
