"""The auditor's tool: every form of evidence, all outputs, going on after a kill, a report for a court, two sides compared."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from certs.edges.configurationfiles import render_verificationconf
from gateway.audit.evidence import find_units
from gateway.audit.judging import judge_unit
from gateway.audit.reconciling import reconcile
from gateway.audit.writing import SqliteReport
from gateway.cli.main import main
from schemas.asic.container import file_name, record_number
from schemas.zipwriting import render_zip
from tests import worlds

CONTAINERS = ("alone", "with-body", "response", "batch", "batch-with-body", "batch-timestamp", "batch-both")
AT = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("configuration")
    with zipfile.ZipFile(io.BytesIO(render_verificationconf(worlds.world().configuration))) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with containers, a bundle of them as /asic gives it, one that was changed, and something else."""
    folder = tmp_path_factory.mktemp("evidence")
    (folder / "deep").mkdir()
    made = worlds.containers()
    for number, name in enumerate(CONTAINERS):
        target = folder / "deep" / file_name(name, is_response=name == "response", record_id=number + 1)
        target.write_bytes(made[name])
    entries = [(f"m-request-{n}.asice", made[name]) for n, name in enumerate(("alone", "batch"), 1)]
    (folder / "m.zip").write_bytes(render_zip(entries, AT))
    (folder / "changed.asice").write_bytes(
        worlds.rezipped(made["alone"], {"message.xml": b"GET\r\n/r1/x\r\n"}).getvalue()
    )
    (folder / "notes.txt").write_text("no evidence")
    return folder


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, ["audit", *map(str, arguments)], input=stdin)


def test_a_folder_is_verified_into_every_output(configuration: Path, evidence: Path, tmp_path: Path) -> None:
    report, table = tmp_path / "r.sqlite", tmp_path / "r.csv"
    result = run(
        "verify", "--configuration", configuration, "--report", report, "--csv", table, "--jobs", 1, evidence
    )
    assert result.exit_code == 1, result.output
    assert "10 " in result.output.splitlines()[-1]
    assert "9 valid, 0 proved, 1 invalid, 0 unchecked" in result.output
    rows = list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))
    assert {r["verdict"] for r in rows if r["file"].endswith("changed.asice")} == {"invalid"}
    with sqlite3.connect(report) as database:
        counted = dict(database.execute("SELECT verdict, count(*) FROM judgement GROUP BY 1").fetchall())
        assert counted == {"valid": 9, "invalid": 1}
        steps = database.execute(
            "SELECT count(*) FROM step JOIN judgement ON judgement.id = judgement"
        ).fetchone()
        assert steps[0] >= 9 * 7
        metadata = json.loads(report.with_suffix(".metadata.json").read_text(encoding="utf-8"))
        for query in metadata["databases"]["*"]["queries"].values():
            database.execute(query["sql"], {"message_id": "q1"}).fetchall()
    again = run(
        "verify", "--configuration", configuration, "--report", report, "--summary", "--jobs", 1, evidence
    )
    assert again.exit_code == 1
    assert again.output.count("\n") == 1
    with sqlite3.connect(report) as database:
        assert database.execute("SELECT count(*) FROM judgement").fetchone()[0] == 10


def test_several_processes_and_one_say_the_same_of_files_bundles_and_standard_input(
    configuration: Path, evidence: Path
) -> None:
    def lines(*paths: object, jobs: int, stdin: bytes | None = None) -> set[tuple[str, str, str]]:
        result = run(
            "verify", "--configuration", configuration, "--json", "--jobs", jobs, *paths, stdin=stdin
        )
        found = [json.loads(line) for line in result.output.splitlines() if line.startswith("{")]
        return {(f["container"], f["sha256"], f["verdict"]) for f in found}

    assert lines(evidence, jobs=2) == lines(evidence, jobs=1)
    bundle = evidence / "m.zip"
    assert lines("-", jobs=1, stdin=bundle.read_bytes()) == lines(bundle, jobs=1)


