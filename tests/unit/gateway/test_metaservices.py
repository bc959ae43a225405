"""What metadata services answer: rights decide what is allowed, endpoints say how far, addresses stay inside."""

from __future__ import annotations

import asyncio
import json

import pytest

from gateway.clients.model import AccessRight, Client, Endpoint, LocalGroup, ServerConf, Service, ServiceType
from gateway.clients.records import Document
from gateway.exchange.ports import LocalAnswer, ServiceCall
from gateway.metaservices.answering import Metaservices
from schemas import metadata, rest, soap
from schemas.faults import Fault, Kind
from schemas.identifiers import ClientId, GlobalGroupId, LocalGroupId, ServerId, ServiceId
from schemas.message import MessageProtocol
from tests.paths import VECTORS

PROVIDER = ClientId("MX", "GOB", "00-RNSS", "INDICE")
AFIL = ClientId("MX", "GOB", "15-ISSEMYM", "AFIL")
OTRO = ClientId("MX", "GOB", "15-ISSEMYM", "OTRO")
GROUPED = ClientId("MX", "GOB", "30-IPE", "HIST")
ALL = GlobalGroupId("MX", "todos")
PETS = (
    Endpoint("pets", "GET", "/pets"),
    Endpoint("pets", "POST", "/pets"),
    Endpoint("pets", "GET", "/pets/*"),
)


class Groups:
    """Everybody of 30-IPE is in ``todos``."""

    def in_global_group(self, client: ClientId, group: GlobalGroupId) -> bool:
        return group == ALL and client.member_code == "30-IPE"


CONF = ServerConf(
    ServerId("MX", "GOB", "00-RNSS", "SS1"),
    (Client(PROVIDER),),
    (
        Service(
            ServiceId(PROVIDER, "pets"),
            ServiceType.OPENAPI3,
            "http://inside",
            description="http://inside/p.yaml",
        ),
        Service(ServiceId(PROVIDER, "plain"), ServiceType.REST, "http://inside"),
        Service(ServiceId(PROVIDER, "person", "v1"), ServiceType.WSDL, "http://inside"),
        Service(ServiceId(PROVIDER, "person", "v2"), ServiceType.WSDL, "http://inside"),
    ),
    (
        AccessRight(PROVIDER, AFIL, Endpoint("pets", "GET", "/pets/**")),
        AccessRight(PROVIDER, AFIL, Endpoint("plain")),
        AccessRight(PROVIDER, ALL, Endpoint("person")),
        AccessRight(PROVIDER, LocalGroupId("mobility"), Endpoint("pets")),
    ),
    (LocalGroup(PROVIDER, "mobility", frozenset({OTRO})),),
    tuple((PROVIDER, e) for e in (*PETS, Endpoint("pets"), Endpoint("plain"), Endpoint("person"))),
)
DOCUMENTS = {
    "pets": Document((VECTORS / "metaservices" / "petstore.yaml").read_bytes(), "application/x-yaml"),
    "person": Document((VECTORS / "services" / "testservice1.wsdl").read_bytes(), "text/xml"),
}
SERVICES = Metaservices(lambda: CONF, Groups, lambda s: DOCUMENTS.get(s.service_code), lambda: "n-1")


def ask(code: str, client: ClientId = AFIL, query: str = "", method: str = "GET") -> LocalAnswer:
    request = rest.build_request(
        method,
        f"/r1/{PROVIDER.path()}/{code}{query}",
        [("X-Road-Client", client.path())],
        instance="MX",
        new_id=lambda: "q1",
    )
    found = SERVICES.find(request.service, MessageProtocol.REST)
    assert found is not None
    call = ServiceCall(request.to_message(), method, rest.service_target(request), ())
    return asyncio.run(found.answer(call))


def ask_soap(code: str, body: str, client: ClientId = AFIL) -> LocalAnswer:
    raw = soap.render_request(client, ServiceId(PROVIDER, code), "q1", body)
    message = soap.parse_message(raw).to_message("r1", is_response=False)
    found = SERVICES.find(message.service, MessageProtocol.SOAP)
    assert found is not None
    return asyncio.run(found.answer(ServiceCall(message, "POST", "", ())))


