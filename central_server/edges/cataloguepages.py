"""The catalogue for everybody: one page in Spanish and English, and its export. No script, no cookie."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web

from central_server.catalogue import export_jsonld
from central_server.store.services import (
    CatalogueQuery,
    search_services,
    unreachable_providers,
    versions_of,
)

if TYPE_CHECKING:
    from central_server.catalogue import CatalogueEntry
    from central_server.store.records import CentralStore

MOST_SHOWN = 200
_TEXTS = {
    "es": {
        "title": "Catálogo de servicios",
        "words": "Palabra",
        "member": "Institución",
        "data_set": "Conjunto de datos",
        "purpose": "Finalidad",
        "search": "Buscar",
        "service": "Servicio",
        "type": "Tipo",
        "state": "Estado",
        "good": "disponible",
        "gone": "retirado desde",
        "unreachable": "no se alcanza desde",
        "found": "servicios encontrados; se muestran como máximo",
        "missing": "Instituciones que no contestan",
        "other": "English",
    },
    "en": {
        "title": "Service catalogue",
        "words": "Word",
        "member": "Institution",
        "data_set": "Data set",
        "purpose": "Purpose",
        "search": "Search",
        "service": "Service",
        "type": "Type",
        "state": "State",
        "good": "available",
        "gone": "withdrawn since",
        "unreachable": "not reached since",
        "found": "services found; shown at most",
        "missing": "Institutions that do not answer",
        "other": "Español",
    },
}
_FIELDS = ("words", "member", "data_set", "purpose")
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem;border-bottom:1px solid #999}"
    "label{margin-right:1rem}"
)
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


def catalogue_app(store: CentralStore) -> web.Application:
    """``/catalogo`` for people, ``/catalogo.jsonld`` for machines, and the newest description of each service."""

    async def page(request: web.Request) -> web.Response:
        language = "en" if request.query.get("lang") == "en" else "es"
        asked = {name: request.query.get(name, "").strip()[:200] for name in _FIELDS}
        records = store.read()
        words, member, data_set, purpose = (asked[name] or None for name in _FIELDS)
        query = CatalogueQuery(words, member, data_set, purpose)
        found = search_services(records, query)
        text = _render(language, asked, found, unreachable_providers(records))
        return web.Response(text=text, content_type="text/html", headers=_HEADERS)

    async def export(request: web.Request) -> web.Response:
        records = store.read()
        base = f"{request.scheme}://{request.host}"
        graph = export_jsonld(base, records.instance, search_services(records, CatalogueQuery()))
        return web.Response(
            body=msgspec.json.encode(graph), content_type="application/ld+json", headers=_HEADERS
        )

    async def description(request: web.Request) -> web.Response:
        versions = versions_of(store.read(), int(request.match_info["number"]))
        if not versions:
            raise web.HTTPNotFound(text="there is no description with this number")
        # Never as HTML or XML: it is a stranger's file.
        name = f'attachment; filename="servicio-{request.match_info["number"]}"'
        headers = {**_HEADERS, "Content-Disposition": name}
        return web.Response(body=versions[0].raw, content_type="application/octet-stream", headers=headers)

    app = web.Application()
    app.router.add_get("/catalogo", page)
    app.router.add_get("/catalogo/descripcion/{number:[0-9]{1,18}}", description)
    app.router.add_get("/catalogo.jsonld", export)
    return app


def _render(
    language: str,
    asked: dict[str, str],
    found: list[CatalogueEntry],
    missing: list[tuple[str, str, str]],
) -> str:
    text = _TEXTS[language]
    other = "es" if language == "en" else "en"
    fields = "".join(
        f'<label>{text[name]} <input name="{name}" value="{escape(value)}"></label>'
        for name, value in asked.items()
    )
    rows = "".join(_row(text, entry) for entry in found[:MOST_SHOWN])
    silent = "".join(f"<li>{escape(client)} ({escape(since)})</li>" for client, since, _ in missing)
    return (
        f'<!doctype html><html lang="{language}"><head><meta charset="utf-8"><title>{text["title"]}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f'<p><a href="?lang={other}" lang="{other}">{text["other"]}</a></p><h1>{text["title"]}</h1>'
        f'<form method="get"><input type="hidden" name="lang" value="{language}">{fields}'
        f"<button>{text['search']}</button></form><p>{len(found)} {text['found']} {MOST_SHOWN}</p>"
        f"<table><thead><tr><th>{text['service']}</th><th>{text['member']}</th><th>{text['type']}</th>"
        f"<th>{text['data_set']}</th><th>{text['purpose']}</th><th>{text['state']}</th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
        + (f"<h2>{text['missing']}</h2><ul>{silent}</ul>" if silent else "")
        + "</body></html>"
    )


def _row(text: dict[str, str], entry: CatalogueEntry) -> str:
    said = entry.described
    state = text["good"]
    if entry.unreachable_since:
        state = f"{text['unreachable']} {entry.unreachable_since}"
    elif entry.gone_since:
        state = f"{text['gone']} {entry.gone_since}"
    cells = (
        f"<strong>{escape(said.title)}</strong><br><code>{escape(entry.service.path())}</code>"
        f"<br>{escape(said.summary[:300])}",
        escape(entry.member_name),
        escape(entry.type),
        escape(", ".join(said.data_sets)),
        escape(", ".join(said.purposes)),
        escape(state),
    )
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
