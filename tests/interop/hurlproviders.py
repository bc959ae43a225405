"""``python -m tests.interop.hurlproviders SOAP REST OPENAPI``: the information systems that X-Road's scenarios call.

Each argument is the address one of them listens on, port 8080. What they describe and answer is ours; only names and
shapes that the scenarios ask for are theirs.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys

from aiohttp import web
from lxml import etree

PORT = 8080
NAMESPACE = "http://test.x-road.fi/producer"
ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
OPERATIONS = ("getRandom", "helloService", "listPeople", "personDetails")

OPENAPI = {
    "openapi": "3.0.3",
    "info": {"title": "Members", "version": "1.0.0"},
    "servers": [{"url": "http://isopenapi:8080"}],
    "paths": {
        "/api/members": {
            "get": {
                "summary": "Every member",
                "responses": {"200": {"description": "names", "content": {"application/json": {}}}},
            },
            "post": {"summary": "A new member", "responses": {"201": {"description": "made"}}},
        },
        "/api/members/{id}": {
            "get": {
                "summary": "One member",
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "integer"}}],
                "responses": {"200": {"description": "the member"}},
            }
        },
    },
}


def wsdl(address: str) -> str:
    """A document/literal WSDL of every operation, each in version v1."""
    elements = "".join(
        f'<xsd:element name="{name}"><xsd:complexType><xsd:sequence><xsd:element name="request" minOccurs="0">'
        "<xsd:complexType/></xsd:element></xsd:sequence></xsd:complexType></xsd:element>"
        f'<xsd:element name="{name}Response"><xsd:complexType><xsd:sequence><xsd:any minOccurs="0" '
        'maxOccurs="unbounded" processContents="lax"/></xsd:sequence></xsd:complexType></xsd:element>'
        for name in OPERATIONS
    )
    messages = "".join(
        f'<message name="{name}"><part name="body" element="tns:{name}"/></message>'
        f'<message name="{name}Response"><part name="body" element="tns:{name}Response"/></message>'
        for name in OPERATIONS
    )
    ports = "".join(
        f'<operation name="{name}"><input message="tns:{name}"/><output message="tns:{name}Response"/></operation>'
        for name in OPERATIONS
    )
    bindings = "".join(
        f'<operation name="{name}"><soap:operation soapAction="" style="document"/><xrd:version>v1</xrd:version>'
        '<input><soap:body use="literal"/></input><output><soap:body use="literal"/></output></operation>'
        for name in OPERATIONS
    )
    return (
        f'<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" '
        f'xmlns:xsd="http://www.w3.org/2001/XMLSchema" xmlns:xrd="http://x-road.eu/xsd/xroad.xsd" '
        f'xmlns:tns="{NAMESPACE}" targetNamespace="{NAMESPACE}">'
        f'<types><xsd:schema targetNamespace="{NAMESPACE}" elementFormDefault="qualified">{elements}</xsd:schema></types>'
        f'{messages}<portType name="producer">{ports}</portType>'
        f'<binding name="producer" type="tns:producer"><soap:binding style="document" '
        f'transport="http://schemas.xmlsoap.org/soap/http"/>{bindings}</binding>'
        f'<service name="producer"><port name="producer" binding="tns:producer">'
        f'<soap:address location="{address}"/></port></service></definitions>'
    )


async def describe(request: web.Request) -> web.Response:
    """The WSDL."""
    return web.Response(text=wsdl(str(request.url.with_query(None))), content_type="text/xml")


async def answer_soap(request: web.Request) -> web.Response:
    """The request's headers back, and ``data`` in the answer's body."""
    envelope = etree.fromstring(await request.read(), etree.XMLParser(resolve_entities=False))
    body = envelope.find(f"{{{ENVELOPE}}}Body")
    assert body is not None
    name = etree.QName(body[0]).localname
    body[:] = [etree.Element(f"{{{NAMESPACE}}}{name}Response", nsmap={"p": NAMESPACE})]
    data = etree.SubElement(body[0], f"{{{NAMESPACE}}}data")
    data.text = str(random.randrange(100) + 0.5) if name == "getRandom" else "hello"
    return web.Response(body=etree.tostring(envelope), content_type="text/xml", charset="utf-8")


async def answer_rest(_request: web.Request) -> web.Response:
    """What the scenario looks for."""
    return web.json_response({"message": "Hello, world from POST service!"})


async def answer_openapi(_request: web.Request) -> web.Response:
    """The description."""
    return web.json_response(OPENAPI)


async def answer_members(_request: web.Request) -> web.Response:
    """Two members."""
    return web.json_response([{"id": 1, "name": "uno"}, {"id": 2, "name": "dos"}])


async def run(soap: str, rest: str, openapi: str) -> None:
    """Serve all three until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runners = []
    for host, routes in (
        (
            soap,
            [
                web.get("/example-adapter/Endpoint", describe),
                web.post("/example-adapter/Endpoint", answer_soap),
            ],
        ),
        (rest, [web.route("*", "/integration/mock_1", answer_rest)]),
        (openapi, [web.get("/v3/api-docs", answer_openapi), web.get("/api/members", answer_members)]),
    ):
        app = web.Application()
        app.add_routes(routes)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, host, PORT).start()
        runners.append(runner)
    await stop.wait()
    for runner in runners:
        await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