def test_a_run_that_was_killed_goes_on_and_no_container_is_there_twice(
    configuration: Path, tmp_path: Path
) -> None:
    folder, report = tmp_path / "many", tmp_path / "r.sqlite"
    folder.mkdir()
    for number in range(250):
        (folder / f"{number}.asice").write_bytes(worlds.containers()["batch"])
    command = [sys.executable, "-m", "gateway", "audit", "verify", "--configuration", str(configuration)]
    command += ["--report", str(report), "--jobs", "1", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    for _ in range(150):
        process.stdout.readline()
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with sqlite3.connect(report) as database:
        before = database.execute("SELECT count(*) FROM unit").fetchone()[0]
        assert before >= 100, "what was printed long ago is on the disk"
        assert database.execute("SELECT count(*) FROM judgement").fetchone()[0] == before
    result = run(
        "verify", "--configuration", configuration, "--report", report, "--summary", "--jobs", 1, folder
    )
    assert result.exit_code == 0, result.output
    assert "250 valid" in result.output
    with sqlite3.connect(report) as database:
        assert database.execute("SELECT count(DISTINCT file), count(*) FROM judgement").fetchone() == (
            250,
            250,
        )


def test_a_file_that_changed_is_judged_again(configuration: Path, tmp_path: Path) -> None:
    file, report = tmp_path / "a.asice", SqliteReport(tmp_path / "r.sqlite")
    file.write_bytes(worlds.containers()["alone"])
    trust = worlds.world().configuration
    for count in (1, 0):
        left = list(report.left(find_units([file])))
        assert len(left) == count
        for unit in left:
            report.add(unit, list(judge_unit(unit, trust)))
    file.write_bytes(b"something else")
    assert len(list(report.left(find_units([file])))) == 1
    report.close()


@pytest.mark.parametrize(
    ("language", "words"),
    [("es", ("VÁLIDO", "Solicitud", "Sello de tiempo")), ("en", ("VALID", "Request", "Timestamp"))],
)
def test_a_court_reads_who_what_when_and_how_it_was_proved(
    language: str, words: tuple[str, ...], configuration: Path, evidence: Path, tmp_path: Path
) -> None:
    out = tmp_path / "report.html"
    result = run("report", "--configuration", configuration, "--lang", language, "--out", out, evidence)
    assert result.exit_code == 0, result.output
    text = out.read_text(encoding="utf-8")
    for wanted in (
        *words,
        "RFC 3161",
        "RFC 6960",
        "SHA-256",
        "America/Mexico_City",
        "openssl ts -verify",
        "xmlsec1",
    ):
        assert wanted in text, wanted
    assert "<script" not in text
    assert 'src="' not in text
    assert 'href="' not in text


def test_two_sides_are_compared(tmp_path: Path) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    a.mkdir()
    b.mkdir()
    world = worlds.world()
    request = world.request(message_id="both")
    answer = world.response(request)
    other = world.request(message_id="only-a")
    for side in (a, b):
        for place, message in enumerate((request, answer)):
            (side / f"{place}.asice").write_bytes(world.container(message, world.sign(message)[0]))
    (a / "2.asice").write_bytes(world.container(other, world.sign(other)[0]))
    lonely = world.response(world.request(message_id="lonely"))
    for side in (a, b):
        (side / "3.asice").write_bytes(world.container(lonely, world.sign(lonely)[0]))
    changed = (world.request(message_id="twisted"), world.request(message_id="twisted", body=b"other"))
    for side, message in zip((a, b), changed, strict=True):
        (side / "4.asice").write_bytes(world.container(message, world.sign(message)[0]))
    (b / "5.asice").write_bytes(b"no zip")
    found = reconcile(a, b)
    assert found.counts == (5, 5)
    assert {(d.what, d.message_id) for d in found.disagreements} == {
        ("only in A", "only-a"),
        ("answer without request in A", "lonely"),
        ("answer without request in B", "lonely"),
        ("digests differ", "twisted"),
    }
    assert len(found.unread) == 1
    assert run("reconcile", a, b).exit_code == 1
    assert run("reconcile", a, a).exit_code == 1  # the lonely answer


@pytest.mark.parametrize("number", [1, 31, 32, 1_000_000, 2**62])
def test_the_record_is_told_by_the_name_of_its_container(number: int) -> None:
    assert record_number(file_name("m-1", is_response=True, record_id=number)) == number
    for other in (
        "alt.asice",
        "m-1.asice",
        "copy-of-2.asice",
        "m-request-2.zip",
        "m-request-.asice",
        "m-request-é.asice",
    ):
        assert record_number(other) is None


def test_the_audit_log_of_administrators_is_still_proved(tmp_path: Path) -> None:
    result = run("verify", "--data", tmp_path / "none")
    assert result.exit_code != 0 or "records whole" in result.output or "íntegros" in result.output
    assert run("verify", tmp_path).exit_code == 2


def test_an_answer_timestamped_before_its_request_is_named(tmp_path: Path) -> None:
    world = worlds.world()
    later = replace(world, now=world.now + timedelta(minutes=5))
    a, b = tmp_path / "a", tmp_path / "b"
    for side, stamps in ((a, (later, world)), (b, (world, later))):
        side.mkdir()
        request = world.request(message_id="turned")
        for place, (stamping, message) in enumerate(
            zip(stamps, (request, world.response(request)), strict=True)
        ):
            for batch in (0, 3):
                signed = world.sign(message)[0]
                (side / f"{place}-{batch}.asice").write_bytes(
                    stamping.container(message, signed, batch=batch)
                )
    found = reconcile(a, b)
    assert {d.what for d in found.disagreements} == {"answer timestamped before request in A"}
    assert {d.message_id for d in found.disagreements} == {"turned"}
