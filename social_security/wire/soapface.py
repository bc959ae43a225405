"""The services over SOAP: an envelope becomes the same request as over REST, its answer an element of the XML schema.

Document/literal wrapped: the body's element is named as the service, the answer's as the service and ``Response``. The
context is the header block ``contexto`` beside X-Road's own. Domain errors and refusals are ordinary answers, never SOAP
faults: faults are not logged. What the request says is checked by the very code that checks REST; the XML schema is looked
at once the identifiers have been, so that a wrong check digit is told as such.

Spec: the domain reference 5.1 (rules 1 and 3), 5.11, 5.13.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from lxml import etree

from social_security.domain import eventchain, pack
from social_security.domain.faults import DomainError, InputError
from social_security.wire import soapwords, wireschema

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date

    from social_security.domain.pack import PackOperation

NS: Final = "https://oniess.example/ns/ss/v1"
SOAP: Final = "http://schemas.xmlsoap.org/soap/envelope/"
XROAD: Final = "http://x-road.eu/xsd/xroad.xsd"
IDENTIFIERS: Final = "http://x-road.eu/xsd/identifiers"
CONTENT_TYPE: Final = "text/xml"
_PARTS = ("xRoadInstance", "memberClass", "memberCode", "subsystemCode")


@dataclass(frozen=True, slots=True)
class SoapDomainRequest:
    """A request out of its envelope: which service, and headers, path and body as REST would have them."""

    service: str
    operation: PackOperation
    headers: dict[str, str]
    path: dict[str, str]
    body: dict[str, Any]
    element: etree._Element
    header: etree._Element


def parse_request(raw: bytes, member: str) -> SoapDomainRequest:
    """The request in an envelope. Raises `InputError`."""
    root = _parse(raw)
    header, body = root.find(f"{{{SOAP}}}Header"), root.find(f"{{{SOAP}}}Body")
    if root.tag != f"{{{SOAP}}}Envelope" or header is None or body is None or len(body) != 1:
        raise InputError(
            "envelope", "a SOAP 1.1 envelope with a header and one element in its body is expected"
        )
    element = body[0]
    name = etree.QName(element)
    operation = soapwords.OPERATIONS.get(name.localname) if name.namespace == NS else None
    if operation is None:
        raise InputError(
            "envelope", f"the body holds {name.localname}; the services are {', '.join(soapwords.OPERATIONS)}"
        )
    content = soapwords.to_json(name.localname, element)
    if name.localname == "presentarArco":
        content["responsables"] = [member]
    if name.localname == "eventoPortabilidad" and "historia" in content:
        content["historiaSha256"] = [eventchain.history_digest(h) for h in content["historia"]]
    path = {"caso": content.get("caso", ""), "folio": content.pop("folio", "")}
    return SoapDomainRequest(
        name.localname,
        pack.operations()[operation],
        _headers(header),
        {n: v for n, v in path.items() if v},
        content,
        element,
        header,
    )


def check_element(request: SoapDomainRequest, today: date) -> None:
    """Refuse wrong identifiers by their own codes, then what the XML schema refuses, and what the same request by REST may not say.

    Raises `DomainError`.
    """
    wireschema.check_values(request.body, today, takes_curp=request.service == "buscarBeneficiario")
    schema = _schema()
    if not schema.validate(request.element):
        # The log's text would repeat the value.
        errors: Any = schema.error_log
        rule = next((str(entry.type_name) for entry in errors), "")
        raise DomainError(
            "SS-100", f"esquema XML, regla {rule}", f"XML schema, rule {rule}", field=request.service
        )
    wireschema.check_request(
        request.operation, request.body
    )  # days of XML may have a zone, or a year beyond 9999


def render_answer(request: SoapDomainRequest, body: Mapping[str, Any], status: int) -> bytes:
    """The envelope of an answer, with the request's very headers."""
    response = etree.Element(f"{{{NS}}}{request.service}Response", nsmap={"ss": NS})
    if status < 400:
        soapwords.to_xml(request.service, body, response)
    elif "motivacion" in body:
        soapwords.refusal(body, etree.SubElement(response, f"{{{NS}}}negativa"))
    else:
        soapwords.error(body, etree.SubElement(response, f"{{{NS}}}error"))
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap": SOAP})
    envelope.append(request.header)
    etree.SubElement(envelope, f"{{{SOAP}}}Body").append(response)
    return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")


def render_fault(reason: str) -> bytes:
    """A fault, for what is not one of these services' messages at all."""
    envelope = etree.Element(f"{{{SOAP}}}Envelope", nsmap={"soap": SOAP})
    fault = etree.SubElement(etree.SubElement(envelope, f"{{{SOAP}}}Body"), f"{{{SOAP}}}Fault")
    etree.SubElement(fault, "faultcode").text = "soap:Client"
    etree.SubElement(fault, "faultstring").text = reason
    return etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")


def _parse(raw: bytes) -> etree._Element:
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as err:
        raise InputError("envelope", "the body is not well-formed XML") from err
    if root.getroottree().docinfo.internalDTD is not None:
        raise InputError("envelope", "a DOCTYPE is not allowed")
    return root


def _headers(header: etree._Element) -> dict[str, str]:
    client = header.find(f"{{{XROAD}}}client")
    parts = [] if client is None else [client.findtext(f"{{{IDENTIFIERS}}}{n}") or "" for n in _PARTS]
    found = {
        "X-Road-Client": "/".join(parts),
        "X-Road-Id": header.findtext(f"{{{XROAD}}}id") or "",
        "X-Road-UserId": header.findtext(f"{{{XROAD}}}userId") or "",
        "X-Road-Issue": header.findtext(f"{{{XROAD}}}issue") or "",
    }
    context = header.find(f"{{{NS}}}contexto")
    if context is None:
        return found

    def text_of(name: str) -> str:
        return (context.findtext(f"{{{NS}}}{name}") or "").strip()

    found |= {
        "X-OSS-Proposito": text_of("proposito"),
        "X-OSS-Fundamento": ",".join((f.text or "").strip() for f in context.findall(f"{{{NS}}}fundamento")),
        "X-OSS-Motivo": quote(text_of("motivo")),
        "X-OSS-Sistema": text_of("sistema"),
        "X-OSS-Rol": text_of("rolSolicitante"),
        "X-OSS-Politica": text_of("versionPolitica"),
    }
    if text_of("caso") != found["X-Road-Issue"]:
        # The case stands twice; where the two differ there is none (rule 5).
        found["X-Road-Issue"] = ""
    notice = context.find(f"{{{NS}}}avisoPrivacidad")
    if notice is not None:
        found["X-OSS-Aviso"] = f"{notice.get('uri', '')};sha256={notice.get('sha256', '')}"
    hidden = context.find(f"{{{NS}}}oculto")
    if hidden is not None:
        found["X-OSS-Oculto"] = f"{hidden.get('fundamento', '')};hasta={hidden.get('hasta', '')}"
    return found


@functools.cache
def _schema() -> etree.XMLSchema:
    return etree.XMLSchema(etree.fromstring(pack.read_text("services.xsd").encode()))
