"""The WSDL 1.1 of a subsystem's services: document/literal wrapped, over the XML schema of the domain pack. Pure.

Each operation is versioned as X-Road asks (``xroad:version``); requests and answers carry X-Road's header blocks and
``contexto``.

Spec: the domain reference 5.1 (rule 1), 5.11; PR-META (getWsdl).
"""

from __future__ import annotations

from typing import Final

from social_security.domain import pack
from social_security.wire import soapwords

NS: Final = "https://oniess.example/ns/ss/v1"
VERSION: Final = "v1"
# X-Road's own; gateways hide it from others, and each provider's system has its own.
ADDRESS: Final = "http://sistema.example/soap"
_XROAD_HEADERS: Final = ("client", "service", "userId", "id", "issue", "protocolVersion")


def services_of(subsystem: str) -> list[str]:
    """The services that a subsystem offers over SOAP."""
    return [
        s
        for s, operation in soapwords.OPERATIONS.items()
        if pack.operations()[operation].subsystem == subsystem
    ]


def render_wsdl(subsystem: str) -> bytes:
    """The description. Raises LookupError for a subsystem that offers nothing over SOAP."""
    names = services_of(subsystem)
    if not names:
        raise LookupError(subsystem)
    schema = pack.read_text("services.xsd").partition("?>")[2].strip()
    headers = "".join(
        f'<wsdl:part name="{n}" element="{"ss" if n == "contexto" else "xroad"}:{n}"/>'
        for n in (*_XROAD_HEADERS, "contexto")
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/" '
        f'xmlns:xroad="http://x-road.eu/xsd/xroad.xsd" xmlns:ss="{NS}" xmlns:tns="{NS}/{subsystem}" '
        f'targetNamespace="{NS}/{subsystem}" name="{subsystem}">\n'
        '<wsdl:types>\n<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">'
        '<xs:import namespace="http://x-road.eu/xsd/xroad.xsd" schemaLocation="http://x-road.eu/xsd/xroad.xsd"/>'
        f"</xs:schema>\n{schema}\n</wsdl:types>\n"
        f'<wsdl:message name="encabezados">{headers}</wsdl:message>\n'
        + "".join(_messages(n) for n in names)
        + f'<wsdl:portType name="{subsystem}Port">{"".join(_port_operation(n) for n in names)}</wsdl:portType>\n'
        f'<wsdl:binding name="{subsystem}Binding" type="tns:{subsystem}Port">'
        '<soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>'
        + "".join(_binding_operation(n) for n in names)
        + f'</wsdl:binding>\n<wsdl:service name="{subsystem}"><wsdl:port name="{subsystem}Port" '
        f'binding="tns:{subsystem}Binding"><soap:address location="{ADDRESS}"/></wsdl:port></wsdl:service>\n'
        "</wsdl:definitions>\n"
    ).encode()


def _messages(name: str) -> str:
    return (
        f'<wsdl:message name="{name}"><wsdl:part name="body" element="ss:{name}"/></wsdl:message>\n'
        f'<wsdl:message name="{name}Response"><wsdl:part name="body" element="ss:{name}Response"/></wsdl:message>\n'
    )


def _port_operation(name: str) -> str:
    return (
        f'<wsdl:operation name="{name}"><wsdl:input message="tns:{name}"/>'
        f'<wsdl:output message="tns:{name}Response"/></wsdl:operation>'
    )


def _binding_operation(name: str) -> str:
    def part(headers: tuple[str, ...]) -> str:
        blocks = "".join(
            f'<soap:header message="tns:encabezados" part="{h}" use="literal"/>' for h in headers
        )
        return f'<soap:body parts="body" use="literal"/>{blocks}'

    return (
        f'<wsdl:operation name="{name}"><soap:operation soapAction="" style="document"/>'
        f"<xroad:version>{VERSION}</xroad:version>"
        f"<wsdl:input>{part((*_XROAD_HEADERS, 'contexto'))}</wsdl:input>"
        f"<wsdl:output>{part(_XROAD_HEADERS)}</wsdl:output></wsdl:operation>"
    )
