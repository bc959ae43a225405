"""Messages against their description: what fits passes, what does not is found by place and rule, never by value."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from benchmarks.described import NAMESPACE, openapi, wsdl
from gateway.clients.model import Service, ServiceType, Validation
from gateway.clients.records import Document
from gateway.clients.validation.checkedservices import MAX_BODY_BYTES, CheckedServices
from gateway.clients.validation.restchecks import build_rest_checks
from gateway.clients.validation.soapchecks import build_soap_checks
from gateway.exchange.ports import ServiceAnswer, ServiceCall
from schemas import rest, soap
from schemas.faults import BadMessage, Fault, Kind
from schemas.identifiers import ClientId, ServiceId
from serving.errors import Refused
from tests.paths import VECTORS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

PROVIDER = ClientId("MX", "GOB", "00-RNSS", "INDICE")
AFIL = ClientId("MX", "GOB", "15-ISSEMYM", "AFIL")
SUM = ServiceId(PROVIDER, "sum", "v1")
WSDL = wsdl("http://inside", 1).encode()
OPENAPI = json.dumps(openapi("http://inside", 1)).encode()
SOAP_CHECKS = build_soap_checks(WSDL, SUM)
REST_CHECKS = build_rest_checks(OPENAPI)
JSON = "application/json"


def envelope(body: str) -> bytes:
    return soap.render_request(AFIL, SUM, "q1", body)


def numbers(a: str, b: str = "<t:b>2</t:b>", name: str = "sum") -> bytes:
    return envelope(f'<t:{name} xmlns:t="{NAMESPACE}">{a}{b}</t:{name}>')


# SOAP


def test_a_body_that_fits_has_no_findings() -> None:
    assert SOAP_CHECKS.check_request(numbers("<t:a>1</t:a>")) == ()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (numbers(""), "Expected is"),
        (numbers("<t:a>secret</t:a>"), "CVC_DATATYPE"),
        (numbers("<t:a>1</t:a>", name="other"), "was expected"),
        (envelope('<sum xmlns="urn:elsewhere"/>'), "was expected"),
    ],
)
def test_a_body_that_does_not_fit_is_told_without_its_values(raw: bytes, says: str) -> None:
    findings = SOAP_CHECKS.check_request(raw)
    assert any(says in finding for finding in findings)
    assert not any("secret" in finding for finding in findings)


def test_an_answer_is_checked_against_the_output_message() -> None:
    fits = envelope(f'<t:sumResponse xmlns:t="{NAMESPACE}"><t:result>3</t:result></t:sumResponse>')
    assert SOAP_CHECKS.check_response(fits) == ()
    assert SOAP_CHECKS.check_response(numbers("<t:a>1</t:a>")) != ()


def test_an_attachment_by_reference_counts_as_the_bytes_it_stands_for() -> None:
    binary = WSDL.replace(b'name="a" type="xs:int"', b'name="a" type="xs:base64Binary"')
    include = '<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:a"/>'
    assert build_soap_checks(binary, SUM).check_request(numbers(f"<t:a>{include}</t:a>")) == ()


def test_a_schema_that_points_to_a_file_is_not_followed() -> None:
    pointing = WSDL.replace(
        b'elementFormDefault="qualified">',
        b'elementFormDefault="qualified"><xs:import namespace="urn:x" schemaLocation="file:///etc/passwd"/>',
    )
    assert build_soap_checks(pointing, SUM).check_request(numbers("<t:a>1</t:a>")) == ()
    using = pointing.replace(b'type="xs:int"', b'xmlns:x="urn:x" type="x:thing"')
    with pytest.raises(Refused) as found:
        build_soap_checks(using, SUM)
    assert found.value.code == "validation_not_possible"


def test_rpc_and_unknown_operations_cannot_be_checked() -> None:
    with pytest.raises(Refused, match="rpc"):
        build_soap_checks(WSDL.replace(b'style="document"', b'style="rpc"'), SUM)
    with pytest.raises(Refused, match="no operation"):
        build_soap_checks(WSDL, ServiceId(PROVIDER, "sum"))


def test_the_foreign_wsdl_of_the_metadata_cases_can_be_checked() -> None:
    raw = (VECTORS / "metaservices" / "wsdl.wsdl").read_bytes()
    checks = build_soap_checks(raw, ServiceId(PROVIDER, "helloService", "v1"))
    hello = '<p:helloService xmlns:p="http://test.x-road.fi/producer"><p:request><p:name>x</p:name></p:request></p:helloService>'
    assert checks.check_request(envelope(hello)) == ()


# REST


def test_a_request_that_fits_has_no_findings() -> None:
    assert REST_CHECKS.check_request("GET", "/people/7", None, b"") == ()
    assert REST_CHECKS.check_request("POST", "/people", JSON, b'{"id": 1, "name": "a"}') == ()


@pytest.mark.parametrize(
    ("method", "target", "content_type", "body", "says"),
    [
        ("GET", "/nothing", None, b"", "no path"),
        ("DELETE", "/people/7", None, b"", "DELETE is not described"),
        ("GET", "/people/secret", None, b"", "parameter id"),
        ("POST", "/people", JSON, b"", "missing"),
        ("POST", "/people", JSON, b"{", "not JSON"),
        ("POST", "/people", "text/plain", b"x", "is described"),
        ("POST", "/people", JSON, b'{"id": "secret", "name": "a"}', "/id"),
        ("POST", "/people", JSON, b'{"id": 1}', "name"),
        ("POST", "/people", JSON, b"[" * 100_000, "not JSON"),
    ],
)
def test_a_request_that_does_not_fit_is_told_without_its_values(
    method: str, target: str, content_type: str | None, body: bytes, says: str
) -> None:
    findings = REST_CHECKS.check_request(method, target, content_type, body)
    assert any(says in finding for finding in findings), findings
    assert not any("secret" in finding for finding in findings)


def test_an_answer_needs_a_described_status_and_body() -> None:
    check = REST_CHECKS.check_response
    assert check("GET", "/people/7", 200, JSON, b'{"id": 7, "name": "a"}') == ()
    assert "404" in check("GET", "/people/7", 404, JSON, b"")[0]
    assert check("GET", "/people/7", 200, JSON, b'{"id": 7}') != ()
    assert check("GET", "/people/7", 200, "text/html", b"<p>") != ()


def test_null_is_allowed_where_openapi_3_0_says_nullable() -> None:
    document = json.loads(OPENAPI)
    document["openapi"] = "3.0.3"
    document["components"]["schemas"]["Person"]["properties"]["name"]["nullable"] = True
    checks = build_rest_checks(json.dumps(document).encode())
    assert checks.check_request("POST", "/people", JSON, b'{"id": 1, "name": null}') == ()
    assert checks.check_request("POST", "/people", JSON, b'{"id": null, "name": "a"}') != ()


# The layer over the services


class Echo:
    """A provider's system that always answers the same."""

    def __init__(self, content: bytes, content_type: str = JSON) -> None:
        self.content, self.content_type, self.calls = content, content_type, 0

    @contextlib.asynccontextmanager
    async def call(self, _service: Service, _call: ServiceCall) -> AsyncIterator[ServiceAnswer]:
        self.calls += 1
        yield ServiceAnswer(200, "OK", [("Content-Type", self.content_type)], chunks_of(self.content))


