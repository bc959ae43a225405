"""This server itself: address, anchor, authorities it uses, TLS for systems; its settings, backups and keys of programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.admin.address_and_maintenance import AddressStatus, MaintenanceMode
from gateway.admin.authorities import AuthorityView
from gateway.admin.diagnostics import TimestampingDiagnostics
from gateway.admin.initialization import InitialAnchorView
from gateway.admin.settings import SettingView
from gateway.admin.system import NodeType
from gateway.admin.values import SecurityServerView, TimestampingServiceView
from serving.api.certificateview import CertificateDetails
from serving.language import N_, Text
from serving.web.acting import act, act_cell, download
from serving.web.blocks import (
    Column,
    FactSheet,
    Heading,
    Listing,
    PageNote,
    PageView,
    code,
    day,
    moment,
    number,
    phrase,
    several,
    text,
)
from serving.web.codewords import word
from serving.web.commonviews import ACTS_COLUMN

if TYPE_CHECKING:
    from serving.web.blocks import Block, Cell
    from serving.web.console import ConsoleRequest

_SWITCHES: Final = {"true": N_("yes"), "false": N_("no")}
# The unit of a number by the end of its setting's name.
_UNITS: Final = {"_s": "s", "_ms": "ms", "_days": "d", "_bytes": "B", "_percent": "%"}


async def server(request: ConsoleRequest) -> PageView:
    """Everything that is set once and looked at again later."""
    blocks: list[Block | None] = [
        *await _identity(request),
        *await _anchor(request),
        *await _timestamping(request),
        *await _authorities(request),
        *await _internal_tls(request),
    ]
    return PageView(N_("This server"), blocks)


async def _identity(request: ConsoleRequest) -> list[Block | None]:
    found = await request.fetch(
        "get_security_servers", list[SecurityServerView], query={"current_server": "true"}
    )
    node = await request.fetch("get_system_node_type", NodeType)
    address = await request.fetch("get_system_server_address", AddressStatus)
    maintenance = await request.fetch("get_system_maintenance_mode", MaintenanceMode)
    this = found.value[0] if found.value else None
    change = None if address.value is None else address.value.requested_change
    mode = maintenance.value
    is_off = mode is None or mode.status.startswith("DISABLED")
    is_on = mode is None or not is_off
    pairs = (
        (N_("Identifier"), code(this.id if this else "")),
        (N_("Address"), code(this.server_address if this else "")),
        *(((N_("Address asked for"), code(change.address)),) if change else ()),
        *(((N_("Kind of node"), word(node.value.node_type)),) if node.value is not None else ()),
        *(((N_("Maintenance"), several(word(mode.status), text(mode.message))),) if mode is not None else ()),
    )
    links = (
        act(request, "put_system_server_address", N_("Change the address")),
        act(request, "put_system_maintenance_mode_enable", N_("Begin maintenance")) if is_off else None,
        act(request, "put_system_maintenance_mode_disable", N_("End maintenance")) if is_on else None,
    )
    return [Heading(N_("Identity"), None, links), FactSheet(pairs)]


async def _anchor(request: ConsoleRequest) -> list[Block | None]:
    found = await request.fetch("get_system_anchor", InitialAnchorView)
    if found.value is None:
        return []
    links = (
        download(request, "get_system_anchor_download", N_("Download")),
        act(request, "put_system_anchor", N_("Replace")),
    )
    pairs = ((N_("Digest"), code(found.value.hash)), (N_("Made on"), moment(found.value.created_at)))
    return [Heading(N_("Configuration anchor"), None, links), FactSheet(pairs)]


async def _timestamping(request: ConsoleRequest) -> list[Block | None]:
    used = await request.fetch("get_system_timestamping_services", list[TimestampingServiceView])
    if used.value is None:
        return []
    approved = await request.fetch("get_timestamping_services", list[TimestampingServiceView])
    called = await request.fetch("get_diagnostics_timestamping_services", list[TimestampingDiagnostics])
    urls = {t.url for t in called.value or ()}
    here = {(t.name, t.url) for t in used.value}
    columns = (
        Column(N_("Authority")),
        Column(N_("Address")),
        Column(N_("Cost")),
        Column(N_("State")),
        ACTS_COLUMN,
    )

    def row(authority: TimestampingServiceView) -> tuple[Cell, ...]:
        is_used = (authority.name, authority.url) in here
        name = "post_system_timestamping_services_delete" if is_used else "post_system_timestamping_services"
        settled = {"name": authority.name, "url": authority.url, "cost_type": authority.cost_type or ""}
        label = N_("Use it no longer") if is_used else N_("Use it")
        state = phrase(N_("approved, not in use"))
        if is_used:
            state = phrase(N_("in use"), "good")
        elif authority.url in urls:
            state = phrase(N_("in use, for none is chosen"), "good")
        done = act_cell(request, name, label, {n: str(v) for n, v in settled.items() if v})
        return text(authority.name), code(authority.url), word(authority.cost_type), state, done or text("")

    known = {(t.name, t.url): t for t in (*used.value, *(approved.value or ()))}
    empty = N_("The configuration approves no timestamping authority.")
    rows = tuple(row(t) for t in known.values())
    return [
        Heading(N_("Timestamping"), N_("Without an authority in use, messages are not taken for long.")),
        Listing(N_("Timestamping authorities"), columns, rows, empty),
    ]


async def _authorities(request: ConsoleRequest) -> list[Block | None]:
    found = await request.fetch(
        "get_certificate_authorities", list[AuthorityView], query={"include_intermediate_cas": "true"}
    )
    if found.value is None:
        return []
    columns = (
        Column(N_("Authority")),
        Column(N_("By OCSP")),
        Column(N_("Ends on")),
        Column(N_("Responders")),
        Column(N_("Orders by ACME")),
    )
    rows = tuple(
        (
            several(text(a.name), text(a.subject_distinguished_name)),
            word(a.ocsp_response) if a.ocsp_response != "NOT_AVAILABLE" else phrase(N_("not asked")),
            day(a.not_after),
            several(*(code(r.url) for r in a.ocsp_responders or ())),
            phrase(N_("yes")) if a.acme_capable else phrase(N_("no")),
        )
        for a in found.value
    )
    empty = N_("The configuration approves no certificate authority.")
    return [
        Heading(N_("Certificate authorities")),
        Listing(N_("Certificate authorities that the configuration approves"), columns, rows, empty),
    ]


async def _internal_tls(request: ConsoleRequest) -> list[Block | None]:
    found = await request.fetch("get_system_certificate", CertificateDetails)
    links = (
        act(request, "post_system_certificate", N_("New key and certificate")),
        act(request, "post_system_certificate_csr", N_("Signing request")),
        act(request, "post_system_certificate_import", N_("Import a certificate")),
        download(request, "get_system_certificate_export", N_("Download")),
    )
    heading = Heading(
        N_("TLS for systems"), N_("The certificate that this server shows to its own systems."), links
    )
    if found.value is None:
        return [heading, PageNote(found.why or N_("There is none."))]
    details = found.value
    pairs = (
        (N_("Of"), text(details.subject_distinguished_name)),
        (N_("By"), text(details.issuer_distinguished_name)),
        (N_("Ends on"), day(details.not_after)),
        (N_("Digest"), code(details.hash)),
    )
    return [heading, FactSheet(pairs)]


async def settings(request: ConsoleRequest) -> PageView:
    """Every setting with its meaning, value and default, and what waits for the next start."""
    found = await request.do("get_settings", list[SettingView])
    columns = (
        Column(N_("Setting"), "nombre"),
        Column(N_("Meaning"), "sentido"),
        Column(N_("Value"), "valor"),
        Column(N_("Default"), "defecto"),
        Column(N_("Where from"), "origen"),
        Column(N_("A change holds"), "vigor"),
        ACTS_COLUMN,
    )
    rows = tuple(_setting(request, s) for s in found)
    waiting = [s.name for s in found if s.needs_restart]
    note = None
    if waiting:
        names = ", ".join(waiting)
        note = PageNote(N_("These wait for the next start of the server: {names}.", names=names), "caution")
    links = (act(request, "post_settings_reload", N_("Read file and environment again")),)
    listing = Listing(N_("Settings"), columns, rows, N_("There are none."), "ajustes", per_page=60)
    return PageView(N_("Settings"), [note, listing], links)


def _value(name: str, value: str) -> Cell:
    """A setting's value as a person reads it: yes or no, or a number with the unit that its name ends with."""
    if value in _SWITCHES:
        return phrase(_SWITCHES[value])
    unit = next((u for end, u in _UNITS.items() if name.endswith(end)), "")
    if not unit or not value.isascii() or not value.replace(".", "", 1).isdigit():
        return code(value)
    return number(float(value) if "." in value else int(value), unit)


def _setting(request: ConsoleRequest, found: SettingView) -> tuple[Cell, ...]:
    named = {"name": found.name}
    changed = found.value != found.default
    return (
        code(found.name),
        phrase(Text(found.en)),
        several(_value(found.name, found.value), phrase(N_("changed"), "note") if changed else None),
        _value(found.name, found.default),
        word(found.source),
        phrase(N_("at once")) if found.live else phrase(N_("from the next start on"), "caution"),
        several(
            act_cell(request, "put_settings_name", N_("Change"), named, {"value": found.value}),
            act_cell(request, "delete_settings_name", N_("Back to the default"), named) if changed else None,
        ),
    )
