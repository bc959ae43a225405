"""A secret that a command asks for: where nobody can answer, the option that gives it is named."""

from __future__ import annotations

import click
from click.testing import CliRunner

from serving.cli.commands import ask_secret, report_errors


@click.command()
@report_errors
def command() -> None:
    click.echo(len(ask_secret("PIN", "--pin-file")))


def test_who_runs_a_command_without_a_terminal_is_told_the_option() -> None:
    outcome = CliRunner().invoke(command, env={"SACBE_LANG": "en"})
    assert (outcome.exit_code, outcome.output.splitlines()[-1]) == (
        1,
        "Error: --pin-file is missing, and there is no terminal to ask at",
    )


def test_a_secret_may_come_through_a_pipe() -> None:
    assert CliRunner().invoke(command, input="1234\n").output.splitlines()[-1] == "4"
