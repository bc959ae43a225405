"""The service catalogue: what descriptions say, how they are gathered, kept in versions, searched, exported and shown."""

from __future__ import annotations

import hashlib
import re
from datetime import UTC, datetime
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from central_server.config import Catalogue
from central_server.edges.cataloguepages import catalogue_app
from central_server.edges.gatherer import Gatherer
from central_server.registry.catalogue import CatalogueEntry, describe, export_jsonld
from central_server.registry.model import RegisteredServer
from central_server.store.loading import import_registry
from central_server.store.records import Actor, CentralStore
from central_server.store.servers import clients_of, list_servers
from central_server.store.services import (
    CatalogueQuery,
    search_services,
    unreachable_providers,
    versions_of,
)
from schemas import metadata, soap
from schemas.catalogue import (
    GET_CATALOGUE,
    CatalogueEndpoint,
    CatalogueService,
    DescriptionType,
    render_catalogue,
)
from schemas.identifiers import ClientId, ServiceId
from serving.storage.audit import AuditLog
from tests.instance import Instance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ISSEMYM = ClientId("MX", "GOB", "15-ISSEMYM")
HIST, AFIL = ISSEMYM.subsystem("HIST"), ISSEMYM.subsystem("AFIL")
OPENAPI = """
openapi: 3.0.3
info:
  title: Historia de cotización
  description: Periodos cotizados
  x-data-sets: [Historia de cotización]
paths:
  /historia:
    post: {operationId: consultarHistoria, summary: consulta, x-purposes: [portabilidad]}
"""
WSDL = b"""<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/"><wsdl:portType name="p">
<wsdl:operation name="getRandom"><wsdl:documentation>A random number</wsdl:documentation></wsdl:operation>
</wsdl:portType></wsdl:definitions>"""


def test_an_openapi_description_says_title_data_sets_purposes_and_words() -> None:
    said = describe(ServiceId(HIST, "oss-v1"), "OPENAPI", OPENAPI.encode())
    assert said.title == "Historia de cotización"
    assert said.data_sets == ("Historia de cotización",)
    assert said.purposes == ("portabilidad",)
    assert "consultarHistoria" in said.words


def test_a_wsdl_says_its_operations() -> None:
    said = describe(ServiceId(HIST, "getRandom"), "WSDL", WSDL)
    assert said.title == "getRandom: A random number"


@pytest.mark.parametrize(
    "raw",
    [
        b"[1, 2]",
        b"a: [b",
        b"\xff\xfe",
        b"a: &a [x]\nb: [" + b"*a," * 3000 + b"]",
        b"info: {title: [1]}",
        b"!!python/object/apply:os.system ['true']",
        b"x" * (2 * 1024 * 1024 + 1),
    ],
    ids=["no object", "no yaml", "no text", "references", "no title", "object", "large"],
)
def test_a_hostile_description_is_only_a_service_with_its_code(raw: bytes) -> None:
    assert describe(ServiceId(HIST, "code"), "OPENAPI", raw).title == "code"
    assert describe(ServiceId(HIST, "code"), "WSDL", raw).title == "code"


class Gateway:
    """A gateway as consumers see one: HIST has an OpenAPI service, AFIL does not answer, SOAP services are few.

    With ``catalogue`` the providers' gateways are ours and have getCatalogue; X-Road's have not.
    """

    def __init__(self) -> None:
        self.openapi = OPENAPI
        self.catalogue = False
        self.descriptions_given = 0
        self.services: tuple[str, ...] = ("oss-v1",)
        self.asked_by: set[str] = set()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/r1/MX/GOB/{member}/{subsystem}/{code}", self.rest)
        app.router.add_post("/", self.soap)
        return app

    async def rest(self, request: web.Request) -> web.Response:
        self.asked_by.add(request.headers["X-Road-Client"])
        if request.match_info["subsystem"] == "AFIL":
            return web.Response(status=500, text="the provider's gateway is not reached")
        if request.match_info["code"] == GET_CATALOGUE:
            return self.own(request)
        if request.match_info["code"] == "getOpenAPI":
            return web.Response(text=self.openapi, content_type="text/yaml")
        listed = []
        if request.match_info["subsystem"] == "HIST":
            listed = [metadata.ListedService(ServiceId(HIST, code), "OPENAPI") for code in self.services]
        return web.Response(body=metadata.render_services_json(listed), content_type="application/json")

    def own(self, request: web.Request) -> web.Response:
        if not self.catalogue:
            fault = {"X-Road-Error": "Server.ServerProxy.UnknownService"}
            return web.Response(status=500, headers=fault, text="unknown service")
        if "serviceCode" in request.query:
            self.descriptions_given += 1
            return web.Response(text=self.openapi, content_type="application/json")
        digest = hashlib.sha256(self.openapi.encode()).hexdigest()
        kind, endpoint = DescriptionType.REST, CatalogueEndpoint(method="GET", path="/tramites/*")
        services = [
            CatalogueService(service_code=code, type=DescriptionType.OPENAPI3, digest=digest)
            for code in self.services
        ] + [CatalogueService(service_code="plain", type=kind, title="Trámites", endpoints=(endpoint,))]
        return web.Response(body=render_catalogue(HIST, services), content_type="application/json")

    async def soap(self, request: web.Request) -> web.Response:
        asked = soap.parse_message(await request.read())
        code = asked.service.service_code
        if code == metadata.LIST_METHODS:
            found = [ServiceId(ISSEMYM, "getRandom", "v1")] if asked.service.client == ISSEMYM else []
            body = metadata.render_services_body(code, found)
            return web.Response(body=soap.render_answer(asked, body), content_type="text/xml")
        answer = soap.render_answer(asked, metadata.render_get_wsdl_body("getRandom", "v1", response=True))
        content_type, raw = metadata.render_with_attachment(answer, WSDL, [("Content-Type", "text/xml")], "b")
        return web.Response(body=raw, headers={"Content-Type": content_type})


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CentralStore]:
    made, instance = CentralStore(tmp_path / "central.sqlite"), Instance(tmp_path, NOW)
    server = RegisteredServer(ISSEMYM.server("SS1"), "ss1.mx", (b"c",), (AFIL, HIST))
    with made.change(Actor("ana"), NOW) as records:
        import_registry(records, instance.registry(AFIL, HIST, servers=(server,)))
    yield made
    made.close()


