"""Reading OpenAPI: X-Road's own descriptions, and hostile ones refused within bounds."""

from __future__ import annotations

import json
import time

import pytest

from gateway.clients.descriptions.described import MAX_BYTES
from gateway.clients.descriptions.openapi import hide_servers, load_document, parse_openapi
from serving.errors import Refused
from tests.paths import VECTORS

SERVICES = VECTORS / "services"
META = VECTORS / "metaservices"
BASE = "openapi: 3.0.0\ninfo: {title: t, version: '1'}\n"


def refusal(content: bytes) -> Refused:
    with pytest.raises(Refused) as refused:
        parse_openapi(content, "http://provider/api.yaml")
    return refused.value


@pytest.mark.xroad("F074")
def test_the_address_and_operations_of_openapi_3_1_are_read() -> None:
    described = parse_openapi((SERVICES / "testopenapi_v310.json").read_bytes(), "http://x/d.json")
    assert described.services[0].url == "https://example.org/api"
    assert set(described.operations) == {("GET", "/test"), ("POST", "/test"), ("POST", "/file")}
    assert described.warnings == ()


def test_another_version_is_refused_by_name() -> None:
    refused = refusal((SERVICES / "testopenapi_invalid_version.yaml").read_bytes())
    assert (refused.code, refused.metadata) == ("unsupported_openapi_version", ("3.1.1",))


def test_a_relative_server_is_resolved_against_where_the_document_came_from() -> None:
    text = BASE + "servers: [{url: /v2}]\npaths: {}\n"
    assert parse_openapi(text.encode(), "https://h:8/a/b.yaml").services[0].url == "https://h:8/v2"


def test_path_parameters_become_stars() -> None:
    described = parse_openapi((META / "petstore.yaml").read_bytes())
    assert ("GET", "/pets/*") in described.operations
    assert len(described.warnings) == 3


@pytest.mark.parametrize(
    "reference",
    ["file:///etc/passwd", "http://127.0.0.1:4000/x", "other.yaml#/a", "../x", "#/components/schemas/No"],
)
def test_a_reference_out_of_the_document_or_to_nothing_is_refused(reference: str) -> None:
    text = BASE + f"paths: {{}}\ncomponents: {{schemas: {{A: {{$ref: '{reference}'}}}}}}\n"
    assert refusal(text.encode()).code == "openapi_parsing_error"


def test_references_in_a_circle_are_refused_and_a_recursive_schema_is_not() -> None:
    circle = (
        "components: {schemas: {A: {$ref: '#/components/schemas/B'}, B: {$ref: '#/components/schemas/A'}}}\n"
    )
    assert "circle" in str(refusal((BASE + "paths: {}\n" + circle).encode()))
    tree = (
        "components: {schemas: {A: {type: object, properties: {next: {$ref: '#/components/schemas/A'}}}}}\n"
    )
    (warning,) = parse_openapi((BASE + "paths: {}\n" + tree).encode()).warnings
    assert warning.startswith("servers: none is named")


def test_aliases_that_multiply_are_refused_before_anything_is_built() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]
    begun = time.process_time()
    assert "aliases" in str(refusal("\n".join(lines).encode()))
    assert time.process_time() - begun < 2


def test_deep_nesting_is_refused() -> None:
    assert "nest" in str(refusal(b"[" * 100_000))
    assert "nests deeper" in str(refusal(json.dumps({"a": 1}).replace("1", "[" * 80 + "]" * 80).encode()))


def test_too_many_values_are_refused() -> None:
    assert "more than" in str(refusal(b"a: [" + b"1," * 500_000 + b"1]"))


def test_a_document_above_the_bound_is_refused_unread() -> None:
    assert refusal(b" " * (MAX_BYTES + 1)).code == "description_too_large"


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"- a\n", b"a: [", b"!!python/object:os.system {}", b"", b"openapi: [3]"]
)
def test_what_is_no_description_is_refused(content: bytes) -> None:
    assert refusal(content).code == "openapi_parsing_error"


def test_a_date_stays_the_text_it_is() -> None:
    assert load_document(b"a: 2026-03-01") == {"a": "2026-03-01"}


def test_servers_are_hidden_and_odd_entries_stay() -> None:
    content, media_type = hide_servers((META / "petstore.yaml").read_bytes(), "text/yaml", "http://h/p.yaml")
    urls = [s["url"] for s in load_document(content)["servers"]]
    assert urls == ["/v1/cats", None, None, "", ["this", "should", "be", "a string"]]
    assert media_type == "text/yaml"


def test_json_stays_json_by_its_media_type_or_its_name() -> None:
    document = json.dumps(
        {"openapi": "3.1.0", "servers": [{"url": "https://h/{v}/x"}, {"url": "https://h/x"}]}
    ).encode()
    for media_type, url in (("application/json", ""), ("text/plain", "http://h/a.json")):
        content, _ = hide_servers(document, media_type, url)
        assert [s["url"] for s in json.loads(content)["servers"]] == ["https://h/{v}/x", "/x"]


def test_a_stored_document_of_an_unknown_version_is_not_handed_out() -> None:
    with pytest.raises(Refused) as refused:
        hide_servers((META / "openapi_incompatible_version.yaml").read_bytes(), "text/yaml", "")
    assert refused.value.code == "unsupported_openapi_version"
