"""``/local-groups`` and ``/clients/{id}/local-groups``: groups that a client keeps for its own access rights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from gateway.admin.context import AdminContext, client_id, instant, number_of, row
from gateway.admin.values import EncodedId, Identifier, Phrase
from gateway.clients.records import GroupRecord
from serving.api.problems import bad_request, conflict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.identifiers import ClientId
    from serving.api.operations import Call, Operation


class LocalGroupMemberView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A member of a group."""

    id: str
    member_name: str
    created_at: str
    subsystem_name: str | None = None


class LocalGroupView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A local group; ``members`` where one group is asked for."""

    id: str
    code: str
    description: str
    member_count: int
    updated_at: str
    members: list[LocalGroupMemberView] | None = None


class LocalGroupAdd(msgspec.Struct, frozen=True):
    """A group to be made."""

    code: Identifier
    description: Phrase


class LocalGroupDescription(msgspec.Struct, frozen=True):
    """The description that a local group shall have."""

    description: Phrase


class LocalGroupMemberIds(msgspec.Struct, frozen=True):
    """Identifiers of members and subsystems."""

    items: list[EncodedId] = msgspec.field(default_factory=list)


@dataclass(frozen=True, slots=True)
class LocalGroups:
    """The handlers of ``/clients/{id}/local-groups`` and ``/local-groups``."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        of_client, one = "/clients/{id}/local-groups", "/local-groups/{group_id}"
        return [
            row("GET", of_client, self.every, "Local groups of a client", "VIEW_CLIENT_LOCAL_GROUPS",
                answer=list[LocalGroupView]),
            row("POST", of_client, self.add, "Make a local group", "ADD_LOCAL_GROUP", body=LocalGroupAdd,
                answer=LocalGroupView, status=201, event="ADD_LOCAL_GROUP", scoped=True),
            row("GET", one, self.one, "One local group", "VIEW_CLIENT_LOCAL_GROUPS", answer=LocalGroupView),
            row("PATCH", one, self.describe, "Change the description", "EDIT_LOCAL_GROUP_DESC",
                body=LocalGroupDescription, answer=LocalGroupView, event="EDIT_LOCAL_GROUP_DESC", scoped=True),
            row("DELETE", one, self.delete, "Delete with its rights", "DELETE_LOCAL_GROUP", status=204,
                event="DELETE_LOCAL_GROUP", scoped=True),
            row("POST", one + "/members", self.add_members, "Add members", "EDIT_LOCAL_GROUP_MEMBERS", body=LocalGroupMemberIds,
                answer=LocalGroupMemberIds, status=201, event="ADD_LOCAL_GROUP_MEMBERS", scoped=True),
            row("POST", one + "/members/delete", self.remove_members, "Remove members", "EDIT_LOCAL_GROUP_MEMBERS",
                body=LocalGroupMemberIds, status=204, event="REMOVE_LOCAL_GROUP_MEMBERS", scoped=True),
        ]  # fmt: skip

    async def every(self, call: Call) -> list[LocalGroupView]:
        client = self.context.client(call)
        return [self._view(g, members=False) for g in self.context.view.groups.all(client.id)]

    async def add(self, call: Call) -> LocalGroupView:
        client, body = self.context.client(call), call.body_as(LocalGroupAdd)
        async with self.context.change() as tables:
            made = tables.groups.add(client.id, body.code, body.description, call.now)
        return self._view(made)

    async def one(self, call: Call) -> LocalGroupView:
        return self._view(self._group(call))

    async def describe(self, call: Call) -> LocalGroupView:
        group = self._group(call)
        async with self.context.change() as tables:
            tables.groups.set_description(group.id, call.body_as(LocalGroupDescription).description, call.now)
        return self._view(self._group(call))

    async def delete(self, call: Call) -> None:
        group = self._group(call)
        async with self.context.change() as tables:
            tables.groups.remove(group.id)

    async def add_members(self, call: Call) -> LocalGroupMemberIds:
        group, members = self._group(call), self._members(call)
        for member in members:
            if not self.context.configuration().known_member(member):
                raise conflict("client_not_found", member.encoded())
        async with self.context.change() as tables:
            for member in members:
                tables.groups.add_member(group.id, member, call.now)
        return LocalGroupMemberIds([m.encoded() for m in members])

    async def remove_members(self, call: Call) -> None:
        group, members = self._group(call), self._members(call)
        async with self.context.change() as tables:
            for member in members:
                tables.groups.remove_member(group.id, member, call.now)

    def _group(self, call: Call) -> GroupRecord:
        number = number_of(call.path["group_id"], "local_group_not_found")
        group = self.context.view.groups.get(number)
        self.context.check_client(call, group.owner)
        return group

    def _members(self, call: Call) -> list[ClientId]:
        items = call.body_as(LocalGroupMemberIds).items
        if not items:
            raise bad_request("missing_member_id")
        return [client_id(text) for text in dict.fromkeys(items)]

    def _view(self, group: GroupRecord, *, members: bool = True) -> LocalGroupView:
        shown = [self._member(m.id, instant(m.added_at)) for m in group.members] if members else None
        return LocalGroupView(
            str(group.id), group.code, group.description, len(group.members), instant(group.updated_at), shown
        )

    def _member(self, client: ClientId, since: str) -> LocalGroupMemberView:
        configuration = self.context.process.configuration()
        name = configuration.member_name(client.member) if configuration else None
        subsystem = configuration.member_name(client) if configuration and not client.is_member else None
        return LocalGroupMemberView(client.encoded(), name or client.member.encoded(), since, subsystem)
