"""A sealed log under running gateways: an order is carried out while they serve, and wrong keys stop everything."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from tests.integration.calling import call, works
from tests.integration.conftest import CONSUMER, PROVIDER
from tests.unit.gateway.test_logkeys import holders

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.federation import Federation, GatewaySpec

pytestmark = pytest.mark.processes
SUBSYSTEMS = {CONSUMER.key: "AFIL", PROVIDER.key: "INDICE"}
SECRET_WORDS = b"palabras que nadie mas conoce"


def containers(spec: GatewaySpec, query_id: str, folder: Path) -> list[str]:
    """What a gateway gives out of a message, as files."""
    url = (
        f"http://{spec.address}:8080/asic?xRoadInstance=MX&memberClass=GOB&memberCode={spec.member}"
        f"&subsystemCode={SUBSYSTEMS[spec.key]}&queryId={query_id}&force"
    )
    files = []
    with zipfile.ZipFile(io.BytesIO(urllib.request.urlopen(url, timeout=30).read())) as found:
        for name in found.namelist():
            files.append(str(folder / f"{spec.key}-{name}"))
            (folder / f"{spec.key}-{name}").write_bytes(found.read(name))
    assert len(files) == 2
    return files


def test_an_order_is_carried_out_while_both_gateways_serve(federation: Federation, tmp_path: Path) -> None:
    body = json.dumps({"texto": SECRET_WORDS.decode() * 10_000}).encode()
    for query_id in ("erase-1", "keep-1"):
        answer = call(CONSUMER.address, body=body, headers={"X-Road-Id": query_id})
        assert answer.status == 200
        assert SECRET_WORDS in answer.body
    for spec in (CONSUMER, PROVIDER):
        assert holders(federation.data(spec), SECRET_WORDS) == []
    conf = urllib.request.urlopen(f"http://{CONSUMER.address}:8080/verificationconf", timeout=60).read()
    zipfile.ZipFile(io.BytesIO(conf)).extractall(tmp_path / "conf")
    data = str(federation.data(PROVIDER))
    pin = ("--data", data, "--pin-file", str(federation.folder / "pin"))
    order = ("--order", "ARCO-17", "--authority", "Comite", "--by", "ana", "--yes")
    done = CliRunner().invoke(main, ["log", "erase", *pin, "--message-id", "erase-1", *order])
    assert done.exit_code == 0, done.output

    def verified(*files: str) -> tuple[int, str]:
        result = CliRunner().invoke(
            main, ["container", "verify", "--configuration", str(tmp_path / "conf"), *files]
        )
        return result.exit_code, result.output

    erased = containers(PROVIDER, "erase-1", tmp_path)
    code, said = verified(*erased)
    assert (code, said.count("CONTENT WITHHELD"), said.count("order ARCO-17 of Comite")) == (3, 2, 2), said
    assert all("message.xml" not in zipfile.ZipFile(f).namelist() for f in erased)
    whole = [*containers(CONSUMER, "erase-1", tmp_path), *containers(PROVIDER, "keep-1", tmp_path)]
    code, said = verified(*whole)
    assert (code, said.count(": VALID")) == (0, 4), said
    works(CONSUMER.address)
    assert CliRunner().invoke(main, ["log", "verify", *pin]).exit_code == 0


@contextmanager
def other_keys(federation: Federation, spec: GatewaySpec) -> Iterator[Path]:
    """The keys of another gateway in the place of this one's, which stands still; put back and started at the end."""
    other = PROVIDER if spec is CONSUMER else CONSUMER
    path = federation.data(spec) / "logkeys" / "keys.json"
    federation.kill(spec.key)
    kept = path.rename(path.with_name("kept.json"))
    shutil.copy(federation.data(other) / "logkeys" / "keys.json", path)
    try:
        yield path
    finally:
        kept.replace(path)
        federation.start_gateway(spec)


@pytest.mark.parametrize("what", ["wrong", "missing"])
def test_a_gateway_without_its_logs_keys_does_not_start(federation: Federation, what: str) -> None:
    with other_keys(federation, CONSUMER) as path:
        if what == "missing":
            path.unlink()
        data = federation.data(CONSUMER)
        command = ["serve", "--data", str(data), "--pin-file", str(federation.folder / "pin")]
        ended = subprocess.run(
            [sys.executable, "-m", "gateway", *command, "--settings", str(data / "settings.toml")],
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert ended.returncode == 1, ended.stderr
        expected = "is missing" if what == "missing" else "do not open"
        assert expected in ended.stderr
        assert "Traceback" not in ended.stderr
        assert path.exists() is (what == "wrong")
    works(CONSUMER.address)
