"""Values that several resources show or take, and how they are made from the registry's."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from central_server.registry.refusals import RegistryCode, refuse
from schemas.faults import BadMessage
from schemas.globalconf.shared import CostType
from schemas.identifiers import ClientId, ServerId
from schemas.numbers import whole_number
from schemas.target import check_address
from serving.api.problems import Problem
from serving.process.outward import address_of, check_reached

if TYPE_CHECKING:
    from collections.abc import Sequence

    from central_server.store.servers import KeptServer
    from serving.api.operations import Call, Part

T = TypeVar("T")

Code = Annotated[str, msgspec.Meta(min_length=1, max_length=255, extra={"identifier": True})]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
# Spanish descriptions need more than ASCII: letters of any script, digits, space and X-Road's punctuation.
Description = Annotated[str, msgspec.Meta(min_length=1, max_length=255, pattern=r"^[\w\-,.;:!?/()' ]*$")]
Encoded = Annotated[str, msgspec.Meta(min_length=1, max_length=1279)]
Offset = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]
Limit = Annotated[int, msgspec.Meta(ge=1, le=1000)]
_CERTIFICATE_FILES = (".der", ".crt", ".pem", ".cer")


class CodeAndDescription(msgspec.Struct, frozen=True):
    """A member class, or a group to be made."""

    code: Code
    description: Description


class NewDescription(msgspec.Struct, frozen=True):
    """Another description for a member class or a group."""

    description: Description


class ClientIdView(msgspec.Struct, frozen=True, omit_defaults=True):
    """The identifier of a member or subsystem, as the API shows it."""

    instance_id: str
    type: str
    member_class: str
    member_code: str
    encoded_id: str
    subsystem_code: str | None = None


class ServerIdView(msgspec.Struct, frozen=True):
    """The identifier of a security server, as the API shows it."""

    instance_id: str
    type: str
    member_class: str
    member_code: str
    server_code: str
    encoded_id: str


class ClientView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A member, or a subsystem with its member's name."""

    client_id: ClientIdView
    member_name: str | None = None
    subsystem_name: str | None = None


class ServerView(msgspec.Struct, frozen=True, omit_defaults=True):
    """A security server, as the API shows it."""

    server_id: ServerIdView
    server_address: str
    owner_name: str
    # Always shown: a default would leave it out.
    in_maintenance_mode: bool
    created_at: str
    updated_at: str
    maintenance_mode_message: str | None = None


class PagingMetadata(msgspec.Struct, frozen=True):
    """A page's place in its list: all items, those on it, the most a page has; ``offset`` is the page's number from 0."""

    total_items: int
    items: int
    limit: int
    offset: int


class Paging(msgspec.Struct, frozen=True):
    """The query of every paged list: limit, offset, order."""

    sort: str | None = None
    desc: bool = False
    limit: Limit = 25
    offset: Offset = 0
    q: str | None = None


def client_id_view(client: ClientId) -> ClientIdView:
    """A client's identifier, as the API shows it."""
    return ClientIdView(
        client.instance,
        client.object_type,
        client.member_class,
        client.member_code,
        client.encoded(),
        client.subsystem_code,
    )


def server_id_view(server: ServerId) -> ServerIdView:
    """A server's identifier, as the API shows it."""
    return ServerIdView(
        server.instance,
        "SERVER",
        server.member_class,
        server.member_code,
        server.server_code,
        server.encoded(),
    )


def server_view(server: KeptServer) -> ServerView:
    """A security server, as the API shows it."""
    return ServerView(
        server_id_view(server.id),
        server.address,
        server.owner_name,
        server.maintenance is not None,
        server.created_at,
        server.updated_at,
        server.maintenance or None,
    )


def client_view(client: ClientId, name: str | None, member_name: str | None = None) -> ClientView:
    """A member or subsystem with its names, as the API shows it."""
    if client.is_member:
        return ClientView(client_id_view(client), name)
    return ClientView(client_id_view(client), member_name, name)


# Identifiers out of paths and bodies


