"""The central server's console put together: its menu, the head of every page, and which function makes which page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from central_server.admin.console import (
    configuration,
    federation,
    members,
    registry,
    requests,
    services,
    start,
    trust,
)
from central_server.admin.console.consequences import CONSEQUENCES
from central_server.admin.console.helps import HELPS
from central_server.admin.roles import central_roles
from central_server.admin.system import Alert, CentralInitializationStatus
from serving.language import N_, Text, Translated, as_it_is, console_languages
from serving.web import commonviews, userviews
from serving.web.blocks import PageLink, PageNote
from serving.web.console import Console, ConsoleHead
from serving.web.formnames import ROOT
from serving.web.operationpages import OperationPages
from serving.web.pages import HERE, NavigationLink, ServerHead, Site

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiohttp import web

    from serving.api.server import AdminApi
    from serving.language import Translatable
    from serving.web.console import ConsoleRequest

LINKS: Final = (
    NavigationLink(f"{ROOT}/", N_("Start")),
    NavigationLink(f"{ROOT}/solicitudes", N_("Requests"), ("VIEW_MANAGEMENT_REQUESTS",)),
    NavigationLink(f"{ROOT}/miembros", N_("Members"), ("VIEW_MEMBERS", "SEARCH_MEMBERS")),
    NavigationLink(f"{ROOT}/servidores", N_("Security servers"), ("VIEW_SECURITY_SERVERS",)),
    NavigationLink(f"{ROOT}/grupos", N_("Groups"), ("VIEW_GLOBAL_GROUPS",)),
    NavigationLink(f"{ROOT}/confianza", N_("Trust services"), ("VIEW_APPROVED_CAS", "VIEW_APPROVED_TSAS")),
    NavigationLink(
        f"{ROOT}/configuracion", N_("Global configuration"), ("VIEW_INTERNAL_CONFIGURATION_SOURCE",)
    ),
    NavigationLink(f"{ROOT}/nodos", N_("Nodes"), ("VIEW_VERSION",)),
    NavigationLink(f"{ROOT}/federacion", N_("Picture of the federation"), ("VIEW_SECURITY_SERVERS",)),
    NavigationLink(f"{ROOT}/catalogo", N_("Catalogue"), ("VIEW_SERVICE_CATALOGUE",)),
    NavigationLink(f"{ROOT}/respaldos", N_("Backups"), ("BACKUP_CONFIGURATION",)),
    NavigationLink(f"{ROOT}/usuarios", N_("Users"), ("VIEW_ADMIN_USERS",)),
    NavigationLink(f"{ROOT}/programas", N_("Keys of programs"), ("VIEW_API_KEYS",)),
    NavigationLink(f"{ROOT}/auditoria", N_("Audit trail"), ("VIEW_AUDIT_LOG",)),
    NavigationLink(f"{ROOT}/cuenta", N_("My account")),
    NavigationLink(f"{ROOT}/operaciones", N_("Everything that can be done here")),
)
SITE: Final = Site(N_("Central server"), HERE, root=ROOT, languages=console_languages)
# Codes of alerts, with the source's name taken out.
ALERTS: Final[dict[str, Text]] = {
    "status.global_conf_generation.failing": N_("The global configuration is not made: {list}"),
    "status.global_conf_generation.rows_at_fault": N_(
        "Entries of the registry that cannot be published: {list}"
    ),
    "missing": N_("There is no signing key for the configuration of {source}."),
    "token_not_active": N_(
        "The token of the signing key for {source} waits for its PIN: the configuration expires."
    ),
}


def add_pages(api: AdminApi, app: web.Application) -> None:
    """Serve them beside the API."""
    console = Console(api, SITE, LINKS, _head, HELPS)
    console.add_to(app)
    for path, view in (
        ("/", start.start),
        ("/asistente", start.wizard),
        ("/solicitudes", requests.requests),
        ("/solicitud", requests.one_request),
        ("/miembros", members.members),
        ("/miembro", members.member),
        ("/servidores", registry.servers),
        ("/servidor", registry.server),
        ("/grupos", registry.groups),
        ("/grupo", registry.group),
        ("/confianza", trust.trust),
        ("/autoridad", trust.authority),
        ("/configuracion", configuration.configuration),
        ("/nodos", start.nodes),
        ("/federacion", federation.federation),
        ("/catalogo", services.catalogue),
        ("/catalogo/servicio", services.service),
        ("/respaldos", commonviews.backups),
        ("/usuarios", userviews.users),
        ("/cuenta", userviews.account),
        ("/programas", commonviews.programs),
        ("/auditoria", commonviews.audit),
    ):
        console.add_view(app, path, view)
    console.add_file(app, "/catalogo.jsonld", "get_service_catalogue_export")
    consequences = {**CONSEQUENCES, **userviews.CONSEQUENCES}
    offered = userviews.offered_roles(central_roles())
    OperationPages(api.operations, api.authentication.sessions, consequences, offered).add_to(console, app)
    console.add_rest(app)


async def _head(request: ConsoleRequest) -> ConsoleHead:
    version = request.api.version
    status = await request.do("get_initialization_status", CentralInitializationStatus)
    if not status.instance_identifier:
        link = PageLink(N_("Set it up"), f"{ROOT}/asistente")
        return ConsoleHead(
            ServerHead("—", version=version),
            (PageNote(N_("This server is not set up yet."), "caution", (link,)),),
        )
    alerts = await request.fetch("get_notifications_alerts", list[Alert])
    head = ServerHead(status.instance_identifier, "", version, status.central_server_address)
    return ConsoleHead(head, _alerts(alerts.value or ()))


def _alerts(found: Sequence[Alert]) -> list[PageNote]:
    links = (
        PageLink(N_("Steps of the set-up"), f"{ROOT}/asistente"),
        PageLink(N_("Global configuration"), f"{ROOT}/configuracion"),
    )
    return [PageNote(alert_text(a), "bad", links) for a in found]


def alert_text(alert: Alert) -> Translatable:
    """An alert in words; one that has none is its code with its details."""
    code, listed = alert.error_code, ", ".join(alert.metadata)
    if code in ALERTS:
        return Text(ALERTS[code].message, {"list": tuple(map(Translated, alert.texts))})
    kind = code.rpartition(".")[2]
    if code.startswith("status.signing_key.") and kind in ALERTS:
        source = N_("this instance") if ".INTERNAL." in code.upper() else N_("other instances")
        return Text(ALERTS[kind].message, {"source": source})
    return as_it_is(f"{code}: {listed}" if listed else code)