@pytest.fixture
async def gathered(store: CentralStore) -> AsyncIterator[tuple[Gateway, Gatherer]]:
    gateway = Gateway()
    async with TestServer(gateway.app()) as server:
        settings = Catalogue(gateway=str(server.make_url("/")), client="MX/GOB/00-ONIESS/GESTION")
        yield gateway, Gatherer(store, settings, lambda: NOW)


async def gather(gatherer: Gatherer) -> tuple[int, int]:
    async with aiohttp.ClientSession() as session:
        return await gatherer.gather(session)


def found(
    store: CentralStore,
    words: str | None = None,
    member: str | None = None,
    data_set: str | None = None,
    purpose: str | None = None,
    *,
    unreachable: bool | None = None,
) -> list[str]:
    entries = search_services(store.read(), CatalogueQuery(words, member, data_set, purpose, unreachable))
    return [e.service.service_code for e in entries]


async def test_services_of_both_protocols_are_gathered_and_searched(
    store: CentralStore, gathered: tuple[Gateway, Gatherer]
) -> None:
    gateway, gatherer = gathered
    generation = store.generation()
    assert await gather(gatherer) == (2, 1)
    assert gateway.asked_by == {"MX/GOB/00-ONIESS/GESTION"}
    assert found(store) == ["oss-v1", "getRandom"]
    assert found(store, "periodos cotizados") == ["oss-v1"]
    assert found(store, "periodos embargados") == []
    assert found(store, "CONSULTARHISTORIA historia") == ["oss-v1"]
    assert found(store, None, "15-issemym") == ["oss-v1", "getRandom"]
    assert found(store, None, None, "cotización") == ["oss-v1"]
    assert found(store, None, None, None, "portabilidad") == ["oss-v1"]
    assert found(store, None, None, None, "otra") == []
    assert store.generation() == generation


async def test_a_gateway_s_catalogue_is_read_and_only_changed_descriptions_are_asked_for(
    store: CentralStore, gathered: tuple[Gateway, Gatherer]
) -> None:
    gateway, gatherer = gathered
    gateway.catalogue = True
    assert await gather(gatherer) == (2, 1)
    await gather(gatherer)
    assert gateway.descriptions_given == 1
    assert found(store) == ["oss-v1", "plain", "getRandom"]
    assert found(store, "TRÁMITES") == ["plain"]
    assert found(store, "/tramites/*") == ["plain"]
    assert found(store, None, None, "cotización", "portabilidad") == ["oss-v1"]
    gateway.openapi = OPENAPI.replace("Periodos", "Todos los periodos")
    await gather(gatherer)
    assert gateway.descriptions_given == 2
    (entry,) = search_services(store.read(), CatalogueQuery("oss-v1"))
    assert [v.number for v in versions_of(store.read(), entry.number)] == [2, 1]


async def test_nothing_that_names_a_person_is_kept_of_x_road_gateways_descriptions(
    store: CentralStore, gathered: tuple[Gateway, Gatherer]
) -> None:
    gateway, gatherer = gathered
    contact = "  contact: {name: Juana Pérez, email: juana@issemym.mx}\n"
    gateway.openapi = OPENAPI.replace("  x-data-sets", contact + "  x-data-sets").replace(
        "summary: consulta", "summary: pregunte a juana@issemym.mx, x-example: {curp: PEPJ800101}"
    )
    await gather(gatherer)
    (entry,) = search_services(store.read(), CatalogueQuery("oss-v1"))
    kept = versions_of(store.read(), entry.number)[0].raw.decode() + entry.described.words
    assert "consultarHistoria" in kept
    assert [w for w in ("Juana", "juana@", "PEPJ800101") if w in kept] == []


