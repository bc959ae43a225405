"""A REST service's messages against its OpenAPI description. Pure.

Checked: that the path and method are described, parameters in path and query, the body's media type and, for JSON, its
schema; of answers the status, the media type and the schema. Findings name places and rules, never values.

Spec: OpenAPI 3.0.3 (schemas by JSON Schema draft 4 with ``nullable``), OpenAPI 3.1.0 (JSON Schema 2020-12).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from gateway.clients.descriptions.openapi import METHODS, read_openapi, resolve
from gateway.refusals import GatewayCode
from schemas.faults import BadMessage
from schemas.jsontext import load_json
from schemas.target import ServiceTarget, parse_service_target
from serving.errors import Refused

MAX_FINDINGS = 5
_MASK = "(value)"
# What a parameter may be written as; Python's own readers take ``1_0``, digits of other scripts and ``nan`` too.
_INTEGER = re.compile(r"-?[0-9]{1,4000}", re.ASCII)
_DECIMAL = re.compile(r"-?[0-9]{1,400}(?:\.[0-9]{1,400})?(?:[eE][+-]?[0-9]{1,5})?", re.ASCII)


@dataclass
class RestChecks:
    """The checks of requests and answers of one REST service against its OpenAPI document."""

    document: dict[str, Any]
    _validators: dict[int, Any] = field(default_factory=dict)

    def check_request(
        self, method: str, target: str, content_type: str | None, body: bytes
    ) -> tuple[str, ...]:
        """The faults of a request, each a sentence; empty when there are none. ``target`` is the path and query after the service code."""
        try:
            parsed = parse_service_target(target)
        except BadMessage as fault:
            return (fault.detail,)
        found = self._operation(method, parsed)
        if isinstance(found, str):
            return (found,)
        item, operation, path_values = found
        findings: list[str] = []
        query = parse_qs(parsed.query or "", keep_blank_values=True)
        parameters = [
            self._resolved(p) for p in (*item.get("parameters", ()), *operation.get("parameters", ()))
        ]
        for parameter in parameters:
            findings += self._parameter(parameter, path_values, query)
        body_schema = self._resolved(operation.get("requestBody"))
        if body_schema:
            if body:
                findings += self._content(body_schema.get("content", {}), content_type, body, "body")
            elif body_schema.get("required"):
                findings.append("the body is missing")
        return tuple(findings[:MAX_FINDINGS])

    def check_response(
        self, method: str, target: str, status: int, content_type: str | None, body: bytes
    ) -> tuple[str, ...]:
        """The faults of an answer to ``method`` and ``target``, each a sentence; empty when there are none."""
        try:
            found = self._operation(method, parse_service_target(target))
        except BadMessage:
            return ()  # said of the request already
        if isinstance(found, str):
            return ()
        responses = found[1].get("responses", {})
        response = next(
            (responses[k] for k in (str(status), f"{status // 100}XX", "default") if k in responses), None
        )
        if response is None:
            return (f"the status {status} is not described; {', '.join(map(str, responses))} are",)
        content = self._resolved(response).get("content", {})
        if not body or not content or method == "HEAD":
            return ()
        return self._content(content, content_type, body, "answer")[:MAX_FINDINGS]

    def _operation(
        self, method: str, target: ServiceTarget
    ) -> str | tuple[dict[str, Any], dict[str, Any], dict[str, str]]:
        segments = target.segments or ("",)
        matches = []
        for template, item in self.document.get("paths", {}).items():
            values = _match(template, segments)
            if values is not None:
                matches.append((len(values), template, self._resolved(item), values))
        for _, _, item, values in sorted(matches, key=lambda m: m[:2]):
            if method.lower() in METHODS and method.lower() in item:
                return item, item[method.lower()], values
        if matches:
            return f"{method} is not described for {matches[0][1]}"
        return "no path of the description fits the request"

    def _parameter(
        self, parameter: dict[str, Any], path_values: dict[str, str], query: dict[str, list[str]]
    ) -> list[str]:
        name, place = parameter.get("name", ""), parameter.get("in")
        if place == "path":
            values = [path_values[name]] if name in path_values else []
        elif place == "query":
            values = query.get(name, [])
        else:
            return []
        if not values:
            return [f"the {place} parameter {name} is missing"] if parameter.get("required") else []
        schema = self._resolved(parameter.get("schema"))
        if not schema:
            return []
        if schema.get("type") == "array":
            return []  # styles and delimiters of lists differ; their elements are the service's to check
        return [
            f"the {place} parameter {name}: {finding}"
            for value in values
            for finding in self._schema(schema, _coerced(schema, value))
        ]

    def _content(
        self, content: dict[str, Any], content_type: str | None, body: bytes, what: str
    ) -> tuple[str, ...]:
        essence = (content_type or "").partition(";")[0].strip().lower()
        media = next((content[k] for k in content if _media_fits(k, essence)), None)
        if media is None:
            return (f"the {what} is {essence or 'of no type'}; {', '.join(content)} is described",)
        schema = media.get("schema")
        if schema is None or not (essence.endswith(("/json", "+json"))):
            return ()
        try:
            value = load_json(body, any_integer=True)
        except ValueError:
            return (f"the {what} is not JSON",)
        return tuple(f"{what}{finding}" for finding in self._schema(schema, value))

    def _schema(self, schema: dict[str, Any] | bool, value: object) -> list[str]:
        """A sentence for each departure of a value from a schema; from OpenAPI 3.1 on a schema may be ``true`` (anything fits) or ``false``."""
        if isinstance(schema, bool):
            return [] if schema else [": the description allows no value"]
        validator = self._validators.get(id(schema))
        if validator is None:
            validator = self._validators[id(schema)] = self._compile(schema)
        found = []
        try:
            for error in validator.iter_errors(value):
                place = "".join(f"/{step}" for step in error.instance_path)
                found.append(f"{place}: {error.message}"[:300])
                if len(found) == MAX_FINDINGS:
                    break
        except UnicodeEncodeError:
            found.append(": it holds half of a surrogate pair (\\ud800 to \\udfff), which is no text")
        return found

    def _compile(self, schema: dict[str, Any]) -> Any:
        old = self.document["openapi"].startswith("3.0")
        whole = {**schema, "components": self.document.get("components", {})}
        import jsonschema_rs  # 3 MiB that a gateway without such a service never touches

        kind: Any = jsonschema_rs.Draft4Validator if old else jsonschema_rs.Draft202012Validator
        return kind(_with_nulls(whole) if old else whole, mask=_MASK)

    def _resolved(self, value: Any) -> dict[str, Any]:
        while isinstance(value, dict) and isinstance(value.get("$ref"), str):
            value = resolve(self.document, value["$ref"])
        return value if isinstance(value, dict) else {}


def build_rest_checks(openapi: bytes) -> RestChecks:
    """The checks of a service. Refused (``validation_not_possible``) when its description does not allow any."""
    checks = RestChecks(read_openapi(openapi))
    schemas = checks.document.get("components", {}).get("schemas", {})
    for name, schema in schemas.items() if isinstance(schemas, dict) else ():
        try:
            checks._compile(schema)
        except (ValueError, TypeError) as err:
            detail = f"the schema {name} cannot be compiled: {str(err).splitlines()[0][:200]}"
            raise Refused(GatewayCode.VALIDATION_NOT_POSSIBLE, detail, detail) from err
    return checks


def _match(template: str, segments: tuple[str, ...]) -> dict[str, str] | None:
    """The path parameters of a path's decoded segments; None when the template is not theirs."""
    template_segments = template.removeprefix("/").split("/")
    if len(template_segments) != len(segments):
        return None
    values: dict[str, str] = {}
    for name, value in zip(template_segments, segments, strict=True):
        if name.startswith("{") and name.endswith("}"):
            if not value:
                return None
            values[name[1:-1]] = value
        elif name != value:
            return None
    return values


