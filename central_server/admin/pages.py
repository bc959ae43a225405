"""The operators' pages of a central server: requests to be decided, members, catalogue. Rows of the API, shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aiohttp import web

from central_server.store.requests import OPEN, RequestType
from serving.language import N_
from serving.web.console import ROOT, Console, ConsoleOutcome
from serving.web.operationpages import OperationPages
from serving.web.pages import NavigationLink, PageProblem, Site

if TYPE_CHECKING:
    from serving.api.server import AdminApi
    from serving.web.console import ConsoleRequest, Form

MOST = 100
MOST_REQUESTS = 50
LINKS = (
    NavigationLink(f"{ROOT}/", N_("Requests")),
    NavigationLink(f"{ROOT}/miembros", N_("Members")),
    NavigationLink(f"{ROOT}/catalogo", N_("Catalogue")),
    NavigationLink(f"{ROOT}/operaciones", N_("Everything that can be done here")),
)
KINDS = {
    RequestType.AUTH_CERT_REGISTRATION.value: N_("register an authentication certificate"),
    RequestType.CLIENT_REGISTRATION.value: N_("register a client"),
    RequestType.OWNER_CHANGE.value: N_("change the owner"),
}
STATES = {
    "WAITING": N_("waits for its other half"),
    "SUBMITTED FOR APPROVAL": N_("to be decided"),
}
_ONE = "management_requests_management_request_id"
SITE = Site(
    N_("Central server"),
    Path(__file__).parent / "templates",
    root=ROOT,
    names={"kinds": KINDS, "states": STATES},
)


def add_pages(api: AdminApi, app: web.Application) -> None:
    """Serve them beside the API."""
    console = Console(api, SITE, LINKS)
    console.add_to(app)
    console.add_page(app, "/", "central/requests.html", _requests)
    console.add_page(app, "/solicitudes", "central/requests.html", _requests)
    console.add_act(app, "/solicitudes", _decide)
    console.add_page(app, "/miembros", "central/members.html", _members)
    console.add_page(app, "/catalogo", "central/catalogue.html", _catalogue)
    console.add_file(app, "/catalogo.jsonld", "get_service_catalogue_export")
    OperationPages(api.operations).add_to(console, app)
    console.add_rest(app)


async def _requests(asking: ConsoleRequest, _request: web.Request) -> dict[str, Any]:
    found, more = [], False
    for state in OPEN:
        query = {"status": state.value, "limit": str(MOST_REQUESTS)}
        answer = await asking.tell("get_management_requests", query=query)
        if answer.why is not None:
            return {"requests": answer, "more": False}
        found += answer.value.items
        more = more or answer.value.paging_metadata.total_items > len(answer.value.items)
    shown = [
        await asking.do(f"get_{_ONE}", {"management_request_id": str(r.id)})
        for r in sorted(found, key=lambda r: r.id)
    ]
    return {"requests": ConsoleOutcome(shown), "more": more}


async def _decide(asking: ConsoleRequest, form: Form) -> None:
    path = {"management_request_id": form.get("numero", "")}
    if form.get("accion") == "aprobar":
        await asking.do(f"post_{_ONE}_approval", path)
    elif form.get("accion") == "rechazar":
        reason = form.get("motivo", "").strip()
        if not reason:
            raise PageProblem(400, N_("Say why: the institute is told."))
        await asking.do(f"delete_{_ONE}", path, {"comments": reason[:255]})
    else:
        raise PageProblem(400, N_("Choose to approve or to decline."))


async def _members(asking: ConsoleRequest, request: web.Request) -> dict[str, Any]:
    q = request.query.get("q", "").strip()[:200]
    query = {"limit": str(MOST), **({"q": q} if q else {})}
    return {"q": q, "members": await asking.tell("get_clients", query=query)}


async def _catalogue(asking: ConsoleRequest, request: web.Request) -> dict[str, Any]:
    names = ("q", "member", "data_set", "purpose")
    filters = {n: request.query.get(n, "").strip()[:200] for n in names}
    query = {"limit": str(MOST), **{n: v for n, v in filters.items() if v}}
    return {
        "filters": filters,
        "found": await asking.tell("get_service_catalogue", query=query),
        "unreachable": await asking.tell("get_service_catalogue_unreachable"),
    }
