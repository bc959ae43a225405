"""``/clients``: members and subsystems that use this server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from gateway.admin.context import AdminContext, client_id, row
from gateway.admin.keycontext import KeyAdminContext
from gateway.admin.keyviews import CertificateView, certificate_view
from gateway.admin.values import Identifier, SecurityServerView, Text, server_view
from gateway.clients.model import ConnectionType
from gateway.clients.records import ClientRecord, ClientStatus
from gateway.keys.model import KeyUsage
from schemas.faults import Fault
from schemas.identifiers import ClientId
from serving.api.operations import ApiAnswer
from serving.api.problems import Problem, bad_request, check_warnings, conflict
from serving.errors import Caution

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.api.operations import Call, Operation

Connection = Literal["HTTP", "HTTPS", "HTTPS_NO_AUTH"]


class GatewayClientView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A client, or a member or subsystem of the global configuration."""

    id: str
    instance_id: str
    member_class: str
    member_code: str
    member_name: str | None = None
    subsystem_code: str | None = None
    subsystem_name: str | None = None
    owner: bool | None = None
    has_valid_local_sign_cert: bool | None = None
    is_management_services_provider: bool | None = None
    rename_status: str | None = None
    connection_type: str | None = None
    status: str | None = None


class NewClient(msgspec.Struct, frozen=True):
    """A client to be added."""

    member_class: Identifier
    member_code: Identifier
    subsystem_code: Identifier | None = None
    subsystem_name: Text | None = None
    connection_type: str | None = None


class ClientAdd(msgspec.Struct, frozen=True):
    """A client to be added, and whether warnings are accepted."""

    client: NewClient
    ignore_warnings: bool = False


class ConnectionTypeWrapper(msgspec.Struct, frozen=True):
    """The connection type of a client: ``HTTP``, ``HTTPS`` or ``HTTPS_NO_AUTH``."""

    connection_type: str | None = None


class ClientQuery(msgspec.Struct, frozen=True):
    """The conditions of a search for clients; an unset one matches every client."""

    name: str | None = None
    instance: str | None = None
    member_class: str | None = None
    member_code: str | None = None
    subsystem_code: str | None = None
    show_members: bool = True
    internal_search: bool = False
    local_valid_sign_cert: bool | None = None
    exclude_local: bool = False
    include_management_service_check: bool = False


