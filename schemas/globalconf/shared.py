"""shared-params.xml: who is who in an instance. Versions 2 to 6 are read and written.

The versions differ in what they can say (``Version`` is the table); a value holds everything, and what an older version
cannot express is left out when it is written. Digests of auth certificates are SHA-1 in version 2 and SHA-256 of the
DER from 3 on: the value keeps both kinds apart by the version it was read from, and writers are given what to write.

Spec: PR-GCONF 4; shared-parameters.xsd of X-Road 7.8 (v2 to v6).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from schemas.faults import BadMessage
from schemas.globalconf.elements import (
    MANY,
    Child,
    base64_of,
    boolean,
    integer,
    malformed,
    optional_text,
    parse_root,
    take,
    text,
)
from schemas.identifiers import ID_NS, ClientId, GlobalGroupId, ServerId

if TYPE_CHECKING:
    from lxml import etree

CURRENT_VERSION = 6
MINIMUM_VERSION = 2
VERSIONS = range(MINIMUM_VERSION, CURRENT_VERSION + 1)


class CostType(enum.StrEnum):
    """The cost class of a trust service; version 6 of the shared parameters has it."""

    FREE = "FREE"
    PAID = "PAID"
    UNDEFINED = "UNDEFINED"


class Source(msgspec.Struct, frozen=True):
    """A central server node: host and the certificates (as transmitted) its configuration may be verified with."""

    address: str
    internal_certificates: tuple[bytes, ...] = ()
    external_certificates: tuple[bytes, ...] = ()


class OcspInfo(msgspec.Struct, frozen=True):
    """An OCSP responder of a CA; the certificate is there when it is not issued by the CA itself."""

    url: str
    certificate: bytes | None = None
    cost_type: CostType | None = None


class CaInfo(msgspec.Struct, frozen=True):
    """One CA certificate (DER, or PEM as X-Road may carry it) and its responders."""

    certificate: bytes
    ocsp: tuple[OcspInfo, ...] = ()


class AcmeServer(msgspec.Struct, frozen=True):
    """The address at which a CA takes ACME orders, and its names for profiles of certificates."""

    directory_url: str
    ip_address: str | None = None
    authentication_profile_id: str | None = None
    signing_profile_id: str | None = None


class ApprovedCa(msgspec.Struct, frozen=True):
    """A certification service the instance trusts; ``profile`` names how its subjects are read."""

    name: str
    top: CaInfo
    profile: str
    authentication_only: bool | None = None
    intermediates: tuple[CaInfo, ...] = ()
    default_csr_format: str | None = None
    acme_server: AcmeServer | None = None


class ApprovedTsa(msgspec.Struct, frozen=True):
    """A timestamping authority the instance trusts."""

    name: str
    url: str
    certificate: bytes
    cost_type: CostType | None = None


class Subsystem(msgspec.Struct, frozen=True):
    """A subsystem of a member."""

    code: str
    name: str | None = None


class MemberClass(msgspec.Struct, frozen=True):
    """A class of members: its code and its description."""

    code: str
    description: str


class Member(msgspec.Struct, frozen=True):
    """A member with its subsystems."""

    id: ClientId
    class_description: str
    name: str
    subsystems: tuple[Subsystem, ...] = ()


class SecurityServer(msgspec.Struct, frozen=True):
    """A security server: ``clients`` without its owner, ``maintenance`` the notice when it is in maintenance mode."""

    id: ServerId
    address: str = ""
    auth_certificate_digests: frozenset[bytes] = frozenset()
    clients: frozenset[ClientId] = frozenset()
    maintenance: str | None = None


class GlobalGroup(msgspec.Struct, frozen=True):
    """A group of members and subsystems."""

    id: GlobalGroupId
    description: str
    members: frozenset[ClientId] = frozenset()


@dataclass(frozen=True, slots=True)
class SharedParameters:
    """One instance's shared parameters; ``version`` is the one they were read from or are to be written in."""

    instance: str
    version: int = CURRENT_VERSION
    sources: tuple[Source, ...] = ()
    approved_cas: tuple[ApprovedCa, ...] = ()
    approved_tsas: tuple[ApprovedTsa, ...] = ()
    members: tuple[Member, ...] = ()
    security_servers: tuple[SecurityServer, ...] = ()
    global_groups: tuple[GlobalGroup, ...] = ()
    member_classes: tuple[MemberClass, ...] = ()
    ocsp_freshness_s: int = 3600
    raw: bytes = field(default=b"", repr=False, compare=False)


# Reading

