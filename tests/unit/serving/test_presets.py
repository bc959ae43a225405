"""Country presets are settings that both servers take, and a founded server begins with them."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from central_server.cli.main import main as central_command
from central_server.config import load as load_central
from certs.dev.__main__ import registry_lines
from certs.dev.authority import DevPki
from certs.profiles import STANDARD_PROFILES
from gateway.settings.config import load as load_gateway
from serving.config.presets import preset_names, read_preset, render_settings

if TYPE_CHECKING:
    from pathlib import Path


def test_there_are_presets_of_three_countries() -> None:
    assert set(preset_names()) >= {"mx", "fi", "ee"}
    with pytest.raises(ValueError, match="there are: ee, fi, mx"):
        read_preset("xx")


@pytest.mark.parametrize("name", preset_names())
@pytest.mark.xroad("F006")
def test_a_preset_is_settings_that_both_servers_take_and_a_profile_that_is_known(
    name: str, tmp_path: Path
) -> None:
    preset, file = read_preset(name), tmp_path / "settings.toml"
    file.write_text(render_settings(preset.gateway, "x"), encoding="utf-8")
    taken = load_gateway(file, {})
    assert taken.keys.sign_kind.value == preset.gateway["keys"]["sign_kind"]
    file.write_text(render_settings(preset.central, "x"), encoding="utf-8")
    assert load_central(file, {}).publishing.key_kind == preset.central["publishing"]["key_kind"]
    STANDARD_PROFILES.named(preset.registry.profile)


@pytest.mark.parametrize(("name", "profile"), [("mx", "Basic"), ("fi", "FiVRK"), ("ee", "SkKlass3")])
@pytest.mark.xroad("F006")
def test_an_instance_is_founded_with_what_its_preset_says(name: str, profile: str, tmp_path: Path) -> None:
    trust = tmp_path / "ca"
    (trust / "registry.toml").parent.mkdir()
    pki = DevPki.open(trust)
    (trust / "registry.toml").write_text(registry_lines(pki, "127.0.0.1", [8888]), encoding="utf-8")
    data = tmp_path / "central"
    done = CliRunner().invoke(
        central_command,
        [
            "bootstrap", "--data", str(data), "--pin-file", str(tmp_path / "pin"), "--instance", "XX",
            "--address", "central.example:8080", "--owner", "GOV/1", "--name", "Owner",
            "--trust", str(trust / "registry.toml"), "--preset", name, "--kind", "ec-p256",
        ],
        env={"SACBE_LANG": "en"},
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    out = CliRunner().invoke(central_command, ["export", "--data", str(data), str(tmp_path / "out.toml")])
    assert out.exit_code == 0, out.output
    registry = tomllib.loads((tmp_path / "out.toml").read_text(encoding="utf-8"))
    assert f".{profile}Certificate" in registry["ca"][0]["profile"]
    assert registry["management_service"] == "XX/GOV/1/MANAGEMENT"
    assert (data / "anchor.xml").exists()
    assert (data / "settings.toml").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--owner", "GOV", "is not class/code"),
        ("--address", "no such name", "is no name and no IP"),
        ("--address", "-", "is no name and no IP"),
        ("--instance", "X/Y", "instance"),
    ],
)
def test_what_cannot_be_founded_is_refused_before_anything_is_registered(
    option: str, value: str, said: str, tmp_path: Path
) -> None:
    words = {
        "--instance": "XX",
        "--address": "c.example",
        "--owner": "GOV/1",
        "--name": "Owner",
        option: value,
    }
    done = CliRunner().invoke(
        central_command,
        [
            "bootstrap", "--data", str(tmp_path / "c"), "--pin-file", str(tmp_path / "pin"), "--kind", "ec-p256",
            *(word for pair in words.items() for word in pair),
        ],
        env={"SACBE_LANG": "en"},
    )  # fmt: skip
    assert done.exit_code == 1
    assert said in done.output
    assert not (tmp_path / "c" / "anchor.xml").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[ca]]\ncertificate = "not-there.pem"\n', "not-there.pem"),
        ('[[tsa]]\ncertificate = "trust.toml"\nurl = "http://t"\nname = "T"\n', "certificate"),
        ("[[ca]]\nno_such_field = 1\n", "no_such_field"),
        ("not TOML", "trust.toml"),
    ],
)
def test_authorities_that_cannot_be_read_are_said_before_anything_is_made(
    text: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "trust.toml").write_text(text, encoding="utf-8")
    words = [
        "bootstrap", "--data", str(tmp_path / "c"), "--pin-file", str(tmp_path / "pin"), "--instance", "XX", "--address",
        "c.example", "--owner", "GOV/1", "--name", "Owner", "--trust", str(tmp_path / "trust.toml"),
    ]  # fmt: skip
    done = CliRunner().invoke(central_command, words, env={"SACBE_LANG": "en"})
    assert done.exit_code == 1
    assert said in done.output
    assert not (tmp_path / "c").exists()
    assert not (tmp_path / "pin").exists()
