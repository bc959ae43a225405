"""What is found on every page by walking from the start page: lists, fields, acts that take something away, times.

A new page is walked without being named here; what is left out is in a table with its reason. Of a portal labels and times are judged: its
lists are as long as one person's file, or as one institute's open cases.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

import aiohttp
import pytest

from central_server.admin.console.consequences import CONSEQUENCES as OF_CENTRE
from gateway.admin.console.consequences import CONSEQUENCES as OF_GATEWAYS
from gateway.admin.roles import gateway_roles
from serving.web.userviews import CONSEQUENCES as OF_USERS
from social_security.portal.accounts import COUNTER, GUARANTOR, OFFICER, OPERATOR, UNIT
from tests.integration.hosting import hosted, prepare
from tests.integration.test_consoles import Remote
from tests.operators import Operator
from tests.portals import PIDS, Browser, open_world
from tests.unit.central_server import test_admin
from tests.unit.social_security.test_portal_staff import enter

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.unit.central_server.test_admin import Central

central = test_admin.central
MOST_PAGES: Final = 400
# What begins so is a file, another language or zone, or the way out.
NOT_WALKED: Final = (
    "/consola/descarga/",
    "/consola/ancla",
    "/consola/salir",
    "/salir",
    "/consola/catalogo.jsonld",
)
NOT_ASKED: Final = {"csv", "lang", "zona", "hecho"}
# A list of a console that is neither sorted, searched nor paged, by its caption, and why.
SHORT_LISTS: Final = {
    "What messages need, the first to end first": "its order is what it says",
    "What was found, worst first": "its order is what it says",
    "Nodes": "there are a few",
    "Parts of the configuration for this instance": "the protocol has a fixed number of parts",
    "Signing keys": "two at most: one in use, and its successor",
    "Tokens of the signing keys": "one a device",
    "Timestamping authorities": "those that this server uses: a few",
    "Certificate authorities that the configuration approves": "the instance approves a few",
    "OCSP responders": "one or two an authority",
    "Global configuration": "one row",
}
# An operation that only looks as if it took something away.
WITHOUT_WARNING: Final[dict[str, str]] = {}
VOID: Final = {"input", "br", "meta", "link", "img", "hr", "wbr", "source", "col"}
TIME: Final = re.compile(r"(?<![\w:.-])([01]?\d|2[0-3]):[0-5]\d(:[0-5]\d)?(?![\w:])(?! ?(UTC|GMT|[+−-]\d))")


@dataclass
class Found:
    """The things on one page that are judged."""

    tables: dict[str, bool] = field(default_factory=dict)
    # Name of a field -> whether it has a label, and whether it has help.
    fields: dict[str, tuple[bool, bool]] = field(default_factory=dict)
    times: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    has_consequence: bool = False


class Reader(HTMLParser):
    """Reads `Found` off a page's source."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.found = Found()
        self._open: list[tuple[str, str]] = []
        self._labels: set[str] = set()
        self._caption = ""
        self._inputs: list[tuple[str, str, bool, bool]] = []
        self.feed(source)
        for name, identifier, inside, described in self._inputs:
            self.found.fields[name] = (inside or identifier in self._labels, described)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        inside = any(name == "label" for name, _ in self._open)
        if tag == "a":
            self.found.links.append(given.get("href", ""))
        if tag == "label":
            self._labels.add(given.get("for", ""))
        if tag in ("input", "select", "textarea") and given.get("type") not in ("hidden", "submit"):
            is_choice = given.get("type") in ("checkbox", "radio")
            described = "aria-describedby" in given or is_choice
            self._inputs.append((given.get("name", ""), given.get("id", ""), inside, described))
        if tag == "table":
            self._caption = ""
        if tag == "ul" and "pages" in given.get("class", "").split() and self._caption:
            self.found.tables[self._caption] = True
        if tag == "th" and given.get("aria-sort") and self._caption:
            self.found.tables[self._caption] = True
        if tag == "p" and given.get("class") == "note":
            self.found.has_consequence = True
        if tag not in VOID:
            self._open.append((tag, given.get("class", "")))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass
        if tag == "caption":
            self._caption = self._caption.strip()
            self.found.tables.setdefault(self._caption, False)

    def handle_data(self, data: str) -> None:
        tags = {name for name, _ in self._open}
        if "caption" in tags and not any("hint" in kind for _, kind in self._open):
            self._caption += data
        if not tags & {"code", "pre", "style", "title", "select", "textarea"} and TIME.search(data):
            self.found.times.append(data.strip()[:100])


def shape_of(link: str) -> str:
    """Pages of one shape are walked once: the path, and the names of what is asked."""
    parts = urlsplit(link)
    return f"{parts.path}?{','.join(sorted(n for n, _ in parse_qsl(parts.query)))}"


