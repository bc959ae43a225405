"""The answer that a service's description promises to a call, made of its examples and schemas: what integrators try before they have a right.

Pure: no message is sent and nobody's data is in it. Descriptions are strangers' files, so what is made is bounded in depth, in members and in
length, and references are followed within the document alone. A call without a right gets the fault that a provider's gateway gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from xml.sax.saxutils import escape

from central_server.registry.descriptions import parse_openapi, parse_wsdl
from schemas.faults import BadMessage
from schemas.jsontext import dump_json

if TYPE_CHECKING:
    from schemas.identifiers import ServiceId

DEEPEST: Final = 6
MOST_MEMBERS: Final = 40
MOST_VALUES: Final = 400
LONGEST: Final = 20_000
ACCESS_DENIED: Final = "server.serverproxy.access_denied"
_SCHEMA: Final = "{http://www.w3.org/2001/XMLSchema}"
_SIMPLE: Final[dict[str, Any]] = {"integer": 1, "number": 1.5, "boolean": True, "string": "texto"}
_FORMATS: Final = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "email": "nadie@example.org",
    "uri": "https://example.org/",
}
_XML_TYPES: Final = {
    "int": "1",
    "integer": "1",
    "long": "1",
    "decimal": "1.5",
    "boolean": "true",
    "date": "2026-01-31",
}


@dataclass(frozen=True, slots=True)
class ExampleAnswer:
    """An answer as it might come: status, content type, body as text; ``is_example`` tells one that the description writes out."""

    status: int
    content_type: str
    body: str
    is_example: bool = False


def refused_answer(service: ServiceId, client: str, method: str, path: str) -> ExampleAnswer:
    """The fault that a client without a right gets from the provider's gateway."""
    what = f"SERVICE:{service.path()}: client {client} has no access right" + (
        f" to {method} {path} of it" if method != "SOAP" else ""
    )
    message = f"Request is not allowed: {what}"
    detail = "00000000-0000-4000-8000-000000000000"
    if method != "SOAP":
        body = {"type": ACCESS_DENIED, "message": message, "detail": detail}
        return ExampleAnswer(500, "application/json", dump_json(body, ensure_ascii=False, indent=2))
    fault = f"<SOAP-ENV:Fault>\n  <faultcode>{ACCESS_DENIED}</faultcode>\n  <faultstring>{escape(message)}</faultstring>\n</SOAP-ENV:Fault>"
    return ExampleAnswer(500, "text/xml", _envelope(fault))


def promised_answer(kind: str, raw: bytes, method: str, path: str) -> ExampleAnswer | None:
    """The answer of an operation that succeeds; None where the description says nothing of it."""
    try:
        return _soap_answer(raw, path) if kind == "WSDL" else _rest_answer(parse_openapi(raw), method, path)
    except BadMessage:
        return None


def example_request(kind: str, raw: bytes, method: str, path: str) -> str:
    """A body that an operation takes, by its description: JSON, or the element of a SOAP body; "" where it takes none."""
    try:
        if kind == "WSDL":
            return _soap_element(raw, path)
        document = parse_openapi(raw)
    except BadMessage:
        return ""
    maker = _Maker(document)
    operation = _member(_member(_member(document, "paths"), path), method.lower())
    content = _member(maker.resolved(operation.get("requestBody")), "content")
    media = next((m for m in content if "json" in str(m)), None)
    if media is None:
        return ""
    described = _member(content, media)
    written = described.get("example", _first_example(maker, described))
    return dump_json(
        maker.value(described.get("schema")) if written is None else written, ensure_ascii=False
    )[:LONGEST]


def _rest_answer(document: dict[str, Any], method: str, path: str) -> ExampleAnswer | None:
    item = _member(_member(document, "paths"), path)
    responses = _member(_member(item, method.lower()), "responses")
    chosen = next((s for s in sorted(responses, key=str) if str(s).startswith("2")), None)
    if chosen is None:
        return None
    status = int(chosen) if str(chosen).isascii() and str(chosen).isdigit() and len(str(chosen)) == 3 else 200
    maker = _Maker(document)
    content = _member(maker.resolved(responses[chosen]), "content")
    media = next((m for m in content if "json" in str(m)), next(iter(content), ""))
    if not media:
        return ExampleAnswer(status, "", "")
    described = _member(content, media)
    written = described.get("example", _first_example(maker, described))
    value = maker.value(described.get("schema")) if written is None else written
    text = (
        value
        if isinstance(value, str) and "json" not in media
        else dump_json(value, ensure_ascii=False, indent=2)
    )
    return ExampleAnswer(status, str(media)[:100], text[:LONGEST], written is not None)


