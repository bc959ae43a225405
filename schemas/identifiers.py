"""Identifiers of members, subsystems, services, security servers and groups.

Each identifier is a frozen value with one canonical text form (components joined by ``/``), the form the admin
APIs use (joined by ``:``), the form logs use (``TYPE:`` before the slash form) and an XML form. Equality is exact
and case-sensitive; nothing is trimmed or normalised. Absent components are skipped, never left empty.

Blank components cannot be built. Characters that no administrator lets in are found by `suspicious_characters` and
refused by `check_identifier`, by the rules of `schemas.names`; what arrives in messages is compared, never judged.

Spec: PR-GCONF 2.1, PR-MESS 2.2 (XML form), PR-REST 4.3 (path form).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, unquote_to_bytes

import msgspec
from lxml import etree

from schemas.faults import BadMessage, Kind
from schemas.names import check_code, check_text, unsuitable_in_code

if TYPE_CHECKING:
    from collections.abc import Iterable

ID_NS = "http://x-road.eu/xsd/identifiers"
OBJECT_TYPE = f"{{{ID_NS}}}objectType"


def suspicious_characters(component: str) -> str:
    """The characters of a component that no administrator should let in; empty when it is clean."""
    return unsuitable_in_code(component)


def _check_components(kind: str, components: Iterable[str | None]) -> None:
    for component in components:
        if component is not None and not component.strip():
            raise BadMessage(
                Kind.INVALID_CLIENT_IDENTIFIER, f"a component of this {kind} identifier is blank"
            )


class ClientId(msgspec.Struct, frozen=True, gc=False):
    """A member (no subsystem code) or one of its subsystems; both can be clients of a security server."""

    instance: str
    member_class: str
    member_code: str
    subsystem_code: str | None = None

    def __post_init__(self) -> None:
        _check_components("client", self.components)

    @property
    def components(self) -> tuple[str, ...]:
        """The components present, in order."""
        base = (self.instance, self.member_class, self.member_code)
        return base if self.subsystem_code is None else (*base, self.subsystem_code)

    @property
    def object_type(self) -> str:
        """``MEMBER`` without a subsystem code, else ``SUBSYSTEM``."""
        return "MEMBER" if self.subsystem_code is None else "SUBSYSTEM"

    @property
    def is_member(self) -> bool:
        """Whether this names a member rather than a subsystem."""
        return self.subsystem_code is None

    @property
    def member(self) -> ClientId:
        """The member itself, without its subsystem."""
        if self.subsystem_code is None:
            return self
        return _member(self.instance, self.member_class, self.member_code)

    def subsystem(self, code: str) -> ClientId:
        """A subsystem of this member."""
        return ClientId(self.instance, self.member_class, self.member_code, code)

    def server(self, code: str) -> ServerId:
        """A security server of this member."""
        return ServerId(self.instance, self.member_class, self.member_code, code)

    def same_member(self, other: ClientId) -> bool:
        """Whether both belong to one member; used only for who may sign for whom."""
        return self.member == other.member

    def path(self) -> str:
        """The slash form with components as they are: ``MX/GOB/15-ISSEMYM/AFIL``."""
        member = f"{self.instance}/{self.member_class}/{self.member_code}"
        return member if self.subsystem_code is None else f"{member}/{self.subsystem_code}"

    def encoded(self) -> str:
        """Colon form of the admin APIs."""
        return ":".join(self.components)

    def __lt__(self, other: ClientId) -> bool:
        return self.components < other.components

    def __str__(self) -> str:
        return f"{self.object_type}:{self.path()}"


@lru_cache(maxsize=1024)
def _member(instance: str, member_class: str, member_code: str) -> ClientId:
    return ClientId(instance, member_class, member_code)


class ServiceId(msgspec.Struct, frozen=True, gc=False):
    """A service of a client, with the version that only SOAP has."""

    client: ClientId
    service_code: str
    service_version: str | None = None

    object_type: ClassVar[str] = "SERVICE"

    def __post_init__(self) -> None:
        _check_components("service", (self.service_code, self.service_version))

    @property
    def components(self) -> tuple[str, ...]:
        """The components present, in order."""
        version = () if self.service_version is None else (self.service_version,)
        return (*self.client.components, self.service_code, *version)

    def path(self) -> str:
        """The slash form with components as they are: client, service code, and version if there is one."""
        service = f"{self.client.path()}/{self.service_code}"
        return service if self.service_version is None else f"{service}/{self.service_version}"

    def encoded(self) -> str:
        """Colon form of the admin APIs."""
        return ":".join(self.components)

    def __lt__(self, other: ServiceId) -> bool:
        return self.components < other.components

    def __str__(self) -> str:
        return f"SERVICE:{self.path()}"


@dataclass(frozen=True, slots=True, order=True)
class ServerId:
    """A security server, named by its owner and a code."""

    instance: str
    member_class: str
    member_code: str
    server_code: str

    object_type: ClassVar[str] = "SERVER"

    def __post_init__(self) -> None:
        _check_components("security server", self.components)

    @property
    def components(self) -> tuple[str, ...]:
        """Instance, member class, member code and server code, in this order."""
        return (self.instance, self.member_class, self.member_code, self.server_code)

    @property
    def owner(self) -> ClientId:
        """The member that owns the server."""
        return ClientId(self.instance, self.member_class, self.member_code)

    def path(self) -> str:
        """The slash form with components as they are: ``MX/GOB/15-ISSEMYM/ss1``."""
        return "/".join(self.components)

    def encoded(self) -> str:
        """Colon form of the admin APIs."""
        return ":".join(self.components)

    def __str__(self) -> str:
        return f"SERVER:{self.path()}"


@dataclass(frozen=True, slots=True, order=True)
class GlobalGroupId:
    """A group of clients kept by the central server of an instance."""

    instance: str
    group_code: str

    object_type: ClassVar[str] = "GLOBALGROUP"

    def __post_init__(self) -> None:
        _check_components("global group", self.components)

    @property
    def components(self) -> tuple[str, ...]:
        """Instance and group code, in this order."""
        return (self.instance, self.group_code)

    def path(self) -> str:
        """The slash form with components as they are: ``MX/group-code``."""
        return "/".join(self.components)

    def encoded(self) -> str:
        """Colon form of the admin APIs."""
        return ":".join(self.components)

    def __str__(self) -> str:
        return f"GLOBALGROUP:{self.path()}"


@dataclass(frozen=True, slots=True, order=True)
class LocalGroupId:
    """A group of clients kept by one client of one security server."""

    group_code: str

    object_type: ClassVar[str] = "LOCALGROUP"

    def __post_init__(self) -> None:
        _check_components("local group", (self.group_code,))

    @property
    def components(self) -> tuple[str, ...]:
        """The code alone: local groups carry no instance."""
        return (self.group_code,)

    def path(self) -> str:
        """The group's code, which is its whole identifier."""
        return self.group_code

    def encoded(self) -> str:
        """The group's code, which needs no escaping."""
        return self.group_code

    def __str__(self) -> str:
        return f"LOCALGROUP:{self.group_code}"