def client_of(encoded: str, code: RegistryCode = RegistryCode.INVALID_MEMBER_ID) -> ClientId:
    """A client from its colon form. Raises `Refused` with ``code``."""
    parts = unquote(encoded).removeprefix("SUBSYSTEM:").removeprefix("MEMBER:").split(":")
    if len(parts) not in (3, 4):
        raise refuse(code, encoded)
    try:
        return ClientId(*parts)
    except BadMessage:
        raise refuse(code, encoded) from None


def member_of(encoded: str) -> ClientId:
    """A member from its colon form. Raises `Refused`."""
    found = client_of(encoded)
    if not found.is_member:
        raise refuse(RegistryCode.INVALID_MEMBER_ID, encoded)
    return found


def subsystem_of(encoded: str) -> ClientId:
    """A subsystem from its colon form. Raises `Refused`."""
    found = client_of(encoded, RegistryCode.INVALID_SUBSYSTEM_ID)
    if found.is_member:
        raise refuse(RegistryCode.INVALID_SUBSYSTEM_ID, encoded)
    return found


def server_of(encoded: str) -> ServerId:
    """A server from its colon form. Raises `Refused`."""
    parts = unquote(encoded).removeprefix("SERVER:").split(":")
    if len(parts) != 4:
        raise refuse(RegistryCode.INVALID_SECURITY_SERVER_ID, encoded)
    try:
        return ServerId(*parts)
    except BadMessage:
        raise refuse(RegistryCode.INVALID_SECURITY_SERVER_ID, encoded) from None


def number_of(call: Call, name: str, code: RegistryCode) -> int:
    """A row's number out of the path. Raises `Refused` with ``code`` for what is no number."""
    text = call.path[name]
    number = whole_number(text)
    if number is None:
        raise refuse(code, text)
    return number


# Forms


def text_part(call: Call, name: str) -> str | None:
    """A form's text field; None when it is absent or empty."""
    part = call.parts.get(name)
    return None if part is None else part.text() or None


def url_part(call: Call, name: str, given: str | None = None) -> str:
    """A form's URL, or the one given when it is absent. Raises `Refused`."""
    url = text_part(call, name) or given or ""
    return check_url(url)


def check_url(url: str) -> str:
    """Refuse what is no plain http or https address, and networks that no server connects to."""
    try:
        check_address(url)
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        if address_of(host) is not None:
            check_reached(host, host)
    except (ValueError, OSError):
        raise refuse(RegistryCode.INVALID_URL, url[:255]) from None
    return url


def cost_part(call: Call, given: CostType | None = None) -> CostType:
    """A form's cost type; UNDEFINED when nothing says otherwise. Raises `Problem`."""
    text = text_part(call, "cost_type")
    if text is None:
        return given or CostType.UNDEFINED
    try:
        return CostType(text)
    except ValueError:
        raise Problem(400, "validation_failure", validation_errors={"costType": ["Pattern"]}) from None


def certificate_file(part: Part) -> bytes:
    """The bytes of an uploaded certificate whose name says that it is one. Raises `Problem`."""
    name = (part.file_name or "").lower()
    if name:
        stem, dot, ending = name.rpartition(".")
        if f"{dot}{ending}" not in _CERTIFICATE_FILES:
            raise Problem(400, "invalid_file_extension", [part.file_name or ""])
        if any(f"{d}{e}" in _CERTIFICATE_FILES for _, d, e in [stem.rpartition(".")]):
            raise Problem(400, "double_file_extension", [part.file_name or ""])
    return part.content


# Lists


def page_of(
    items: Sequence[T], paging: Any, keys: dict[str, Callable[[T], Any]], default: str
) -> tuple[list[T], PagingMetadata]:
    """One page of a list, sorted as asked. Raises `Problem` (``invalid_sort_properties``)."""
    key = keys.get(paging.sort or default)
    if key is None:
        raise Problem(400, "invalid_sort_properties", [paging.sort or ""])
    ordered = sorted(items, key=key, reverse=bool(paging.desc))
    start = paging.offset * paging.limit
    found = ordered[start : start + paging.limit]
    return found, PagingMetadata(len(ordered), len(found), paging.limit, paging.offset)


def matches(query: str | None, *texts: str | None) -> bool:
    """Whether a free text is found in one of some texts, whatever its case."""
    if not query:
        return True
    term = query.lower()
    return any(term in text.lower() for text in texts if text)
