"""Refusals: one table of codes an API, with the status of each; raisers name a member, and no member is unused."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from central_server.registry.refusals import RegistryCode, refuse
from gateway.refusals import GatewayCode
from serving.errors import RefusalCode
from serving.language import N_
from tests.paths import PROJECT

TABLES = [
    (GatewayCode, "gateway", "gateway/refusals.py"),
    (RegistryCode, "central_server", "central_server/registry/refusals.py"),
]


def named_members(table: type[RefusalCode], package: str, home: str) -> set[str]:
    """The members of a table that the modules of a package name."""
    return {
        node.attr
        for path in (PROJECT / package).rglob("*.py")
        if path != PROJECT / Path(home)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id == table.__name__
    }


@pytest.mark.parametrize(("table", "package", "home"), TABLES, ids=["gateway", "central server"])
def test_every_code_of_a_table_is_raised_somewhere(table: type[RefusalCode], package: str, home: str) -> None:
    assert set(table.__members__) - named_members(table, package, home) == set()


@pytest.mark.parametrize("table", [GatewayCode, RegistryCode])
def test_code_is_the_text_on_the_wire_and_knows_its_status(table: type[RefusalCode]) -> None:
    for code in table:
        assert str(code) == code.value
        assert code.status in (400, 404, 409, 500)
    assert len({code.value for code in table}) == len(table.__members__)


def test_refusal_carries_its_code_and_details_in_order() -> None:
    refused = refuse(RegistryCode.MEMBER_NOT_FOUND, "SX:GOV:1", 7)
    assert (refused.code.status, refused.metadata) == (404, ("SX:GOV:1", "7"))
    assert str(refused) == "member_not_found SX:GOV:1 7"


def test_a_person_is_told_in_words_what_the_central_server_refuses_and_a_program_by_its_code() -> None:
    for code in RegistryCode:
        english, spanish = code.words.into("en"), code.words.into("es")
        assert " " in english
        assert english != spanish
    refused = refuse(RegistryCode.TOKEN_ACTION_NOT_POSSIBLE, N_("the token is locked already"))
    assert str(refused) == "token_action_not_possible the token is locked already"
    assert refused.metadata == ("the token is locked already",)
    assert refused.text.into("es") == "el token no puede hacer eso ahora: el token ya está cerrado"
