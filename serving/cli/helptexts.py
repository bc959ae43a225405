"""Help in the language of who asks: every command and option of a program, and ``--language`` on each of them.

Help stands in English where a command is made (``help=`` or its docstring); it is put into the language of this run just before
the run, so the same program may be run in one language after another.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import click

from serving.language import VARIABLES, _, language_of, languages, match_language, speak

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

OPTION = "--language"
# The English of each help text that has been put into a language.
_ENGLISH: WeakKeyDictionary[click.Command | click.Option, str] = WeakKeyDictionary()
# The language that a program's help is in.
_LANGUAGE_OF: WeakKeyDictionary[click.Command, str] = WeakKeyDictionary()


def whole_lines(text: str) -> str:
    """A help text as its catalogue has it: a line each paragraph."""
    paragraphs = (" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


@contextlib.contextmanager
def speaking(arguments: Sequence[str]) -> Iterator[None]:
    """Speak the language that a command line, or else the environment, asks for; afterwards the environment is as before."""
    names = (VARIABLES[0], "LANGUAGE")
    before = {name: os.environ.get(name) for name in names}
    speak(_option_value(arguments) or language_of(os.environ))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def show_help(program: click.Command) -> None:
    """Put the help of a program, of its commands and of their options into the language of this process."""
    language = language_of(os.environ)
    if _LANGUAGE_OF.get(program) != language:
        _show_help(program, outermost=True)
        _LANGUAGE_OF[program] = language


def _show_help(command: click.Command, *, outermost: bool) -> None:
    if command.help:
        command.help = _translated(command, command.help)
    if not any(OPTION in parameter.opts for parameter in command.params):
        command.params.append(language_option(hidden=not outermost))
    show_options(command.params)
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _show_help(inner, outermost=False)


def show_options(parameters: Sequence[click.Parameter]) -> None:
    """Put the help of options into the language of this process."""
    for parameter in parameters:
        if isinstance(parameter, click.Option) and parameter.help:
            parameter.help = _translated(parameter, parameter.help)


def language_option(*, hidden: bool = True) -> click.Option:
    """The option of every command; `speaking` has read it already."""
    return click.Option(
        [OPTION],
        type=click.Choice(languages()),
        expose_value=False,
        hidden=hidden,
        help="the language of texts; else SACBE_LANG, else the locale",
    )


def _translated(owner: click.Command | click.Option, text: str) -> str:
    return _(whole_lines(_ENGLISH.setdefault(owner, text)))


def _option_value(arguments: Sequence[str]) -> str | None:
    for number, word in enumerate(arguments):
        if word == "--":
            return None
        name, sign, value = word.partition("=")
        if name == OPTION:
            chosen = value if sign else "".join(arguments[number + 1 : number + 2])
            return match_language(chosen)
    return None
