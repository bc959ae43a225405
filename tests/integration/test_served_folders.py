"""Servers that run: their folders are private, they say where they listen, and commands find them by their own record."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import CONSUMER, PROVIDER
from tests.paths import readable_by_others

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.federation import Federation

pytestmark = pytest.mark.processes


def run(*words: object) -> subprocess.CompletedProcess[str]:
    """A command from another folder, with nothing said of where the server listens."""
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd="/",
        env={**os.environ, "SACBE_LANG": "en", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )


def folders(federation: Federation) -> dict[str, Path]:
    return {
        "central": federation.folder / "central",
        **{spec.key: federation.data(spec) for spec in (CONSUMER, PROVIDER)},
    }


@pytest.mark.parametrize("which", ["central", CONSUMER.key, PROVIDER.key])
def test_no_file_of_a_served_folder_is_open_to_others(federation: Federation, which: str) -> None:
    folder = folders(federation)[which]
    assert (folder / ".lock").exists()
    assert readable_by_others(folder) == []
    assert not (folder.parent / f".{folder.name}.lock").exists()


@pytest.mark.parametrize("spec", [CONSUMER, PROVIDER], ids=lambda s: s.key)
def test_the_running_gateway_is_found_whatever_its_health_address(
    federation: Federation, spec: object
) -> None:
    data = federation.data(spec)  # type: ignore[arg-type]
    told = json.loads((data / "running.json").read_text())
    asked = run("gateway", "health", "--data", data)
    assert (asked.returncode, asked.stdout.splitlines()[0]) == (0, "up"), asked.stderr
    found = run("gateway", "diagnose", "--language", "en", "--data", data)
    assert f"According to {told['health']}" in found.stdout
    assert "STOPPED" not in found.stdout
    status = json.loads(run("gateway", "status", "--json", "--data", data).stdout)
    assert (status["running"], status["status"], status["pid"]) == (True, "up", told["pid"])


def test_a_second_server_on_the_folder_is_refused(federation: Federation) -> None:
    refused = run("gateway", "serve", "--data", federation.data(CONSUMER))
    assert refused.returncode == 1, refused.stderr
    assert "stop that server first" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_server_says_once_a_start_where_it_listens(federation: Federation) -> None:
    lines = [
        json.loads(t)
        for t in (federation.folder / f"{CONSUMER.key}.log").read_text().splitlines()
        if t.startswith("{")
    ]
    found = [line for line in lines if line.get("event") == "ready"]
    assert 1 <= len(found) <= federation.starts[CONSUMER.key]
    ready = found[-1]
    assert ready["level"] == "info"
    assert ready["addresses"]["consumers"] == f"http://{CONSUMER.address}:8080"
    assert ready["addresses"]["console"] == f"https://{CONSUMER.address}:4000/consola/"
