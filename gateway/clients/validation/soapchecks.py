"""A SOAP service's messages against the XML schema in its WSDL. Pure.

The schemas of the WSDL are compiled once, with every import answered from the document itself; what the document does not
hold is not looked for elsewhere. Only document/literal operations are checked: one body element, named by the message's
part. Findings name elements and rules, never values, for they go into logs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from lxml import etree

from gateway.clients.descriptions.wsdl import (
    SOAP12_NS,
    SOAP_NS,
    WSDL_NS,
    XSD_NS,
    local_name,
    read_wsdl,
    soap_operations,
    version_of,
    without_locations,
)
from gateway.refusals import GatewayCode
from schemas.faults import Fault
from schemas.metadata import body_element
from serving.errors import Refused

if TYPE_CHECKING:
    from schemas.identifiers import ServiceId

MAX_FINDINGS = 5
_XOP_INCLUDE = "{http://www.w3.org/2004/08/xop/include}Include"
_SCHEME = "wsdl-schema:"
# Messages of these rules hold names only; of all others the rule alone is told, for they quote the value.
_NAMES_ONLY = frozenset(
    (
        "SCHEMAV_ELEMENT_CONTENT",
        "SCHEMAV_CVC_COMPLEX_TYPE_2_1",
        "SCHEMAV_CVC_COMPLEX_TYPE_2_2",
        "SCHEMAV_CVC_COMPLEX_TYPE_2_3",
        "SCHEMAV_CVC_COMPLEX_TYPE_2_4",
        "SCHEMAV_CVC_COMPLEX_TYPE_3_2_1",
        "SCHEMAV_CVC_COMPLEX_TYPE_3_2_2",
        "SCHEMAV_CVC_COMPLEX_TYPE_4",
        "SCHEMAV_CVC_ELT_1",
    )
)


class SoapChecks(msgspec.Struct, frozen=True):
    """The checks of requests and answers of one SOAP service against the schema in its WSDL."""

    request: str
    response: str | None
    schema: etree.XMLSchema

    def check_request(self, envelope: bytes) -> tuple[str, ...]:
        """The faults of a request's body, each a sentence; empty when there are none."""
        return self._check(envelope, self.request)

    def check_response(self, envelope: bytes) -> tuple[str, ...]:
        """The faults of an answer's body, each a sentence; empty when there are none."""
        return () if self.response is None else self._check(envelope, self.response)

    def _check(self, envelope: bytes, expected: str) -> tuple[str, ...]:
        try:
            body = body_element(envelope)
        except Fault as fault:
            return (fault.detail,)
        if body.tag != expected:
            return (f"the body is {body.tag}; {expected} was expected",)
        if self.schema.validate(_without_includes(body)):
            return ()
        entries: Any = self.schema.error_log
        return tuple(dict.fromkeys(_finding(e) for e in entries))[:MAX_FINDINGS]


def build_soap_checks(wsdl: bytes, service: ServiceId) -> SoapChecks:
    """The checks of a service. Refused (``validation_not_possible``) when its WSDL does not allow any."""
    root = read_wsdl(wsdl)
    for _, operation in soap_operations(root):
        if (operation.get("name"), version_of(operation)) == (service.service_code, service.service_version):
            _check_document_style(operation, service)
            request, response = _elements(root, operation)
            return SoapChecks(request, response, _schema(root))
    raise _impossible(
        f"the WSDL has no operation {service.service_code} {service.service_version or ''}".rstrip()
    )


def _elements(root: etree._Element, operation: etree._Element) -> tuple[str, str | None]:
    binding = operation.getparent()
    type_name = local_name(None if binding is None else binding.get("type"))
    name = operation.get("name")
    for candidate in root.iterfind(f"{{{WSDL_NS}}}portType/{{{WSDL_NS}}}operation"):
        parent = candidate.getparent()
        if candidate.get("name") == name and parent is not None and parent.get("name") == type_name:
            request = _element_of(root, candidate.find(f"{{{WSDL_NS}}}input"), operation, "input")
            response = _element_of(root, candidate.find(f"{{{WSDL_NS}}}output"), operation, "output")
            if request is None:
                raise _impossible(f"operation {name} has no input")
            return request, response
    raise _impossible(f"the port type {type_name} has no operation {name}")


