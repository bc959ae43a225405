"""Management requests: listed, made from the centre (or, by machines, for a server), approved, declined."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Annotated

import msgspec

from central_server.admin.context import MadeOnce, row
from central_server.admin.values import (
    ClientIdView,
    Encoded,
    Limit,
    Offset,
    PagingMetadata,
    ServerIdView,
    client_id_view,
    client_of,
    number_of,
    page_of,
    server_id_view,
    server_of,
)
from central_server.management import requests as rules
from central_server.management.trusted import is_auth_certificate
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store import requests as kept
from central_server.store.members import find_client, names_of_members
from central_server.store.requests import KeptRequest, NewRequest, RequestOrigin, RequestType
from certs.certificatefiles import read_certificate_der
from schemas.faults import Fault
from serving.api.certificateview import CertificateDetails, certificate_details
from serving.api.operations import ApiAnswer
from serving.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from central_server.admin.context import CentralAdminContext
    from central_server.store.records import Records
    from central_server.store.requests import RequestRow
    from schemas.identifiers import ClientId
    from serving.api.operations import Call, Operation

_DECIDED = {
    RequestType.AUTH_CERT_REGISTRATION: "AUTH_CERT_REGISTRATION_REQUEST",
    RequestType.CLIENT_REGISTRATION: "CLIENT_REGISTRATION_REQUEST",
    RequestType.OWNER_CHANGE: "OWNER_CHANGE_REQUEST",
}


class RequestsQuery(msgspec.Struct, frozen=True):
    """The query for management requests; ``types`` may be repeated or separated by commas."""

    query: str | None = None
    q: str | None = None
    origin: str | None = None
    types: str | None = None
    status: str | None = None
    # The name X-Road's binder listens to.
    server_id_of_binder: str | None = msgspec.field(default=None, name="serverId")
    server_id: str | None = None
    sort: str | None = None
    desc: bool = False
    limit: Limit = 25
    offset: Offset = 0


class RequestBody(msgspec.Struct, frozen=True):
    """A request to be made; which fields count depends on ``type``."""

    type: str
    origin: str
    security_server_id: Encoded
    client_id: Encoded | None = None
    server_address: str | None = None
    authentication_certificate: Annotated[str, msgspec.Meta(max_length=65_536)] | None = None
    subsystem_name: str | None = None
    message: str | None = None
    comments: str | None = None


class RequestView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A request, as the answer to making or approving it."""

    id: int
    type: str
    origin: str
    security_server_id: str
    status: str
    created_at: str
    updated_at: str
    security_server_owner: str | None = None
    client_id: str | None = None
    server_address: str | None = None
    subsystem_name: str | None = None


