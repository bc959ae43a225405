"""Reading a WSDL 1.1 document: the services of a provider that speaks SOAP.

Pure, and deaf to the document's wishes: a DOCTYPE is refused, and nothing the document points at is opened; imports lose
their locations before any schema code sees the text. Services are read here, by X-Road's rules: every operation of
every SOAP-over-HTTP binding of a port, its version in an element ``version`` of the binding's operation, its title in
``title`` below the documentation of the port type's operation. What xmlschema finds wrong beyond that is a warning.

Spec: PR-MESS annex; UG-SS 6.1.1.
"""

from __future__ import annotations

import re
import warnings as python_warnings
from itertools import islice
from typing import TYPE_CHECKING, Any

from lxml import etree

from gateway.clients.descriptions.described import (
    MAX_BYTES,
    DescribedService,
    ParsedDescription,
    check_code,
    check_count,
    check_size,
    check_url,
    read_title,
)
from gateway.refusals import GatewayCode
from schemas.faults import BadMessage
from schemas.identifiers import suspicious_characters
from schemas.safexml import XmlLimits, parse_xml
from schemas.xmlencoding import to_utf8
from serving.errors import Refused
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Iterator

WSDL_NS = "http://schemas.xmlsoap.org/wsdl/"
SOAP_NS = "http://schemas.xmlsoap.org/wsdl/soap/"
SOAP12_NS = "http://schemas.xmlsoap.org/wsdl/soap12/"
XSD_NS = "http://www.w3.org/2001/XMLSchema"
XSI_NS = "http://www.w3.org/2001/XMLSchema-instance"
_HTTP_TRANSPORT = "http://schemas.xmlsoap.org/soap/http"
# Twice: a text of one byte a character may have two in UTF-8.
_LIMITS = XmlLimits(size_bytes=2 * MAX_BYTES, depth=128)
# What a validator and the services below a document may cost; X-Road's largest published WSDLs have some thousands.
MAX_ELEMENTS = 200_000
WSDL20_ROOT = "{http://www.w3.org/ns/wsdl}description"
_NAMESPACE = re.compile(r"\{([^{}]*)\}")
_OPENAPI = re.compile(r"""(?m)^[ \t]*+(?:\{\s*+)?["']?(?:openapi|swagger)["']?[ \t]*+:""")
_POINTING = ("import", "include", "redefine", "override")
MAX_WARNINGS = 20


def parse_wsdl(content: bytes) -> ParsedDescription:
    """The services that a WSDL describes, sorted by code and version.

    Refused: ``invalid_wsdl``; ``invalid_wsdl_service_identifier``; ``invalid_service_url`` for an address that is not
    HTTP; ``service_code_reserved``.
    """
    root = read_wsdl(content)
    found = {(s.code, s.version): s for s in _services(root)}
    for service in found.values():
        _check_identifier(service)
        _check_address(service)
    ordered = sorted(found.values(), key=lambda s: (s.code, s.version or ""))
    empty = () if ordered else (_why_empty(root),)
    return ParsedDescription(tuple(ordered), warnings=(*empty, *_findings(root)))


def read_wsdl(content: bytes) -> etree._Element:
    """The root of a WSDL document. Refused (``invalid_wsdl``) when it is none."""
    check_size(content)
    try:
        raw = to_utf8(content, what="WSDL")
        if not raw.lstrip().startswith(b"<"):
            raise _invalid(_other_language(raw))
        root = parse_xml(raw, what="WSDL", limits=_LIMITS)
    except BadMessage as fault:
        raise _invalid(fault.detail) from fault
    if root.tag == WSDL20_ROOT:
        raise _invalid("the document is WSDL 2.0; X-Road's services are described in WSDL 1.1")
    if root.tag != f"{{{WSDL_NS}}}definitions":
        name = etree.QName(root).localname
        page = " (a web page: give the address of the WSDL itself)" if name.lower() == "html" else ""
        raise _invalid(f"the document's root is {str(root.tag)[:200]}, not {{{WSDL_NS}}}definitions{page}")
    if sum(1 for _ in root.iter("*")) > MAX_ELEMENTS:
        raise Refused(
            GatewayCode.DESCRIPTION_TOO_LARGE,
            N_(
                "the WSDL has more than {max_elements} elements; divide it into several",
                max_elements=MAX_ELEMENTS,
            ),
        )
    return root


