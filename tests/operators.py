"""An operator at a server's pages: what a browser keeps and sends, without one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from aiohttp.test_utils import TestClient

from tests.portals import Page


@dataclass
class Operator:
    """One person at the pages of a server that listens without TLS here; her cookies are sent by hand for that."""

    client: TestClient[Any, Any]
    language: str = "es"
    cookie: str = ""
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    page: Page = field(default_factory=lambda: Page(""))
    # The answer as it came, for what is no page.
    content: bytes = b""

    async def log_in(self, name: str, password: str) -> Page:
        """Through the door."""
        await self.post("/consola/entrar", {"cuenta": name, "clave": password})
        found = re.search(r"JSESSIONID=([0-9a-f]+)", self.headers.get("set-cookie", ""))
        self.cookie = found[1] if found else ""
        return await self.get("/consola/")

    async def get(self, path: str) -> Page:
        """A page."""
        return await self._send("GET", path)

    async def send(self, path: str, fields: dict[str, str], **headers: str) -> Page:
        """A form of this session; a page that it leads to is fetched."""
        return await self.post(path, {"csrf": self.page.csrf, **fields}, **headers)

    async def post(self, path: str, fields: dict[str, str], **headers: str) -> Page:
        """A form."""
        return await self._send(
            "POST", path, data=fields, headers={"Sec-Fetch-Site": "same-origin", **headers}
        )

    async def _send(self, method: str, path: str, **options: Any) -> Page:
        headers = {"Accept-Language": self.language, **options.pop("headers", {})}
        if self.cookie:
            headers["Cookie"] = f"JSESSIONID={self.cookie}"
        self.client.session.cookie_jar.clear()
        async with self.client.request(
            method, path, headers=headers, allow_redirects=False, **options
        ) as answer:
            self.status = answer.status
            self.headers = {n.lower(): ", ".join(answer.headers.getall(n)) for n in answer.headers}
            self.content = await answer.read()
            self.page = Page(await answer.text(errors="replace"))
        return self.page
