"""Texts for people: none lacks Spanish, every command speaks the language it is asked for, another language is one file more."""

from __future__ import annotations

import ast
import os
import shutil
import string
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import central_server.cli.main
import gateway.cli.main
import social_security.__main__
from gateway.cli.actions import Action
from serving.language import (
    DOMAIN,
    N_,
    Text,
    Translated,
    console_languages,
    language_of,
    languages,
    mail_languages,
    negotiate,
)
from serving.potext import Translation, parse_po, render_po
from tests.paths import PROJECT
from tests.texts import PACKAGES, catalogues, extract, texts_of, unmarked

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAMS = {
    "gateway": gateway.cli.main.main,
    "central-server": central_server.cli.main.main,
    "social-security": social_security.__main__.main,
}
NO_LOCALE = dict.fromkeys(("SACBE_LANG", "LC_ALL", "LC_MESSAGES", "LANG"), None)


@pytest.fixture(scope="module")
def texts() -> dict[tuple[str, str | None], set[str]]:
    return extract()


@pytest.mark.parametrize("path", catalogues(), ids=lambda path: path.parent.parent.name)
class TestCatalogue:
    def test_no_text_lacks_a_translation_and_no_entry_is_left_over(
        self, path: Path, texts: dict[tuple[str, str | None], set[str]]
    ) -> None:
        header, *entries = parse_po(path.read_text(encoding="utf-8"))
        assert f"Language: {path.parent.parent.name}\n" in header.translations[0]
        expected = texts_of(path, texts)
        there = [(entry.message, entry.plural) for entry in entries]
        assert len(there) == len(set(there))
        lacking = expected.keys() - set(there) | {
            (e.message, e.plural) for e in entries if not all(e.translations)
        }
        assert lacking == set(), f"make texts, then say them in {path}"
        assert set(there) - expected.keys() == set(), "make texts takes them out"

    def test_a_translation_has_the_names_of_its_text(self, path: Path) -> None:
        for entry in parse_po(path.read_text(encoding="utf-8"))[1:]:
            allowed = set(names(entry.message)) | set(names(entry.plural or ""))
            for said in entry.translations:
                if entry.plural is None:
                    assert names(said) == names(entry.message), entry.message
                else:
                    assert set(names(said)) <= allowed, entry.message


def names(text: str) -> list[str]:
    """The names in braces, each with how it is written."""
    if "{" not in text or text.startswith("%"):
        return []
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError:
        return []
    return sorted(f"{name}!{conversion}:{spec}" for _, name, spec, conversion in parsed if name is not None)


def test_what_is_marked_is_a_text_and_nothing_made_at_run_time() -> None:
    for package in PACKAGES:
        for path in (PROJECT / package).rglob("*.py"):
            assert list(unmarked(ast.parse(path.read_text(encoding="utf-8")))) == [], path


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "es_MX.UTF-8"}, "es"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "fr_FR.UTF-8"}, "en"),
        ({"LANG": "es", "LC_ALL": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US", "LC_MESSAGES": "es_ES@euro"}, "es"),
        ({"LC_ALL": "en_US", "SACBE_LANG": "es"}, "es"),
        ({"LC_ALL": "es_MX", "SACBE_LANG": "en"}, "en"),
        ({"LC_ALL": "", "LANG": "ES"}, "es"),
    ],
)
def test_the_first_variable_that_is_set_decides(environ: dict[str, str], language: str) -> None:
    assert language_of(environ) == language


@pytest.mark.parametrize(
    ("chosen", "accepted", "language"),
    [
        (None, "", "es"),
        (None, "fr, de;q=0.9", "es"),
        (None, "en-GB,es;q=0.5", "en"),
        (None, "en;q=0.3,es-419;q=0.8", "es"),
        ("en", "es", "en"),
        ("xx", "en", "en"),
    ],
)
def test_a_page_is_in_the_language_its_reader_has(chosen: str | None, accepted: str, language: str) -> None:
    assert negotiate(chosen, accepted) == language


def test_each_language_is_there_once() -> None:
    assert N_("Resolved: {what}", what="x").into("es") == "Resuelto: x"  # the catalogue is compiled by now
    assert languages() == ("en", "es")
    assert mail_languages() == ("es", "en")
    assert console_languages() == ("en", "es", "et", "pt_BR", "ru", "tk")


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("pt-BR", "pt_BR"),
        ("pt", "pt_BR"),
        ("et;q=0.2,tk;q=0.7", "tk"),
        ("fr", "es"),
    ],
)
def test_operators_pages_have_more_languages_than_the_rest(accepted: str, language: str) -> None:
    assert negotiate(None, accepted, console_languages()) == language
    assert negotiate(None, accepted) in languages()


def test_values_of_a_text_are_said_in_its_language_too() -> None:
    inner = Translated({"es": "uno", "en": "one"})
    text = N_("Resolved: {what}", what=(inner, N_("Nothing is wrong."), "x{y}"))
    assert text.into("es") == "Resuelto: uno; Nada está mal.; x{y}"
    assert text.into("en") == "Resolved: one; Nothing is wrong.; x{y}"
    assert Text("said by nobody").into("es") == "said by nobody"


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield *path, name


