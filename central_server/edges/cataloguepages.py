"""The catalogue for everybody: one page in Spanish and English, and its export. No script, no login."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web

from central_server.edges.callpages import call_blocks, state_of
from central_server.registry.catalogue import export_jsonld
from central_server.store.members import find_client
from central_server.store.servers import servers_used_by
from central_server.store.services import (
    CatalogueQuery,
    find_entry,
    search_services,
    unreachable_providers,
    versions_of,
)
from schemas.faults import BadMessage
from schemas.identifiers import ClientId
from schemas.jsontext import encode_json
from serving.language import N_, as_it_is
from serving.web.blocks import FactSheet, PageLink, PageView, text
from serving.web.pages import PAGE_HEADERS, Frame, Site, redirect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from central_server.store.records import CentralStore, Records
    from central_server.store.servers import KeptServer

MOST_SHOWN = 200
_FIELDS = ("words", "member", "data_set", "purpose")
# By plain HTTP here: TLS is a proxy's. There is nothing to keep secret but the language that was chosen.
SITE = Site(N_("Service catalogue"), Path(__file__).parent / "templates", secure=False)


def catalogue_app(store: CentralStore) -> web.Application:
    """``/catalogo`` for people, ``/catalogo.jsonld`` for machines, and the newest description of each service."""
    frame = Frame(SITE)

    async def start(_request: web.Request) -> web.Response:
        return redirect("/catalogo")

    app = web.Application(middlewares=[frame.middleware])
    frame.add_static(app.router)
    app.router.add_get("/", start)
    app.router.add_get("/catalogo", _page(store, frame))
    app.router.add_get("/catalogo/servicio/{number:[0-9]{1,18}}", _service(store, frame))
    app.router.add_get("/catalogo/descripcion/{number:[0-9]{1,18}}", _description(store))
    app.router.add_get("/catalogo.jsonld", _export(store))
    return app


def _page(store: CentralStore, frame: Frame) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def give(request: web.Request) -> web.StreamResponse:
        search = {name: request.query.get(name, "").strip()[:200] for name in _FIELDS}
        records = store.read()
        words, member, data_set, purpose = (search[name] or None for name in _FIELDS)
        found = search_services(records, CatalogueQuery(words, member, data_set, purpose))
        return frame.render(
            request,
            "catalogue.html",
            search=search,
            found=found[:MOST_SHOWN],
            count=len(found),
            most=MOST_SHOWN,
            missing=unreachable_providers(records),
        )

    return give


def _service(store: CentralStore, frame: Frame) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """One service: its operations as its description says them, and lines that call it for a client of the reader's own."""

    async def give(request: web.Request) -> web.StreamResponse:
        records, number = store.read(), int(request.match_info["number"])
        entry = find_entry(records, number)
        if entry is None:
            raise web.HTTPNotFound
        versions = versions_of(records, number)
        raw = versions[0].raw if versions else b""
        facts = FactSheet(
            (
                (N_("Institution"), text(entry.member_name)),
                (N_("Data"), text(", ".join(entry.described.data_sets))),
                (N_("Purpose"), text(", ".join(entry.described.purposes))),
                (N_("State"), state_of(entry.unreachable_since, entry.gone_since)),
            )
        )
        servers = _servers_of(records, request.query.get("cliente", ""))
        blocks = [
            facts,
            *call_blocks(entry.service, entry.type, raw, request.query, request.path, (), servers),
        ]
        file = PageLink(N_("Its description as a file"), f"/catalogo/descripcion/{number}")
        view = PageView(
            as_it_is(entry.described.title),
            blocks,
            (file,) if raw else (),
            (PageLink(N_("Service catalogue"), "/catalogo"),),
            as_it_is(entry.described.summary[:500]),
            entry.service.encoded(),
        )
        return frame.render_view(request, view)

    return give


def _servers_of(records: Records, text: str) -> list[KeptServer]:
    """The servers that have a client, as the registry knows it; none for a text that names no client of it."""
    parts = text.strip().replace("/", ":").split(":")
    try:
        client = ClientId(*parts) if len(parts) == 4 else None
    except BadMessage:
        client = None
    if client is None or find_client(records, client) is None:
        return []
    return servers_used_by(records, client)


def _export(store: CentralStore) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def give(request: web.Request) -> web.StreamResponse:
        records = store.read()
        base = f"{request.scheme}://{request.host}"
        graph = export_jsonld(base, records.instance, search_services(records, CatalogueQuery()))
        return web.Response(body=encode_json(graph), content_type="application/ld+json", headers=PAGE_HEADERS)

    return give


def _description(store: CentralStore) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def give(request: web.Request) -> web.StreamResponse:
        versions = versions_of(store.read(), int(request.match_info["number"]))
        if not versions:
            raise web.HTTPNotFound
        # Never as HTML or XML: it is a stranger's file.
        name = f'attachment; filename="servicio-{request.match_info["number"]}"'
        headers = {**PAGE_HEADERS, "Content-Disposition": name}
        return web.Response(body=versions[0].raw, content_type="application/octet-stream", headers=headers)

    return give