def _coerced(schema: dict[str, Any], value: str) -> object:
    """A parameter as the value its schema speaks of; text that is none stays text, and the schema says so."""
    kinds = schema.get("type")
    for kind in kinds if isinstance(kinds, list) else [kinds]:
        if kind == "integer" and _INTEGER.fullmatch(value):
            return int(value)
        if kind == "number" and _DECIMAL.fullmatch(value) and math.isfinite(number := float(value)):
            return number
        if kind == "boolean" and value in ("true", "false"):
            return value == "true"
    return value


def _media_fits(pattern: str, essence: str) -> bool:
    described = pattern.partition(";")[0].strip().lower()
    kind, _, sub = described.partition("/")
    return described in ("*/*", essence) or (sub == "*" and essence.startswith(f"{kind}/"))


def _with_nulls(schema: Any) -> Any:
    """A copy in which OpenAPI 3.0's ``nullable`` is said as JSON Schema says it."""
    if isinstance(schema, list):
        return [_with_nulls(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {name: _with_nulls(value) for name, value in schema.items()}
    if copy.get("nullable") is True and isinstance(copy.get("type"), str):
        copy["type"] = [copy["type"], "null"]
        if isinstance(copy.get("enum"), list) and None not in copy["enum"]:
            copy["enum"] = [*copy["enum"], None]
    return copy