def calls_the_api(command: click.Command, words: tuple[str, ...]) -> bool:
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    return isinstance(command, Action)


ASKED = [
    ("en", (), {**NO_LOCALE, "SACBE_LANG": "en", "LANG": "es_MX.UTF-8"}),
    ("es", (), {**NO_LOCALE, "LANG": "es_MX.UTF-8"}),
    ("es", ("--language", "es"), {**NO_LOCALE, "SACBE_LANG": "en"}),
]
WORDS = {"es": ("Uso:", "No hay opción '--no-such'."), "en": ("Usage:", "No such option '--no-such'.")}


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(("language", "option", "environ"), ASKED, ids=lambda value: str(value)[:60])
def test_every_command_speaks_the_language_asked_for_in_help_and_errors(
    program: str, language: str, option: tuple[str, ...], environ: dict[str, str | None]
) -> None:
    main = PROGRAMS[program]
    usage, no_option = WORDS[language]
    for words in commands(main):
        helped = CliRunner().invoke(main, [*words, *option, "--help"], env=environ, prog_name=program)
        assert helped.exit_code == 0, helped.output
        assert helped.output.startswith(usage), words
        assert "--json" in helped.output or not calls_the_api(main, words), words
        refused = CliRunner().invoke(main, [*words, *option, "--no-such"], env=environ, prog_name=program)
        assert refused.exit_code == 2, (words, refused.output)
        assert no_option in refused.output, (words, refused.output)


def test_a_language_that_is_not_there_is_refused_with_those_that_are() -> None:
    done = CliRunner().invoke(PROGRAMS["gateway"], ["token", "list", "--language", "xx"])
    assert done.exit_code == 2
    assert "'xx'" in done.output
    assert "'en', 'es'" in done.output


def test_a_run_leaves_the_language_of_its_surroundings_alone() -> None:
    before = dict(os.environ)
    CliRunner().invoke(PROGRAMS["gateway"], ["--language", "es", "--help"], prog_name="gateway")
    assert dict(os.environ) == before


def test_another_language_is_one_more_catalogue(tmp_path: Path) -> None:
    for package in ("schemas", "certs", "gateway", "central_server", "social_security"):
        (tmp_path / package).symlink_to(PROJECT / package)
    shutil.copytree(
        PROJECT / "serving", tmp_path / "serving", ignore=shutil.ignore_patterns("*.mo", "__pycache__")
    )
    catalogue = tmp_path / "serving" / "locale" / "fr" / "LC_MESSAGES" / f"{DOMAIN}.po"
    catalogue.parent.mkdir(parents=True)
    entries = (
        Translation(
            "", ("Content-Type: text/plain; charset=UTF-8\nLanguage: fr\nX-Language-Name: Français\n",)
        ),
        Translation("A Sacbé gateway: an X-Road security server.", ("Une passerelle Sacbé.",)),
    )
    catalogue.write_text(render_po(entries), encoding="utf-8")
    said = run_from(tmp_path, "gateway", "--language", "fr", "--help")
    assert "Une passerelle Sacbé." in said
    assert "Usage:" in said  # what the catalogue lacks is said in English


def test_a_build_needs_nothing_but_python_to_compile_catalogues() -> None:
    """A build in an environment of its own (``pip install .``, ``python -m build``) has the build's tool and no more."""
    code = "import runpy, sys; runpy.run_path(sys.argv[1])['render_mo'](())"
    path = PROJECT / "serving" / "potext.py"
    subprocess.run([sys.executable, "-I", "-S", "-c", code, str(path)], check=True, timeout=60)


def test_a_wheel_brings_its_catalogues_compiled(tmp_path: Path) -> None:
    made = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(made, cwd=PROJECT, capture_output=True, check=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as content:
        assert not [name for name in content.namelist() if name.endswith(".po")]
        content.extractall(tmp_path / "site")
    assert "Una pasarela Sacbé" in run_from(tmp_path / "site", "gateway", "--language", "es", "--help")


def run_from(folder: Path, module: str, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONSAFEPATH": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


LETTERS = st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"], include_characters="\n\t")
TEXTS = st.text(LETTERS)


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=8, unique_by=lambda pair: pair[0]))
def test_a_catalogue_is_read_as_it_was_written(pairs: list[tuple[str, str]]) -> None:
    entries = tuple(Translation(message, (said,)) for message, said in pairs)
    assert parse_po(render_po(entries)) == entries


@pytest.mark.parametrize(
    "text", ['msgid "a\nmsgstr "b"\n', 'msgstr "b"\n', '#~ msgid "a"\n#~ msgstr "b"\n', "x\n"]
)
def test_a_line_that_is_no_line_of_a_catalogue_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        parse_po(text)
