"""Metadata services as X-Road's own tests expect them; the environment is that of its proxy test-suite."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from lxml import etree

from gateway.clients.descriptions.openapi import load_document
from gateway.clients.model import AccessRight, Client, Endpoint, ServerConf, Service, ServiceType
from gateway.clients.records import Document
from gateway.exchange.ports import LocalAnswer, ServiceCall
from gateway.metaservices.answering import Metaservices
from gateway.metaservices.listing import list_clients
from schemas import metadata, rest, soap
from schemas.faults import Fault
from schemas.globalconf.shared import Member, SharedParameters, Source, Subsystem
from schemas.identifiers import ClientId, GlobalGroupId, ServerId, ServiceId
from schemas.message import MessageProtocol
from schemas.multipart import MultipartParser, PartData, PartStart
from schemas.soapenvelope import XROAD_NS
from tests.paths import VECTORS
from tests.worlds import trusted

if TYPE_CHECKING:
    from collections.abc import Callable

META = VECTORS / "metaservices"
CASES = {case["name"]: case for case in json.loads((META / "cases.json").read_bytes())["cases"]}
# Environmental monitoring: see test_opmonitoring.
ELSEWHERE = {"SecurityServerMetricsMessage"}
NOW = datetime(2020, 1, 1, tzinfo=UTC)
PRODUCER = ClientId("EE", "BUSINESS", "producer")
CONSUMER = ClientId("EE", "BUSINESS", "consumer")
CODES = ("getRandom", "helloService", "ListMembers")


class NoGroups:
    """A configuration without groups."""

    def in_global_group(self, client: ClientId, group: GlobalGroupId) -> bool:
        return False


def serverconf(provider: ClientId) -> ServerConf:
    services = [Service(ServiceId(provider, code), ServiceType.WSDL, "http://service") for code in CODES]
    services.append(Service(ServiceId(provider, "yaml"), ServiceType.OPENAPI3, "http://service"))
    return ServerConf(
        ServerId("EE", "BUSINESS", "producer", "ownerServer"),
        (Client(provider),),
        tuple(services),
        tuple(AccessRight(provider, CONSUMER, Endpoint(code)) for code in CODES),
    )


def answer(call: ServiceCall, protocol: MessageProtocol, document: bytes = b"") -> LocalAnswer:
    conf = serverconf(call.message.service.client)
    services = Metaservices(
        lambda: conf, NoGroups, lambda _service: Document(document, ""), lambda: "5f2f0b4e-0000-4000-8000-1"
    )
    found = services.find(call.message.service, protocol)
    assert found is not None
    return asyncio.run(found.answer(call))


def soap_call(name: str) -> ServiceCall:
    raw = (VECTORS / CASES[name]["request"]["file"]).read_bytes()
    message = soap.parse_message(raw).to_message("r1", is_response=False)
    return ServiceCall(message, "POST", "", ())


def rest_call(name: str) -> ServiceCall:
    asked = CASES[name]["request"]
    target = f"/r1/EE/BUSINESS/producer/sub/{asked['service']}?{asked['query']}"
    request = rest.build_request(
        asked["method"], target, [("X-Road-Client", CONSUMER.path())], instance="EE", new_id=lambda: "q1"
    )
    return ServiceCall(request.to_message(), asked["method"], rest.service_target(request), ())


def listed(found: LocalAnswer) -> set[str]:
    assert dict(found.headers)["Content-Type"].lower().replace(" ", "") == "text/xml;charset=utf-8"
    return {service.service_code for service in metadata.parse_services_body(found.body)}


def list_methods(name: str) -> None:
    assert listed(answer(soap_call(name), MessageProtocol.SOAP)) == set(CODES)


def get_wsdl(name: str) -> None:
    found = answer(soap_call(name), MessageProtocol.SOAP, (META / "wsdl.wsdl").read_bytes())
    content_type = dict(found.headers)["Content-Type"]
    assert content_type.startswith('multipart/related; type="text/xml"; charset=UTF-8; boundary=')
    parser = MultipartParser(content_type.partition("boundary=")[2])
    parts: list[bytes] = []
    for event in parser.feed(found.body):
        if isinstance(event, PartStart):
            parts.append(b"")
        elif isinstance(event, PartData):
            parts[-1] += event.data
    assert metadata.body_element(parts[0]).tag == f"{{{XROAD_NS}}}getWsdlResponse"
    wsdl = etree.fromstring(parts[1])
    names = wsdl.findall("{*}binding/{*}operation")
    assert {operation.get("name") for operation in names} == {"getRandom", "helloService"}
    addresses = [address.get("location") for address in wsdl.iter("{*}address")]
    assert set(addresses) == {"http://example.org/xroad-endpoint"}


def members(*found: tuple[str, str | None]) -> SharedParameters:
    return SharedParameters(
        "EE",
        sources=(Source("cs", (b"certificate",)),),
        members=tuple(
            Member(
                ClientId("EE", "BUSINESS", code),
                "business",
                f"{code}-name",
                () if subsystem is None else (Subsystem(subsystem, f"{subsystem}-name"),),
            )
            for code, subsystem in found
        ),
    )


def list_clients_xml(name: str) -> None:
    shared = members(("producer", "subsystem"), ("anothermemeber", "somesub"), ("thirdmember", None))
    query = CASES[name]["request"]["path"].partition("xRoadInstance=")[2]
    found = metadata.parse_clients_xml(metadata.render_clients_xml(list_clients(trusted(shared, NOW), query)))
    assert {(c.id.path(), c.name, c.subsystem_name) for c in found} == {
        ("EE/BUSINESS/producer", "producer-name", None),
        ("EE/BUSINESS/producer/subsystem", "producer-name", "subsystem-name"),
        ("EE/BUSINESS/anothermemeber", "anothermemeber-name", None),
        ("EE/BUSINESS/anothermemeber/somesub", "anothermemeber-name", "somesub-name"),
        ("EE/BUSINESS/thirdmember", "thirdmember-name", None),
    }


def list_clients_json(name: str) -> None:
    found = list_clients(trusted(members(("producer", "subsystem")), NOW), None)
    assert json.loads(metadata.render_clients_json(found)) == CASES[name]["expect"]["json"]
    assert metadata.parse_clients_json(metadata.render_clients_json(found)) == found


def openapi_servers(name: str) -> None:
    found = answer(rest_call(name), MessageProtocol.REST, (META / "petstore.yaml").read_bytes())
    urls: list[Any] = [server["url"] for server in load_document(found.body)["servers"]]
    assert urls == ["/v1/cats", None, None, "", ["this", "should", "be", "a string"]]
    assert dict(found.headers)["Content-Type"] == "text/plain"


def openapi_version(name: str) -> None:
    with pytest.raises(Fault):
        answer(
            rest_call(name), MessageProtocol.REST, (META / "openapi_incompatible_version.yaml").read_bytes()
        )


RUNNERS: dict[str, Callable[[str], None]] = {
    "ListMethodsMessage": list_methods,
    "AllowedMethodsMessage": list_methods,
    "GetListClientsMessage": list_clients_xml,
    "GetWSDLMessage": get_wsdl,
    "openapi-yaml-servers": openapi_servers,
    "openapi-unsupported-version": openapi_version,
    "list-clients-json": list_clients_json,
}


def test_every_case_has_a_runner() -> None:
    assert RUNNERS.keys() | ELSEWHERE == CASES.keys()


@pytest.mark.parametrize("name", sorted(RUNNERS))
@pytest.mark.xroad("F089", "F090")
def test_case(name: str) -> None:
    RUNNERS[name](name)