def services(found: LocalAnswer) -> dict[str, list[str]]:
    return {
        s.id.service_code: [f"{method} {path}" for method, path in s.endpoints]
        for s in metadata.parse_services_json(found.body)
    }


def fault(code: str, query: str, method: str = "GET") -> Fault:
    with pytest.raises(Fault) as found:
        ask(code, query=query, method=method)
    return found.value


def test_rest_services_are_listed_with_their_endpoints_but_not_the_base() -> None:
    found = ask("listMethods")
    assert services(found) == {"pets": ["GET /pets", "POST /pets", "GET /pets/*"], "plain": []}
    assert dict(found.headers)["Content-Type"] == "application/json"
    assert [s["service_type"] for s in json.loads(found.body)["service"]] == ["OPENAPI", "REST"]


def test_allowed_services_list_only_what_a_right_covers() -> None:
    assert services(ask("allowedMethods")) == {"pets": ["GET /pets/*"], "plain": []}
    assert services(ask("allowedMethods", OTRO)) == {"pets": ["GET /pets", "POST /pets", "GET /pets/*"]}
    assert services(ask("allowedMethods", GROUPED)) == {}


def test_soap_services_are_listed_with_their_versions() -> None:
    body = '<x:listMethods xmlns:x="http://x-road.eu/xsd/xroad.xsd"/>'
    found = metadata.parse_services_body(ask_soap("listMethods", body).body)
    assert found == (ServiceId(PROVIDER, "person", "v1"), ServiceId(PROVIDER, "person", "v2"))


def test_allowed_soap_services_follow_the_groups() -> None:
    body = '<x:allowedMethods xmlns:x="http://x-road.eu/xsd/xroad.xsd"/>'
    assert metadata.parse_services_body(ask_soap("allowedMethods", body).body) == ()
    assert len(metadata.parse_services_body(ask_soap("allowedMethods", body, GROUPED).body)) == 2


def test_an_openapi_hides_where_the_provider_is() -> None:
    found = ask("getOpenAPI", query="?serviceCode=pets")
    assert dict(found.headers)["Content-Type"] == "application/x-yaml"
    assert b"petstore.swagger.io" not in found.body


def test_a_wsdl_asked_without_a_version_is_the_last_ones() -> None:
    found = ask_soap("getWsdl", metadata.render_get_wsdl_body("person", None))
    assert b"niis.org/nosuch1" not in found.body
    assert found.body.count(b"http://example.org/xroad-endpoint") == 2
    assert b"Content-ID: <wsdl=n-1@x-road.eu>" in found.body


def test_what_cannot_be_described_is_a_fault_that_says_why() -> None:
    assert fault("getOpenAPI", "").kind is Kind.INVALID_REQUEST
    assert fault("getOpenAPI", "?serviceCode=nothing").kind is Kind.UNKNOWN_SERVICE
    assert fault("getOpenAPI", "?serviceCode=plain").kind is Kind.SERVICE_TYPE
    assert fault("listMethods", "", method="POST").kind is Kind.UNKNOWN_SERVICE
    with pytest.raises(Fault) as unknown:
        ask_soap("getWsdl", metadata.render_get_wsdl_body("person", "v9"))
    assert unknown.value.kind is Kind.UNKNOWN_SERVICE
    with pytest.raises(Fault) as empty:
        ask_soap("getWsdl", '<x:getWsdl xmlns:x="http://x-road.eu/xsd/xroad.xsd"/>')
    assert empty.value.kind is Kind.INVALID_REQUEST


def test_a_code_of_the_other_protocol_is_no_metadata_service() -> None:
    assert SERVICES.find(ServiceId(PROVIDER, "getWsdl"), MessageProtocol.REST) is None
    assert SERVICES.find(ServiceId(PROVIDER, "getOpenAPI"), MessageProtocol.SOAP) is None
    assert SERVICES.find(ServiceId(PROVIDER, "person"), MessageProtocol.SOAP) is None
