"""The operators' pages of a gateway: diagnosis and certificates, clients with services and access rights. Rows, shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from serving.language import N_, Translated
from serving.web.console import ROOT, Console
from serving.web.operationpages import OperationPages
from serving.web.pages import NavigationLink, Site

if TYPE_CHECKING:
    from aiohttp import web

    from gateway.admin.diagnostics import FindingView
    from serving.api.server import AdminApi
    from serving.web.console import ConsoleRequest

LINKS = (
    NavigationLink(f"{ROOT}/", N_("Diagnosis")),
    NavigationLink(f"{ROOT}/clientes", N_("Clients, services and access rights")),
    NavigationLink(f"{ROOT}/operaciones", N_("Everything that can be done here")),
)
SITE = Site(N_("Gateway"), Path(__file__).parent / "templates", root=ROOT)


def add_pages(api: AdminApi, app: web.Application) -> None:
    """Serve them beside the API."""
    console = Console(api, SITE, LINKS)
    console.add_to(app)
    console.add_page(app, "/", "gateway/diagnosis.html", _diagnosis)
    console.add_page(app, "/clientes", "gateway/clients.html", _clients)
    console.add_page(app, "/cliente", "gateway/client.html", _client)
    OperationPages(api.operations).add_to(console, app)
    console.add_rest(app)


async def _diagnosis(asking: ConsoleRequest, _request: web.Request) -> dict[str, Any]:
    tokens = await asking.tell("get_tokens")
    return {
        "diagnosis": await asking.tell("get_diagnostics_findings"),
        "tokens": tokens,
        "certificates": [] if tokens.why else _certificates(tokens.value),
        "said": _said,
    }


def _said(finding: FindingView) -> dict[str, Translated]:
    """A finding's texts, ``what`` is wrong and what to ``do``, in every language the API gives them in."""
    texts = {"es": finding.es, "en": finding.en}
    return {
        "what": Translated({language: text.what for language, text in texts.items()}),
        "do": Translated({language: text.do for language, text in texts.items()}),
    }


def _certificates(tokens: Any) -> list[dict[str, Any]]:
    found = [
        {
            "expires": certificate.certificate_details.not_after,
            "subject": certificate.certificate_details.subject_distinguished_name,
            "owner": certificate.owner_id,
            "usage": key.usage or "",
            "status": certificate.status,
            "active": certificate.active,
            "ocsp": certificate.ocsp_status,
        }
        for token in tokens
        for key in token.keys
        for certificate in key.certificates
    ]
    return sorted(found, key=lambda c: str(c["expires"]))


async def _clients(asking: ConsoleRequest, _request: web.Request) -> dict[str, Any]:
    query = {"internal_search": "true", "show_members": "true"}
    return {"clients": await asking.tell("get_clients", query=query)}


async def _client(asking: ConsoleRequest, request: web.Request) -> dict[str, Any]:
    client = request.query.get("id", "")[:1000]
    descriptions = await asking.tell("get_clients_id_service_descriptions", {"id": client})
    services = [
        {
            "service": service,
            "disabled": description.disabled,
            "notice": description.disabled_notice,
            "rights": await asking.tell("get_services_id_service_clients", {"id": service.id}),
        }
        for description in descriptions.value or ()
        for service in description.services
    ]
    return {"client": client, "descriptions": descriptions, "services": services}