def _first_example(maker: _Maker, described: dict[str, Any]) -> Any:
    examples = _member(described, "examples")
    return maker.resolved(next(iter(examples.values()))).get("value") if examples else None


def _member(value: Any, name: object) -> dict[str, Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


class _Maker:
    """Values by schemas of one document; so many in all."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document
        self._left = MOST_VALUES

    def resolved(self, value: Any) -> dict[str, Any]:
        """The value that a local ``$ref`` points to, or ``value`` itself when it is no reference."""
        for _ in range(DEEPEST):
            reference = value.get("$ref") if isinstance(value, dict) else None
            if not isinstance(reference, str):
                break
            value = self._document
            for step in reference.removeprefix("#/").split("/")[:10] if reference.startswith("#/") else ("",):
                value = _member(value, step.replace("~1", "/").replace("~0", "~"))
        return value if isinstance(value, dict) else {}

    def value(self, described: Any, depth: int = 0) -> Any:
        """A value that a schema takes, its own example first; None beyond the bounds."""
        self._left -= 1
        schema = self.resolved(described)
        if self._left < 0 or depth > DEEPEST:
            return None
        for name in ("example", "default", "const"):
            if name in schema:
                return schema[name]
        for name in ("examples", "enum"):
            if isinstance(schema.get(name), list) and schema[name]:
                return schema[name][0]
        for name in ("oneOf", "anyOf"):
            if isinstance(schema.get(name), list) and schema[name]:
                return self.value(schema[name][0], depth + 1)
        return self._built(schema, depth)

    def _built(self, schema: dict[str, Any], depth: int) -> Any:
        parts = schema.get("allOf")
        if isinstance(parts, list):
            made = [self.value(part, depth + 1) for part in parts[:MOST_MEMBERS]]
            return {name: value for part in made if isinstance(part, dict) for name, value in part.items()}
        kind = schema.get("type")
        kind = next((k for k in kind if k != "null"), None) if isinstance(kind, list) else kind
        if kind == "array" or "items" in schema:
            return [self.value(schema.get("items"), depth + 1)]
        properties = _member(schema, "properties")
        if kind == "object" or properties:
            members = list(properties.items())[:MOST_MEMBERS]
            return {str(name)[:100]: self.value(inner, depth + 1) for name, inner in members}
        if isinstance(schema.get("minimum"), int | float) and kind in ("integer", "number"):
            return schema["minimum"]
        return _FORMATS.get(str(schema.get("format")), _SIMPLE.get(str(kind)))


def _soap_answer(raw: bytes, operation: str) -> ExampleAnswer | None:
    element = _soap_element(raw, f"{operation}Response")
    return ExampleAnswer(200, "text/xml", _envelope(element)[:LONGEST]) if element else None


def _soap_element(raw: bytes, name: str) -> str:
    """The element of that name with what its schema has in it; "" where the description has none."""
    root = parse_wsdl(raw)
    element = next((e for e in root.iter(f"{_SCHEMA}element") if e.get("name") == name), None)
    if element is None:
        return ""
    schema = next((s for s in root.iter(f"{_SCHEMA}schema")), None)
    namespace = "" if schema is None else schema.get("targetNamespace") or ""
    lines = []
    for inner in list(element.iter(f"{_SCHEMA}element"))[1 : MOST_MEMBERS + 1]:
        part = escape((inner.get("name") or inner.get("ref") or "")[:100])
        kind = (inner.get("type") or "").rpartition(":")[2]
        if part:
            lines.append(f"  <{part}>{_XML_TYPES.get(kind, 'texto')}</{part}>")
    inside = "\n".join(lines)
    shown = escape(name[:255])
    return f'<{shown} xmlns="{escape(namespace[:500], {chr(34): "&quot;"})}">\n{inside}\n</{shown}>'


def _envelope(body: str) -> str:
    return (
        '<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/">\n'
        f"<SOAP-ENV:Body>\n{body}\n</SOAP-ENV:Body>\n</SOAP-ENV:Envelope>"
    )
