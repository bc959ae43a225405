"""Security servers: listed, looked at, moved to another address, removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from central_server.admin.context import MadeOnce, row
from central_server.admin.values import (
    ClientView,
    Paging,
    PagingMetadata,
    ServerView,
    Text,
    client_view,
    number_of,
    page_of,
    server_of,
    server_view,
)
from central_server.management.requests import add_request
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store import servers
from central_server.store.members import name_of_member
from central_server.store.requests import NewRequest, RequestOrigin, RequestType
from serving.api.certificateview import CertificateDetails, certificate_details

if TYPE_CHECKING:
    from collections.abc import Sequence

    from central_server.admin.context import CentralAdminContext
    from central_server.store.records import Records
    from central_server.store.servers import ServerRow
    from serving.api.operations import Call, Operation


_BY_CODE = "server_id.server_code"


class ServerAddress(msgspec.Struct, frozen=True):
    """The new address of a security server."""

    server_address: Text


class AuthCertificate(CertificateDetails, frozen=True, omit_defaults=True, kw_only=True):
    """An authentication certificate with its number."""

    id: int


class PagedServers(msgspec.Struct, frozen=True):
    """One page of security servers, with the total."""

    items: list[ServerView]
    paging_metadata: PagingMetadata


def operations(context: CentralAdminContext) -> Sequence[Operation]:
    """The rows about security servers."""
    api = _Servers(context)
    details = "VIEW_SECURITY_SERVER_DETAILS"
    one = "/security-servers/{server_id}"
    return (
        row("GET", "/security-servers", api.all, "Registered security servers", "VIEW_SECURITY_SERVERS",
            query=Paging, answer=PagedServers),
        row("GET", one, api.one, "One security server", details, answer=ServerView),
        row("PATCH", one, api.move, "Edit a server's address", "EDIT_SECURITY_SERVER_ADDRESS",
            body=ServerAddress, answer=ServerView, event="EDIT_SECURITY_SERVER_ADDRESS"),
        row("DELETE", one, api.delete, "Delete a server; its clients and certificates get deletion requests",
            "DELETE_SECURITY_SERVER", status=204, event="DELETE_SECURITY_SERVER"),
        row("GET", f"{one}/authentication-certificates", api.certificates, "Its authentication certificates",
            details, answer=list[AuthCertificate]),
        row("DELETE", f"{one}/authentication-certificates/{{certificate_id}}", api.delete_certificate,
            "Delete one certificate", "DELETE_SECURITY_SERVER_AUTH_CERT", status=204,
            event="DELETE_SECURITY_SERVER_AUTH_CERT"),
        row("GET", f"{one}/clients", api.clients, "Its clients", details, answer=list[ClientView]),
    )  # fmt: skip


def _searched_rows(records: Records) -> list[tuple[str, ServerRow]]:
    """Every server's row, with all that a free text is looked for in, in small letters, apart by a sign that no text holds."""
    rows = servers.server_rows(records)
    instance = records.instance if rows else ""  # a server that is not initialised has neither
    return [(f"{instance}\0{r[1]}\0{r[2]}\0{r[3]}\0{r[4] or ''}\0{r[5]}".lower(), r) for r in rows]


class _Servers:
    def __init__(self, context: CentralAdminContext) -> None:
        self._context = context
        self._rows = MadeOnce(context, _searched_rows)

    async def all(self, call: Call) -> PagedServers:
        query, records = call.query_as(Paging), self._context.read()
        if not query.q and query.sort in (None, _BY_CODE):
            start = query.offset * query.limit
            total, listed = servers.page_of_servers(records, query.limit, start, backwards=query.desc)
            paging = PagingMetadata(total, len(listed), query.limit, query.offset)
            return PagedServers([server_view(s) for s in listed], paging)
        # Class, code, server's code, owner's name and address are texts of the row; a value is made of what is shown alone.
        term = (query.q or "").lower()
        matching = [r for text, r in self._rows.value() if term in text]
        found, paging = page_of(
            matching,
            query,
            {
                "owner_name": lambda r: (r[4].lower(), r[0]),
                "server_id.member_class": lambda r: (r[1], r[0]),
                "server_id.member_code": lambda r: (r[2], r[0]),
                _BY_CODE: lambda r: (r[3], r[0]),
                "xroad_id.server_code": lambda r: (r[3], r[0]),
            },
            _BY_CODE,
        )
        return PagedServers([server_view(servers.server_of_row(records, r)) for r in found], paging)

    async def one(self, call: Call) -> ServerView:
        return server_view(servers.need_server(self._context.read(), server_of(call.path["server_id"])))

    async def move(self, call: Call) -> ServerView:
        with self._context.change(call) as records:
            found = servers.set_address(
                records, server_of(call.path["server_id"]), call.body_as(ServerAddress).server_address
            )
        return server_view(found)

    async def delete(self, call: Call) -> None:
        server_id = server_of(call.path["server_id"])
        with self._context.change(call) as records:
            server = servers.need_server(records, server_id)
            for certificate in servers.certificates_of(records, server):
                add_request(
                    records,
                    NewRequest(
                        RequestType.AUTH_CERT_DELETION,
                        RequestOrigin.CENTER,
                        server_id,
                        certificate=certificate.der,
                    ),
                )
            for client in servers.clients_of(records, server):
                add_request(
                    records,
                    NewRequest(RequestType.CLIENT_DELETION, RequestOrigin.CENTER, server_id, client.id),
                )
            servers.delete_server(records, server_id)

    async def certificates(self, call: Call) -> list[AuthCertificate]:
        records = self._context.read()
        server = servers.need_server(records, server_of(call.path["server_id"]))
        return [
            AuthCertificate(id=c.number, **msgspec.structs.asdict(certificate_details(c.der)))
            for c in servers.certificates_of(records, server)
        ]

    async def delete_certificate(self, call: Call) -> None:
        server_id = server_of(call.path["server_id"])
        number = number_of(call, "certificate_id", RegistryCode.SS_AUTH_CERTIFICATE_NOT_FOUND)
        with self._context.change(call) as records:
            server = servers.need_server(records, server_id)
            for certificate in servers.certificates_of(records, server):
                if certificate.number == number:
                    request = NewRequest(
                        RequestType.AUTH_CERT_DELETION,
                        RequestOrigin.CENTER,
                        server_id,
                        certificate=certificate.der,
                    )
                    add_request(records, request)
                    return
            raise refuse(RegistryCode.SS_AUTH_CERTIFICATE_NOT_FOUND, number)

    async def clients(self, call: Call) -> list[ClientView]:
        records = self._context.read()
        server = servers.need_server(records, server_of(call.path["server_id"]))
        found = servers.clients_of(records, server)
        names = {m: name_of_member(records, m) for m in {c.id.member for c in found}}
        return [client_view(c.id, c.name, names[c.id.member]) for c in found]
