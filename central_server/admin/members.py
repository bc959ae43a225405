"""Member classes, members, subsystems, and the search over all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from central_server.admin.context import MadeOnce, row
from central_server.admin.values import (
    ClientIdView,
    ClientView,
    Code,
    CodeAndDescription,
    Limit,
    NewDescription,
    Offset,
    PagingMetadata,
    ServerView,
    Text,
    client_id_view,
    client_view,
    matches,
    member_of,
    page_of,
    server_of,
    server_view,
    subsystem_of,
)
from central_server.management.requests import add_request
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store import groups, members, servers
from central_server.store.requests import NewRequest, RequestOrigin, RequestType
from schemas.identifiers import ClientId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from central_server.admin.context import CentralAdminContext
    from central_server.store.members import ClientRow, KeptClient
    from central_server.store.records import Records
    from serving.api.operations import Call, Operation


class NewMemberId(msgspec.Struct, frozen=True):
    """The identifier of a member to be added."""

    member_class: Code
    member_code: Code


class MemberAdd(msgspec.Struct, frozen=True):
    """A new member; without a name it has its code for one."""

    member_id: NewMemberId
    member_name: Text | None = None


class NewMemberName(msgspec.Struct, frozen=True):
    """The new name of a member."""

    member_name: Text


class NewSubsystemId(msgspec.Struct, frozen=True):
    """The identifier of a subsystem to be added."""

    member_class: Code
    member_code: Code
    subsystem_code: Code


class SubsystemAdd(msgspec.Struct, frozen=True):
    """A subsystem to be added, with its name."""

    subsystem_id: NewSubsystemId
    subsystem_name: Text | None = None


class SubsystemName(msgspec.Struct, frozen=True):
    """A subsystem's new name; none takes it away."""

    subsystem_name: Text | None = None


class UsedServer(msgspec.Struct, frozen=True):
    """A server that has a subsystem as its client."""

    encoded_id: str
    server_code: str
    server_owner: str
    status: str


class SubsystemView(msgspec.Struct, frozen=True):
    """A subsystem and where it is used."""

    subsystem_id: ClientIdView
    used_security_servers: list[UsedServer]
    subsystem_name: str | None = None


class MemberGlobalGroup(msgspec.Struct, frozen=True, omit_defaults=True):
    """A group a member or one of its subsystems is in."""

    group_code: str
    added_to_group: str
    subsystem: str | None = None


class ClientsQuery(msgspec.Struct, frozen=True):
    """The query that members and subsystems are searched by."""

    q: str | None = None
    name: str | None = None
    instance: str | None = None
    member_class: str | None = None
    member_code: str | None = None
    subsystem_code: str | None = None
    client_type: Annotated[str, msgspec.Meta(pattern="^(MEMBER|SUBSYSTEM)$")] | None = None
    security_server: str | None = None
    excluding_group: str | None = None
    sort: str | None = None
    desc: bool = False
    limit: Limit = 25
    offset: Offset = 0


class PagedClients(msgspec.Struct, frozen=True):
    """One page of members and subsystems, with the total."""

    clients: list[ClientView]
    paging_metadata: PagingMetadata


def operations(context: CentralAdminContext) -> Sequence[Operation]:
    """The rows about members and subsystems."""
    api = _Members(context)
    return (
        row("GET", "/member-classes", api.classes, "Member classes", "VIEW_MEMBER_CLASSES", answer=list[CodeAndDescription]),
        row("POST", "/member-classes", api.add_class, "Create a member class", "ADD_MEMBER_CLASS",
            body=CodeAndDescription, answer=CodeAndDescription, status=201, event="ADD_MEMBER_CLASS"),
        row("PATCH", "/member-classes/{code}", api.edit_class, "Edit a class's description", "EDIT_MEMBER_CLASS",
            body=NewDescription, answer=CodeAndDescription, event="EDIT_MEMBER_CLASS"),
        row("DELETE", "/member-classes/{code}", api.delete_class, "Delete a class", "DELETE_MEMBER_CLASS",
            status=204, event="DELETE_MEMBER_CLASS"),
        row("POST", "/members", api.add, "Add a member", "ADD_NEW_MEMBER",
            body=MemberAdd, answer=ClientView, status=201, event="ADD_MEMBER", errors=(404,)),
        row("GET", "/members/{member_id}", api.one, "One member", "VIEW_MEMBER_DETAILS", answer=ClientView),
        row("PATCH", "/members/{member_id}", api.rename, "Rename a member", "EDIT_MEMBER_NAME",
            body=NewMemberName, answer=ClientView, event="EDIT_MEMBER_NAME"),
        row("DELETE", "/members/{member_id}", api.delete, "Delete a member with its subsystems and servers",
            "DELETE_MEMBER", status=204, event="DELETE_MEMBER"),
        row("GET", "/members/{member_id}/subsystems", api.subsystems, "A member's subsystems",
            "VIEW_MEMBER_DETAILS", answer=list[SubsystemView]),
        row("GET", "/members/{member_id}/global-groups", api.groups, "Groups of a member",
            "VIEW_MEMBER_DETAILS", answer=list[MemberGlobalGroup]),
        row("GET", "/members/{member_id}/owned-servers", api.owned, "Servers a member owns",
            "VIEW_MEMBER_DETAILS", answer=list[ServerView]),
        row("GET", "/members/{member_id}/used-servers", api.used, "Servers a member is a client of",
            "VIEW_MEMBER_DETAILS", answer=list[ServerView]),
        row("DELETE", "/members/{member_id}/servers/{server_id}", api.detach_member,
            "Take a member away from a server", "UNREGISTER_MEMBER", status=204, event="UNREGISTER_MEMBER"),
        row("POST", "/subsystems", api.add_subsystem, "Add a subsystem", "ADD_MEMBER_SUBSYSTEM",
            body=SubsystemAdd, answer=ClientView, status=201, event="ADD_SUBSYSTEM", errors=(404,)),
        row("PATCH", "/subsystems/{subsystem_id}", api.rename_subsystem, "Rename a subsystem",
            "EDIT_MEMBER_SUBSYSTEM", body=SubsystemName, answer=ClientView, event="EDIT_SUBSYSTEM"),
        row("DELETE", "/subsystems/{subsystem_id}", api.delete_subsystem, "Delete an unused subsystem",
            "REMOVE_MEMBER_SUBSYSTEM", status=204, event="DELETE_SUBSYSTEM"),
        row("DELETE", "/subsystems/{subsystem_id}/servers/{server_id}", api.detach_subsystem,
            "Take a subsystem away from a server", "UNREGISTER_SUBSYSTEM", status=204,
            event="UNREGISTER_SUBSYSTEM"),
        row("GET", "/clients", api.search, "Search members and subsystems", "SEARCH_MEMBERS", "VIEW_MEMBERS",
            query=ClientsQuery, answer=PagedClients, errors=(409,)),
    )  # fmt: skip


