"""Texts for people, in their language: gettext catalogues, one way for commands, pages, mails and errors.

Every text stands in English where it is used, marked `_` where it is said at once and `N_` where its reader's language is
not known yet; what it is in another language stands in ``locale/LANGUAGE/LC_MESSAGES/sacbe.po`` beside this module; where
only operators' pages have been translated, in ``consoles.po``. A new language is a new catalogue. A text without an entry is
said in English. A wheel brings catalogues compiled (``.mo``); in a source tree they are compiled when they are first needed.

A command's language: ``--language``, else ``SACBE_LANG``, else the locale variables of POSIX. A page's: `negotiate`. Log lines
and faults on the wire are English.
"""

from __future__ import annotations

import contextlib
import functools
import gettext
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from serving.potext import parse_po, render_mo

VARIABLES = ("SACBE_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
DOMAIN = "sacbe"
# The texts of operators' pages alone.
CONSOLE_DOMAIN = "consoles"
SOURCE_LANGUAGE = "en"
FOLDER = Path(__file__).parent / "locale"
# What a page is in for whoever asks for no language that we have.
PAGE_LANGUAGE = "es"


class Translatable(Protocol):
    """Something that can be said in any language."""

    def into(self, language: str) -> str:
        """The text in a language."""


class Text(msgspec.Struct, frozen=True):
    """A text of the catalogue: English with ``{names}``, and their values: texts themselves, or tuples, said with semicolons."""

    message: str
    values: Mapping[str, object] = msgspec.field(default_factory=dict)

    def into(self, language: str) -> str:
        """The text in a language; English where the catalogue has none."""
        return _filled(_catalogue(language).gettext(self.message), self.values, language)


class Translated(msgspec.Struct, frozen=True):
    """A text that came in several languages, such as another system's answer."""

    languages: Mapping[str, str]

    def into(self, language: str) -> str:
        """The text in a language, else in English, else in whatever there is."""
        found = self.languages.get(language) or self.languages.get(SOURCE_LANGUAGE)
        return found if found is not None else next(iter(self.languages.values()), "")


def in_every_language(text: Translatable) -> dict[str, str]:
    """A text in each language there is, by language: for programs, and for what is told later."""
    return {language: text.into(language) for language in languages()}


def in_lines(texts: Sequence[Translatable]) -> Text:
    """Several texts, a line each."""
    named = {f"line{number}": text for number, text in enumerate(texts)}
    return Text("\n".join(f"{{{name}}}" for name in named), named)


def as_it_is(text: str) -> Translated:
    """A text that is the same for everybody, such as a code or a name."""
    return Translated({SOURCE_LANGUAGE: text})


def _(message: str, **values: object) -> str:
    """The text in the language of this process, ``{names}`` filled in."""
    return in_own_language(Text(message, values))


def in_own_language(text: Translatable) -> str:
    """The text in the language of this process."""
    return text.into(language_of(os.environ))


def N_(message: str, **values: object) -> Text:  # the name that gettext gives it
    """The text, to be said later."""
    return Text(message, values)


@functools.cache
def languages() -> tuple[str, ...]:
    """Every language in which all is said: English, in which the texts are written, and one a catalogue."""
    return (SOURCE_LANGUAGE, *_with_catalogue(DOMAIN))


@functools.cache
def console_languages() -> tuple[str, ...]:
    """Every language of operators' pages: those in which all is said first."""
    return (*languages(), *(name for name in _with_catalogue(CONSOLE_DOMAIN) if name not in languages()))


def mail_languages() -> tuple[str, ...]:
    """In what order a mail says the same in every language; nobody knows which one its reader has."""
    return tuple(sorted(languages(), key=lambda language: (language != PAGE_LANGUAGE, language)))


def language_name(language: str) -> str:
    """The name of a language among those who speak it: the catalogue's ``X-Language-Name``."""
    if language == SOURCE_LANGUAGE:
        return "English"
    return _catalogue(language).info().get("x-language-name", language)


def language_of(environ: Mapping[str, str]) -> str:
    """The language that the environment asks for; the first variable that is set decides, English if we lack it."""
    locale = next((environ[name] for name in VARIABLES if environ.get(name)), "")
    return match_language(locale) or SOURCE_LANGUAGE


def match_language(locale: str, among: Sequence[str] = ()) -> str | None:
    """The language we have for ``es_MX.UTF-8``, ``es-MX`` or ``es``, and ``pt_BR`` for ``pt`` too; None if there is none."""
    name = locale.partition(".")[0].partition("@")[0].replace("-", "_").lower()
    known = {language.lower(): language for language in among or languages()}
    spoken = name.partition("_")[0]
    of_countries = {lower.partition("_")[0]: code for lower, code in known.items()}
    return known.get(name) or known.get(spoken) or of_countries.get(spoken)


def speak(language: str) -> None:
    """Make this the language of this process: of its own texts, of the libraries' and of processes it starts."""
    os.environ[VARIABLES[0]] = language
    # click and argparse ask the standard library, which reads this variable first of all.
    os.environ["LANGUAGE"] = language
    gettext.bindtextdomain(DOMAIN, str(_compiled(language)))
    gettext.textdomain(DOMAIN)


def negotiate(chosen: str | None, accepted: str, among: Sequence[str] = ()) -> str:
    """The language of a page: the one a person chose, else the first of ``Accept-Language`` that we have, else Spanish.

    Spec: RFC 9110 12.5.4.
    """
    if chosen in (among or languages()):
        return str(chosen)
    best, quality = PAGE_LANGUAGE, 0.0
    for part in accepted[:500].split(","):
        name, _sign, parameter = part.strip().partition(";")
        spoken, weight = match_language(name.strip(), among), _quality(parameter.strip())
        if spoken is not None and weight > quality:
            best, quality = spoken, weight
    return best


def _with_catalogue(domain: str) -> list[str]:
    """The languages that have a catalogue of a domain, compiled or as its source."""
    catalogues = (*FOLDER.glob(f"*/LC_MESSAGES/{domain}.po"), *FOLDER.glob(f"*/LC_MESSAGES/{domain}.mo"))
    return sorted({path.parent.parent.name for path in catalogues})


def _quality(parameter: str) -> float:
    if not parameter.startswith("q="):
        return 1.0
    try:
        return max(0.0, min(1.0, float(parameter[2:])))
    except ValueError:
        return 0.0


def _filled(text: str, values: Mapping[str, object], language: str) -> str:
    if not values:
        return text
    return text.format_map({name: _in_language(value, language) for name, value in values.items()})


def _in_language(value: object, language: str) -> object:
    if isinstance(value, tuple):
        return "; ".join(str(_in_language(part, language)) for part in value)
    into = getattr(value, "into", None)
    return into(language) if callable(into) else value


@functools.cache
def _catalogue(language: str) -> gettext.NullTranslations:
    if language == SOURCE_LANGUAGE:
        return gettext.NullTranslations()
    domain = DOMAIN if language in languages() else CONSOLE_DOMAIN
    return gettext.translation(domain, str(_compiled(language, domain)), languages=[language], fallback=True)


@functools.cache
def _compiled(language: str, domain: str = DOMAIN) -> Path:
    """The folder below which the compiled catalogue of a language stands; compiled now if a source tree has none in step."""
    source = FOLDER / language / "LC_MESSAGES" / f"{domain}.po"
    made = source.with_suffix(".mo")
    if not source.exists() or _in_step(made, source):
        return FOLDER
    content = render_mo(parse_po(source.read_text(encoding="utf-8")))
    if _written(made, content):
        return FOLDER
    # Somebody else's tree: kept until this process ends.
    folder = Path(_own_folder().name)
    _written(folder / made.relative_to(FOLDER), content)
    return folder


def _in_step(made: Path, source: Path) -> bool:
    return made.exists() and made.stat().st_mtime_ns > source.stat().st_mtime_ns


def _written(made: Path, content: bytes) -> bool:
    """Whole or not at all: other processes may be doing the same."""
    beside = made.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        made.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        beside.replace(made)
        return True
    return False


@functools.cache
def _own_folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="sacbe-locale-")
