"""Answers of the catalogue's sandbox: the description's own examples first, else what its types take; a fault where there is no right."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.described import openapi, wsdl
from central_server.edges.callpages import call_blocks, parse_service
from central_server.registry.sandbox import LONGEST, example_request, promised_answer, refused_answer
from serving.web.blocks import PageNote, SourceText

SERVICE = parse_service("MX:GOB:00-RNSS:INDICE:people")


def described(schema: dict[str, Any], **content: Any) -> bytes:
    answer = {"description": "x", "content": {"application/json": {"schema": schema, **content}}}
    get = {"responses": {"404": {"description": "none"}, "200": answer}}
    return json.dumps(
        {"openapi": "3.0.3", "info": {"title": "x", "version": "1"}, "paths": {"/x": {"get": get}}}
    ).encode()


def made(raw: bytes) -> Any:
    answer = promised_answer("OPENAPI3", raw, "GET", "/x")
    assert answer is not None
    assert (answer.status, answer.content_type) == (200, "application/json")
    return json.loads(answer.body)


def test_an_example_that_the_description_writes_out_is_the_answer() -> None:
    raw = described({"type": "object"}, example={"nss": "01"})
    answer = promised_answer("OPENAPI3", raw, "GET", "/x")
    assert answer is not None
    assert answer.is_example
    assert made(raw) == {"nss": "01"}
    assert made(described({}, examples={"one": {"value": [1, 2]}})) == [1, 2]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer", "minimum": 7}, 7),
        ({"type": ["null", "string"]}, "texto"),
        ({"type": "string", "format": "date"}, "2026-01-31"),
        ({"type": "string", "enum": ["ALTA", "BAJA"]}, "ALTA"),
        ({"type": "array", "items": {"type": "boolean"}}, [True]),
        ({"properties": {"id": {"type": "integer"}, "name": {"example": "Ana"}}}, {"id": 1, "name": "Ana"}),
        (
            {"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"default": 2}}}]},
            {"a": 1, "b": 2},
        ),
        ({"oneOf": [{"type": "number"}, {"type": "string"}]}, 1.5),
        ({"$ref": "https://example.org/elsewhere.json"}, None),
        ({"$ref": "#/nowhere"}, None),
    ],
)
def test_a_value_is_made_of_a_schema(schema: dict[str, Any], value: Any) -> None:
    assert made(described(schema)) == value


def test_a_schema_that_holds_itself_ends_and_a_wide_one_is_bounded() -> None:
    document = json.loads(described({"$ref": "#/components/schemas/Node"}))
    node = {"properties": {f"n{n}": {"$ref": "#/components/schemas/Node"} for n in range(500)}}
    document["components"] = {"schemas": {"Node": node}}
    answer = promised_answer("OPENAPI3", json.dumps(document).encode(), "GET", "/x")
    assert answer is not None
    assert len(answer.body) <= LONGEST
    loop = {"schemas": {"Node": {"$ref": "#/components/schemas/Node"}}}
    document["components"] = loop
    assert made(json.dumps(document).encode()) is None


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 5)
    | st.sampled_from(["$ref", "#/paths", "object", "2", "array"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "$ref",
                    "type",
                    "properties",
                    "items",
                    "allOf",
                    "oneOf",
                    "content",
                    "example",
                    "schema",
                    "200",
                    "x",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@given(json_values)
def test_whatever_a_stranger_describes_is_answered_or_not_but_nothing_fails(value: Any) -> None:
    document = {
        "openapi": "3.0.3",
        "info": {"title": "x", "version": "1"},
        "paths": {"/x": {"get": {"responses": value}}},
    }
    promised_answer("OPENAPI3", json.dumps(document).encode(), "GET", "/x")
    promised_answer("OPENAPI3", described({"properties": {"x": value}}, example=value), "GET", "/x")


def test_a_soap_operation_answers_its_response_element() -> None:
    answer = promised_answer("WSDL", wsdl("http://x", 1).encode(), "SOAP", "sum")
    assert answer is not None
    assert "<sumResponse xmlns=" in answer.body
    assert "<result>1</result>" in answer.body
    assert promised_answer("WSDL", wsdl("http://x", 1).encode(), "SOAP", "nothing") is None
    assert promised_answer("WSDL", b"<broken", "SOAP", "sum") is None


def page(raw: bytes, kind: str = "OPENAPI3", **query: str) -> list[Any]:
    return [b for b in call_blocks(SERVICE, kind, raw, query, "/x", ()) if b is not None]


def test_the_page_tries_a_call_with_a_right_and_without_and_sends_nothing() -> None:
    raw = json.dumps(openapi("http://x", 1)).encode()
    shown = [b for b in page(raw, prueba="1", derecho="si") if isinstance(b, SourceText)]
    assert json.loads(shown[-1].text) == {"id": 1, "name": "texto"}
    refused = [
        b
        for b in page(raw, prueba="1", derecho="no", cliente="MX:GOB:15-ISSEMYM:AFIL")
        if isinstance(b, SourceText)
    ]
    fault = json.loads(refused[-1].text)
    assert fault["type"] == "server.serverproxy.access_denied"
    assert "client MX/GOB/15-ISSEMYM/AFIL has no access right to GET /people/{id}" in fault["message"]
    for number in ("99", "-1", "x", "²"):
        assert not any(isinstance(b, SourceText) and b.text.startswith("{") for b in page(raw, prueba=number))


def test_a_call_whose_answer_is_not_described_says_so() -> None:
    raw = json.dumps(
        {"openapi": "3.0.3", "info": {"title": "x", "version": "1"}, "paths": {"/x": {"get": {}}}}
    ).encode()
    notes = [b for b in page(raw, prueba="0", derecho="si") if isinstance(b, PageNote)]
    assert "does not say" in notes[-1].text.into("en")


def test_a_refusal_over_soap_is_a_fault_with_its_text_escaped() -> None:
    answer = refused_answer(SERVICE, "MX/GOB/<b>/X", "SOAP", "sum")
    assert answer.content_type == "text/xml"
    assert "&lt;b&gt;" in answer.body


def test_a_request_is_made_of_the_description_too() -> None:
    body = {"content": {"application/json": {"schema": {"properties": {"nss": {"type": "string"}}}}}}
    post = {"requestBody": body, "responses": {"200": {"description": "x"}}}
    paths = {"/x": {"post": post, "get": {"responses": {}}}}
    raw = json.dumps({"openapi": "3.0.3", "info": {"title": "x", "version": "1"}, "paths": paths}).encode()
    assert json.loads(example_request("OPENAPI3", raw, "POST", "/x")) == {"nss": "texto"}
    assert example_request("OPENAPI3", raw, "GET", "/x") == ""
    assert example_request("OPENAPI3", b"%PDF", "POST", "/x") == ""
    element = example_request("WSDL", wsdl("http://x", 1).encode(), "SOAP", "sum")
    assert element.startswith('<sum xmlns="urn:example:sum">') and element.endswith("</sum>")
    assert example_request("WSDL", wsdl("http://x", 1).encode(), "SOAP", "nothing") == ""
