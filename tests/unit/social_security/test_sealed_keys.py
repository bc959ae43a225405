"""The secret keys of a system are on disk sealed, and open with their passphrase only."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from benchmarks.governing import Governing
from serving.errors import OperatorError
from social_security.__main__ import main
from social_security.keys import load_registry_keys, new_registry_keys, save_registry_keys

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "una frase de prueba"


def test_keys_open_with_their_passphrase_only(tmp_path: Path) -> None:
    file, keys = tmp_path / "keys.json", new_registry_keys()
    save_registry_keys(file, keys, SECRET)
    assert load_registry_keys(file, SECRET) == keys
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for secret in (keys.pid.hex(), keys.cipher.hex(), keys.signing["d"]):
        assert secret not in file.read_text()
    with pytest.raises(OperatorError, match="passphrase is another one"):
        load_registry_keys(file, "otra frase de prueba")


def test_damaged_or_renamed_file_does_not_open(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    save_registry_keys(file, new_registry_keys(), SECRET)
    renamed = file.rename(tmp_path / "other.json")
    with pytest.raises(OperatorError, match="does not open"):
        load_registry_keys(renamed, SECRET)
    (tmp_path / "plain.json").write_text(json.dumps({"pid": "00"}))
    with pytest.raises(OperatorError, match="not sealed"):
        load_registry_keys(tmp_path / "plain.json", SECRET)


def test_short_passphrase_seals_nothing(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="at least 8"):
        save_registry_keys(tmp_path / "keys.json", new_registry_keys(), "corta")
    assert not (tmp_path / "keys.json").exists()


def test_keys_are_not_made_without_a_passphrase(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["seed", "--data", str(tmp_path / "r"), "--member", "00-RNSS"])
    assert done.exit_code == 2
    assert "--secret-file is needed" in done.output
    assert not (tmp_path / "r").exists()


def test_governing_keys_are_sealed_on_disk(tmp_path: Path) -> None:
    Governing(tmp_path).sign(b"{}")
    for number in (1, 2, 3):
        assert b"BEGIN ENCRYPTED PRIVATE KEY" in (tmp_path / f"llave-{number}.pem").read_bytes()