class _Members:
    def __init__(self, context: CentralAdminContext) -> None:
        self._context = context
        self._rows = MadeOnce(context, members.client_rows)

    # Classes

    async def classes(self, _call: Call) -> list[CodeAndDescription]:
        return [CodeAndDescription(*found) for found in members.list_member_classes(self._context.read())]

    async def add_class(self, call: Call) -> CodeAndDescription:
        body = call.body_as(CodeAndDescription)
        with self._context.change(call) as records:
            members.add_member_class(records, body.code, body.description)
        return body

    async def edit_class(self, call: Call) -> CodeAndDescription:
        body, code = call.body_as(NewDescription), call.path["code"]
        with self._context.change(call) as records:
            members.describe_member_class(records, code, body.description)
        return CodeAndDescription(code, body.description)

    async def delete_class(self, call: Call) -> None:
        with self._context.change(call) as records:
            members.delete_member_class(records, call.path["code"])

    # Members

    async def add(self, call: Call) -> ClientView:
        body = call.body_as(MemberAdd)
        with self._context.change(call) as records:
            member = ClientId(records.instance, body.member_id.member_class, body.member_id.member_code)
            made = members.add_member(records, member, body.member_name or member.member_code)
        return client_view(made.id, made.name)

    async def one(self, call: Call) -> ClientView:
        found = members.need_client(self._context.read(), member_of(call.path["member_id"]))
        return client_view(found.id, found.name)

    async def rename(self, call: Call) -> ClientView:
        member = member_of(call.path["member_id"])
        with self._context.change(call) as records:
            found = members.rename_client(records, member, call.body_as(NewMemberName).member_name)
        return client_view(found.id, found.name)

    async def delete(self, call: Call) -> None:
        member = member_of(call.path["member_id"])
        with self._context.change(call) as records:
            members.need_client(records, member)
            for owned in servers.servers_owned_by(records, member):
                servers.delete_server(records, owned.id)
            for client in (member, *(s.id for s in members.subsystems_of(records, member))):
                for used in servers.servers_used_by(records, client):
                    servers.remove_server_client(records, used, client)
            members.delete_member_rows(records, member)

    async def subsystems(self, call: Call) -> list[SubsystemView]:
        records, member = self._context.read(), member_of(call.path["member_id"])
        members.need_client(records, member)
        return [_subsystem_view(records, s) for s in members.subsystems_of(records, member)]

    async def groups(self, call: Call) -> list[MemberGlobalGroup]:
        records, member = self._context.read(), member_of(call.path["member_id"])
        members.need_client(records, member)
        return [MemberGlobalGroup(g, at, s) for g, s, at in groups.groups_of(records, member)]

    async def owned(self, call: Call) -> list[ServerView]:
        found = servers.servers_owned_by(self._context.read(), member_of(call.path["member_id"]))
        return [server_view(s) for s in found]

    async def used(self, call: Call) -> list[ServerView]:
        found = servers.servers_used_by(self._context.read(), member_of(call.path["member_id"]))
        return [server_view(s) for s in found]

    async def detach_member(self, call: Call) -> None:
        self._detach(
            call, member_of(call.path["member_id"]), RegistryCode.MEMBER_NOT_REGISTERED_TO_SECURITY_SERVER
        )

    # Subsystems

    async def add_subsystem(self, call: Call) -> ClientView:
        body = call.body_as(SubsystemAdd)
        subsystem_id = body.subsystem_id
        with self._context.change(call) as records:
            subsystem = ClientId(
                records.instance,
                subsystem_id.member_class,
                subsystem_id.member_code,
                subsystem_id.subsystem_code,
            )
            made = members.add_subsystem(records, subsystem, body.subsystem_name)
            owner = members.need_client(records, subsystem.member)
        return client_view(made.id, made.name, owner.name)

    async def rename_subsystem(self, call: Call) -> ClientView:
        subsystem = subsystem_of(call.path["subsystem_id"])
        with self._context.change(call) as records:
            found = members.rename_client(records, subsystem, call.body_as(SubsystemName).subsystem_name)
            owner = members.need_client(records, subsystem.member)
        return client_view(found.id, found.name, owner.name)

    async def delete_subsystem(self, call: Call) -> None:
        with self._context.change(call) as records:
            members.delete_subsystem(records, subsystem_of(call.path["subsystem_id"]))

    async def detach_subsystem(self, call: Call) -> None:
        subsystem = subsystem_of(call.path["subsystem_id"])
        self._detach(call, subsystem, RegistryCode.SUBSYSTEM_NOT_REGISTERED_TO_SECURITY_SERVER)

    def _detach(self, call: Call, client: ClientId, code: RegistryCode) -> None:
        server = server_of(call.path["server_id"])
        with self._context.change(call) as records:
            members.need_client(records, client)
            found = servers.need_server(records, server)
            if servers.find_server_client(records, found, client) is None:
                raise refuse(code, client.encoded(), server.encoded())
            request = NewRequest(RequestType.CLIENT_DELETION, RequestOrigin.CENTER, server, client)
            add_request(records, request)

    # Search

    async def search(self, call: Call) -> PagedClients:
        query, records = call.query_as(ClientsQuery), self._context.read()
        if query == ClientsQuery(client_type=query.client_type, limit=query.limit, offset=query.offset):
            total, listed = members.page_of_clients(
                records, query.client_type, query.limit, query.offset * query.limit
            )
            views = [client_view(c.id, c.name, owner) for c, owner in listed]
            return PagedClients(views, PagingMetadata(total, len(views), query.limit, query.offset))
        term = (query.q or "").lower()
        matching = self._rows.value()
        if term:
            matching = [r for r in matching if term in r.searched]
        if query.client_type is not None:
            is_subsystem = query.client_type == "SUBSYSTEM"
            matching = [r for r in matching if bool(r.subsystem_code) == is_subsystem]
        filters = (query.name, query.instance, query.member_class, query.member_code, query.subsystem_code)
        if any(filters):
            matching = [r for r in matching if _is_match(r, query, records.instance)]
        if query.security_server is not None:
            server = servers.need_server(records, server_of(query.security_server))
            there = {_key(c.id) for c in servers.clients_of(records, server)} | {_key(server.id.owner)}
            matching = [r for r in matching if r.key in there]
        if query.excluding_group is not None:
            group = groups.need_group(records, query.excluding_group)
            joined = {_key(m.client.id) for m in groups.group_members(records, group)}
            matching = [r for r in matching if r.key not in joined]
        found, paging = page_of(matching, query, _ORDERS, "id")
        shown = [(members.kept_client(records.instance, r[:5]), r.member_name) for r in found]
        return PagedClients([client_view(c.id, c.name, owner) for c, owner in shown], paging)


