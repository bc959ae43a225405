"""The tables of pages in the documentation, against the routes that servers have: every address leads somewhere, and no page is left out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from gateway.server.process import GatewayProcess
from gateway.settings.config import GatewaySettings
from gateway.settings.datafolder import DataFolder
from serving.web.formnames import ROOT
from social_security.portal.app import build
from social_security.portal.settings import PortalSettings
from tests.paths import PROJECT
from tests.unit.central_server import test_admin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from aiohttp import web

    from tests.unit.central_server.test_admin import Central

central = test_admin.central
TWINS = ("pages.md", "paginas.md")
HEADS = {"X-Road 7.8, security server": "gateway", "X-Road 7.8, servidor de seguridad": "gateway",
         "X-Road 7.8, central server": "central", "X-Road 7.8, servidor central": "central"}  # fmt: skip
MEMBERS = ("15-ISSEMYM", "15-GARANTE", "00-ONIESS", "00-RNSS")
# What leads on to another page, or is one for every operation.
UNLISTED = {"", "/", "/entrar", "/{tail}", "/operacion/{name}", "/descarga/{name}"}


def tables(page: str) -> Iterator[tuple[str, list[str]]]:
    """Each table of a page of the documentation: its first head, and its rows' cells that say where something is."""
    text = (PROJECT / "docs" / page).read_text("utf-8")
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        lines = [line.strip("|\n ").split(" | ") for line in block.splitlines()]
        yield lines[0][0].strip(), [cell for row in lines[2:] for cell in row]


def addresses(cells: list[str]) -> set[str]:
    """Addresses of pages in cells, without their query; what a reader fills in is ``{x}``."""
    found = (a.partition("?")[0] for cell in cells for a in re.findall(r"`(/[^`]*)`", cell))
    return {re.sub(r"[A-Z]{3,}", "{x}", address) for address in found}


def pages_of(app: web.Application) -> set[str]:
    """Addresses that an application answers to GET, with ``{x}`` for what is variable."""
    routes = (
        r.resource.canonical for r in app.router.routes() if r.method == "GET" and r.resource is not None
    )
    return {re.sub(r"{(\w+)[^}]*}", "{x}", path) for path in routes}


def console_pages(app: web.Application) -> set[str]:
    """The same of a console, below its root."""
    return {p.removeprefix(ROOT) for p in pages_of(app) if p.startswith(ROOT) and "/estatico" not in p}


def listed(page: str, kind: str) -> set[str]:
    """What the table of a kind of server says of ours; X-Road's own names stand in its first column."""
    (cells,) = [found for head, found in tables(page) if HEADS.get(head) == kind]
    return addresses(cells[1::2])


def test_both_languages_lead_to_the_same_pages() -> None:
    ours, theirs = ([(HEADS.get(h, ""), addresses(c)) for h, c in tables(page)] for page in TWINS)
    assert ours == theirs
    assert len(ours) == 6


def test_every_page_of_a_gateways_console_stands_in_the_table_and_every_address_leads_to_one(
    tmp_path: Path,
) -> None:
    host = GatewayProcess(DataFolder(tmp_path), GatewaySettings(), None)
    found = console_pages(host.api.app())
    host.logins.close()
    host.store.close()
    assert listed("pages.md", "gateway") - {"/asic"} - found == set()
    assert found - listed("pages.md", "gateway") - {re.sub("{.*}", "{x}", u) for u in UNLISTED} == set()


async def test_every_page_of_the_centres_console_stands_in_the_table_and_every_address_leads_to_one(
    central: Central,
) -> None:
    found = console_pages(central.api.app())
    assert listed("pages.md", "central") - found == set()
    assert found - listed("pages.md", "central") - {re.sub("{.*}", "{x}", u) for u in UNLISTED} == set()


@pytest.mark.parametrize("page", TWINS)
def test_every_address_of_a_portals_page_leads_to_one(page: str, tmp_path: Path) -> None:
    found: set[str] = set()
    for member in MEMBERS:
        folder = tmp_path / member
        folder.mkdir()
        found |= pages_of(
            build(
                folder,
                PortalSettings(member=member, gateway="http://127.0.0.1:1", public_url="http://127.0.0.1:2"),
            )
        )
    for head, cells in tables(page):
        if head not in HEADS:
            assert addresses(cells) - found == set(), head
