"""What a registry file changes: the registry as it is, joined with what the file says, and the difference line by line.

A file takes nothing away by not speaking of it. With ``prune`` it does, except for what came by a management request of an
institute (`Registered`): that goes by a request of its own, or by the command or page that names it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from central_server.registry.model import OWNERS_GROUP, RegisteredServer, Registry
from schemas.globalconf.shared import GlobalGroup, Member
from schemas.identifiers import GlobalGroupId
from serving.language import _

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.globalconf.shared import ApprovedCa, ApprovedTsa, CaInfo
    from schemas.identifiers import ClientId, ServerId


@dataclass(frozen=True, slots=True)
class Registered:
    """The outcome of approved management requests: members and subsystems, servers, their certificates and clients."""

    clients: frozenset[ClientId] = frozenset()
    servers: frozenset[ServerId] = frozenset()
    certificates: frozenset[bytes] = frozenset()
    server_clients: frozenset[tuple[ServerId, ClientId]] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """The registry to be; the changes, a line each; and the rest that stays though the file does not speak of it."""

    registry: Registry
    changes: tuple[str, ...]
    stays: tuple[str, ...]


def plan(current: Registry | None, desired: Registry, registered: Registered, *, prune: bool) -> Plan:
    """The plan of applying ``wanted`` to ``current`` (None: nothing is there). Pure."""
    if current is None:
        return Plan(desired, tuple(f"+ {line}" for line in lines_of(desired)), ())
    merged = _merge(current, desired, registered, prune=prune)
    old, desired_lines, new = (set(lines_of(r)) for r in (current, desired, merged))
    changes = [f"- {line}" for line in sorted(old - new)] + [f"+ {line}" for line in sorted(new - old)]
    return Plan(merged, tuple(changes), tuple(sorted(new - desired_lines)))


# Joining


def _merge(current: Registry, desired: Registry, registered: Registered, *, prune: bool) -> Registry:
    members = _merge_members(current, desired, registered, prune=prune)
    declared, used = {c.code for c in desired.member_classes}, {m.id.member_class for m in members}
    classes = [c for c in current.member_classes if c.code not in declared and (not prune or c.code in used)]
    servers = _merge_servers(current, desired, registered, prune=prune)
    return replace(
        desired,
        member_classes=(*desired.member_classes, *classes),
        members=members,
        servers=servers,
        groups=_merge_groups(current, desired, servers, prune=prune),
        cas=desired.cas if prune else _merge_cas(current, desired),
        tsas=(*desired.tsas, *_kept_tsas(current, desired, prune=prune)),
    )


def _merge_members(
    current: Registry, desired: Registry, registered: Registered, *, prune: bool
) -> tuple[Member, ...]:
    there = {m.id: m for m in current.members}
    found = {m.id: m for m in desired.members}
    for member_id, old in there.items():
        new = found.get(member_id)
        codes = {} if new is None else {s.code: s for s in new.subsystems}
        # A subsystem that the file lists without a name keeps the one it has.
        for subsystem in old.subsystems:
            declared = codes.get(subsystem.code)
            if declared is None:
                if not prune or member_id.subsystem(subsystem.code) in registered.clients:
                    codes[subsystem.code] = subsystem
            elif declared.name is None:
                codes[subsystem.code] = subsystem
        if new is not None or not prune or codes or member_id in registered.clients:
            found[member_id] = msgspec.structs.replace(new or old, subsystems=tuple(codes.values()))
    return tuple(found.values())


def _merge_servers(
    current: Registry, desired: Registry, registered: Registered, *, prune: bool
) -> tuple[RegisteredServer, ...]:
    found = {s.id: s for s in desired.servers}
    moved = {d for s in desired.servers for d in s.auth_certificates}
    for old in current.servers:
        new = found.get(old.id)
        if new is None and prune and old.id not in registered.servers:
            continue
        # A certificate that the file gives to another server moves there.
        kept = [d for d in old.auth_certificates if d not in moved]
        certificates = [d for d in kept if not prune or d in registered.certificates]
        clients = [c for c in old.clients if not prune or (old.id, c) in registered.server_clients]
        entry = new or replace(old, auth_certificates=(), clients=())
        found[old.id] = replace(
            entry,
            auth_certificates=tuple(dict.fromkeys((*entry.auth_certificates, *certificates))),
            clients=tuple(dict.fromkeys((*entry.clients, *clients))),
            # A file without a word on maintenance does not end it.
            maintenance=entry.maintenance if entry.maintenance is not None else old.maintenance,
        )
    return tuple(found.values())


def _merge_groups(
    current: Registry, desired: Registry, servers: tuple[RegisteredServer, ...], *, prune: bool
) -> tuple[GlobalGroup, ...]:
    found = {g.id.group_code: g for g in desired.groups}
    for old in current.groups:
        new = found.get(old.id.group_code)
        if old.id.group_code == OWNERS_GROUP:
            found[OWNERS_GROUP] = msgspec.structs.replace(
                old, id=GlobalGroupId(desired.instance, OWNERS_GROUP)
            )
        elif not prune:
            found[old.id.group_code] = msgspec.structs.replace(
                new or old, members=old.members | (new or old).members
            )
    owners = frozenset(s.id.owner for s in servers if s.auth_certificates)
    found[OWNERS_GROUP] = msgspec.structs.replace(found[OWNERS_GROUP], members=owners)
    return tuple(found.values())


def _merge_cas(current: Registry, desired: Registry) -> tuple[ApprovedCa, ...]:
    there = {ca.top.certificate: ca for ca in current.cas}
    found = [_merge_ca(there.pop(ca.top.certificate, None), ca) for ca in desired.cas]
    return (*found, *there.values())


def _merge_ca(old: ApprovedCa | None, new: ApprovedCa) -> ApprovedCa:
    """A CA as the file says, with what the file is silent on as it is."""
    if old is None:
        return new
    below = {i.certificate: i for i in old.intermediates}
    intermediates = [_merge_info(below.pop(i.certificate, None), i) for i in new.intermediates]
    return msgspec.structs.replace(
        new,
        top=_merge_info(old.top, new.top),
        intermediates=(*intermediates, *below.values()),
        default_csr_format=new.default_csr_format or old.default_csr_format,
        acme_server=new.acme_server or old.acme_server,
    )


def _merge_info(old: CaInfo | None, new: CaInfo) -> CaInfo:
    urls = {o.url for o in new.ocsp}
    kept = () if old is None else tuple(o for o in old.ocsp if o.url not in urls)
    return msgspec.structs.replace(new, ocsp=(*new.ocsp, *kept))


def _kept_tsas(current: Registry, desired: Registry, *, prune: bool) -> Iterator[ApprovedTsa]:
    """Authorities the file does not speak of: neither their certificate nor their address is in it."""
    certificates, urls = {t.certificate for t in desired.tsas}, {t.url for t in desired.tsas}
    for tsa in current.tsas:
        if not prune and tsa.certificate not in certificates and tsa.url not in urls:
            yield tsa


# Saying


def lines_of(registry: Registry) -> Iterator[str]:
    """A registry as facts, a line each in the language of this process; two registries are the same when these are."""
    yield _("address {address}", address=registry.address)
    yield _("management service {path}", path=registry.management_service.path())
    yield _("OCSP responses are fresh for {seconds} s", seconds=registry.ocsp_freshness_s)
    yield _("timestamps at least every {seconds} s", seconds=registry.timestamping_interval_s)
    yield _("configuration expires after {seconds} s", seconds=registry.expire_interval_s)
    for found in registry.member_classes:
        yield _("member class {code}: {description}", code=found.code, description=found.description)
    for member in registry.members:
        yield _("member {path}: {name}", path=member.id.path(), name=member.name)
        for subsystem in member.subsystems:
            name = "" if subsystem.name is None else f": {subsystem.name}"
            yield _("subsystem {path}{name}", path=member.id.subsystem(subsystem.code).path(), name=name)
    for server in registry.servers:
        yield from _server_lines(server)
    for group in registry.groups:
        yield _("group {group}: {description}", group=group.id.group_code, description=group.description)
        yield from (
            _("group {group} has {path}", group=group.id.group_code, path=m.path()) for m in group.members
        )
    for ca in registry.cas:
        yield from _ca_lines(ca)
    for tsa in registry.tsas:
        yield _(
            "TSA {name} at {url}, certificate {digest}{cost}",
            name=tsa.name,
            url=tsa.url,
            digest=_digest(tsa.certificate),
            cost=_cost(tsa.cost_type),
        )


def _server_lines(server: RegisteredServer) -> Iterator[str]:
    name = server.id.path()
    yield _("security server {name} at {address}", name=name, address=server.address)
    if server.maintenance is not None:
        yield _(
            "security server {name} in maintenance: {maintenance}", name=name, maintenance=server.maintenance
        )
    yield from (
        _("security server {name} authenticates by {digest}", name=name, digest=_digest(d))
        for d in server.auth_certificates
    )
    yield from (
        _("security server {name} has client {path}", name=name, path=c.path()) for c in server.clients
    )


def _ca_lines(ca: ApprovedCa) -> Iterator[str]:
    use = _(", for authentication only") if ca.authentication_only else ""
    form = "" if ca.default_csr_format is None else _(", requests as {format}", format=ca.default_csr_format)
    yield _(
        "CA {name}: {digest}, profile {profile}{use}{form}",
        name=ca.name,
        digest=_digest(ca.top.certificate),
        profile=ca.profile,
        use=use,
        form=form,
    )
    if ca.acme_server is not None:
        acme = ca.acme_server
        ids = ", ".join(
            i or "-" for i in (acme.ip_address, acme.authentication_profile_id, acme.signing_profile_id)
        )
        yield _(
            "CA {name} takes orders at {directory_url} ({ids})",
            name=ca.name,
            directory_url=acme.directory_url,
            ids=ids,
        )
    for info in (ca.top, *ca.intermediates):
        if info is not ca.top:
            yield _("CA {name} has intermediate {digest}", name=ca.name, digest=_digest(info.certificate))
        yield from _responder_lines(ca.name, info)


def _responder_lines(name: str, info: CaInfo) -> Iterator[str]:
    for ocsp in info.ocsp:
        by = "" if ocsp.certificate is None else _(", certificate {digest}", digest=_digest(ocsp.certificate))
        yield _(
            "CA {name}: {digest} is asked about at {url}{by}{cost}",
            name=name,
            digest=_digest(info.certificate),
            url=ocsp.url,
            by=by,
            cost=_cost(ocsp.cost_type),
        )


def _cost(cost: object) -> str:
    return "" if cost is None else f", {cost}"


def _digest(der: bytes) -> str:
    return f"SHA256:{hashlib.sha256(der).hexdigest()}"