def _element_of(
    root: etree._Element, direction: etree._Element | None, operation: etree._Element, side: str
) -> str | None:
    """The body element of a message: the part the binding names, or the only one that is no header."""
    if direction is None:
        return None
    message_name = local_name(direction.get("message"))
    message = next((m for m in root.findall(f"{{{WSDL_NS}}}message") if m.get("name") == message_name), None)
    if message is None:
        raise _impossible(f"the WSDL lacks the message {message_name}")
    bound = operation.find(f"{{{WSDL_NS}}}{side}")
    body = None
    if bound is not None:
        # Where there are attachments the body is inside mime:part.
        body = next((e for ns in (SOAP_NS, SOAP12_NS) for e in bound.iter(f"{{{ns}}}body")), None)
    names = (body.get("parts") or "").split() if body is not None else []
    parts = [p for p in message.findall(f"{{{WSDL_NS}}}part") if not names or p.get("name") in names]
    elements = [p for p in parts if p.get("element")]
    if not elements:
        raise _impossible(f"the message {message_name} is not described by an element (document/literal)")
    return _qualified(elements[0], elements[0].get("element") or "")


def _check_document_style(operation: etree._Element, service: ServiceId) -> None:
    binding = operation.getparent()
    places = [operation] if binding is None else [operation, binding]
    for namespace in (SOAP_NS, SOAP12_NS):
        for place in places:
            for name in ("operation", "binding"):
                found = place.find(f"{{{namespace}}}{name}")
                if found is not None and found.get("style") == "rpc":
                    raise _impossible(
                        f"service {service.service_code} is rpc; only document/literal is checked"
                    )


def _qualified(element: etree._Element, name: str) -> str:
    prefix, _, local = name.rpartition(":")
    namespace = element.nsmap.get(prefix or None)
    return f"{{{namespace}}}{local}" if namespace else local


def _schema(root: etree._Element) -> etree.XMLSchema:
    """One schema of all those in the WSDL; imports between them are answered from memory, others not at all."""
    schemas = without_locations(root).findall(f"{{{WSDL_NS}}}types/{{{XSD_NS}}}schema")
    known = {s.get("targetNamespace"): f"{_SCHEME}{n}" for n, s in enumerate(schemas)}
    if len(known) != len(schemas):
        raise _impossible("the WSDL has two schemas for one namespace")
    texts: dict[str, bytes] = {}
    for schema in schemas:
        for imported in schema.findall(f"{{{XSD_NS}}}import"):
            location = known.get(imported.get("namespace"))
            if location is None:
                schema.remove(imported)
            else:
                imported.set("schemaLocation", location)
        texts[known[schema.get("targetNamespace")]] = etree.tostring(schema)
    wrapper = etree.Element(f"{{{XSD_NS}}}schema")
    for namespace, location in known.items():
        attributes = {"schemaLocation": location, **({"namespace": namespace} if namespace else {})}
        etree.SubElement(wrapper, f"{{{XSD_NS}}}import", attributes)
    parser = etree.XMLParser(no_network=True, resolve_entities=False, load_dtd=False)
    parser.resolvers.add(_Memory(texts))
    try:
        return etree.XMLSchema(etree.fromstring(etree.tostring(wrapper), parser))
    except etree.XMLSchemaParseError as err:
        raise _impossible(f"the schema in the WSDL cannot be compiled: {err}") from err


class _Memory(etree.Resolver):
    """Answers the locations given out here, and nothing else."""

    def __init__(self, texts: dict[str, bytes]) -> None:
        self._texts = texts

    def resolve(self, system_url: Any, public_id: Any, context: Any) -> Any:  # type: ignore[override]
        answer: Any = self.resolve_string
        return answer(self._texts.get(system_url, b"<none/>"), context)


def _without_includes(body: etree._Element) -> etree._Element:
    """The body with XOP references to attachments taken out, as if the attached bytes stood there."""
    if next(body.iter(_XOP_INCLUDE), None) is None:
        return body
    copy = etree.fromstring(etree.tostring(body))
    for include in list(copy.iter(_XOP_INCLUDE)):
        parent = include.getparent()
        if parent is not None:
            parent.remove(include)
    return copy


def _finding(entry: etree._LogEntry) -> str:
    text = entry.message if entry.type_name in _NAMES_ONLY else f"a value breaks {entry.type_name}"
    return f"{entry.path or 'body'}: {text}"


def _impossible(detail: str) -> Refused:
    return Refused(GatewayCode.VALIDATION_NOT_POSSIBLE, detail, detail)
