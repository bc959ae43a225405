"""Management requests: what a security server asks of its central server, in SOAP, and what comes back.

Three layers, each readable alone: `ManagementRequest` is what is asked; the SOAP envelope carries it with who asks
(`RequestHeader`); a signed request is a multipart body of the envelope, signatures, certificates and an OCSP response
(`RequestParts`). Nothing here verifies: the exact bytes that were signed stay beside what was parsed from them.

The bodies are rows of `_CHILDREN`, in the order of request.xsd. Attachments are raw binary, and the header naming the
signature algorithm is written in lower case because X-Road looks it up so.

Spec: PR-MSERV; request.xsd of X-Road 7.8 (which adds ``dryRun`` and has no client in maintenance requests).
"""

from __future__ import annotations

import base64
import binascii
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lxml import etree

from schemas.faults import BadMessage, Kind, PeerFault
from schemas.faultxml import SOAP_NS, parse_soap_fault
from schemas.identifiers import (
    ClientId,
    ServerId,
    ServiceId,
    append_identifier,
    check_identifier,
    parse_client_element,
    parse_identifier,
    suspicious_characters,
)
from schemas.jsontext import dump_json, load_json
from schemas.multipart import MultipartParser, PartData, PartEnd, PartStart, parse_content_type
from schemas.names import check_text
from schemas.numbers import whole_number
from schemas.safexml import XmlLimits, parse_xml

if TYPE_CHECKING:
    from collections.abc import Sequence

XROAD_NS = "http://x-road.eu/xsd/xroad.xsd"
LARGEST_BODY = 100_000
LONGEST_COMPONENT = 255
SOAP_CONTENT_TYPE = "text/xml; charset=UTF-8"
_LIMITS = XmlLimits(size_bytes=LARGEST_BODY, depth=24)
_ENVELOPE, _HEADER, _BODY = (f"{{{SOAP_NS}}}{name}" for name in ("Envelope", "Header", "Body"))


class ManagementServiceCode(enum.StrEnum):
    """The service codes of the management services."""

    AUTH_CERT_REG = "authCertReg"
    AUTH_CERT_DELETION = "authCertDeletion"
    CLIENT_REG = "clientReg"
    CLIENT_DELETION = "clientDeletion"
    CLIENT_DISABLE = "clientDisable"
    CLIENT_ENABLE = "clientEnable"
    CLIENT_RENAME = "clientRename"
    OWNER_CHANGE = "ownerChange"
    ADDRESS_CHANGE = "addressChange"
    MAINTENANCE_ENABLE = "maintenanceModeEnable"
    MAINTENANCE_DISABLE = "maintenanceModeDisable"

    @property
    def is_signed(self) -> bool:
        """Whether the request carries signatures; the deletions rely on the transport alone."""
        return self not in (ManagementServiceCode.CLIENT_DELETION, ManagementServiceCode.AUTH_CERT_DELETION)


# What each body holds after ``server``: element, and whether it may be left out.
_CHILDREN: dict[ManagementServiceCode, tuple[tuple[str, bool], ...]] = {
    ManagementServiceCode.AUTH_CERT_REG: (("address", True), ("authCert", False), ("dryRun", True)),
    ManagementServiceCode.AUTH_CERT_DELETION: (("authCert", False),),
    ManagementServiceCode.CLIENT_REG: (("client", False), ("subsystemName", True)),
    ManagementServiceCode.CLIENT_DELETION: (("client", False),),
    ManagementServiceCode.CLIENT_DISABLE: (("client", False),),
    ManagementServiceCode.CLIENT_ENABLE: (("client", False),),
    ManagementServiceCode.CLIENT_RENAME: (("client", False), ("subsystemName", False)),
    ManagementServiceCode.OWNER_CHANGE: (("client", False),),
    ManagementServiceCode.ADDRESS_CHANGE: (("address", False),),
    ManagementServiceCode.MAINTENANCE_ENABLE: (("message", True),),
    ManagementServiceCode.MAINTENANCE_DISABLE: (),
}


@dataclass(frozen=True, slots=True)
class ManagementRequest:
    """A management request's fields; the service code says which of them count (PR-MSERV)."""

    service: ManagementServiceCode
    server: ServerId
    client: ClientId | None = None
    address: str | None = None
    auth_certificate: bytes | None = None
    subsystem_name: str | None = None
    message: str | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class RequestHeader:
    """Who asks whom: ``client`` is the server's owner, ``provider`` the management service's member or subsystem."""

    client: ClientId
    provider: ClientId
    message_id: str
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class ManagementMessage:
    """A parsed envelope with the bytes it came in."""

    header: RequestHeader
    request: ManagementRequest
    raw: bytes


