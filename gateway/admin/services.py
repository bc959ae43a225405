"""``/service-descriptions``, ``/services``, ``/endpoints``: what a client offers, and where."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, cast

import msgspec

from gateway.admin.context import AdminContext, client_id, number_of, row
from gateway.admin.describing import DescriptionChange, change_description
from gateway.admin.serviceviews import (
    EndpointView,
    GatewayServiceView,
    Method,
    ServiceDescription,
    description_view,
    description_views,
    endpoint_view,
    service_view,
)
from gateway.admin.values import IgnoreWarnings, Text, Url
from gateway.clients.descriptions.described import check_url
from gateway.clients.descriptionwriting import DescriptionContent, DescriptionSource
from gateway.clients.model import ServiceType
from gateway.clients.records import DescriptionRecord, EndpointRecord, ServiceRecord
from gateway.clients.registration import DescriptionRegister, ServiceSettings
from gateway.edges.providertls import try_provider_tls
from serving.api.problems import bad_request, check_warnings, not_found
from serving.errors import Caution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.clients.descriptionwriting import Reading
    from serving.api.operations import Call, Operation


class EndpointUpdate(msgspec.Struct, frozen=True):
    """The method and path that an endpoint shall have."""

    method: Method
    path: Text


class ServiceDescriptionAdd(msgspec.Struct, frozen=True):
    """A description to be published."""

    url: Url
    type: str
    rest_service_code: Text | None = None
    ignore_warnings: bool = False


class ServiceDescriptionUpdate(msgspec.Struct, frozen=True):
    """The address and codes that a service description shall have."""

    url: Url
    type: str
    rest_service_code: Text | None = None
    new_rest_service_code: Text | None = None
    ignore_warnings: bool = False


class DisabledNotice(msgspec.Struct, frozen=True):
    """The text that callers are answered with while services are off."""

    disabled_notice: Text | None = None


class ServiceUpdate(msgspec.Struct, frozen=True):
    """The address, timeout (seconds) and TLS that a service shall have; ``*_all`` is for every service of its description."""

    url: Url
    timeout: Annotated[int, msgspec.Meta(ge=0, le=1000)]
    ssl_auth: bool
    url_all: bool = False
    timeout_all: bool = False
    ssl_auth_all: bool = False
    ignore_warnings: bool = False


@dataclass(frozen=True, slots=True)
class ServiceResource:
    """The handlers of ``/service-descriptions``, ``/services`` and ``/endpoints``."""

    context: AdminContext
    register: DescriptionRegister

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        of_client, one = "/clients/{id}/service-descriptions", "/service-descriptions/{id}"
        service, endpoint = "/services/{id}", "/endpoints/{id}"
        edit = ("EDIT_WSDL", "EDIT_OPENAPI3", "EDIT_REST")
        refresh = ("REFRESH_WSDL", "REFRESH_REST", "REFRESH_OPENAPI3")
        return [
            row("GET", of_client, self.every, "Descriptions of a client", "VIEW_CLIENT_SERVICES",
                answer=list[ServiceDescription]),
            row("POST", of_client, self.add, "Publish a description", "ADD_WSDL", "ADD_OPENAPI3",
                body=ServiceDescriptionAdd, answer=ServiceDescription, status=201, event="ADD_SERVICE_DESCRIPTION",
                scoped=True, errors=(500,), prepare=self.read_new),
            row("GET", one, self.one, "One description", "VIEW_CLIENT_SERVICES", answer=ServiceDescription),
            row("PATCH", one, self.update, "Change address or code", *edit, body=ServiceDescriptionUpdate,
                answer=ServiceDescription, event="EDIT_SERVICE_DESCRIPTION", scoped=True, errors=(500,),
                prepare=self.read_changed),
            row("DELETE", one, self.delete, "Delete with services and rights", "DELETE_WSDL", status=204,
                event="DELETE_SERVICE_DESCRIPTION", scoped=True),
            row("PUT", one + "/disable", self.disable, "Switch services off", "ENABLE_DISABLE_WSDL",
                body=DisabledNotice, body_optional=True, event="DISABLE_SERVICE_DESCRIPTION", scoped=True),
            row("PUT", one + "/enable", self.enable, "Switch services on", "ENABLE_DISABLE_WSDL",
                event="ENABLE_SERVICE_DESCRIPTION", scoped=True),
            row("PUT", one + "/refresh", self.refresh, "Read the document again", *refresh, body=IgnoreWarnings,
                body_optional=True, answer=ServiceDescription, event="REFRESH_SERVICE_DESCRIPTION", scoped=True,
                errors=(500,), prepare=self.read_again),
            row("GET", one + "/services", self.services, "Services of a description", "VIEW_CLIENT_SERVICES",
                answer=list[GatewayServiceView]),
            row("GET", service, self.service, "One service", "VIEW_CLIENT_SERVICES", answer=GatewayServiceView),
            row("PATCH", service, self.set_service, "Address, timeout, TLS verification", "EDIT_SERVICE_PARAMS",
                body=ServiceUpdate, answer=GatewayServiceView, event="EDIT_SERVICE_PARAMS", scoped=True),
            row("POST", service + "/endpoints", self.add_endpoint, "Add an endpoint", "ADD_OPENAPI3_ENDPOINT",
                body=EndpointView, answer=EndpointView, status=201, event="ADD_REST_ENDPOINT", scoped=True),
            row("GET", endpoint, self.endpoint, "One endpoint", "VIEW_ENDPOINT", answer=EndpointView),
            row("PATCH", endpoint, self.set_endpoint, "Change an endpoint", "EDIT_OPENAPI3_ENDPOINT",
                body=EndpointUpdate, answer=EndpointView, event="EDIT_REST_ENDPOINT", scoped=True),
            row("DELETE", endpoint, self.delete_endpoint, "Delete an endpoint", "DELETE_ENDPOINT", status=204,
                event="DELETE_REST_ENDPOINT", scoped=True),
        ]  # fmt: skip

    # Descriptions

    async def every(self, call: Call) -> list[ServiceDescription]:
        client = self.context.client(call)
        descriptions = self.context.view.descriptions
        return await asyncio.to_thread(
            lambda: description_views(self.context.view, client.id, descriptions.all(client.id))
        )

    async def read_new(self, call: Call) -> None:
        client, body = self.context.client(call), call.body_as(ServiceDescriptionAdd)
        source = DescriptionSource(_type(body.type), body.url)
        call.prepared = await self.register.read_new(client.id, source, body.rest_service_code)

    async def read_changed(self, call: Call) -> None:
        found, body = self._description(call), call.body_as(ServiceDescriptionUpdate)
        source = DescriptionSource(_type(body.type), body.url)
        if source.type is not ServiceType.WSDL and body.rest_service_code is None:
            raise bad_request("missing_parameter", "rest_service_code")
        call.prepared = await self.register.read_changed(found.id, source, _new_code(body, source.type))

    async def read_again(self, call: Call) -> None:
        call.prepared = await self.register.read_again(self._description(call).id)

    async def add(self, call: Call) -> ServiceDescription:
        client, body = self.context.client(call), call.body_as(ServiceDescriptionAdd)
        source = DescriptionSource(_type(body.type), body.url)
        content = _content(call, source, body.rest_service_code, ignore_warnings=body.ignore_warnings)
        return await self._change(call, DescriptionChange(client=client.id, content=content))

    async def one(self, call: Call) -> ServiceDescription:
        return await self._read(call)

    async def update(self, call: Call) -> ServiceDescription:
        found, body = self._description(call), call.body_as(ServiceDescriptionUpdate)
        kind = _type(body.type)
        source, code = DescriptionSource(kind, body.url), _new_code(body, kind)
        content = _content(call, source, code, ignore_warnings=body.ignore_warnings)
        return await self._change(call, DescriptionChange(number=found.id, content=content))

    async def delete(self, call: Call) -> None:
        await self._changed(call, DescriptionChange(number=self._description(call).id))

    async def disable(self, call: Call) -> None:
        notice = call.body_as(DisabledNotice).disabled_notice
        self.register.set_disabled(self._description(call).id, notice or "")
        await self.context.take()

    async def enable(self, call: Call) -> None:
        self.register.set_disabled(self._description(call).id, None)
        await self.context.take()

    async def refresh(self, call: Call) -> ServiceDescription:
        ignore = call.body_as(IgnoreWarnings).ignore_warnings
        number = self._description(call).id
        content = _content(call, self.register.source_of(number), None, ignore_warnings=ignore)
        return await self._change(call, DescriptionChange(number=number, content=content))

    async def services(self, call: Call) -> list[GatewayServiceView]:
        return (await self._read(call)).services

    # Services and endpoints

    async def service(self, call: Call) -> GatewayServiceView:
        return self._view_of(self._service(call))

    async def set_service(self, call: Call) -> GatewayServiceView:
        found, body = self._service(call), call.body_as(ServiceUpdate)
        settings = ServiceSettings(
            body.url,
            body.timeout,
            body.ssl_auth,
            None,
            body.url_all,
            body.timeout_all,
            body.ssl_auth_all,
        )
        check_url(body.url)
        if body.ssl_auth:
            await self._check_tls(found, body)
        changed = self.register.set_service(found.id, settings)
        await self.context.take()
        return self._view_of(changed)

    async def _check_tls(self, service: ServiceRecord, body: ServiceUpdate) -> None:
        """Verification is asked for: the address must be one where it can be, and what fails now is a warning."""
        if not body.url.lower().startswith("https://"):
            raise bad_request("invalid_https_url", body.url)
        if body.ignore_warnings:
            return
        certificates = {c.der for c in self.context.view.clients.certificates(service.id.client)}
        code = await try_provider_tls(body.url, certificates, self.context.gateway.provider_tls)
        check_warnings([] if code is None else [Caution(code, (body.url,))], ignore=False)

    async def add_endpoint(self, call: Call) -> EndpointView:
        found, body = self._service(call), call.body_as(EndpointView)
        if body.id is not None:
            raise bad_request("endpoint_id_should_not_be_provided", body.id)
        made = self.register.add_endpoint(found.id, body.method, body.path)
        await self.context.take()
        return endpoint_view(made)

    async def endpoint(self, call: Call) -> EndpointView:
        return endpoint_view(self._endpoint(call))

    async def set_endpoint(self, call: Call) -> EndpointView:
        found, body = self._endpoint(call), call.body_as(EndpointUpdate)
        changed = self.register.update_endpoint(found.id, body.method, body.path)
        await self.context.take()
        return endpoint_view(changed)

    async def delete_endpoint(self, call: Call) -> None:
        self.register.remove_endpoint(self._endpoint(call).id)
        await self.context.take()

    # Parts of the above

    async def _read(self, call: Call) -> ServiceDescription:
        number, descriptions = self._description(call).id, self.context.view.descriptions
        return await asyncio.to_thread(lambda: description_view(self.context.view, descriptions.get(number)))

    async def _change(self, call: Call, change: DescriptionChange) -> ServiceDescription:
        shown = await self._changed(call, change)
        if shown is None:
            raise LookupError("a description that was changed is not shown")
        return shown

    async def _changed(self, call: Call, change: DescriptionChange) -> ServiceDescription | None:
        """Carry a change out, and let the running gateway take it; the audit log has its lines from here."""
        made = await change_description(self.context.process.store, change)
        call.changes = made.lines
        await self.context.take()
        return made.shown

    def _description(self, call: Call) -> DescriptionRecord:
        number = number_of(call.path["id"], "service_description_not_found")
        found = self.context.view.descriptions.get_alone(number)
        self.context.check_client(call, found.client)
        return found

    def _service(self, call: Call) -> ServiceRecord:
        found = find_service(self.context, call.path["id"])
        self.context.check_client(call, found.id.client)
        return found

    def _endpoint(self, call: Call) -> EndpointRecord:
        found = self.context.view.endpoints.get(number_of(call.path["id"], "endpoint_not_found"))
        self.context.check_client(call, found.client)
        return found

    def _view_of(self, service: ServiceRecord) -> GatewayServiceView:
        return service_view(self.context.view, service)


def _content(
    call: Call, source: DescriptionSource, code: str | None, *, ignore_warnings: bool
) -> DescriptionContent:
    """The content of a source that the operation's ``prepare`` has read."""
    reading = cast("Reading", call.prepared)
    return DescriptionContent.of(source, code, call.now, reading, ignore_warnings=ignore_warnings)


def find_service(context: AdminContext, text: str) -> ServiceRecord:
    """The service of ``<client>:<code>[.version]``. Refused (``service_not_found``)."""
    client_text, _, full_code = text.rpartition(":")
    if not client_text or not full_code:
        raise bad_request("invalid_encoded_id", text)
    client = client_id(client_text)
    context.view.clients.get(client)
    for service in context.view.descriptions.services(client):
        if service.full_code == full_code:
            return service
    raise not_found("service_not_found", text)


def _type(text: str) -> ServiceType:
    try:
        return ServiceType(text)
    except ValueError as err:
        raise bad_request("unknown_service_description_type", text) from err


def _new_code(body: ServiceDescriptionUpdate, kind: ServiceType) -> str | None:
    """The code that an update gives a REST service; None for WSDL, whose codes are its own."""
    return body.new_rest_service_code or (None if kind is ServiceType.WSDL else body.rest_service_code)
