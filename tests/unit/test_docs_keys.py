"""What docs/keys.md shows works: every block of settings is accepted, the profile reads a member, every command exists."""

from __future__ import annotations

import re
import tomllib

import click
import msgspec
import pytest

from certs.profiledata import parse_profiles
from gateway.cli.main import main
from gateway.settings.config import GatewaySettings
from tests.paths import PROJECT

PAGES = [(PROJECT / "docs" / name).read_text(encoding="utf-8") for name in ("keys.md", "llaves.md")]
BLOCKS = [
    re.sub(r"^    ", "", block, flags=re.MULTILINE)
    for page in PAGES
    for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", page, flags=re.MULTILINE)
]


@pytest.mark.parametrize(
    "block", [b for b in BLOCKS if b.lstrip().startswith("[") and "[[profile]]" not in b]
)
def test_settings_that_are_shown_are_accepted(block: str) -> None:
    assert msgspec.convert(tomllib.loads(block), GatewaySettings, strict=False) != GatewaySettings()


def test_the_profile_that_is_shown_is_one() -> None:
    (block,) = (b for b in BLOCKS if "[[profile]]" in b)
    assert parse_profiles(block)[0].name == "Efirma"


def test_commands_that_are_shown_exist() -> None:
    shown = {
        tuple(line.partition("#")[0].split()[1:3])
        for b in BLOCKS
        for line in b.splitlines()
        if line.startswith("gateway ")
    }
    assert len(shown) >= 6
    for name, following in ((s[0], s[1] if len(s) > 1 else "") for s in shown):
        command = main.commands[name]
        inner = getattr(command, "commands", {})
        stands_alone = isinstance(command, click.Group) and command.invoke_without_command
        assert not inner or following in inner or stands_alone, f"gateway {name} {following}"
