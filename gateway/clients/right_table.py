"""Endpoints, the rights granted on them, and local groups, in the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from gateway.clients.model import Endpoint
from gateway.clients.records import EndpointRecord, GroupMember, GroupRecord, RightRecord
from gateway.refusals import GatewayCode
from gateway.rows import (
    ROWS_TOGETHER,
    client_of,
    insert_all,
    instant,
    matching,
    next_id,
    next_ids,
    readable,
    seconds,
)
from schemas.identifiers import GlobalGroupId, LocalGroupId
from schemas.names import check_code, check_text
from serving.errors import Refused
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.clients.model import Subject
    from gateway.rows import Run
    from schemas.identifiers import ClientId

_ENDPOINT = "SELECT id, client_id, service_code, method, path, generated FROM endpoint"
_RIGHT = (
    "SELECT e.id, e.client_id, e.service_code, e.method, e.path, e.generated, r.subject_type, r.subject, r.granted_at "
    "FROM granted_right r JOIN endpoint e ON e.id = r.endpoint_id"
)
_GROUP = "SELECT id, client_id, code, description, updated_at FROM client_group"


class Endpoints:
    """Endpoints of services. Each service code has a base endpoint (``*`` ``**``) that stands for the whole."""

    def __init__(self, rows: Run) -> None:
        self._rows = rows

    def all(
        self, client: ClientId | None = None, service_code: str | None = None
    ) -> tuple[EndpointRecord, ...]:
        """Endpoints, base endpoints among them, in the order of code, path and method."""
        where, values = matching(
            ("client_id", None if client is None else client.path()), ("service_code", service_code)
        )
        found = self._rows(_ENDPOINT + where + " ORDER BY client_id, service_code, path, method", values)
        return tuple(readable("endpoint", found, _endpoint))

    def known(self) -> tuple[tuple[ClientId, Endpoint], ...]:
        """Every client's endpoints as an exchange sees them, in the order of `all`."""
        found = self._rows(
            "SELECT client_id, service_code, method, path FROM endpoint ORDER BY client_id, service_code, path, method",
            (),
        )
        return tuple(readable("endpoint", found, lambda row: (client_of(row[0]), Endpoint(*row[1:]))))

    def get(self, number: int) -> EndpointRecord:
        """One endpoint. Refused (``endpoint_not_found``) when there is none."""
        found = self._rows(_ENDPOINT + " WHERE id = ?", (number,))
        if not found:
            raise Refused(GatewayCode.ENDPOINT_NOT_FOUND, N_("there is no endpoint {number}", number=number))
        return _endpoint(found[0])

    def find(self, client: ClientId, endpoint: Endpoint) -> EndpointRecord | None:
        """The endpoint by what it is, or None."""
        found = self._rows(
            _ENDPOINT + " WHERE client_id = ? AND service_code = ? AND method = ? AND path = ?",
            (client.path(), endpoint.service_code, endpoint.method, endpoint.path),
        )
        return _endpoint(found[0]) if found else None

    def base(self, client: ClientId, service_code: str) -> EndpointRecord:
        """The endpoint that stands for the whole service. Refused (``base_endpoint_not_found``) without one."""
        found = self.find(client, Endpoint(service_code))
        if found is None:
            raise Refused(
                GatewayCode.BASE_ENDPOINT_NOT_FOUND,
                N_("{client} has no service {service_code}", client=client.path(), service_code=service_code),
            )
        return found

    def add(self, client: ClientId, endpoint: Endpoint, *, generated: bool) -> EndpointRecord:
        """Add an endpoint. Refused (``endpoint_already_exists``) when the service has it."""
        if self.find(client, endpoint) is not None:
            raise Refused(
                GatewayCode.ENDPOINT_ALREADY_EXISTS,
                N_(
                    "service {service_code} has the endpoint {method} {endpoint} already",
                    service_code=endpoint.service_code,
                    method=endpoint.method,
                    endpoint=endpoint.path,
                ),
            )
        number = next_id(self._rows, "endpoint")
        self._rows(
            "INSERT INTO endpoint (id, client_id, service_code, method, path, generated) VALUES (?, ?, ?, ?, ?, ?)",
            (number, client.path(), endpoint.service_code, endpoint.method, endpoint.path, int(generated)),
        )
        return EndpointRecord(number, client, endpoint, generated)

    def ensure(self, client: ClientId, endpoint: Endpoint, *, generated: bool) -> EndpointRecord:
        """The endpoint, added when it was not there."""
        return self.find(client, endpoint) or self.add(client, endpoint, generated=generated)

    def ensure_all(self, client: ClientId, endpoints: Sequence[Endpoint], *, generated: bool) -> None:
        """Add the endpoints that are not there, at once."""
        there = {record.endpoint for record in self.all(client)}
        missing = [e for e in dict.fromkeys(endpoints) if e not in there]
        numbers = next_ids(self._rows, "endpoint", len(missing))
        rows = [
            (number, client.path(), e.service_code, e.method, e.path, int(generated))
            for number, e in zip(numbers, missing, strict=True)
        ]
        columns = ("id", "client_id", "service_code", "method", "path", "generated")
        insert_all(self._rows, "endpoint", columns, rows)

    def update(self, number: int, method: str, path: str) -> EndpointRecord:
        """Change a hand-made endpoint; its rights stay. Refused (``illegal_generated_endpoint_update``) otherwise."""
        record = self.get(number)
        if record.generated:
            raise Refused(
                GatewayCode.ILLEGAL_GENERATED_ENDPOINT_UPDATE,
                N_("the endpoint comes from the service's description"),
            )
        changed = Endpoint(record.endpoint.service_code, method, path)
        there = self.find(record.client, changed)
        if there is not None and there.id != number:
            raise Refused(
                GatewayCode.ENDPOINT_ALREADY_EXISTS,
                N_("the endpoint {method} {path} is there already", method=method, path=path),
            )
        self._rows("UPDATE endpoint SET method = ?, path = ? WHERE id = ?", (method, path, number))
        return msgspec.structs.replace(record, endpoint=changed)

    def set_generated(self, number: int, *, generated: bool) -> None:
        """Whether the endpoint goes with the description."""
        self._rows("UPDATE endpoint SET generated = ? WHERE id = ?", (int(generated), number))

    def set_code(self, client: ClientId, old: str, new: str) -> None:
        """Carry every endpoint, and so every right, of a service to its new code, and put that under the policy of the old.

        The old code stays under it too, as that of a service that was removed does: whoever takes it again is not without a policy.
        """
        self._rows(
            "UPDATE endpoint SET service_code = ? WHERE client_id = ? AND service_code = ?",
            (new, client.path(), old),
        )
        self._rows(
            "INSERT INTO service_policy (client_id, service_code, policy_id, excess) "
            "SELECT client_id, ?, policy_id, excess FROM service_policy WHERE client_id = ? AND service_code = ? "
            "ON CONFLICT (client_id, service_code) DO UPDATE SET policy_id = excluded.policy_id, excess = excluded.excess",
            (new, client.path(), old),
        )

    def remove(self, number: int) -> None:
        """Delete an endpoint and its rights."""
        self.remove_all([number])

    def remove_all(self, numbers: Sequence[int]) -> None:
        """Delete endpoints and their rights, hundreds with a statement."""
        for begin in range(0, len(numbers), ROWS_TOGETHER):
            piece = numbers[begin : begin + ROWS_TOGETHER]
            self._rows(f"DELETE FROM endpoint WHERE id IN ({', '.join('?' * len(piece))})", piece)