def _invalid(detail: str) -> Refused:
    return Refused(GatewayCode.INVALID_WSDL, detail, detail)


def _other_language(raw: bytes) -> str:
    beginning = raw[:4096].decode("utf-8", "replace")
    if not beginning.strip():
        return "the document is empty; a WSDL was expected"
    if _OPENAPI.search(beginning):
        return "the document is an OpenAPI description (JSON or YAML), not a WSDL; add it as type OPENAPI3"
    return "the document is no XML, as a WSDL is"


def without_locations(root: etree._Element) -> etree._Element:
    """A copy of the document in which no import or include says where to look."""
    copy = etree.fromstring(etree.tostring(root))
    for element in copy.iter(*(f"{{{XSD_NS}}}{name}" for name in _POINTING)):
        _drop(element, "schemaLocation")
        if etree.QName(element).localname != "import":
            parent = element.getparent()
            if parent is not None:
                parent.remove(element)
    for element in copy.iter("*"):
        for name in ("schemaLocation", "noNamespaceSchemaLocation"):
            _drop(element, f"{{{XSI_NS}}}{name}")
    for imported in copy.findall(f"{{{WSDL_NS}}}import"):
        copy.remove(imported)
    return copy


def hide_addresses(content: bytes) -> bytes:
    """The document with every service address replaced, as other institutes may see it. Spec: PR-META 2.3."""
    root = read_wsdl(content)
    for namespace in (SOAP_NS, SOAP12_NS):
        for address in root.iter(f"{{{namespace}}}address"):
            address.set("location", "http://example.org/xroad-endpoint")
    return etree.tostring(root.getroottree(), encoding="UTF-8", xml_declaration=True)


def soap_operations(root: etree._Element) -> Iterator[tuple[etree._Element, etree._Element]]:
    """Each port with a SOAP-over-HTTP binding, with each operation of that binding."""
    bindings = {b.get("name"): b for b in root.findall(f"{{{WSDL_NS}}}binding")}
    for port in root.iterfind(f"{{{WSDL_NS}}}service/{{{WSDL_NS}}}port"):
        binding = bindings.get(local_name(port.get("binding")))
        if binding is None or not _is_soap_over_http(binding):
            continue
        for operation in binding.findall(f"{{{WSDL_NS}}}operation"):
            yield port, operation


def version_of(operation: etree._Element) -> str | None:
    """The version that a binding's operation carries, in whatever namespace."""
    for child in operation:
        if isinstance(child.tag, str) and etree.QName(child).localname == "version":
            return (child.text or "").strip() or None
    return None


def local_name(name: str | None) -> str:
    """A QName without its prefix."""
    return (name or "").rpartition(":")[2]


def _drop(element: etree._Element, attribute: str) -> None:
    if attribute in element.attrib:
        del element.attrib[attribute]


def _services(root: etree._Element) -> Iterator[DescribedService]:
    titles = _titles(root)
    seen: set[tuple[int, str]] = set()
    for port, operation in soap_operations(root):
        binding = operation.getparent()
        name = operation.get("name") or ""
        check_count(len(seen) + 1)
        if (id(port), name) in seen:
            detail = f"operation {name!r} is there twice in one binding"
            raise Refused(GatewayCode.INVALID_WSDL, detail, detail)
        seen.add((id(port), name))
        title = read_title(titles.get((local_name(binding.get("type")) if binding is not None else "", name)))
        yield DescribedService(name, version_of(operation), title, _address(port))


