"""Service descriptions as a catalogue may publish them: what they say of the service, nothing of a person. Pure.

Taken out: contacts, examples (they are made of somebody's data too often), comments, the addresses of the provider's systems,
and whatever looks like a mail address. Documentation stays: it is what a catalogue is read for.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

import msgspec
from lxml import etree

from gateway.descriptions.openapi import hide_servers, load_document
from gateway.descriptions.wsdl import hide_addresses, read_wsdl
from gateway.serverconf.model import ServiceType
from gateway.serverconf.records import Document, Refusal
from schemas.catalogue import CatalogueEndpoint, CatalogueService, DescriptionType

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.serverconf.model import ServerConf, Service
    from schemas.identifiers import ClientId, ServiceId

_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,255}\.[A-Za-z]{2,24}")
_MASK = "(address removed)"
_PERSONAL = frozenset(("example", "examples", "x-example", "x-examples"))


def build_catalogue(
    serverconf: ServerConf, provider: ClientId, documents: Callable[[ServiceId], Document | None]
) -> tuple[CatalogueService, ...]:
    """Every service of a provider, with the digest of its published description."""
    return tuple(_entry(serverconf, s, documents(s.id)) for s in serverconf.services_of(provider))


def publish(service: Service, document: Document) -> Document:
    """The description as others may read it. Refused when the stored document cannot be read."""
    if service.type is ServiceType.WSDL:
        return Document(_clean_wsdl(document.content), "text/xml")
    hidden, _ = hide_servers(document.content, "application/json", "")
    return Document(_clean_openapi(hidden), "application/json")


def _entry(serverconf: ServerConf, service: Service, document: Document | None) -> CatalogueService:
    published = None
    if document is not None:
        try:
            published = publish(service, document)
        except Refusal:
            published = None
    endpoints = serverconf.endpoints_of(service.id.client, service.id.service_code)
    return CatalogueService(
        service_code=service.id.service_code,
        service_version=service.id.service_version,
        type=DescriptionType(service.type.value),
        title=_MAIL.sub(_MASK, service.title),
        digest="" if published is None else hashlib.sha256(published.content).hexdigest(),
        media_type="" if published is None else published.media_type,
        disabled=service.disabled,
        endpoints=tuple(CatalogueEndpoint(method=e.method, path=e.path) for e in endpoints),
    )


def _clean_openapi(content: bytes) -> bytes:
    document = _without_examples(load_document(content))
    info = document.get("info")
    if isinstance(info, dict):
        info.pop("contact", None)
    return msgspec.json.encode(document)


def _without_examples(value: Any, *, names: bool = False) -> Any:
    """A copy without examples and mail addresses. Below ``properties`` and the like, keys are names and all stay."""
    if isinstance(value, str):
        return _MAIL.sub(_MASK, value)
    if isinstance(value, list):
        return [_without_examples(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {
        key: _without_examples(entry, names=not names and key in _NAMED)
        for key, entry in value.items()
        if names or key not in _PERSONAL
    }


# Members whose own keys are names that the description's author chose.
_NAMED = frozenset(
    (
        "properties",
        "patternProperties",
        "schemas",
        "parameters",
        "responses",
        "headers",
        "paths",
        "$defs",
        "content",
    )
)


def _clean_wsdl(content: bytes) -> bytes:
    root = read_wsdl(hide_addresses(content))
    for element in list(root.iter()):
        if isinstance(element, (etree._Comment, etree._ProcessingInstruction)):
            parent = element.getparent()
            if parent is not None:
                _remove_keeping_tail(parent, element)
            continue
        if element.text:
            element.text = _MAIL.sub(_MASK, element.text)
        if element.tail:
            element.tail = _MAIL.sub(_MASK, element.tail)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)


def _remove_keeping_tail(parent: etree._Element, element: etree._Element) -> None:
    before = element.getprevious()
    if element.tail:
        if before is not None:
            before.tail = (before.tail or "") + element.tail
        else:
            parent.text = (parent.text or "") + element.tail
    parent.remove(element)