@dataclass(frozen=True, slots=True)
class RequestSignature:
    """A signature over the envelope's bytes, the algorithm by its Java name."""

    algorithm: str
    value: bytes


@dataclass(frozen=True, slots=True)
class RequestParts:
    """Everything a request consists of; an unsigned one is an envelope alone.

    ``authCertReg`` has two signatures (auth key, then the owner's) and the certificates and the OCSP response of
    ``attachments``: auth certificate, owner's certificate, its OCSP response. The others have one signature, the signing
    certificate and its OCSP response.
    """

    soap: bytes
    signatures: tuple[RequestSignature, ...] = ()
    attachments: tuple[bytes, ...] = ()


def children_of(service: ManagementServiceCode) -> tuple[tuple[str, bool], ...]:
    """The elements of a body after ``server``, and whether each may be left out."""
    return _CHILDREN[service]


# The envelope


def render_request(request: ManagementRequest, header: RequestHeader) -> bytes:
    """The envelope of a request."""
    envelope = etree.Element(_ENVELOPE, nsmap={"SOAP-ENV": SOAP_NS, "xroad": XROAD_NS})
    head = etree.SubElement(envelope, _HEADER)
    append_identifier(head, _x("client"), header.client)
    append_identifier(head, _x("service"), ServiceId(header.provider, request.service.value))
    if header.user_id is not None:
        etree.SubElement(head, _x("userId")).text = header.user_id
    etree.SubElement(head, _x("id")).text = header.message_id
    etree.SubElement(head, _x("protocolVersion")).text = "4.0"
    body = etree.SubElement(etree.SubElement(envelope, _BODY), _x(request.service.value))
    append_identifier(body, _x("server"), request.server)
    values = {
        "address": request.address,
        "authCert": None if request.auth_certificate is None else _base64(request.auth_certificate),
        "dryRun": "true" if request.dry_run else "false",
        "subsystemName": request.subsystem_name,
        "message": request.message,
    }
    for name, _optional in _CHILDREN[request.service]:
        if name == "client" and request.client is not None:
            append_identifier(body, _x(name), request.client)
        elif (value := values.get(name)) is not None:
            etree.SubElement(body, _x(name)).text = value
    raw: bytes = etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")
    return raw


def parse_request(raw: bytes) -> ManagementMessage:
    """Read an envelope. Raises `BadMessage`: ``invalid_request``, or ``invalid_client_identifier`` for identifiers."""
    head, body = _split(raw)
    try:
        service_id = parse_identifier(_only(head, "service"))
        client = parse_client_element(_only(head, "client"))
    except BadMessage as fault:
        raise _of_identifier(fault) from fault
    if not isinstance(service_id, ServiceId):
        raise _bad("the SOAP header 'service' names no service")
    message_id = _text(_only(head, "id"))
    if not message_id:
        raise _bad("the SOAP header 'id' is empty; every request needs an id of its own")
    check_text(message_id, "the SOAP header 'id'", longest=None)
    users = head.findall(_x("userId"))
    if len(users) > 1:
        raise _bad("the SOAP header 'userId' stands twice")
    request = _request(body)
    if service_id.service_code != request.service.value:
        raise _bad(
            f"the SOAP header asks for {service_id.service_code!r}, the body is {request.service.value!r}"
        )
    header = RequestHeader(client, service_id.client, message_id, _text(users[0]) if users else None)
    return ManagementMessage(header, request, raw)


def _split(raw: bytes) -> tuple[etree._Element, etree._Element]:
    if not raw.strip():
        raise _bad("the request is empty; a SOAP envelope was expected")
    root = parse_xml(raw, kind=Kind.INVALID_REQUEST, what="management request", limits=_LIMITS)
    # Exactly these, or another reader of the envelope takes the second where this one takes the first.
    if root.tag != _ENVELOPE or [e.tag for e in root] != [_HEADER, _BODY] or len(root[1]) != 1:
        raise _bad("a SOAP 1.1 envelope with one header and one body of one element was expected")
    return root[0], root[1][0]


