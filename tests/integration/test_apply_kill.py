"""``gateway apply`` killed at any moment: the configuration is the old one or the new one, and applying again completes it."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from gateway.serverconf.store import ServerConfStore
from schemas.identifiers import ServerId

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes
SERVICES = 400
KILLS = 8


def wanted(port: int) -> str:
    services = "".join(
        f'[[client.service]]\ncode = "s{n}"\nurl = "http://127.0.0.1:{port}"\n'
        f'[[client.service.allow]]\nsubject = "MX/GOB/2/SUB"\n'
        for n in range(SERVICES)
    )
    return f'[[client]]\nid = "MX/GOB/1/SUB"\nconnection = "HTTP"\n{services}'


def ports(folder: Path) -> set[str]:
    store = ServerConfStore(folder / "serverconf.sqlite")
    conf = store.load()
    store.close()
    assert len(conf.services) == len(conf.rights) == SERVICES
    return {s.url.rpartition(":")[2] for s in conf.services}


def apply(folder: Path, port: int) -> subprocess.Popen[bytes]:
    file = folder / "wanted.toml"
    file.write_text(wanted(port))
    command = [sys.executable, "-m", "gateway", "apply", "--data", str(folder), str(file)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def test_killed_apply_leaves_the_old_or_the_new_configuration(tmp_path: Path) -> None:
    store = ServerConfStore(tmp_path / "serverconf.sqlite")
    store.initialise(ServerId("MX", "GOB", "1", "SS1"), b"anchor")
    store.close()
    began = time.monotonic()
    assert apply(tmp_path, 1000).wait(60) == 0
    took_s = time.monotonic() - began
    assert ports(tmp_path) == {"1000"}
    now = "1000"
    for number in range(1, KILLS + 1):
        process = apply(tmp_path, 1000 + number)
        # Spread over the time one apply takes: some die before, some in, some after the transaction.
        time.sleep(took_s * (0.3 + 0.8 * number / KILLS))
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        found = ports(tmp_path)
        assert found in ({now}, {str(1000 + number)})
        now = found.pop()
    assert apply(tmp_path, 2000).wait(60) == 0
    assert ports(tmp_path) == {"2000"}
