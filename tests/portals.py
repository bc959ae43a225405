"""Portals over the real systems of a registry, three institutes and ONIESS, in one process; the gateways are a forwarder.

The forwarder does what gateways do for the systems: it brings a message with its headers to the provider's system. It
signs and refuses nothing; portals through real gateways are the demo's and `tests/integration`'s. It keeps what went
through it, so that tests can say what a portal asked.
"""

from __future__ import annotations

import asyncio
import atexit
import base64
import concurrent.futures
import contextlib
import functools
import shutil
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import argon2
from aiohttp import web
from aiohttp.test_utils import TestServer

from benchmarks.governing import Governing
from serving.config.secret import SecretSource
from serving.storage.database import open_database
from social_security import app
from social_security.commands import seed
from social_security.config import SystemSettings
from social_security.oniess.store import OniessStore
from social_security.oniess.tables import STEPS
from social_security.portal import app as portal_app
from social_security.portal import onetime
from social_security.portal.accounts import Accounts, NewAccount
from social_security.portal.settings import PortalSettings
from tests.ports import free_port
from tests.signedlogs import SignedLogs

INSTITUTES = ("15-ISSEMYM", "26-ISSSTESON", "30-IPE")
NOW = "2026-04-20T09:00:00-06:00"
SECRET = "una frase de prueba"
# Passwords here guard nothing.
QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PIDS = {
    "ana": "C77536HD0CYA1RRC9HFC4CF1SRC",
    "jose": "17SVM83A2NBXKYS96WC74CBP1ML",
    "ines": "KD4BK5QWYVGTJYR4SHYE7Z7ZM8T",
}


@dataclass
class Message:
    """One request that went through the forwarder."""

    client: str
    service: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class World:
    """The systems, the forwarder, and how to open portals over them."""

    folder: Path
    gateway: str = ""
    messages: list[Message] = field(default_factory=list)
    silent: set[str] = field(default_factory=set)
    verification_configuration: bytes = b""
    # Keeps what goes through the forwarder, but for the subsystems that another gateway serves.
    logs: SignedLogs | None = None
    unlogged: set[str] = field(default_factory=set)
    _systems: dict[str, str] = field(default_factory=dict)
    _stack: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)

    @property
    def clock_file(self) -> Path:
        return self.folder / "reloj"

    def at(self, moment: str) -> None:
        """Set the time of all systems."""
        self.clock_file.write_text(moment, encoding="ascii")

    def system_folder(self, code: str) -> Path:
        return self.folder / "systems" / code

    async def portal(self, code: str, **changes: Any) -> tuple[str, Accounts]:
        """A portal that listens; its address, and its accounts to issue some."""
        settings = self.portal_settings(code, **changes)
        folder = self.folder / f"portal-{code}"
        server = TestServer(
            portal_app.build(folder, settings, QUICK), port=int(settings.public_url.rpartition(":")[2])
        )
        await self._stack.enter_async_context(server)
        accounts = Accounts(folder, QUICK)
        self._stack.callback(accounts.close)
        return settings.public_url, accounts

    def portal_settings(self, code: str, **changes: Any) -> PortalSettings:
        told: dict[str, Any] = {
            "member": code,
            "gateway": self.gateway,
            "public_url": f"http://127.0.0.1:{free_port()}",
            "clock_file": str(self.clock_file),
            "requests_per_second": 0,
            "requests_per_minute": 0,
            "login_attempts": 3,
        }
        return PortalSettings(**{**told, **changes})

    async def _start(self, code: str, served: web.Application) -> None:
        server = TestServer(served)
        await self._stack.enter_async_context(server)
        self._systems[code] = str(server.make_url("")).rstrip("/")

    async def _forward(self, request: web.Request) -> web.Response:
        found = request.match_info
        code, path = found["code"], "/" + found["path"]
        if "getPolicyRefusals" in request.path:
            # A question to the gateway itself, which has refused nothing here.
            return web.json_response({"refusals": []})
        message = Message(
            request.headers.get("X-Road-Client", ""),
            f"{code}/{found['subsystem']}",
            path,
            dict(request.headers),
            await request.read(),
        )
        self.messages.append(message)
        kept = self.logs is not None and found["subsystem"] not in self.unlogged
        owner, message_id = (
            f"MX/{found['cls']}/{code}/{found['subsystem']}",
            request.headers.get("X-Road-Id", ""),
        )
        if kept and self.logs is not None:
            await self.logs.keep(message.client, owner, message_id)
        if code in self.silent or code not in self._systems:
            body = {"type": "Server.ServerProxy.NetworkError", "message": "no answer", "detail": "x"}
            return web.json_response(body, status=500)
        skipped = ("Host", "Content-Length", "Transfer-Encoding", "Connection")
        headers = {n: v for n, v in request.headers.items() if n not in skipped}
        async with (
            aiohttp.ClientSession(auto_decompress=False) as session,
            session.request(
                request.method,
                f"{self._systems[code]}{path}?{request.query_string}",
                headers=headers,
                data=message.body,
            ) as answer,
        ):
            if kept and self.logs is not None:
                await self.logs.keep(message.client, owner, message_id, answer.status)
            return web.Response(
                status=answer.status, body=await answer.read(), content_type=answer.content_type
            )

    async def _proofs(self, request: web.Request) -> web.Response:
        if self.logs is None:
            raise web.HTTPNotFound
        return web.json_response(self.logs.prove(request.query_string))

    async def _configuration(self, _request: web.Request) -> web.Response:
        if not self.verification_configuration:
            raise web.HTTPNotFound
        return web.Response(body=self.verification_configuration)


