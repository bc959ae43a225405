"""What every command line here shares: an error is one line for a person, never a stack trace."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from schemas.faults import Fault

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
R = TypeVar("R")


def report_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Say what went wrong in a line, and exit 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except Fault as fault:
            raise click.ClickException(f"{fault.detail} [{fault.code}]") from fault
        except (ValueError, OSError, LookupError) as err:
            raise click.ClickException(str(err)) from err

    return run
