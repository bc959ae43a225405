"""A PIN or password in a file that others can read is refused, whichever command is given it, with what to do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from central_server.cli.main import main as central
from gateway.cli.main import main as gateway
from serving.config.secret import read_secret_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o620, 0o602, 0o610, 0o777, 0o444])
def test_a_file_open_to_others_is_refused(tmp_path: Path, mode: int) -> None:
    (tmp_path / "pin").write_text("1234")
    (tmp_path / "pin").chmod(mode)
    with pytest.raises(ValueError, match=rf"mode {mode:o}\); chmod 600 ") as raised:
        read_secret_file(tmp_path / "pin")
    assert "1234" not in str(raised.value)


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700])
def test_its_owners_file_is_read_without_the_end_of_its_line(tmp_path: Path, mode: int) -> None:
    (tmp_path / "pin").write_text("1234\r\n")
    (tmp_path / "pin").chmod(mode)
    assert read_secret_file(tmp_path / "pin") == "1234"


def test_a_link_counts_as_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("1234")
    (tmp_path / "pin").chmod(0o644)
    (tmp_path / "link").symlink_to("pin")
    with pytest.raises(ValueError, match="chmod 600"):
        read_secret_file(tmp_path / "link")


def test_a_pipe_is_taken_as_it_is(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"1234\n")
    os.close(write)
    assert read_secret_file(tmp_path / f"/dev/fd/{read}") == "1234"
    os.close(read)


COMMANDS = {
    "gateway token change-pin": (gateway, ["token", "change-pin", "--pin-file"]),
    "gateway user add": (gateway, ["user", "add", "ana", "--role", "all", "--password-file"]),
    "gateway backup create": (gateway, ["backup", "create", "out", "--passphrase-file"]),
    "central-server init": (central, ["init", "--pin-file"]),
    "central-server user add": (central, ["user", "add", "ana", "--role", "all", "--password-file"]),
    "central-server backup create": (central, ["backup", "create", "out", "--passphrase-file"]),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_refuses_one(name: str, tmp_path: Path) -> None:
    (tmp_path / "open").write_text("Secret1234")
    (tmp_path / "open").chmod(0o644)
    (tmp_path / "data" / "token").mkdir(parents=True)
    main, words = COMMANDS[name]
    done = CliRunner().invoke(main, [*words, str(tmp_path / "open"), "--data", str(tmp_path / "data")])
    assert done.exit_code == 1, done.output
    assert "chmod 600" in done.output