Identifier = ClientId | ServiceId | ServerId | GlobalGroupId | LocalGroupId


def check_identifier(identifier: Identifier, what: str = "the identifier") -> None:
    """Refuse (`BadMessage`) an identifier that is to be kept when one of its components can be no code."""
    for component in identifier.components:
        check_code(component, f"{what} {identifier.path()!r}: the code {component!r}")


def quote_path(components: Iterable[str]) -> str:
    """Percent-encode components and join them by ``/``, as REST headers and paths carry identifiers."""
    return "/".join([_quote_component(c) for c in components])


@lru_cache(maxsize=4096)
def _quote_component(component: str) -> str:
    return quote(component, safe="-._~!$&'()*+,;=:@")


@lru_cache(maxsize=1024)
def unquote_segments(text: str) -> tuple[str, ...]:
    """Split on ``/`` first, then percent-decode each segment as UTF-8.

    Raises `BadMessage` (``bad_request``) on characters outside RFC 3986 ``pchar`` or broken escapes.
    """
    return tuple(_unquote_segment(segment) for segment in text.split("/"))


_PCHAR = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@%")
_HEX = frozenset("0123456789abcdefABCDEF")


def _unquote_segment(segment: str) -> str:
    bad = [c for c in segment if c not in _PCHAR]
    if bad:
        raise BadMessage(Kind.BAD_REQUEST, f"an identifier holds {bad[0]!r}, which must be percent-encoded")
    if "%" not in segment:
        return segment
    pieces = segment.split("%")[1:]
    if any(len(p) < 2 or p[0] not in _HEX or p[1] not in _HEX for p in pieces):
        raise BadMessage(
            Kind.BAD_REQUEST, "an identifier holds a '%' without two hexadecimal digits after it"
        )
    try:
        text = unquote_to_bytes(segment).decode("utf-8")
    except UnicodeDecodeError:
        raise BadMessage(Kind.BAD_REQUEST, "an identifier's percent-encoded bytes are not UTF-8") from None
    return check_text(text, "an identifier")


