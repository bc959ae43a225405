"""CURPs as officers really get them: mistyped, another person's, her own former one, already enrolled. None breaks the registry."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from social_security.__main__ import main
from social_security.domain import pack
from tests.social import SECRET, seeded

FORMER, PRESENT = "CXJO040228MCHTRFZ0", "CXJO040229MCHTRFZ1"
ANA = "EEPA780514MMCJRN95"
FREE = "SABC560626MDFLRN01"
MALFORMED = (
    "", "EEPA780514MMCJRN94", "EEPA780514MMCJRN9O", "SABC560631MDFLRN06", "X", "ÑÑÑÑ780514MMCJRN95",
    "EEPA780514MMCJRN95EEPA780514MMCJRN95", "EEPA991331MMCJRN95", "EEPA780514QMCJRN95", "EEPA780514MZZJRN95",
    "'; DROP TABLE person; --", "\x00" * 18, "١٢٣٤٥٦٧٨٩٠١٢٣٤٥٦٧٨", "EEPA300514MMCJRNA5",
)  # fmt: skip


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """A seeded registry of its own."""
    folder = tmp_path / "00-RNSS"
    shutil.copytree(seeded() / "00-RNSS", folder)
    (tmp_path / "secret").write_text(SECRET, encoding="ascii")
    (tmp_path / "secret").chmod(0o600)
    (folder / "settings.toml").write_text(
        f'member = "00-RNSS"\n[keys_secret]\nfile = "{tmp_path / "secret"}"\n', encoding="ascii"
    )
    return folder


def officer(folder: Path, command: str, *arguments: str, text: str = "") -> Result:
    """One command; whatever it refuses, it says in a sentence."""
    result = CliRunner().invoke(
        main, ["officer", command, "--data", str(folder), *arguments], input=text, catch_exceptions=True
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result


def rows(folder: Path, sql: str) -> list[tuple[object, ...]]:
    """What stands in the registry."""
    connection = sqlite3.connect(folder / "registry.sqlite")
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def state(folder: Path) -> list[object]:
    """Everything of persons that a refused command must leave as it was."""
    return [rows(folder, f"SELECT * FROM {t} ORDER BY 1") for t in ("person", "curp_index", "link", "review")]


@pytest.mark.parametrize("curp", MALFORMED[1:])
def test_a_malformed_curp_is_refused_at_every_command_and_nothing_is_written(
    registry: Path, curp: str
) -> None:
    before = state(registry)
    enrol = officer(registry, "enrol", "--member", "14-IPEJAL", "--level", "2", text=f"{curp}\n")
    correct = officer(registry, "correct-curp", text=f"{ANA}\n{curp}\n")
    former = officer(registry, "correct-curp", text=f"{curp}\n{ANA}\n")
    review = officer(registry, "review", text=f"{ANA}\n{curp}\n")
    assert [r.exit_code for r in (enrol, correct, former, review)] == [1, 1, 1, 1]
    assert state(registry) == before


@pytest.mark.parametrize(
    "member", ["23-ISSQROO", "", "14-IPEJAL ", "MX/GOB/14-IPEJAL", "99-NADIE", "14-ipejal", "Ñ"]
)
def test_a_member_that_does_not_exist_is_refused_before_anything_is_written(
    registry: Path, member: str
) -> None:
    before = state(registry)
    made = officer(registry, "enrol", "--member", member, "--level", "2", text=f"{FREE}\n")
    given = officer(registry, "give-curp", "--member", member, "--pid", "X", text=f"{FREE}\n")
    assert (made.exit_code, given.exit_code) == (1, 1)
    assert state(registry) == before
    again = officer(registry, "enrol", "--member", "14-IPEJAL", "--level", "2", text=f"{FREE}\n")
    assert again.exit_code == 0, again.output


def test_a_person_enrolled_already_is_named_as_such_and_a_review_is_offered(registry: Path) -> None:
    before = state(registry)
    again = officer(registry, "enrol", "--member", "14-IPEJAL", "--level", "2", text=f"{ANA}\n")
    assert again.exit_code == 1
    assert "--review" in again.output
    assert state(registry) == before
    doubtful = officer(
        registry, "enrol", "--member", "14-IPEJAL", "--level", "2", "--review", text=f"{ANA}\n"
    )
    assert doubtful.exit_code == 0
    assert len(rows(registry, "SELECT * FROM review WHERE decided_by IS NULL")) == 1


def test_a_curp_of_another_person_is_not_given_and_a_review_is_offered(registry: Path) -> None:
    before = state(registry)
    for command in ("correct-curp",):
        refused = officer(registry, command, text=f"{FORMER}\n{ANA}\n")
        assert refused.exit_code == 1
        assert "--review" in refused.output
    assert state(registry) == before
    officer(registry, "correct-curp", "--review", text=f"{FORMER}\n{ANA}\n")
    assert len(rows(registry, "SELECT * FROM review")) == 1
    assert state(registry)[1] == before[1]


def test_a_correction_that_is_reverted_leads_back_to_the_former_curp(registry: Path) -> None:
    assert officer(registry, "correct-curp", text=f"{FORMER}\n{PRESENT}\n").exit_code == 0
    back = officer(registry, "correct-curp", text=f"{PRESENT}\n{FORMER}\n")
    assert back.exit_code == 0, back.output
    # One CURP of hers is the present one.
    counts = rows(registry, "SELECT rid, sum(is_current) FROM curp_index GROUP BY rid")
    assert {n for _, n in counts} == {1}


def test_a_curp_is_not_corrected_into_itself(registry: Path) -> None:
    assert officer(registry, "correct-curp", text=f"{ANA}\n{ANA}\n").exit_code == 1
    assert officer(registry, "review", text=f"{ANA}\n{ANA}\n").exit_code == 1


@pytest.mark.parametrize("pid", ["X", "", "C77536HD0CYA1RRC9HFC4CF1SRD", "VMP5P6A3TQ8FQZ4H1PX3GS1Q24R", "'"])
def test_a_pid_that_the_member_does_not_have_is_refused(registry: Path, pid: str) -> None:
    given = officer(registry, "give-curp", "--member", "14-IPEJAL", "--pid", pid, text=f"{FREE}\n")
    assert given.exit_code == 1


def test_a_curp_that_another_has_is_not_given_to_a_person_without_one(registry: Path) -> None:
    made = officer(registry, "enrol", "--member", "14-IPEJAL", "--level", "1", text="\n").output.strip()
    taken = officer(registry, "give-curp", "--member", "14-IPEJAL", "--pid", made, text=f"{ANA}\n")
    assert (taken.exit_code, "--review" in taken.output) == (1, True)
    given = officer(registry, "give-curp", "--member", "14-IPEJAL", "--pid", made, text=f"{FREE}\n")
    assert given.exit_code == 0, given.output


def test_a_level_rises_by_an_evidence_that_is_kept_and_never_falls_by_one(registry: Path) -> None:
    made = officer(
        registry, "enrol", "--member", "14-IPEJAL", "--level", "1", text=f"{FREE}\n"
    ).output.strip()

    def rise(level: str, digest: str = "a" * 64, issuer: str = "INE") -> Result:
        return officer(
            registry, "raise-level", "--member", "14-IPEJAL", "--pid", made, "--level", level, "--evidence",
            "CREDENCIAL", "--issuer", issuer, "--sha256", digest,
        )  # fmt: skip

    assert rise("2", "corto").exit_code == 1
    assert rise("2", issuer=" ").exit_code == 1
    assert rise("2").exit_code == 0
    assert rise("2").exit_code == 1
    assert rise("1").exit_code == 1
    assert rows(registry, "SELECT type, issuer, sha256 FROM evidence") == [("CREDENCIAL", "INE", "a" * 64)]


def test_every_member_of_the_pack_can_enrol(registry: Path) -> None:
    assert "15-ISSEMYM" in pack.members()
    assert (
        officer(registry, "enrol", "--member", "15-ISSEMYM", "--level", "2", text=f"{FREE}\n").exit_code == 0
    )
