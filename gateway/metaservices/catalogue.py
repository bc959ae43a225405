"""Service descriptions as a catalogue may publish them: what they say of the service, nothing of a person. Pure.

Taken out: what `schemas.impersonal` takes out, and the addresses of the provider's systems.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from lxml import etree

from gateway.clients.descriptions.openapi import hide_servers, load_document
from gateway.clients.descriptions.wsdl import hide_addresses, read_wsdl
from gateway.clients.model import ServiceType
from gateway.clients.records import Document
from schemas.catalogue import CatalogueEndpoint, CatalogueService, DescriptionType
from schemas.impersonal import impersonal_openapi, make_wsdl_impersonal, mask_mail
from schemas.jsontext import encode_json
from serving.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.clients.model import ServerConf, Service
    from schemas.identifiers import ClientId, ServiceId


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
        except Refused:
            published = None
    endpoints = serverconf.endpoints_of(service.id.client, service.id.service_code)
    return CatalogueService(
        service_code=service.id.service_code,
        service_version=service.id.service_version,
        type=DescriptionType(service.type.value),
        title=mask_mail(service.title),
        digest="" if published is None else hashlib.sha256(published.content).hexdigest(),
        media_type="" if published is None else published.media_type,
        disabled=service.disabled,
        endpoints=tuple(CatalogueEndpoint(method=e.method, path=e.path) for e in endpoints),
    )


def _clean_openapi(content: bytes) -> bytes:
    return encode_json(impersonal_openapi(load_document(content)))


def _clean_wsdl(content: bytes) -> bytes:
    root = read_wsdl(hide_addresses(content))
    make_wsdl_impersonal(root)
    return etree.tostring(root, encoding="UTF-8", xml_declaration=True)
