"""The metadata services over the message exchange: listMethods, allowedMethods, getWsdl, getOpenAPI, getCatalogue.

Requests come proved and logged like any other; no access right is needed to ask what there is. A description is
answered from the document that was registered, not fetched anew: what an administrator looked at is what others get, and
no consumer can make this gateway open a connection.

Spec: PR-META 2; PR-MREST 4.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl

import msgspec

from gateway.clients.descriptions.openapi import hide_servers
from gateway.clients.descriptions.wsdl import hide_addresses
from gateway.clients.model import ServiceType
from gateway.exchange.access import build_unknown_service
from gateway.exchange.ports import LocalAnswer
from gateway.metaservices import listing
from gateway.metaservices.catalogue import build_catalogue, publish
from schemas import metadata, soap
from schemas.catalogue import GET_CATALOGUE, render_catalogue
from schemas.faults import BadMessage, Fault, Kind
from schemas.identifiers import ServiceId
from schemas.message import MessageProtocol
from serving.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.clients.model import ServerConf, Service
    from gateway.clients.records import Document
    from gateway.exchange.access import GlobalGroups
    from gateway.exchange.ports import LocalService, ServiceCall
    from schemas.identifiers import ClientId

_JSON = "application/json"


class Documents(Protocol):
    """The documents that were registered."""

    def __call__(self, service: ServiceId) -> Document | None:
        """The document that describes a service, or None when none is stored."""
        ...


class Metaservices(msgspec.Struct, frozen=True):
    """Finds the metadata service behind an identifier."""

    serverconf: Callable[[], ServerConf]
    groups: Callable[[], GlobalGroups | None]
    documents: Documents
    new_id: Callable[[], str]

    def find(self, service: ServiceId, protocol: MessageProtocol) -> LocalService | None:
        """The metadata service of that code in that protocol, or None. A version asked for makes no difference."""
        if protocol is MessageProtocol.REST:
            answer = _REST.get(service.service_code)
            return None if answer is None else _MetaService(self, answer)
        answer = _SOAP.get(service.service_code)
        return None if answer is None else _MetaService(self, answer)

    def required_groups(self) -> GlobalGroups:
        """The global configuration, which must be there. Raises `Fault` (``global_conf_outdated``)."""
        groups = self.groups()
        if groups is None:
            raise Fault(Kind.GLOBAL_CONF_OUTDATED, "there is no global configuration")
        return groups


class _MetaService(msgspec.Struct, frozen=True):
    of: Metaservices
    how: Callable[[Metaservices, ServiceCall], LocalAnswer]

    async def answer(self, call: ServiceCall) -> LocalAnswer:
        """Answer one call, in a thread: a large description takes its time."""
        return await asyncio.to_thread(self.how, self.of, call)


# REST


def _rest_list_methods(of: Metaservices, call: ServiceCall) -> LocalAnswer:
    _check_get(call)
    provider = call.message.service.client
    return _json(metadata.render_services_json(listing.list_rest_services(of.serverconf(), provider)))


def _rest_allowed_methods(of: Metaservices, call: ServiceCall) -> LocalAnswer:
    _check_get(call)
    found = listing.allowed_rest_services(
        of.serverconf(), of.required_groups(), call.message.service.client, call.message.client
    )
    return _json(metadata.render_services_json(found))


def _get_openapi(of: Metaservices, call: ServiceCall) -> LocalAnswer:
    _check_get(call)
    query = parse_qsl(call.target.partition("?")[2], keep_blank_values=True)
    code = next((value for name, value in query if name.lower() == "servicecode"), "")
    if not code:
        raise BadMessage(Kind.INVALID_REQUEST, "the query lacks serviceCode: getOpenAPI?serviceCode=...")
    service = _service(of, ServiceId(call.message.service.client, code))
    if service.type is not ServiceType.OPENAPI3:
        # X-Road's words and no more: clients tell by them that a service merely has no description.
        raise Fault(Kind.SERVICE_TYPE, f"Invalid service type: {service.type}")
    document = _document(of, service)
    try:
        content, media_type = hide_servers(document.content, document.media_type, service.description)
    except Refused as refusal:
        # It begins with X-Road's words, as the others here.
        text = f"Failed reading service description from the copy kept here: {refusal}"
        raise Fault(Kind.INTERNAL_ERROR, text) from refusal
    return LocalAnswer((("Content-Type", media_type),), content)


def _get_catalogue(of: Metaservices, call: ServiceCall) -> LocalAnswer:
    """Every service of the provider, or with ``serviceCode`` the published description of one."""
    _check_get(call)
    provider = call.message.service.client
    query = dict(parse_qsl(call.target.partition("?")[2]))
    code = query.get("serviceCode")
    if code is None:
        found = build_catalogue(of.serverconf(), provider, of.documents)
        return _json(render_catalogue(provider, found))
    service = _service(of, ServiceId(provider, code, query.get("serviceVersion")))
    try:
        published = publish(service, _document(of, service))
    except Refused as refusal:
        raise Fault(Kind.INTERNAL_ERROR, f"the stored description is unusable: {refusal}") from refusal
    return LocalAnswer((("Content-Type", published.media_type),), published.content)


def _check_get(call: ServiceCall) -> None:
    if call.method != "GET":
        raise Fault(
            Kind.UNKNOWN_SERVICE, f"{call.message.service.service_code} is asked with GET, not {call.method}"
        )


def _json(body: bytes) -> LocalAnswer:
    return LocalAnswer((("Content-Type", _JSON),), body)


# SOAP


def _soap_list_methods(of: Metaservices, call: ServiceCall) -> LocalAnswer:
    services = listing.list_soap_services(of.serverconf(), call.message.service.client)
    return _envelope(call, metadata.render_services_body(metadata.LIST_METHODS, services))


def _soap_allowed_methods(of: Metaservices, call: ServiceCall) -> LocalAnswer:
    services = listing.allowed_soap_services(
        of.serverconf(), of.required_groups(), call.message.service.client, call.message.client
    )
    return _envelope(call, metadata.render_services_body(metadata.ALLOWED_METHODS, services))


def _get_wsdl(of: Metaservices, call: ServiceCall) -> LocalAnswer:
    code, version = metadata.parse_get_wsdl(call.message.raw)
    service = _wsdl_service(of.serverconf(), call.message.service.client, code, version)
    if service.type is not ServiceType.WSDL:
        raise Fault(Kind.SERVICE_TYPE, "Service is a REST service and does not have a WSDL")  # X-Road's words
    try:
        wsdl = hide_addresses(_document(of, service).content)
    except Refused as refusal:
        raise Fault(Kind.INTERNAL_ERROR, f"the stored description is unusable: {refusal}") from refusal
    number = of.new_id()
    envelope = soap.render_answer(
        soap.parse_message(call.message.raw), metadata.render_get_wsdl_body(code, version, response=True)
    )
    headers = (
        ("Content-Type", "text/xml"),
        ("Content-ID", f"<wsdl={number}@x-road.eu>"),
        ("Content-Transfer-Encoding", "binary"),
    )
    content_type, body = metadata.render_with_attachment(
        envelope, wsdl, headers, f"xroad{number.replace('-', '')}"
    )
    return LocalAnswer((("Content-Type", content_type),), body)


def _wsdl_service(serverconf: ServerConf, provider: ClientId, code: str, version: str | None) -> Service:
    """The service; asked without a version, one that has versions gives its last."""
    exact = serverconf.service(ServiceId(provider, code, version))
    if exact is not None:
        return exact
    versions = [s for s in serverconf.services_of(provider) if s.id.service_code == code]
    if version is None and versions:
        return max(versions, key=lambda s: s.id.service_version or "")
    raise Fault(Kind.UNKNOWN_SERVICE, f"{provider.path()} has no service {code} {version or ''}".rstrip())


def _envelope(call: ServiceCall, body: str) -> LocalAnswer:
    raw = soap.render_answer(soap.parse_message(call.message.raw), body)
    return LocalAnswer((("Content-Type", soap.CONTENT_TYPE),), raw)


def _service(of: Metaservices, service_id: ServiceId) -> Service:
    service = of.serverconf().service(service_id)
    if service is None:
        raise build_unknown_service(service_id)
    return service


def _document(of: Metaservices, service: Service) -> Document:
    document = of.documents(service.id)
    if document is None:
        raise Fault(
            Kind.NOT_FOUND,
            f"service {service.id.path()} has no stored description; its provider must register or refresh it",
        )
    return document


_REST: dict[str, Callable[[Metaservices, ServiceCall], LocalAnswer]] = {
    metadata.LIST_METHODS: _rest_list_methods,
    metadata.ALLOWED_METHODS: _rest_allowed_methods,
    metadata.GET_OPENAPI: _get_openapi,
    GET_CATALOGUE: _get_catalogue,
}
_SOAP: dict[str, Callable[[Metaservices, ServiceCall], LocalAnswer]] = {
    metadata.LIST_METHODS: _soap_list_methods,
    metadata.ALLOWED_METHODS: _soap_allowed_methods,
    metadata.GET_WSDL: _get_wsdl,
}
