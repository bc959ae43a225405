"""The catalogue of every member's services: what a description says of itself, and the export as DCAT and CPSV.

Pure. From an OpenAPI description: title, text, operations, and the extensions ``x-data-sets`` and ``x-purposes`` (lists of
texts, in ``info`` or in an operation). From a WSDL: its operations and their documentation. Descriptions are strangers'
texts: bounded, parsed without references, and only ever shown.

Spec: DCAT 3, CPSV-AP 3; X-Road identifiers stand in one property of our own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from central_server.registry.descriptions import parse_openapi, parse_wsdl
from schemas.faults import BadMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from schemas.identifiers import ClientId, ServiceId

LONGEST_WORDS = 20_000
_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
_METHODS = ("get", "put", "post", "delete", "patch", "head", "options")


@dataclass(frozen=True, slots=True)
class DescriptionSummary:
    """The searchable part of a description: ``words`` is everything that is searched."""

    title: str
    summary: str = ""
    data_sets: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    words: str = ""


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A service of the catalogue; ``gone_since`` when its provider no longer lists it."""

    number: int
    service: ServiceId
    member_name: str
    type: str
    described: DescriptionSummary
    versions: int
    first_seen: str
    last_seen: str
    gone_since: str | None
    unreachable_since: str | None


def describe(
    service: ServiceId, kind: str, raw: bytes, title: str = "", words: str = ""
) -> DescriptionSummary:
    """The summary of a description; of the provider's own list where there is none or it cannot be read."""
    listed = DescriptionSummary(title[:255] or service.service_code, words=_words(service, (title, words)))
    try:
        if kind == "WSDL" and raw:
            return _describe_wsdl(service, raw)
        if kind == "OPENAPI" and raw:
            return _describe_openapi(service, raw)
    except BadMessage as fault:
        return replace(listed, summary=fault.detail[:1000])
    return listed


def _describe_wsdl(service: ServiceId, raw: bytes) -> DescriptionSummary:
    root = parse_wsdl(raw)
    texts = []
    title = service.service_code
    for operation in root.iter(f"{_WSDL}operation"):
        name = operation.get("name") or ""
        documentation = operation.findall(f"{_WSDL}documentation")
        sentence = " ".join(str(text) for d in documentation for text in d.itertext())
        texts += [name, sentence]
        if name == service.service_code and sentence.strip():
            title = f"{name}: {sentence.strip()[:160]}"
    return DescriptionSummary(title, " ".join(" ".join(texts).split())[:1000], words=_words(service, texts))


def _describe_openapi(service: ServiceId, raw: bytes) -> DescriptionSummary:
    document = parse_openapi(raw)
    info = document["info"]
    operations = list(_operations(document.get("paths")))
    texts = [_text(info.get("title")), _text(info.get("description"))]
    for path, operation in operations:
        texts += [path, *(_text(operation.get(n)) for n in ("operationId", "summary", "description"))]
    marked = [info, *(operation for _, operation in operations)]
    return DescriptionSummary(
        (texts[0] or service.service_code)[:255],
        texts[1][:1000],
        _marks(marked, "x-data-sets"),
        _marks(marked, "x-purposes"),
        _words(service, texts),
    )


def _operations(paths: Any) -> Iterable[tuple[str, dict[str, Any]]]:
    for path, item in paths.items() if isinstance(paths, dict) else ():
        for method in _METHODS:
            operation = item.get(method) if isinstance(item, dict) else None
            if isinstance(operation, dict):
                yield str(path), operation


def _marks(places: Iterable[Mapping[str, Any]], name: str) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for place in places:
        values = place.get(name)
        for value in values if isinstance(values, list) else ():
            if isinstance(value, str):
                found.setdefault(value[:255])
    return tuple(found)[:100]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _words(service: ServiceId, texts: Iterable[str]) -> str:
    return " ".join(" ".join((service.service_code, *texts)).split())[:LONGEST_WORDS]


# The export


def export_jsonld(base: str, instance: str, entries: Iterable[CatalogueEntry]) -> dict[str, Any]:
    """The catalogue as one JSON-LD graph; what is gone or unreachable says since when."""
    found = list(entries)
    organisations = {e.service.client.member: e.member_name for e in found}
    data_sets = {(e.service.client.member, d) for e in found for d in e.described.data_sets}
    graph: list[dict[str, Any]] = [
        {
            "@id": f"{base}/catalogo",
            "@type": "dcat:Catalog",
            "dct:title": {"@value": f"Catálogo de servicios de {instance}", "@language": "es"},
            "dcat:dataset": [{"@id": _data_set_id(base, m, d)} for m, d in sorted(data_sets)],
            "dcat:service": [{"@id": _service_id(base, e.service)} for e in found],
        }
    ]
    for member, name in sorted(data_sets):
        graph.append(
            {
                "@id": _data_set_id(base, member, name),
                "@type": "dcat:Dataset",
                "dct:title": {"@value": name, "@language": "es"},
                "dct:publisher": {"@id": _member_id(base, member)},
            }
        )
    graph += [_service_node(base, e) for e in found]
    for purpose in sorted({p for e in found for p in e.described.purposes}):
        graph.append(
            {
                "@id": f"{base}/proposito/{_slug(purpose)}",
                "@type": "cpsv:PublicService",
                "dct:identifier": purpose,
                "dct:title": {"@value": purpose, "@language": "es"},
                "cv:hasCompetentAuthority": [
                    {"@id": _member_id(base, m)}
                    for m in sorted(
                        {e.service.client.member for e in found if purpose in e.described.purposes}
                    )
                ],
            }
        )
    for member, name in sorted(organisations.items()):
        graph.append({"@id": _member_id(base, member), "@type": "cv:PublicOrganisation", "foaf:name": name})
    return {"@context": _CONTEXT, "@graph": graph}


_CONTEXT = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "cpsv": "http://purl.org/vocab/cpsv#",
    "cv": "http://data.europa.eu/m8g/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "adms": "http://www.w3.org/ns/adms#",
    "sacbe": "urn:sacbe:catalogue#",
}


def _service_node(base: str, entry: CatalogueEntry) -> dict[str, Any]:
    service = entry.service
    node: dict[str, Any] = {
        "@id": _service_id(base, service),
        "@type": "dcat:DataService",
        "dct:title": {"@value": entry.described.title, "@language": "es"},
        "dct:description": entry.described.summary,
        "dct:publisher": {"@id": _member_id(base, service.client.member)},
        "dcat:servesDataset": [
            {"@id": _data_set_id(base, service.client.member, d)} for d in entry.described.data_sets
        ],
        "dct:issued": entry.first_seen,
        "dct:modified": entry.last_seen,
        "dcat:version": str(entry.versions),
        "sacbe:xroadService": str(service),
        "sacbe:serviceType": entry.type,
    }
    if entry.versions:
        node["dcat:endpointDescription"] = {"@id": f"{base}/catalogo/descripcion/{entry.number}"}
    if entry.gone_since:
        node["sacbe:goneSince"] = entry.gone_since
    if entry.unreachable_since:
        node["sacbe:unreachableSince"] = entry.unreachable_since
    return {name: value for name, value in node.items() if value not in ("", [])}


def _service_id(base: str, service: ServiceId) -> str:
    return f"{base}/svc/{service.path()}"


def _member_id(base: str, member: ClientId) -> str:
    return f"{base}/org/{member.path()}"


def _data_set_id(base: str, member: ClientId, name: str) -> str:
    return f"{base}/ds/{member.path()}/{_slug(name)}"


def _slug(text: str) -> str:
    return re.sub(r"[^\w]+", "-", text.lower()).strip("-") or "x"
