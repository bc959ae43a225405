"""What a catalogue gets: every service with its description's digest, and no trace of a person or an inner address."""

from __future__ import annotations

import asyncio
import hashlib
import json

import pytest

from benchmarks.described import openapi, wsdl
from gateway.clients.model import Client, Endpoint, ServerConf, Service, ServiceType
from gateway.clients.records import Document
from gateway.exchange.ports import LocalAnswer, ServiceCall
from gateway.metaservices.answering import Metaservices
from schemas import rest
from schemas.catalogue import CatalogueEndpoint, DescriptionType, parse_catalogue, render_catalogue
from schemas.faults import BadMessage, Fault, Kind
from schemas.identifiers import ClientId, GlobalGroupId, ServerId, ServiceId
from schemas.message import MessageProtocol

PROVIDER = ClientId("MX", "GOB", "00-RNSS", "INDICE")
AFIL = ClientId("MX", "GOB", "15-ISSEMYM", "AFIL")
SECRETS = ("Juana", "juana@institute.mx", "PEPJ800101HDFRRL09", "10.1.2.3", "todo:")


def described() -> bytes:
    document = openapi("http://10.1.2.3:9100", 1)
    document["info"]["contact"] = {"name": "Juana Pérez", "email": "juana@institute.mx"}
    document["info"]["description"] = "Ask juana@institute.mx."
    person = document["components"]["schemas"]["Person"]
    person["example"] = {"id": 1, "name": "Juana", "curp": "PEPJ800101HDFRRL09"}
    person["properties"]["example"] = {"type": "string", "example": "Juana"}
    return json.dumps(document).encode()


DOCUMENTS = {
    "people": Document(described(), "application/json"),
    "sum": Document(
        wsdl("http://10.1.2.3:9100", 1)
        .replace("<wsdl:types>", "<!-- todo: call Juana --><wsdl:types>")
        .encode(),
        "text/xml",
    ),
}
CONF = ServerConf(
    ServerId("MX", "GOB", "00-RNSS", "SS1"),
    (Client(PROVIDER),),
    (
        Service(ServiceId(PROVIDER, "people"), ServiceType.OPENAPI3, "http://10.1.2.3", title="People"),
        Service(ServiceId(PROVIDER, "plain"), ServiceType.REST, "http://10.1.2.3", disabled="later"),
        Service(ServiceId(PROVIDER, "sum", "v1"), ServiceType.WSDL, "http://10.1.2.3"),
    ),
    endpoints=((PROVIDER, Endpoint("people", "GET", "/people/*")), (PROVIDER, Endpoint("people"))),
)


class NoGroups:
    """A configuration without groups."""

    def in_global_group(self, client: ClientId, group: GlobalGroupId) -> bool:
        return False


def ask(query: str = "") -> LocalAnswer:
    services = Metaservices(lambda: CONF, NoGroups, lambda s: DOCUMENTS.get(s.service_code), lambda: "n")
    request = rest.build_request(
        "GET",
        f"/r1/{PROVIDER.path()}/getCatalogue{query}",
        [("X-Road-Client", AFIL.path())],
        instance="MX",
        new_id=lambda: "q1",
    )
    found = services.find(request.service, MessageProtocol.REST)
    assert found is not None
    return asyncio.run(
        found.answer(ServiceCall(request.to_message(), "GET", rest.service_target(request), ()))
    )


def test_every_service_is_offered_with_its_description() -> None:
    found = {s.service_code: s for s in parse_catalogue(ask().body, PROVIDER)}
    assert {code: s.type for code, s in found.items()} == {
        "people": DescriptionType.OPENAPI3,
        "plain": DescriptionType.REST,
        "sum": DescriptionType.WSDL,
    }
    assert found["people"].endpoints == (CatalogueEndpoint(method="GET", path="/people/*"),)
    assert (found["plain"].disabled, found["plain"].digest) == ("later", "")
    assert found["sum"].service_version == "v1"


@pytest.mark.parametrize(("code", "query"), [("people", ""), ("sum", "&serviceVersion=v1")])
def test_the_digest_is_that_of_the_published_description(code: str, query: str) -> None:
    found = {s.service_code: s for s in parse_catalogue(ask().body, PROVIDER)}[code]
    answer = ask(f"?serviceCode={code}{query}")
    assert hashlib.sha256(answer.body).hexdigest() == found.digest
    assert dict(answer.headers)["Content-Type"] == found.media_type


@pytest.mark.parametrize("query", ["", "?serviceCode=people", "?serviceCode=sum&serviceVersion=v1"])
def test_nothing_of_a_person_or_of_the_inside_is_published(query: str) -> None:
    body = ask(query).body.decode()
    assert [secret for secret in SECRETS if secret in body] == []


def test_a_property_that_is_called_example_stays() -> None:
    published = json.loads(ask("?serviceCode=people").body)
    assert published["components"]["schemas"]["Person"]["properties"]["example"] == {"type": "string"}
    assert published["paths"].keys() == openapi("", 1)["paths"].keys()


def test_a_service_without_a_description_has_none_to_give() -> None:
    with pytest.raises(Fault) as found:
        ask("?serviceCode=plain")
    assert found.value.kind is Kind.NOT_FOUND


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"provider": "x"}',
        b'{"provider": "MX/GOB/00-RNSS/INDICE", "services": [{"service_code": " ", "type": "REST"}]}',
    ],
)
def test_what_is_no_catalogue_is_refused(raw: bytes) -> None:
    with pytest.raises(BadMessage):
        parse_catalogue(raw, PROVIDER)


def test_another_providers_catalogue_is_refused() -> None:
    with pytest.raises(BadMessage, match="was asked for"):
        parse_catalogue(render_catalogue(AFIL, ()), PROVIDER)