@lru_cache(maxsize=1024)
def parse_client_path(text: str) -> ClientId:
    """Read ``instance/class/code[/subsystem]``, percent-encoded, as ``X-Road-Client`` carries it.

    Raises `BadMessage` (``invalid_client_identifier``).
    """
    segments = unquote_segments(text)
    if len(segments) not in (3, 4):
        raise BadMessage(
            Kind.INVALID_CLIENT_IDENTIFIER,
            f"a client identifier has 3 or 4 segments (instance/class/code[/subsystem]); got {len(segments)}",
        )
    return ClientId(*segments)


def parse_server_path(text: str) -> ServerId:
    """Read ``instance/class/code/server``, percent-encoded, as ``X-Road-Security-Server`` carries it. Raises `BadMessage` (``bad_request``)."""
    segments = unquote_segments(text)
    if len(segments) != 4:
        raise BadMessage(
            Kind.BAD_REQUEST,
            f"a security server identifier has 4 segments (instance/class/code/server); got {len(segments)}",
        )
    return ServerId(*segments)


# The XML form: components in the identifiers namespace, discriminated by id:objectType alone.

IDENTIFIER_PARTS = frozenset(
    (
        "xRoadInstance",
        "memberClass",
        "memberCode",
        "subsystemCode",
        "groupCode",
        "serviceCode",
        "serviceVersion",
        "serverCode",
    )
)
_ELEMENTS: dict[str, tuple[str, ...]] = {
    "MEMBER": ("xRoadInstance", "memberClass", "memberCode"),
    "SUBSYSTEM": ("xRoadInstance", "memberClass", "memberCode", "subsystemCode"),
    "SERVER": ("xRoadInstance", "memberClass", "memberCode", "serverCode"),
    "GLOBALGROUP": ("xRoadInstance", "groupCode"),
    "LOCALGROUP": ("groupCode",),
}


def _children(element: etree._Element) -> dict[str, str]:
    values: dict[str, str] = {}
    for child in element:
        name = etree.QName(child)
        if name.namespace != ID_NS:
            raise BadMessage(
                Kind.INVALID_XML,
                f"identifier part {name.localname!r} must be in the namespace {ID_NS}, not {name.namespace!r}",
            )
        if name.localname not in IDENTIFIER_PARTS:
            raise BadMessage(Kind.INVALID_XML, f"{name.localname!r} is no part of an identifier")
        if name.localname in values:
            raise BadMessage(Kind.INVALID_XML, f"identifier part {name.localname!r} appears twice")
        if len(child):
            raise BadMessage(
                Kind.INVALID_XML, f"identifier part {name.localname!r} holds an element; a text was expected"
            )
        values[name.localname] = child.text or ""
    return values