async def walk(start: str, look: Callable[[str], Awaitable[str]]) -> dict[str, Found]:
    """Everything that links lead to from a page, once for each shape of address."""
    found: dict[str, Found] = {}
    waiting, seen = [start], {shape_of(start)}
    while waiting:
        link = waiting.pop(0)
        page = Reader(await look(link)).found
        found[link] = page
        assert len(found) < MOST_PAGES, "pages without end"
        for other in page.links:
            parts = urlsplit(other)
            asked = {n for n, _ in parse_qsl(parts.query)}
            if parts.netloc or not parts.path.startswith("/") or parts.path.startswith(NOT_WALKED):
                continue
            if not asked & NOT_ASKED and shape_of(other) not in seen:
                seen.add(shape_of(other))
                waiting.append(other)
    return found


def changes(link: str) -> bool:
    """Whether a page is the form of an operation that changes something."""
    name = urlsplit(link).path.partition("/consola/operacion/")[2]
    return name.startswith(("post_", "put_", "patch_", "delete_"))


def judge(pages: dict[str, Found]) -> list[str]:
    """What is wrong on pages, each thing once."""
    wrong: dict[str, str] = {}
    for link, page in pages.items():
        for caption, is_kept in page.tables.items():
            if link.startswith("/consola") and not is_kept and caption not in SHORT_LISTS:
                wrong.setdefault(f"list: {caption}", link)
        for name, (has_label, has_help) in page.fields.items():
            if not has_label:
                wrong.setdefault(f"no label: {name}", link)
            if name != "zona" and changes(link) and not has_help:
                wrong.setdefault(f"no help: {name}", link)
        for text in page.times:
            wrong.setdefault(f"time without a zone: {text}", link)
    return [f"{what} ({where})" for what, where in sorted(wrong.items())]


async def test_every_list_field_and_time_of_the_centre_is_as_it_should_be(central: Central) -> None:
    await central.set_up()
    await central.register_server()
    operator = Operator(central.client, "en")
    await operator.log_in("xrd", "secret")

    async def look(link: str) -> str:
        return (await operator.get(link)).source

    pages = await walk("/consola/", look)
    assert len(pages) > 60
    wrong = judge(pages)
    assert wrong == [], "\n".join(wrong)


async def test_every_list_field_and_time_of_a_gateway_is_as_it_should_be(tmp_path: Path) -> None:
    prepare(tmp_path)
    with hosted(tmp_path) as (address, host):
        host.logins.save_user("ana", "secret", gateway_roles().of_people())
        async with aiohttp.ClientSession(address, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            operator = Operator(Remote(session), "en")  # type: ignore[arg-type]
            await operator.log_in("ana", "secret")

            async def look(link: str) -> str:
                return (await operator.get(link)).source

            pages = await walk("/consola/", look)
    assert len(pages) > 80
    wrong = judge(pages)
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize(
    ("member", "role"),
    [
        ("15-ISSEMYM", COUNTER),
        ("15-ISSEMYM", UNIT),
        ("15-GARANTE", GUARANTOR),
        ("00-ONIESS", OPERATOR),
        ("00-RNSS", OFFICER),
    ],
)
async def test_every_field_and_time_of_a_portal_is_as_it_should_be(
    tmp_path: Path, member: str, role: str | None
) -> None:
    async with open_world(tmp_path) as world:
        address, accounts = await world.portal(member)
        async with Browser(address) as browser:
            if role is None:
                issued = accounts.issue("ana", PIDS["ana"], "Portal")
                await browser.log_in("ana", issued)
            else:
                await enter(browser, accounts, role, "quien-1")

            async def look(link: str) -> str:
                await browser.get(link)
                return browser.page.source

            pages = await walk("/operacion" if role == OPERATOR else "/", look)
    wrong = judge(pages)
    assert wrong == [], "\n".join(wrong)


# What takes something away, by its method or by a word of its id.
TAKING: Final = re.compile(
    r"^delete_|revoke|disable|unregister|restore|decline|_remove|logout|reset|approval$"
)


async def test_whatever_takes_something_away_says_beforehand_what_will_happen(
    central: Central, tmp_path: Path
) -> None:
    await central.set_up()
    prepare(tmp_path)
    silent: dict[str, list[str]] = {}
    with hosted(tmp_path) as (_, host):
        for name, operations, said in (
            ("gateway", host.api.operations, {**OF_GATEWAYS, **OF_USERS}),
            ("central", central.api.operations, {**OF_CENTRE, **OF_USERS}),
        ):
            taking = [o.id for o in operations if o.event is not None and TAKING.search(o.id)]
            assert len(taking) > 10
            silent[name] = [i for i in taking if i not in said and i not in WITHOUT_WARNING]
    assert silent == {"gateway": [], "central": []}, silent
