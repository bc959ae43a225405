"""The services over SOAP: the same checks and answers as over REST, valid against the XML schema."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

import pytest
from lxml import etree

from social_security.domain import pack
from social_security.domain.edition import package_edition
from social_security.domain.notices import notice_of
from social_security.wire import soapwords
from social_security.wire.soapface import NS, SOAP
from social_security.wire.wsdl import render_wsdl, services_of
from tests.social import SmallCountry, small_country

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PERSONS = {p["name"]: p for p in pack.persons()["persons"]}
ANA = PERSONS["ana"]["pids"]["15-ISSEMYM"]
OFELIA = PERSONS["ofelia"]["pids"]["15-ISSEMYM"]
CURP = PERSONS["ana"]["curp"]
SCHEMA = etree.XMLSchema(etree.fromstring(pack.read_text("services.xsd").encode()))
CONS, ARCO = "CONS-15-2026-00000001", "ARCO-15-2026-00000001"


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[SmallCountry]:
    async with small_country(tmp_path) as made:
        yield made


def envelope(
    service: str,
    content: str,
    *,
    purpose: str,
    role: str,
    case: str = CONS,
    client: str = "15-ISSEMYM/AFIL",
    notice: str = "",
    issue: str = "",
) -> str:
    code, subsystem = client.split("/")
    uri, digest = notice_of(package_edition(), code)
    bases = "".join(
        f"<ss:fundamento>{b}</ss:fundamento>" for b in sorted(pack.purposes()[purpose].legal_bases[0])
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="{SOAP}" xmlns:xro="http://x-road.eu/xsd/xroad.xsd"
  xmlns:id="http://x-road.eu/xsd/identifiers" xmlns:ss="{NS}"><soapenv:Header>
  <xro:client id:objectType="SUBSYSTEM"><id:xRoadInstance>MX</id:xRoadInstance><id:memberClass>GOB</id:memberClass>
    <id:memberCode>{code}</id:memberCode><id:subsystemCode>{subsystem}</id:subsystemCode></xro:client>
  <xro:userId>MX-{code}:emp-1</xro:userId><xro:id>m-{service}-{role}</xro:id><xro:issue>{issue or case}</xro:issue>
  <xro:protocolVersion>4.0</xro:protocolVersion>
  <ss:contexto><ss:proposito>{purpose}</ss:proposito>{bases}<ss:caso>{case}</ss:caso><ss:motivo>Prueba ñ</ss:motivo>
    <ss:sistema>S 1</ss:sistema><ss:rolSolicitante>{role}</ss:rolSolicitante>
    <ss:avisoPrivacidad uri="{uri}" sha256="{notice or digest}"/><ss:versionPolitica>1.0.0</ss:versionPolitica>
  </ss:contexto></soapenv:Header>
  <soapenv:Body><ss:{service}>{content}</ss:{service}></soapenv:Body></soapenv:Envelope>"""


async def call(country: SmallCountry, provider: str, text: str) -> etree._Element:
    """The element of the answer, valid against the schema."""
    async with country.clients[provider].post(
        "/soap", data=text.encode(), headers={"Content-Type": "text/xml"}
    ) as answer:
        assert answer.content_type == "text/xml"
        root = etree.fromstring(await answer.read())
    body = root.find(f"{{{SOAP}}}Body")
    assert body is not None
    (element,) = body
    if not str(element.tag).endswith("Fault"):
        SCHEMA.assertValid(element)
    return element


def said(element: etree._Element, path: str) -> str | None:
    return element.findtext("/".join(f"{{{NS}}}{p}" for p in path.split("/")))


def person(who: str) -> str:
    return f"<ss:persona><ss:pid>{who}</ss:pid></ss:persona>"


async def affiliation(country: SmallCountry, content: str = person(ANA), **more: str) -> etree._Element:
    told: dict[str, Any] = {"purpose": "PUR-AFIL", "role": "ANALISTA_AFILIACION", **more}
    return await call(country, "15-ISSEMYM", envelope("consultarAfiliacion", content, **told))


