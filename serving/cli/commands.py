"""What every command line here shares: an error is one line for a person, never a stack trace.

`Program` is the outermost group of a command; what a command raises becomes a line here, whichever command it is, and what is
printed is escaped (`serving.printable`). `report_errors` does the same for one command.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import sqlite3
import sys
import warnings
from datetime import datetime
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import click

from schemas.faults import Fault
from serving.api.problems import Problem
from serving.cli.helptexts import show_help, speaking
from serving.errors import OperatorError, Refused
from serving.language import N_, _, language_of
from serving.printable import ClosedStream, SafeStream, escape_controls, safe_stream

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


def ask_secret(prompt: str, option: str, *, confirm: bool = False) -> str:
    """A secret, asked for without showing it, or the line that comes through a pipe. Where nobody can answer, an `OperatorError` names the option that gives it."""
    if _has_terminal():
        return str(click.prompt(prompt, hide_input=True, confirmation_prompt=confirm))
    secret = sys.stdin.readline().rstrip("\r\n")
    if not secret:
        raise OperatorError(N_("{option} is missing, and there is no terminal to ask at", option=option))
    return secret


def read_moment(text: str) -> datetime:
    """A moment as a person writes it, ISO 8601; without a zone it is of this machine's. Raises `OperatorError`."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as err:
        raise OperatorError(
            N_(
                "{text!r} is no moment; expected is ISO 8601, as 2026-11-30 or 2026-11-30T18:00:00Z",
                text=text,
            )
        ) from err
    return at if at.tzinfo is not None else at.astimezone()


def _has_terminal() -> bool:
    """Whether somebody can be asked: at standard input, or at the terminal that the process belongs to."""
    if sys.stdin.isatty():
        return True
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


@contextlib.contextmanager
def in_a_line() -> Iterator[None]:
    """Turn whatever is raised into a line for a person. A broken pipe stays one: nobody reads the line."""
    try:
        yield
    except (click.ClickException, click.Abort, click.exceptions.Exit, BrokenPipeError):
        raise
    except Exception as err:
        raise click.ClickException(escape_controls("; ".join(explain(err).splitlines()))) from err


def explain(error: BaseException) -> str:
    """An exception as one line for a person: the cause, and the remedy."""
    if isinstance(error, Fault):
        return f"{error.detail} [{error.code}]"
    if isinstance(error, BaseExceptionGroup):
        return explain(error.exceptions[0])
    if isinstance(error, ImportError):
        return _explain_import(error)
    if isinstance(error, (Refused, OperatorError)):
        return error.text.into(language_of(os.environ))
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
        return _("{key!r} is missing in the data", key=text)
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
        return error.strerror or str(error)
    text = f"{name}: {error.strerror}"
    if isinstance(error, PermissionError):
        return _("{problem}; run the command as the user who owns the data folder", problem=text)
    if isinstance(error, (IsADirectoryError, NotADirectoryError)):
        return _("{problem}; a file was expected: take away what is there, or restore a backup", problem=text)
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
            show_help(self)
            return super().main(*args, **options)

    def make_context(self, *args: Any, **options: Any) -> click.Context:
        """Read the arguments; whatever an option that prints and ends raises (``--version`` on a full disk) is said in a line."""
        with in_a_line():
            return super().make_context(*args, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run it; whatever it raises is said in a line."""
        with in_a_line():
            return super().invoke(ctx)


@contextlib.contextmanager
def _safe_streams() -> Iterator[None]:
    """Escape what is printed meanwhile, and end with an error where a part of it cannot be written."""
    before = sys.stdin, sys.stdout, sys.stderr
    _fill_descriptors()
    sys.stdin = sys.stdin or io.StringIO()
    sys.stdout, sys.stderr = safe_stream(sys.stdout or ClosedStream()), safe_stream(sys.stderr)
    ended: SystemExit | None = None
    lost: OSError | None = None
    try:
        yield
    except SystemExit as err:
        ended = err
    finally:
        mine = sys.stdout, sys.stderr
        sys.stdin, sys.stdout, sys.stderr = before
        lost = _let_go(mine[0])
        _let_go(mine[1])
    if lost is not None and lost.errno != errno.EPIPE and (ended is None or not ended.code):
        click.ClickException(explain(lost)).show()
        ended = SystemExit(1)
    if ended is not None:
        raise ended


def _fill_descriptors() -> None:
    """Open nothing at those of standard input, output and error that were closed: a database opened there would be written to by who prints."""
    while True:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened > 2:
            os.close(opened)
            return


def _let_go(stream: Any) -> OSError | None:
    """Write out what is left for a stream and leave the file below it open. The reason why it could not be written."""
    if not isinstance(stream, SafeStream):
        return None
    failed = None
    try:
        stream.flush()
    except OSError as err:  # nothing more can be written there, at the end of the process either
        failed = err
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    with contextlib.suppress(OSError, ValueError):
        stream.detach()
    return failed


@contextlib.contextmanager
def _no_warnings() -> Iterator[None]:
    """Keep what libraries tell programmers (of odd certificates, of what they will drop) from whoever runs a command, unless ``-W`` asks for it."""
    with warnings.catch_warnings():
        if not sys.warnoptions:
            warnings.simplefilter("ignore")
        yield
