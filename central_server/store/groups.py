"""Global groups. The owners' group is there from the start and is kept by the rules alone, never by hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from central_server.registry.model import OWNERS_DESCRIPTION, OWNERS_GROUP
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store.members import KeptClient, find_client, kept_client, need_client
from schemas.names import check_code, check_name

if TYPE_CHECKING:
    from central_server.store.records import Records
    from schemas.identifiers import ClientId


@dataclass(frozen=True, slots=True)
class KeptGroup:
    """A global group with its row's number."""

    number: int
    code: str
    description: str
    created_at: str
    updated_at: str
    member_count: int


@dataclass(frozen=True, slots=True)
class KeptGroupMember:
    """A member or subsystem in a group."""

    number: int
    client: KeptClient
    created_at: str


_SELECT = (
    "SELECT id, code, description, created_at, updated_at, "
    "(SELECT count(*) FROM group_member m WHERE m.group_id = g.id) FROM global_group g"
)


def list_groups(records: Records) -> list[KeptGroup]:
    """Every global group, by code."""
    return [KeptGroup(*row) for row in records.rows(f"{_SELECT} ORDER BY code")]


def find_group(records: Records, code: str) -> KeptGroup | None:
    """The global group of that code; None when there is none."""
    row = records.row(f"{_SELECT} WHERE code = ?", code)
    return None if row is None else KeptGroup(*row)


def need_group(records: Records, code: str) -> KeptGroup:
    """The global group of that code. Raises `Refused` (``global_group_not_found``)."""
    found = find_group(records, code)
    if found is None:
        raise refuse(RegistryCode.GLOBAL_GROUP_NOT_FOUND, code)
    return found


def add_group(records: Records, code: str, description: str) -> KeptGroup:
    """Add a new, empty group. Raises `Refused` (``global_group_exists``)."""
    check_code(code, f"global group: the code {code!r}")
    check_name(description, f"global group {code}: the description")
    if find_group(records, code) is not None:
        raise refuse(RegistryCode.GLOBAL_GROUP_EXISTS, code)
    records.insert(
        "global_group", code=code, description=description, created_at=records.at, updated_at=records.at
    )
    records.note("ADD_GLOBAL_GROUP", code, after=[f"description {description}"])
    return need_group(records, code)


def add_owners_group(records: Records) -> None:
    """The group of security server owners, unless it is there."""
    if find_group(records, OWNERS_GROUP) is None:
        add_group(records, OWNERS_GROUP, OWNERS_DESCRIPTION)


def describe_group(records: Records, code: str, description: str) -> KeptGroup:
    """Change the description of a group. Raises `Refused` (``global_group_not_found``)."""
    check_name(description, f"global group {code}: the description")
    found = need_group(records, code)
    records.rows(
        "UPDATE global_group SET description = ?, updated_at = ? WHERE id = ?",
        description,
        records.at,
        found.number,
    )
    records.note(
        "EDIT_GLOBAL_GROUP_DESCRIPTION",
        code,
        before=[f"description {found.description}"],
        after=[f"description {description}"],
    )
    return need_group(records, code)


def delete_group(records: Records, code: str) -> None:
    """Remove a group; its members stay members. Raises `Refused` (``owners_global_group_cannot_be_deleted``)."""
    if code == OWNERS_GROUP:
        raise refuse(RegistryCode.OWNERS_GLOBAL_GROUP_CANNOT_BE_DELETED)
    found = need_group(records, code)
    members = group_members(records, found)
    records.rows("DELETE FROM group_member WHERE group_id = ?", found.number)
    records.rows("DELETE FROM global_group WHERE id = ?", found.number)
    records.note("DELETE_GLOBAL_GROUP", code, before=[f"member {m.client.id.encoded()}" for m in members])


def group_members(records: Records, group: KeptGroup) -> list[KeptGroupMember]:
    """Who is in a group."""
    rows = records.rows(
        "SELECT m.id, m.created_at, c.id, c.member_class, c.member_code, c.subsystem_code, c.name "
        "FROM group_member m JOIN client c ON c.id = m.client_id WHERE m.group_id = ? ORDER BY m.id",
        group.number,
    )
    return [KeptGroupMember(int(r[0]), kept_client(records.instance, r[2:]), r[1]) for r in rows]


class GroupMemberRow(NamedTuple):
    """A member or subsystem (``subsystem_code`` empty for a member) of a group, with its member's name; for searches among thousands."""

    number: int
    created_at: str
    member_class: str
    member_code: str
    subsystem_code: str
    member_name: str


_MEMBERS = (
    "SELECT m.id, m.created_at, c.member_class, c.member_code, c.subsystem_code, COALESCE(o.name, '') "
    "FROM group_member m JOIN client c ON c.id = m.client_id "
    "JOIN client o ON o.member_class = c.member_class AND o.member_code = c.member_code AND o.subsystem_code = '' "
)


_PAGE = "SELECT id FROM (SELECT id FROM group_member WHERE group_id = ? ORDER BY id LIMIT ? OFFSET ?) AS page"


def group_member_rows(records: Records, group: KeptGroup) -> list[GroupMemberRow]:
    """Every member of a group, in the order they joined."""
    rows = records.rows(f"{_MEMBERS} WHERE m.group_id = ? ORDER BY m.id", group.number)
    return [GroupMemberRow._make(r) for r in rows]


def page_of_group_members(records: Records, group: KeptGroup, limit: int, start: int) -> list[GroupMemberRow]:
    """Some members of a group, in the order they joined; ``group.member_count`` says how many there are."""
    # The page is chosen among numbers alone; names are joined to the rows of the page.
    rows = records.rows(f"{_MEMBERS} WHERE m.id IN ({_PAGE}) ORDER BY m.id", group.number, limit, start)
    return [GroupMemberRow._make(r) for r in rows]


def groups_of(records: Records, member: ClientId) -> list[tuple[str, str | None, str]]:
    """Group, subsystem (None for the member itself) and since when, for a member and its subsystems."""
    rows = records.rows(
        "SELECT g.code, c.subsystem_code, m.created_at FROM group_member m JOIN global_group g ON g.id = m.group_id "
        "JOIN client c ON c.id = m.client_id WHERE c.member_class = ? AND c.member_code = ? "
        "ORDER BY g.code, c.subsystem_code",
        member.member_class,
        member.member_code,
    )
    return [(r[0], r[1] or None, r[2]) for r in rows]


def add_group_member(records: Records, code: str, client: ClientId) -> bool:
    """Put a member or subsystem into a group; whether it was not there."""
    group, found = need_group(records, code), need_client(records, client)
    if records.row(
        "SELECT id FROM group_member WHERE group_id = ? AND client_id = ?", group.number, found.number
    ):
        return False
    records.insert("group_member", group_id=group.number, client_id=found.number, created_at=records.at)
    records.note("ADD_GLOBAL_GROUP_MEMBERS", code, after=[f"member {client.encoded()}"])
    return True


def remove_group_member(records: Records, code: str, client: ClientId) -> bool:
    """Take a member or subsystem out of a group; whether it was there."""
    group, found = find_group(records, code), find_client(records, client)
    if group is None or found is None:
        return False
    row = records.row(
        "SELECT id FROM group_member WHERE group_id = ? AND client_id = ?", group.number, found.number
    )
    if row is None:
        return False
    records.rows("DELETE FROM group_member WHERE id = ?", row[0])
    records.note("DELETE_GLOBAL_GROUP_MEMBER", code, before=[f"member {client.encoded()}"])
    return True
