"""The commands of docs/evidence.md, run as they stand there, accept our containers and refuse changed ones."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from certs.tokens.soft import KeyKind
from tests import worlds
from tests.paths import PROJECT
from tests.programs import need

PAGE = (PROJECT / "docs" / "evidence.md").read_text(encoding="utf-8")
BATCH, ALONE = re.findall(r"```sh[^\n]*\n(.*?)```", PAGE, flags=re.DOTALL)


def run(recipe: str, folder: Path) -> subprocess.CompletedProcess[str]:
    for program in ("openssl", "xmlsec1"):
        need(program, package=program)
    environment = {**os.environ, "TIME": f"{worlds.NOW:%Y-%m-%d %H:%M:%S}"}
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", unzipped(recipe)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def unzipped(recipe: str) -> str:
    """The recipe, with Python's unzip where the machine has none."""
    if shutil.which("unzip"):
        return recipe
    return re.sub(r"unzip -q (\S+)", r"python3 -m zipfile -e \1 .", recipe)


@pytest.fixture(params=[KeyKind.EC_P256, KeyKind.RSA_2048], ids=str)
def folder(request: pytest.FixtureRequest, tmp_path: Path, authorities: dict[str, Path]) -> Path:
    made = worlds.containers(request.param)
    (tmp_path / "container.asice").write_bytes(made["batch-both"])
    (tmp_path / "alone.asice").write_bytes(made["alone"])
    for name in ("root.pem", "intermediate.pem"):
        shutil.copy(authorities[str(request.param)] / name, tmp_path)
    return tmp_path


@pytest.mark.parametrize("recipe", [BATCH, ALONE], ids=["batch", "alone"])
def test_the_recipe_accepts_our_container(recipe: str, folder: Path) -> None:
    done = run(recipe, folder)
    assert done.returncode == 0, done.stderr
    assert "Verification: OK" in done.stdout


def test_the_recipe_refuses_a_changed_container(folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO((folder / "container.asice").read_bytes())) as opened:
        result = opened.read("ts-hashchainresult.xml")
    changed = worlds.rezipped(
        (folder / "container.asice").read_bytes(), {"ts-hashchainresult.xml": result + b" "}
    )
    (folder / "container.asice").write_bytes(changed.getvalue())
    assert run(BATCH, folder).returncode != 0
