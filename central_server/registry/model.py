"""The registry of an instance, as one value read from one file, and the rules it must keep.

Pure: TOML text in, `Registry` out, or `OperatorError` with every mistake. The group ``security-server-owners`` is kept
here and cannot be written by hand. The format::

    instance = "MX"
    address = "127.10.0.1"                       # where configuration is downloaded
    management_service = "MX/GOB/00-ONIESS/GESTION"

    [[member_class]]
    code = "GOB"
    description = "Institutos"

    [[member]]
    id = "MX/GOB/15-ISSEMYM"
    name = "ISSEMYM"
    subsystems = ["AFIL", { code = "HIST", name = "Historia laboral" }]

    [[server]]
    id = "MX/GOB/15-ISSEMYM/SS1"
    address = "127.10.0.15"
    auth_certificates = ["issemym-auth.pem"]
    clients = ["MX/GOB/15-ISSEMYM/AFIL"]

    [[group]]
    code = "institutos"
    description = "Institutos estatales"
    members = ["MX/GOB/15-ISSEMYM/AFIL"]

    [[ca]]
    certificate = "root.pem"
    intermediates = ["intermediate.pem"]      # asked about at the same responders, or
                                              # { certificate = "...", ocsp = [...] } with its own
    profile = "Basic"
    ocsp = [{ url = "http://127.10.0.2:8888/ocsp", certificate = "ocsp.pem" }]

    [[tsa]]
    name = "TSA"
    url = "http://127.10.0.2:8888/tsa"
    certificate = "tsa.pem"
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from certs.certificates import name_text, parse_certificate
from certs.profiles import JAVA_PACKAGE, JAVA_SUFFIX, STANDARD_PROFILES
from schemas.faults import BadMessage, Fault
from schemas.globalconf.shared import (
    AcmeServer,
    ApprovedCa,
    ApprovedTsa,
    CaInfo,
    CostType,
    GlobalGroup,
    Member,
    MemberClass,
    OcspInfo,
    Source,
    Subsystem,
)
from schemas.globalconf.witnesses import Appointments
from schemas.identifiers import ClientId, GlobalGroupId, ServerId
from schemas.names import check_code, check_host, check_name, check_text
from serving.config.textfiles import parse_toml
from serving.errors import OperatorError
from serving.language import N_, _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Set

    from certs.profiles import CertificateProfiles
    from schemas.globalconf.anchor import Anchor

OWNERS_GROUP = "security-server-owners"
OWNERS_DESCRIPTION = "Security server owners"


@dataclass(frozen=True, slots=True)
class RegisteredServer:
    """A security server: auth certificates in DER."""

    id: ServerId
    address: str
    auth_certificates: tuple[bytes, ...]
    clients: tuple[ClientId, ...]
    maintenance: str | None = None


@dataclass(frozen=True, slots=True)
class Registry:
    """Everything the central server knows of its instance."""

    instance: str
    address: str
    management_service: ClientId
    member_classes: tuple[MemberClass, ...]
    members: tuple[Member, ...]
    servers: tuple[RegisteredServer, ...]
    groups: tuple[GlobalGroup, ...]
    cas: tuple[ApprovedCa, ...]
    tsas: tuple[ApprovedTsa, ...]
    ocsp_freshness_s: int = 3600
    timestamping_interval_s: int = 60
    expire_interval_s: int = 600
    # What a registry file cannot say.
    anchors: tuple[Anchor, ...] = ()
    # Content identifier, file name, content.
    parts: tuple[tuple[str, str, bytes], ...] = ()
    registration_certificate: bytes | None = None
    sources: tuple[Source, ...] = ()
    # Who there is to cosign transparency logs, and whose logs; nobody is appointed yet.
    witnesses: Appointments = field(default_factory=Appointments)


class _MemberClass(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    code: str
    description: str


class _Subsystem(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    code: str
    name: str | None = None


class _Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    id: str
    name: str
    subsystems: tuple[str | _Subsystem, ...] = ()


class _Server(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    id: str
    address: str
    auth_certificates: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()
    maintenance: str | None = None


class _RegistryGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    code: str
    description: str
    members: tuple[str, ...] = ()


class _Ocsp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str
    certificate: str | None = None
    cost_type: CostType | None = None


class _Intermediate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    certificate: str
    ocsp: tuple[_Ocsp, ...] = ()


class _Acme(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    url: str
    ip: str | None = None
    auth_profile: str | None = None
    sign_profile: str | None = None


class _Ca(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    certificate: str
    profile: str = "Basic"
    name: str | None = None
    intermediates: tuple[str | _Intermediate, ...] = ()
    ocsp: tuple[_Ocsp, ...] = ()
    authentication_only: bool = False
    csr_format: Literal["PEM", "DER"] | None = None
    acme: _Acme | None = None


class _Tsa(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    url: str
    certificate: str
    cost_type: CostType | None = None


class _RegistryFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    instance: str
    address: str
    management_service: str
    ocsp_freshness_s: int = 3600
    timestamping_interval_s: int = 60
    expire_interval_s: int = 600
    member_class: tuple[_MemberClass, ...] = ()
    member: tuple[_Member, ...] = ()
    server: tuple[_Server, ...] = ()
    group: tuple[_RegistryGroup, ...] = ()
    ca: tuple[_Ca, ...] = ()
    tsa: tuple[_Tsa, ...] = ()


def parse_registry(
    text: str, read_certificate: Callable[[str], bytes], profiles: CertificateProfiles = STANDARD_PROFILES
) -> Registry:
    """The registry a file describes. Raises `OperatorError`.

    ``read_certificate`` gives the DER behind a name; ``profiles`` are those that an authority's profile may name.
    """
    return read_registry(parse_toml(text), read_certificate, profiles)


def read_registry(
    values: Mapping[str, Any],
    read_certificate: Callable[[str], bytes],
    profiles: CertificateProfiles = STANDARD_PROFILES,
) -> Registry:
    """The same of a file that is taken apart already. Raises `OperatorError`."""
    try:
        file = msgspec.convert(values, _RegistryFile)
    except msgspec.ValidationError as err:
        raise OperatorError(N_("the file is not understood: {err}", err=err)) from err
    try:
        registry = _registry(file, read_certificate, profiles)
    except Fault as fault:
        raise OperatorError(fault.detail) from fault
    except OSError as err:
        raise OperatorError(N_("a certificate cannot be read: {err}", err=err)) from err
    problems = list(check_registry(registry))
    if problems:
        raise OperatorError("\n".join(problems))
    return registry


def _registry(file: _RegistryFile, read: Callable[[str], bytes], profiles: CertificateProfiles) -> Registry:
    servers = tuple(
        RegisteredServer(
            _server_id(s.id),
            s.address,
            tuple(read(name) for name in s.auth_certificates),
            tuple(_client(c) for c in s.clients),
            s.maintenance,
        )
        for s in file.server
    )
    owners = frozenset(s.id.owner for s in servers if s.auth_certificates)
    classes = {c.code: c.description for c in file.member_class}
    return Registry(
        instance=file.instance,
        address=file.address,
        management_service=_client(file.management_service),
        member_classes=tuple(MemberClass(c.code, c.description) for c in file.member_class),
        members=tuple(
            Member(
                (member := _client(m.id)),
                classes.get(member.member_class, member.member_class),
                m.name,
                tuple(_subsystem(s) for s in m.subsystems),
            )
            for m in file.member
        ),
        servers=servers,
        groups=(
            GlobalGroup(GlobalGroupId(file.instance, OWNERS_GROUP), OWNERS_DESCRIPTION, owners),
            *(
                GlobalGroup(
                    GlobalGroupId(file.instance, g.code),
                    g.description,
                    frozenset(_client(m) for m in g.members),
                )
                for g in file.group
            ),
        ),
        cas=tuple(_ca(c, read, profiles) for c in file.ca),
        tsas=tuple(ApprovedTsa(t.name, t.url, read(t.certificate), t.cost_type) for t in file.tsa),
        ocsp_freshness_s=file.ocsp_freshness_s,
        timestamping_interval_s=file.timestamping_interval_s,
        expire_interval_s=file.expire_interval_s,
    )


def _ca(ca: _Ca, read: Callable[[str], bytes], profiles: CertificateProfiles) -> ApprovedCa:
    ocsp = _responders(ca.ocsp, read)
    top = read(ca.certificate)
    name = ca.name or name_text(parse_certificate(top).subject)
    profile = (
        ca.profile if "." in ca.profile else f"{JAVA_PACKAGE}{profiles.named(ca.profile).name}{JAVA_SUFFIX}"
    )
    return ApprovedCa(
        name,
        CaInfo(top, ocsp),
        profile,
        ca.authentication_only,
        tuple(
            CaInfo(read(i), ocsp)
            if isinstance(i, str)
            else CaInfo(read(i.certificate), _responders(i.ocsp, read))
            for i in ca.intermediates
        ),
        ca.csr_format,
        None
        if ca.acme is None
        else AcmeServer(ca.acme.url, ca.acme.ip, ca.acme.auth_profile, ca.acme.sign_profile),
    )


def _responders(listed: tuple[_Ocsp, ...], read: Callable[[str], bytes]) -> tuple[OcspInfo, ...]:
    return tuple(
        OcspInfo(o.url, None if o.certificate is None else read(o.certificate), o.cost_type) for o in listed
    )


def _subsystem(entry: str | _Subsystem) -> Subsystem:
    return Subsystem(entry) if isinstance(entry, str) else Subsystem(entry.code, entry.name)


def check_registry(registry: Registry) -> Iterable[str]:
    """Every rule the registry breaks, in words."""
    yield from _unsuitable(registry)
    members = {m.id for m in registry.members}
    clients = members | {m.id.subsystem(s.code) for m in registry.members for s in m.subsystems}
    yield from _doubles(_("member"), (m.id.path() for m in registry.members))
    yield from _doubles(_("security server"), (s.id.path() for s in registry.servers))
    yield from _doubles(_("group"), (g.id.group_code for g in registry.groups))
    known_classes = {c.code for c in registry.member_classes}
    for member in registry.members:
        if member.id.instance != registry.instance:
            yield _(
                "member {path} is not of instance {instance}",
                path=member.id.path(),
                instance=registry.instance,
            )
        if member.id.member_class not in known_classes:
            yield _(
                "member {path}: there is no member class {code}; add it as [[member_class]]",
                path=member.id.path(),
                code=member.id.member_class,
            )
        yield from _doubles(
            _("subsystem of {path}", path=member.id.path()), (s.code for s in member.subsystems)
        )
    yield from _wrong_servers(registry, members, clients)
    for group in registry.groups:
        for found in sorted(group.members - clients):
            yield _(
                "group {group}: {path} is no member or subsystem",
                group=group.id.group_code,
                path=found.path(),
            )
    if registry.management_service not in clients:
        yield _(
            "management_service {path} is no member or subsystem; without one no configuration can be made",
            path=registry.management_service.path(),
        )
    digests = [der for server in registry.servers for der in server.auth_certificates]
    if len(set(digests)) != len(digests):
        yield _("an authentication certificate is registered twice")


def _wrong_servers(registry: Registry, members: Set[ClientId], clients: Set[ClientId]) -> Iterable[str]:
    for server in registry.servers:
        if server.id.owner not in members:
            yield _("security server {path}: its owner is no member", path=server.id.path())
        for client in server.clients:
            if client not in clients:
                yield _(
                    "security server {path}: client {client} is no member or subsystem",
                    path=server.id.path(),
                    client=client.path(),
                )
            if client == server.id.owner:
                yield _(
                    "security server {path}: its owner is its client anyway and is not listed",
                    path=server.id.path(),
                )


def _unsuitable(registry: Registry) -> Iterable[str]:
    """Every name and code of the registry that nobody may have, in words."""
    codes = [("instance", registry.instance), *(("member class", c.code) for c in registry.member_classes)]
    names = [("address", registry.address)]
    names += [(f"member class {c.code}: the description", c.description) for c in registry.member_classes]
    hosts: list[tuple[str, str]] = []
    for member in registry.members:
        where = member.id.path()
        codes += [(f"member {where!r}: the code", c) for c in member.id.components]
        codes += [(f"member {where!r}: the subsystem", s.code) for s in member.subsystems]
        names.append((f"member {where!r}: the name", member.name))
    for server in registry.servers:
        where = server.id.path()
        codes += [(f"security server {where!r}: the code", c) for c in server.id.components]
        hosts.append((f"security server {where!r}: the address", server.address))
        # As its owner's request may have it: in lines, and with nothing to see.
        yield from _faults(
            partial(check_text, lines=True),
            server.maintenance or "",
            f"security server {where!r}: the notice",
        )
    for group in registry.groups:
        codes.append(("group", group.id.group_code))
        names.append((f"group {group.id.group_code!r}: the description", group.description))
    for what, code in codes:
        yield from _faults(check_code, code, f"{what} {code!r}")
    for what, name in names:
        yield from _faults(check_name, name, what)
    for what, host in hosts:
        yield from _faults(check_host, host, what)
    for url in (*(o.url for ca in registry.cas for o in ca.top.ocsp), *(t.url for t in registry.tsas)):
        yield from _faults(check_text, url, f"the address {url!r}")
    for name in (*(ca.name for ca in registry.cas), *(t.name for t in registry.tsas)):
        yield from _faults(partial(check_name, longest=1024), name, f"the trust service {name!r}")


def _faults(check: Callable[[str, str], str], text: str, what: str) -> Iterable[str]:
    try:
        check(text, what)
    except BadMessage as fault:
        yield fault.detail


def _doubles(what: str, names: Iterable[str]) -> Iterable[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            yield _("{what} {name} is there twice", what=what, name=name)
        seen.add(name)


def _client(text: str) -> ClientId:
    parts = text.split("/")
    if len(parts) not in (3, 4):
        raise OperatorError(
            N_("{text!r} is not instance/class/code or instance/class/code/subsystem", text=text)
        )
    return ClientId(*parts)


def _server_id(text: str) -> ServerId:
    parts = text.split("/")
    if len(parts) != 4:
        raise OperatorError(N_("{text!r} is not instance/class/code/server", text=text))
    return ServerId(*parts)
