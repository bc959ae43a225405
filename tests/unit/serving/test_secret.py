"""Secrets from a file, the environment or a command; what is wrong is said, the secret never."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from serving.config.secret import SecretSource


def written(folder: Path, text: str, mode: int = 0o600) -> str:
    path = folder / "pin"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_each_place_gives_its_secret(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "print('from command'); print('more')")
    assert SecretSource(file=written(tmp_path, "from file\n")).read({}) == "from file"
    assert SecretSource(environment="PIN").read({"PIN": "from environment"}) == "from environment"
    assert SecretSource(command=command).read({}) == "from command"


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (SecretSource(), "exactly one"),
        (SecretSource(environment="PIN", file="x"), "exactly one"),
        (SecretSource(environment="PIN"), "variable PIN holds no secret"),
        (SecretSource(file="/nowhere/pin"), "cannot be read"),
        (SecretSource(command=("/nowhere/program",)), "gave no secret"),
        (SecretSource(command=(sys.executable, "-c", "raise SystemExit('s3cret')")), "gave no secret"),
    ],
)
def test_what_gives_no_secret_is_named(source: SecretSource, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        source.read({})
    assert "s3cret" not in str(caught.value)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="chmod 600"):
        SecretSource(file=written(tmp_path, "1234", 0o644)).read({})
