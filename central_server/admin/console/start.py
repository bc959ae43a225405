"""The central server's first page and the way from an empty server to a configuration that is given out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from central_server.admin.members import PagedClients
from central_server.admin.requests import PagedRequests
from central_server.admin.servers import PagedServers
from central_server.admin.sources import PartView
from central_server.admin.system import CentralInitializationStatus, ClusterStatus, ServicesConfiguration
from central_server.admin.tokens import CentralTokenView
from central_server.admin.trust import CaListItem, TsaView
from central_server.admin.values import CodeAndDescription
from serving.language import N_
from serving.web.acting import act, form_of
from serving.web.blocks import (
    Column,
    FactSheet,
    Listing,
    PageLink,
    PageNote,
    PageStep,
    PageView,
    StepList,
    code,
    moment,
    number,
    phrase,
    several,
    text,
)
from serving.web.codewords import word
from serving.web.commonviews import MessageNeed, needs_listing
from serving.web.formnames import ROOT
from serving.web.forms import FieldKind, FormField
from serving.web.operationpages import ShownField

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from serving.language import Text
    from serving.web.blocks import Block, Tone
    from serving.web.console import ConsoleOutcome, ConsoleRequest

INITIALIZED = "INITIALIZED"


async def start(request: ConsoleRequest) -> PageView:
    """The first page: the configuration's age, requests to be decided, the parts that are given out."""
    status = await request.do("get_initialization_status", CentralInitializationStatus)
    if not status.instance_identifier:
        link = PageLink(N_("Set it up step by step"), f"{ROOT}/asistente", main=True)
        note = PageNote(N_("This server has no instance yet; nothing is given out."), "caution", (link,))
        return PageView(N_("Start"), [note])
    blocks: list[Block | None] = [await _waiting(request), await _state(request)]
    blocks.append(await _needs(request))
    blocks.append(await parts_listing(request, "INTERNAL"))
    steps = PageLink(N_("Steps of the set-up"), f"{ROOT}/asistente")
    return PageView(N_("Start"), blocks, (steps,))


async def _waiting(request: ConsoleRequest) -> PageNote | None:
    count = 0
    for state in ("WAITING", "SUBMITTED FOR APPROVAL"):
        found = await request.fetch(
            "get_management_requests", PagedRequests, query={"status": state, "limit": "1"}
        )
        if found.value is None:
            return None
        count += found.value.paging_metadata.total_items
    if not count:
        return PageNote(N_("Nothing to be decided."), "good")
    link = PageLink(N_("Requests"), f"{ROOT}/solicitudes", main=True)
    return PageNote(N_("Requests to be decided: {count}.", count=count), "caution", (link,))


async def _state(request: ConsoleRequest) -> FactSheet | None:
    cluster = await request.fetch("get_system_high_availability_cluster_status", ClusterStatus)
    clients = await request.fetch("get_clients", PagedClients, query={"limit": "1", "client_type": "MEMBER"})
    servers = await request.fetch("get_security_servers", PagedServers, query={"limit": "1"})
    pairs = [
        (title, number(found.value.paging_metadata.total_items))
        for title, found in ((N_("Members"), clients), (N_("Security servers"), servers))
        if found.value is not None
    ]
    nodes = [] if cluster.value is None else cluster.value.nodes
    made = [
        (N_("Configuration made on"), moment(n.configuration_generated))
        for n in nodes
        if n.configuration_generated
    ]
    return FactSheet((*pairs, *made[:1])) if pairs or made else None


async def _needs(request: ConsoleRequest) -> Listing | None:
    """The ends of certificates and keys that every gateway rests on, soonest first; None for a visitor who may see none of them."""
    cluster = await request.fetch("get_system_high_availability_cluster_status", ClusterStatus)
    cas = await request.fetch("get_certification_services", list[CaListItem])
    tsas = await request.fetch("get_timestamping_services", list[TsaView])
    renewed = N_("Nothing: it is made again before. Messages stop everywhere then if no node makes another.")
    replaced = N_("Approve its successor before then, and have its certificates replaced.")
    nodes = [] if cluster.value is None else cluster.value.nodes
    latest = max((n.configuration_expires for n in nodes if n.configuration_expires), default=None)
    needs = [] if latest is None else [MessageNeed(N_("The global configuration"), latest, True, renewed)]
    needs += [
        MessageNeed(N_("The certificate authority {name}", name=c.name), c.not_after, False, replaced)
        for c in cas.value or ()
    ]
    needs += [
        MessageNeed(
            N_("The timestamping authority {name}", name=t.name), t.certificate.not_after, False, replaced
        )
        for t in tsas.value or ()
    ]
    return needs_listing(needs, datetime.now(UTC))