class RequestListItem(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A request in the list."""

    id: int
    type: str
    origin: str
    security_server_id: ServerIdView
    status: str
    created_at: str
    security_server_owner: str | None = None
    address: str | None = None
    client_id: ClientIdView | None = None
    client_owner_name: str | None = None
    client_subsystem_name: str | None = None


class RequestDetails(RequestListItem, frozen=True, omit_defaults=True, kw_only=True):
    """One request with all there is to know."""

    comments: str | None = None
    first_approval: str | None = None
    certificate_details: CertificateDetails | None = None


class PagedRequests(msgspec.Struct, frozen=True):
    """One page of management requests, with the total."""

    items: list[RequestListItem]
    paging_metadata: PagingMetadata


class DeclineQuery(msgspec.Struct, frozen=True):
    """Why a request is declined; the institute is told."""

    comments: str | None = None


def operations(context: CentralAdminContext) -> Sequence[Operation]:
    """The rows about management requests."""
    api = _Requests(context)
    one = "/management-requests/{management_request_id}"
    return (
        row("GET", "/management-requests", api.all, "Management requests", "VIEW_MANAGEMENT_REQUESTS",
            query=RequestsQuery, answer=PagedRequests, errors=(409,)),
        row("POST", "/management-requests", api.add, "Make a request",
            *(f"ADD_{t.value}" for t in RequestType), body=RequestBody, answer=RequestView, status=201,
            other_answers={202: RequestView}, event="ADD_MANAGEMENT_REQUEST", errors=(404,)),
        row("GET", one, api.one, "One request", "VIEW_MANAGEMENT_REQUEST_DETAILS", answer=RequestDetails),
        row("DELETE", one, api.end, "Decline (a server's) or revoke (the centre's)",
            *(f"REVOKE_{name}" for name in _DECIDED.values()), query=DeclineQuery,
            event="REVOKE_MANAGEMENT_REQUEST"),
        row("POST", f"{one}/approval", api.approve, "Approve",
            *(f"APPROVE_{name}" for name in _DECIDED.values()), answer=RequestView,
            event="APPROVE_MANAGEMENT_REQUEST"),
    )  # fmt: skip


class _Requests:
    def __init__(self, context: CentralAdminContext) -> None:
        self._context = context
        self._rows = MadeOnce(context, kept.request_rows)

    async def all(self, call: Call) -> PagedRequests:
        query, records = call.query_as(RequestsQuery), self._context.read()
        state = None if query.status is None else query.status.replace("_", " ")
        paged = RequestsQuery(
            status=query.status, sort=query.sort, desc=query.desc, limit=query.limit, offset=query.offset
        )
        if query == paged and query.sort in (None, "id"):
            start = query.offset * query.limit
            total, found = kept.page_of_requests(records, state, query.limit, start, backwards=query.desc)
            paging = PagingMetadata(total, len(found), query.limit, query.offset)
        else:
            rows, paging = self._search(query)
            found = [kept.need_request(records, r.number) for r in rows]
        return PagedRequests([RequestListItem(**self._item(r)) for r in found], paging)  # type: ignore[arg-type]

    def _search(self, query: RequestsQuery) -> tuple[list[RequestRow], PagingMetadata]:
        """One page of the requests that match, as rows."""
        term = (query.query or query.q or "").lower()
        needed = bool(term) or query.sort == "security_server_owner"
        names = names_of_members(self._context.read()) if needed else {}
        owners = {member for member, name in names.items() if term and term in name.lower()}

        def owner(found: RequestRow) -> str:
            return names.get(found.owner, "")

        return page_of(
            [r for r in _chosen(self._rows.value(), query) if _is_found(r, term, owners)],
            query,
            {
                "id": lambda r: r.number,
                "created_at": lambda r: (r.created_at, r.number),
                "type": lambda r: (r.type, r.number),
                "security_server_owner": lambda r: (owner(r).lower(), r.number),
                "security_server_id": lambda r: (r.server, r.number),
                "status": lambda r: (r.status, r.number),
            },
            "id",
        )

    async def add(self, call: Call) -> ApiAnswer:
        new_request = self._new_request(call)
        with self._context.change(call) as records:
            made = rules.add_request(records, new_request, self._context.policy())
        status = 202 if made.state in kept.OPEN else 201
        return ApiAnswer(self._view(made), status)

    async def one(self, call: Call) -> RequestDetails:
        records = self._context.read()
        found = kept.need_request(records, _number(call))
        certificate = found.content.certificate
        return RequestDetails(
            **self._item(found),  # type: ignore[arg-type]
            comments=found.content.comments,
            first_approval=found.first_approval,
            certificate_details=None if certificate is None else certificate_details(certificate),
        )

    async def end(self, call: Call) -> None:
        with self._context.change(call) as records:
            self._check_decides(call, kept.need_request(records, _number(call)), "REVOKE")
            rules.end_request(records, _number(call), call.query_as(DeclineQuery).comments)

    async def approve(self, call: Call) -> RequestView:
        with self._context.change(call) as records:
            self._check_decides(call, kept.need_request(records, _number(call)), "APPROVE")
            return self._view(rules.approve_request(records, _number(call), self._context.policy()))

    def _check_decides(self, call: Call, found: KeptRequest, verb: str) -> None:
        name = _DECIDED.get(found.content.type)
        if name is not None:
            call.check_may(f"{verb}_{name}")

    def _new_request(self, call: Call) -> NewRequest:
        body = call.body_as(RequestBody)
        try:
            kind, origin = RequestType(body.type), RequestOrigin(body.origin)
        except ValueError:
            raise refuse(RegistryCode.MANAGEMENT_REQUEST_UNKNOWN_TYPE, body.type, body.origin) from None
        call.check_may(f"ADD_{kind.value}")
        if (origin is RequestOrigin.SECURITY_SERVER) is not call.may("IMPERSONATE_SECURITY_SERVER"):
            raise Problem(403, "forbidden", ["origin SECURITY_SERVER is for the management services alone"])
        certificate = self._certificate(call, kind, body.authentication_certificate)
        return NewRequest(
            kind,
            origin,
            server_of(body.security_server_id),
            None if body.client_id is None else client_of(body.client_id),
            body.server_address,
            certificate,
            body.subsystem_name,
            body.message or body.comments,
        )

    def _certificate(self, call: Call, kind: RequestType, encoded: str | None) -> bytes | None:
        if encoded is None:
            return None
        try:
            der = read_certificate_der(base64.b64decode(encoded, validate=True))
        except (Fault, binascii.Error, ValueError):
            raise refuse(RegistryCode.MANAGEMENT_REQUEST_INVALID_AUTH_CERTIFICATE) from None
        if kind is RequestType.AUTH_CERT_REGISTRATION and not is_auth_certificate(
            self._context.trusted(), der, call.now
        ):
            raise refuse(RegistryCode.MANAGEMENT_REQUEST_INVALID_AUTH_CERTIFICATE)
        return der

    def _view(self, found: KeptRequest) -> RequestView:
        request = found.content
        return RequestView(
            id=found.number,
            type=request.type.value,
            origin=request.origin.value,
            security_server_id=request.server.encoded(),
            status=found.state.value,
            created_at=found.created_at,
            updated_at=found.updated_at,
            security_server_owner=_name_of(self._context.read(), request.server.owner),
            client_id=None if request.client is None else request.client.encoded(),
            server_address=request.address,
            subsystem_name=request.subsystem_name,
        )

    def _item(self, found: KeptRequest) -> dict[str, object]:
        request, client, records = found.content, found.content.client, self._context.read()
        subsystem_name = request.subsystem_name
        if subsystem_name is None and client is not None and not client.is_member:
            there = find_client(records, client)
            subsystem_name = None if there is None else there.name
        return {
            "id": found.number,
            "type": request.type.value,
            "origin": request.origin.value,
            "security_server_id": server_id_view(request.server),
            "status": found.state.value,
            "created_at": found.created_at,
            "security_server_owner": _name_of(records, request.server.owner),
            "address": request.address,
            "client_id": None if client is None else client_id_view(client),
            "client_owner_name": None if client is None else _name_of(records, client.member),
            "client_subsystem_name": subsystem_name,
        }


def _name_of(records: Records, member: ClientId) -> str | None:
    """The name of a member; None for one that is not, or not yet, in the registry."""
    found = find_client(records, member)
    return None if found is None else found.name


def _number(call: Call) -> int:
    return number_of(call, "management_request_id", RegistryCode.MANAGEMENT_REQUEST_NOT_FOUND)


def _chosen(rows: Sequence[RequestRow], query: RequestsQuery) -> list[RequestRow]:
    """The requests of a state, an origin, types and a server; a filter that is not set costs nothing a row."""
    server = query.server_id_of_binder or query.server_id
    found = list(rows)
    if query.status is not None:
        status = query.status.replace("_", " ")
        found = [r for r in found if r.status == status]
    if query.origin is not None:
        found = [r for r in found if r.origin == query.origin]
    if query.types is not None:
        types = query.types.split(",")
        found = [r for r in found if r.type in types]
    if server is not None:
        found = [r for r in found if r.server.replace("/", ":") == server]
    return found


def _is_found(row: RequestRow, term: str, owners: set[tuple[str, str]]) -> bool:
    """Whether a request has a term, in lower case, in what is said of it, or is of one of the owners."""
    if not term:
        return True
    searched = f"{row.number}\0{row.server}\0{row.type}\0{row.client}".lower()
    return term in searched or term in searched.replace("/", ":") or (bool(owners) and row.owner in owners)