async def chunks_of(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 1 << 20):
        yield content[start : start + (1 << 20)]


PEOPLE = Service(
    ServiceId(PROVIDER, "people"), ServiceType.OPENAPI3, "http://inside", validation=Validation.REFUSE
)


def ask(
    system: Echo, service: Service = PEOPLE, target: str = "/people/7", document: bytes | None = OPENAPI
) -> bytes:
    async def run() -> bytes:
        request = rest.build_request(
            "GET",
            f"/r1/{service.id.path()}{target}",
            [("X-Road-Client", AFIL.path())],
            instance="MX",
            new_id=lambda: "q1",
        )
        checked = CheckedServices(system, lambda _s: None if document is None else Document(document, ""))
        call = ServiceCall(request.to_message(), "GET", target, ())
        async with checked.call(service, call) as answer:
            return b"".join([chunk async for chunk in answer.chunks])

    return asyncio.run(run())


def test_what_fits_passes_both_ways() -> None:
    assert ask(Echo(b'{"id": 7, "name": "a"}')) == b'{"id": 7, "name": "a"}'


def test_a_refused_request_never_reaches_the_system_and_is_the_consumers_mistake() -> None:
    system = Echo(b"{}")
    with pytest.raises(BadMessage) as found:
        ask(system, target="/nothing")
    assert (found.value.code, system.calls) == ("client.invalid_request", 0)


