"""What a command prints of an exception is said in the reader's language: no text of one stands unmarked in the source."""

from __future__ import annotations

import ast
import logging
import re
import string
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from gateway.refusals import GatewayCode
from serving.cli.commands import explain, read_moment
from serving.config.textfiles import parse_toml
from serving.errors import OperatorError, Refused
from serving.language import N_, VARIABLES, _
from serving.process.supervised import report_ready
from tests.paths import PROJECT
from tests.texts import PACKAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

# Exceptions that are raised for a person, wherever.
FOR_PEOPLE = {"OperatorError", "NotAtHand"}
# What the rules refuse is English on the wire and in logs, and said in a command's language: the text is marked where commands meet it.
OF_RULES = {"Refused"}
RULES = ("gateway/keys/", "gateway/clients/", "gateway/edges/")
# Where a ValueError is a person's too: settings, files that a person writes, what commands themselves refuse.
PLACES = (
    "serving/config/",
    "serving/storage/",
    "serving/cli/",
    "gateway/cli/",
    "gateway/desired/",
    "gateway/settings/",
    "central_server/cli/",
    "central_server/proxy/",
    "central_server/store/loading.py",
    "social_security/commands/",
    "social_security/app.py",
    "social_security/initialise.py",
    "social_security/wire/keyfiles.py",
    "social_security/wire/keymessages.py",
    "social_security/portal/pdfsigning.py",
)
WORD = re.compile(r"(?<![\w.{])[A-Za-z']{2,}(?![\w.}])")


def unmarked_texts(tree: ast.AST, classes: set[str]) -> Iterator[tuple[int, str]]:
    """Lines and sentences that an exception of these classes is made with, and that no catalogue can have."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
            for argument in node.args:
                if len(WORD.findall(sentence(argument))) > 1:
                    yield node.lineno, sentence(argument)


def sentence(node: ast.expr) -> str:
    """What is written in a text, a space for what is filled in; nothing for any other expression."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(sentence(part) or " " for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return sentence(left) + sentence(right)
        case ast.IfExp(body=body, orelse=other):
            return f"{sentence(body)} {sentence(other)}"
    return ""


@pytest.mark.parametrize("package", PACKAGES)
def test_no_text_of_an_error_for_people_is_unmarked(package: str) -> None:
    found = []
    for path in sorted((PROJECT / package).rglob("*.py")):
        name = str(path.relative_to(PROJECT))
        classes = FOR_PEOPLE | ({"ValueError", "LookupError"} if name.startswith(PLACES) else set())
        classes |= OF_RULES if name.startswith(RULES) else set()
        tree = ast.parse(path.read_text(encoding="utf-8"))
        found += [f"{name}:{line} {text}" for line, text in unmarked_texts(tree, classes)]
    assert found == [], "mark it: _('... {name}', name=...), then python -m tests.texts"


def test_what_is_unmarked_is_found() -> None:
    source = """
raise OperatorError(f"{folder} holds no key")
raise OperatorError("this one " + name)
raise OperatorError("there is none" if x else "there are two")
raise OperatorError(_("{folder} holds no key", folder=folder))
raise OperatorError(f"log.key: {err}")
raise TypeError("for a programmer")
"""
    assert [line for line, _text in unmarked_texts(ast.parse(source), FOR_PEOPLE)] == [2, 3, 4]


def test_an_error_below_the_command_line_is_in_its_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SACBE_LANG", "es")
    with pytest.raises(OperatorError, match=r"a\.toml is not TOML: the number at a\.b") as refused:
        parse_toml("[a]\nb = nan", "a.toml")
    assert explain(refused.value).startswith("a.toml no es TOML: el número en a.b no es uno")


def test_a_refusal_is_english_on_the_wire_and_in_the_language_of_its_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused = Refused(GatewayCode.KEY_NOT_FOUND, N_("there is no key {key_id!r}", key_id="A1"))
    monkeypatch.setenv("SACBE_LANG", "es")
    assert explain(refused) == "no hay ninguna llave 'A1'"
    assert str(refused) == "there is no key 'A1'"
    assert explain(Refused(GatewayCode.KEY_NOT_FOUND, "A1")) == str(Refused(GatewayCode.KEY_NOT_FOUND, "A1"))


def test_every_text_is_given_what_it_fills_in_and_nothing_else() -> None:
    texts = [
        (path, node, node.args[0].value)
        for package in PACKAGES
        for path in sorted((PROJECT / package).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("_", "N_")
        if node.keywords
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    ]
    wrong = [
        f"{path.relative_to(PROJECT)}:{node.lineno}: {text}"
        for path, node, text in texts
        if all(k.arg for k in node.keywords)
        and {re.split(r"[.\[]", name)[0] for _, name, *_ in string.Formatter().parse(text) if name}
        != {k.arg for k in node.keywords}
    ]
    assert wrong == []
    assert len(texts) > 500


# What is raised before a server serves, or by commands alone: said at once, to whoever started it.
_AT_ONCE = {
    "gateway/server/running.py",
    "serving/config/tokensettings.py",
    "serving/printable.py",
    "serving/storage/database.py",
    "serving/storage/datafolder.py",
    "social_security/portal/pdfsigning.py",
}


def test_what_a_running_server_raises_keeps_its_text_for_readers_of_any_language() -> None:
    """A text marked `_` is in the language of the process: in an exception, the log and the API would have it too."""
    found: set[str] = set()
    for package in ("gateway", "serving", "central_server", "social_security"):
        for path in sorted((PROJECT / package).rglob("*.py")):
            name = str(path.relative_to(PROJECT))
            if {"cli", "commands"} & set(path.parts) or path.name in ("commands.py", "__main__.py"):
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
                    parts = (n for a in node.exc.args for n in ast.walk(a))
                    if any(isinstance(n, ast.Name) and n.id == "_" for n in parts):
                        found.add(name)
    assert found == _AT_ONCE


def test_a_server_that_is_ready_speaks_the_language_of_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*VARIABLES, "LANGUAGE"):
        monkeypatch.setenv(name, "es")
    assert _("free memory, or allow the process more of it").startswith("libere")
    report_ready(logging.getLogger("test"), [], {})
    assert _("free memory, or allow the process more of it").startswith("free")


def test_a_moment_is_read_in_this_machines_zone_and_what_is_none_is_refused_with_an_example() -> None:
    assert read_moment("2026-11-30T18:00:00Z") == datetime(2026, 11, 30, 18, tzinfo=UTC)
    assert read_moment("2026-11-30").utcoffset() is not None
    with pytest.raises(OperatorError, match="'ayer' is no moment; expected is ISO 8601, as 2026-11-30"):
        read_moment("ayer")
