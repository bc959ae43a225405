"""A file of X-Road's security server toolkit (``xrdsst.yml``), read as what ``gateway apply`` takes. Pure.

Of the servers in the file the one counts whose owner and code are this gateway's. Clients, services, rights to services and to
endpoints, and certificates of systems are taken. What the toolkit does over a server's API before that (anchor, token, keys,
users) is ``gateway init`` here, and how it logs in is nobody's business: PINs, API keys and SSH names are not even read.

The toolkit fetches descriptions; here the document is a file beside this one, under the last part of its URL.

Source: the toolkit's user guide, 3.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from schemas.identifiers import ServerId

SERVERS = "security_server"


class _Endpoint(msgspec.Struct, frozen=True):
    path: str
    method: str = "*"
    access: list[str] | None = None


class _ToolkitService(msgspec.Struct, frozen=True):
    service_code: str
    access: list[str] | None = None
    timeout: float | None = None
    ssl_auth: bool | None = None
    url: str | None = None


class _ToolkitDescription(msgspec.Struct, frozen=True):
    url: str
    type: str
    rest_service_code: str | None = None
    access: list[str] | None = None
    url_all: bool | None = None
    timeout_all: bool | None = None
    ssl_auth_all: bool | None = None
    services: list[_ToolkitService] | None = None
    endpoints: list[_Endpoint] | None = None


class _ToolkitClient(msgspec.Struct, frozen=True):
    member_class: str
    member_code: str | int
    subsystem_code: str | int | None = None
    connection_type: str = "HTTPS"
    tls_certificates: list[str] | None = None
    service_descriptions: list[_ToolkitDescription] | None = None


class _ToolkitServer(msgspec.Struct, frozen=True):
    owner_member_class: str
    owner_member_code: str | int
    security_server_code: str | int
    tls_certificates: list[str] | None = None
    clients: list[_ToolkitClient] | None = None


def is_toolkit(document: object) -> bool:
    """Whether a document is a file of the toolkit."""
    return isinstance(document, dict) and SERVERS in document


def from_toolkit(document: dict[str, Any], server: ServerId) -> dict[str, Any]:
    """The same in the names of a file for ``gateway apply``. Raises ValueError, which says where."""
    servers = msgspec.convert(document[SERVERS], list[_ToolkitServer])
    own = (server.owner.member_class, server.owner.member_code, server.server_code)
    named = [(s.owner_member_class, str(s.owner_member_code), str(s.security_server_code)) for s in servers]
    if named.count(own) != 1:
        listed = ", ".join("/".join(one) for one in named)
        raise OperatorError(
            N_(
                "{servers} must name {names}, this server, once; it names {listed}",
                servers=SERVERS,
                names="/".join(own),
                listed=listed or N_("none"),
            )
        )
    found = servers[named.index(own)]
    clients = [_client(one, server.instance) for one in found.clients or ()]
    if found.tls_certificates:
        owner = next((c for c in clients if c["id"] == server.owner.path()), None)
        if owner is None:
            owner = {"id": server.owner.path(), "connection": "HTTPS"}
            clients.insert(0, owner)
        owner["certificates"] = [*owner.get("certificates", ()), *found.tls_certificates]
    return {"client": clients}


def _client(one: _ToolkitClient, instance: str) -> dict[str, Any]:
    parts = [instance, one.member_class, str(one.member_code)]
    parts += [] if one.subsystem_code is None else [str(one.subsystem_code)]
    identifier = "/".join(parts)
    services = [s for d in one.service_descriptions or () for s in _services(d, identifier)]
    return {
        "id": identifier,
        "connection": one.connection_type,
        "certificates": list(one.tls_certificates or ()),
        "service": services,
    }


def _services(described: _ToolkitDescription, client: str) -> list[dict[str, Any]]:
    where = f"client {client}, service description {described.url}"
    entries = described.services or []
    if described.type == "WSDL":
        if not entries:
            raise OperatorError(
                N_(
                    "{where}: name its services (services, service_code), for the document is not read here",
                    where=where,
                )
            )
    else:
        code = described.rest_service_code
        if not code:
            raise OperatorError(N_("{where}: rest_service_code is missing", where=where))
        named = [e for e in entries if e.service_code == code]
        if len(named) < len(entries):
            raise OperatorError(
                N_("{where}: it has the one service {code}, and services name others", where=where, code=code)
            )
        entries = named or [_ToolkitService(code)]
    return [_service(described, entry, entries[0], where) for entry in entries]


def _service(
    described: _ToolkitDescription, entry: _ToolkitService, first: _ToolkitService, where: str
) -> dict[str, Any]:
    """One service; what the first one says counts for each where the description says so (``url_all`` and the like)."""
    url = first.url if described.url_all else entry.url
    if url is None and described.type != "REST":
        raise OperatorError(
            N_(
                "{where}: say the url of {service_code}, which is the system's; the document's is no such",
                where=where,
                service_code=entry.service_code,
            )
        )
    code, _sign, version = (
        entry.service_code.partition(".") if described.type == "WSDL" else (entry.service_code, "", "")
    )
    made: dict[str, Any] = {"code": code, "type": described.type, "url": url or described.url}
    if version:
        made["version"] = version
    timeout = first.timeout if described.timeout_all else entry.timeout
    if timeout is not None:
        made["timeout_s"] = timeout
    verify = first.ssl_auth if described.ssl_auth_all else entry.ssl_auth
    if verify is not None:
        made["verify_tls"] = verify
    if described.type != "REST":
        made["description"] = urlsplit(described.url).path.rpartition("/")[2]
    access = entry.access if entry.access is not None else described.access or []
    made["allow"] = [{"subject": _subject(who, where)} for who in access]
    made["allow"] += [
        {"subject": _subject(who, where), "method": e.method, "path": e.path}
        for e in described.endpoints or ()
        for who in e.access or ()
    ]
    return made


def _subject(who: str, where: str) -> str:
    """``INSTANCE:CLASS:CODE:SUBSYSTEM``, or ``INSTANCE:GROUP``, as this software writes them. Raises ValueError."""
    parts = who.split(":")
    if len(parts) == 2:
        return f"group:{parts[0]}/{parts[1]}"
    if len(parts) == 4:
        return "/".join(parts)
    raise OperatorError(
        N_(
            "{where}: access {who!r} is neither INSTANCE:CLASS:CODE:SUBSYSTEM nor INSTANCE:GROUP",
            where=where,
            who=who,
        )
    )
