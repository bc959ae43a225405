"""``gateway apply`` killed at any moment: the configuration is the old one or the new one, and applying again completes it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from gateway.clients.store import ServerConfStore
from gateway.keys.store import KeyConfStore
from tests.integration.hosting import prepare
from tests.worlds import CONSUMER, PIN

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes
SERVICES = 400
KILLS = 5


def desired(port: int) -> str:
    services = "".join(
        f'[[client.service]]\ncode = "s{n}"\nurl = "http://127.0.0.1:{port}"\n'
        f'[[client.service.allow]]\nsubject = "MX/GOB/2/SUB"\n'
        for n in range(SERVICES)
    )
    certificates = "".join(
        f'[[certificate]]\nusage = "{usage}"\nkind = "ec-p256"\nsubject = {{ {subject} }}\n'
        for usage, subject in (("auth", 'CN = "gw.example", O = "Uno"'), ("sign", ""))
    )
    return f'[[client]]\nid = "{CONSUMER.path()}"\nconnection = "HTTP"\n{services}{certificates}'


def found(folder: Path) -> tuple[set[str], int, int]:
    """The ports of the services, how many requests wait, how many keys there are."""
    store = ServerConfStore(folder / "serverconf.sqlite")
    conf, keys = store.load(), KeyConfStore(store.database)
    requests, made = len(keys.requests()), len(keys.list_keys())
    store.close()
    assert len(conf.services) == len(conf.rights) in (0, SERVICES)
    return {s.url.rpartition(":")[2] for s in conf.services}, requests, made


def apply(folder: Path, port: int) -> subprocess.Popen[bytes]:
    file = folder / "gateway.toml"
    file.write_text(desired(port))
    command = [sys.executable, "-m", "gateway", "apply", "--data", str(folder), str(file)]
    with (folder / "out").open("ab") as out:
        return subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "SACBE_PIN": PIN},
        )


def apply_to_its_end(folder: Path, port: int) -> None:
    code = apply(folder, port).wait(120)
    assert code == 0, (folder / "out").read_text()


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    folder = tmp_path / "empty"
    folder.mkdir()
    prepare(folder)
    return folder


def test_killed_apply_leaves_the_old_or_the_new_configuration(empty: Path, tmp_path: Path) -> None:
    whole = shutil.copytree(empty, tmp_path / "whole")
    began = time.monotonic()
    apply_to_its_end(whole, 1000)
    took_s = time.monotonic() - began
    assert found(whole) == ({"1000"}, 2, 2)
    for number in range(1, KILLS + 1):
        folder = shutil.copytree(empty, tmp_path / str(number))
        process = apply(folder, 1000)
        # Spread over the time one apply takes: some die before, some in, some after the transaction.
        time.sleep(took_s * (0.3 + 0.8 * number / KILLS))
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        ports, requests, _ = found(folder)
        assert (ports, requests) in ((set(), 0), ({"1000"}, 2))
        apply_to_its_end(folder, 2000)
        # A key that was made before the kill is used, and none is made a second time.
        assert found(folder) == ({"2000"}, 2, 2)
        assert {p.name for p in (folder / "requests").iterdir()} == {"auth.pem", "sign.pem"}
