"""``completion bash|zsh|fish``: what a shell must run to complete this command line's words."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from serving.language import _


def completion_command(main: click.Group, program: str) -> click.Command:
    """The command for one program."""

    @click.command(
        "completion",
        help='Write the script that completes words in your shell: eval "$(PROGRAM completion bash)" in ~/.bashrc.',
    )
    @click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
    def completion(shell: str) -> None:
        kind = get_completion_class(shell)
        if kind is None:
            raise click.ClickException(_("{shell} is not known", shell=shell))
        variable = f"_{program.replace('-', '_')}_COMPLETE".upper()
        click.echo(kind(main, {}, program, variable).source())

    return completion
