"""Reading WSDL: what X-Road's own descriptions say, and what hostile ones get."""

from __future__ import annotations

import pytest
from lxml import etree

from gateway.clients.descriptions.described import MAX_BYTES
from gateway.clients.descriptions.wsdl import hide_addresses, parse_wsdl, read_wsdl, without_locations
from serving.errors import Refused
from tests.paths import VECTORS

SERVICES = VECTORS / "services"
WSDL = (SERVICES / "testservice1.wsdl").read_bytes()


def refusal(content: bytes) -> Refused:
    with pytest.raises(Refused) as refused:
        parse_wsdl(content)
    return refused.value


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("testservice1.wsdl", ["testOp1", "testOpA"]),
        ("testservice2.wsdl", ["testOp2", "testOpX"]),
        ("testservice3.wsdl", ["testOpBC", "testOpZ"]),
    ],
)
@pytest.mark.xroad("F072")
def test_services_are_the_operations_sorted_by_code(name: str, codes: list[str]) -> None:
    described = parse_wsdl((SERVICES / name).read_bytes())
    assert [s.code for s in described.services] == codes
    assert described.warnings == ()


@pytest.mark.xroad("F072")
def test_versions_and_addresses_are_read_and_a_missing_import_is_no_warning() -> None:
    described = parse_wsdl((VECTORS / "metaservices" / "wsdl.wsdl").read_bytes())
    assert [(s.code, s.version) for s in described.services] == [("getRandom", "v1"), ("helloService", "v1")]
    assert {s.url for s in described.services} == {"https://172.28.128.2:8084/mocktestServiceBinding"}
    assert described.warnings == ()


def test_a_doctype_is_refused() -> None:
    hostile = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + WSDL.replace(b"Calculator", b"&x;")
    refused = refusal(hostile)
    assert refused.code == "invalid_wsdl"
    assert "DOCTYPE" in str(refused)


def test_a_document_that_is_no_wsdl_is_refused() -> None:
    assert refusal(b"<a/>").code == "invalid_wsdl"
    assert refusal(b"FooBar!").code == "invalid_wsdl"


def test_a_document_above_the_bound_is_refused_unread() -> None:
    assert refusal(b"<" * (MAX_BYTES + 1)).code == "description_too_large"


def test_a_service_address_that_is_not_http_is_refused() -> None:
    refused = refusal(WSDL.replace(b"https://www.niis.org/nosuch1/", b"ftp://www.niis.org/"))
    assert (refused.code, refused.metadata) == ("invalid_service_url", ("ftp://www.niis.org/",))


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("listMethods", "service_code_reserved"),
        ("a:b", "invalid_wsdl_service_identifier"),
        (" ", "invalid_wsdl_service_identifier"),
    ],
)
def test_codes_that_cannot_be_are_refused(code: str, expected: str) -> None:
    assert refusal(WSDL.replace(b'"testOp1"', f'"{code}"'.encode())).code == expected


def test_the_same_operation_twice_in_a_binding_is_refused() -> None:
    assert "twice" in str(refusal(WSDL.replace(b'"testOpA"', b'"testOp1"')))


def test_a_broken_schema_is_a_warning_that_says_what() -> None:
    described = parse_wsdl(WSDL.replace(b'<xs:element name="testOp">', b'<xs:element name="">'))
    assert len(described.services) == 2
    assert any("name" in w for w in described.warnings)


def test_nothing_the_document_points_at_is_left_for_schema_code() -> None:
    pointing = WSDL.replace(
        b'<xs:element name="testOp">',
        b'<xs:import namespace="urn:x" schemaLocation="file:///etc/passwd"/>'
        b'<xs:include schemaLocation="http://127.0.0.1/x.xsd"/><xs:element name="testOp">',
    )
    text = etree.tostring(without_locations(read_wsdl(pointing)))
    assert b"schemaLocation" not in text
    assert b"include" not in text
    assert [s.code for s in parse_wsdl(pointing).services] == ["testOp1", "testOpA"]


def test_addresses_are_hidden_from_other_institutes() -> None:
    hidden = hide_addresses(WSDL)
    assert b"niis.org/nosuch1" not in hidden
    assert hidden.count(b"http://example.org/xroad-endpoint") == 2
