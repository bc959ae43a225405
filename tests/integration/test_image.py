"""The container image: built as its file says, and its servers run in it as nobody special, on a root that is only read.

Building it fetches Debian's and Python's packages, so it is asked for: ``SACBE_IMAGE=build`` builds it by podman or docker (a quarter of an
hour at most), any other value names an image that was built. Without it these tests are skipped, in CI too: what the file copies and
starts is held by ``tests/unit/test_deploy.py``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import uuid
from typing import TYPE_CHECKING

import pytest

from tests.integration.calling import until
from tests.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.processes, pytest.mark.timeout(1200)]
ASKED = os.environ.get("SACBE_IMAGE", "")
# As deploy/oci/compose.yaml runs it, without a network.
CONFINED = [
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--network=none",
]
FOUND = (
    "central-server bootstrap --data central --pin-file central.pin --instance MX --address central.example "
    "--owner GOB/00-ONIESS --name ONIESS --kind ec-p256"
)
SERVE = "central-server serve --data central --pin-file central.pin --settings central/settings.toml --port 8000 --https-port 0"
ASK = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:8000/internalconf?version=6').status)"


@pytest.fixture(scope="module")
def engine() -> list[str]:
    """The words that every command of the container engine begins with."""
    if not ASKED:
        pytest.skip("SACBE_IMAGE names no image, and does not say build")
    if shutil.which("podman") is not None:
        runtime = shutil.which("runc") or shutil.which("crun") or "crun"
        return ["podman", "--runtime", runtime]
    if shutil.which("docker") is not None:
        return ["docker"]
    pytest.skip("neither podman nor docker is here (apt install podman)")


@pytest.fixture(scope="module")
def image(engine: list[str]) -> str:
    if ASKED != "build":
        return ASKED
    subprocess.run(
        [*engine, "build", "-f", "deploy/oci/Dockerfile", "-t", "sacbe-tested", "."], cwd=PROJECT, check=True
    )
    return "sacbe-tested"


@pytest.fixture
def volume(engine: list[str]) -> Iterator[str]:
    """A fresh volume for what a server keeps."""
    name = f"sacbe-{uuid.uuid4().hex}"
    subprocess.run([*engine, "volume", "create", name], check=True, capture_output=True)
    yield name
    subprocess.run([*engine, "volume", "rm", "--force", name], check=True, capture_output=True)


def run(engine: list[str], *words: str) -> str:
    done = subprocess.run([*engine, *words], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@pytest.mark.xroad("F004")
def test_the_image_has_every_program_its_user_its_ports_and_its_volume(engine: list[str], image: str) -> None:
    (shown,) = json.loads(run(engine, "image", "inspect", image))
    told = shown["Config"]
    assert told["User"] == "10001:10001"
    assert list(told["Volumes"]) == ["/var/lib/sacbe"]
    assert {"8080/tcp", "5500/tcp", "5577/tcp", "4000/tcp", "4001/tcp"} <= set(told["ExposedPorts"])
    for program in ("gateway", "central-server", "social-security", "sacbe"):
        assert "usage" in run(engine, "run", "--rm", *CONFINED, image, program, "--help").lower()
    assert run(engine, "run", "--rm", *CONFINED, image, "id", "-u").strip() == "10001"
    driver = "import psycopg; print(psycopg.pq.__impl__)"
    assert run(engine, "run", "--rm", *CONFINED, image, "python", "-c", driver).strip() == "binary"
    writable = "find /opt/sacbe -writable -not -type l | head -n 1"
    assert run(engine, "run", "--rm", *CONFINED, image, "sh", "-c", writable) == ""


@pytest.mark.xroad("F004")
def test_a_server_is_founded_and_serves_in_the_image_and_ends_in_order(
    engine: list[str], image: str, volume: str
) -> None:
    kept = ["--volume", f"{volume}:/var/lib/sacbe"]
    assert "anchor" in run(engine, "run", "--rm", *CONFINED, *kept, image, *FOUND.split())
    name = f"{volume}-serving"
    run(engine, "run", "--detach", "--name", name, *CONFINED, *kept, image, *SERVE.split())
    try:

        def answers() -> bool:
            asked = [*engine, "exec", name, "python", "-c", ASK]
            return (
                subprocess.run(asked, capture_output=True, timeout=60, check=False).stdout.strip() == b"200"
            )

        until(answers, bool, within_s=120)
        run(engine, "stop", "--time", "60", name)
        (shown,) = json.loads(run(engine, "container", "inspect", name))
        assert shown["State"]["ExitCode"] == 0
    finally:
        run(engine, "rm", "--force", name)