async def parts_listing(request: ConsoleRequest, source: str) -> Listing | None:
    """The parts of a configuration with their ages; None for who may not see them."""
    found = await request.fetch(
        "get_configuration_sources_configuration_type_configuration_parts",
        list[PartView],
        {"configuration_type": source},
    )
    if found.value is None:
        return None
    columns = (
        Column(N_("Part")),
        Column(N_("File name")),
        Column(N_("Version"), right=True),
        Column(N_("Changed on")),
    )
    rows = tuple(
        (
            word(p.content_identifier),
            code(p.file_name),
            number(p.version or None),  # a part of an operator's own has none
            moment(p.file_updated_at) if p.file_updated_at else phrase(N_("not uploaded")),
        )
        for p in found.value
    )
    caption = (
        N_("Parts of the configuration for this instance")
        if source == "INTERNAL"
        else N_("Parts of the configuration for other instances")
    )
    return Listing(caption, columns, rows, N_("Nothing is given out yet."))


NODE_STATES: Final[dict[str, tuple[Text, Tone]]] = {
    "OK": (N_("in order"), "good"),
    "WARN": (N_("has published nothing for three minutes"), "caution"),
    "ERROR": (N_("has published nothing for ten minutes"), "bad"),
    "UNKNOWN": (N_("has published nothing yet"), "caution"),
}


async def nodes(request: ConsoleRequest) -> PageView:
    """Every node of this central server: where it is, how it stands, and when it made the configuration last."""
    cluster = await request.do("get_system_high_availability_cluster_status", ClusterStatus)
    columns = (
        Column(N_("Node")),
        Column(N_("Address")),
        Column(N_("State")),
        Column(N_("Configuration made on")),
    )
    rows = tuple(
        (
            several(
                text(node.node_name), phrase(N_("this one")) if node.node_name == cluster.node_name else None
            ),
            code(node.node_address),
            phrase(*NODE_STATES[node.status]),
            moment(node.configuration_generated),
        )
        for node in cluster.nodes
    )
    if not cluster.is_ha_configured:
        note = PageNote(N_("This central server is one node. Several share a PostgreSQL database."))
    elif cluster.all_nodes_ok:
        note = PageNote(N_("Every node is in order."), "good")
    else:
        note = PageNote(N_("A node does not publish. Look at its machine; the others go on."), "bad")
    return PageView(
        N_("Nodes"), [note, Listing(N_("Nodes"), columns, rows, N_("No node has an address yet."))]
    )


async def wizard(request: ConsoleRequest) -> PageView:
    """The steps with their state; the first is a form, the others lead to their pages."""
    status = await request.do("get_initialization_status", CentralInitializationStatus)
    begun = bool(status.instance_identifier) and status.software_token_init_status == INITIALIZED
    tokens = (await request.fetch("get_tokens", list[CentralTokenView])).value or ()
    done = {
        "cas": bool((await request.fetch("get_certification_services", list[CaListItem])).value),
        "tsas": bool((await request.fetch("get_timestamping_services", list[TsaView])).value),
        "classes": bool((await request.fetch("get_member_classes", list[CodeAndDescription])).value),
        "members": _some(await request.fetch("get_clients", PagedClients, query={"limit": "1"})),
    }
    found = await request.fetch("get_management_services_configuration", ServicesConfiguration)
    steps = _steps(request, found.value, tokens, done, begun=begun)
    blocks: list[Block | None] = [StepList(steps)]
    if not begun:
        fields = tuple(
            ShownField(FormField(name, kind, True, longest=255))
            for name, kind in (
                ("instance_identifier", FieldKind.TEXT),
                ("central_server_address", FieldKind.TEXT),
                ("software_token_pin", FieldKind.HIDDEN),
            )
        )
        blocks.append(form_of(request, "post_initialization", N_("Begin the instance"), fields))
    else:
        blocks.insert(0, _next(steps))
    lead = N_("You may stop at any step; the page goes on where you were.")
    return PageView(N_("Set up this server"), blocks, lead=lead, trail=(PageLink(N_("Start"), f"{ROOT}/"),))


