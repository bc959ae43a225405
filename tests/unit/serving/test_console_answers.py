"""Pages expect of an operation what its row says that it answers, and handlers answer it: a renamed field is a type error."""

from __future__ import annotations

import ast
import importlib
import inspect
from dataclasses import fields
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, get_args

import msgspec
import pytest

import central_server.admin.api
from central_server.admin.context import CentralAdminContext
from serving.api.operations import Download
from serving.web.console import check_answer
from tests.paths import PROJECT
from tests.unit.serving import test_forms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serving.api.operations import Operation


class Shown(msgspec.Struct):
    name: str


def central_operations() -> list[Operation]:
    """The rows of a central server: handlers that are only looked at need nothing behind them."""
    nothing: dict[str, Any] = {f.name: None for f in fields(CentralAdminContext)}
    nothing["node"] = SimpleNamespace(profiles=SimpleNamespace(names=tuple))
    return list(central_server.admin.api.operations(CentralAdminContext(**nothing)))


def server_operations(package: str) -> list[Operation]:
    return test_forms.operations() if package == "gateway" else central_operations()


def expected(package: str) -> Iterator[tuple[str, str, object]]:
    """Every operation that a page of the package's console names, where, and of which type it expects the answer."""
    for path in sorted((PROJECT / package / "admin" / "console").glob("*.py")):
        names = vars(importlib.import_module(f"{package}.admin.console.{path.stem}"))
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(function, ast.AsyncFunctionDef):
                continue
            values = {**names, **dict(constants(function))}
            for call in ast.walk(function):
                if isinstance(call, ast.Call) and ast.unparse(call.func) in ("request.do", "request.fetch"):
                    name, kind = (eval(ast.unparse(a), dict(values)) for a in call.args[:2])
                    yield name, f"{path.stem}:{call.lineno}", kind


def constants(function: ast.AsyncFunctionDef) -> Iterator[tuple[str, str]]:
    """Names that a function gives to texts, of which it makes operations' names."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
            pairs = (
                zip(target.elts, value.elts, strict=True)
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
                else [(target, value)]
            )
            for name, text in pairs:
                if (
                    isinstance(name, ast.Name)
                    and isinstance(text, ast.Constant)
                    and isinstance(text.value, str)
                ):
                    yield name.id, text.value


@pytest.mark.parametrize("package", ["gateway", "central_server"])
def test_pages_expect_what_the_rows_say(package: str) -> None:
    answers = {o.id: Download if isinstance(o.answer, str) else o.answer for o in server_operations(package)}
    found = list(expected(package))
    assert len(found) > 35
    assert [(where, name, kind) for name, where, kind in found if answers[name] != kind] == []


@pytest.mark.parametrize("package", ["gateway", "central_server"])
def test_handlers_answer_what_their_rows_say(package: str) -> None:
    wrong = []
    for operation in server_operations(package):
        if operation.answer is None or isinstance(operation.answer, str):
            continue
        given = str(inspect.get_annotations(operation.handler).get("return"))
        item = get_args(operation.answer)
        named = f"list[{item[0].__name__}]" if item else operation.answer.__name__
        if given not in (named, "ApiAnswer"):
            wrong.append(f"{operation.id}: the row says {named}, the handler {given}")
    assert wrong == []


def test_an_answer_of_another_type_than_the_rows_or_the_pages_is_refused() -> None:
    check_answer("one", Shown, Shown, Shown("a"))
    check_answer("many", list[Shown], list[Shown], [])
    check_answer("file", Download, Download, Download(b"", "text/plain"))
    for row_kind, kind, answer in (
        (None, Shown, Shown("a")),
        (list[Shown], Shown, Shown("a")),
        (Shown, Shown, None),
        (Shown, Shown, {"name": "a"}),
        (list[Shown], list[Shown], Shown("a")),
        (list[Shown], list[Shown], [Shown("a"), "b"]),
    ):
        with pytest.raises(TypeError, match="this one"):
            check_answer("this one", row_kind, kind, answer)
