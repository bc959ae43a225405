"""Member classes, members and subsystems: kept, changed and asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from central_server.registry.refusals import RegistryCode, refuse
from central_server.store.records import read_rows
from schemas.identifiers import ClientId, check_identifier
from schemas.names import check_code, check_name
from serving.language import N_

if TYPE_CHECKING:
    from central_server.store.records import Records
    from serving.language import Translatable


@dataclass(frozen=True, slots=True)
class KeptClient:
    """A member or a subsystem with its number; a subsystem may have no name of its own."""

    number: int
    id: ClientId
    name: str | None


_SELECT = "SELECT id, member_class, member_code, subsystem_code, name FROM client"


def kept_client(instance: str, row: tuple[int, str, str, str, str | None]) -> KeptClient:
    """A row of ``client`` as a value."""
    return KeptClient(int(row[0]), ClientId(instance, row[1], row[2], row[3] or None), row[4])


def find_client(records: Records, client: ClientId) -> KeptClient | None:
    """A member or subsystem, or None."""
    if client.instance != records.instance:
        return None
    row = records.row(
        f"{_SELECT} WHERE member_class = ? AND member_code = ? AND subsystem_code = ?",
        client.member_class,
        client.member_code,
        client.subsystem_code or "",
    )
    return None if row is None else kept_client(records.instance, row)


def need_client(records: Records, client: ClientId) -> KeptClient:
    """A member or subsystem. Raises `Refused`."""
    found = find_client(records, client)
    if found is None:
        raise refuse(
            RegistryCode.MEMBER_NOT_FOUND if client.is_member else RegistryCode.SUBSYSTEM_NOT_FOUND,
            client.encoded(),
        )
    return found


def list_clients(records: Records, faults: list[Translatable] | None = None) -> list[KeptClient]:
    """Every member, each before its subsystems. With ``faults`` a row that names nothing is said there and left out."""
    rows = records.rows(f"{_SELECT} ORDER BY member_class, member_code, subsystem_code")
    return read_rows(records, "client", rows, lambda row: kept_client(records.instance, row), faults)


class ClientRow(NamedTuple):
    """A member or subsystem (``subsystem_code`` empty for a member) for a search among tens of thousands, where no identifier is made of each."""

    number: int
    member_class: str
    member_code: str
    subsystem_code: str
    name: str | None
    member_name: str
    # Everything a free text is looked for in, in small letters, apart by a sign that no text holds.
    searched: str

    @property
    def key(self) -> tuple[str, str, str]:
        """The columns that tell one client from another."""
        return self.member_class, self.member_code, self.subsystem_code


def client_rows(records: Records) -> list[ClientRow]:
    """Every member and subsystem, by number."""
    found = records.rows(f"{_SELECT} ORDER BY id")
    names = {(r[1], r[2]): r[4] or "" for r in found if not r[3]}
    instance = records.instance
    owners = [names[r[1], r[2]] for r in found]
    texts = [
        f"{instance}\0{r[1]}\0{r[2]}\0{r[3]}\0{o}\0{r[4] or ''}".lower()
        for r, o in zip(found, owners, strict=True)
    ]
    return [ClientRow._make((*r, o, t)) for r, o, t in zip(found, owners, texts, strict=True)]


def page_of_clients(
    records: Records, object_type: str | None, limit: int, start: int
) -> tuple[int, list[tuple[KeptClient, str]]]:
    """The number of members, subsystems or (None) both, and ``limit`` of them from ``start`` on by number, each with its member's name."""
    where = {None: "1 = 1", "MEMBER": "c.subsystem_code = ''", "SUBSYSTEM": "c.subsystem_code <> ''"}[
        object_type
    ]
    total = records.rows(f"SELECT COUNT(*) FROM client c WHERE {where}")[0][0]
    rows = records.rows(
        "SELECT c.id, c.member_class, c.member_code, c.subsystem_code, c.name, m.name FROM client c "
        "JOIN client m ON m.member_class = c.member_class AND m.member_code = c.member_code AND m.subsystem_code = '' "
        f"WHERE {where} ORDER BY c.id LIMIT ? OFFSET ?",
        limit,
        start,
    )
    return int(total), [(kept_client(records.instance, r[:5]), r[5] or "") for r in rows]


def subsystems_of(records: Records, member: ClientId) -> list[KeptClient]:
    """The subsystems of a member, by code."""
    rows = records.rows(
        f"{_SELECT} WHERE member_class = ? AND member_code = ? AND subsystem_code <> '' ORDER BY subsystem_code",
        member.member_class,
        member.member_code,
    )
    return [kept_client(records.instance, row) for row in rows]


def count_by_class(records: Records) -> list[tuple[str, int, int]]:
    """Each member class that has members, with how many members and how many subsystems it has."""
    rows = records.rows(
        "SELECT member_class, SUM(CASE WHEN subsystem_code = '' THEN 1 ELSE 0 END), "
        "SUM(CASE WHEN subsystem_code = '' THEN 0 ELSE 1 END) FROM client GROUP BY member_class ORDER BY member_class"
    )
    return [(str(r[0]), int(r[1]), int(r[2])) for r in rows]


def name_of_member(records: Records, member: ClientId) -> str:
    """The name of one member; empty where there is none."""
    found = find_client(records, member)
    return "" if found is None else found.name or ""


def names_of_members(records: Records) -> dict[tuple[str, str], str]:
    """The name of every member, by class and code."""
    rows = records.rows("SELECT member_class, member_code, name FROM client WHERE subsystem_code = ''")
    return {(r[0], r[1]): r[2] or "" for r in rows}


# Member classes


