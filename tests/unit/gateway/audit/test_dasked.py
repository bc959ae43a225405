"""The auditor's tool beyond one machine: on Dask's workers and out of an object store, with the same verdicts, a worker killed midway."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from certs.edges.configurationfiles import read_configuration_files, render_verificationconf
from gateway.audit.daskpool import drawn
from gateway.audit.evidence import EvidenceUnit, find_units
from gateway.audit.judging import Judgement
from gateway.audit.running import judge_all
from schemas.asic.container import file_name
from schemas.zipwriting import render_zip
from serving.storage.objects import objects_at, open_object
from tests import worlds
from tests.objectstore import BUCKET, SECRET, ObjectStore, serve_objects

AT = datetime(2026, 1, 2, tzinfo=UTC)
FILES, EACH = 12, 30


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("configuration")
    with zipfile.ZipFile(io.BytesIO(render_verificationconf(worlds.world().configuration))) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bundles of containers, some of which were changed, and a container by itself."""
    folder, made = tmp_path_factory.mktemp("evidence"), worlds.containers()
    changed = worlds.rezipped(made["alone"], {"message.xml": b"GET\r\n/r1/x\r\n"}).getvalue()
    for number in range(FILES):
        entries = [(f"m{n}-request-{n}.asice", made["batch"] if n % 7 else changed) for n in range(EACH)]
        (folder / f"m{number:03}.zip").write_bytes(render_zip(entries, AT))
    (folder / file_name("alone", is_response=False, record_id=1)).write_bytes(made["alone"])
    return folder


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with import_module("distributed").Client(
        n_workers=2, threads_per_worker=1, dashboard_address=None
    ) as made:
        yield made


def told(found: Iterator[tuple[EvidenceUnit, list[Judgement]]]) -> dict[str, list[Judgement]]:
    """The judgements by the names of their files."""
    return {Path(unit.path).name: judgements for unit, judgements in found}


def here(evidence: Path, configuration: Path) -> dict[str, list[Judgement]]:
    return told(judge_all(find_units([evidence]), configuration, 1))


@pytest.mark.parametrize("alone", [True, False], ids=["one worker", "all of them"])
def test_a_worker_that_is_killed_midway_changes_no_verdict(
    client: Any, evidence: Path, configuration: Path, *, alone: bool
) -> None:
    found, killed = {}, list[int]()
    files = read_configuration_files(configuration)
    for unit, judgements in drawn(client, find_units([evidence]), files, at_once=1):
        assert Path(unit.path).name not in found  # each once, also those that were begun twice
        found[Path(unit.path).name] = judgements
        if not killed:
            killed = list(client.run(os.getpid).values())
            for process in killed[: 1 if alone else None]:
                os.kill(process, signal.SIGKILL)
    assert len(killed) == 2
    assert found == here(evidence, configuration)
    assert sum(j.verdict == "invalid" for judgements in found.values() for j in judgements) == FILES * 5


def test_what_is_in_an_object_store_is_judged_as_what_is_in_a_folder(
    client: Any, evidence: Path, configuration: Path
) -> None:
    there = list(find_units([f"file://{evidence}"]))
    assert len(there) == FILES + 1
    found = told(drawn(client, iter(there), read_configuration_files(configuration)))
    for name, judgements in here(evidence, configuration).items():
        assert [j.row() | {"file": ""} for j in found[name]] == [j.row() | {"file": ""} for j in judgements]
    # An object that is gone by then is said, and stops nothing.
    gone = [EvidenceUnit(f"file://{evidence}/gone.asice", stamp="1"), there[0]]
    verdicts = told(drawn(client, iter(gone), read_configuration_files(configuration)))
    assert [j.verdict for j in verdicts["gone.asice"]] == ["unchecked"]
    assert len(verdicts) == 2
    with pytest.raises(OSError, match="cannot be listed"):
        list(find_units(["unknown-scheme://bucket/prefix"]))


@pytest.mark.parametrize("name", ["año #1", "a?b=c", "100%", "%23", "a b", "a;b", "a@b:c"])
def test_an_object_s_name_is_no_url(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir()
    (folder / f"{name}.asice").write_bytes(name.encode())
    ((address, _stamp, size),) = objects_at(f"file://{folder}", (".asice",))
    with open_object(address) as found:
        assert found.read() == name.encode()
    assert size == len(name.encode())


@pytest.mark.processes
def test_the_command_verifies_on_dask_with_the_same_count(evidence: Path, configuration: Path) -> None:
    counts = Counter(j.verdict for found in here(evidence, configuration).values() for j in found)
    program = [sys.executable, "-m", "gateway", "audit", "verify", "--configuration", str(configuration)]
    done = subprocess.run(
        [*program, "--summary", "--dask", "local", "--jobs", "2", str(evidence)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert f"{counts['valid']} valid" in done.stdout
    assert f"{counts['invalid']} invalid" in done.stdout


@pytest.mark.processes
async def test_the_command_verifies_a_bucket_with_the_same_count_and_says_when_it_may_not(
    evidence: Path, configuration: Path
) -> None:
    some = [evidence / f"m{number:03}.zip" for number in range(3)]
    judged = judge_all(find_units(some), configuration, 1)
    counts = Counter(j.verdict for _, found in judged for j in found)
    program = [sys.executable, "-m", "gateway", "audit", "verify", "--configuration", str(configuration)]

    async def run(address: str, environment: dict[str, str]) -> tuple[int | None, str]:
        process = await asyncio.create_subprocess_exec(
            *(*program, "--summary", "--jobs", "2", address),
            env={**os.environ, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        told_of = (await process.communicate())[0].decode()
        return process.returncode, told_of

    async with serve_objects(ObjectStore(page=2)) as store:
        store.objects = {f"año 1/{p.name}": p.read_bytes() for p in some}
        store.objects["another/m.zip"] = b"not below what is asked for"
        code, told_of_all = await run(f"s3://{BUCKET}/año 1", store.environment())
        assert code == 1
        assert f"{counts['valid']} valid" in told_of_all
        assert f"{counts['invalid']} invalid" in told_of_all
        for address, secret, said in (
            (f"s3://{BUCKET}/año 1", "another secret", "SignatureDoesNotMatch"),
            ("s3://no-such-bucket", SECRET, "NoSuchBucket"),
        ):
            code, refused = await run(address, store.environment(secret))
            assert code == 2
            assert "cannot be listed" in refused
            assert said in refused
            assert "Debug" not in refused
            assert "Traceback" not in refused