def test_a_refused_answer_never_reaches_the_consumer() -> None:
    with pytest.raises(Fault) as found:
        ask(Echo(b'{"id": 7}'))
    assert found.value.kind is Kind.INVALID_BODY


def test_a_reporting_service_passes_what_does_not_fit() -> None:
    reporting = msgspec.structs.replace(PEOPLE, validation=Validation.REPORT)
    assert ask(Echo(b'{"id": 7}'), reporting) == b'{"id": 7}'
    assert ask(Echo(b"whatever", "text/plain"), reporting, "/nothing") == b"whatever"


def test_a_service_without_checks_is_left_alone() -> None:
    assert (
        ask(
            Echo(b"whatever", "text/plain"),
            msgspec.structs.replace(PEOPLE, validation=Validation.OFF),
            "/x",
            None,
        )
        == b"whatever"
    )


def test_a_service_that_cannot_be_checked_is_not_called_under_refuse() -> None:
    with pytest.raises(Fault, match="no stored description"):
        ask(Echo(b"{}"), document=None)


def test_a_large_answer_is_refused_unchecked_or_passes_whole_with_a_report() -> None:
    large = b"x" * (MAX_BODY_BYTES + (3 << 20))
    with pytest.raises(Fault, match="not checked"):
        ask(Echo(large))
    assert ask(Echo(large), msgspec.structs.replace(PEOPLE, validation=Validation.REPORT)) == large


def odd(
    schema: object, *, version: str = "3.1.0", parameters: object = (), operation: object = None
) -> bytes:
    """A description with an answer of that schema, which whoever added it accepted whatever was warned of."""
    answers = {"200": {"description": "d", "content": {JSON: {"schema": schema}}}}
    described = {
        "parameters": list(parameters) if isinstance(parameters, tuple) else parameters,
        "responses": answers,
    }
    paths = {"/a": {"get": described if operation is None else operation}}
    head = {"openapi": version, "info": {"title": "t", "version": "1"}, "servers": [{"url": "http://h/"}]}
    return json.dumps({**head, "paths": paths}).encode()


@pytest.mark.parametrize(
    "document",
    [
        odd({"type": "string", "maxLength": "1e3"}),
        odd({"type": "string", "maxLength": -1}, version="3.0.3"),
        odd({"type": "string", "pattern": "(a"}),
        odd({"type": "number", "maximum": None}, version="3.0.3"),
        odd({"$ref": "#/components/schemas/None"}),
        odd({"allOf": [{"$anchor": "a"}, {"$anchor": "a"}], "$ref": "#a"}),
        odd("text"),
        odd([1]),
        odd({}, parameters=({"name": ["a"], "in": "query"},)),
        odd({}, parameters=7),
        odd({}, parameters=({"name": {"a": 1}, "in": "path"},)),
        odd({}, operation=[1]),
        odd({}, operation={"responses": [1]}),
        odd({}, operation={"responses": {"200": {"content": {JSON: [1]}}}}),
        odd({}, operation={"responses": {"200": {"content": [1]}}}),
    ],
)
def test_a_description_that_cannot_be_applied_is_a_finding_and_no_internal_error(document: bytes) -> None:
    reporting = msgspec.structs.replace(PEOPLE, validation=Validation.REPORT)
    assert ask(Echo(b'"x"'), reporting, "/a?a=1", document) == b'"x"'
    with pytest.raises(Fault, match=r"cannot be applied|points at nothing|leaves the document|not described"):
        ask(Echo(b'"x"'), target="/a?a=1", document=document)


def test_a_schema_that_is_true_or_false_allows_everything_or_nothing() -> None:
    assert ask(Echo(b'"x"'), target="/a", document=odd(schema=True)) == b'"x"'
    with pytest.raises(Fault) as found:
        ask(Echo(b'"x"'), target="/a", document=odd(schema=False))
    assert found.value.kind is Kind.INVALID_BODY
    assert "cannot be applied" not in found.value.detail


def test_half_of_a_surrogate_pair_is_no_text_and_is_said_so() -> None:
    document = odd({"type": "string"})
    body = b'"\\ud800"'
    with pytest.raises(Fault, match="half of a surrogate pair"):
        ask(Echo(body), target="/a", document=document)
    assert (
        ask(Echo(body), msgspec.structs.replace(PEOPLE, validation=Validation.REPORT), "/a", document) == body
    )