@contextlib.asynccontextmanager
async def open_world(folder: Path) -> AsyncIterator[World]:
    """A seeded world at `NOW`."""
    world = World(folder)
    async with world._stack:
        world.at(NOW)
        gateway = web.Application()
        gateway.router.add_route("*", "/r1/MX/{cls}/{code}/{subsystem}/{service}/{path:.*}", world._forward)
        gateway.router.add_get("/r1/MX/{cls}/{code}/{subsystem}/{path}", world._forward)
        gateway.router.add_get("/verificationconf", world._configuration)
        gateway.router.add_get("/recordproofs", world._proofs)
        server = TestServer(gateway)
        await world._stack.enter_async_context(server)
        world.gateway = str(server.make_url("")).rstrip("/")
        await asyncio.to_thread(shutil.copytree, _seeded(), folder / "systems")
        for code in (app.REGISTRY, app.ONIESS, *INSTITUTES):
            told = SystemSettings(
                member=code,
                clock_file=str(world.clock_file),
                fixture_keys=True,
                gateway=world.gateway,
                keys_secret=SecretSource(file=str(_seeded() / "secret")),
            )
            await world._start(code, app.build(world.system_folder(code), told))
        yield world


@functools.cache
def _seeded() -> Path:
    """The systems' folders as they begin, made once; removed when the tests end."""
    kept = tempfile.TemporaryDirectory()
    atexit.register(kept.cleanup)
    folder = Path(kept.name)
    (folder / "secret").write_text(SECRET, encoding="ascii")
    (folder / "secret").chmod(0o600)
    seed.seed_registry(folder / app.REGISTRY, SECRET)
    for code in INSTITUTES:
        seed.seed_institute(folder / code, code, folder / app.REGISTRY, SECRET)
    seed.seed_oniess(folder / app.ONIESS)
    with concurrent.futures.ThreadPoolExecutor(1) as apart:
        # A loop of its own signs; the test's is running.
        apart.submit(_publish, folder).result()
    return folder


def _publish(folder: Path) -> None:
    governing = Governing(folder / "gobierno")
    database = open_database(folder / app.ONIESS / "oniess.sqlite", STEPS)
    store = OniessStore(database)
    store.publish("politica", governing.policy())
    store.publish("politica-firmada", governing.sign(governing.policy()))
    database.close()


class Browser:
    """A browser without a screen: cookies kept, pages read, forms filled in with what the page gave."""

    def __init__(self, address: str, language: str = "es-MX") -> None:
        self.address = address
        self.page = Page("")
        self.status = 0
        self.headers: dict[str, str] = {}
        self._session = aiohttp.ClientSession(
            cookie_jar=aiohttp.CookieJar(unsafe=True), headers={"Accept-Language": language}
        )

    async def __aenter__(self) -> Browser:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    @property
    def cookies(self) -> dict[str, str]:
        return {c.key: c.value for c in self._session.cookie_jar}

    async def get_as(self, cookie: str, path: str = "/") -> Page:
        """A page with a session cookie that somebody brought along, and no other."""
        async with (
            aiohttp.ClientSession() as session,
            session.get(
                self.address + path, headers={"Cookie": f"sesion={cookie}"}, allow_redirects=False
            ) as answer,
        ):
            return await self._took(answer)

    async def get(self, path: str, **options: Any) -> Page:
        async with self._session.get(self.address + path, **options) as answer:
            return await self._took(answer)

    async def post(self, path: str, data: Any, **options: Any) -> Page:
        headers = {"Sec-Fetch-Site": "same-origin", "Origin": self.address, **options.pop("headers", {})}
        sent = {n: v for n, v in headers.items() if v}
        async with self._session.post(self.address + path, data=data, headers=sent, **options) as answer:
            return await self._took(answer)

    async def send(self, path: str, fields: list[tuple[str, str]] | None = None, **options: Any) -> Page:
        """A form of this session."""
        data = [("csrf", self.page.csrf), *(fields or [])]
        return await self.post(path, aiohttp.FormData(data), **options)

    async def log_in(self, name: str, issued: NewAccount, *, code: str | None = None) -> Page:
        await self.get("/entrar")
        data = {"cuenta": name, "clave": issued.password, "codigo": code or issued.codes[0]}
        return await self.post("/entrar", data)

    async def _took(self, answer: aiohttp.ClientResponse) -> Page:
        self.status, self.headers = answer.status, dict(answer.headers)
        self.page = Page(await answer.text())
        return self.page


class Page(HTMLParser):
    """What is on a page: its text, its hidden CSRF value, its links."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.csrf = ""
        self.links: list[str] = []
        self._words: list[str] = []
        # Where a word may be broken it is one word all the same.
        self.feed(source.replace("<wbr>", ""))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "input" and found.get("name") == "csrf":
            self.csrf = found.get("value") or ""
        if tag == "a":
            self.links.append(found.get("href") or "")

    def handle_data(self, data: str) -> None:
        self._words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._words).split())


def code_now(issued: NewAccount, offset: int = 0) -> str:
    """What the person's telephone shows now (or some steps off)."""
    secret = parse_qs(urlsplit(issued.uri).query)["secret"][0]
    raw = base64.b32decode(secret + "=" * (-len(secret) % 8))
    return onetime.code_at(raw, onetime.counter_at(datetime.now(UTC)) + offset)