async def test_affiliation_is_answered_as_over_rest(country: SmallCountry) -> None:
    element = await affiliation(country)
    assert [said(element, n) for n in ("estado", "desde", "hasta")] == ["BAJA", "1999-03-01", "2009-08-31"]


async def test_person_is_found_and_her_pseudonym_translated(country: SmallCountry) -> None:
    told: dict[str, Any] = {"purpose": "PUR-IDENT", "role": "ANALISTA_AFILIACION"}
    text = envelope("buscarBeneficiario", f"<ss:persona><ss:curp>{CURP}</ss:curp></ss:persona>"
                    "<ss:atributos>estadoVital nivel</ss:atributos>", **told)  # fmt: skip
    found = await call(country, "00-RNSS", text)
    assert [said(found, n) for n in ("resultado", "pid", "nivel")] == ["COINCIDE", ANA, "LOA2"]
    port: dict[str, Any] = {
        "purpose": "PUR-PORT", "role": "ANALISTA_PORTABILIDAD", "case": "PORT-15-2026-00000001",
        "client": "15-ISSEMYM/PORT",
    }  # fmt: skip
    body = f"<ss:pid>{ANA}</ss:pid><ss:destino>MX/GOB/30-IPE</ss:destino>"
    sealed = await call(country, "00-RNSS", envelope("traducirPid", body, **port))
    assert len(said(sealed, "testigo") or "") > 100
    holders = await call(country, "00-RNSS", envelope("localizarHistoria", f"<ss:pid>{ANA}</ss:pid>", **port))
    assert [e.text for e in holders][-1] == "MX/GOB/30-IPE"


async def test_history_and_accesses_have_the_schemas_form(country: SmallCountry) -> None:
    own: dict[str, Any] = {"purpose": "PUR-HIST", "role": "TITULAR", "client": "15-ISSEMYM/HIST"}
    found = await call(country, "15-ISSEMYM", envelope("consultarHistoria", person(ANA), **own))
    assert (said(found, "historia/totalDias"), said(found, "historia/periodo/dias")) == ("3837", "3837")
    look: dict[str, Any] = {"purpose": "PUR-BITACORA", "role": "TITULAR", "client": "15-ISSEMYM/BITACORA"}
    seen = await call(country, "15-ISSEMYM", envelope("consultarAccesos", f"<ss:pid>{ANA}</ss:pid>", **look))
    assert (said(seen, "total"), said(seen, "acceso/proposito")) == ("1", "PUR-HIST")


async def test_request_for_rights_is_received_seen_and_refused_formally(country: SmallCountry) -> None:
    told: dict[str, Any] = {"purpose": "PUR-ARCO", "case": ARCO, "client": "15-ISSEMYM/ARCO"}
    body = (
        f"<ss:folio>{ARCO}</ss:folio><ss:derecho>ACCESO</ss:derecho>{person(OFELIA)}"
        "<ss:representante>{}</ss:representante><ss:nivelIdentidad>LOA2</ss:nivelIdentidad><ss:descripcion/>"
        "<ss:modalidad>ELECTRONICA</ss:modalidad><ss:recibidaEl>2026-03-02T09:00:00-06:00</ss:recibidaEl>"
    )
    by_another = envelope("presentarArco", body.format("true"), role="TITULAR", **told)
    refused = await call(country, "15-ISSEMYM", by_another)
    assert (said(refused, "negativa/codigo"), said(refused, "negativa/causa")) == ("SS-500", "I")
    filed = await call(
        country, "15-ISSEMYM", envelope("presentarArco", body.format("false"), role="TITULAR", **told)
    )
    assert said(filed, "estadoArco/limiteRespuesta") == "2026-03-30"
    folio, at = f"<ss:folio>{ARCO}</ss:folio>", "<ss:ocurridoEl>2026-03-03T10:00:00-06:00</ss:ocurridoEl>"
    unit: dict[str, Any] = {**told, "role": "UNIDAD_TRANSPARENCIA"}
    country.at("2026-03-03T10:00:00-06:00")
    step = envelope("avanzarArco", f"{folio}<ss:estado>EN_TRAMITE</ss:estado>{at}", **unit)
    assert said(await call(country, "15-ISSEMYM", step), "estadoArco/estado") == "EN_TRAMITE"
    seen = await call(country, "15-ISSEMYM", envelope("consultarArco", folio, **unit))
    assert said(seen, "estadoArco/estado") == "EN_TRAMITE"