class RightTable:
    """Who may use which endpoint."""

    def __init__(self, rows: Run) -> None:
        self._rows = rows

    def all(
        self,
        client: ClientId | None = None,
        *,
        subject: Subject | None = None,
        endpoint_id: int | None = None,
        services: Sequence[str] = (),
    ) -> tuple[RightRecord, ...]:
        """Rights of a provider, of a subject, on an endpoint, to services of some codes, or all."""
        where, values = matching(
            ("e.client_id", None if client is None else client.path()),
            ("r.subject_type", None if subject is None else subject.object_type),
            ("r.subject", None if subject is None else subject.path()),
            ("e.id", endpoint_id),
        )
        if services:
            marks = ", ".join("?" * len(services))
            where += f"{' AND' if where else ' WHERE'} e.service_code IN ({marks})"
        found = self._rows(_RIGHT + where + " ORDER BY e.id, r.subject_type, r.subject", (*values, *services))
        return tuple(readable("granted_right", found, _right))

    def grant(self, endpoint: EndpointRecord, subject: Subject, now: datetime) -> RightRecord:
        """Grant a right. Refused (``duplicate_accessright``) when it is held."""
        if self.all(subject=subject, endpoint_id=endpoint.id):
            raise Refused(
                GatewayCode.DUPLICATE_ACCESSRIGHT,
                N_(
                    "{subject} has this right on {service_code} already",
                    subject=subject,
                    service_code=endpoint.endpoint.service_code,
                ),
            )
        self._rows(
            "INSERT INTO granted_right (endpoint_id, subject_type, subject, granted_at) VALUES (?, ?, ?, ?)",
            (endpoint.id, subject.object_type, subject.path(), seconds(now)),
        )
        return RightRecord(endpoint, subject, instant(seconds(now)))

    def revoke(self, endpoint: EndpointRecord, subject: Subject) -> None:
        """Take a right back. Refused (``accessright_not_found``) when it was not held."""
        if not self.all(subject=subject, endpoint_id=endpoint.id):
            raise Refused(
                GatewayCode.ACCESSRIGHT_NOT_FOUND,
                N_(
                    "{subject} has no right on {service_code} here",
                    subject=subject,
                    service_code=endpoint.endpoint.service_code,
                ),
            )
        self._rows(
            "DELETE FROM granted_right WHERE endpoint_id = ? AND subject_type = ? AND subject = ?",
            (endpoint.id, subject.object_type, subject.path()),
        )


