"""Global groups and who is in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from central_server.admin.context import row
from central_server.admin.values import (
    ClientIdView,
    CodeAndDescription,
    Encoded,
    Limit,
    NewDescription,
    Offset,
    PagingMetadata,
    client_id_view,
    client_of,
    matches,
    page_of,
)
from central_server.registry.model import OWNERS_GROUP
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store import groups
from central_server.store.members import need_client
from schemas.identifiers import ClientId

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from central_server.admin.context import CentralAdminContext
    from central_server.store.groups import GroupMemberRow, KeptGroup
    from serving.api.operations import Call, Operation


class GroupView(msgspec.Struct, frozen=True):
    """A global group, as the API shows it."""

    code: str
    description: str
    created_at: str
    updated_at: str
    member_count: int


class GroupMemberIds(msgspec.Struct, frozen=True):
    """Identifiers of members and subsystems."""

    items: Annotated[list[Encoded], msgspec.Meta(min_length=1, max_length=1000)]


class PagingSorting(msgspec.Struct, frozen=True):
    """The order and the page of a search's answer: a column, its direction, rows a page, the page's number from 0."""

    sort: str | None = None
    desc: bool = False
    limit: Limit = 25
    offset: Offset = 0


class MembersFilter(msgspec.Struct, frozen=True):
    """The filter that group members are searched by."""

    query: str | None = None
    member_class: str | None = None
    instance: str | None = None
    codes: list[str] = []
    subsystems: list[str] = []
    types: list[str] = []
    paging_sorting: PagingSorting = PagingSorting()


class GroupMemberView(msgspec.Struct, frozen=True):
    """A member of a global group, as the API shows it."""

    id: int
    created_at: str
    client_id: ClientIdView
    name: str


class PagedGroupMembers(msgspec.Struct, frozen=True):
    """A page of group members."""

    items: list[GroupMemberView]
    paging_metadata: PagingMetadata


class FilterModel(msgspec.Struct, frozen=True):
    """The values that occur, for a page's filters."""

    instances: list[str]
    member_classes: list[str]
    codes: list[str]
    subsystems: list[str]


def operations(context: CentralAdminContext) -> Sequence[Operation]:
    """The rows about global groups and their members."""
    api = _Groups(context)
    one, edit = "/global-groups/{group_code}", "ADD_AND_REMOVE_GROUP_MEMBERS"
    return (
        row("GET", "/global-groups", api.all, "All global groups", "VIEW_GLOBAL_GROUPS", answer=list[GroupView]),
        row("POST", "/global-groups", api.add, "Create a group", "ADD_GLOBAL_GROUP",
            body=CodeAndDescription, answer=GroupView, status=201, event="ADD_GLOBAL_GROUP"),
        row("GET", one, api.one, "One group", "VIEW_GROUP_DETAILS", answer=GroupView),
        row("PATCH", one, api.describe, "Edit a group's description", "EDIT_GROUP_DESCRIPTION",
            body=NewDescription, answer=GroupView, event="EDIT_GLOBAL_GROUP_DESCRIPTION"),
        row("DELETE", one, api.delete, "Delete a group", "DELETE_GROUP", status=204, event="DELETE_GLOBAL_GROUP"),
        row("GET", f"{one}/members/filter-model", api.filter_model, "Values for filters", "VIEW_GROUP_DETAILS",
            answer=FilterModel),
        row("POST", f"{one}/members", api.search, "Search members", "VIEW_GROUP_DETAILS",
            body=MembersFilter, body_optional=True, answer=PagedGroupMembers, errors=(409,)),
        row("POST", f"{one}/members/add", api.add_members, "Add members and subsystems", edit,
            body=GroupMemberIds, answer=GroupMemberIds, status=201, event="ADD_GLOBAL_GROUP_MEMBERS"),
        row("DELETE", f"{one}/members/{{client_id}}", api.remove, "Remove one", edit,
            status=204, event="DELETE_GLOBAL_GROUP_MEMBER"),
    )  # fmt: skip


