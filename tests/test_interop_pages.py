"""The pages on X-Road name commands, options and settings that exist, the same in both languages."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from central_server.cli.main import main as central_server
from gateway.cli.main import main as gateway
from gateway.settings.config import TABLE
from tests.paths import PROJECT

PAGES = ("interop.md", "interoperar.md")
COMMANDS: dict[str, click.Command] = {"gateway": gateway, "central-server": central_server}
CENTRAL = {"listen.http_port", "listen.https_port"}


def commands(page: str) -> list[str]:
    """What the page tells to type: code that begins with one of our programs."""
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(r"(?:`| {7})((?:gateway|central-server) [^`\n]+)", text)


def check_command(line: str) -> None:
    """Every word leads to a command, every option to one of its options."""
    first, *words = shlex.split(line)
    found = COMMANDS[first]
    context = click.Context(found)
    while words and isinstance(found, click.Group):
        following = found.get_command(context, words.pop(0))
        assert following is not None, f"{line}: there is no such command"
        found, context = following, click.Context(following, parent=context)
    options = {name for p in found.get_params(context) for name in (*p.opts, *p.secondary_opts)}
    assert {w for w in words if w.startswith("--")} <= options, line


@pytest.mark.parametrize("page", PAGES)
def test_every_command_on_the_page_exists_with_its_options(page: str) -> None:
    assert len(commands(page)) > 8
    for line in commands(page):
        check_command(line)


@pytest.mark.parametrize("page", PAGES)
def test_every_setting_on_the_page_exists(page: str) -> None:
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:keys|trust|log|listen|limits|descriptions)\.[a-z_]+)", text))
    assert named
    assert named - CENTRAL <= set(TABLE.defaults)


def test_both_languages_name_the_same_commands() -> None:
    told = [[shlex.split(line)[:3] for line in commands(page)] for page in PAGES]
    assert told[0] == told[1]
