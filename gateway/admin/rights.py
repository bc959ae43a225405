"""Access rights, seen from a client, from a service and from an endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from gateway.admin.context import AdminContext, client_id, instant, number_of, row
from gateway.admin.services import find_service
from gateway.admin.values import EncodedId, ServiceClient, Text
from schemas.identifiers import ClientId, GlobalGroupId, LocalGroupId
from schemas.numbers import whole_number
from serving.api.problems import Problem, bad_request, conflict, not_found

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.clients.model import Subject
    from gateway.clients.records import EndpointRecord, RightRecord
    from serving.api.operations import Call, Operation

Kind = Literal["GLOBALGROUP", "LOCALGROUP", "SUBSYSTEM"]


class ServiceClientItem(msgspec.Struct, frozen=True):
    """Who is granted or refused."""

    id: EncodedId
    name: str | None = None
    service_client_type: str | None = None


class ServiceClients(msgspec.Struct, frozen=True):
    """Who is granted or refused."""

    items: list[ServiceClientItem]


class AccessRightView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A service that is open to somebody."""

    service_code: str
    service_title: str | None = None
    rights_given_at: str | None = None


class AccessRightItem(msgspec.Struct, frozen=True):
    """A service to open or to close."""

    service_code: Text


class AccessRights(msgspec.Struct, frozen=True):
    """Services to open or to close."""

    items: list[AccessRightItem]


class CandidateQuery(msgspec.Struct, frozen=True):
    """The conditions of a search for subjects that could be granted a right; an unset one matches all."""

    member_name_group_description: str | None = None
    service_client_type: Kind | None = None
    instance: str | None = None
    member_class: str | None = None
    member_group_code: str | None = None
    subsystem_code: str | None = None


