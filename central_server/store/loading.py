"""The whole registry at once: read from the tables as one value, or made what one file says.

Making it so changes only what differs, so numbers of what stays are kept and the audit log tells what changed. What a
file cannot say (trusted anchors, optional parts, signing keys, requests) stays as it is.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from central_server.registry.model import RegisteredServer, Registry
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store import groups, members, servers, sources, trust, witnesses
from central_server.store.records import read_row, read_rows
from certs.certificates import parse_certificate
from schemas.faults import Fault
from schemas.globalconf.shared import (
    AcmeServer,
    ApprovedCa,
    ApprovedTsa,
    CaInfo,
    GlobalGroup,
    Member,
    MemberClass,
    OcspInfo,
    Subsystem,
)
from schemas.globalconf.witnesses import Appointments
from schemas.identifiers import ClientId, GlobalGroupId, parse_client_path
from serving.errors import OperatorError
from serving.language import N_
from serving.storage.damage import reading_row

if TYPE_CHECKING:
    from collections.abc import Mapping

    from central_server.store.records import Records
    from serving.language import Text, Translatable

DEFAULTS = {"ocsp_freshness_s": 3600, "timestamping_interval_s": 60, "expire_interval_s": 600}


def number_parameter(records: Records, name: str) -> int:
    """A system parameter that is a number."""
    row = (name, records.parameter(name) or DEFAULTS[name])
    return read_row(records, "parameter", row, lambda r: int(r[1]), "name")


def provider(records: Records) -> ClientId | None:
    """Who provides the management services, once that is decided."""
    row = ("management_service", records.parameter("management_service"))
    return (
        None
        if row[1] is None
        else read_row(records, "parameter", row, lambda r: parse_client_path(r[1]), "name")
    )


def set_provider(records: Records, client: ClientId) -> None:
    """Let a member or subsystem provide the management services."""
    members.need_client(records, client)
    old = records.parameter("management_service")
    records.set_parameter("management_service", client.path())
    records.note(
        "EDIT_MANAGEMENT_SERVICES_PROVIDER",
        records.instance,
        before=[] if old is None else [f"provider {old}"],
        after=[f"provider {client.path()}"],
    )


def load_registry(records: Records, faults: list[Translatable] | None = None) -> Registry:
    """Everything that is published. Raises `Refused` when something is missing without which nothing can be.

    With ``faults`` a row that cannot be read is said there and left out; without, it raises.
    """
    chosen = provider(records)
    if chosen is None:
        raise refuse(RegistryCode.MANAGEMENT_SERVICE_PROVIDER_NOT_SET)
    return present_registry(records, chosen, faults)


def present_registry(
    records: Records, chosen: ClientId, faults: list[Translatable] | None = None
) -> Registry:
    """Everything there is, whether or not it can be published; ``chosen`` is taken where no management service is set.

    ``faults`` as for `load_registry`.
    """
    instance = records.instance
    chosen = provider(records) or chosen
    certificate = sources.tls_certificate(records)
    return Registry(
        instance=instance,
        address=sources.node_address(records) or "",
        management_service=chosen,
        member_classes=tuple(MemberClass(c, d) for c, d in members.list_member_classes(records)),
        members=_load_members(records, faults),
        servers=_load_servers(records, instance, faults),
        groups=_load_groups(records, instance, faults),
        cas=tuple(_load_ca(records, ca) for ca in trust.list_cas(records)),
        tsas=tuple(_load_tsa(records, tsa) for tsa in trust.list_tsas(records)),
        ocsp_freshness_s=number_parameter(records, "ocsp_freshness_s"),
        timestamping_interval_s=number_parameter(records, "timestamping_interval_s"),
        expire_interval_s=number_parameter(records, "expire_interval_s"),
        anchors=tuple(sources.list_trusted_anchors(records, faults)),
        parts=tuple((p.content_id, p.file_name, p.raw) for p in sources.list_optional_parts(records)),
        registration_certificate=None if certificate is None else certificate[1],
        sources=sources.list_sources(records),
        witnesses=witnesses.list_witnesses(records, faults),
    )


def _load_members(records: Records, faults: list[Translatable] | None) -> tuple[Member, ...]:
    descriptions = dict(members.list_member_classes(records))
    found: dict[ClientId, tuple[str, list[Subsystem]]] = {}
    for client in members.list_clients(records, faults):
        if client.id.subsystem_code is None:
            found[client.id] = (client.name or client.id.member_code, [])
        elif client.id.member in found:
            found[client.id.member][1].append(Subsystem(client.id.subsystem_code, client.name))
        else:
            _at_fault(faults, N_("subsystem {code} has no member", code=repr(client.id.path())))
    made = []
    for member, (name, subsystems) in found.items():
        if member.member_class in descriptions:
            made.append(Member(member, descriptions[member.member_class], name, tuple(subsystems)))
        else:
            _at_fault(faults, N_("member {code} is of no class that is there", code=repr(member.path())))
    return tuple(made)


def _at_fault(faults: list[Translatable] | None, reason: Text) -> None:
    if faults is None:
        raise OperatorError(reason)
    faults.append(N_("{problem}; it is left out", problem=reason))


def _load_servers(
    records: Records, instance: str, faults: list[Translatable] | None = None
) -> tuple[RegisteredServer, ...]:
    certificates: dict[int, list[bytes]] = {}
    for server, der in records.rows("SELECT server_id, der FROM auth_certificate ORDER BY digest"):
        certificates.setdefault(int(server), []).append(bytes(der))
    clients: dict[int, list[ClientId]] = {}
    for row in records.rows(
        "SELECT u.server_id, c.member_class, c.member_code, c.subsystem_code FROM server_client u "
        "JOIN client c ON c.id = u.client_id WHERE u.enabled = 1"
    ):
        with _tolerant(faults):
            clients.setdefault(int(row[0]), []).append(ClientId(instance, row[1], row[2], row[3] or None))
    return tuple(
        RegisteredServer(
            kept.id,
            kept.address,
            tuple(certificates.get(kept.number, ())),
            tuple(sorted(clients.get(kept.number, ()))),
            kept.maintenance,
        )
        for kept in servers.list_servers(records, faults)
    )


def _tolerant(faults: list[Translatable] | None) -> contextlib.AbstractContextManager[None]:
    """Pass over what refers to a client that cannot be read; that client is said where clients are listed."""
    return contextlib.nullcontext() if faults is None else contextlib.suppress(Fault)


def _load_groups(
    records: Records, instance: str, faults: list[Translatable] | None = None
) -> tuple[GlobalGroup, ...]:
    joined: dict[int, set[ClientId]] = {}
    for row in records.rows(
        "SELECT m.group_id, c.member_class, c.member_code, c.subsystem_code FROM group_member m "
        "JOIN client c ON c.id = m.client_id"
    ):
        with _tolerant(faults):
            joined.setdefault(int(row[0]), set()).add(ClientId(instance, row[1], row[2], row[3] or None))
    rows = [(g.code, g) for g in groups.list_groups(records)]
    return tuple(
        read_rows(
            records,
            "global_group",
            rows,
            lambda row: GlobalGroup(
                GlobalGroupId(instance, row[0]), row[1].description, frozenset(joined.get(row[1].number, ()))
            ),
            faults,
            "code",
        )
    )


def _load_ca(records: Records, ca: trust.KeptCa) -> ApprovedCa:
    settings = ca.settings
    acme = None
    if settings.acme_url is not None:
        acme = AcmeServer(
            settings.acme_url, settings.acme_ip, settings.acme_auth_profile, settings.acme_sign_profile
        )
    return ApprovedCa(
        ca.name,
        CaInfo(
            _certificate(records, "approved_ca", ca.number, ca.certificate),
            _responders(trust.responders_of(records, ca=ca.number)),
        ),
        settings.profile,
        settings.tls_auth,
        tuple(
            CaInfo(
                _certificate(records, "intermediate_ca", i.number, i.certificate),
                _responders(trust.responders_of(records, intermediate=i.number)),
            )
            for i in trust.intermediates_of(records, ca.number)
        ),
        settings.csr_format,
        acme,
    )


def _load_tsa(records: Records, tsa: trust.KeptTsa) -> ApprovedTsa:
    certificate = _certificate(records, "tsa", tsa.number, tsa.certificate)
    return ApprovedTsa(tsa.name, tsa.url, certificate, tsa.cost_type)


def _certificate(records: Records, table: str, number: int, der: bytes) -> bytes:
    """A certificate that everybody is to trust; a damaged one is not published."""
    with reading_row(records.place, table, "id", number):
        parse_certificate(der)
    return der


def _responders(kept: list[trust.KeptResponder]) -> tuple[OcspInfo, ...]:
    return tuple(OcspInfo(r.url, r.certificate, r.cost_type) for r in kept)


# Making it what a file says


def canonical(registry: Registry) -> Registry:
    """The same registry with everything in the order of the tables, without what a file cannot say."""
    return replace(
        registry,
        member_classes=tuple(sorted(registry.member_classes, key=lambda c: c.code)),
        members=tuple(
            msgspec.structs.replace(m, subsystems=tuple(sorted(m.subsystems, key=lambda s: s.code)))
            for m in sorted(registry.members, key=lambda m: m.id.components)
        ),
        servers=tuple(
            replace(
                s,
                auth_certificates=tuple(sorted(s.auth_certificates, key=servers.certificate_digest)),
                clients=tuple(sorted(s.clients)),
            )
            for s in sorted(registry.servers, key=lambda s: s.id.components)
        ),
        groups=tuple(sorted(registry.groups, key=lambda g: g.id.group_code)),
        anchors=(),
        parts=(),
        registration_certificate=None,
        sources=(),
        witnesses=Appointments(),
    )


def import_registry(records: Records, desired: Registry) -> None:
    """Make the tables what a checked registry says. Raises ValueError."""
    known = records.parameter("instance")
    if known is not None and known != desired.instance:
        raise OperatorError(
            N_(
                "this central server is of instance {known}; the file is of {instance}",
                known=known,
                instance=desired.instance,
            )
        )
    records.set_parameter("instance", desired.instance)
    for name in DEFAULTS:
        records.set_parameter(name, str(getattr(desired, name)))
    if sources.node_address(records) != desired.address:
        sources.set_node_address(records, desired.address)
    _import_classes(records, desired)
    _import_clients(records, desired)
    groups.add_owners_group(records)
    _import_servers(records, desired)
    _import_groups(records, desired)
    if provider(records) != desired.management_service:
        set_provider(records, desired.management_service)
    _remove_clients(records, desired)
    _import_trust(records, desired)


def _import_classes(records: Records, desired: Registry) -> None:
    current = dict(members.list_member_classes(records))
    for found in desired.member_classes:
        if found.code not in current:
            members.add_member_class(records, found.code, found.description)
        elif current[found.code] != found.description:
            members.describe_member_class(records, found.code, found.description)


def _import_clients(records: Records, desired: Registry) -> None:
    current = {c.id: c.name for c in members.list_clients(records)}
    for client, name in _names(desired).items():
        if client not in current:
            if client.is_member:
                members.add_member(records, client, name or client.member_code)
            else:
                members.add_subsystem(records, client, name)
        elif current[client] != name:
            members.rename_client(records, client, name)


def _names(desired: Registry) -> dict[ClientId, str | None]:
    found: dict[ClientId, str | None] = {}
    for member in desired.members:
        found[member.id] = member.name
        for subsystem in member.subsystems:
            found[member.id.subsystem(subsystem.code)] = subsystem.name
    return found


def _remove_clients(records: Records, desired: Registry) -> None:
    kept = _names(desired)
    for client in reversed(members.list_clients(records)):
        if client.id not in kept:
            if client.id.is_member:
                members.delete_member_rows(records, client.id)
            else:
                members.delete_subsystem(records, client.id)
    codes = {c.code for c in desired.member_classes}
    for code, _name in members.list_member_classes(records):
        if code not in codes:
            members.delete_member_class(records, code)


def _import_servers(records: Records, desired: Registry) -> None:
    current = {s.id: s for s in _load_servers(records, desired.instance)}
    goal = {s.id: s for s in canonical(desired).servers}
    for server_id in current:
        if server_id not in goal:
            servers.delete_server(records, server_id)
    for server_id in current:
        # Before any is added: one that moves to another server is never on two.
        if server_id in goal:
            _remove_certificates(records, servers.need_server(records, server_id), goal[server_id])
    for server_id, server in goal.items():
        old = current.get(server_id)
        if old == server:
            continue
        kept = (
            servers.add_server(records, server_id, server.address)
            if old is None
            else servers.need_server(records, server_id)
        )
        _import_server(records, kept, old or RegisteredServer(server_id, server.address, (), ()), server)
    _drop_disabled(records, _names(desired))


def _import_server(
    records: Records, kept: servers.KeptServer, old: RegisteredServer, new: RegisteredServer
) -> None:
    if old.address != new.address:
        servers.set_address(records, kept.id, new.address)
    if old.maintenance != new.maintenance:
        servers.set_maintenance(records, kept.id, new.maintenance)
    for der in new.auth_certificates:
        if der not in old.auth_certificates:
            servers.add_certificate(records, kept, der)
    for client in servers.clients_of(records, kept):
        # One that its server disabled is in no list, and stays disabled.
        if client.id not in new.clients and servers.find_server_client(records, kept, client.id):
            servers.remove_server_client(records, kept, client.id)
    for added in new.clients:
        enabled = servers.find_server_client(records, kept, added)
        if enabled is None:
            servers.add_server_client(records, kept, added)
        elif not enabled:
            servers.enable_server_client(records, kept, added, enabled=True)


def _remove_certificates(records: Records, kept: servers.KeptServer, new: RegisteredServer) -> None:
    for certificate in servers.certificates_of(records, kept):
        if certificate.der not in new.auth_certificates:
            servers.remove_certificate(records, kept, certificate)


def _drop_disabled(records: Records, staying: Mapping[ClientId, str | None]) -> None:
    """Let disabled clients go that are about to be removed themselves."""
    for kept in servers.list_servers(records):
        for client in servers.clients_of(records, kept):
            if client.id not in staying:
                servers.remove_server_client(records, kept, client.id)


def _import_groups(records: Records, desired: Registry) -> None:
    goal = {g.id.group_code: g for g in desired.groups}
    for kept in groups.list_groups(records):
        if kept.code not in goal:
            groups.delete_group(records, kept.code)
    for code, group in goal.items():
        found = groups.find_group(records, code)
        if found is None:
            found = groups.add_group(records, code, group.description)
        elif found.description != group.description:
            groups.describe_group(records, code, group.description)
        there = {m.client.id for m in groups.group_members(records, found)}
        for client in sorted(group.members - there):
            groups.add_group_member(records, code, client)
        for client in sorted(there - group.members):
            groups.remove_group_member(records, code, client)


def _import_trust(records: Records, desired: Registry) -> None:
    current = {ca.number: _load_ca(records, ca) for ca in trust.list_cas(records)}
    for number, ca in current.items():
        if ca not in desired.cas:
            trust.delete_ca(records, number)
    for ca in desired.cas:
        if ca not in current.values():
            _add_ca(records, ca)
    tsas = {
        t.number: ApprovedTsa(t.name, t.url, t.certificate, t.cost_type) for t in trust.list_tsas(records)
    }
    for number, tsa in tsas.items():
        if tsa not in desired.tsas:
            trust.delete_tsa(records, number)
    for tsa in desired.tsas:
        if tsa not in tsas.values():
            trust.add_tsa(records, tsa.name, tsa.url, tsa.cost_type, tsa.certificate)


def _add_ca(records: Records, ca: ApprovedCa) -> None:
    acme = ca.acme_server
    settings = trust.CaSettings(
        ca.profile,
        bool(ca.authentication_only),
        ca.default_csr_format,
        *(
            (None, None, None, None)
            if acme is None
            else (
                acme.directory_url,
                acme.ip_address,
                acme.authentication_profile_id,
                acme.signing_profile_id,
            )
        ),
    )
    added = trust.add_ca(records, ca.name, ca.top.certificate, settings)
    for ocsp in ca.top.ocsp:
        trust.add_responder(records, ocsp.url, ocsp.cost_type, ocsp.certificate, ca=added.number)
    for info in ca.intermediates:
        below = trust.add_intermediate(records, added.number, info.certificate)
        for ocsp in info.ocsp:
            trust.add_responder(
                records, ocsp.url, ocsp.cost_type, ocsp.certificate, intermediate=below.number
            )