@dataclass(frozen=True, slots=True)
class ClientResource:
    """The handlers of ``/clients``, but for their certificates, groups, rights and requests."""

    context: AdminContext
    keys: KeyAdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        base, one = "/clients", "/clients/{id}"
        return [
            row("GET", base, self.every, "Search clients", "VIEW_CLIENTS", query=ClientQuery, answer=list[GatewayClientView]),
            row("POST", base, self.add, "Add a client", "ADD_CLIENT", body=ClientAdd, answer=GatewayClientView, status=201,
                event="ADD_CLIENT", scoped=True),
            row("GET", one, self.one, "One client", "VIEW_CLIENT_DETAILS", answer=GatewayClientView),
            row("PATCH", one, self.set_connection, "Change the connection type",
                "EDIT_CLIENT_INTERNAL_CONNECTION_TYPE", body=ConnectionTypeWrapper, answer=GatewayClientView,
                event="SET_CONNECTION_TYPE", scoped=True),
            row("DELETE", one, self.delete, "Delete a client", "DELETE_CLIENT", status=204, event="DELETE_CLIENT",
                scoped=True),
            row("GET", one + "/security-servers", self.servers, "Servers it is registered on",
                "VIEW_SECURITY_SERVERS", answer=list[SecurityServerView]),
            row("GET", one + "/sign-certificates", self.sign_certificates, "Signing certificates of its member",
                "VIEW_CLIENT_DETAILS", answer=list[CertificateView]),
        ]  # fmt: skip

    # Reading

    async def every(self, call: Call) -> list[GatewayClientView]:
        query = call.query_as(ClientQuery)
        local = {c.id: c for c in self.context.view.clients.all()}
        views = [] if query.exclude_local else [self._view(c) for c in local.values()]
        if not query.internal_search:
            views += [v for i, v in self._foreign() if i not in local]
        return sorted((v for v in views if _matches(v, query)), key=lambda v: v.id)

    async def one(self, call: Call) -> GatewayClientView:
        return self._view(self.context.client(call))

    async def servers(self, call: Call) -> list[SecurityServerView]:
        client = client_id(call.path["id"])
        return [server_view(s.id, s.address) for s in self.context.configuration().servers_of(client)]

    async def sign_certificates(self, call: Call) -> list[CertificateView]:
        member = self.context.client(call).id.member
        return [
            certificate_view(c, self.keys, call)
            for token in await self.context.keys.tokens()
            for key in token.keys
            for c in key.certificates
            if c.usage is KeyUsage.SIGNING and c.member == member
        ]

    # Changing

    async def add(self, call: Call) -> ApiAnswer:
        body = call.body_as(ClientAdd)
        server = self.context.server_id()
        new = body.client
        identifier = ClientId(server.instance, new.member_class, new.member_code, new.subsystem_code)
        call.check_scope(identifier.encoded())
        connection = _connection(new.connection_type, "invalid_connection_type")
        configuration = self.context.configuration()
        if new.member_class not in {c.code for c in configuration.own.shared.member_classes}:
            raise bad_request("invalid_member_class", new.member_class)
        clients = self.context.view.clients
        if clients.find(identifier) is not None:
            raise conflict("client_already_exists", identifier.encoded())
        known = configuration.known_member(identifier.member)
        check_warnings(
            [] if known else [Caution("unregistered_member", (identifier.member.encoded(),))],
            ignore=body.ignore_warnings,
        )
        async with self.context.change() as tables:
            record = tables.clients.add(identifier, connection, call.now, new.subsystem_name)
        return ApiAnswer(self._view(record), headers={"Location": f"/api/clients/{identifier.encoded()}"})

    async def set_connection(self, call: Call) -> GatewayClientView:
        client = self.context.client(call)
        connection = _connection(
            call.body_as(ConnectionTypeWrapper).connection_type, "connection_type_required"
        )
        async with self.context.change() as tables:
            tables.clients.set_connection(client.id, connection)
        return self._view(self.context.client(call))

    async def delete(self, call: Call) -> None:
        client = self.context.client(call)
        if client.id == self.context.server_id().owner:
            raise conflict("cannot_delete_owner")
        allowed = (ClientStatus.SAVED, ClientStatus.DELETION_IN_PROGRESS, ClientStatus.GLOBAL_ERROR)
        check_status(self.context, client, *allowed)
        async with self.context.change() as tables:
            for request in tables.requests.all():
                if request.subject == client.id.path():
                    tables.requests.remove(request.kind, request.subject)
            tables.clients.remove(client.id)

    # Parts of the above

    def _member_name(self, client: ClientId) -> str | None:
        configuration = self.context.process.configuration()
        return None if configuration is None else configuration.member_name(client)

    def _view(self, client: ClientRecord) -> GatewayClientView:
        identifier = client.id
        configuration = self.context.process.configuration()
        private = None if configuration is None else configuration.private
        return GatewayClientView(
            identifier.encoded(),
            identifier.instance,
            identifier.member_class,
            identifier.member_code,
            self._member_name(identifier.member),
            identifier.subsystem_code,
            None if identifier.is_member else client.name or self._member_name(identifier),
            identifier == self.context.server_id().owner,
            self._can_sign(identifier),
            private is not None and private.management_service.provider == identifier,
            client.rename.value if client.rename else None,
            client.connection.value,
            self.context.status(client).value,
        )

    def _can_sign(self, client: ClientId) -> bool:
        try:
            self.context.gateway.identities.signing(client.member, self.context.gateway.now())
        except (Fault, Problem):
            return False
        return True

    def _foreign(self) -> list[tuple[ClientId, GatewayClientView]]:
        configuration = self.context.process.configuration()
        found: list[tuple[ClientId, GatewayClientView]] = []
        for instance in () if configuration is None else configuration.instances.values():
            for client, name in instance.names.items():
                member = instance.names.get(client.member)
                subsystem = None if client.is_member else name
                view = GatewayClientView(
                    client.encoded(), client.instance, client.member_class, client.member_code, member,
                    client.subsystem_code, subsystem,
                )  # fmt: skip
                found.append((client, view))
        return found


def check_status(context: AdminContext, client: ClientRecord, *allowed: ClientStatus) -> None:
    """Refuse what is not possible for a client that stands as this one does."""
    status = context.status(client)
    if status not in allowed:
        raise conflict(
            "action_not_possible",
            f"{client.id.encoded()} is {status}; possible for: {', '.join(allowed)}",
        )


def _connection(text: str | None, missing: str) -> ConnectionType:
    if text is None:
        raise bad_request(missing)
    try:
        return ConnectionType(text)
    except ValueError as err:
        raise bad_request("invalid_connection_type", text) from err


def _matches(view: GatewayClientView, query: ClientQuery) -> bool:
    if not query.show_members and view.subsystem_code is None:
        return False
    if (
        query.local_valid_sign_cert is not None
        and bool(view.has_valid_local_sign_cert) != query.local_valid_sign_cert
    ):
        return False
    pairs = (
        (query.name, view.subsystem_name or view.member_name),
        (query.instance, view.instance_id),
        (query.member_class, view.member_class),
        (query.member_code, view.member_code),
        (query.subsystem_code, view.subsystem_code),
    )
    return all(searched is None or searched.lower() in (found or "").lower() for searched, found in pairs)
