"""A command whose output cannot be written ends with an error and a line that says why, never with 0 and never with a stack trace."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os, sys
import click
from serving.cli.commands import Program, ask_secret

@click.group(cls=Program)
@click.version_option("1.2")
def main():
    pass

@main.command()
def line():
    click.echo("a line")

@main.command()
def piece():
    click.echo("a piece", nl=False)

@main.command()
def silent():
    # What is opened next is no standard stream.
    assert os.open(__file__ if "__file__" in globals() else sys.executable, os.O_RDONLY) > 2

@main.command()
def secret():
    click.echo(len(ask_secret("PIN", "--pin-file")))

main()
"""


def run(words: str, streams: str) -> tuple[int, str]:
    """Exit code and standard error of the program, its streams led elsewhere by the shell."""
    ran = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {words} {streams}', sys.executable, PROGRAM],
        capture_output=True,
        text=True,
        timeout=60,
        env={"SACBE_LANG": "en"},
        start_new_session=True,
        check=False,
    )
    return ran.returncode, ran.stderr


@pytest.mark.parametrize("words", ["--version", "--help", "line", "piece", "line --help"])
@pytest.mark.parametrize(
    ("streams", "why"),
    [
        (">/dev/full", "Error: No space left on device\n"),
        (">&-", "Error: standard output is closed; open it, or lead it to /dev/null\n"),
        ("</dev/null >&-", "Error: standard output is closed; open it, or lead it to /dev/null\n"),
    ],
)
def test_a_command_whose_output_cannot_be_written_ends_with_an_error(
    words: str, streams: str, why: str
) -> None:
    code, said = run(words, streams)
    assert (said, code) == (why, 1)


@pytest.mark.parametrize("streams", [">&-", "<&-", "2>&-", "<&- >&- 2>&-", ">/dev/full"])
def test_a_command_that_has_nothing_to_print_needs_no_output(streams: str) -> None:
    code, said = run("silent", streams)
    assert (said, code) == ("", 0)


@pytest.mark.parametrize("streams", ["<&-", "</dev/null"])
def test_who_asks_for_a_secret_where_nobody_answers_prints_no_prompt(streams: str) -> None:
    code, said = run("secret", streams)
    assert (said, code) == ("Error: --pin-file is missing, and there is no terminal to ask at\n", 1)