def _request(body: etree._Element) -> ManagementRequest:
    name = etree.QName(body)
    try:
        service = ManagementServiceCode(name.localname if name.namespace == XROAD_NS else "")
    except ValueError:
        raise _bad(f"{body.tag!s:.100} is no management request that is known here") from None
    found: dict[str, etree._Element] = {}
    for child in body:
        local = etree.QName(child).localname
        if child.tag != _x(local) or local in found:
            raise _bad(f"{child.tag!s:.100} cannot be there (twice) in {service.value}")
        found[local] = child
    expected = {"server": False, **dict(_CHILDREN[service]), "requestId": True}
    for local in found:
        if local not in expected:
            raise _bad(f"{service.value} has no element {local!r}")
    missing = [local for local, optional in expected.items() if not optional and local not in found]
    if missing:
        raise _bad(f"{service.value} lacks {', '.join(missing)}")
    try:
        server = parse_identifier(found["server"])
        client = parse_client_element(found["client"]) if "client" in found else None
    except BadMessage as fault:
        raise _of_identifier(fault) from fault
    if not isinstance(server, ServerId):
        raise _bad("the element 'server' names no security server")
    _check_components(server.components)
    if client is not None and service is ManagementServiceCode.CLIENT_REG:
        check_identifier(client, "client")
    _check_texts(found)
    return ManagementRequest(
        service,
        server,
        client,
        _text(found.get("address")),
        _certificate(found.get("authCert")),
        _text(found.get("subsystemName")),
        _text(found.get("message")),
        _text(found.get("dryRun")) in ("true", "1"),
    )


def _check_texts(found: dict[str, etree._Element]) -> None:
    for name in ("address", "subsystemName", "message"):
        text = _text(found.get(name))
        if text:
            check_text(text, f"the element {name!r}", lines=name == "message")


def _check_components(components: Sequence[str]) -> None:
    for component in components:
        bad = suspicious_characters(component)
        if bad or len(component) > LONGEST_COMPONENT:
            raise BadMessage(
                Kind.INVALID_CLIENT_IDENTIFIER,
                f"a component of the security server's identifier is too long or holds {bad!r}, which is not allowed",
            )


def render_response(raw_request: bytes, request_id: int) -> bytes:
    """The answer to a request: its header, its body renamed, and the number it is kept under."""
    _, body = _split(raw_request)
    body.tag = f"{body.tag}Response"
    for old in body.findall(_x("requestId")):
        body.remove(old)
    etree.SubElement(body, _x("requestId")).text = str(request_id)
    raw: bytes = etree.tostring(body.getroottree(), xml_declaration=True, encoding="UTF-8")
    return raw


def parse_response(raw: bytes, service: ManagementServiceCode) -> int:
    """The number a request is kept under. Raises `PeerFault` with what the central server refused, or `BadMessage`."""
    fault = parse_soap_fault(raw)
    if fault is not None:
        raise PeerFault(fault)
    _, body = _split(raw)
    number = whole_number((body.findtext(_x("requestId")) or "").strip())
    if body.tag != _x(f"{service.value}Response") or number is None:
        raise BadMessage(
            Kind.INVALID_MESSAGE,
            f"the central server answered {body.tag!s:.100}; {service.value}Response with a requestId was expected",
        )
    return number


# What has become of a request


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """The state of a request: ``status`` as the admin API spells it, and the operator's comment, if any."""

    request_id: int
    type: str
    status: str
    comments: str | None = None


def render_status(status: RequestStatus) -> bytes:
    """The answer to a gateway that asks."""
    values = {"id": status.request_id, "type": status.type, "status": status.status}
    if status.comments is not None:
        values["comments"] = status.comments
    return dump_json(values).encode()


def parse_status(raw: bytes) -> RequestStatus:
    """Read that answer. Raises `BadMessage`."""
    try:
        values = load_json(raw)
        comments = values.get("comments")
        return RequestStatus(
            int(values["id"]),
            str(values["type"]),
            str(values["status"]),
            None if comments is None else str(comments),
        )
    except (ValueError, OverflowError, KeyError, TypeError, AttributeError) as err:
        raise BadMessage(Kind.INVALID_MESSAGE, f"the status of a request cannot be read: {err}") from err


# The body of the HTTP request