class _Groups:
    def __init__(self, context: CentralAdminContext) -> None:
        self._context = context

    async def all(self, _call: Call) -> list[GroupView]:
        return [_view(g) for g in groups.list_groups(self._context.read())]

    async def add(self, call: Call) -> GroupView:
        body = call.body_as(CodeAndDescription)
        with self._context.change(call) as records:
            return _view(groups.add_group(records, body.code, body.description))

    async def one(self, call: Call) -> GroupView:
        return _view(groups.need_group(self._context.read(), call.path["group_code"]))

    async def describe(self, call: Call) -> GroupView:
        body = call.body_as(NewDescription)
        with self._context.change(call) as records:
            return _view(groups.describe_group(records, call.path["group_code"], body.description))

    async def delete(self, call: Call) -> None:
        with self._context.change(call) as records:
            groups.delete_group(records, call.path["group_code"])

    async def filter_model(self, call: Call) -> FilterModel:
        records = self._context.read()
        rows = groups.group_member_rows(records, groups.need_group(records, call.path["group_code"]))
        return FilterModel(
            [records.instance] if rows else [],
            sorted({r.member_class for r in rows}),
            sorted({r.member_code for r in rows}),
            sorted({r.subsystem_code for r in rows if r.subsystem_code}),
        )

    async def search(self, call: Call) -> PagedGroupMembers:
        body, records = call.body_as(MembersFilter), self._context.read()
        group, page = groups.need_group(records, call.path["group_code"]), body.paging_sorting
        unsorted = PagingSorting(limit=page.limit, offset=page.offset)
        if body == MembersFilter(query=body.query, paging_sorting=unsorted) and not body.query:
            found = groups.page_of_group_members(records, group, page.limit, page.offset * page.limit)
            paging = PagingMetadata(group.member_count, len(found), page.limit, page.offset)
        else:
            rows = groups.group_member_rows(records, group)
            matching = [r for r in rows if _is_match(r, body, records.instance)]
            found, paging = page_of(matching, page, _ORDERS, "id")
        return PagedGroupMembers([_member_view(records.instance, r) for r in found], paging)

    async def add_members(self, call: Call) -> GroupMemberIds:
        body, code = call.body_as(GroupMemberIds), call.path["group_code"]
        if code == OWNERS_GROUP:
            raise refuse(RegistryCode.CANNOT_ADD_MEMBER_TO_OWNERS_GROUP)
        with self._context.change(call) as records:
            for encoded in body.items:
                if not groups.add_group_member(records, code, client_of(encoded)):
                    raise refuse(RegistryCode.GLOBAL_GROUP_MEMBER_EXISTS, encoded)
        return body

    async def remove(self, call: Call) -> None:
        code, client = call.path["group_code"], client_of(call.path["client_id"])
        if code == OWNERS_GROUP:
            raise refuse(RegistryCode.OWNERS_GLOBAL_GROUP_MEMBER_CANNOT_BE_DELETED)
        with self._context.change(call) as records:
            groups.need_group(records, code)
            need_client(records, client)
            if not groups.remove_group_member(records, code, client):
                raise refuse(RegistryCode.MEMBER_NOT_FOUND, client.encoded())


def _view(group: KeptGroup) -> GroupView:
    return GroupView(group.code, group.description, group.created_at, group.updated_at, group.member_count)


def _member_view(instance: str, r: GroupMemberRow) -> GroupMemberView:
    client = ClientId(instance, r.member_class, r.member_code, r.subsystem_code or None)
    return GroupMemberView(r.number, r.created_at, client_id_view(client), r.member_name)


def _type(row: GroupMemberRow) -> str:
    return "SUBSYSTEM" if row.subsystem_code else "MEMBER"


_ORDERS: dict[str, Callable[[GroupMemberRow], Any]] = {
    "id": lambda r: r.number,
    "name": lambda r: (r.member_name.lower(), r.number),
    "type": lambda r: (_type(r), r.number),
    "instance": lambda r: r.number,
    "class": lambda r: (r.member_class, r.number),
    "code": lambda r: (r.member_code, r.number),
    "subsystem": lambda r: (r.subsystem_code, r.number),
    "created_at": lambda r: (r.created_at, r.number),
}


def _is_match(row: GroupMemberRow, query: MembersFilter, instance: str) -> bool:
    return (
        matches(query.query, row.member_name, instance, row.member_class, row.member_code, row.subsystem_code)
        and query.member_class in (None, row.member_class)
        and query.instance in (None, instance)
        and (not query.codes or row.member_code in query.codes)
        and (not query.subsystems or row.subsystem_code in query.subsystems)
        and (not query.types or _type(row) in query.types)
    )
