"""Reading an OpenAPI description: the base address and operations of a provider that speaks REST.

Pure, and bounded before anything is built (`schemas.yamldocument`), so a few kilobytes cannot become gigabytes;
references may point only into the document itself, so neither a file nor an address is ever opened; references that lead
in a circle without a schema between them are refused. What stands in an example, a default or an extension is data, where
``$ref`` is a member like any other.

Versions 3.0.x and 3.1.0 are read, as X-Road 7.8 does. Spec: UG-SS 6.1.2; OpenAPI 3.1.0.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from gateway.clients.descriptions.described import (
    DescribedService,
    ParsedDescription,
    check_base_url,
    check_count,
    check_size,
    read_title,
    spelling_problem,
)
from gateway.refusals import GatewayCode
from schemas import yamldocument
from schemas.faults import BadMessage
from schemas.jsontext import encode_json
from schemas.yamlbounds import YamlBounds
from schemas.yamlbounds import one_line as _one_line
from serving.errors import Refused
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Iterator

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
MAX_DEPTH = 64
MAX_NODES = 400_000
MAX_WARNINGS = 20
_PARAMETER = re.compile(r"\{[^/]*\}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")
_VARIABLE = re.compile(r"\{([^{}]*)\}")
_BOUNDS = YamlBounds(MAX_DEPTH, MAX_NODES)
# What is text by the specification and is often written without quotes.
_TEXTS = (("openapi",), ("swagger",), ("info", "title"), ("info", "version"), ("info", "description"))


def parse_openapi(content: bytes, url: str = "") -> ParsedDescription:
    """The service and operations of an OpenAPI document; relative server addresses are resolved against ``url``.

    Refused: ``openapi_parsing_error``; ``unsupported_openapi_version``. What the specification's own schema finds wrong
    is a warning.
    """
    document = read_openapi(content)
    base, warnings = _base_url(document, url)
    operations = _operations(document)
    info = document.get("info")
    title = info.get("title") if isinstance(info, dict) else None
    service = DescribedService("", None, read_title(title), base)
    return ParsedDescription((service,), operations, (*warnings, *_findings(document)))


def read_openapi(content: bytes) -> dict[str, Any]:
    """The document as plain values, of a version that is known and with references into itself only.

    Raises `Refused` (``unsupported_openapi_version``).
    """
    document = load_document(content)
    version = document.get("openapi")
    if not isinstance(version, str):
        if "swagger" in document:
            old = str(document["swagger"])[:20]
            raise Refused(
                GatewayCode.UNSUPPORTED_OPENAPI_VERSION,
                N_(
                    "the document is Swagger {old}, which came before OpenAPI 3; convert it to OpenAPI 3.0, which its editors offer, and add it again",
                    old=old,
                ),
                old,
            )
        raise _broken(
            "the document has no member 'openapi' that names its version, as an OpenAPI description has"
        )
    if not (version.startswith("3.0.") or version in ("3.0", "3.1.0")):
        raise Refused(
            GatewayCode.UNSUPPORTED_OPENAPI_VERSION,
            N_("OpenAPI {version} is not supported; 3.0.x and 3.1.0 are", version=version),
            version,
        )
    check_references(document)
    return document


def load_document(content: bytes) -> dict[str, Any]:
    """JSON or YAML as plain values, within bounds. Refused: ``openapi_parsing_error``."""
    check_size(content)
    check_is_no_xml(content)
    try:
        value = yamldocument.load_document(content, _BOUNDS, _TEXTS)
    except BadMessage as fault:
        raise _broken(f"the document cannot be read: {fault.detail}") from fault
    if not isinstance(value, dict):
        raise _broken(
            "the document is not a mapping; an OpenAPI description begins with 'openapi: 3.0.0' or so"
        )
    return value


def check_is_no_xml(content: bytes) -> None:
    """Refuse what is XML, and say which kind: somebody chose the wrong type."""
    encoding, skipped = yamldocument.unicode_encoding(content)
    beginning = content[skipped : skipped + 4096].decode(encoding, "replace").lstrip()
    if not beginning.startswith("<"):
        return
    if "http://schemas.xmlsoap.org/wsdl/" in beginning:
        raise _broken("the document is a WSDL (XML), not an OpenAPI description; add it as type WSDL")
    if "<html" in beginning[:1024].lower() or "<!doctype html" in beginning[:1024].lower():
        raise _broken(
            "the document is a web page (HTML), not an OpenAPI description; give the address of the JSON or YAML itself"
        )
    raise _broken("the document is XML, not an OpenAPI description, which is JSON or YAML")


def check_references(document: dict[str, Any]) -> None:
    """Refuse a ``$ref`` that leaves the document, points at nothing, or leads only to itself."""
    references = set(_references(document))
    for reference in references:
        if not reference.startswith("#/") and reference != "#":
            raise _broken(
                f"the reference {reference[:200]!r} leaves the document; only '#/...' is accepted: "
                "put the files together into one first (what wrote them can, or a bundler of OpenAPI)"
            )
    sound: set[str] = set()
    for reference in references:
        # Each reference is followed once, however many lead to it.
        seen: dict[str, None] = {}
        next_reference: Any = reference
        while isinstance(next_reference, str) and next_reference not in sound:
            if next_reference in seen:
                chain = " -> ".join((*list(seen)[:10], next_reference))
                raise _broken(f"the references {chain[:500]} lead in a circle")
            seen[next_reference] = None
            target = resolve(document, next_reference)
            next_reference = target.get("$ref") if isinstance(target, dict) else None
        sound.update(seen)


def resolve(document: dict[str, Any], reference: str) -> Any:
    """The value that a reference into the document (RFC 6901) points at. Refused (``openapi_parsing_error``) when nothing is there."""
    value: Any = document
    for step in reference.removeprefix("#").split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif (
            isinstance(value, list)
            and name.isascii()
            and name.isdigit()
            and len(name) < 10
            and int(name) < len(value)
        ):
            value = value[int(name)]
        else:
            raise _broken(f"the reference {reference[:200]!r} points at nothing in the document")
    return value


# Members whose values are data, where nothing is a reference; and those whose members are names that somebody chose.
_DATA = frozenset(("example", "default", "const", "enum", "value"))
_NAMED = frozenset(
    (
        "properties", "patternProperties", "definitions", "$defs", "dependentSchemas", "schemas", "responses", "parameters",
        "examples", "requestBodies", "headers", "securitySchemes", "links", "callbacks", "pathItems", "paths", "webhooks",
        "content", "encoding", "variables",
    )
)  # fmt: skip
_EXTENSIBLE = frozenset(("paths", "responses", "callbacks", "webhooks"))


def _is_data(name: str, value: Any, named: str | None) -> bool:
    """Whether a member's value is data, given whose names its object holds (None: fields of the specification)."""
    if named is not None:
        return name.startswith("x-") and named in _EXTENSIBLE
    return name in _DATA or name.startswith("x-") or (name == "examples" and isinstance(value, list))