async def test_a_description_that_cannot_be_read_is_not_kept(
    store: CentralStore, gathered: tuple[Gateway, Gatherer]
) -> None:
    gateway, gatherer = gathered
    gateway.openapi = "contact: [juana@issemym.mx"
    await gather(gatherer)
    (entry,) = search_services(store.read(), CatalogueQuery("oss-v1"))
    assert (entry.versions, entry.described.title) == (0, "oss-v1")


async def test_a_changed_description_is_a_new_version_and_an_unchanged_one_is_not(
    store: CentralStore, gathered: tuple[Gateway, Gatherer]
) -> None:
    gateway, gatherer = gathered
    await gather(gatherer)
    await gather(gatherer)
    (entry,) = search_services(store.read(), CatalogueQuery("oss-v1"))
    assert entry.versions == 1
    gateway.openapi = OPENAPI.replace("Periodos", "Todos los periodos")
    await gather(gatherer)
    versions = versions_of(store.read(), entry.number)
    assert [v.number for v in versions] == [2, 1]
    assert b"Todos" in versions[0].raw
    assert AuditLog(store.database).verify()[0]


async def test_what_is_no_longer_listed_or_reached_is_kept_and_said(
    store: CentralStore, gathered: tuple[Gateway, Gatherer]
) -> None:
    gateway, gatherer = gathered
    await gather(gatherer)
    ((client, since, problem),) = unreachable_providers(store.read())
    assert (client, since) == (AFIL.path(), "2026-01-01T12:00:00.000+00:00")
    assert "not reached" in problem.detail
    assert problem.into("es").startswith("El servidor falló de un modo que nadie previó (getCatalogue: ")
    gateway.services = ()
    await gather(gatherer)
    assert found(store, unreachable=True) == ["oss-v1"]
    gateway.services = ("oss-v1",)
    await gather(gatherer)
    assert found(store, unreachable=True) == []


async def test_the_page_and_the_export_show_strangers_texts_as_text(
    store: CentralStore, gathered: tuple[Gateway, Gatherer]
) -> None:
    gateway, gatherer = gathered
    gateway.openapi = OPENAPI.replace("Periodos cotizados", "<script>alert(1)</script>")
    await gather(gatherer)
    async with TestClient(TestServer(catalogue_app(store))) as client:
        answer = await client.get("/catalogo?words=historia")
        page = await answer.text()
        english = await (await client.get("/catalogo?lang=en")).text()
        graph = await (await client.get("/catalogo.jsonld")).json()
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert 'href="/catalogo.jsonld"' in page
    assert "<script>" not in page
    assert "Historia de cotización" in page
    assert "No" not in english.split("<h1>")[0]
    assert "Service catalogue" in english
    kinds = {node["@type"] for node in graph["@graph"]}
    assert kinds == {
        "dcat:Catalog",
        "dcat:Dataset",
        "dcat:DataService",
        "cpsv:PublicService",
        "cv:PublicOrganisation",
    }


async def test_a_service_leads_to_the_form_that_asks_for_access_where_the_readers_client_is(
    store: CentralStore, gathered: tuple[Gateway, Gatherer]
) -> None:
    await gather(gathered[1])
    server = list_servers(store.read())[0]
    client = clients_of(store.read(), server)[0].id
    service = search_services(store.read(), CatalogueQuery())[0]
    async with TestClient(TestServer(catalogue_app(store))) as browser:

        async def links(**query: str) -> list[str]:
            answer = await browser.get(f"/catalogo/servicio/{service.number}", params=query)
            assert answer.status == 200
            found = re.findall(r'href="(https://[^"]+)"', await answer.text())
            return [unescape(link) for link in found]

        (link,) = await links(cliente=client.path(), motivo="trámite & más", fundamento="Ley, art. 1")
        parts = urlsplit(link)
        assert (parts.hostname, parts.port, parts.path) == (server.address, 4000, "/consola/pedir-acceso")
        assert parse_qs(parts.query) == {
            "cliente": [client.encoded()],
            "proveedor": [service.service.client.encoded()],
            "servicio": [service.service.service_code],
            "motivo": ["trámite & más"],
            "fundamento": ["Ley, art. 1"],
        }
        for nobody in (
            "",
            "MX:GOB:NADIE:X",
            "javascript:alert(1)",
            "a:b:c:d:e",
            "x" * 600,
            '"><script>:b:c:d',
        ):
            assert await links(cliente=nobody) == []


def test_every_reference_of_the_export_is_in_the_export() -> None:
    said = describe(ServiceId(HIST, "oss-v1"), "OPENAPI", OPENAPI.encode())
    entry = CatalogueEntry(
        1, ServiceId(HIST, "oss-v1"), "ISSEMYM", "OPENAPI", said, 1, "2026", "2026", None, None
    )
    graph = export_jsonld("https://x", "MX", [entry])["@graph"]
    ids = {node["@id"] for node in graph}
    for node in graph:
        for name in ("dcat:dataset", "dcat:service", "dcat:servesDataset", "cv:hasCompetentAuthority"):
            assert all(reference["@id"] in ids for reference in node.get(name, []))
        if "dct:publisher" in node:
            assert node["dct:publisher"]["@id"] in ids
