"""Every text for people in the source, and the catalogues brought in step with it: ``python -m tests.texts``.

Found by reading: what is marked ``_("...")`` or ``N_("...")``, in modules and in templates of pages; ``help="..."`` of any call;
docstrings of functions that are commands; the summaries of admin operations; and the texts of click itself, which prints them in a command's errors and help.
A text that is new gets an entry without a translation; one that is no more loses its entry. The catalogue of a language that
has operators' pages alone has the texts of `CONSOLE_PLACES`.
"""

from __future__ import annotations

import ast
import inspect
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import jinja2
from jinja2.ext import extract_from_ast

from serving.cli.helptexts import whole_lines
from serving.language import CONSOLE_DOMAIN, DOMAIN, FOLDER
from serving.potext import Translation, parse_po, render_po
from tests.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGES = ("gateway", "serving", "central_server", "social_security")
# Where what operators' pages say is written; beside them, every template that is not of social security's.
CONSOLE_PLACES = (
    "serving/web/",
    "serving/login/",
    "serving/api/",
    "serving/errors.py",
    "serving/entrance.py",
    "serving/process/failing.py",
    "gateway/admin/",
    "gateway/health/",
    "gateway/settings/",
    "serving/config/",
    "central_server/admin/",
)
MARKS = {"_", "N_"}
# Rows of an admin API's operations: method, path, handler, summary.
ROWS = {"row", "Operation"}
SUMMARY = 3
# A text and its plural, if a number decides which is said.
Found = tuple[str, str | None]


def extract() -> dict[Found, set[str]]:
    """Every text with the files it stands in."""
    found: dict[Found, set[str]] = {}
    for package in PACKAGES:
        for path in sorted((PROJECT / package).rglob("*.py")):
            for text in _in_module(ast.parse(path.read_text(encoding="utf-8"))):
                found.setdefault((text, None), set()).add(str(path.relative_to(PROJECT)))
        for path in sorted((PROJECT / package).rglob("*.html")):
            for text in _in_template(path.read_text(encoding="utf-8")):
                found.setdefault((text, None), set()).add(str(path.relative_to(PROJECT)))
    for path in sorted(Path(inspect.getfile(click)).parent.glob("*.py")):
        for of_click in _in_library(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(of_click, set()).add(f"click/{path.name}")
    return found


def catalogues() -> list[Path]:
    """Every catalogue's source."""
    return sorted(p for d in (DOMAIN, CONSOLE_DOMAIN) for p in FOLDER.glob(f"*/LC_MESSAGES/{d}.po"))


def texts_of(catalogue: Path, texts: dict[Found, set[str]]) -> dict[Found, set[str]]:
    """Those of all texts that a catalogue is to have, with the files they stand in."""
    if catalogue.stem == DOMAIN:
        return texts
    return {text: files for text, files in texts.items() if any(map(_is_of_consoles, files))}


def _is_of_consoles(file: str) -> bool:
    return file.startswith(CONSOLE_PLACES) or (
        "templates/" in file and not file.startswith("social_security/")
    )


def unmarked(tree: ast.AST) -> Iterator[int]:
    """Lines on which a mark is given something else than a text, such as an f-string, so that no catalogue can have it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _name(node) in MARKS and isinstance(node.args[0], ast.JoinedStr):
            yield node.lineno


def _in_module(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if _name(node) in MARKS and (text := _constant(node.args[0])) is not None:
                yield text
            if _name(node) in ROWS and len(node.args) > SUMMARY and (text := _constant(node.args[SUMMARY])):
                yield text
            for keyword in node.keywords:
                if keyword.arg == "help" and (text := _constant(keyword.value)):
                    yield whole_lines(inspect.cleandoc(text))
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and _is_command(node):
            text = ast.get_docstring(node)
            if text:
                yield whole_lines(text)


def _is_command(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function is a command whose help is its docstring."""
    for decorator in node.decorator_list:
        called = decorator if isinstance(decorator, ast.Call) else None
        name = called.func if called is not None else decorator
        if isinstance(name, ast.Attribute) and name.attr in ("command", "group"):
            return called is None or all(keyword.arg != "help" for keyword in called.keywords)
    return False


def _in_template(source: str) -> Iterator[str]:
    tree = jinja2.Environment(autoescape=True).parse(source)
    for _line, _function, text in extract_from_ast(tree, gettext_functions=("_",)):
        if isinstance(text, str):
            yield text
        elif isinstance(text, tuple) and isinstance(text[0], str):
            yield text[0]


def _in_library(tree: ast.AST) -> Iterator[Found]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            texts = [_constant(argument) for argument in node.args]
            if node.func.id == "_" and texts[0]:
                yield texts[0], None
            elif node.func.id == "ngettext" and texts[0]:
                yield texts[0], texts[1]


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) and call.args else ""


def _constant(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def bring_in_step(path: Path) -> tuple[int, int]:
    """Write a catalogue anew with the texts there are; how many lack a translation, and how many entries went."""
    header, *entries = parse_po(path.read_text(encoding="utf-8"))
    known = {(entry.message, entry.plural): entry for entry in entries}
    texts = texts_of(path, extract())
    made = []
    for (message, plural), files in sorted(texts.items(), key=lambda item: (item[0][0], item[0][1] or "")):
        empty = Translation(message, ("",) if plural is None else ("", ""), plural)
        comments = tuple(f"#: {file}" for file in sorted(files))
        made.append(replace(known.get((message, plural), empty), comments=comments))
    path.write_text(render_po((header, *made)), encoding="utf-8")
    return sum(not all(e.translations) for e in made), len(known.keys() - texts.keys())


if __name__ == "__main__":
    for catalogue in catalogues():
        missing, gone = bring_in_step(catalogue)
        print(f"{catalogue}: {missing} texts to translate, {gone} entries taken out")
