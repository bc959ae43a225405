"""Every operation of the admin API has a command, and every command says what it does in Spanish and English."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner

from gateway.cli.actions import Action, operations
from gateway.cli.commandrows import ACTS, LOCAL, PAGES_ONLY, SECTIONS
from gateway.cli.main import main
from gateway.cli.options import body_of, fill_path, query_of
from gateway.server.process import GatewayProcess
from gateway.settings.config import GatewaySettings
from gateway.settings.datafolder import DataFolder
from serving.cli.printing import print_value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def commands(group: click.Group = main, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield " ".join((*path, name)), command


def test_every_operation_of_the_admin_api_has_a_command(tmp_path: Path) -> None:
    host = GatewayProcess(DataFolder(tmp_path / "data"), GatewaySettings(), None)
    served = {(o.method, o.path) for o in host.api.operations}
    host.logins.close()
    host.store.close()
    acts = [(a.method, a.path) for a in ACTS]
    told = [*acts, *LOCAL, *PAGES_ONLY]
    assert len(told) == len(set(told))
    names = [a.command for a in ACTS]
    assert len(names) == len(set(names))
    assert not set(names) & set(LOCAL.values()), "one name an act"
    assert set(told) == served, "gateway/cli/commandrows.py says which command does each operation"
    assert set(operations()) == served
    there = dict(commands())
    assert {a.command for a in ACTS} | set(LOCAL.values()) <= set(there)


def test_the_help_shows_every_group_in_a_section_and_there_are_about_thirty() -> None:
    shown = [name for _heading, names in SECTIONS for name in names.split()]
    assert sorted(shown) == sorted(main.commands)
    assert len(shown) <= 33
    assert CliRunner().invoke(main, ["--help"]).output.count("\n  ") > len(shown)


def test_a_command_after_diagnose_shows_one_part_and_diagnoses_nothing(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["diagnose", "memory", "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert f"gateway serve --data {tmp_path}" in done.output


def test_every_command_takes_each_option_once() -> None:
    for name, command in commands():
        parameters = command.get_params(click.Context(command))
        names = [p.name for p in parameters]
        options = [o for p in parameters for o in (*p.opts, *p.secondary_opts)]
        assert len(names) == len(set(names)), name
        assert len(options) == len(set(options)), name


def test_every_action_prints_json_on_request() -> None:
    for name, command in commands():
        if isinstance(command, Action):
            assert "--json" in [o for p in command.get_params(click.Context(command)) for o in p.opts], name


@pytest.mark.parametrize(("language", "word"), [("es", "Pide su registro"), ("en", "Register it at")])
@pytest.mark.xroad("F173")
def test_help_is_in_the_language_of_who_asks(language: str, word: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "client", "--help"],
        env={**os.environ, "SACBE_LANG": language},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert word in done.stdout


def test_options_become_the_body_and_the_query_of_a_call() -> None:
    every = operations()
    add = every["POST", "/clients"]
    given = {
        "member_class": "GOB",
        "member_code": "1",
        "subsystem_code": "S",
        "subsystem_name": None,
        "connection_type": None,
        "ignore_warnings": True,
    }
    assert body_of(add, given) == {
        "client": {"member_class": "GOB", "member_code": "1", "subsystem_code": "S"},
        "ignore_warnings": True,
    }
    grant = every["POST", "/services/{id}/service-clients"]
    assert body_of(grant, {"items": ("MX/GOB/1/S",)}) == {"items": [{"id": "MX:GOB:1:S"}]}
    assert fill_path(grant, {"id": "MX/GOB/1/S:oss-v1"}) == "/services/MX:GOB:1:S:oss-v1/service-clients"
    member = every["GET", "/member-names"]
    assert query_of(member, {"member_class": "GOB", "member_code": "1"}) == {
        "member_class": "GOB",
        "member_code": "1",
    }


def test_a_secret_is_read_from_a_file_and_never_an_option(tmp_path: Path) -> None:
    (tmp_path / "pin").write_text("1234\n")
    (tmp_path / "pin").chmod(0o600)
    login = operations()["PUT", "/tokens/{id}/login"]
    assert body_of(login, {"secret_password": tmp_path / "pin"}) == {"password": "1234"}
    done = CliRunner().invoke(main, ["token", "login", "0", "--password", "1234"])
    assert done.exit_code == 2
    assert "--password" in done.output


def test_a_command_without_a_running_gateway_says_so_in_a_line(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["client", "search", "--data", str(tmp_path)])
    assert done.exit_code == 1
    assert f"gateway serve --data {tmp_path}" in done.output
    assert len(done.output.splitlines()) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_written_for_a_shell(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert "_GATEWAY_COMPLETE" in done.output


def test_lists_are_printed_as_tables(capsys: pytest.CaptureFixture[str]) -> None:
    print_value([{"id": 1, "name": "uno"}, {"id": 20, "name": None}])
    assert capsys.readouterr().out == "id  name\n1   uno\n20\n"
    print_value({"a": True, "inner": {"b": ["x", "y"]}})
    assert capsys.readouterr().out == "a: true\ninner:\n  b: x, y\n"