class LocalGroupTable:
    """The local groups of clients and their members."""

    def __init__(self, rows: Run) -> None:
        self._rows = rows

    def all(self, owner: ClientId | None = None) -> tuple[GroupRecord, ...]:
        """The groups of a client, or of all, with their members."""
        members: dict[int, list[GroupMember]] = {}
        belonging = self._rows(
            "SELECT group_id, member, added_at FROM client_group_member ORDER BY group_id, member", ()
        )
        for group, member in readable("client_group_member", belonging, _member):
            members.setdefault(group, []).append(member)
        found = self._rows(_GROUP + " ORDER BY client_id, code", ())
        groups = (
            msgspec.structs.replace(group, members=tuple(members.get(group.id, ())))
            for group in readable("client_group", found, _group)
        )
        return tuple(g for g in groups if owner in (None, g.owner))

    def get(self, number: int) -> GroupRecord:
        """One group. Refused (``local_group_not_found``) when there is none."""
        found = next((g for g in self.all() if g.id == number), None)
        if found is None:
            raise Refused(
                GatewayCode.LOCAL_GROUP_NOT_FOUND, N_("there is no local group {number}", number=number)
            )
        return found

    def add(self, owner: ClientId, code: str, description: str, now: datetime) -> GroupRecord:
        """Make a group. Refused (``local_group_code_already_exists``) when its owner has one of this code."""
        check_code(code, f"local group: the code {code!r}")
        check_text(description, f"local group {code}: the description")
        if any(g.code == code for g in self.all(owner)):
            raise Refused(
                GatewayCode.LOCAL_GROUP_CODE_ALREADY_EXISTS,
                N_("{owner} has a group {code} already", owner=owner.path(), code=code),
            )
        number = next_id(self._rows, "group")
        self._rows(
            "INSERT INTO client_group (id, client_id, code, description, updated_at) VALUES (?, ?, ?, ?, ?)",
            (number, owner.path(), code, description, seconds(now)),
        )
        return self.get(number)

    def set_description(self, number: int, description: str, now: datetime) -> None:
        """Say otherwise what the group is for."""
        check_text(description, f"local group {number}: the description")
        self.get(number)
        self._rows(
            "UPDATE client_group SET description = ?, updated_at = ? WHERE id = ?",
            (description, seconds(now), number),
        )

    def remove(self, number: int) -> None:
        """Delete a group with the rights granted to it."""
        group = self.get(number)
        self._rows(
            "DELETE FROM granted_right WHERE subject_type = ? AND subject = ? "
            "AND endpoint_id IN (SELECT id FROM endpoint WHERE client_id = ?)",
            (LocalGroupId.object_type, group.code, group.owner.path()),
        )
        self._rows("DELETE FROM client_group WHERE id = ?", (number,))

    def add_member(self, number: int, member: ClientId, now: datetime) -> None:
        """Put a client in. Refused (``local_group_member_already_exists``) when it is in."""
        group = self.get(number)
        if member in {m.id for m in group.members}:
            raise Refused(
                GatewayCode.LOCAL_GROUP_MEMBER_ALREADY_EXISTS,
                N_("{member} is in group {group} already", member=member.path(), group=group.code),
            )
        self._rows(
            "INSERT INTO client_group_member (group_id, member, added_at) VALUES (?, ?, ?)",
            (number, member.path(), seconds(now)),
        )
        self._touch(number, now)

    def remove_member(self, number: int, member: ClientId, now: datetime) -> None:
        """Take a client out. Refused (``local_group_member_not_found``) when it is not in."""
        group = self.get(number)
        if member not in {m.id for m in group.members}:
            raise Refused(
                GatewayCode.LOCAL_GROUP_MEMBER_NOT_FOUND,
                N_("{member} is not in group {group}", member=member.path(), group=group.code),
            )
        self._rows(
            "DELETE FROM client_group_member WHERE group_id = ? AND member = ?", (number, member.path())
        )
        self._touch(number, now)

    def _touch(self, number: int, now: datetime) -> None:
        self._rows("UPDATE client_group SET updated_at = ? WHERE id = ?", (seconds(now), number))


def _endpoint(row: tuple[Any, ...]) -> EndpointRecord:
    number, client, code, method, path, generated = row
    return EndpointRecord(number, client_of(client), Endpoint(code, method, path), bool(generated))


def _right(row: tuple[Any, ...]) -> RightRecord:
    return RightRecord(_endpoint(row[:6]), _subject_of(row[6], row[7]), instant(row[8]))


def _member(row: tuple[Any, ...]) -> tuple[int, GroupMember]:
    group, member, added_at = row
    return group, GroupMember(client_of(member), instant(added_at))


def _group(row: tuple[Any, ...]) -> GroupRecord:
    number, owner, code, description, updated_at = row
    return GroupRecord(number, client_of(owner), code, description, instant(updated_at))


def _subject_of(kind: str, subject: str) -> Subject:
    """The holder of a right from its stored type and path."""
    if kind == GlobalGroupId.object_type:
        return GlobalGroupId(*subject.split("/"))
    if kind == LocalGroupId.object_type:
        return LocalGroupId(subject)
    return client_of(subject)