def parse_identifier(element: etree._Element) -> Identifier:
    """Read an identifier element. Raises `BadMessage` when a part is missing, blank, double or foreign.

    Spec: identifiers.xsd; ``SUBSYSTEM`` without a subsystem code, and ``MEMBER`` with one, are
    ``invalid_client_identifier``.
    """
    object_type = element.get(OBJECT_TYPE)
    if object_type is None:
        raise BadMessage(Kind.INVALID_XML, "an identifier element lacks the attribute id:objectType")
    return identifier_from_parts(object_type, _children(element))


def identifier_from_parts(object_type: str, values: dict[str, str]) -> Identifier:
    """The identifier of a type, from its parts by name. Raises `BadMessage` when a part is missing or blank."""
    if object_type == "SERVICE":
        client = _client_from(values, "SUBSYSTEM" if "subsystemCode" in values else "MEMBER")
        return ServiceId(client, _part(values, "serviceCode"), values.get("serviceVersion"))
    if object_type in ("MEMBER", "SUBSYSTEM"):
        return _client_from(values, object_type)
    names = _ELEMENTS.get(object_type)
    if names is None:
        raise BadMessage(Kind.INVALID_XML, f"{object_type!r} is not a known id:objectType")
    parts = [_part(values, name) for name in names]
    if object_type == "SERVER":
        return ServerId(*parts)
    return GlobalGroupId(*parts) if object_type == "GLOBALGROUP" else LocalGroupId(*parts)


def required_parts(object_type: str) -> tuple[str, ...]:
    """The XML names of the parts without which an identifier of this type cannot be."""
    if object_type == "SERVICE":
        return (*_ELEMENTS["MEMBER"], "serviceCode")
    return _ELEMENTS["MEMBER"] if object_type == "SUBSYSTEM" else _ELEMENTS.get(object_type, ())


def parse_client_element(element: etree._Element) -> ClientId:
    """Read an identifier element that must name a member or a subsystem. Raises `BadMessage` (``invalid_client_identifier``)."""
    identifier = parse_identifier(element)
    if not isinstance(identifier, ClientId):
        raise BadMessage(
            Kind.INVALID_CLIENT_IDENTIFIER,
            f"expected a MEMBER or SUBSYSTEM identifier, got {element.get(OBJECT_TYPE)}",
        )
    return identifier


def _part(values: dict[str, str], name: str) -> str:
    if name not in values:
        raise BadMessage(Kind.INVALID_XML, f"the identifier lacks {name!r}")
    return values[name]


def _client_from(values: dict[str, str], object_type: str) -> ClientId:
    subsystem = values.get("subsystemCode")
    if (object_type == "SUBSYSTEM") != (subsystem is not None):
        raise BadMessage(
            Kind.INVALID_CLIENT_IDENTIFIER,
            f"an identifier of type {object_type} must {'' if subsystem is None else 'not '}have a subsystemCode",
        )
    return ClientId(
        _part(values, "xRoadInstance"), _part(values, "memberClass"), _part(values, "memberCode"), subsystem
    )


def append_identifier(parent: etree._Element, tag: str, identifier: Identifier) -> etree._Element:
    """Append ``identifier`` to ``parent`` as an element named ``tag`` (Clark notation) and return it."""
    element = etree.SubElement(parent, tag, nsmap={"id": ID_NS})
    element.set(OBJECT_TYPE, identifier.object_type)
    for name, value in render_identifier_parts(identifier):
        etree.SubElement(element, f"{{{ID_NS}}}{name}").text = value
    return element


def render_identifier_parts(identifier: Identifier) -> list[tuple[str, str]]:
    """The parts of an identifier by their XML names, in order."""
    if isinstance(identifier, ServiceId):
        names: tuple[str, ...] = (
            *_ELEMENTS[identifier.client.object_type],
            "serviceCode",
            "serviceVersion",
        )
    else:
        names = _ELEMENTS[identifier.object_type]
    return list(zip(names, identifier.components, strict=False))