def render_parts(parts: RequestParts, boundary: str) -> tuple[str, bytes]:
    """Content type and body: multipart when there are signatures, else the envelope alone."""
    if not parts.signatures:
        return SOAP_CONTENT_TYPE, parts.soap
    pieces = [_part(SOAP_CONTENT_TYPE, parts.soap)]
    for signature in parts.signatures:
        pieces.append(
            _part(
                "application/octet-stream", signature.value, f"signature-algorithm-id: {signature.algorithm}"
            )
        )
    pieces += [_part("application/octet-stream", attachment) for attachment in parts.attachments]
    delimiter = f"\r\n--{boundary}".encode()
    body = delimiter.removeprefix(b"\r\n") + delimiter.join(pieces) + delimiter + b"--\r\n"
    content_type = f'multipart/related; type="application/octet-stream"; charset=UTF-8; boundary="{boundary}"'
    return content_type, body


def _part(content_type: str, content: bytes, *headers: str) -> bytes:
    lines = ["", f"content-type: {content_type}", *headers, "", ""]
    return "\r\n".join(lines).encode() + content


def parse_parts(content_type: str, body: bytes) -> RequestParts:
    """Split a request's body. Raises `BadMessage` (``invalid_request``)."""
    if len(body) > LARGEST_BODY:
        raise _bad(f"the request has {len(body)} bytes; at most {LARGEST_BODY} are accepted")
    media, parameters = parse_content_type(content_type)
    if media == "text/xml":
        return RequestParts(body)
    boundary = parameters.get("boundary", "")
    if media != "multipart/related" or not boundary:
        raise _bad(f"text/xml or multipart/related with a boundary was expected, {content_type[:100]!r} came")
    if not body.strip():
        raise _bad("the request is empty; a SOAP envelope was expected")
    return _assemble(_multipart(boundary, body))


def _multipart(boundary: str, body: bytes) -> list[tuple[PartStart, bytes]]:
    parser = MultipartParser(boundary)
    parts: list[tuple[PartStart, bytes]] = []
    try:
        events = list(parser.feed(body))
        parser.close()
    except BadMessage as fault:
        raise _bad(fault.detail) from fault
    content = bytearray()
    start = PartStart(())
    for event in events:
        match event:
            case PartStart():
                start, content = event, bytearray()
            case PartData():
                content += event.data
            case PartEnd():
                parts.append((start, bytes(content)))
    return parts


def _assemble(parts: list[tuple[PartStart, bytes]]) -> RequestParts:
    if not parts or not (parts[0][0].header("content-type") or "").lower().startswith("text/xml"):
        raise _bad("the first part must be the SOAP envelope (text/xml)")
    signatures: list[RequestSignature] = []
    attachments: list[bytes] = []
    for start, content in parts[1:]:
        algorithm = start.header("signature-algorithm-id")
        if algorithm is None:
            attachments.append(content)
        elif attachments:
            raise _bad("signatures come before certificates in a management request")
        else:
            signatures.append(RequestSignature(algorithm, content))
    return RequestParts(parts[0][1], tuple(signatures), tuple(attachments))


def check_parts(parts: RequestParts, service: ManagementServiceCode) -> None:
    """Refuse a request with another number of signatures and attachments than its service has."""
    if not service.is_signed:
        expected = (0, 0)
    else:
        expected = (2, 3) if service is ManagementServiceCode.AUTH_CERT_REG else (1, 2)
    counts = (len(parts.signatures), len(parts.attachments))
    if counts != expected:
        raise _bad(
            f"{service.value} has {expected[0]} signatures and {expected[1]} certificates and OCSP responses; "
            f"{counts[0]} and {counts[1]} came"
        )


# Small things


def _x(name: str) -> str:
    return f"{{{XROAD_NS}}}{name}"


def _only(head: etree._Element, name: str) -> etree._Element:
    found = head.findall(_x(name))
    if len(found) != 1:
        raise _bad(f"the SOAP header has {len(found)} elements {name!r}; one was expected")
    return found[0]


def _text(element: etree._Element | None) -> str | None:
    if element is not None and len(element):
        raise _bad(f"the element {etree.QName(element).localname!r} holds others; a text was expected")
    return None if element is None else (element.text or "").strip()


def _certificate(element: etree._Element | None) -> bytes | None:
    if element is None:
        return None
    try:
        return base64.b64decode("".join((_text(element) or "").split()), validate=True)
    except (binascii.Error, ValueError):
        raise _bad("authCert is not base64") from None


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _of_identifier(fault: BadMessage) -> BadMessage:
    """Broken identifiers keep their own code; broken XML around them is a broken request."""
    if fault.kind is Kind.INVALID_CLIENT_IDENTIFIER:
        return fault
    return _bad(fault.detail)


def _bad(detail: str) -> BadMessage:
    return BadMessage(Kind.INVALID_REQUEST, detail)
