"""What every command line here shares: an error is one line for a person, never a stack trace.

`Program` is the outermost group of a command; what a command raises becomes a line here, whichever command it is, and what is
printed is escaped (`serving.printable`). `report_errors` does the same for one command.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import sys
import warnings
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from schemas.faults import Fault
from serving.api.problems import Problem
from serving.cli.helptexts import say_help, speaking
from serving.language import _, language_of
from serving.printable import SafeStream, escape_controls, safe_stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from serving.language import Text

P = ParamSpec("P")
R = TypeVar("R")

# Modules of extras, and the extra that brings each.
EXTRAS = {
    "pkcs11": "hsm",
    "psycopg": "postgres",
    "psycopg_pool": "postgres",
    "acme": "acme",
    "josepy": "acme",
    "opentelemetry": "trace",
}


def report_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Say what went wrong in a line, and exit 1."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        with in_a_line():
            return command(*args, **kwargs)

    return run


@contextlib.contextmanager
def in_a_line() -> Iterator[None]:
    """Turn whatever is raised into a line for a person. A broken pipe stays one: nobody reads the line."""
    try:
        yield
    except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
        raise
    except Exception as err:
        raise click.ClickException(escape_controls(" ".join(explain(err).split("\n")))) from err


def explain(error: BaseException) -> str:
    """An exception as one line for a person: the cause, and the remedy."""
    if isinstance(error, Fault):
        return f"{error.detail} [{error.code}]"
    if isinstance(error, BaseExceptionGroup):
        return explain(error.exceptions[0])
    if isinstance(error, ImportError):
        return _explain_import(error)
    if isinstance(error, RecursionError):
        return _("the data are nested more deeply than this program reads; nothing was done with them")
    if isinstance(error, MemoryError):
        return _("there is not enough memory; give the process more, or fewer data at once")
    if isinstance(error, UnicodeError):
        return _("a text cannot be read or written: {error}", error=error)
    if isinstance(error, OSError):
        return _explain_file(error)
    if isinstance(error, (ValueError, LookupError, sqlite3.Error, Problem)):
        return _text(error)
    return _(
        "unexpected failure ({name}: {error}); report it with the command that caused it",
        name=type(error).__name__,
        error=error,
    )


def _text(error: BaseException) -> str:
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, KeyError) and " " not in text:
        return _("{told!r} is missing in the data", told=text)
    return text or type(error).__name__


def _explain_import(error: ImportError) -> str:
    module = (error.name or "").partition(".")[0]
    extra = EXTRAS.get(module)
    if extra is None:
        return _("the module {module} is missing; install sacbe again", module=module or error)
    return _(
        "the module {module} is missing, which an extra brings: pip install 'sacbe[{extra}]'",
        module=module,
        extra=extra,
    )


def _explain_file(error: OSError) -> str:
    name = error.filename
    if name is None or error.strerror is None:
        return str(error)
    text = f"{name}: {error.strerror}"
    if isinstance(error, PermissionError):
        return _("{told}; run the command as the user who owns the data folder", told=text)
    if isinstance(error, (IsADirectoryError, NotADirectoryError)):
        return _("{told}; a file was expected: take away what is there, or restore a backup", told=text)
    return text


class Program(click.Group):
    """The outermost group of a command.

    ``sections`` are the headings below which the help lists commands, each with the names of its commands, spaces between;
    without them, all stand in one list.
    """

    def __init__(self, *args: Any, sections: Sequence[tuple[Text, str]] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.sections = sections

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each section with its commands; see `click.Group.format_commands`."""
        if not self.sections:
            super().format_commands(ctx, formatter)
        width = max((len(name) for _heading, names in self.sections for name in names.split()), default=0)
        for heading, names in self.sections:
            with formatter.section(heading.into(language_of(os.environ))):
                limit = formatter.width - 6 - width
                formatter.write_dl(
                    [
                        (name.ljust(width), self.commands[name].get_short_help_str(limit))
                        for name in names.split()
                    ]
                )

    def main(self, *args: Any, **options: Any) -> Any:
        """Run the command that the arguments name; see `click.Command.main`."""
        given = options.get("args", args[0] if args else None)
        with _safe_streams(), _no_warnings(), speaking(sys.argv[1:] if given is None else list(given)):
            say_help(self)
            return super().main(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; whatever it raises is said in a line."""
        with in_a_line():
            return super().invoke(ctx)


@contextlib.contextmanager
def _safe_streams() -> Iterator[None]:
    """Escape what is printed meanwhile."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = safe_stream(sys.stdout), safe_stream(sys.stderr)
    try:
        yield
    finally:
        _put_back(before)


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Keep what libraries tell programmers (of odd certificates, of what they will drop) from whoever runs a command, unless ``-W`` asks for it."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        yield


def _put_back(before: tuple[Any, Any]) -> None:
    mine = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = before
    for stream in mine:
        if isinstance(stream, SafeStream):
            try:
                stream.flush()
            except (
                OSError
            ):  # whoever read has gone: nothing more can be said there, at the end of the process either
                with contextlib.suppress(OSError, ValueError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            with contextlib.suppress(OSError, ValueError):
                stream.detach()
