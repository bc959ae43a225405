"""Every command of both programs on a folder without a server, with values that are nothing it knows."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from central_server.cli.main import main as central_command
from gateway.cli.main import main as gateway_command
from serving.cli.serverfolder import ServerFolder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = {"gateway": gateway_command, "central-server": central_command}
# These run until told to stop, and their own tests tell them to.
STAYING = {("serve",), ("proxy", "serve"), ("signer",)}
HOSTILE = "MX/GOB/ñ\u202e\x1b[31m"


def leaves(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, inner in command.commands.items():
        yield from leaves(inner, (*path, name))


COMMANDS = [
    (p, *leaf) for p, program in PROGRAMS.items() for leaf in leaves(program) if leaf[0] not in STAYING
]


def value(parameter: click.Parameter, folder: Path) -> str:
    kind = parameter.type
    if isinstance(kind, click.Choice):
        return str(kind.choices[0])
    return {"integer": "7", "integer range": "7", "float": "1.5", "datetime": "2026-01-02"}.get(
        kind.name, str(folder / "a-file") if isinstance(kind, click.Path | click.File) else HOSTILE
    )


def words(path: tuple[str, ...], command: click.Command, data: Path, folder: Path) -> list[str]:
    given = list(path)
    for parameter in command.params:
        name = parameter.opts[0]
        if parameter.name == "data":
            given += [name, str(data)]
        elif isinstance(parameter, click.Argument):
            given += [value(parameter, folder)] if parameter.required else []
        elif parameter.name == "pin_file":
            given += [name, str(folder / "a-file")]
        elif parameter.name == "wait":
            given += [name, "1"]
        elif parameter.required:
            given += [name, value(parameter, folder)]
    return given


@pytest.mark.parametrize(
    ("program", "path", "command"),
    COMMANDS,
    ids=lambda c: c if isinstance(c, str) else "-".join(c) if isinstance(c, tuple) else "",
)
def test_a_command_says_in_a_line_what_is_wrong_and_makes_nothing(
    program: str,
    path: tuple[str, ...],
    command: click.Command,
    tmp_path: Path,
) -> None:
    (tmp_path / "a-file").write_bytes(b"\xff\xfe not \x00 what was expected")
    (tmp_path / "empty").mkdir()
    needs_server = any(isinstance(p.type, ServerFolder) for p in command.params)
    with contextlib.chdir(tmp_path):
        done = CliRunner().invoke(PROGRAMS[program], words(path, command, tmp_path / "empty", tmp_path))
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exc_info
    assert "Traceback" not in done.output
    assert "\x1b" not in done.output
    if needs_server:
        assert done.exit_code == 1, done.output
        assert str(tmp_path / "empty") in done.output.replace("\n", "")
        assert not list((tmp_path / "empty").iterdir())