def _titles(root: etree._Element) -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for operation in root.iterfind(f"{{{WSDL_NS}}}portType/{{{WSDL_NS}}}operation"):
        parent = operation.getparent()
        documentation = operation.find(f"{{{WSDL_NS}}}documentation")
        if documentation is None or parent is None:
            continue
        for child in documentation:
            if isinstance(child.tag, str) and etree.QName(child).localname == "title":
                found[parent.get("name") or "", operation.get("name") or ""] = (child.text or "").strip()
                break
    return found


def _is_soap_over_http(binding: etree._Element) -> bool:
    for namespace in (SOAP_NS, SOAP12_NS):
        found = binding.find(f"{{{namespace}}}binding")
        if found is not None:
            return found.get("transport") == _HTTP_TRANSPORT
    return False


def _address(port: etree._Element) -> str:
    for namespace in (SOAP_NS, SOAP12_NS):
        found = port.find(f"{{{namespace}}}address")
        if found is not None:
            return found.get("location") or ""
    return ""


def _check_identifier(service: DescribedService) -> None:
    for part in (service.code, service.version):
        if part is not None and (not part.strip() or suspicious_characters(part)):
            raise Refused(
                GatewayCode.INVALID_WSDL_SERVICE_IDENTIFIER,
                N_(
                    "{part!r} cannot be a service code or version: it is blank or holds one of : ; / \\ %",
                    part=part,
                ),
                service.code,
            )
    check_code(service.code)


def _check_address(service: DescribedService) -> None:
    """Refuse a service that nobody could call: its address is what the gateway will connect to."""
    if not service.url.strip():
        problem = "has no address: 'soap:address' of its port is missing or its location is empty"
    else:
        try:
            return check_url(service.url)
        except Refused as refusal:
            problem = f"is at an address that cannot be called: {refusal}"
    raise Refused(
        GatewayCode.INVALID_SERVICE_URL,
        N_("service {service} {problem}", service=service.code, problem=problem),
        service.url[:300],
    )


def _why_empty(root: etree._Element) -> str:
    """Why a WSDL describes no service, mostly: its parts are in documents that it imports."""
    elsewhere = [str(e.get("location"))[:200] for e in root.iterfind(f"{{{WSDL_NS}}}import")]
    if not elsewhere:
        return "the document has no operation of a binding of SOAP over HTTP"
    return (
        f"the document has no operation itself and imports {', '.join(elsewhere)}, which is not fetched; "
        "give one document that has all (.NET writes it at ?singleWsdl)"
    )


def _findings(root: etree._Element) -> tuple[str, ...]:
    """The complaints of the WSDL and schema validator, a sentence each, without those about imported namespaces that it never saw."""
    import xmlschema  # half a second and 37 MB, only where a WSDL is added
    from xmlschema.extras import wsdl

    text = etree.tostring(without_locations(root), encoding="unicode")
    imported = {e.get("namespace") for e in root.iter(f"{{{XSD_NS}}}import")}
    imported -= {e.get("targetNamespace") for e in root.iter(f"{{{XSD_NS}}}schema")}
    unknown = frozenset(n for n in imported if n)
    try:
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore")
            checked: Any = wsdl.Wsdl11Document
            errors = [str(e) for e in checked(text, allow="local", validation="lax").errors]
    except (xmlschema.XMLSchemaException, etree.Error, ValueError, RecursionError) as err:
        errors = [str(err)]
    known = dict.fromkeys(e.strip().splitlines()[0] for e in errors if e.strip())
    return tuple(islice((e for e in known if not _cannot_know(e, unknown)), MAX_WARNINGS))


def _cannot_know(error: str, imported: frozenset[str]) -> bool:
    if error.startswith("missing soap:binding element"):
        return True  # SOAP 1.2 bindings are outside the reader's WSDL 1.1
    return any(namespace in imported for namespace in _NAMESPACE.findall(error))