@pytest.mark.parametrize(
    "moment", ["12345-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T24:00:00Z"]
)
async def test_a_moment_that_nobody_can_hold_is_refused_as_over_rest(
    country: SmallCountry, moment: str
) -> None:
    body = (
        f"<ss:folio>{ARCO}</ss:folio><ss:derecho>ACCESO</ss:derecho>{person(OFELIA)}"
        "<ss:representante>false</ss:representante><ss:nivelIdentidad>LOA2</ss:nivelIdentidad><ss:descripcion/>"
        f"<ss:modalidad>ELECTRONICA</ss:modalidad><ss:recibidaEl>{moment}</ss:recibidaEl>"
    )
    filed = envelope(
        "presentarArco", body, role="TITULAR", purpose="PUR-ARCO", case=ARCO, client="15-ISSEMYM/ARCO"
    )
    assert said(await call(country, "15-ISSEMYM", filed), "error/codigo") in ("SS-100", "SS-103")


BAD: dict[str, tuple[dict[str, str], str]] = {
    "a wrong check character": ({"content": person("C77536HD0CYA1RRC9HFC4CF1SRD")}, "SS-104"),
    "nobody": ({"content": ""}, "SS-100"),
    "an element too many": ({"content": person(ANA) + "<ss:nombre>x</ss:nombre>"}, "SS-100"),
    "another purpose": ({"purpose": "PUR-IDENT"}, "SS-201"),
    "another role": ({"role": "AUDITOR"}, "SS-210"),
    "another notice": ({"notice": "0" * 64}, "SS-204"),
    "an issue that is not the case": ({"issue": "CONS-15-2026-00000002"}, "SS-200"),
    "a CURP in the context": ({"role": CURP}, "SS-105"),
}


@pytest.mark.parametrize("what", BAD)
async def test_bad_request_gets_the_same_code_as_over_rest(country: SmallCountry, what: str) -> None:
    changed, code = BAD[what]
    element = await affiliation(country, **changed)
    assert said(element, "error/codigo") == code
    assert said(element, "error/mensaje")


@pytest.mark.parametrize(
    "text", ["<a", "<a/>", '<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>', envelope("borrarTodo", "", purpose="PUR-AFIL", role="x")]
)  # fmt: skip
async def test_what_is_no_message_of_these_services_gets_a_fault(country: SmallCountry, text: str) -> None:
    async with country.clients["15-ISSEMYM"].post("/soap", data=text.encode()) as answer:
        assert answer.status == 500
        assert b"faultstring" in await answer.read()


async def test_service_of_another_member_is_not_offered(country: SmallCountry) -> None:
    text = envelope("traducirPid", escape(""), purpose="PUR-PORT", role="x")
    assert (await call(country, "15-ISSEMYM", text)).tag == f"{{{SOAP}}}Fault"


async def test_wsdl_describes_each_service_of_a_subsystem(country: SmallCountry) -> None:
    offered = {
        s: services_of(s)
        for s in ("IDENT", "INDICE", "AFIL", "HIST", "PORT", "EXTERNOS", "ARCO", "BITACORA", "VITAL")
    }
    assert sorted(n for names in offered.values() for n in names) == sorted(soapwords.OPERATIONS)
    root = etree.fromstring(render_wsdl("ARCO"))
    ns = {"w": "http://schemas.xmlsoap.org/wsdl/", "x": "http://x-road.eu/xsd/xroad.xsd"}
    operations = root.findall("w:binding/w:operation", ns)
    assert [o.get("name") for o in operations] == ["presentarArco", "consultarArco", "avanzarArco"]
    assert {o.findtext("x:version", namespaces=ns) for o in operations} == {"v1"}
    async with country.clients["15-ISSEMYM"].get("/wsdl/ARCO") as answer:
        assert await answer.read() == render_wsdl("ARCO")
    async with country.clients["15-ISSEMYM"].get("/wsdl/NADA") as answer:
        assert answer.status == 404
