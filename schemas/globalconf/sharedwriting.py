"""Writing shared parameters, in every version that servers read. Values and reading are in `schemas.globalconf.shared`.

Spec: PR-GCONF.
"""

from __future__ import annotations

from operator import attrgetter
from typing import TYPE_CHECKING

from schemas.globalconf.elements import (
    add,
    add_optional,
    new_root,
    to_bytes,
)
from schemas.identifiers import ClientId, append_identifier

if TYPE_CHECKING:
    from lxml import etree

from schemas.globalconf.shared import (
    ApprovedCa,
    CaInfo,
    Member,
    MemberClass,
    SecurityServer,
    SharedParameters,
    Source,
)

_components = attrgetter("components")


def render_shared(shared: SharedParameters, version: int | None = None) -> bytes:
    """The document in a version; what that version cannot say is left out (see the module)."""
    version = shared.version if version is None else version
    root = new_root("conf")
    add(root, "instanceIdentifier", shared.instance)
    if version >= 3:
        for source in shared.sources:
            _add_source(root, source)
    for ca in shared.approved_cas:
        _add_ca(root, ca, version)
    for tsa in shared.approved_tsas:
        element = add(root, "approvedTSA")
        add(element, "name", tsa.name)
        add(element, "url", tsa.url)
        add(element, "cert", tsa.certificate)
        if version >= 6:
            add_optional(element, "costType", tsa.cost_type)
    references = _add_members(root, shared.members, version)
    for server in shared.security_servers:
        _add_server(root, server, references, version)
    for group in shared.global_groups:
        element = add(root, "globalGroup")
        add(element, "groupCode", group.id.group_code)
        add(element, "description", group.description)
        for member in sorted(group.members, key=_components):
            append_identifier(element, "groupMember", member)
    settings = add(root, "globalSettings")
    for member_class in shared.member_classes:
        _add_member_class(settings, member_class)
    add(settings, "ocspFreshnessSeconds", shared.ocsp_freshness_s)
    return to_bytes(root)


def oldest_same(shared: SharedParameters, version: int) -> int:
    """The oldest version with the digests of ``version`` (2 has its own) in which nothing of these parameters is left out that it has."""
    acme = [ca.acme_server for ca in shared.approved_cas if ca.acme_server is not None]
    infos = [info for ca in shared.approved_cas for info in (ca.top, *ca.intermediates)]
    says_more = {
        2: True,
        3: True,
        4: any(a.authentication_profile_id is not None or a.signing_profile_id is not None for a in acme),
        5: any(s.maintenance is not None for s in shared.security_servers)
        or any(s.name is not None for m in shared.members for s in m.subsystems),
        6: any(ca.default_csr_format is not None for ca in shared.approved_cas)
        or any(tsa.cost_type is not None for tsa in shared.approved_tsas)
        or any(ocsp.cost_type is not None for info in infos for ocsp in info.ocsp),
    }
    return max(v for v in says_more if v <= version and says_more[v])


def _add_source(root: etree._Element, source: Source) -> None:
    element = add(root, "source")
    add(element, "address", source.address)
    for certificate in source.internal_certificates:
        add(element, "internalVerificationCert", certificate)
    for certificate in source.external_certificates:
        add(element, "externalVerificationCert", certificate)


def _add_ca(root: etree._Element, ca: ApprovedCa, version: int) -> None:
    element = add(root, "approvedCA")
    add(element, "name", ca.name)
    if ca.authentication_only is not None:
        add(element, "authenticationOnly", ca.authentication_only)
    for name, info in (("topCA", ca.top), *(("intermediateCA", i) for i in ca.intermediates)):
        _add_ca_info(element, name, info, version)
    add(element, "certificateProfileInfo", ca.profile)
    if version >= 6:
        add_optional(element, "defaultCsrFormat", ca.default_csr_format)
    if version >= 3 and ca.acme_server is not None:
        acme = add(element, "acmeServer")
        add(acme, "directoryURL", ca.acme_server.directory_url)
        add_optional(acme, "ipAddress", ca.acme_server.ip_address)
        if version >= 4:
            add_optional(acme, "authenticationCertificateProfileId", ca.acme_server.authentication_profile_id)
            add_optional(acme, "signingCertificateProfileId", ca.acme_server.signing_profile_id)


def _add_ca_info(parent: etree._Element, name: str, info: CaInfo, version: int) -> None:
    element = add(parent, name)
    add(element, "cert", info.certificate)
    for ocsp in info.ocsp:
        inner = add(element, "ocsp")
        add(inner, "url", ocsp.url)
        add_optional(inner, "cert", ocsp.certificate)
        if version >= 6:
            add_optional(inner, "costType", ocsp.cost_type)


def _add_member_class(parent: etree._Element, member_class: MemberClass) -> None:
    element = add(parent, "memberClass")
    add(element, "code", member_class.code)
    add(element, "description", member_class.description)


def _add_members(root: etree._Element, members: tuple[Member, ...], version: int) -> dict[ClientId, str]:
    references: dict[ClientId, str] = {}
    for member in members:
        element = add(root, "member")
        references[member.id] = reference = f"id{len(references)}"
        element.set("id", reference)
        _add_member_class(element, MemberClass(member.id.member_class, member.class_description))
        add(element, "memberCode", member.id.member_code)
        add(element, "name", member.name)
        for subsystem in member.subsystems:
            inner = add(element, "subsystem")
            client = member.id.subsystem(subsystem.code)
            references[client] = reference = f"id{len(references)}"
            inner.set("id", reference)
            add(inner, "subsystemCode", subsystem.code)
            if version >= 5:
                add_optional(inner, "subsystemName", subsystem.name)
    return references


def _add_server(
    root: etree._Element, server: SecurityServer, references: dict[ClientId, str], version: int
) -> None:
    element = add(root, "securityServer")
    add(element, "owner", references[server.id.owner])
    add(element, "serverCode", server.id.server_code)
    add_optional(element, "address", server.address or None)
    for digest in sorted(server.auth_certificate_digests):
        add(element, "authCertHash", digest)
    hidden = version < 5 and server.maintenance is not None
    for client in sorted(server.clients, key=_components):
        if not (hidden and not client.is_member):
            add(element, "client", references[client])
    if version >= 5 and server.maintenance is not None:
        maintenance = add(element, "inMaintenanceMode")
        add_optional(maintenance, "message", server.maintenance or None)
