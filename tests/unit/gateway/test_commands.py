"""What a command cannot do is one line for a person and exit status 1, never a stack trace."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from gateway.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

WANTED = '[[client]]\nid = "MX/GOB/15-ISSEMYM/AFIL"\n'


@pytest.mark.parametrize("what", ["backup", "apply"])
def test_before_init_a_command_says_what_to_do_first(what: str, tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("frase de paso")
    (tmp_path / "gateway.toml").write_text(WANTED)
    arguments = {
        "backup": [
            "backup",
            "create",
            "--passphrase-file",
            str(tmp_path / "passphrase"),
            str(tmp_path / "b.age"),
        ],
        "apply": ["apply", str(tmp_path / "gateway.toml")],
    }[what]
    result = CliRunner().invoke(main, [*arguments, "--data", str(tmp_path / "data")])
    assert result.exit_code == 1
    assert "run 'gateway init' first" in result.output
    assert not (tmp_path / "b.age").exists()


def test_a_missing_pin_file_is_named(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        main, ["serve", "--data", str(tmp_path / "data"), "--pin-file", str(tmp_path / "no-such-file")]
    )
    assert result.exit_code == 1
    assert "no-such-file" in result.output