def _steps(
    request: ConsoleRequest,
    services: ServicesConfiguration | None,
    tokens: Sequence[CentralTokenView],
    done: Mapping[str, bool],
    *,
    begun: bool,
) -> tuple[PageStep, ...]:
    """The steps, each led to where it is done, and back here."""
    keys = {k.source_type for t in tokens for k in t.configuration_signing_keys}

    def way(name: str, settled: Mapping[str, str] | None = None, page: str = "configuracion") -> str:
        link = act(request, name, N_("Go there"), settled)
        return f"{ROOT}/{page}" if link is None or not begun else link.href

    made = "post_configuration_sources_configuration_type_signing_keys"
    return (
        PageStep(N_("Name the instance, its address, and choose the PIN"), begun),
        PageStep(
            N_("Enter the PIN of the token"), any(t.logged_in for t in tokens), href=f"{ROOT}/configuracion"
        ),
        *(
            PageStep(
                text,
                source in keys,
                href=way(made, {"configuration_type": source, "token_id": tokens[0].id}) if tokens else "",
            )
            for source, text in (
                ("INTERNAL", N_("Make the signing key for this instance")),
                ("EXTERNAL", N_("Make the signing key for other instances")),
            )
        ),
        PageStep(N_("Add a member class"), done["classes"], href=way("post_member_classes", page="miembros")),
        PageStep(
            N_("Approve a certificate authority"),
            done["cas"],
            N_("Then add its OCSP responder on its page: without one its certificates are not believed."),
            f"{ROOT}/confianza",
        ),
        PageStep(
            N_("Approve a timestamping authority"),
            done["tsas"],
            href=way("post_timestamping_services", page="confianza"),
        ),
        PageStep(N_("Add the first member and its subsystem"), done["members"], href=f"{ROOT}/miembros"),
        *_services_steps(services, way),
    )


def _services_steps(
    services: ServicesConfiguration | None, way: Callable[[str], str]
) -> tuple[PageStep, ...]:
    """The last steps: without the management services on a server, none can register a subsystem."""
    one = "management_services_configuration"
    wsdl = "" if services is None else services.wsdl_address
    return (
        PageStep(
            N_("Say who provides the management services"),
            bool(services and services.service_provider_id),
            href=way(f"patch_{one}"),
        ),
        PageStep(
            N_("Put the management services on that member's security server"),
            bool(services and services.security_server_id),
            N_(
                "Once its server is registered: register the provider on it here; there, add the same subsystem, its services by the WSDL {wsdl}, and let the group security-server-owners call them. Until then servers register no subsystems.",
                wsdl=wsdl,
            ),
            way(f"post_{one}_register_provider"),
        ),
    )


def _next(steps: Sequence[PageStep]) -> PageNote:
    """What is to be done now; to the first security server the anchor is enough."""
    step = next((s for s in steps if not s.done), None)
    anchor = PageLink(N_("Download the anchor"), f"{ROOT}/configuracion")
    if step is None:
        return PageNote(
            N_("This instance is set up. A new security server begins with its anchor."), "good", (anchor,)
        )
    note = N_("Next: {what}.", what=step.text)
    if step is steps[-1]:
        note = N_(
            "The configuration is given out: a security server can begin with its anchor. Next: {what}.",
            what=step.text,
        )
    links = (PageLink(N_("Go there"), step.href, main=True), anchor if step is steps[-1] else None)
    return PageNote(note, "note", tuple(k for k in links if k is not None))


def _some(outcome: ConsoleOutcome[PagedClients]) -> bool:
    return outcome.value is not None and outcome.value.paging_metadata.total_items > 0