# Children of what there are thousands of.
_MEMBER = (Child("memberClass"), Child("memberCode"), Child("name"), Child("subsystem", 0, MANY))
_MEMBER_CLASS = (Child("code"), Child("description"))
_SERVER = (
    Child("owner"),
    Child("serverCode"),
    Child("address", 0),
    Child("authCertHash", 0, MANY),
    Child("client", 0, MANY),
)
_GROUP_MEMBER = tuple(
    Child(f"{{{ID_NS}}}{name}", int(name != "subsystemCode"))
    for name in ("xRoadInstance", "memberClass", "memberCode", "subsystemCode")
)


def parse_shared(raw: bytes, version: int) -> SharedParameters:
    """Read shared parameters of a version. Raises `Fault` (``malformed_global_conf``)."""
    if version not in VERSIONS:
        raise malformed(
            f"shared parameters of version {version}; {MINIMUM_VERSION} to {CURRENT_VERSION} are known"
        )
    try:
        return _Reader(version).read(raw)
    except BadMessage as fault:
        raise malformed(f"shared parameters: {fault.detail}") from fault


class _Reader:
    """Reads one document of one version; resolves the references of servers to members."""

    def __init__(self, version: int) -> None:
        self._version = version
        self._instance = ""
        self._by_reference: dict[str, ClientId] = {}
        since_5 = version >= 5
        self._subsystem_children = (Child("subsystemCode"), *((Child("subsystemName", 0),) * since_5))
        self._server_children = (*_SERVER, *((Child("inMaintenanceMode", 0),) * since_5))

    def read(self, raw: bytes) -> SharedParameters:
        root = parse_root(raw, "conf", "shared parameters")
        sources = (Child("source", 1, MANY),) if self._version >= 3 else ()
        found = take(
            root,
            (
                Child("instanceIdentifier"),
                *sources,
                Child("approvedCA", 0, MANY),
                Child("approvedTSA", 0, MANY),
                Child("member", 0, MANY),
                Child("securityServer", 0, MANY),
                Child("globalGroup", 0, MANY),
                Child("centralService", 0, MANY),
                Child("globalSettings"),
            ),
            open_end=self._version >= 3,
        )
        self._instance = text(found["instanceIdentifier"])
        if not self._instance:
            raise malformed("the instance identifier of shared parameters is empty")
        members = tuple(self._member(e) for e in found["member"])
        settings = take(
            found["globalSettings"][0], (Child("memberClass", 0, MANY), Child("ocspFreshnessSeconds"))
        )
        return SharedParameters(
            instance=self._instance,
            version=self._version,
            sources=tuple(_source(e) for e in found.get("source", ())),
            approved_cas=tuple(self._approved_ca(e) for e in found["approvedCA"]),
            approved_tsas=tuple(self._approved_tsa(e) for e in found["approvedTSA"]),
            members=members,
            security_servers=tuple(self._server(e) for e in found["securityServer"]),
            global_groups=tuple(self._group(e) for e in found["globalGroup"]),
            member_classes=tuple(_member_class(e) for e in settings["memberClass"]),
            ocsp_freshness_s=integer(settings["ocspFreshnessSeconds"]),
            raw=raw,
        )

    def _approved_ca(self, element: etree._Element) -> ApprovedCa:
        since_6 = (Child("defaultCsrFormat", 0),) if self._version >= 6 else ()
        acme = (Child("acmeServer", 0),) if self._version >= 3 else ()
        found = take(
            element,
            (
                Child("name"),
                Child("authenticationOnly", 0),
                Child("topCA"),
                Child("intermediateCA", 0, MANY),
                Child("certificateProfileInfo"),
                *since_6,
                *acme,
            ),
        )
        only = optional_text(found["authenticationOnly"])
        return ApprovedCa(
            name=text(found["name"]),
            top=self._ca(found["topCA"][0]),
            profile=text(found["certificateProfileInfo"]),
            authentication_only=None if only is None else boolean(only, "authenticationOnly"),
            intermediates=tuple(self._ca(e) for e in found["intermediateCA"]),
            default_csr_format=optional_text(found.get("defaultCsrFormat", ())),
            acme_server=self._acme(found["acmeServer"][0]) if found.get("acmeServer") else None,
        )

    def _acme(self, element: etree._Element) -> AcmeServer:
        # Version 4 names the profile ids; real central servers write them in version 3 too.
        found = take(
            element,
            (
                Child("directoryURL"),
                Child("ipAddress", 0),
                Child("authenticationCertificateProfileId", 0),
                Child("signingCertificateProfileId", 0),
            ),
        )
        return AcmeServer(
            text(found["directoryURL"]),
            optional_text(found["ipAddress"]),
            optional_text(found.get("authenticationCertificateProfileId", ())),
            optional_text(found.get("signingCertificateProfileId", ())),
        )

    def _cost(self) -> tuple[Child, ...]:
        return (Child("costType", 0),) if self._version >= 6 else ()

    def _ca(self, element: etree._Element) -> CaInfo:
        found = take(element, (Child("cert"), Child("ocsp", 0, MANY)))
        return CaInfo(base64_of(found["cert"][0]), tuple(self._ocsp(e) for e in found["ocsp"]))

    def _ocsp(self, element: etree._Element) -> OcspInfo:
        found = take(element, (Child("url"), Child("cert", 0), *self._cost()))
        certificate = base64_of(found["cert"][0]) if found["cert"] else None
        return OcspInfo(text(found["url"]), certificate, _cost_type(found.get("costType")))

    def _approved_tsa(self, element: etree._Element) -> ApprovedTsa:
        found = take(element, (Child("name"), Child("url"), Child("cert"), *self._cost()))
        return ApprovedTsa(
            text(found["name"]),
            text(found["url"]),
            base64_of(found["cert"][0]),
            _cost_type(found.get("costType")),
        )

    def _member(self, element: etree._Element) -> Member:
        found = take(element, _MEMBER)
        member_class = _member_class(found["memberClass"][0])
        member = ClientId(self._instance, member_class.code, text(found["memberCode"]))
        self._remember(element, member)
        subsystems = []
        for inner in found["subsystem"]:
            parts = take(inner, self._subsystem_children)
            subsystem = Subsystem(text(parts["subsystemCode"]), optional_text(parts.get("subsystemName", ())))
            subsystems.append(subsystem)
            self._remember(inner, member.subsystem(subsystem.code))
        return Member(member, member_class.description, text(found["name"]), tuple(subsystems))

    def _remember(self, element: etree._Element, client: ClientId) -> None:
        reference = element.get("id")
        if reference is None:
            return
        if reference in self._by_reference:
            raise malformed(f"the id {reference!r} is there twice")
        self._by_reference[reference] = client

    def _resolve(self, element: etree._Element) -> ClientId:
        reference = (element.text or "").strip()
        client = self._by_reference.get(reference)
        if client is None:
            raise malformed(f"a security server refers to {reference!r}, which is no member or subsystem")
        return client

    def _server(self, element: etree._Element) -> SecurityServer:
        found = take(element, self._server_children)
        owner = self._resolve(found["owner"][0])
        if not owner.is_member:
            raise malformed(f"the owner of a security server must be a member, not {owner.path()}")
        maintenance = found.get("inMaintenanceMode")
        return SecurityServer(
            id=owner.server(text(found["serverCode"])),
            address=optional_text(found["address"]) or "",
            auth_certificate_digests=frozenset(base64_of(e) for e in found["authCertHash"]),
            clients=frozenset(self._resolve(e) for e in found["client"]),
            maintenance=_maintenance(maintenance[0]) if maintenance else None,
        )

    def _group(self, element: etree._Element) -> GlobalGroup:
        found = take(element, (Child("groupCode"), Child("description"), Child("groupMember", 0, MANY)))
        return GlobalGroup(
            GlobalGroupId(self._instance, text(found["groupCode"])),
            text(found["description"]),
            frozenset(_group_member(e) for e in found["groupMember"]),
        )


def _group_member(element: etree._Element) -> ClientId:
    """A client by its parts: configurations exist that call subsystems members here."""
    parts = take(element, _GROUP_MEMBER)
    return ClientId(*(text(found) for found in parts.values() if found))


def _maintenance(element: etree._Element) -> str:
    return optional_text(take(element, (Child("message", 0),))["message"]) or ""


def _source(element: etree._Element) -> Source:
    found = take(
        element,
        (
            Child("address"),
            Child("internalVerificationCert", 0, MANY),
            Child("externalVerificationCert", 0, MANY),
        ),
    )
    return Source(
        text(found["address"]),
        tuple(base64_of(e) for e in found["internalVerificationCert"]),
        tuple(base64_of(e) for e in found["externalVerificationCert"]),
    )


def _member_class(element: etree._Element) -> MemberClass:
    found = take(element, _MEMBER_CLASS)
    return MemberClass(text(found["code"]), text(found["description"]))


def _cost_type(elements: list[etree._Element] | None) -> CostType | None:
    value = optional_text(elements or ())
    if value is None:
        return None
    try:
        return CostType(value)
    except ValueError:
        raise malformed(f"costType is {value!r}; FREE, PAID or UNDEFINED was expected") from None