def _inner(value: dict[str, Any], named: str | None) -> Iterator[tuple[str, Any, str | None]]:
    """The members of an object that may hold references, each with whose names its own members are."""
    for name, inner in value.items():
        if not _is_data(name, inner, named):
            holds_names = named is None and name in _NAMED and isinstance(inner, dict)
            yield name, inner, name if holds_names else None


def _references(document: Any) -> list[str]:
    found: list[str] = []
    waiting: list[tuple[Any, str | None]] = [(document, None)]
    while waiting:
        value, named = waiting.pop()
        if isinstance(value, dict):
            reference = value.get("$ref")
            if isinstance(reference, str):
                found.append(reference)
            waiting.extend((inner, names) for _, inner, names in _inner(value, named))
        elif isinstance(value, list):
            waiting.extend((item, None) for item in value)
    return found


def without_data_references(value: Any, named: str | None = None, *, data: bool = False) -> Any:
    """The document for those who take every ``$ref`` for a reference: in data the member is called otherwise."""
    if isinstance(value, list):
        return [without_data_references(item, data=data) for item in value]
    if not isinstance(value, dict):
        return value
    if data:
        return {
            "$ref " if k == "$ref" else k: without_data_references(v, data=True) for k, v in value.items()
        }
    open_members = {name: names for name, _, names in _inner(value, named)}
    return {
        k: without_data_references(v, open_members.get(k), data=k not in open_members)
        for k, v in value.items()
    }