_ORDERS: dict[str, Callable[[ClientRow], Any]] = {
    "id": lambda r: r.number,
    "member_name": lambda r: (r.member_name.lower(), r.key),
    "client_id.instance_id": lambda r: r.number,
    "client_id.member_class": lambda r: (r.member_class, r.number),
    "client_id.member_code": lambda r: (r.member_code, r.number),
    "client_id.subsystem_code": lambda r: (r.subsystem_code, r.number),
    "client_type": lambda r: (bool(r.subsystem_code), r.number),
}


def _key(client: ClientId) -> tuple[str, str, str]:
    """The columns that tell one client from another."""
    return client.member_class, client.member_code, client.subsystem_code or ""


def _is_match(row: ClientRow, query: ClientsQuery, instance: str) -> bool:
    return (
        matches(query.name, row.member_name, row.name)
        and matches(query.instance, instance)
        and matches(query.member_class, row.member_class)
        and matches(query.member_code, row.member_code)
        and (query.subsystem_code is None or matches(query.subsystem_code, row.subsystem_code))
    )


def _subsystem_view(records: Records, subsystem: KeptClient) -> SubsystemView:
    used = []
    for server in servers.servers_used_by(records, subsystem.id):
        enabled = servers.find_server_client(records, server, subsystem.id)
        used.append(
            UsedServer(
                server.id.encoded(),
                server.id.server_code,
                server.owner_name,
                "APPROVED" if enabled else "DISABLED",
            )
        )
    return SubsystemView(client_id_view(subsystem.id), used, subsystem.name)
