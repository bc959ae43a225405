"""The description of the management services (WSDL 1.1), made from the table of their bodies.

The management security server reads it from ``/managementservices.wsdl`` to learn the service codes. Registration of
authentication certificates is not there: it does not come as a message between gateways.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from aiohttp import web
from lxml import etree

from schemas.identifiers import ID_NS
from schemas.management import XROAD_NS, ManagementServiceCode, children_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_WSDL = "http://schemas.xmlsoap.org/wsdl/"
_SOAP = "http://schemas.xmlsoap.org/wsdl/soap/"
_XSD = "http://www.w3.org/2001/XMLSchema"
_TNS = "http://x-road.eu/centralservice/"
_HTTP = "http://schemas.xmlsoap.org/soap/http"
_HEADERS = ("client", "service", "userId", "id", "protocolVersion", "issue")
_PARTS = (
    "xRoadInstance",
    "memberClass",
    "memberCode",
    "subsystemCode",
    "serverCode",
    "serviceCode",
    "serviceVersion",
)
_TYPES = {
    "server": "id:XRoadIdentifierType",
    "client": "id:XRoadIdentifierType",
    "authCert": "xsd:base64Binary",
    "requestId": "xsd:integer",
}


@cache
def render_wsdl(location: str) -> bytes:
    """The document; ``location`` is the address of the management service."""
    root = etree.Element(
        f"{{{_WSDL}}}definitions",
        nsmap={"wsdl": _WSDL, "soap": _SOAP, "xsd": _XSD, "tns": _TNS, "xroad": XROAD_NS, "id": ID_NS},
    )
    root.set("name", "centralservice")
    root.set("targetNamespace", _TNS)
    services = [s for s in ManagementServiceCode if s is not ManagementServiceCode.AUTH_CERT_REG]
    types = _wsdl(root, "types")
    _identifiers(types)
    _bodies(types, services)
    for service in services:
        for name in (service.value, f"{service.value}Response"):
            _part(_wsdl(root, "message", name=name), "body", f"xroad:{name}")
    header = _wsdl(root, "message", name="requestheader")
    for name in _HEADERS:
        _part(header, name, f"xroad:{name}")
    port_type = _wsdl(root, "portType", name="centralservice")
    for service in services:
        operation = _wsdl(port_type, "operation", name=service.value)
        _wsdl(operation, "input", message=f"tns:{service.value}")
        _wsdl(operation, "output", message=f"tns:{service.value}Response")
    binding = _wsdl(root, "binding", name="centralserviceSOAP", type="tns:centralservice")
    _soap(binding, "binding", style="document", transport=_HTTP)
    for service in services:
        operation = _wsdl(binding, "operation", name=service.value)
        _soap(operation, "operation", soapAction="")
        for direction in ("input", "output"):
            inner = _wsdl(operation, direction)
            _soap(inner, "body", parts="body", use="literal")
            for name in _HEADERS:
                _soap(inner, "header", message="tns:requestheader", part=name, use="literal")
    port = _wsdl(
        _wsdl(root, "service", name="centralservice"),
        "port",
        name="centralservicePort",
        binding="tns:centralserviceSOAP",
    )
    _soap(port, "address", location=location)
    etree.indent(root)
    raw: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
    return raw


def _identifiers(types: etree._Element) -> None:
    schema = _xsd(types, "schema", targetNamespace=ID_NS, elementFormDefault="qualified")
    kind = _xsd(schema, "complexType", name="XRoadIdentifierType")
    sequence = _xsd(kind, "sequence")
    for name in _PARTS:
        _xsd(sequence, "element", ref=f"id:{name}", minOccurs="0")
    _xsd(kind, "attribute", ref="id:objectType", use="required")
    for name in _PARTS:
        _xsd(schema, "element", name=name, type="xsd:string")
    _xsd(schema, "attribute", name="objectType", type="xsd:string")


def _bodies(types: etree._Element, services: Sequence[ManagementServiceCode]) -> None:
    schema = _xsd(types, "schema", targetNamespace=XROAD_NS, elementFormDefault="qualified")
    _xsd(schema, "import", namespace=ID_NS)
    for name in _HEADERS:
        kind = "id:XRoadIdentifierType" if name in ("client", "service") else "xsd:string"
        _xsd(schema, "element", name=name, type=kind)
    for service in services:
        for name in (service.value, f"{service.value}Response"):
            sequence = _xsd(
                _xsd(_xsd(schema, "element", name=name), "complexType"),
                "sequence",
            )
            for child, optional in (("server", False), *children_of(service), ("requestId", True)):
                element = _xsd(sequence, "element", name=child, type=_TYPES.get(child, "xsd:string"))
                if optional:
                    element.set("minOccurs", "0")


def _wsdl(parent: etree._Element, tag: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{_WSDL}}}{tag}", attributes)


def _soap(parent: etree._Element, tag: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{_SOAP}}}{tag}", attributes)


def _xsd(parent: etree._Element, tag: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{_XSD}}}{tag}", attributes)


def _part(message: etree._Element, name: str, element: str) -> None:
    _wsdl(message, "part", name=name, element=element)


def add_wsdl_route(app: web.Application, location: Callable[[], str]) -> None:
    """Serve the description, which names the address that ``location`` gives now."""

    async def give(_request: web.Request) -> web.Response:
        return web.Response(body=render_wsdl(location()), content_type="text/xml", charset="utf-8")

    app.router.add_get("/managementservices.wsdl", give)