def _operations(document: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    paths = document.get("paths")
    if paths is None:
        return ()
    if not isinstance(paths, dict):
        raise _broken("'paths' is not a mapping")
    found: dict[tuple[str, str], None] = {}
    for path, given in paths.items():
        if not isinstance(path, str) or not path.startswith("/"):
            continue
        is_reference = isinstance(given, dict) and isinstance(given.get("$ref"), str)
        item = resolve(document, given["$ref"]) if is_reference else given
        for method in METHODS:
            if isinstance(item, dict) and method in item:
                found[method.upper(), _PARAMETER.sub("*", path)] = None
        check_count(len(found))
    return tuple(found)


def _base_url(document: dict[str, Any], url: str) -> tuple[str, tuple[str, ...]]:
    """The address that the first server has, its variables at their defaults; "" and a warning when there is none.

    Refused (``invalid_service_url``) when it can be no service's address.
    """
    servers = document.get("servers")
    first = servers[0] if isinstance(servers, list) and servers else None
    written = first.get("url") if isinstance(first, dict) else ""
    base = (
        _filled(written, first.get("variables"))
        if isinstance(first, dict) and isinstance(written, str)
        else ""
    )
    address = _resolved(base, url)
    if not urlsplit(address).scheme:
        what = f"{str(written)[:200]!r} is relative" if base else "none is named"
        return "", (
            f"servers: {what} and the document came without an address; "
            "set the service's URL before it is switched on",
        )
    try:
        check_base_url(address)
    except Refused as refusal:
        raise Refused(
            GatewayCode.INVALID_SERVICE_URL,
            N_("the first of 'servers': {refusal}", refusal=refusal.text),
            address,
        ) from refusal
    return address, ()


def _resolved(base: str, url: str) -> str:
    """A server's address as an absolute one, by the document's own where it is relative.

    What joining addresses would drop or mend (tabs, an empty fragment or query, an empty host) is refused before it.
    """
    problem = spelling_problem(base)
    if problem is None and "?" in base:
        problem = "has a query, behind which no path can be put; leave it out"
    if problem is None and base.startswith("///"):
        problem = "names no host"
    if problem is not None:
        raise Refused(
            GatewayCode.INVALID_SERVICE_URL,
            N_("the first of 'servers': {base!r} {problem}", base=base[:200], problem=problem),
            base,
        )
    scheme, colon, rest = base.partition(":")
    try:
        if colon and _SCHEME.fullmatch(scheme):
            address = f"{scheme.lower()}:{rest}"
            urlsplit(address)
            return address
        return urljoin(url, base or "./")
    except ValueError as err:
        raise Refused(
            GatewayCode.INVALID_SERVICE_URL,
            N_("the server's address {base!r} is none: {err}", base=base[:200], err=err),
            base,
        ) from err


def _filled(address: str, variables: Any) -> str:
    """A server's address with each variable at its default."""

    def value(match: re.Match[str]) -> str:
        variable = variables.get(match.group(1)) if isinstance(variables, dict) else None
        default = variable.get("default") if isinstance(variable, dict) else None
        if default is None or isinstance(default, (dict, list)):
            raise Refused(
                GatewayCode.INVALID_SERVICE_URL,
                N_(
                    "the server's address {address!r} has a variable {name!r} without a default",
                    address=address[:200],
                    name=match.group(1)[:100],
                ),
                address,
            )
        return str(default)

    return _VARIABLE.sub(value, address)


def _findings(document: dict[str, Any]) -> tuple[str, ...]:
    from openapi_spec_validator import (  # half a second, only where one is added
        OpenAPIV30SpecValidator,
        OpenAPIV31SpecValidator,
    )

    kind = OpenAPIV30SpecValidator if document["openapi"].startswith("3.0") else OpenAPIV31SpecValidator
    found: dict[str, None] = {}
    try:
        for error in kind(without_data_references(document)).iter_errors():
            where = "/".join(str(step) for step in error.absolute_path)
            found[f"{where or 'document'}: {_one_line(error.message)}"] = None
            if len(found) == MAX_WARNINGS:
                break
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, LookupError) as err:
        found[f"the validator could not read the document: {type(err).__name__} {_one_line(err)}"] = None
    return tuple(found)


# getOpenAPI


def hide_servers(content: bytes, media_type: str, url: str) -> tuple[bytes, str]:
    """The document with its servers' addresses reduced to their paths, in the language it came in; and its media type.

    An address with variables stays. Spec: PR-MREST 4.3.

    Raises `Refused` (``unsupported_openapi_version``).
    """
    document = load_document(content)
    version = document.get("openapi")
    if not isinstance(version, str) or not version.startswith("3."):
        raise Refused(
            GatewayCode.UNSUPPORTED_OPENAPI_VERSION,
            N_("OpenAPI {version!r} is not supported", version=version),
            str(version),
        )
    servers = document.get("servers")
    for server in servers if isinstance(servers, list) else ():
        address = server.get("url") if isinstance(server, dict) else None
        if isinstance(address, str) and address and "{" not in address:
            server["url"] = urlsplit(address).path
    if is_json(media_type, url):
        return encode_json(document), media_type or "application/json"
    import yaml  # needed for this alone: a server that starts does without

    text = yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return text.encode(), media_type or "text/plain"


def is_json(media_type: str, url: str) -> bool:
    """Whether a description is JSON: by the media type it came with, else by the ending of its address."""
    essence = media_type.partition(";")[0].strip().lower()
    if essence.endswith(("/json", "+json")):
        return True
    return "yaml" not in essence and urlsplit(url).path.endswith(".json")


def _broken(detail: str) -> Refused:
    return Refused(GatewayCode.OPENAPI_PARSING_ERROR, detail, detail)