def list_member_classes(records: Records) -> list[tuple[str, str]]:
    """Code and description of every class."""
    return [(r[0], r[1]) for r in records.rows("SELECT code, description FROM member_class ORDER BY code")]


def member_class_description(records: Records, code: str) -> str:
    """A class's description. Raises `Refused`."""
    row = records.row("SELECT description FROM member_class WHERE code = ?", code)
    if row is None:
        text = N_(
            "there is no member class {code}; there are: {known}",
            code=code,
            known=", ".join(known for known, _description in list_member_classes(records)) or "-",
        )
        raise refuse(
            RegistryCode.MEMBER_CLASS_NOT_FOUND,
            "code",
            code,
            text=text or N_("there is no member class {code}", code=code),
        )
    return str(row[0])


def add_member_class(records: Records, code: str, description: str) -> None:
    """A new class. Raises `Refused` when there is one of that code."""
    check_code(code, f"member class: the code {code!r}")
    check_name(description, f"member class {code}: the description")
    if records.row("SELECT code FROM member_class WHERE code = ?", code):
        raise refuse(RegistryCode.MEMBER_CLASS_EXISTS, code)
    records.rows("INSERT INTO member_class (code, description) VALUES (?, ?)", code, description)
    records.note("ADD_MEMBER_CLASS", code, after=[f"description {description}"])


def describe_member_class(records: Records, code: str, description: str) -> None:
    """Change the description of a member class. Raises `Refused` (``member_class_not_found``)."""
    check_name(description, f"member class {code}: the description")
    old = member_class_description(records, code)
    records.rows("UPDATE member_class SET description = ? WHERE code = ?", description, code)
    records.note(
        "EDIT_MEMBER_CLASS", code, before=[f"description {old}"], after=[f"description {description}"]
    )


def delete_member_class(records: Records, code: str) -> None:
    """Remove a class that no member has. Raises `Refused` (``member_class_is_in_use``)."""
    old = member_class_description(records, code)
    if records.row("SELECT id FROM client WHERE member_class = ?", code):
        raise refuse(RegistryCode.MEMBER_CLASS_IS_IN_USE, code)
    records.rows("DELETE FROM member_class WHERE code = ?", code)
    records.note("DELETE_MEMBER_CLASS", code, before=[f"description {old}"])


# Members and subsystems


def add_member(records: Records, member: ClientId, name: str) -> KeptClient:
    """A new member. Raises `Refused` when it is there already or its class is not."""
    member_class_description(records, member.member_class)
    if find_client(records, member):
        raise refuse(RegistryCode.MEMBER_EXISTS, member.encoded())
    return _add(records, member, name, "ADD_MEMBER")


def add_subsystem(records: Records, subsystem: ClientId, name: str | None) -> KeptClient:
    """A new subsystem of a member that is there. Raises `Refused` (``subsystem_exists``)."""
    need_client(records, subsystem.member)
    if find_client(records, subsystem):
        raise refuse(RegistryCode.SUBSYSTEM_EXISTS, subsystem.encoded())
    return _add(records, subsystem, name, "ADD_SUBSYSTEM")


def _add(records: Records, client: ClientId, name: str | None, event: str) -> KeptClient:
    check_identifier(client, "member" if client.is_member else "subsystem")
    if client.instance != records.instance:
        raise refuse(
            RegistryCode.INVALID_MEMBER_ID,
            client.encoded(),
            text=N_(
                "{path} is not of this registry's instance, {instance}",
                path=client.path(),
                instance=records.instance,
            ),
        )
    _check_name(client, name)
    number = records.insert(
        "client",
        member_class=client.member_class,
        member_code=client.member_code,
        subsystem_code=client.subsystem_code or "",
        name=name,
        created_at=records.at,
        updated_at=records.at,
    )
    records.note(event, client.encoded(), after=[] if name is None else [f"name {name}"])
    return KeptClient(number, client, name)


def _check_name(client: ClientId, name: str | None) -> None:
    if name is not None:
        check_name(name, f"{client.path()}: the name")


def rename_client(records: Records, client: ClientId, name: str | None) -> KeptClient:
    """Give a member or subsystem another name."""
    _check_name(client, name)
    found = need_client(records, client)
    records.rows("UPDATE client SET name = ?, updated_at = ? WHERE id = ?", name, records.at, found.number)
    event = "EDIT_MEMBER_NAME" if client.is_member else "EDIT_SUBSYSTEM"
    records.note(event, client.encoded(), before=[f"name {found.name}"], after=[f"name {name}"])
    return KeptClient(found.number, client, name)


def delete_subsystem(records: Records, subsystem: ClientId) -> None:
    """Remove a subsystem that no server has as its client; it leaves its groups.

    Raises `Refused` (``subsystem_registered_and_cannot_be_deleted``).
    """
    found = need_client(records, subsystem)
    if records.row("SELECT server_id FROM server_client WHERE client_id = ?", found.number):
        raise refuse(RegistryCode.SUBSYSTEM_REGISTERED_AND_CANNOT_BE_DELETED, subsystem.encoded())
    _delete(records, found, "DELETE_SUBSYSTEM")


def delete_member_rows(records: Records, member: ClientId) -> None:
    """Remove a member and its subsystems, which no server may own or have as clients any more."""
    for subsystem in subsystems_of(records, member):
        delete_subsystem(records, subsystem.id)
    _delete(records, need_client(records, member), "DELETE_MEMBER")


def _delete(records: Records, found: KeptClient, event: str) -> None:
    records.rows("DELETE FROM group_member WHERE client_id = ?", found.number)
    records.rows("DELETE FROM client WHERE id = ?", found.number)
    records.note(event, found.id.encoded(), before=[f"name {found.name}"])