@dataclass(frozen=True, slots=True)
class RightResource:
    """The handlers of ``service-clients`` and ``access-rights``, below clients, services and endpoints."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        at_client = "/clients/{id}/service-clients"
        opened = at_client + "/{sc_id}/access-rights"
        service, endpoint = "/services/{id}/service-clients", "/endpoints/{id}/service-clients"
        clients = list[ServiceClient]
        return [
            row("GET", at_client, self.of_client, "Who has any right here", "VIEW_CLIENT_ACL_SUBJECTS",
                answer=clients),
            row("GET", at_client + "/{sc_id}", self.one_of_client, "One of them", "VIEW_CLIENT_ACL_SUBJECTS",
                answer=ServiceClient),
            row("GET", "/clients/{id}/service-client-candidates", self.candidates, "Who could be granted access",
                "VIEW_CLIENT_ACL_SUBJECTS", query=CandidateQuery, answer=clients),
            row("GET", opened, self.opened, "Services open to one", "VIEW_ACL_SUBJECT_OPEN_SERVICES",
                answer=list[AccessRightView]),
            row("POST", opened, self.open, "Open services to one", "EDIT_ACL_SUBJECT_OPEN_SERVICES",
                body=AccessRights, answer=list[AccessRightView], status=201, event="ADD_SERVICE_CLIENT_ACCESS_RIGHTS",
                scoped=True),
            row("POST", opened + "/delete", self.close, "Close services to one", "EDIT_ACL_SUBJECT_OPEN_SERVICES",
                body=AccessRights, status=204, event="REMOVE_SERVICE_CLIENT_ACCESS_RIGHTS", scoped=True),
            row("GET", service, self.of_service, "Who may use a service", "VIEW_SERVICE_ACL", answer=clients),
            row("POST", service, self.grant_service, "Grant a whole service", "EDIT_SERVICE_ACL",
                body=ServiceClients, answer=clients, event="ADD_SERVICE_ACCESS_RIGHTS", scoped=True),
            row("POST", service + "/delete", self.revoke_service, "Revoke", "EDIT_SERVICE_ACL",
                body=ServiceClients, status=204, event="REMOVE_SERVICE_ACCESS_RIGHTS", scoped=True),
            row("GET", endpoint, self.of_endpoint, "Who may use an endpoint", "VIEW_ENDPOINT_ACL", answer=clients),
            row("POST", endpoint, self.grant_endpoint, "Grant an endpoint", "EDIT_ENDPOINT_ACL",
                body=ServiceClients, answer=clients, status=201, event="ADD_ENDPOINT_ACCESS_RIGHTS", scoped=True),
            row("POST", endpoint + "/delete", self.revoke_endpoint, "Revoke", "EDIT_ENDPOINT_ACL",
                body=ServiceClients, status=204, event="REMOVE_ENDPOINT_ACCESS_RIGHTS", scoped=True),
        ]  # fmt: skip

    # From a client

    async def of_client(self, call: Call) -> list[ServiceClient]:
        client = self.context.client(call).id
        first: dict[Subject, RightRecord] = {}
        for right in self.context.view.rights.all(client):
            known = first.get(right.subject)
            if known is None or right.granted_at < known.granted_at:
                first[right.subject] = right
        return [self.view(client, s, instant(r.granted_at)) for s, r in first.items()]

    async def one_of_client(self, call: Call) -> ServiceClient:
        subject = self._subject(self.context.client(call).id, call.path["sc_id"])
        for found in await self.of_client(call):
            if found.id == self._id(self.context.client(call).id, subject):
                return found
        raise not_found("service_client_not_found", call.path["sc_id"])

    async def opened(self, call: Call) -> list[AccessRightView]:
        client = self.context.client(call).id
        return self._opened(client, self._subject(client, call.path["sc_id"]))

    async def open(self, call: Call) -> list[AccessRightView]:
        client = self.context.client(call).id
        subject = self._known_subject(client, call.path["sc_id"])
        codes = [i.service_code for i in call.body_as(AccessRights).items]
        self._check_codes(client, codes)
        async with self.context.change() as tables:
            for code in codes:
                tables.rights.grant(tables.endpoints.base(client, code), subject, call.now)
        return [r for r in self._opened(client, subject) if r.service_code in codes]

    async def close(self, call: Call) -> None:
        client = self.context.client(call).id
        subject = self._subject(client, call.path["sc_id"])
        codes = [i.service_code for i in call.body_as(AccessRights).items]
        self._check_codes(client, codes)
        async with self.context.change() as tables:
            for code in codes:
                endpoint = tables.endpoints.base(client, code)
                if not tables.rights.all(subject=subject, endpoint_id=endpoint.id):
                    raise conflict("accessright_not_found", code)
                tables.rights.revoke(endpoint, subject)

    async def candidates(self, call: Call) -> list[ServiceClient]:
        client, query = self.context.client(call).id, call.query_as(CandidateQuery)
        found = [self.view(client, s) for s in self._every_subject(client)]
        return [v for v in found if _matches(v, query)]

    # From a service or an endpoint

    async def of_service(self, call: Call) -> list[ServiceClient]:
        return self._of_endpoint(self._base(call))

    async def grant_service(self, call: Call) -> list[ServiceClient]:
        return await self._grant(call, self._base(call))

    async def revoke_service(self, call: Call) -> None:
        await self._revoke(call, self._base(call))

    async def of_endpoint(self, call: Call) -> list[ServiceClient]:
        return self._of_endpoint(self._endpoint(call))

    async def grant_endpoint(self, call: Call) -> list[ServiceClient]:
        return await self._grant(call, self._endpoint(call))

    async def revoke_endpoint(self, call: Call) -> None:
        await self._revoke(call, self._endpoint(call))

    def _base(self, call: Call) -> EndpointRecord:
        service = find_service(self.context, call.path["id"]).id
        self.context.check_client(call, service.client)
        return self.context.view.endpoints.base(service.client, service.service_code)

    def _endpoint(self, call: Call) -> EndpointRecord:
        found = self.context.view.endpoints.get(number_of(call.path["id"], "endpoint_not_found"))
        self.context.check_client(call, found.client)
        return found

    def _of_endpoint(self, endpoint: EndpointRecord) -> list[ServiceClient]:
        rights = self.context.view.rights.all(endpoint_id=endpoint.id)
        return [self.view(endpoint.client, r.subject, instant(r.granted_at)) for r in rights]

    async def _grant(self, call: Call, endpoint: EndpointRecord) -> list[ServiceClient]:
        subjects = self._body_subjects(call, endpoint.client)
        async with self.context.change() as tables:
            for subject in subjects:
                tables.rights.grant(endpoint, subject, call.now)
        return self._of_endpoint(endpoint)

    async def _revoke(self, call: Call, endpoint: EndpointRecord) -> None:
        subjects = [self._subject(endpoint.client, i.id, i.service_client_type) for i in _items(call)]
        async with self.context.change() as tables:
            for subject in subjects:
                tables.rights.revoke(endpoint, subject)

    def _body_subjects(self, call: Call, client: ClientId) -> list[Subject]:
        try:
            return [self._known_subject(client, i.id, i.service_client_type) for i in _items(call)]
        except Problem as problem:
            raise Problem(400, problem.code, problem.metadata) from problem

    # Subjects

    def _subject(self, client: ClientId, text: str, kind: str | None = None) -> Subject:
        """A local group by its number, a global group by INSTANCE:CODE, or a subsystem."""
        if kind not in (None, "GLOBALGROUP", "LOCALGROUP", "SUBSYSTEM"):
            raise bad_request("invalid_client_type", str(kind))
        parts = text.split(":")
        if kind in (None, "LOCALGROUP") and (number := whole_number(text)) is not None:
            group = next((g for g in self.context.view.groups.all(client) if g.id == number), None)
            if group is None:
                raise not_found("service_client_not_found", text)
            return LocalGroupId(group.code)
        if kind in (None, "GLOBALGROUP") and len(parts) == 2 and all(parts):
            return GlobalGroupId(*parts)
        if kind in (None, "SUBSYSTEM") and len(parts) == 4:
            return client_id(text)
        raise bad_request("invalid_service_client_id" if kind is None else "invalid_encoded_id", text)

    def _known_subject(self, client: ClientId, text: str, kind: str | None = None) -> Subject:
        """The same, being there: nobody is granted rights by a misspelt name."""
        subject = self._subject(client, text, kind)
        configuration = self.context.configuration()
        if isinstance(subject, GlobalGroupId):
            known = configuration.global_group(subject) is not None
        elif isinstance(subject, ClientId):
            known = configuration.known_member(subject) or self.context.view.clients.find(subject) is not None
        else:
            known = True
        if not known:
            raise not_found("service_client_not_found", text)
        return subject

    def _every_subject(self, client: ClientId) -> Iterable[Subject]:
        configuration = self.context.configuration()
        for instance in configuration.instances.values():
            yield from (c for c in instance.names if not c.is_member)
            yield from instance.groups
        yield from (LocalGroupId(g.code) for g in self.context.view.groups.all(client))

    def _id(self, client: ClientId, subject: Subject) -> str:
        if isinstance(subject, LocalGroupId):
            found = next(
                (g for g in self.context.view.groups.all(client) if g.code == subject.group_code), None
            )
            return str(found.id) if found else subject.group_code
        return subject.encoded()

    def view(self, client: ClientId, subject: Subject, since: str | None = None) -> ServiceClient:
        """A subject as the API shows it."""
        configuration = self.context.process.configuration()
        identifier = self._id(client, subject)
        if isinstance(subject, LocalGroupId):
            group = next(
                (g for g in self.context.view.groups.all(client) if g.code == subject.group_code), None
            )
            name = group.description if group else None
            return ServiceClient(identifier, name, subject.group_code, "LOCALGROUP", since)
        if isinstance(subject, GlobalGroupId):
            found = configuration.global_group(subject) if configuration else None
            return ServiceClient(identifier, found.description if found else None, None, "GLOBALGROUP", since)
        name = configuration.member_name(subject) if configuration else None
        return ServiceClient(identifier, name, None, "SUBSYSTEM", since)

    def _check_codes(self, client: ClientId, codes: Sequence[str]) -> None:
        known = {s.id.service_code for s in self.context.view.descriptions.services(client)}
        missing = [c for c in codes if c not in known]
        if missing:
            raise bad_request("service_not_found", *missing)

    def _opened(self, client: ClientId, subject: Subject) -> list[AccessRightView]:
        titles = {s.id.service_code: s.title for s in self.context.view.descriptions.services(client)}
        return [
            AccessRightView(code, titles.get(code) or None, instant(r.granted_at))
            for r in self.context.view.rights.all(client, subject=subject)
            if r.endpoint.endpoint.is_base
            for code in (r.endpoint.endpoint.service_code,)
        ]


def _items(call: Call) -> list[ServiceClientItem]:
    return call.body_as(ServiceClients).items


def _matches(view: ServiceClient, query: CandidateQuery) -> bool:
    if query.service_client_type not in (None, view.service_client_type):
        return False
    parts = view.id.split(":")
    is_client = view.service_client_type == "SUBSYSTEM"
    pairs = (
        (query.member_name_group_description, view.name),
        (query.instance, parts[0] if len(parts) > 1 else None),
        (query.member_class, parts[1] if is_client else None),
        (query.member_group_code, parts[2] if is_client else view.local_group_code or parts[-1]),
        (query.subsystem_code, parts[3] if is_client else None),
    )
    return all(searched is None or searched.lower() in (found or "").lower() for searched, found in pairs)
