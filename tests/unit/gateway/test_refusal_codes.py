"""Every refusal that the gateway's rules raise has its HTTP status in one table, and the table has no other."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import gateway
from gateway.admin.refusalcodes import STATUS, status_of

RAISED = ("ChangeRefused", "KeyRefused", "_step")


@cache
def trees() -> tuple[ast.Module, ...]:
    files = sorted(Path(gateway.__path__[0]).rglob("*.py"))
    return tuple(ast.parse(f.read_text(encoding="utf-8")) for f in files if f.name != "refusalcodes.py")


def raised_codes() -> set[str]:
    """The codes that are written where a refusal is made."""
    calls = (node for tree in trees() for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
    return {
        call.args[0].value
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in RAISED
        if isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    }


def test_every_code_that_is_raised_has_a_status() -> None:
    assert len(raised_codes()) > 50
    assert raised_codes() - set(STATUS) == set()


def test_every_code_in_the_table_is_raised_somewhere() -> None:
    written = {
        node.value
        for tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    assert set(STATUS) - written == set()


def test_mistyped_code_is_no_bad_request() -> None:
    assert status_of("client_not_found") == 404
    with pytest.raises(LookupError, match="client_notfound"):
        status_of("client_notfound")
