"""Parts of pages: lists searched, sorted, paged and taken away, pictures that hold only escaped texts, forms with nested fields."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from central_server.registry.callexamples import DescribedCall, build_examples, read_calls
from gateway.monitoring.summary import percentile
from schemas.identifiers import ClientId, ServiceId
from serving.language import N_, as_it_is
from serving.web.blocks import Column, Listing, code, number, text
from serving.web.codewords import word_of
from serving.web.drawings import (
    Amount,
    CircleNode,
    EndingMark,
    draw_amounts,
    draw_circle,
    draw_endings,
    draw_lines,
)
from serving.web.formnames import back_of
from serving.web.forms import fields_of, read_values
from serving.web.listing import arranged, render_csv
from tests.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 5, 1, tzinfo=UTC)
EVIL = "</text><script>alert(1)</script>\"'&"
NAMES = [f"member {n:03}" for n in range(120)]


def listing(names: list[str]) -> Listing:
    rows = tuple((text(n), number(len(n) + i)) for i, n in enumerate(names))
    columns = (Column(N_("Name"), "nombre"), Column(N_("Number"), "numero", right=True))
    return Listing(N_("Members"), columns, rows, N_("There are none."), "miembros")


@pytest.mark.xroad("F178")
def test_a_list_shows_one_page_and_says_where_it_stands() -> None:
    shown = arranged(listing(NAMES), {"pagina": "2", "orden": "-nombre"}, "en")
    assert [row[0].plain() for row in shown.rows] == NAMES[20:70][::-1]
    assert (shown.state.first, shown.state.last, shown.state.count) == (51, 100, 120)
    assert shown.state.before == "?pagina=1&orden=-nombre"
    assert shown.state.orders["numero"] == ("?orden=numero", "none")


@pytest.mark.xroad("F178")
def test_numbers_sort_as_numbers() -> None:
    names = ["x" * n for n in (2, 100, 11)]
    shown = arranged(listing(names), {"orden": "numero"}, "en")
    assert [len(row[0].plain()) for row in shown.rows] == [2, 11, 100]


@given(st.dictionaries(st.sampled_from(["q", "pagina", "orden", "csv"]), st.text(max_size=30)))
def test_no_address_breaks_a_list(query: dict[str, str]) -> None:
    shown = arranged(listing(NAMES), query, "es")
    assert len(shown.rows) <= shown.per_page


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_a_cell_that_a_spreadsheet_would_run_is_a_text_in_the_file(formula: str) -> None:
    line = render_csv(listing([formula]), {}, "en").splitlines()[1]
    assert line.startswith(f"'{formula}") or line.startswith(f"\"'{formula}")


def test_a_picture_holds_strangers_texts_as_texts_alone() -> None:
    later = NOW + timedelta(days=90)
    drawn = (
        draw_endings([EndingMark(EVIL, later, "good", EVIL)], NOW, EVIL, EVIL),
        draw_amounts([Amount(EVIL, 3, 1)], EVIL),
        draw_lines([EVIL], [(EVIL, [1.5]), (EVIL, [None])], EVIL, EVIL),
        draw_circle(
            [CircleNode("a", EVIL, "bad", EVIL), CircleNode("b", EVIL, "good", EVIL)], [("a", "b", 1.0)], EVIL
        ),
    )
    for svg in drawn:
        root = ET.fromstring(str(svg))
        assert not [e for e in root.iter() if "script" in e.tag]
        assert root[0].text == EVIL


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), max_size=40))
def test_amounts_stay_within_their_picture(found: list[tuple[int, int]]) -> None:
    root = ET.fromstring(str(draw_amounts([Amount("", g, b) for g, b in found], "x")))
    assert all(float(r.get("y", "0")) >= 0 for r in root.iter("rect"))


@pytest.mark.parametrize(
    ("address", "good"),
    [
        ("/consola/clientes", True),
        ("/consola/cliente?id=MX:GOB:1", True),
        ("https://evil.example/consola/", False),
        ("//evil.example/consola/", False),
        ("/consola//evil.example", False),
        ("/consola/\\evil", False),
        ("/consola/\r\nSet-Cookie: x", False),
        ("javascript:alert(1)", False),
    ],
)
def test_a_page_leads_back_to_this_console_alone(address: str, good: bool) -> None:
    assert back_of(address) == (address if good else "")


class NestedItem(msgspec.Struct):
    id: str


class NestedBody(msgspec.Struct):
    items: list[NestedItem]
    subject_field_values: dict[str, str]


def test_fields_of_their_own_make_a_list_of_objects_and_a_mapping() -> None:
    form = {
        "items.1.id": "b",
        "items.0.id": "a",
        "subject_field_values.CN": "x",
        "subject_field_values.O": " ",
    }
    found = read_values(fields_of(NestedBody), form)
    assert found == {"items": [{"id": "a"}, {"id": "b"}], "subject_field_values": {"CN": "x"}}


@given(
    st.dictionaries(
        st.text("i.tems019", max_size=20).map(lambda n: f"items.{n}"), st.text(max_size=5), max_size=6
    )
)
def test_no_names_of_fields_break_the_reading_of_a_form(form: dict[str, str]) -> None:
    read_values(fields_of(NestedBody), form)


def test_percentiles_are_by_nearest_rank() -> None:
    assert [percentile(list(range(1, 101)), p) for p in (50, 95, 99)] == [50, 95, 99]
    assert percentile([], 50) == 0


def test_a_strangers_path_is_quoted_for_each_language() -> None:
    service = ServiceId(ClientId("MX", "GOB", "15-ISSEMYM", "AFIL"), "personas")
    call = DescribedCall("GET", "/a'; rm -rf /; \"/{id}")
    lines = build_examples(service, call, "MX/GOB/1/X'Y\"")
    assert "/a%27%3B%20rm%20-rf%20/%3B%20%22/ID" in lines["curl"]
    assert "'X-Road-Client: MX/GOB/1/X'\\''Y\"'" in lines["curl"]
    assert '"MX/GOB/1/X\'Y\\""' in lines["Python (python3 call.py)"]
    assert {name.partition(" ")[0] for name in lines} == {"curl", "Python", "Java", "Node"}


def test_operations_are_read_from_a_description_within_bounds() -> None:
    raw = b"""{"openapi": "3.0.0", "info": {"title": "t", "version": "1"}, "paths": {"/x/{id}": {"get": {
        "summary": "One", "parameters": [{"name": "id", "in": "path", "required": true}],
        "responses": {"200": {"description": "There"}}}}}}"""
    assert read_calls("OPENAPI", raw) == (
        DescribedCall("GET", "/x/{id}", "One", ("id* (path)",), ("200 There",)),
    )
    assert read_calls("OPENAPI", b"%PDF") == ()
    assert read_calls("WSDL", b"<a") == ()


def test_short_identifiers_stay_whole() -> None:
    assert code("MX/GOB/15-ISSEMYM/AFIL").is_short
    assert not code("F" * 64).is_short


def test_a_number_has_separators_its_unit_and_no_needless_digit() -> None:
    assert [number(v, "ms").plain() for v in (1003.0, 37.25, 1_000_000)] == [
        "1,003 ms",
        "37.2 ms",
        "1,000,000 ms",
    ]


def calls_of_the_product() -> Iterator[ast.Call]:
    for package in ("gateway", "central_server", "serving"):
        for path in (PROJECT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            yield from (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def test_every_event_of_a_command_or_of_the_registry_has_words() -> None:
    """An operation's has its summary; others stand on the audit trail by a word of their own."""
    of_rows, others = set(), set()
    for call in calls_of_the_product():
        named = [k.value for k in call.keywords if k.arg == "event"]
        of_rows |= {v.value for v in named if isinstance(v, ast.Constant)}
        if getattr(call.func, "attr", getattr(call.func, "id", "")) in ("audited", "note", "record"):
            texts = (a.value for a in call.args[:2] if isinstance(a, ast.Constant))
            others |= {t for t in texts if isinstance(t, str) and re.fullmatch("[A-Z][A-Z_]{3,}", t)}
    assert len(others - of_rows) > 10
    assert {event for event in others - of_rows if word_of(event) is None} == set()


def test_a_value_is_searched_as_it_is_read() -> None:
    assert code("A").plain("es") == "A"
    assert as_it_is("x").into("es") == "x"
