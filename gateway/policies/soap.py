"""SOAP messages as a policy looks at them: their context as headers, their body as the same kind of paths as JSON. Pure.

The policy says where in the SOAP header its vocabulary stands (`schemas.policy.SoapForm`). A body becomes an object of
local names: attributes stand beside child elements, repeated elements make a list, text of an element that has attributes
is ``valor``. A refusal is an ordinary answer of the operation, with the policy's error element in it: faults are not logged.

Comments and processing instructions have no path; what may stand nowhere is looked for in them too.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from gateway.policies.decision import PolicyInput
from schemas import soap
from schemas.faults import BadMessage, Kind
from schemas.jsontext import dump_json
from schemas.safexml import parse_xml

if TYPE_CHECKING:
    from collections.abc import Mapping

    from schemas.identifiers import ServiceId
    from schemas.message import Message
    from schemas.policy import Policy, SoapForm

METHOD = "SOAP"
TEXT = "valor"
_SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
_SLOT = re.compile(r"\{([A-Za-z0-9.]+)\}")


def soap_input(policy: Policy, form: SoapForm, service: ServiceId, message: Message) -> PolicyInput:
    """The request in an envelope, as `gateway.policies.decision` takes it. Raises `BadMessage`."""
    root = parse_xml(message.raw, what="SOAP envelope")
    header = root.find(f"{_SOAP}Header")
    context = _context(header, form)
    _check_operation(root, service)
    headers = {name.lower(): _filled(template, context) for name, template in form.context.items()}
    headers |= {"x-road-userid": message.user_id or "", "x-road-issue": message.issue or ""}
    # Whatever else is said beside the body; it has no path, but may not hold what is forbidden either.
    headers["soap:header"] = "" if header is None else " ".join(_texts(header))
    headers["soap:comments"] = " ".join(_asides(message.raw))
    body = dump_json(_body(root), ensure_ascii=False).encode()
    return PolicyInput(
        message.client.path(),
        service.client.subsystem_code or "",
        service.service_code,
        METHOD,
        "/",
        headers,
        body,
    )


def soap_answer(raw: bytes) -> bytes | None:
    """The element of an answer as JSON; None when it is a fault with a detail, or no envelope that can be looked at."""
    try:
        root = parse_xml(raw, what="SOAP envelope")
        if any(_asides(raw)):
            return None
    except BadMessage:
        return None
    body = root.find(f"{_SOAP}Body")
    fault = None if body is None else body.find(f"{_SOAP}Fault")
    if fault is not None:
        return None if fault.find("detail") is not None else dump_json({"error": _texts(fault)}).encode()
    return dump_json(_body(root), ensure_ascii=False).encode()


def soap_refusal(form: SoapForm, request: Message, body: Mapping[str, Any]) -> bytes:
    """The envelope of a refusal: the operation's answer with the error element in it."""
    name = request.service.service_code
    fields = "".join(
        f"<{field}>{escape(_text(body[field]))}</{field}>" for field in form.error if field in body
    )
    element = f"<{name}Response xmlns={quoteattr(form.namespace)}><error>{fields}</error></{name}Response>"
    return soap.render_answer(soap.parse_message(request.raw), element)


def _context(header: etree._Element | None, form: SoapForm) -> Any:
    """The policy's block of the SOAP header; a second one would leave open which of them the system reads."""
    found = [] if header is None else header.findall(f"{{{form.namespace}}}{form.element}")
    if len(found) > 1:
        raise BadMessage(
            Kind.DUPLICATE_HEADER_FIELD,
            f"the SOAP header has {form.element} {len(found)} times; send it once",
        )
    return _value(found[0]) if found else {}


def _check_operation(root: etree._Element, service: ServiceId) -> None:
    """The body's element is the operation that is decided on. X-Road itself asks only that its name begins so."""
    body = root.find(f"{_SOAP}Body")
    name = "" if body is None or len(body) == 0 else etree.QName(body[0]).localname
    if name != service.service_code:
        raise BadMessage(
            Kind.INCONSISTENT_HEADERS,
            f"the SOAP body holds {name[:100]!r}; under a policy it must be the service's own {service.service_code!r}",
        )


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _body(root: etree._Element) -> dict[str, Any]:
    body = root.find(f"{_SOAP}Body")
    element = None if body is None or len(body) == 0 else body[0]
    value = None if element is None else _value(element)
    return value if isinstance(value, dict) else {}


def _value(element: etree._Element) -> Any:
    """An element as a value; see the module's docstring for the form."""
    children: dict[str, Any] = {etree.QName(n).localname: str(v) for n, v in element.attrib.items()}
    for child in element:
        name, value = etree.QName(child).localname, _value(child)
        if name not in children:
            children[name] = value
        elif isinstance(children[name], list):
            children[name].append(value)
        else:
            children[name] = [children[name], value]
    text = (element.text or "").strip()
    if not children:
        # An element whose answer has no content is an object with nothing in it at the top, else an empty text.
        return text if text or element.getparent() is not None else {}
    loose = " ".join(t.strip() for t in (element.text, *(c.tail for c in element)) if t and t.strip())
    return {**children, TEXT: loose} if loose else children


def _filled(template: str, context: Any) -> str:
    """A template with the context's values; empty as soon as one of them is missing."""
    values: dict[str, str] = {}
    for path in _SLOT.findall(template):
        value = context
        for part in path.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        several = value if isinstance(value, list) else [value]
        if not all(isinstance(v, str) and v for v in several):
            return ""
        values[path] = ",".join(several)
    # In one pass, so that a value with braces in it is not taken for a slot.
    return _SLOT.sub(lambda slot: values[slot[1]], template)


def _texts(element: etree._Element) -> list[str]:
    found: list[str] = []
    for each in element.iter():
        found += [str(v) for v in each.attrib.values()]
        found += [t.strip() for t in (each.text, each.tail) if t and t.strip()]
    return found


def _asides(raw: bytes) -> list[str]:
    root = parse_xml(raw, what="SOAP envelope", with_comments=True)
    return [str(n.text) for n in root.getroottree().iter(etree.Comment, etree.ProcessingInstruction)]
