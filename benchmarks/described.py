"""A provider that describes itself: a SOAP service by its WSDL, a REST service by its OpenAPI document.

``docs/services.md`` registers it step by step. ``--edition 2`` publishes descriptions in which something changed; ``/bad``
variants answer what the descriptions do not allow.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import uvloop
from aiohttp import web

from schemas import soap
from schemas.metadata import body_element

NAMESPACE = "urn:example:sum"


def wsdl(base: str, edition: int) -> str:
    """The WSDL: ``sum`` adds two numbers; the second edition says ``difference`` too."""
    names = ["sum"] if edition == 1 else ["sum", "difference"]
    elements = "".join(
        f"""
      <xs:element name="{name}"><xs:complexType><xs:sequence>
        <xs:element name="a" type="xs:int"/><xs:element name="b" type="xs:int"/>
      </xs:sequence></xs:complexType></xs:element>
      <xs:element name="{name}Response"><xs:complexType><xs:sequence>
        <xs:element name="result" type="xs:int"/>
      </xs:sequence></xs:complexType></xs:element>"""
        for name in names
    )
    messages = "".join(
        f'<wsdl:message name="{n}"><wsdl:part name="body" element="t:{n}"/></wsdl:message>'
        f'<wsdl:message name="{n}Response"><wsdl:part name="body" element="t:{n}Response"/></wsdl:message>'
        for n in names
    )
    port_type = "".join(
        f'<wsdl:operation name="{n}"><wsdl:documentation><xrd:title>{n} of two numbers</xrd:title></wsdl:documentation>'
        f'<wsdl:input message="t:{n}"/><wsdl:output message="t:{n}Response"/></wsdl:operation>'
        for n in names
    )
    binding = "".join(
        f'<wsdl:operation name="{n}"><soap:operation soapAction="" style="document"/>'
        "<xrd:version>v1</xrd:version>"
        '<wsdl:input><soap:body use="literal"/></wsdl:input>'
        '<wsdl:output><soap:body use="literal"/></wsdl:output></wsdl:operation>'
        for n in names
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
    xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xrd="http://x-road.eu/xsd/xroad.xsd" xmlns:t="{NAMESPACE}"
    targetNamespace="{NAMESPACE}">
  <wsdl:types>
    <xs:schema targetNamespace="{NAMESPACE}" elementFormDefault="qualified">{elements}
    </xs:schema>
  </wsdl:types>
  {messages}
  <wsdl:portType name="Port">{port_type}</wsdl:portType>
  <wsdl:binding name="Binding" type="t:Port">
    <soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>
    {binding}
  </wsdl:binding>
  <wsdl:service name="Service">
    <wsdl:port name="Port" binding="t:Binding"><soap:address location="{base}/soap"/></wsdl:port>
  </wsdl:service>
</wsdl:definitions>
"""


def openapi(base: str, edition: int) -> dict[str, Any]:
    """The OpenAPI document: people by their number; the second edition can delete one."""
    person = {
        "type": "object",
        "required": ["id", "name"],
        "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
    }
    number = {"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Person"}}}
    found = {"description": "the person", "content": content}
    paths: dict[str, Any] = {
        "/people": {
            "post": {
                "requestBody": {"required": True, "content": content},
                "responses": {"201": {"description": "kept", "content": content}},
            }
        },
        "/people/{id}": {"get": {"parameters": [number], "responses": {"200": found}}},
    }
    if edition > 1:
        paths["/people/{id}"]["delete"] = {
            "parameters": [number],
            "responses": {"204": {"description": "gone"}},
        }
    return {
        "openapi": "3.1.0",
        "info": {"title": "People", "version": str(edition)},
        "servers": [{"url": f"{base}/rest"}],
        "paths": paths,
        "components": {"schemas": {"Person": person}},
    }


async def answer_soap(request: web.Request) -> web.Response:
    """Add, whatever was asked; ``?bad=1`` answers words instead of a number."""
    message = soap.parse_message(await request.read())
    values = [int(e.text or 0) for e in body_element(message.raw)]
    name = f"{message.service.service_code}Response"
    result = "many" if "bad" in request.query else str(sum(values))
    body = f'<t:{name} xmlns:t="{NAMESPACE}"><t:result>{result}</t:result></t:{name}>'
    return web.Response(body=soap.render_answer(message, body), headers={"Content-Type": soap.CONTENT_TYPE})


async def answer_rest(request: web.Request) -> web.Response:
    """A person; number 13 has no name, which the description does not allow."""
    if request.method == "POST":
        return web.json_response(await request.json(), status=201)
    number = int(request.match_info["id"])
    return web.json_response({"id": number} if number == 13 else {"id": number, "name": f"Persona {number}"})


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument("--edition", type=int, default=1)
    options = parser.parse_args()
    base = f"http://{options.host}:{options.port}"

    async def give_wsdl(request: web.Request) -> web.Response:
        edition = int(request.query.get("edition", options.edition))
        return web.Response(text=wsdl(base, edition), content_type="text/xml")

    async def give_openapi(request: web.Request) -> web.Response:
        edition = int(request.query.get("edition", options.edition))
        return web.Response(text=json.dumps(openapi(base, edition)), content_type="application/json")

    app = web.Application()
    app.router.add_get("/sum.wsdl", give_wsdl)
    app.router.add_get("/people.json", give_openapi)
    app.router.add_post("/soap", answer_soap)
    app.router.add_post("/rest/people", answer_rest)
    app.router.add_get("/rest/people/{id}", answer_rest)
    uvloop.install()
    web.run_app(app, host=options.host, port=options.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
