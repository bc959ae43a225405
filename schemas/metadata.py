"""Metadata documents: who is a client of an instance, which services a provider has, and how they are asked for.

Both message protocols: XML under X-Road's namespace, JSON in snake case with absent members left out. A version is said
over SOAP only; over REST a service lists its endpoints, without the one that stands for the whole.

Spec: PR-META 2, 3; PR-MREST 4; service-metainfo.xsd of X-Road 7.8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from lxml import etree

from schemas.faults import BadMessage, Kind
from schemas.identifiers import (
    ID_NS,
    ClientId,
    ServiceId,
    append_identifier,
    parse_client_element,
    parse_identifier,
)
from schemas.jsontext import decode_json, dump_json, encode_json
from schemas.safexml import XmlLimits, parse_xml
from schemas.soapenvelope import XROAD_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LIST_METHODS = "listMethods"
ALLOWED_METHODS = "allowedMethods"
GET_WSDL = "getWsdl"
GET_OPENAPI = "getOpenAPI"

_X = f"{{{XROAD_NS}}}"
_LIMITS = XmlLimits(size_bytes=64 * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class ListedClient:
    """A member or subsystem of an instance; ``name`` is the member's, a subsystem may have one of its own too."""

    id: ClientId
    name: str
    subsystem_name: str | None = None


@dataclass(frozen=True, slots=True)
class ListedService:
    """A REST service: ``type`` is ``REST`` or ``OPENAPI``; endpoints are method and path pattern."""

    id: ServiceId
    type: str
    endpoints: tuple[tuple[str, str], ...] = ()


# listClients


def render_clients_json(clients: Iterable[ListedClient]) -> bytes:
    """The list of clients as JSON."""
    members = [
        _without_nulls(
            {"id": _client_json(c.id), "name": c.name, "subsystem_name": c.subsystem_name},
        )
        for c in clients
    ]
    return encode_json({"member": members})


def render_clients_xml(clients: Iterable[ListedClient]) -> bytes:
    """The list of clients as XML."""
    root = etree.Element(f"{_X}clientList", nsmap={"xroad": XROAD_NS, "id": ID_NS})
    for client in clients:
        member = etree.SubElement(root, f"{_X}member")
        append_identifier(member, f"{_X}id", client.id)
        etree.SubElement(member, f"{_X}name").text = client.name
        if client.subsystem_name is not None:
            etree.SubElement(member, f"{_X}subsystemName").text = client.subsystem_name
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def parse_clients_json(raw: bytes) -> tuple[ListedClient, ...]:
    """The clients of a JSON list. Raises `BadMessage` (``invalid_message``)."""
    try:
        return tuple(
            ListedClient(_client_from(m["id"]), m.get("name", ""), m.get("subsystem_name"))
            for m in _json(raw, "member")
        )
    except (KeyError, TypeError, AttributeError) as err:
        raise BadMessage(Kind.INVALID_MESSAGE, f"the list of clients lacks {err}") from err


def parse_clients_xml(raw: bytes) -> tuple[ListedClient, ...]:
    """The clients of an XML list. Raises `BadMessage`."""
    root = parse_xml(raw, what="list of clients", limits=_LIMITS)
    found = []
    for member in root.findall(f"{_X}member"):
        identifier = member.find(f"{_X}id")
        if identifier is None:
            raise BadMessage(Kind.INVALID_XML, "a member of the list of clients lacks its id")
        subsystem_name = member.findtext(f"{_X}subsystemName")
        found.append(
            ListedClient(parse_client_element(identifier), member.findtext(f"{_X}name") or "", subsystem_name)
        )
    return tuple(found)


# listMethods and allowedMethods


def render_services_json(services: Iterable[ListedService]) -> bytes:
    """REST services with their endpoints."""
    listed = [
        {
            **_client_json(s.id.client),
            "object_type": "SERVICE",
            "service_code": s.id.service_code,
            "service_type": s.type,
            "endpoint_list": [{"method": method, "path": path} for method, path in s.endpoints],
        }
        for s in services
    ]
    return encode_json({"service": listed})


def parse_services_json(raw: bytes) -> tuple[ListedService, ...]:
    """REST services out of their list. Raises `BadMessage` (``invalid_message``)."""
    try:
        return tuple(
            ListedService(
                ServiceId(_client_from(s), s["service_code"]),
                s.get("service_type", "REST"),
                tuple((e["method"], e["path"]) for e in s.get("endpoint_list") or ()),
            )
            for s in _json(raw, "service")
        )
    except (KeyError, TypeError, AttributeError) as err:
        raise BadMessage(Kind.INVALID_MESSAGE, f"the list of services lacks {err}") from err


