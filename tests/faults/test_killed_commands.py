"""A command of an institute or of the registry that is killed anywhere: the same command again comes to the same end."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from serving.errors import OperatorError
from serving.storage.database import Database
from social_security.__main__ import main
from social_security.importing.layouts import PERIODS
from social_security.importing.quality import QualityReport
from social_security.institute.stores.steps import STEPS
from social_security.newfiles import NewFile, new_file, new_folder
from social_security.registry.tables import STEPS as REGISTRY_STEPS
from tests.unit.social_security.test_init_and_import import CURPS

# Kills itself at a call of a function, before it or after it.
DRIVER = """
import os, pkgutil, signal, sys
place, name, at, after = sys.argv[1].rpartition(".")[0], sys.argv[1].rpartition(".")[2], int(sys.argv[2]), sys.argv[3] == "after"
from social_security.importing import rows
rows.BATCH = 40
module = pkgutil.resolve_name(place)
former, calls = getattr(module, name), 0
def killed(*a, **k):
    global calls
    calls += 1
    if calls == at and not after:
        os.kill(os.getpid(), signal.SIGKILL)
    done = former(*a, **k)
    if calls == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return done
setattr(module, name, killed)
from social_security.__main__ import main
main(sys.argv[4:])
"""


def kill(at: str, number: int, after: str, *arguments: object) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, at, str(number), after, *map(str, arguments)], capture_output=True, timeout=120, check=False
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


def again(*arguments: object, code: int) -> str:
    done = CliRunner().invoke(main, [str(a) for a in arguments])
    assert done.exit_code == code, done.output
    return done.output


def member(place: Path, code: str = "15-ISSEMYM") -> Path:
    (place / "secret").write_text("una frase de prueba")
    (place / "secret").chmod(0o600)
    if code != "00-RNSS" and not (place / "00-RNSS").exists():
        member(place, "00-RNSS")
    more = [] if code == "00-RNSS" else ["--registry-key", place / "00-RNSS" / "public-key.json"]
    again("init", "--data", place / code, "--member", code, "--secret-file", place / "secret", *more, code=0)
    return place / code


@pytest.mark.parametrize(
    ("at", "number", "after"),
    [
        ("social_security.importing.rows.measure", 1, "before"),
        ("social_security.importing.rows._write", 1, "before"),
        ("social_security.importing.rows._write", 1, "after"),
        ("social_security.importing.rows._write", 2, "after"),
        ("social_security.importing.rows._write", 3, "after"),
        ("social_security.commands.importing.queue_announcements", 1, "before"),
        ("social_security.commands.importing.queue_announcements", 1, "after"),
        ("social_security.newfiles.os.fsync", 1, "after"),
    ],
)
def test_the_same_import_goes_on_after_a_kill_and_its_report_is_whole(
    tmp_path: Path, at: str, number: int, after: str
) -> None:
    folder = member(tmp_path)
    books = Database(folder / "institute.sqlite", STEPS)
    books.query("INSERT INTO affiliation VALUES ('P', 'E-1', 'r', 'ACTIVA', '2000-01-01', NULL, 2)")
    rows = [f"{n},E-{1 + (n % 10 == 5)},2001-01-01,2001-01-02,11,0,0,SEDUC,1" for n in range(100)]
    file = tmp_path / "p.csv"
    file.write_text("\n".join((",".join(PERIODS), *rows)) + "\n", encoding="utf-8")
    command = ("import", "--data", folder, "--member", "15-ISSEMYM", "--kind", "periodos", "--report")
    kill(at, number, after, *command, tmp_path / "r.csv", file)
    assert not (tmp_path / "r.csv").exists()
    again(*command, tmp_path / "r.csv", file, code=3)
    assert books.query("SELECT count(*) FROM period") == [(90,)]
    assert books.query("SELECT count(*) FROM announced WHERE history = 1") == [(1,)]
    books.close()
    # As a run that nobody killed reports it.
    again(*command, tmp_path / "plain.csv", "--dry-run", file, code=3)
    assert (tmp_path / "r.csv").read_text() == (tmp_path / "plain.csv").read_text()
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith(".part")] == []
    assert "is there already" in again(*command, tmp_path / "r.csv", file, code=1)


@pytest.mark.parametrize(
    ("at", "number", "after"),
    [
        ("social_security.commands.enrolment.new_file", 1, "before"),
        ("social_security.newfiles.sync_folder", 1, "after"),
        ("social_security.newfiles.os.fsync", 2, "after"),
    ],
)
def test_the_same_enrolment_gives_the_same_pseudonyms_after_a_kill(
    tmp_path: Path, at: str, number: int, after: str
) -> None:
    registry = member(tmp_path, "00-RNSS")
    file, out = tmp_path / "personas.csv", tmp_path / "pids.csv"
    file.write_text(f"expediente,curp,nivel\nE-1,{CURPS[0]},2\nE-2,{CURPS[1]},2\n", encoding="utf-8")
    command = ("officer", "import-persons", "--data", registry, "--member", "15-ISSEMYM", "--out")
    kill(at, number, after, *command, out, "--report", tmp_path / "r.csv", file)
    again(*command, out, "--report", tmp_path / "r.csv", file, code=0)
    again(*command, tmp_path / "more.csv", "--report", tmp_path / "r2.csv", file, code=0)
    assert out.read_text() == (tmp_path / "more.csv").read_text()
    assert len(out.read_text().splitlines()) == 3
    again(*command, out, "--report", tmp_path / "r3.csv", file, code=1)


def test_a_hand_over_that_was_killed_is_no_folder_and_is_made_whole_by_the_same_command(
    tmp_path: Path,
) -> None:
    folder = member(tmp_path)
    command = ("hand-over", "--data", folder, "--out", tmp_path / "out")
    kill("social_security.commands.handover.write_rows", 4, "after", *command)
    assert not (tmp_path / "out").exists()
    again(*command, code=0)
    assert len(list((tmp_path / "out").iterdir())) == 7
    again(*command, code=1)


def test_two_runs_at_once_do_not_write_one_report(tmp_path: Path) -> None:
    first = NewFile(tmp_path / "r.csv")
    first.text.write("one")
    with pytest.raises(OperatorError, match="another process"):
        QualityReport(tmp_path / "r.csv")
    first.publish()
    assert (tmp_path / "r.csv").read_text() == "one"
    with pytest.raises(OperatorError, match="there already"):
        QualityReport(tmp_path / "r.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["r.csv"]


def test_what_is_broken_off_leaves_no_new_file_and_follows_no_link(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_file(tmp_path / "a"):
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "b") as part:
        (part / "x").write_text("x")
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "kept").write_text("kept")
    (tmp_path / "a.part").symlink_to(tmp_path / "kept")
    with pytest.raises(OSError, match="symbolic"):
        NewFile(tmp_path / "a")
    assert (tmp_path / "kept").read_text() == "kept"


@pytest.mark.parametrize(
    ("at", "after"),
    [
        ("social_security.registry.store.take_states", "after"),
        ("social_security.registry.store.AccessStore.put", "after"),
        ("social_security.newfiles.os.fsync", "before"),
    ],
)
def test_a_state_of_a_curp_is_never_taken_without_the_line_in_her_access_log(
    tmp_path: Path, at: str, after: str
) -> None:
    registry = member(tmp_path, "00-RNSS")
    file = tmp_path / "personas.csv"
    file.write_text(f"expediente,curp,nivel\nE-1,{CURPS[0]},2\n", encoding="utf-8")
    again("officer", "import-persons", "--data", registry, "--member", "15-ISSEMYM", "--out", tmp_path / "p", "--report",
          tmp_path / "r", file, code=0)  # fmt: skip
    feed = tmp_path / "renapo.csv"
    feed.write_text(f"curp,estado,desde,curp_vigente\n{CURPS[0]},AN,2026-02-01,\n", encoding="utf-8")
    command = ("officer", "curp-states", "--data", registry, "--report", tmp_path / "out.csv", feed)
    kill(at, 1, after, *command)
    again(*command, code=0)
    books = Database(registry / "registry.sqlite", REGISTRY_STEPS)
    lines = books.query("SELECT count(*) FROM person_access WHERE action = 'Estado de la CURP según RENAPO'")
    books.close()
    assert lines == [(1,)]
