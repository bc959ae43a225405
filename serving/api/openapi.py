"""The OpenAPI 3.1 document of an admin API, made from the same rows that are served."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import yaml

from serving.api.examples import example_of
from serving.api.fieldtexts import FIELD_TEXTS
from serving.api.operations import Bytes, MultipartForm, Operation, problem_answers
from serving.language import SOURCE_LANGUAGE

if TYPE_CHECKING:
    from collections.abc import Sequence

REF = "#/components/schemas/{name}"
STATUS_TEXT = {
    200: "done",
    201: "made",
    202: "taken, and waiting",
    204: "done",
    400: "the request cannot be meant",
    401: "no valid login",
    403: "not allowed",
    404: "what the path names does not exist",
    409: "the state does not allow it",
    413: "too large",
    415: "not the media type expected",
    429: "too many requests",
    500: "something this server depends on failed",
    503: "no changes are taken now",
}


class CodeWithDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stable code with positional details."""

    code: str
    metadata: list[str] | None = None
    validation_errors: dict[str, list[str]] | None = None


class ErrorInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body that every error answer carries."""

    status: int
    error: CodeWithDetails | None = None
    warnings: list[CodeWithDetails] | None = None


def build_document(title: str, version: str, operations: Sequence[Operation]) -> dict[str, Any]:
    """The whole document, ready to be written."""
    kinds: list[Any] = [ErrorInfo]
    for operation in operations:
        answers = [operation.answer, *operation.other_answers.values()]
        kinds += [k for k in (operation.body, operation.query, *answers) if _is_json(k)]
    schemas, components = msgspec.json.schema_components(kinds, ref_template=REF)
    known = dict(zip([repr(k) for k in kinds], schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(
            operation, known, components
        )
    for kind in (o.query for o in operations if o.query is not None):
        components.pop(kind.__name__, None)
    for component in components.values():
        for name, member in component.get("properties", {}).items():
            if "$ref" not in member:
                member.update(_meaning(name))
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version, "license": {"name": "MIT", "identifier": "MIT"}},
        "servers": [{"url": "/api/v1"}],
        "security": [{"session": [], "csrf": []}, {"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "JSESSIONID"},
                "csrf": {"type": "apiKey", "in": "header", "name": "X-XSRF-TOKEN"},
                "apiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "X-Road-ApiKey token=KEY",
                },
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def render_document(document: dict[str, Any]) -> bytes:
    """The OpenAPI document as YAML in UTF-8."""
    return yaml.dump(document, sort_keys=False, allow_unicode=True, Dumper=_Dumper).encode()


class _Dumper(yaml.SafeDumper):
    """Writes everything out: anchors and aliases are not wanted in a document for people."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _is_json(kind: Any) -> bool:
    return kind is not None and not isinstance(kind, (str, Bytes, MultipartForm))


def _operation(o: Operation, known: dict[str, Any], components: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": o.id,
        "summary": o.summary,
        "description": _description(o),
        "tags": [o.tag or "other"],
    }
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        | _meaning(name)
        for name in re.findall(r"{(\w+)}", o.path)
    ]
    if o.query is not None:
        parameters += _query_parameters(o.query, components)
    if parameters:
        made["parameters"] = parameters
    if o.body is not None:
        made["requestBody"] = {"required": not o.body_optional, "content": _content_of_body(o.body, known)}
    made["responses"] = {
        str(status): _response(status, answer, known)
        for status, answer in {o.status: o.answer, **o.other_answers}.items()
    } | {str(status): _response(status, ErrorInfo, known) for status in problem_answers(o)}
    if o.public:
        made["security"] = []
    elif o.path.startswith("/api-keys"):
        made["security"] = [{"session": [], "csrf": []}, {"basic": []}]
    if o.permissions:
        made["x-permissions"] = list(o.permissions)
    if o.event:
        made["x-audit-event"] = o.event
    return made


def _description(o: Operation) -> str:
    """Who may do it and what is recorded of it, from the row."""
    sentences = [f"{o.summary}."]
    if o.public:
        sentences.append("No login is needed.")
    elif o.permissions:
        sentences.append(f"Needs the permission {' or '.join(o.permissions)}.")
    else:
        sentences.append("Any login may.")
    if o.event is not None:
        sentences.append(
            f"It changes something: the audit log records it as {o.event}, refused and failed attempts too."
        )
    if o.event is not None and not o.scoped:
        sentences.append("A login that is narrowed to some clients may not.")
    return " ".join(sentences)


def _meaning(name: str) -> dict[str, str]:
    text = FIELD_TEXTS.get(name)
    return {} if text is None else {"description": text.into(SOURCE_LANGUAGE)}


def _query_parameters(kind: type[msgspec.Struct], components: dict[str, Any]) -> list[dict[str, Any]]:
    schema = components[kind.__name__]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _without_null(member)}
        | _meaning(name)
        for name, member in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    choices = [s for s in schema.get("anyOf", []) if s != {"type": "null"}]
    if len(choices) == 1:
        return choices[0]  # type: ignore[no-any-return]
    return {k: v for k, v in schema.items() if k != "default" or v is not None}


def _content_of_body(kind: Any, known: dict[str, Any]) -> dict[str, Any]:
    if isinstance(kind, Bytes):
        return {kind.media_type: {"schema": {"type": "string", "format": "binary"}}}
    if isinstance(kind, MultipartForm):
        members = {name: {"type": "string"} for name in kind.fields}
        members |= {name: {"type": "string", "format": "binary"} for name in kind.files}
        required = [n for n, must in {**kind.fields, **kind.files}.items() if must]
        return {
            "multipart/form-data": {"schema": {"type": "object", "properties": members, "required": required}}
        }
    return {"application/json": {"schema": known[repr(kind)], "example": example_of(kind)}}


def _response(status: int, kind: Any, known: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"description": STATUS_TEXT.get(status, "answer")}
    if isinstance(kind, str):
        structured = kind.endswith(("yaml", "xml", "json"))
        made["content"] = {kind: {"schema": {} if structured else {"type": "string", "format": "binary"}}}
    elif kind is not None:
        made["content"] = {"application/json": {"schema": known[repr(kind)]}}
    return made
