"""What the global configuration says: member classes and names, servers, instances, timestamping authorities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from gateway.admin.context import AdminContext, row
from gateway.admin.values import SecurityServerView, Text, TimestampingServiceView, server_view
from schemas.globalconf.shared import CostType
from serving.api.problems import not_found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.api.operations import Call, Operation


class MemberName(msgspec.Struct, frozen=True):
    """The name of a member in the global configuration."""

    member_name: str


class Instance(msgspec.Struct, frozen=True):
    """An X-Road instance by its identifier."""

    identifier: str
    local: bool


class CurrentInstanceQuery(msgspec.Struct, frozen=True):
    """Whether only the classes of this instance are listed."""

    current_instance: bool = False


class CurrentServerQuery(msgspec.Struct, frozen=True):
    """Whether only this security server is listed."""

    current_server: bool = False


class MemberNameQuery(msgspec.Struct, frozen=True):
    """The member whose name is looked up, by class and code."""

    member_class: Text
    member_code: Text


@dataclass(frozen=True, slots=True)
class RegistryResource:
    """The handlers that answer from the global configuration: classes, names, servers, authorities, instances."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        return [
            row("GET", "/member-classes", self.classes, "Member classes", "VIEW_MEMBER_CLASSES",
                query=CurrentInstanceQuery, answer=list[str]),
            row("GET", "/member-classes/{id}", self.classes_of, "Member classes of an instance",
                "VIEW_MEMBER_CLASSES", answer=list[str]),
            row("GET", "/member-names", self.member_name, "A member's name", "INIT_CONFIG", query=MemberNameQuery,
                answer=MemberName),
            row("GET", "/security-servers", self.servers, "Security servers", "VIEW_SECURITY_SERVERS",
                query=CurrentServerQuery, answer=list[SecurityServerView]),
            row("GET", "/security-servers/{id}", self.server, "One security server", "INIT_CONFIG",
                answer=SecurityServerView),
            row("GET", "/timestamping-services", self.authorities_of_time, "Approved timestamping authorities",
                "VIEW_TSPS", answer=list[TimestampingServiceView]),
            row("GET", "/xroad-instances", self.instances, "Known instances", "VIEW_XROAD_INSTANCES",
                answer=list[Instance]),
        ]  # fmt: skip

    async def classes(self, call: Call) -> list[str]:
        configuration = self.context.configuration()
        chosen = (
            [configuration.own]
            if call.query_as(CurrentInstanceQuery).current_instance
            else list(configuration.instances.values())
        )
        return sorted({c.code for i in chosen for c in i.shared.member_classes})

    async def classes_of(self, call: Call) -> list[str]:
        shared = self.context.configuration().shared(call.path["id"])
        if shared is None:
            raise not_found("instance_identifier_not_found", call.path["id"])
        return sorted(c.code for c in shared.member_classes)

    async def member_name(self, call: Call) -> MemberName:
        query = call.query_as(MemberNameQuery)
        for member in self.context.configuration().own.shared.members:
            if (member.id.member_class, member.id.member_code) == (query.member_class, query.member_code):
                return MemberName(member.name)
        raise not_found("member_name_not_found")

    async def servers(self, call: Call) -> list[SecurityServerView]:
        if call.query_as(CurrentServerQuery).current_server:
            server = self.context.server_id()
            known = self.context.configuration().server(server)
            return [server_view(server, known.address if known else None)]
        return [
            server_view(s.id, s.address)
            for i in self.context.configuration().instances.values()
            for s in i.shared.security_servers
        ]

    async def server(self, call: Call) -> SecurityServerView:
        for instance in self.context.configuration().instances.values():
            for server in instance.shared.security_servers:
                if server.id.encoded() == call.path["id"]:
                    return server_view(server.id, server.address)
        raise not_found("security_server_not_found", call.path["id"])

    async def authorities_of_time(self, _call: Call) -> list[TimestampingServiceView]:
        return [
            TimestampingServiceView(t.name, t.url, (t.cost_type or CostType.UNDEFINED).value)
            for t in self.context.configuration().approved_tsas
        ]

    async def instances(self, _call: Call) -> list[Instance]:
        configuration = self.context.configuration()
        return [Instance(name, name == configuration.instance) for name in configuration.instances]
