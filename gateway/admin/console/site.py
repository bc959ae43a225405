"""The gateway's console put together: its menu, the head of every page, and which function makes which page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from gateway.admin.clients import GatewayClientView
from gateway.admin.console import (
    accessrequests,
    clients,
    keys,
    messages,
    outgoingaccess,
    rights,
    server,
    services,
    start,
    watching,
    wizard,
)
from gateway.admin.console.consequences import CONSEQUENCES
from gateway.admin.console.helps import HELPS
from gateway.admin.interface import Alerts
from gateway.admin.roles import gateway_roles
from gateway.admin.system import NodeType
from gateway.admin.values import SecurityServerView
from serving.language import N_, console_languages
from serving.web import commonviews, userviews
from serving.web.blocks import PageLink, PageNote
from serving.web.codewords import word_of
from serving.web.console import Console, ConsoleHead
from serving.web.formnames import ROOT
from serving.web.operationpages import OperationPages
from serving.web.pages import HERE, NavigationLink, ServerHead, Site

if TYPE_CHECKING:
    from aiohttp import web

    from serving.api.server import AdminApi
    from serving.web.console import ConsoleRequest

LINKS: Final = (
    NavigationLink(f"{ROOT}/", N_("Start")),
    NavigationLink(f"{ROOT}/clientes", N_("Clients"), ("VIEW_CLIENTS",)),
    NavigationLink(f"{ROOT}/peticiones", N_("Requests for access"), ("VIEW_SERVICE_ACL",)),
    NavigationLink(outgoingaccess.ASK, N_("Ask for access"), ("EDIT_SERVICE_ACL",)),
    NavigationLink(f"{ROOT}/llaves", N_("Keys and certificates"), ("VIEW_KEYS",)),
    NavigationLink(f"{ROOT}/trafico", N_("Traffic"), ("DIAGNOSTICS",)),
    NavigationLink(f"{ROOT}/mensajes", N_("Messages"), ("VIEW_MESSAGE_LOG",)),
    NavigationLink(f"{ROOT}/diagnostico", N_("Diagnosis"), ("DIAGNOSTICS",)),
    NavigationLink(f"{ROOT}/servidor", N_("This server"), ("VIEW_SYS_PARAMS", "VIEW_ANCHOR", "VIEW_TSPS")),
    NavigationLink(f"{ROOT}/ajustes", N_("Settings"), ("VIEW_SYS_PARAMS",)),
    NavigationLink(f"{ROOT}/respaldos", N_("Backups"), ("BACKUP_CONFIGURATION",)),
    NavigationLink(f"{ROOT}/usuarios", N_("Users"), ("VIEW_ADMIN_USERS",)),
    NavigationLink(f"{ROOT}/programas", N_("Keys of programs"), ("VIEW_API_KEYS",)),
    NavigationLink(f"{ROOT}/auditoria", N_("Audit trail"), ("VIEW_AUDIT_LOG",)),
    NavigationLink(f"{ROOT}/cuenta", N_("My account")),
    NavigationLink(f"{ROOT}/operaciones", N_("Everything that can be done here")),
)
ALONE: Final = "STANDALONE"
SITE: Final = Site(N_("Gateway"), HERE, root=ROOT, languages=console_languages)


def add_pages(api: AdminApi, app: web.Application) -> None:
    """Serve them beside the API."""
    console = Console(api, SITE, LINKS, _head, HELPS)
    console.add_to(app)
    for path, view in (
        ("/", start.start),
        ("/asistente", wizard.wizard),
        ("/clientes", clients.clients),
        ("/cliente", clients.client),
        ("/cliente/nuevo", clients.new_client),
        ("/grupo", clients.local_group),
        ("/descripcion", services.description),
        ("/servicio", services.service),
        ("/servicio/punto", services.endpoint_right),
        ("/derechos", rights.matrix),
        ("/peticiones", accessrequests.requests),
        ("/pedir-acceso", outgoingaccess.ask),
        ("/llaves", keys.keys),
        ("/llaves/solicitud", keys.signing_request),
        ("/trafico", watching.traffic),
        ("/mensajes", messages.messages),
        ("/mensaje", messages.message),
        ("/diagnostico", watching.diagnosis),
        ("/servidor", server.server),
        ("/ajustes", server.settings),
        ("/respaldos", commonviews.backups),
        ("/usuarios", userviews.users),
        ("/cuenta", userviews.account),
        ("/programas", commonviews.programs),
        ("/auditoria", commonviews.audit),
    ):
        console.add_view(app, path, view)
    consequences = {**CONSEQUENCES, **userviews.CONSEQUENCES}
    offered = userviews.offered_roles(gateway_roles())
    OperationPages(api.operations, api.authentication.sessions, consequences, offered).add_to(console, app)
    console.add_rest(app)


async def _head(request: ConsoleRequest) -> ConsoleHead:
    this = await request.fetch(
        "get_security_servers", list[SecurityServerView], query={"current_server": "true"}
    )
    alerts = await request.fetch("get_notifications_alerts", Alerts)
    version = request.api.version
    if not this.value:
        wizard_link = PageLink(N_("Set it up"), f"{ROOT}/asistente")
        note = PageNote(N_("This server is not set up yet."), "caution", (wizard_link,))
        return ConsoleHead(ServerHead("—", version=version), (note,))
    found = this.value[0]
    name = await request.fetch("get_clients_id", GatewayClientView, {"id": ":".join(found.id.split(":")[:3])})
    owner = name.value.member_name or "" if name.value is not None else ""
    node = await request.fetch("get_system_node_type", NodeType)
    kind = node.value.node_type if node.value is not None else ALONE
    return ConsoleHead(
        ServerHead(
            found.id, owner, version, found.server_address or "", None if kind == ALONE else word_of(kind)
        ),
        [] if alerts.value is None else _alerts(alerts.value),
    )


def _alerts(found: Alerts) -> list[PageNote]:
    keys_link = PageLink(N_("Keys and certificates"), f"{ROOT}/llaves")
    lines = []
    if not found.global_conf_valid:
        remedy = PageLink(N_("Diagnosis"), f"{ROOT}/diagnostico")
        text = N_("There is no valid global configuration: messages do not flow.")
        lines.append(PageNote(text, "bad", (remedy,)))
    if not found.soft_token_pin_entered:
        lines.append(
            PageNote(N_("The token waits for its PIN: messages are not signed."), "bad", (keys_link,))
        )
    if not found.certificate_renewal_job_success:
        lines.append(PageNote(N_("A certificate could not be renewed."), "bad", (keys_link,)))
    if since := found.backup_restore_running_since:
        lines.append(PageNote(N_("A backup or a restore is running since {since}.", since=since), "caution"))
    return lines
