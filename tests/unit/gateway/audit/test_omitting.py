"""What a list of accesses leaves out is found in the evidence of those who asked its keeper, and by nothing that is not proved."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from certs.edges.configurationfiles import render_verificationconf
from gateway.cli.audit import audit_group
from schemas.identifiers import ClientId
from schemas.zipwriting import render_zip
from tests import worlds

CURP, SHE = "GOMC800101MDFXXX09", "another person"
WORLD = worlds.world()
LATER = replace(WORLD, now=WORLD.now + timedelta(hours=1))


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    folder = tmp_path / "configuration"
    with zipfile.ZipFile(io.BytesIO(render_verificationconf(WORLD.configuration))) as archive:
        archive.extractall(folder)
    return folder


def run(configuration: Path, *arguments: object) -> Result:
    return CliRunner().invoke(
        audit_group(), ["omitted", "--configuration", str(configuration), *(str(a) for a in arguments)]
    )


def asked(
    message_id: str, body: bytes, client: ClientId = worlds.CONSUMER, world: worlds.World = WORLD
) -> bytes:
    """The container of a request as the log of whoever asked has it."""
    request = world.request(message_id=message_id, body=body, client=client)
    return world.container(request, world.sign(request)[0], body=body, batch=2)


def answered(message_id: str, body: bytes) -> bytes:
    """The container of an answer with the person in it, whose request names her by a file number."""
    response = WORLD.response(WORLD.request(message_id=message_id, body=b'{"folio": 7}'), body=body)
    return WORLD.container(response, WORLD.sign(response)[0], body=body)


def page(folder: Path, ids: Sequence[str], number: int = 1, world: worlds.World = LATER) -> Path:
    """The container of the keeper's answer with a page of the list."""
    body = json.dumps(
        {"totalUsages": len(ids), "usages": [{"messageId": i, "action": "consulta"} for i in ids]}
    ).encode()
    response = world.response(world.request(message_id=f"list-{number}", body=b"{}"), body=body)
    file = folder / f"list-{number}.asice"
    file.write_bytes(world.container(response, world.sign(response)[0], body=body))
    return file


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """The evidence of those who asked: five exchanges about her, in files, a bundle and a case of letters, and one of another."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    about = json.dumps({"pid": CURP}).encode()
    (folder / "1.asice").write_bytes(asked("m-1", about))
    bundled = [("2.asice", asked("m-2", about, worlds.STRANGER)), ("3.asice", asked("m-3", about.lower()))]
    (folder / "bundle.zip").write_bytes(render_zip(bundled, WORLD.now))
    (folder / "4.asice").write_bytes(answered("m-4", about))
    (folder / "5.asice").write_bytes(asked("m-5", b"x" * 300_000 + about))
    (folder / "6.asice").write_bytes(asked("m-6", SHE.encode()))
    return folder


def test_each_line_that_is_left_out_is_found_by_the_other_sides_log(
    configuration: Path, theirs: Path, tmp_path: Path
) -> None:
    every = [f"m-{n}" for n in range(1, 6)]
    whole = run(configuration, "--list", page(tmp_path, every), "--word", CURP, theirs)
    assert (whole.exit_code, "5 exchanges about the person; left out: 0" in whole.output) == (0, True), (
        whole.output
    )
    for left_out in every:
        listed = page(tmp_path, [i for i in every if i != left_out])
        found = run(configuration, "--list", listed, "--word", CURP, "--json", theirs)
        assert found.exit_code == 1, found.output
        (line,) = [json.loads(text) for text in found.output.splitlines() if text.startswith("{")]
        assert (line["message_id"], line["certain"]) == (left_out, True)
    # In two pages, none of which has all.
    pages = [*("--list", page(tmp_path, every[:2])), *("--list", page(tmp_path, every[2:], 2))]
    assert run(configuration, *pages, "--word", CURP, theirs).exit_code == 0
    # Another name of the field, and an id that stands elsewhere in the list than in a line: it is not listed.
    assert run(configuration, *pages, "--name", "action", "--word", CURP, theirs).exit_code == 1
    other = run(configuration, "--list", page(tmp_path, []), "--word", SHE, "--word", "nobody", theirs)
    assert (other.exit_code, other.output.count("left out: m-6")) == (1, 1), other.output


@pytest.mark.parametrize("word", ["", "  "])
def test_a_blank_word_is_refused_for_it_would_find_nothing_left_out(
    configuration: Path, theirs: Path, tmp_path: Path, word: str
) -> None:
    refused = run(configuration, "--list", page(tmp_path, []), "--word", CURP, "--word", word, theirs)
    assert (refused.exit_code, "left out" in refused.output) == (2, False), refused.output
    assert "a blank word came" in refused.output


def test_what_came_after_the_list_or_is_not_proved_is_not_held_against_it(
    configuration: Path, tmp_path: Path
) -> None:
    folder, about = tmp_path / "evidence", json.dumps({"pid": CURP}).encode()
    folder.mkdir()
    listed = page(tmp_path, ["m-1"])
    (folder / "1.asice").write_bytes(asked("m-1", about))
    (folder / "later.asice").write_bytes(
        asked("m-2", about, world=replace(LATER, now=LATER.now + timedelta(hours=1)))
    )
    (folder / "own.asice").write_bytes(asked("list-1", about))  # the question for the list itself
    assert run(configuration, "--list", listed, "--word", CURP, folder).exit_code == 0
    forged = worlds.rezipped(asked("m-3", about), {"attachment1": about + b" "})
    (folder / "forged.asice").write_bytes(forged.getvalue())
    (folder / "none.asice").write_bytes(b"no zip")
    found = run(configuration, "--list", listed, "--word", CURP, folder)
    assert found.exit_code == 2
    assert "m-3" not in found.output
    assert (found.output.count("forged.asice"), found.output.count("none.asice")) == (1, 1)


def test_a_list_is_a_proved_answer_of_one_member(configuration: Path, theirs: Path, tmp_path: Path) -> None:
    listed = page(tmp_path, ["m-1"])
    changed, text, request = (tmp_path / f"{name}.asice" for name in ("changed", "text", "request"))
    changed.write_bytes(
        worlds.rezipped(
            listed.read_bytes(), {"attachment1": b'{"usages": [{"messageId": "m-2"}]}'}
        ).getvalue()
    )
    answer = LATER.response(LATER.request(), body=b"no JSON")
    text.write_bytes(LATER.container(answer, LATER.sign(answer)[0], body=b"no JSON"))
    request.write_bytes(asked("m-9", b'{"messageId": "m-1"}'))
    for files, said in (
        ([changed], "is not valid"),
        ([text], "is not JSON"),
        ([listed, request], "signed by one member"),
    ):
        options = [word for file in files for word in ("--list", file)]
        found = run(configuration, *options, "--word", CURP, theirs)
        assert (found.exit_code, said in found.output) == (2, True), found.output
