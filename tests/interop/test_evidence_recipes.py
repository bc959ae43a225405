"""The commands of docs/evidence.md, run as they stand there, accept our containers and refuse changed ones."""

from __future__ import annotations

import html
import io
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from certs.edges.configurationfiles import load_configuration_folder, render_verificationconf
from certs.tokens.soft import KeyKind
from gateway.audit.evidence import find_units
from gateway.audit.htmlreport import ReportContext, render_report
from gateway.audit.judging import judge_unit
from tests import worlds
from tests.paths import PROJECT, VECTORS
from tests.programs import need

PAGE = (PROJECT / "docs" / "evidence.md").read_text(encoding="utf-8")
BATCH, ALONE = re.findall(r"```sh[^\n]*\n(.*?)```", PAGE, flags=re.DOTALL)


RECORDED = VECTORS / "recorded"


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
    recipe = re.sub(r"unzip -q -d (\S+) (\S+)", r"python3 -m zipfile -e \2 \1", recipe)
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


def commands_of(paths: list[Path], configuration: Path, language: str) -> tuple[str, str, list[str]]:
    """The report on some evidence, its commands that write certificates, and those of each container."""
    trust = load_configuration_folder(configuration, strict=False)
    judged = [j for unit in find_units(paths) for j in judge_unit(unit, trust)]
    context = ReportContext(language, worlds.NOW, "1", "America/Mexico_City", configuration)
    page = render_report(judged, trust, context)
    found = {
        kind: [
            html.unescape(text) for text in re.findall(rf'<pre class="{kind}">(.*?)</pre>', page, re.DOTALL)
        ]
        for kind in ("trust", "commands")
    }
    assert len(found["commands"]) == len(judged)
    return page, found["trust"][0], found["commands"]


def configuration_in(folder: Path) -> Path:
    with zipfile.ZipFile(io.BytesIO(render_verificationconf(worlds.world().configuration))) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.parametrize("language", ["es", "en"])
def test_the_commands_of_a_report_prove_each_container_of_ours_as_they_are_printed(
    language: str, tmp_path: Path
) -> None:
    made, evidence, empty = worlds.containers(), tmp_path / "it's evidence", tmp_path / "empty"
    evidence.mkdir()
    empty.mkdir()
    for name, content in made.items():
        (evidence / f"{name} [1].asice").write_bytes(content)
    with zipfile.ZipFile(evidence / "m[1].zip", "w") as bundle:
        bundle.writestr("a [1]*.asice", made["batch-both"])
    page, trust, commands = commands_of([evidence], configuration_in(tmp_path / "conf"), language)
    done = run("\n".join([trust, *commands]), empty)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Verification: OK") == done.stdout.count("Cert Status: good") == len(made) + 1
    assert ("el programa lo dice en inglés" in page, "signed by" in page) == (False, language == "en")


def test_the_commands_of_a_report_prove_recorded_containers_of_x_road(tmp_path: Path) -> None:
    files = [*sorted(RECORDED.glob("asice-*")), RECORDED / "mlog-x-road-3-containers.zip"]
    page, trust, commands = commands_of(files, RECORDED / "verificationconf-from-x-road", "es")
    done = run("\n".join([trust, *commands]), tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Verification: OK") == len(commands) == len(files) + 2
    assert "el programa lo dice en inglés" not in page


def test_the_commands_of_a_report_refuse_what_changed_after_it(tmp_path: Path) -> None:
    file, empty = tmp_path / "a.asice", tmp_path / "empty"
    empty.mkdir()
    file.write_bytes(worlds.containers()["batch-both"])
    _, trust, (command,) = commands_of([file], configuration_in(tmp_path / "conf"), "en")
    for name in ("message.xml", "attachment1", "META-INF/signatures.xml", "ts-hashchainresult.xml"):
        with zipfile.ZipFile(io.BytesIO(worlds.containers()["batch-both"])) as opened:
            content = opened.read(name)
        file.write_bytes(
            worlds.rezipped(worlds.containers()["batch-both"], {name: content + b" "}).getvalue()
        )
        assert run(f"{trust}\n{command}", empty).returncode != 0  # not the file of the report
        unasked = re.sub(r"^echo .*$", "rm -rf container-1", command, flags=re.MULTILINE)
        assert run(f"{trust}\n{unasked}", empty).returncode != 0, name
