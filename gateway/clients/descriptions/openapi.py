"""Reading an OpenAPI description: the base address and operations of a provider that speaks REST.

Pure, and bounded before anything is built: the stream of YAML events is counted first (depth, nodes, aliases), so
a few kilobytes cannot become gigabytes; references may point only into the document itself, so neither a file nor an
address is ever opened; references that lead in a circle without a schema between them are refused.

Versions 3.0.x and 3.1.0 are read, as X-Road 7.8 does. Spec: UG-SS 6.1.2; OpenAPI 3.1.0.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urljoin, urlsplit

import msgspec
import yaml

from gateway.clients.descriptions.described import DescribedService, ParsedDescription, check_size
from gateway.clients.records import ChangeRefused

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
MAX_DEPTH = 64
MAX_NODES = 400_000
MAX_WARNINGS = 20
_PARAMETER = re.compile(r"\{[^/]*\}")


def parse_openapi(content: bytes, url: str = "") -> ParsedDescription:
    """What an OpenAPI document describes; relative server addresses are resolved against ``url``.

    Refused: ``openapi_parsing_error``; ``unsupported_openapi_version``. What the specification's own schema finds wrong
    is a warning.
    """
    document = read_openapi(content)
    findings = _findings(document)
    info = document.get("info")
    title = info.get("title") if isinstance(info, dict) else None
    service = DescribedService("", None, title if isinstance(title, str) else "", _base_url(document, url))
    return ParsedDescription((service,), _operations(document), findings)


def read_openapi(content: bytes) -> dict[str, Any]:
    """The document as plain values, of a version that is known and with references into itself only."""
    document = load_document(content)
    version = document.get("openapi")
    if not isinstance(version, str):
        raise _broken("the document has no member 'openapi' that names its version")
    if not (version.startswith("3.0.") or version in ("3.0", "3.1.0")):
        raise ChangeRefused(
            "unsupported_openapi_version", f"OpenAPI {version} is not supported; 3.0.x and 3.1.0 are", version
        )
    check_references(document)
    return document


def load_document(content: bytes) -> dict[str, Any]:
    """JSON or YAML as plain values, within bounds. Refused: ``openapi_parsing_error``."""
    check_size(content)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _broken("the document is not UTF-8") from None
    _check_bounds(text)
    try:
        value = yaml.load(text, Loader=_Loader)  # noqa: S506  a safe loader, bounded above
    except (yaml.YAMLError, ValueError, RecursionError) as err:
        raise _broken(f"the document is neither JSON nor YAML: {_one_line(err)}") from err
    if not isinstance(value, dict):
        raise _broken("the document is not a mapping")
    return value


class _Loader(yaml.CSafeLoader):
    """Safe, and without YAML 1.1's dates: a date in an example stays the text it is."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def _check_bounds(text: str) -> None:
    depth = nodes = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.AliasEvent):
                raise _broken("the document uses YAML aliases (*name), which are not accepted; use $ref")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            nodes += 1
            if depth > MAX_DEPTH:
                raise _broken(f"the document nests deeper than {MAX_DEPTH} levels")
            if nodes > MAX_NODES:
                raise _broken(f"the document has more than {MAX_NODES} values")
    except yaml.YAMLError as err:
        raise _broken(f"the document is neither JSON nor YAML: {_one_line(err)}") from err


def check_references(document: dict[str, Any]) -> None:
    """Refuse a ``$ref`` that leaves the document, points at nothing, or leads only to itself."""
    for reference in _references(document):
        if not reference.startswith("#/") and reference != "#":
            raise _broken(f"the reference {reference[:200]!r} leaves the document; only '#/...' is accepted")
    for reference in set(_references(document)):
        seen = [reference]
        target = resolve(document, reference)
        while isinstance(target, dict) and isinstance(target.get("$ref"), str):
            following = target["$ref"]
            if following in seen:
                raise _broken(f"the references {' -> '.join((*seen, following))} lead in a circle")
            seen.append(following)
            target = resolve(document, following)


def resolve(document: dict[str, Any], reference: str) -> Any:
    """What a reference into the document points at. Refused (``openapi_parsing_error``) when nothing is there."""
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


def _references(document: Any) -> list[str]:
    found: list[str] = []
    waiting = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            reference = value.get("$ref")
            if isinstance(reference, str):
                found.append(reference)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)
    return found


def _operations(document: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    paths = document.get("paths")
    if paths is None:
        return ()
    if not isinstance(paths, dict):
        raise _broken("'paths' is not a mapping")
    found: dict[tuple[str, str], None] = {}
    for path, item in paths.items():
        if not isinstance(path, str) or not path.startswith("/"):
            continue
        if isinstance(item, dict) and isinstance(item.get("$ref"), str):
            item = resolve(document, item["$ref"])  # noqa: PLW2901  the item itself
        for method in METHODS:
            if isinstance(item, dict) and method in item:
                found[method.upper(), _PARAMETER.sub("*", path)] = None
    return tuple(found)


def _base_url(document: dict[str, Any], url: str) -> str:
    servers = document.get("servers")
    first = servers[0] if isinstance(servers, list) and servers else None
    base = first.get("url") if isinstance(first, dict) else ""
    if not isinstance(base, str):
        base = ""
    return base if "{" in base else urljoin(url, base or "./")


def _findings(document: dict[str, Any]) -> tuple[str, ...]:
    from openapi_spec_validator import (  # noqa: PLC0415  half a second, only where one is added
        OpenAPIV30SpecValidator,
        OpenAPIV31SpecValidator,
    )

    kind = OpenAPIV30SpecValidator if document["openapi"].startswith("3.0") else OpenAPIV31SpecValidator
    found: dict[str, None] = {}
    try:
        for error in kind(document).iter_errors():
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
    """
    document = load_document(content)
    version = document.get("openapi")
    if not isinstance(version, str) or not version.startswith("3."):
        raise ChangeRefused(
            "unsupported_openapi_version", f"OpenAPI {version!r} is not supported", str(version)
        )
    servers = document.get("servers")
    for server in servers if isinstance(servers, list) else ():
        address = server.get("url") if isinstance(server, dict) else None
        if isinstance(address, str) and address and "{" not in address:
            server["url"] = urlsplit(address).path
    if is_json(media_type, url):
        return msgspec.json.encode(document), media_type or "application/json"
    text = yaml.dump(document, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return text.encode(), media_type or "text/plain"


def is_json(media_type: str, url: str) -> bool:
    """Whether a description is JSON: by the media type it came with, else by the ending of its address."""
    essence = media_type.partition(";")[0].strip().lower()
    if essence.endswith(("/json", "+json")):
        return True
    return "yaml" not in essence and urlsplit(url).path.endswith(".json")


def _broken(detail: str) -> ChangeRefused:
    return ChangeRefused("openapi_parsing_error", detail, detail)


def _one_line(problem: object) -> str:
    return " ".join(str(problem).split("Failed validating")[0].split())[:300]