def render_services_body(code: str, services: Iterable[ServiceId]) -> str:
    """The body of a SOAP answer to ``code``: every service by its identifier."""
    root = etree.Element(f"{_X}{code}Response", nsmap={"xroad": XROAD_NS, "id": ID_NS})
    for service in services:
        append_identifier(root, f"{_X}service", service)
    return etree.tostring(root, encoding="unicode")


def parse_services_body(envelope: bytes) -> tuple[ServiceId, ...]:
    """The services that a SOAP answer lists. Raises `BadMessage`."""
    body = _body(envelope)
    found = [parse_identifier(e) for e in body.findall(f"{_X}service")]
    if not all(isinstance(service, ServiceId) for service in found):
        raise BadMessage(Kind.INVALID_XML, "the list of services holds an identifier that is no service's")
    return tuple(service for service in found if isinstance(service, ServiceId))


# getWsdl


def parse_get_wsdl(envelope: bytes) -> tuple[str, str | None]:
    """Service code and version that a SOAP request asks the description of. Raises `BadMessage`."""
    body = _body(envelope)
    if body.tag != f"{_X}{GET_WSDL}":
        raise BadMessage(Kind.INVALID_REQUEST, f"the body of the request is {body.tag}, not {_X}{GET_WSDL}")
    code = (body.findtext(f"{_X}serviceCode") or "").strip()
    if not code:
        raise BadMessage(Kind.INVALID_REQUEST, "the request's body lacks serviceCode")
    return code, (body.findtext(f"{_X}serviceVersion") or "").strip() or None


def render_get_wsdl_body(code: str, version: str | None, *, response: bool = False) -> str:
    """The body of a request for a description, or of its answer, whose description is an attachment."""
    root = etree.Element(f"{_X}{GET_WSDL}{'Response' if response else ''}", nsmap={"xroad": XROAD_NS})
    etree.SubElement(root, f"{_X}serviceCode").text = code
    if version is not None:
        etree.SubElement(root, f"{_X}serviceVersion").text = version
    return etree.tostring(root, encoding="unicode")


def render_with_attachment(
    envelope: bytes, attachment: bytes, headers: Sequence[tuple[str, str]], boundary: str
) -> tuple[str, bytes]:
    """A ``multipart/related`` of an envelope and one attachment: its Content-Type, and its bytes."""
    delimiter = f"--{boundary}".encode()
    head = "".join(f"{name}: {value}\r\n" for name, value in headers).encode()
    body = (
        delimiter + b"\r\ncontent-type: text/xml; charset=UTF-8\r\n\r\n" + envelope + b"\r\n"
        + delimiter + b"\r\n" + head + b"\r\n" + attachment + b"\r\n"
        + delimiter + b"--\r\n"
    )  # fmt: skip
    return f'multipart/related; type="text/xml"; charset=UTF-8; boundary={boundary}', body


def body_element(envelope: bytes) -> etree._Element:
    """The one element in an envelope's body, of whatever name. Raises `BadMessage`."""
    return _body(envelope)


def _body(envelope: bytes) -> etree._Element:
    root = parse_xml(envelope, kind=Kind.INVALID_SOAP, what="envelope", limits=_LIMITS)
    body = next((e for e in root if etree.QName(e).localname == "Body"), None)
    found = None if body is None else next((e for e in body if isinstance(e.tag, str)), None)
    if found is None:
        raise BadMessage(Kind.MISSING_BODY, "the envelope's body is empty")
    return found


def _client_json(client: ClientId) -> dict[str, str]:
    return _without_nulls(
        {
            "member_class": client.member_class,
            "member_code": client.member_code,
            "object_type": client.object_type,
            "subsystem_code": client.subsystem_code,
            "xroad_instance": client.instance,
        }
    )


def _client_from(value: dict[str, Any]) -> ClientId:
    return ClientId(
        value["xroad_instance"], value["member_class"], value["member_code"], value.get("subsystem_code")
    )


def _json(raw: bytes, name: str) -> list[dict[str, Any]]:
    try:
        value = decode_json(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as err:
        raise BadMessage(Kind.INVALID_MESSAGE, f"the list is not JSON: {err}") from err
    found = value.get(name) if isinstance(value, dict) else None
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise BadMessage(Kind.INVALID_MESSAGE, f"the list has no member {dump_json(name)} with objects")
    return found


def _without_nulls(value: dict[str, Any]) -> dict[str, Any]:
    return {name: entry for name, entry in value.items() if entry is not None}
